//! Telling: every fact on every channel it is for, once, whatever fails in between.
//!
//! The channels are the event bus, the people's topic, and each webhook endpoint. For each notice and channel there is
//! one entry in the delivery ledger, and every delivery goes the same way: claim the entry, send, record what came of
//! it. A claim is a lease, so a crash at any point leaves an entry that becomes due again; an entry that is settled or
//! in somebody's hands is not sent, so a redelivered batch tells nobody twice. What remains is a crash between sending
//! and recording: then the channel is told twice, under the same id.
//!
//! There are two ways in. [`Notifier::tell`] takes facts as they come from the stream and tries each channel at once;
//! [`Notifier::sweep`] comes by every minute for what is due again and for facts nobody was told of. A record is *told*
//! once every channel of it has been sent, or has an entry the sweep will find; only a ledger that cannot be used makes
//! it fail. A channel that fails never does: it has its entry, and the stream goes on for the others.
//!
//! Design note: that holds for the bus too. Giving the record back to the stream would make one unreachable bus hold up
//! the people's notices for up to an hour, and would try again at the stream's pace and not at ours.

mod breaker;
mod bus;
mod judge;
mod lane;
mod ledger;
mod people;
mod report;
mod webhook;

use std::collections::BTreeMap;

use domain::Timestamp;
use futures_util::future::{join, join_all, join3};
use jiff::SignedDuration;

use crate::config::WebhookUrl;
use crate::error::StoreError;
use crate::notice::{Notice, notices};
use crate::ports::{Bus, Clock, Deliveries, Delivery, Ids, Secrets, Topic, Webhooks, Workers};
use crate::record::EventRecord;

use breaker::Breaker;
use lane::{AT_ONCE, Lane};

pub use report::{Report, Told};
pub use webhook::Endpoint;

/// How long a claim lasts: longer than an invocation, so that two tries of one delivery never overlap.
const LEASE: SignedDuration = SignedDuration::from_secs(60);
/// How long a sweep works. The function may run longer; what is not done by then is done by the next sweep.
const SWEEP_BUDGET: SignedDuration = SignedDuration::from_secs(24);
/// A sweep looks at facts nobody was told of when they are this old: until then the stream may still bring them.
const UNTOLD_AFTER: SignedDuration = SignedDuration::from_mins(3);
/// How many due deliveries one sweep takes up.
const DUE_LIMIT: u32 = 1000;
/// How many untold records one sweep takes up.
const UNTOLD_LIMIT: u32 = 100;

/// What telling needs from the outside, in one bundle.
pub trait Ports: Sync {
    /// The facts.
    type Workers: Workers;
    /// The delivery ledger.
    type Deliveries: Deliveries;
    /// The people's topic.
    type Topic: Topic;
    /// The event bus.
    type Bus: Bus;
    /// The webhook sender.
    type Webhooks: Webhooks;
    /// The signing secret.
    type Secrets: Secrets;
    /// The time.
    type Clock: Clock;
    /// Chance, for jitter.
    type Ids: Ids;

    /// The facts.
    fn workers(&self) -> &Self::Workers;
    /// The delivery ledger.
    fn deliveries(&self) -> &Self::Deliveries;
    /// The people's topic.
    fn topic(&self) -> &Self::Topic;
    /// The event bus.
    fn bus(&self) -> &Self::Bus;
    /// The webhook sender.
    fn webhooks(&self) -> &Self::Webhooks;
    /// The signing secret.
    fn secrets(&self) -> &Self::Secrets;
    /// The time.
    fn clock(&self) -> &Self::Clock;
    /// Chance, for jitter.
    fn ids(&self) -> &Self::Ids;
}

/// [`Ports`] made of single adapters.
#[derive(Debug, Clone, Copy)]
pub struct Adapters<'a, W, D, T, B, H, S, K, I> {
    /// The facts.
    pub workers: &'a W,
    /// The delivery ledger.
    pub deliveries: &'a D,
    /// The people's topic.
    pub topic: &'a T,
    /// The event bus.
    pub bus: &'a B,
    /// The webhook sender.
    pub webhooks: &'a H,
    /// The signing secret.
    pub secrets: &'a S,
    /// The time.
    pub clock: &'a K,
    /// Chance, for jitter.
    pub ids: &'a I,
}

