//! How far the workers have come that took a command.

use std::collections::BTreeMap;

use domain::{Bulk, BulkOutcome, Progress, WorkerId};

use crate::error::StoreError;
use crate::ports::{BulkItem, CHUNK_SIZE, Workers};

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
    // What is not there any more will come no further.
    let mut progress: BTreeMap<_, _> = asked.iter().map(|id| (*id, Progress::Superseded)).collect();
    for ids in asked.chunks(CHUNK_SIZE) {
        for stored in workers.load_many(ids).await? {
            progress.insert(stored.worker.id(), stored.worker.progress(bulk));
        }
    }
    Ok(progress)
}
