//! Whoever is told: the bus, the topic's subscribers, two webhook receivers. They check signatures, and remember every
//! notice by its id. A channel is told a notice once more only if the outcome of the time before got lost.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::LazyLock;

use aho_corasick::packed::Searcher;
use app::config::WebhookUrl;
use app::deliver::Endpoint;
use app::ports::{DeliveryKey, Outcome, TopicMessage, WebhookRequest};
use serde_json::Value;
use standardwebhooks::Webhook;
use tests::world::SECRET;

use crate::faults::Fault;
use crate::trace::Step;
use crate::wiring::Function;
use crate::world::{Inner, InvocationId, SECOND};

/// How the user data begins that people send; nobody but the instance may see it.
pub(crate) const USER_DATA: &str = "#!/bin/sh\n: user-data-of-a-worker";
/// What the secret, as it is written and as it is, the tokens in the receivers' URLs, and user data, as it is and as EC2 gets
/// it, are recognized by.
const CANARIES: [&str; 5] = [
    "Y2FuYXJ5",
    "canary-canary",
    "token-of-a-receiver",
    "user-data-of-a-worker",
    "dXNlci1kYXRhLW9mLWEtd29ya2Vy",
];
/// One receiver that always works and one that fails in every way.
const RECEIVERS: [(&str, &str); 2] = [
    ("steady", "https://steady.example.com/token-of-a-receiver"),
    ("moody", "https://moody.example.com/token-of-a-receiver"),
];
/// SNS suspends email subscriptions from this many messages a second on (SNS developer guide, "Email notifications").
const SUSPENDED_FROM: usize = 11;
/// A mailbox gets at most five messages a second on average over ten seconds: fifty, and those of one second more, as the ten
/// need not begin with a second.
const WINDOW: i64 = 10 * SECOND;
const MOST_IN_WINDOW: usize = 55;

/// How often a delivery is tried before it is given up. Said here once more, so that the law does not move with what it judges.
const FEWEST_TRIES: u32 = 12;
/// What strikes `notify` and not its way from the stream to the bus.
const BESIDE_THE_BUS: [Fault; 14] = [
    Fault::ColdStart,
    Fault::ClockSkew,
    Fault::TickSkipped,
    Fault::TickDuplicated,
    Fault::TickDelayed,
    Fault::TopicRefuses,
    Fault::TopicLosesReply,
    Fault::HookFails,
    Fault::HookHangs,
    Fault::HookUnreachable,
    Fault::HookLimits,
    Fault::HookDeclines,
    Fault::HookLosesReply,
    Fault::SecretMissing,
];

/// The last time a channel was told a notice.
#[derive(Debug)]
struct Telling {
    by: InvocationId,
    /// Nobody but the listener knows that it was told.
    lost: bool,
    /// The ledger knows.
    recorded: bool,
}

