//! The bus, the topic and the webhooks.

use app::error::CallError;
use app::ports::{
    Bus, CloudEvent, Request, Secrets, SigningSecret, Topic, TopicMessage, WebhookAnswer, WebhookRequest,
    Webhooks,
};

use super::World;

fn broken(name: &str) -> CallError {
    CallError { message: format!("{name}: InternalException"), retryable: true, cause: None }
}

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
    let large = events.iter().any(|event| event.kind.len() + event.json.to_string().len() > MOST_BYTES);
    if large { Err(too_large("events PutEvents")) } else { Ok(()) }
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

impl Webhooks for World {
    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, CallError> {
        let mut state = self.state();
        if !state.call("webhook") {
            return Err(broken("webhook"));
        }
        state.hooks.push(request.clone());
        Ok(WebhookAnswer { status: 204, retry_after: None })
    }
}

impl Secrets for World {
    async fn signing_secret(&self) -> Result<SigningSecret, CallError> {
        Ok(SigningSecret::new("whsec_Y2FuYXJ5LWNhbmFyeS1jYW5hcnktY2FuYXJ5".to_owned()))
    }
}
