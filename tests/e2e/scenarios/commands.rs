//! What an operator asks for happens, and is no cause for alarm.

use anyhow::{Result, ensure};
use serde_json::json;

use crate::wait::{eventually, seen};
use crate::world::{NEXT_SWEEP, SOON, World};

pub(crate) async fn stop_and_start_are_news_and_terminate_is_the_end(world: &World) -> Result<()> {
    let (worker, instance) = world.worker("commanded").await?;
    for (command, state) in [("stop", "stopped"), ("start", "running")] {
        let answer = world.api.command(&worker, command).await?;
        ensure!(answer["desired"] == json!(state), "{command} leaves the worker {}", answer["desired"]);
        world.api.wait_for(&worker, "/status", json!(state), SOON).await?;
        world.ec2.wait_for(&instance, state).await?;
        let before = world.api.settled(&worker).await?;
        world.api.command(&worker, command).await?;
        world.api.settled(&worker).await?;
        let done = world.api.done_since(&worker, &before).await?;
        ensure!(done.is_empty(), "the same command again changed something: {done:?}");
    }
    let path = format!("/workers/{worker}");
    let answer = world.api.send("DELETE", &path, None, &[]).await?;
    ensure!(answer.status == 202, "DELETE was answered {}: {}", answer.status, answer.text);
    world.api.wait_for(&worker, "/status", json!("terminated"), SOON).await?;
    world.ec2.wait_for(&instance, "terminated").await?;
    world.steady.log.wait_for("the webhook", &worker, "terminated", SOON).await?;
    world.topic.log.wait_for("the topic's subscriber", &worker, "terminated", NEXT_SWEEP).await?;

    let facts = world.api.fact_names(&worker).await?;
    let ends = facts.iter().filter(|fact| *fact == "terminated").count();
    ensure!(ends == 1 && facts.last().is_some_and(|last| last == "terminated"), "{}", facts.join(", "));
    ensure!(!facts.iter().any(|fact| fact.starts_with("drift")), "what was asked for is no drift: {facts:?}");
    let alarming: Vec<String> = world
        .steady
        .log
        .of(&worker)
        .iter()
        .filter(|told| told.severity != "info")
        .map(|t| t.event.to_string())
        .collect();
    ensure!(alarming.is_empty(), "what was asked for was told as more than info: {alarming:?}");

    eventually("nobody watches the worker any more", SOON, || async {
        let item = world.fleet.get(&format!("WORKER#{worker}"), "STATE").await?.unwrap_or_default();
        Ok(seen(item.get("region_pk").is_none() && item.get("ttl").is_some(), item))
    })
    .await?;
    let listed = world.api.get(&format!("/workers?name={}", world.name("commanded"))).await?;
    ensure!(listed["items"] == json!([]), "a worker that has ended is listed: {listed}");
    let refused = world.api.send("POST", &format!("{path}/start"), Some("{}"), &[]).await?;
    ensure!(refused.status == 409, "a terminated worker was started: {} {}", refused.status, refused.text);
    // Its name is free again.
    let other = world.instance("successor").await?;
    world.api.import(&world.cloud.region, &other, &world.name("commanded")).await.map(drop)
}
