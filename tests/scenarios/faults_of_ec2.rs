//! What happens when EC2 is behind, in part away, has no room, or says no.

use domain::{ActionKind, AlertKind, Command, FailureKind, InstanceId, Observed, Status, WorkerId, Zone};

use crate::stack::Stack;

const BY_USER: &str = "Client.UserInitiatedShutdown: User initiated shutdown";

fn zone(name: &str) -> Zone {
    name.parse().expect("a zone")
}

/// A running worker in this zone.
async fn running_in(stack: &Stack, zone: &Zone) -> (WorkerId, InstanceId) {
    let instance = stack.world.state().launch(Observed::Running);
    stack.world.state().machines.get_mut(&instance).expect("launched").zone = zone.clone();
    let worker = stack.import(&instance, Observed::Running).await;
    stack.settle().await;
    stack.minute().await;
    (worker, instance)
}

async fn stopped(stack: &Stack) -> (WorkerId, InstanceId) {
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
    (worker, instance)
}

fn count(stack: &Stack, worker: WorkerId, fact: &str) -> usize {
    stack.world.facts(worker).iter().filter(|name| **name == fact).count()
}

#[tokio::test]
async fn one_unknown_id_of_a_hundred_is_missing_and_the_ninety_nine_others_are_seen() {
    // That the adapter takes the unknown id out and asks for the others again is proved where it is:
    // `ids_that_ec2_does_not_know_are_taken_out_and_the_others_asked_again`.
    let stack = Stack::default();
    let mut all = Vec::new();
    for _ in 0..100 {
        let instance = stack.world.state().launch(Observed::Running);
        all.push((stack.import(&instance, Observed::Running).await, instance));
    }
    stack.settle().await;
    for _ in 0..2 {
        stack.minute().await;
    }
    let (lost, instance) = all.swap_remove(42);
    stack.world.state().machines.remove(&instance);
    let reports = stack.minute().await;
    assert_eq!((reports.len(), reports[0].requested, reports[0].not_found), (1, 100, 1));
    stack.minute().await;
    assert_eq!(stack.world.worker(lost).worker.observed(), Observed::Missing);
    for (worker, _) in all {
        assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
        assert_eq!(count(&stack, worker, "alert_raised"), 0);
    }
}

#[tokio::test]
async fn in_an_outage_of_a_zone_its_workers_are_unknown_and_not_terminated_and_the_others_are_seen() {
    let stack = Stack::default();
    let (dark, lit) = (zone("us-east-1a"), zone("us-east-1b"));
    let (out, _) = running_in(&stack, &dark).await;
    let (fine, instance) = running_in(&stack, &lit).await;
    stack.world.state().dark.insert(dark);
    for _ in 0..10 {
        stack.minute().await;
    }
    // Our word for unreachable is `unknown`.
    let known = stack.world.worker(out).worker;
    assert_eq!((known.status(), known.observed()), (Status::Unknown, Observed::Running));
    assert_eq!((count(&stack, out, "alert_raised"), count(&stack, out, "terminated")), (1, 0));
    assert_eq!(stack.world.worker(fine).worker.status(), Status::Running);
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.minute().await;
    assert_eq!(stack.world.worker(fine).worker.status(), Status::Stopped);
    stack.world.state().dark.clear();
    stack.minute().await;
    assert_eq!(stack.world.worker(out).worker.status(), Status::Running);
    assert_eq!(count(&stack, out, "alert_resolved"), 1);
}

#[tokio::test]
async fn an_instance_that_ec2_does_not_show_right_after_its_launch_is_neither_missing_nor_launched_again() {
    let stack = Stack::default();
    let worker = stack.create("lab-1").await;
    stack.settle().await;
    let show = |shown: bool| {
        stack.world.state().machines.values_mut().for_each(|machine| machine.unseen = !shown);
    };
    show(false);
    // Not for five minutes is a miss one: the first does not count, and one more would.
    for _ in 0..5 {
        stack.minute().await;
        let known = stack.world.worker(worker).worker;
        assert_eq!((known.status(), known.observed()), (Status::Provisioning, Observed::Pending));
    }
    assert!(!stack.world.facts(worker).contains(&"alert_raised"));
    show(true);
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
    assert_eq!(stack.world.called("launch"), 1);
    // Later it takes two looks, a minute apart.
    show(false);
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.observed(), Observed::Running);
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.observed(), Observed::Missing);
}