impl<W, D, T, B, H, S, K, I> Ports for Adapters<'_, W, D, T, B, H, S, K, I>
where
    W: Workers,
    D: Deliveries,
    T: Topic,
    B: Bus,
    H: Webhooks,
    S: Secrets,
    K: Clock,
    I: Ids,
{
    type Workers = W;
    type Deliveries = D;
    type Topic = T;
    type Bus = B;
    type Webhooks = H;
    type Secrets = S;
    type Clock = K;
    type Ids = I;

    fn workers(&self) -> &W {
        self.workers
    }
    fn deliveries(&self) -> &D {
        self.deliveries
    }
    fn topic(&self) -> &T {
        self.topic
    }
    fn bus(&self) -> &B {
        self.bus
    }
    fn webhooks(&self) -> &H {
        self.webhooks
    }
    fn secrets(&self) -> &S {
        self.secrets
    }
    fn clock(&self) -> &K {
        self.clock
    }
    fn ids(&self) -> &I {
        self.ids
    }
}

/// Tells facts. Made once for each environment: it remembers which channels failed a moment ago.
#[derive(Debug)]
pub struct Notifier<P> {
    ports: P,
    endpoints: Vec<Endpoint>,
    breaker: Breaker,
}

impl<P: Ports> Notifier<P> {
    /// A notifier for these webhooks. Each URL counts once.
    pub fn new(ports: P, webhooks: &[WebhookUrl]) -> Self {
        let unique: BTreeMap<String, Endpoint> = webhooks
            .iter()
            .map(Endpoint::new)
            .map(|endpoint| (endpoint.channel().to_owned(), endpoint))
            .collect();
        Self { ports, endpoints: unique.into_values().collect(), breaker: Breaker::default() }
    }

    /// Tells these records, each worker's in the order of its versions.
    pub async fn tell(&self, records: &[EventRecord]) -> Told {
        let started = self.now();
        let notices: Vec<(usize, Notice)> = records
            .iter()
            .enumerate()
            .flat_map(|(index, record)| notices(record).into_iter().map(move |notice| (index, notice)))
            .collect();
        let hooks = self.endpoints.iter().map(|endpoint| self.call(endpoint, &notices, started));
        let (bus, people, hooks) =
            join3(self.publish(records, &notices), self.tell_people(&notices), join_all(hooks)).await;

        let mut lane = bus;
        lane.absorb(people);
        hooks.into_iter().for_each(|hook| lane.absorb(hook));
        lane.report.records = records.len();
        lane.report.notices = notices.len();
        self.mark(records, &mut lane).await;
        lane.into()
    }

    /// Tries due deliveries again, and tells what was never told.
    ///
    /// # Errors
    /// A table that cannot be read. One that fails later is in [`Told::error`].
    pub async fn sweep(&self) -> Result<Told, StoreError> {
        let until = self.now() + SWEEP_BUDGET;
        let mut by_channel: BTreeMap<String, Vec<Delivery>> = BTreeMap::new();
        for delivery in self.ports.deliveries().due(self.now(), DUE_LIMIT).await? {
            by_channel.entry(delivery.key.channel.clone()).or_default().push(delivery);
        }
        let due = by_channel.values().map(Vec::len).sum();
        let people = by_channel.remove(people::CHANNEL).unwrap_or_default();
        let bus = by_channel.remove(bus::CHANNEL).unwrap_or_default();
        let hooks = by_channel.iter().map(|(channel, due)| self.call_again(channel, due, until));
        let ((bus, people), hooks) =
            join(join(self.publish_again(&bus, until), self.tell_people_again(&people)), join_all(hooks))
                .await;

        let mut lane = bus;
        lane.absorb(people);
        hooks.into_iter().for_each(|hook| lane.absorb(hook));
        lane.report.due = due;
        let mut told = Told::from(lane);
        if self.now() < until {
            let before = self.now() - UNTOLD_AFTER;
            let records = self.ports.workers().untold(before, UNTOLD_LIMIT).await?;
            told.absorb(self.tell(&records).await);
        }
        Ok(told)
    }

    /// Takes the records that no channel has still to take up out of the outbox.
    async fn mark(&self, records: &[EventRecord], lane: &mut Lane) {
        let told: Vec<usize> = (0..records.len()).filter(|index| !lane.unsettled.contains(index)).collect();
        for some in told.chunks(AT_ONCE) {
            let marks = some.iter().map(async |index| {
                let record = &records[*index];
                (*index, self.ports.workers().mark_told(record.worker, record.version).await)
            });
            for (index, marked) in join_all(marks).await {
                if let Err(error) = marked {
                    lane.fail([index], error);
                }
            }
        }
    }

    fn now(&self) -> Timestamp {
        self.ports.clock().now()
    }
}
