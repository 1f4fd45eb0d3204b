//! The shared world of one run: virtual time, one queue of what is due, one source of chance, and everything outside
//! our code. One thread owns it; the lock is there because the ports promise `Send`, and is never held across a wait.

use std::cmp::{Ordering, Reverse};
use std::collections::{BTreeMap, BTreeSet, BinaryHeap};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use domain::{InstanceId, Timestamp, WorkerId};
use serde_json::Value;
use tests::world::Mortal;

use crate::books::Books;
use crate::chance::Chance;
use crate::cloudwatch::CloudWatch;
use crate::deployment::Deployment;
use crate::ec2::Ec2;
use crate::faults::{Fault, Faults};
use crate::lagging::Indexes;
use crate::launches::Launches;
use crate::listeners::Listeners;
use crate::outside::Port;
use crate::people::People;
use crate::promptness::Promptness;
use crate::requests::Requests;
use crate::stream::Stream;
use crate::trace::{Step, Trace};
use crate::tries::Tries;
use crate::wiring::{Function, Wiring};
use crate::wishes::Wishes;

/// When every run begins, milliseconds since the epoch.
pub(crate) const BEGINNING: i64 = 1_700_000_040_000;
/// One second of virtual time.
pub(crate) const SECOND: i64 = 1_000;
/// One minute of virtual time.
pub(crate) const MINUTE: i64 = 60 * SECOND;
/// The longest that a call may be on its way to its effect, and a read before it.
pub(crate) const CALL: i64 = 2 * SECOND;

/// One invocation of a function.
pub(crate) type InvocationId = u64;

/// An invocation to make: of which function, with what, and who waits for its end.
#[derive(Debug, Clone)]
pub(crate) struct Call {
    pub(crate) function: Function,
    pub(crate) event: Arc<Value>,
    pub(crate) from: From,
}

/// Who made a call, and what becomes of its end.
#[derive(Debug, Clone)]
pub(crate) enum From {
    /// A rule or a schedule: Lambda tries again, then it is a dead letter.
    Rule {
        /// How often it was tried before.
        tries: u32,
        /// When it was first to be made.
        since: i64,
    },
    /// The stream, for this consumer and this range of its shard.
    Mapping { consumer: usize, from: usize, to: usize },
    /// Somebody at the API.
    Person(usize),
}

/// Something that is due.
#[derive(Debug)]
pub(crate) enum Due {
    /// A port call goes on.
    Wake(Waker),
    /// The schedule's minute.
    Tick,
    /// A call reaches Lambda.
    Invoke(Call),
    /// An invocation has run out of time.
    TimeLimit(InvocationId),
    /// A consumer of the stream looks for records.
    Look(usize),
    /// An instance gets into its next state, unless it was moved since.
    Settle(InstanceId, u64),
    /// Somebody does something next.
    Person(usize),
    /// Somebody else meddles with EC2.
    Meddle,
    /// An item's time to live is over.
    Expire(Mortal),
}

#[derive(Debug)]
struct Entry {
    at: i64,
    sequence: u64,
    due: Due,
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Entry {}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> Ordering {
        (self.at, self.sequence).cmp(&(other.at, other.sequence))
    }
}

/// Everything that exists.
#[derive(Debug)]
pub(crate) struct World {
    /// Both tables.
    pub(crate) tables: tests::world::World,
    inner: Mutex<Inner>,
}

