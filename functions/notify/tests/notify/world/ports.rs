//! What the world does when it is asked to: the ports.

use std::collections::VecDeque;
use std::time::Duration;

use app::error::{CallError, StoreError};
use app::ports::{
    Bus, Claim, Clock, CloudEvent, Deliveries, Delivery, DeliveryKey, Ids, InstanceKey, Outcome, Page,
    Request, Secrets, SigningSecret, Topic, TopicMessage, Watch, WebhookAnswer, WebhookRequest, Webhooks,
    Workers,
};
use app::record::{EventRecord, Stored};
use domain::{Region, Timestamp, WorkerId};
use tokio::time::Instant;

use super::{Entry, Fake, Receiver, SECRET, broken, down};

impl Clock for Fake {
    fn now(&self) -> Timestamp {
        self.base + Instant::now().duration_since(self.started)
    }

    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

impl Ids for Fake {
    fn worker_id(&self) -> WorkerId {
        unreachable!("notify makes no workers")
    }

    fn below(&self, below: u64) -> u64 {
        below / 2
    }
}

impl Deliveries for Fake {
    async fn claim(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Claim, StoreError> {
        self.call(|state| {
            if state.unclaimable.as_ref() == Some(&key.notice) {
                return Err(broken());
            }
            let fresh = Entry::new(payload, now, now);
            let entry = state.ledger.entry(key.clone()).or_insert(fresh);
            if entry.ended.is_some() {
                return Ok(Claim::Settled);
            }
            if entry.due_at > now {
                return Ok(Claim::Waiting);
            }
            entry.due_at = lease_until;
            entry.attempts += 1;
            Ok(Claim::Granted { attempts: entry.attempts - 1, first_at: entry.first_at })
        })
        .await
    }

    async fn defer(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        self.call(|state| {
            let fresh = Entry::new(payload, now, at);
            state.ledger.entry(key.clone()).or_insert(fresh);
            Ok(())
        })
        .await
    }

    async fn record(&self, key: &DeliveryKey, _: Timestamp, outcome: &Outcome) -> Result<(), StoreError> {
        self.call(|state| {
            if state.outcomes_lost {
                return Err(broken());
            }
            let Some(entry) = state.ledger.get_mut(key) else { return Ok(()) };
            // What is settled stays settled.
            if entry.ended.is_some() && *outcome != Outcome::Delivered {
                return Ok(());
            }
            entry.last = Some(outcome.clone());
            match outcome {
                Outcome::Retry { at, .. } => entry.due_at = *at,
                Outcome::Delivered | Outcome::Parked { .. } => entry.ended = Some(outcome.clone()),
            }
            Ok(())
        })
        .await
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        self.call(|state| {
            let mut due: Vec<(Timestamp, Delivery)> = Vec::new();
            for (key, entry) in &state.ledger {
                if entry.ended.is_none() && entry.due_at <= now {
                    let Entry { payload, attempts, first_at, .. } = entry;
                    let (key, payload) = (key.clone(), payload.clone());
                    due.push((
                        entry.due_at,
                        Delivery { key, attempts: *attempts, first_at: *first_at, payload },
                    ));
                }
            }
            due.sort_by_key(|(at, _)| *at);
            Ok(due.into_iter().take(limit as usize).map(|(_, delivery)| delivery).collect())
        })
        .await
    }

    async fn permits(
        &self,
        name: &str,
        now: Timestamp,
        wanted: u32,
        per_second: u32,
    ) -> Result<u32, StoreError> {
        self.call(|state| {
            if wanted == 0 {
                return Ok(0);
            }
            let now = now.as_millisecond();
            let seconds = state.permits.entry(name.to_owned()).or_default();
            // One second for all, from its first permit on; one that a clock far ahead has begun is not believed.
            let open = |since: i64| since > now - 1000 && since <= now + 10_000;
            if seconds.last().is_none_or(|(since, _)| !open(*since)) {
                seconds.push((now, 0));
            }
            let (_, taken) = seconds.last_mut().expect("one that is open");
            let granted = wanted.min(per_second.saturating_sub(*taken));
            *taken += granted;
            Ok(granted)
        })
        .await
    }
}

impl Topic for Fake {
    async fn publish(&self, message: &TopicMessage) -> Result<(), CallError> {
        let takes = self.state().topic_takes;
        tokio::time::sleep(takes).await;
        let now = self.now();
        self.call(|state| {
            if state.topic_down {
                return Err(down("sns Publish"));
            }
            state.topic.push((now, message.clone()));
            Ok(())
        })
        .await
    }
}

impl Bus for Fake {
    async fn request(&self, _: &[Request]) -> Result<(), CallError> {
        unreachable!("notify requests nothing")
    }

