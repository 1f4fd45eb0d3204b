//! How facts make a worker.

use std::collections::{BTreeMap, BTreeSet};

use crate::evidence::{Sighting, Source, effective, is_since, later};
use crate::worker::{BLIND_AFTER, LAUNCH_GRACE, MOST_MISSES};
use crate::{
    ActionKind, Attempt, Desired, Details, Event, FailureKind, GivenUp, Held, Observed, Origin, Queued,
    Snapshot, Timestamp, Worker,
};

impl Worker {
    /// The state of a worker that these first facts describe; the first of them is `created` or `imported`.
    pub fn born(events: &[Event]) -> Option<Self> {
        let (first, rest) = events.split_first()?;
        let blank =
            |id, name: &crate::Name, account: &crate::AccountId, region: &crate::Region, at, overrides| {
                Snapshot {
                    id,
                    name: name.clone(),
                    account: account.clone(),
                    region: region.clone(),
                    origin: Origin::Imported,
                    created_at: at,
                    desired: Desired::Running,
                    desired_since: at,
                    reached_at: None,
                    instance: None,
                    launch_called: false,
                    already_launched: false,
                    alternative: 0,
                    launch_shows_until: None,
                    launched_at: None,
                    sighting: None,
                    has_run: false,
                    moving_since: None,
                    idle_at: None,
                    misses: BTreeSet::new(),
                    failures: BTreeSet::new(),
                    failure_reason: None,
                    health: None,
                    zone: None,
                    instance_type: None,
                    private_ip: None,
                    public_ip: None,
                    tags: BTreeMap::new(),
                    applied_tags: BTreeMap::new(),
                    doubtful_tags: BTreeSet::new(),
                    overrides,
                    held: None,
                    protected: false,
                    drift: None,
                    attempt: None,
                    queued: None,
                    stray: None,
                    reboot_requested_at: None,
                    reboot_asked_at: None,
                    gave_up: BTreeMap::new(),
                    alerts: BTreeMap::new(),
                    terminated_at: None,
                    forgotten_at: None,
                }
            };
        let mut worker = match first {
            Event::Created { id, name, account, region, spec, tags, overrides, at, by: _ } => {
                Self(Snapshot {
                    origin: Origin::Created(spec.clone()),
                    tags: tags.clone(),
                    ..blank(*id, name, account, region, *at, *overrides)
                })
            }
            Event::Imported { id, name, account, region, instance, desired, tags, overrides, at, by: _ } => {
                Self(Snapshot {
                    desired: *desired,
                    instance: Some(instance.clone()),
                    tags: tags.clone(),
                    ..blank(*id, name, account, region, *at, *overrides)
                })
            }
            _ => return None,
        };
        for event in rest {
            worker.apply(event);
        }
        Some(worker)
    }

    /// The worker with these further facts folded in.
    pub fn with(&self, events: &[Event]) -> Self {
        let mut worker = self.clone();
        for event in events {
            worker.apply(event);
        }
        worker
    }

