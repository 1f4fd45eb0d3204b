//! What happens when a process dies in between, when two are at it at once, and when the table says no.

use app::ports::Request;
use collect::CollectError;
use domain::{ActionKind, Command, Event, FailureKind, Observed, Status, WorkerId};
use serde_json::json;

use crate::stack::{Stack, bus_event, operator, stream_record};

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
    for (before, command, call, ends) in [
        (Observed::Stopped, Command::Start, ActionKind::Start, Observed::Running),
        (Observed::Running, Command::Stop, ActionKind::Stop, Observed::Stopped),
        (
            Observed::Running,
            Command::Terminate { confirm: None },
            ActionKind::Terminate,
            Observed::Terminated,
        ),
    ] {
        let stack = Stack::default();
        let (worker, instance) = stack.adopted(before).await;
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
async fn a_batch_whose_caller_times_out_before_the_answer_is_recorded_is_finished_by_the_poll_and_called_once()
 {
    let stack = Stack::default();
    let both = [stack.adopted(Observed::Running).await, stack.adopted(Observed::Running).await];
    for (worker, _) in &both {
        stack.command(*worker, Command::Stop).await;
    }
    stack.world.state().dies_after = Some("call_many");
    let records = both.iter().map(|(worker, _)| stream_record(*worker, stack.world.worker(*worker).version));
    let event = json!({ "Records": records.collect::<Vec<_>>() });
    assert!(stack.until_death(stack.act(&event)).await.is_none(), "it dies after its call");
    for _ in 0..4 {
        stack.minute().await;
    }
    for (worker, instance) in &both {
        let known = stack.world.worker(*worker).worker;
        assert_eq!((stack.observed(instance), known.status()), (Observed::Stopped, Status::Stopped));
        assert_eq!(known.state().attempt, None);
        assert!(!stack.world.facts(*worker).contains(&"drift_detected"));
    }
    // The poll sees them stop before the lease is over.
    assert_eq!((stack.world.called("call_many"), stack.world.called("stop")), (1, 0));
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
async fn a_table_that_may_not_be_read_fails_the_look_and_changes_nothing() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    let (before, calls) = (stack.world.worker(worker), stack.world.called("statuses"));
    stack.world.state().broken.insert("load_many");
    stack.world.pass(60);
    stack.poll().await;
    let requests = std::mem::take(&mut stack.world.state().bus);
    let shards: Vec<_> = requests.iter().filter(|request| matches!(request, Request::Collect(_))).collect();
    let [request] = shards.as_slice() else { panic!("one shard: {shards:?}") };
    let error = stack.collected(&bus_event(request)).await.expect_err("not loaded");
    assert!(matches!(error, CollectError::Failed(_)), "{error:?}");
    assert_eq!((stack.world.worker(worker), stack.world.called("statuses")), (before, calls));
    // What failed for good is a dead letter, and the next tick looks anyway.
    stack.world.state().broken.clear();
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
}

/// A worker that is asked for this is asked for something else once the intent of it is recorded and before the call is made,
/// and another `act` is at that by then.
async fn turned_after_its_intent(stack: &Stack, worker: WorkerId, first: Command, then: Command) {
    stack.command(worker, first).await;
    let (reconciler, workers) = (stack.reconciler(), [worker].into());
    let other = async {
        stack.command(worker, then).await;
        reconciler.run(&workers).await;
    };
    let (report, failed) = stack.pausing("save", reconciler.run(&workers), other).await;
    assert_eq!((report.withheld, report.refused, failed.len()), (1, 0, 0));
}

/// Why a call for it was not made.
fn withheld(stack: &Stack, worker: WorkerId) -> Vec<String> {
    let state = stack.world.state();
    let of_worker = state.facts.iter().filter(|((of, _), _)| *of == worker);
    let failures = of_worker.flat_map(|(_, record)| &record.events).filter_map(|event| match event {
        Event::ActionFailed { failure, .. } if failure.kind == FailureKind::Withheld => {
            Some(failure.message.clone())
        }
        _ => None,
    });
    failures.collect()
}

const TURNED: &str = "something else was asked for before the call was made";

#[tokio::test]
async fn a_worker_that_is_terminated_after_its_start_was_recorded_and_before_it_is_called_is_never_started() {
    let stack = Stack::default();
    let (worker, instance) = stack.adopted(Observed::Stopped).await;
    turned_after_its_intent(&stack, worker, Command::Start, Command::Terminate { confirm: None }).await;
    assert_eq!((stack.world.called("start"), stack.world.called("terminate")), (0, 1));
    assert_eq!(withheld(&stack, worker), [TURNED]);
    for _ in 0..2 {
        stack.minute().await;
    }
    assert_eq!((stack.world.called("start"), stack.world.called("terminate")), (0, 1));
    assert_eq!(stack.observed(&instance), Observed::Terminated);
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Terminated);
}

