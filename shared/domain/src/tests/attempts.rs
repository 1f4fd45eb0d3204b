//! Attempts: deadlines, back-off, giving up, and what undoes that.

use jiff::SignedDuration;

use super::support::{
    Story, because, created, created_as, describe, drifted, event, imported, launched_as, names, not_found,
    patch_tags, policy, response, running, stopped, t,
};
use crate::{
    Action, ActionKind, Command, DriftPolicy, Event, FailureKind, MANAGED_TAG, MAX_ATTEMPTS, Observed,
    Status, Worker,
};

fn starting() -> Worker {
    stopped().asked(Command::Start, 0).issuing(0)
}

/// Tries until nothing is due any more; how often that was, and what came of it.
fn exhaust(mut worker: Worker, kind: FailureKind) -> (Worker, u32) {
    let mut at = 0;
    while worker.state().gave_up.is_empty() {
        assert!(at < 100_000, "it gives up in the end");
        let (events, plan) = worker.proceeding(at);
        worker = worker.with(&events);
        if plan.action.is_some() {
            worker = worker.refused(kind, at);
        }
        at += 30;
    }
    let number = worker.state().attempt.as_ref().expect("the attempt given up").number;
    (worker, number)
}

#[test]
fn a_call_is_made_once_while_its_answer_is_awaited() {
    let worker = starting();
    assert_eq!(worker.planned(59), "-: in_flight");
    assert_eq!(worker.act_by(&policy(DriftPolicy::Alert), t(1)), Some(t(60)));
    assert_eq!(worker.planned(60), "start: requested");
}

#[test]
fn the_launch_of_a_lost_answer_is_repeated_with_the_same_content() {
    let worker = created();
    let (events, plan) = worker.proceeding(0);
    let again = worker.with(&events).proceeding(60).1;
    assert_eq!(plan.action, again.action);
    let Some(Action::Launch { tags, .. }) = plan.action else { panic!("a launch") };
    assert_eq!(tags, worker.wanted_tags());
}

/// Launched with the tag `team`, its answer lost; the tag was taken away since and the launch repeated.
fn launched_already() -> Worker {
    created()
        .asked(patch_tags(&[("team", "labs")], &[]), -9)
        .issuing(0)
        .refused(FailureKind::Other, 1)
        .asked(patch_tags(&[("cost", "7")], &["team"]), 2)
        .issuing(31)
        .refused(FailureKind::AlreadyLaunched, 32)
}

#[test]
fn a_launch_that_ec2_says_was_made_is_searched_for_and_never_repeated() {
    let mut worker = launched_already();
    assert_eq!(worker.status(), Status::Provisioning);
    let (mut at, mut searches) = (32, Vec::new());
    while worker.state().gave_up.is_empty() {
        assert!(at < 9999, "it gives up in the end");
        let (events, plan) = worker.proceeding(at);
        worker = worker.with(&events);
        if let Some(action) = plan.action {
            assert_eq!(action, Action::Locate);
            searches.push(at);
            worker = worker.with(&[worker.not_located(t(at))]);
        }
        at += 30;
    }
    assert_eq!(searches, [32, 62, 122, 242, 482]);
    assert_eq!(worker.status(), Status::Failed);
    let again = worker.asked(Command::Start, 9999);
    assert_eq!(again.planned(9999), "locate: launch_unresolved");
}

#[test]
fn a_worker_that_ends_is_not_said_to_have_no_instance_when_ec2_says_it_has() {
    let worker = launched_already().asked(Command::Terminate { confirm: None }, 40).issuing(40);
    let searched = worker.with(&[worker.not_located(t(4000))]);
    assert!(!searched.is_over());
    assert_eq!(searched.planned(4030), "locate: launch_unresolved");
}

