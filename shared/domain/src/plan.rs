//! The next step on EC2, and why.

use crate::action::{Action, ActionKind, Attempt, CALL_LEASE, Failure, FailureKind, MAX_ATTEMPTS};
use crate::bucket::why_queued;
use crate::evidence::{Sighting, is_since, later};
use crate::{
    Desired, DriftPolicy, Event, InstanceId, LaunchSpec, Observed, Origin, Plan, Policy, Reason, Timestamp,
    Worker,
};

impl Plan {
    const fn none(reason: Reason) -> Self {
        Self { action: None, reason }
    }

    const fn step(action: Action, reason: Reason) -> Self {
        Self { action: Some(action), reason }
    }
}

impl Worker {
    /// The step that would move EC2 towards what was asked for and is due now, and why; or why there is none.
    pub fn plan(&self, policy: &Policy, now: Timestamp) -> Plan {
        let plan = self.paced(policy, now);
        match (&plan.action, self.0.queued) {
            (Some(action), Some(queued)) if action.kind() == queued.action && queued.waits(now) => {
                Plan::none(Reason::Queued { action: queued.action, until: queued.not_before })
            }
            (Some(_) | None, _) => plan,
        }
    }

    /// What is due without regard to whose turn it is.
    fn paced(&self, policy: &Policy, now: Timestamp) -> Plan {
        let wanted = self.step(policy.drift);
        let Some(attempt) = &self.0.attempt else { return wanted };
        match &wanted.action {
            Some(action) if action.kind() == attempt.action => match self.pace(attempt, now) {
                Some(reason) => Plan::none(reason),
                None => wanted,
            },
            // What is under way is not what is wanted next, but the call may still be: one call at a time.
            Some(_) if attempt.failed.is_none() && !attempt.accepted && now < due_at(attempt) => {
                Plan::none(in_flight(attempt))
            }
            Some(_) | None => wanted,
        }
    }

    /// What is due without regard to what is under way already. Whatever changes EC2 waits while the worker is held: this
    /// is the one way to every call.
    pub(crate) fn step(&self, drift: DriftPolicy) -> Plan {
        let plan = self.free_step(drift);
        match &plan.action {
            Some(action) if self.waits(action.kind()) => Plan::none(Reason::Held),
            Some(_) | None => plan,
        }
    }

    /// The worker is held, and this would change EC2.
    pub(crate) const fn waits(&self, action: ActionKind) -> bool {
        self.is_held() && action.changes_ec2()
    }

    /// What is due if nobody holds the worker.
    fn free_step(&self, drift: DriftPolicy) -> Plan {
        let s = &self.0;
        if s.forgotten_at.is_some() {
            return Plan::none(Reason::Forgotten);
        }
        if s.terminated_at.is_some() {
            return Plan::none(Reason::Ended);
        }
        let Some(instance) = &s.instance else { return self.unless_given_up(self.first_step()) };
        let plan = self.unless_given_up(self.towards(instance, drift));
        // Our permission to change an instance hangs on its tags, so adoption comes before anything else. If we gave
        // that up, EC2 has the last word.
        if plan.action.is_some() && !self.is_adopted() && !self.has_given_up(ActionKind::Tag) {
            return Plan::step(self.tag(instance), Reason::Adoption);
        }
        plan
    }

    fn unless_given_up(&self, plan: Plan) -> Plan {
        match &plan.action {
            Some(action) if self.has_given_up(action.kind()) => Plan::none(Reason::GaveUp),
            Some(_) | None => plan,
        }
    }

    /// The step of a worker that has no instance yet.
    fn first_step(&self) -> Plan {
        match (self.0.desired, &self.0.origin) {
            (Desired::Running | Desired::Stopped, Origin::Created(_)) if self.0.already_launched => {
                Plan::step(Action::Locate, Reason::LaunchUnresolved)
            }
            (Desired::Running | Desired::Stopped, Origin::Created(spec)) => {
                Plan::step(self.launch(spec), Reason::NotLaunched)
            }
            (Desired::Terminated, Origin::Created(_)) => Plan::step(Action::Locate, Reason::LaunchUnresolved),
            (_, Origin::Imported) => Plan::none(Reason::Unobserved),
        }
    }

