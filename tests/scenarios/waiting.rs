//! What happens to a worker while it waits for its turn, or while the batch it is in is taken apart.

use app::ports::{Accepted, Actuator, BucketKey};
use app::reconcile::{ReconcileReport, Reconciler};
use domain::{
    Action, ActionKind, Alternative, Command, Failure, FailureKind, GuardsPatch, InstanceId, LaunchSpec,
    Level, Observed, Reason, Region, SettingsPatch, TagsPatch, WorkerId,
};
use tests::world::{World, account, region};

use crate::stack::{Stack, spec};

fn guarding(held: Option<&str>) -> Command {
    let held = Some(held.map(|reason| reason.parse().expect("a reason")));
    let guards = GuardsPatch { held, protected: None };
    Command::Patch { name: None, tags: TagsPatch::default(), settings: SettingsPatch::default(), guards }
}

fn key(action: ActionKind) -> BucketKey {
    BucketKey { account: account(), region: region(), action }
}

/// Others have used up what EC2 takes.
fn empty(stack: &Stack, action: ActionKind) -> Level {
    let limits = action.limits().expect("governed");
    let mut state = stack.world.state();
    let level = Level::empty(&limits, state.time());
    state.levels.insert(key(action), level);
    level
}

fn level(stack: &Stack, action: ActionKind) -> Option<Level> {
    stack.world.state().levels.get(&key(action)).copied()
}

fn next(stack: &Stack, worker: WorkerId) -> Reason {
    let stored = stack.world.worker(worker);
    stored.worker.plan(&stack.settings, stack.world.state().time()).reason
}

fn issued(stack: &Stack, worker: WorkerId) -> usize {
    stack.world.facts(worker).iter().filter(|fact| **fact == "action_issued").count()
}

/// So many that are stopped, and are to start.
async fn to_start(stack: &Stack, size: usize) -> Vec<(WorkerId, InstanceId)> {
    let mut all = Vec::new();
    for _ in 0..size {
        all.push(stack.adopted(Observed::Stopped).await);
    }
    stack.settle().await;
    for (worker, _) in &all {
        stack.command(*worker, Command::Start).await;
    }
    all
}

/// One whose start waits for its turn, at the time of the next poll.
async fn queued(stack: &Stack) -> (WorkerId, InstanceId) {
    empty(stack, ActionKind::Start);
    let (worker, instance) = to_start(stack, 1).await.remove(0);
    stack.settle().await;
    assert!(matches!(next(stack, worker), Reason::Queued { .. }));
    (worker, instance)
}

#[tokio::test]
async fn who_is_held_while_it_waits_for_its_turn_has_no_place_any_more_and_goes_on_once_released() {
    let stack = Stack::default();
    let (worker, instance) = queued(&stack).await;
    stack.command(worker, guarding(Some("cabling"))).await;
    stack.settle().await;
    assert_eq!(next(&stack, worker), Reason::Held);
    assert_eq!(
        (stack.world.worker(worker).worker.state().queued, stack.world.worker(worker).act_by),
        (None, None)
    );
    let draws = stack.world.called("draw");
    for _ in 0..10 {
        stack.minute().await;
    }
    assert_eq!((stack.observed(&instance), issued(&stack, worker)), (Observed::Stopped, 0));
    assert_eq!(stack.world.called("draw"), draws, "nobody asks for it");
    empty(&stack, ActionKind::Start);
    stack.command(worker, guarding(None)).await;
    stack.settle().await;
    assert!(matches!(next(&stack, worker), Reason::Queued { .. }), "a place of its own once more");
    assert_eq!(stack.world.called("draw"), draws + 1);
    stack.minute().await;
    stack.minute().await;
    assert_eq!((stack.observed(&instance), issued(&stack, worker)), (Observed::Running, 1));
}

#[tokio::test]
async fn who_is_held_before_its_turn_is_asked_for_asks_for_none() {
    let stack = Stack::default();
    let all = to_start(&stack, 2).await;
    let [(held, its), (_, other)] = all.as_slice() else { panic!("two") };
    stack.command(*held, guarding(Some("cabling"))).await;
    stack.settle().await;
    let drawn = level(&stack, ActionKind::Start).expect("drawn").workers_full_at;
    let one = i64::from(ActionKind::Start.limits().expect("governed").workers.millis);
    assert_eq!(drawn.as_millisecond() - stack.world.state().now, one, "one token and not two");
    assert_eq!((stack.observed(its), stack.observed(other)), (Observed::Stopped, Observed::Pending));
}

#[tokio::test]
async fn who_is_forgotten_while_it_waits_for_its_turn_is_left_alone() {
    let stack = Stack::default();
    let (worker, instance) = queued(&stack).await;
    let draws = stack.world.called("draw");
    stack.command(worker, Command::Forget).await;
    for _ in 0..10 {
        stack.minute().await;
    }
    let after = stack.world.worker(worker);
    assert_eq!((after.worker.state().queued, after.act_by), (None, None));
    assert_eq!(next(&stack, worker), Reason::Forgotten);
    assert_eq!((stack.observed(&instance), issued(&stack, worker)), (Observed::Stopped, 0));
    assert_eq!(stack.world.called("draw"), draws);
    assert_eq!(stack.world.facts(worker).last(), Some(&"forgotten"));
}

/// EC2, whose account has a quota instead of a lack of room, and somebody who changes something once it has answered.
struct Ec2<'a> {
    stack: &'a Stack,
    over_quota: bool,
    /// The answers to calls for several are lost.
    silent: bool,
    then: Option<(WorkerId, Command)>,
}

