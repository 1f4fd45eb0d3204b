//! A record that nobody can read is counted and left behind; what stands beside it in the stream goes on.

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::world::{SOON, World, insertion};

pub(crate) async fn one_undecodable_record_does_not_hold_up_the_others(world: &World) -> Result<()> {
    let (first, instance) = world.worker("beside").await?;
    let (second, other) = world.worker("behind").await?;
    // In the real stream: an item of facts that is none, and after it what happens to two workers.
    let broken = json!({
        "pk": { "S": format!("WORKER#{}", world.name("broken")) },
        "sk": { "S": "EVENT#00000000000000000001" },
        "facts": { "S": "not in any form we know" },
    });
    world.fleet.put(broken.clone()).await?;
    world.ec2.stop(&instance).await?;
    world.ec2.stop(&other).await?;
    for worker in [&first, &second] {
        world.steady.log.wait_for("the webhook", worker, "drift_detected", SOON).await?;
    }
    world.api.command(&first, "start").await?;
    world.api.wait_for(&first, "/status", json!("running"), SOON).await?;

    // In one batch, so that the functions' own count can be seen.
    let version = world.api.settled(&first).await?["version"].as_u64().context("a worker has a version")?;
    let batch = json!({ "Records": [
        world.stream_record(&first, version).await?,
        insertion(broken, version + 1),
        world.stream_record(&second, 1).await?,
    ] });
    for function in ["act", "notify"] {
        let answer = world.functions.invoke(function, &batch).await?;
        ensure!(answer["batchItemFailures"] == json!([]), "{function} holds the shard up: {answer}");
        counted(function, &answer, "undecodable", 1)?;
    }
    Ok(())
}

/// The report in a function's answer counts this.
pub(crate) fn counted(function: &str, answer: &Value, what: &str, expected: u64) -> Result<()> {
    ensure!(answer[what] == json!(expected), "{function} does not count {expected} {what}: {answer}");
    Ok(())
}
