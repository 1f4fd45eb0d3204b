//! Whose turn it is, and what a refused batch costs whom.

use std::collections::BTreeSet;

use app::ports::BucketKey;
use domain::{ActionKind, Command, FailureKind, InstanceId, Level, Observed, Reason, Timestamp, WorkerId};
use tests::world::{Throttle, account, region};

use crate::stack::{Stack, bus_event};

async fn fleet(stack: &Stack, size: usize, observed: Observed) -> Vec<(WorkerId, InstanceId)> {
    let mut all = Vec::new();
    for _ in 0..size {
        all.push(stack.adopted(observed).await);
    }
    stack.settle().await;
    all
}

async fn order(stack: &Stack, fleet: &[(WorkerId, InstanceId)], command: Command) {
    for (worker, _) in fleet {
        stack.command(*worker, command.clone()).await;
    }
}

fn key(action: ActionKind) -> BucketKey {
    BucketKey { account: account(), region: region(), action }
}

fn starts(stack: &Stack) -> usize {
    stack.world.state().starts.len()
}

fn throttled(stack: &Stack) -> u32 {
    stack.world.state().throttled
}

/// Others have used up what EC2 takes.
fn empty(stack: &Stack, action: ActionKind) {
    let limits = action.limits().expect("governed");
    let mut state = stack.world.state();
    let now = state.time();
    state.levels.insert(key(action), Level::empty(&limits, now));
}

fn next(stack: &Stack, worker: WorkerId) -> Reason {
    let stored = stack.world.worker(worker);
    stored.worker.plan(&stack.settings, stack.world.state().time()).reason
}

fn turn(stack: &Stack, worker: WorkerId) -> Option<Timestamp> {
    stack.world.worker(worker).worker.state().queued.map(|queued| queued.not_before)
}

fn issued(stack: &Stack, worker: WorkerId) -> usize {
    stack.world.facts(worker).iter().filter(|fact| **fact == "action_issued").count()
}

fn failures(stack: &Stack, worker: WorkerId) -> Vec<FailureKind> {
    let attempt = stack.world.worker(worker).worker.state().attempt.clone();
    attempt.and_then(|attempt| attempt.failed).map(|(failure, _)| failure.kind).into_iter().collect()
}

#[tokio::test]
async fn who_has_to_wait_is_written_once_told_until_when_and_started_by_the_poll() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 3, Observed::Stopped).await;
    empty(&stack, ActionKind::Start);
    let now = stack.world.state().time();
    order(&stack, &fleet, Command::Start).await;
    let reports = stack.settle().await;
    assert_eq!(reports[0].reconciled.queued["start"], 3, "{reports:?}");
    assert_eq!(reports[1].reconciled.idle["queued"], 3, "their own records wake `act` once, for nothing");
    assert_eq!(reports.len(), 2);
    let turns: BTreeSet<i64> = fleet
        .iter()
        .map(|(worker, _)| turn(&stack, *worker).expect("queued").as_millisecond() - now.as_millisecond())
        .collect();
    assert_eq!(turns, BTreeSet::from([500, 1000, 1500]), "each its own");
    let (worker, _) = fleet[0];
    let Reason::Queued { action: ActionKind::Start, until } = next(&stack, worker) else { panic!("queued") };
    assert_eq!(stack.world.worker(worker).act_by, Some(until));
    assert!(stack.world.state().starts.is_empty());
    let saves = stack.world.called("save");
    stack.minute().await;
    assert_eq!(starts(&stack), 3);
    assert_eq!(stack.world.called("call_many"), 1, "together");
    assert!(fleet.iter().all(|(worker, _)| issued(&stack, *worker) == 1 && turn(&stack, *worker).is_none()));
    assert!(stack.world.called("save") > saves);
}

#[tokio::test]
async fn who_changed_his_mind_waits_no_longer_and_nothing_comes_of_the_place() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 3, Observed::Stopped).await;
    empty(&stack, ActionKind::Start);
    order(&stack, &fleet, Command::Start).await;
    stack.settle().await;
    let [(stays, _), (stops, _), (ends, ended)] = [&fleet[0], &fleet[1], &fleet[2]];
    stack.command(*stops, Command::Stop).await;
    stack.command(*ends, Command::Terminate { confirm: None }).await;
    stack.settle().await;
    assert_eq!(next(&stack, *stops), Reason::AsDesired);
    assert_eq!(stack.observed(ended), Observed::ShuttingDown, "another kind of action has its own bucket");
    stack.minute().await;
    assert_eq!(starts(&stack), 1);
    assert_eq!(issued(&stack, *stays), 1);
}

