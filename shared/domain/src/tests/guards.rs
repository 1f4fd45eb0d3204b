//! Hands off: what holding and protecting a worker keep whom from.

use super::support::{
    Story, created, describe, drifted, event, hold, importation, imported, names, operator, patch_tags,
    policy, protect, release, running, stopped, t,
};
use crate::{
    ActionKind, Command, CreateWorker, Desired, DriftPolicy, Event, FailureKind, Held, HoldReason,
    ImportWorker, Observed, Rejection, Status, Worker,
};

const TERMINATE: Command = Command::Terminate { confirm: None };

fn held(worker: Worker) -> Worker {
    worker.asked(hold("cabling"), 0)
}

/// Was to stop, EC2 has said yes, and then somebody put a hand on it.
fn held_while_stopping() -> Worker {
    running().asked(Command::Stop, 0).issuing(0).accepted(1).asked(hold("cabling"), 60)
}

fn confirming(name: &str) -> Command {
    Command::Terminate { confirm: Some(name.to_owned()) }
}

#[test]
fn a_worker_is_held_and_released_by_name() {
    let events = running().deciding(hold("cabling"), 60).expect("allowed");
    let reason: HoldReason = "cabling".parse().expect("a reason");
    let (at, by) = (t(60), operator());
    assert_eq!(events, [Event::Held { reason: reason.clone(), at, by: by.clone() }]);
    let worker = running().with(&events);
    assert_eq!(worker.state().held, Some(Held { reason, at, by: by.clone() }));
    assert_eq!(worker.status(), Status::Running);
    let events = worker.deciding(release(), 90).expect("allowed");
    assert_eq!(events, [Event::Released { at: t(90), by }]);
    assert_eq!(worker.with(&events).state().held, None);
}

#[test]
fn to_hold_or_release_again_is_nothing_new_and_another_reason_is() {
    let worker = held(running());
    assert_eq!(worker.deciding(hold("cabling"), 60), Ok(Vec::new()));
    assert_eq!(running().deciding(release(), 60), Ok(Vec::new()));
    let events = worker.deciding(hold("disk swap"), 60).expect("allowed");
    assert_eq!(names(&events), ["held"]);
    let since = worker.with(&events).state().held.as_ref().map(|held| (held.reason.to_string(), held.at));
    assert_eq!(since, Some(("disk swap".to_owned(), t(60))));
}

#[test]
fn a_reason_is_one_line_that_can_be_read() {
    for good in ["x", "Ölwechsel: 2 Platten (Anna, bis 14 Uhr)", &"x".repeat(200), &"é".repeat(200)] {
        assert!(good.parse::<HoldReason>().is_ok(), "{good}");
    }
    for bad in [
        "",
        " ",
        " x",
        "x ",
        "a\nb",
        "a\tb",
        "a\0b",
        "a\u{202e}b",
        "a\u{200b}b",
        "a\u{2028}b",
        &"x".repeat(201),
    ] {
        assert!(bad.parse::<HoldReason>().is_err(), "{bad:?}");
    }
}

#[test]
fn a_held_worker_takes_no_commands_that_change_ec2_and_says_who_holds_it() {
    let terminating = running().asked(TERMINATE, -60);
    for worker in [held(running()), held(stopped()), held(created()), held(terminating)] {
        for command in [Command::Start, Command::Stop, Command::Reboot, TERMINATE, confirming("lab-1")] {
            let refused = worker.deciding(command, 60).expect_err("held");
            assert_eq!(
                refused.to_string(),
                "the worker is held by ada since 2026-05-28T20:26:40Z (cabling); release it first: PATCH it with `held` \
                 null"
            );
        }
    }
    let free = held(running()).asked(release(), 60);
    assert_eq!(free.asked(Command::Stop, 61).planned(61), "stop: requested");
}

#[test]
fn what_does_not_change_ec2_stays_possible() {
    let untaggable = running().asked(patch_tags(&[("team", "labs")], &[]), -9).issuing(-9);
    let worker = held(untaggable.refused(FailureKind::Denied, -8).issuing(-7));
    assert_eq!(worker.deciding(Command::Sync, 60), Ok(Vec::new()), "the look, and not the tags");
    assert_eq!(held(created()).deciding(Command::Sync, 60), Err(Rejection::NotLaunched));
    assert_eq!(names(&worker.deciding(Command::Forget, 60).expect("allowed")), ["forgotten"]);
    let worker = held(running()).asked(patch_tags(&[("team", "labs")], &[]), 60);
    assert_eq!(
        (worker.planned(61).as_str(), worker.act_by(&policy(DriftPolicy::Alert), t(61))),
        ("-: held", None)
    );
    let worker = worker.asked(release(), 90);
    assert_eq!(worker.planned(90), "tag: tags_differ");
    assert_eq!(
        worker.act_by(&policy(DriftPolicy::Alert), t(90)),
        Some(t(90)),
        "the poll finds it if the stream does not"
    );
    assert_eq!(worker.asked(Command::Forget, 100).deciding(release(), 101), Err(Rejection::Ended));
}