    /// The specification: what each pair of asked-for and observed state calls for.
    fn towards(&self, instance: &InstanceId, drift: DriftPolicy) -> Plan {
        let observed = self.observed();
        match (self.0.desired, observed) {
            (Desired::Running, Observed::Running) => self.at_rest(instance),
            (Desired::Running, Observed::Stopped) => {
                self.correct(Action::Start(instance.clone()), instance, drift)
            }
            (Desired::Stopped, Observed::Stopped) => self.at_rest(instance),
            (Desired::Stopped, Observed::Running) => {
                self.correct(Action::Stop(instance.clone()), instance, drift)
            }
            (
                Desired::Terminated,
                Observed::Unknown
                | Observed::Pending
                | Observed::Running
                | Observed::Stopping
                | Observed::Stopped,
            ) => Plan::step(Action::Terminate(instance.clone()), Reason::Requested),
            (
                Desired::Running | Desired::Stopped,
                Observed::Pending | Observed::Stopping | Observed::ShuttingDown,
            )
            | (Desired::Terminated, Observed::ShuttingDown) => Plan::none(Reason::InTransition(observed)),
            (Desired::Running | Desired::Stopped, Observed::Unknown) => Plan::none(Reason::Unobserved),
            (Desired::Running | Desired::Stopped | Desired::Terminated, Observed::Missing) => {
                Plan::none(Reason::Missing)
            }
            (Desired::Running | Desired::Stopped | Desired::Terminated, Observed::Terminated) => {
                Plan::none(Reason::Ended)
            }
        }
    }

    /// EC2 is as asked; what is left are reboots and tags.
    fn at_rest(&self, instance: &InstanceId) -> Plan {
        if self.0.reboot_requested_at.is_none() || self.0.desired != Desired::Running {
            return self.tag_or(instance, Reason::AsDesired);
        }
        if self.has_given_up(ActionKind::Reboot) {
            return self.tag_or(instance, Reason::GaveUp);
        }
        Plan::step(Action::Reboot(instance.clone()), Reason::RebootRequested)
    }

    /// EC2 is settled and not as asked: either it never got there, or it drifted.
    fn correct(&self, action: Action, instance: &InstanceId, drift: DriftPolicy) -> Plan {
        let step = |reason| {
            if self.has_given_up(action.kind()) {
                return self.tag_or(instance, Reason::GaveUp);
            }
            Plan::step(action.clone(), reason)
        };
        if self.0.drift.is_none() {
            return step(Reason::Requested);
        }
        match drift {
            DriftPolicy::Revert => step(Reason::DriftReverted),
            DriftPolicy::Alert => self.tag_or(instance, Reason::DriftLeft),
            DriftPolicy::Adopt => self.tag_or(instance, Reason::DriftAdopted),
        }
    }

    fn tag_or(&self, instance: &InstanceId, otherwise: Reason) -> Plan {
        let (set, remove) = self.tag_difference();
        if set.is_empty() && remove.is_empty() {
            return Plan::none(otherwise);
        }
        if self.has_given_up(ActionKind::Tag) {
            return Plan::none(if otherwise == Reason::AsDesired { Reason::GaveUp } else { otherwise });
        }
        Plan::step(self.tag(instance), Reason::TagsDiffer)
    }

    fn tag(&self, instance: &InstanceId) -> Action {
        let (set, remove) = self.tag_difference();
        Action::Tag { instance: instance.clone(), set, remove }
    }

    fn launch(&self, spec: &LaunchSpec) -> Action {
        let alternative = self.0.alternative;
        Action::Launch {
            spec: Box::new(spec.by(alternative)),
            token: self.0.id.client_token(alternative),
            tags: self.wanted_tags(),
            user_data: None,
        }
    }

    /// The facts to record before the planned call is made, or before nothing is: an attempt that has run out of time
    /// has failed, an exhausted one is given up, and a due action is issued. Recording them by a conditional write is
    /// what makes the call exclusive.
    pub fn proceed(&self, policy: &Policy, now: Timestamp) -> (Vec<Event>, Plan) {
        self.go_on(policy, now, None)
    }

    /// The same where an action that is due has to wait for its turn: it is queued and not issued.
    pub fn queue(&self, policy: &Policy, now: Timestamp, not_before: Timestamp) -> (Vec<Event>, Plan) {
        self.go_on(policy, now, Some(not_before))
    }

