//! A receiver that does not work is told later, but once; everybody else is told at once.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

use crate::receiver::Behaviour::{Accept, Fail, Hang};
use crate::report::millis;
use crate::wait::{Seen, eventually, seen};
use crate::world::{NEXT_POLL, NEXT_SWEEP, SOON, World};

/// What others may wait for their notices while one receiver fails or hangs.
const UNDELAYED: Duration = Duration::from_secs(5);
/// When it is recorded how a try went that was answered.
const SETTLED: Duration = Duration::from_secs(1);
/// When it is recorded how a try went that was not: a sweep waits for 15 s.
const HUNG: Duration = Duration::from_secs(17);

pub(crate) async fn a_receiver_that_fails_and_hangs_is_told_once_and_delays_nobody(
    world: &World,
) -> Result<()> {
    let (worker, _) = world.worker("misheard").await?;
    let (other, _) = world.worker("bystander").await?;
    world.fickle.behave(&worker, "renamed", &[Fail, Fail, Hang]);
    let renamed = Instant::now();
    rename(world, &worker, "misheard-too").await?;
    let steady = world.steady.log.wait_for("the steady receiver", &worker, "renamed", UNDELAYED).await?;
    world.report.add("rename to webhook beside a failing one", millis(steady.at.duration_since(renamed)));

    tried(world, &steady.id, 1).await?;
    try_again(world, &steady.id, SETTLED).await?.await??;
    tried(world, &steady.id, 2).await?;
    let hanging = try_again(world, &steady.id, SETTLED).await?;
    tried(world, &steady.id, 3).await?;
    // The third try hangs: meanwhile others are told as quickly as ever.
    let asked = Instant::now();
    rename(world, &other, "bystander-too").await?;
    let told = world.steady.log.wait_for("the steady receiver", &other, "renamed", UNDELAYED).await?;
    world.report.add("rename to webhook beside a hanging one", millis(told.at.duration_since(asked)));
    hanging.await??;
    try_again(world, &steady.id, HUNG).await?.await??;
    tried(world, &steady.id, 4).await?;
    let fickle = world.fickle.log.wait_for("the fickle receiver", &worker, "renamed", SOON).await?;
    let topic = world.topic.log.wait_for("the topic's subscriber", &worker, "renamed", NEXT_SWEEP).await?;
    ensure!(topic.at < fickle.at, "the topic's subscriber was told after a receiver that failed three times");

    let attempts = world.fickle.attempts(&steady.id);
    let behaviours: Vec<_> = attempts.iter().map(|attempt| attempt.behaviour).collect();
    ensure!(behaviours == [Fail, Fail, Hang, Accept], "the tries were answered {behaviours:?}");
    for (who, receiver) in [("steady", &world.steady), ("fickle", &world.fickle)] {
        let times = receiver.log.facts(&worker, "renamed").len();
        ensure!(times == 1, "the {who} receiver accepted the notice {times} times");
    }
    Ok(())
}

async fn rename(world: &World, worker: &str, name: &str) -> Result<()> {
    let body = json!({ "name": world.name(name) }).to_string();
    world
        .api
        .send("PATCH", &format!("/workers/{worker}"), Some(&body), &[])
        .await?
        .ok("PATCH of the name")
        .map(drop)
}

/// Waits until the notice was tried this often.
async fn tried(world: &World, notice: &str, times: usize) -> Result<()> {
    eventually(&format!("{notice} is tried {times} times"), NEXT_POLL, || async {
        let tries = world.fickle.attempts(notice).len();
        Ok(seen(tries >= times, format!("{tries} tries")))
    })
    .await
}

/// Has `notify` sweep, with the notice due, once its last try is `over` and recorded.
async fn try_again(world: &World, notice: &str, over: Duration) -> Result<JoinHandle<Result<Value>>> {
    if let Some(last) = world.fickle.attempts(notice).last() {
        tokio::time::sleep(over.saturating_sub(last.at.elapsed())).await;
    }
    due_now(world, notice).await?;
    let (functions, schedule) = (world.functions.clone(), world.event("schedule.json"));
    Ok(tokio::spawn(async move { functions.invoke("notify", &schedule).await }))
}

/// The next try of the notice at the fickle receiver waits for its time in the ledger. The time is moved to now, so that
/// nobody has to wait for it: first seconds, then minutes.
async fn due_now(world: &World, notice: &str) -> Result<()> {
    let pk = format!("NOTICE#{notice}");
    eventually(&format!("{notice} waits for its next try"), SOON, || async {
        let items = world.journal.partition(&pk).await?;
        // An entry without a reason is of a try that is not over yet: its time is the end of the claim's lease.
        let failed = |item: &&Value| {
            item["sk"]["S"].as_str().is_some_and(|sk| sk.starts_with("CHANNEL#webhook-"))
                && item.get("due_at").is_some()
                && item.get("reason").is_some()
        };
        match items.iter().find(failed) {
            Some(item) => {
                let now = jiff::Timestamp::now().as_millisecond();
                world.journal.set_number(item, "due_at", now - 1).await?;
                Ok(Seen::Yes(()))
            }
            None => Ok(Seen::NotYet(json!(items).to_string())),
        }
    })
    .await
    .context("the delivery ledger")
}
