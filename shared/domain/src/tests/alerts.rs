//! Vitals, health, and the alerts they raise.

use super::support::{
    INSTANCE, Story, created, describe, event, hold, names, policy, release, running, stopped, t,
};
use crate::{
    ActionKind, AlertKind, CheckStatus, Command, Datapoint, Details, DriftPolicy, Event, Evidence,
    FailureKind, Finding, Health, Metric, Observed, Percent, Policy, Vitals, Worker,
};

/// Values of one metric, a minute apart, the first at 0. The threshold is 90 % for 5 minutes.
fn vitals(metric: Metric, values: &[f64]) -> Vitals {
    spaced(metric, values, 60)
}

fn spaced(metric: Metric, values: &[f64], seconds: i64) -> Vitals {
    let mut vitals = Vitals::default();
    let points = (0..).zip(values).filter_map(|(n, value)| Datapoint::new(t(n * seconds), *value)).collect();
    vitals.insert(metric, points);
    vitals
}

fn assess(worker: &Worker, vitals: &Vitals) -> Vec<&'static str> {
    assess_under(&policy(DriftPolicy::Alert), worker, vitals)
}

fn assess_under(policy: &Policy, worker: &Worker, vitals: &Vitals) -> Vec<&'static str> {
    let newest = vitals.samples().keys().next_back().map_or(0, |at| at.as_second() - t(0).as_second());
    names(&worker.assess(vitals, policy, 60, t(newest + 120)))
}

/// Runs, with its processor known to be busy since 0.
fn busy() -> Worker {
    let events = running().assess(&vitals(Metric::Cpu, &[95.0; 5]), &policy(DriftPolicy::Alert), 60, t(300));
    assert_eq!(names(&events), ["alert_raised"]);
    running().with(&events)
}

#[test]
fn what_cannot_be_a_percentage_is_no_measurement() {
    for value in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -1.1, 101.1, 1e9] {
        assert_eq!(Datapoint::new(t(0), value), None, "{value}");
    }
    for (value, clamped) in [(-1.0, 0.0), (-0.001, 0.0), (0.0, 0.0), (100.0, 100.0), (101.0, 100.0)] {
        assert_eq!(Datapoint::new(t(0), value).map(|point| point.value), Some(clamped));
    }
}

#[test]
fn what_was_not_measured_is_absent_and_not_zero() {
    let mut vitals = vitals(Metric::Cpu, &[0.0]);
    vitals.insert(Metric::Memory, Vec::new());
    assert!(vitals.points(Metric::Memory).is_empty() && !vitals.is_empty());
    let samples = vitals.samples();
    assert_eq!(samples[&t(0)].get(&Metric::Cpu), Some(&0.0));
    assert_eq!(samples[&t(0)].get(&Metric::Memory), None);
    assert!(Vitals::default().is_empty() && Vitals::default().samples().is_empty());
}

#[test]
fn datapoints_are_put_in_order_and_samples_join_the_metrics_by_time() {
    let point = |at, value| Datapoint::new(t(at), value).expect("a measurement");
    let mut vitals = Vitals::default();
    vitals.insert(Metric::Cpu, vec![point(60, 2.0), point(0, 1.0), point(60, 2.0)]);
    vitals.insert(Metric::Disk, vec![point(60, 40.0)]);
    assert_eq!(vitals.points(Metric::Cpu), [point(0, 1.0), point(60, 2.0)]);
    let samples = vitals.samples();
    assert_eq!((samples.len(), samples[&t(0)].len(), samples[&t(60)].len()), (2, 1, 2));
}

#[test]
fn a_metric_must_be_high_for_the_whole_duration() {
    assert_eq!(assess(&running(), &vitals(Metric::Cpu, &[95.0; 4])), [""; 0]);
    assert_eq!(assess(&running(), &vitals(Metric::Cpu, &[95.0, 95.0, 89.9, 95.0, 95.0])), [""; 0]);
    assert_eq!(
        assess(&running(), &vitals(Metric::Cpu, &[10.0, 90.0, 90.0, 90.0, 90.0, 90.0])),
        ["alert_raised"]
    );
}

