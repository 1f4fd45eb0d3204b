//! The laws of the buckets, and what it means for a worker to wait for its turn.

use jiff::SignedDuration;
use proptest::prelude::*;

use super::support::{Story, hold, names, policy, release, running, stopped, t};
use crate::{
    ActionKind, Admission, Ask, Command, DriftPolicy, Event, FailureKind, Level, Observed, Queued, Rate,
    Timestamp, Worker,
};

const GOVERNED: [ActionKind; 6] = [
    ActionKind::Launch,
    ActionKind::Start,
    ActionKind::Stop,
    ActionKind::Reboot,
    ActionKind::Terminate,
    ActionKind::Tag,
];

fn ms(millis: i64) -> Timestamp {
    t(0) + SignedDuration::from_millis(millis)
}

fn since(at: Timestamp) -> i64 {
    at.as_millisecond() - t(0).as_millisecond()
}

/// Somebody asks at a time of its own clock, with calls possible for 25 seconds.
fn ask(level: &mut Option<Level>, kind: ActionKind, placed: u32, fresh: u32, at: i64) -> Admission {
    let limits = kind.limits().expect("governed");
    let (after, admission) =
        Level::admit(*level, &limits, Ask { placed, fresh, until: Some(ms(at + 25_000)) }, ms(at));
    *level = Some(after);
    admission
}

/// When each of those who asked without a place has its turn.
fn turns(admission: &Admission, fresh: u32, at: i64) -> Vec<i64> {
    let waiting = (0..fresh - admission.admitted).map(|number| since(admission.places.nth(number)));
    (0..admission.admitted).map(|_| at).chain(waiting).collect()
}

/// No window has more than the bucket and what flows in meanwhile, give or take what the clocks differ by.
fn keeps(rate: Rate, mut granted: Vec<i64>, skew: i64) {
    granted.sort_unstable();
    for (first, from) in granted.iter().enumerate() {
        for (number, to) in granted.iter().enumerate().skip(first) {
            let most = i64::from(rate.capacity) + (to - from + skew) / i64::from(rate.millis);
            let taken = i64::try_from(number - first + 1).expect("few");
            assert!(taken <= most, "{taken} of {most} in {} ms", to - from);
        }
    }
}

/// EC2's buckets as it documents them, counted in token-milliseconds.
fn ec2(kind: ActionKind) -> (i64, i64) {
    match kind {
        ActionKind::Launch | ActionKind::Start => (1000, 2),
        _ => (1000, 20),
    }
}

