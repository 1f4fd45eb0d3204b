//! The one next step on EC2, and the reason for it or for its absence.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::SignedDuration;

use crate::state::words;
use crate::{InstanceId, LaunchSpec, Observed, Timestamp, UserData};

/// One step on EC2, with everything the call needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Launch the instance (`RunInstances`).
    Launch {
        /// What to launch.
        spec: Box<LaunchSpec>,
        /// The `ClientToken`: the same for the same launch.
        token: String,
        /// The tags to launch it with, ours included.
        tags: BTreeMap<String, String>,
        /// Its user data; whoever plans does not know it.
        user_data: Option<UserData>,
    },
    /// Find out whether a launch whose answer was lost made an instance (`DescribeInstances` by our tag).
    Locate,
    /// Start it.
    Start(InstanceId),
    /// Stop it.
    Stop(InstanceId),
    /// Reboot it.
    Reboot(InstanceId),
    /// Terminate it.
    Terminate(InstanceId),
    /// Bring its tags in line (`CreateTags`, `DeleteTags`). Adopts an imported instance.
    Tag {
        /// The instance.
        instance: InstanceId,
        /// The tags to set.
        set: BTreeMap<String, String>,
        /// The keys to remove.
        remove: BTreeSet<String>,
    },
}

impl Action {
    /// Which kind of action this is.
    pub const fn kind(&self) -> ActionKind {
        match self {
            Self::Launch { .. } => ActionKind::Launch,
            Self::Locate => ActionKind::Locate,
            Self::Start(_) => ActionKind::Start,
            Self::Stop(_) => ActionKind::Stop,
            Self::Reboot(_) => ActionKind::Reboot,
            Self::Terminate(_) => ActionKind::Terminate,
            Self::Tag { .. } => ActionKind::Tag,
        }
    }
}

/// The kinds of [`Action`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ActionKind {
    /// See [`Action::Launch`].
    Launch,
    /// See [`Action::Locate`].
    Locate,
    /// See [`Action::Start`].
    Start,
    /// See [`Action::Stop`].
    Stop,
    /// See [`Action::Reboot`].
    Reboot,
    /// See [`Action::Terminate`].
    Terminate,
    /// See [`Action::Tag`].
    Tag,
}

words!(ActionKind {
    Launch => "launch",
    Locate => "locate",
    Start => "start",
    Stop => "stop",
    Reboot => "reboot",
    Terminate => "terminate",
    Tag => "tag",
});

/// How often one action is tried before we give up.
pub const MAX_ATTEMPTS: u32 = 5;

/// How long an issued call may go unanswered before it may be made again. Longer than `act` may run, so that two
/// calls for one attempt never overlap.
pub const CALL_LEASE: SignedDuration = SignedDuration::from_secs(60);

impl ActionKind {
    /// How long after the call the instance must have got where the action leads. Bare-metal instances take 5 to
    /// 20 minutes to start or to end (Cisco's cloud-cml documentation).
    pub fn time_limit(self, metal: bool) -> SignedDuration {
        SignedDuration::from_mins(match (self, metal) {
            (Self::Launch | Self::Start, true) => 30,
            (Self::Stop | Self::Terminate, true) => 25,
            (Self::Launch | Self::Stop | Self::Terminate, false) => 10,
            (Self::Start, false) => 5,
            (Self::Locate | Self::Reboot | Self::Tag, _) => 2,
        })
    }

    /// How long to wait after attempt `number` failed: 30 s, doubled each time, at most 15 minutes.
    pub fn back_off(self, number: u32) -> SignedDuration {
        SignedDuration::from_secs((30_i64 << number.saturating_sub(1).min(5)).min(900))
    }

    /// Without it EC2 does not get where it was asked to go. Reboots and tags are beside that way.
    pub const fn drives(self) -> bool {
        match self {
            Self::Launch | Self::Locate | Self::Start | Self::Stop | Self::Terminate => true,
            Self::Reboot | Self::Tag => false,
        }
    }

    /// It may be tried again after such a failure. Twice does no more than once, but for a reboot: that is tried again
    /// only if nothing was done for certain.
    pub const fn may_repeat(self, after: FailureKind) -> bool {
        after.is_retryable() && !(matches!(self, Self::Reboot) && after.is_open())
    }

