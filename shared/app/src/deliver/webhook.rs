//! The webhooks: signed by Standard Webhooks, each endpoint on its own.
//!
//! A notice from the stream gets one quick try. An endpoint that fails it, hangs, or has had its share of the batch's
//! time gets the rest from the sweep, which is patient: one slow endpoint costs a batch one short wait. A sweep reads the
//! oldest thousand of what is due on all channels together, so where an endpoint has a backlog of more than that, what the
//! others are due again waits behind it.

use std::fmt;

use domain::Timestamp;
use futures_util::future::join_all;
use jiff::SignedDuration;

use super::judge::{Failed, Try, judge};
use super::lane::{AT_ONCE, Ended, Lane};
use super::ledger::{key, payload};
use super::{Notifier, Ports};
use crate::config::WebhookUrl;
use crate::error::StoreError;
use crate::notice::{Notice, Reach};
use crate::ports::{Delivery, Secrets, WebhookRequest, Webhooks};
use crate::{short, sign};

/// How long a try from the stream may take.
const QUICK: i64 = 2_000;
/// How long an endpoint may take up a batch; a try begun before may still end.
const SHARE: SignedDuration = SignedDuration::from_secs(3);
/// How long a try from the sweep may take (Standard Webhooks: 15 to 30 s).
const PATIENT: i64 = 15_000;
/// With less time than this left, a sweep begins no try.
const TOO_LATE: i64 = 4_000;
/// What a sweep keeps back to record how its last tries went, in milliseconds.
const RESERVE: i64 = 1_000;

/// A webhook endpoint. Shown by its channel and host only.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    channel: String,
    url: WebhookUrl,
}

impl Endpoint {
    /// The endpoint at this URL.
    pub fn new(url: &WebhookUrl) -> Self {
        Self { channel: format!("webhook-{}", short::hash(url.expose())), url: url.clone() }
    }

    /// Its name in the ledger and in logs: `webhook-` and a hash of the URL.
    pub fn channel(&self) -> &str {
        &self.channel
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({}, {})", self.channel, self.url)
    }
}

impl<P: Ports> Notifier<P> {
    /// One endpoint's share of a batch that began at `started`.
    pub(super) async fn call(
        &self,
        endpoint: &Endpoint,
        notices: &[(usize, Notice)],
        started: Timestamp,
    ) -> Lane {
        let mut lane = Lane::default();
        let ours: Vec<&(usize, Notice)> =
            notices.iter().filter(|(_, notice)| notice.reach == Reach::Everyone).collect();
        for (position, (_, notice)) in ours.iter().enumerate() {
            match self.call_once(endpoint, notice, started).await {
                Ok(ended) => lane.count(ended),
                Err(error) => {
                    lane.fail(ours[position..].iter().map(|(record, _)| *record), error);
                    break;
                }
            }
        }
        lane
    }

    async fn call_once(
        &self,
        endpoint: &Endpoint,
        notice: &Notice,
        started: Timestamp,
    ) -> Result<Ended, StoreError> {
        let (key, payload) = (key(&notice.id, &endpoint.channel), payload(notice));
        let now = self.now();
        if now >= started + SHARE || !self.breaker.is_closed(&endpoint.channel, now) {
            return self.defer(&key, &payload).await;
        }
        let Some(claimed) = self.claim(key, &payload).await? else { return Ok(Ended::Repeated) };
        let tried = self.send(endpoint, notice, QUICK).await;
        Ok(self.record(&claimed, &tried, &endpoint.url.to_string()).await)
    }

    /// Deliveries to one endpoint that are due again. The first one probes; while the endpoint is down, it stands for
    /// the others.
    pub(super) async fn call_again(&self, channel: &str, due: &[Delivery], until: Timestamp) -> Lane {
        let mut lane = Lane::default();
        let endpoint = self.endpoints.iter().find(|endpoint| endpoint.channel == channel);
        let mut down: Option<Failed> = None;
        let mut rest = due;
        while !rest.is_empty() {
            let left = until.duration_since(self.now()).as_millis().try_into().unwrap_or(0_i64);
            if left < TOO_LATE {
                break;
            }
            let width = if rest.len() == due.len() { 1 } else { AT_ONCE.min(rest.len()) };
            let (some, others) = rest.split_at(width);
            rest = others;
            let timeout = PATIENT.min(left - RESERVE);
            let tries = some.iter().map(async |delivery| match (endpoint, &down) {
                (None, _) => {
                    self.park(delivery, "the endpoint is no longer one of ours").await.map(|e| (e, None))
                }
                (Some(_), Some(failed)) => {
                    self.postpone(&delivery.key, &delivery.payload, failed).await.map(|ended| (ended, None))
                }
                (Some(endpoint), None) => self.call_patiently(endpoint, delivery, timeout).await,
            });
            let mut failed = None;
            for ended in join_all(tries).await {
                match ended {
                    Ok((ended, because)) => {
                        lane.count(ended);
                        failed = failed.or(because);
                    }
                    Err(error) => lane.fail([], error),
                }
            }
            down = down.or(failed);
            if lane.error.is_some() {
                break;
            }
        }
        lane
    }

    /// One delivery that is due again, and why the others need not be tried, if so.
    async fn call_patiently(
        &self,
        endpoint: &Endpoint,
        delivery: &Delivery,
        timeout: i64,
    ) -> Result<(Ended, Option<Failed>), StoreError> {
        let Some(claimed) = self.claim(delivery.key.clone(), &delivery.payload).await? else {
            return Ok((Ended::Repeated, None));
        };
        let Ok(notice) = serde_json::from_str::<Notice>(&delivery.payload) else {
            self.give_up(&claimed, "what was kept of the notice cannot be read").await;
            return Ok((Ended::Parked, None));
        };
        let tried = self.send(endpoint, &notice, timeout).await;
        let ended = self.record(&claimed, &tried, &endpoint.url.to_string()).await;
        match tried {
            Try::Failed(failed) if failed.channel_is_down => Ok((ended, Some(failed))),
            Try::Failed(_) | Try::Arrived | Try::Gone => Ok((ended, None)),
        }
    }

    /// Sends a notice to an endpoint, and remembers whether that works.
    async fn send(&self, endpoint: &Endpoint, notice: &Notice, timeout: i64) -> Try {
        let tried = match self.request(endpoint, notice, timeout).await {
            Ok(request) => judge(self.ports.webhooks().send(&request).await),
            Err(failed) => Try::Failed(failed),
        };
        match &tried {
            Try::Arrived => self.breaker.reset(&endpoint.channel),
            Try::Failed(Failed { channel_is_down: false, .. }) => {}
            Try::Failed(_) | Try::Gone => self.breaker.trip(&endpoint.channel, self.now()),
        }
        tried
    }

    async fn request(
        &self,
        endpoint: &Endpoint,
        notice: &Notice,
        timeout: i64,
    ) -> Result<WebhookRequest, Failed> {
        let secret =
            self.ports.secrets().signing_secret().await.map_err(|error| Failed::because(error.message))?;
        let body = notice.event.to_string();
        let mut headers = sign::headers(&secret, &notice.id, self.now(), &body)
            .map_err(|error| Failed::because(error.to_string()))?;
        headers.extend([
            ("content-type".to_owned(), "application/cloudevents+json; charset=utf-8".to_owned()),
            ("user-agent".to_owned(), "cml-fleet".to_owned()),
        ]);
        let timeout_millis = u64::try_from(timeout).unwrap_or(0);
        Ok(WebhookRequest { url: endpoint.url.expose().to_owned(), headers, body, timeout_millis })
    }
}
