//! Workers and their facts: the fleet table.

use domain::{DriftPolicy, InstanceId, Region, Timestamp, WorkerId, Zone};

use crate::error::StoreError;
use crate::record::{EventRecord, Stored};

/// Who answers for an instance: the key of uniqueness.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InstanceKey {
    /// The account.
    pub account: domain::AccountId,
    /// The region.
    pub region: Region,
    /// The instance.
    pub instance: InstanceId,
}

/// What a poll needs to know about a living worker. Changes rarely.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Watch {
    /// The worker.
    pub worker: WorkerId,
    /// Its instance, once there is one.
    pub instance: Option<InstanceId>,
    /// Its zone, once known.
    pub zone: Option<Zone>,
    /// Its own monitoring switch, if it has one.
    pub monitoring: Option<bool>,
    /// Its own interval in seconds, if it has one.
    pub interval: Option<u32>,
    /// Its own drift policy, if it has one.
    pub drift_policy: Option<DriftPolicy>,
    /// It drifted, and a policy may bring it back; see [`domain::Worker::may_be_reverted`].
    pub drifted: bool,
    /// When somebody must look at its action again.
    pub act_by: Option<Timestamp>,
}

/// One page of a listing, and where the next one starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page<T> {
    /// The items.
    pub items: Vec<T>,
    /// An opaque position; `None` at the end.
    pub next: Option<String>,
}

/// Workers and their facts: the fleet table.
pub trait Workers: Sync {
    /// The worker as it is now (strongly consistent).
    fn load(&self, id: WorkerId) -> impl Future<Output = Result<Option<Stored>, StoreError>> + Send;

    /// The workers that exist among these (strongly consistent, any order).
    fn load_many(&self, ids: &[WorkerId]) -> impl Future<Output = Result<Vec<Stored>, StoreError>> + Send;

    /// Writes a state and its facts, and moves the uniqueness items with them, all or nothing.
    ///
    /// `before` is the state the facts were decided on; `None` creates. The version rises by one. Fails with
    /// [`StoreError::Conflict`] if the worker is no longer at `before`'s version (or exists already),
    /// [`StoreError::NameTaken`] or [`StoreError::InstanceTaken`] if another living worker has the name or the
    /// instance, [`StoreError::Contended`] if a concurrent transaction got in the way and trying again is right.
    fn save(
        &self,
        before: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The worker that answers for an instance (strongly consistent).
    fn owner(&self, key: &InstanceKey) -> impl Future<Output = Result<Option<WorkerId>, StoreError>> + Send;

    /// The living workers of a region, in the order of zone and id (eventually consistent).
    fn watches(
        &self,
        region: &Region,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Page<Watch>, StoreError>> + Send;

    /// The facts of a worker, newest first.
    fn events(
        &self,
        id: WorkerId,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Page<EventRecord>, StoreError>> + Send;

    /// Facts from before `before` that nobody was told of yet, oldest first, at most `limit` (eventually consistent).
    fn untold(
        &self,
        before: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<EventRecord>, StoreError>> + Send;

    /// Every channel has been told of these facts, or has parked them. Repeating it is not an error.
    fn mark_told(
        &self,
        worker: WorkerId,
        version: u64,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;
}
