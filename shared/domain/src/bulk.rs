//! One command for many workers, and what each of them makes of it.
//!
//! A command for many is carried out worker by worker, and what is left of it again after a crash. So it may come late, and
//! it may come twice; the time at which it was given decides. What was asked of a worker since then is newer and stands.

use crate::state::words;
use crate::{
    ActionKind, Actor, Command, Desired, Event, GuardsPatch, Rejection, SettingsPatch, TagsPatch, Timestamp,
    Worker,
};

/// What can be asked of many workers at once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bulk {
    /// Let them run.
    Start,
    /// Let them be stopped.
    Stop,
    /// Reboot them.
    Reboot,
    /// End them, and their instances. Protected ones are not meant: those are ended one by one.
    Terminate,
    /// Change their tags.
    Tag(TagsPatch),
    /// Look at them and their metrics now.
    Sync,
}

/// The kinds of what can be asked of many.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BulkKind {
    /// See [`Bulk::Start`].
    Start,
    /// See [`Bulk::Stop`].
    Stop,
    /// See [`Bulk::Reboot`].
    Reboot,
    /// See [`Bulk::Terminate`].
    Terminate,
    /// See [`Bulk::Tag`].
    Tag,
    /// See [`Bulk::Sync`].
    Sync,
}

words!(BulkKind {
    Start => "start",
    Stop => "stop",
    Reboot => "reboot",
    Terminate => "terminate",
    Tag => "tag",
    Sync => "sync",
});

impl Bulk {
    /// What is asked, by its kind; the tags are for [`BulkKind::Tag`] alone.
    pub fn new(kind: BulkKind, tags: TagsPatch) -> Self {
        match kind {
            BulkKind::Start => Self::Start,
            BulkKind::Stop => Self::Stop,
            BulkKind::Reboot => Self::Reboot,
            BulkKind::Terminate => Self::Terminate,
            BulkKind::Tag => Self::Tag(tags),
            BulkKind::Sync => Self::Sync,
        }
    }

    /// Its kind.
    pub const fn kind(&self) -> BulkKind {
        match self {
            Self::Start => BulkKind::Start,
            Self::Stop => BulkKind::Stop,
            Self::Reboot => BulkKind::Reboot,
            Self::Terminate => BulkKind::Terminate,
            Self::Tag(_) => BulkKind::Tag,
            Self::Sync => BulkKind::Sync,
        }
    }

    /// The command to each worker.
    pub fn command(&self) -> Command {
        match self {
            Self::Start => Command::Start,
            Self::Stop => Command::Stop,
            Self::Reboot => Command::Reboot,
            Self::Terminate => Command::Terminate { confirm: None },
            Self::Tag(tags) => Command::Patch {
                name: None,
                tags: tags.clone(),
                settings: SettingsPatch::default(),
                guards: GuardsPatch::default(),
            },
            Self::Sync => Command::Sync,
        }
    }

    /// What EC2 is asked to do to each worker; `None` if it is only looked at.
    pub const fn action(&self) -> Option<ActionKind> {
        match self {
            Self::Start => Some(ActionKind::Start),
            Self::Stop => Some(ActionKind::Stop),
            Self::Reboot => Some(ActionKind::Reboot),
            Self::Terminate => Some(ActionKind::Terminate),
            Self::Tag(_) => Some(ActionKind::Tag),
            Self::Sync => None,
        }
    }

    const fn wish(&self) -> Option<Desired> {
        match self {
            Self::Start => Some(Desired::Running),
            Self::Stop => Some(Desired::Stopped),
            Self::Terminate => Some(Desired::Terminated),
            Self::Reboot | Self::Tag(_) | Self::Sync => None,
        }
    }
}

/// What has become of a command for one worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BulkOutcome {
    /// It will be asked of the worker.
    Planned,
    /// It is recorded; `act` does the rest.
    Asked,
    /// The worker was as asked already.
    Unchanged,
    /// Something else was asked of the worker since.
    Superseded,
    /// It was called off before.
    Cancelled,
    /// The worker is left out.
    Refused,
}

words!(BulkOutcome {
    Planned => "planned",
    Asked => "asked",
    Unchanged => "unchanged",
    Superseded => "superseded",
    Cancelled => "cancelled",
    Refused => "refused",
});

/// Why a worker is left out of a command, in one word.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum BulkRefusal {
    /// There is no such worker.
    NoSuchWorker,
    /// It is held.
    Held,
    /// It is protected.
    Protected,
    /// The command makes no sense for it as it is.
    Impossible,
    /// It would have too many tags.
    TooManyTags,
    /// Its record could not be read or written.
    Failed,
}

