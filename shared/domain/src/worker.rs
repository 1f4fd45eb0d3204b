//! The aggregate: one EC2 instance we answer for.

use std::fmt;

use jiff::SignedDuration;

use crate::evidence::{Source, later};
use crate::{
    ActionKind, Actor, Desired, DriftPolicy, HoldReason, MANAGED_TAG, Observed, Origin, Overrides, Snapshot,
    Status, Timestamp, WorkerId,
};

/// Two misses must be this far apart before they mean anything (EC2 API reference, "Eventual consistency").
const MISSING_AFTER: SignedDuration = SignedDuration::from_secs(60);
/// Misses this soon after a launch mean nothing: EC2 may not know its own new instance yet.
pub(crate) const LAUNCH_GRACE: SignedDuration = SignedDuration::from_mins(5);
/// Misses over this long count as terminated: EC2 drops terminated instances from its answers within an hour.
const GONE_AFTER: SignedDuration = SignedDuration::from_mins(60);
/// So many misses it takes at least for that: it has no way back, and two answers may both be EC2's mistake. And so many
/// absences, however short each is, are one that goes on: nobody ever looked for long, and EC2 never knew it.
const MANY: usize = 3;
/// The newest misses that are kept. An hour has 61 looks at most, and those that people ask for.
pub(crate) const MOST_MISSES: usize = 200;
/// Misses further apart than this are not one absence: nobody looked in between, for the worker is not monitored or EC2
/// could not be asked. The longest interval is an hour, and a look may be late.
const ONE_ABSENCE: SignedDuration = SignedDuration::from_mins(90);
/// Failed observations in a row after which the state is unknown.
pub(crate) const BLIND_AFTER: usize = 3;

/// A settled state that is not the desired one, and not on our account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Drift {
    /// What was asked for.
    pub desired: Desired,
    /// What EC2 told us.
    pub observed: Observed,
    /// Since when.
    pub since: Timestamp,
    /// How it was found: by an event, or by the poll.
    pub detected_by: Source,
    /// EC2's reason for the transition, if it gave one.
    pub reason: Option<String>,
}

/// An action that was given up. Nothing but that action waits for a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GivenUp {
    /// When it was tried last: evidence from before does not undo this.
    pub tried_at: Timestamp,
    /// Why trying again would not help.
    pub reason: String,
    /// EC2 has been moving the instance since, as the action would: that it hangs was told with this.
    pub hangs: bool,
}

/// A hand on a worker: as long as it is held, nothing of ours changes its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Why.
    pub reason: HoldReason,
    /// Since when.
    pub at: Timestamp,
    /// Who holds it.
    pub by: Actor,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "held by {} since {:.0} ({})", self.by, self.at, self.reason)
    }
}

/// One EC2 instance we answer for. Only [`Worker::apply`] changes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker(pub(crate) Snapshot);

impl From<Snapshot> for Worker {
    fn from(snapshot: Snapshot) -> Self {
        Self(snapshot)
    }
}

impl Worker {
    /// The complete state, to store or to show.
    pub const fn state(&self) -> &Snapshot {
        &self.0
    }

    /// The identity.
    pub const fn id(&self) -> WorkerId {
        self.0.id
    }

    /// The worker has ended, or is not ours any more: nothing will ever happen to it again.
    pub const fn is_over(&self) -> bool {
        self.0.terminated_at.is_some() || self.0.forgotten_at.is_some()
    }

    /// It is held: nothing of ours changes its instance.
    pub const fn is_held(&self) -> bool {
        self.0.held.is_some()
    }

    /// What was asked for calls for such an action still: one that was begun for an earlier wish must not be carried out
    /// after, and against, a newer one.
    pub const fn wants(&self, action: ActionKind) -> bool {
        match (action, self.0.desired) {
            (ActionKind::Launch, Desired::Running | Desired::Stopped)
            | (ActionKind::Start, Desired::Running)
            | (ActionKind::Stop, Desired::Stopped)
            | (ActionKind::Terminate, Desired::Terminated) => true,
            (ActionKind::Launch, Desired::Terminated)
            | (ActionKind::Start, Desired::Stopped | Desired::Terminated)
            | (ActionKind::Stop, Desired::Running | Desired::Terminated)
            | (ActionKind::Terminate, Desired::Running | Desired::Stopped) => false,
            // A newer wish takes it back.
            (ActionKind::Reboot, Desired::Running | Desired::Stopped | Desired::Terminated) => {
                self.0.reboot_requested_at.is_some()
            }
            // An instance must carry our tags before it may be changed, terminated included.
            (
                ActionKind::Locate | ActionKind::Tag,
                Desired::Running | Desired::Stopped | Desired::Terminated,
            ) => true,
        }
    }

    /// It drifted, and a policy of bringing it back would have a step for it.
    pub fn may_be_reverted(&self) -> bool {
        self.0.drift.is_some() && self.step(DriftPolicy::Revert).action.is_some()
    }

