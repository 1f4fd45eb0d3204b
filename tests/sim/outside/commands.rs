//! Commands for many workers.

use app::error::StoreError;
use app::ports::{BulkChunk, BulkCommand, BulkCommands, BulkItem};
use app::record::Stored;
use domain::{Actor, Bulk, BulkAnswer, BulkOutcome, CommandId, Timestamp, WorkerId};
use tests::world::State;

use super::{Outside, Port, refused};
use crate::world::{SECOND, time};

impl Outside {
    /// A command was written, and the index will show it.
    fn wrote(&self, id: CommandId) {
        let (tables, mut inner) = (self.world.tables.state(), self.world.inner());
        let now = inner.now;
        inner.indexes.wrote_command(now, id, &tables);
    }
}

/// Workers of which a chunk says that they were asked, and that would still take the command. Tags may have been changed since,
/// and a look leaves no trace.
fn unasked(tables: &State, id: CommandId, chunk: &BulkChunk) -> Vec<WorkerId> {
    let Some(command) = tables.commands.get(&id) else { return Vec::new() };
    let would_take = |item: &&BulkItem| {
        let stored = tables.workers.get(&item.worker);
        let answer =
            |stored: &Stored| stored.worker.answer(&command.bulk, command.at, command.by.clone(), command.at);
        matches!(stored.map(answer), Some(BulkAnswer::Takes(events)) if !events.is_empty())
    };
    let told = !matches!(command.bulk, Bulk::Tag(_) | Bulk::Sync);
    let asked = chunk.items.iter().filter(|item| told && item.outcome == BulkOutcome::Asked);
    asked.filter(would_take).map(|item| item.worker).collect()
}

/// Workers of which a chunk says that the command was called off before, and that had its wish long since.
fn asked_after_all(tables: &State, id: CommandId, chunk: &BulkChunk, long_since: Timestamp) -> Vec<WorkerId> {
    let Some(command) = tables.commands.get(&id) else { return Vec::new() };
    let had_it = |item: &&BulkItem| {
        let stored = tables.workers.get(&item.worker);
        let took = |stored: &Stored| stored.worker.took(&command.bulk, command.at);
        stored.is_some_and(|stored| took(stored) && stored.updated_at < long_since)
    };
    let cancelled = chunk.items.iter().filter(|item| item.outcome == BulkOutcome::Cancelled);
    cancelled.filter(had_it).map(|item| item.worker).collect()
}

impl BulkCommands for Outside {
    async fn accept(&self, command: &BulkCommand, chunks: &[BulkChunk]) -> Result<(), StoreError> {
        through!(self, AcceptCommand, {
            let accepted = self.world.tables.accept(command, chunks).await;
            self.wrote(command.id);
            accepted
        })
    }

    async fn command(&self, id: CommandId) -> Result<Option<BulkCommand>, StoreError> {
        through!(self, ReadCommand, self.world.tables.command(id).await)
    }

    async fn chunks(&self, id: CommandId, from: u32, limit: u32) -> Result<Vec<BulkChunk>, StoreError> {
        through!(self, Chunks, self.world.tables.chunks(id, from, limit).await)
    }

    async fn take_up(
        &self,
        id: CommandId,
        chunk: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<(BulkChunk, u32)>, StoreError> {
        through!(self, TakeUp, self.world.tables.take_up(id, chunk, now, lease_until).await)
    }

    async fn record_chunk(&self, id: CommandId, chunk: &BulkChunk) -> Result<(), StoreError> {
        through!(self, RecordChunk, {
            let done = self.world.tables.record_chunk(id, chunk).await;
            let unasked = unasked(&self.world.tables.state(), id, chunk);
            for worker in unasked {
                self.world.inner().violated(format!("{worker} is said to be asked by {id}, and was not"));
            }
            let long_since = time(self.world.inner().now - 5 * SECOND);
            for worker in asked_after_all(&self.world.tables.state(), id, chunk, long_since) {
                self.world
                    .inner()
                    .violated(format!("{worker} is said not to be asked by {id} any more, and was"));
            }
            done
        })
    }

    async fn advance(&self, id: CommandId, from: u32, due: Option<Timestamp>) -> Result<(), StoreError> {
        through!(self, Advance, {
            let advanced = self.world.tables.advance(id, from, due).await;
            self.wrote(id);
            advanced
        })
    }

    async fn cancel(&self, id: CommandId, at: Timestamp, by: &Actor) -> Result<bool, StoreError> {
        through!(self, CancelCommand, {
            let cancelled = self.world.tables.cancel(id, at, by).await;
            self.wrote(id);
            cancelled
        })
    }

    async fn due_commands(&self, now: Timestamp, limit: u32) -> Result<Vec<CommandId>, StoreError> {
        through!(self, DueCommands, {
            let mut inner = self.world.inner();
            let until = self.indexed(&mut inner, |indexes| &mut indexes.commands);
            let commands = inner.indexes.commands.at(until).iter();
            let mut due: Vec<_> = commands.filter(|(_, at)| **at <= now).map(|(id, at)| (*at, *id)).collect();
            due.sort_unstable();
            Ok(due.into_iter().take(limit as usize).map(|(_, id)| id).collect())
        })
    }
}
