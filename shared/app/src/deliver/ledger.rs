//! The steps every delivery goes through, whatever the channel.

use super::judge::{self, Failed, Try};
use super::lane::Ended;
use super::{LEASE, Notifier, Ports};
use crate::error::{StoreError, with_causes};
use crate::notice::Notice;
use crate::ports::{Claim, Clock, Deliveries, Delivery, DeliveryKey, Outcome};
use tracing::{error, warn};

/// How often an outcome is recorded before it is left to the end of the lease.
const RECORD_TRIES: u32 = 3;

/// A delivery that is ours to try.
#[derive(Debug)]
pub(super) struct Claimed {
    pub(super) key: DeliveryKey,
    /// How often it was tried before.
    attempts: u32,
}

/// The name of a notice's delivery on a channel.
pub(super) fn key(notice: &str, channel: &str) -> DeliveryKey {
    DeliveryKey { notice: notice.to_owned(), channel: channel.to_owned() }
}

/// What the ledger keeps of a notice. A notice always has a JSON form; if it had none, the entry would be parked by the
/// first sweep that meets it.
pub(super) fn payload(notice: &Notice) -> String {
    serde_json::to_string(notice).unwrap_or_default()
}

impl<P: Ports> Notifier<P> {
    /// Claims a delivery; `None` if it was made before or is in other hands.
    pub(super) async fn claim(&self, key: DeliveryKey, payload: &str) -> Result<Option<Claimed>, StoreError> {
        let now = self.now();
        match self.ports.deliveries().claim(&key, payload, now, now + LEASE).await? {
            Claim::Granted { attempts, .. } => Ok(Some(Claimed { key, attempts })),
            Claim::Settled | Claim::Waiting => Ok(None),
        }
    }

    /// Leaves a delivery to the next sweep.
    pub(super) async fn defer(&self, key: &DeliveryKey, payload: &str) -> Result<Ended, StoreError> {
        let now = self.now();
        self.ports.deliveries().defer(key, payload, now, now).await?;
        Ok(Ended::Deferred)
    }

    /// Records how a claimed delivery went. If that fails, the delivery becomes due again when its lease is over: it may
    /// then be made twice, but it is not lost, so this is no failure of the record.
    pub(super) async fn record(&self, claimed: &Claimed, tried: &Try, place: &str) -> Ended {
        let outcome = judge::outcome(tried, claimed.attempts, self.now(), self.ports.ids());
        say(claimed, &outcome, place);
        self.enter(claimed, &outcome).await;
        judge::ended(&outcome)
    }

    /// Claims a delivery and records a failure without trying: another try of the same minute showed that the channel
    /// is down, and the wait for the next one grows as if this had been it.
    pub(super) async fn postpone(
        &self,
        key: &DeliveryKey,
        payload: &str,
        failed: &Failed,
    ) -> Result<Ended, StoreError> {
        let Some(claimed) = self.claim(key.clone(), payload).await? else {
            return Ok(Ended::Repeated);
        };
        let failed = Failed { reason: format!("not tried: {}", failed.reason), ..failed.clone() };
        let outcome = judge::outcome(&Try::Failed(failed), claimed.attempts, self.now(), self.ports.ids());
        // The try that stands for this one has been logged; the end of a delivery has not.
        if matches!(outcome, Outcome::Parked { .. }) {
            say(&claimed, &outcome, "");
        }
        self.enter(&claimed, &outcome).await;
        Ok(judge::ended(&outcome))
    }

    /// Claims a delivery and gives it up.
    pub(super) async fn park(&self, delivery: &Delivery, reason: &str) -> Result<Ended, StoreError> {
        let Some(claimed) = self.claim(delivery.key.clone(), &delivery.payload).await? else {
            return Ok(Ended::Repeated);
        };
        self.give_up(&claimed, reason).await;
        Ok(Ended::Parked)
    }

    /// Gives a claimed delivery up.
    pub(super) async fn give_up(&self, claimed: &Claimed, reason: &str) {
        let outcome = Outcome::Parked { reason: reason.to_owned() };
        say(claimed, &outcome, "");
        self.enter(claimed, &outcome).await;
    }

    async fn enter(&self, claimed: &Claimed, outcome: &Outcome) {
        let mut last = None;
        for round in 0..RECORD_TRIES {
            match self.ports.deliveries().record(&claimed.key, self.now(), outcome).await {
                Ok(()) => return,
                Err(error) => last = Some(error),
            }
            self.ports.clock().sleep(50 << round).await;
        }
        if let Some(error) = last {
            let DeliveryKey { notice, channel } = &claimed.key;
            warn!(
                notice.id = notice,
                channel,
                error = with_causes(&error),
                "the outcome of a delivery could not be recorded; it is made again when its lease is over"
            );
        }
    }
}

/// Says aloud what did not go well. `place` is the endpoint's host: never its URL, which may hold a secret.
fn say(claimed: &Claimed, outcome: &Outcome, place: &str) {
    let (DeliveryKey { notice, channel }, attempt) = (&claimed.key, claimed.attempts + 1);
    match outcome {
        Outcome::Delivered => {}
        Outcome::Retry { at, reason } => warn!(
            notice.id = notice,
            channel,
            endpoint.host = place,
            attempt,
            reason,
            retry_at = %at,
            "a delivery failed and is tried again"
        ),
        Outcome::Parked { reason } => error!(
            notice.id = notice,
            channel,
            endpoint.host = place,
            attempt,
            reason,
            "a delivery was given up"
        ),
    }
}