#[tokio::test]
async fn who_asked_first_goes_first_and_who_comes_later_waits_behind() {
    let stack = Stack::default();
    let first = fleet(&stack, 2, Observed::Stopped).await;
    let late = fleet(&stack, 2, Observed::Stopped).await;
    empty(&stack, ActionKind::Start);
    // `late` are the younger workers, and have been asked for before the others; one batch tells `act` of all four.
    order(&stack, &late, Command::Start).await;
    stack.world.pass(1);
    order(&stack, &first, Command::Start).await;
    stack.settle().await;
    let turns = |fleet: &[(WorkerId, InstanceId)]| -> Vec<Option<Timestamp>> {
        fleet.iter().map(|(worker, _)| turn(&stack, *worker)).collect()
    };
    assert!(turns(&late).iter().max() < turns(&first).iter().min());
}

#[tokio::test]
async fn a_place_that_was_missed_for_long_is_none_and_the_worker_queues_again() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 2, Observed::Running).await;
    empty(&stack, ActionKind::Stop);
    order(&stack, &fleet, Command::Stop).await;
    stack.settle().await;
    // Nobody polls for ten minutes, and others stop what EC2 takes.
    stack.world.pass(600);
    empty(&stack, ActionKind::Stop);
    stack.poll().await;
    stack.deliver().await;
    assert_eq!(stack.world.called("call_many"), 0, "what was set aside for them is gone");
    assert!(fleet.iter().all(|(worker, _)| matches!(next(&stack, *worker), Reason::Queued { .. })));
    stack.minute().await;
    assert!(fleet.iter().all(|(_, instance)| stack.observed(instance) == Observed::Stopping));
}

#[tokio::test]
async fn who_loses_the_race_for_the_bucket_tries_again_a_few_times_and_then_nobody_is_admitted() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 2, Observed::Stopped).await;
    stack.world.state().rivals = 3;
    order(&stack, &fleet[..1], Command::Start).await;
    stack.settle().await;
    assert_eq!(issued(&stack, fleet[0].0), 1);
    stack.world.state().rivals = 1000;
    order(&stack, &fleet[1..], Command::Start).await;
    let batch = stack.settle().await;
    let failed = &batch.last().expect("a batch");
    assert_eq!(
        (failed.reconciled.failed, failed.batch_item_failures.len()),
        (1, 1),
        "the stream brings it again"
    );
    assert_eq!(issued(&stack, fleet[1].0), 0, "nothing without the write");
    assert!(1000 - stack.world.state().rivals <= 6, "and not without end");
    stack.world.state().rivals = 0;
    stack.minute().await;
    assert_eq!(issued(&stack, fleet[1].0), 1);
}

#[tokio::test]
async fn a_crash_after_the_draw_wastes_tokens_and_nothing_else() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 2, Observed::Stopped).await;
    order(&stack, &fleet, Command::Start).await;
    stack.world.state().dies_after = Some("draw");
    assert!(stack.until_death(stack.settle()).await.is_none());
    assert!(fleet.iter().all(|(worker, _)| issued(&stack, *worker) == 0));
    let drawn = stack.world.state().levels[&key(ActionKind::Start)];
    stack.minute().await;
    assert!(fleet.iter().all(|(worker, _)| issued(&stack, *worker) == 1));
    assert_eq!(starts(&stack), 2);
    assert!(stack.world.state().levels[&key(ActionKind::Start)].workers_full_at > drawn.workers_full_at);
}

#[tokio::test]
async fn when_ec2_throttles_all_the_same_the_bucket_is_empty_for_everybody() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 2, Observed::Stopped).await;
    let mut throttle = Throttle::default();
    // Somebody else has just started a thousand.
    let now = stack.world.state().now;
    throttle.take(ActionKind::Start, 1000, now).expect("there is room for them");
    stack.world.state().throttle = Some(throttle);
    order(&stack, &fleet[..1], Command::Start).await;
    stack.settle().await;
    assert_eq!(failures(&stack, fleet[0].0), [FailureKind::Throttled]);
    order(&stack, &fleet[1..], Command::Start).await;
    stack.settle().await;
    assert_eq!((issued(&stack, fleet[1].0), throttled(&stack)), (0, 1), "it does not even try");
    for _ in 0..3 {
        stack.minute().await;
    }
    assert_eq!((starts(&stack), throttled(&stack)), (2, 1));
}

