//! Hands off: no path to EC2 changes the instance of a worker that is held.

use app::ports::{Accepted, Actuator};
use app::reconcile::{ReconcileReport, Reconciler};
use domain::{
    Action, ActionKind, Command, DriftPolicy, Event, Failure, FailureKind, GuardsPatch, InstanceId,
    MANAGED_TAG, Observed, Region, SettingsPatch, Status, TagsPatch, WorkerId,
};
use tests::world::World;

use crate::stack::Stack;

const BY_USER: &str = "Client.UserInitiatedShutdown: User initiated shutdown";

/// The calls that change EC2.
const CHANGES: [&str; 7] = ["launch", "start", "stop", "reboot", "terminate", "tag", "call_many"];

fn guarding(held: Option<&str>) -> Command {
    let held = Some(held.map(|reason| reason.parse().expect("a reason")));
    let guards = GuardsPatch { held, protected: None };
    Command::Patch { name: None, tags: TagsPatch::default(), settings: SettingsPatch::default(), guards }
}

fn hold() -> Command {
    guarding(Some("the disk is swapped by hand"))
}

fn release() -> Command {
    guarding(None)
}

fn changes(stack: &Stack) -> Vec<u32> {
    CHANGES.iter().map(|call| stack.world.called(call)).collect()
}

/// An hour and more: longer than any deadline, back-off or lease.
async fn long_time(stack: &Stack) {
    for _ in 0..75 {
        stack.minute().await;
    }
}

#[tokio::test]
async fn drift_of_a_held_worker_is_told_and_left_and_reverted_once_it_is_released() {
    let stack = Stack::with_drift_policy(DriftPolicy::Revert);
    let (worker, instance) = stack.running().await;
    stack.command(worker, hold()).await;
    stack.settle().await;
    let before = changes(&stack);
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    stack.settle().await;
    stack.tell().await;
    assert!(stack.heard().contains(&"cml.worker.drift_detected.v1".to_owned()), "{:?}", stack.heard());
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped, "the record follows EC2");
    long_time(&stack).await;
    assert_eq!(changes(&stack), before, "from the stream, from the poll or from anywhere else");
    stack.world.pass(60);
    assert_eq!(stack.poll().await.overdue, 0, "and `act` is not asked in vain");
    stack.command(worker, release()).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!((stack.observed(&instance), stack.world.called("start")), (Observed::Running, 1));
}

#[tokio::test]
async fn what_a_release_lets_through_is_found_by_the_poll_if_the_stream_lost_it() {
    let stack = Stack::with_drift_policy(DriftPolicy::Revert);
    let (worker, instance) = stack.running().await;
    stack.command(worker, hold()).await;
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    stack.settle().await;
    stack.command(worker, release()).await;
    // Nobody delivers the record.
    stack.world.pass(60);
    assert_eq!(stack.poll().await.overdue, 1);
    stack.deliver().await;
    assert_eq!(stack.world.called("start"), 1);
}

#[tokio::test]
async fn a_stop_that_was_pending_waits_and_is_made_once_it_is_released() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.command(worker, hold()).await;
    stack.settle().await;
    long_time(&stack).await;
    assert_eq!((stack.observed(&instance), stack.world.called("stop")), (Observed::Running, 0));
    stack.command(worker, release()).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!((stack.observed(&instance), stack.world.called("stop")), (Observed::Stopped, 1));
    assert!(!stack.world.facts(worker).contains(&"gave_up"));
}

#[tokio::test]
async fn tries_that_failed_before_are_not_given_up_by_a_hold() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().broken.insert("stop");
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    while stack.world.called("stop") < domain::MAX_ATTEMPTS {
        stack.minute().await;
    }
    stack.command(worker, hold()).await;
    long_time(&stack).await;
    assert!(!stack.world.facts(worker).contains(&"gave_up"));
    stack.world.state().broken.clear();
    stack.command(worker, release()).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.observed(&instance), Observed::Stopped);
}

#[tokio::test]
async fn the_outcome_of_a_stop_that_was_under_way_is_recorded() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    stack.command(worker, hold()).await;
    stack.minute().await;
    let after = stack.world.worker(worker).worker;
    assert_eq!((stack.observed(&instance), after.status()), (Observed::Stopped, Status::Stopped));
    assert_eq!((after.is_held(), &after.state().attempt), (true, &None));
}

