//! Whom nobody may be called for any more, found out just before the call.
//!
//! A batch is called after the intents of all of it were recorded, and in parts, later, where EC2 refuses it. So whether a worker
//! is held or over by now, or was asked for something that this call works against, is read once more before each call: of the
//! whole batch, of a part, of one alone. A call that is being made is not called back. What was asked for instead has facts of its
//! own, which bring us back.

use std::collections::BTreeMap;

use domain::{ActionKind, Failure, FailureKind, WorkerId};

use super::{Issued, Reconciler};
use crate::error::StoreError;
use crate::ports::Workers;
use crate::record::Stored;

impl<W: Workers, K, C, A, B, U> Reconciler<'_, W, K, C, A, B, U> {
    /// Those of a batch who may still be called for, and the others with [`FailureKind::Withheld`].
    pub(super) async fn still_free(
        &self,
        action: ActionKind,
        batch: Vec<Issued>,
    ) -> (Vec<Issued>, Vec<(Issued, Failure)>) {
        let (mut free, mut withheld) = (Vec::new(), Vec::new());
        if !action.changes_ec2() {
            return (batch, withheld);
        }
        let workers: Vec<WorkerId> = batch.iter().map(|issued| issued.stored.worker.id()).collect();
        // Where they cannot be read together, each is read on its own.
        let together =
            if workers.len() > 1 { self.fleet.workers.load_many(&workers).await.ok() } else { None };
        let mut together: Option<BTreeMap<WorkerId, Stored>> =
            together.map(|all| all.into_iter().map(|stored| (stored.worker.id(), stored)).collect());
        for issued in batch {
            let worker = issued.stored.worker.id();
            let now = match &mut together {
                Some(all) => Ok(all.remove(&worker)),
                None => self.fleet.workers.load(worker).await,
            };
            match why_not(worker, action, now) {
                None => free.push(issued),
                Some(message) => {
                    let why = Failure { kind: FailureKind::Withheld, message: message.to_owned() };
                    withheld.push((issued, why));
                }
            }
        }
        (free, withheld)
    }
}

/// Why nobody may be called for it, if so.
fn why_not(
    worker: WorkerId,
    action: ActionKind,
    now: Result<Option<Stored>, StoreError>,
) -> Option<&'static str> {
    match now {
        Ok(Some(stored)) if stored.worker.is_held() => Some("the worker was held before the call was made"),
        Ok(Some(stored)) if !stored.worker.is_over() && !stored.worker.wants(action) => {
            Some("something else was asked for before the call was made")
        }
        Ok(Some(stored)) if !stored.worker.is_over() => None,
        Ok(_) => Some("the worker ended before the call was made"),
        Err(error) => {
            tracing::warn!(worker.id = %worker, error = &error as &dyn std::error::Error, "not read before the call");
            Some("the worker's record could not be read before the call")
        }
    }
}
