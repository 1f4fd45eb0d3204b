//! The keys of the `fleet` table.

use domain::{Name, Region, WorkerId, Zone};
use serde::{Deserialize, Serialize};

use crate::ports::InstanceKey;

/// A primary key.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The partition key.
    pub pk: String,
    /// The sort key.
    pub sk: String,
}

const EVENT: &str = "EVENT#";
const WORKER: &str = "WORKER#";

impl Key {
    /// The state of a worker.
    pub fn state(worker: WorkerId) -> Self {
        Self { pk: worker_pk(worker), sk: "STATE".to_owned() }
    }

    /// The facts of one version of a worker. Padded, so that the order of keys is the order of versions.
    pub fn event(worker: WorkerId, version: u64) -> Self {
        Self { pk: worker_pk(worker), sk: format!("{EVENT}{version:020}") }
    }

    /// Who answers for an instance.
    pub fn instance(key: &InstanceKey) -> Self {
        let InstanceKey { account, region, instance } = key;
        Self { pk: format!("INSTANCE#{account}#{region}#{instance}"), sk: "OWNER".to_owned() }
    }

    /// Who has a name.
    pub fn name(name: &Name) -> Self {
        Self { pk: format!("NAME#{name}"), sk: "OWNER".to_owned() }
    }

    /// The worker and the version, if this is the key of facts.
    pub fn as_event(&self) -> Option<(WorkerId, u64)> {
        let worker = self.pk.strip_prefix(WORKER)?.parse().ok()?;
        let version = self.sk.strip_prefix(EVENT)?.parse().ok()?;
        (Self::event(worker, version) == *self).then_some((worker, version))
    }
}

fn worker_pk(worker: WorkerId) -> String {
    format!("{WORKER}{worker}")
}

/// The partition of a worker, and what the sort keys of its facts begin with.
pub fn event_prefix(worker: WorkerId) -> (String, &'static str) {
    (worker_pk(worker), EVENT)
}

/// The partition of a region in the index `by-region`.
pub fn region_pk(region: &Region) -> String {
    format!("REGION#{region}")
}

/// The place of a worker in its region: by zone, so that a sweep meets the workers of one zone together. No zone is
/// called `-`.
pub fn region_sk(zone: Option<&Zone>, worker: WorkerId) -> String {
    format!("{}#{worker}", zone.map_or("-", Zone::as_str))
}

/// The partitions of the index `outbox`.
pub const OUTBOX_SHARDS: [&str; 4] = ["0", "1", "2", "3"];

/// The partition of the index `outbox` that has the untold facts of a worker.
pub fn outbox_shard(worker: WorkerId) -> &'static str {
    match worker.stable_hash() % 4 {
        0 => OUTBOX_SHARDS[0],
        1 => OUTBOX_SHARDS[1],
        2 => OUTBOX_SHARDS[2],
        _ => OUTBOX_SHARDS[3],
    }
}