#[test]
fn each_metric_raises_its_own_alert_at_its_own_threshold() {
    for metric in Metric::ALL {
        let events = running().assess(&vitals(*metric, &[99.0; 5]), &policy(DriftPolicy::Alert), 60, t(300));
        let [Event::AlertRaised { alert }] = events.as_slice() else { panic!("{events:?}") };
        assert_eq!((alert.kind, alert.since), (metric.alert(), t(0)));
        assert_eq!(alert.reason, format!("{metric} has been at or over 90 % for 300 s, last 99.0 %"));
    }
    let mut lower = policy(DriftPolicy::Alert);
    lower.memory.percent = Percent::new(20).expect("a percentage");
    let mut both = vitals(Metric::Cpu, &[30.0; 5]);
    both.insert(Metric::Memory, vitals(Metric::Cpu, &[30.0; 5]).points(Metric::Cpu).to_vec());
    let events = running().assess(&both, &lower, 60, t(300));
    assert!(matches!(events.as_slice(), [Event::AlertRaised { alert }] if alert.kind == AlertKind::Memory));
}

#[test]
fn an_alert_that_is_up_is_not_raised_again() {
    assert_eq!(assess(&busy(), &vitals(Metric::Cpu, &[99.0; 5])), [""; 0]);
}

#[test]
fn an_alert_is_over_when_the_values_are_well_under_the_threshold_for_as_long() {
    assert_eq!(assess(&busy(), &vitals(Metric::Cpu, &[89.0; 5])), [""; 0], "it only hovers");
    assert_eq!(assess(&busy(), &vitals(Metric::Cpu, &[10.0, 10.0, 85.0, 10.0, 10.0])), [""; 0]);
    assert_eq!(assess(&busy(), &vitals(Metric::Cpu, &[10.0; 4])), [""; 0], "too soon");
    assert_eq!(assess(&busy(), &vitals(Metric::Cpu, &[84.9; 5])), ["alert_resolved"]);
}

#[test]
fn an_alert_at_a_very_low_threshold_can_be_over_too() {
    for percent in [1, 4, 5] {
        let mut low = policy(DriftPolicy::Alert);
        low.cpu.percent = Percent::new(percent).expect("a percentage");
        assert_eq!(assess_under(&low, &busy(), &vitals(Metric::Cpu, &[0.0; 5])), ["alert_resolved"]);
    }
}

#[test]
fn no_data_neither_raises_nor_resolves() {
    for worker in [running(), busy()] {
        assert_eq!(assess(&worker, &Vitals::default()), [""; 0]);
    }
}

#[test]
fn values_that_are_not_followed_by_others_neither_raise_nor_resolve() {
    for (worker, value, outcome) in [(running(), 99.0, "alert_raised"), (busy(), 1.0, "alert_resolved")] {
        let values = vitals(Metric::Cpu, &[value; 5]);
        let told = |now| names(&worker.assess(&values, &policy(DriftPolicy::Alert), 60, t(now)));
        assert_eq!(told(240 + 120 + 300), [outcome]);
        assert_eq!(told(240 + 120 + 301), [""; 0]);
    }
    let reason = busy().state().alerts[&AlertKind::Cpu].reason.clone();
    assert_eq!(reason, "cpu has been at or over 90 % for 300 s, last 95.0 %");
}

