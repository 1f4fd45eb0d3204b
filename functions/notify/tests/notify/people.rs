//! The people's topic: no flood, and nothing lost in it.

use std::time::Duration;

use std::collections::BTreeMap;

use app::ports::Clock;

use crate::world::{Fake, ONE, drifted, ended_unasked, id, started};

/// The number of notices in a message.
fn notices(message: &app::ports::TopicMessage) -> u64 {
    let event: serde_json::Value = serde_json::from_str(&message.bodies["sqs"]).expect("JSON");
    event["data"]["count"].as_u64().unwrap_or(1)
}

#[tokio::test(start_paused = true)]
async fn a_storm_of_a_thousand_records_is_at_most_five_messages_a_second_and_tells_everything() {
    let world = Fake::new();
    let notifier = world.notifier(&[]);
    let storm: Vec<_> = (1..=1000).map(drifted).collect();
    for batch in storm.chunks(100) {
        notifier.tell(batch).await;
        world.pass(0).await;
    }
    assert_eq!(world.state().topic.len(), 5);
    assert_eq!(world.state().marked.len(), 1000);
    world.pass(60).await;
    let swept = notifier.sweep().await.expect("swept").report;
    assert_eq!((swept.delivered, swept.digests), (995, 1));
    let state = world.state();
    let mut per_second: BTreeMap<i64, u32> = BTreeMap::new();
    state.topic.iter().for_each(|(at, _)| *per_second.entry(at.as_second()).or_default() += 1);
    assert!(per_second.values().all(|messages| *messages <= 5), "{per_second:?}");
    assert_eq!(state.topic.iter().map(|(_, message)| notices(message)).sum::<u64>(), 1000);
    assert_eq!(state.topic[5].1.subject, "[WARNING] 995 notices: 995 warning");
}

#[tokio::test(start_paused = true)]
async fn in_a_storm_the_most_urgent_are_told_first() {
    let world = Fake::new();
    let notifier = world.notifier(&[]);
    let mut batch: Vec<_> = (1..=20).map(started).collect();
    batch.push(ended_unasked(21));
    batch.push(drifted(22));
    notifier.tell(&batch).await;
    let state = world.state();
    let severities: Vec<&str> = state.topic.iter().map(|(_, m)| m.attributes["severity"].as_str()).collect();
    assert_eq!(severities, ["critical", "warning", "info", "info", "info"]);
}

#[tokio::test(start_paused = true)]
async fn a_topic_that_fails_holds_nobody_up_and_is_told_later() {
    let world = Fake::new();
    world.state().topic_down = true;
    let notifier = world.notifier(&[ONE]);
    let told = notifier.tell(&[drifted(1), drifted(2), started(3)]).await;
    assert_eq!(told.first_failed, None);
    assert_eq!((told.report.retrying, told.report.deferred, world.taken(ONE).len()), (1, 2, 3));
    world.state().topic_down = false;
    world.pass(60).await;
    notifier.sweep().await.expect("swept");
    world.pass(60).await;
    notifier.sweep().await.expect("swept");
    assert_eq!(world.state().topic.iter().map(|(_, message)| notices(message)).sum::<u64>(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_single_notice_that_is_late_looks_like_any_other() {
    let world = Fake::new();
    world.state().topic_down = true;
    let notifier = world.notifier(&[]);
    notifier.tell(&[drifted(1)]).await;
    world.state().topic_down = false;
    world.pass(60).await;
    let swept = notifier.sweep().await.expect("swept").report;
    assert_eq!((swept.delivered, swept.digests), (1, 0));
    let state = world.state();
    assert_eq!(state.topic[0].1.subject, "[WARNING] web-1 is stopped and should be running");
    assert!(state.topic[0].1.bodies["email"].contains(&id(1)));
}

#[tokio::test(start_paused = true)]
async fn without_a_permit_the_sweep_leaves_the_topic_to_the_next_one() {
    let world = Fake::new();
    let notifier = world.notifier(&[]);
    let batch: Vec<_> = (1..=9).map(drifted).collect();
    notifier.tell(&batch).await;
    // The permits of this second are used up.
    let swept = notifier.sweep().await.expect("swept").report;
    assert_eq!((swept.due, swept.delivered, world.state().topic.len()), (4, 0, 5));
    assert!(world.next_due().expect("due") <= world.now());
}

#[tokio::test(start_paused = true)]
async fn a_permit_that_was_not_used_within_its_second_is_asked_for_again() {
    let world = Fake::new();
    world.state().topic_takes = Duration::from_millis(400);
    let batch: Vec<_> = (1..=9).map(drifted).collect();
    let report = world.notifier(&[]).tell(&batch).await.report;
    assert_eq!((report.delivered, report.deferred), (9 + 9, 0), "to the topic and to the bus");
    // Three messages a second, and five permits asked for in each.
    let seconds = world.state().permits.clone();
    assert_eq!(seconds.values().map(Vec::len).collect::<Vec<_>>(), [3], "{seconds:?}");
}
