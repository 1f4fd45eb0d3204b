//! One small account in memory, behind the ports: tables, EC2, CloudWatch, the bus, and a clock that moves when told.
//!
//! It answers as the services do where the use cases can tell the difference, and counts what it is asked.

mod cloudwatch;
mod commands;
mod ec2;
mod expiry;
mod journal;
mod ledger;
mod outside;
mod ports;
mod store;
mod throttle;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{pending, poll_fn};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::Poll;

use app::config::{Access, Role};
use app::ports::{
    BucketKey, BulkCommand, Clock, CloudEvent, Heartbeat, Ids, InstanceKey, Request, Sample, SigningSecret,
    TopicMessage, WebhookRequest,
};
use app::record::{EventRecord, Stored};
use domain::{
    AccountId, AlertDuration, CommandId, DriftPolicy, FailureKind, InstanceId, Level, Metric, Name, Percent,
    PollInterval, Region, Settings, Threshold, Timestamp, UserData, WorkerId, Zone,
};
use uuid::Uuid;

pub use commands::Chunk;
pub use ec2::{Ami, Machine, retagged};
pub use expiry::{Kept, Mortal};
pub use ledger::{Entry, Ledger};
pub use outside::{Receivers, SECRET, fits_bus, fits_topic};
pub use store::{page, watch};
pub use throttle::Throttle;

/// Everything that exists.
#[derive(Debug)]
pub struct World(Mutex<State>);