    /// What EC2 last told us, misses included.
    pub fn observed(&self) -> Observed {
        match &self.0.sighting {
            Some(sighting) if sighting.observed == Observed::Terminated => Observed::Terminated,
            _ if self.is_missing() => Observed::Missing,
            Some(sighting) => sighting.observed,
            None => Observed::Unknown,
        }
    }

    /// EC2 could not be asked about the worker several times in a row.
    pub fn is_unobservable(&self) -> bool {
        self.0.failures.len() >= BLIND_AFTER
    }

    /// An action without which EC2 does not get where it was asked to go was given up.
    pub fn is_stuck(&self) -> bool {
        self.0.gave_up.keys().any(|action| action.drives())
    }

    /// There may be an instance that we do not know of yet, and we have not given up finding out.
    pub(crate) fn may_be_launching(&self) -> bool {
        self.0.launch_called && self.0.instance.is_none() && !self.is_stuck()
    }

    pub(crate) fn has_given_up(&self, action: ActionKind) -> bool {
        self.0.gave_up.contains_key(&action)
    }

    pub(crate) fn is_adopted(&self) -> bool {
        self.0.applied_tags.contains_key(MANAGED_TAG)
    }

    fn is_missing(&self) -> bool {
        let misses = self.counted_misses();
        absences(&misses).count() >= MANY || absences(&misses).any(|(_, span)| span >= MISSING_AFTER)
    }

    /// EC2 has known no such instance for so long that it is gone.
    pub(crate) fn is_gone(&self) -> bool {
        absences(&self.counted_misses()).any(|(misses, span)| misses >= MANY && span >= GONE_AFTER)
    }

    /// The misses that mean something, in order of time.
    fn counted_misses(&self) -> Vec<Timestamp> {
        let earliest = self.0.launched_at.map(|at| later(at, LAUNCH_GRACE));
        self.0.misses.iter().filter(|at| earliest.is_none_or(|earliest| **at >= earliest)).copied().collect()
    }

    /// What EC2 is in now is what an earlier action of ours led to, one that was under way when something else was
    /// asked for.
    pub(crate) fn is_strays_doing(&self) -> bool {
        let s = &self.0;
        s.stray.zip(s.sighting.as_ref()).is_some_and(|((action, until), sighting)| {
            action.leads_to() == Some(sighting.observed) && sighting.counted() < until
        })
    }

    /// The one word people read, derived from what was asked for and what EC2 told us.
    pub fn status(&self) -> Status {
        let s = &self.0;
        if s.terminated_at.is_some() {
            return Status::Terminated;
        }
        if self.is_stuck() {
            return Status::Failed;
        }
        if s.instance.is_none() {
            return match (s.desired, s.launch_called) {
                (Desired::Terminated, _) => Status::Terminating,
                (Desired::Running | Desired::Stopped, true) => Status::Provisioning,
                (Desired::Running | Desired::Stopped, false) => Status::Pending,
            };
        }
        if self.is_unobservable() {
            return Status::Unknown;
        }
        let on_its_way =
            |attempt: &crate::Attempt| attempt.action.leads_to().is_some_and(|to| to.fulfils(s.desired));
        let driven = s.drift.is_none() || s.attempt.as_ref().is_some_and(on_its_way);
        match (self.observed(), s.desired) {
            (Observed::Terminated, _) => Status::Terminated,
            (Observed::Unknown | Observed::Missing, _) => Status::Unknown,
            (Observed::ShuttingDown, _) | (_, Desired::Terminated) => Status::Terminating,
            (Observed::Pending, _) if matches!(s.origin, Origin::Created(_)) && !s.has_run => {
                Status::Provisioning
            }
            (Observed::Pending, _) => Status::Starting,
            (Observed::Running, Desired::Stopped) if driven => Status::Stopping,
            (Observed::Running, _) => Status::Running,
            (Observed::Stopping, _) => Status::Stopping,
            (Observed::Stopped, Desired::Running) if driven => Status::Starting,
            (Observed::Stopped, _) => Status::Stopped,
        }
    }

    /// The instance type is a bare-metal one, which takes long to start and to end.
    pub(crate) fn is_metal(&self) -> bool {
        if let Some(known) = &self.0.instance_type {
            return known.contains(".metal");
        }
        // A launch template may say anything: better to wait too long.
        let wanted = self.spec().map(|spec| spec.by(self.0.alternative).instance_type);
        wanted.is_some_and(|name| name.is_none_or(|name| name.contains(".metal")))
    }

    /// The latest time at which evidence is known to be true: when EC2 last told us something that changed the record.
    pub fn last_seen_at(&self) -> Option<Timestamp> {
        self.0.sighting.as_ref().map(|sighting| sighting.seen_at)
    }

    /// The settings the worker has of its own.
    pub const fn overrides(&self) -> &Overrides {
        &self.0.overrides
    }
}

/// Each absence among these misses: how many they are, and how far the first and the last are apart.
fn absences(misses: &[Timestamp]) -> impl Iterator<Item = (usize, SignedDuration)> {
    misses
        .chunk_by(|one, next| next.duration_since(*one) <= ONE_ABSENCE)
        .filter_map(|misses| Some((misses.len(), misses.last()?.duration_since(*misses.first()?))))
}
