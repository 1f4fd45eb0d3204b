//! What telling came to.

use serde::Serialize;

use super::lane::Lane;
use crate::error::StoreError;

/// What became of a batch or a sweep, counted. A delivery is one notice on one channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct Report {
    /// Records looked at.
    pub records: usize,
    /// Records that could not be read, and were left behind.
    pub undecodable: usize,
    /// Notices made of the records.
    pub notices: usize,
    /// Deliveries that were due again.
    pub due: usize,
    /// Deliveries made.
    pub delivered: usize,
    /// Messages that told several notices at once.
    pub digests: usize,
    /// Deliveries left to the next sweep.
    pub deferred: usize,
    /// Deliveries that failed and will be tried again.
    pub retrying: usize,
    /// Deliveries given up for good.
    pub parked: usize,
    /// Deliveries not made because they had been, or were in other hands.
    pub repeated: usize,
    /// Records that have to be told again, because the ledger could not be used.
    pub failed: usize,
}

impl Report {
    pub(super) fn add(&mut self, other: &Self) {
        let Self {
            records,
            undecodable,
            notices,
            due,
            delivered,
            digests,
            deferred,
            retrying,
            parked,
            repeated,
            failed,
        } = other;
        self.records += records;
        self.undecodable += undecodable;
        self.notices += notices;
        self.due += due;
        self.delivered += delivered;
        self.digests += digests;
        self.deferred += deferred;
        self.retrying += retrying;
        self.parked += parked;
        self.repeated += repeated;
        self.failed += failed;
    }
}

/// How telling ended.
#[derive(Debug)]
pub struct Told {
    /// What became of it.
    pub report: Report,
    /// The first record, by its place in the batch, that has to be told again. Those before it are told.
    pub first_failed: Option<usize>,
    /// Why: the ledger or the outbox could not be used.
    pub error: Option<StoreError>,
}

impl Told {
    /// Adds what else was told in the same invocation.
    pub(super) fn absorb(&mut self, other: Self) {
        self.report.add(&other.report);
        self.first_failed = self.first_failed.or(other.first_failed);
        self.error = self.error.take().or(other.error);
    }
}

impl From<Lane> for Told {
    fn from(lane: Lane) -> Self {
        let Lane { mut report, unsettled, error } = lane;
        report.failed = unsettled.len();
        Self { report, first_failed: unsettled.first().copied(), error }
    }
}
