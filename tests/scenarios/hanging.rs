//! What `act` does before it says that EC2 hangs between two states: it asks.

use domain::{Command, InstanceId, Observed, Status, WorkerId};

use crate::stack::Stack;

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
    minutes(&stack, 30).await;
    assert_eq!(facts(&stack, worker, "gave_up"), 1);
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
    stack.world.state().broken.clear();
    minutes(&stack, 1).await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
    assert_eq!(facts(&stack, worker, "gave_up"), 0);
}

#[tokio::test]
async fn an_instance_that_ec2_does_not_know_is_not_waited_for() {
    let (stack, worker, instance) = stopping().await;
    stack.world.state().machines.remove(&instance);
    minutes(&stack, 30).await;
    assert_eq!(facts(&stack, worker, "gave_up"), 1);
}
