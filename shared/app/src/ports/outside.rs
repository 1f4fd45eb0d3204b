//! Whom we tell: the bus, the topic, webhooks; and the secret that signs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::error::CallError;

/// A request from one of our functions to another, on the bus.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "request", rename_all = "snake_case")]
pub enum Request {
    /// Look at these workers. Detail type `CollectionRequested`.
    Collect(CollectionRequested),
    /// See whether these workers need a step on EC2. Detail type `ReconcileRequested`.
    Reconcile(ReconcileRequested),
    /// Carry out what is due of a command for many workers. Detail type `CommandRequested`.
    Command(CommandRequested),
}

impl Request {
    /// The detail type, by which the bus routes.
    pub const fn detail_type(&self) -> &'static str {
        match self {
            Self::Collect(_) => "CollectionRequested",
            Self::Reconcile(_) => "ReconcileRequested",
            Self::Command(_) => "CommandRequested",
        }
    }
}

/// One shard of a sweep: workers of one region and zone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CollectionRequested {
    /// The region.
    pub region: String,
    /// The workers, at most 100.
    pub workers: Vec<String>,
    /// The workers among them whose metrics are due as well.
    pub metrics: Vec<String>,
    /// Somebody asked for the look: also what only an agent publishes is read, however silent it was, and every instance is
    /// described.
    #[serde(default)]
    pub all_metrics: bool,
    /// The tick this belongs to, milliseconds since the epoch.
    pub tick: i64,
}

/// Workers whose action is overdue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ReconcileRequested {
    /// The workers, at most 100.
    pub workers: Vec<String>,
}

/// A command for many workers of which a part is due.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct CommandRequested {
    /// The command.
    pub command: String,
}

/// A fact as the world sees it: a CloudEvent, JSON.
#[derive(Debug, Clone, PartialEq)]
pub struct CloudEvent {
    /// Its type, `cml.worker.<fact>.v1`.
    pub kind: String,
    /// The whole event.
    pub json: serde_json::Value,
}

/// The EventBridge bus.
pub trait Bus: Sync {
    /// Puts requests; returns when all were accepted.
    fn request(&self, requests: &[Request]) -> impl Future<Output = Result<(), CallError>> + Send;

    /// Publishes facts; returns when all were accepted.
    fn publish(&self, events: &[CloudEvent]) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// A message to the people's topic: one rendering for each kind of subscriber, and attributes to filter by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicMessage {
    /// The subject of emails: printable ASCII, under 100 characters.
    pub subject: String,
    /// The renderings by protocol: `default`, `email`, `https`, ... (SNS `MessageStructure=json`).
    pub bodies: BTreeMap<String, String>,
    /// Message attributes (String).
    pub attributes: BTreeMap<String, String>,
}

/// The SNS topic.
pub trait Topic: Sync {
    /// Publishes one message.
    fn publish(&self, message: &TopicMessage) -> impl Future<Output = Result<(), CallError>> + Send;
}

/// One HTTP request to a webhook endpoint, signed already.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookRequest {
    /// Where to. May hold a secret in its path: never printed whole.
    pub url: String,
    /// The headers.
    pub headers: Vec<(String, String)>,
    /// The exact bytes that were signed.
    pub body: String,
    /// When to give up, milliseconds from now.
    pub timeout_millis: u64,
}

impl std::fmt::Debug for WebhookRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebhookRequest").field("bytes", &self.body.len()).finish_non_exhaustive()
    }
}

/// What a webhook endpoint answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WebhookAnswer {
    /// The HTTP status.
    pub status: u16,
    /// The `Retry-After` header in seconds, if it was one.
    pub retry_after: Option<u32>,
}

/// Sending webhooks.
pub trait Webhooks: Sync {
    /// Sends one request. Never follows a redirect, never reads more than a little of the answer, and refuses
    /// addresses that are not public unless it was made to allow them.
    fn send(&self, request: &WebhookRequest)
    -> impl Future<Output = Result<WebhookAnswer, CallError>> + Send;
}

/// The secret that signs webhooks. Its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct SigningSecret(String);

impl SigningSecret {
    /// A secret in the form of Standard Webhooks: `whsec_` and base64.
    pub const fn new(text: String) -> Self {
        Self(text)
    }

    /// The text. Not for logs, events or errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for SigningSecret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningSecret([REDACTED])")
    }
}

/// Where secrets are kept.
pub trait Secrets: Sync {
    /// The secret that signs webhooks.
    fn signing_secret(&self) -> impl Future<Output = Result<SigningSecret, CallError>> + Send;
}
