//! `poll`: once a minute, finds what is due and hands it on.

use app::error::Error;
use app::ports::{BulkCommands, Bus, Sweeps, Workers};
use app::sweep::{Poll, PollReport};
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use domain::Timestamp;

/// Why a poll did not happen.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The event has no time, so there is no tick to sweep.
    #[error("the schedule's event has no valid time")]
    NoTime,
    /// No region could be swept.
    #[error("no region could be swept")]
    Failed(#[source] Error),
}

/// Sweeps every region for the minute the schedule's event belongs to. The event's own time counts, not the time it
/// arrives: a repeated event is the same tick and does nothing.
///
/// # Errors
/// [`PollError`].
pub async fn handle<W: Workers, S: Sweeps, C: BulkCommands, B: Bus>(
    poll: &Poll<'_, W, S, C, B>,
    event: &EventBridgeEvent,
) -> Result<PollReport, PollError> {
    let time = event.time.ok_or(PollError::NoTime)?;
    let minute = time.timestamp().div_euclid(60) * 60;
    let tick = Timestamp::from_second(minute).map_err(|_| PollError::NoTime)?;
    let report = poll.run(tick).await.map_err(PollError::Failed)?;
    tracing::info!(tick = %tick, report = serde_json::to_string(&report).unwrap_or_default(), "polled");
    Ok(report)
}
