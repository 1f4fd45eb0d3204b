//! What was asked for, and what EC2 last told us.

/// A word that is not one of the enum's.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be one of: {allowed}")]
pub struct UnknownWord {
    /// The words that are allowed, separated by commas.
    pub allowed: String,
}

/// Gives an enum of plain variants its one spelling: `ALL`, `as_str`, `Display` and `FromStr`.
macro_rules! words {
    ($name:ident { $($variant:ident => $word:literal),+ $(,)? }) => {
        impl $name {
            /// Every variant, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// The word used in the API, in items, in notices and in logs.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl std::str::FromStr for $name {
            type Err = $crate::state::UnknownWord;

            fn from_str(text: &str) -> Result<Self, Self::Err> {
                match text {
                    $($word => Ok(Self::$variant),)+
                    _ => Err($crate::state::UnknownWord { allowed: [$($word),+].join(", ") }),
                }
            }
        }
    };
}
pub(crate) use words;

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Desired {
    /// The instance should run.
    Running,
    /// The instance should exist and be stopped.
    Stopped,
    /// The instance should not exist any more. There is no way back.
    Terminated,
}

words!(Desired { Running => "running", Stopped => "stopped", Terminated => "terminated" });

/// What EC2 last told us. Free to be anything, in any order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Observed {
    /// EC2 has not told us anything about this worker yet.
    Unknown,
    /// EC2 is starting the instance.
    Pending,
    /// The instance runs.
    Running,
    /// EC2 is stopping the instance.
    Stopping,
    /// The instance is stopped.
    Stopped,
    /// EC2 is terminating the instance.
    ShuttingDown,
    /// The instance is gone for good.
    Terminated,
    /// EC2 answered, repeatedly, that it knows no such instance.
    Missing,
}

words!(Observed {
    Unknown => "unknown",
    Pending => "pending",
    Running => "running",
    Stopping => "stopping",
    Stopped => "stopped",
    ShuttingDown => "shutting-down",
    Terminated => "terminated",
    Missing => "missing",
});

impl Observed {
    /// The observed state that fulfils `desired`.
    pub const fn fulfils(self, desired: Desired) -> bool {
        matches!(
            (self, desired),
            (Self::Running, Desired::Running)
                | (Self::Stopped, Desired::Stopped)
                | (Self::Terminated, Desired::Terminated)
        )
    }

    /// Not in transition: EC2 will leave the instance in this state until somebody acts.
    pub const fn is_settled(self) -> bool {
        matches!(self, Self::Running | Self::Stopped | Self::Terminated)
    }

    /// Only an instance that has run gets into this state.
    pub(crate) const fn implies_run(self) -> bool {
        matches!(self, Self::Running | Self::Stopping | Self::Stopped)
    }

    /// Order of two states seen at the very same instant (EC2 stamps events to the second): the later one in an
    /// instance's life wins.
    pub(crate) const fn rank(self) -> u8 {
        match self {
            Self::Unknown => 0,
            Self::Missing => 1,
            Self::Pending => 2,
            Self::Running => 3,
            Self::Stopping => 4,
            Self::Stopped => 5,
            Self::ShuttingDown => 6,
            Self::Terminated => 7,
        }
    }
}
