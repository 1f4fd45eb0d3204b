//! The law of evidence: any permutation, repetition or delay of the same evidence ends in the same state.

use std::collections::BTreeSet;

use proptest::prelude::*;
use proptest::sample::Index;

use super::support::{
    BIRTH, Story, created, describe, drifted, event, failed, hold, imported, launched, launched_as,
    not_found, patch_tags, policy, release, response, running, stopped, t,
};
use crate::{
    ActionKind, AlertKind, Command, Desired, DriftPolicy, Event, Evidence, FailureKind, Observed, Source,
    Status, Timestamp, Worker,
};

/// What must not depend on the order.
#[derive(Debug, PartialEq)]
struct State {
    observed: Observed,
    sighting: Option<(Observed, Source, Timestamp)>,
    misses: BTreeSet<Timestamp>,
    failures: BTreeSet<Timestamp>,
    reached_at: Option<Timestamp>,
    /// `None` while EC2 is in transition, which never is drift.
    adrift: Option<bool>,
    attempting: bool,
    gave_up: Vec<ActionKind>,
    has_run: bool,
    idle_at: Option<Timestamp>,
    alerts: Vec<AlertKind>,
    status: Status,
    desired: Desired,
    ended: bool,
}

impl State {
    fn of(worker: &Worker) -> Self {
        let s = worker.state();
        let settled = s.sighting.as_ref().is_some_and(|sighting| sighting.observed.is_settled());
        Self {
            observed: worker.observed(),
            sighting: s.sighting.as_ref().map(|sighting| (sighting.observed, sighting.source, sighting.at)),
            misses: s.misses.clone(),
            failures: s.failures.clone(),
            reached_at: s.reached_at,
            adrift: settled.then_some(s.drift.is_some()),
            attempting: s.attempt.is_some(),
            gave_up: s.gave_up.keys().copied().collect(),
            has_run: s.has_run,
            idle_at: s.idle_at,
            alerts: s.alerts.keys().copied().collect(),
            status: worker.status(),
            desired: s.desired,
            ended: worker.is_over(),
        }
    }

    /// What holds even where evidence changes what is asked for.
    fn of_ec2(worker: &Worker) -> impl PartialEq + std::fmt::Debug {
        let Self { observed, sighting, misses, failures, has_run, idle_at, ended, .. } = Self::of(worker);
        let about_ec2 = |kind: &AlertKind| matches!(kind, AlertKind::Missing | AlertKind::Unobservable);
        let alerts: Vec<AlertKind> = worker.state().alerts.keys().copied().filter(about_ec2).collect();
        (observed, sighting, misses, failures, has_run, idle_at, ended, alerts)
    }
}

/// Workers at 0, in every kind of story evidence can meet.
fn stories() -> Vec<(&'static str, Worker)> {
    let stopping = || running().asked(Command::Stop, -5).issuing(-4).accepted(-3);
    let starting = || stopped().asked(Command::Start, -5).issuing(-4).accepted(-3);
    let reverting = || {
        running().seeing(event(Observed::Stopped, -60)).issuing_under(DriftPolicy::Revert, -50).accepted(-49)
    };
    let given_up = |worker: Worker| worker.refused(FailureKind::Denied, -2).issuing(-1);
    vec![
        ("created", created()),
        ("launching", launched()),
        ("launching metal", launched_as("m5zn.metal")),
        ("launched a minute ago", launched_at(-60)),
        ("running", running()),
        ("stopped", stopped()),
        ("drifted", drifted()),
        ("imported in transition", imported(Observed::Stopping)),
        ("stopping", stopping()),
        ("starting", starting()),
        ("starting, refused", starting().refused(FailureKind::Capacity, -2)),
        ("starting, given up", given_up(starting())),
        ("starting, given up, tagged since", tagged_since(given_up(starting()))),
        ("reverting", reverting()),
        ("reverting, given up", given_up(reverting())),
        ("a stop overtaken by a start", stopping().asked(Command::Start, -1)),
        ("a start overtaken by a stop", starting().asked(Command::Stop, -1)),
        ("terminating", running().asked(Command::Terminate { confirm: None }, -5).issuing(-4).accepted(-3)),
        ("tagging, given up", tagging_given_up()),
        ("blind", running().seeing(failed(-200)).seeing(failed(-140)).seeing(failed(-80))),
        ("missing", running().seeing(not_found(-200)).seeing(not_found(-80))),
        ("busy", busy()),
        ("held", running().asked(hold("cabling"), -5)),
        ("held while stopping", stopping().asked(hold("cabling"), -2)),
        ("held, with tags to set", tagged_since(running()).asked(hold("cabling"), -2)),
    ]
}