/// EC2 refuses the start of a stopped worker for an hour, and says this.
async fn refused_for_an_hour(fault: impl FnOnce(&Stack), says: &str) -> (Stack, WorkerId) {
    let stack = Stack::default();
    let (worker, instance) = stopped(&stack).await;
    stack.command(worker, Command::Start).await;
    stack.tell().await;
    stack.world.state().hooks.clear();
    fault(&stack);
    stack.settle().await;
    for _ in 0..60 {
        stack.minute().await;
        stack.tell().await;
    }
    let known = stack.world.worker(worker).worker;
    assert_eq!((known.status(), stack.observed(&instance)), (Status::Failed, Observed::Stopped));
    assert!(known.state().gave_up[&ActionKind::Start].reason.contains(says), "{:?}", known.state().gave_up);
    assert_eq!(stack.heard(), ["cml.worker.gave_up.v1"]);
    assert!(stack.world.state().hooks[0].body.contains(says));
    (stack, worker)
}

#[tokio::test]
async fn a_start_that_ec2_accepts_and_undoes_is_tried_again_given_up_and_told_once_with_ec2s_words() {
    const WHY: &str = "Client.InternalError: Client error on launch";
    let stack = Stack::default();
    let (worker, instance) = stopped(&stack).await;
    stack.command(worker, Command::Start).await;
    stack.tell().await;
    stack.world.state().hooks.clear();
    while stack.world.worker(worker).worker.status() != Status::Failed {
        assert!(stack.world.called("start") <= 5, "it gives up in the end");
        stack.settle().await;
        if stack.observed(&instance) == Observed::Pending {
            stack.world.pass(20);
            stack.world.state().meddle(&instance, Observed::Stopped, WHY);
            stack.ec2_says(&instance, Observed::Stopped, 0).await;
        }
        stack.minute().await;
        stack.tell().await;
    }
    assert_eq!(stack.world.called("start"), 5);
    let known = stack.world.worker(worker).worker;
    assert!(known.state().gave_up[&ActionKind::Start].reason.ends_with(WHY), "{:?}", known.state().gave_up);
    assert_eq!(stack.heard(), ["cml.worker.gave_up.v1"]);
    assert!(stack.world.state().hooks[0].body.contains(WHY));
}

/// EC2 refuses every start for this reason.
fn refuses(kind: FailureKind) -> impl FnOnce(&Stack) {
    move |stack: &Stack| {
        stack.world.state().refused.insert("start", kind);
    }
}

#[tokio::test]
async fn a_start_for_which_ec2_has_no_room_is_retried_then_given_up_and_told_once_with_ec2s_words() {
    // The command is accepted (202) before EC2 is asked, so there is no 503: what EC2 says is stored and told, the
    // status is `failed` and not `stopped`, and the order stands until another one is given.
    let no_room = |stack: &Stack| {
        stack.world.state().broken.insert("start");
    };
    let (stack, _) = refused_for_an_hour(no_room, "InsufficientInstanceCapacity").await;
    assert_eq!(stack.world.called("start"), 5);
}

#[tokio::test]
async fn a_start_for_which_the_quota_is_used_up_is_retried_then_given_up_and_told_once_with_ec2s_words() {
    let (stack, _) = refused_for_an_hour(refuses(FailureKind::Quota), "EC2 refuses to start: quota").await;
    assert_eq!(stack.world.called("start"), 5);
}

#[tokio::test]
async fn a_start_with_credentials_that_have_expired_is_tried_five_times_and_then_waits_for_a_command() {
    // EC2 answers `ExpiredToken`, so nothing was done; see `error_codes_are_told_apart`. A new environment has new ones.
    let (stack, worker) =
        refused_for_an_hour(refuses(FailureKind::Refused), "EC2 refuses to start: refused").await;
    assert_eq!(stack.world.called("start"), 5);
    stack.world.state().refused.clear();
    stack.command(worker, Command::Start).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
}

#[tokio::test]
async fn a_start_while_ec2_is_stopping_waits_until_it_has_stopped() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    assert_eq!(stack.observed(&instance), Observed::Stopping);
    stack.command(worker, Command::Start).await;
    stack.settle().await;
    assert_eq!(stack.world.called("start"), 0, "the record knows that EC2 is stopping");
    stack.minute().await;
    assert_eq!((stack.world.called("start"), stack.observed(&instance)), (1, Observed::Pending));
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
    assert!(!stack.world.facts(worker).contains(&"drift_detected"));
}

