//! `drift`: takes in EC2's state-change events and corrects the record.

use app::drift::{DriftOutcome, DriftReport, StateChange, take_in};
use app::error::Error;
use app::fleet::Fleet;
use app::ports::{Clock, Compute, InstanceKey, Workers};
use aws_lambda_events::event::cloudwatch_events::ec2::InstanceStateChange;
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use domain::{Observed, Region, Timestamp};

/// Why an event was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum DriftError {
    /// The event lacks a field, or has one we cannot read. Trying again would not help.
    #[error("the state-change event has no valid {field}")]
    BadEvent {
        /// Which field.
        field: &'static str,
    },
    /// The record could not be read or written.
    #[error("the state change was not recorded")]
    Failed(#[source] Error),
}

/// Takes in one state-change event, if it is of one of the fleet's `regions`: whoever forwards events to the stack's own
/// region may do so from any other, and for any fleet.
///
/// # Errors
/// [`DriftError`]; the event is then delivered again, and in the end kept in the dead-letter queue.
pub async fn handle<W: Workers, K: Clock, C: Compute>(
    fleet: &Fleet<'_, W, K>,
    compute: &C,
    regions: &[Region],
    event: &EventBridgeEvent<InstanceStateChange>,
) -> Result<DriftReport, DriftError> {
    let change = state_change(event)?;
    let report = if regions.contains(&change.key.region) {
        take_in(fleet, compute, &change).await.map_err(DriftError::Failed)?
    } else {
        DriftReport { worker: None, outcome: DriftOutcome::OtherRegion, facts: Vec::new() }
    };
    let ours = report.worker.is_some();
    tracing::info!(
        instance = %change.key.instance,
        region = %change.key.region,
        state = %change.observed,
        ours,
        worker.id = report.worker.as_deref().unwrap_or("none"),
        facts = report.facts.join(","),
        "state change"
    );
    Ok(report)
}

fn state_change(event: &EventBridgeEvent<InstanceStateChange>) -> Result<StateChange, DriftError> {
    let bad = |field| DriftError::BadEvent { field };
    let account = event.account.as_deref().unwrap_or_default().parse().map_err(|_| bad("account"))?;
    let region = event.region.as_deref().unwrap_or_default().parse().map_err(|_| bad("region"))?;
    let instance = event.detail.instance_id.parse().map_err(|_| bad("detail.instance-id"))?;
    let observed = event.detail.state.parse().map_err(|_| bad("detail.state"))?;
    if matches!(observed, Observed::Unknown | Observed::Missing) {
        return Err(bad("detail.state"));
    }
    let time = event.time.ok_or(bad("time"))?;
    let at = Timestamp::from_millisecond(time.timestamp_millis()).map_err(|_| bad("time"))?;
    Ok(StateChange { key: InstanceKey { account, region, instance }, observed, at })
}