#[test]
fn drift_of_a_held_worker_is_told_and_left_and_put_right_once_it_is_released() {
    let seen = event(Observed::Stopped, 60);
    let events = held(running()).observe(&seen, &policy(DriftPolicy::Revert));
    assert!(
        events.iter().any(|event| matches!(event, Event::DriftDetected { held: true, .. })),
        "{events:?}"
    );
    let worker = held(running()).with(&events);
    assert_eq!(worker.planned_under(DriftPolicy::Revert, 9999), "-: held");
    assert!(!worker.may_be_reverted());
    let worker = worker.asked(release(), 9999);
    assert!(worker.may_be_reverted());
    assert_eq!(worker.planned_under(DriftPolicy::Revert, 9999), "start: drift_reverted");
    let free = running().observe(&seen, &policy(DriftPolicy::Revert));
    assert!(free.iter().any(|event| matches!(event, Event::DriftDetected { held: false, .. })), "{free:?}");
    assert_eq!(held(drifted()).planned(9999), "-: drift_left", "nothing was to be done, held or not");
}

#[test]
fn adopting_a_drift_changes_no_ec2_and_goes_on() {
    let worker = held(running()).seeing_under(DriftPolicy::Adopt, describe(Observed::Stopped, 60));
    assert_eq!(
        (worker.state().desired, worker.planned_under(DriftPolicy::Adopt, 61).as_str()),
        (Desired::Stopped, "-: as_desired")
    );
    assert!(worker.is_held());
}

#[test]
fn the_outcome_of_what_was_under_way_is_recorded() {
    let reached = held_while_stopping().seeing(event(Observed::Stopped, 90));
    assert_eq!((reached.state().attempt.as_ref(), reached.status()), (None, Status::Stopped));
    let called = running().asked(Command::Stop, 0).issuing(0).asked(hold("cabling"), 1);
    let refused = called.refused(FailureKind::Capacity, 2);
    let failure = refused.state().attempt.as_ref().and_then(|attempt| attempt.failed.as_ref());
    assert_eq!(failure.map(|(failure, _)| failure.kind), Some(FailureKind::Capacity));
    assert_eq!((refused.planned(9999).as_str(), refused.proceeding(9999).0), ("-: held", Vec::new()));
}

#[test]
fn no_time_runs_out_while_nobody_may_try_again() {
    let worker = held_while_stopping();
    for at in [599, 600, 9999] {
        assert_eq!(worker.proceeding(at).0, Vec::new(), "nothing is over");
        assert_eq!(worker.act_by(&policy(DriftPolicy::Alert), t(at)), None, "and nobody comes to see");
    }
    // It has its whole time again, and then it is tried once more.
    let worker = worker.asked(release(), 10_000);
    let deadline = worker.state().attempt.as_ref().map(|attempt| attempt.deadline);
    assert_eq!((deadline, worker.planned(10_599).as_str()), (Some(t(10_600)), "-: in_flight"));
    let (events, plan) = worker.proceeding(10_600);
    assert_eq!(names(&events), ["action_failed"], "{plan:?}");
    // One that is long is not made shorter.
    let short = running().asked(Command::Stop, 0).issuing(0).accepted(1).asked(hold("cabling"), 2);
    let earlier = crate::Event::Released { at: t(-600), by: operator() };
    assert_eq!(short.with(&[earlier]).state().attempt.as_ref().map(|attempt| attempt.deadline), Some(t(600)));
}

#[test]
fn tries_before_a_hold_do_not_count_afterwards_however_many_they_were() {
    let mut worker = running().asked(Command::Stop, 0);
    let mut at = 0;
    for _ in 0..crate::MAX_ATTEMPTS {
        worker = worker.issuing(at).refused(FailureKind::Capacity, at + 1);
        at += 1000;
    }
    assert!(names(&worker.proceeding(at).0).contains(&"gave_up"), "unless it is held");
    let worker = worker.asked(hold("cabling"), at);
    assert_eq!(worker.proceeding(at + 9999).0, Vec::new());
    let worker = worker.asked(release(), at + 10_000);
    assert_eq!(
        worker.planned(at + 10_000),
        "stop: requested",
        "at once, without what is left of the back-off"
    );
    let attempt = worker.issuing(at + 10_000).state().attempt.clone().expect("an attempt");
    assert_eq!((attempt.action, attempt.number), (ActionKind::Stop, 1));
}

#[test]
fn a_reboot_that_may_have_been_made_is_not_made_again_because_of_a_hold() {
    let called = running().asked(Command::Reboot, 0).issuing(0).asked(hold("cabling"), 1);
    for worker in [called.clone(), called.refused(FailureKind::Other, 2)] {
        let worker = worker.asked(release(), 1000);
        for at in [1000, 2000] {
            assert_ne!(worker.planned(at), "reboot: reboot_requested");
        }
        let events = worker.proceeding(2000).0;
        let tried = events.iter().find_map(|event| match event {
            Event::GaveUp { attempts, .. } => Some(*attempts),
            _ => None,
        });
        assert_eq!(tried, Some(1), "what is not tried again has still been tried: {events:?}");
    }
    let withheld = running().asked(Command::Reboot, 0).issuing(0).refused(FailureKind::Withheld, 1);
    let worker = withheld.asked(hold("cabling"), 2).asked(release(), 3);
    assert_eq!(worker.planned(3), "reboot: reboot_requested", "it was not made");
}

