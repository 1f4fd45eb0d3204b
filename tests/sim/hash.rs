//! A hash that is the same in every run of one build: it compares runs, and makes chance of what something is.

use std::hash::{BuildHasher, Hash};

use foldhash::quality::FixedState;

/// The hash of something, all its bits as good as chance.
pub(crate) fn hash(what: impl Hash) -> u64 {
    FixedState::with_seed(0).hash_one(what)
}
