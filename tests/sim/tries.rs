//! How often an action is tried: not too often, and not too seldom before it is given up.

use std::collections::BTreeMap;

use app::record::{EventRecord, Stored};
use domain::{ActionKind, Event, Observed, WorkerId};

use crate::world::Inner;

/// How often an action is tried. Said here once more, so that the law does not move with what it judges.
const TRIES: u32 = 5;

/// What was tried.
#[derive(Debug, Default)]
pub(crate) struct Tries {
    /// How often an action was to be tried since somebody asked for it or EC2 was as asked, and by which alternative last.
    counted: BTreeMap<(WorkerId, ActionKind), (u32, Option<u32>)>,
    /// How often what is under way was tried, or what was given up before that, however often it may begin to count afresh.
    made: BTreeMap<(WorkerId, ActionKind), u32>,
    /// Whether it may be tried again after the way in which it failed last.
    may_repeat: BTreeMap<(WorkerId, ActionKind), bool>,
}

impl Inner {
    /// An action has so many tries, counted here and not by the numbers in the facts. It has as many again when somebody asks for
    /// it or lets go of the worker, when EC2 got to where it was asked to go or was brought away from there, when it was carried out,
    /// and when an action that goes before it took its place.
    pub(crate) fn check_tries(&mut self, record: &EventRecord, after: &Stored) {
        let worker = record.worker;
        for event in &record.events {
            match event {
                Event::ActionIssued { action, alternative, .. } => {
                    self.tries.counted.retain(|(of, other), _| *of != worker || other == action);
                    *self.tries.made.entry((worker, *action)).or_default() += 1;
                    let (tries, last) = self.tries.counted.entry((worker, *action)).or_default();
                    // Each alternative of a launch is tried after those before it, and all of them are one try.
                    let moves_on = *tries > 0 && *alternative > *last && last.is_some();
                    *tries += u32::from(!moves_on);
                    *last = *alternative;
                    if *tries > TRIES {
                        let message = format!("{action} of {worker} is tried for the {tries}th time");
                        self.violated(message);
                    }
                }
                Event::DesiredChanged { .. }
                | Event::Released { .. }
                | Event::DesiredReached { .. }
                | Event::DriftDetected { .. }
                | Event::ActionOvertook { .. } => self.tries.counted.retain(|(of, _), _| *of != worker),
                Event::RetryRequested { action, .. } => self.allow_again(worker, *action),
                Event::ActionFailed { action, failure, .. } => {
                    self.tries.may_repeat.insert((worker, *action), action.may_repeat(failure.kind));
                }
                Event::GaveUp { action, .. } => self.check_give_up(worker, *action, after),
                Event::RebootRequested { .. } => self.allow_again(worker, ActionKind::Reboot),
                Event::TagsChanged { .. } | Event::Renamed { .. } => {
                    self.allow_again(worker, ActionKind::Tag)
                }
                Event::ActionAccepted {
                    action: action @ (ActionKind::Reboot | ActionKind::Tag | ActionKind::Locate),
                    ..
                } => self.allow_again(worker, *action),
                _ => {}
            }
        }
        // Of an action that is not under way any more nothing was tried: it ended well, or another took its place.
        let under_way = after.worker.state().attempt.as_ref().map(|attempt| attempt.action);
        self.tries.made.retain(|(of, action), _| *of != worker || under_way == Some(*action));
    }

    fn allow_again(&mut self, worker: WorkerId, action: ActionKind) {
        self.tries.counted.remove(&(worker, action));
    }

    /// What could be tried again is given up after all of its tries, unless EC2 hangs in it.
    fn check_give_up(&mut self, worker: WorkerId, action: ActionKind, after: &Stored) {
        let made = self.tries.made.remove(&(worker, action)).unwrap_or_default();
        let may_repeat = self.tries.may_repeat.remove(&(worker, action)).unwrap_or_default();
        let moving = matches!(
            after.worker.observed(),
            Observed::Pending | Observed::Stopping | Observed::ShuttingDown
        );
        if may_repeat && !moving && made < TRIES {
            self.violated(format!("{action} of {worker} is given up after {made} tries"));
        }
    }
}
