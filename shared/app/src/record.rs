//! A worker and its facts as the table holds them: with a version.

use domain::{Event, Policy, RequestId, Timestamp, Worker, WorkerId};

/// A worker, and the version of the record it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    /// The worker.
    pub worker: Worker,
    /// Counts the changes, from 1. The ETag of the API.
    pub version: u64,
    /// When the record was last written.
    pub updated_at: Timestamp,
    /// When somebody must look at its action again; see [`Worker::act_by`].
    pub act_by: Option<Timestamp>,
}

/// All facts of one version of one worker: one item of the table, one record of the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventRecord {
    /// The worker.
    pub worker: WorkerId,
    /// The version these facts made.
    pub version: u64,
    /// When it was written.
    pub at: Timestamp,
    /// What the worker was called, for notices.
    pub name: domain::Name,
    /// Its region.
    pub region: domain::Region,
    /// Its instance, if it had one.
    pub instance: Option<domain::InstanceId>,
    /// The request that brought them about, if it came with an idempotency key.
    pub request: Option<RequestId>,
    /// The facts, in order.
    pub events: Vec<Event>,
}

impl Stored {
    /// The next version of a worker, and the facts that lead to it. `before` is `None` for a new worker, whose first
    /// fact tells how it came to be; `None` comes back if it does not.
    pub fn next(
        before: Option<&Self>,
        events: Vec<Event>,
        policy: &Policy,
        now: Timestamp,
    ) -> Option<(EventRecord, Self)> {
        let (worker, version) = match before {
            Some(stored) => (stored.worker.with(&events), stored.version + 1),
            None => (Worker::born(&events)?, 1),
        };
        let state = worker.state();
        let record = EventRecord {
            worker: worker.id(),
            version,
            at: now,
            name: state.name.clone(),
            region: state.region.clone(),
            instance: state.instance.clone(),
            request: None,
            events,
        };
        let act_by = worker.act_by(policy, now);
        Some((record, Self { worker, version, updated_at: now, act_by }))
    }
}
