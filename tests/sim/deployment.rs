//! What whoever deploys has chosen.

use domain::{AlertDuration, DriftPolicy, Percent, PollInterval, Settings, Threshold};

use crate::chance::Chance;

/// How many workers a shard has at most, as deployed.
const SHARD: u32 = 100;
/// Or so few that one zone has several, in some runs: more shards are more calls.
const SMALL_SHARD: u32 = 7;

/// The parameters of one run's template.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deployment {
    /// The fleet's settings.
    pub(crate) settings: Settings,
    /// The metrics' own period, in seconds.
    pub(crate) metric_period: u32,
    /// How many workers a shard has at most.
    pub(crate) shard_size: u32,
}

impl Deployment {
    pub(crate) fn by(chance: &mut Chance) -> Self {
        let threshold = Threshold {
            percent: Percent::new(90).expect("in range"),
            duration: AlertDuration::new(600).expect("in range"),
        };
        let interval = if chance.hits(300_000) { 60 } else { 300 };
        let drift = [DriftPolicy::Alert, DriftPolicy::Revert, DriftPolicy::Adopt][chance.below(3) as usize];
        let settings = Settings {
            monitoring: true,
            interval: PollInterval::new(interval).expect("in range"),
            drift,
            cpu: threshold,
            memory: threshold,
            disk: threshold,
        };
        let metric_period = if chance.hits(500_000) { 60 } else { 300 };
        let shard_size = if chance.hits(100_000) { SMALL_SHARD } else { SHARD };
        Self { settings, metric_period, shard_size }
    }
}
