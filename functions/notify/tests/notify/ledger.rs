//! Once, whatever fails in between.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::Event;

use crate::world::{Crash, Fake, ONE, TWO, drifted, id, record, started};

/// How often each notice was told on each channel.
fn told(world: &Fake) -> BTreeMap<(String, &'static str), u32> {
    let mut told = BTreeMap::new();
    let mut count = |id: String, channel| *told.entry((id, channel)).or_default() += 1;
    for url in [ONE, TWO] {
        world.taken(url).into_iter().for_each(|id| count(id, url));
    }
    let state = world.state();
    for (_, message) in &state.topic {
        let event: serde_json::Value = serde_json::from_str(&message.bodies["sqs"]).expect("JSON");
        match event["data"]["events"].as_array() {
            Some(events) => {
                events
                    .iter()
                    .for_each(|event| count(event["id"].as_str().expect("an id").to_owned(), "topic"));
            }
            None => count(event["id"].as_str().expect("an id").to_owned(), "topic"),
        }
    }
    state.bus.iter().for_each(|event| count(event.json["id"].as_str().expect("an id").to_owned(), "bus"));
    told
}

fn everywhere(ids: &[String]) -> BTreeMap<(String, &'static str), u32> {
    let channels = ["bus", "topic", ONE, TWO];
    ids.iter().flat_map(|id| channels.map(|channel| ((id.clone(), channel), 1))).collect()
}

#[tokio::test(start_paused = true)]
async fn a_record_is_told_on_every_channel_and_marked() {
    let world = Fake::new();
    let told_of = world.notifier(&[ONE, TWO]).tell(&[started(1), drifted(2)]).await;
    assert_eq!(told(&world), everywhere(&[id(1), id(2)]));
    assert_eq!((told_of.report.records, told_of.report.notices, told_of.report.delivered), (2, 2, 8));
    assert_eq!(told_of.first_failed, None);
    assert_eq!(world.state().marked.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_redelivered_batch_tells_nobody_twice() {
    let world = Fake::new();
    let batch = [started(1), drifted(2)];
    world.notifier(&[ONE, TWO]).tell(&batch).await;
    // The same environment, another one, and much later.
    let notifier = world.notifier(&[ONE, TWO]);
    notifier.tell(&batch).await;
    world.pass(600).await;
    let again = notifier.tell(&batch).await;
    notifier.sweep().await.expect("swept");
    assert_eq!(told(&world), everywhere(&[id(1), id(2)]));
    assert_eq!((again.report.delivered, again.report.repeated), (0, 8));
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_comes_twice_at_once_is_told_once() {
    let world = Fake::new();
    let batch = [started(1), drifted(2), started(3)];
    let (one, two) = (world.notifier(&[ONE, TWO]), world.notifier(&[ONE, TWO]));
    tokio::join!(one.tell(&batch), two.tell(&batch));
    assert_eq!(told(&world), everywhere(&[id(1), id(2), id(3)]));
}

#[tokio::test(start_paused = true)]
async fn a_crash_between_any_two_calls_loses_nothing() {
    let batch = [started(1), drifted(2)];
    let mut crashes = 0;
    let mut doubles = 0;
    for call in 1.. {
        let mut done = false;
        for after in [false, true] {
            let world = Fake::new();
            world.state().crash = Some(Crash { call, after });
            let notifier = world.notifier(&[ONE, TWO]);
            done = tokio::time::timeout(Duration::from_secs(30), notifier.tell(&batch)).await.is_ok();
            if done {
                break;
            }
            crashes += 1;
            world.revive();
            let notifier = world.notifier(&[ONE, TWO]);
            notifier.tell(&batch).await;
            for _ in 0..3 {
                world.pass(60).await;
                notifier.sweep().await.expect("swept");
            }
            let counts = told(&world);
            let expected = everywhere(&[id(1), id(2)]);
            let keys: Vec<_> = counts.keys().collect();
            assert_eq!(keys, expected.keys().collect::<Vec<_>>(), "call {call}, after {after}");
            assert!(counts.values().all(|count| *count <= 2), "call {call}, after {after}: {counts:?}");
            doubles += counts.values().filter(|count| **count == 2).count();
            assert_eq!(world.state().marked.len(), 2, "call {call}, after {after}");
            assert_eq!(world.next_due(), None, "call {call}, after {after}");
        }
        if done {
            break;
        }
    }
    assert!(crashes > 40, "{crashes}");
    // Twice is told only what was sent and could not be recorded.
    assert!(doubles > 0 && doubles < crashes, "{doubles} of {crashes}");
}

#[tokio::test(start_paused = true)]
async fn a_ledger_that_cannot_be_used_gives_the_record_back_and_everything_after_it() {
    let world = Fake::new();
    let batch = [started(1), started(2), started(3)];
    world.state().unclaimable = Some(id(2));
    let notifier = world.notifier(&[ONE, TWO]);
    let told_of = notifier.tell(&batch).await;
    assert_eq!(told_of.first_failed, Some(1));
    assert!(told_of.error.is_some());
    assert!(world.state().marked.iter().all(|(_, version)| *version == 1));

    world.state().unclaimable = None;
    let told_of = notifier.tell(&batch[1..]).await;
    assert_eq!(told_of.first_failed, None);
    assert_eq!(told(&world), everywhere(&[id(1), id(2), id(3)]));
    assert_eq!(world.state().marked.len(), 3);
}

#[tokio::test(start_paused = true)]
async fn an_outcome_that_cannot_be_recorded_keeps_the_delivery_until_its_lease_is_over() {
    let world = Fake::new();
    world.state().outcomes_lost = true;
    let notifier = world.notifier(&[ONE]);
    let told_of = notifier.tell(&[started(1)]).await;
    assert_eq!(told_of.first_failed, None);
    world.state().outcomes_lost = false;
    world.pass(30).await;
    notifier.sweep().await.expect("swept");
    assert_eq!(world.taken(ONE), [id(1)]);
    world.pass(60).await;
    notifier.sweep().await.expect("swept");
    assert_eq!(world.taken(ONE), [id(1), id(1)]);
    assert_eq!(world.next_due(), None);
}

#[tokio::test(start_paused = true)]
async fn facts_nobody_was_told_of_are_told_by_the_sweep_after_three_minutes() {
    let world = Fake::new();
    world.state().outbox = vec![started(1), started(2)];
    let notifier = world.notifier(&[ONE, TWO]);
    world.pass(120).await;
    assert_eq!(notifier.sweep().await.expect("swept").report.records, 0);
    world.pass(120).await;
    assert_eq!(notifier.sweep().await.expect("swept").report.records, 2);
    world.pass(60).await;
    assert_eq!(notifier.sweep().await.expect("swept").report.records, 0);
    assert_eq!(told(&world), everywhere(&[id(1), id(2)]));
}

#[tokio::test(start_paused = true)]
async fn bookkeeping_is_told_nobody_and_marked() {
    let world = Fake::new();
    let at = "2026-03-01T10:00:00Z".parse().expect("a time");
    world.notifier(&[ONE]).tell(&[record(1, vec![Event::DesiredReached { at }])]).await;
    assert_eq!(told(&world), BTreeMap::new());
    assert_eq!(world.state().marked.len(), 1);
}