    fn go_on(&self, policy: &Policy, now: Timestamp, turn: Option<Timestamp>) -> (Vec<Event>, Plan) {
        if self.is_over() {
            return (Vec::new(), self.plan(policy, now));
        }
        let mut events: Vec<Event> = self.lapse(now).into_iter().collect();
        let worker = self.with(&events);
        let plan = worker.plan(policy, now);
        match (&plan.action, &plan.reason) {
            (Some(action), _) if let Some(not_before) = turn => {
                let (action, reason) = (action.kind(), why_queued(action.kind(), &self.0.region));
                events.push(Event::ActionQueued { action, at: now, not_before, reason });
            }
            (Some(action), reason) => {
                let kind = action.kind();
                events.extend(worker.overtaken(kind));
                // The number is nought after a release, wherever among the alternatives it was.
                let tried =
                    |attempt: &Attempt| attempt.number.saturating_sub(worker.moves_on_from(attempt).into());
                let tried = worker.0.attempt.as_ref().filter(|a| a.action == kind).map_or(0, tried);
                events.push(Event::ActionIssued {
                    action: kind,
                    number: tried.saturating_add(1),
                    at: now,
                    deadline: later(now, kind.time_limit(worker.is_metal())),
                    alternative: worker.alternative().filter(|_| kind == ActionKind::Launch),
                    reason: reason.clone(),
                });
            }
            (None, Reason::Exhausted { action, number }) => {
                events.push(worker.give_up(*action, *number, now))
            }
            // EC2 itself is stuck in transition: there is no call to repeat. Where it is at something else by now, which was not
            // this attempt's doing, the attempt has failed and no more.
            (None, Reason::InTransition(observed)) => {
                let own = |attempt: &&Attempt| worker.moves_for(attempt, *observed) && !events.is_empty();
                let moves = worker.0.attempt.as_ref().filter(own);
                let given_up = moves.map(|attempt| worker.give_up(attempt.action, attempt.number, now));
                events.extend(given_up);
                events.extend(self.with(&events).hanging(now));
            }
            (None, _) => {}
        }
        let (from, to) = (self.status(), self.with(&events).status());
        if from != to {
            let given_up = events.iter().find_map(|event| match event {
                Event::GaveUp { reason, .. } => Some(format!("{}: {reason}", plan.reason)),
                _ => None,
            });
            let reason = given_up.unwrap_or_else(|| plan.reason.to_string());
            events.push(Event::StatusChanged { from, to, reason });
        }
        (events, plan)
    }

    /// The fact that an action of ours for another wish had taken its effect before `next` puts that right.
    fn overtaken(&self, next: ActionKind) -> Option<Event> {
        let rights = next.leads_to().is_some_and(|to| to.fulfils(self.0.desired));
        let sighting = self.0.sighting.as_ref()?;
        (rights && self.0.drift.is_none() && self.is_strays_doing())
            .then(|| Event::ActionOvertook { at: sighting.counted() })
    }

    /// What it means that the time of an attempt is up: that it failed, unless EC2 is where it leads. While the worker is
    /// held its time does not run out, as we could not try again.
    fn lapse(&self, now: Timestamp) -> Option<Event> {
        let attempt = self.0.attempt.as_ref()?;
        if attempt.failed.is_some() || now < self.ends_at(attempt) || self.waits(attempt.action) {
            return None;
        }
        if attempt.action.leads_to() == Some(self.observed()) {
            return Some(Event::DesiredReached { at: now });
        }
        let message = match attempt.action {
            ActionKind::Reboot => "EC2's answer was lost".to_owned(),
            _ => {
                let said = self.said_since(attempt).map(|reason| format!("; EC2 says: {reason}"));
                let said = said.unwrap_or_default();
                format!("the instance is {} and the time limit has passed{said}", self.observed())
            }
        };
        Some(self.action_failed(attempt.action, Failure { kind: FailureKind::Overdue, message }, now))
    }

    /// EC2's reason for the state that the instance is in, if it got there since the attempt: an accepted start that EC2 undoes has
    /// no other one.
    fn said_since(&self, attempt: &Attempt) -> Option<&str> {
        let since = |newest: &&Sighting| is_since(newest.counted(), attempt.issued_at);
        let newest = self.0.sighting.as_ref().filter(since)?;
        newest.state_reason.as_deref().filter(|_| newest.observed == self.observed())
    }

