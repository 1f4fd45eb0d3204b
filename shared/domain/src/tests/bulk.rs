//! One command for many workers: what a worker makes of it, once, twice and too late; and what is foretold of EC2.

use super::support::{
    Story, describe, drifted, event, hold, names, operator, patch_tags, protect, release, running, stopped, t,
};
use crate::{
    ActionKind, Ask, Bulk, BulkAnswer, BulkRefusal, Command, Desired, FailureKind, Level, Observed, Progress,
    Rejection, TagsPatch, Worker,
};

fn answer(worker: &Worker, bulk: &Bulk, asked_at: i64, now: i64) -> BulkAnswer {
    worker.answer(bulk, t(asked_at), operator(), t(now))
}

/// The worker after it took the command; with how many facts.
fn taken(worker: Worker, bulk: &Bulk, asked_at: i64, now: i64) -> (Worker, usize) {
    let BulkAnswer::Takes(events) = answer(&worker, bulk, asked_at, now) else { panic!("not taken") };
    (worker.with(&events), events.len())
}

fn tagging(value: &str) -> Bulk {
    let Command::Patch { tags, .. } = patch_tags(&[("team", value)], &[]) else { panic!("a patch") };
    Bulk::Tag(tags)
}

#[test]
fn a_worker_takes_what_it_would_take_alone() {
    for (worker, bulk, expected) in [
        (stopped(), Bulk::Start, vec!["desired_changed", "status_changed"]),
        (running(), Bulk::Stop, vec!["desired_changed", "status_changed"]),
        (running(), Bulk::Reboot, vec!["reboot_requested"]),
        (running(), Bulk::Terminate, vec!["desired_changed", "status_changed"]),
        (running(), tagging("net"), vec!["tags_changed"]),
        (running(), Bulk::Sync, vec![]),
    ] {
        let BulkAnswer::Takes(events) = answer(&worker, &bulk, 0, 1) else { panic!("{bulk:?}") };
        assert_eq!(names(&events), expected, "{bulk:?}");
    }
    assert_eq!(answer(&running(), &Bulk::Start, 0, 1), BulkAnswer::Unchanged);
    assert_eq!(answer(&running(), &Bulk::Tag(TagsPatch::default()), 0, 1), BulkAnswer::Unchanged);
}

#[test]
fn who_is_held_or_protected_is_left_out_and_says_why() {
    let held = running().asked(hold("cabling"), 0);
    let protected = running().asked(protect(true), 0);
    let ended = running().seeing(event(Observed::Terminated, 0));
    for (worker, bulk, why) in [
        (&held, Bulk::Stop, BulkRefusal::Held),
        (&protected, Bulk::Terminate, BulkRefusal::Protected),
        (&ended, Bulk::Start, BulkRefusal::Impossible),
        (&stopped(), Bulk::Reboot, BulkRefusal::Impossible),
    ] {
        let BulkAnswer::Refused(rejection) = answer(worker, &bulk, 1, 2) else { panic!("{bulk:?}") };
        assert_eq!(BulkRefusal::from(&rejection), why, "{bulk:?}");
    }
    assert!(matches!(answer(&protected, &Bulk::Stop, 1, 2), BulkAnswer::Takes(_)), "it is only kept alive");
    assert_eq!(BulkRefusal::from(&Rejection::TooManyTags { max: 47 }), BulkRefusal::TooManyTags);
}

#[test]
fn what_was_taken_once_is_not_taken_again_after_a_crash() {
    // Stopped by somebody since: a start by itself would be a fresh order.
    let (started, facts) = taken(stopped(), &Bulk::Start, 0, 1);
    assert_eq!(facts, 2);
    let up = started.issuing(2).accepted(3).seeing(event(Observed::Running, 10));
    let drifted = up.seeing(event(Observed::Stopped, 20));
    assert!(drifted.state().drift.is_some());
    assert_eq!(taken(drifted.clone(), &Bulk::Start, 0, 30).1, 0, "the same command");
    assert_eq!(taken(drifted, &Bulk::Start, 25, 30).1, 2, "another one");

    let (rebooting, _) = taken(running(), &Bulk::Reboot, 0, 1);
    let rebooted = rebooting.issuing(2).accepted(3);
    assert_eq!(rebooted.state().reboot_requested_at, None);
    assert_eq!(taken(rebooted.clone(), &Bulk::Reboot, 0, 30).1, 0, "nobody is rebooted twice by one command");
    assert_eq!(taken(rebooted, &Bulk::Reboot, 25, 30).1, 1);
}

#[test]
fn a_clock_that_is_behind_does_not_make_a_command_a_new_one() {
    let (started, _) = taken(stopped(), &Bulk::Start, 10, 3);
    assert_eq!(started.state().desired_since, t(10));
    let (rebooting, _) = taken(running(), &Bulk::Reboot, 10, 3);
    assert_eq!(taken(rebooting.issuing(4).accepted(5), &Bulk::Reboot, 10, 6).1, 0);
}

#[test]
fn what_was_asked_of_a_worker_since_stands() {
    let meanwhile = stopped().asked(Command::Start, 5);
    assert_eq!(answer(&meanwhile, &Bulk::Stop, 4, 6), BulkAnswer::Superseded);
    assert_eq!(answer(&meanwhile, &Bulk::Terminate, 4, 6), BulkAnswer::Superseded);
    assert!(matches!(answer(&meanwhile, &Bulk::Stop, 6, 7), BulkAnswer::Takes(_)));
    assert_eq!(taken(meanwhile, &Bulk::Start, 4, 6).1, 0, "it is what was asked for");
}

