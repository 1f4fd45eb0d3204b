//! What `act` does before it says that EC2 hangs between two states: it asks.

use domain::{Command, GuardsPatch, InstanceId, Observed, SettingsPatch, Status, TagsPatch, WorkerId, Zone};
use serde_json::json;

use crate::stack::{Stack, stream_record};

/// A metal worker that EC2 began to stop a minute ago, which may take 25. Nobody else looks.
async fn stopping() -> (Stack, WorkerId, InstanceId) {
    let mut stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.settings.monitoring = false;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    stack.world.state().meddle(&instance, Observed::Stopping, "");
    stack.minute().await;
    (stack, worker, instance)
}

/// One in each of these zones, all asked to stop at the same time, and EC2 is at that. Nobody else looks.
async fn stopping_in(zones: &[&str]) -> (Stack, Vec<WorkerId>) {
    let mut stack = Stack::default();
    let mut workers = Vec::new();
    for zone in zones {
        let instance = stack.world.state().launch(Observed::Running);
        let zone: Zone = zone.parse().expect("a zone");
        stack.world.state().machines.get_mut(&instance).expect("launched").zone = zone;
        let worker = stack.import(&instance, Observed::Running).await;
        stack.settle().await;
        stack.minute().await;
        workers.push((worker, instance));
    }
    stack.settings.monitoring = false;
    for (worker, _) in &workers {
        stack.command(*worker, Command::Stop).await;
    }
    stack.settle().await;
    for (_, instance) in &workers {
        stack.world.state().meddle(instance, Observed::Stopping, "");
    }
    (stack, workers.into_iter().map(|(worker, _)| worker).collect())
}

async fn minutes(stack: &Stack, minutes: u32) {
    for _ in 0..minutes {
        stack.minute().await;
    }
}

fn facts(stack: &Stack, worker: WorkerId, fact: &str) -> usize {
    stack.world.facts(worker).iter().filter(|name| **name == fact).count()
}

#[tokio::test]
async fn a_stop_whose_event_is_lost_is_found_done_and_not_given_up() {
    let (stack, worker, instance) = stopping().await;
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    let described = stack.world.called("describe");
    minutes(&stack, 30).await;
    let known = stack.world.worker(worker).worker;
    assert_eq!((known.status(), known.state().attempt.as_ref()), (Status::Stopped, None));
    assert_eq!((facts(&stack, worker, "action_failed"), facts(&stack, worker, "gave_up")), (0, 0));
    assert_eq!(stack.world.called("describe"), described + 1);
}

#[tokio::test]
async fn a_stop_that_hangs_is_given_up_once_ec2_says_so() {
    let (stack, worker, _) = stopping().await;
    let described = stack.world.called("describe");
    minutes(&stack, 30).await;
    assert_eq!((facts(&stack, worker, "gave_up"), stack.world.called("describe")), (1, described + 1));
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Failed);
}

#[tokio::test]
async fn while_ec2_cannot_be_asked_nothing_is_said_to_hang_and_afterwards_it_is_settled_in_a_minute() {
    let (stack, worker, instance) = stopping().await;
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.world.state().broken.insert("describe");
    minutes(&stack, 40).await;
    let known = stack.world.worker(worker);
    assert_eq!((known.worker.status(), facts(&stack, worker, "gave_up")), (Status::Stopping, 0));
    assert_eq!(facts(&stack, worker, "observation_failed"), 0, "what is over in a minute is not written");
    stack.world.state().broken.clear();
    minutes(&stack, 1).await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
    assert_eq!(facts(&stack, worker, "gave_up"), 0);
}

