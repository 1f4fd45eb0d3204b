//! What happens when events come twice, late, in the wrong order, or not at all.

use app::drift::DriftOutcome;
use app::ports::Request;
use domain::{Command, DriftPolicy, Observed, Source, Status};

use crate::stack::Stack;

const BY_USER: &str = "Client.UserInitiatedShutdown: User initiated shutdown";

/// The minutes go by until this has come about: how many seconds that takes.
async fn seconds_until(stack: &Stack, come: impl Fn() -> bool) -> i64 {
    let since = stack.world.state().time();
    for _ in 0..20 {
        stack.minute().await;
        if come() {
            return stack.world.state().time().duration_since(since).as_secs();
        }
    }
    panic!("it never comes to this");
}

#[tokio::test]
async fn an_event_that_never_arrives_is_made_good_by_the_next_poll_within_its_interval_and_65_seconds() {
    let stack = Stack::with_drift_policy(DriftPolicy::Revert);
    let (worker, instance) = stack.running().await;
    stack.tell().await;
    stack.world.state().hooks.clear();
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    // The schedule is a minute's and the interval a minute: the first poll that can see it does, and `act` starts it.
    let started = seconds_until(&stack, || stack.world.called("start") > 0).await;
    let drift = stack.world.worker(worker).worker.state().drift.clone().expect("drift");
    assert_eq!(drift.detected_by, Source::Describe);
    // No event says that it runs, either.
    let runs = || stack.world.worker(worker).worker.status() == Status::Running;
    let healed = started + seconds_until(&stack, runs).await;
    assert!(healed <= 60 + 65, "started after {started} s, running after {healed} s");
    assert_eq!((stack.world.called("start"), stack.observed(&instance)), (1, Observed::Running));
    stack.tell().await;
    assert_eq!(stack.heard(), ["cml.worker.drift_detected.v1", "cml.worker.drift_resolved.v1"]);
}

#[tokio::test]
async fn within_an_interval_of_five_minutes_it_does_not_matter_when_the_event_is_lost() {
    let interval = domain::PollInterval::new(300).expect("in range");
    let mut longest = 0;
    for minutes in 0..5 {
        let mut stack = Stack::with_drift_policy(DriftPolicy::Revert);
        stack.settings.interval = interval;
        let (worker, instance) = stack.adopted(Observed::Running).await;
        for _ in 0..6 + minutes {
            stack.minute().await;
        }
        // As late as can be: right after the tick.
        stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
        let started = seconds_until(&stack, || stack.world.called("start") > 0).await;
        longest = longest.max(started);
        // This event is not lost.
        stack.world.pass(60);
        stack.world.state().meddle(&instance, Observed::Running, "");
        stack.ec2_says(&instance, Observed::Running, 0).await;
        stack.settle().await;
        let known = stack.world.worker(worker).worker;
        assert_eq!(
            (known.status(), &known.state().drift),
            (Status::Running, &None),
            "after {minutes} minutes"
        );
        assert!(started <= 300, "after {minutes} minutes: started after {started} s");
        assert_eq!(stack.world.called("start"), 1, "after {minutes} minutes");
    }
    assert_eq!(longest, 300, "once of five times it had just been looked at");
}

#[tokio::test]
async fn the_same_event_three_times_is_one_version_one_stream_record_and_one_notice() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.tell().await;
    stack.world.state().hooks.clear();
    let (version, records) = (stack.world.worker(worker).version, stack.world.state().facts.len());
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    let mut outcomes = Vec::new();
    for _ in 0..3 {
        outcomes.push(stack.ec2_says(&instance, Observed::Stopped, 0).await.outcome);
        stack.settle().await;
        stack.tell().await;
        stack.world.pass(7);
    }
    assert_eq!(outcomes, [DriftOutcome::Recorded, DriftOutcome::Unchanged, DriftOutcome::Unchanged]);
    assert_eq!(stack.world.worker(worker).version, version + 1);
    assert_eq!(stack.world.state().facts.len(), records + 1);
    assert_eq!(stack.heard(), ["cml.worker.drift_detected.v1"]);
}

#[tokio::test]
async fn an_event_that_is_overtaken_by_the_next_one_does_not_undo_it() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.pass(60);
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    // `stopped` comes first, then the `stopping` of twenty seconds before it. EC2 cannot be asked meanwhile, so it is
    // the events' own times that decide.
    stack.world.state().broken.insert("describe");
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    let known = stack.world.worker(worker);
    assert_eq!((known.worker.observed(), known.worker.status()), (Observed::Stopped, Status::Stopped));
    stack.ec2_says(&instance, Observed::Stopping, 20).await;
    let after = stack.world.worker(worker);
    assert_eq!((after.worker.observed(), after.worker.status()), (Observed::Stopped, Status::Stopped));
    assert_eq!(after.worker.state().sighting, known.worker.state().sighting);
    assert_eq!(after.worker.state().drift, known.worker.state().drift);
}

#[tokio::test]
async fn after_half_an_hour_without_a_schedule_each_worker_is_looked_at_once_and_then_as_ever() {
    // That poll is silent meanwhile is told by an alarm: `a_poll_that_is_silent_for_five_minutes_wakes_somebody_up`.
    let stack = Stack::default();
    for _ in 0..10 {
        stack.running().await;
    }
    stack.world.pass(1800);
    stack.world.state().calls.clear();
    let due = stack.poll().await.due;
    let looked: u32 = stack.deliver().await.iter().map(|report| report.requested).sum();
    assert_eq!((due, looked, stack.world.called("statuses")), (10, 10, 1));
    stack.world.pass(60);
    assert_eq!(stack.poll().await.due, 10);
}

#[tokio::test]
async fn an_order_whose_stream_record_is_lost_for_twenty_hours_is_carried_out_once() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack
        .fleet()
        .execute(worker, Command::Stop, crate::stack::operator(), None, None)
        .await
        .expect("carried out");
    // `act` is down: the poll asks for it every minute, and the requests pile up on the bus.
    for _ in 0..20 * 60 {
        stack.world.pass(60);
        assert_eq!(stack.poll().await.overdue, 1);
    }
    assert_eq!(stack.world.called("stop"), 0);
    // It is back. All of the requests arrive, and what was left of the stream.
    stack.world.state().bus.retain(|request| matches!(request, Request::Reconcile(_)));
    stack.deliver().await;
    stack.settle().await;
    assert_eq!((stack.world.called("stop"), stack.observed(&instance)), (1, Observed::Stopping));
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
    assert!(!stack.world.facts(worker).contains(&"drift_detected"));
}
