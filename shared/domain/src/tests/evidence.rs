//! The rules of evidence.

use super::support::{
    Story, because, created, describe, event, failed, imported, launched, names, not_found, policy, response,
    running, stopped, t,
};
use crate::{
    AlertKind, Command, Details, DriftPolicy, Event, Evidence, Finding, Observed, Source, Status, Worker,
};

const RUNNING: Observed = Observed::Running;
const STOPPED: Observed = Observed::Stopped;

#[test]
fn a_describe_soon_after_an_event_does_not_overwrite_it() {
    let worker = running().seeing(event(STOPPED, 0));
    assert_eq!(worker.clone().seeing(describe(RUNNING, 30)).observed(), STOPPED);
    assert_eq!(worker.seeing(describe(RUNNING, 31)).observed(), RUNNING);
}

#[test]
fn an_event_overwrites_a_describe_that_was_made_up_to_30_seconds_later() {
    let worker = running().seeing(describe(RUNNING, 30));
    assert_eq!(worker.clone().seeing(event(STOPPED, 0)).observed(), STOPPED);
    assert_eq!(worker.seeing(event(STOPPED, -1)).observed(), RUNNING);
}

#[test]
fn an_answer_to_our_own_call_counts_like_an_event_and_yields_to_one_of_the_same_second() {
    let answered = running().seeing(response(Observed::Stopping, 0));
    assert_eq!(answered.clone().seeing(describe(RUNNING, 30)).observed(), Observed::Stopping);
    assert_eq!(answered.seeing(event(STOPPED, 0)).observed(), STOPPED);
}

#[test]
fn of_two_states_in_the_same_second_the_later_one_in_an_instances_life_wins() {
    let life = [
        Observed::Pending,
        RUNNING,
        Observed::Stopping,
        STOPPED,
        Observed::ShuttingDown,
        Observed::Terminated,
    ];
    for (earlier, later) in life.iter().zip(&life[1..]) {
        for order in [[*earlier, *later], [*later, *earlier]] {
            let worker = launched().seeing(event(order[0], 0)).seeing(event(order[1], 0));
            assert_eq!(worker.observed(), *later);
        }
    }
}

#[test]
fn older_evidence_is_no_news() {
    let stopped = running().seeing(event(STOPPED, 0));
    for (worker, older) in [(running().seeing(event(RUNNING, 0)), RUNNING), (stopped, Observed::Stopping)] {
        assert_eq!(worker.learning(&event(older, -1)), Vec::new());
    }
}

#[test]
fn that_an_instance_did_not_run_is_learnt_from_late_evidence_too_and_once() {
    let worker = running().seeing(event(RUNNING, 0)).seeing(event(STOPPED, -10));
    assert_eq!((worker.observed(), worker.state().idle_at), (RUNNING, Some(t(-10))));
    for at in [-10, -20] {
        assert_eq!(worker.learning(&event(STOPPED, at)), Vec::new());
    }
}

#[test]
fn what_confirms_the_record_says_so() {
    let events = running().learning(&describe(RUNNING, 0));
    assert!(events.iter().all(Event::only_confirms) && events.len() == 1, "{events:?}");
    let events = running().learning(&because("Server.SpotInstanceTermination", describe(RUNNING, 0)));
    assert!(!events.iter().any(Event::only_confirms));
}

#[test]
fn what_ends_misses_or_failures_is_more_than_a_confirmation() {
    for worker in [running().seeing(not_found(-60)), running().seeing(failed(-60))] {
        let events = worker.learning(&describe(RUNNING, 0));
        assert!(!events.iter().all(Event::only_confirms));
        let after = worker.with(&events);
        assert_eq!((after.state().misses.len(), after.state().failures.len()), (0, 0));
        assert_eq!(after.state().failure_reason, None);
    }
}

#[test]
fn looking_again_is_not_activity() {
    let worker = running().seeing(event(STOPPED, 0));
    let later = worker.clone().seeing(describe(STOPPED, 600)).seeing(describe(STOPPED, 1200));
    assert_eq!(later.state().drift, worker.state().drift);
    assert_eq!(later.state().reached_at, worker.state().reached_at);
    assert_eq!(later.state().desired_since, worker.state().desired_since);
    assert_eq!(later.status(), worker.status());
}

#[test]
fn unknown_and_missing_are_conclusions_and_never_evidence() {
    for observed in [Observed::Unknown, Observed::Missing] {
        assert_eq!(running().learning(&event(observed, 0)), Vec::new());
    }
}