    /// The settled state this action leads to, if it leads to one.
    pub const fn leads_to(self) -> Option<Observed> {
        match self {
            Self::Launch | Self::Start => Some(Observed::Running),
            Self::Stop => Some(Observed::Stopped),
            Self::Terminate => Some(Observed::Terminated),
            Self::Locate | Self::Reboot | Self::Tag => None,
        }
    }
}

/// An action under way, or one that failed and will be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attempt {
    /// What is being tried.
    pub action: ActionKind,
    /// The how-manieth try it is, from 1.
    pub number: u32,
    /// When it was recorded, just before the call.
    pub issued_at: Timestamp,
    /// When the instance must have got there.
    pub deadline: Timestamp,
    /// By which alternative a launch is tried, if there are any; 0 is the spec itself.
    pub alternative: Option<u32>,
    /// EC2 has accepted the call. Accepted is not done.
    pub accepted: bool,
    /// How it failed, and when to try again.
    pub failed: Option<(Failure, Timestamp)>,
}

impl Attempt {
    /// EC2 may have carried it out, or may still: it was not refused.
    pub const fn may_take_effect(&self) -> bool {
        match &self.failed {
            None => true,
            Some((failure, _)) => failure.kind.is_open(),
        }
    }
}

/// Why an action failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// Which kind of failure, for decisions.
    pub kind: FailureKind,
    /// What EC2 said, fit for an operator: its error code and message, or our own words.
    pub message: String,
}

/// The kinds of [`Failure`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum FailureKind {
    /// EC2 asks to slow down.
    Throttled,
    /// EC2 has no room.
    Capacity,
    /// The account's quota is used up.
    Quota,
    /// EC2 does not offer it, or not in this zone.
    Unsupported,
    /// We are not allowed to.
    Denied,
    /// EC2 knows no such instance.
    NotFound,
    /// The instance is in a state that does not allow it.
    IncorrectState,
    /// EC2 says that an earlier call launched an instance already: its answer was lost, and this one asked for more.
    AlreadyLaunched,
    /// The request makes no sense to EC2, for example an unknown image.
    Invalid,
    /// EC2 refused, in words that are none of these; nothing was done.
    Refused,
    /// The call was accepted and the instance did not get there in time.
    Overdue,
    /// Anything else, such as a lost connection.
    Other,
}

words!(FailureKind {
    Throttled => "throttled",
    Capacity => "capacity",
    Quota => "quota",
    Unsupported => "unsupported",
    Denied => "denied",
    NotFound => "not_found",
    IncorrectState => "incorrect_state",
    AlreadyLaunched => "already_launched",
    Invalid => "invalid",
    Refused => "refused",
    Overdue => "overdue",
    Other => "other",
});

impl FailureKind {
    /// It may have been done all the same: what failed is not the call, or not for certain.
    pub const fn is_open(self) -> bool {
        match self {
            Self::Overdue | Self::AlreadyLaunched | Self::Other => true,
            Self::Throttled
            | Self::Capacity
            | Self::Quota
            | Self::Unsupported
            | Self::Denied
            | Self::NotFound
            | Self::IncorrectState
            | Self::Invalid
            | Self::Refused => false,
        }
    }

    /// Another instance type may do, or the same in another zone.
    pub const fn is_elsewhere(self) -> bool {
        matches!(self, Self::Capacity | Self::Quota | Self::Unsupported)
    }

    /// Trying again later may help.
    pub const fn is_retryable(self) -> bool {
        match self {
            Self::Throttled
            | Self::Capacity
            | Self::Quota
            | Self::NotFound
            | Self::IncorrectState
            | Self::Refused
            | Self::AlreadyLaunched
            | Self::Overdue
            | Self::Other => true,
            Self::Denied | Self::Invalid | Self::Unsupported => false,
        }
    }
}

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
    /// The tries are used up, or trying again cannot help.
    Exhausted {
        /// What was tried.
        action: ActionKind,
        /// How often.
        number: u32,
    },
    /// We gave up earlier what is left to do; a command starts afresh.
    GaveUp,
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
            Self::Exhausted { .. } => "exhausted",
            Self::GaveUp => "gave_up",
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
            Self::Exhausted { action, number } => {
                write!(f, "gave up trying to {action} after {number} attempts")
            }
            Self::GaveUp => f.write_str("we gave up earlier; a command starts afresh"),
        }
    }
}