/// All listeners.
#[derive(Debug)]
pub(crate) struct Listeners {
    told: BTreeMap<(&'static str, String), Telling>,
    /// The version of each worker that the bus was told of last.
    versions: BTreeMap<String, u64>,
    /// How many notices the digests of an invocation left out.
    omitted: BTreeMap<InvocationId, u64>,
    /// Notices that people were told of by no more than a digest's count of those it left out.
    pub(crate) omissions: u64,
    /// Invocations that died, or are about to.
    doomed: BTreeSet<InvocationId>,
    /// When the last messages were published on the topic.
    published: VecDeque<i64>,
    /// Notices that a receiver answered by saying that it is gone for good.
    gone: BTreeSet<(&'static str, String)>,
    /// The receivers' names by their channels in the ledger.
    receivers: BTreeMap<String, &'static str>,
}

impl Listeners {
    pub(crate) fn new() -> Self {
        let receivers = RECEIVERS.iter().zip(Self::urls());
        Self {
            told: BTreeMap::new(),
            versions: BTreeMap::new(),
            omitted: BTreeMap::new(),
            omissions: 0,
            doomed: BTreeSet::new(),
            published: VecDeque::new(),
            gone: BTreeSet::new(),
            receivers: receivers
                .map(|((name, _), url)| (Endpoint::new(&url).channel().to_owned(), *name))
                .collect(),
        }
    }

    /// The receivers' URLs.
    pub(crate) fn urls() -> Vec<WebhookUrl> {
        RECEIVERS.iter().map(|(_, url)| WebhookUrl::parse(url, false).expect("a URL")).collect()
    }

    /// The channels that a notice for everyone goes to besides the bus, as the ledger calls them.
    pub(crate) fn channels_of_everyone(&self) -> impl Iterator<Item = &str> {
        std::iter::once("topic").chain(self.receivers.keys().map(String::as_str))
    }

    /// How many notices were told, each channel counted.
    pub(crate) fn tellings(&self) -> usize {
        self.told.len()
    }

    /// What this invocation told last is known to nobody: it dies.
    pub(crate) fn doom(&mut self, invocation: InvocationId) {
        self.doomed.insert(invocation);
    }

    /// What a channel calls its listener.
    fn listener(&self, channel: &str) -> &'static str {
        match channel {
            "bus" => "bus",
            "topic" => "topic",
            hook => self.receivers.get(hook).copied().unwrap_or("a receiver nobody knows"),
        }
    }
}

/// Whether something that others get to see holds a secret.
pub(crate) fn is_secret(text: &str) -> bool {
    static SEARCH: LazyLock<Searcher> = LazyLock::new(|| Searcher::new(CANARIES).expect("few and not empty"));
    SEARCH.find(text).is_some()
}

/// Whether one of the texts in JSON holds a secret.
pub(crate) fn holds_secret(json: &Value) -> bool {
    match json {
        Value::String(text) => is_secret(text),
        Value::Array(several) => several.iter().any(holds_secret),
        Value::Object(fields) => fields.iter().any(|(name, value)| is_secret(name) || holds_secret(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The ids of the notices in a CloudEvent: its own, or those of the several that a digest carries.
pub(crate) fn ids(event: &Value) -> Vec<String> {
    let several = event.pointer("/data/events").and_then(Value::as_array);
    let events = several.map_or(std::slice::from_ref(event), Vec::as_slice);
    events.iter().map(|event| event["id"].as_str().unwrap_or_default().to_owned()).collect()
}

impl Inner {
    /// The bus got a CloudEvent.
    pub(crate) fn put_on_bus(&mut self, event: &Value, by: InvocationId) {
        if holds_secret(event) {
            self.violated(format!("a secret is in what the bus is told: {event}"));
        }
        self.told("bus", event, by);
    }

    /// A channel got a CloudEvent, or several in one.
    fn told(&mut self, channel: &'static str, event: &Value, by: InvocationId) {
        if let Some(omitted) = event.pointer("/data/omitted").and_then(Value::as_u64) {
            *self.listeners.omitted.entry(by).or_default() += omitted;
        }
        if channel == "bus" {
            self.check_bus(event);
        }
        for id in ids(event) {
            if id.is_empty() {
                self.violated(format!("{channel} is told something without an id"));
            }
            self.step(Step::Told(channel, id.clone()));
            let telling = Telling { by, lost: false, recorded: false };
            let before = self.listeners.told.insert((channel, id.clone()), telling);
            let again = before.is_some_and(|before| {
                before.recorded || !(before.lost || self.listeners.doomed.contains(&before.by))
            });
            if again {
                self.violated(format!("{channel} is told {id} again, and nothing was lost"));
            }
        }
    }

    /// As long as nothing that `notify` needs to tell the bus fails, it is told of a worker's facts soon, and in the order in which
    /// they became so. People and receivers need not be: what had to wait for a digest, or for the time to send it, comes later.
    fn check_bus(&mut self, event: &Value) {
        for (worker, version) in ids(event).iter().filter_map(|id| fact(id)) {
            self.check_telling(&format!("{worker}_{version}"));
            let before = self.listeners.versions.insert(worker.clone(), version);
            if before.is_some_and(|before| before > version)
                && !self.faults.have_struck(Function::Notify, &BESIDE_THE_BUS)
            {
                self.violated(format!("the bus is told of {worker} at {version} after {before:?}"));
            }
        }
    }

    /// Whoever told a channel this does not know that it did.
    pub(crate) fn lose(&mut self, channel: &'static str, ids: impl IntoIterator<Item = String>) {
        for id in ids {
            if let Some(telling) = self.listeners.told.get_mut(&(channel, id)) {
                telling.lost = true;
            }
        }
    }

    /// The ids of the notices that an entry of the ledger is about.
    fn ids_of(&self, key: &DeliveryKey) -> Vec<String> {
        if key.channel == "bus" {
            let notices = self.books.notices.get(&key.notice);
            notices.into_iter().flat_map(|notices| &notices.all).map(|(id, _)| id.clone()).collect()
        } else {
            vec![key.notice.clone()]
        }
    }

    /// The outcome of a delivery did not get into the ledger.
    pub(crate) fn unrecorded(&mut self, key: &DeliveryKey) {
        let channel = self.listeners.listener(&key.channel);
        let ids = self.ids_of(key);
        self.lose(channel, ids);
    }

    /// The outcome of a delivery got into the ledger, where it has been tried so often. What it calls delivered was told, but for
    /// what a digest had no room for and counted; what it gives up was tried often enough, or is for somebody who is gone.
    pub(crate) fn recorded(&mut self, key: &DeliveryKey, outcome: &Outcome, tries: u32, by: InvocationId) {
        let channel = self.listeners.listener(&key.channel);
        let gone = || self.listeners.gone.contains(&(channel, key.notice.clone()));
        match outcome {
            Outcome::Delivered => self.check_delivered(key, by),
            Outcome::Parked { .. } if tries >= FEWEST_TRIES || gone() => {}
            Outcome::Parked { reason } => {
                let notice = &key.notice;
                self.violated(format!("{channel} is not told {notice} after {tries} tries: {reason}"));
            }
            Outcome::Retry { .. } => {}
        }
    }

    fn check_delivered(&mut self, key: &DeliveryKey, by: InvocationId) {
        let channel = self.listeners.listener(&key.channel);
        for id in self.ids_of(key) {
            if let Some(telling) = self.listeners.told.get_mut(&(channel, id.clone())) {
                telling.recorded = true;
                continue;
            }
            let omitted = self.listeners.omitted.get_mut(&by).filter(|left| channel == "topic" && **left > 0);
            match omitted {
                Some(left) => {
                    *left -= 1;
                    self.listeners.omissions += 1;
                    let counted = Telling { by, lost: false, recorded: true };
                    self.listeners.told.insert((channel, id), counted);
                }
                None => {
                    self.violated(format!("the ledger says that {channel} was told {id}, and it was not"))
                }
            }
        }
    }

    /// A message reached the topic.
    pub(crate) fn published(&mut self, message: &TopicMessage, by: InvocationId) {
        let now = self.now;
        let published = &mut self.listeners.published;
        published.push_back(now);
        while published.front().is_some_and(|at| now - at >= WINDOW) {
            published.pop_front();
        }
        let (in_window, in_second) =
            (published.len(), published.iter().filter(|at| now - **at < SECOND).count());
        if in_second >= SUSPENDED_FROM {
            self.violated(format!("{in_second} messages within a second suspend emails"));
        }
        if in_window > MOST_IN_WINDOW {
            self.violated(format!("{in_window} messages within ten seconds are too many for a mailbox"));
        }
        let attributes = message.attributes.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let bodies = message.bodies.iter().map(|(protocol, body)| (protocol.as_str(), body.as_str()));
        for (part, text) in attributes.chain(bodies).chain([("subject", message.subject.as_str())]) {
            if is_secret(text) {
                self.violated(format!("a secret is in the {part} of a message"));
            }
        }
        match event_of(message) {
            Some(event) if message.attributes.get("id").map(String::as_str) == event["id"].as_str() => {
                self.told("topic", &event, by);
            }
            Some(event) => self.violated(format!("the attributes do not name what is told: {event}")),
            None => self.violated("a message has no CloudEvent for machines".to_owned()),
        }
    }

    /// A request is under way to a receiver, whatever becomes of it: its signature is right, and it holds no secret.
    pub(crate) fn check_request(&mut self, request: &WebhookRequest) {
        let (id, signature) = (header(request, "webhook-id"), header(request, "webhook-signature"));
        let at = header(request, "webhook-timestamp").parse().unwrap_or(0);
        let expected =
            Webhook::new(SECRET).and_then(|webhook| webhook.sign(&id, at, request.body.as_bytes()));
        if expected.ok() != Some(signature) {
            self.violated(format!("the signature of {id} does not fit"));
        }
        if (at * 1000 - self.now).abs() > 300 * SECOND {
            self.violated(format!("the timestamp of {id} is more than five minutes off"));
        }
        let headers = request.headers.iter().map(|(_, value)| value);
        if headers.chain([&request.body]).any(|text| is_secret(text)) {
            self.violated(format!("a secret is in {id}"));
        }
    }

    /// A receiver takes a request.
    pub(crate) fn received(&mut self, request: &WebhookRequest, by: InvocationId) {
        let id = header(request, "webhook-id");
        match serde_json::from_str::<Value>(&request.body) {
            Ok(event) if event["id"] == id.as_str() => self.told(receiver(request), &event, by),
            Ok(_) => self.violated(format!("{id} is not the notice in its body")),
            Err(error) => self.violated(format!("the body of {id} is no JSON: {error}")),
        }
    }

    /// A receiver says that it is gone for good.
    pub(crate) fn is_gone(&mut self, request: &WebhookRequest) {
        let event = serde_json::from_str::<Value>(&request.body);
        let ids = event.iter().flat_map(ids);
        self.listeners.gone.extend(ids.map(|id| (receiver(request), id)));
    }

    /// A receiver took a request, and nobody knows.
    pub(crate) fn reply_lost(&mut self, request: &WebhookRequest) {
        let event = serde_json::from_str::<Value>(&request.body);
        self.lose(receiver(request), event.iter().flat_map(ids));
    }
}

/// The worker and the version that a notice is about.
fn fact(id: &str) -> Option<(String, u64)> {
    let mut parts = id.splitn(3, '_');
    Some((parts.next()?.to_owned(), parts.next()?.parse().ok()?))
}

/// The CloudEvent of a message.
pub(crate) fn event_of(message: &TopicMessage) -> Option<Value> {
    serde_json::from_str(message.bodies.get("http")?).ok()
}

/// A header of a request; empty if there is none.
fn header(request: &WebhookRequest, name: &str) -> String {
    let found = request.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
    found.map(|(_, value)| value.clone()).unwrap_or_default()
}

/// The receiver of a request.
pub(crate) fn receiver(request: &WebhookRequest) -> &'static str {
    RECEIVERS.iter().find(|(_, url)| *url == request.url).map_or("a receiver nobody knows", |(name, _)| name)
}
