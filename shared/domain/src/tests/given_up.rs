//! What was given up, what waits for it, and what starts it afresh.

use super::support::{Story, event, imported, names, patch_tags, policy, running, stopped, t};
use crate::{
    Action, ActionKind, Command, DriftPolicy, Event, FailureKind, GuardsPatch, Observed, Rejection,
    SettingsPatch, Status, TagsPatch, Worker,
};

/// Runs, and EC2 does not let it have the tag that was asked for at 0.
fn untaggable() -> Worker {
    running()
        .asked(patch_tags(&[("team", "labs")], &[]), 0)
        .issuing(0)
        .refused(FailureKind::Denied, 1)
        .issuing(2)
}

/// Runs, and EC2 does not let us reboot it.
fn unbootable() -> Worker {
    running().asked(Command::Reboot, 0).issuing(0).refused(FailureKind::Denied, 1).issuing(2)
}

/// Imported, and EC2 does not let us make it ours.
fn unadoptable() -> Worker {
    imported(Observed::Running).issuing(0).refused(FailureKind::Denied, 1).issuing(2)
}

#[test]
fn only_what_is_needed_to_get_there_makes_a_worker_failed() {
    let (tag, reboot) = (untaggable(), unbootable());
    assert_eq!(tag.state().gave_up[&ActionKind::Tag].reason, "EC2 says denied");
    assert_eq!(tag.state().gave_up[&ActionKind::Tag].tried_at, t(0));
    assert_eq!(reboot.state().gave_up.keys().collect::<Vec<_>>(), [&ActionKind::Reboot]);
    for worker in [tag, reboot, unadoptable()] {
        assert_eq!((worker.status(), worker.planned(3).as_str()), (Status::Running, "-: gave_up"));
        assert_eq!(worker.act_by(&policy(DriftPolicy::Revert), t(3)), None);
        assert_eq!(worker.proceeding(100_000).0, Vec::new(), "it is not tried again by itself");
    }
}

#[test]
fn drift_is_put_right_whatever_was_given_up_beside_it() {
    for worker in [untaggable(), unbootable()] {
        let worker = worker.seeing(event(Observed::Stopped, 60));
        assert!(worker.state().drift.is_some());
        assert_eq!(worker.planned_under(DriftPolicy::Revert, 61), "start: drift_reverted");
        assert_eq!(worker.planned(61), "-: drift_left");
    }
}

#[test]
fn who_cannot_be_brought_back_is_not_looked_at_for_that_again() {
    let drifted = running().seeing(event(Observed::Stopped, 0));
    assert!(drifted.may_be_reverted());
    // EC2 is at it, whoever asked for that.
    assert!(!drifted.clone().seeing(event(Observed::Pending, 10)).may_be_reverted());
    let given_up = drifted.issuing_under(DriftPolicy::Revert, 1).refused(FailureKind::Denied, 2);
    let given_up = given_up.issuing_under(DriftPolicy::Revert, 3);
    assert!(given_up.state().drift.is_some() && given_up.is_stuck());
    assert!(!given_up.may_be_reverted());
    let retried = given_up.asked(Command::Start, 100);
    assert!(retried.state().drift.is_none() && !retried.may_be_reverted());
    assert_eq!(retried.planned(101), "start: requested");
}

#[test]
fn what_waits_for_a_command_keeps_nothing_else_waiting() {
    let tagging = unbootable().asked(patch_tags(&[("team", "labs")], &[]), 10);
    assert_eq!(tagging.planned(11), "tag: tags_differ");
    let rebooting = untaggable().asked(Command::Reboot, 10);
    assert_eq!(rebooting.planned(11), "reboot: reboot_requested");
    let rebooted = rebooting.issuing(11).accepted(12);
    assert_eq!((rebooted.planned(13).as_str(), rebooted.status()), ("-: gave_up", Status::Running));
    let failed = stopped().asked(Command::Start, 0).issuing(0).refused(FailureKind::Denied, 1).issuing(2);
    let tagging = failed.asked(patch_tags(&[("team", "labs")], &[]), 10);
    assert_eq!((tagging.planned(11).as_str(), tagging.status()), ("tag: tags_differ", Status::Failed));
}

