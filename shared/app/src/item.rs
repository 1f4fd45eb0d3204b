//! The items of the `fleet` table. The adapter that writes them and the functions that read its stream use this one
//! definition, and neither needs the other.
//!
//! Times are milliseconds since the epoch, `ttl` is in seconds (DynamoDB demands it), facts are in the form of
//! [`crate::fact`]. Readers ignore attributes they do not know; an item that lacks one that is needed, or has a word
//! that is not known, is an [`ItemError`].

mod key;
mod state;
#[cfg(test)]
mod tests;

use domain::{
    DriftPolicy, Event, InstanceId, Name, PollInterval, Region, RequestId, Snapshot, Timestamp, Worker,
    WorkerId, Zone,
};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use serde_dynamo::{AttributeValue, Deserializer};
use serde_with::{DisplayFromStr, serde_as, skip_serializing_none};

pub use key::{Key, OUTBOX_SHARDS, event_prefix, outbox_shard, region_pk, region_sk};

use crate::error::StoreError;
use crate::fact::EventShape;
use crate::fact::form::{Millis, Ranged};
use crate::ports::Watch;
use crate::record::{EventRecord, Stored};
use state::SnapshotShape;

/// An item that is not in the form it should be in.
#[derive(Debug, thiserror::Error)]
#[error("the {item} item is not in the form it should be in, at {path}")]
pub struct ItemError {
    /// Which kind of item: `worker`, `event`, `watch`, `owner` or `key`; `new` for one about to be written.
    pub item: &'static str,
    /// Where in it, such as `facts[1]`; `.` for the item as a whole.
    pub path: String,
    /// What is wrong with it.
    #[source]
    pub source: serde_dynamo::Error,
}

impl From<ItemError> for StoreError {
    fn from(error: ItemError) -> Self {
        Self::Corrupt(Box::new(error))
    }
}

/// A worker: `WORKER#<id>`, `STATE`. Not compared or printed whole: it is [`Stored`] that matters.
#[serde_as]
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WorkerItem {
    pk: String,
    sk: String,
    version: u64,
    #[serde_as(as = "Millis")]
    updated_at: Timestamp,
    #[serde_as(as = "Option<Millis>")]
    act_by: Option<Timestamp>,
    ttl: Option<i64>,
    // The index `by-region`: only while the worker lives.
    region_pk: Option<String>,
    region_sk: Option<String>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    worker_id: Option<WorkerId>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    instance_id: Option<InstanceId>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    zone: Option<Zone>,
    monitored: Option<bool>,
    #[serde_as(as = "Option<Ranged>")]
    interval: Option<PollInterval>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    drift_policy: Option<DriftPolicy>,
    drifted: Option<bool>,
    #[serde_as(as = "SnapshotShape")]
    worker: Snapshot,
}

impl WorkerItem {
    /// The item of a worker. One that is over is kept for `retention_days` more.
    pub fn new(stored: &Stored, retention_days: u32) -> Self {
        let state = stored.worker.state();
        let Key { pk, sk } = Key::state(state.id);
        let living = !stored.worker.is_over();
        let overrides = Some(&state.overrides).filter(|_| living);
        Self {
            pk,
            sk,
            version: stored.version,
            updated_at: stored.updated_at,
            act_by: stored.act_by,
            ttl: (!living).then(|| expiry(stored.updated_at, retention_days)),
            region_pk: living.then(|| region_pk(&state.region)),
            region_sk: living.then(|| region_sk(state.zone.as_ref(), state.id)),
            worker_id: living.then_some(state.id),
            instance_id: state.instance.clone().filter(|_| living),
            zone: state.zone.clone().filter(|_| living),
            monitored: overrides.and_then(|own| own.monitoring),
            interval: overrides.and_then(|own| own.interval),
            drift_policy: overrides.and_then(|own| own.drift),
            drifted: living.then_some(stored.worker.may_be_reverted()),
            worker: state.clone(),
        }
    }
}

impl From<WorkerItem> for Stored {
    fn from(item: WorkerItem) -> Self {
        let WorkerItem { version, updated_at, act_by, worker, .. } = item;
        Self { worker: Worker::from(worker), version, updated_at, act_by }
    }
}

/// The facts of one version of a worker: `WORKER#<id>`, `EVENT#<version>`. In the index `outbox` until told.
#[serde_as]
#[skip_serializing_none]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EventItem {
    pk: String,
    sk: String,
    #[serde_as(as = "DisplayFromStr")]
    worker_id: WorkerId,
    version: u64,
    #[serde_as(as = "Millis")]
    at: Timestamp,
    #[serde_as(as = "DisplayFromStr")]
    name: Name,
    #[serde_as(as = "DisplayFromStr")]
    region: Region,
    #[serde_as(as = "Option<DisplayFromStr>")]
    instance: Option<InstanceId>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    request: Option<RequestId>,
    #[serde_as(as = "Vec<EventShape>")]
    facts: Vec<Event>,
    ttl: Option<i64>,
    outbox: Option<String>,
}

