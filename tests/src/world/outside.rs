//! The bus and the topic.

use app::error::CallError;
use app::ports::{Bus, CloudEvent, Request, Topic, TopicMessage};

use super::World;

fn broken(name: &str) -> CallError {
    CallError { message: format!("{name}: InternalException"), retryable: true, cause: None }
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
        state.topic.push(message.clone());
        Ok(())
    }
}