#[test]
fn what_was_given_up_before_still_waits_for_a_command() {
    let failed = stopped().asked(Command::Start, 0).issuing(0).refused(FailureKind::Denied, 1).issuing(2);
    let worker = failed.asked(hold("cabling"), 3).asked(release(), 4);
    assert_eq!((worker.planned(5).as_str(), worker.status()), ("-: gave_up", Status::Failed));
}

#[test]
fn the_search_for_an_instance_that_may_have_been_launched_goes_on() {
    let launched = created().issuing(0).refused(FailureKind::AlreadyLaunched, 1).asked(hold("cabling"), 2);
    assert_eq!(launched.planned(60), "locate: launch_unresolved");
    let worker = launched.issuing(60);
    assert_eq!(worker.act_by(&policy(DriftPolicy::Alert), t(61)), Some(t(120)));
    assert_eq!(held(created()).planned(60), "-: held", "a launch is not a search");
}

#[test]
fn a_worker_that_ends_is_not_held_any_more() {
    let worker = held(running()).seeing(event(Observed::Terminated, 60));
    assert_eq!((worker.status(), worker.state().held.as_ref()), (Status::Terminated, None));
}

#[test]
fn a_worker_can_be_held_and_protected_from_its_first_moment() {
    let command = ImportWorker {
        protected: true,
        held: "cabling".parse().ok(),
        ..importation(describe(Observed::Running, 0))
    };
    let events = Worker::import(super::support::id(), command, operator(), t(0)).expect("imported");
    assert_eq!(
        names(&events),
        ["imported", "instance_observed", "desired_reached", "protection_changed", "held"]
    );
    let worker = Worker::born(&events).expect("born");
    assert_eq!(
        (worker.planned(60).as_str(), worker.state().protected),
        ("-: held", true),
        "not even its tags are set"
    );
    assert_eq!(worker.asked(release(), 60).planned(60), "tag: adoption");
    let command = CreateWorker { protected: true, ..super::support::creation("m5.large") };
    let events = Worker::create(super::support::id(), command, operator(), t(0)).expect("created");
    assert_eq!(names(&events), ["created", "protection_changed"]);
    assert!(Worker::born(&events).expect("born").state().protected);
    assert!(!imported(Observed::Running).state().protected);
}

#[test]
fn a_protected_worker_ends_only_by_its_name() {
    let worker = running().asked(protect(true), 0);
    assert_eq!(worker.deciding(protect(true), 1), Ok(Vec::new()));
    for command in [TERMINATE, confirming("lab-2"), confirming("")] {
        let refused = worker.deciding(command, 1).expect_err("protected").to_string();
        assert_eq!(
            refused,
            "the worker is protected; to terminate it all the same, end it by itself and pass its name: confirm=lab-1"
        );
    }
    assert_eq!(worker.clone().asked(confirming("lab-1"), 1).status(), Status::Terminating);
    assert_eq!(
        names(&worker.deciding(Command::Forget, 1).expect("allowed")),
        ["forgotten"],
        "the instance lives on"
    );
    let events = worker.deciding(protect(false), 1).expect("allowed");
    assert_eq!(events, [Event::ProtectionChanged { protected: false, by: operator() }]);
    assert_eq!(worker.with(&events).asked(TERMINATE, 2).status(), Status::Terminating);
    assert_eq!(
        held(worker).deciding(TERMINATE, 1).map_err(|error| error.to_string().contains("held")),
        Err(true)
    );
}

#[test]
fn a_name_that_is_another_workers_is_a_mistake_whether_it_was_needed_or_not() {
    let refused = running().deciding(confirming("lab-2"), 1).expect_err("another one").to_string();
    assert_eq!(
        refused,
        "the worker is called lab-1, and the confirmation says otherwise; pass confirm=lab-1 or none"
    );
    assert_eq!(running().asked(confirming("lab-1"), 1).status(), Status::Terminating);
}

#[test]
fn there_is_nothing_to_confirm_where_there_is_no_way_back() {
    let ending = running().asked(protect(true), 0).asked(confirming("lab-1"), 1);
    let stuck = ending.clone().issuing(2).refused(FailureKind::Denied, 3).issuing(4);
    let ended = ending.clone().seeing(event(Observed::Terminated, 60));
    for command in [TERMINATE, confirming("lab-2")] {
        assert_eq!(ending.deciding(command.clone(), 70), Ok(Vec::new()));
        assert_eq!(ended.deciding(command.clone(), 70), Ok(Vec::new()));
        assert_eq!(names(&stuck.deciding(command, 70).expect("again"))[0], "desired_changed");
    }
}
