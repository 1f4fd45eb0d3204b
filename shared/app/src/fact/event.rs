//! How each fact is written. The names of facts and fields are a contract with whoever reads them; see `contract.jsonl`.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    AccountId, ActionKind, Actor, Alert, AlertKind, Desired, Details, Drift, DriftPolicy, Event, Failure,
    Health, HoldReason, InstanceId, LaunchSpec, Name, Overrides, Reason, Region, Sighting, Status, TagKey,
    TagValue, Timestamp, WorkerId,
};
use serde::{Deserialize, Serialize};
use serde_with::{DisplayFromStr, FromInto, serde_as, skip_serializing_none};

use super::form::{Rfc3339, stands_for};
use super::shape::rfc3339::{AlertShape, DetailsShape, DriftShape, HealthShape, ReasonShape, SightingShape};
use super::shape::{ActorShape, FailureShape, LaunchSpecShape, OverridesShape};

#[serde_as]
#[skip_serializing_none]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Event", tag = "fact", rename_all = "snake_case")]
pub(crate) enum EventShape {
    Created {
        #[serde_as(as = "DisplayFromStr")]
        id: WorkerId,
        #[serde_as(as = "DisplayFromStr")]
        name: Name,
        #[serde_as(as = "DisplayFromStr")]
        account: AccountId,
        #[serde_as(as = "DisplayFromStr")]
        region: Region,
        #[serde_as(as = "Box<LaunchSpecShape>")]
        spec: Box<LaunchSpec>,
        #[serde_as(as = "BTreeMap<DisplayFromStr, DisplayFromStr>")]
        tags: BTreeMap<TagKey, TagValue>,
        #[serde_as(as = "OverridesShape")]
        overrides: Overrides,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    Imported {
        #[serde_as(as = "DisplayFromStr")]
        id: WorkerId,
        #[serde_as(as = "DisplayFromStr")]
        name: Name,
        #[serde_as(as = "DisplayFromStr")]
        account: AccountId,
        #[serde_as(as = "DisplayFromStr")]
        region: Region,
        #[serde_as(as = "DisplayFromStr")]
        instance: InstanceId,
        #[serde_as(as = "DisplayFromStr")]
        desired: Desired,
        #[serde_as(as = "BTreeMap<DisplayFromStr, DisplayFromStr>")]
        tags: BTreeMap<TagKey, TagValue>,
        #[serde_as(as = "OverridesShape")]
        overrides: Overrides,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    Renamed {
        #[serde_as(as = "DisplayFromStr")]
        from: Name,
        #[serde_as(as = "DisplayFromStr")]
        to: Name,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    TagsChanged {
        #[serde_as(as = "BTreeMap<DisplayFromStr, DisplayFromStr>")]
        set: BTreeMap<TagKey, TagValue>,
        #[serde_as(as = "BTreeSet<DisplayFromStr>")]
        removed: BTreeSet<TagKey>,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    SettingsChanged {
        #[serde_as(as = "OverridesShape")]
        from: Overrides,
        #[serde_as(as = "OverridesShape")]
        to: Overrides,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    Held {
        #[serde_as(as = "DisplayFromStr")]
        reason: HoldReason,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    Released {
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    ProtectionChanged {
        protected: bool,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    DesiredChanged {
        #[serde_as(as = "DisplayFromStr")]
        from: Desired,
        #[serde_as(as = "DisplayFromStr")]
        to: Desired,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    RebootRequested {
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    RetryRequested {
        #[serde_as(as = "DisplayFromStr")]
        action: ActionKind,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    Forgotten {
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "FromInto<ActorShape>")]
        by: Actor,
    },
    InstanceObserved {
        #[serde_as(as = "SightingShape")]
        sighting: Sighting,
        #[serde_as(as = "DetailsShape")]
        details: Details,
        confirms: bool,
    },
    InstanceNotFound {
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
    },
    ObservationFailed {
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        reason: String,
    },
    StatusChanged {
        #[serde_as(as = "DisplayFromStr")]
        from: Status,
        #[serde_as(as = "DisplayFromStr")]
        to: Status,
        reason: String,
    },
    HealthChanged {
        #[serde_as(as = "Option<HealthShape>")]
        from: Option<Health>,
        #[serde_as(as = "HealthShape")]
        to: Health,
    },
    DesiredReached {
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
    },
    DriftDetected {
        #[serde_as(as = "DriftShape")]
        drift: Drift,
        #[serde_as(as = "DisplayFromStr")]
        policy: DriftPolicy,
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        held: bool,
    },
    DriftResolved {
        #[serde_as(as = "DriftShape")]
        drift: Drift,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
    },
    ActionOvertook {
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
    },
    ActionQueued {
        #[serde_as(as = "DisplayFromStr")]
        action: ActionKind,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "Rfc3339")]
        not_before: Timestamp,
        reason: String,
    },
    ActionIssued {
        #[serde_as(as = "DisplayFromStr")]
        action: ActionKind,
        number: u32,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "Rfc3339")]
        deadline: Timestamp,
        alternative: Option<u32>,
        #[serde_as(as = "ReasonShape")]
        reason: Reason,
    },
    ActionAccepted {
        #[serde_as(as = "DisplayFromStr")]
        action: ActionKind,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
    },
    ActionFailed {
        #[serde_as(as = "DisplayFromStr")]
        action: ActionKind,
        number: u32,
        #[serde_as(as = "FailureShape")]
        failure: Failure,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        #[serde_as(as = "Rfc3339")]
        retry_at: Timestamp,
        next_alternative: Option<u32>,
    },
    GaveUp {
        #[serde_as(as = "DisplayFromStr")]
        action: ActionKind,
        attempts: u32,
        reason: String,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
    },
    Launched {
        #[serde_as(as = "DisplayFromStr")]
        instance: InstanceId,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
    },
    TagsApplied {
        set: BTreeMap<String, String>,
        removed: BTreeSet<String>,
    },
    AlertRaised {
        #[serde_as(as = "AlertShape")]
        alert: Alert,
    },
    AlertResolved {
        #[serde_as(as = "DisplayFromStr")]
        kind: AlertKind,
        reason: String,
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
    },
    Terminated {
        #[serde_as(as = "Rfc3339")]
        at: Timestamp,
        expected: bool,
        reason: String,
    },
}

stands_for!(EventShape => Event);