#[test]
fn an_instance_that_is_located_is_given_the_tags_it_lacks_and_loses_those_it_must_not_carry() {
    let worker = launched_already().issuing(33);
    let mut carried = worker.wanted_tags();
    carried.remove("cost");
    carried.extend([("team", "labs"), ("theirs", "x")].map(|(k, v)| (k.to_owned(), v.to_owned())));
    let instance = super::support::INSTANCE.parse().expect("an id");
    let located = [Event::Launched { instance, at: t(33) }, worker.tags_found(&carried)];
    let worker = worker.accepted(33).with(&located).seeing(event(Observed::Running, 60));
    let Some(Action::Tag { set, remove, .. }) = worker.proceeding(61).1.action else { panic!("tags") };
    assert_eq!(set.into_iter().collect::<Vec<_>>(), [("cost".to_owned(), "7".to_owned())]);
    assert_eq!(remove.into_iter().collect::<Vec<_>>(), ["team"]);
}

#[test]
fn a_tag_that_is_back_before_the_instance_is_found_is_set_if_it_is_not_there() {
    let worker = launched_already().asked(patch_tags(&[("team", "labs")], &[]), 33).issuing(34);
    let mut carried = worker.wanted_tags();
    carried.remove("team");
    let instance = super::support::INSTANCE.parse().expect("an id");
    let located = [Event::Launched { instance, at: t(34) }, worker.tags_found(&carried)];
    let worker = worker.accepted(34).with(&located).seeing(event(Observed::Running, 60));
    assert_eq!(worker.planned(61), "tag: tags_differ");
}

#[test]
fn a_start_that_falls_back_to_stopped_is_retried_and_given_up_in_the_end() {
    let mut worker = stopped().asked(Command::Start, 0);
    let (mut at, mut starts) = (0, 0);
    while worker.state().gave_up.is_empty() {
        assert!(at < 20_000, "it gives up in the end");
        let (events, plan) = worker.proceeding(at);
        worker = worker.with(&events);
        if plan.action.is_some() {
            starts += 1;
            worker = worker.accepted(at).seeing(response(Observed::Pending, at));
            worker = worker.seeing(event(Observed::Stopped, at + 20));
        }
        at += 30;
    }
    assert_eq!((starts, worker.status()), (MAX_ATTEMPTS, Status::Failed));
    assert!(worker.state().gave_up[&ActionKind::Start].reason.contains("time limit"));
}

/// Why the first fact says that the attempt failed.
fn overdue(worker: &Worker) -> String {
    let events = worker.proceeding(9999).0;
    let Some(Event::ActionFailed { failure, .. }) = events.first() else { panic!("{events:?}") };
    failure.message.clone()
}

#[test]
fn a_start_that_ec2_undoes_has_failed_in_the_words_of_ec2_and_not_in_those_from_before() {
    const WHY: &str = "Client.InternalError: Client error on launch";
    let silent = "the instance is stopped and the time limit has passed";
    let pending = starting().accepted(1).seeing(response(Observed::Pending, 1));
    let fallen = pending.clone().seeing(because(WHY, event(Observed::Stopped, 20)));
    assert_eq!(overdue(&fallen), format!("{silent}; EC2 says: {WHY}"));
    assert_eq!(overdue(&pending.seeing(event(Observed::Stopped, 20))), silent);
    // Nothing was heard since the call: that it was stopped by a user is why it had to be started.
    let by_user = because("Client.UserInitiatedShutdown", event(Observed::Stopped, -10));
    let before = stopped().seeing(by_user).asked(Command::Start, 0).issuing(0).accepted(1);
    assert_eq!(overdue(&before), silent);
    // Nor is it why EC2 knows the instance no more.
    let missing = fallen.seeing(not_found(100)).seeing(not_found(200));
    assert_eq!(overdue(&missing), "the instance is missing and the time limit has passed");
}

