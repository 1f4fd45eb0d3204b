//! Commands for many workers: planned at once, carried out in chunks when EC2 can follow.
//!
//! # Design
//! - Planning reads the workers and the buckets and writes nothing but the command: one head and its chunks, in the order of
//!   the workers' turns. Whoever asks gets each worker's outcome and the time that EC2's own rates take.
//! - A chunk is recorded in its workers shortly before EC2 can be asked for them, not at once: what was not recorded can be
//!   called off. From there on each worker goes the way it goes alone, through the stream to `act` and its governor.
//! - The head says when the next chunk falls due, and is in the index of what is due until the last one is finished. So a lost
//!   request on the bus costs a minute, and a crash a lease more: the poll finds what is due. A chunk is leased while it is carried out,
//!   and carrying it out again changes nothing ([`domain::Worker::answer`]).

mod follow;
mod plan;
mod run;

use follow::load_all;
pub use follow::{follow, seek};
pub use plan::{BulkPlan, Planner};
pub use run::{BulkReport, BulkRunner};

use std::collections::BTreeMap;

use domain::{BulkAnswer, BulkOutcome, BulkRefusal, WorkerId};

use crate::ports::BulkItem;
use crate::record::Stored;

/// A worker that a command is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// Its record.
    Known(Box<Stored>),
    /// There is none.
    Absent(WorkerId),
    /// There is one that cannot be read: what it says is not known, and it is not gone.
    Unreadable(WorkerId),
}

impl Sought {
    /// The worker's identity.
    pub const fn id(&self) -> WorkerId {
        match self {
            Self::Known(stored) => stored.worker.id(),
            Self::Absent(id) | Self::Unreadable(id) => *id,
        }
    }
}

/// How many workers have which outcome.
pub fn tally<'a>(items: impl IntoIterator<Item = &'a BulkItem>) -> BTreeMap<BulkOutcome, u32> {
    let mut tally = BTreeMap::new();
    for item in items {
        *tally.entry(item.outcome).or_default() += 1;
    }
    tally
}

/// What has become of a command for a worker that gave this answer; `None` if there is no such worker.
fn settled(worker: WorkerId, answer: Option<BulkAnswer>) -> (BulkOutcome, Option<(BulkRefusal, String)>) {
    match answer {
        Some(BulkAnswer::Takes(_)) => (BulkOutcome::Asked, None),
        Some(BulkAnswer::Unchanged) => (BulkOutcome::Unchanged, None),
        Some(BulkAnswer::Superseded) => (BulkOutcome::Superseded, None),
        Some(BulkAnswer::Refused(rejection)) => {
            (BulkOutcome::Refused, Some((BulkRefusal::from(&rejection), rejection.to_string())))
        }
        None => {
            (BulkOutcome::Refused, Some((BulkRefusal::NoSuchWorker, format!("there is no worker {worker}"))))
        }
    }
}
