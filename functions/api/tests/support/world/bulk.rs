//! Commands for many workers, and EC2's buckets, which nobody draws on here.

use app::error::StoreError;
use app::ports::{self, BucketKey, BulkChunk, BulkCommand};
use domain::{Actor, CommandId, Level, Timestamp};

use super::World;

impl ports::Buckets for World {
    async fn level(&self, _: &BucketKey) -> Result<Option<Level>, StoreError> {
        Ok(self.turn().await.level)
    }

    async fn draw(&self, _: &BucketKey, _: Option<Level>, _: Level) -> Result<bool, StoreError> {
        unreachable!("the API draws on no bucket")
    }
}

impl ports::BulkCommands for World {
    async fn accept(&self, command: &BulkCommand, chunks: &[BulkChunk]) -> Result<(), StoreError> {
        let mut state = self.turn().await;
        state.writes += 1;
        state.commands.entry(command.id).or_insert_with(|| (command.clone(), chunks.to_vec()));
        // It was written, and the answer got lost.
        state.failing_accepts.pop_front().map_or(Ok(()), Err)
    }

    async fn command(&self, id: CommandId) -> Result<Option<BulkCommand>, StoreError> {
        let mut state = self.turn().await;
        if let Some(error) = state.failing_commands.pop_front() {
            return Err(error);
        }
        Ok(state.commands.get(&id).map(|(command, _)| command.clone()))
    }

    async fn chunks(&self, id: CommandId, from: u32, limit: u32) -> Result<Vec<BulkChunk>, StoreError> {
        let state = self.turn().await;
        let chunks = state.commands.get(&id).map(|(_, chunks)| chunks.as_slice()).unwrap_or_default();
        Ok(chunks.iter().skip(from as usize).take(limit as usize).cloned().collect())
    }

    async fn take_up(
        &self,
        id: CommandId,
        chunk: u32,
        _: Timestamp,
        _: Timestamp,
    ) -> Result<Option<(BulkChunk, u32)>, StoreError> {
        let chunks = self.chunks(id, chunk, 1).await?;
        Ok(chunks.into_iter().find(|chunk| !chunk.finished).map(|chunk| (chunk, 1)))
    }

    async fn record_chunk(&self, id: CommandId, chunk: &BulkChunk) -> Result<(), StoreError> {
        if let Some((_, chunks)) = self.write().await.commands.get_mut(&id) {
            chunks[chunk.number as usize] = chunk.clone();
        }
        Ok(())
    }

    async fn advance(&self, id: CommandId, from: u32, due: Option<Timestamp>) -> Result<(), StoreError> {
        if let Some((command, _)) = self.write().await.commands.get_mut(&id) {
            (command.next, command.due) = (from + 1, due);
        }
        Ok(())
    }

    async fn cancel(&self, id: CommandId, at: Timestamp, by: &Actor) -> Result<bool, StoreError> {
        let mut state = self.write().await;
        let open = |command: &&mut BulkCommand| command.due.is_some() && command.cancelled.is_none();
        let command = state.commands.get_mut(&id).map(|(command, _)| command).filter(open);
        Ok(command
            .map(|command| (command.cancelled, command.due) = (Some((at, by.clone())), Some(at)))
            .is_some())
    }

    async fn due_commands(&self, _: Timestamp, _: u32) -> Result<Vec<CommandId>, StoreError> {
        unreachable!("the API does not sweep")
    }
}
