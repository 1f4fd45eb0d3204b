//! More than a day without the stream's mappings: somebody switches them off, a script changes all workers, and nobody is
//! there until the stream has dropped what it had. Then the schedule comes by again, and finds it all in the tables.

use domain::Desired;

use crate::season::living;
use crate::stream;
use crate::world::{MINUTE, SECOND, World};

/// For how long facts are written that no mapping brings: less than the three minutes for which the sweep of `notify` leaves
/// them to the stream.
pub(crate) const BEFORE_IT: i64 = 20 * SECOND;

impl World {
    /// The mappings are off, and all workers that live are changed.
    pub(crate) fn begin_day_off(&self) {
        let living = living(&self.tables.state());
        let mut inner = self.inner();
        inner.switch_off();
        inner.change_all(living);
    }

    /// Nothing came into the stream though there was somebody to change: who is to end is not changed any more.
    pub(crate) fn came_to_nothing(&self) -> bool {
        let tables = self.tables.state();
        let mut living = tables.workers.values().filter(|stored| !stored.worker.is_over());
        let some = living.any(|stored| stored.worker.state().desired != Desired::Terminated);
        some && self.inner().stream.is_drained()
    }

    /// More than a day is over, and the mappings are on again.
    pub(crate) fn end_day_off(&self) {
        let mut inner = self.inner();
        let day = stream::KEPT + 60 * MINUTE;
        inner.now += day;
        inner.skipped += day;
        inner.switch_on();
    }
}
