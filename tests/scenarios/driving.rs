//! Commands become calls to EC2, once each.

use domain::{ActionKind, Command, MANAGED_TAG, Observed, Status, WORKER_TAG, WorkerId};
use serde_json::json;

use crate::stack::{Stack, stream_record};

#[tokio::test]
async fn a_created_worker_gets_one_tagged_instance_and_runs() {
    let stack = Stack::default();
    let worker = stack.create("lab-1").await;
    stack.settle().await;
    stack.minute().await;
    let state = stack.world.state();
    assert_eq!(state.machines.len(), 1);
    let tags = &state.machines.values().next().expect("an instance").tags;
    assert_eq!(tags[WORKER_TAG], worker.to_string());
    assert_eq!(tags[MANAGED_TAG], "true");
    assert_eq!(tags["Name"], "lab-1");
    assert_eq!(state.workers[&worker].worker.status(), Status::Running);
}

#[tokio::test]
async fn the_same_stream_batch_twice_launches_once() {
    let stack = Stack::default();
    let worker = stack.create("lab-1").await;
    let batch = json!({ "Records": [stream_record(worker, 1)] });
    stack.act(&batch).await;
    let again = stack.act(&batch).await;
    assert_eq!(stack.world.called("launch"), 1);
    assert_eq!(again.reconciled.idle.get("in_transition"), Some(&1));
}

#[tokio::test]
async fn an_imported_instance_is_tagged_before_anything_else_is_done_to_it() {
    let stack = Stack::default();
    let instance = stack.world.state().launch(Observed::Running);
    let worker = stack.import(&instance, Observed::Running).await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    let state = stack.world.state();
    assert_eq!(state.machines[&instance].tags[WORKER_TAG], worker.to_string());
    assert_eq!((state.calls["tag"], state.calls["stop"]), (1, 1));
    assert_eq!(state.machines[&instance].observed, Observed::Stopping);
}

#[tokio::test]
async fn stop_and_start_through_the_api_is_not_drift() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
    stack.command(worker, Command::Start).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
    assert_eq!(stack.observed(&instance), Observed::Running);
    assert!(!stack.world.facts(worker).contains(&"drift_detected"));
}

#[tokio::test]
async fn a_terminated_worker_ends_with_one_fact_and_is_polled_no_more() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Terminate { confirm: None }).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.observed(&instance), Observed::Terminated);
    let facts = stack.world.facts(worker);
    assert_eq!(facts.iter().filter(|name| **name == "terminated").count(), 1);
    stack.world.pass(60);
    assert_eq!(stack.poll().await.due, 0);
}

#[tokio::test]
async fn a_crash_between_intent_and_call_is_made_good_by_the_poll() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    // The intent is recorded, and then the environment dies before the call.
    let stored = stack.world.worker(worker);
    let policy = stored.worker.overrides().over(&stack.settings);
    let (events, _) = stored.worker.proceed(&policy, stack.world.state().time());
    stack.fleet().save(&stored, events).await.expect("saved");
    stack.settle().await;
    assert_eq!(stack.world.called("stop"), 0);
    // One minute for the lease to run out, one for the call, one to see it done.
    for _ in 0..3 {
        stack.minute().await;
    }
    assert_eq!(stack.world.called("stop"), 1);
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
    assert_eq!(stack.observed(&instance), Observed::Stopped);
}

#[tokio::test]
async fn a_lost_stream_record_is_made_good_by_the_poll() {
    let stack = Stack::default();
    let (worker, _) = stack.running().await;
    stack
        .fleet()
        .execute(worker, Command::Stop, crate::stack::operator(), None, None)
        .await
        .expect("carried out");
    // Nobody delivers the record; the next poll finds the action overdue.
    stack.world.pass(60);
    let report = stack.poll().await;
    assert_eq!(report.overdue, 1);
    stack.deliver().await;
    assert_eq!(stack.world.called("stop"), 1);
}

#[tokio::test]
async fn a_refused_start_is_retried_with_back_off_and_given_up_in_the_end() {
    let stack = Stack::default();
    let (worker, _) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    stack.minute().await;
    stack.world.state().broken.insert("start");
    stack.command(worker, Command::Start).await;
    stack.settle().await;
    for _ in 0..40 {
        stack.minute().await;
    }
    let stored = stack.world.worker(worker);
    assert_eq!(stack.world.called("start"), 5);
    assert_eq!(stored.worker.status(), Status::Failed);
    let given_up = &stored.worker.state().gave_up[&ActionKind::Start];
    assert!(given_up.reason.contains("InsufficientInstanceCapacity"));
    // A command starts afresh.
    stack.world.state().broken.remove("start");
    stack.command(worker, Command::Start).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
}

