//! The fast ways. What happens is recorded because an event says so, carried out and told because the stream does; whoever
//! comes by each minute only makes up for what these lose. So as long as nothing strikes a function on its way, it is fast.

use std::collections::BTreeMap;

use app::record::{EventRecord, Stored};
use domain::{Event, WorkerId};

use crate::faults::Fault;
use crate::wiring::Function;
use crate::world::{Inner, MINUTE, SECOND};

/// How long it takes at most until a change of state is recorded, and until the bus is told of a fact: less than the sweep of
/// `notify` leaves facts to the stream, and more than batches take that wait for each other.
const SOON: i64 = MINUTE;
/// How long it takes as a rule until `act` begins what is due at once. Others that wait for their turn may be before it.
const AT_ONCE: i64 = 15 * SECOND;
/// How many of them it takes to speak of a rule.
const A_FEW: u32 = 20;
/// What makes nothing slow.
const HARMLESS: [Fault; 5] =
    [Fault::ColdStart, Fault::ClockSkew, Fault::TickSkipped, Fault::TickDuplicated, Fault::TickDelayed];

/// What has to happen soon.
#[derive(Debug, Default)]
pub(crate) struct Promptness {
    /// Since when there is something to do for `act`.
    due: BTreeMap<WorkerId, i64>,
    /// How often it began that at once, and how often not.
    at_once: u32,
    late: u32,
}

impl Inner {
    /// Nothing has struck this function that would make it slow.
    fn is_smooth(&self, function: Function) -> bool {
        !self.faults.healed && !self.faults.have_struck(function, &HARMLESS)
    }

    /// A worker was written.
    pub(crate) fn check_promptness(
        &mut self,
        by: Function,
        was: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
    ) {
        let (worker, now) = (record.worker, self.now);
        let begins = |event: &Event| matches!(event, Event::ActionIssued { .. } | Event::ActionQueued { .. });
        let since = self.promptness.due.remove(&worker);
        if let Some(since) = since.filter(|_| by == Function::Act && record.events.iter().any(begins)) {
            let (at_once, counts) = (now - since <= AT_ONCE, self.is_smooth(Function::Act));
            self.promptness.at_once += u32::from(counts && at_once);
            self.promptness.late += u32::from(counts && !at_once);
        }
        // By the clock of whoever wrote it.
        if after.act_by.is_some_and(|at| at.as_millisecond() <= now + 2 * SECOND) {
            self.promptness.due.insert(worker, now);
        }
        if let Some(was) = was.filter(|_| by == Function::Collect) {
            self.check_discovery(was, after);
        }
    }

    /// Who looks every few minutes finds nothing that an event should have told long before.
    fn check_discovery(&mut self, was: &Stored, after: &Stored) {
        let (old, new) = (was.worker.state(), after.worker.state());
        let (Some(before), Some(found)) = (&old.sighting, &new.sighting) else { return };
        let Some(machine) = new.instance.as_ref().and_then(|id| self.ec2.machines.get(id)) else { return };
        let Some(phase) = machine.phases.last() else { return };
        let news = before.observed != found.observed && found.observed == phase.observed;
        // Events tell the second, and of two in one second not which was first.
        let known_before = old.instance == new.instance && before.at.as_second() < phase.since / SECOND;
        if news && known_before && self.now - phase.since > SOON && self.is_smooth(Function::Drift) {
            let (worker, took) = (after.worker.id(), self.now - phase.since);
            self.violated(format!(
                "that {worker} is {} is found after {took} ms, and no event told",
                phase.observed
            ));
        }
    }

    /// The bus is told of these facts.
    pub(crate) fn check_telling(&mut self, record: &str) {
        let Some(told) = self.books.notices.get(record) else { return };
        let took = self.now - told.at;
        if took > SOON && self.is_smooth(Function::Notify) {
            self.violated(format!(
                "the bus is told of {record} after {took} ms, and nothing kept it from that"
            ));
        }
    }

    /// What was slower than it may be as a rule.
    pub(crate) fn tardy(&self) -> Option<String> {
        let Promptness { at_once, late, .. } = self.promptness;
        let slow = at_once + late >= A_FEW && late > at_once;
        slow.then(|| format!("act began {at_once} times what was due at once, and {late} times only later"))
    }
}
