//! What happens when a process dies in between, when two are at it at once, and when the table says no.

use domain::{ActionKind, Command, Observed, Status, WorkerId};
use serde_json::json;

use crate::stack::{Stack, operator, stream_record};

/// Delivers the newest facts of a worker to an `act` that dies after this call.
async fn act_dies_after(stack: &Stack, worker: WorkerId, call: &'static str) {
    stack.world.state().dies_after = Some(call);
    let version = stack.world.worker(worker).version;
    let event = json!({ "Records": [stream_record(worker, version)] });
    let done = stack.until_death(stack.act(&event)).await;
    assert!(done.is_none(), "it dies after {call}");
}

#[tokio::test]
async fn a_launch_whose_caller_times_out_before_the_answer_is_recorded_makes_one_instance_and_is_recorded() {
    for call in ["save", "launch"] {
        let stack = Stack::default();
        let worker = stack.create("lab-1").await;
        act_dies_after(&stack, worker, call).await;
        let state = stack.world.worker(worker).worker.state().clone();
        assert_eq!((state.launch_called, state.instance), (true, None), "the intent is recorded, {call}");
        // One minute for the lease to run out, one for the same token again, one to see it run.
        for _ in 0..3 {
            stack.minute().await;
        }
        assert_eq!(stack.world.state().machines.len(), 1, "{call}");
        let known = stack.world.worker(worker).worker;
        let instance = stack.world.state().machines.keys().next().cloned();
        assert_eq!((&known.state().instance, known.status()), (&instance, Status::Running), "{call}");
    }
}

#[tokio::test]
async fn an_action_whose_caller_times_out_before_the_answer_is_recorded_is_finished_by_the_poll() {
    for (command, call, ends) in [
        (Command::Stop, ActionKind::Stop, Observed::Stopped),
        (Command::Terminate { confirm: None }, ActionKind::Terminate, Observed::Terminated),
    ] {
        let stack = Stack::default();
        let (worker, instance) = stack.running().await;
        stack.fleet().execute(worker, command, operator(), None, None).await.expect("accepted");
        act_dies_after(&stack, worker, call.as_str()).await;
        for _ in 0..4 {
            stack.minute().await;
        }
        let known = stack.world.worker(worker).worker;
        assert_eq!((stack.observed(&instance), known.observed()), (ends, ends), "{call}");
        assert_eq!(known.state().attempt, None, "{call}");
        assert!(!stack.world.facts(worker).contains(&"drift_detected"), "{call}");
    }
}

#[tokio::test]
async fn a_worker_that_is_terminated_while_its_start_is_being_recorded_is_never_started() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    stack.minute().await;
    stack.command(worker, Command::Start).await;
    // `act` has read that it is to start; before it can record that, it is to end.
    stack.meanwhile(worker, Command::Terminate { confirm: None });
    stack.settle().await;
    stack.minute().await;
    assert_eq!((stack.world.called("start"), stack.world.called("terminate")), (0, 1));
    assert_eq!(stack.observed(&instance), Observed::Terminated);
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Terminated);
}

#[tokio::test]
async fn a_table_that_is_throttled_fails_what_could_not_be_written_and_nothing_is_reported_as_done() {
    // The SDK has tried three times by then, and what a batch left unprocessed was sent again; see
    // `what_a_batch_did_not_write_is_written_again_and_in_the_end_given_up`.
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.world.state().broken.insert("save");
    // A look: the worker failed, and the next one makes it good.
    let reports = stack.minute().await;
    assert_eq!((reports[0].failed, reports[0].changed, reports[0].unchanged), (1, 0, 0));
    // An event: the invocation fails, so that it comes again.
    let event = stack.ec2_event(&tests::world::region(), &instance, Observed::Stopped, 0);
    drift::handle(&stack.fleet(), &*stack.world, &[tests::world::region()], &event)
        .await
        .expect_err("not recorded");
    // An action: its record comes again, and EC2 is not called without the intent.
    stack.world.state().broken.clear();
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
    stack.fleet().execute(worker, Command::Start, operator(), None, None).await.expect("accepted");
    stack.world.state().broken.insert("save");
    let version = stack.world.worker(worker).version;
    let event = json!({ "Records": [stream_record(worker, version)] });
    let report = stack.act(&event).await;
    assert_eq!((report.reconciled.failed, report.batch_item_failures.len()), (1, 1));
    assert_eq!(stack.world.called("start"), 0);
    stack.world.state().broken.clear();
    assert!(stack.act(&event).await.batch_item_failures.is_empty());
    assert_eq!(stack.world.called("start"), 1);
}
