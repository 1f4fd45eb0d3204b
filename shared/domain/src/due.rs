//! When somebody must look at a worker again, and what is found then if an instance hangs between two states.

use jiff::SignedDuration;

use crate::evidence::later;
use crate::{ActionKind, Alert, AlertKind, Attempt, Event, Observed, Policy, Reason, Timestamp, Worker};

impl Worker {
    /// When somebody must look at this worker again, if nothing happens before: at once if a step is due, else when
    /// the attempt under way runs out. `None` if there is nothing to wait for.
    pub fn act_by(&self, policy: &Policy, now: Timestamp) -> Option<Timestamp> {
        let plan = self.plan(policy, now);
        match plan.reason {
            _ if plan.action.is_some() => Some(now),
            Reason::Exhausted { .. } => Some(now),
            Reason::Ended | Reason::Forgotten => None,
            Reason::InFlight { until, .. }
            | Reason::BackingOff { until, .. }
            | Reason::Queued { until, .. } => Some(until),
            // Nothing is due; but an attempt that is still open must be closed when its time is up. What waits for a
            // release is planned afresh when that comes.
            Reason::AsDesired
            | Reason::Requested
            | Reason::NotLaunched
            | Reason::LaunchUnresolved
            | Reason::Unobserved
            | Reason::Missing
            | Reason::DriftReverted
            | Reason::DriftLeft
            | Reason::DriftAdopted
            | Reason::RebootRequested
            | Reason::Adoption
            | Reason::TagsDiffer
            | Reason::GaveUp
            | Reason::Held => self.open_until(policy),
            // Or somebody has to be told that it goes on for too long.
            Reason::InTransition(_) => {
                self.open_until(policy).into_iter().chain(self.hangs_from(policy)).min()
            }
        }
    }

    /// Until when the attempt under way is open.
    fn open_until(&self, policy: &Policy) -> Option<Timestamp> {
        let attempt = self.0.attempt.as_ref();
        let open = attempt.filter(|attempt| attempt.failed.is_none() && !self.waits(attempt.action));
        open.map(|attempt| self.ends_at(attempt, policy))
    }

    /// When the time of an attempt that is open is up. Where EC2 was on its way there, its event that it has arrived may be
    /// lost: a look has the time to say so first.
    pub(crate) fn ends_at(&self, attempt: &Attempt, policy: &Policy) -> Timestamp {
        let on_its_way = attempt.action.leads_to().is_some() && self.moved_by().is_some();
        if on_its_way && self.is_looked_at(policy) {
            later(attempt.deadline, SignedDuration::from_secs(policy.interval.get().into()))
        } else {
            attempt.deadline
        }
    }

    /// What moves an instance as EC2 is moving it now, if it is.
    fn moved_by(&self) -> Option<ActionKind> {
        match self.observed() {
            Observed::Pending => Some(ActionKind::Start),
            Observed::Stopping => Some(ActionKind::Stop),
            Observed::ShuttingDown => Some(ActionKind::Terminate),
            Observed::Unknown
            | Observed::Running
            | Observed::Stopped
            | Observed::Terminated
            | Observed::Missing => None,
        }
    }

    /// Somebody looks at it, and gets answers.
    fn is_looked_at(&self, policy: &Policy) -> bool {
        policy.monitoring && !self.is_unobservable()
    }

    /// From when on EC2 has been moving the instance for longer than it may take, whoever set that in motion, and a look has had
    /// the time to say otherwise. `None` if it is not moving it, if nobody looks, if that was told, or if it will be told in
    /// another way: an attempt of ours that leads nowhere is given up.
    fn hangs_from(&self, policy: &Policy) -> Option<Timestamp> {
        let (sighting, doing) = self.0.sighting.as_ref().zip(self.moved_by())?;
        let under_way = |attempt: &Attempt| attempt.failed.is_none() && attempt.action.leads_to().is_some();
        let told = self.0.alerts.contains_key(&AlertKind::Hanging) || self.is_stuck();
        if told
            || !self.is_looked_at(policy)
            || self.is_held()
            || self.0.attempt.as_ref().is_some_and(under_way)
        {
            return None;
        }
        let over = later(sighting.at, doing.time_limit(self.is_metal()));
        Some(later(over, SignedDuration::from_secs(policy.interval.get().into())))
    }

    /// The fact that the instance hangs between two states, once it is one.
    pub(crate) fn hanging(&self, policy: &Policy, now: Timestamp) -> Option<Event> {
        let since = self.0.sighting.as_ref()?.at;
        self.hangs_from(policy).filter(|from| *from <= now)?;
        let reason = format!(
            "the instance was already {} at {since:.0}, and the time limit has passed",
            self.observed()
        );
        Some(Event::AlertRaised { alert: Alert { kind: AlertKind::Hanging, since, reason } })
    }
}