#[tokio::test]
async fn one_bad_instance_does_not_keep_the_others_of_its_batch_from_stopping() {
    let stack = Stack::default();
    let (good, good_instance) = stack.running().await;
    let (bad, bad_instance) = stack.running().await;
    stack.world.state().machines.remove(&bad_instance);
    stack
        .fleet()
        .execute(good, Command::Stop, crate::stack::operator(), None, None)
        .await
        .expect("carried out");
    stack
        .fleet()
        .execute(bad, Command::Stop, crate::stack::operator(), None, None)
        .await
        .expect("carried out");
    let report = stack.settle().await.remove(0);
    assert_eq!(report.reconciled.issued.get("stop"), Some(&2));
    assert_eq!((report.reconciled.accepted, report.reconciled.refused), (1, 1));
    assert_eq!(stack.observed(&good_instance), Observed::Stopping);
}

#[tokio::test]
async fn a_worker_terminated_while_its_launch_is_in_the_air_leaves_no_instance_behind() {
    let stack = Stack::default();
    let worker = stack.create("lab-1").await;
    // The launch is recorded and called; the environment dies before the answer is.
    let stored = stack.world.worker(worker);
    let policy = stored.worker.overrides().over(&stack.settings);
    let (events, plan) = stored.worker.proceed(&policy, stack.world.state().time());
    stack.fleet().save(&stored, events).await.expect("saved");
    let action = plan.action.expect("a launch");
    app::ports::Actuator::call(&*stack.world, &tests::world::region(), worker, &action)
        .await
        .expect("launched");
    stack.command(worker, Command::Terminate { confirm: None }).await;
    for _ in 0..5 {
        stack.minute().await;
    }
    let state = stack.world.state();
    assert!(state.machines.values().all(|machine| machine.observed == Observed::Terminated));
    assert_eq!(state.workers[&worker].worker.status(), Status::Terminated);
}

#[tokio::test]
async fn a_reboot_whose_answer_was_lost_is_made_once_and_the_doubt_is_told() {
    let stack = Stack::default();
    let (worker, _) = stack.running().await;
    stack.world.state().unanswered.insert("reboot");
    stack.command(worker, Command::Reboot).await;
    stack.settle().await;
    for _ in 0..30 {
        stack.minute().await;
    }
    assert_eq!(stack.world.called("reboot"), 1);
    let after = stack.world.worker(worker).worker;
    assert_eq!(after.status(), Status::Running);
    assert!(after.state().gave_up[&ActionKind::Reboot].reason.contains("not known"));
    assert_eq!(stack.world.facts(worker).iter().filter(|name| **name == "gave_up").count(), 1);
}

#[tokio::test]
async fn reboots_of_a_batch_whose_answer_was_lost_are_not_made_one_by_one() {
    let stack = Stack::default();
    let workers = [stack.running().await.0, stack.running().await.0];
    stack.world.state().unanswered.insert("call_many");
    for worker in workers {
        stack
            .fleet()
            .execute(worker, Command::Reboot, crate::stack::operator(), None, None)
            .await
            .expect("accepted");
    }
    stack.settle().await;
    assert_eq!((stack.world.called("call_many"), stack.world.called("reboot")), (1, 0));
    for worker in workers {
        assert!(stack.world.worker(worker).worker.state().gave_up.contains_key(&ActionKind::Reboot));
    }
}

#[tokio::test]
async fn a_batch_whose_answer_was_lost_is_otherwise_asked_one_by_one() {
    let stack = Stack::default();
    let workers = [stack.running().await.0, stack.running().await.0];
    stack.world.state().unanswered.insert("call_many");
    for worker in workers {
        stack
            .fleet()
            .execute(worker, Command::Stop, crate::stack::operator(), None, None)
            .await
            .expect("accepted");
    }
    let report = stack.settle().await.remove(0).reconciled;
    assert_eq!((report.accepted, stack.world.called("stop")), (2, 2));
}

fn rename(name: &str) -> Command {
    let (tags, settings) = (domain::TagsPatch::default(), domain::SettingsPatch::default());
    Command::Patch { name: name.parse().ok(), tags, settings, guards: domain::GuardsPatch::default() }
}

#[tokio::test]
async fn a_name_that_is_taken_back_after_a_lost_answer_is_the_one_the_instance_carries() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    let tag = || stack.world.state().machines[&instance].tags["Name"].clone();
    let first = tag();
    stack.world.state().unanswered.insert("tag");
    stack.command(worker, rename("lab-2")).await;
    stack.settle().await;
    stack.world.state().unanswered.clear();
    assert_eq!(tag(), "lab-2", "EC2 has done it");
    stack.command(worker, rename(&first)).await;
    for _ in 0..3 {
        stack.minute().await;
    }
    assert_eq!(tag(), first);
}

/// Created as lab-1 and launched, the answer lost, and called lab-2 by now.
async fn launched_unheard_and_renamed(stack: &Stack) -> WorkerId {
    let worker = stack.create("lab-1").await;
    stack.world.state().unanswered.insert("launch");
    stack.settle().await;
    stack.world.state().unanswered.clear();
    stack.command(worker, rename("lab-2")).await;
    worker
}