#[test]
fn not_found_is_not_terminated_and_once_is_not_missing() {
    let worker = running().seeing(not_found(0));
    assert_eq!((worker.observed(), worker.status()), (RUNNING, Status::Running));
    assert!(!worker.is_over());
}

#[test]
fn two_misses_a_minute_apart_are_missing_and_an_alert() {
    let once = running().seeing(not_found(0));
    assert_eq!(once.clone().seeing(not_found(59)).observed(), RUNNING);
    let events = once.learning(&not_found(60));
    assert_eq!(names(&events), ["instance_not_found", "alert_raised", "status_changed"]);
    let worker = once.with(&events);
    assert_eq!((worker.observed(), worker.status()), (Observed::Missing, Status::Unknown));
    assert!(worker.state().alerts.contains_key(&AlertKind::Missing));
}

#[test]
fn misses_within_five_minutes_of_the_launch_mean_nothing() {
    let mut state = launched().state().clone();
    state.launched_at = Some(t(0));
    let worker = Worker::from(state).seeing(not_found(30)).seeing(not_found(299));
    assert_eq!(worker.observed(), Observed::Unknown);
    let worker = worker.seeing(not_found(300));
    assert_eq!(worker.observed(), Observed::Unknown);
    assert_eq!(worker.seeing(not_found(360)).observed(), Observed::Missing);
}

#[test]
fn failed_calls_never_make_an_instance_missing() {
    let worker = (0..60).fold(running(), |worker, minute| worker.seeing(failed(minute * 60)));
    assert_eq!(worker.observed(), RUNNING);
    assert!(worker.state().misses.is_empty() && !worker.state().alerts.contains_key(&AlertKind::Missing));
}

#[test]
fn a_missing_instance_that_shows_again_is_what_it_shows() {
    let worker = running().seeing(not_found(0)).seeing(not_found(60));
    let events = worker.learning(&describe(RUNNING, 120));
    assert_eq!(names(&events), ["instance_observed", "alert_resolved", "status_changed"]);
    assert_eq!(worker.with(&events).status(), Status::Running);
}

#[test]
fn an_hour_of_misses_is_the_end_and_a_minute_less_is_not() {
    let worker = (0..60).fold(running(), |worker, minute| worker.seeing(not_found(minute * 60)));
    assert!(!worker.is_over());
    let events = worker.learning(&not_found(3600));
    assert_eq!(names(&events), ["instance_not_found", "terminated"]);
    assert!(matches!(events.last(), Some(Event::Terminated { expected: false, .. })));
}

#[test]
fn two_misses_are_no_end_however_far_apart_and_long_ago_is_another_absence() {
    // Looked at once an hour, it takes two hours.
    let twice = running().seeing(not_found(0)).seeing(not_found(3600));
    assert_eq!((twice.is_over(), twice.observed()), (false, Observed::Missing));
    assert!(twice.seeing(not_found(7200)).is_over());
    // Nobody looked in between: somebody asks for the state of a worker that is not monitored, now and then.
    let lone = running().seeing(not_found(0)).seeing(not_found(5401));
    assert_eq!((lone.is_over(), lone.observed()), (false, RUNNING));
    let again = lone.clone().seeing(not_found(5461));
    assert_eq!((again.is_over(), again.observed()), (false, Observed::Missing));
    assert!(!again.clone().seeing(not_found(9000)).is_over());
    // A miss does not bring back what is missing.
    assert_eq!(again.seeing(not_found(5461 + 5401)).observed(), Observed::Missing);
    // It is missing as well if EC2 always says so, however seldom it is asked.
    let seldom = lone.seeing(not_found(3 * 5401));
    assert_eq!((seldom.is_over(), seldom.observed()), (false, Observed::Missing));
    // Not if it is asked three times in a row.
    assert_eq!([0, 1, 2].map(not_found).into_iter().fold(running(), Worker::seeing).observed(), RUNNING);
    // Three within an hour are the end, whatever was before.
    let after = [0, 80, 200, 231, 262].map(|minute| not_found(minute * 60));
    assert!(after.into_iter().fold(running(), Worker::seeing).is_over());
}

#[test]
fn of_many_misses_the_newest_are_kept() {
    let worker = (0..300).fold(running(), |worker, second| worker.seeing(not_found(second)));
    assert_eq!((worker.state().misses.len(), worker.state().misses.first()), (200, Some(&t(100))));
    assert_eq!(worker.observed(), Observed::Missing);
}

