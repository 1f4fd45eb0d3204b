//! Requests, and why one may be refused.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use crate::policy::{AlertDuration, Percent, PollInterval};
use crate::{
    AccountId, Desired, DriftPolicy, Event, Evidence, Held, HoldReason, InstanceId, LaunchSpec, Name,
    Overrides, Region, TagKey, TagValue,
};

/// Who asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Actor {
    /// A caller of the API, by the identity the authorizer vouches for.
    Caller(String),
    /// cml-fleet itself, following a policy.
    Policy,
}

impl fmt::Display for Actor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Caller(identity) => f.write_str(identity),
            Self::Policy => f.write_str("cml-fleet"),
        }
    }
}

/// A request to create a worker and its instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CreateWorker {
    /// What to call it.
    pub name: Name,
    /// The account it will live in.
    pub account: AccountId,
    /// The region it will live in.
    pub region: Region,
    /// What to launch.
    pub spec: LaunchSpec,
    /// The operator's own tags.
    pub tags: BTreeMap<TagKey, TagValue>,
    /// Its own settings.
    pub overrides: Overrides,
    /// To terminate it takes its name.
    pub protected: bool,
}

/// A request to answer for an instance that exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportWorker {
    /// What to call it.
    pub name: Name,
    /// The account it lives in.
    pub account: AccountId,
    /// The region it lives in.
    pub region: Region,
    /// The instance.
    pub instance: InstanceId,
    /// What EC2 said about it just now. Its finding is a [`crate::Finding::State`].
    pub evidence: Evidence,
    /// The operator's own tags, to be added to the instance.
    pub tags: BTreeMap<TagKey, TagValue>,
    /// Its own settings.
    pub overrides: Overrides,
    /// To terminate it takes its name.
    pub protected: bool,
    /// Hold it from the first moment: not even its tags are set.
    pub held: Option<HoldReason>,
}

/// A change of settings. The outer `None` leaves a setting, `Some(None)` makes it follow the fleet again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct SettingsPatch {
    /// See [`Overrides::monitoring`].
    pub monitoring: Option<Option<bool>>,
    /// See [`Overrides::interval`].
    pub interval: Option<Option<PollInterval>>,
    /// See [`Overrides::drift`].
    pub drift: Option<Option<DriftPolicy>>,
    /// See [`Overrides::cpu`].
    pub cpu: Option<Option<Percent>>,
    /// See [`Overrides::memory`].
    pub memory: Option<Option<Percent>>,
    /// See [`Overrides::disk`].
    pub disk: Option<Option<Percent>>,
    /// See [`Overrides::alert_duration`].
    pub alert_duration: Option<Option<AlertDuration>>,
}

impl SettingsPatch {
    /// The overrides after the change.
    pub fn applied_to(&self, old: &Overrides) -> Overrides {
        Overrides {
            monitoring: self.monitoring.unwrap_or(old.monitoring),
            interval: self.interval.unwrap_or(old.interval),
            drift: self.drift.unwrap_or(old.drift),
            cpu: self.cpu.unwrap_or(old.cpu),
            memory: self.memory.unwrap_or(old.memory),
            disk: self.disk.unwrap_or(old.disk),
            alert_duration: self.alert_duration.unwrap_or(old.alert_duration),
        }
    }
}

/// A change of the operator's own tags.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct TagsPatch {
    /// The tags to set.
    pub set: BTreeMap<TagKey, TagValue>,
    /// The keys to remove.
    pub remove: BTreeSet<TagKey>,
}

/// A change of what keeps others, and us, from a worker.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct GuardsPatch {
    /// The outer `None` leaves it as it is, `Some(None)` releases it.
    pub held: Option<Option<HoldReason>>,
    /// To terminate it takes its name, from now on or no longer.
    pub protected: Option<bool>,
}

/// A request to an existing worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    /// Let it run.
    Start,
    /// Let it be stopped.
    Stop,
    /// Reboot it.
    Reboot,
    /// End it, and its instance.
    Terminate {
        /// The worker's name, as whoever asks believes it to be. A protected worker needs it.
        confirm: Option<String>,
    },
    /// Try again to bring its tags in line, if that was given up and nobody holds it. A reboot must be asked for by name.
    Sync,
    /// Stop answering for its instance, and leave the instance alone.
    Forget,
    /// Change name, tags, settings and guards, all or none.
    Patch {
        /// The new name.
        name: Option<Name>,
        /// The tags to change.
        tags: TagsPatch,
        /// The settings to change.
        settings: SettingsPatch,
        /// The guards to change.
        guards: GuardsPatch,
    },
}

/// Why a command was refused. Nothing was changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Rejection {
    /// The worker has ended.
    #[error("the worker has ended; create or import another one")]
    Ended,
    /// The worker is about to end.
    #[error("the worker is being terminated, and there is no way back from that")]
    Terminating,
    /// There is no instance yet.
    #[error("the worker has no instance yet; wait until it is launched, or terminate it")]
    NotLaunched,
    /// A launch was called for, and it is not known yet which instance came of it.
    #[error(
        "the worker's launch is under way, and its instance would be left without an owner; wait until it is launched, \
         or terminate the worker"
    )]
    Launching,
    /// Only a running instance can be rebooted.
    #[error(
        "only a running worker can be rebooted, and this one is to be {desired} and was last seen {observed}"
    )]
    NotRunning {
        /// What was asked for.
        desired: Desired,
        /// What EC2 last told us.
        observed: crate::Observed,
    },
    /// The instance that should be imported is going away or is gone.
    #[error("the instance is {observed} and cannot be imported")]
    InstanceEnding {
        /// What EC2 told us.
        observed: crate::Observed,
    },
    /// The worker is held.
    #[error("the worker is {0}; release it first: PATCH it with `held` null")]
    Held(Held),
    /// The worker is protected.
    #[error(
        "the worker is protected; to terminate it all the same, end it by itself and pass its name: confirm={name}"
    )]
    Protected {
        /// Its name.
        name: Name,
    },
    /// What was to confirm that this worker is meant names another one.
    #[error("the worker is called {name}, and the confirmation says otherwise; pass confirm={name} or none")]
    Misnamed {
        /// Its name.
        name: Name,
    },
    /// Too many tags.
    #[error("a worker can have at most {max} tags of its own")]
    TooManyTags {
        /// The most tags allowed: EC2's 50, less the three that are ours.
        max: usize,
    },
}

/// What a command came to: the facts to record, or why not. No facts means that all is as asked already.
pub type Decision = Result<Vec<Event>, Rejection>;
