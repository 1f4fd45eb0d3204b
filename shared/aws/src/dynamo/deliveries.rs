//! The delivery ledger: `NOTICE#<notice>`, `CHANNEL#<channel>` in the journal, and the permits of a second.
//!
//! What is neither delivered nor parked has `due` and `due_at` and so is in the index `due`. A claim moves `due_at` to
//! the end of its lease: a crash in between makes the delivery due again.

use app::error::StoreError;
use app::item::Key;
use app::ports::{Claim, Deliveries, Delivery, DeliveryKey, Outcome};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::Timestamp;
use serde::{Deserialize, Serialize};

use super::{Change, Table, item, number, read, readable, text};

/// The partitions of the index `due`: the kinds of channels.
const KINDS: [&str; 3] = ["webhook", "topic", "bus"];
/// How long the counter of a second is kept, in seconds.
const COUNTER_KEPT: i64 = 3600;
/// How long a window of permits is open, in milliseconds.
const WINDOW: i64 = 1000;
/// A window that was opened by a clock so much ahead of ours, in milliseconds, would be open for too long: it is not
/// believed.
const ABSURD: i64 = 10_000;

/// The delivery ledger.
#[derive(Debug)]
pub struct DynamoDeliveries {
    table: Table,
    retention_days: u32,
}

/// The item; times in milliseconds, `ttl` in seconds.
#[derive(Debug, Serialize, Deserialize)]
struct DeliveryItem {
    pk: String,
    sk: String,
    notice: String,
    channel: String,
    attempts: u32,
    first_at: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    payload: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<i64>,
}

impl DynamoDeliveries {
    pub(crate) fn new(client: &Client, table: &str, retention_days: u32) -> Self {
        Self { table: Table::new(client, table), retention_days }
    }
}

fn key(delivery: &DeliveryKey) -> Key {
    Key { pk: format!("NOTICE#{}", delivery.notice), sk: format!("CHANNEL#{}", delivery.channel) }
}

/// `webhook` of `webhook-<hash>`.
fn kind(channel: &str) -> &str {
    channel.split('-').next().unwrap_or(channel)
}

fn time(at: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(at).map_err(|error| StoreError::Corrupt(error.into()))
}

