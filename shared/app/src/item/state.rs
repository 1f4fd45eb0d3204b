//! How the complete state of a worker is written: the `worker` map of its item. Nobody but us reads it.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use domain::{
    AccountId, ActionKind, Actor, Alert, AlertKind, Attempt, Desired, Drift, Failure, GivenUp, Health, Held,
    HoldReason, InstanceId, LaunchSpec, Name, Origin, Overrides, Queued, Region, Sighting, Snapshot, TagKey,
    TagValue, Timestamp, WorkerId, Zone,
};
use serde::{Deserialize, Serialize};
use serde_dynamo::AttributeValue;
use serde_with::{DisplayFromStr, FromInto, serde_as, skip_serializing_none};

use crate::fact::form::{Millis, stands_for};
use crate::fact::shape::millis::{AlertShape, DriftShape, HealthShape, SightingShape};
use crate::fact::shape::{ActorShape, FailureShape, LaunchSpecShape, OverridesShape};

#[serde_as]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Origin", rename_all = "snake_case")]
enum OriginShape {
    Created(#[serde_as(as = "Box<LaunchSpecShape>")] Box<LaunchSpec>),
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
    alternative: Option<u32>,
    accepted: bool,
    #[serde_as(as = "Option<(FailureShape, Millis)>")]
    failed: Option<(Failure, Timestamp)>,
}

#[serde_as]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Queued")]
struct QueuedShape {
    #[serde_as(as = "DisplayFromStr")]
    action: ActionKind,
    #[serde_as(as = "Millis")]
    not_before: Timestamp,
}

#[serde_as]
#[derive(Serialize, Deserialize)]
#[serde(remote = "GivenUp")]
struct GivenUpShape {
    #[serde_as(as = "Millis")]
    tried_at: Timestamp,
    reason: String,
    /// What was written before this was kept does not say so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    hangs: bool,
}

#[serde_as]
#[derive(Serialize, Deserialize)]
#[serde(remote = "Held")]
struct HeldShape {
    #[serde_as(as = "DisplayFromStr")]
    reason: HoldReason,
    #[serde_as(as = "Millis")]
    at: Timestamp,
    #[serde_as(as = "FromInto<ActorShape>")]
    by: Actor,
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
    #[serde(default, skip_serializing_if = "is_first")]
    alternative: u32,
    #[serde_as(as = "Option<Millis>")]
    launch_shows_until: Option<Timestamp>,
    #[serde_as(as = "Option<Millis>")]
    launched_at: Option<Timestamp>,
    #[serde_as(as = "Option<SightingShape>")]
    sighting: Option<Sighting>,
    #[serde_as(as = "Option<Millis>")]
    moving_since: Option<Timestamp>,
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
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    doubtful_tags: BTreeSet<String>,
    #[serde_as(as = "OverridesShape")]
    overrides: Overrides,
    #[serde_as(as = "Option<HeldShape>")]
    held: Option<Held>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    protected: bool,
    #[serde_as(as = "Option<DriftShape>")]
    drift: Option<Drift>,
    #[serde_as(as = "Option<AttemptShape>")]
    attempt: Option<Attempt>,
    #[serde_as(as = "Option<QueuedShape>")]
    queued: Option<Queued>,
    #[serde_as(as = "Option<(DisplayFromStr, Millis)>")]
    stray: Option<(ActionKind, Timestamp)>,
    #[serde_as(as = "Option<Millis>")]
    reboot_requested_at: Option<Timestamp>,
    #[serde_as(as = "Option<Millis>")]
    reboot_asked_at: Option<Timestamp>,
    #[serde(rename = "given_up", default, skip_serializing_if = "BTreeMap::is_empty")]
    #[serde_as(as = "BTreeMap<DisplayFromStr, GivenUpShape>")]
    gave_up: BTreeMap<ActionKind, GivenUp>,
    #[serde_as(as = "BTreeMap<DisplayFromStr, AlertShape>")]
    alerts: BTreeMap<AlertKind, Alert>,
    #[serde_as(as = "Option<Millis>")]
    terminated_at: Option<Timestamp>,
    #[serde_as(as = "Option<Millis>")]
    forgotten_at: Option<Timestamp>,
}

stands_for!(
    OriginShape => Origin,
    AttemptShape => Attempt,
    QueuedShape => Queued,
    GivenUpShape => GivenUp,
    HeldShape => Held,
    SnapshotShape => Snapshot,
);

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde hands it over like that")]
const fn is_first(alternative: &u32) -> bool {
    *alternative == 0
}

/// Brings a state of the first release into today's form: it said only why it gave up, and the attempt beside that
/// what was. Names differ, so that either release reads what the other wrote.
pub(super) fn renew(state: &mut HashMap<String, AttributeValue>) {
    let Some(reason) = state.remove("gave_up") else { return };
    let Some(AttributeValue::M(attempt)) = state.get("attempt") else { return };
    let (Some(AttributeValue::S(action)), Some(tried_at)) = (attempt.get("action"), attempt.get("issued_at"))
    else {
        return;
    };
    let given_up = [("reason".to_owned(), reason), ("tried_at".to_owned(), tried_at.clone())].into();
    let given_up = [(action.clone(), AttributeValue::M(given_up))].into();
    state.entry("given_up".to_owned()).or_insert(AttributeValue::M(given_up));
}