    /// Folds one fact in. Total: never fails, never asks.
    pub fn apply(&mut self, event: &Event) {
        match event {
            // A worker is born from these (see `born`) and from then on they say nothing new; the status is derived.
            Event::Created { .. } | Event::Imported { .. } | Event::StatusChanged { .. } => {}
            Event::Renamed { to, .. } => {
                self.0.name = to.clone();
                self.start_afresh(ActionKind::Tag);
            }
            Event::TagsChanged { set, removed, .. } => {
                self.remember_launched_tags(removed);
                self.0.tags.retain(|key, _| !removed.contains(key));
                self.0.tags.extend(set.clone());
                self.start_afresh(ActionKind::Tag);
            }
            Event::SettingsChanged { to, .. } => self.0.overrides = *to,
            Event::Held { reason, at, by } => {
                // Nothing is due any more, so it has no place either.
                self.0.queued = None;
                self.0.held = Some(Held { reason: reason.clone(), at: *at, by: by.clone() });
            }
            Event::Released { at, .. } => self.release(*at),
            Event::ProtectionChanged { protected, .. } => self.0.protected = *protected,
            Event::DesiredChanged { to, at, .. } => self.desire(*to, *at),
            Event::RebootRequested { at, .. } => {
                self.0.reboot_requested_at = Some(*at);
                self.0.reboot_asked_at = Some(*at);
                self.start_afresh(ActionKind::Reboot);
            }
            Event::RetryRequested { action, .. } => self.start_afresh(*action),
            Event::Forgotten { at, .. } => {
                self.0.forgotten_at = Some(*at);
                self.0.attempt = None;
                self.0.queued = None;
            }
            Event::InstanceObserved { sighting, details, confirms: _ } => self.see(sighting.clone(), details),
            Event::InstanceNotFound { at } => {
                self.0.misses.insert(*at);
                while self.0.misses.len() > MOST_MISSES {
                    self.0.misses.pop_first();
                }
                // It was an answer, so EC2 can be asked.
                self.forget_failures(|failure| failure <= *at);
            }
            Event::ObservationFailed { at, reason } => {
                self.0.failures.insert(*at);
                if self.0.failures.last() == Some(at) {
                    self.0.failure_reason = Some(reason.clone());
                }
                while self.0.failures.len() > BLIND_AFTER {
                    self.0.failures.pop_first();
                }
            }
            Event::HealthChanged { to, .. } => self.0.health = Some(*to),
            Event::DesiredReached { at } => self.reach(*at),
            Event::DriftDetected { drift, .. } => self.0.drift = Some(drift.clone()),
            Event::DriftResolved { .. } => self.0.drift = None,
            Event::ActionOvertook { at } => {
                self.0.reached_at = None;
                self.0.desired_since = *at;
                self.0.stray = None;
            }
            Event::ActionQueued { action, not_before, .. } => {
                self.0.queued = Some(Queued { action: *action, not_before: *not_before });
            }
            Event::ActionIssued { action, number, at, deadline, alternative, reason: _ } => {
                self.doubt_launch();
                self.doubt_tags(*action);
                self.0.queued = None;
                self.0.launch_called |= *action == ActionKind::Launch;
                self.0.attempt = Some(Attempt {
                    action: *action,
                    number: *number,
                    issued_at: *at,
                    deadline: *deadline,
                    alternative: *alternative,
                    accepted: false,
                    failed: None,
                });
            }
            Event::ActionAccepted { action, .. } => self.accept(*action),
            Event::ActionFailed { action, failure, retry_at, next_alternative, .. } => {
                self.0.already_launched |= failure.kind == FailureKind::AlreadyLaunched;
                if let Some(attempt) = self.0.attempt.as_mut().filter(|attempt| attempt.action == *action) {
                    attempt.failed = Some((failure.clone(), *retry_at));
                }
                if let Some(next) = next_alternative {
                    self.0.alternative = *next;
                    self.0.launch_shows_until = None;
                }
            }
            Event::GaveUp { action, reason, at, .. } => {
                let tried = self.0.attempt.as_ref().filter(|attempt| attempt.action == *action);
                let tried_at = tried.map_or(*at, |attempt| attempt.issued_at);
                let hangs = tried.is_some_and(|attempt| self.moves_for(attempt, self.observed()));
                self.0.gave_up.insert(*action, GivenUp { tried_at, reason: reason.clone(), hangs });
            }
            Event::Launched { instance, at } => {
                self.0.instance = Some(instance.clone());
                self.0.launched_at = Some(*at);
            }
            Event::TagsApplied { set, removed } => self.apply_tags(set, removed),
            Event::AlertRaised { alert } => {
                self.0.alerts.insert(alert.kind, alert.clone());
            }
            Event::AlertResolved { kind, .. } => {
                self.0.alerts.remove(kind);
            }
            Event::Terminated { at, .. } => {
                self.0.terminated_at = Some(*at);
                self.0.attempt = None;
                self.0.queued = None;
                self.0.held = None;
                self.0.drift = None;
                self.0.stray = None;
                self.0.reboot_requested_at = None;
                self.0.gave_up.clear();
                self.0.alerts.clear();
            }
        }
    }

