//! The event bus: every published fact, as a CloudEvent.
//!
//! The ledger has one entry for each record, not for each fact, with all its CloudEvents: the bus takes ten at a time,
//! and an entry for each would double the writes of the busiest channel for nothing.

use domain::Timestamp;
use futures_util::future::join_all;

use super::judge::{Failed, Try};
use super::lane::{AT_ONCE, Ended, Lane};
use super::ledger::{Claimed, key};
use super::{Notifier, Ports};
use crate::error::StoreError;
use crate::notice::{Notice, cloud_event};
use crate::ports::{Bus, CloudEvent, Delivery, DeliveryKey};
use crate::record::EventRecord;

/// The bus in the ledger.
pub(super) const CHANNEL: &str = "bus";

/// EventBridge takes this many events in one call.
const ONE_CALL: usize = 10;

/// The facts of one record.
#[derive(Debug)]
struct Parcel {
    key: DeliveryKey,
    events: Vec<CloudEvent>,
    payload: String,
    /// The record's place in its batch.
    record: usize,
}

impl<P: Ports> Notifier<P> {
    /// The bus's share of a batch.
    pub(super) async fn publish(&self, records: &[EventRecord], notices: &[(usize, Notice)]) -> Lane {
        let parcels = parcels(records, notices);
        let mut lane = Lane::default();
        let mut rest = parcels.as_slice();
        while !rest.is_empty() {
            let (some, others) = rest.split_at(one_call(rest));
            let ended = if self.breaker.is_closed(CHANNEL, self.now()) {
                self.publish_some(some, &mut lane).await.map(|_| ())
            } else {
                self.defer_some(some, &mut lane).await
            };
            if let Err(error) = ended {
                lane.fail(rest.iter().map(|parcel| parcel.record), error);
                break;
            }
            rest = others;
        }
        lane
    }

    /// The records the bus is due again.
    pub(super) async fn publish_again(&self, due: &[Delivery], until: Timestamp) -> Lane {
        let mut lane = Lane::default();
        let (parcels, unreadable) = unpack(due);
        for delivery in unreadable {
            match self.park(delivery, "what was kept of the facts cannot be read").await {
                Ok(ended) => lane.count(ended),
                Err(error) => lane.fail([], error),
            }
        }
        let mut down: Option<Failed> = None;
        let mut rest = parcels.as_slice();
        while !rest.is_empty() && self.now() < until && lane.error.is_none() {
            let (some, others) = rest.split_at(one_call(rest));
            let ended = match &down {
                None => self.publish_some(some, &mut lane).await.map(|failed| down = failed),
                Some(failed) => self.postpone_some(some, failed, &mut lane).await,
            };
            if let Err(error) = ended {
                lane.fail([], error);
            }
            rest = others;
        }
        lane
    }

    /// Publishes the facts of some records in one call, and says why the next call need not be made, if so.
    async fn publish_some(&self, parcels: &[Parcel], lane: &mut Lane) -> Result<Option<Failed>, StoreError> {
        let claims =
            join_all(parcels.iter().map(|parcel| self.claim(parcel.key.clone(), &parcel.payload))).await;
        let mut claimed: Vec<Claimed> = Vec::new();
        let mut events = Vec::new();
        let mut unusable = None;
        for (parcel, claim) in parcels.iter().zip(claims) {
            match claim {
                Ok(Some(claim)) => {
                    claimed.push(claim);
                    events.extend_from_slice(&parcel.events);
                }
                Ok(None) => lane.count(Ended::Repeated),
                // What was claimed is sent all the same.
                Err(error) => unusable = Some(error),
            }
        }
        let mut down = None;
        if !claimed.is_empty() {
            let tried = match self.ports.bus().publish(&events).await {
                Ok(()) => {
                    self.breaker.reset(CHANNEL);
                    Try::Arrived
                }
                Err(error) => {
                    self.breaker.trip(CHANNEL, self.now());
                    let failed = Failed::because(error.message);
                    down = Some(failed.clone());
                    Try::Failed(failed)
                }
            };
            let ends = join_all(claimed.iter().map(|claimed| self.record(claimed, &tried, ""))).await;
            ends.into_iter().for_each(|ended| lane.count(ended));
        }
        unusable.map_or(Ok(down), Err)
    }

    async fn defer_some(&self, parcels: &[Parcel], lane: &mut Lane) -> Result<(), StoreError> {
        for ended in join_all(parcels.iter().map(|parcel| self.defer(&parcel.key, &parcel.payload))).await {
            lane.count(ended?);
        }
        Ok(())
    }

    async fn postpone_some(
        &self,
        parcels: &[Parcel],
        failed: &Failed,
        lane: &mut Lane,
    ) -> Result<(), StoreError> {
        for ended in join_all(parcels.iter().map(|p| self.postpone(&p.key, &p.payload, failed))).await {
            lane.count(ended?);
        }
        Ok(())
    }
}

/// The facts of a batch by record.
fn parcels(records: &[EventRecord], notices: &[(usize, Notice)]) -> Vec<Parcel> {
    notices
        .chunk_by(|(one, _), (other, _)| one == other)
        .filter_map(|of_record| {
            let (index, _) = of_record.first()?;
            let EventRecord { worker, version, .. } = records.get(*index)?;
            let events: Vec<CloudEvent> = of_record.iter().map(|(_, notice)| notice.cloud_event()).collect();
            let json: Vec<&serde_json::Value> = events.iter().map(|event| &event.json).collect();
            let payload = serde_json::to_string(&json).unwrap_or_default();
            Some(Parcel {
                key: key(&format!("{worker}_{version}"), CHANNEL),
                events,
                payload,
                record: *index,
            })
        })
        .collect()
}

/// What the ledger kept of some records, and the entries that make no sense.
fn unpack(due: &[Delivery]) -> (Vec<Parcel>, Vec<&Delivery>) {
    let mut parcels = Vec::new();
    let mut unreadable = Vec::new();
    for delivery in due {
        match serde_json::from_str::<Vec<serde_json::Value>>(&delivery.payload) {
            Ok(json) => parcels.push(Parcel {
                key: delivery.key.clone(),
                events: json.into_iter().map(cloud_event).collect(),
                payload: delivery.payload.clone(),
                record: 0,
            }),
            Err(_) => unreadable.push(delivery),
        }
    }
    (parcels, unreadable)
}

/// How many of these records fit into one call; at least one, which the adapter then splits, and not more than the
/// ledger is asked about at once.
fn one_call(parcels: &[Parcel]) -> usize {
    let mut events = 0;
    let fitting = parcels.iter().take(AT_ONCE).take_while(|parcel| {
        events += parcel.events.len();
        events <= ONE_CALL
    });
    fitting.count().max(1)
}
