//! The journal's commands for many workers.

use app::error::StoreError;
use app::ports::{BulkChunk, BulkCommand, BulkCommands};
use domain::{Actor, CommandId, Timestamp};

use super::World;

/// A chunk, and who has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Chunk {
    /// What is in it.
    pub chunk: BulkChunk,
    /// How often it was taken up.
    pub tries: u32,
    /// Until when whoever took it up has it.
    pub lease_until: Option<Timestamp>,
}

fn refused() -> StoreError {
    StoreError::Unavailable("the journal is out of order".into())
}

impl BulkCommands for World {
    async fn accept(&self, command: &BulkCommand, chunks: &[BulkChunk]) -> Result<(), StoreError> {
        {
            let mut state = self.state();
            if !state.call("accept") {
                return Err(refused());
            }
            if state.commands.contains_key(&command.id) {
                return Ok(());
            }
            let entry = |chunk: &BulkChunk| Chunk { chunk: chunk.clone(), tries: 0, lease_until: None };
            state.chunks.extend(chunks.iter().map(|chunk| ((command.id, chunk.number), entry(chunk))));
            state.commands.insert(command.id, command.clone());
        }
        self.survive("accept").await;
        Ok(())
    }

    async fn command(&self, id: CommandId) -> Result<Option<BulkCommand>, StoreError> {
        let mut state = self.state();
        if !state.call("command") {
            return Err(refused());
        }
        Ok(state.commands.get(&id).cloned())
    }

    async fn chunks(&self, id: CommandId, from: u32, limit: u32) -> Result<Vec<BulkChunk>, StoreError> {
        let mut state = self.state();
        if !state.call("chunks") {
            return Err(refused());
        }
        let chunks = state.chunks.range((id, from)..(id, from.saturating_add(limit)));
        Ok(chunks.map(|(_, entry)| entry.chunk.clone()).collect())
    }

    async fn take_up(
        &self,
        id: CommandId,
        chunk: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<(BulkChunk, u32)>, StoreError> {
        let taken = {
            let mut state = self.state();
            if !state.call("take_up") {
                return Err(refused());
            }
            let free = |entry: &&mut Chunk| {
                !entry.chunk.finished && entry.lease_until.is_none_or(|until| until <= now)
            };
            state.chunks.get_mut(&(id, chunk)).filter(free).map(|entry| {
                entry.tries += 1;
                entry.lease_until = Some(lease_until);
                (entry.chunk.clone(), entry.tries)
            })
        };
        self.survive("take_up").await;
        Ok(taken)
    }

    async fn record_chunk(&self, id: CommandId, chunk: &BulkChunk) -> Result<(), StoreError> {
        {
            let mut state = self.state();
            if !state.call("record_chunk") {
                return Err(refused());
            }
            let open = |entry: &&mut Chunk| !entry.chunk.finished;
            if let Some(entry) = state.chunks.get_mut(&(id, chunk.number)).filter(open) {
                entry.chunk = chunk.clone();
                entry.lease_until = entry.lease_until.filter(|_| !chunk.finished);
            }
        }
        self.survive("record_chunk").await;
        Ok(())
    }

    async fn advance(&self, id: CommandId, from: u32, due: Option<Timestamp>) -> Result<(), StoreError> {
        {
            let mut state = self.state();
            if !state.call("advance") {
                return Err(refused());
            }
            if let Some(command) = state.commands.get_mut(&id).filter(|command| command.next == from) {
                command.next += 1;
                command.due = due.map(|due| command.cancelled.as_ref().map_or(due, |(at, _)| *at));
            }
        }
        self.survive("advance").await;
        Ok(())
    }

    async fn cancel(&self, id: CommandId, at: Timestamp, by: &Actor) -> Result<bool, StoreError> {
        let mut state = self.state();
        if !state.call("cancel") {
            return Err(refused());
        }
        let open = |command: &&mut BulkCommand| command.due.is_some() && command.cancelled.is_none();
        let command = state.commands.get_mut(&id).filter(open);
        Ok(command
            .map(|command| {
                command.cancelled = Some((at, by.clone()));
                command.due = Some(at);
            })
            .is_some())
    }

    async fn due_commands(&self, now: Timestamp, limit: u32) -> Result<Vec<CommandId>, StoreError> {
        let mut state = self.state();
        if !state.call("due_commands") {
            return Err(refused());
        }
        let due = state.commands.values().filter_map(|command| Some((command.due?, command.id)));
        let mut due: Vec<_> = due.filter(|(at, _)| *at <= now).collect();
        due.sort_unstable();
        Ok(due.into_iter().take(limit as usize).map(|(_, id)| id).collect())
    }
}
