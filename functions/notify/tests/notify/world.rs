//! A world in memory: a ledger, an outbox, a topic, a bus and webhook receivers that can be made to fail, hang or
//! crash. Time is tokio's own, paused, so that what waits at the same time takes no longer than the longest.

mod laws;
pub(crate) mod log;
mod ports;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::future::pending;
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

use app::config::WebhookUrl;
use app::deliver::{Adapters, Notifier};
use app::error::{CallError, StoreError};
use app::ports::{CloudEvent, DeliveryKey, Outcome, TopicMessage, WebhookRequest};
use app::record::EventRecord;
use domain::{Drift, DriftPolicy, Event, Observed, Source, Status, Timestamp, WorkerId};
use tokio::time::Instant;

pub(crate) const SECRET: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5";
pub(crate) const ONE: &str = "https://one.example.com/canary-token";
pub(crate) const TWO: &str = "https://two.example.com/canary-token";

/// How a receiver behaves, once.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Receiver {
    Answers(u16),
    AsksToWait(u16, u32),
    Takes(u64),
    Hangs,
    Resets,
    /// Its name stands for an address that is not public by now: it is not dialled.
    MovedInside,
}

/// Where the process dies: at this port call, before or after it took effect.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Crash {
    pub(crate) call: u32,
    pub(crate) after: bool,
}

#[derive(Debug)]
struct Entry {
    payload: String,
    attempts: u32,
    first_at: Timestamp,
    due_at: Timestamp,
    ended: Option<Outcome>,
    last: Option<Outcome>,
}

impl Entry {
    fn new(payload: &str, first_at: Timestamp, due_at: Timestamp) -> Self {
        Self { payload: payload.to_owned(), attempts: 0, first_at, due_at, ended: None, last: None }
    }
}

#[derive(Debug, Default)]
pub(crate) struct State {
    ledger: BTreeMap<DeliveryKey, Entry>,
    /// The seconds of permits, by name: since when (milliseconds), and how many were taken.
    pub(crate) permits: BTreeMap<String, Vec<(i64, u32)>>,
    receivers: BTreeMap<String, VecDeque<Receiver>>,
    calls: u32,
    dead: bool,
    pub(crate) crash: Option<Crash>,
    pub(crate) marked: BTreeSet<(WorkerId, u64)>,
    pub(crate) outbox: Vec<EventRecord>,
    /// What was published: when, and what.
    pub(crate) topic: Vec<(Timestamp, TopicMessage)>,
    pub(crate) bus: Vec<CloudEvent>,
    pub(crate) bus_calls: Vec<usize>,
    /// Every try of every webhook: when, what, and whether it was taken.
    pub(crate) hooks: Vec<(Timestamp, WebhookRequest, bool)>,
    /// These fail as long as they are set.
    pub(crate) topic_down: bool,
    /// How long the topic takes for a message.
    pub(crate) topic_takes: Duration,
    pub(crate) bus_down: bool,
    pub(crate) secret_missing: bool,
    pub(crate) outcomes_lost: bool,
    /// Claims of this notice fail.
    pub(crate) unclaimable: Option<String>,
}

pub(crate) type World<'a> = Adapters<'a, Fake, Fake, Fake, Fake, Fake, Fake, Fake, Fake>;

/// Every port at once. Shows nothing, so that a test can look for secrets in what holds it.
pub(crate) struct Fake {
    base: Timestamp,
    started: Instant,
    state: Mutex<State>,
}

impl fmt::Debug for Fake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Fake")
    }
}

impl Fake {
    pub(crate) fn new() -> Self {
        Self::starting_at("2026-03-01T10:00:00Z".parse().expect("a time"))
    }

    pub(crate) fn starting_at(base: Timestamp) -> Self {
        log::listen();
        Self { base, started: Instant::now(), state: Mutex::default() }
    }

