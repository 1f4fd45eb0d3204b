//! What a command means for a worker, or why it is refused.

use crate::command::{
    Actor, Command, CreateWorker, Decision, GuardsPatch, ImportWorker, Rejection, TagsPatch,
};
use crate::{
    ActionKind, Desired, Details, Event, Finding, MAX_TAGS, Observed, Overrides, Sighting, Timestamp, Worker,
    WorkerId,
};

impl Worker {
    /// The facts of a creation.
    ///
    /// # Errors
    /// [`Rejection::TooManyTags`].
    pub fn create(id: WorkerId, command: CreateWorker, by: Actor, now: Timestamp) -> Decision {
        let CreateWorker { name, account, region, spec, tags, overrides, protected } = command;
        if tags.len() > MAX_TAGS {
            return Err(Rejection::TooManyTags { max: MAX_TAGS });
        }
        let protection = protected.then(|| Event::ProtectionChanged { protected, by: by.clone() });
        let spec = Box::new(spec);
        let created = Event::Created { id, name, account, region, spec, tags, overrides, at: now, by };
        Ok(std::iter::once(created).chain(protection).collect())
    }

    /// The facts of an import. What the instance is becomes what it is to be.
    ///
    /// # Errors
    /// [`Rejection::InstanceEnding`] unless the instance is pending, running, stopping or stopped;
    /// [`Rejection::TooManyTags`].
    pub fn import(id: WorkerId, command: ImportWorker, by: Actor, now: Timestamp) -> Decision {
        let ImportWorker { name, account, region, instance, evidence, tags, overrides, protected, held } =
            command;
        if tags.len() > MAX_TAGS {
            return Err(Rejection::TooManyTags { max: MAX_TAGS });
        }
        let Finding::State { observed, details } = evidence.finding else {
            return Err(Rejection::InstanceEnding { observed: Observed::Missing });
        };
        let desired = match observed {
            Observed::Pending | Observed::Running => Desired::Running,
            Observed::Stopping | Observed::Stopped => Desired::Stopped,
            Observed::Unknown | Observed::ShuttingDown | Observed::Terminated | Observed::Missing => {
                return Err(Rejection::InstanceEnding { observed });
            }
        };
        let sighting = Sighting {
            observed,
            source: evidence.source,
            at: evidence.at,
            seen_at: evidence.seen_at,
            state_reason: details.state_reason.clone(),
        };
        let health = details.health.filter(|_| observed == Observed::Running);
        let guards = [
            protected.then(|| Event::ProtectionChanged { protected, by: by.clone() }),
            held.map(|reason| Event::Held { reason, at: now, by: by.clone() }),
        ];
        let mut events = vec![
            Event::Imported { id, name, account, region, instance, desired, tags, overrides, at: now, by },
            Event::InstanceObserved {
                sighting,
                details: Details { health: None, ..details },
                confirms: false,
            },
        ];
        if observed.fulfils(desired) {
            events.push(Event::DesiredReached { at: now });
        }
        events.extend(health.map(|to| Event::HealthChanged { from: None, to }));
        events.extend(guards.into_iter().flatten());
        Ok(events)
    }

    /// What the command means for this worker, or why it is refused. Repeating a command is not an error: it yields
    /// no facts.
    ///
    /// # Errors
    /// A [`Rejection`]; nothing has changed then.
    pub fn decide(&self, command: Command, by: Actor, now: Timestamp) -> Decision {
        match command {
            Command::Terminate { .. } if self.is_over() => {
                if self.0.terminated_at.is_some() {
                    Ok(Vec::new())
                } else {
                    Err(Rejection::Ended)
                }
            }
            Command::Forget if self.0.forgotten_at.is_some() => Ok(Vec::new()),
            _ if self.is_over() => Err(Rejection::Ended),
            Command::Start | Command::Stop | Command::Reboot | Command::Terminate { .. }
                if let Some(held) = &self.0.held =>
            {
                Err(Rejection::Held(held.clone()))
            }
            Command::Start => self.change_desired(Desired::Running, by, now),
            Command::Stop => self.change_desired(Desired::Stopped, by, now),
            Command::Terminate { confirm } => self.terminate(confirm.as_deref(), by, now),
            Command::Reboot => self.reboot(by, now),
            Command::Sync if self.0.instance.is_none() => Err(Rejection::NotLaunched),
            // The look goes on; tags are a change of EC2.
            Command::Sync if self.is_held() => Ok(Vec::new()),
            Command::Sync => Ok(self.retry_tags(by, now).into_iter().collect()),
            // Its instance would run on, and nothing would say whose it was. Who gave up knows.
            Command::Forget if self.may_be_launching() => Err(Rejection::Launching),
            Command::Forget => Ok(vec![Event::Forgotten { at: now, by }]),
            Command::Patch { name, tags, settings, guards } => {
                let mut events = Vec::new();
                let about_tags = name.is_some() || tags != TagsPatch::default();
                if let Some(to) = name.filter(|to| *to != self.0.name) {
                    events.push(Event::Renamed { from: self.0.name.clone(), to, by: by.clone() });
                }
                events.extend(self.change_tags(tags, &by)?);
                if about_tags && events.is_empty() {
                    events.extend(self.retry_tags(by.clone(), now));
                }
                let to: Overrides = settings.applied_to(&self.0.overrides);
                if to != self.0.overrides {
                    events.push(Event::SettingsChanged { from: self.0.overrides, to, by: by.clone() });
                }
                events.extend(self.change_guards(guards, &by, now));
                self.with_status(events)
            }
        }
    }

