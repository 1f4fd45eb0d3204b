//! The bus, the people's topic, webhook receivers, and the secret that signs.
//!
//! SNS takes a message or does not: it is given one at a time, so there is nothing of it to be taken in part.

use app::error::CallError;
use app::ports::{
    Bus, CloudEvent, Request, Secrets, SigningSecret, Topic, TopicMessage, WebhookAnswer, WebhookRequest,
    Webhooks,
};
use tests::world::{fits_bus, fits_topic};

use super::{Outside, Port, failed};
use crate::faults::Fault;
use crate::listeners::{event_of, ids, receiver};
use crate::world::Inner;

/// How many entries `PutEvents` takes in one call.
const ONE_CALL: usize = 10;

/// How long a receiver asks to wait, in seconds: it does not say so, or in words that are no number; not at all; a little; a
/// while; a day; for ever.
const WAITS: [Option<u32>; 6] = [None, Some(0), Some(2), Some(60), Some(86_400), Some(u32::MAX)];
/// How a receiver says that it does not take a notice: it does not understand it, does not know the path, is gone for good, or
/// has moved.
const DECLINES: [u16; 4] = [400, 404, GONE, 301];
/// The only one of these after which nothing more is sent.
const GONE: u16 = 410;

impl Outside {
    fn one<T: Copy>(&self, of: &[T]) -> T {
        of[self.world.inner().chance.below(of.len() as u64) as usize]
    }

    /// Which of so many entries the bus takes. The adapter puts those again that it does not take, and gives up on all that
    /// is left when that does not help.
    fn taken(&self, inner: &mut Inner, entries: usize) -> Vec<bool> {
        let mut taken = vec![true; entries];
        if entries < 2 || !self.hits(inner, Fault::BusPartial) {
            return taken;
        }
        let calls = entries.div_ceil(ONE_CALL);
        let fails = inner.chance.below(calls as u64) as usize;
        for (call, entries) in taken.chunks_mut(ONE_CALL).enumerate().skip(fails) {
            for entry in entries {
                *entry = call == fails && inner.chance.hits(500_000);
            }
        }
        if taken.contains(&true) && taken.contains(&false) {
            self.struck(inner, Fault::BusPartial);
        }
        taken
    }
}

fn in_part() -> CallError {
    CallError { message: "events PutEvents: InternalFailure".to_owned(), retryable: true, cause: None }
}

impl Bus for Outside {
    async fn request(&self, requests: &[Request]) -> Result<(), CallError> {
        self.enter(Port::PutEvents).await.map_err(failed)?;
        let all = {
            let mut inner = self.world.inner();
            let taken = self.taken(&mut inner, requests.len());
            let put = requests.iter().zip(&taken).filter(|(_, taken)| **taken);
            put.for_each(|(request, _)| inner.put(request));
            !taken.contains(&false)
        };
        self.leave(Port::PutEvents).await.map_err(failed)?;
        if all { Ok(()) } else { Err(in_part()) }
    }

    async fn publish(&self, events: &[CloudEvent]) -> Result<(), CallError> {
        fits_bus(events)?;
        self.enter(Port::Publish).await.map_err(failed)?;
        let ids = || events.iter().flat_map(|event| ids(&event.json));
        let all = {
            let mut inner = self.world.inner();
            let taken = self.taken(&mut inner, events.len());
            let put = events.iter().zip(&taken).filter(|(_, taken)| **taken);
            put.for_each(|(event, _)| inner.put_on_bus(&event.json, self.invocation()));
            !taken.contains(&false)
        };
        if !all {
            self.world.inner().lose("bus", ids());
        }
        let answered = self.leave(Port::Publish).await;
        if answered.is_err() {
            self.world.inner().lose("bus", ids());
        }
        answered.map_err(failed)?;
        if all { Ok(()) } else { Err(in_part()) }
    }
}

impl Topic for Outside {
    async fn publish(&self, message: &TopicMessage) -> Result<(), CallError> {
        fits_topic(message)?;
        self.enter(Port::Topic).await.map_err(failed)?;
        self.world.inner().published(message, self.invocation());
        let answered = self.leave(Port::Topic).await;
        if answered.is_err() {
            self.world.inner().lose("topic", event_of(message).iter().flat_map(ids));
        }
        answered.map_err(failed)
    }
}

impl Webhooks for Outside {
    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, CallError> {
        let until = self.world.inner().now + i64::try_from(request.timeout_millis).unwrap_or(i64::MAX / 4);
        self.enter(Port::Webhook).await.map_err(failed)?;
        let moody = receiver(request) == "moody";
        let strikes = |fault| moody && self.strikes(&mut self.world.inner(), fault);
        // Those of the laws are with the tables.
        let told = self.world.tables.state().receivers.answer(request);
        if told.is_none() {
            self.world.inner().check_request(request);
        }
        let answer = if let Some(answer) = told {
            answer
        } else if strikes(Fault::HookUnreachable) {
            return Err(CallError { message: "not reached".to_owned(), retryable: true, cause: None });
        } else if strikes(Fault::HookHangs) {
            None
        } else if strikes(Fault::HookFails) {
            Some(WebhookAnswer { status: 500, retry_after: None })
        } else if strikes(Fault::HookLimits) {
            Some(WebhookAnswer { status: 429, retry_after: self.one(&WAITS) })
        } else if strikes(Fault::HookDeclines) {
            let status = self.one(&DECLINES);
            if status == GONE {
                self.world.inner().is_gone(request);
            }
            Some(WebhookAnswer { status, retry_after: None })
        } else {
            self.world.inner().received(request, self.invocation());
            let lost = strikes(Fault::HookLosesReply);
            if lost {
                self.world.inner().reply_lost(request);
            }
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
        self.world.tables.signing_secret().await
    }
}
