//! The delivery ledger.

use app::error::StoreError;
use app::ports::{Claim, Deliveries, Delivery, DeliveryKey, Outcome};
use domain::Timestamp;

use super::{Outside, Port, refused};

impl Outside {
    /// An entry was written, and the index will show it.
    fn entered(&self, key: &DeliveryKey) {
        let (tables, mut inner) = (self.world.tables.state(), self.world.inner());
        let (now, place) = (inner.now, (key.notice.clone(), key.channel.clone()));
        inner.indexes.wrote_delivery(now, place, &tables);
    }
}

impl Deliveries for Outside {
    async fn claim(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Claim, StoreError> {
        through!(self, ClaimDelivery, {
            let claim = Deliveries::claim(&self.world.tables, key, payload, now, lease_until).await;
            self.entered(key);
            claim
        })
    }

    async fn defer(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        at: Timestamp,
    ) -> Result<(), StoreError> {
        through!(self, Defer, {
            let deferred = self.world.tables.defer(key, payload, now, at).await;
            self.entered(key);
            deferred
        })
    }

    async fn record(&self, key: &DeliveryKey, now: Timestamp, outcome: &Outcome) -> Result<(), StoreError> {
        let entered = self.enter(Port::Record).await;
        if entered.is_err() {
            self.world.inner().unrecorded(key);
        }
        entered.map_err(refused)?;
        let mut answer = self.world.tables.record(key, now, outcome).await;
        if answer.is_ok() && self.sends_again(Port::Record) {
            answer = self.world.tables.record(key, now, outcome).await;
        }
        self.entered(key);
        if answer.is_ok() {
            let place = (key.notice.clone(), key.channel.clone());
            let tries = self.world.tables.state().ledger.get(&place).map_or(0, |entry| entry.attempts);
            self.world.inner().recorded(key, outcome, tries, self.invocation());
        }
        self.leave(Port::Record).await.map_err(refused)?;
        answer
    }

    async fn due(&self, now: Timestamp, limit: u32) -> Result<Vec<Delivery>, StoreError> {
        through!(self, Due, {
            let (tables, mut inner) = (self.world.tables.state(), self.world.inner());
            let until = self.indexed(&mut inner, |indexes| &mut indexes.deliveries);
            let deliveries = inner.indexes.deliveries.at(until).iter();
            let mut due: Vec<_> = deliveries
                .filter(|(_, (at, ..))| *at <= now)
                .map(|(key, shown)| (shown.0, key, shown))
                .collect();
            due.sort_unstable();
            // A notice stays what it is.
            let payload = |key| tables.ledger.get(key).map(|entry| entry.payload.clone()).unwrap_or_default();
            let due =
                due.into_iter().take(limit as usize).map(|(_, place, (_, attempts, first_at))| Delivery {
                    key: DeliveryKey { notice: place.0.clone(), channel: place.1.clone() },
                    attempts: *attempts,
                    first_at: *first_at,
                    payload: payload(place),
                });
            Ok(due.collect())
        })
    }

    async fn permits(
        &self,
        name: &str,
        now: Timestamp,
        wanted: u32,
        per_second: u32,
    ) -> Result<u32, StoreError> {
        through!(self, Permits, self.world.tables.permits(name, now, wanted, per_second).await)
    }
}
