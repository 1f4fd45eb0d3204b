//! `poll`: once a minute, finds what is due and hands it on.

use app::error::Error;
use app::ports::{BulkCommands, Bus, Sweeps, Workers};
use app::sweep::{Poll, PollReport};
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use domain::Timestamp;
use jiff::SignedDuration;

/// How far the clock that the events go by may be ahead of ours.
const AHEAD: SignedDuration = SignedDuration::from_mins(5);

/// Why a poll did not happen.
#[derive(Debug, thiserror::Error)]
pub enum PollError {
    /// The event has no time, so there is no tick to sweep.
    #[error("the schedule's event has no valid time")]
    NoTime,
    /// The event's time is still to come. A tick that is taken up is the newest there is: no other would be until then.
    #[error("the schedule's event is of {tick}, and it is {now}")]
    Early {
        /// Its minute.
        tick: Timestamp,
        /// Ours.
        now: Timestamp,
    },
    /// No region could be swept.
    #[error("no region could be swept")]
    Failed(#[source] Error),
}

/// Sweeps every region for the minute the schedule's event belongs to. The event's own time counts, not the time it
/// arrives: a repeated event is the same tick and does nothing. `now` is ours.
///
/// # Errors
/// [`PollError`].
pub async fn handle<W: Workers, S: Sweeps, C: BulkCommands, B: Bus>(
    poll: &Poll<'_, W, S, C, B>,
    event: &EventBridgeEvent,
    now: Timestamp,
) -> Result<PollReport, PollError> {
    let time = event.time.ok_or(PollError::NoTime)?;
    let minute = time.timestamp().div_euclid(60) * 60;
    let tick = Timestamp::from_second(minute).map_err(|_| PollError::NoTime)?;
    if tick.duration_since(now) > AHEAD {
        return Err(PollError::Early { tick, now });
    }
    let report = poll.run(tick).await.map_err(PollError::Failed)?;
    tracing::info!(tick = %tick, report = serde_json::to_string(&report).unwrap_or_default(), "polled");
    Ok(report)
}