impl Deliveries for DynamoDeliveries {
    async fn claim(
        &self,
        delivery: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Claim, StoreError> {
        let key = key(delivery);
        let change = Change {
            update: "SET #notice = :notice, #channel = :channel, #due = :due, #due_at = :until, \
                #first_at = if_not_exists(#first_at, :now), #payload = if_not_exists(#payload, :payload), \
                #attempts = if_not_exists(#attempts, :none) + :one",
            given: "attribute_not_exists(#pk) OR #due_at <= :now",
            values: vec![
                (":notice", text(&delivery.notice)),
                (":channel", text(&delivery.channel)),
                (":due", text(kind(&delivery.channel))),
                (":until", number(lease_until.as_millisecond())),
                (":now", number(now.as_millisecond())),
                (":payload", text(payload)),
                (":none", number(0)),
                (":one", number(1)),
            ],
            returning: ReturnValue::AllNew,
        };
        if let Some(claimed) = self.table.update(&key, change).await? {
            let DeliveryItem { attempts, first_at, .. } = read(claimed)?;
            return Ok(Claim::Granted { attempts: attempts.saturating_sub(1), first_at: time(first_at)? });
        }
        let known: Option<DeliveryItem> = self.table.get(&key).await?.map(read).transpose()?;
        let settled = known.is_some_and(|known| known.due_at.is_none());
        Ok(if settled { Claim::Settled } else { Claim::Waiting })
    }

    async fn defer(
        &self,
        delivery: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        let Key { pk, sk } = key(delivery);
        let new = DeliveryItem {
            pk,
            sk,
            notice: delivery.notice.clone(),
            channel: delivery.channel.clone(),
            attempts: 0,
            first_at: now.as_millisecond(),
            payload: Some(payload.to_owned()),
            due: Some(kind(&delivery.channel).to_owned()),
            due_at: Some(at.as_millisecond()),
        };
        self.table.put(item(&new)?, "attribute_not_exists(#pk)", Vec::new()).await.map(|_| ())
    }

    async fn record(
        &self,
        delivery: &DeliveryKey,
        now: Timestamp,
        outcome: &Outcome,
    ) -> Result<(), StoreError> {
        let expiry = number(now.as_second() + i64::from(self.retention_days) * 86_400);
        let settled_at = (":now", number(now.as_millisecond()));
        // Only what is still open can be parked or tried again: a late answer of a lapsed claim changes nothing.
        let open = "attribute_exists(#due)";
        let (update, given, values) = match outcome {
            Outcome::Delivered => (
                "SET #outcome = :outcome, #settled_at = :now, #ttl = :ttl REMOVE #due, #due_at, #payload",
                "attribute_exists(#pk)",
                vec![(":outcome", text("delivered")), settled_at, (":ttl", expiry)],
            ),
            Outcome::Parked { reason } => (
                "SET #outcome = :outcome, #reason = :reason, #settled_at = :now, #ttl = :ttl REMOVE #due, #due_at",
                open,
                vec![(":outcome", text("parked")), (":reason", text(reason)), settled_at, (":ttl", expiry)],
            ),
            Outcome::Retry { at, reason } => (
                "SET #due_at = :at, #reason = :reason",
                open,
                vec![(":at", number(at.as_millisecond())), (":reason", text(reason))],
            ),
        };
        let change = Change { update, given, values, returning: ReturnValue::None };
        self.table.update(&key(delivery), change).await.map(|_| ())
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        let given = ("#due = :partition AND #due_at <= :until", "due_at");
        let items = self.table.due("due", &KINDS, given, number(now.as_millisecond()), limit).await?;
        Ok(readable(items, |item| {
            let DeliveryItem { notice, channel, attempts, first_at, payload, .. } = read(item)?;
            Ok::<_, StoreError>(Delivery {
                key: DeliveryKey { notice, channel },
                attempts,
                first_at: time(first_at)?,
                payload: payload.unwrap_or_default(),
            })
        }))
    }

    async fn permits(
        &self,
        name: &str,
        now: Timestamp,
        wanted: u32,
        per_second: u32,
    ) -> Result<u32, StoreError> {
        if wanted == 0 {
            return Ok(0);
        }
        let now = now.as_millisecond();
        let key = Key { pk: format!("RATE#{name}"), sk: "WINDOW".to_owned() };
        // One window for all, and not one for each second of each clock: two environments whose clocks differ share it.
        let over = number(now - WINDOW);
        let opening = Change {
            update: "SET #since = :now, #taken = :wanted, #ttl = :ttl",
            given: "attribute_not_exists(#pk) OR #since <= :over OR #since > :absurd",
            values: vec![
                (":now", number(now)),
                (":wanted", number(wanted)),
                (":ttl", number(now / 1000 + COUNTER_KEPT)),
                (":over", over.clone()),
                (":absurd", number(now + ABSURD)),
            ],
            returning: ReturnValue::None,
        };
        if self.table.update(&key, opening).await?.is_some() {
            return Ok(wanted.min(per_second));
        }
        // Taking more than there is empties the window just the same, so one call is enough.
        let taking = Change {
            update: "ADD #taken :wanted",
            given: "#since > :over AND #taken < :limit",
            values: vec![(":wanted", number(wanted)), (":over", over), (":limit", number(per_second))],
            returning: ReturnValue::UpdatedNew,
        };
        #[derive(Deserialize)]
        struct Counter {
            taken: u64,
        }
        let Some(counter) = self.table.update(&key, taking).await? else { return Ok(0) };
        let Counter { taken } = read(counter)?;
        let before = taken.saturating_sub(u64::from(wanted));
        let left = u64::from(per_second).saturating_sub(before);
        Ok(wanted.min(u32::try_from(left).unwrap_or(u32::MAX)))
    }
}
