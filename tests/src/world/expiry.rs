//! Time to live: DynamoDB deletes each item by itself some time after its time is over, and in no order.

use app::item::{EventItem, WorkerItem};
use domain::{CommandId, Timestamp, WorkerId};
use jiff::SignedDuration;
use serde_json::{Value, to_value};

use super::State;

/// For how long things are kept, in days.
#[derive(Debug, Clone, Copy)]
pub struct Kept {
    /// Facts, what has ended, deliveries and commands.
    pub events: u32,
    /// Telemetry.
    pub telemetry: u32,
}

/// An item with a time to live.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Mortal {
    /// A worker that has ended.
    Worker(WorkerId),
    /// The facts of a version.
    Facts(WorkerId, u64),
    /// A sample.
    Sample(WorkerId, Timestamp),
    /// An idempotency record.
    Request(String, String),
    /// User data that was never needed.
    UserData(WorkerId),
    /// The head of a command for many workers.
    Command(CommandId),
    /// One of its chunks.
    Chunk(CommandId, u32),
    /// A settled entry of the ledger.
    Delivery(String, String),
}

/// Whether an item's own time to live is over.
#[expect(clippy::expect_used, reason = "an item that cannot be written is a failed test")]
fn is_overdue(item: serde_json::Result<Value>, now: Timestamp) -> bool {
    item.expect("an item")["ttl"].as_i64().is_some_and(|seconds| seconds <= now.as_second())
}

impl State {
    /// What may be deleted at a time: workers and facts by the time in their items, everything else by its age. Of user data
    /// and of when a delivery was settled the age is not known here; they are taken for older than what is kept longest.
    pub fn overdue(&self, now: Timestamp, kept: Kept) -> Vec<Mortal> {
        let is_old = |at: Timestamp, days: u32| {
            now.duration_since(at) >= SignedDuration::from_hours(24 * i64::from(days))
        };
        let workers = self.workers.iter();
        let workers =
            workers.filter(|(_, stored)| is_overdue(to_value(WorkerItem::new(stored, kept.events)), now));
        let facts = self.facts.iter();
        let facts =
            facts.filter(|(_, record)| is_overdue(to_value(EventItem::new(record, kept.events)), now));
        let samples = self.samples.keys().filter(|(_, at)| is_old(*at, kept.telemetry));
        let requests = self.requests.iter().filter(|(_, begun)| begun.kept_until <= now);
        let is_old_command = |id: &CommandId| self.commands.get(id).is_none_or(|c| is_old(c.at, kept.events));
        let commands = self.commands.keys().filter(|id| is_old_command(id));
        let chunks = self.chunks.keys().filter(|(id, _)| is_old_command(id));
        let settled = self
            .ledger
            .iter()
            .filter(|(_, entry)| entry.due.is_none() && is_old(entry.first_at, kept.events));
        workers
            .map(|(worker, _)| Mortal::Worker(*worker))
            .chain(facts.map(|((worker, version), _)| Mortal::Facts(*worker, *version)))
            .chain(samples.map(|(worker, at)| Mortal::Sample(*worker, *at)))
            .chain(requests.map(|((caller, key), _)| Mortal::Request(caller.clone(), key.clone())))
            .chain(self.user_data.keys().map(|worker| Mortal::UserData(*worker)))
            .chain(commands.map(|id| Mortal::Command(*id)))
            .chain(chunks.map(|(id, number)| Mortal::Chunk(*id, *number)))
            .chain(settled.map(|((notice, channel), _)| Mortal::Delivery(notice.clone(), channel.clone())))
            .collect()
    }

    /// Deletes an item.
    pub fn expire(&mut self, item: &Mortal) {
        match item {
            Mortal::Worker(worker) => drop(self.workers.remove(worker)),
            Mortal::Facts(worker, version) => {
                self.facts.remove(&(*worker, *version));
                self.untold.remove(&(*worker, *version));
            }
            Mortal::Sample(worker, at) => drop(self.samples.remove(&(*worker, *at))),
            Mortal::Request(caller, key) => drop(self.requests.remove(&(caller.clone(), key.clone()))),
            Mortal::UserData(worker) => drop(self.user_data.remove(worker)),
            Mortal::Command(id) => drop(self.commands.remove(id)),
            Mortal::Chunk(id, number) => drop(self.chunks.remove(&(*id, *number))),
            Mortal::Delivery(notice, channel) => {
                self.ledger.remove(&(notice.clone(), channel.clone()));
            }
        }
    }
}
