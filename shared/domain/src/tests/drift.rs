//! Whether EC2 left where it was asked to be, whose doing that was, and what the policies say about it.

use super::support::{
    BIRTH, Story, because, describe, drifted, event, imported, launched, names, not_found, policy, response,
    running, stopped, t,
};
use crate::{Actor, Command, Desired, DriftPolicy, Event, Observed, Source, Status, Worker};

const RUNNING: Observed = Observed::Running;
const STOPPED: Observed = Observed::Stopped;
const BY_USER: &str = "Client.UserInitiatedShutdown: User initiated shutdown";

#[test]
fn a_stop_that_is_not_ours_is_drift_with_ec2s_reason() {
    let events = running().learning(&because(BY_USER, event(STOPPED, 0)));
    assert_eq!(names(&events), ["instance_observed", "drift_detected", "status_changed"]);
    let drift = running().with(&events).state().drift.clone().expect("drift");
    assert_eq!((drift.desired, drift.observed, drift.since), (Desired::Running, STOPPED, t(0)));
    assert_eq!((drift.detected_by, drift.reason.as_deref()), (Source::Event, Some(BY_USER)));
}

#[test]
fn a_start_that_is_not_ours_is_drift_too() {
    let worker = stopped().seeing(event(Observed::Pending, 0));
    assert_eq!(worker.state().drift, None, "a transition is no drift");
    assert!(worker.seeing(event(RUNNING, 10)).state().drift.is_some());
}

#[test]
fn drift_is_told_once() {
    for evidence in [event(STOPPED, 0), event(STOPPED, 20), describe(STOPPED, 600)] {
        assert!(!names(&drifted().learning(&evidence)).contains(&"drift_detected"));
    }
}

#[test]
fn drift_survives_a_transition_and_ends_where_it_was_asked_to_be() {
    let worker = drifted().seeing(event(Observed::Pending, 60));
    assert!(worker.state().drift.is_some());
    let events = worker.learning(&event(RUNNING, 90));
    assert_eq!(names(&events), ["instance_observed", "drift_resolved", "status_changed"]);
    assert_eq!(worker.with(&events).state().drift, None);
}

#[test]
fn an_instance_nobody_can_find_has_not_drifted_by_that() {
    let worker = running().seeing(not_found(0)).seeing(not_found(60));
    assert_eq!(worker.state().drift, None);
}

#[test]
fn a_stop_through_the_api_is_no_drift() {
    let mut worker = running().asked(Command::Stop, 0).issuing(0).accepted(1);
    for evidence in [response(Observed::Stopping, 1), event(Observed::Stopping, 1), event(STOPPED, 30)] {
        worker = worker.seeing(evidence);
        assert_eq!((&worker.state().drift, worker.status() == Status::Running), (&None, false));
    }
    assert_eq!((worker.status(), worker.state().reached_at), (Status::Stopped, Some(t(30))));
}

#[test]
fn what_a_describe_still_says_after_a_command_is_no_drift() {
    let worker = running().asked(Command::Stop, 0).issuing(0).accepted(1).seeing(event(STOPPED, 20));
    let worker = worker.asked(Command::Start, 25).seeing(describe(RUNNING, 27));
    assert_eq!((worker.observed(), worker.state().reached_at), (STOPPED, None));
    assert_eq!(worker.seeing(describe(STOPPED, 60)).state().drift, None);
}

/// A stop was called for, then a start was asked for; the stop took its effect at 30.
fn overtaken() -> Worker {
    running()
        .asked(Command::Stop, 0)
        .issuing(0)
        .accepted(1)
        .asked(Command::Start, 5)
        .seeing(event(RUNNING, 6))
        .seeing(event(STOPPED, 30))
}

#[test]
fn a_stop_of_ours_that_a_start_overtook_is_no_drift() {
    let worker = overtaken();
    assert_eq!((&worker.state().drift, worker.status()), (&None, Status::Starting));
    assert_eq!(worker.planned(31), "start: requested");
}

#[test]
fn the_start_that_puts_it_right_says_so_and_is_reached_on_its_own() {
    let worker = overtaken();
    let (events, _) = worker.proceeding(31);
    assert_eq!(names(&events), ["action_overtook", "action_issued"]);
    let worker = worker.with(&events).accepted(32);
    assert_eq!((worker.state().reached_at, worker.state().desired_since), (None, t(30)));
    assert_eq!(worker.clone().seeing(describe(STOPPED, 65)).state().drift, None);
    let worker = worker.seeing(event(RUNNING, 70));
    assert_eq!((worker.status(), worker.state().reached_at), (Status::Running, Some(t(70))));
}

#[test]
fn a_stop_after_that_is_drift_again() {
    let worker = overtaken().issuing(31).accepted(32).seeing(event(RUNNING, 70));
    assert!(worker.seeing(event(STOPPED, 100)).state().drift.is_some());
}

#[test]
fn a_stop_of_ours_explains_nothing_after_its_deadline() {
    let worker = running().asked(Command::Stop, 0).issuing(0).accepted(1).asked(Command::Start, 5);
    let worker = worker.seeing(event(RUNNING, 6));
    assert_eq!(worker.clone().seeing(event(STOPPED, 599)).state().drift, None);
    assert!(worker.clone().seeing(event(STOPPED, 600)).state().drift.is_some());
    assert_eq!(worker.seeing(describe(STOPPED, 629)).state().drift, None, "it counts 30 s earlier");
}