    /// The clock of an attempt stood still meanwhile: what may be tried again is due and begins to count afresh, what EC2
    /// was at has its whole time again.
    fn release(&mut self, at: Timestamp) {
        let metal = self.is_metal();
        self.0.held = None;
        let Some(attempt) = self.0.attempt.as_mut().filter(|attempt| attempt.action.changes_ec2()) else {
            return;
        };
        match &mut attempt.failed {
            None => {
                let afresh = later(at, attempt.action.time_limit(metal));
                attempt.deadline = attempt.deadline.max(afresh);
            }
            Some((failure, retry_at)) if attempt.action.may_repeat(failure.kind) => {
                attempt.number = 0;
                *retry_at = at.min(*retry_at);
            }
            Some(_) => {}
        }
    }

    /// What is about to take the place of a launch: its instance may still show within the time EC2 needs to know it.
    fn doubt_launch(&mut self) {
        let open = |attempt: &&Attempt| attempt.action == ActionKind::Launch && attempt.may_take_effect();
        if self.0.instance.is_some() {
            return;
        }
        if let Some(attempt) = self.0.attempt.as_ref().filter(open) {
            let until = later(attempt.issued_at, LAUNCH_GRACE);
            self.0.launch_shows_until = self.0.launch_shows_until.max(Some(until));
        }
    }

    fn desire(&mut self, to: Desired, at: Timestamp) {
        self.doubt_launch();
        // Tags that were given up are no obstacle, unless they are those that let us act.
        let adopted = self.is_adopted();
        let given_up = self.has_given_up(ActionKind::Tag);
        let s = &mut self.0;
        // A call for tags that is under way is right whatever is asked for, and the next one waits for it: of two at once the older
        // one may be the last to take effect.
        let tagging = s
            .attempt
            .take_if(|attempt| attempt.action == ActionKind::Tag && attempt.failed.is_none() && !given_up);
        s.gave_up.retain(|action, _| *action == ActionKind::Tag && adopted);
        // What we set in motion for the old wish may still take effect; that is ours, not drift.
        s.stray = s
            .attempt
            .take()
            .filter(|attempt| {
                (attempt.may_take_effect() || attempt.may_still_show())
                    && attempt.action.leads_to().is_some_and(|o| !o.fulfils(to))
            })
            .map(|attempt| match attempt.action {
                // A launch that was called for shows within the time EC2 needs to know its own new instance.
                ActionKind::Launch => (attempt.action, later(attempt.issued_at, LAUNCH_GRACE)),
                action => (action, attempt.deadline),
            })
            .or(s.stray.take());
        s.attempt = tagging.map(|attempt| Attempt { number: 0, ..attempt });
        // Nobody waits for what is not asked for any more.
        s.queued = None;
        s.desired = to;
        s.desired_since = at;
        s.reached_at = None;
        s.drift = None;
        s.reboot_requested_at = None;
    }