#[test]
fn an_instance_that_ec2_never_finishes_moving_is_given_up_once_ec2_can_tell_how_it_was_at_the_deadline() {
    let policy = policy(DriftPolicy::Alert);
    let worker = starting().accepted(1).seeing(response(Observed::Pending, 1));
    assert_eq!(worker.act_by(&policy, t(2)), Some(t(330)));
    assert!(!worker.seems_to_hang(&policy, t(329)));
    assert_eq!(worker.proceeding(329).0, Vec::new());
    let (events, _) = worker.proceeding(330);
    assert_eq!(names(&events), ["action_failed", "gave_up", "status_changed"]);
    // Not before EC2 was asked: its event may be lost.
    assert!(worker.seems_to_hang(&policy, t(330)));
    let arrived = worker.seeing(describe(Observed::Running, 330));
    assert!(!arrived.seems_to_hang(&policy, t(330)));
    assert_eq!((arrived.status(), arrived.proceeding(330).0), (Status::Running, Vec::new()));
}

#[test]
fn a_start_that_somebody_else_makes_again_when_its_time_is_nearly_up_has_failed_and_is_not_given_up() {
    let fallen =
        starting().accepted(1).seeing(response(Observed::Pending, 1)).seeing(event(Observed::Stopped, 130));
    let pending = fallen.seeing(event(Observed::Pending, 290));
    assert_eq!(names(&pending.proceeding(330).0), ["action_failed"]);
    // If that one hangs it is told when its own time is up.
    let failed = pending.with(&pending.proceeding(330).0);
    assert_eq!(failed.act_by(&policy(DriftPolicy::Alert), t(331)), Some(t(290 + 300 + 30)));
}

#[test]
fn a_lost_answer_to_tagging_gives_nothing_up_while_ec2_moves_the_instance() {
    let worker = running().asked(patch_tags(&[("team", "labs")], &[]), 0).issuing(0);
    let worker = worker.seeing(event(Observed::Stopping, 10));
    assert_eq!(names(&worker.proceeding(120).0), ["action_failed"]);
}

#[test]
fn bare_metal_gets_longer() {
    for (kind, metal, usual) in [
        (ActionKind::Launch, 30, 10),
        (ActionKind::Start, 30, 5),
        (ActionKind::Stop, 25, 10),
        (ActionKind::Terminate, 25, 10),
        (ActionKind::Tag, 2, 2),
    ] {
        assert_eq!(kind.time_limit(true), SignedDuration::from_mins(metal));
        assert_eq!(kind.time_limit(false), SignedDuration::from_mins(usual));
    }
    let deadline =
        |name| created_as(name).issuing(0).state().attempt.as_ref().map(|attempt| attempt.deadline);
    assert_eq!(deadline("m5zn.metal"), Some(t(1800)));
    assert_eq!(deadline("m5.metal-24xl"), Some(t(1800)));
    assert_eq!(deadline("m5.large"), Some(t(600)));
    let stopping = launched_as("m5zn.metal").seeing(event(Observed::Running, -600)).asked(Command::Stop, 0);
    let deadline = stopping.issuing(0).state().attempt.as_ref().map(|attempt| attempt.deadline);
    assert_eq!(deadline, Some(t(1500)));
}

#[test]
fn the_back_off_doubles_up_to_fifteen_minutes() {
    let seconds: Vec<i64> = (1..=8).map(|number| ActionKind::Start.back_off(number).as_secs()).collect();
    assert_eq!(seconds, [30, 60, 120, 240, 480, 900, 900, 900]);
}

#[test]
fn each_failure_is_tried_again_as_often_as_it_makes_sense() {
    for kind in FailureKind::ALL {
        let (worker, number) = exhaust(stopped().asked(Command::Start, 0), *kind);
        assert_eq!(number, if kind.is_retryable() { MAX_ATTEMPTS } else { 1 }, "{kind}");
        assert_eq!(worker.status(), Status::Failed);
        let reason = &worker.state().gave_up[&ActionKind::Start].reason;
        assert!(reason.ends_with(&format!("EC2 says {kind}")), "{reason}");
        assert_eq!(worker.act_by(&policy(DriftPolicy::Alert), t(200_000)), None);
        assert_eq!(worker.planned(200_000), "-: gave_up");
    }
}

