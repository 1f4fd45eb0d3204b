//! Settings: the fleet's defaults, a worker's overrides, and the policy that results.

use crate::state::words;

/// A number outside its range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be a whole number from {min} to {max}")]
pub struct OutOfRange {
    /// The smallest value allowed.
    pub min: u32,
    /// The largest value allowed.
    pub max: u32,
}

macro_rules! ranged {
    ($(#[$doc:meta])* $name:ident, $min:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(u32);

        impl $name {
            /// The smallest value allowed.
            pub const MIN: u32 = $min;
            /// The largest value allowed.
            pub const MAX: u32 = $max;

            /// The checked value.
            ///
            /// # Errors
            /// [`OutOfRange`] outside `MIN..=MAX`.
            pub const fn new(value: u32) -> Result<Self, OutOfRange> {
                if value < $min || value > $max {
                    return Err(OutOfRange { min: $min, max: $max });
                }
                Ok(Self(value))
            }

            /// The plain number.
            pub const fn get(self) -> u32 {
                self.0
            }
        }
    };
}

ranged! {
    /// Seconds between two looks at a worker.
    PollInterval, 60, 3600
}
ranged! {
    /// A threshold in percent.
    Percent, 1, 100
}
ranged! {
    /// Seconds a threshold must be exceeded before it is an alert.
    AlertDuration, 60, 3600
}

/// What to do about a settled state that is not the desired one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DriftPolicy {
    /// Say so, change nothing.
    Alert,
    /// Bring EC2 back to what was asked for.
    Revert,
    /// Whoever changed EC2 is right: what is asked for follows.
    Adopt,
}

words!(DriftPolicy { Alert => "alert", Revert => "revert", Adopt => "adopt" });

/// When a metric is too high.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Threshold {
    /// The value, in percent, from which on the metric is too high.
    pub percent: Percent,
    /// For how long it must be too high.
    pub duration: AlertDuration,
}

/// The settings in force for one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Whether the metrics channel looks at the worker at all.
    pub monitoring: bool,
    /// How often it does.
    pub interval: PollInterval,
    /// What to do about drift.
    pub drift: DriftPolicy,
    /// Processor use.
    pub cpu: Threshold,
    /// Memory use, where an agent publishes it.
    pub memory: Threshold,
    /// Disk use, where an agent publishes it.
    pub disk: Threshold,
}

/// The fleet's defaults, from the deployment's parameters. One set of names for defaults and results on purpose.
pub type Settings = Policy;

/// What one worker has instead of the fleet's settings. `None` follows the fleet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Overrides {
    /// See [`Policy::monitoring`].
    pub monitoring: Option<bool>,
    /// See [`Policy::interval`].
    pub interval: Option<PollInterval>,
    /// See [`Policy::drift`].
    pub drift: Option<DriftPolicy>,
    /// Threshold of processor use.
    pub cpu: Option<Percent>,
    /// Threshold of memory use.
    pub memory: Option<Percent>,
    /// Threshold of disk use.
    pub disk: Option<Percent>,
    /// How long a threshold must be exceeded, for all three.
    pub alert_duration: Option<AlertDuration>,
}

impl Overrides {
    /// The policy of a worker with these overrides in a fleet with these settings.
    pub fn over(&self, fleet: &Settings) -> Policy {
        let threshold = |own: Option<Percent>, fleet: Threshold| Threshold {
            percent: own.unwrap_or(fleet.percent),
            duration: self.alert_duration.unwrap_or(fleet.duration),
        };
        Policy {
            monitoring: self.monitoring.unwrap_or(fleet.monitoring),
            interval: self.interval.unwrap_or(fleet.interval),
            drift: self.drift.unwrap_or(fleet.drift),
            cpu: threshold(self.cpu, fleet.cpu),
            memory: threshold(self.memory, fleet.memory),
            disk: threshold(self.disk, fleet.disk),
        }
    }
}
