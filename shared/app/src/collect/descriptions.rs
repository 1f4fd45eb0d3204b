//! When an instance is described though nothing seems to have happened.
//!
//! `DescribeInstanceStatus` tells no address. Whoever stops and starts an instance between two looks, or associates an elastic
//! address, leaves the record with the one before, unless an event tells. So each is described once an hour: one call more for
//! those that are due together, in each environment, and free of charge.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use domain::{Timestamp, WorkerId};
use jiff::SignedDuration;

use super::Answers;
use crate::record::Stored;

/// How old a description becomes before it is replaced. With the usual interval of five minutes that makes an hour at most.
const KEPT: SignedDuration = SignedDuration::from_mins(55);

/// When workers were described last, as far as this environment did it. Only saves calls: who is not known is described.
#[derive(Debug, Default)]
pub(super) struct Descriptions(Mutex<BTreeMap<WorkerId, Timestamp>>);

impl Answers {
    /// Whether a record says what the description does: news that came by an event hides one that is hardly older.
    pub(super) fn are_recorded(&self, stored: &Stored) -> bool {
        let state = stored.worker.state();
        let reason = state.sighting.as_ref().and_then(|sighting| sighting.state_reason.as_ref());
        state.instance.as_ref().and_then(|id| self.description(id)).is_some_and(|full| {
            full.public_ip == state.public_ip
                && (full.state_reason.is_none() || full.state_reason.as_ref() == reason)
        })
    }
}

impl Descriptions {
    /// Whether a worker was not described for long.
    pub(super) fn is_old(&self, worker: WorkerId, now: Timestamp) -> bool {
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.get(&worker).is_none_or(|at| now.duration_since(*at) >= KEPT)
    }

    /// What EC2 says of these is on record.
    pub(super) fn note(&self, workers: impl IntoIterator<Item = WorkerId>, now: Timestamp) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, at| now.duration_since(*at) < KEPT);
        known.extend(workers.into_iter().map(|worker| (worker, now)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + minute * 60).expect("a time")
    }

    fn worker(number: u128) -> WorkerId {
        WorkerId::new(uuid::Uuid::from_u128(number << 64))
    }

    #[test]
    fn who_is_not_known_is_described_and_then_about_once_an_hour() {
        let descriptions = Descriptions::default();
        descriptions.note([worker(2)], at(0));
        let described = (0..180).filter(|minute| {
            let old = descriptions.is_old(worker(1), at(*minute));
            if old {
                descriptions.note([worker(1)], at(*minute));
            }
            old
        });
        assert_eq!(described.collect::<Vec<_>>(), [0, 55, 110, 165]);
    }

    #[test]
    fn workers_that_are_gone_are_forgotten() {
        let descriptions = Descriptions::default();
        descriptions.note([worker(1)], at(0));
        descriptions.note([worker(2)], at(55));
        assert_eq!(descriptions.0.lock().expect("not poisoned").len(), 1);
    }
}
