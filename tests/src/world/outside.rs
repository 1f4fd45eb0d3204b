//! The bus, the topic and the webhooks, and the secret that signs these.

use std::collections::BTreeMap;
use std::io;

use app::error::CallError;
use app::ports::{
    Bus, CloudEvent, Request, Secrets, SigningSecret, Topic, TopicMessage, WebhookAnswer, WebhookRequest,
    Webhooks,
};
use serde_json::Value;

use super::World;

fn broken(name: &str) -> CallError {
    CallError { message: format!("{name}: InternalException"), retryable: true, cause: None }
}

/// The secret that signs webhooks, unless something else is said.
pub const SECRET: &str = "whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5";

/// EventBridge and SNS take no more than this in one entry or message.
const MOST_BYTES: usize = 256 * 1024;

fn too_large(name: &str) -> CallError {
    CallError { message: format!("{name}: more than {MOST_BYTES} bytes"), retryable: false, cause: None }
}

/// What EventBridge says of facts that are too large for it.
///
/// # Errors
/// One of them is.
pub fn fits_bus(events: &[CloudEvent]) -> Result<(), CallError> {
    let large = events.iter().any(|event| event.kind.len() + length(&event.json) > MOST_BYTES);
    if large { Err(too_large("events PutEvents")) } else { Ok(()) }
}

/// How many bytes of text it is, which nobody needs to see.
fn length(json: &Value) -> usize {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 += bytes.len();
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let mut count = Count(0);
    // It never refuses.
    drop(serde_json::to_writer(&mut count, json));
    count.0
}

/// What SNS says of a message that is too large for it.
///
/// # Errors
/// It is.
pub fn fits_topic(message: &TopicMessage) -> Result<(), CallError> {
    // JSON makes six bytes of one at most.
    let rough: usize = message.bodies.iter().map(|(name, body)| 6 * (name.len() + body.len() + 1)).sum();
    let large = rough > MOST_BYTES
        && serde_json::to_string(&message.bodies).is_ok_and(|bodies| bodies.len() > MOST_BYTES);
    if large { Err(too_large("sns Publish")) } else { Ok(()) }
}

impl Bus for World {
    async fn request(&self, requests: &[Request]) -> Result<(), CallError> {
        let mut state = self.state();
        if !state.call("request") {
            return Err(broken("events PutEvents"));
        }
        state.bus.extend_from_slice(requests);
        Ok(())
    }

    async fn publish(&self, events: &[CloudEvent]) -> Result<(), CallError> {
        let mut state = self.state();
        if !state.call("publish") {
            return Err(broken("events PutEvents"));
        }
        fits_bus(events)?;
        state.published.extend_from_slice(events);
        Ok(())
    }
}

impl Topic for World {
    async fn publish(&self, message: &TopicMessage) -> Result<(), CallError> {
        let mut state = self.state();
        if !state.call("topic") {
            return Err(broken("sns Publish"));
        }
        fits_topic(message)?;
        state.topic.push(message.clone());
        Ok(())
    }
}

/// Webhook receivers that were told how to answer.
#[derive(Debug, Default)]
pub struct Receivers(BTreeMap<String, Receiver>);

#[derive(Debug)]
struct Receiver {
    answer: Option<WebhookAnswer>,
    got: Vec<WebhookRequest>,
}

impl Receivers {
    /// The URL of a new one, which answers every request with this, or not at all.
    pub fn open(&mut self, answer: Option<WebhookAnswer>) -> String {
        let url = format!("https://receiver-{}.example.com/hook?a=b", self.0.len());
        self.0.insert(url.clone(), Receiver { answer, got: Vec::new() });
        url
    }

    /// What the receiver of a request, which it gets, answers; `None` if it is not one of these.
    pub fn answer(&mut self, request: &WebhookRequest) -> Option<Option<WebhookAnswer>> {
        let receiver = self.0.get_mut(&request.url)?;
        receiver.got.push(request.clone());
        Some(receiver.answer.clone())
    }

    /// What the receiver at this URL got.
    pub fn got(&self, url: &str) -> Vec<WebhookRequest> {
        self.0.get(url).map(|receiver| receiver.got.clone()).unwrap_or_default()
    }
}

impl Webhooks for World {
    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, CallError> {
        let mut state = self.state();
        if !state.call("webhook") {
            return Err(broken("webhook"));
        }
        state.hooks.push(request.clone());
        let accepted = Some(WebhookAnswer { status: 204, retry_after: None });
        let answer = state.receivers.answer(request).unwrap_or(accepted);
        answer.ok_or_else(|| {
            state.now += i64::try_from(request.timeout_millis).unwrap_or(i64::MAX);
            CallError { message: "webhook: no answer in time".to_owned(), retryable: true, cause: None }
        })
    }
}

impl Secrets for World {
    async fn signing_secret(&self) -> Result<SigningSecret, CallError> {
        let message = "SecretsManager GetSecretValue: ResourceNotFoundException".to_owned();
        self.state().secret.clone().ok_or(CallError { message, retryable: false, cause: None })
    }
}
