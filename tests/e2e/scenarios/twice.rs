//! AWS delivers at least once. The same event twice, at the same time and once more, changes nothing twice.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join3;
use serde_json::{Value, json};

use crate::scenarios::drift::told_once;
use crate::world::{SOON, World};

pub(crate) async fn the_same_event_twice_changes_nothing_twice(world: &World) -> Result<()> {
    let (worker, instance) = world.worker("twice").await?;

    // drift: the pulse tells it as well, so that EC2 has three voices.
    world.ec2.stop(&instance).await?;
    world.ec2.wait_for(&instance, "stopped").await?;
    thrice(world, "drift", &world.state_change(&instance, "stopped")).await?;
    let stopped = world.api.wait_for(&worker, "/status", json!("stopped"), SOON).await?;
    ensure!(!stopped["drift"].is_null(), "{stopped}");
    expect_facts(world, &worker, "drift_detected", 1).await?;

    // notify: the record that the stream has brought already.
    let told = world.steady.log.wait_for("the webhook", &worker, "drift_detected", SOON).await?;
    let version = told.event["data"]["worker"]["version"].as_u64().context("an event has a version")?;
    let batch = json!({ "Records": [world.stream_record(&worker, version).await?] });
    thrice(world, "notify", &batch).await?;

    // act: the record of an order, while the order is being carried out and after it.
    let started = world.api.command(&worker, "start").await?;
    let version = started["version"].as_u64().context("a worker has a version")?;
    let batch = json!({ "Records": [world.stream_record(&worker, version).await?] });
    thrice(world, "act", &batch).await?;
    world.api.wait_for(&worker, "/status", json!("running"), SOON).await?;
    let settled = world.api.settled(&worker).await?;
    world.functions.invoke("act", &batch).await?;
    let starts = |fact: &Value| fact["fact"] == json!("action_issued") && fact["action"] == json!("start");
    let facts = world.api.facts(&worker).await?;
    let times = facts.iter().filter(|(_, fact)| starts(fact)).count();
    ensure!(times == 1, "one order, {times} calls to EC2: {facts:?}");

    // collect: nothing happened in between, so there is nothing to record.
    let mut request = world.event("collection-requested.json");
    request["detail"]["region"] = json!(world.cloud.region);
    request["detail"]["workers"] = json!([worker]);
    request["detail"]["metrics"] = json!([worker]);
    thrice(world, "collect", &request).await?;
    let samples = world.journal.partition(&format!("WORKER#{worker}")).await?.len();
    thrice(world, "collect", &request).await?;
    let more = world.journal.partition(&format!("WORKER#{worker}")).await?.len();
    // A minute may have passed, and with it a datapoint come; the same one is never written twice.
    ensure!(more <= samples + 1, "{samples} samples became {more}");
    let after = world.api.settled(&worker).await?;
    ensure!(after["observed"]["state"] == json!("running") && after["drift"].is_null(), "{after}");
    let quiet = ["drift_detected", "action_issued", "status_changed"];
    ensure!(
        world.api.facts(&worker).await?.iter().all(|(version, fact)| {
            settled["version"].as_u64() >= Some(*version)
                || !quiet.iter().any(|name| fact["fact"] == json!(name))
        }),
        "looking again changed the worker: {after}"
    );

    // poll: the same minute again is nobody's work any more.
    let schedule = world.event("schedule.json");
    world.functions.invoke("poll", &schedule).await?;
    for _ in 0..2 {
        let report = world.functions.invoke("poll", &schedule).await?;
        ensure!(
            report["regions_swept"] == json!(0) && report["shards"] == json!(0),
            "a minute was polled twice: {report}"
        );
    }
    expect_facts(world, &worker, "drift_detected", 1).await?;
    told_once(world, &worker, "drift_detected").await
}

/// Two invocations at the same time, and one after them.
async fn thrice(world: &World, function: &str, event: &Value) -> Result<()> {
    let functions = &world.functions;
    let late = async {
        tokio::time::sleep(std::time::Duration::from_millis(500)).await;
        functions.invoke(function, event).await
    };
    try_join3(functions.invoke(function, event), functions.invoke(function, event), late).await.map(drop)
}

async fn expect_facts(world: &World, worker: &str, name: &str, times: usize) -> Result<()> {
    let facts = world.api.fact_names(worker).await?;
    let count = facts.iter().filter(|fact| *fact == name).count();
    ensure!(count == times, "{name} was recorded {count} times, not {times}: {}", facts.join(", "));
    Ok(())
}