    /// The fact that the action under way failed, with the time at which it may be tried again.
    pub fn action_failed(&self, action: ActionKind, mut failure: Failure, now: Timestamp) -> Event {
        if action == ActionKind::Reboot && failure.kind.is_open() {
            failure.message += "; it is not known whether EC2 rebooted the instance";
        }
        let number = self.0.attempt.as_ref().filter(|a| a.action == action).map_or(1, |a| a.number.max(1));
        let next_alternative = self.next_alternative(action, failure.kind, now);
        let (before, after) = self.explain(action, failure.kind, next_alternative);
        failure.message = before + &failure.message + &after;
        // There is nothing to wait for before something else is tried.
        let at_once = next_alternative.is_some_and(|next| next != 0);
        let retry_at = if at_once { now } else { later(now, action.back_off(number)) };
        Event::ActionFailed { action, number, failure, at: now, retry_at, next_alternative }
    }

    /// What it means that no instance carries the worker's tag. EC2 may not know its own new instance for a while, so a
    /// launch may still show. If EC2 said that there was one, it has to; if not, and the worker is to end, there is none.
    pub fn not_located(&self, now: Timestamp) -> Event {
        let not_yet = |message: &str| {
            let failure = Failure { kind: FailureKind::NotFound, message: message.to_owned() };
            self.action_failed(ActionKind::Locate, failure, now)
        };
        let may_show = "a launch may still show in EC2's answers";
        match self.0.stray {
            _ if self.0.already_launched => {
                not_yet("EC2 says that it launched an instance, and shows none with the worker's tag")
            }
            Some((ActionKind::Launch, until)) if now < until => not_yet(may_show),
            // Of an earlier try, which another took the place of.
            _ if self.0.launch_shows_until.is_some_and(|until| now < until) => not_yet(may_show),
            _ => {
                let reason = "no instance was ever launched for it".to_owned();
                Event::Terminated { at: now, expected: true, reason }
            }
        }
    }

    /// Why an attempt is not to be repeated now; `None` if it is.
    fn pace(&self, attempt: &Attempt, now: Timestamp) -> Option<Reason> {
        let (action, number) = (attempt.action, attempt.number);
        // What EC2 does not offer is no end where there are alternatives: their turn comes, or comes again.
        let has_turn = |kind: FailureKind| attempt.alternative.is_some() && kind.is_elsewhere();
        let failed = attempt.failed.as_ref().filter(|(failure, _)| !has_turn(failure.kind));
        // What a call was told that was made before something else was asked for says nothing of that.
        let counts = number > 0;
        if counts && failed.is_some_and(|(failure, _)| !action.may_repeat(failure.kind)) {
            return Some(Reason::Exhausted { action, number });
        }
        let until = due_at(attempt);
        if now < until {
            return Some(match attempt.failed {
                Some(_) => Reason::BackingOff { action, number, until },
                None => in_flight(attempt),
            });
        }
        let used_up = number >= MAX_ATTEMPTS && !self.moves_on_from(attempt);
        (used_up || is_final(attempt)).then_some(Reason::Exhausted { action, number })
    }

    fn give_up(&self, action: ActionKind, attempts: u32, now: Timestamp) -> Event {
        let failure = self.0.attempt.as_ref().and_then(|attempt| attempt.failed.as_ref());
        let reason =
            failure.map_or_else(|| "no attempt succeeded".to_owned(), |(failure, _)| failure.message.clone());
        Event::GaveUp { action, attempts, reason, at: now }
    }
}

/// When an attempt is due for another look.
fn due_at(attempt: &Attempt) -> Timestamp {
    match &attempt.failed {
        Some((_, retry_at)) => *retry_at,
        None if attempt.accepted || is_final(attempt) => attempt.deadline,
        None => later(attempt.issued_at, CALL_LEASE),
    }
}

/// There is no answer, and without one the call must not be repeated.
const fn is_final(attempt: &Attempt) -> bool {
    attempt.failed.is_none() && !attempt.action.may_repeat(FailureKind::Overdue)
}

fn in_flight(attempt: &Attempt) -> Reason {
    Reason::InFlight { action: attempt.action, number: attempt.number, until: due_at(attempt) }
}
