//! Whatever state a worker is in, it gets where it was asked to go, or stops with a stated reason.

use super::support::{Story, created, describe, event, imported, launched, not_found, policy, response, t};
use crate::{Action, ActionKind, Command, Desired, DriftPolicy, Event, FailureKind, Observed, Worker};

const STATES: &[Observed] = &[
    Observed::Pending,
    Observed::Running,
    Observed::Stopping,
    Observed::Stopped,
    Observed::ShuttingDown,
    Observed::Terminated,
];

/// An EC2 of one instance: every transition takes one look.
struct Ec2 {
    state: Observed,
    /// What it answers to every call that changes something.
    refuses: Option<FailureKind>,
    /// It does not know the instance any more.
    forgot: bool,
    calls: u32,
}

impl Ec2 {
    fn passes(&mut self) {
        self.state = match self.state {
            Observed::Pending => Observed::Running,
            Observed::Stopping => Observed::Stopped,
            Observed::ShuttingDown => Observed::Terminated,
            settled => settled,
        };
    }

    fn look(&self, at: i64) -> crate::Evidence {
        if self.forgot { not_found(at) } else { describe(self.state, at) }
    }

    fn call(&mut self, kind: ActionKind) -> Result<(), FailureKind> {
        self.calls += 1;
        if let Some(kind) = self.refuses.or(self.forgot.then_some(FailureKind::NotFound)) {
            return Err(kind);
        }
        self.state = match (kind, self.state) {
            (ActionKind::Launch, _) | (ActionKind::Start, Observed::Stopped) => Observed::Pending,
            (ActionKind::Stop, Observed::Running) => Observed::Stopping,
            (ActionKind::Terminate, Observed::Terminated) => Observed::Terminated,
            (ActionKind::Terminate, _) => Observed::ShuttingDown,
            (ActionKind::Start | ActionKind::Stop, _) => return Err(FailureKind::IncorrectState),
            (ActionKind::Reboot | ActionKind::Tag | ActionKind::Locate, same) => same,
        };
        Ok(())
    }
}

/// Lets a minute pass at a time until nothing is due any more, and says why.
fn run(mut worker: Worker, ec2: &mut Ec2, drift: DriftPolicy) -> (Worker, &'static str) {
    let policy = policy(drift);
    for minute in 1..=120 {
        let at = minute * 60;
        ec2.passes();
        worker = worker.seeing_under(drift, ec2.look(at));
        let (events, plan) = worker.proceed(&policy, t(at));
        worker = worker.with(&events);
        if let Some(action) = &plan.action {
            worker = answer(worker, ec2, action, at);
        }
        let still = plan.action.is_none() && worker.act_by(&policy, t(at)).is_none();
        let waits = ["missing", "in_transition", "unobserved"].contains(&plan.reason.as_str());
        if worker.is_over() || (still && !waits && !ec2.forgot) {
            return (worker, plan.reason.as_str());
        }
    }
    panic!("two hours were not enough for {worker:?}");
}

fn answer(worker: Worker, ec2: &mut Ec2, action: &Action, at: i64) -> Worker {
    if let Err(kind) = ec2.call(action.kind()) {
        return worker.refused(kind, at);
    }
    let worker = match action {
        Action::Tag { set, remove, .. } => {
            worker.with(&[Event::TagsApplied { set: set.clone(), removed: remove.clone() }])
        }
        Action::Launch { tags, .. } => worker.with(&[
            Event::Launched { instance: super::support::INSTANCE.parse().expect("an id"), at: t(at) },
            Event::TagsApplied { set: tags.clone(), removed: Default::default() },
        ]),
        _ => worker,
    };
    let worker = worker.accepted(at);
    match action.kind() {
        ActionKind::Tag | ActionKind::Reboot | ActionKind::Locate => worker,
        _ => worker.seeing(response(ec2.state, at)),
    }
}

fn asked(desired: Desired) -> Worker {
    match desired {
        Desired::Running => launched(),
        Desired::Stopped => launched().asked(Command::Stop, -7200),
        Desired::Terminated => launched().asked(Command::Terminate { confirm: None }, -7200),
    }
}

