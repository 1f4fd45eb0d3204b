//! The one next step on EC2, and what became of an attempt to take it.

use std::collections::{BTreeMap, BTreeSet};

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

    /// It changes something on EC2, and not only reads.
    pub const fn changes_ec2(self) -> bool {
        match self {
            Self::Launch | Self::Start | Self::Stop | Self::Reboot | Self::Terminate | Self::Tag => true,
            Self::Locate => false,
        }
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
    /// The how-manieth try it is, from 1; 0 once the tries before no longer count.
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

    /// It is a launch whose instance may show, though it was refused: to be asked to slow down is no answer to what the client
    /// sent for the same call before, and got no answer to.
    pub(crate) fn may_still_show(&self) -> bool {
        let throttled = |failed: &(Failure, Timestamp)| failed.0.kind == FailureKind::Throttled;
        self.action == ActionKind::Launch && self.failed.as_ref().is_some_and(throttled)
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
    /// We did not make the call: just before it the worker was held, had ended or was asked for something else, or its record
    /// could not be read.
    Withheld,
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
    Withheld => "withheld",
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
            | Self::Refused
            | Self::Withheld => false,
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
            | Self::Withheld
            | Self::AlreadyLaunched
            | Self::Overdue
            | Self::Other => true,
            Self::Denied | Self::Invalid | Self::Unsupported => false,
        }
    }
}
