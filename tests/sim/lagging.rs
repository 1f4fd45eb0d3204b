//! The indexes, which follow their tables some time later: until then they hide what is new, and show what is over.

use std::collections::{BTreeMap, VecDeque};

use app::ports::Watch;
use app::record::Stored;
use domain::{CommandId, Region, Timestamp, WorkerId};
use tests::world::{Entry, State, watch};

/// An index: what it shows of an item, if it does, and what it will.
#[derive(Debug)]
pub(crate) struct Index<K, V> {
    visible: BTreeMap<K, V>,
    coming: VecDeque<(i64, K, Option<V>)>,
}

impl<K, V> Default for Index<K, V> {
    fn default() -> Self {
        Self { visible: BTreeMap::new(), coming: VecDeque::new() }
    }
}

impl<K: Ord, V> Index<K, V> {
    /// An item was written, and is to be shown like this; `None` if it is not in the index any more.
    fn written(&mut self, now: i64, key: K, shown: Option<V>) {
        self.coming.push_back((now, key, shown));
    }

    /// The index as it is when everything written before `until` has arrived.
    pub(crate) fn at(&mut self, until: i64) -> &BTreeMap<K, V> {
        while let Some((_, key, shown)) = self.coming.pop_front_if(|(at, ..)| *at <= until) {
            match shown {
                Some(shown) => drop(self.visible.insert(key, shown)),
                None => drop(self.visible.remove(&key)),
            }
        }
        &self.visible
    }

    /// Something that was written before `until` has still to arrive.
    pub(crate) fn is_behind(&self, until: i64) -> bool {
        self.coming.front().is_some_and(|(at, ..)| *at <= until)
    }
}

/// What the index of deliveries that are due shows of one: when, how often it was tried, and since when.
pub(crate) type Due = (Timestamp, u32, Timestamp);

/// All indexes.
#[derive(Debug, Default)]
pub(crate) struct Indexes {
    /// The living workers.
    pub(crate) living: Index<WorkerId, (Region, Watch)>,
    /// Facts that nobody was told of yet, and since when.
    pub(crate) outbox: Index<(WorkerId, u64), Timestamp>,
    /// Deliveries, by notice and channel.
    pub(crate) deliveries: Index<(String, String), Due>,
    /// Commands for many workers that go on, and when.
    pub(crate) commands: Index<CommandId, Timestamp>,
}

impl Indexes {
    /// A worker was written.
    pub(crate) fn wrote_worker(&mut self, now: i64, stored: &Stored) {
        let shown = watch(stored).map(|watch| (stored.worker.state().region.clone(), watch));
        self.living.written(now, stored.worker.id(), shown);
    }

    /// Facts were written, told or deleted.
    pub(crate) fn wrote_facts(&mut self, now: i64, key: (WorkerId, u64), tables: &State) {
        let facts = tables.facts.get(&key).filter(|_| tables.untold.contains(&key));
        self.outbox.written(now, key, facts.map(|record| record.at));
    }

    /// An entry of the ledger was written.
    pub(crate) fn wrote_delivery(&mut self, now: i64, key: (String, String), tables: &State) {
        let shown = |entry: &Entry| Some((entry.due?, entry.attempts, entry.first_at));
        let shown = tables.ledger.get(&key).and_then(shown);
        self.deliveries.written(now, key, shown);
    }

    /// A command was written or deleted.
    pub(crate) fn wrote_command(&mut self, now: i64, id: CommandId, tables: &State) {
        let due = tables.commands.get(&id).and_then(|command| command.due);
        self.commands.written(now, id, due);
    }
}