#[test]
fn what_was_measured_before_the_instance_stopped_is_no_evidence_of_the_next_run() {
    let busy_until = |last: i64| vitals(Metric::Cpu, &vec![99.0; usize::try_from(last).expect("small") + 1]);
    let stops_and_starts =
        [event(Observed::Stopped, 330), event(Observed::Pending, 350), event(Observed::Running, 355)];
    let mut again = busy();
    for evidence in &stops_and_starts {
        again = again.seeing(evidence.clone());
    }
    assert!(again.state().alerts.is_empty());
    // The run begins with the period from 360 on, and has lasted five minutes with the one from 600 on.
    for last in 5..10 {
        assert_eq!(assess(&again, &busy_until(last)), [""; 0], "{last}");
    }
    let events = again.assess(&busy_until(10), &policy(DriftPolicy::Alert), 60, t(720));
    let [Event::AlertRaised { alert }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(alert.since, t(360));
    // A look that is written down later in the same run begins nothing anew.
    let looked = again.seeing(checked(CheckStatus::Impaired, Observed::Running, 600));
    assert_eq!(assess(&looked, &busy_until(10)), ["alert_raised"]);
}

#[test]
fn a_stop_that_is_heard_of_after_the_start_counts_all_the_same() {
    let worker = busy().seeing(event(Observed::Running, 355));
    let events = worker.learning(&event(Observed::Stopped, 330));
    assert_eq!(names(&events), ["instance_observed", "alert_resolved"]);
    let worker = worker.with(&events);
    assert_eq!(worker.observed(), Observed::Running);
    assert_eq!(assess(&worker, &vitals(Metric::Cpu, &[99.0; 10])), [""; 0]);
    assert_eq!(assess(&worker, &vitals(Metric::Cpu, &[99.0; 11])), ["alert_raised"]);
    assert_eq!(names(&worker.learning(&event(Observed::Stopped, 330))), [""; 0], "once is enough");
}

#[test]
fn values_with_gaps_among_them_say_nothing_but_one_may_be_lost() {
    for (worker, value, outcome) in [(running(), 99.0, "alert_raised"), (busy(), 1.0, "alert_resolved")] {
        assert_eq!(assess(&worker, &spaced(Metric::Cpu, &[value; 5], 120)), [""; 0]);
        let point = |minute: i64| Datapoint::new(t(minute * 60), value).expect("a measurement");
        let mut one_lost = Vitals::default();
        one_lost.insert(Metric::Cpu, [0, 1, 3, 4, 5].map(point).to_vec());
        assert_eq!(assess(&worker, &one_lost), [outcome]);
    }
}

#[test]
fn a_coarser_period_needs_fewer_values() {
    let policy = policy(DriftPolicy::Alert);
    let events = running().assess(&vitals(Metric::Cpu, &[99.0]), &policy, 300, t(300));
    assert_eq!(names(&events), ["alert_raised"]);
    // A period of no length is a mistake of the deployment and no reason to panic.
    assert!(running().assess(&vitals(Metric::Cpu, &[99.0]), &policy, 0, t(300)).is_empty());
}

#[test]
fn what_does_not_run_is_not_assessed() {
    let high = vitals(Metric::Cpu, &[99.0; 5]);
    let ended = running().seeing(event(Observed::Terminated, 0));
    for worker in [stopped(), ended, running().asked(Command::Forget, 0)] {
        assert_eq!(assess(&worker, &high), [""; 0]);
    }
}

#[test]
fn a_stop_ends_the_alerts_about_load_and_no_stop_from_before_them_does() {
    assert!(names(&busy().learning(&event(Observed::Stopped, 600))).contains(&"alert_resolved"));
    assert!(!names(&busy().learning(&event(Observed::Stopped, -1))).contains(&"alert_resolved"));
}

fn checked(system: CheckStatus, observed: Observed, at: i64) -> Evidence {
    let health = Health { system, instance: CheckStatus::Ok, ebs: CheckStatus::NotApplicable, at: t(at) };
    let details = Details { health: Some(health), ..Details::default() };
    Evidence { finding: Finding::State { observed, details }, ..describe(observed, at) }
}

#[test]
fn a_change_of_health_is_told_once() {
    let worker = running().seeing(checked(CheckStatus::Ok, Observed::Running, 0));
    assert_eq!(
        names(&worker.learning(&checked(CheckStatus::Ok, Observed::Running, 60))),
        ["instance_observed"]
    );
    let events = worker.learning(&checked(CheckStatus::Impaired, Observed::Running, 60));
    assert_eq!(names(&events), ["instance_observed", "health_changed"]);
    let worker = worker.with(&events);
    assert!(worker.state().health.is_some_and(|health| health.is_impaired()));
    assert_eq!(
        names(&worker.learning(&checked(CheckStatus::Impaired, Observed::Running, 120))),
        ["instance_observed"]
    );
}

#[test]
fn a_machine_that_does_not_run_has_no_health() {
    let worker = running().seeing(checked(CheckStatus::Impaired, Observed::Running, 0));
    let worker = worker.seeing(checked(CheckStatus::InsufficientData, Observed::Stopped, 60));
    assert_eq!(worker.state().health, None);
}

/// Runs, is to stop, EC2 is at that since second 10, and at second 20 it is to run after all.
fn turned() -> Worker {
    let stopping =
        running().asked(Command::Stop, 0).issuing(1).accepted(2).seeing(event(Observed::Stopping, 10));
    stopping.asked(Command::Start, 20)
}

/// Ten minutes after EC2 began to stop it, which is how long that may take, and as much as a describe lags.
const LATE: i64 = 10 + 600 + 30;

#[test]
fn a_transition_that_nothing_of_ours_is_under_way_for_is_told_once_when_its_time_is_up() {
    let policy = policy(DriftPolicy::Alert);
    let somebody_elses = running().seeing(event(Observed::Stopping, 10));
    for worker in [turned(), somebody_elses] {
        assert_eq!(worker.act_by(&policy, t(21)), Some(t(LATE)));
        assert_eq!(worker.proceeding(LATE - 1).0, Vec::new());
        let (events, plan) = worker.proceeding(LATE);
        assert_eq!((names(&events), plan.action), (vec!["alert_raised"], None));
        let told = worker.with(&events);
        assert_eq!(told.state().alerts[&AlertKind::Hanging].since, t(10));
        assert_eq!((told.act_by(&policy, t(LATE)), told.proceeding(99_999).0), (None, Vec::new()));
        // That it is still at it is no news, and that it is over is.
        let still = told.observe(&event(Observed::Stopping, 5000), &policy);
        assert!(still.iter().all(Event::only_confirms), "{still:?}");
        let over = told.observe(&event(Observed::Stopped, 6000), &policy);
        assert!(names(&over).contains(&"alert_resolved"), "{over:?}");
        assert!(told.with(&over).state().alerts.is_empty());
    }
    let over = turned().with(&turned().proceeding(LATE).0).seeing(event(Observed::Stopped, 6000));
    assert_eq!(over.planned(6001), "start: requested");
}

#[test]
fn looks_that_only_repeat_it_do_not_put_off_when_a_transition_hangs() {
    let worker = [60, 120, 180].into_iter().fold(turned(), |worker, at| {
        worker.seeing(super::support::failed(at)).seeing(event(Observed::Stopping, at + 1))
    });
    assert_eq!(worker.state().sighting.as_ref().map(|newest| newest.at), Some(t(181)));
    assert_eq!(worker.act_by(&policy(DriftPolicy::Alert), t(182)), Some(t(LATE)));
    // Another transition is another matter.
    let again = worker.seeing(event(Observed::Stopped, 200)).seeing(event(Observed::Stopping, 300));
    assert_eq!(again.act_by(&policy(DriftPolicy::Alert), t(301)), Some(t(300 + 600 + 30)));
}

#[test]
fn a_transition_hangs_for_as_long_as_its_own_kind_may_not_take() {
    for (observed, seconds) in
        [(Observed::Pending, 300), (Observed::Stopping, 600), (Observed::ShuttingDown, 600)]
    {
        let worker = running().seeing(event(observed, 10)).asked(Command::Stop, 20);
        assert_eq!(
            worker.act_by(&policy(DriftPolicy::Alert), t(21)),
            Some(t(10 + seconds + 30)),
            "{observed}"
        );
    }
    for settled in [Observed::Running, Observed::Stopped] {
        assert_eq!(running().seeing(event(settled, 10)).proceeding(99_999).0, Vec::new(), "{settled}");
    }
    // A launch that was searched for is no attempt any more, and its first start takes as long as it did.
    let instance = INSTANCE.parse().expect("an instance id");
    let found = [
        Event::Launched { instance, at: t(3) },
        Event::ActionAccepted { action: ActionKind::Locate, at: t(3) },
    ];
    let searched = created().issuing(0).refused(FailureKind::AlreadyLaunched, 1).issuing(2);
    let first = searched.with(&found).seeing(event(Observed::Pending, 10));
    assert_eq!(first.state().attempt, None);
    assert_eq!(first.act_by(&policy(DriftPolicy::Alert), t(21)), Some(t(10 + 600 + 30)));
}

#[test]
fn what_was_given_up_before_is_not_what_hangs_now() {
    let failed = stopped().asked(Command::Start, 0).issuing(0).refused(FailureKind::Denied, 1).issuing(2);
    assert!(failed.is_stuck());
    // Somebody else starts it, when they read of that or long afterwards.
    for since in [100, 7200] {
        let worker = failed.clone().seeing(event(Observed::Pending, since));
        let from = since + 300 + 30;
        assert_eq!(worker.act_by(&policy(DriftPolicy::Alert), t(since + 1)), Some(t(from)));
        assert_eq!(names(&worker.proceeding(from).0), ["alert_raised"]);
    }
    // And what was given up because it hung may hang once more.
    let hung = running().asked(Command::Stop, 0).issuing(1).accepted(2).seeing(event(Observed::Stopping, 10));
    let hung = hung.with(&hung.proceeding(LATE).0);
    assert!(hung.state().gave_up[&ActionKind::Stop].hangs);
    let again = hung.seeing(event(Observed::Running, 2000)).seeing(event(Observed::Stopping, 3000));
    assert_eq!(names(&again.proceeding(3000 + 600 + 30).0), ["alert_raised"]);
}

#[test]
fn an_attempt_of_ours_that_hangs_is_given_up_and_not_told_a_second_time() {
    let worker =
        running().asked(Command::Stop, 0).issuing(1).accepted(2).seeing(event(Observed::Stopping, 10));
    let (events, _) = worker.proceeding(LATE);
    assert_eq!(names(&events), ["action_failed", "gave_up", "status_changed"]);
    assert_eq!(worker.with(&events).proceeding(99_999).0, Vec::new());
    // Who asks for something else then is told that EC2 is not there yet.
    let turned = worker.with(&events).asked(Command::Start, 1000);
    assert_eq!(names(&turned.proceeding(1000).0), ["alert_raised"]);
}

#[test]
fn what_hangs_is_told_however_seldom_the_worker_is_looked_at() {
    let unmonitored = Policy { monitoring: false, ..policy(DriftPolicy::Alert) };
    let interval = crate::PollInterval::new(3600).expect("an interval");
    let rarely = Policy { interval, ..policy(DriftPolicy::Alert) };
    for policy in [unmonitored, rarely] {
        assert_eq!(turned().act_by(&policy, t(21)), Some(t(LATE)));
        assert_eq!(names(&turned().proceed(&policy, t(LATE)).0), ["alert_raised"]);
        assert!(turned().seems_to_hang(&policy, t(LATE)) && !turned().seems_to_hang(&policy, t(LATE - 1)));
    }
}

#[test]
fn what_hangs_is_told_of_a_held_worker_once_it_is_released() {
    let held = turned().asked(hold("cabling"), 30);
    assert_eq!(
        (held.act_by(&policy(DriftPolicy::Alert), t(31)), held.proceeding(LATE).0),
        (None, Vec::new())
    );
    let released = held.asked(release(), 9000);
    assert_eq!(names(&released.proceeding(9000).0), ["alert_raised"]);
}
