//! A worker that is forgotten while act is at it.

use app::ports::{Accepted, Actuator};
use app::reconcile::Reconciler;
use domain::{Action, ActionKind, Command, Failure, FailureKind, InstanceId, Observed, Region, WorkerId};
use tests::world::World;

use crate::stack::Stack;

/// EC2, and an operator who forgets the worker while EC2 answers.
struct Meanwhile<'a>(&'a Stack);

impl Actuator for Meanwhile<'_> {
    async fn call(&self, region: &Region, worker: WorkerId, action: &Action) -> Result<Accepted, Failure> {
        let answer = Actuator::call(&*self.0.world, region, worker, action).await;
        self.0.command(worker, Command::Forget).await;
        answer
    }

    async fn call_many(
        &self,
        region: &Region,
        kind: ActionKind,
        ids: &[InstanceId],
    ) -> Result<Vec<Accepted>, Failure> {
        self.0.world.call_many(region, kind, ids).await
    }
}

#[tokio::test]
async fn an_answer_about_a_worker_that_was_forgotten_meanwhile_is_not_recorded() {
    let stack = Stack::default();
    let (worker, _) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    let world: &World = &stack.world;
    let reconciler = Reconciler {
        fleet: stack.fleet(),
        compute: world,
        actuator: &Meanwhile(&stack),
        buckets: world,
        user_data: world,
    };
    let (report, failed) = reconciler.run(&[worker].into()).await;
    assert_eq!((report.accepted, report.failed, failed.len()), (1, 0, 0));
    assert_eq!(stack.world.facts(worker).last(), Some(&"forgotten"), "nothing happens to it afterwards");
    let (again, _) = reconciler.run(&[worker].into()).await;
    assert_eq!(again.idle.get("forgotten"), Some(&1));
}

/// EC2 that takes no batches, and an operator who forgets a worker while EC2 answers the first call.
struct OneByOne<'a>(&'a Stack, WorkerId);

impl Actuator for OneByOne<'_> {
    async fn call(&self, region: &Region, worker: WorkerId, action: &Action) -> Result<Accepted, Failure> {
        let answer = Actuator::call(&*self.0.world, region, worker, action).await;
        self.0.command(self.1, Command::Forget).await;
        answer
    }

    async fn call_many(&self, _: &Region, _: ActionKind, _: &[InstanceId]) -> Result<Vec<Accepted>, Failure> {
        // A definite refusal: after an answer that was lost, nobody could say that it was not called.
        Err(Failure { kind: FailureKind::Refused, message: "OneAtATime".to_owned() })
    }
}

#[tokio::test]
async fn a_worker_that_was_forgotten_after_its_intent_is_left_alone() {
    let stack = Stack::default();
    let both = [stack.running().await, stack.running().await];
    for (worker, _) in &both {
        stack.command(*worker, Command::Stop).await;
    }
    let [(first, its), (second, others)] = both;
    // Workers are called in the order of their ids.
    let (called, forgotten, left) = if first < second { (its, second, others) } else { (others, first, its) };
    let world: &World = &stack.world;
    let reconciler = Reconciler {
        fleet: stack.fleet(),
        compute: world,
        actuator: &OneByOne(&stack, forgotten),
        buckets: world,
        user_data: world,
    };
    let (report, failed) = reconciler.run(&[first, second].into()).await;
    assert_eq!((report.issued["stop"], report.accepted, report.withheld, failed.len()), (2, 1, 1, 0));
    assert_eq!((stack.observed(&called), stack.observed(&left)), (Observed::Stopping, Observed::Running));
    assert_eq!(stack.world.facts(forgotten).last(), Some(&"forgotten"));
}