#[tokio::test]
async fn tags_that_ec2_does_not_take_keep_nobody_from_putting_drift_right() {
    let stack = Stack::with_drift_policy(domain::DriftPolicy::Revert);
    let (worker, instance) = stack.running().await;
    stack.world.state().broken.insert("tag");
    stack.command(worker, rename("lab-2")).await;
    for _ in 0..60 {
        stack.minute().await;
    }
    let given_up = stack.world.worker(worker).worker;
    assert_eq!((given_up.status(), given_up.state().gave_up.len()), (Status::Running, 1));
    // One for the import, and five in vain.
    assert_eq!(stack.world.called("tag"), 6);
    stack.world.state().meddle(&instance, Observed::Stopped, "Client.UserInitiatedShutdown");
    for _ in 0..3 {
        stack.minute().await;
    }
    assert_eq!((stack.observed(&instance), stack.world.called("start")), (Observed::Running, 1));
    assert_eq!(stack.world.called("tag"), 6);
    stack.world.state().broken.clear();
    stack.command(worker, Command::Sync).await;
    stack.settle().await;
    assert_eq!(stack.world.state().machines[&instance].tags["Name"], "lab-2");
    assert!(stack.world.worker(worker).worker.state().gave_up.is_empty());
}

#[tokio::test]
async fn a_worker_renamed_before_its_lost_launch_is_repeated_owns_the_one_instance() {
    let stack = Stack::default();
    let worker = launched_unheard_and_renamed(&stack).await;
    for _ in 0..4 {
        stack.minute().await;
    }
    let state = stack.world.state();
    assert_eq!((state.calls["launch"], state.machines.len()), (2, 1));
    let (instance, machine) = state.machines.first_key_value().expect("an instance");
    assert_eq!((&machine.tags["Name"], machine.observed), (&"lab-2".to_owned(), Observed::Running));
    let found = &state.workers[&worker].worker;
    assert_eq!((found.state().instance.as_ref(), found.status()), (Some(instance), Status::Running));
    assert_eq!(found.state().applied_tags, machine.tags);
    assert_eq!(state.owners.values().collect::<Vec<_>>(), [&worker]);
    drop(state);
    // What it was found to carry, and what it lacked.
    let facts = stack.world.facts(worker);
    assert_eq!(facts.iter().filter(|name| **name == "tags_applied").count(), 2);
}

#[tokio::test]
async fn a_launched_instance_that_ec2_does_not_show_yet_is_searched_for_again() {
    let stack = Stack::default();
    let worker = launched_unheard_and_renamed(&stack).await;
    // EC2's answers lag behind its own launch.
    let show = |value: Option<String>| {
        let mut state = stack.world.state();
        let tags = &mut state.machines.first_entry().expect("an instance").into_mut().tags;
        match value {
            Some(value) => drop(tags.insert(WORKER_TAG.to_owned(), value)),
            None => drop(tags.remove(WORKER_TAG)),
        }
    };
    show(None);
    for _ in 0..3 {
        stack.minute().await;
    }
    assert!(stack.world.called("locate") > 1);
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Provisioning);
    show(Some(worker.to_string()));
    for _ in 0..4 {
        stack.minute().await;
    }
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
    let state = stack.world.state();
    assert_eq!((state.calls["launch"], state.machines.len()), (2, 1));
    assert_eq!(state.machines.values().next().expect("an instance").tags["Name"], "lab-2");
}

#[tokio::test]
async fn a_record_that_names_no_worker_is_counted_and_the_others_are_done() {
    let stack = Stack::default();
    let worker = stack.create("lab-1").await;
    let report =
        stack.act(&json!({ "Records": [{ "dynamodb": { "Keys": 7 } }, stream_record(worker, 1)] })).await;
    assert_eq!(report.undecodable, 1);
    assert!(report.batch_item_failures.is_empty());
    assert_eq!(stack.world.called("launch"), 1);
}

#[tokio::test]
async fn a_worker_that_cannot_be_loaded_is_a_failure_of_its_record() {
    let stack = Stack::default();
    let worker = stack.create("lab-1").await;
    stack.world.state().broken.insert("load");
    let report = stack.act(&json!({ "Records": [stream_record(worker, 1)] })).await;
    assert_eq!(report.batch_item_failures[0].item_identifier.as_deref(), Some("000000000000000000001"));
}

#[tokio::test]
async fn what_a_run_has_no_time_for_costs_no_attempt_and_comes_again() {
    let stack = Stack::default();
    let workers = [stack.create("lab-1").await, stack.create("lab-2").await, stack.create("lab-3").await];
    // Each launch takes 15 seconds, so the third worker's turn does not come.
    stack.world.state().slow = 15_000;
    let batch = workers.map(|worker| stream_record(worker, 1));
    let report = stack.act(&json!({ "Records": batch })).await;
    assert_eq!(stack.world.called("launch"), 2);
    assert_eq!(report.batch_item_failures.len(), 1);
    let waiting: Vec<_> = workers.iter().filter(|id| stack.world.worker(**id).version == 1).collect();
    assert_eq!(waiting.len(), 1);
    stack.world.state().slow = 0;
    stack.act(&json!({ "Records": batch })).await;
    assert_eq!(stack.world.called("launch"), 3);
}
