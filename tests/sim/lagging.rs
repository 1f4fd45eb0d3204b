//! The index of living workers, which follows its table some time later.

use std::collections::{BTreeMap, VecDeque};

use app::ports::Watch;
use app::record::Stored;
use domain::WorkerId;
use tests::world::watch;

/// What the index will show, and when.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    visible: BTreeMap<WorkerId, Watch>,
    coming: VecDeque<(i64, WorkerId, Option<Watch>)>,
}

impl Indexes {
    /// A worker was written.
    pub(crate) fn written(&mut self, now: i64, stored: &Stored) {
        self.coming.push_back((now, stored.worker.id(), watch(stored)));
    }

    /// The index as it is when everything written before `until` has arrived.
    pub(crate) fn watches(&mut self, until: i64) -> Vec<Watch> {
        while self.coming.front().is_some_and(|(at, ..)| *at <= until) {
            match self.coming.pop_front() {
                Some((_, worker, Some(watch))) => drop(self.visible.insert(worker, watch)),
                Some((_, worker, None)) => drop(self.visible.remove(&worker)),
                None => break,
            }
        }
        self.visible.values().cloned().collect()
    }
}
