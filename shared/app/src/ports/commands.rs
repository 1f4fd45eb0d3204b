//! Commands for many workers, in the journal: one head, and the workers in chunks.

use domain::{Actor, Bulk, BulkOutcome, BulkRefusal, CommandId, Name, Timestamp, WorkerId};

use crate::error::StoreError;

/// How many workers one chunk has at most.
pub const CHUNK_SIZE: usize = 100;

/// A command for many workers, as it was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkCommand {
    /// Its identity.
    pub id: CommandId,
    /// What is asked.
    pub bulk: Bulk,
    /// Who asked.
    pub by: Actor,
    /// When.
    pub at: Timestamp,
    /// About how many calls EC2 was foretold to take.
    pub calls: u32,
    /// When EC2 was foretold to have been asked for the last of them.
    pub ends_at: Timestamp,
    /// When each chunk that is to be carried out falls due, by its number. They fall due in this order.
    pub dues: Vec<Timestamp>,
    /// How many chunks there are: the last ones have nothing to carry out.
    pub chunks: u32,
    /// The first chunk that may not be finished.
    pub next: u32,
    /// When that one falls due; `None` once all are finished.
    pub due: Option<Timestamp>,
    /// Who called it off, and when.
    pub cancelled: Option<(Timestamp, Actor)>,
}

/// One worker of a command.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkItem {
    /// The worker.
    pub worker: WorkerId,
    /// What it was called; `None` if there is no such worker.
    pub name: Option<Name>,
    /// What has become of the command for it.
    pub outcome: BulkOutcome,
    /// Why it is left out, in a word and for people.
    pub refusal: Option<(BulkRefusal, String)>,
}

/// Workers of one command that are taken up together.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkChunk {
    /// Its number, from 0.
    pub number: u32,
    /// The workers, at most [`CHUNK_SIZE`].
    pub items: Vec<BulkItem>,
    /// Nothing is left to do.
    pub finished: bool,
}

/// Commands for many workers: one head each, and chunks.
pub trait BulkCommands: Sync {
    /// Enters a command. Nobody finds it before all of its chunks are there; one that is there already stays as it is.
    fn accept(
        &self,
        command: &BulkCommand,
        chunks: &[BulkChunk],
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The command as it is now (strongly consistent).
    fn command(&self, id: CommandId) -> impl Future<Output = Result<Option<BulkCommand>, StoreError>> + Send;

    /// Its chunks from this number on, in order, at most `limit` (strongly consistent).
    fn chunks(
        &self,
        id: CommandId,
        from: u32,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<BulkChunk>, StoreError>> + Send;

    /// Takes a chunk up, and says how often that was done, this time included. `None` if it is finished, or somebody has
    /// it and their lease is not over.
    fn take_up(
        &self,
        id: CommandId,
        chunk: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> impl Future<Output = Result<Option<(BulkChunk, u32)>, StoreError>> + Send;

    /// Writes what became of a chunk; the lease stays unless it is finished. What was finished first stays.
    fn record_chunk(
        &self,
        id: CommandId,
        chunk: &BulkChunk,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Chunk `from` is finished, and the next one falls due then, or is due already if the command was called off; `None` if
    /// it was the last. Nothing happens if `from` is not the next one any more.
    fn advance(
        &self,
        id: CommandId,
        from: u32,
        due: Option<Timestamp>,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Calls a command off, so that it is due now. `false` if it was called off before, or all of it is finished.
    fn cancel(
        &self,
        id: CommandId,
        at: Timestamp,
        by: &Actor,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;

    /// The commands of which a chunk is due, at most `limit`, who has waited longest first (eventually consistent).
    fn due_commands(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<CommandId>, StoreError>> + Send;
}
