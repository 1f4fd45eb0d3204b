//! What EC2's answer to a call means: the facts of it.

use domain::{Action, Details, Event, Evidence, Failure, Finding, InstanceId, Source, Timestamp, Worker};
use jiff::{RoundMode, TimestampRound, Unit};

use crate::collect::details;
use crate::fleet::Fleet;
use crate::ports::{Accepted, Clock, Instance, Workers};

/// What EC2 said, if it did not refuse.
pub(super) enum Answer {
    Accepted(Accepted),
    Located(Option<Instance>),
}

impl Answer {
    /// The instance it speaks of.
    pub(super) const fn instance(&self) -> Option<&InstanceId> {
        match self {
            Self::Accepted(accepted) => Some(&accepted.instance),
            Self::Located(Some(instance)) => Some(&instance.instance),
            Self::Located(None) => None,
        }
    }
}

/// Of several instances with one worker's tag, the one that is still there.
pub(super) fn liveliest(instances: Vec<Instance>) -> Option<Instance> {
    instances
        .into_iter()
        .min_by_key(|i| matches!(i.observed, domain::Observed::ShuttingDown | domain::Observed::Terminated))
}

/// The facts of an answer. The worker may have moved on since the call; what EC2 did is true all the same.
pub(super) fn facts<W: Workers, K: Clock>(
    fleet: &Fleet<'_, W, K>,
    worker: &Worker,
    action: &Action,
    answer: &Result<Answer, Failure>,
    called_at: Timestamp,
    now: Timestamp,
) -> Vec<Event> {
    let kind = action.kind();
    let accepted = Event::ActionAccepted { action: kind, at: now };
    let mut events = match answer {
        Err(failure) => vec![worker.action_failed(kind, failure.clone(), now)],
        Ok(Answer::Located(None)) if worker.state().instance.is_none() => vec![worker.not_located(now)],
        Ok(Answer::Located(None)) => vec![accepted],
        Ok(Answer::Located(Some(instance))) => {
            let launched = Event::Launched { instance: instance.instance.clone(), at: called_at };
            vec![accepted, launched, worker.tags_found(&instance.tags)]
        }
        Ok(Answer::Accepted(Accepted { instance, .. })) => match action {
            Action::Launch { tags, .. } => vec![
                accepted,
                Event::Launched { instance: instance.clone(), at: called_at },
                worker.tags_found(tags),
            ],
            Action::Tag { set, remove, .. } => {
                vec![accepted, Event::TagsApplied { set: set.clone(), removed: remove.clone() }]
            }
            Action::Locate
            | Action::Start(_)
            | Action::Stop(_)
            | Action::Reboot(_)
            | Action::Terminate(_) => vec![accepted],
        },
    };
    if let Some(evidence) = evidence(answer, called_at, now) {
        let learnt = fleet.learn(&worker.with(&events), &[evidence]);
        events.extend(learnt);
    }
    events
}

/// What the answer says about the instance's state.
fn evidence(answer: &Result<Answer, Failure>, called_at: Timestamp, now: Timestamp) -> Option<Evidence> {
    let (observed, details, source) = match answer {
        Ok(Answer::Accepted(Accepted { observed: Some(observed), launched, .. })) => {
            let details = launched.as_ref().map(details).unwrap_or_default();
            (*observed, details, Source::Response)
        }
        Ok(Answer::Located(Some(instance))) => (instance.observed, details(instance), Source::Describe),
        Ok(Answer::Accepted(_) | Answer::Located(None)) | Err(_) => return None,
    };
    // EC2 stamps its events to the second; an answer must not look newer than the event it caused.
    let floor = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
    let at = called_at.round(floor).unwrap_or(called_at);
    let details: Details = details;
    Some(Evidence { finding: Finding::State { observed, details }, source, at, seen_at: now })
}