#[tokio::test]
async fn where_ec2_may_not_be_read_nothing_is_concluded_and_the_worker_says_why() {
    let (stack, worker, instance) = stopping().await;
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.world.state().denied.insert("describe");
    let before = stack.world.worker(worker).worker;
    minutes(&stack, 60).await;
    let known = stack.world.worker(worker).worker;
    assert_eq!((known.status(), &known.state().attempt), (Status::Unknown, &before.state().attempt));
    assert!(known.state().failure_reason.as_ref().is_some_and(|why| why.contains("UnauthorizedOperation")));
    // An hour of it is no more news than three minutes.
    let told = ["observation_failed", "alert_raised", "gave_up"].map(|fact| facts(&stack, worker, fact));
    assert_eq!(told, [3, 1, 0], "{:?}", stack.world.facts(worker));
    stack.world.state().denied.clear();
    minutes(&stack, 1).await;
    let known = stack.world.worker(worker).worker;
    assert_eq!((known.status(), known.state().alerts.len()), (Status::Stopped, 0));
    assert_eq!((facts(&stack, worker, "gave_up"), facts(&stack, worker, "action_failed")), (0, 0));
}

#[tokio::test]
async fn where_act_alone_may_not_read_ec2_what_is_monitored_is_as_collect_says() {
    let (mut stack, worker, _) = stopping().await;
    stack.settings.monitoring = true;
    stack.world.state().denied.insert("describe");
    minutes(&stack, 60).await;
    let known = stack.world.worker(worker).worker;
    assert_eq!((known.status(), known.state().failures.len()), (Status::Stopping, 0));
    let told = ["observation_failed", "alert_raised", "gave_up"].map(|fact| facts(&stack, worker, fact));
    assert_eq!(told, [0, 0, 0], "{:?}", stack.world.facts(worker));
}

#[tokio::test]
async fn an_instance_that_ec2_denies_is_missing_after_two_answers_and_does_not_hang() {
    let (stack, worker, instance) = stopping().await;
    stack.world.state().machines.remove(&instance);
    let before = stack.world.worker(worker).version;
    minutes(&stack, 30).await;
    let known = stack.world.worker(worker);
    assert_eq!(known.worker.observed(), Observed::Missing);
    assert_eq!((facts(&stack, worker, "gave_up"), facts(&stack, worker, "action_failed")), (0, 1));
    assert!(known.version - before <= 4, "an answer a minute, and no more: {:?}", stack.world.facts(worker));
}

#[tokio::test]
async fn who_is_denied_over_and_over_within_a_minute_is_written_once() {
    let (stack, worker, instance) = stopping().await;
    while facts(&stack, worker, "instance_not_found") == 0 {
        stack.world.state().machines.remove(&instance);
        stack.minute().await;
    }
    // What was written calls `act` again, as does its being tried again.
    for _ in 0..5 {
        stack.world.pass(10);
        let version = stack.world.worker(worker).version;
        stack.act(&json!({ "Records": [stream_record(worker, version)] })).await;
    }
    assert_eq!(facts(&stack, worker, "instance_not_found"), 1);
}

#[tokio::test]
async fn who_is_changed_after_the_look_is_looked_at_again() {
    let (stack, worker, instance) = stopping().await;
    // So that the look confirms what is known, and what is written next is the conclusion.
    stack.ec2_says(&instance, Observed::Stopping, 0).await;
    minutes(&stack, 23).await;
    let described = stack.world.called("describe");
    let guards = GuardsPatch { protected: Some(true), ..GuardsPatch::default() };
    stack.meanwhile(
        worker,
        Command::Patch { name: None, tags: TagsPatch::default(), settings: SettingsPatch::default(), guards },
    );
    minutes(&stack, 4).await;
    assert_eq!((facts(&stack, worker, "gave_up"), stack.world.called("describe")), (1, described + 2));
}

#[tokio::test]
async fn in_an_outage_of_a_zone_those_of_the_others_are_still_asked_about() {
    let dark: Zone = "us-east-1b".parse().expect("a zone");
    let (stack, workers) = stopping_in(&["us-east-1a", "us-east-1b"]).await;
    stack.world.state().dark.insert(dark);
    minutes(&stack, 40).await;
    let given_up = |stack: &Stack| [0, 1].map(|number: usize| facts(stack, workers[number], "gave_up"));
    assert_eq!(given_up(&stack), [1, 0]);
    stack.world.state().dark.clear();
    minutes(&stack, 1).await;
    assert_eq!(given_up(&stack), [1, 1]);
}