impl EventItem {
    /// The item of facts nobody was told of yet, to be kept for `retention_days`.
    pub fn new(record: &EventRecord, retention_days: u32) -> Self {
        let Key { pk, sk } = Key::event(record.worker, record.version);
        Self {
            pk,
            sk,
            worker_id: record.worker,
            version: record.version,
            at: record.at,
            name: record.name.clone(),
            region: record.region.clone(),
            instance: record.instance.clone(),
            request: record.request,
            facts: record.events.clone(),
            ttl: Some(expiry(record.at, retention_days)),
            outbox: Some(outbox_shard(record.worker).to_owned()),
        }
    }
}

impl From<EventItem> for EventRecord {
    fn from(item: EventItem) -> Self {
        let EventItem { worker_id, version, at, name, region, instance, request, facts, .. } = item;
        Self { worker: worker_id, version, at, name, region, instance, request, events: facts }
    }
}

/// A living worker as the index `by-region` projects it.
#[serde_as]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchItem {
    #[serde_as(as = "DisplayFromStr")]
    worker_id: WorkerId,
    #[serde_as(as = "Option<DisplayFromStr>")]
    instance_id: Option<InstanceId>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    zone: Option<Zone>,
    monitored: Option<bool>,
    #[serde_as(as = "Option<Ranged>")]
    interval: Option<PollInterval>,
    #[serde_as(as = "Option<DisplayFromStr>")]
    drift_policy: Option<DriftPolicy>,
    drifted: bool,
    #[serde_as(as = "Option<Millis>")]
    act_by: Option<Timestamp>,
}

impl From<WatchItem> for Watch {
    fn from(item: WatchItem) -> Self {
        Self {
            worker: item.worker_id,
            instance: item.instance_id,
            zone: item.zone,
            monitoring: item.monitored,
            interval: item.interval.map(PollInterval::get),
            drift_policy: item.drift_policy,
            drifted: item.drifted,
            act_by: item.act_by,
        }
    }
}

/// Who has a name or an instance: [`Key::name`] or [`Key::instance`].
#[serde_as]
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OwnerItem {
    pk: String,
    sk: String,
    #[serde_as(as = "DisplayFromStr")]
    worker_id: WorkerId,
}

impl OwnerItem {
    /// `worker` owns what `key` names.
    pub fn new(key: Key, worker: WorkerId) -> Self {
        let Key { pk, sk } = key;
        Self { pk, sk, worker_id: worker }
    }

    /// The owner.
    pub const fn worker(&self) -> WorkerId {
        self.worker_id
    }
}

/// Reads a worker.
///
/// # Errors
/// [`ItemError`] if it is not in the form of a [`WorkerItem`].
pub fn decode_worker(image: impl Into<serde_dynamo::Item>) -> Result<Stored, ItemError> {
    let mut image: serde_dynamo::Item = image.into();
    if let Some(AttributeValue::M(state)) = image.inner_mut().get_mut("worker") {
        state::renew(state);
    }
    decode::<WorkerItem>("worker", image).map(Into::into)
}

/// Reads the facts of one version: an item of the table, or `change.new_image` of a stream record.
///
/// # Errors
/// [`ItemError`] if it is not in the form of an [`EventItem`], or holds a fact this release does not know.
pub fn decode_event(image: impl Into<serde_dynamo::Item>) -> Result<EventRecord, ItemError> {
    decode::<EventItem>("event", image).map(Into::into)
}

/// Reads what the index `by-region` projects.
///
/// # Errors
/// [`ItemError`] if it is not in the form of a [`WatchItem`].
pub fn decode_watch(image: impl Into<serde_dynamo::Item>) -> Result<Watch, ItemError> {
    decode::<WatchItem>("watch", image).map(Into::into)
}

/// Reads who owns a name or an instance.
///
/// # Errors
/// [`ItemError`] if it is not in the form of an [`OwnerItem`].
pub fn decode_owner(image: impl Into<serde_dynamo::Item>) -> Result<WorkerId, ItemError> {
    decode::<OwnerItem>("owner", image).map(|owner| owner.worker_id)
}

/// Reads the key of any item, whatever else it has.
///
/// # Errors
/// [`ItemError`] if it has none.
pub fn decode_key(image: impl Into<serde_dynamo::Item>) -> Result<Key, ItemError> {
    decode("key", image)
}

/// The attributes of any of these items or keys, in the type of whoever writes them.
///
/// # Errors
/// [`ItemError`], which none of the items here brings about.
pub fn encode<I: From<serde_dynamo::Item>>(item: &impl Serialize) -> Result<I, ItemError> {
    serde_dynamo::to_item(item).map_err(|source| ItemError { item: "new", path: ".".to_owned(), source })
}

fn decode<T: DeserializeOwned>(
    item: &'static str,
    image: impl Into<serde_dynamo::Item>,
) -> Result<T, ItemError> {
    let attributes = AttributeValue::M(image.into().into_inner());
    serde_path_to_error::deserialize(Deserializer::from_attribute_value(attributes))
        .map_err(|error| ItemError { item, path: error.path().to_string(), source: error.into_inner() })
}

/// When DynamoDB may delete an item, in seconds since the epoch.
fn expiry(from: Timestamp, days: u32) -> i64 {
    from.as_second() + i64::from(days) * 86_400
}