/// Every worker in every state EC2 can be in, never as asked yet, and adrift where that can be.
fn workers() -> Vec<(Desired, Observed, Worker)> {
    let mut all = Vec::new();
    for desired in Desired::ALL {
        for observed in STATES {
            let fresh = asked(*desired).seeing(event(*observed, -600));
            all.push((*desired, *observed, fresh));
            if *desired != Desired::Terminated {
                let reached = STATES.iter().find(|state| state.fulfils(*desired)).expect("a state");
                let left = asked(*desired).seeing(event(*reached, -1200)).seeing(event(*observed, -600));
                all.push((*desired, *observed, left));
            }
        }
    }
    all
}

#[test]
fn every_worker_converges_or_stops_with_a_stated_reason() {
    for (desired, observed, worker) in workers() {
        for drift in DriftPolicy::ALL {
            let mut ec2 = Ec2 { state: observed, refuses: None, forgot: false, calls: 0 };
            let (after, reason) = run(worker.clone(), &mut ec2, *drift);
            let story = format!("{desired} {observed} {drift}: {reason}");
            match reason {
                "as_desired" => assert!(after.observed().fulfils(after.state().desired), "{story}"),
                "drift_left" => {
                    assert!(*drift == DriftPolicy::Alert && after.state().drift.is_some(), "{story}")
                }
                "ended" => assert!(after.state().terminated_at.is_some(), "{story}"),
                other => panic!("{desired} {observed} {drift} ended in {other}"),
            }
            assert_eq!(after.observed(), ec2.state, "{story}");
            assert!(ec2.calls <= 1, "{story} took {} calls", ec2.calls);
            if *drift != DriftPolicy::Alert && ec2.state != Observed::Terminated {
                assert_eq!(reason, "as_desired", "{story}");
            }
        }
    }
}

#[test]
fn a_new_worker_is_launched_and_runs() {
    let mut ec2 = Ec2 { state: Observed::Terminated, refuses: None, forgot: false, calls: 0 };
    let mut worker =
        answer(created().issuing(0), &mut ec2, &created().proceeding(0).1.action.expect("launch"), 0);
    worker = run(worker, &mut ec2, DriftPolicy::Alert).0;
    assert_eq!((worker.observed(), ec2.calls), (Observed::Running, 1));
}

#[test]
fn an_imported_instance_is_adopted_and_left_as_it_is() {
    for observed in [Observed::Pending, Observed::Running, Observed::Stopping, Observed::Stopped] {
        let mut ec2 = Ec2 { state: observed, refuses: None, forgot: false, calls: 0 };
        let (worker, reason) = run(imported(observed), &mut ec2, DriftPolicy::Alert);
        assert_eq!((reason, ec2.calls), ("as_desired", 1), "{observed}");
        assert_eq!(worker.state().applied_tags, worker.wanted_tags());
    }
}

#[test]
fn an_ec2_that_refuses_everything_is_given_up_and_never_asked_for_ever() {
    for (desired, observed, worker) in workers() {
        for drift in DriftPolicy::ALL {
            for refuses in FailureKind::ALL {
                let mut ec2 = Ec2 { state: observed, refuses: Some(*refuses), forgot: false, calls: 0 };
                let (after, reason) = run(worker.clone(), &mut ec2, *drift);
                let story = format!("{desired} {observed} {drift} {refuses}: {reason}");
                assert!(["as_desired", "drift_left", "ended", "exhausted"].contains(&reason), "{story}");
                assert_eq!(!after.state().gave_up.is_empty(), reason == "exhausted", "{story}");
                assert!(ec2.calls <= crate::MAX_ATTEMPTS, "{story} took {} calls", ec2.calls);
            }
        }
    }
}

#[test]
fn an_instance_ec2_does_not_know_any_more_ends_its_worker_within_two_hours() {
    for (desired, observed, worker) in workers() {
        let mut ec2 = Ec2 { state: observed, refuses: None, forgot: true, calls: 0 };
        let (after, _) = run(worker, &mut ec2, DriftPolicy::Revert);
        assert!(after.is_over(), "{desired} {observed}");
    }
}