    async fn publish(&self, events: &[CloudEvent]) -> Result<(), CallError> {
        self.call(|state| {
            if state.bus_down {
                return Err(down("events PutEvents"));
            }
            state.bus_calls.push(events.len());
            state.bus.extend_from_slice(events);
            Ok(())
        })
        .await
    }
}

impl Webhooks for Fake {
    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, CallError> {
        let now = self.now();
        let receiver = self
            .call(|state| {
                let script = state.receivers.get_mut(&request.url);
                let receiver = script.and_then(VecDeque::pop_front).unwrap_or(Receiver::Answers(204));
                let taken = match receiver {
                    Receiver::Answers(status) => (200..300).contains(&status),
                    Receiver::Takes(millis) => millis < request.timeout_millis,
                    Receiver::AsksToWait(..) | Receiver::Hangs | Receiver::Resets | Receiver::MovedInside => {
                        false
                    }
                };
                state.hooks.push((now, request.clone(), taken));
                receiver
            })
            .await;
        let answer = |status, retry_after| Ok(WebhookAnswer { status, retry_after });
        match receiver {
            Receiver::Answers(status) => answer(status, None),
            Receiver::AsksToWait(status, seconds) => answer(status, Some(seconds)),
            Receiver::Takes(millis) if millis < request.timeout_millis => {
                self.sleep(millis).await;
                answer(200, None)
            }
            Receiver::Takes(_) | Receiver::Hangs => {
                self.sleep(request.timeout_millis).await;
                Err(down("the endpoint did not answer in time"))
            }
            Receiver::Resets => Err(down("connection reset")),
            // In the words of the adapter.
            Receiver::MovedInside => Err(CallError {
                message: "webhook: the address is not public".to_owned(),
                retryable: true,
                cause: None,
            }),
        }
    }
}

impl Secrets for Fake {
    async fn signing_secret(&self) -> Result<SigningSecret, CallError> {
        if self.state().secret_missing {
            return Err(down("secretsmanager GetSecretValue"));
        }
        Ok(SigningSecret::new(SECRET.to_owned()))
    }
}

impl Workers for Fake {
    async fn load(&self, _: WorkerId) -> Result<Option<Stored>, StoreError> {
        unreachable!("notify loads no workers")
    }

    async fn load_many(&self, _: &[WorkerId]) -> Result<Vec<Stored>, StoreError> {
        unreachable!("notify loads no workers")
    }

    async fn save(&self, _: Option<&Stored>, _: &EventRecord, _: &Stored) -> Result<(), StoreError> {
        unreachable!("notify saves no workers")
    }

    async fn owner(&self, _: &InstanceKey) -> Result<Option<WorkerId>, StoreError> {
        unreachable!("notify asks for no owner")
    }

    async fn watches(&self, _: &Region, _: Option<&str>, _: u32) -> Result<Page<Watch>, StoreError> {
        unreachable!("notify lists nothing")
    }

    async fn events(&self, _: WorkerId, _: Option<&str>, _: u32) -> Result<Page<EventRecord>, StoreError> {
        unreachable!("notify lists nothing")
    }

    async fn untold(&self, before: Timestamp, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        self.call(|state| {
            let untold = state.outbox.iter().filter(|record| record.at < before);
            let untold = untold.filter(|record| !state.marked.contains(&(record.worker, record.version)));
            Ok(untold.take(limit as usize).cloned().collect())
        })
        .await
    }

    async fn mark_told(&self, worker: WorkerId, version: u64) -> Result<(), StoreError> {
        self.call(|state| {
            state.marked.insert((worker, version));
            Ok(())
        })
        .await
    }
}
