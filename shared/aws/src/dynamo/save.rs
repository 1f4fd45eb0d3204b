//! Saving a worker: its state, its facts and what makes names and instances unique, in one transaction.

use app::error::StoreError;
use app::item::{EventItem, Key, OwnerItem, WorkerItem};
use app::ports::InstanceKey;
use app::record::{EventRecord, Stored};
use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::transact_write_items::TransactWriteItemsError;
use aws_sdk_dynamodb::types::{CancellationReason, Delete, Put, TransactWriteItem};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use domain::{Name, WorkerId};

use super::{Table, Values, filled, item, names, store_error, text};
use crate::call::failed;

const WHAT: &str = "DynamoDB TransactWriteItems";

/// What a failed condition of one part of the transaction means.
enum Means {
    /// The worker is not where it was thought to be.
    Conflict,
    /// Another worker has the name.
    NameTaken(Name),
    /// Another worker has the instance.
    InstanceTaken,
}

/// The transaction, and what each part's failure means, in the same order.
pub(super) struct Save<'a> {
    table: &'a Table,
    writes: Vec<TransactWriteItem>,
    meanings: Vec<Means>,
}

impl<'a> Save<'a> {
    /// `before` is `None` for a new worker. Only a living worker holds its name and its instance.
    pub(super) fn new(
        table: &'a Table,
        before: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
        retention_days: u32,
    ) -> Result<Self, StoreError> {
        let mut save = Self { table, writes: Vec::new(), meanings: Vec::new() };
        let state = WorkerItem::new(after, retention_days);
        match before {
            Some(before) => {
                let values = vec![(
                    ":version",
                    aws_sdk_dynamodb::types::AttributeValue::N(before.version.to_string()),
                )];
                save.put(&state, "#version = :version", values, Means::Conflict)?;
            }
            None => save.put(&state, ABSENT, Vec::new(), Means::Conflict)?,
        }
        save.put(&EventItem::new(record, retention_days), ABSENT, Vec::new(), Means::Conflict)?;
        let worker = after.worker.id();
        let names = (before.and_then(name), name(after));
        save.hold(worker, names.0.as_ref().map(Key::name), names.1.as_ref().map(Key::name), || {
            names.1.clone().map_or(Means::Conflict, Means::NameTaken)
        })?;
        let instances = (before.and_then(instance), instance(after));
        save.hold(
            worker,
            instances.0.as_ref().map(Key::instance),
            instances.1.as_ref().map(Key::instance),
            || Means::InstanceTaken,
        )?;
        Ok(save)
    }

    pub(super) async fn send(self) -> Result<(), StoreError> {
        let request = self.table.client.transact_write_items().set_transact_items(Some(self.writes));
        match request.send().await {
            Ok(_) => Ok(()),
            Err(error) => Err(cancelled(&self.meanings, error)),
        }
    }

    /// Moves the uniqueness item of a worker from what it held to what it holds.
    fn hold(
        &mut self,
        worker: WorkerId,
        held: Option<Key>,
        holds: Option<Key>,
        means: impl FnOnce() -> Means,
    ) -> Result<(), StoreError> {
        if held == holds {
            return Ok(());
        }
        let ours = || vec![(":worker", text(worker))];
        if let Some(key) = holds {
            self.put(&OwnerItem::new(key, worker), FREE_OR_OURS, ours(), means())?;
        }
        if let Some(key) = held {
            let delete = Delete::builder()
                .table_name(&self.table.name)
                .set_key(Some(item(&key)?))
                .condition_expression(FREE_OR_OURS)
                .set_expression_attribute_names(names(&[FREE_OR_OURS]))
                .set_expression_attribute_values(filled(ours()))
                .build()
                .map_err(|error| StoreError::Unavailable(error.into()))?;
            self.writes.push(TransactWriteItem::builder().delete(delete).build());
            self.meanings.push(Means::Conflict);
        }
        Ok(())
    }

    fn put(
        &mut self,
        new: &impl serde::Serialize,
        given: &str,
        values: Values<'_>,
        means: Means,
    ) -> Result<(), StoreError> {
        let put = Put::builder()
            .table_name(&self.table.name)
            .set_item(Some(item(new)?))
            .condition_expression(given)
            .set_expression_attribute_names(names(&[given]))
            .set_expression_attribute_values(filled(values))
            .build()
            .map_err(|error| StoreError::Unavailable(error.into()))?;
        self.writes.push(TransactWriteItem::builder().put(put).build());
        self.meanings.push(means);
        Ok(())
    }
}

const ABSENT: &str = "attribute_not_exists(#pk)";
const FREE_OR_OURS: &str = "attribute_not_exists(#pk) OR #worker_id = :worker";

/// The name a worker holds: none once it is over.
fn name(stored: &Stored) -> Option<Name> {
    (!stored.worker.is_over()).then(|| stored.worker.state().name.clone())
}

/// The instance a worker holds: none once it is over.
fn instance(stored: &Stored) -> Option<InstanceKey> {
    let state = stored.worker.state();
    let instance = state.instance.clone().filter(|_| !stored.worker.is_over())?;
    Some(InstanceKey { account: state.account.clone(), region: state.region.clone(), instance })
}

/// Why nothing was written. A condition that failed is a definite answer and goes before anything that may pass.
fn cancelled(meanings: &[Means], error: SdkError<TransactWriteItemsError, HttpResponse>) -> StoreError {
    let Some(TransactWriteItemsError::TransactionCanceledException(exception)) = error.as_service_error()
    else {
        return store_error(WHAT, error);
    };
    let reasons = exception.cancellation_reasons();
    let failed_condition =
        |(reason, _): &(&CancellationReason, _)| reason.code() == Some("ConditionalCheckFailed");
    match reasons.iter().zip(meanings).find(failed_condition) {
        Some((_, Means::Conflict)) => return StoreError::Conflict,
        Some((_, Means::NameTaken(name))) => return StoreError::NameTaken { name: name.clone() },
        Some((_, Means::InstanceTaken)) => return StoreError::InstanceTaken,
        None => {}
    }
    let passing = |reason: &CancellationReason| {
        matches!(
            reason.code(),
            Some(
                "TransactionConflict"
                    | "ThrottlingError"
                    | "ProvisionedThroughputExceeded"
                    | "RequestLimitExceeded"
            )
        )
    };
    if reasons.iter().any(passing) {
        return StoreError::Contended(Box::new(failed(WHAT, error)));
    }
    StoreError::Unavailable(Box::new(failed(WHAT, error)))
}