#[tokio::test]
async fn a_bad_instance_that_ec2_names_loses_its_own_start_and_costs_one_more_call() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 20, Observed::Stopped).await;
    stack.world.state().machines.remove(&fleet[7].1);
    order(&stack, &fleet, Command::Start).await;
    stack.settle().await;
    assert_eq!((starts(&stack), stack.world.called("call_many")), (19, 2));
    assert_eq!(failures(&stack, fleet[7].0), [FailureKind::NotFound]);
    assert_eq!(fleet.iter().filter(|(worker, _)| failures(&stack, *worker).is_empty()).count(), 19);
}

#[tokio::test]
async fn a_bad_instance_that_ec2_does_not_name_is_found_by_halves() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 32, Observed::Stopped).await;
    stack.world.state().throttle = Some(Throttle::default());
    // The memory's EC2 does not say which instance cannot be started yet.
    let (bad, instance) = &fleet[20];
    stack.world.state().machines.get_mut(instance).expect("there").observed = Observed::Stopping;
    order(&stack, &fleet, Command::Start).await;
    stack.settle().await;
    assert_eq!(starts(&stack), 31);
    assert_eq!(failures(&stack, *bad), [FailureKind::IncorrectState]);
    let calls = stack.world.called("call_many") + stack.world.called("start");
    assert_eq!((calls, throttled(&stack)), (11, 0), "one, and two for each of five halvings");
}

#[tokio::test]
async fn a_zone_without_room_keeps_nobody_from_starting_elsewhere() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 40, Observed::Stopped).await;
    let full: domain::Zone = "us-east-1b".parse().expect("a zone");
    for (_, instance) in fleet.iter().step_by(2) {
        stack.world.state().machines.get_mut(instance).expect("there").zone = full.clone();
    }
    // One look tells the records where they are.
    stack.minute().await;
    stack.world.state().room.insert(full.clone(), 3);
    stack.world.state().throttle = Some(Throttle::default());
    order(&stack, &fleet, Command::Start).await;
    let before = stack.world.called("call_many") + stack.world.called("start");
    stack.settle().await;
    let state = stack.world.state();
    let started = |wanted: bool| {
        state.starts.iter().filter(|(_, id)| (state.machines[id].zone == full) == wanted).count()
    };
    assert_eq!((started(false), started(true)), (20, 3), "all the others, and as many as there was room for");
    let calls = state.calls["call_many"] + state.calls["start"] - before;
    assert!(calls <= 12 && state.throttled == 0, "{calls} calls");
    drop(state);
    let refused = fleet.iter().filter(|(worker, _)| failures(&stack, *worker) == [FailureKind::Capacity]);
    assert_eq!(refused.count(), 17);
}

#[tokio::test]
async fn a_batch_of_reboots_whose_answer_was_lost_is_not_asked_for_again() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 4, Observed::Running).await;
    stack.world.state().unanswered.insert("call_many");
    order(&stack, &fleet, Command::Reboot).await;
    stack.settle().await;
    assert_eq!((stack.world.called("call_many"), stack.world.called("reboot")), (1, 0));
    assert!(fleet.iter().all(|(worker, _)| failures(&stack, *worker) == [FailureKind::Other]));
}

#[tokio::test]
async fn who_has_waited_longest_is_sent_first_by_the_poll() {
    let stack = Stack::default();
    let fleet = fleet(&stack, 120, Observed::Stopped).await;
    empty(&stack, ActionKind::Start);
    for (worker, _) in fleet.iter().rev() {
        stack.command(*worker, Command::Start).await;
        stack.settle().await;
    }
    stack.world.pass(120);
    stack.poll().await;
    let requests: Vec<serde_json::Value> = stack.world.state().bus.iter().map(bus_event).collect();
    let first =
        requests.iter().find(|event| event["detail-type"] == "ReconcileRequested").expect("somebody is due");
    let sent = first["detail"]["workers"].as_array().expect("a list").clone();
    assert_eq!(sent.len(), 100);
    let last: Vec<String> = fleet[..20].iter().map(|(worker, _)| worker.to_string()).collect();
    assert!(sent.iter().all(|worker| !last.contains(&worker.as_str().expect("an id").to_owned())));
}