#[test]
fn a_stop_ec2_refused_explains_nothing() {
    let worker = running().asked(Command::Stop, 0).issuing(0).refused(crate::FailureKind::Denied, 1);
    let worker = worker.asked(Command::Start, 5).seeing(event(RUNNING, 6));
    assert!(worker.seeing(event(STOPPED, 30)).state().drift.is_some());
}

#[test]
fn what_never_was_as_asked_is_pursued_and_not_called_drift() {
    let worker = launched().seeing(event(STOPPED, 0));
    assert_eq!((&worker.state().drift, worker.planned(1).as_str()), (&None, "start: requested"));
}

#[test]
fn alert_leaves_drift_alone() {
    assert_eq!(drifted().planned_under(DriftPolicy::Alert, 1), "-: drift_left");
    assert_eq!(drifted().status(), Status::Stopped);
}

#[test]
fn revert_brings_ec2_back_and_resolves_the_drift() {
    let worker = drifted();
    assert_eq!(worker.planned_under(DriftPolicy::Revert, 1), "start: drift_reverted");
    let worker = worker.issuing_under(DriftPolicy::Revert, 1).accepted(2);
    assert_eq!(worker.status(), Status::Starting);
    let worker = worker.seeing(response(Observed::Pending, 2));
    let events = worker.learning(&event(RUNNING, 30));
    assert_eq!(names(&events), ["instance_observed", "desired_reached", "drift_resolved", "status_changed"]);
    let after = worker.with(&events);
    assert_eq!((&after.state().attempt, after.status()), (&None, Status::Running));
}

#[test]
fn a_revert_is_not_closed_by_evidence_from_before_it() {
    let worker = drifted().issuing_under(DriftPolicy::Revert, 60).accepted(61);
    for at in [-60, BIRTH + 30] {
        assert!(worker.clone().seeing(event(RUNNING, at)).state().attempt.is_some());
    }
}

#[test]
fn adopt_lets_what_is_asked_for_follow() {
    let adopt = policy(DriftPolicy::Adopt);
    let events = running().observe(&event(STOPPED, 0), &adopt);
    assert_eq!(
        names(&events),
        ["instance_observed", "drift_detected", "desired_changed", "desired_reached", "status_changed"]
    );
    assert!(events.iter().any(|event| matches!(event, Event::DesiredChanged { by: Actor::Policy, .. })));
    let worker = running().with(&events);
    assert_eq!((worker.state().desired, &worker.state().drift), (Desired::Stopped, &None));
    assert_eq!(worker.planned_under(DriftPolicy::Adopt, 1), "-: as_desired");
    let back = worker.seeing_under(DriftPolicy::Adopt, event(RUNNING, 60));
    assert_eq!(back.state().desired, Desired::Running);
}

#[test]
fn adopted_by_a_describe_it_counts_from_when_the_describe_counts() {
    let worker = running().seeing_under(DriftPolicy::Adopt, describe(STOPPED, 60));
    assert_eq!((worker.state().desired_since, worker.state().reached_at), (t(30), Some(t(30))));
}

#[test]
fn drift_that_was_left_is_adopted_once_the_policy_says_so() {
    let worker = drifted().seeing_under(DriftPolicy::Adopt, describe(STOPPED, 60));
    assert_eq!(worker.state().desired, Desired::Stopped);
}

#[test]
fn a_command_settles_drift() {
    for (command, desired) in [(Command::Start, Desired::Running), (Command::Stop, Desired::Stopped)] {
        let worker = drifted().asked(command, 60);
        assert_eq!((&worker.state().drift, worker.state().desired), (&None, desired));
    }
    assert_eq!(drifted().asked(Command::Start, 60).planned(61), "start: requested");
    assert_eq!(drifted().asked(Command::Stop, 60).planned(61), "-: as_desired");
}

#[test]
fn tagging_a_drifted_instance_does_not_look_like_starting_it() {
    let worker = drifted().asked(super::support::patch_tags(&[("team", "labs")], &[]), 1).issuing(2);
    assert_eq!(worker.state().attempt.as_ref().map(|a| a.action.as_str()), Some("tag"));
    assert_eq!(worker.status(), Status::Stopped);
}

#[test]
fn an_imported_instance_is_to_be_what_it_was_on_its_way_to() {
    for (observed, desired) in [
        (Observed::Pending, Desired::Running),
        (RUNNING, Desired::Running),
        (Observed::Stopping, Desired::Stopped),
        (STOPPED, Desired::Stopped),
    ] {
        let worker = imported(observed);
        assert_eq!((worker.state().desired, worker.observed()), (desired, observed));
        assert_eq!(worker.state().reached_at.is_some(), observed.is_settled());
    }
}

#[test]
fn drift_learnt_late_in_a_transition_is_made_up_for_by_the_next_settled_sighting() {
    let moving = running().seeing(event(Observed::Pending, 60));
    let late = moving.seeing(event(STOPPED, 0));
    assert_eq!(late.state().drift, None);
    assert!(late.clone().seeing(event(STOPPED, 90)).state().drift.is_some());
    assert_eq!(late.seeing(event(RUNNING, 90)).state().drift, None);
}
