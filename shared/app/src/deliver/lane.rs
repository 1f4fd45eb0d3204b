//! One channel's share of a batch.

use std::collections::BTreeSet;

use super::Report;
use crate::error::StoreError;

/// How many calls to a table or an endpoint are under way at once.
pub(super) const AT_ONCE: usize = 8;

/// What became of one channel's share.
#[derive(Debug, Default)]
pub(super) struct Lane {
    pub(super) report: Report,
    /// The records, by their place in the batch, that have something the ledger does not know of yet.
    pub(super) unsettled: BTreeSet<usize>,
    /// Why.
    pub(super) error: Option<StoreError>,
}

impl Lane {
    /// The ledger cannot be used: these records have to come again.
    pub(super) fn fail(&mut self, records: impl IntoIterator<Item = usize>, error: StoreError) {
        self.unsettled.extend(records);
        self.error.get_or_insert(error);
    }

    /// Adds the outcome of another channel.
    pub(super) fn absorb(&mut self, other: Self) {
        self.report.add(&other.report);
        self.unsettled.extend(other.unsettled);
        self.error = self.error.take().or(other.error);
    }

    /// Counts one delivery.
    pub(super) fn count(&mut self, ended: Ended) {
        match ended {
            Ended::Delivered => self.report.delivered += 1,
            Ended::Deferred => self.report.deferred += 1,
            Ended::Retrying => self.report.retrying += 1,
            Ended::Parked => self.report.parked += 1,
            Ended::Repeated => self.report.repeated += 1,
        }
    }
}

/// How one delivery ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// Made.
    Delivered,
    /// Left to the next sweep, untried.
    Deferred,
    /// Failed, and entered for another try.
    Retrying,
    /// Given up.
    Parked,
    /// Made before, or in other hands.
    Repeated,
}
