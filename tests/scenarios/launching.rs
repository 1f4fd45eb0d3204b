//! How a worker gets its instance where EC2 does not just give one.

use domain::{ActionKind, Alternative, FailureKind, LaunchSpec, Status, WorkerId};

use crate::stack::{Stack, spec};

const NO_ROOM: &str = "InsufficientInstanceCapacity: We currently do not have sufficient capacity";

/// Bare metal, or else another one, or else the first in another subnet.
fn with_alternatives() -> LaunchSpec {
    let other = Alternative { instance_type: Some("m5.metal".to_owned()), subnet: None };
    let elsewhere = Alternative { instance_type: None, subnet: Some("subnet-23456789".to_owned()) };
    LaunchSpec { alternatives: vec![other, elsewhere], ..spec("m5zn.metal") }
}

/// What the instances of the fleet were launched from, and with which tokens.
fn launched(stack: &Stack) -> Vec<(String, Option<String>, Option<String>)> {
    let state = stack.world.state();
    let tokens = state.machines.values().filter_map(|machine| machine.token.clone());
    tokens.map(|(token, spec, _)| (token, spec.instance_type, spec.subnet)).collect()
}

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

async fn is_running(stack: &Stack, worker: WorkerId) {
    stack.minute().await;
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
}

#[tokio::test]
async fn where_ec2_has_no_room_the_alternatives_are_tried_in_order_and_one_instance_is_launched() {
    let stack = Stack::default();
    stack.world.state().no_room.insert("m5zn.metal".to_owned(), (FailureKind::Capacity, NO_ROOM));
    let worker = stack.create_from("lab-1", with_alternatives()).await;
    // Without a minute passing: each answer is a fact, and each fact brings `act` back.
    stack.settle().await;
    assert_eq!(launched(&stack), [(format!("{worker}-1"), some("m5.metal"), None)]);
    assert_eq!(stack.world.called("launch"), 2);
    let known = stack.world.worker(worker).worker;
    assert_eq!(known.alternative(), Some(1));
    is_running(&stack, worker).await;
    assert_eq!((stack.world.called("launch"), stack.world.state().machines.len()), (2, 1));
    stack.tell().await;
    let told = stack.world.state().published.iter().map(|event| event.json.to_string()).collect::<String>();
    assert!(told.contains("EC2 has no room for m5zn.metal: InsufficientInstanceCapacity"), "{told}");
    assert!(told.contains("next is alternative 1 of 2, m5.metal"), "{told}");
}

#[tokio::test]
async fn when_no_alternative_has_room_all_are_tried_again_until_one_has() {
    let stack = Stack::default();
    for (part, kind) in [
        ("m5zn.metal", FailureKind::Capacity),
        ("m5.metal", FailureKind::Quota),
        ("subnet-23456789", FailureKind::Unsupported),
    ] {
        stack.world.state().no_room.insert(part.to_owned(), (kind, "said EC2"));
    }
    let worker = stack.create_from("lab-1", with_alternatives()).await;
    stack.settle().await;
    assert_eq!((stack.world.called("launch"), stack.world.state().machines.len()), (3, 0));
    stack.minute().await;
    assert_eq!(stack.world.called("launch"), 6);
    stack.world.state().no_room.remove("m5.metal");
    for _ in 0..3 {
        stack.minute().await;
    }
    assert_eq!(launched(&stack), [(format!("{worker}-1"), some("m5.metal"), None)]);
    is_running(&stack, worker).await;
}

#[tokio::test]
async fn a_quota_that_is_used_up_is_told_in_the_end_with_ec2s_words() {
    let stack = Stack::default();
    let said = "VcpuLimitExceeded: You have requested more vCPU capacity than your current limit";
    stack.world.state().no_room.insert("m5zn.metal".to_owned(), (FailureKind::Quota, said));
    let worker = stack.create("lab-1").await;
    for _ in 0..60 {
        stack.settle().await;
        stack.minute().await;
        stack.tell().await;
    }
    let known = stack.world.worker(worker).worker;
    assert_eq!((known.status(), stack.world.called("launch")), (Status::Failed, 5));
    let reason = &known.state().gave_up[&ActionKind::Launch].reason;
    assert_eq!(*reason, format!("the account's quota does not allow m5zn.metal: {said}"));
    let hooks = stack.world.state().hooks.clone();
    let told: Vec<_> = hooks.iter().filter(|hook| hook.body.contains("gave_up")).collect();
    assert!(told.len() == 1 && told[0].body.contains(said), "{told:?}");
}

#[tokio::test]
async fn a_launch_whose_answer_is_lost_is_repeated_and_not_made_by_an_alternative() {
    let stack = Stack::default();
    stack.world.state().unanswered.insert("launch");
    let worker = stack.create_from("lab-1", with_alternatives()).await;
    for _ in 0..3 {
        stack.settle().await;
        stack.minute().await;
    }
    // Made, and not known. EC2 has no room for any more of it, and answers the token all the same.
    stack.world.state().no_room.insert("m5zn.metal".to_owned(), (FailureKind::Capacity, NO_ROOM));
    stack.world.state().unanswered.clear();
    for _ in 0..5 {
        stack.settle().await;
        stack.minute().await;
    }
    assert_eq!(launched(&stack), [(worker.to_string(), some("m5zn.metal"), None)]);
    is_running(&stack, worker).await;
}

#[tokio::test]
async fn a_launch_that_was_lost_before_it_was_made_gets_an_alternative_once_it_cannot_show_any_more() {
    let stack = Stack::default();
    stack.world.state().refused.insert("launch", FailureKind::Other);
    let worker = stack.create_from("lab-1", with_alternatives()).await;
    stack.settle().await;
    stack.world.state().refused.clear();
    stack.world.state().no_room.insert("m5zn.metal".to_owned(), (FailureKind::Capacity, NO_ROOM));
    for _ in 0..4 {
        stack.minute().await;
        assert_eq!(stack.world.state().machines.len(), 0, "it may still show");
    }
    for _ in 0..6 {
        stack.minute().await;
    }
    assert_eq!(launched(&stack), [(format!("{worker}-1"), some("m5.metal"), None)]);
    is_running(&stack, worker).await;
}