#[tokio::test]
async fn a_stop_that_hangs_while_a_start_is_asked_for_is_told_once_and_the_start_follows_when_it_is_over() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    stack.world.state().meddle(&instance, Observed::Stopping, BY_USER);
    stack.command(worker, Command::Start).await;
    stack.tell().await;
    stack.world.state().hooks.clear();
    let mut told_after = None;
    for minute in 1..=60 {
        stack.minute().await;
        stack.tell().await;
        let alerts = stack.heard().iter().filter(|kind| *kind == "cml.worker.alert_raised.v1").count();
        told_after = told_after.or((alerts > 0).then_some(minute));
        assert!(alerts <= 1, "once");
    }
    // A metal instance may take 25 minutes to stop, and EC2 may answer with what was true half a minute before.
    assert_eq!((told_after, stack.world.called("start")), (Some(26), 0));
    assert_eq!(stack.heard(), ["cml.worker.alert_raised.v1"]);
    assert!(stack.world.state().hooks[0].body.contains("was already stopping at"));
    let known = stack.world.worker(worker).worker;
    assert_eq!((known.status(), known.state().attempt.as_ref()), (Status::Stopping, None));
    // It settles at last.
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    for _ in 0..2 {
        stack.minute().await;
        stack.tell().await;
    }
    let known = stack.world.worker(worker).worker;
    assert_eq!((stack.world.called("start"), known.status()), (1, Status::Running));
    assert!(known.state().alerts.is_empty() && known.state().gave_up.is_empty());
    assert_eq!(count(&stack, worker, "alert_resolved"), 1);
}

#[tokio::test]
async fn a_transition_of_somebody_elses_that_hangs_is_told_once_too() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopping, BY_USER);
    for _ in 0..60 {
        stack.minute().await;
    }
    assert_eq!((count(&stack, worker, "alert_raised"), count(&stack, worker, "drift_detected")), (1, 0));
    stack.world.state().meddle(&instance, Observed::Stopped, BY_USER);
    stack.minute().await;
    assert_eq!((count(&stack, worker, "alert_resolved"), count(&stack, worker, "drift_detected")), (1, 1));
}

#[tokio::test]
async fn a_start_that_ec2_refuses_for_the_state_it_is_in_is_tried_again_with_back_off_and_not_at_once() {
    let stack = Stack::default();
    let (worker, instance) = stopped(&stack).await;
    // Somebody started and is stopping it: EC2 is not where the record says, and nobody told.
    stack.world.state().meddle(&instance, Observed::Stopping, "");
    stack.command(worker, Command::Start).await;
    let reports = stack.settle().await;
    assert_eq!(reports.iter().map(|report| report.reconciled.refused).sum::<u32>(), 1);
    assert_eq!(stack.world.called("start"), 1, "no busy loop");
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    for _ in 0..3 {
        stack.minute().await;
    }
    assert_eq!((stack.world.called("start"), stack.observed(&instance)), (2, Observed::Running));
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
}

#[tokio::test]
async fn a_call_that_we_are_not_allowed_to_make_is_made_once_changes_nothing_and_is_told() {
    let (stack, worker) =
        refused_for_an_hour(refuses(FailureKind::Denied), "EC2 refuses to start: denied").await;
    assert_eq!(stack.world.called("start"), 1);
    assert_eq!(stack.world.worker(worker).worker.observed(), Observed::Stopped);
    // The policy is right again, and a command starts afresh.
    stack.world.state().refused.clear();
    stack.command(worker, Command::Start).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
}

#[tokio::test]
async fn an_ec2_that_we_may_not_read_is_asked_once_a_look_teaches_nothing_and_is_one_alert() {
    let stack = Stack::default();
    let (worker, _) = stack.running().await;
    let before = stack.world.worker(worker).worker.state().clone();
    stack.tell().await;
    stack.world.state().hooks.clear();
    stack.world.state().calls.clear();
    stack.world.state().denied.extend(["statuses", "describe"]);
    for _ in 0..60 {
        stack.minute().await;
        stack.tell().await;
    }
    assert_eq!(stack.world.called("statuses"), 60);
    let known = stack.world.worker(worker).worker;
    assert_eq!((known.status(), known.observed()), (Status::Unknown, Observed::Running));
    assert_eq!(known.state().sighting, before.sighting);
    assert!(known.state().alerts.contains_key(&AlertKind::Unobservable));
    assert_eq!((count(&stack, worker, "alert_raised"), stack.world.called("stop")), (1, 0));
    assert_eq!(stack.heard(), ["cml.worker.alert_raised.v1"]);
    assert!(stack.world.state().hooks[0].body.contains("UnauthorizedOperation"), "in AWS's words");
}