#[tokio::test]
async fn a_held_worker_is_not_launched_and_a_held_instance_not_tagged() {
    let stack = Stack::default();
    let created = stack.create("lab-1").await;
    let instance = stack.world.state().launch(Observed::Running);
    let imported = stack.import(&instance, Observed::Running).await;
    for worker in [created, imported] {
        stack.command(worker, hold()).await;
    }
    stack.settle().await;
    long_time(&stack).await;
    assert_eq!(changes(&stack), [0; 7]);
    for worker in [created, imported] {
        stack.command(worker, release()).await;
    }
    stack.settle().await;
    let state = stack.world.state();
    assert_eq!((state.calls["launch"], state.calls["tag"]), (1, 1));
    assert_eq!(state.machines[&instance].tags[MANAGED_TAG], "true");
}

#[tokio::test]
async fn with_adopt_a_held_worker_is_asked_for_what_it_is_and_left_alone() {
    let stack = Stack::with_drift_policy(DriftPolicy::Adopt);
    let (worker, instance) = stack.running().await;
    stack.command(worker, hold()).await;
    let before = changes(&stack);
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    long_time(&stack).await;
    assert_eq!(stack.world.worker(worker).worker.state().desired, domain::Desired::Stopped);
    assert_eq!(changes(&stack), before);
}

/// EC2, and an operator who holds a worker while EC2 answers the first call.
struct Meanwhile<'a>(&'a Stack, WorkerId);

impl Meanwhile<'_> {
    async fn hold(&self) {
        if !self.0.world.worker(self.1).worker.is_held() {
            self.0.command(self.1, hold()).await;
        }
    }
}

impl Actuator for Meanwhile<'_> {
    async fn call(&self, region: &Region, worker: WorkerId, action: &Action) -> Result<Accepted, Failure> {
        let answer = Actuator::call(&*self.0.world, region, worker, action).await;
        self.hold().await;
        answer
    }

    async fn call_many(
        &self,
        region: &Region,
        kind: ActionKind,
        ids: &[InstanceId],
    ) -> Result<Vec<Accepted>, Failure> {
        let answer = self.0.world.call_many(region, kind, ids).await;
        self.hold().await;
        answer
    }
}

async fn reconcile(stack: &Stack, workers: &[WorkerId], held: WorkerId) -> ReconcileReport {
    let world: &World = &stack.world;
    let reconciler = Reconciler {
        fleet: stack.fleet(),
        compute: world,
        actuator: &Meanwhile(stack, held),
        buckets: world,
        user_data: world,
    };
    let (report, failed) = reconciler.run(&workers.iter().copied().collect()).await;
    assert_eq!((report.failed, failed.len()), (0, 0));
    report
}

/// Somebody holds a worker once the first intent of a batch is recorded, and before anybody is called for.
async fn held_after_its_intent(stack: &Stack, workers: &[WorkerId], held: WorkerId) -> ReconcileReport {
    let (reconciler, workers) = (stack.reconciler(), workers.iter().copied().collect());
    let work = reconciler.run(&workers);
    let (report, failed) = stack.pausing("save", work, stack.command(held, hold())).await;
    assert_eq!((report.failed, failed.len()), (0, 0));
    report
}

/// The kinds of failure that were recorded of a worker.
fn failures(stack: &Stack, worker: WorkerId) -> Vec<FailureKind> {
    let state = stack.world.state();
    let facts =
        state.facts.iter().filter(|((of, _), _)| *of == worker).flat_map(|(_, record)| &record.events);
    let kinds = facts.filter_map(|event| match event {
        Event::ActionFailed { failure, .. } => Some(failure.kind),
        _ => None,
    });
    kinds.collect()
}

/// Three workers that are to stop: their intents are recorded first, and then they are called together.
async fn three_to_stop(stack: &Stack) -> [(WorkerId, InstanceId); 3] {
    let all = [stack.running().await, stack.running().await, stack.running().await];
    for (worker, _) in &all {
        stack.command(*worker, Command::Stop).await;
    }
    all
}