fn tagged_since(worker: Worker) -> Worker {
    worker.asked(patch_tags(&[("team", "labs")], &[]), -1).issuing(0)
}

fn launched_at(at: i64) -> Worker {
    let mut state = launched().state().clone();
    state.launched_at = Some(t(at));
    Worker::from(state)
}

fn tagging_given_up() -> Worker {
    imported(Observed::Running)
        .issuing(BIRTH + 10)
        .refused(FailureKind::Denied, BIRTH + 11)
        .issuing(BIRTH + 12)
}

fn busy() -> Worker {
    let reason = "cpu has been high".to_owned();
    let alert = crate::Alert { kind: AlertKind::Cpu, since: t(-30), reason };
    running().with(&[Event::AlertRaised { alert }])
}

/// Times within the hour, often in the same second, in describe's lag of another, or a minute apart.
fn times() -> impl Strategy<Value = i64> {
    prop_oneof![-3..4_i64, -40..40_i64, (-20..20_i64).prop_map(|n| n * 30), -1700..1700_i64]
}

fn living() -> impl Strategy<Value = Observed> {
    prop::sample::select(vec![
        Observed::Pending,
        Observed::Running,
        Observed::Stopping,
        Observed::Stopped,
        Observed::ShuttingDown,
    ])
}

fn piece(observed: impl Strategy<Value = Observed>) -> impl Strategy<Value = Evidence> {
    let of_state = (0..3_u8, observed, times()).prop_map(|(source, observed, at)| match source {
        0 => describe(observed, at),
        1 => response(observed, at),
        _ => event(observed, at),
    });
    prop_oneof![5 => of_state, 1 => times().prop_map(not_found), 1 => times().prop_map(failed)]
}

/// Evidence, and the same evidence in another order, some of it more than once.
fn twice_told(
    piece: impl Strategy<Value = Evidence>,
) -> impl Strategy<Value = (Vec<Evidence>, Vec<Evidence>)> {
    (prop::collection::vec(piece, 1..7), prop::collection::vec(any::<Index>(), 0..4)).prop_flat_map(
        |(evidence, repeated)| {
            let mut again = evidence.clone();
            again.extend(repeated.iter().map(|index| index.get(&evidence).clone()));
            (Just(evidence), Just(again).prop_shuffle())
        },
    )
}

fn any_story() -> impl Strategy<Value = (&'static str, Worker)> {
    prop::sample::select(stories())
}