#[test]
fn an_end_is_one_fact() {
    let events = running().learning(&because("Client.UserInitiatedShutdown", event(Observed::Terminated, 0)));
    assert_eq!(names(&events), ["instance_observed", "terminated"]);
    let Some(Event::Terminated { at, expected, reason }) = events.last() else { panic!("{events:?}") };
    assert_eq!((*at, *expected, reason.as_str()), (t(0), false, "Client.UserInitiatedShutdown"));
    let worker = running().with(&events);
    assert_eq!(worker.learning(&event(Observed::Terminated, 1)), Vec::new());
    assert_eq!(worker.learning(&event(RUNNING, 100)), Vec::new());
}

#[test]
fn an_end_that_was_asked_for_is_expected_and_still_one_fact() {
    let worker = running().asked(Command::Terminate { confirm: None }, -60).issuing(-60).accepted(-59);
    let worker = worker.seeing(response(Observed::ShuttingDown, -59));
    let events = worker.learning(&event(Observed::Terminated, 0));
    assert_eq!(names(&events), ["instance_observed", "terminated"]);
    assert!(matches!(events.last(), Some(Event::Terminated { expected: true, .. })));
}

#[test]
fn an_end_ends_drift_alerts_and_attempts_without_further_facts() {
    let worker = running().seeing(event(STOPPED, -600)).issuing_under(DriftPolicy::Revert, -590);
    let worker = worker.seeing(not_found(-300)).seeing(not_found(-200));
    assert!(worker.state().drift.is_some() && worker.state().attempt.is_some());
    let ended = worker.seeing(event(Observed::Terminated, 0));
    let state = ended.state();
    assert_eq!((&state.drift, &state.attempt, state.alerts.len()), (&None, &None, 0));
}

#[test]
fn a_failed_call_teaches_nothing_but_that_it_failed() {
    let worker = running().seeing(failed(0)).seeing(failed(60));
    assert_eq!((worker.observed(), worker.status()), (RUNNING, Status::Running));
    let events = worker.learning(&failed(120));
    assert_eq!(names(&events), ["observation_failed", "alert_raised", "status_changed"]);
    let Some(Event::StatusChanged { to, reason, .. }) = events.last() else { panic!("{events:?}") };
    assert_eq!((*to, reason.as_str()), (Status::Unknown, "RequestLimitExceeded"));
    assert_eq!(worker.with(&events).observed(), RUNNING);
}

#[test]
fn only_failures_in_a_row_count() {
    let answers: [(Evidence, Observed); 2] = [(describe(RUNNING, 100), RUNNING), (not_found(100), RUNNING)];
    for (answer, observed) in answers {
        let worker = running().seeing(failed(0)).seeing(failed(60)).seeing(answer).seeing(failed(180));
        assert_eq!((worker.observed(), worker.status()), (observed, Status::Running));
        assert_eq!(worker.state().failures.len(), 1);
    }
}

#[test]
fn not_found_is_an_answer_and_ends_the_alert_about_none() {
    let worker = [0, 60, 120].into_iter().fold(running(), |worker, at| worker.seeing(failed(at)));
    assert!(worker.is_unobservable());
    let events = worker.learning(&not_found(180));
    assert_eq!(names(&events), ["instance_not_found", "alert_resolved", "status_changed"]);
}

#[test]
fn a_failure_within_describes_lag_of_an_event_is_older_than_it() {
    assert_eq!(running().seeing(event(RUNNING, 0)).learning(&failed(30)), Vec::new());
    assert_eq!(names(&running().seeing(event(RUNNING, 0)).learning(&failed(31))), ["observation_failed"]);
}

#[test]
fn evidence_from_before_the_wish_does_not_fulfil_it() {
    let worker = stopped().asked(Command::Start, 0);
    let stale = worker.clone().seeing(describe(RUNNING, 29));
    assert_eq!(stale.state().reached_at, None);
    assert_eq!(worker.clone().seeing(describe(RUNNING, 30)).state().reached_at, Some(t(0)));
    assert_eq!(worker.seeing(event(RUNNING, 0)).state().reached_at, Some(t(0)));
}

