//! Facts, in the past tense.

use std::collections::{BTreeMap, BTreeSet};

use crate::{
    AccountId, ActionKind, Actor, Alert, AlertKind, Desired, Details, Drift, DriftPolicy, Failure, Health,
    HoldReason, InstanceId, LaunchSpec, Name, Overrides, Reason, Region, Sighting, Status, TagKey, TagValue,
    Timestamp, WorkerId,
};

/// How a worker came to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Created by us, from this.
    Created(Box<LaunchSpec>),
    /// An instance that existed before.
    Imported,
}

/// One fact about one worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A worker was created; its instance is not launched yet.
    Created {
        /// Its identity.
        id: WorkerId,
        /// Its name.
        name: Name,
        /// Its account.
        account: AccountId,
        /// Its region.
        region: Region,
        /// What to launch.
        spec: Box<LaunchSpec>,
        /// The operator's own tags.
        tags: BTreeMap<TagKey, TagValue>,
        /// Its own settings.
        overrides: Overrides,
        /// When.
        at: Timestamp,
        /// Who asked.
        by: Actor,
    },
    /// An existing instance became a worker.
    Imported {
        /// Its identity.
        id: WorkerId,
        /// Its name.
        name: Name,
        /// Its account.
        account: AccountId,
        /// Its region.
        region: Region,
        /// The instance.
        instance: InstanceId,
        /// What it is to be from now on: what it was when it was imported.
        desired: Desired,
        /// The operator's own tags.
        tags: BTreeMap<TagKey, TagValue>,
        /// Its own settings.
        overrides: Overrides,
        /// When.
        at: Timestamp,
        /// Who asked.
        by: Actor,
    },
    /// The worker has another name.
    Renamed {
        /// The old name.
        from: Name,
        /// The new name.
        to: Name,
        /// Who asked.
        by: Actor,
    },
    /// The operator's tags changed; EC2 follows.
    TagsChanged {
        /// The tags set.
        set: BTreeMap<TagKey, TagValue>,
        /// The keys removed.
        removed: BTreeSet<TagKey>,
        /// Who asked.
        by: Actor,
    },
    /// The worker's own settings changed.
    SettingsChanged {
        /// The overrides before.
        from: Overrides,
        /// The overrides from now on.
        to: Overrides,
        /// Who asked.
        by: Actor,
    },
    /// Somebody holds the worker, or for another reason than before: nothing of ours changes its instance.
    Held {
        /// Why.
        reason: HoldReason,
        /// When.
        at: Timestamp,
        /// Who holds it.
        by: Actor,
    },
    /// The worker is held no longer, and what has waited is due.
    Released {
        /// When.
        at: Timestamp,
        /// Who asked.
        by: Actor,
    },
    /// It takes the worker's name to terminate it, from now on or no longer.
    ProtectionChanged {
        /// Whether it does.
        protected: bool,
        /// Who asked.
        by: Actor,
    },
    /// Something else is asked for, or the same again.
    DesiredChanged {
        /// What was asked for before.
        from: Desired,
        /// What is asked for now.
        to: Desired,
        /// Since when: evidence from before says nothing about it.
        at: Timestamp,
        /// Who asked.
        by: Actor,
    },
    /// A reboot is asked for.
    RebootRequested {
        /// When.
        at: Timestamp,
        /// Who asked.
        by: Actor,
    },
    /// An action that was given up is to be tried again.
    RetryRequested {
        /// Which action.
        action: ActionKind,
        /// When.
        at: Timestamp,
        /// Who asked.
        by: Actor,
    },
    /// We no longer answer for the instance.
    Forgotten {
        /// When.
        at: Timestamp,
        /// Who asked.
        by: Actor,
    },
    /// EC2 told us something.
    InstanceObserved {
        /// The newest sighting; an older one only if it is the first to show that the instance has run.
        sighting: Sighting,
        /// What else was said.
        details: Details,
        /// It says what we knew already, only more recently. Such a fact alone is not worth a write.
        confirms: bool,
    },
    /// EC2 answered that it knows no such instance.
    InstanceNotFound {
        /// When.
        at: Timestamp,
    },
    /// EC2 could not be asked.
    ObservationFailed {
        /// When.
        at: Timestamp,
        /// What failed.
        reason: String,
    },
    /// The worker's status changed.
    StatusChanged {
        /// The status before.
        from: Status,
        /// The status now.
        to: Status,
        /// Why: EC2's reason, or ours.
        reason: String,
    },
    /// A status check changed.
    HealthChanged {
        /// The checks before, if there were any.
        from: Option<Health>,
        /// The checks now.
        to: Health,
    },
    /// EC2 got where it was asked to go.
    DesiredReached {
        /// When. A describe counts 30 seconds earlier than it was made.
        at: Timestamp,
    },
    /// EC2 left where it was asked to be, and not on our account.
    DriftDetected {
        /// What drifted.
        drift: Drift,
        /// What the policy says about it.
        policy: DriftPolicy,
        /// The worker is held, so nothing changes EC2, whatever the policy says.
        held: bool,
    },
    /// EC2 is where it was asked to be again.
    DriftResolved {
        /// What had drifted.
        drift: Drift,
        /// When it was resolved.
        at: Timestamp,
    },
    /// An action of ours that was under way when something else was asked for took its effect, so EC2 has still to get
    /// where it was asked to go. Recorded when the action that puts it right is issued; from then on the old one
    /// explains nothing any more.
    ActionOvertook {
        /// When it took its effect.
        at: Timestamp,
    },
    /// A step is due and waits for its turn. Costs no attempt.
    ActionQueued {
        /// What waits.
        action: ActionKind,
        /// When that was found.
        at: Timestamp,
        /// Its turn.
        not_before: Timestamp,
        /// Why it has to wait.
        reason: String,
    },
    /// A call to EC2 is about to be made. Recorded before the call.
    ActionIssued {
        /// What is being tried.
        action: ActionKind,
        /// The how-manieth try.
        number: u32,
        /// When.
        at: Timestamp,
        /// When the instance must have got there.
        deadline: Timestamp,
        /// By which alternative a launch is tried, if there are any; 0 is the spec itself.
        alternative: Option<u32>,
        /// Why.
        reason: Reason,
    },
    /// EC2 accepted the call, or the call needed no more than that.
    ActionAccepted {
        /// What was tried.
        action: ActionKind,
        /// When.
        at: Timestamp,
    },
    /// The call failed, or led nowhere in time.
    ActionFailed {
        /// What was tried.
        action: ActionKind,
        /// The how-manieth try.
        number: u32,
        /// How it failed.
        failure: Failure,
        /// When.
        at: Timestamp,
        /// When it may be tried again.
        retry_at: Timestamp,
        /// The alternative by which a launch is tried then, if the one in use was refused; 0 is the spec itself.
        next_alternative: Option<u32>,
    },
    /// We stopped trying this action. What else is due is done all the same.
    GaveUp {
        /// What was tried.
        action: ActionKind,
        /// How often.
        attempts: u32,
        /// Why trying again would not help.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// The worker got its instance.
    Launched {
        /// The instance.
        instance: InstanceId,
        /// When.
        at: Timestamp,
    },
    /// The instance's tags are the worker's.
    TagsApplied {
        /// The tags set.
        set: BTreeMap<String, String>,
        /// The keys removed.
        removed: BTreeSet<String>,
    },
    /// A condition people want to know of holds.
    AlertRaised {
        /// The alert.
        alert: Alert,
    },
    /// It holds no longer.
    AlertResolved {
        /// Which alert.
        kind: AlertKind,
        /// Why it is over.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// The worker ended. The only fact that says so.
    Terminated {
        /// When.
        at: Timestamp,
        /// Whether it was asked for.
        expected: bool,
        /// Why: EC2's reason, or ours.
        reason: String,
    },
}

impl Event {
    /// The fact's name; its CloudEvents type is `cml.worker.<name>.v1`.
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Created { .. } => "created",
            Self::Imported { .. } => "imported",
            Self::Renamed { .. } => "renamed",
            Self::TagsChanged { .. } => "tags_changed",
            Self::SettingsChanged { .. } => "settings_changed",
            Self::Held { .. } => "held",
            Self::Released { .. } => "released",
            Self::ProtectionChanged { .. } => "protection_changed",
            Self::DesiredChanged { .. } => "desired_changed",
            Self::RebootRequested { .. } => "reboot_requested",
            Self::RetryRequested { .. } => "retry_requested",
            Self::Forgotten { .. } => "forgotten",
            Self::InstanceObserved { .. } => "instance_observed",
            Self::InstanceNotFound { .. } => "instance_not_found",
            Self::ObservationFailed { .. } => "observation_failed",
            Self::StatusChanged { .. } => "status_changed",
            Self::HealthChanged { .. } => "health_changed",
            Self::DesiredReached { .. } => "desired_reached",
            Self::DriftDetected { .. } => "drift_detected",
            Self::DriftResolved { .. } => "drift_resolved",
            Self::ActionOvertook { .. } => "action_overtook",
            Self::ActionQueued { .. } => "action_queued",
            Self::ActionIssued { .. } => "action_issued",
            Self::ActionAccepted { .. } => "action_accepted",
            Self::ActionFailed { .. } => "action_failed",
            Self::GaveUp { .. } => "gave_up",
            Self::Launched { .. } => "launched",
            Self::TagsApplied { .. } => "tags_applied",
            Self::AlertRaised { .. } => "alert_raised",
            Self::AlertResolved { .. } => "alert_resolved",
            Self::Terminated { .. } => "terminated",
        }
    }

    /// It only repeats, more recently, what the record says already.
    pub const fn only_confirms(&self) -> bool {
        matches!(self, Self::InstanceObserved { confirms: true, .. })
    }
}
