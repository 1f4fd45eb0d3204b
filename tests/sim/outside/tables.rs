//! The two tables.

use app::error::StoreError;
use app::ports::{
    Answer, Begun, BucketKey, Buckets, BulkChunk, BulkCommand, BulkCommands, BulkItem, Claim, Deliveries,
    Delivery, DeliveryKey, Heartbeat, Idempotency, InstanceKey, Outcome, Page, RequestKey, Sample, Samples,
    Sweeps, UserDataVault, Watch, Workers,
};
use app::record::{EventRecord, Stored};
use domain::{Actor, Bulk, BulkAnswer, BulkOutcome, CommandId, Level, Region, Timestamp, UserData, WorkerId};
use tests::world::{State, page};

use super::{Outside, Port, refused};
use crate::faults::Fault;
use crate::world::{MINUTE, SECOND, time};

/// How far an index is behind its table as a rule, in milliseconds.
const LAG: i64 = 400;

impl Outside {
    /// By how much an index is behind its table, and whether that is by a fault. It counts where it hides something.
    fn lag(&self) -> (i64, bool) {
        let lags = self.hits(&mut self.world.inner(), Fault::IndexLags);
        (if lags { MINUTE } else { LAG }, lags)
    }
}

/// A call to a table: the way there, the effect, the way back.
macro_rules! through {
    ($self:ident, $port:ident, $effect:expr) => {{
        $self.enter(Port::$port).await.map_err(refused)?;
        let answer = $effect;
        $self.leave(Port::$port).await.map_err(refused)?;
        answer
    }};
}

impl Workers for Outside {
    async fn load(&self, id: WorkerId) -> Result<Option<Stored>, StoreError> {
        through!(self, Load, {
            self.world.inner().read(self.invocation(), &[id]);
            self.world.tables.load(id).await
        })
    }

    async fn load_many(&self, ids: &[WorkerId]) -> Result<Vec<Stored>, StoreError> {
        through!(self, LoadMany, {
            self.world.inner().read(self.invocation(), ids);
            self.world.tables.load_many(ids).await
        })
    }

    async fn save(
        &self,
        before: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
    ) -> Result<(), StoreError> {
        through!(self, Save, {
            let was = self.world.tables.state().workers.get(&after.worker.id()).cloned();
            let saved = self.world.tables.save(before, record, after).await;
            if saved.is_ok() {
                let tables = self.world.tables.state();
                self.world.inner().saved(self.function(), was.as_ref(), record, after, &tables);
            }
            saved
        })
    }

    async fn owner(&self, key: &InstanceKey) -> Result<Option<WorkerId>, StoreError> {
        through!(self, Owner, self.world.tables.owner(key).await)
    }