/// What the world is made of. Tests read it, and change it where the outside world would.
#[derive(Debug)]
pub struct State {
    /// The time, in milliseconds since the epoch.
    pub now: i64,
    /// Workers by id.
    pub workers: BTreeMap<WorkerId, Stored>,
    /// Facts by worker and version.
    pub facts: BTreeMap<(WorkerId, u64), EventRecord>,
    /// Facts that nobody was told of yet.
    pub untold: BTreeSet<(WorkerId, u64)>,
    /// Who has which name.
    pub names: BTreeMap<Name, WorkerId>,
    /// Who answers for which instance.
    pub owners: BTreeMap<InstanceKey, WorkerId>,
    /// Telemetry.
    pub samples: BTreeMap<(WorkerId, Timestamp), Sample>,
    /// Heartbeats by region.
    pub heartbeats: BTreeMap<Region, Heartbeat>,
    /// Idempotency records by caller and key.
    pub requests: BTreeMap<(String, String), journal::Begun>,
    /// User data until the launch.
    pub user_data: BTreeMap<WorkerId, UserData>,
    /// Commands for many workers.
    pub commands: BTreeMap<CommandId, BulkCommand>,
    /// Their chunks.
    pub chunks: BTreeMap<(CommandId, u32), Chunk>,
    /// The delivery ledger by notice and channel.
    pub ledger: Ledger,
    /// The seconds of permits, by name: since when (milliseconds), and how many were taken.
    pub permits: BTreeMap<String, Vec<(i64, u32)>>,
    /// What is left of EC2's buckets, as `act` counts it.
    pub levels: BTreeMap<BucketKey, Level>,
    /// How many draws on a bucket are still to lose a race.
    pub rivals: u32,
    /// EC2's own buckets; without them it takes any number of calls.
    pub throttle: Option<Throttle>,
    /// Zones in which EC2 has room for so many more starts; in the others for any number.
    pub room: BTreeMap<Zone, u32>,
    /// Calls that EC2 throttled.
    pub throttled: u32,
    /// The starts that EC2 carried out, and when, in milliseconds.
    pub starts: Vec<(i64, InstanceId)>,
    /// The images EC2 has.
    pub images: Vec<Ami>,
    /// EC2.
    pub machines: BTreeMap<InstanceId, Machine>,
    /// What CloudWatch has, by instance, metric and start of the period.
    pub measured: BTreeMap<(InstanceId, Metric, Timestamp), f64>,
    /// What was put on the bus.
    pub bus: Vec<Request>,
    /// Facts published on the bus.
    pub published: Vec<CloudEvent>,
    /// What the topic got.
    pub topic: Vec<TopicMessage>,
    /// What the webhooks got.
    pub hooks: Vec<WebhookRequest>,
    /// The receivers that do not just take what they get.
    pub receivers: Receivers,
    /// The secret that signs webhooks, if somebody put one.
    pub secret: Option<SigningSecret>,
    /// Calls made, by name.
    pub calls: BTreeMap<&'static str, u32>,
    /// Calls that fail until they are taken out.
    pub broken: BTreeSet<&'static str>,
    /// The fleet table is throttled: nothing is saved as long as this is set.
    pub busy: bool,
    /// Calls that read EC2 and that we have no right to make, until they are taken out.
    pub denied: BTreeSet<&'static str>,
    /// Calls that are carried out and whose answer is lost, until they are taken out.
    pub unanswered: BTreeSet<&'static str>,
    /// Actions that EC2 refuses, and why, until they are taken out.
    pub refused: BTreeMap<&'static str, FailureKind>,
    /// Instance types and subnets of which EC2 launches nothing more, and what it says.
    pub no_room: BTreeMap<String, (FailureKind, &'static str)>,
    /// Zones that are out: a call that names an instance in one of them fails.
    pub dark: BTreeSet<Zone>,
    /// The call, a save, a draw or one that changes EC2, after which the process dies once.
    pub dies_after: Option<&'static str>,
    /// The call, one of those, after which the process stands still once, until somebody asks for it again.
    pub pauses_after: Option<&'static str>,
    /// How long a call that changes EC2 takes, in milliseconds.
    pub slow: i64,
    /// How many searches EC2 still answers; `None` for any number.
    pub searches_left: Option<u32>,
    /// How long a description of instances takes, in milliseconds.
    pub slow_describe: i64,
    /// How long a search for instances takes, in milliseconds.
    pub slow_search: i64,
    /// How many saves are still to lose a race.
    pub races: u32,
    /// What others write just before our next saves.
    pub meanwhile: VecDeque<(EventRecord, Stored)>,
    dead: bool,
    next_id: u128,
}

impl Default for World {
    fn default() -> Self {
        Self(Mutex::new(State {
            now: 1_700_000_000_000,
            workers: BTreeMap::new(),
            facts: BTreeMap::new(),
            untold: BTreeSet::new(),
            names: BTreeMap::new(),
            owners: BTreeMap::new(),
            samples: BTreeMap::new(),
            heartbeats: BTreeMap::new(),
            requests: BTreeMap::new(),
            user_data: BTreeMap::new(),
            commands: BTreeMap::new(),
            chunks: BTreeMap::new(),
            ledger: Ledger::default(),
            permits: BTreeMap::new(),
            levels: BTreeMap::new(),
            rivals: 0,
            throttle: None,
            room: BTreeMap::new(),
            throttled: 0,
            starts: Vec::new(),
            images: vec![Ami {
                id: ec2::IMAGE.to_owned(),
                name: "cml-2.8.0".to_owned(),
                owner: "self".to_owned(),
                created: "2026-01-01T00:00:00.000Z".to_owned(),
            }],
            machines: BTreeMap::new(),
            measured: BTreeMap::new(),
            bus: Vec::new(),
            published: Vec::new(),
            topic: Vec::new(),
            hooks: Vec::new(),
            receivers: Receivers::default(),
            secret: Some(SigningSecret::new(SECRET.to_owned())),
            calls: BTreeMap::new(),
            broken: BTreeSet::new(),
            busy: false,
            denied: BTreeSet::new(),
            unanswered: BTreeSet::new(),
            refused: BTreeMap::new(),
            no_room: BTreeMap::new(),
            dark: BTreeSet::new(),
            dies_after: None,
            pauses_after: None,
            slow: 0,
            searches_left: None,
            slow_describe: 0,
            slow_search: 0,
            races: 0,
            meanwhile: VecDeque::new(),
            dead: false,
            next_id: 1,
        }))
    }
}

impl World {
    /// The state, to read or to change.
    pub fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Lets time pass.
    pub fn pass(&self, seconds: i64) {
        self.state().now += seconds * 1000;
    }