#[tokio::test]
async fn a_start_that_somebody_undoes_has_failed_and_is_made_again() {
    let mut stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    minutes(&stack, 2).await;
    stack.settings.monitoring = false;
    stack.command(worker, Command::Start).await;
    stack.settle().await;
    // It ran, of which nobody heard, and is being stopped when its time is up.
    minutes(&stack, 30).await;
    stack.world.state().meddle(&instance, Observed::Stopping, "");
    minutes(&stack, 3).await;
    assert_eq!((facts(&stack, worker, "action_failed"), facts(&stack, worker, "gave_up")), (1, 0));
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    stack.settle().await;
    minutes(&stack, 1).await;
    assert_eq!((stack.world.called("start"), facts(&stack, worker, "gave_up")), (2, 0));
}

#[tokio::test]
async fn an_answer_that_is_older_than_what_is_known_is_no_conclusion() {
    let mut stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    minutes(&stack, 2).await;
    stack.settings.monitoring = false;
    stack.command(worker, Command::Start).await;
    stack.settle().await;
    // A metal instance may take 30 minutes; somebody stops it just when they are over.
    minutes(&stack, 30).await;
    stack.world.pass(50);
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.ec2_says(&instance, Observed::Stopping, 5).await;
    let described = stack.world.called("describe");
    stack.settle().await;
    assert_eq!(stack.world.called("describe"), described + 1);
    // A describe lags. What it says is not written, as that would call `act` again until it is old enough.
    let version = stack.world.worker(worker).version;
    for _ in 0..3 {
        stack.world.pass(5);
        stack.act(&json!({ "Records": [stream_record(worker, version)] })).await;
    }
    let known = stack.world.worker(worker);
    assert_eq!((known.worker.observed(), known.version), (Observed::Stopping, version));
    minutes(&stack, 1).await;
    assert_eq!(stack.world.worker(worker).worker.observed(), Observed::Stopped);
    minutes(&stack, 1).await;
    assert_eq!((facts(&stack, worker, "gave_up"), stack.world.called("start")), (0, 2));
}

#[tokio::test]
async fn a_hundred_that_hang_are_asked_about_in_one_call() {
    let mut stack = Stack::default();
    let mut hanging = Vec::new();
    for _ in 0..100 {
        let (worker, instance) = stack.adopted(Observed::Running).await;
        stack.command(worker, Command::Stop).await;
        hanging.push((worker, instance));
    }
    stack.settings.monitoring = false;
    stack.settle().await;
    for (_, instance) in &hanging {
        stack.world.state().meddle(instance, Observed::Stopping, "");
    }
    stack.world.state().broken.insert("describe");
    minutes(&stack, 40).await;
    assert!(hanging.iter().all(|(worker, _)| facts(&stack, *worker, "gave_up") == 0));
    stack.world.state().broken.clear();
    let described = stack.world.called("describe");
    minutes(&stack, 1).await;
    assert!(hanging.iter().all(|(worker, _)| facts(&stack, *worker, "gave_up") == 1));
    assert_eq!(stack.world.called("describe"), described + 1);
}

#[tokio::test]
async fn calls_are_made_all_the_same_while_ec2_takes_its_time_to_say_who_hangs() {
    let (stack, workers) = stopping_in(&["us-east-1a", "us-east-1b", "us-east-1c"]).await;
    stack.world.pass(40 * 60);
    let created = stack.create("lab").await;
    let records: Vec<_> = workers
        .iter()
        .map(|worker| stream_record(*worker, stack.world.worker(*worker).version))
        .chain([stream_record(created, 1)])
        .collect();
    stack.world.state().slow_describe = 13_000;
    stack.world.state().broken.insert("describe");
    let report = stack.act(&json!({ "Records": records })).await.reconciled;
    assert_eq!((stack.world.called("launch"), report.unseen), (1, 3), "{report:?}");
}