    async fn watches(
        &self,
        region: &Region,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Watch>, StoreError> {
        through!(self, Watches, {
            let (lag, by_fault) = self.lag();
            let mut inner = self.world.inner();
            let now = inner.now;
            let watches = inner.indexes.watches(region, now - lag);
            if by_fault && inner.indexes.is_behind(now - LAG) {
                self.struck(&mut inner, Fault::IndexLags);
            }
            page(watches, after, limit)
        })
    }

    async fn events(
        &self,
        id: WorkerId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<EventRecord>, StoreError> {
        through!(self, Events, self.world.tables.events(id, after, limit).await)
    }

    async fn untold(&self, before: Timestamp, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        through!(self, Untold, {
            // What is asked for is older than an index is behind, by a fault or not.
            let indexed = time(self.world.inner().now - LAG);
            self.world.tables.untold(before.min(indexed), limit).await
        })
    }

    async fn mark_told(&self, worker: WorkerId, version: u64) -> Result<(), StoreError> {
        through!(self, MarkTold, self.world.tables.mark_told(worker, version).await)
    }
}

impl Samples for Outside {
    async fn append(&self, samples: &[Sample]) -> Result<(), StoreError> {
        through!(self, Append, self.world.tables.append(samples).await)
    }

    async fn written(&self, keys: &[(WorkerId, Timestamp)]) -> Result<Vec<Sample>, StoreError> {
        through!(self, Written, self.world.tables.written(keys).await)
    }

    async fn samples(
        &self,
        worker: WorkerId,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        through!(self, Samples, self.world.tables.samples(worker, from, to, limit).await)
    }
}

impl Sweeps for Outside {
    async fn claim(&self, region: &Region, tick: Timestamp) -> Result<Option<Option<Heartbeat>>, StoreError> {
        through!(self, ClaimTick, Sweeps::claim(&self.world.tables, region, tick).await)
    }

    async fn complete(&self, region: &Region, tick: Timestamp) -> Result<(), StoreError> {
        through!(self, CompleteTick, self.world.tables.complete(region, tick).await)
    }

    async fn heartbeat(&self, region: &Region) -> Result<Option<Heartbeat>, StoreError> {
        through!(self, Heartbeat, self.world.tables.heartbeat(region).await)
    }
}

impl Buckets for Outside {
    async fn level(&self, key: &BucketKey) -> Result<Option<Level>, StoreError> {
        through!(self, Level, self.world.tables.level(key).await)
    }

    async fn draw(&self, key: &BucketKey, before: Option<Level>, after: Level) -> Result<bool, StoreError> {
        let draw = async { through!(self, Draw, self.world.tables.draw(key, before, after).await) };
        let drawn = draw.await?;
        if drawn {
            self.world.inner().drew(self.invocation(), key.action);
        }
        Ok(drawn)
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
        through!(self, AcceptCommand, self.world.tables.accept(command, chunks).await)
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
        through!(self, Advance, self.world.tables.advance(id, from, due).await)
    }

    async fn cancel(&self, id: CommandId, at: Timestamp, by: &Actor) -> Result<bool, StoreError> {
        through!(self, CancelCommand, self.world.tables.cancel(id, at, by).await)
    }

    async fn due_commands(&self, now: Timestamp, limit: u32) -> Result<Vec<CommandId>, StoreError> {
        through!(self, DueCommands, {
            let due = self.world.tables.due_commands(now, limit).await;
            let (lag, by_fault) = self.lag();
            let (tables, mut inner) = (self.world.tables.state(), self.world.inner());
            let seen = |id: &CommandId, lag| tables.commands[id].at <= time(inner.now - lag);
            let mut due = due?;
            due.retain(|id| seen(id, LAG));
            let hidden = due.iter().any(|id| !seen(id, lag));
            due.retain(|id| seen(id, lag));
            if by_fault && hidden {
                self.struck(&mut inner, Fault::IndexLags);
            }
            Ok(due)
        })
    }
}

impl UserDataVault for Outside {
    async fn keep(&self, worker: WorkerId, data: &UserData, now: Timestamp) -> Result<(), StoreError> {
        through!(self, KeepUserData, self.world.tables.keep(worker, data, now).await)
    }

    async fn kept(&self, worker: WorkerId) -> Result<Option<UserData>, StoreError> {
        through!(self, KeptUserData, {
            let kept = self.world.tables.kept(worker).await;
            if let Ok(None) = kept {
                let tables = self.world.tables.state();
                self.world.inner().no_user_data(worker, &tables);
            }
            kept
        })
    }

    async fn forget(&self, worker: WorkerId) -> Result<(), StoreError> {
        through!(self, ForgetUserData, self.world.tables.forget(worker).await)
    }
}

impl Idempotency for Outside {
    async fn begin(
        &self,
        key: &RequestKey,
        reserve: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Begun, StoreError> {
        through!(self, BeginRequest, {
            let begun = self.world.tables.begin(key, reserve, now, lease_until).await;
            if matches!(begun, Ok(Begun::Fresh { .. })) {
                let mut inner = self.world.inner();
                if !inner.people.carried_out(key) {
                    inner.violated(format!("{key:?} has its answer, and is carried out again"));
                }
            }
            begun
        })
    }

    async fn finish(&self, key: &RequestKey, answer: &Answer) -> Result<(), StoreError> {
        let entered = self.enter(Port::FinishRequest).await;
        if entered.is_err() {
            self.world.inner().people.answer_unstored(key);
        }
        entered.map_err(refused)?;
        let answer = self.world.tables.finish(key, answer).await;
        self.leave(Port::FinishRequest).await.map_err(refused)?;
        answer
    }

    async fn abandon(&self, key: &RequestKey) -> Result<(), StoreError> {
        through!(self, AbandonRequest, self.world.tables.abandon(key).await)
    }
}

impl Deliveries for Outside {
    async fn claim(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Claim, StoreError> {
        through!(
            self,
            ClaimDelivery,
            Deliveries::claim(&self.world.tables, key, payload, now, lease_until).await
        )
    }

    async fn defer(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        through!(self, Defer, self.world.tables.defer(key, payload, now, at).await)
    }

    async fn record(&self, key: &DeliveryKey, now: Timestamp, outcome: &Outcome) -> Result<(), StoreError> {
        let entered = self.enter(Port::Record).await;
        if entered.is_err() {
            self.world.inner().unrecorded(key);
        }
        entered.map_err(refused)?;
        let answer = self.world.tables.record(key, now, outcome).await;
        if answer.is_ok() {
            self.world.inner().recorded(key, outcome, self.invocation());
        }
        self.leave(Port::Record).await.map_err(refused)?;
        answer
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        through!(self, Due, {
            let due = self.world.tables.due(now, limit).await;
            let (lag, by_fault) = self.lag();
            let mut inner = self.world.inner();
            let (usual, until) = (time(inner.now - LAG), time(inner.now - lag));
            let mut due = due?;
            due.retain(|delivery| delivery.first_at <= usual);
            if by_fault && due.iter().any(|delivery| delivery.first_at > until) {
                self.struck(&mut inner, Fault::IndexLags);
            }
            due.retain(|delivery| delivery.first_at <= until);
            Ok(due)
        })
    }

    async fn permits(
        &self,
        name: &str,
        now: Timestamp,
        wanted: u32,
        per_second: u32,
    ) -> Result<u32, StoreError> {
        through!(self, Permits, self.world.tables.permits(name, now, wanted, per_second).await)
    }
}
