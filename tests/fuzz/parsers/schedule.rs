//! The event that wakes `poll`.

use app::sweep::Poll;
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use jiff::SignedDuration;
use tests::world::{region, settings};

use super::{wait, world};

/// The schedule's event, for `poll`.
pub(super) fn schedule(bytes: &[u8]) {
    let Ok(event) = serde_json::from_slice::<EventBridgeEvent>(bytes) else { return };
    let settings = settings();
    wait(async {
        let world = world().await;
        let regions = [region()];
        let poll = Poll {
            workers: &world,
            sweeps: &world,
            commands: &world,
            bus: &world,
            settings: &settings,
            regions: &regions,
            shard_size: 100,
            metric_period: 60,
        };
        let now = world.state().time();
        let _ = poll::handle(&poll, &event, now).await;
        // A tick that is taken up long before it comes keeps all before it from being taken up.
        let claimed = world.state().heartbeats.get(&region()).map(|heartbeat| heartbeat.claimed);
        assert!(
            claimed.is_none_or(|claimed| claimed.duration_since(now) <= SignedDuration::from_mins(5)),
            "{claimed:?}"
        );
    });
}
