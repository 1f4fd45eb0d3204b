//! Every state there is, and every time there is.

use jiff::SignedDuration;

use super::support::{Story, created, drifted, hold, patch_tags, policy, running, t};
use crate::{
    ActionKind, Attempt, Command, Desired, Drift, DriftPolicy, Event, Failure, FailureKind, MAX_ATTEMPTS,
    Observed, Reason, Sighting, Source, Timestamp, Worker,
};

#[test]
fn what_works_against_what_is_asked_for_is_not_wanted_any_more() {
    let rebooting = running().asked(Command::Reboot, 0);
    let wanted = |worker: &Worker, desired: Desired| {
        let worker = Worker::from(crate::Snapshot { desired, ..worker.state().clone() });
        let wanted = ActionKind::ALL.iter().filter(|action| worker.wants(**action));
        wanted.map(|action| action.as_str()).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(wanted(&running(), Desired::Running), "launch locate start tag");
    assert_eq!(wanted(&running(), Desired::Stopped), "launch locate stop tag");
    assert_eq!(wanted(&running(), Desired::Terminated), "locate terminate tag");
    assert_eq!(wanted(&rebooting, Desired::Running), "launch locate start reboot tag");
    for command in [Command::Stop, Command::Terminate { confirm: None }] {
        assert!(!rebooting.clone().asked(command, 1).wants(ActionKind::Reboot));
    }
}

#[test]
fn what_is_planned_is_wanted() {
    for base in [created(), running(), drifted(), running().asked(Command::Reboot, 0)] {
        every_state(&base, t(0), |worker| {
            for drift in DriftPolicy::ALL {
                let plan = worker.plan(&policy(*drift), t(100_000));
                assert!(plan.action.is_none_or(|action| worker.wants(action.kind())), "{worker:?}");
            }
        });
    }
}

/// No attempt, and every attempt in every phase, at `now`.
fn attempts(now: Timestamp) -> Vec<Option<Attempt>> {
    let mut all = vec![None];
    let failures = FailureKind::ALL.iter().map(|kind| Some(Failure { kind: *kind, message: String::new() }));
    let failures: Vec<Option<Failure>> = std::iter::once(None).chain(failures).collect();
    let deadline = now.checked_add(SignedDuration::from_mins(5)).unwrap_or(now);
    for action in ActionKind::ALL {
        for number in [1, MAX_ATTEMPTS] {
            for accepted in [false, true] {
                for failure in &failures {
                    let failed = failure.clone().map(|failure| (failure, now));
                    let attempt = Attempt {
                        action: *action,
                        number,
                        issued_at: now,
                        deadline,
                        alternative: None,
                        accepted,
                        failed,
                    };
                    all.push(Some(attempt));
                }
            }
        }
    }
    all
}

/// Every desired and observed state, adrift and not, with and without each attempt, made from `base`.
fn every_state(base: &Worker, now: Timestamp, mut check: impl FnMut(Worker)) {
    for desired in Desired::ALL {
        for observed in Observed::ALL {
            for adrift in [false, true] {
                for attempt in attempts(now) {
                    let mut state = base.state().clone();
                    state.desired = *desired;
                    state.attempt = attempt;
                    state.sighting = Some(Sighting {
                        observed: *observed,
                        source: Source::Event,
                        at: now,
                        seen_at: now,
                        state_reason: None,
                    });
                    state.drift = adrift.then_some(Drift {
                        desired: *desired,
                        observed: *observed,
                        since: now,
                        detected_by: Source::Event,
                        reason: None,
                    });
                    check(Worker::from(state));
                }
            }
        }
    }
}

#[test]
fn a_terminated_or_forgotten_worker_never_yields_an_action_or_a_fact() {
    let terminated = Event::Terminated { at: t(0), expected: false, reason: String::new() };
    for base in [running().with(&[terminated]), running().asked(Command::Forget, 0)] {
        every_state(&base, t(0), |worker| {
            for drift in DriftPolicy::ALL {
                for now in [t(0), t(100_000)] {
                    let (events, plan) = worker.proceed(&policy(*drift), now);
                    assert_eq!((events, plan.action), (Vec::new(), None), "{worker:?}");
                    assert_eq!(worker.act_by(&policy(*drift), now), None);
                }
            }
        });
    }
}

#[test]
fn a_worker_whose_instance_ended_yields_no_action_either() {
    every_state(&running(), t(0), |worker| {
        if worker.observed() == Observed::Terminated {
            for drift in DriftPolicy::ALL {
                assert_eq!(worker.plan(&policy(*drift), t(100_000)).action, None);
            }
        }
    });
}

#[test]
fn no_state_at_no_time_makes_the_core_panic() {
    let times = [Timestamp::MIN, t(0), Timestamp::MAX];
    for recorded in times {
        for base in [created(), drifted()] {
            let mut state = base.state().clone();
            state.launched_at = state.launched_at.map(|_| recorded);
            state.misses = [recorded].into();
            every_state(&Worker::from(state), recorded, |worker| {
                let mut state = worker.state().clone();
                if let Some(attempt) = &mut state.attempt {
                    attempt.number = u32::MAX - attempt.number % 2;
                }
                let worker = Worker::from(state);
                for now in times {
                    let policy = policy(DriftPolicy::Revert);
                    let (events, _) = worker.proceed(&policy, now);
                    let after = worker.with(&events);
                    let _ = (after.plan(&policy, now), after.act_by(&policy, now), after.status());
                }
            });
        }
    }
}

#[test]
fn commands_and_evidence_from_any_time_do_not_panic_either() {
    for at in [Timestamp::MIN, Timestamp::MAX] {
        for worker in [created(), running(), created().issuing(0)] {
            let mut evidence = super::support::describe(Observed::Stopped, 0);
            evidence.at = at;
            evidence.seen_at = at;
            let worker = worker.with(&worker.observe(&evidence, &policy(DriftPolicy::Adopt)));
            for command in [Command::Start, Command::Stop, Command::Terminate { confirm: None }] {
                let events = worker.decide(command, super::support::operator(), at).unwrap_or_default();
                let _ = worker.with(&events).not_located(at);
            }
        }
    }
}

#[test]
fn a_held_worker_never_yields_an_action_that_changes_ec2_nor_a_fact_that_says_we_stopped_trying() {
    let located = created().issuing(0).refused(FailureKind::AlreadyLaunched, 1);
    let rebooting = running().asked(Command::Reboot, 0);
    let mut locating = 0;
    for base in [created(), located, super::support::imported(Observed::Running), rebooting] {
        let held = base.asked(patch_tags(&[("team", "labs")], &[]), 1).asked(hold("cabling"), 2);
        every_state(&held, t(2), |worker| {
            for drift in DriftPolicy::ALL {
                for now in [t(60), t(100_000)] {
                    let (events, plan) = worker.proceed(&policy(*drift), now);
                    let kind = plan.action.as_ref().map(crate::Action::kind);
                    assert!(kind.is_none_or(|kind| kind == ActionKind::Locate), "{kind:?}: {worker:?}");
                    locating += u32::from(kind.is_some());
                    for event in &events {
                        let ours = match event {
                            Event::ActionIssued { action, .. }
                            | Event::ActionFailed { action, .. }
                            | Event::GaveUp { action, .. } => *action == ActionKind::Locate,
                            _ => matches!(event, Event::StatusChanged { .. }),
                        };
                        assert!(ours, "{event:?}: {worker:?}");
                    }
                }
            }
        });
    }
    assert!(locating > 0, "looking for an instance goes on");
}

#[test]
fn a_held_worker_waits_for_exactly_what_a_free_one_would_do() {
    for base in [created(), super::support::imported(Observed::Running), drifted()] {
        let base = base.asked(patch_tags(&[("team", "labs")], &[]), 1);
        every_state(&base, t(2), |worker| {
            let held = worker.with(&[Event::Held {
                reason: "cabling".parse().expect("a reason"),
                at: t(2),
                by: super::support::operator(),
            }]);
            for drift in DriftPolicy::ALL {
                let (free, waits) =
                    (worker.plan(&policy(*drift), t(9999)), held.plan(&policy(*drift), t(9999)));
                match free.action {
                    Some(crate::Action::Locate) => assert_eq!(waits.action, Some(crate::Action::Locate)),
                    Some(_) => assert_eq!((waits.action, waits.reason), (None, Reason::Held)),
                    None if matches!(free.reason, Reason::Exhausted { .. }) => {
                        assert!(matches!(waits.reason, Reason::Exhausted { .. } | Reason::Held));
                    }
                    None => assert_eq!(waits.reason, free.reason),
                }
            }
        });
    }
}

#[test]
fn somebody_looks_again_exactly_while_there_is_something_to_wait_for() {
    let untaggable = running().asked(patch_tags(&[("team", "labs")], &[]), 0);
    let given_up = |action| Event::GaveUp { action, attempts: 1, reason: String::new(), at: t(0) };
    let bases = [
        running(),
        untaggable.with(&[given_up(ActionKind::Tag)]),
        running().asked(Command::Reboot, 0).with(&[given_up(ActionKind::Reboot)]),
        untaggable.with(&[given_up(ActionKind::Start)]),
        untaggable.asked(hold("cabling"), 1),
        created().issuing(0).asked(hold("cabling"), 1),
    ];
    bases.iter().for_each(looks_again);
}

fn looks_again(base: &Worker) {
    every_state(base, t(0), |worker| {
        let policy = policy(DriftPolicy::Revert);
        let now = t(30);
        let plan = worker.plan(&policy, now);
        match worker.act_by(&policy, now) {
            Some(at) if at <= now => {
                let (events, _) = worker.proceed(&policy, now);
                assert!(!events.is_empty(), "asked to act at {at} and nothing to do: {worker:?}");
            }
            Some(at) => {
                assert_eq!(plan.action, None);
                let (events, _) = worker.proceed(&policy, at);
                assert!(!events.is_empty(), "asked to come back at {at} and nothing to do: {worker:?}");
            }
            None => {
                assert_eq!(plan.action, None, "{worker:?}");
                // In life a terminated instance ends its worker, and with it the attempt.
                if plan.reason != Reason::Ended {
                    assert_eq!(worker.proceed(&policy, t(100_000)).0, Vec::new(), "{worker:?}");
                }
            }
        }
        // Whoever comes too early finds nothing to do.
        let early = worker.act_by(&policy, now).map(|at| at - SignedDuration::from_secs(1));
        if let Some(early) = early.filter(|early| *early > now) {
            assert_eq!(worker.proceed(&policy, early).0, Vec::new(), "{worker:?}");
        }
    });
}