/// What the world is made of besides the tables.
#[derive(Debug)]
pub(crate) struct Inner {
    /// Milliseconds since the epoch.
    pub(crate) now: i64,
    /// How much of that nobody lived through.
    pub(crate) skipped: i64,
    sequence: u64,
    queue: BinaryHeap<Reverse<Entry>>,
    pub(crate) chance: Chance,
    pub(crate) faults: Faults,
    /// When the faults stopped, if they did.
    pub(crate) healed_at: i64,
    pub(crate) trace: Trace,
    pub(crate) wiring: Arc<Wiring>,
    pub(crate) deployment: Deployment,
    pub(crate) ec2: Ec2,
    pub(crate) cloudwatch: CloudWatch,
    pub(crate) indexes: Indexes,
    pub(crate) stream: Stream,
    pub(crate) listeners: Listeners,
    pub(crate) people: People,
    pub(crate) requests: Requests,
    pub(crate) wishes: Wishes,
    /// At which calls somebody died, or met what he did himself.
    pub(crate) befallen: BTreeSet<(Fault, Port)>,
    /// What each environment of `collect` has described since nothing happens any more; none before.
    pub(crate) described: Option<BTreeSet<(u64, InstanceId)>>,
    pub(crate) books: Books,
    pub(crate) promptness: Promptness,
    pub(crate) tries: Tries,
    pub(crate) launches: Launches,
    /// When invocations began that are under way.
    pub(crate) begun: BTreeMap<InvocationId, i64>,
    /// When a sample of a worker was written last.
    pub(crate) sampled: BTreeMap<WorkerId, i64>,
    /// Invocations that died in a port call.
    pub(crate) dying: BTreeSet<InvocationId>,
    /// What reached a dead-letter queue, by function.
    pub(crate) dead_letters: BTreeMap<Function, u32>,
    /// Port calls, by function and port.
    pub(crate) calls: BTreeMap<(Function, Port), u64>,
    next_id: u128,
}

impl World {
    pub(crate) fn new(chance: Chance, faults: Faults, wiring: Arc<Wiring>, deployment: Deployment) -> Self {
        let mut chance = chance;
        Self {
            tables: tests::world::World::default(),
            inner: Mutex::new(Inner {
                now: BEGINNING,
                skipped: 0,
                sequence: 0,
                queue: BinaryHeap::new(),
                cloudwatch: CloudWatch::new(&mut chance),
                chance,
                faults,
                healed_at: i64::MAX,
                trace: Trace::default(),
                wiring,
                deployment,
                ec2: Ec2::default(),
                indexes: Indexes::default(),
                stream: Stream::default(),
                listeners: Listeners::new(),
                people: People::default(),
                requests: Requests::default(),
                wishes: Wishes::default(),
                befallen: BTreeSet::new(),
                described: None,
                books: Books::default(),
                promptness: Promptness::default(),
                tries: Tries::default(),
                launches: Launches::default(),
                begun: BTreeMap::new(),
                sampled: BTreeMap::new(),
                dying: BTreeSet::new(),
                dead_letters: BTreeMap::new(),
                calls: BTreeMap::new(),
                next_id: 0,
            }),
        }
    }

    pub(crate) fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until a time.
    pub(crate) fn until(&self, at: i64) -> Pause<'_> {
        Pause { world: self, at, armed: false }
    }

    /// Takes what is due next and moves time there; `None` if that would be after `end`.
    pub(crate) fn next(&self, end: i64) -> Option<Due> {
        let mut inner = self.inner();
        if inner.queue.peek().is_none_or(|Reverse(entry)| entry.at > end) {
            return None;
        }
        let Reverse(entry) = inner.queue.pop()?;
        inner.now = inner.now.max(entry.at);
        Some(entry.due)
    }
}

impl Inner {
    /// Puts something on the queue.
    pub(crate) fn at(&mut self, at: i64, due: Due) {
        self.sequence += 1;
        self.queue.push(Reverse(Entry { at: at.max(self.now), sequence: self.sequence, due }));
    }

    /// Puts something on the queue, some time from now.
    pub(crate) fn after(&mut self, millis: i64, due: Due) {
        self.at(self.now + millis, due);
    }

    /// A number nobody had before.
    pub(crate) fn id(&mut self) -> u128 {
        self.next_id += 1;
        self.next_id
    }

    /// Writes a step down.
    pub(crate) fn step(&mut self, step: Step) {
        let now = self.now;
        self.trace.add(now, step);
    }
}

/// Milliseconds since the epoch as a time.
pub(crate) fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}

/// A wait in virtual time.
#[derive(Debug)]
pub(crate) struct Pause<'a> {
    world: &'a World,
    at: i64,
    armed: bool,
}

impl Future for Pause<'_> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let mut inner = self.world.inner();
        if inner.now >= self.at {
            return Poll::Ready(());
        }
        if !self.armed {
            let at = self.at;
            inner.at(at, Due::Wake(context.waker().clone()));
            drop(inner);
            self.armed = true;
        }
        Poll::Pending
    }
}
