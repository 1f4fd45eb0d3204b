//! What happens when nobody is told: the stream's consumer was down, or there is too much to tell.

use std::collections::BTreeMap;

use app::notice::{Reach, notices};
use domain::{Command, Observed, WorkerId};
use serde_json::Value;

use crate::stack::Stack;

/// The versions of each worker that were published, in the order in which they were.
fn published(stack: &Stack) -> BTreeMap<String, Vec<u64>> {
    let mut versions: BTreeMap<String, Vec<u64>> = BTreeMap::new();
    for event in &stack.world.state().published {
        let worker = &event.json["data"]["worker"];
        let id = worker["id"].as_str().expect("an id").to_owned();
        versions.entry(id).or_default().push(worker["version"].as_u64().expect("a version"));
    }
    versions
}

/// How many notices the topic got, in how many messages.
fn told(stack: &Stack) -> (u64, usize) {
    let state = stack.world.state();
    let notices = state.topic.iter().map(|message| {
        let event: Value = serde_json::from_str(&message.bodies["sqs"]).expect("JSON");
        event["data"]["count"].as_u64().unwrap_or(1)
    });
    (notices.sum(), state.topic.len())
}

/// Each fact went to the bus in the order of its versions, and each notice for people reached them and the webhook once,
/// in few messages.
fn everything_is_told_in_order(stack: &Stack, worker: WorkerId, most: usize) {
    let versions = published(stack).remove(&worker.to_string()).expect("published");
    assert!(versions.is_sorted(), "{versions:?}");
    let state = stack.world.state();
    let all: Vec<_> = state.facts.values().flat_map(notices).collect();
    let people = all.iter().filter(|notice| notice.reach == Reach::Everyone).count();
    assert_eq!((state.published.len(), state.hooks.len()), (all.len(), people));
    assert!(state.untold.is_empty());
    assert!(state.ledger.iter().all(|(_, entry)| entry.due.is_none()));
    drop(state);
    let (heard, messages) = told(stack);
    assert_eq!(heard, u64::try_from(people).expect("few"));
    assert!(messages <= most, "{messages} messages for {people} notices");
}

/// Stops and starts a worker, and so makes facts, again and again for as many hours.
async fn busy(stack: &Stack, worker: WorkerId, hours: u32) {
    for _ in 0..hours {
        for command in [Command::Stop, Command::Start] {
            stack.command(worker, command).await;
            for _ in 0..30 {
                stack.minute().await;
            }
        }
    }
}

#[tokio::test]
async fn a_consumer_that_was_down_for_twenty_hours_tells_everything_in_order_and_in_few_messages() {
    // `notify` takes records of any age; see `tests/template.rs`.
    let stack = Stack::default();
    let (worker, _) = stack.running().await;
    busy(&stack, worker, 20).await;
    stack.tell().await;
    for _ in 0..3 {
        stack.world.pass(60);
        stack.sweep().await;
    }
    everything_is_told_in_order(&stack, worker, 7);
}

#[tokio::test]
async fn facts_that_the_stream_lost_after_a_day_are_told_by_the_sweep_in_order_and_once() {
    let stack = Stack::default();
    let (worker, _) = stack.running().await;
    busy(&stack, worker, 25).await;
    stack.trim();
    // A hundred records a minute, the oldest first.
    for _ in 0..8 {
        stack.world.pass(60);
        stack.sweep().await;
    }
    everything_is_told_in_order(&stack, worker, 40);
    let told = stack.world.state().hooks.len();
    stack.world.pass(3600);
    stack.sweep().await;
    assert_eq!(stack.world.state().hooks.len(), told);
}

#[tokio::test]
async fn a_thousand_workers_impaired_in_one_minute_are_five_messages_a_second_and_one_digest() {
    // Coalescing is for people: a webhook and the bus get each notice on its own.
    let stack = Stack::default();
    for _ in 0..1000 {
        stack.adopted(Observed::Running).await;
    }
    stack.settle().await;
    stack.minute().await;
    stack.trim();
    stack.world.state().machines.values_mut().for_each(|machine| machine.impaired = true);
    let reports = stack.minute().await;
    assert_eq!(reports.iter().map(|report| report.facts["health_changed"]).sum::<u32>(), 1000);
    stack.tell().await;
    assert_eq!(told(&stack), (5, 5));
    stack.world.pass(60);
    stack.sweep().await;
    assert_eq!(told(&stack), (1000, 6));
    let state = stack.world.state();
    assert!(state.permits["sns"].iter().all(|(_, messages)| *messages <= 5), "{:?}", state.permits);
    assert_eq!(state.hooks.len(), 1000);
}
