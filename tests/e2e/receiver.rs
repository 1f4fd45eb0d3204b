//! A webhook receiver: a real server on loopback that verifies every request with the `standardwebhooks` library, keeps
//! what it accepted, and can be told to misbehave for one worker.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use serde_json::Value;
use standardwebhooks::Webhook;
use tokio::net::TcpListener;

use crate::told::Log;

/// Longer than anybody waits for an answer.
const FOR_EVER: Duration = Duration::from_secs(600);

/// How a receiver answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// With 204.
    Accept,
    /// With 500.
    Fail,
    /// Not at all.
    Hang,
}

/// One request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Attempt {
    pub(crate) at: Instant,
    /// `webhook-id`.
    pub(crate) id: String,
    pub(crate) behaviour: Behaviour,
}

/// A receiver.
pub(crate) struct Receiver {
    /// What was accepted.
    pub(crate) log: Log,
    webhook: Webhook,
    attempts: Mutex<Vec<Attempt>>,
    faults: Mutex<Vec<String>>,
    script: Mutex<BTreeMap<(String, String), VecDeque<Behaviour>>>,
}

impl Receiver {
    /// Starts to listen at this URL.
    pub(crate) async fn start(url: &str, secret: &str) -> Result<Arc<Self>> {
        let url = reqwest::Url::parse(url)?;
        let receiver = Arc::new(Self {
            log: Log::default(),
            webhook: Webhook::new(secret)?,
            attempts: Mutex::default(),
            faults: Mutex::default(),
            script: Mutex::default(),
        });
        let address = format!("127.0.0.1:{}", url.port().context("a webhook on loopback has a port")?);
        let listener = TcpListener::bind(&address)
            .await
            .with_context(|| format!("the webhook receiver cannot listen at {address}"))?;
        let app = Router::new().route(url.path(), post(receive)).with_state(Arc::clone(&receiver));
        tokio::spawn(async move { axum::serve(listener, app).await });
        Ok(receiver)
    }

    /// How to answer the next requests that tell this fact about this worker. After that, they are accepted.
    pub(crate) fn behave(&self, worker: &str, fact: &str, behaviours: &[Behaviour]) {
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        script.insert((worker.to_owned(), fact.to_owned()), behaviours.iter().copied().collect());
    }

    /// Every request about this notice.
    pub(crate) fn attempts(&self, id: &str) -> Vec<Attempt> {
        let attempts = self.attempts.lock().unwrap_or_else(PoisonError::into_inner);
        attempts.iter().filter(|attempt| attempt.id == id).cloned().collect()
    }

    /// What no sender should have sent: unsigned, badly signed, not a CloudEvent, of another id than its header.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn check(&self, headers: &HeaderMap, body: &[u8]) -> Result<Value, String> {
        self.webhook.verify(body, headers).map_err(|error| format!("not verified: {error}"))?;
        let event: Value = serde_json::from_slice(body).map_err(|error| format!("not JSON: {error}"))?;
        let id = headers.get("webhook-id").and_then(|id| id.to_str().ok()).unwrap_or_default();
        if event["id"].as_str() != Some(id) {
            return Err(format!("webhook-id is {id}, the event is {event}"));
        }
        Ok(event)
    }

    fn decide(&self, event: &Value, at: Instant) -> Behaviour {
        let text =
            |pointer: &str| event.pointer(pointer).and_then(Value::as_str).unwrap_or_default().to_owned();
        let key = (text("/data/worker/id"), text("/data/fact"));
        let mut script = self.script.lock().unwrap_or_else(PoisonError::into_inner);
        let behaviour = script.get_mut(&key).and_then(VecDeque::pop_front).unwrap_or(Behaviour::Accept);
        let attempt = Attempt { at, id: text("/id"), behaviour };
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner).push(attempt);
        behaviour
    }
}

async fn receive(State(receiver): State<Arc<Receiver>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let at = Instant::now();
    let event = match receiver.check(&headers, &body) {
        Ok(event) => event,
        Err(fault) => {
            receiver.faults.lock().unwrap_or_else(PoisonError::into_inner).push(fault);
            return StatusCode::BAD_REQUEST;
        }
    };
    match receiver.decide(&event, at) {
        Behaviour::Accept => {
            receiver.log.add(&event, at);
            StatusCode::NO_CONTENT
        }
        Behaviour::Fail => StatusCode::INTERNAL_SERVER_ERROR,
        Behaviour::Hang => {
            tokio::time::sleep(FOR_EVER).await;
            StatusCode::GATEWAY_TIMEOUT
        }
    }
}
