//! The index of living workers, which follows its table some time later.

use std::collections::{BTreeMap, VecDeque};

use app::ports::Watch;
use app::record::Stored;
use domain::{Region, WorkerId};
use tests::world::watch;

/// How the index shows a worker, if it does.
type Shown = Option<(Region, Watch)>;

/// What the index will show, and when.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    visible: BTreeMap<WorkerId, (Region, Watch)>,
    coming: VecDeque<(i64, WorkerId, Shown)>,
}

impl Indexes {
    /// A worker was written.
    pub(crate) fn written(&mut self, now: i64, stored: &Stored) {
        let shown = watch(stored).map(|watch| (stored.worker.state().region.clone(), watch));
        self.coming.push_back((now, stored.worker.id(), shown));
    }

    /// The index of a region as it is when everything written before `until` has arrived.
    pub(crate) fn watches(&mut self, region: &Region, until: i64) -> Vec<Watch> {
        while self.coming.front().is_some_and(|(at, ..)| *at <= until) {
            match self.coming.pop_front() {
                Some((_, worker, Some(shown))) => drop(self.visible.insert(worker, shown)),
                Some((_, worker, None)) => drop(self.visible.remove(&worker)),
                None => break,
            }
        }
        self.visible.values().filter(|(of, _)| of == region).map(|(_, watch)| watch.clone()).collect()
    }

    /// Something that was written before `until` has still to arrive.
    pub(crate) fn is_behind(&self, until: i64) -> bool {
        self.coming.front().is_some_and(|(at, ..)| *at <= until)
    }
}
