//! `collect`: looks at one shard of workers and records what changed; and, if the deployment says so, looks for instances
//! that are to have a worker.

use std::collections::BTreeSet;

use app::collect::{CollectReport, Collector, Shard};
use app::discover::{DiscoverReport, Discovery, TagSought};
use app::error::Error;
use app::import::{Importer, Terms};
use app::ports::{Clock, CollectionRequested, Compute, Ids, Metrics, Request, Samples, Workers};
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use domain::{AccountId, Actor, InvalidId, Region, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// What the schedule's discovery needs besides.
#[derive(Debug)]
pub struct Scheduled<'a, I> {
    /// The tag that is sought; `None` if nothing is.
    pub tag: Option<&'a TagSought>,
    /// Where it is sought.
    pub regions: &'a [Region],
    /// The account workers live in.
    pub account: &'a AccountId,
    /// New identities.
    pub ids: &'a I,
}

/// What an invocation came to.
#[derive(Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Report {
    /// A shard was looked at.
    Collected(CollectReport),
    /// Instances were looked for.
    Discovered(DiscoverReport),
    /// Nothing is to be looked for.
    DiscoveryIsOff,
}

/// Why nothing came of an invocation.
#[derive(Debug, thiserror::Error)]
pub enum CollectError {
    /// The event is neither a request nor the schedule's.
    #[error("the event is neither a request to collect nor the schedule's")]
    UnknownEvent(#[source] Option<serde_json::Error>),
    /// The event names no valid region.
    #[error("the requested region is not one")]
    BadRegion(#[source] InvalidId),
    /// Nothing could be loaded; nothing was done.
    #[error("the shard could not be loaded")]
    Failed(#[source] Error),
    /// No region could be searched.
    #[error("no region could be searched")]
    NotSearched(#[source] Error),
}

/// Looks at the shard the event names, or for instances if the event is the schedule's.
///
/// # Errors
/// [`CollectError`]. One worker's trouble is not an error but a count in the report.
pub async fn handle<W, K, C, M, S, I>(
    collector: &Collector<'_, W, K, C, M, S>,
    scheduled: &Scheduled<'_, I>,
    event: &Value,
) -> Result<Report, CollectError>
where
    W: Workers,
    K: Clock,
    C: Compute,
    M: Metrics,
    S: Samples,
    I: Ids,
{
    if event.get("detail-type").and_then(Value::as_str) == Some("Scheduled Event") {
        return discover(collector, scheduled).await;
    }
    let event = EventBridgeEvent::<Request>::deserialize(event)
        .map_err(|error| CollectError::UnknownEvent(Some(error)))?;
    let Request::Collect(request) = event.detail else { return Err(CollectError::UnknownEvent(None)) };
    let shard = shard(&request)?;
    let report = collector.run(&shard).await.map_err(CollectError::Failed)?;
    tracing::info!(
        region = %shard.region,
        report = serde_json::to_string(&report).unwrap_or_default(),
        "collected"
    );
    Ok(Report::Collected(report))
}

async fn discover<W, K, C, M, S, I>(
    collector: &Collector<'_, W, K, C, M, S>,
    scheduled: &Scheduled<'_, I>,
) -> Result<Report, CollectError>
where
    W: Workers,
    K: Clock,
    C: Compute,
    I: Ids,
{
    let Scheduled { tag, regions, account, ids } = scheduled;
    // The rule is disabled then; a message of it may still be under way.
    let Some(tag) = tag else { return Ok(Report::DiscoveryIsOff) };
    // What somebody has forgotten on purpose does not come back by itself, and nobody is here to say whose an orphan is.
    let terms = Terms { respect_forgotten: true, adopt_orphans: false, ..Terms::default() };
    let importer = Importer { fleet: collector.fleet, account, terms: &terms, by: &Actor::Policy };
    let discovery = Discovery { importer, compute: collector.compute, regions, dry_run: false };
    let report = discovery.run(ids.worker_id(), tag).await.map_err(CollectError::NotSearched)?;
    tracing::info!(report = serde_json::to_string(&report).unwrap_or_default(), "discovered");
    Ok(Report::Discovered(report))
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
