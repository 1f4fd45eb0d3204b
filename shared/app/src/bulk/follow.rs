//! Many workers at once, and how far those have come that took a command.

use std::collections::BTreeMap;

use domain::{Bulk, BulkOutcome, Progress, WorkerId};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::Sought;
use crate::error::StoreError;
use crate::ports::{BulkItem, CHUNK_SIZE, Workers};
use crate::record::Stored;

/// How many reads of 100 workers are under way at once: thousands of workers are read while somebody waits.
const READS: usize = 8;

/// The records of these workers, each as far as it can be read, in their order.
///
/// # Errors
/// A failed table.
pub async fn seek<W: Workers>(workers: &W, ids: &[WorkerId]) -> Result<Vec<Sought>, StoreError> {
    let mut known = load_all(workers, ids).await?;
    let mut sought = Vec::with_capacity(ids.len());
    for id in ids {
        sought.push(match known.remove(id) {
            Some(stored) => Sought::Known(Box::new(stored)),
            // Read together, what cannot be read is left out; alone it says why it is missing.
            None => match workers.load(*id).await {
                Ok(Some(stored)) => Sought::Known(Box::new(stored)),
                Ok(None) => Sought::Absent(*id),
                Err(StoreError::Corrupt(cause)) => {
                    tracing::error!(worker.id = %id, error = &*cause, "a record cannot be read");
                    Sought::Unreadable(*id)
                }
                Err(error) => return Err(error),
            },
        });
    }
    Ok(sought)
}

/// Those of these workers that exist and can be read.
///
/// # Errors
/// A failed table.
pub(super) async fn load_all<W: Workers>(
    workers: &W,
    ids: &[WorkerId],
) -> Result<BTreeMap<WorkerId, Stored>, StoreError> {
    let reads: Vec<_> = ids.chunks(CHUNK_SIZE).map(|ids| workers.load_many(ids)).collect();
    let read: Vec<Vec<Stored>> = stream::iter(reads).buffered(READS).try_collect().await?;
    Ok(read.into_iter().flatten().map(|stored| (stored.worker.id(), stored)).collect())
}

/// How far each of these has come that was asked.
///
/// # Errors
/// A failed table.
pub async fn follow<W: Workers>(
    workers: &W,
    bulk: &Bulk,
    items: &[BulkItem],
) -> Result<BTreeMap<WorkerId, Progress>, StoreError> {
    let asked: Vec<WorkerId> =
        items.iter().filter(|item| item.outcome == BulkOutcome::Asked).map(|item| item.worker).collect();
    let known = load_all(workers, &asked).await?;
    // A record outlives the commands to it, so one that is missing cannot be read: how far it is, is not known.
    let progress =
        |id: &WorkerId| known.get(id).map_or(Progress::Waiting, |stored| stored.worker.progress(bulk));
    Ok(asked.iter().map(|id| (*id, progress(id))).collect())
}