/// Tells the evidence, each piece a second after the one before: when we learn of it makes no difference.
fn tell(worker: &Worker, drift: DriftPolicy, evidence: &[Evidence], from: i64) -> (Worker, Vec<Event>) {
    let mut worker = worker.clone();
    let mut events = Vec::new();
    for (evidence, seen_at) in evidence.iter().zip(from..) {
        let learnt = worker.observe(&Evidence { seen_at: t(seen_at), ..evidence.clone() }, &policy(drift));
        worker = worker.with(&learnt);
        events.extend(learnt);
    }
    (worker, events)
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 2048, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_same_evidence_in_any_order_ends_in_the_same_state(
        (_, worker) in any_story(),
        drift in prop::sample::select(vec![DriftPolicy::Alert, DriftPolicy::Revert]),
        (evidence, again) in twice_told(piece(living())),
    ) {
        let (one, _) = tell(&worker, drift, &evidence, 2000);
        let (other, _) = tell(&worker, drift, &again, 5000);
        prop_assert_eq!(State::of(&one), State::of(&other));
    }

    #[test]
    fn under_adopt_the_same_evidence_in_any_order_shows_the_same_ec2(
        (_, worker) in any_story(),
        (evidence, again) in twice_told(piece(living())),
    ) {
        let (one, _) = tell(&worker, DriftPolicy::Adopt, &evidence, 2000);
        let (other, _) = tell(&worker, DriftPolicy::Adopt, &again, 5000);
        prop_assert_eq!(State::of_ec2(&one), State::of_ec2(&other));
    }

    #[test]
    fn under_adopt_a_worker_that_was_as_asked_is_asked_for_what_it_settles_in(
        worker in prop::sample::select(vec![running(), stopped(), busy()]),
        (_, evidence) in twice_told(piece(living())),
    ) {
        let (worker, _) = tell(&worker, DriftPolicy::Adopt, &evidence, 2000);
        let settled = worker.state().sighting.as_ref().map(|sighting| sighting.observed).expect("a sighting");
        if settled.is_settled() {
            prop_assert!(settled.fulfils(worker.state().desired));
            prop_assert_eq!(&worker.state().drift, &None);
        }
    }

    #[test]
    fn one_terminated_anywhere_among_the_evidence_ends_the_worker_once_and_for_all(
        (_, worker) in any_story(),
        drift in prop::sample::select(DriftPolicy::ALL),
        (mut evidence, mut again) in twice_told(piece(living())),
        (at, place, other) in (times(), any::<Index>(), any::<Index>()),
    ) {
        let end = event(Observed::Terminated, at);
        evidence.insert(place.index(evidence.len() + 1), end.clone());
        again.insert(other.index(again.len() + 1), end);
        for order in [evidence, again] {
            let (after, events) = tell(&worker, drift, &order, 2000);
            prop_assert_eq!((after.observed(), after.status()), (Observed::Terminated, Status::Terminated));
            let last = events.last().expect("facts");
            prop_assert_eq!(last.name(), "terminated");
            prop_assert_eq!(events.iter().filter(|event| event.name() == "terminated").count(), 1);
        }
    }

    #[test]
    fn a_repeated_piece_of_evidence_teaches_nothing(
        (_, worker) in any_story(),
        drift in prop::sample::select(vec![DriftPolicy::Alert, DriftPolicy::Revert]),
        evidence in prop::collection::vec(piece(living()), 1..5),
    ) {
        let (worker, _) = tell(&worker, drift, &evidence, 2000);
        for piece in &evidence {
            prop_assert_eq!(worker.observe(piece, &policy(drift)), Vec::new());
        }
    }

    #[test]
    fn a_held_worker_changes_nothing_on_ec2_whatever_is_seen_and_whatever_the_policy(
        (_, worker) in any_story(),
        drift in prop::sample::select(DriftPolicy::ALL),
        evidence in prop::collection::vec(piece(living()), 1..7),
        held_after in any::<Index>(),
        later in 0..20_000_i64,
    ) {
        let (before, after) = evidence.split_at(held_after.index(evidence.len()));
        let (worker, _) = tell(&worker, drift, before, 2000);
        prop_assume!(!worker.is_over());
        let (held, _) = tell(&worker.asked(hold("hands off"), 3000), drift, after, 4000);
        let plan = held.plan(&policy(drift), t(5000 + later));
        prop_assert!(plan.action.is_none_or(|action| !action.kind().changes_ec2()));
        let (events, _) = held.proceed(&policy(drift), t(5000 + later));
        let told: Vec<&str> = events.iter().map(Event::name).collect();
        prop_assert!(!told.contains(&"gave_up"), "{:?}", told);
        // Released, it is planned as if it had been free.
        if !held.is_over() && held.state().attempt.is_none() {
            let released = held.clone().asked(release(), 30_000).plan(&policy(drift), t(30_000));
            let mut free = held.state().clone();
            free.held = None;
            prop_assert_eq!(released, Worker::from(free).plan(&policy(drift), t(30_000)));
        }
    }

    #[test]
    fn older_evidence_never_overwrites_newer(
        (_, worker) in any_story(),
        evidence in prop::collection::vec(piece(living()), 1..7),
    ) {
        let mut worker = worker;
        for piece in &evidence {
            let before = worker.clone();
            worker = worker.seeing(piece.clone());
            let (old, new) = (&before.state().sighting, &worker.state().sighting);
            prop_assert!(old.as_ref().map(crate::Sighting::order) <= new.as_ref().map(crate::Sighting::order));
        }
    }
}