#[tokio::test]
async fn a_worker_held_after_its_intent_is_left_out_of_the_call_for_its_batch() {
    let stack = Stack::default();
    let [(held, its), (other, others), (third, thirds)] = three_to_stop(&stack).await;
    let report = held_after_its_intent(&stack, &[held, other, third], held).await;
    assert_eq!((report.issued["stop"], report.accepted, report.refused, report.withheld), (3, 2, 0, 1));
    assert_eq!(stack.world.called("call_many"), 1);
    assert_eq!(stack.observed(&its), Observed::Running);
    for instance in [others, thirds] {
        assert_eq!(stack.observed(&instance), Observed::Stopping);
    }
    assert_eq!(failures(&stack, held), [FailureKind::Withheld]);
    long_time(&stack).await;
    assert_eq!(stack.observed(&its), Observed::Running);
    stack.command(held, release()).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.observed(&its), Observed::Stopped);
    assert!(!stack.world.facts(held).contains(&"gave_up"));
}

#[tokio::test]
async fn a_worker_held_while_a_batch_is_refused_is_not_called_alone_either() {
    let stack = Stack::default();
    let [(held, its), (bad, gone), (third, thirds)] = three_to_stop(&stack).await;
    stack.world.state().machines.remove(&gone);
    let report = reconcile(&stack, &[held, bad, third], held).await;
    assert_eq!((report.accepted, report.refused, report.withheld), (1, 1, 1));
    assert_eq!((stack.observed(&its), stack.observed(&thirds)), (Observed::Running, Observed::Stopping));
    assert_eq!(failures(&stack, held), [FailureKind::Withheld]);
}

#[tokio::test]
async fn of_two_that_are_called_together_one_that_is_held_leaves_the_other_to_be_called() {
    let stack = Stack::default();
    let [(held, its), (other, others), _] = three_to_stop(&stack).await;
    let report = held_after_its_intent(&stack, &[held, other], held).await;
    assert_eq!((report.accepted, report.withheld, stack.world.called("call_many")), (1, 1, 0));
    assert_eq!((stack.observed(&its), stack.observed(&others)), (Observed::Running, Observed::Stopping));
}

#[tokio::test]
async fn a_reboot_that_was_withheld_was_not_made_and_is_made_once_released() {
    let stack = Stack::default();
    let [(held, _), (other, _)] = [stack.running().await, stack.running().await];
    for worker in [held, other] {
        stack.command(worker, Command::Reboot).await;
    }
    // Nobody knows of the other's reboot, and everybody that the held one was not rebooted.
    stack.world.state().unanswered.insert("reboot");
    held_after_its_intent(&stack, &[held, other], held).await;
    assert_eq!(
        (failures(&stack, held).pop(), failures(&stack, other).pop()),
        (Some(FailureKind::Withheld), Some(FailureKind::Other))
    );
    stack.world.state().unanswered.clear();
    stack.command(held, release()).await;
    stack.settle().await;
    assert_eq!(stack.world.called("reboot"), 2);
    assert!(stack.world.worker(held).worker.state().gave_up.is_empty());
}

/// The workers are to stop, and once the first intent is recorded the table cannot be read any more by these calls.
async fn blinded(stack: &Stack, workers: &[WorkerId], calls: &[&'static str]) -> (ReconcileReport, usize) {
    let (reconciler, workers) = (stack.reconciler(), workers.iter().copied().collect());
    let blind = async { stack.world.state().broken.extend(calls) };
    let (report, failed) = stack.pausing("save", reconciler.run(&workers), blind).await;
    (report, failed.len())
}

#[tokio::test]
async fn nobody_is_called_of_whom_nobody_can_read_whether_he_is_held() {
    let stack = Stack::default();
    let [(one, its), (other, others), _] = three_to_stop(&stack).await;
    let (report, failed) = blinded(&stack, &[one, other], &["load", "load_many"]).await;
    assert_eq!((report.withheld, failed), (2, 2));
    assert_eq!((stack.world.called("stop"), stack.world.called("call_many")), (0, 0));
    stack.world.state().broken.clear();
    for _ in 0..3 {
        stack.minute().await;
    }
    for instance in [its, others] {
        assert_eq!(stack.observed(&instance), Observed::Stopped, "it is tried again by itself");
    }
}

#[tokio::test]
async fn where_a_batch_cannot_be_read_together_each_is_read_on_its_own() {
    let stack = Stack::default();
    let [(one, _), (other, _), _] = three_to_stop(&stack).await;
    let (report, failed) = blinded(&stack, &[one, other], &["load_many"]).await;
    assert_eq!((report.accepted, report.withheld, failed), (2, 0, 0));
}
