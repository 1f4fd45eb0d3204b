//! `collect`: looks at one shard of workers and records what changed.

use std::collections::BTreeSet;

use app::collect::{CollectReport, Collector, Shard};
use app::error::Error;
use app::ports::{Clock, CollectionRequested, Compute, Metrics, Request, Samples, Workers};
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use domain::{InvalidId, WorkerId};

/// Why a collection did not happen.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The event asks for something else.
    #[error("the event is not a request to collect")]
    NotARequest,
    /// The event names no valid region.
    #[error("the requested region is not one")]
    BadRegion(#[source] InvalidId),
    /// Nothing could be loaded; nothing was done.
    #[error("the shard could not be loaded")]
    Failed(#[source] Error),
}

/// Looks at the shard the event names.
///
/// # Errors
/// [`CollectError`]. One worker's trouble is not an error but a count in the report.
pub async fn handle<W, K, C, M, S>(
    collector: &Collector<'_, W, K, C, M, S>,
    event: &EventBridgeEvent<Request>,
) -> Result<CollectReport, CollectError>
where
    W: Workers,
    K: Clock,
    C: Compute,
    M: Metrics,
    S: Samples,
{
    let Request::Collect(request) = &event.detail else { return Err(CollectError::NotARequest) };
    let shard = shard(request)?;
    let report = collector.run(&shard).await.map_err(CollectError::Failed)?;
    tracing::info!(
        region = %shard.region,
        report = serde_json::to_string(&report).unwrap_or_default(),
        "collected"
    );
    Ok(report)
}

fn shard(request: &CollectionRequested) -> Result<Shard, CollectError> {
    // An id that is none names no worker: it can have no record to keep up to date.
    let ids =
        |texts: &[String]| texts.iter().filter_map(|id| id.parse().ok()).collect::<BTreeSet<WorkerId>>();
    Ok(Shard {
        region: request.region.parse().map_err(CollectError::BadRegion)?,
        workers: ids(&request.workers).into_iter().collect(),
        metrics: ids(&request.metrics),
        all_metrics: request.all_metrics,
    })
}