#[test]
fn a_start_that_was_given_up_is_over_when_it_runs_whatever_was_tried_since() {
    let failed = stopped().asked(Command::Start, 0).issuing(10).refused(FailureKind::Denied, 11).issuing(12);
    let worker = failed.asked(patch_tags(&[("team", "labs")], &[]), 20).issuing(20);
    assert_eq!(worker.state().attempt.as_ref().map(|attempt| attempt.action), Some(ActionKind::Tag));
    let early = worker.clone().seeing(event(Observed::Running, 9));
    assert_eq!(early.status(), Status::Failed);
    // Late news of an earlier run has been told before; the one that counts is told all the same.
    for worker in [worker, early] {
        let worker = worker.seeing(event(Observed::Running, 60));
        assert_eq!((worker.status(), worker.state().gave_up.len()), (Status::Running, 0));
    }
}

#[test]
fn tags_are_tried_again_when_they_are_asked_for_again_in_any_way() {
    let again = patch_tags(&[("team", "labs")], &[]);
    let rename = Command::Patch {
        name: "lab-2".parse().ok(),
        tags: TagsPatch::default(),
        settings: SettingsPatch::default(),
        guards: GuardsPatch::default(),
    };
    for (command, facts) in [
        (patch_tags(&[("team", "core")], &[]), "tags_changed"),
        (rename, "renamed"),
        (again, "retry_requested"),
        (Command::Sync, "retry_requested"),
    ] {
        let events = untaggable().deciding(command, 60).expect("allowed");
        assert_eq!(names(&events), [facts]);
        let worker = untaggable().with(&events);
        assert_eq!(worker.planned(61), "tag: tags_differ");
        let attempt = worker.issuing(61).state().attempt.clone().expect("an attempt");
        assert_eq!(attempt.number, 1);
    }
    let undone = untaggable().asked(patch_tags(&[], &["team"]), 60);
    // Tags take two calls, one to set and one to remove: whichever was refused, the other may have had its effect.
    assert_eq!((undone.planned(61).as_str(), undone.state().gave_up.len()), ("tag: tags_differ", 0));
}

#[test]
fn what_has_nothing_to_do_with_tags_does_not_try_them_again() {
    let settings = SettingsPatch { monitoring: Some(Some(false)), ..SettingsPatch::default() };
    let settings =
        Command::Patch { name: None, tags: TagsPatch::default(), settings, guards: GuardsPatch::default() };
    for command in [settings, Command::Start, Command::Stop, Command::Reboot] {
        let worker = untaggable().asked(command.clone(), 60);
        assert!(worker.has_given_up(ActionKind::Tag), "{command:?}");
    }
    // Running is what it does, so there is nothing to try.
    assert_eq!(untaggable().deciding(Command::Start, 60), Ok(Vec::new()));
}

#[test]
fn a_sync_tries_nothing_again_but_tags() {
    assert_eq!(running().deciding(Command::Sync, 0), Ok(Vec::new()));
    assert_eq!(unbootable().deciding(Command::Sync, 60), Ok(Vec::new()), "nobody expects it to reboot");
    assert_eq!(super::support::created().deciding(Command::Sync, 0), Err(Rejection::NotLaunched));
}

#[test]
fn a_reboot_is_tried_again_when_it_is_asked_for_again() {
    let events = unbootable().deciding(Command::Reboot, 60).expect("allowed");
    assert_eq!(names(&events), ["reboot_requested"]);
    assert_eq!(unbootable().with(&events).planned(61), "reboot: reboot_requested");
}

#[test]
fn a_reboot_whose_answer_was_lost_is_not_made_again_and_it_is_said_that_nobody_knows() {
    let worker = running().asked(Command::Reboot, 0).issuing(0);
    assert_eq!(worker.planned(119), "-: in_flight");
    assert_eq!(worker.planned(120), "-: exhausted", "also before anybody has looked");
    let (events, plan) = worker.proceeding(120);
    assert_eq!((plan.action, names(&events)), (None, vec!["action_failed", "gave_up"]));
    let worker = worker.with(&events);
    let said = &worker.state().gave_up[&ActionKind::Reboot].reason;
    assert_eq!(said, "EC2's answer was lost; it is not known whether EC2 rebooted the instance");
    assert_eq!((worker.status(), worker.proceeding(9999).0), (Status::Running, Vec::new()));
}

