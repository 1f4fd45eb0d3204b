//! Drift: EC2 changes behind our back, and the people who care are told what happened, why, and what is done about it.

use std::time::Instant;

use anyhow::{Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::told::Told;
use crate::world::{NEXT_POLL, NEXT_SWEEP, SOON, World};

pub(crate) async fn a_stop_behind_our_back_is_recorded_and_told_with_its_reason(world: &World) -> Result<()> {
    let (worker, instance) = world.worker("drifting").await?;
    world.ec2.stop(&instance).await?;
    let webhook = world.steady.log.wait_for("the webhook", &worker, "drift_detected", SOON).await?;
    let topic =
        world.topic.log.wait_for("the topic's subscriber", &worker, "drift_detected", NEXT_SWEEP).await?;
    for told in [&webhook, &topic] {
        warned(told, "event")?;
    }
    ensure!(webhook.event == topic.event, "two channels, two stories: {} and {}", webhook.event, topic.event);
    recorded(world, &worker).await?;
    ensure!(world.ec2.instance(&instance).await?.state == "stopped", "the policy is to say so, and no more");
    Ok(())
}

pub(crate) async fn a_worker_that_is_to_be_reverted_is_started_again_and_told_so_once(
    world: &World,
) -> Result<()> {
    let (worker, instance) = world.worker("reverting").await?;
    world.set(&worker, json!({ "drift": "revert" })).await?;
    world.api.settled(&worker).await?;
    reverted(world, &worker, &instance).await
}

/// Stops the instance of a worker whose drift is to be reverted: it is started again by one call, and told so once.
pub(crate) async fn reverted(world: &World, worker: &str, instance: &str) -> Result<()> {
    world.ec2.stop(instance).await?;
    let told = world.steady.log.wait_for("the webhook", worker, "drift_detected", SOON).await?;
    warned(&told, "event")?;
    ensure!(told.event["data"]["policy"] == json!("revert"), "{}", told.event);
    let resolved = world.steady.log.wait_for("the webhook", worker, "drift_resolved", SOON).await?;
    ensure!(resolved.severity == "info", "the end of a drift is {}", resolved.severity);
    let settled = world.api.settled(worker).await?;
    ensure!(settled["status"] == json!("running") && settled["drift"].is_null(), "{settled}");
    world.ec2.wait_for(instance, "running").await?;
    let facts = world.api.facts(worker).await?;
    for once in ["drift_detected", "action_issued", "action_accepted", "drift_resolved"] {
        // The adoption of an imported instance is an action as well.
        let counts = |(_, fact): &&(u64, Value)| {
            fact["fact"] == json!(once) && (!once.starts_with("action") || fact["action"] == json!("start"))
        };
        let times = facts.iter().filter(counts).count();
        ensure!(times == 1, "{once} {times} times: {facts:?}");
    }
    for fact in ["drift_detected", "drift_resolved"] {
        told_once(world, worker, fact).await?;
    }
    Ok(())
}

/// The webhook hears of it at once, the topic's subscriber with the next sweep at the latest, and neither again.
pub(crate) async fn told_once(world: &World, worker: &str, fact: &str) -> Result<()> {
    let listeners =
        [("the webhook", &world.steady.log, SOON), ("the topic's subscriber", &world.topic.log, NEXT_SWEEP)];
    for (who, log, within) in listeners {
        log.wait_for(who, worker, fact, within).await?;
        let times = log.facts(worker, fact).len();
        ensure!(times == 1, "{who} was told {fact} {times} times");
    }
    Ok(())
}

pub(crate) async fn a_stop_whose_event_is_lost_is_found_by_the_next_poll(world: &World) -> Result<()> {
    let (worker, instance) = world.worker("unseen").await?;
    world.cloud.pulse(Method::PUT, "/events", Some(json!({ "enabled": false }))).await?;
    let outcome = found_by_the_poll(world, &worker, &instance).await;
    world.cloud.pulse(Method::PUT, "/events", Some(json!({ "enabled": true }))).await?;
    outcome
}

async fn found_by_the_poll(world: &World, worker: &str, instance: &str) -> Result<()> {
    world.ec2.stop(instance).await?;
    let stopped = Instant::now();
    let told = world.steady.log.wait_for("the webhook", worker, "drift_detected", NEXT_POLL).await?;
    let took = told.at.duration_since(stopped).as_secs_f64();
    world.report.add("EC2 stop to webhook, its event lost", format!("{took:.0} s (the next poll)"));
    warned(&told, "describe")?;
    world.topic.log.wait_for("the topic's subscriber", worker, "drift_detected", NEXT_SWEEP).await?;
    recorded(world, worker).await
}

/// A warning that names the drift, its reason, and how it was found.
fn warned(told: &Told, found_by: &str) -> Result<()> {
    ensure!(told.severity == "warning", "a drift is {}: {}", told.severity, told.event);
    let drift = &told.event["data"]["drift"];
    ensure!(drift["desired"] == json!("running") && drift["observed"] == json!("stopped"), "{drift}");
    ensure!(drift["detected_by"] == json!(found_by), "found by {}, not by {found_by}", drift["detected_by"]);
    let reason = drift["reason"].as_str().unwrap_or_default();
    ensure!(reason.contains("User"), "EC2's reason is missing: {drift}");
    ensure!(told.event["type"] == json!("cml.worker.drift_detected.v1"), "{}", told.event);
    Ok(())
}

/// The record follows EC2, and says that this is not what was asked for.
async fn recorded(world: &World, worker: &str) -> Result<()> {
    let record = world.api.wait_for(worker, "/status", json!("stopped"), SOON).await?;
    let expected = [
        ("/desired", json!("running")),
        ("/observed/state", json!("stopped")),
        ("/drift/observed", json!("stopped")),
    ];
    for (pointer, value) in expected {
        ensure!(record.pointer(pointer) == Some(&value), "{pointer} is not {value}: {record}");
    }
    let facts = world.api.facts(worker).await?;
    let drifts =
        facts.iter().filter(|(_, fact): &&(u64, Value)| fact["fact"] == json!("drift_detected")).count();
    ensure!(drifts == 1, "{drifts} drifts were recorded");
    Ok(())
}
