//! EC2's status checks.

use crate::Timestamp;
use crate::state::words;

/// The outcome of one status check (EC2 user guide, "Status checks for your instances").
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CheckStatus {
    /// The check passes.
    Ok,
    /// The check fails.
    Impaired,
    /// The check has not finished its first run.
    Initializing,
    /// EC2 has too little data to say.
    InsufficientData,
    /// The check does not exist for this instance or state.
    NotApplicable,
}

words!(CheckStatus {
    Ok => "ok",
    Impaired => "impaired",
    Initializing => "initializing",
    InsufficientData => "insufficient_data",
    NotApplicable => "not_applicable",
});

/// The three status checks of one instance, and when they were true.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Health {
    /// AWS's side: host, power, network.
    pub system: CheckStatus,
    /// The instance's own side: kernel, file system, network configuration.
    pub instance: CheckStatus,
    /// The attached EBS volumes.
    pub ebs: CheckStatus,
    /// When the checks were read.
    pub at: Timestamp,
}

impl Health {
    /// At least one check fails.
    pub fn is_impaired(&self) -> bool {
        [self.system, self.instance, self.ebs].contains(&CheckStatus::Impaired)
    }

    /// The same checks, whenever they were read.
    pub fn same_checks(&self, other: &Self) -> bool {
        (self.system, self.instance, self.ebs) == (other.system, other.instance, other.ebs)
    }
}