prop_compose! {
    fn asks()(gaps in prop::collection::vec((0_i64..30_000, 1_u32..400, -5_000_i64..=5_000), 1..9)) -> Vec<(i64, u32, i64)> {
        let mut at = 0;
        gaps.into_iter().map(|(gap, fresh, skew)| { at += gap; (at, fresh, skew) }).collect()
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn no_window_is_granted_more_than_the_bucket_and_what_flows_in(
        kind in prop::sample::select(&GOVERNED[..]), asks in asks(), skewed in any::<bool>(),
    ) {
        let limits = kind.limits().expect("governed");
        let (mut level, mut workers, mut calls) = (None, Vec::new(), Vec::new());
        for (at, fresh, skew) in asks {
            let at = if skewed { at + skew } else { at };
            let admission = ask(&mut level, kind, 0, fresh, at);
            workers.extend(turns(&admission, fresh, at));
            let made = admission.admitted.div_ceil(limits.batch);
            calls.extend((0..made).map(|number| since(admission.calls.nth(number))));
            prop_assert!((0..made).all(|number| admission.calls.nth(number) <= ms(at + 25_000)));
        }
        let skew = if skewed { 10_000 } else { 0 };
        keeps(limits.workers, workers, skew);
        keeps(limits.calls, calls, skew);
    }

    #[test]
    fn who_asks_first_makes_no_difference_to_what_is_granted(
        kind in prop::sample::select(&GOVERNED[..]), one in 1_u32..900, other in 1_u32..900, before in 0_u32..900,
    ) {
        let granted = |first: u32, second: u32| {
            let mut level = None;
            ask(&mut level, kind, 0, before, 0);
            let mut all = Vec::new();
            for fresh in [first, second] {
                let admission = ask(&mut level, kind, 0, fresh, 60_000);
                all.extend(turns(&admission, fresh, 60_000));
            }
            all.sort_unstable();
            (level.expect("asked").workers_full_at, all.len(), all.last().copied())
        };
        prop_assert_eq!(granted(one, other), granted(other, one));
    }

    #[test]
    fn a_place_that_is_taken_while_it_is_kept_is_never_too_much_for_ec2(
        kind in prop::sample::select(vec![ActionKind::Start, ActionKind::Stop, ActionKind::Terminate]),
        asks in prop::collection::vec((0_i64..1_200_000, 1_u32..2_500), 1..6),
        percent in 1_i64..=100,
    ) {
        let kept = i64::try_from(kind.place_kept().as_millis()).expect("short");
        // Whoever waits is fetched from time to time, and all of them together.
        let sweep = kept * percent / 100;
        let (mut level, mut now, mut used) = (None, 0, Vec::new());
        for (gap, fresh) in asks {
            now += gap;
            let admission = ask(&mut level, kind, 0, fresh, now);
            used.extend(turns(&admission, fresh, now).into_iter().map(|at| {
                if at > now { (at + sweep - 1).div_euclid(sweep) * sweep } else { at }
            }));
        }
        used.sort_unstable();
        let (capacity, per_second) = ec2(kind);
        let (mut tokens, mut at) = (capacity * 1000, 0);
        for use_at in used {
            tokens = (tokens + (use_at - at) * per_second).min(capacity * 1000) - 1000;
            at = use_at;
            prop_assert!(tokens >= 0, "{} ms too much at {use_at}", -tokens);
        }
    }
}

/// EC2's buckets of requests: how many it holds, and how many flow in each second.
fn requests(kind: ActionKind) -> (i64, i64) {
    match kind {
        ActionKind::Launch | ActionKind::Start => (5, 2),
        ActionKind::Stop | ActionKind::Reboot => (50, 5),
        ActionKind::Terminate => (100, 5),
        ActionKind::Tag => (100, 10),
        ActionKind::Locate => unreachable!("it only reads"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn clocks_that_differ_and_calls_that_take_their_time_are_never_too_much_for_ec2(
        kind in prop::sample::select(&GOVERNED[..]),
        asks in prop::collection::vec((0_i64..4_000, 1_u32..400, -300_i64..=300), 1..12),
        ways in prop::collection::vec(0_i64..900, 1..50),
    ) {
        let limits = kind.limits().expect("governed");
        let (mut level, mut now, mut calls) = (None, 0, Vec::new());
        for (gap, fresh, skew) in asks {
            now += gap;
            let admission = ask(&mut level, kind, 0, fresh, now + skew);
            for number in 0..admission.admitted.div_ceil(limits.batch) {
                let begun = since(admission.calls.nth(number)) - skew;
                let batch = limits.batch.min(admission.admitted - number * limits.batch);
                calls.push((begun + ways[calls.len() % ways.len()], i64::from(batch)));
            }
        }
        calls.sort_unstable();
        let ((most, per_second), (workers, workers_per_second)) = (requests(kind), ec2(kind));
        let (mut tokens, mut places, mut at) = (most * 1000, workers * 1000, 0);
        for (arrived, batch) in calls {
            tokens = (tokens + (arrived - at) * per_second).min(most * 1000) - 1000;
            places = (places + (arrived - at) * workers_per_second).min(workers * 1000) - batch * 1000;
            at = arrived;
            prop_assert!(tokens >= 0 && places >= 0, "{tokens} {places} at {arrived}");
        }
    }
}

#[test]
fn places_follow_each_other_as_tokens_do() {
    let mut level = None;
    let first = ask(&mut level, ActionKind::Start, 0, 1200, 0);
    assert_eq!(first.admitted, 997, "a little is held back");
    assert_eq!([0, 1, 199].map(|number| since(first.places.nth(number))), [500, 1000, 100_000]);
    let second = ask(&mut level, ActionKind::Start, 0, 2, 50_000);
    assert_eq!(second.admitted, 0, "others were first");
    assert_eq!([0, 1].map(|number| since(second.places.nth(number))), [102_000, 102_500]);
    let third = ask(&mut level, ActionKind::Start, 120, 0, 60_000);
    assert_eq!(third.admitted, 120, "their tokens were taken out already");
    assert_eq!([0, 1, 2].map(|number| since(third.calls.nth(number))), [60_000, 60_000, 60_500]);
}

#[test]
fn who_cannot_be_called_for_in_time_waits_until_there_are_calls() {
    let mut level = None;
    let limits = ActionKind::Launch.limits().expect("governed");
    let admission = ask(&mut level, ActionKind::Launch, 0, 70, 0);
    assert_eq!(admission.admitted, 52, "2 at once and 2 a second for 25 seconds");
    assert_eq!([1, 2, 51].map(|number| since(admission.calls.nth(number))), [0, 500, 25_000]);
    assert_eq!(since(admission.places.nth(0)), 25_000, "not at once, though there are tokens for workers");
    let placed = ask(&mut level, ActionKind::Launch, 3, 0, 1_000);
    assert_eq!(placed.admitted, 2, "a place is none for calls");
    assert!(placed.places.nth(0) > ms(1_000));
    assert_eq!(limits.batch, 1);
}

#[test]
fn when_ec2_throttles_all_the_same_nothing_is_left_and_no_promise_is_broken() {
    let limits = ActionKind::Start.limits().expect("governed");
    let mut level = Some(Level::empty(&limits, ms(0)));
    let admission = ask(&mut level, ActionKind::Start, 0, 3, 0);
    assert_eq!(admission.admitted, 0);
    assert_eq!(since(admission.places.nth(2)), 1_500);
    let no_time = Ask { placed: 1, fresh: 1, until: None };
    assert_eq!(Level::admit(None, &limits, no_time, ms(0)).1.admitted, 0, "though there are tokens");
    ask(&mut level, ActionKind::Start, 0, 500, 0);
    let queue = level.expect("asked");
    assert_eq!(queue.emptied(&limits, ms(0)).workers_full_at, queue.workers_full_at);
    assert_eq!(
        Level { calls_full_at: ms(0), workers_full_at: ms(0) }.emptied(&limits, ms(0)),
        Level::empty(&limits, ms(0))
    );
}

#[test]
fn what_a_clock_that_was_days_ahead_has_written_does_not_hold_everybody_up() {
    let far = ms(3 * 24 * 3_600_000);
    let mut level = Some(Level { calls_full_at: far, workers_full_at: far });
    let admission = ask(&mut level, ActionKind::Start, 0, 2, 0);
    assert_eq!((admission.admitted, since(admission.places.nth(1))), (0, 1_000), "it counts as empty");
}

#[test]
fn only_reading_is_not_governed() {
    assert_eq!(ActionKind::ALL.iter().filter(|kind| kind.limits().is_none()).count(), 1);
    assert_eq!(ActionKind::Locate.limits(), None);
    assert!(
        GOVERNED.iter().all(|kind| kind.place_kept() > SignedDuration::from_secs(75)),
        "the poll comes once a minute"
    );
}

/// Asked to start at 0, and queued at 1 for 100.
fn queued() -> Worker {
    let worker = stopped().asked(Command::Start, 0);
    let (events, plan) = worker.queue(&policy(DriftPolicy::Alert), t(1), t(100));
    assert_eq!((names(&events), plan.reason.as_str()), (vec!["action_queued"], "requested"));
    let Event::ActionQueued { reason, .. } = &events[0] else { panic!("queued") };
    assert_eq!(reason, "EC2 is asked for at most 2 starts a second in eu-central-1");
    worker.with(&events)
}

#[test]
fn a_worker_that_waits_for_its_turn_does_nothing_until_then_and_loses_no_attempt() {
    let worker = queued();
    assert_eq!(
        (worker.planned(99), worker.planned(100)),
        ("-: queued".to_owned(), "start: requested".to_owned())
    );
    assert_eq!(worker.act_by(&policy(DriftPolicy::Alert), t(2)), Some(t(100)));
    assert_eq!(
        worker.plan(&policy(DriftPolicy::Alert), t(2)).reason.to_string(),
        format!("EC2 is asked for at most 2 starts a second in one region; this one waits until {}", t(100))
    );
    assert_eq!(worker.proceeding(50).0, [], "nothing is written while it waits");
    let issued = worker.issuing(100);
    assert_eq!(issued.state().queued, None);
    assert_eq!(issued.state().attempt.as_ref().map(|attempt| attempt.number), Some(1));
}

#[test]
fn a_place_is_given_up_with_what_it_was_for() {
    let worker = queued();
    for command in [Command::Stop, Command::Terminate { confirm: None }, Command::Forget, hold("cabling")] {
        assert_eq!(worker.clone().asked(command.clone(), 5).state().queued, None, "{command:?}");
    }
    assert_eq!(worker.clone().seeing(super::support::event(Observed::Running, 5)).state().queued, None);
    let rebooting = running().asked(Command::Reboot, 0);
    let rebooting = rebooting.with(&rebooting.queue(&policy(DriftPolicy::Alert), t(1), t(100)).0);
    assert_eq!(rebooting.planned(2), "-: queued");
    let stopped = rebooting.seeing_under(DriftPolicy::Revert, super::support::event(Observed::Stopped, 5));
    assert_eq!(
        stopped.planned_under(DriftPolicy::Revert, 6),
        "start: drift_reverted",
        "nobody waits for the turn of another action"
    );
}

#[test]
fn a_held_worker_takes_no_place_and_queues_anew_once_it_is_released() {
    let held = queued().asked(hold("cabling"), 5);
    assert_eq!(held.queue(&policy(DriftPolicy::Alert), t(6), t(200)).0, [], "nothing is due");
    assert_eq!((held.planned(6), held.planned(100)), ("-: held".to_owned(), "-: held".to_owned()));
    assert_eq!(
        held.act_by(&policy(DriftPolicy::Alert), t(6)),
        None,
        "and nobody looks when its turn would be"
    );
    let released = held.asked(release(), 50);
    assert_eq!(
        released.planned(50),
        "start: requested",
        "its place is gone, and it asks at once for another"
    );
    let again = released.with(&released.queue(&policy(DriftPolicy::Alert), t(50), t(300)).0);
    assert_eq!(
        (again.planned(299), again.planned(300)),
        ("-: queued".to_owned(), "start: requested".to_owned())
    );
}

#[test]
fn a_place_that_only_a_wrong_clock_can_have_given_is_none() {
    let worker = stopped().asked(Command::Start, 0);
    let far = t(2) + SignedDuration::from_hours(25);
    let misled = worker.with(&worker.queue(&policy(DriftPolicy::Alert), t(1), far).0);
    assert_eq!(
        (misled.planned(2), misled.planned(2 + 3601)),
        ("start: requested".to_owned(), "-: queued".to_owned())
    );
}

#[test]
fn a_place_is_kept_for_a_while_and_not_for_ever() {
    let place = Queued { action: ActionKind::Stop, not_before: t(100) };
    assert_eq!([99, 100, 178, 179].map(|at| place.is_up(t(at))), [false, true, true, false]);
}

#[test]
fn a_refused_attempt_waits_for_its_back_off_and_then_for_its_turn() {
    let failed = stopped().asked(Command::Start, 0).issuing(0).refused(FailureKind::Throttled, 1);
    assert_eq!(failed.queue(&policy(DriftPolicy::Alert), t(2), t(100)).0, [], "nothing is due yet");
    let queued = failed.with(&failed.queue(&policy(DriftPolicy::Alert), t(31), t(100)).0);
    assert_eq!(queued.planned(50), "-: queued");
    assert_eq!(queued.issuing(100).state().attempt.as_ref().map(|attempt| attempt.number), Some(2));
}

#[test]
fn a_turn_that_passed_a_while_ago_is_lost_and_a_later_one_taken() {
    let calls = ask(&mut None, ActionKind::Launch, 0, 6, 0).calls;
    assert_eq!([0, 1, 2, 3, 4, 5].map(|number| since(calls.nth(number))), [0, 0, 500, 1000, 1500, 2000]);
    // The bucket of calls holds two, with one more every half second, so a turn is kept for half a second.
    assert_eq!([0, 500].map(|at| calls.kept_from(0, ms(at))), [0, 0]);
    assert_eq!([501, 1000, 1001, 1500].map(|at| calls.kept_from(1, ms(at))), [2, 2, 3, 3]);
    assert_eq!(calls.kept_from(5, ms(1001)), 5, "who is early waits for the own turn");
    assert_eq!(calls.kept_from(5, ms(2501)), 6, "none is left of those that were drawn");
}