words!(BulkRefusal {
    NoSuchWorker => "no-such-worker",
    Held => "held",
    Protected => "protected",
    Impossible => "impossible-command",
    TooManyTags => "too-many-tags",
    Failed => "failed",
});

impl From<&Rejection> for BulkRefusal {
    fn from(rejection: &Rejection) -> Self {
        match rejection {
            Rejection::Held(_) => Self::Held,
            Rejection::Protected { .. } => Self::Protected,
            Rejection::TooManyTags { .. } => Self::TooManyTags,
            Rejection::Ended
            | Rejection::Terminating
            | Rejection::NotLaunched
            | Rejection::Launching
            | Rejection::NotRunning { .. }
            | Rejection::InstanceEnding { .. }
            | Rejection::Misnamed { .. } => Self::Impossible,
        }
    }
}

/// What a worker makes of a command for many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum BulkAnswer {
    /// These facts are to be recorded; none if they were before, by an earlier try.
    Takes(Vec<Event>),
    /// It is as asked already.
    Unchanged,
    /// Something else was asked of it since.
    Superseded,
    /// It is refused.
    Refused(Rejection),
}

/// How far a worker that took a command has come with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Progress {
    /// EC2 is not there yet.
    Waiting,
    /// EC2 got there.
    Done,
    /// We gave up.
    Failed,
    /// Something else was asked of it since, or it ended on the way.
    Superseded,
}

words!(Progress {
    Waiting => "waiting",
    Done => "done",
    Failed => "failed",
    Superseded => "superseded",
});

impl Worker {
    /// What this worker makes of a command for many that was given at `asked_at`.
    pub fn answer(&self, bulk: &Bulk, asked_at: Timestamp, by: Actor, now: Timestamp) -> BulkAnswer {
        if self.took(bulk, asked_at) {
            return BulkAnswer::Takes(Vec::new());
        }
        if bulk.wish().is_some() && !self.is_over() && self.0.desired_since > asked_at {
            return BulkAnswer::Superseded;
        }
        // A wish is never older than the command it came with, whatever the clocks say.
        match self.decide(bulk.command(), by, now.max(asked_at)) {
            // A look changes nothing, and is asked for all the same.
            Ok(events) if events.is_empty() && *bulk != Bulk::Sync => BulkAnswer::Unchanged,
            Ok(events) => BulkAnswer::Takes(events),
            Err(rejection) => BulkAnswer::Refused(rejection),
        }
    }

    /// It was asked for this, at that time or since. Tags and looks leave no trace of that.
    pub fn took(&self, bulk: &Bulk, asked_at: Timestamp) -> bool {
        match bulk {
            Bulk::Start | Bulk::Stop | Bulk::Terminate => {
                bulk.wish() == Some(self.0.desired) && self.0.desired_since >= asked_at
            }
            Bulk::Reboot => self.0.reboot_asked_at.is_some_and(|at| at >= asked_at),
            Bulk::Tag(_) | Bulk::Sync => false,
        }
    }

    /// How far it has come with a command for many that it took.
    pub fn progress(&self, bulk: &Bulk) -> Progress {
        let s = &self.0;
        let failed = self.is_stuck() || bulk.action().is_some_and(|action| self.has_given_up(action));
        if bulk.wish().is_some_and(|wish| s.desired != wish) || s.forgotten_at.is_some() {
            return Progress::Superseded;
        }
        match bulk {
            Bulk::Terminate if s.terminated_at.is_some() => Progress::Done,
            Bulk::Sync => Progress::Done,
            _ if s.terminated_at.is_some() => Progress::Superseded,
            Bulk::Start | Bulk::Stop if s.reached_at.is_some() => Progress::Done,
            // A stop takes the place of a reboot.
            Bulk::Reboot if s.desired != Desired::Running => Progress::Superseded,
            Bulk::Reboot if s.reboot_requested_at.is_none() => Progress::Done,
            Bulk::Tag(_) if self.has_its_tags() => Progress::Done,
            // What it needs first may have been given up as well.
            Bulk::Start | Bulk::Stop | Bulk::Terminate | Bulk::Reboot | Bulk::Tag(_) if failed => {
                Progress::Failed
            }
            Bulk::Start | Bulk::Stop | Bulk::Terminate | Bulk::Reboot | Bulk::Tag(_) => Progress::Waiting,
        }
    }

    fn has_its_tags(&self) -> bool {
        let (set, remove) = self.tag_difference();
        set.is_empty() && remove.is_empty()
    }
}
