//! That a worker has no instance is said only once no launch of it may show one any more.

use std::collections::BTreeMap;

use app::record::{EventRecord, Stored};
use domain::{ActionKind, Event, FailureKind, WorkerId};

use crate::world::{Inner, SECOND};

/// How long EC2 may take until it shows an instance of its own, less what clocks and a write may differ by. Said here once more, so
/// that the law does not move with what it judges.
const SHOWS_WITHIN: i64 = (5 * 60 - 5) * SECOND;

/// Launches that may have happened, by when it was recorded that they were to be called for.
#[derive(Debug, Default)]
pub(crate) struct Launches {
    /// The last one, until it is clear that nothing came of it.
    last: BTreeMap<WorkerId, i64>,
    /// The newest of those before it that were not clear when another took their place.
    earlier: BTreeMap<WorkerId, i64>,
}

impl Inner {
    /// A worker was written.
    pub(crate) fn check_launches(&mut self, record: &EventRecord, after: &Stored) {
        let (worker, now) = (record.worker, self.now);
        for event in &record.events {
            match event {
                Event::ActionIssued { action: ActionKind::Launch, .. } => {
                    if let Some(replaced) = self.launches.last.insert(worker, now) {
                        self.launches.earlier.insert(worker, replaced);
                    }
                }
                Event::ActionFailed { action: ActionKind::Launch, failure, .. } => match failure.kind {
                    FailureKind::Other | FailureKind::Overdue | FailureKind::AlreadyLaunched => {}
                    // To be asked to slow down is clear here: nobody on the way to this EC2 sends a call again.
                    _ => {
                        self.launches.last.remove(&worker);
                    }
                },
                Event::Terminated { .. } if after.worker.state().instance.is_none() => {
                    self.check_none(worker);
                }
                _ => {}
            }
        }
        if after.worker.state().instance.is_some() || after.worker.is_over() {
            self.launches.last.remove(&worker);
            self.launches.earlier.remove(&worker);
        }
    }

    /// A worker is said to have no instance.
    fn check_none(&mut self, worker: WorkerId) {
        let Launches { last, earlier } = &self.launches;
        let called = last.get(&worker).max(earlier.get(&worker));
        let since = called.map(|called| self.now - called).filter(|since| *since < SHOWS_WITHIN);
        if let Some(since) = since {
            self.violated(format!(
                "{worker} is said to have no instance {since} ms after a launch without a clear answer"
            ));
        }
    }
}
