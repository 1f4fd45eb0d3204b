//! Whoever is told: the bus, the topic's subscribers, two webhook receivers. They check signatures, and remember every
//! notice by its id.

use std::collections::{BTreeMap, VecDeque};

use app::config::WebhookUrl;
use app::ports::{TopicMessage, WebhookRequest};
use serde_json::Value;
use standardwebhooks::Webhook;

use crate::chance::Chance;
use crate::faults::Fault;
use crate::trace::Step;
use crate::world::{Inner, SECOND};

/// Signs the webhooks; it must never be seen outside of the signer.
pub(crate) const SECRET: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5";
/// What the secret and the tokens in the receivers' URLs are recognized by.
pub(crate) const CANARIES: [&str; 2] = ["Y2FuYXJ5", "token-of-a-receiver"];
/// One receiver that always works and one that fails in every way.
const RECEIVERS: [&str; 2] =
    ["https://steady.example.com/token-of-a-receiver", "https://moody.example.com/token-of-a-receiver"];
/// A delivery whose outcome got lost comes again when its claim is over; what got lost just before the first one was
/// told may be the reason too.
const LEASE: i64 = 90 * SECOND;
/// SNS suspends email subscriptions from this many messages a second on (SNS developer guide, "Email notifications").
const SUSPENDED_FROM: usize = 11;

/// All listeners.
#[derive(Debug)]
pub(crate) struct Listeners {
    /// When each notice was told first, by channel.
    pub(crate) told: BTreeMap<(&'static str, String), i64>,
    /// When the outcome of something that was sent may have got lost last.
    pub(crate) blurred_at: i64,
    /// When the last messages were published on the topic.
    published: VecDeque<i64>,
}

impl Listeners {
    pub(crate) fn new(_: &mut Chance) -> Self {
        Self { told: BTreeMap::new(), blurred_at: 0, published: VecDeque::new() }
    }

    /// The receivers' URLs.
    pub(crate) fn urls() -> Vec<WebhookUrl> {
        RECEIVERS.iter().map(|url| WebhookUrl::parse(url, false).expect("a URL")).collect()
    }
}

impl Inner {
    /// A channel got a CloudEvent, or several in one.
    pub(crate) fn told(&mut self, channel: &'static str, event: &Value) {
        let text = event.to_string();
        if CANARIES.iter().any(|canary| text.contains(canary)) {
            self.violated(format!("a secret is in what {channel} is told: {text}"));
        }
        let several = event.pointer("/data/events").and_then(Value::as_array);
        for one in several.map_or(std::slice::from_ref(event), Vec::as_slice) {
            let id = one["id"].as_str().unwrap_or_default().to_owned();
            if id.is_empty() {
                self.violated(format!("{channel} is told something without an id"));
            }
            self.step(Step::Told(channel, id.clone()));
            let now = self.now;
            let first = *self.listeners.told.entry((channel, id.clone())).or_insert(now);
            let lost =
                self.listeners.blurred_at >= first - LEASE || self.faults.set().contains(&Fault::ClockSkew);
            if first < now && !lost {
                self.violated(format!("{channel} is told {id} again, and nothing was lost"));
            }
        }
    }

    /// A message reached the topic.
    pub(crate) fn published(&mut self, message: &TopicMessage) {
        let now = self.now;
        self.listeners.published.push_back(now);
        while self.listeners.published.front().is_some_and(|at| now - at >= SECOND) {
            self.listeners.published.pop_front();
        }
        if self.listeners.published.len() >= SUSPENDED_FROM {
            self.violated(format!(
                "{} messages within a second suspend emails",
                self.listeners.published.len()
            ));
        }
        for (protocol, body) in &message.bodies {
            if CANARIES.iter().any(|canary| body.contains(canary)) {
                self.violated(format!("a secret is in the message for {protocol}"));
            }
        }
        match message.bodies.get("http").and_then(|body| serde_json::from_str(body).ok()) {
            Some(event) => self.told("topic", &event),
            None => self.violated("a message has no CloudEvent for machines".to_owned()),
        }
    }

    /// A request reached a receiver, which takes it if its signature is right.
    pub(crate) fn received(&mut self, request: &WebhookRequest) {
        let header = |name: &str| {
            let found = request.headers.iter().find(|(header, _)| header.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value.clone()).unwrap_or_default()
        };
        let (id, signature) = (header("webhook-id"), header("webhook-signature"));
        let at = header("webhook-timestamp").parse().unwrap_or(0);
        let expected =
            Webhook::new(SECRET).and_then(|webhook| webhook.sign(&id, at, request.body.as_bytes()));
        if expected.ok() != Some(signature) {
            self.violated(format!("the signature of {id} does not fit"));
        }
        if (at * 1000 - self.now).abs() > 300 * SECOND {
            self.violated(format!("the timestamp of {id} is more than five minutes off"));
        }
        let channel = if request.url.contains("steady") { "steady" } else { "moody" };
        match serde_json::from_str::<Value>(&request.body) {
            Ok(event) => self.told(channel, &event),
            Err(error) => self.violated(format!("the body of {id} is no JSON: {error}")),
        }
    }
}

/// The name a receiver's channel has in the ledger.
pub(crate) fn channel(receiver: &str) -> String {
    let urls = Listeners::urls();
    let url = urls.iter().find(|url| url.expose().contains(receiver)).expect("a receiver of this name");
    app::deliver::Endpoint::new(url).channel().to_owned()
}
