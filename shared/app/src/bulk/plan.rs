//! What a command for many workers would do, and how long EC2 will take: reads the buckets, changes nothing.

use std::collections::BTreeMap;

use domain::{
    Actor, Bulk, BulkAnswer, BulkOutcome, BulkRefusal, CommandId, Forecast, Level, Region, Timestamp, Worker,
};
use jiff::SignedDuration;

use super::{Sought, settled};
use crate::error::StoreError;
use crate::ports::{BucketKey, Buckets, BulkChunk, BulkCommand, BulkItem, CHUNK_SIZE};

/// How long before the first turn in a chunk it falls due. The poll comes by once a minute and the stream takes a moment; what
/// waits in the record is never so little that EC2 waits for us.
const LEAD: SignedDuration = SignedDuration::from_mins(3);

/// How many workers a look at EC2 asks for in one call, and how many calls a look takes: their state and their checks.
const LOOK: (u32, u32) = (100, 2);

/// Plans commands for many workers.
#[derive(Debug)]
pub struct Planner<'a, B> {
    /// The buckets.
    pub buckets: &'a B,
}

/// What a command for many workers would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BulkPlan {
    /// The workers: those that it will be asked of in the order of their turns, then the others.
    pub items: Vec<BulkItem>,
    /// About how many calls to EC2 it takes.
    pub calls: u32,
    /// When EC2 will have been asked for the last of them, if nobody else asks.
    pub ends_at: Timestamp,
    /// The turn of each worker that it will be asked of, in the order of `items`.
    turns: Vec<Timestamp>,
}

impl BulkPlan {
    /// The plan as a command, and its chunks.
    pub fn command(
        &self,
        id: CommandId,
        bulk: Bulk,
        by: Actor,
        at: Timestamp,
    ) -> (BulkCommand, Vec<BulkChunk>) {
        let (planned, others) = self.items.split_at(self.turns.len());
        let number = |index: usize| u32::try_from(index).unwrap_or(u32::MAX);
        let due = |first: &Timestamp| first.checked_sub(LEAD).map_or(at, |due| due.max(at));
        let dues: Vec<Timestamp> =
            self.turns.chunks(CHUNK_SIZE).filter_map(|turns| turns.first().map(due)).collect();
        let open = planned.chunks(CHUNK_SIZE).map(|items| (items, false));
        let chunks: Vec<BulkChunk> = open
            .chain(others.chunks(CHUNK_SIZE).map(|items| (items, true)))
            .enumerate()
            .map(|(index, (items, finished))| BulkChunk {
                number: number(index),
                items: items.to_vec(),
                finished,
            })
            .collect();
        let command = BulkCommand {
            id,
            bulk,
            by,
            at,
            calls: self.calls,
            ends_at: self.ends_at,
            due: dues.first().copied(),
            dues,
            chunks: number(chunks.len()),
            next: 0,
            cancelled: None,
        };
        (command, chunks)
    }
}

impl<B: Buckets> Planner<'_, B> {
    /// What the command would do at `at` to these workers, each named once.
    ///
    /// # Errors
    /// A failed table.
    pub async fn plan(
        &self,
        bulk: &Bulk,
        by: &Actor,
        at: Timestamp,
        workers: &[Sought],
    ) -> Result<BulkPlan, StoreError> {
        let mut groups: BTreeMap<Option<BucketKey>, Vec<BulkItem>> = BTreeMap::new();
        let mut others = Vec::new();
        let mut looks: BTreeMap<&Region, u32> = BTreeMap::new();
        for sought in workers {
            let worker = match sought {
                Sought::Known(stored) => Some(&stored.worker),
                Sought::Absent(_) | Sought::Unreadable(_) => None,
            };
            let item = foresee(sought, bulk, by, at);
            match worker.filter(|_| item.outcome == BulkOutcome::Planned) {
                Some(worker) => {
                    if bulk.action().is_none() {
                        *looks.entry(&worker.state().region).or_default() += 1;
                    }
                    groups.entry(bucket(worker, bulk)).or_default().push(item);
                }
                None => others.push(item),
            }
        }
        let mut calls = looks.values().map(|workers| workers.div_ceil(LOOK.0) * LOOK.1).sum::<u32>();
        let mut planned = Vec::new();
        for (key, items) in groups {
            let forecast = match &key {
                Some(key) => self.forecast(key, at).await?,
                None => None,
            };
            calls +=
                forecast.map_or(0, |forecast| forecast.calls(u32::try_from(items.len()).unwrap_or(u32::MAX)));
            let turn = |number| forecast.map_or(at, |forecast| forecast.nth(number));
            planned.extend((0..).zip(items).map(|(number, item)| (turn(number), item)));
        }
        // Stable: within one bucket the order is the caller's.
        planned.sort_by_key(|(turn, _)| *turn);
        let (turns, mut items): (Vec<Timestamp>, Vec<BulkItem>) = planned.into_iter().unzip();
        items.extend(others);
        let ends_at = turns.last().copied().unwrap_or(at);
        Ok(BulkPlan { items, calls, ends_at, turns })
    }

    async fn forecast(&self, key: &BucketKey, at: Timestamp) -> Result<Option<Forecast>, StoreError> {
        let Some(limits) = key.action.limits() else { return Ok(None) };
        Ok(Some(Level::forecast(self.buckets.level(key).await?, &limits, at)))
    }
}

/// What EC2 throttles the worker's action by; `None` if EC2 is not asked for it.
fn bucket(worker: &Worker, bulk: &Bulk) -> Option<BucketKey> {
    let state = worker.state();
    let (account, region) = (state.account.clone(), state.region.clone());
    let action = bulk.action().filter(|_| state.instance.is_some())?;
    Some(BucketKey { account, region, action })
}

fn foresee(sought: &Sought, bulk: &Bulk, by: &Actor, at: Timestamp) -> BulkItem {
    let worker = sought.id();
    let (name, (outcome, refusal)) = match sought {
        Sought::Known(stored) => {
            let outcome = match stored.worker.answer(bulk, at, by.clone(), at) {
                BulkAnswer::Takes(_) => (BulkOutcome::Planned, None),
                answer => settled(worker, Some(answer)),
            };
            (Some(stored.worker.state().name.clone()), outcome)
        }
        Sought::Absent(_) => (None, settled(worker, None)),
        Sought::Unreadable(_) => {
            let text =
                "its record cannot be read, so nobody knows what it would make of it; the fault is logged";
            (None, (BulkOutcome::Refused, Some((BulkRefusal::Failed, text.to_owned()))))
        }
    };
    BulkItem { worker, name, outcome, refusal }
}
