//! How the complete state of a worker is written: the `worker` map of its item. Nobody but us reads it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use domain::{
    AccountId, ActionKind, Alert, AlertKind, Attempt, Desired, Drift, Failure, Health, InstanceId,
    LaunchSpec, Name, Origin, Overrides, Region, Sighting, Snapshot, TagKey, TagValue, Timestamp, WorkerId,
    Zone,
};
use serde::{Deserialize, Serialize};
use serde_with::{DisplayFromStr, serde_as, skip_serializing_none};

use crate::fact::form::{Millis, stands_for};
use crate::fact::shape::millis::{AlertShape, DriftShape, HealthShape, SightingShape};
use crate::fact::shape::{FailureShape, LaunchSpecShape, OverridesShape};

#[serde_as]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Origin", rename_all = "snake_case")]
enum OriginShape {
    Created(#[serde_as(as = "LaunchSpecShape")] LaunchSpec),
    Imported,
}

#[serde_as]
#[skip_serializing_none]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Attempt")]
struct AttemptShape {
    #[serde_as(as = "DisplayFromStr")]
    action: ActionKind,
    number: u32,
    #[serde_as(as = "Millis")]
    issued_at: Timestamp,
    #[serde_as(as = "Millis")]
    deadline: Timestamp,
    accepted: bool,
    #[serde_as(as = "Option<(FailureShape, Millis)>")]
    failed: Option<(Failure, Timestamp)>,
}

#[serde_as]
#[skip_serializing_none]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Snapshot")]
pub(super) struct SnapshotShape {
    #[serde_as(as = "DisplayFromStr")]
    id: WorkerId,
    #[serde_as(as = "DisplayFromStr")]
    name: Name,
    #[serde_as(as = "DisplayFromStr")]
    account: AccountId,
    #[serde_as(as = "DisplayFromStr")]
    region: Region,
    #[serde_as(as = "OriginShape")]
    origin: Origin,
    #[serde_as(as = "Millis")]
    created_at: Timestamp,
    #[serde_as(as = "DisplayFromStr")]
    desired: Desired,
    #[serde_as(as = "Millis")]
    desired_since: Timestamp,
    #[serde_as(as = "Option<Millis>")]
    reached_at: Option<Timestamp>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    instance: Option<InstanceId>,
    launch_called: bool,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    already_launched: bool,
    #[serde_as(as = "Option<Millis>")]
    launched_at: Option<Timestamp>,
    #[serde_as(as = "Option<SightingShape>")]
    sighting: Option<Sighting>,
    has_run: bool,
    #[serde_as(as = "Option<Millis>")]
    idle_at: Option<Timestamp>,
    #[serde_as(as = "BTreeSet<Millis>")]
    misses: BTreeSet<Timestamp>,
    #[serde_as(as = "BTreeSet<Millis>")]
    failures: BTreeSet<Timestamp>,
    failure_reason: Option<String>,
    #[serde_as(as = "Option<HealthShape>")]
    health: Option<Health>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    zone: Option<Zone>,
    instance_type: Option<String>,
    private_ip: Option<IpAddr>,
    public_ip: Option<IpAddr>,
    #[serde_as(as = "BTreeMap<DisplayFromStr, DisplayFromStr>")]
    tags: BTreeMap<TagKey, TagValue>,
    applied_tags: BTreeMap<String, String>,
    #[serde_as(as = "OverridesShape")]
    overrides: Overrides,
    #[serde_as(as = "Option<DriftShape>")]
    drift: Option<Drift>,
    #[serde_as(as = "Option<AttemptShape>")]
    attempt: Option<Attempt>,
    #[serde_as(as = "Option<(DisplayFromStr, Millis)>")]
    stray: Option<(ActionKind, Timestamp)>,
    #[serde_as(as = "Option<Millis>")]
    reboot_requested_at: Option<Timestamp>,
    gave_up: Option<String>,
    #[serde_as(as = "BTreeMap<DisplayFromStr, AlertShape>")]
    alerts: BTreeMap<AlertKind, Alert>,
    #[serde_as(as = "Option<Millis>")]
    terminated_at: Option<Timestamp>,
    #[serde_as(as = "Option<Millis>")]
    forgotten_at: Option<Timestamp>,
}

stands_for!(OriginShape => Origin, AttemptShape => Attempt, SnapshotShape => Snapshot);
