//! Many workers at once, and how far those have come that took a command.

use std::collections::BTreeMap;

use domain::{Bulk, BulkOutcome, Progress, WorkerId};
use futures_util::{StreamExt, TryStreamExt, stream};

use crate::error::StoreError;
use crate::ports::{BulkItem, CHUNK_SIZE, Workers};
use crate::record::Stored;

/// How many reads of 100 workers are under way at once: thousands of workers are read while somebody waits.
const READS: usize = 8;

/// Those of these workers that exist.
///
/// # Errors
/// A failed table.
pub async fn load_all<W: Workers>(
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
    // What is not there any more will come no further.
    let progress =
        |id: &WorkerId| known.get(id).map_or(Progress::Superseded, |stored| stored.worker.progress(bulk));
    Ok(asked.iter().map(|id| (*id, progress(id))).collect())
}