    /// A fresh environment with these webhooks.
    pub(crate) fn notifier(&self, urls: &[&str]) -> Notifier<World<'_>> {
        let urls: Vec<WebhookUrl> =
            urls.iter().map(|url| WebhookUrl::parse(url, false).expect("a URL")).collect();
        let ports = Adapters {
            workers: self,
            deliveries: self,
            topic: self,
            bus: self,
            webhooks: self,
            secrets: self,
            clock: self,
            ids: self,
        };
        Notifier::new(ports, &urls)
    }

    pub(crate) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no test panics with it")
    }

    pub(crate) fn receiver(&self, url: &str, script: &[Receiver]) {
        self.state().receivers.insert(url.to_owned(), script.iter().copied().collect());
    }

    /// The webhook ids that an endpoint took, in order.
    pub(crate) fn taken(&self, url: &str) -> Vec<String> {
        let state = self.state();
        let taken = state.hooks.iter().filter(|(_, request, taken)| *taken && request.url == url);
        taken.map(|(_, request, _)| header(request, "webhook-id")).collect()
    }

    /// How often an endpoint was tried.
    pub(crate) fn tries(&self, url: &str) -> usize {
        self.state().hooks.iter().filter(|(_, request, _)| request.url == url).count()
    }

    /// How the deliveries of a channel ended, `None` for those that have not.
    pub(crate) fn ended(&self, channel: &str) -> Vec<Option<Outcome>> {
        let state = self.state();
        let ours = state.ledger.iter().filter(|(key, _)| key.channel.starts_with(channel));
        ours.map(|(_, entry)| entry.ended.clone()).collect()
    }

    /// Why the last try of each delivery of a channel failed, for those that will be tried again.
    pub(crate) fn reasons(&self, channel: &str) -> Vec<String> {
        let state = self.state();
        let ours = state.ledger.iter().filter(|(key, _)| key.channel.starts_with(channel));
        let reasons = ours.filter_map(|(_, entry)| match &entry.last {
            Some(Outcome::Retry { reason, .. }) => Some(reason.clone()),
            Some(Outcome::Delivered | Outcome::Parked { .. }) | None => None,
        });
        reasons.collect()
    }

    /// The time of the next delivery that is due.
    pub(crate) fn next_due(&self) -> Option<Timestamp> {
        let state = self.state();
        state.ledger.values().filter(|entry| entry.ended.is_none()).map(|entry| entry.due_at).min()
    }

    pub(crate) async fn pass(&self, seconds: u64) {
        tokio::time::advance(Duration::from_secs(seconds)).await;
    }

    /// After a crash: the process is new, the world is as it was.
    pub(crate) fn revive(&self) {
        let mut state = self.state();
        (state.dead, state.crash) = (false, None);
    }

    /// One port call: nothing comes back from it if the process dies here.
    async fn call<T>(&self, effect: impl FnOnce(&mut State) -> T) -> T {
        let effect = {
            let mut state = self.state();
            state.calls += 1;
            let crash = state.crash.filter(|crash| crash.call == state.calls);
            state.dead |= crash.is_some();
            (!state.dead || crash.is_some_and(|crash| crash.after)).then(|| effect(&mut state))
        };
        match effect {
            Some(result) if !self.state().dead => result,
            _ => pending().await,
        }
    }
}

pub(crate) fn header(request: &WebhookRequest, name: &str) -> String {
    request.headers.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone()).expect("a header")
}

fn down(what: &str) -> CallError {
    CallError { message: format!("{what}: unreachable"), retryable: true, cause: None }
}

fn broken() -> StoreError {
    StoreError::Unavailable("the table is away".into())
}

/// The record of a change of status, the `number`th of its worker, at the start of the world.
pub(crate) fn record(number: u64, events: Vec<Event>) -> EventRecord {
    EventRecord {
        worker: WorkerId::new(uuid::Uuid::from_u128(0x0192_f0c1_2d3e_7a4b_8c5d_6e7f_8091_0a1b)),
        version: number,
        at: "2026-03-01T10:00:00Z".parse().expect("a time"),
        name: "web-1".parse().expect("a name"),
        region: "eu-central-1".parse().expect("a region"),
        instance: Some("i-0123456789abcdef0".parse().expect("an instance")),
        request: None,
        events,
    }
}

pub(crate) fn started(number: u64) -> EventRecord {
    let reason = "EC2 says so".to_owned();
    record(number, vec![Event::StatusChanged { from: Status::Starting, to: Status::Running, reason }])
}

pub(crate) fn drifted(number: u64) -> EventRecord {
    let drift = Drift {
        desired: domain::Desired::Running,
        observed: Observed::Stopped,
        since: "2026-03-01T09:59:59Z".parse().expect("a time"),
        detected_by: Source::Event,
        reason: None,
    };
    record(number, vec![Event::DriftDetected { drift, policy: DriftPolicy::Alert, held: false }])
}

pub(crate) fn ended_unasked(number: u64) -> EventRecord {
    let at = "2026-03-01T09:59:59Z".parse().expect("a time");
    record(number, vec![Event::Terminated { at, expected: false, reason: "gone".to_owned() }])
}

/// The id of the one notice of a record.
pub(crate) fn id(number: u64) -> String {
    format!("{}_{number}_0", record(number, Vec::new()).worker)
}