#[test]
fn a_reboot_is_made_again_only_if_nothing_was_done_for_certain() {
    for kind in FailureKind::ALL {
        let worker = running().asked(Command::Reboot, 0).issuing(0).refused(*kind, 1);
        let again = worker.planned(100) == "reboot: reboot_requested";
        assert_eq!(again, kind.is_retryable() && !kind.is_open(), "{kind}");
        let attempt = worker.state().attempt.as_ref().expect("an attempt");
        let (failure, _) = attempt.failed.as_ref().expect("a failure");
        assert_eq!(failure.message.contains("not known"), kind.is_open(), "{kind}");
    }
}

#[test]
fn a_reboot_that_was_given_up_is_no_longer_wanted_once_it_has_stopped() {
    for worker in [
        unbootable().seeing(event(Observed::Stopped, 60)).seeing(event(Observed::Running, 600)),
        unbootable().asked(Command::Stop, 60),
    ] {
        assert_eq!((worker.state().gave_up.len(), worker.state().reboot_requested_at), (0, None));
    }
}

#[test]
fn a_command_tries_the_tags_that_let_us_act_again_and_then_acts_without_them() {
    let worker = unadoptable().asked(Command::Stop, 10);
    assert_eq!(worker.planned(11), "tag: adoption");
    let worker = worker.issuing(11).refused(FailureKind::Denied, 12).issuing(13);
    assert_eq!(worker.planned(14), "stop: requested");
    let worker = worker.issuing(14).refused(FailureKind::Denied, 15).issuing(16);
    assert_eq!((worker.status(), worker.planned(17).as_str()), (Status::Failed, "-: gave_up"));
    assert_eq!(worker.state().gave_up.len(), 2);
    // Somebody has given us the permission.
    let worker = worker.asked(Command::Stop, 60).issuing(60);
    let (events, plan) = unadoptable().asked(Command::Stop, 60).proceeding(60);
    assert_eq!(names(&events), ["action_issued"]);
    let Some(Action::Tag { set, remove, .. }) = plan.action else { panic!("tags") };
    let worker = worker.accepted(61).with(&[Event::TagsApplied { set, removed: remove }]);
    assert_eq!((worker.planned(62).as_str(), worker.state().gave_up.len()), ("stop: requested", 0));
}

#[test]
fn what_is_asked_for_anew_is_tried_anew_though_the_last_call_got_no_answer() {
    let mut worker = running().asked(patch_tags(&[("team", "labs")], &[]), 0);
    let mut at = 0;
    while worker.state().gave_up.is_empty() {
        worker = worker.issuing(at);
        at += 60;
    }
    let tried = worker.state().attempt.clone().expect("an attempt");
    assert_eq!((tried.action, tried.number, tried.failed), (ActionKind::Tag, 5, None));
    for again in [patch_tags(&[("team", "core")], &[]), Command::Sync] {
        let worker = worker.clone().asked(again, at);
        assert_eq!(worker.planned(at), "tag: tags_differ");
        let issued = worker.issuing(at);
        assert_eq!(issued.state().attempt.as_ref().map(|attempt| attempt.number), Some(1));
    }
    // Nor is the call that is under way counted when other tags are asked for meanwhile.
    let mut worker = running().asked(patch_tags(&[("team", "labs")], &[]), 0);
    for number in 0..5 {
        worker = worker.issuing(60 * number);
    }
    let worker = worker.asked(patch_tags(&[("team", "core")], &[]), 241).issuing(300);
    assert_eq!(worker.state().attempt.as_ref().map(|attempt| attempt.number), Some(1));
}

#[test]
fn what_a_call_is_told_that_was_made_before_says_nothing_of_what_is_asked_for_since() {
    let tagging = running().asked(patch_tags(&[("team", "labs")], &[]), 0).issuing(0);
    let tagging = tagging.asked(patch_tags(&[("team", "core")], &[]), 1);
    let adopting = imported(Observed::Running).issuing(0).asked(Command::Stop, 1);
    for (worker, next) in [(tagging, "tag: tags_differ"), (adopting, "tag: adoption")] {
        let worker = worker.refused(FailureKind::Denied, 2);
        assert_eq!((worker.planned(3).as_str(), worker.planned(32).as_str()), ("-: backing_off", next));
        let worker = worker.issuing(32).refused(FailureKind::Denied, 33).issuing(34);
        assert!(worker.state().gave_up.contains_key(&ActionKind::Tag), "now it was tried");
    }
}
