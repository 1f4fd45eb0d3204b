//! Every port the API needs, in memory. Each call yields once, so that concurrent requests interleave.

mod bulk;
mod ec2;
mod requests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use api::Ports;
use app::error::{CallError, StoreError};
use app::ports::{
    self, BulkChunk, BulkCommand, CloudEvent, ImageQuery, Instance, InstanceKey, InstanceQuery, Page,
    Request, Sample, Watch,
};
use app::record::{EventRecord, Stored};
use domain::{CommandId, Level, Observed, Region, Timestamp, UserData, WorkerId};
use requests::Begin;

#[derive(Debug, Default)]
pub(crate) struct State {
    pub(crate) workers: BTreeMap<WorkerId, Stored>,
    /// Workers whose records cannot be read.
    pub(crate) unreadable: BTreeSet<WorkerId>,
    pub(crate) events: Vec<EventRecord>,
    pub(crate) samples: Vec<Sample>,
    pub(crate) requests: Vec<Request>,
    pub(crate) instances: Vec<Instance>,
    /// The image every question for one is answered with, and the questions.
    pub(crate) image: Option<String>,
    pub(crate) image_queries: Vec<ImageQuery>,
    /// The images whose name is like any that is asked for, by region, and the questions.
    pub(crate) images: BTreeMap<Region, Vec<String>>,
    pub(crate) image_names: Vec<(Region, String)>,
    /// What was searched for.
    pub(crate) searches: Vec<(Region, InstanceQuery, u32)>,
    /// What the next saves fail with, before they are tried.
    pub(crate) failing_saves: VecDeque<StoreError>,
    /// What the next loads come to, if they fail.
    pub(crate) failing_loads: VecDeque<Result<(), StoreError>>,
    /// What is said of the next saves although they are carried out.
    pub(crate) unanswered_saves: VecDeque<StoreError>,
    /// What the next describes fail with.
    pub(crate) failing_describes: VecDeque<CallError>,
    /// By caller and key.
    pub(crate) keys: BTreeMap<(String, String), Begin>,
    pub(crate) user_data: BTreeMap<WorkerId, UserData>,
    pub(crate) commands: BTreeMap<CommandId, (BulkCommand, Vec<BulkChunk>)>,
    /// What is said of the next command although it was accepted.
    pub(crate) failing_accepts: VecDeque<StoreError>,
    /// What the next look for a command fails with.
    pub(crate) failing_commands: VecDeque<StoreError>,
    /// What the bus refuses requests with.
    pub(crate) failing_requests: VecDeque<CallError>,
    /// What is left of every bucket of EC2.
    pub(crate) level: Option<Level>,
    pub(crate) writes: usize,
    pub(crate) aws_calls: usize,
    ids: u64,
    keys_made: u64,
    seconds: i64,
}

/// The outside.
#[derive(Debug, Clone, Default)]
pub(crate) struct World(Arc<Mutex<State>>);

impl World {
    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panicked")
    }

    /// What was written and what was asked of AWS so far.
    pub(crate) fn effects(&self) -> (usize, usize) {
        let state = self.state();
        (state.writes, state.aws_calls)
    }

    pub(crate) fn pass(&self, seconds: i64) {
        self.state().seconds += seconds;
    }

    /// An idempotency key nobody has used yet.
    pub(crate) fn new_key(&self) -> String {
        let mut state = self.state();
        state.keys_made += 1;
        format!("made-up-{}", state.keys_made)
    }

    pub(crate) fn has_instance(&self, id: &str, observed: Observed, tags: &[(&str, &str)]) {
        self.state().instances.push(Instance {
            instance: id.parse().expect("an instance id"),
            account: "123456789012".parse().expect("an account"),
            observed,
            state_reason: None,
            zone: Some("eu-central-1a".parse().expect("a zone")),
            instance_type: Some("m5zn.metal".into()),
            private_ip: Some("10.0.0.7".parse().expect("an address")),
            public_ip: None,
            tags: tags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        });
    }

    async fn turn(&self) -> MutexGuard<'_, State> {
        tokio::task::yield_now().await;
        self.state()
    }

    async fn write(&self) -> MutexGuard<'_, State> {
        let mut state = self.turn().await;
        state.writes += 1;
        state
    }

    async fn call(&self) -> MutexGuard<'_, State> {
        let mut state = self.turn().await;
        state.aws_calls += 1;
        state
    }
}

impl State {
    fn now(&self) -> Timestamp {
        Timestamp::from_second(1_790_000_000 + self.seconds).expect("a time")
    }

    fn others(&self, id: WorkerId) -> impl Iterator<Item = &Stored> {
        self.workers.values().filter(move |other| other.worker.id() != id && !other.worker.is_over())
    }
}

impl ports::Clock for World {
    fn now(&self) -> Timestamp {
        self.state().now()
    }

    async fn sleep(&self, _: u64) {}
}

impl ports::Ids for World {
    fn worker_id(&self) -> WorkerId {
        let mut state = self.state();
        state.ids += 1;
        format!("01890a5d-ac96-774b-bcce-{:012x}", state.ids).parse().expect("an id")
    }

    fn below(&self, _: u64) -> u64 {
        0
    }
}

impl ports::Workers for World {
    async fn load(&self, id: WorkerId) -> Result<Option<Stored>, StoreError> {
        if self.state().unreadable.contains(&id) {
            return Err(StoreError::Corrupt("no such form".into()));
        }
        let mut state = self.turn().await;
        match state.failing_loads.pop_front() {
            Some(Err(error)) => Err(error),
            Some(Ok(())) | None => Ok(state.workers.get(&id).cloned()),
        }
    }

