//! User data on its way to EC2, and nowhere else.

use domain::{ActionKind, Alternative, Command, FailureKind, LaunchSpec, Status, UserData, WorkerId};

use crate::stack::{Stack, spec};

const CANARY: &str = "#cloud-config\npassword: canary\n";

fn data() -> UserData {
    CANARY.parse().expect("user data")
}

/// A worker with user data, as the API creates one: the data first.
async fn created(stack: &Stack, spec: LaunchSpec) -> WorkerId {
    let worker = stack.create_from("lab-1", LaunchSpec { user_data: true, ..spec }).await;
    stack.world.state().user_data.insert(worker, data());
    worker
}

/// What the instances were launched with.
fn launched_with(stack: &Stack) -> Vec<Option<String>> {
    let state = stack.world.state();
    state
        .machines
        .values()
        .map(|machine| machine.user_data.as_ref().map(|data| data.expose().to_owned()))
        .collect()
}

#[tokio::test]
async fn user_data_arrives_in_ec2_is_kept_no_longer_and_is_told_nowhere() {
    let stack = Stack::default();
    let other = Alternative { instance_type: Some("m5.metal".to_owned()), subnet: None };
    stack.world.state().no_room.insert("m5zn.metal".to_owned(), (FailureKind::Capacity, "no room"));
    let worker = created(&stack, LaunchSpec { alternatives: vec![other], ..spec("m5zn.metal") }).await;
    stack.settle().await;
    stack.minute().await;
    stack.minute().await;
    stack.tell().await;
    assert_eq!(launched_with(&stack), [Some(CANARY.to_owned())]);
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
    let state = stack.world.state();
    assert!(state.user_data.is_empty());
    let told = format!("{:?} {:?} {:?} {:?}", state.workers, state.facts, state.published, state.topic);
    let sent: String = state.hooks.iter().map(|hook| hook.body.as_str()).collect();
    assert!(told.len() > 1000 && sent.len() > 1000, "there is something to look at");
    assert!(!told.contains("canary") && !sent.contains("canary"));
    assert!(!format!("{:?}", state.machines).contains("canary"));
}

#[tokio::test]
async fn nothing_is_launched_without_the_user_data_that_was_asked_for() {
    let stack = Stack::default();
    let worker = created(&stack, spec("m5zn.metal")).await;
    stack.world.state().user_data.clear();
    stack.settle().await;
    let known = stack.world.worker(worker).worker;
    assert_eq!((known.status(), stack.world.called("launch")), (Status::Failed, 0));
    assert!(known.state().gave_up[&ActionKind::Launch].reason.contains("user data is not kept any more"));
}

#[tokio::test]
async fn user_data_that_cannot_be_read_is_waited_for() {
    let stack = Stack::default();
    let worker = created(&stack, spec("m5zn.metal")).await;
    stack.world.state().broken.insert("kept");
    stack.settle().await;
    assert_eq!((stack.world.called("kept"), stack.world.called("launch")), (1, 0));
    let attempt = stack.world.worker(worker).worker.state().attempt.clone().expect("an attempt");
    assert!(attempt.failed.expect("failed").0.message.contains("user data cannot be read"));
    stack.world.state().broken.clear();
    stack.minute().await;
    assert_eq!(launched_with(&stack), [Some(CANARY.to_owned())]);
}

#[tokio::test]
async fn a_launch_whose_answer_was_lost_is_repeated_with_its_user_data_and_then_it_is_forgotten() {
    let stack = Stack::default();
    stack.world.state().unanswered.insert("launch");
    created(&stack, spec("m5zn.metal")).await;
    stack.settle().await;
    assert_eq!(stack.world.state().user_data.len(), 1, "it may be needed again");
    stack.world.state().unanswered.clear();
    stack.minute().await;
    assert_eq!(launched_with(&stack), [Some(CANARY.to_owned())]);
    assert!(stack.world.state().user_data.is_empty());
}

#[tokio::test]
async fn the_user_data_of_a_worker_that_ends_before_its_launch_is_forgotten() {
    let stack = Stack::default();
    let worker = created(&stack, spec("m5zn.metal")).await;
    stack.command(worker, Command::Terminate { confirm: None }).await;
    stack.settle().await;
    assert!(stack.world.state().user_data.is_empty());
    assert_eq!(stack.world.called("launch"), 0);
}
