//! Which channels failed a moment ago, so that the stream does not wait for them again.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::Timestamp;
use jiff::SignedDuration;

/// How long a channel is left to the sweep after a failure. One try is made then, and all is as before or it is left
/// alone again.
const PAUSE: SignedDuration = SignedDuration::from_secs(60);

/// Remembers failures for as long as the environment lives. Losing it costs one slow try.
#[derive(Debug, Default)]
pub(super) struct Breaker(Mutex<BTreeMap<String, Timestamp>>);

impl Breaker {
    /// The channel may be tried at once.
    pub(super) fn is_closed(&self, channel: &str, now: Timestamp) -> bool {
        self.lock().get(channel).is_none_or(|until| now >= *until)
    }

    /// The channel failed.
    pub(super) fn trip(&self, channel: &str, now: Timestamp) {
        self.lock().insert(channel.to_owned(), now + PAUSE);
    }

    /// The channel works.
    pub(super) fn reset(&self, channel: &str) {
        self.lock().remove(channel);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Timestamp>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