    async fn load_many(&self, ids: &[WorkerId]) -> Result<Vec<Stored>, StoreError> {
        let state = self.turn().await;
        let readable = ids.iter().rev().filter(|id| !state.unreadable.contains(id));
        Ok(readable.filter_map(|id| state.workers.get(id).cloned()).collect())
    }

    async fn save(
        &self,
        before: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
    ) -> Result<(), StoreError> {
        let mut state = self.turn().await;
        if let Some(error) = state.failing_saves.pop_front() {
            return Err(error);
        }
        let (id, new) = (after.worker.id(), after.worker.state());
        if state.workers.get(&id).map(|stored| stored.version) != before.map(|stored| stored.version) {
            return Err(StoreError::Conflict);
        }
        if state.others(id).any(|other| other.worker.state().name == new.name) {
            return Err(StoreError::NameTaken { name: new.name.clone() });
        }
        let same = |other: &Stored| new.instance.is_some() && other.worker.state().instance == new.instance;
        if state.others(id).any(same) {
            return Err(StoreError::InstanceTaken);
        }
        state.writes += 1;
        state.workers.insert(id, after.clone());
        state.events.push(record.clone());
        state.unanswered_saves.pop_front().map_or(Ok(()), Err)
    }

    async fn owner(&self, key: &InstanceKey) -> Result<Option<WorkerId>, StoreError> {
        let state = self.turn().await;
        let mut living = state.workers.values().filter(|stored| !stored.worker.is_over());
        let owner = living.find(|stored| stored.worker.state().instance.as_ref() == Some(&key.instance));
        Ok(owner.map(|stored| stored.worker.id()))
    }

    async fn watches(
        &self,
        region: &Region,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Watch>, StoreError> {
        let state = self.turn().await;
        let living = state.workers.values().filter(|stored| !stored.worker.is_over());
        let all: Vec<&Stored> = living.filter(|stored| stored.worker.state().region == *region).collect();
        let start = after.map_or(Ok(0), str::parse).map_err(|_| StoreError::BadCursor)?;
        let end = all.len().min(start + limit as usize);
        let items = all[start.min(end)..end].iter().map(|stored| Watch {
            worker: stored.worker.id(),
            instance: stored.worker.state().instance.clone(),
            zone: stored.worker.state().zone.clone(),
            monitoring: None,
            interval: None,
            drift_policy: None,
            drifted: false,
            act_by: stored.act_by,
        });
        Ok(Page { items: items.collect(), next: (end < all.len()).then(|| end.to_string()) })
    }

    async fn events(
        &self,
        id: WorkerId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<EventRecord>, StoreError> {
        let state = self.turn().await;
        let before = after.map_or(Ok(u64::MAX), str::parse).map_err(|_| StoreError::BadCursor)?;
        let mut records: Vec<EventRecord> =
            state.events.iter().rev().filter(|r| r.worker == id && r.version < before).cloned().collect();
        let more = records.len() > limit as usize;
        records.truncate(limit as usize);
        let next = records.last().filter(|_| more).map(|record| record.version.to_string());
        Ok(Page { items: records, next })
    }

    async fn untold(&self, _: Timestamp, _: u32) -> Result<Vec<EventRecord>, StoreError> {
        unreachable!("the API does not tell facts")
    }

    async fn mark_told(&self, _: WorkerId, _: u64) -> Result<(), StoreError> {
        unreachable!("the API does not tell facts")
    }
}

impl ports::Samples for World {
    async fn append(&self, _: &[Sample]) -> Result<(), StoreError> {
        unreachable!("the API does not measure")
    }

    async fn written(&self, _: &[(WorkerId, Timestamp)]) -> Result<Vec<Sample>, StoreError> {
        unreachable!("the API does not measure")
    }

    async fn samples(
        &self,
        worker: WorkerId,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        let state = self.turn().await;
        let mut found: Vec<Sample> = state.samples.clone();
        found.retain(|sample| sample.worker == worker && (from..=to).contains(&sample.at));
        found.sort_by_key(|sample| std::cmp::Reverse(sample.at));
        found.truncate(limit as usize);
        Ok(found)
    }
}

impl ports::UserDataVault for World {
    async fn keep(&self, worker: WorkerId, data: &UserData, _: Timestamp) -> Result<(), StoreError> {
        self.write().await.user_data.insert(worker, data.clone());
        Ok(())
    }

    async fn kept(&self, _: WorkerId) -> Result<Option<UserData>, StoreError> {
        unreachable!("the API does not read user data")
    }

    async fn forget(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.write().await.user_data.remove(&worker);
        Ok(())
    }
}

impl ports::Bus for World {
    async fn request(&self, requests: &[Request]) -> Result<(), CallError> {
        let mut state = self.call().await;
        if let Some(error) = state.failing_requests.pop_front() {
            return Err(error);
        }
        state.requests.extend_from_slice(requests);
        Ok(())
    }

    async fn publish(&self, _: &[CloudEvent]) -> Result<(), CallError> {
        unreachable!("the API does not publish facts")
    }
}

/// The world is every port.
macro_rules! all_of {
    ($($port:ident: $Port:ident),+ $(,)?) => {
        impl Ports for World {$(
            type $Port = Self;

            fn $port(&self) -> &Self {
                self
            }
        )+}
    };
}

all_of! {
    workers: Workers,
    samples: Samples,
    idempotency: Idempotency,
    buckets: Buckets,
    commands: Commands,
    compute: Compute,
    user_data: UserData,
    bus: Bus,
    clock: Clock,
    ids: Ids,
}
