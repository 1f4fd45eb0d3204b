//! When somebody must look at a worker again, and what is found then if an instance hangs between two states.

use crate::evidence::{DESCRIBE_LAG, later};
use crate::{
    ActionKind, Alert, AlertKind, Attempt, Desired, Event, Observed, Policy, Reason, Timestamp, Worker,
};

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
            | Reason::Held => self.open_until(),
            // Or somebody has to be told that it goes on for too long.
            Reason::InTransition(_) => self.open_until().into_iter().chain(self.hangs_from()).min(),
        }
    }

    /// Until when the attempt under way is open.
    fn open_until(&self) -> Option<Timestamp> {
        let attempt = self.0.attempt.as_ref();
        let open = attempt.filter(|attempt| attempt.failed.is_none() && !self.waits(attempt.action));
        open.map(|attempt| self.ends_at(attempt))
    }

    /// When the time of an attempt that is open is up. Where EC2 is still moving the instance it is asked first, and a describe
    /// tells for certain how things were half a minute ago.
    pub(crate) fn ends_at(&self, attempt: &Attempt) -> Timestamp {
        let asks = attempt.action.leads_to().is_some() && self.is_in_transition();
        if asks { later(attempt.deadline, DESCRIBE_LAG) } else { attempt.deadline }
    }

    /// There is nothing to do but to wait for EC2; see [`Reason::InTransition`].
    fn is_in_transition(&self) -> bool {
        match self.observed() {
            Observed::Pending | Observed::Stopping => self.0.desired != Desired::Terminated,
            Observed::ShuttingDown => true,
            Observed::Unknown
            | Observed::Running
            | Observed::Stopped
            | Observed::Terminated
            | Observed::Missing => false,
        }
    }

    /// What is due now rests on EC2 still moving the instance: that an attempt failed or is given up, or that EC2 hangs. That the
    /// move is over may have been told in an event that got lost, and the next look may be an hour away: whoever records it asks
    /// EC2 first.
    pub fn seems_to_hang(&self, policy: &Policy, now: Timestamp) -> bool {
        let (events, plan) = self.proceed(policy, now);
        let says_so = |event: &Event| match event {
            Event::ActionFailed { action, .. } => action.leads_to().is_some(),
            Event::GaveUp { .. } | Event::AlertRaised { .. } => true,
            _ => false,
        };
        matches!(plan.reason, Reason::InTransition(_)) && events.iter().any(says_so)
    }

    /// From when on EC2 has been moving the instance for longer than it may take, whoever set that in motion, and would say so for
    /// certain. `None` if it is not moving it, if the worker is held, if that was told, be it by giving up what EC2 hangs in, or
    /// as long as an attempt of ours is open: that fails first, or is given up.
    fn hangs_from(&self) -> Option<Timestamp> {
        let doing = match moved_by(self.0.sighting.as_ref()?.observed)? {
            // It may be its first time, which takes as long as a launch.
            ActionKind::Start if !self.0.has_run => ActionKind::Launch,
            other => other,
        };
        let under_way = |attempt: &Attempt| attempt.failed.is_none() && attempt.action.leads_to().is_some();
        let told = self.0.alerts.contains_key(&AlertKind::Hanging)
            || self.0.gave_up.values().any(|given_up| given_up.hangs);
        if told || self.is_held() || self.0.attempt.as_ref().is_some_and(under_way) {
            return None;
        }
        Some(later(later(self.moving_since()?, doing.time_limit(self.is_metal())), DESCRIBE_LAG))
    }

    /// Since when EC2 is moving the instance; what was recorded before that was kept tells by its newest sighting.
    fn moving_since(&self) -> Option<Timestamp> {
        self.0.moving_since.or(self.0.sighting.as_ref().map(|newest| newest.at))
    }

    /// EC2 moves the instance like this because of an attempt: it began in the first half of its time, and not when that was nearly
    /// up, by whose doing soever.
    pub(crate) fn moves_for(&self, attempt: &Attempt, observed: Observed) -> bool {
        let moves = if attempt.action == ActionKind::Launch { ActionKind::Start } else { attempt.action };
        let half = attempt.action.time_limit(self.is_metal()) / 2;
        let in_time = self.moving_since().is_none_or(|since| since <= later(attempt.issued_at, half));
        moved_by(observed) == Some(moves) && in_time
    }

    /// The fact that the instance hangs between two states, once it is one.
    pub(crate) fn hanging(&self, now: Timestamp) -> Option<Event> {
        let since = self.moving_since()?;
        self.hangs_from().filter(|from| *from <= now)?;
        let reason = format!(
            "the instance was already {} at {since:.0}, and the time limit has passed",
            self.observed()
        );
        Some(Event::AlertRaised { alert: Alert { kind: AlertKind::Hanging, since, reason } })
    }
}

/// What sets an instance in motion like this, where a launch is a start; `None` if it does not move.
const fn moved_by(observed: Observed) -> Option<ActionKind> {
    match observed {
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
