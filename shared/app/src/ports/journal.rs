//! What the journal keeps besides deliveries: telemetry, heartbeats, idempotency records.

use std::collections::BTreeMap;

use domain::{Metric, Region, Timestamp, WorkerId};

use crate::error::StoreError;

/// One measured point in time of one worker.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The worker.
    pub worker: WorkerId,
    /// When it was true; with the worker, the sample's identity.
    pub at: Timestamp,
    /// The values in percent; a metric that was not measured has no entry.
    pub values: BTreeMap<Metric, f64>,
}

/// Telemetry: samples in the journal.
pub trait Samples: Sync {
    /// Appends samples. Writing one again replaces it.
    fn append(&self, samples: &[Sample]) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Those of these samples that were written, in any order.
    fn written(
        &self,
        samples: &[(WorkerId, Timestamp)],
    ) -> impl Future<Output = Result<Vec<Sample>, StoreError>> + Send;

    /// The samples of a worker from `from` to `to`, newest first, at most `limit`.
    fn samples(
        &self,
        worker: WorkerId,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Sample>, StoreError>> + Send;
}

/// When a region was last swept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// The newest tick somebody has taken up.
    pub claimed: Timestamp,
    /// The newest tick whose work was handed on completely; `None` before the first.
    pub completed: Option<Timestamp>,
}

/// Heartbeats of the metrics channel: one item per region.
pub trait Sweeps: Sync {
    /// Takes up a tick of a region. `None` if this tick or a later one was taken up before; else the heartbeat as it
    /// was, which may be absent.
    fn claim(
        &self,
        region: &Region,
        tick: Timestamp,
    ) -> impl Future<Output = Result<Option<Option<Heartbeat>>, StoreError>> + Send;

    /// All work of a tick has been handed on.
    fn complete(
        &self,
        region: &Region,
        tick: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The heartbeat of a region.
    fn heartbeat(
        &self,
        region: &Region,
    ) -> impl Future<Output = Result<Option<Heartbeat>, StoreError>> + Send;
}

/// A request that carries an idempotency key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestKey {
    /// Who asked; keys of different callers have nothing to do with each other.
    pub caller: String,
    /// The key the caller chose.
    pub key: String,
    /// A hash of method, path and body: the same key with another request is a mistake.
    pub fingerprint: String,
}

/// The stored answer to a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The body, JSON.
    pub body: String,
}

/// Where a request with an idempotency key stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Begun {
    /// Nobody has carried it out: go ahead. `worker` is the identity to create under: the same on every try.
    Fresh {
        /// The identity reserved for this request.
        worker: WorkerId,
    },
    /// Somebody is carrying it out right now.
    Running,
    /// It was carried out; this was the answer.
    Done(Answer),
    /// The key was used for another request.
    Reused,
}

/// Idempotency records in the journal.
pub trait Idempotency: Sync {
    /// Begins a request, or says that it was begun before. A request whose `lease_until` has passed without an answer
    /// may be begun again, under the identity reserved the first time. Records are kept for 24 hours.
    fn begin(
        &self,
        key: &RequestKey,
        reserve: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> impl Future<Output = Result<Begun, StoreError>> + Send;

    /// Stores the answer.
    fn finish(
        &self,
        key: &RequestKey,
        answer: &Answer,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Nothing was done and nothing was changed: the key is free again.
    fn abandon(&self, key: &RequestKey) -> impl Future<Output = Result<(), StoreError>> + Send;
}
