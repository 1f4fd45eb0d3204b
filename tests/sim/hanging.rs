//! Whoever says that EC2 hangs between two states has asked it.

use app::record::{EventRecord, Stored};
use domain::{AlertKind, Event, FailureKind, Observed};

use crate::world::{Inner, MINUTE};

/// How long after a transition is over it may still be taken for one: a describe lags, and what it says takes time to record.
const LAGS: i64 = MINUTE;

impl Inner {
    /// A worker was written. Of what is gone EC2 says nothing.
    pub(crate) fn check_hanging(&mut self, record: &EventRecord, after: &Stored) {
        let has = |what: fn(&Event) -> bool| record.events.iter().any(what);
        let alert =
            |event: &Event| matches!(event, Event::AlertRaised { alert } if alert.kind == AlertKind::Hanging);
        let overdue = |event: &Event| matches!(event, Event::ActionFailed { failure, .. } if failure.kind == FailureKind::Overdue);
        let gave_up = |event: &Event| matches!(event, Event::GaveUp { .. });
        let said = after.worker.observed();
        let moved = matches!(said, Observed::Pending | Observed::Stopping | Observed::ShuttingDown);
        if !moved || !(has(alert) || (has(overdue) && has(gave_up))) {
            return;
        }
        let instance = after.worker.state().instance.as_ref();
        let Some(machine) = instance.and_then(|instance| self.ec2.machines.get(instance)) else { return };
        let Some(phase) = machine.phases.last().filter(|_| !machine.is_forgotten(self.now)) else { return };
        let settled = phase.observed.is_settled() && self.now - phase.since > LAGS;
        if settled {
            let (worker, actual) = (record.worker, phase.observed);
            self.violated(format!(
                "{worker} is said to hang while {said}, and is {actual}: {:?}",
                record.events
            ));
        }
    }
}
