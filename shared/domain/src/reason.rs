//! The plan: a step, if one is due, and the reason for it or for its absence.

use std::fmt;

use crate::{Action, ActionKind, Observed, Timestamp};

/// The next step, and why. Without an action, `reason` says why there is none.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// The step, if one is due now.
    pub action: Option<Action>,
    /// Why this, or why nothing.
    pub reason: Reason,
}

/// Why something is done, or is not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The worker has ended.
    Ended,
    /// The worker was forgotten: we no longer answer for its instance.
    Forgotten,
    /// EC2 is as it was asked to be.
    AsDesired,
    /// An operator asked for it.
    Requested,
    /// The instance was never launched.
    NotLaunched,
    /// A launch was called for and its answer is not known.
    LaunchUnresolved,
    /// EC2 has not told us about the instance yet.
    Unobserved,
    /// EC2 is still moving the instance.
    InTransition(Observed),
    /// EC2 repeatedly says it knows no such instance.
    Missing,
    /// Drift, and the policy is to bring EC2 back.
    DriftReverted,
    /// Drift, and the policy is to say so and change nothing.
    DriftLeft,
    /// Drift, and the policy is that what is asked for follows.
    DriftAdopted,
    /// An operator asked for a reboot.
    RebootRequested,
    /// The instance does not carry our tags yet, and we may not act on it before it does.
    Adoption,
    /// The instance's tags are not the worker's.
    TagsDiffer,
    /// An attempt is under way.
    InFlight {
        /// What is being tried.
        action: ActionKind,
        /// The how-manieth try.
        number: u32,
        /// Until when we wait for it.
        until: Timestamp,
    },
    /// The last attempt failed and the next one is not due yet.
    BackingOff {
        /// What is being tried.
        action: ActionKind,
        /// The tries so far.
        number: u32,
        /// When the next one is due.
        until: Timestamp,
    },
    /// EC2 takes only so many at a time, and others were first.
    Queued {
        /// What waits.
        action: ActionKind,
        /// Its turn.
        until: Timestamp,
    },
    /// The tries are used up, or trying again cannot help.
    Exhausted {
        /// What was tried.
        action: ActionKind,
        /// How often.
        number: u32,
    },
    /// We gave up earlier what is left to do; a command starts afresh.
    GaveUp,
    /// Something is to be done, and the worker is held.
    Held,
}

impl Reason {
    /// The word for the reason, without its particulars: stable, for filters and metrics.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Ended => "ended",
            Self::Forgotten => "forgotten",
            Self::AsDesired => "as_desired",
            Self::Requested => "requested",
            Self::NotLaunched => "not_launched",
            Self::LaunchUnresolved => "launch_unresolved",
            Self::Unobserved => "unobserved",
            Self::InTransition(_) => "in_transition",
            Self::Missing => "missing",
            Self::DriftReverted => "drift_reverted",
            Self::DriftLeft => "drift_left",
            Self::DriftAdopted => "drift_adopted",
            Self::RebootRequested => "reboot_requested",
            Self::Adoption => "adoption",
            Self::TagsDiffer => "tags_differ",
            Self::InFlight { .. } => "in_flight",
            Self::BackingOff { .. } => "backing_off",
            Self::Queued { .. } => "queued",
            Self::Exhausted { .. } => "exhausted",
            Self::GaveUp => "gave_up",
            Self::Held => "held",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ended => f.write_str("the worker has ended"),
            Self::Forgotten => f.write_str("the worker was forgotten and its instance is left alone"),
            Self::AsDesired => f.write_str("EC2 is as it was asked to be"),
            Self::Requested => f.write_str("an operator asked for it"),
            Self::NotLaunched => f.write_str("the instance was never launched"),
            Self::LaunchUnresolved => f.write_str("a launch was called for and its answer is not known"),
            Self::Unobserved => f.write_str("EC2 has not told us about the instance yet"),
            Self::InTransition(observed) => write!(f, "EC2 is still moving the instance ({observed})"),
            Self::Missing => f.write_str("EC2 says, repeatedly, that it knows no such instance"),
            Self::DriftReverted => f.write_str("EC2 drifted, and the policy is to bring it back"),
            Self::DriftLeft => f.write_str("EC2 drifted, and the policy is to say so and change nothing"),
            Self::DriftAdopted => f.write_str("EC2 drifted, and the policy is to accept it"),
            Self::RebootRequested => f.write_str("an operator asked for a reboot"),
            Self::Adoption => f.write_str("the instance must carry our tags before we may act on it"),
            Self::TagsDiffer => f.write_str("the instance's tags are not the worker's"),
            Self::InFlight { action, number, until } => {
                write!(f, "waiting until {until} for attempt {number} to {action}")
            }
            Self::BackingOff { action, number, until } => {
                write!(f, "attempt {number} to {action} failed; trying again from {until}")
            }
            Self::Queued { action, until } => {
                write!(f, "EC2 is asked for {} in one region; this one waits until {until}", action.pace())
            }
            Self::Exhausted { action, number } => {
                write!(f, "gave up trying to {action} after {number} attempts")
            }
            Self::GaveUp => f.write_str("we gave up earlier; a command starts afresh"),
            Self::Held => f.write_str("the worker is held; what is to be done waits until it is released"),
        }
    }
}