impl Ec2<'_> {
    async fn answered<T>(&self, answer: Result<T, Failure>) -> Result<T, Failure> {
        if let Some((worker, command)) = &self.then {
            // To do it again is nothing new; what is over takes no more commands.
            let fleet = self.stack.fleet();
            let _ = fleet.execute(*worker, command.clone(), crate::stack::operator(), None, None).await;
        }
        answer.map_err(|failure| match failure.kind {
            FailureKind::Capacity if self.over_quota => Failure { kind: FailureKind::Quota, ..failure },
            _ => failure,
        })
    }
}

impl Actuator for Ec2<'_> {
    async fn call(&self, region: &Region, worker: WorkerId, action: &Action) -> Result<Accepted, Failure> {
        self.answered(Actuator::call(&*self.stack.world, region, worker, action).await).await
    }

    async fn call_many(
        &self,
        region: &Region,
        kind: ActionKind,
        ids: &[InstanceId],
    ) -> Result<Vec<Accepted>, Failure> {
        let answer = self.stack.world.call_many(region, kind, ids).await;
        let lost = Failure { kind: FailureKind::Other, message: "no answer in time".to_owned() };
        self.answered(if self.silent { Err(lost) } else { answer }).await
    }
}

async fn reconcile(ec2: &Ec2<'_>, all: &[(WorkerId, InstanceId)]) -> ReconcileReport {
    let world: &World = &ec2.stack.world;
    let fleet = ec2.stack.fleet();
    let reconciler = Reconciler { fleet, compute: world, actuator: ec2, buckets: world, user_data: world };
    let (report, failed) = reconciler.run(&all.iter().map(|(worker, _)| *worker).collect()).await;
    assert_eq!((report.failed, failed.len()), (0, 0));
    report
}

/// Of eight that are called together the last cannot be started, and EC2 does not say which; so they are called by halves.
async fn halved(stack: &Stack, command: Command) {
    let all = to_start(stack, 8).await;
    stack.world.state().machines.get_mut(&all[7].1).expect("there").observed = Observed::Stopping;
    let (meanwhile, its) = &all[1];
    let ec2 = Ec2 { stack, over_quota: false, silent: false, then: Some((*meanwhile, command)) };
    let report = reconcile(&ec2, &all).await;
    assert_eq!((report.accepted, report.refused, report.withheld), (6, 1, 1));
    assert_eq!(stack.observed(its), Observed::Stopped, "in the first half, and not called for");
    for (_, instance) in [&all[0], &all[2], &all[6]] {
        assert_eq!(stack.observed(instance), Observed::Pending);
    }
}

#[tokio::test]
async fn a_half_of_a_batch_does_not_call_who_was_held_meanwhile() {
    halved(&Stack::default(), guarding(Some("cabling"))).await;
}

#[tokio::test]
async fn a_half_of_a_batch_does_not_call_who_was_forgotten_meanwhile() {
    halved(&Stack::default(), Command::Forget).await;
}

#[tokio::test]
async fn who_is_held_after_a_batch_whose_answer_was_lost_may_have_been_called() {
    let stack = Stack::default();
    let all = to_start(&stack, 4).await;
    let (held, _) = &all[1];
    let ec2 = Ec2 {
        stack: &stack,
        over_quota: false,
        silent: true,
        then: Some((*held, guarding(Some("cabling")))),
    };
    let report = reconcile(&ec2, &all).await;
    assert_eq!(report.withheld, 0, "nobody knows that it was not called");
    let failed = stack.world.worker(*held).worker.state().attempt.clone().expect("an attempt").failed;
    assert_eq!(failed.expect("failed").0.kind, FailureKind::Other);
}

#[tokio::test]
async fn a_quota_that_is_used_up_costs_no_call_for_each_worker() {
    let stack = Stack::default();
    let all = to_start(&stack, 16).await;
    stack.world.state().room.insert("us-east-1a".parse().expect("a zone"), 0);
    let report = reconcile(&Ec2 { stack: &stack, over_quota: true, silent: false, then: None }, &all).await;
    assert_eq!((report.accepted, report.refused), (0, 16));
    assert_eq!(stack.world.called("call_many") + stack.world.called("start"), 5, "sixteen, 8, 4, 2 and one");
}

#[tokio::test]
async fn a_launch_by_an_alternative_asks_for_its_turn_too() {
    let stack = Stack::default();
    let no_room = (FailureKind::Capacity, "InsufficientInstanceCapacity: said EC2");
    stack.world.state().no_room.insert("m5zn.metal".to_owned(), no_room);
    let other = Alternative { instance_type: Some("m5.metal".to_owned()), subnet: None };
    let worker =
        stack.create_from("lab-1", LaunchSpec { alternatives: vec![other], ..spec("m5zn.metal") }).await;
    // Others use up what EC2 takes while it answers.
    let (reconciler, all) = (stack.reconciler(), [worker].into());
    stack
        .pausing("launch", reconciler.run(&all), async {
            empty(&stack, ActionKind::Launch);
        })
        .await;
    stack.settle().await;
    assert!(matches!(next(&stack, worker), Reason::Queued { action: ActionKind::Launch, .. }));
    assert_eq!((stack.world.called("launch"), stack.world.worker(worker).worker.alternative()), (1, Some(1)));
    stack.minute().await;
    assert_eq!((stack.world.called("launch"), stack.world.state().machines.len()), (2, 1));
}