#[test]
fn that_an_instance_has_run_is_learnt_from_late_evidence_too() {
    let pending = launched().asked(Command::Stop, -100).seeing(event(Observed::Pending, 0));
    assert_eq!(pending.status(), Status::Provisioning);
    let later = pending.seeing(event(RUNNING, -50));
    assert_eq!((later.observed(), later.status()), (Observed::Pending, Status::Starting));
}

#[test]
fn absent_details_are_not_said_and_what_was_said_before_stays() {
    let details = Details {
        private_ip: "10.0.0.1".parse().ok(),
        public_ip: "203.0.113.1".parse().ok(),
        zone: "eu-central-1a".parse().ok(),
        instance_type: Some("m5.large".to_owned()),
        ..Details::default()
    };
    let finding = Finding::State { observed: RUNNING, details };
    let worker = running().seeing(Evidence { finding, source: Source::Describe, at: t(0), seen_at: t(0) });
    let later = worker.seeing(describe(RUNNING, 60));
    let mut described = describe(RUNNING, 90);
    let private = Details { private_ip: "10.0.0.1".parse().ok(), ..Details::default() };
    described.finding = Finding::State { observed: RUNNING, details: private };
    assert!(!later.learning(&described).iter().all(Event::only_confirms));
    assert_eq!(later.clone().seeing(described).state().public_ip, None, "an elastic one was taken away");
    assert_eq!(later.state().zone, "eu-central-1a".parse().ok());
    assert_eq!(later.state().public_ip, "203.0.113.1".parse().ok());
    let stopped = later.seeing(event(STOPPED, 120));
    assert_eq!(stopped.state().public_ip, None, "EC2 takes it away with the run");
    assert_eq!(stopped.state().private_ip, "10.0.0.1".parse().ok());
}

#[test]
fn what_runs_again_has_no_address_until_one_is_said() {
    let private = |worker: &Worker| worker.state().private_ip;
    let described = |evidence: Evidence| {
        let Finding::State { observed, .. } = evidence.finding else { panic!("a state") };
        let details = Details { private_ip: "10.0.0.1".parse().ok(), ..Details::default() };
        Evidence { finding: Finding::State { observed, details }, ..evidence }
    };
    let known = running().seeing(described(describe(RUNNING, 0)));
    let stopped = known.seeing(event(STOPPED, 60));
    let pending = stopped.clone().seeing(event(Observed::Pending, 120));
    // A machine keeps it while it is stopped, and when nothing but that it still runs is said.
    for kept in [&stopped, &pending, &pending.clone().seeing(described(event(RUNNING, 180)))] {
        assert_eq!(private(kept), "10.0.0.1".parse().ok());
    }
    // That it is not known makes the next look ask: the public address is a new one.
    let runs = pending.seeing(event(RUNNING, 180));
    assert_eq!(private(&runs), None);
    let again = runs.seeing(described(describe(RUNNING, 240)));
    assert_eq!(private(&again.clone().seeing(describe(RUNNING, 300))), "10.0.0.1".parse().ok());
    // What is older than that says nothing.
    assert_eq!(private(&again.seeing(event(RUNNING, 100))), "10.0.0.1".parse().ok());
}

#[test]
fn a_worker_that_is_over_learns_nothing() {
    for worker in [running().asked(Command::Forget, 0), running().seeing(event(Observed::Terminated, 0))] {
        for evidence in [event(STOPPED, 60), not_found(60), failed(60)] {
            assert_eq!(worker.observe(&evidence, &policy(DriftPolicy::Adopt)), Vec::new());
        }
    }
}

#[test]
fn the_record_follows_ec2_whatever_is_asked_for() {
    for observed in Observed::ALL {
        if matches!(observed, Observed::Unknown | Observed::Missing) {
            continue;
        }
        for worker in [launched(), running(), stopped(), imported(RUNNING)] {
            assert_eq!(worker.seeing(event(*observed, 0)).observed(), *observed);
        }
    }
    assert_eq!(created().observed(), Observed::Unknown);
}

#[test]
fn a_sighting_that_comes_after_an_hour_of_misses_is_too_late() {
    let misses = [not_found(0), not_found(900), not_found(3600)];
    let between = event(RUNNING, 1800);
    let [first, second, last] = misses.clone();
    let in_time = running().seeing(first).seeing(second).seeing(between.clone()).seeing(last);
    assert!(!in_time.is_over());
    let ended = misses.into_iter().fold(running(), Worker::seeing);
    assert!(ended.is_over());
    assert_eq!(ended.learning(&between), Vec::new());
}
