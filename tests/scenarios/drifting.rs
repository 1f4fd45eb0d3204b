//! EC2 leaves where it was asked to be.

use domain::{Command, Desired, DriftPolicy, Event, Observed, Region, Source, Status};

use crate::stack::Stack;
use app::drift::DriftOutcome;

const BY_USER: &str = "Client.UserInitiatedShutdown: User initiated shutdown";

#[tokio::test]
async fn an_instance_stopped_behind_our_back_is_recorded_and_told_with_its_reason() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    let report = stack.ec2_says(&instance, Observed::Stopped, 0).await;
    assert_eq!(report.outcome, DriftOutcome::Recorded);
    stack.settle().await;
    let stored = stack.world.worker(worker);
    assert_eq!(stored.worker.status(), Status::Stopped);
    let drift = stored.worker.state().drift.clone().expect("drift");
    assert_eq!((drift.detected_by, drift.reason.as_deref()), (Source::Event, Some(BY_USER)));
    assert_eq!(stack.world.called("start"), 0);
}

#[tokio::test]
async fn the_same_event_three_times_makes_one_version() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    let version = stack.world.worker(worker).version;
    for _ in 0..2 {
        let report = stack.ec2_says(&instance, Observed::Stopped, 0).await;
        assert_eq!(report.outcome, DriftOutcome::Unchanged);
    }
    assert_eq!(stack.world.worker(worker).version, version);
}

#[tokio::test]
async fn without_an_event_the_next_poll_finds_the_drift_and_says_so() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.minute().await;
    let drift = stack.world.worker(worker).worker.state().drift.clone().expect("drift");
    assert_eq!((drift.detected_by, drift.reason.as_deref()), (Source::Describe, Some(BY_USER)));
}

#[tokio::test]
async fn a_late_event_does_not_undo_what_was_seen_since() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.minute().await;
    stack.minute().await;
    let report = stack.ec2_says(&instance, Observed::Stopped, 100).await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
    assert!(report.worker.is_some());
}

#[tokio::test]
async fn an_event_for_a_stranger_is_ignored_and_writes_nothing() {
    let stack = Stack::default();
    let stranger = stack.world.state().launch(Observed::Running);
    let report = stack.ec2_says(&stranger, Observed::Stopped, 0).await;
    assert_eq!(report.outcome, DriftOutcome::NotOurs);
    assert_eq!(stack.world.called("save"), 0);
}

#[tokio::test]
async fn an_event_that_was_forwarded_counts_in_the_region_it_happened_in() {
    let stack = Stack::default();
    let [other, elsewhere]: [Region; 2] =
        ["us-west-2", "eu-west-1"].map(|name| name.parse().expect("a region"));
    let instance = stack.world.state().launch(Observed::Running);
    let worker = stack.import_in(other.clone(), &instance, Observed::Running).await;
    stack.settle().await;
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    let version = stack.world.worker(worker).version;
    // An id says nothing without its region, and nobody has workers in the last one.
    let table = [(tests::world::region(), DriftOutcome::NotOurs), (elsewhere, DriftOutcome::OtherRegion)];
    for (region, outcome) in table {
        let report = stack.ec2_says_in(&region, &instance, Observed::Stopped, 0).await;
        assert_eq!((report.outcome, report.worker), (outcome, None), "{region}");
        assert_eq!(stack.world.worker(worker).version, version, "{region}");
    }
    let report = stack.ec2_says_in(&other, &instance, Observed::Stopped, 0).await;
    assert_eq!(report.outcome, DriftOutcome::Recorded);
    assert!(report.facts.contains(&"drift_detected".to_owned()), "{:?}", report.facts);
}

#[tokio::test]
async fn with_auto_remediation_the_worker_is_started_again_and_told_once() {
    let stack = Stack::with_drift_policy(DriftPolicy::Revert);
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.observed(&instance), Observed::Running);
    assert_eq!(stack.world.called("start"), 1);
    let facts = stack.world.facts(worker);
    assert_eq!(facts.iter().filter(|name| **name == "drift_detected").count(), 1);
    assert_eq!(facts.iter().filter(|name| **name == "drift_resolved").count(), 1);
}

#[tokio::test]
async fn with_adopt_what_is_asked_for_follows() {
    let stack = Stack::with_drift_policy(DriftPolicy::Adopt);
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    stack.settle().await;
    let stored = stack.world.worker(worker);
    assert_eq!(stored.worker.state().desired, Desired::Stopped);
    assert_eq!(stored.worker.state().drift, None);
    assert_eq!(stack.world.called("start"), 0);
}

#[tokio::test]
async fn drift_that_was_left_is_corrected_once_the_policy_says_so() {
    let mut stack = Stack::default();
    let (_, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    stack.settle().await;
    stack.settings.drift = DriftPolicy::Revert;
    stack.minute().await;
    stack.minute().await;
    assert_eq!(stack.observed(&instance), Observed::Running);
}

#[tokio::test]
async fn an_instance_terminated_behind_our_back_is_one_unexpected_end() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Terminated, BY_USER);
    stack.ec2_says(&instance, Observed::Terminated, 0).await;
    let state = stack.world.state();
    let last = &state.facts.values().next_back().expect("facts").events;
    assert!(last.iter().any(|event| matches!(event, Event::Terminated { expected: false, .. })));
    assert!(
        last.iter().all(|event| !matches!(event, Event::StatusChanged { .. } | Event::DriftDetected { .. }))
    );
    drop(state);
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Terminated);
}

#[tokio::test]
async fn a_stop_that_is_ours_is_no_drift_even_when_its_event_comes_first() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    stack.world.pass(2);
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    stack.settle().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
    assert!(!stack.world.facts(worker).contains(&"drift_detected"));
}
