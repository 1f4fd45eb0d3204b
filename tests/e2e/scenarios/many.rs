//! One command for many workers: tried, asked, followed to its end; and what takes more than asking.

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::wait::{eventually, seen};
use crate::world::{SOON, World};

const MANY: [&str; 4] = ["bulk-1", "bulk-2", "bulk-3", "bulk-4"];

pub(crate) async fn many_workers_are_stopped_and_started_by_one_command_each(world: &World) -> Result<()> {
    let workers = try_join_all(MANY.map(|name| world.worker(name))).await?;
    let those = json!({ "name": world.name("bulk-?") });
    world
        .api
        .send("PATCH", &format!("/workers/{}", workers[3].0), Some(r#"{"held":"cabling"}"#), &[])
        .await?;

    let ask = |action: &str, dry_run: bool| json!({ "action": action, "filter": those, "dry_run": dry_run });
    let plan = world.api.post("/commands", &ask("stop", true)).await?;
    ensure!(plan["counts"]["planned"] == 3 && plan["counts"]["refused"] == 1, "three of four: {plan}");
    ensure!(plan["ec2_calls"] == 1 && plan["eta_seconds"] == 0, "EC2 can be asked at once: {plan}");
    let refused = plan["items"].as_array().context("items")?.iter().find(|item| item["outcome"] == "refused");
    ensure!(refused.is_some_and(|item| item["refusal"]["code"] == "held"), "the one that is held: {plan}");

    for (action, state) in [("stop", "stopped"), ("start", "running")] {
        let command = world.api.post("/commands", &ask(action, false)).await?;
        let id = command["id"].as_str().context("an id")?;
        let done = json!({ "waiting": 0, "done": 3, "failed": 0, "superseded": 0 });
        eventually(&format!("{action} is done"), SOON, || async {
            let now = world.api.get(&format!("/commands/{id}")).await?;
            Ok(seen(now["status"] == "done", now))
        })
        .await?;
        let followed = world.api.get(&format!("/commands/{id}")).await?;
        ensure!(followed["progress"] == done && followed["counts"]["asked"] == 3, "all three: {followed}");
        for (_, instance) in &workers[..3] {
            ensure!(world.ec2.instance(instance).await?.state == state, "{instance} is {state}");
        }
        let page = world.api.get(&format!("/commands/{id}/workers")).await?;
        let progress: Vec<&Value> =
            page["items"].as_array().context("items")?.iter().map(|i| &i["progress"]).collect();
        ensure!(progress.iter().filter(|one| **one == "done").count() == 3, "each of them: {page}");
    }
    ensure!(world.ec2.instance(&workers[3].1).await?.state == "running", "hands off the one that is held");
    world.api.send("PATCH", &format!("/workers/{}", workers[3].0), Some(r#"{"held":null}"#), &[]).await?;

    // Tags for all of them, and a look; both are over at once or soon.
    let mut tagging = ask("tag", false);
    tagging["tags"] = json!({ "shift": "late" });
    world.api.post("/commands", &tagging).await?;
    for (_, instance) in &workers {
        eventually(&format!("{instance} is tagged"), SOON, || async {
            let tags = world.ec2.instance(instance).await?.tags;
            Ok(seen(tags.get("shift").is_some_and(|shift| shift == "late"), format!("{tags:?}")))
        })
        .await?;
    }
    world.api.post("/commands", &ask("sync", false)).await?;
    Ok(())
}