    fn see(&mut self, sighting: Sighting, details: &Details) {
        self.0.has_run |= sighting.observed.implies_run();
        if sighting.observed != Observed::Running {
            self.0.idle_at = self.0.idle_at.max(Some(sighting.at));
        }
        if self.0.sighting.as_ref().is_some_and(|newest| newest.order() > sighting.order()) {
            return;
        }
        let newest = sighting.counted();
        self.0.misses.retain(|at| effective(Source::Describe, *at) > newest);
        self.forget_failures(|at| effective(Source::Describe, at) <= newest);
        let s = &mut self.0;
        if sighting.observed == Observed::Stopped && s.reboot_requested_at.is_some_and(|at| at < newest) {
            // What has stopped since will boot afresh anyway.
            s.reboot_requested_at = None;
            s.gave_up.remove(&ActionKind::Reboot);
        }
        if sighting.observed != Observed::Running {
            // EC2 takes the public address away with the run, unless it is an elastic one, and then a description says so. A check of a
            // stopped machine is no check.
            s.public_ip = None;
            s.health = None;
        } else if s.sighting.as_ref().is_none_or(|newest| newest.observed != Observed::Running) {
            // A new run has a new public address. As long as the private one is not known the next look asks for both.
            s.private_ip = None;
        }
        if let (Some(known), Some(read)) = (&mut s.health, &details.health)
            && known.same_checks(read)
        {
            known.at = known.at.max(read.at);
        }
        s.public_ip = details.public_beside(s.public_ip);
        s.private_ip = details.private_ip.or(s.private_ip);
        if let Some(zone) = &details.zone {
            s.zone = Some(zone.clone());
        }
        if let Some(instance_type) = &details.instance_type {
            s.instance_type = Some(instance_type.clone());
        }
        let same = s.sighting.as_ref().filter(|newest| newest.observed == sighting.observed);
        if same.is_none() {
            s.gave_up.values_mut().for_each(|given_up| given_up.hangs = false);
        }
        let since = same.map_or(sighting.at, |newest| s.moving_since.unwrap_or(newest.at));
        s.moving_since = (!sighting.observed.is_settled()).then_some(since);
        s.sighting = Some(sighting);
    }

    fn forget_failures(&mut self, over: impl Fn(Timestamp) -> bool) {
        self.0.failures.retain(|at| !over(*at));
        if self.0.failures.is_empty() {
            self.0.failure_reason = None;
        }
    }

    /// What failed before, or was given up, counts no longer. A call that is under way still goes on, and is not counted.
    fn start_afresh(&mut self, action: ActionKind) {
        let given_up = self.0.gave_up.remove(&action).is_some();
        let own = |attempt: &&mut Attempt| attempt.action == action;
        self.0.attempt.take_if(|attempt| own(&attempt) && (given_up || attempt.failed.is_some()));
        if let Some(attempt) = self.0.attempt.as_mut().filter(own) {
            attempt.number = 0;
        }
    }

    fn reach(&mut self, at: Timestamp) {
        let s = &mut self.0;
        s.reached_at = Some(s.reached_at.map_or(at, |earlier| earlier.min(at)));
        let desired = s.desired;
        let done = |action: ActionKind, tried_at: Timestamp| {
            action.leads_to().is_some_and(|to| to.fulfils(desired)) && is_since(at, tried_at)
        };
        s.attempt.take_if(|attempt| done(attempt.action, attempt.issued_at));
        s.queued.take_if(|queued| queued.action.leads_to().is_some_and(|to| to.fulfils(desired)));
        s.gave_up.retain(|action, given_up| !done(*action, given_up.tried_at));
    }

    fn accept(&mut self, action: ActionKind) {
        match action {
            // These are done when EC2 says yes.
            ActionKind::Reboot | ActionKind::Tag | ActionKind::Locate => {
                let answered = self.0.attempt.take_if(|attempt| attempt.action == action);
                // The late answer to an earlier call is none to a reboot that was asked for since.
                if action == ActionKind::Reboot && answered.is_some() {
                    self.0.reboot_requested_at = None;
                }
                self.0.gave_up.remove(&action);
            }
            // These are done when the instance gets there.
            ActionKind::Launch | ActionKind::Start | ActionKind::Stop | ActionKind::Terminate => {
                if let Some(attempt) = self.0.attempt.as_mut().filter(|attempt| attempt.action == action) {
                    attempt.accepted = true;
                    attempt.failed = None;
                }
            }
        }
    }
}
