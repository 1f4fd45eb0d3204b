//! Time and chance.

use domain::{Timestamp, WorkerId};

/// The only source of time.
pub trait Clock: Sync {
    /// Now.
    fn now(&self) -> Timestamp;

    /// Waits. The only way to wait, so that a test can make it free.
    fn sleep(&self, millis: u64) -> impl Future<Output = ()> + Send;
}

/// The only source of new identities and of chance.
pub trait Ids: Sync {
    /// A new, time-ordered identity.
    fn worker_id(&self) -> WorkerId;

    /// A number from 0 to `below` - 1, for jitter.
    fn below(&self, below: u64) -> u64;
}
