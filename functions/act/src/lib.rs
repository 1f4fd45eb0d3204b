//! `act`: the only function that changes EC2.
//!
//! Every new fact about a worker is a hint that it may need a step; what the step is comes from its record. The poll
//! sends the same hint for actions that are overdue, so a lost stream record costs a minute and nothing else.
//!
//! It also records what is due of a command for many workers in each of them, at the pace at which it can act on it.

use std::collections::BTreeSet;

use app::bulk::{BulkReport, BulkRunner};
use app::error::Error;
use app::ports::{Actuator, Buckets, BulkCommands, Bus, Clock, Compute, Request, UserDataVault, Workers};
use app::reconcile::{ReconcileReport, Reconciler};
use app::stream::{self, Hint};
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use aws_lambda_events::event::streams::DynamoDbBatchItemFailure;
use domain::WorkerId;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What an invocation came to, in the form the stream's event-source mapping reads.
#[derive(Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ActReport {
    /// The stream records from which on the batch must be delivered again.
    #[serde(rename = "batchItemFailures")]
    pub batch_item_failures: Vec<DynamoDbBatchItemFailure>,
    /// Records that name no worker: counted and let go, since they would never get better.
    pub undecodable: u32,
    /// What was done.
    #[serde(flatten)]
    pub reconciled: ReconcileReport,
    /// What was done of a command for many workers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<BulkReport>,
}

/// Why an invocation did nothing.
#[derive(Debug, thiserror::Error)]
pub enum ActError {
    /// The event is neither a batch of the stream nor a request that is ours.
    #[error("the event is neither a stream batch nor a request to reconcile or to carry out a command")]
    UnknownEvent(#[source] Option<serde_json::Error>),
    /// Workers of a request could not be reconciled.
    #[error("{0} workers could not be reconciled")]
    Failed(usize),
    /// A command for many workers could not be carried out as far as it is due.
    #[error("the command could not be carried out")]
    Command(#[source] Error),
}

/// Takes every worker the event names one step further, if a step is due; or records what is due of a command.
///
/// # Errors
/// [`ActError`]. A worker of a stream batch that could not be reconciled is not an error but a batch item failure.
pub async fn handle<W, K, C, A, B, U, M, E>(
    reconciler: &Reconciler<'_, W, K, C, A, B, U>,
    runner: &BulkRunner<'_, W, K, M, E>,
    event: &Value,
) -> Result<ActReport, ActError>
where
    W: Workers,
    K: Clock,
    C: Compute,
    A: Actuator,
    B: Buckets,
    U: UserDataVault,
    M: BulkCommands,
    E: Bus,
{
    let report = if let Some(hints) = stream::hints(event) {
        take_batch(reconciler, &hints).await
    } else {
        let request = EventBridgeEvent::<Request>::deserialize(event)
            .map_err(|error| ActError::UnknownEvent(Some(error)))?;
        match request.detail {
            Request::Reconcile(request) => {
                let workers = request.workers.iter().filter_map(|id| id.parse().ok()).collect();
                let (reconciled, failed) = reconciler.run(&workers).await;
                if !failed.is_empty() {
                    return Err(ActError::Failed(failed.len()));
                }
                ActReport { reconciled, ..ActReport::default() }
            }
            Request::Command(request) => {
                let id = request.command.parse().map_err(|_| ActError::UnknownEvent(None))?;
                let command = Some(runner.run(id).await.map_err(ActError::Command)?);
                ActReport { command, ..ActReport::default() }
            }
            Request::Collect(_) => return Err(ActError::UnknownEvent(None)),
        }
    };
    tracing::info!(report = serde_json::to_string(&report).unwrap_or_default(), "acted");
    Ok(report)
}

async fn take_batch<W, K, C, A, B, U>(
    reconciler: &Reconciler<'_, W, K, C, A, B, U>,
    hints: &[Hint],
) -> ActReport
where
    W: Workers,
    K: Clock,
    C: Compute,
    A: Actuator,
    B: Buckets,
    U: UserDataVault,
{
    let undecodable = hints.iter().filter(|hint| hint.worker.is_none()).count();
    if undecodable > 0 {
        tracing::error!(undecodable, "stream records that name no worker");
    }
    let workers: BTreeSet<WorkerId> = hints.iter().filter_map(|hint| hint.worker).collect();
    let (reconciled, failed) = reconciler.run(&workers).await;
    let first = hints.iter().find(|hint| hint.worker.is_some_and(|worker| failed.contains(&worker)));
    let reply = stream::reply(first.and_then(|hint| hint.sequence.clone()));
    ActReport {
        batch_item_failures: reply.batch_item_failures,
        undecodable: u32::try_from(undecodable).unwrap_or(u32::MAX),
        reconciled,
        command: None,
    }
}