#[tokio::test]
async fn nothing_is_called_any_more_that_works_against_what_was_asked_since() {
    let terminate = || Command::Terminate { confirm: None };
    for (before, first, then, ends) in [
        (Observed::Stopped, Command::Start, Command::Stop, Status::Stopped),
        (Observed::Running, Command::Stop, Command::Start, Status::Running),
        (Observed::Running, Command::Stop, terminate(), Status::Terminated),
        (Observed::Running, Command::Reboot, Command::Stop, Status::Stopped),
        (Observed::Running, Command::Reboot, terminate(), Status::Terminated),
    ] {
        let stack = Stack::default();
        let (worker, _) = stack.adopted(before).await;
        let said = format!("{first:?}, then {then:?}");
        let call = match first {
            Command::Start => "start",
            Command::Stop => "stop",
            _ => "reboot",
        };
        turned_after_its_intent(&stack, worker, first, then).await;
        assert_eq!(
            (stack.world.called(call), withheld(&stack, worker)),
            (0, vec![TURNED.to_owned()]),
            "{said}"
        );
        for _ in 0..3 {
            stack.minute().await;
        }
        let known = stack.world.worker(worker).worker;
        assert_eq!((stack.world.called(call), known.status()), (0, ends), "{said}");
        assert_eq!(known.state().attempt, None, "{said}");
        assert!(!stack.world.facts(worker).contains(&"drift_detected"), "{said}");
    }
}

#[tokio::test]
async fn a_worker_that_is_terminated_after_its_launch_was_recorded_and_before_it_is_called_is_never_launched()
{
    let stack = Stack::default();
    let worker = stack.create("lab-1").await;
    let (reconciler, workers) = (stack.reconciler(), [worker].into());
    let other = stack.command(worker, Command::Terminate { confirm: None });
    let (report, _) = stack.pausing("save", reconciler.run(&workers), other).await;
    assert_eq!((report.withheld, withheld(&stack, worker)), (1, vec![TURNED.to_owned()]));
    // It is searched for until it could not show any more, had the call been made.
    for _ in 0..10 {
        stack.minute().await;
    }
    assert_eq!((stack.world.called("launch"), stack.world.state().machines.len()), (0, 0));
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Terminated);
}

#[tokio::test]
async fn a_table_that_is_throttled_fails_what_could_not_be_written_and_nothing_is_reported_as_done() {
    // The SDK has tried three times by then, and what a batch left unprocessed was sent again; see
    // `what_a_batch_did_not_write_is_written_again_and_in_the_end_given_up`. A throttle is `Contended`, anything else `Unavailable`.
    for busy in [true, false] {
        let stack = Stack::default();
        let refuse = |refused: bool| {
            let mut state = stack.world.state();
            state.busy = refused && busy;
            state.broken = if refused && !busy { ["save"].into() } else { [].into() };
        };
        let (worker, instance) = stack.running().await;
        stack.world.state().meddle(&instance, Observed::Stopped, "");
        refuse(true);
        // A look: the worker failed, and the next one makes it good.
        let reports = stack.minute().await;
        assert_eq!((reports[0].failed, reports[0].changed, reports[0].unchanged), (1, 0, 0), "{busy}");
        // An event: the invocation fails, so that it comes again.
        let event = stack.ec2_event(&tests::world::region(), &instance, Observed::Stopped, 0);
        drift::handle(&stack.fleet(), &*stack.world, &[tests::world::region()], &event)
            .await
            .expect_err("not recorded");
        // An action: its record comes again, and EC2 is not called without the intent.
        refuse(false);
        stack.minute().await;
        assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
        stack.fleet().execute(worker, Command::Start, operator(), None, None).await.expect("accepted");
        refuse(true);
        let version = stack.world.worker(worker).version;
        let event = json!({ "Records": [stream_record(worker, version)] });
        let report = stack.act(&event).await;
        assert_eq!((report.reconciled.failed, report.batch_item_failures.len()), (1, 1), "{busy}");
        assert_eq!(stack.world.called("start"), 0);
        refuse(false);
        assert!(stack.act(&event).await.batch_item_failures.is_empty());
        assert_eq!(stack.world.called("start"), 1);
    }
}

#[tokio::test]
async fn an_intent_that_others_are_faster_than_is_written_after_a_pause_or_left_to_their_events() {
    for (races, (issued, lost)) in [(2, (1, 0)), (3, (0, 1))] {
        let stack = Stack::default();
        let (worker, _) = stack.adopted(Observed::Stopped).await;
        stack.command(worker, Command::Start).await;
        let before = stack.world.state().now;
        stack.world.state().races = races;
        let (report, failed) = stack.reconciler().run(&[worker].into()).await;
        let came_to = (report.issued.values().sum::<u32>(), report.lost_race);
        assert_eq!((came_to, failed.len()), ((issued, lost), 0), "{races}");
        assert_eq!(stack.world.state().now - before, 10 + 20, "{races}");
    }
}
