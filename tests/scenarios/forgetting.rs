//! What EC2 answers about a worker that was forgotten while the call was under way.

use app::ports::{Accepted, Actuator};
use app::reconcile::Reconciler;
use domain::{Action, ActionKind, Command, Failure, InstanceId, Region, WorkerId};
use tests::world::World;

use crate::stack::Stack;

/// EC2, and an operator who forgets the worker while EC2 answers.
struct Meanwhile<'a>(&'a Stack);

impl Actuator for Meanwhile<'_> {
    async fn call(&self, region: &Region, worker: WorkerId, action: &Action) -> Result<Accepted, Failure> {
        let answer = Actuator::call(&self.0.world, region, worker, action).await;
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
    let reconciler =
        Reconciler { fleet: stack.fleet(), compute: world, actuator: &Meanwhile(&stack), user_data: world };
    let (report, failed) = reconciler.run(&[worker].into()).await;
    assert_eq!((report.accepted, report.failed, failed.len()), (1, 0, 0));
    assert_eq!(stack.world.facts(worker).last(), Some(&"forgotten"), "nothing happens to it afterwards");
    let (again, _) = reconciler.run(&[worker].into()).await;
    assert_eq!(again.idle.get("forgotten"), Some(&1));
}