#[test]
fn a_command_starts_afresh_after_giving_up() {
    let (worker, _) = exhaust(stopped().asked(Command::Start, 0), FailureKind::Capacity);
    let events = worker.deciding(Command::Start, 5000).expect("allowed");
    assert_eq!(names(&events), ["desired_changed", "status_changed"]);
    let worker = worker.with(&events).issuing(5001);
    assert_eq!(worker.state().attempt.as_ref().map(|attempt| attempt.number), Some(1));
}

#[test]
fn reaching_the_state_undoes_giving_up_and_older_evidence_does_not() {
    let worker = starting().refused(FailureKind::Denied, 1).issuing(2);
    assert_eq!(worker.status(), Status::Failed);
    let late = worker.clone().seeing(event(Observed::Running, -50_000));
    assert_eq!(late.status(), Status::Failed);
    let worker = worker.seeing(event(Observed::Running, 60));
    assert_eq!((worker.status(), &worker.state().attempt), (Status::Running, &None));
}

#[test]
fn an_attempt_that_is_where_it_leads_when_its_time_is_up_has_not_failed() {
    // Somebody else was a moment faster, and the only evidence is from before our call.
    let worker =
        drifted().issuing_under(DriftPolicy::Revert, 10).accepted(11).seeing(event(Observed::Running, 5));
    assert!(worker.state().attempt.is_some());
    let (events, _) = worker.proceeding(310);
    assert_eq!(names(&events), ["desired_reached"]);
    assert_eq!(worker.with(&events).state().attempt, None);
}

#[test]
fn an_attempt_nobody_wants_any_more_is_closed_once_and_then_left_alone() {
    let worker = drifted().issuing_under(DriftPolicy::Revert, 10).accepted(11);
    let alert = policy(DriftPolicy::Alert);
    assert_eq!(worker.act_by(&alert, t(20)), Some(t(310)));
    let worker = worker.issuing(310);
    assert_eq!(worker.act_by(&alert, t(311)), None);
    assert_eq!(worker.proceeding(9999).0, Vec::new());
}

#[test]
fn one_call_at_a_time() {
    let worker = running()
        .asked(patch_tags(&[("team", "labs")], &[]), 0)
        .issuing(0)
        .seeing(event(Observed::Running, 1));
    let mut state = worker.state().clone();
    state.reboot_requested_at = Some(t(2));
    let worker = Worker::from(state);
    assert_eq!(worker.planned(59), "-: in_flight");
    assert_eq!(worker.planned(60), "reboot: reboot_requested");
}

#[test]
fn a_reboot_is_done_once() {
    let worker = running().asked(Command::Reboot, 0);
    assert_eq!(worker.planned(1), "reboot: reboot_requested");
    let worker = worker.issuing(1);
    assert_eq!(worker.planned(2), "-: in_flight");
    let worker = worker.accepted(2);
    assert_eq!(worker.planned(3), "-: as_desired");
    assert_eq!(worker.seeing(event(Observed::Running, 60)).planned(61), "-: as_desired");
}

#[test]
fn what_has_stopped_meanwhile_is_not_rebooted_when_it_runs_again() {
    let worker = running().asked(Command::Reboot, 0).seeing(event(Observed::Stopped, 10));
    assert_eq!(worker.seeing(event(Observed::Running, 600)).planned(601), "-: as_desired");
}

