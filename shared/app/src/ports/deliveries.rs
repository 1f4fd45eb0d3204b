//! The delivery ledger.

use domain::Timestamp;

use crate::error::StoreError;

/// One notice to one channel.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct DeliveryKey {
    /// The notice, `<worker>_<version>_<index>`.
    pub notice: String,
    /// The channel: `topic`, `bus`, or `webhook-<hash of the URL>`.
    pub channel: String,
}

/// A delivery that was not made yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// Which.
    pub key: DeliveryKey,
    /// How often it was tried.
    pub attempts: u32,
    /// When it was first tried.
    pub first_at: Timestamp,
    /// The notice, as `notify` wrote it.
    pub payload: String,
}

/// Whether a delivery may be tried now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Claim {
    /// Yes, and nobody else will until the lease is over.
    Granted {
        /// How often it was tried before.
        attempts: u32,
        /// When it was first tried.
        first_at: Timestamp,
    },
    /// It was delivered, or parked for good.
    Settled,
    /// Somebody else is trying, or it waits for a later time.
    Waiting,
}

/// How a try ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// Delivered.
    Delivered,
    /// Not delivered; to be tried again at this time.
    Retry {
        /// When.
        at: Timestamp,
        /// Why.
        reason: String,
    },
    /// Never to be delivered.
    Parked {
        /// Why.
        reason: String,
    },
}

/// The delivery ledger in the journal.
pub trait Deliveries: Sync {
    /// Claims a delivery until `lease_until`. A new one is entered with this payload, and becomes due when the lease
    /// is over, so that a crash loses nothing. One that waits for a retry is granted when its time has come.
    fn claim(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> impl Future<Output = Result<Claim, StoreError>> + Send;

    /// Enters a delivery without trying it: it is due at `at`. Does nothing if it was entered before.
    fn defer(
        &self,
        key: &DeliveryKey,
        payload: &str,
        now: Timestamp,
        at: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Records how a claimed delivery ended.
    fn record(
        &self,
        key: &DeliveryKey,
        now: Timestamp,
        outcome: &Outcome,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Deliveries that are due, oldest first, at most `limit` (eventually consistent).
    fn due(
        &self,
        now: Timestamp,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Delivery>, StoreError>> + Send;

    /// Takes up to `wanted` permits out of the `per_second` of the second that began with its first permit, and says how
    /// many it got. It is one second for all who ask, however their clocks differ, as long as that is by less than ten.
    fn permits(
        &self,
        name: &str,
        now: Timestamp,
        wanted: u32,
        per_second: u32,
    ) -> impl Future<Output = Result<u32, StoreError>> + Send;
}