    fn change_desired(&self, to: Desired, by: Actor, now: Timestamp) -> Decision {
        if self.0.desired == Desired::Terminated {
            return Err(Rejection::Terminating);
        }
        if to == Desired::Stopped && self.0.instance.is_none() {
            return Err(Rejection::NotLaunched);
        }
        // The same wish again is nothing new while we still pursue it, or once it holds; it is a fresh order when EC2
        // drifted from it or when we gave up.
        let fresh = self.0.drift.is_some() || self.is_stuck();
        if to == self.0.desired && !fresh {
            return Ok(Vec::new());
        }
        self.with_status(vec![Event::DesiredChanged { from: self.0.desired, to, at: now, by }])
    }

    fn terminate(&self, confirm: Option<&str>, by: Actor, now: Timestamp) -> Decision {
        if self.0.desired == Desired::Terminated && !self.is_stuck() {
            return Ok(Vec::new());
        }
        self.confirmed(confirm)?;
        let changed = Event::DesiredChanged { from: self.0.desired, to: Desired::Terminated, at: now, by };
        if self.0.instance.is_none() && !self.0.launch_called {
            let reason = "it was terminated before its instance was launched".to_owned();
            return Ok(vec![changed, Event::Terminated { at: now, expected: true, reason }]);
        }
        self.with_status(vec![changed])
    }

    /// Whoever terminates a protected worker has to name it, and whoever names one has to name this one. One that is to
    /// end already has no way back that this could keep open.
    fn confirmed(&self, confirm: Option<&str>) -> Result<(), Rejection> {
        let name = || self.0.name.clone();
        match confirm {
            _ if self.0.desired == Desired::Terminated => Ok(()),
            Some(said) if said == self.0.name.as_str() => Ok(()),
            _ if self.0.protected => Err(Rejection::Protected { name: name() }),
            Some(_) => Err(Rejection::Misnamed { name: name() }),
            None => Ok(()),
        }
    }

    fn change_guards(&self, patch: GuardsPatch, by: &Actor, now: Timestamp) -> Vec<Event> {
        let (at, by) = (now, || by.clone());
        let known = self.0.held.as_ref().map(|held| &held.reason);
        let hold = match patch.held {
            Some(Some(reason)) if known != Some(&reason) => Some(Event::Held { reason, at, by: by() }),
            Some(None) if known.is_some() => Some(Event::Released { at, by: by() }),
            Some(_) | None => None,
        };
        let protection = patch.protected.filter(|protected| *protected != self.0.protected);
        let protection = protection.map(|protected| Event::ProtectionChanged { protected, by: by() });
        hold.into_iter().chain(protection).collect()
    }

    fn reboot(&self, by: Actor, now: Timestamp) -> Decision {
        if self.0.instance.is_none() {
            return Err(Rejection::NotLaunched);
        }
        let observed = self.observed();
        if self.0.desired != Desired::Running || observed != Observed::Running {
            return Err(Rejection::NotRunning { desired: self.0.desired, observed });
        }
        if self.0.reboot_requested_at.is_some() && !self.has_given_up(ActionKind::Reboot) {
            return Ok(Vec::new());
        }
        self.with_status(vec![Event::RebootRequested { at: now, by }])
    }

    /// The same tags asked for again are a fresh order once we gave up.
    fn retry_tags(&self, by: Actor, now: Timestamp) -> Option<Event> {
        let action = ActionKind::Tag;
        self.has_given_up(action).then_some(Event::RetryRequested { action, at: now, by })
    }

    fn change_tags(&self, patch: TagsPatch, by: &Actor) -> Result<Option<Event>, Rejection> {
        let TagsPatch { mut set, mut remove } = patch;
        // A tag that is both set and removed is set, whatever it was before.
        remove.retain(|key| self.0.tags.contains_key(key) && !set.contains_key(key));
        set.retain(|key, value| self.0.tags.get(key) != Some(value));
        let after =
            self.0.tags.keys().filter(|key| !remove.contains(*key) && !set.contains_key(*key)).count()
                + set.len();
        if after > MAX_TAGS {
            return Err(Rejection::TooManyTags { max: MAX_TAGS });
        }
        let changed = !set.is_empty() || !remove.is_empty();
        Ok(changed.then(|| Event::TagsChanged { set, removed: remove, by: by.clone() }))
    }

    /// The facts, and the change of status they amount to.
    fn with_status(&self, mut events: Vec<Event>) -> Decision {
        let (from, to) = (self.status(), self.with(&events).status());
        if from != to {
            events.push(Event::StatusChanged { from, to, reason: "an operator asked for it".to_owned() });
        }
        Ok(events)
    }
}