#[test]
fn a_command_is_followed_until_it_is_done_given_up_or_overtaken() {
    let follow = |worker: &Worker, bulk: &Bulk| worker.progress(bulk);
    let (worker, _) = taken(stopped(), &Bulk::Start, 0, 0);
    assert_eq!(follow(&worker, &Bulk::Start), Progress::Waiting);
    let up = worker.clone().issuing(1).accepted(2).seeing(event(Observed::Running, 10));
    assert_eq!(follow(&up, &Bulk::Start), Progress::Done);
    assert_eq!(follow(&up.clone().seeing(event(Observed::Stopped, 90)), &Bulk::Start), Progress::Done);
    assert_eq!(follow(&up.asked(Command::Stop, 99), &Bulk::Start), Progress::Superseded);
    let refused = worker.clone().issuing(1).refused(FailureKind::Invalid, 2);
    let given_up = refused.with(&refused.proceeding(3).0);
    assert_eq!(follow(&given_up, &Bulk::Start), Progress::Failed);
    assert_eq!(follow(&worker.asked(Command::Forget, 3), &Bulk::Start), Progress::Superseded);

    let (worker, _) = taken(running(), &Bulk::Terminate, 0, 0);
    assert_eq!(follow(&worker, &Bulk::Terminate), Progress::Waiting);
    assert_eq!(follow(&worker.seeing(event(Observed::Terminated, 9)), &Bulk::Terminate), Progress::Done);

    let (worker, _) = taken(running(), &Bulk::Reboot, 0, 0);
    assert_eq!(follow(&worker, &Bulk::Reboot), Progress::Waiting);
    let stopping = worker.clone().asked(Command::Stop, 1);
    assert_eq!(follow(&stopping, &Bulk::Reboot), Progress::Superseded);
    let refused = worker.clone().issuing(1).refused(FailureKind::Invalid, 2);
    assert_eq!(follow(&refused.with(&refused.proceeding(3).0), &Bulk::Reboot), Progress::Failed);
    assert_eq!(follow(&worker.issuing(1).accepted(2), &Bulk::Reboot), Progress::Done);

    let (worker, _) = taken(running(), &tagging("net"), 0, 0);
    assert_eq!(follow(&worker, &tagging("net")), Progress::Waiting);
    let refused = worker.clone().issuing(1).refused(FailureKind::Invalid, 2);
    assert_eq!(follow(&refused.with(&refused.proceeding(3).0), &tagging("net")), Progress::Failed);
    let hopeless = super::support::created().issuing(0).refused(FailureKind::Invalid, 1);
    let stuck = hopeless.with(&hopeless.proceeding(2).0);
    let (stuck, _) = taken(stuck, &tagging("net"), 3, 3);
    assert_eq!(follow(&stuck, &tagging("net")), Progress::Failed, "it gets its tags with its instance");
    let tagged = worker.with(&[worker.tags_found(&worker.wanted_tags())]);
    assert_eq!(follow(&tagged, &tagging("net")), Progress::Done);
    assert_eq!(follow(&running(), &Bulk::Sync), Progress::Done);
    assert_eq!(
        follow(&running().seeing(event(Observed::Terminated, 9)), &Bulk::Reboot),
        Progress::Superseded
    );
}

#[test]
fn holding_and_drift_do_not_hide_what_a_command_did() {
    let (worker, _) = taken(drifted(), &Bulk::Start, 60, 60);
    let held = worker.asked(hold("cabling"), 61);
    assert_eq!(held.progress(&Bulk::Start), Progress::Waiting);
    let up = held.asked(release(), 62).issuing(63).accepted(64).seeing(describe(Observed::Running, 200));
    assert_eq!((up.progress(&Bulk::Start), up.state().desired), (Progress::Done, Desired::Running));
}

#[test]
fn a_forecast_promises_what_the_governor_then_gives() {
    for kind in
        [ActionKind::Start, ActionKind::Stop, ActionKind::Reboot, ActionKind::Terminate, ActionKind::Tag]
    {
        let limits = kind.limits().expect("governed");
        let before = Some(Level { calls_full_at: t(1), workers_full_at: t(90) });
        for level in [None, before] {
            let forecast = Level::forecast(level, &limits, t(0));
            let ask = Ask { placed: 0, fresh: 3000, until: Some(t(3600)) };
            let (_, admission) = Level::admit(level, &limits, ask, t(0));
            for number in (0..admission.admitted).step_by(97) {
                let turn = forecast.nth(number);
                assert_eq!(turn, admission.calls.nth(number / limits.batch), "{kind} {level:?} {number}");
            }
            for number in [0, 1, 700, 1999] {
                let nth = admission.admitted + number;
                let turn = admission.places.nth(number).max(admission.calls.nth(nth / limits.batch));
                assert_eq!(forecast.nth(nth), turn, "{kind} {level:?} {number}");
            }
        }
    }
}

#[test]
fn five_thousand_starts_take_two_thousand_seconds_and_a_hundred_and_twenty_calls() {
    let limits = ActionKind::Start.limits().expect("governed");
    let forecast = Level::forecast(None, &limits, t(0));
    assert_eq!(
        (forecast.nth(0), forecast.nth(4999)),
        (t(0), t(2001) + jiff::SignedDuration::from_millis(500))
    );
    assert_eq!((forecast.calls(5000), forecast.calls(1), forecast.calls(0)), (120, 1, 0));
}
