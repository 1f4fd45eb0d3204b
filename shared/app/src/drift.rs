//! An EC2 state-change event: one more observation of one worker.

use domain::{Evidence, Finding, Observed, Source, Timestamp, WorkerId};
use serde::{Deserialize, Serialize};

use crate::collect::details;
use crate::error::Error;
use crate::fleet::Fleet;
use crate::ports::{Clock, Compute, Instance, InstanceKey, Workers};

/// What EC2 told us, unasked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StateChange {
    /// Whose state.
    pub key: InstanceKey,
    /// Which state.
    pub observed: Observed,
    /// When it was entered, to the second.
    pub at: Timestamp,
}

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DriftReport {
    /// The worker it concerned; absent if the instance is not one of ours.
    pub worker: Option<String>,
    /// What was done.
    pub outcome: DriftOutcome,
    /// The facts recorded, by name.
    pub facts: Vec<String>,
}

/// What was done about a state-change event.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DriftOutcome {
    /// No worker has this instance; nothing to do.
    NotOurs,
    /// It happened in a region that is not one of `Regions`, which nobody looks after; nothing to do.
    OtherRegion,
    /// The record knew already.
    Unchanged,
    /// The record was corrected.
    Recorded,
}

/// Takes in a state-change event.
///
/// The event says which state was entered when; EC2 is asked for its reason. Should EC2 say something else by now,
/// that is evidence of its own: an event may be late.
///
/// # Errors
/// A failed table. A failed question to EC2 is none: the event speaks for itself.
pub async fn take_in<W: Workers, K: Clock, C: Compute>(
    fleet: &Fleet<'_, W, K>,
    compute: &C,
    change: &StateChange,
) -> Result<DriftReport, Error> {
    let Some(worker) = fleet.workers.owner(&change.key).await? else {
        return Ok(DriftReport { worker: None, outcome: DriftOutcome::NotOurs, facts: Vec::new() });
    };
    let asked_at = fleet.clock.now();
    let described = match compute
        .describe(&change.key.region, std::slice::from_ref(&change.key.instance))
        .await
    {
        Ok(answer) => answer.found.into_iter().next(),
        Err(error) => {
            tracing::warn!(worker.id = %worker, error = &error as &dyn std::error::Error, "instance not described");
            None
        }
    };
    let evidence = evidence(change, described.as_ref(), asked_at, fleet.clock.now());
    let facts = match fleet.observe(worker, &evidence).await {
        Ok(changed) => changed.events.iter().map(|event| event.name().to_owned()).collect(),
        // Forgotten between the two reads: not ours any more.
        Err(Error::NoSuchWorker(_)) => Vec::new(),
        Err(error) => return Err(error),
    };
    Ok(report(worker, facts))
}

fn report(worker: WorkerId, facts: Vec<String>) -> DriftReport {
    let outcome = if facts.is_empty() { DriftOutcome::Unchanged } else { DriftOutcome::Recorded };
    DriftReport { worker: Some(worker.to_string()), outcome, facts }
}

fn evidence(
    change: &StateChange,
    described: Option<&Instance>,
    asked_at: Timestamp,
    now: Timestamp,
) -> Vec<Evidence> {
    let agrees = described.filter(|instance| instance.observed == change.observed);
    let event = Evidence {
        finding: Finding::State {
            observed: change.observed,
            details: agrees.map(details).unwrap_or_default(),
        },
        source: Source::Event,
        // The future is not evidence: it would outweigh all that is seen until then.
        at: change.at.min(now),
        seen_at: now,
    };
    let other = described.filter(|instance| instance.observed != change.observed).map(|instance| Evidence {
        finding: Finding::State { observed: instance.observed, details: details(instance) },
        source: Source::Describe,
        at: asked_at,
        seen_at: now,
    });
    std::iter::once(event).chain(other).collect()
}
