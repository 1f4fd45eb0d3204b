//! Conditions that hold for a while and that people want to know of.

use crate::Timestamp;
use crate::state::words;

/// What an alert is about. A worker has at most one of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum AlertKind {
    /// Processor use over its threshold.
    Cpu,
    /// Memory use over its threshold.
    Memory,
    /// Disk use over its threshold.
    Disk,
    /// EC2 says, repeatedly, that it knows no such instance.
    Missing,
    /// EC2 could not be asked about the worker for several intervals.
    Unobservable,
    /// EC2 has been starting, stopping or ending the instance for longer than that may take.
    Hanging,
}

words!(AlertKind {
    Cpu => "cpu",
    Memory => "memory",
    Disk => "disk",
    Missing => "missing",
    Unobservable => "unobservable",
    Hanging => "hanging",
});

/// An alert that is up.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// What it is about.
    pub kind: AlertKind,
    /// Since when the condition holds.
    pub since: Timestamp,
    /// Why it was raised, in words fit for an operator.
    pub reason: String,
}
