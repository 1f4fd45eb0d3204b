//! The people's topic, webhook receivers, and the secret that signs.

use app::error::CallError;
use app::ports::{Secrets, SigningSecret, Topic, TopicMessage, WebhookAnswer, WebhookRequest, Webhooks};

use super::{Outside, Port, failed};
use crate::faults::Fault;
use crate::listeners::SECRET;

impl Topic for Outside {
    async fn publish(&self, message: &TopicMessage) -> Result<(), CallError> {
        self.enter(Port::Topic).await.map_err(failed)?;
        {
            let mut inner = self.world.inner();
            inner.published(message);
        }
        self.leave(Port::Topic).await.map_err(failed)
    }
}

impl Webhooks for Outside {
    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, CallError> {
        let until = self.world.inner().now + i64::try_from(request.timeout_millis).unwrap_or(i64::MAX / 4);
        self.enter(Port::Webhook).await.map_err(failed)?;
        let moody = request.url.contains("moody");
        let strikes = |fault| moody && self.strikes(&mut self.world.inner(), fault);
        let answer = if strikes(Fault::HookHangs) {
            None
        } else if strikes(Fault::HookFails) {
            Some(WebhookAnswer { status: 500, retry_after: None })
        } else if strikes(Fault::HookLimits) {
            Some(WebhookAnswer { status: 429, retry_after: Some(60) })
        } else if strikes(Fault::HookDeclines) {
            Some(WebhookAnswer { status: 400, retry_after: None })
        } else {
            self.world.inner().received(request);
            let lost = strikes(Fault::HookLosesReply);
            (!lost).then_some(WebhookAnswer { status: 204, retry_after: None })
        };
        match answer {
            Some(answer) => {
                self.leave(Port::Webhook).await.map_err(failed)?;
                Ok(answer)
            }
            None => {
                self.world.until(until).await;
                Err(CallError { message: "no answer in time".to_owned(), retryable: true, cause: None })
            }
        }
    }
}

impl Secrets for Outside {
    async fn signing_secret(&self) -> Result<SigningSecret, CallError> {
        self.enter(Port::Secret).await.map_err(failed)?;
        self.leave(Port::Secret).await.map_err(failed)?;
        Ok(SigningSecret::new(SECRET.to_owned()))
    }
}
