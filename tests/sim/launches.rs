//! What may come of launches that nobody got a clear answer to.

use std::collections::BTreeMap;

use app::record::{EventRecord, Stored};
use domain::{ActionKind, Event, FailureKind, WorkerId};

use crate::world::{Inner, SECOND};

/// How long EC2 may take until it shows an instance of its own. Said here once more, so that the law does not move with what it
/// judges.
const SHOWS_WITHIN: i64 = 5 * 60 * SECOND;

/// When launches that may have happened were to be called for.
#[derive(Debug, Default)]
pub(crate) struct Launches {
    /// The last one, until it is clear what came of it.
    last: BTreeMap<WorkerId, i64>,
    /// The one before, if that was not clear when another took its place.
    earlier: BTreeMap<WorkerId, i64>,
}

impl Inner {
    /// A worker was written. That it has no instance is said only once none of its launches may show any more.
    pub(crate) fn check_launches(&mut self, record: &EventRecord, after: &Stored) {
        let worker = record.worker;
        for event in &record.events {
            let launches = &mut self.launches;
            match event {
                Event::ActionIssued { action: ActionKind::Launch, at, .. } => {
                    if let Some(unclear) = launches.last.insert(worker, at.as_millisecond()) {
                        launches.earlier.insert(worker, unclear);
                    }
                }
                Event::ActionFailed { action: ActionKind::Launch, failure, .. } => {
                    let unclear = matches!(
                        failure.kind,
                        FailureKind::Other | FailureKind::Overdue | FailureKind::AlreadyLaunched
                    );
                    if !unclear {
                        launches.last.remove(&worker);
                    }
                }
                Event::Terminated { at, .. } if after.worker.state().instance.is_none() => {
                    let [last, earlier] = [&launches.last, &launches.earlier].map(|of| of.get(&worker));
                    let unclear = last.max(earlier).map(|called| at.as_millisecond() - called);
                    if let Some(since) = unclear.filter(|since| *since < SHOWS_WITHIN) {
                        let message = format!(
                            "{worker} is said to have no instance {since} ms after a launch without a clear answer"
                        );
                        self.violated(message);
                    }
                }
                _ => {}
            }
        }
        if after.worker.state().instance.is_some() || after.worker.is_over() {
            self.launches.last.remove(&worker);
            self.launches.earlier.remove(&worker);
        }
    }
}
