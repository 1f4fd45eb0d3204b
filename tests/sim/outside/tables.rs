//! The two tables, but for commands and deliveries.

use app::error::StoreError;
use app::ports::{
    Answer, Begun, BucketKey, Buckets, Heartbeat, Idempotency, InstanceKey, Page, RequestKey, Sample,
    Samples, Sweeps, UserDataVault, Watch, Workers,
};
use app::record::{EventRecord, Stored};
use domain::{Level, Region, Timestamp, UserData, WorkerId};
use tests::world::page;

use super::{Outside, Port, refused};
use crate::faults::Fault;
use crate::lagging::{Index, Indexes};
use crate::world::{Inner, MINUTE};

/// How far an index is behind its table as a rule, in milliseconds.
const LAG: i64 = 400;

impl Outside {
    /// Up to which time an index has everything: by a fault it may be a minute behind, which counts if something has still to
    /// arrive.
    pub(super) fn indexed<K: Ord, V>(
        &self,
        inner: &mut Inner,
        index: impl Fn(&mut Indexes) -> &mut Index<K, V>,
    ) -> i64 {
        let now = inner.now;
        if !self.hits(inner, Fault::IndexLags) {
            return now - LAG;
        }
        let index = index(&mut inner.indexes);
        index.at(now - MINUTE);
        if index.is_behind(now - LAG) {
            self.struck(inner, Fault::IndexLags);
        }
        now - MINUTE
    }
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
                let mut inner = self.world.inner();
                inner.saved((self.function(), self.invocation()), was.as_ref(), record, after, &tables);
                inner.changed(self.invocation(), after.worker.id());
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
            let mut inner = self.world.inner();
            let until = self.indexed(&mut inner, |indexes| &mut indexes.living);
            let living = inner.indexes.living.at(until).values();
            let watches = living.filter(|(of, _)| of == region).map(|(_, watch)| watch.clone()).collect();
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
            let (tables, mut inner) = (self.world.tables.state(), self.world.inner());
            let until = self.indexed(&mut inner, |indexes| &mut indexes.outbox);
            let outbox = inner.indexes.outbox.at(until).iter();
            let mut old: Vec<_> =
                outbox.filter(|(_, at)| **at < before).map(|(key, at)| (*at, *key)).collect();
            old.sort_unstable();
            old.truncate(limit as usize);
            // The index has their keys. What is read by them and was told since is left out, and nothing is read in its place.
            let untold = old.into_iter().filter(|(_, key)| tables.untold.contains(key));
            Ok(untold.filter_map(|(_, key)| tables.facts.get(&key).cloned()).collect())
        })
    }

    async fn mark_told(&self, worker: WorkerId, version: u64) -> Result<(), StoreError> {
        through!(self, MarkTold, {
            let marked = self.world.tables.mark_told(worker, version).await;
            let (tables, mut inner) = (self.world.tables.state(), self.world.inner());
            let now = inner.now;
            inner.indexes.wrote_facts(now, (worker, version), &tables);
            marked
        })
    }
}

impl Samples for Outside {
    async fn append(&self, samples: &[Sample]) -> Result<(), StoreError> {
        through!(self, Append, {
            {
                let tables = self.world.tables.state();
                self.world.inner().check_samples(self.invocation(), samples, &tables);
            }
            self.world.tables.append(samples).await
        })
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
                inner.carries_out(self.invocation(), key);
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
        let mut finished = self.world.tables.finish(key, answer).await;
        if finished.is_ok() && self.sends_again(Port::FinishRequest) {
            finished = self.world.tables.finish(key, answer).await;
        }
        self.leave(Port::FinishRequest).await.map_err(refused)?;
        finished
    }

    async fn abandon(&self, key: &RequestKey) -> Result<(), StoreError> {
        through!(self, AbandonRequest, self.world.tables.abandon(key).await)
    }
}
