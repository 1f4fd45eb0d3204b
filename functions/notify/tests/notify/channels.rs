//! The event bus.

use domain::{Event, Status};

use crate::world::{Fake, ONE, drifted, record, started};

#[tokio::test(start_paused = true)]
async fn the_bus_gets_every_fact_in_order_and_ten_at_a_time() {
    let world = Fake::new();
    let batch: Vec<_> = (1..=25).map(started).collect();
    world.notifier(&[]).tell(&batch).await;
    let state = world.state();
    assert!(state.bus_calls.iter().all(|events| *events <= 10), "{:?}", state.bus_calls);
    let versions: Vec<u64> = state
        .bus
        .iter()
        .map(|event| event.json["data"]["worker"]["version"].as_u64().expect("one"))
        .collect();
    assert_eq!(versions, (1..=25).collect::<Vec<_>>());
    assert!(state.bus.iter().all(|event| event.kind == "cml.worker.status_changed.v1"));
}

#[tokio::test(start_paused = true)]
async fn what_is_only_for_systems_goes_to_the_bus_and_nowhere_else() {
    let world = Fake::new();
    let mut drifted = drifted(1);
    let reason = "EC2 says so".to_owned();
    drifted.events.push(Event::StatusChanged { from: Status::Running, to: Status::Stopped, reason });
    world.notifier(&[ONE]).tell(&[drifted]).await;
    let state = world.state();
    let kinds: Vec<&str> = state.bus.iter().map(|event| event.kind.as_str()).collect();
    assert_eq!(kinds, ["cml.worker.drift_detected.v1", "cml.worker.status_changed.v1"]);
    assert_eq!((state.topic.len(), state.hooks.len()), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_bus_that_is_down_holds_nobody_up_and_gets_everything_later_once() {
    let world = Fake::new();
    world.state().bus_down = true;
    let notifier = world.notifier(&[ONE]);
    let batch: Vec<_> = (1..=30).map(started).collect();
    let told = notifier.tell(&batch).await;
    assert_eq!(told.first_failed, None);
    assert_eq!((world.taken(ONE).len(), world.state().marked.len()), (30, 30));
    world.pass(60).await;
    notifier.sweep().await.expect("swept");
    world.state().bus_down = false;
    for _ in 0..3 {
        world.pass(60).await;
        notifier.sweep().await.expect("swept");
    }
    let mut versions: Vec<u64> = {
        let state = world.state();
        state.bus.iter().map(|event| event.json["data"]["worker"]["version"].as_u64().expect("one")).collect()
    };
    versions.sort_unstable();
    assert_eq!(versions, (1..=30).collect::<Vec<_>>());
    assert_eq!(world.next_due(), None);
}

#[tokio::test(start_paused = true)]
async fn a_record_with_more_facts_than_fit_into_one_call_is_still_told() {
    let world = Fake::new();
    let reason = "EC2 says so".to_owned();
    let change = Event::StatusChanged { from: Status::Starting, to: Status::Running, reason };
    world.notifier(&[]).tell(&[started(1), record(2, vec![change; 14]), started(3)]).await;
    assert_eq!(world.state().bus_calls, [1, 14, 1]);
}