#[test]
fn the_tags_that_allow_us_to_act_come_before_the_act() {
    let worker = imported(Observed::Running).asked(Command::Stop, 0);
    assert_eq!(worker.planned(1), "tag: adoption");
    let Some(Action::Tag { set, remove, .. }) = worker.proceeding(1).1.action else { panic!("tags") };
    assert_eq!((&set, remove.is_empty()), (&worker.wanted_tags(), true));
    assert!(set.contains_key(MANAGED_TAG));
    let worker = worker.issuing(1).accepted(2).with(&[Event::TagsApplied { set, removed: remove }]);
    assert_eq!(worker.planned(3), "stop: requested");
}

#[test]
fn an_imported_instance_is_adopted_even_when_nothing_else_is_to_be_done() {
    assert_eq!(imported(Observed::Running).planned(0), "tag: adoption");
}

#[test]
fn tags_are_brought_in_line_by_their_difference() {
    let tagged = |worker: Worker| {
        let (events, plan) = worker.proceeding(1);
        let Some(Action::Tag { set, remove, .. }) = plan.action else { panic!("tags, not {plan:?}") };
        let worker = worker.with(&events).accepted(1);
        (worker.with(&[Event::TagsApplied { set: set.clone(), removed: remove.clone() }]), set, remove)
    };
    let (worker, set, remove) =
        tagged(running().asked(patch_tags(&[("team", "labs"), ("cost", "7")], &[]), 0));
    assert_eq!((set.len(), remove.len()), (2, 0));
    assert_eq!(worker.planned(2), "-: as_desired");
    let (worker, set, remove) = tagged(worker.asked(patch_tags(&[("team", "core")], &["cost"]), 0));
    assert_eq!(set.into_iter().collect::<Vec<_>>(), [("team".to_owned(), "core".to_owned())]);
    assert_eq!(remove.into_iter().collect::<Vec<_>>(), ["cost"]);
    assert_eq!(worker.planned(2), "-: as_desired");
}

#[test]
fn a_worker_that_ends_while_its_launch_is_in_the_air_is_searched_for_until_it_would_show() {
    let worker = created().issuing(0).asked(Command::Terminate { confirm: None }, 1);
    assert_eq!(worker.planned(2), "locate: launch_unresolved");
    let mut worker = worker;
    let (mut at, mut searches) = (2, 0);
    while !worker.is_over() {
        assert!(at < 3600 && worker.state().gave_up.is_empty(), "it ends, and is not given up");
        let (events, plan) = worker.proceeding(at);
        worker = worker.with(&events);
        if plan.action == Some(Action::Locate) {
            searches += 1;
            worker = worker.with(&[worker.not_located(t(at))]);
        }
        at += 10;
    }
    assert!(searches > 1 && worker.state().terminated_at >= Some(t(300)), "{searches} until {at}");
}

#[test]
fn a_worker_that_ends_after_a_refused_launch_is_searched_for_as_long_as_an_earlier_one_may_show() {
    // The first call gets no answer. The second is refused for certain, or for what says nothing of the first.
    for kind in [FailureKind::Refused, FailureKind::Throttled] {
        let launched = created().issuing(0).issuing(60).refused(kind, 61);
        let worker = launched.asked(Command::Terminate { confirm: None }, 62);
        assert_eq!(worker.planned(63), "locate: launch_unresolved");
        assert!(matches!(worker.not_located(t(299)), Event::ActionFailed { .. }), "{kind}");
        assert!(matches!(worker.not_located(t(360)), Event::Terminated { .. }), "{kind}");
    }
    // One call whose client tried twice: what the second try was told is no answer to the first.
    let throttled = created().issuing(0).refused(FailureKind::Throttled, 1);
    let worker = throttled.asked(Command::Terminate { confirm: None }, 2);
    assert!(matches!(worker.not_located(t(299)), Event::ActionFailed { .. }));
    assert!(matches!(worker.not_located(t(300)), Event::Terminated { .. }));
    let refused = created().issuing(0).refused(FailureKind::Refused, 1);
    let worker = refused.asked(Command::Terminate { confirm: None }, 2);
    assert!(matches!(worker.not_located(t(3)), Event::Terminated { .. }));
}