    /// Now, floored to the minute: the tick a schedule would name.
    pub fn tick(&self) -> Timestamp {
        let now = self.state().now;
        at(now - now.rem_euclid(60_000))
    }

    /// The worker's record.
    ///
    /// # Panics
    /// If there is none.
    #[expect(clippy::expect_used, reason = "a test that asks for a missing worker is wrong")]
    pub fn worker(&self, id: WorkerId) -> Stored {
        self.state().workers.get(&id).cloned().expect("the worker exists")
    }

    /// The names of all facts of a worker, in order.
    pub fn facts(&self, id: WorkerId) -> Vec<&'static str> {
        let state = self.state();
        let of_worker = state.facts.iter().filter(|((worker, _), _)| *worker == id);
        of_worker.flat_map(|(_, record)| record.events.iter().map(domain::Event::name)).collect()
    }

    /// The process dies after this call, if it is to: what was done is done, and nothing comes back.
    async fn survive(&self, name: &str) {
        let (dies, mut pauses) = {
            let mut state = self.state();
            let dies = state.dies_after.take_if(|call| *call == name).is_some();
            state.dead |= dies;
            (dies, state.pauses_after.take_if(|call| *call == name).is_some())
        };
        if dies {
            pending().await
        }
        poll_fn(|_| if std::mem::take(&mut pauses) { Poll::Pending } else { Poll::Ready(()) }).await;
    }

    /// Resolves once the process is dead, and a new one takes its place.
    pub async fn death(&self) {
        poll_fn(|_| if std::mem::take(&mut self.state().dead) { Poll::Ready(()) } else { Poll::Pending })
            .await;
    }

    /// How often a call was made.
    pub fn called(&self, name: &str) -> u32 {
        self.state().calls.get(name).copied().unwrap_or_default()
    }
}

impl State {
    /// Now.
    pub fn time(&self) -> Timestamp {
        at(self.now)
    }

    fn call(&mut self, name: &'static str) -> bool {
        *self.calls.entry(name).or_default() += 1;
        !self.broken.contains(name)
    }

    fn id(&mut self) -> u128 {
        self.next_id += 1;
        self.next_id
    }
}

fn at(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

impl Clock for World {
    fn now(&self) -> Timestamp {
        self.state().time()
    }

    async fn sleep(&self, millis: u64) {
        self.state().now += i64::try_from(millis).unwrap_or(i64::MAX);
    }
}

impl Ids for World {
    fn worker_id(&self) -> WorkerId {
        WorkerId::new(Uuid::from_u128(self.state().id() << 64))
    }

    fn below(&self, below: u64) -> u64 {
        below / 2
    }
}

/// The settings a fleet has by default.
///
/// # Panics
/// Never: the numbers are in range.
#[expect(clippy::expect_used, reason = "the numbers are in range")]
pub fn settings() -> Settings {
    let threshold = Threshold {
        percent: Percent::new(90).expect("in range"),
        duration: AlertDuration::new(600).expect("in range"),
    };
    Settings {
        monitoring: true,
        interval: PollInterval::new(60).expect("in range"),
        drift: DriftPolicy::Alert,
        cpu: threshold,
        memory: threshold,
        disk: threshold,
    }
}

/// The one region of the world.
///
/// # Panics
/// Never: the name is a region's.
#[expect(clippy::expect_used, reason = "the name is a region's")]
pub fn region() -> Region {
    "us-east-1".parse().expect("a region")
}

/// Who may do what: everybody everything.
///
/// # Panics
/// Never: the pattern is one.
#[expect(clippy::expect_used, reason = "the pattern is one")]
pub fn access() -> Access {
    Access { claim: "groups".to_owned(), principals: vec![("*".parse().expect("a pattern"), Role::Admin)] }
}

/// The one account of the world.
///
/// # Panics
/// Never: the id is an account's.
#[expect(clippy::expect_used, reason = "the id is an account's")]
pub fn account() -> AccountId {
    "123456789012".parse().expect("an account")
}
