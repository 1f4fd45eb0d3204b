//! When a shard is described though nothing seems to have happened.
//!
//! `DescribeInstanceStatus` tells no address. Whoever stops and starts an instance between two looks, or associates an elastic
//! address with one that runs, leaves the record with the one before, unless an event tells. So a shard is described once an
//! hour: one call more for a hundred workers, free of charge.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::{Timestamp, WorkerId};
use jiff::SignedDuration;

/// How old a description becomes.
const KEPT: SignedDuration = SignedDuration::from_hours(1);

/// When workers were described last, as far as this environment did it. Only saves calls: who is not known is described.
#[derive(Debug, Default)]
pub(super) struct Descriptions(Mutex<BTreeMap<WorkerId, Timestamp>>);

impl Descriptions {
    /// Whether the description of any of these is too old.
    pub(super) fn are_old(&self, mut workers: impl Iterator<Item = WorkerId>, now: Timestamp) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        workers.any(|worker| known.get(&worker).is_none_or(|at| now.duration_since(*at) >= KEPT))
    }

    /// These were asked about, and EC2 answered.
    pub(super) fn note(&self, workers: impl Iterator<Item = WorkerId>, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, at| now.duration_since(*at) < KEPT);
        known.extend(workers.map(|worker| (worker, now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).expect("a time")
    }

    fn workers(numbers: std::ops::Range<u128>) -> impl Iterator<Item = WorkerId> {
        numbers.map(|number| WorkerId::new(uuid::Uuid::from_u128(number << 64)))
    }

    #[test]
    fn who_is_not_known_is_described_and_then_once_an_hour() {
        let descriptions = Descriptions::default();
        let described = (0..180).filter(|minute| {
            let old = descriptions.are_old(workers(0..3), at(*minute));
            if old {
                descriptions.note(workers(0..3), at(*minute));
            }
            old
        });
        assert_eq!(described.collect::<Vec<_>>(), [0, 60, 120]);
    }

    #[test]
    fn one_that_is_old_is_enough() {
        let descriptions = Descriptions::default();
        descriptions.note(workers(0..3), at(0));
        assert!(!descriptions.are_old(workers(0..3), at(59)));
        assert!(descriptions.are_old(workers(0..4), at(59)));
        assert!(!descriptions.are_old(workers(0..0), at(90)));
    }

    #[test]
    fn workers_that_are_gone_are_forgotten() {
        let descriptions = Descriptions::default();
        descriptions.note(workers(0..1), at(0));
        descriptions.note(workers(1..2), at(60));
        assert_eq!(descriptions.0.lock().expect("not poisoned").len(), 1);
    }
}
