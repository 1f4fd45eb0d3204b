//! A season later: nobody was there, and what has a time to live is deleted, item by item and in no order, while the schedule
//! has begun to come by again.
//!
//! Facts: "Using time to live (TTL) in DynamoDB" (expired items are deleted within days, each deletion is in the stream).

use std::collections::BTreeSet;

use domain::WorkerId;
use tests::world::{Mortal, State};

use crate::trace::Step;
use crate::world::{Due, MINUTE, World, time};

const DAY: i64 = 24 * 60 * MINUTE;
/// How long what has expired takes to go.
const GOING: i64 = 20 * MINUTE;
/// After how long all has to be in order once more.
pub(crate) const AFTERWARDS: i64 = 30 * MINUTE;

/// The workers that live.
pub(crate) fn living(tables: &State) -> BTreeSet<WorkerId> {
    tables
        .workers
        .values()
        .filter(|stored| !stored.worker.is_over())
        .map(|stored| stored.worker.id())
        .collect()
}

impl World {
    /// Moves time on, and puts the end of whatever has a time to live on the queue.
    pub(crate) fn season(&self) {
        let tables = self.tables.state();
        let mut inner = self.inner();
        let kept = inner.wiring.kept;
        // Longer than anything is kept.
        let season = (i64::from(kept.events.max(kept.telemetry)) + 1) * DAY;
        inner.now += season;
        inner.skipped += season;
        inner.step(Step::Season);
        for item in tables.overdue(time(inner.now), kept) {
            let at = inner.chance.between(0, GOING);
            inner.after(at, Due::Expire(item));
        }
    }

    /// The table deletes an item.
    pub(crate) fn expire(&self, item: &Mortal) {
        let mut tables = self.tables.state();
        let mut inner = self.inner();
        if let Mortal::Facts(worker, version) = item
            && let Some(record) = tables.facts.get(&(*worker, *version))
        {
            inner.stream_out(record);
        }
        tables.expire(item);
        let now = inner.now;
        match item {
            Mortal::Facts(worker, version) => inner.indexes.wrote_facts(now, (*worker, *version), &tables),
            Mortal::Command(id) => inner.indexes.wrote_command(now, *id, &tables),
            _ => {}
        }
    }
}
