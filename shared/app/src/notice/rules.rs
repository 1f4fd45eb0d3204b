//! Who is told of a fact, and how urgently.

use domain::{Actor, AlertKind, Event, Status, Timestamp};

use super::{Reach, Severity};

/// Who is told of `event`, which is one of `all` facts of a record; `None` for bookkeeping.
///
/// Bookkeeping is what only moves the worker's own record along: a sighting that confirms what was known, a single
/// miss or failed call (the alert they may lead to is told), a goal reached or overtaken (the status says so), a
/// place in a queue, and the tags known to be on the instance.
pub(super) fn reach(event: &Event, all: &[Event]) -> Option<Reach> {
    match event {
        Event::InstanceObserved { confirms: true, .. }
        | Event::InstanceNotFound { .. }
        | Event::ObservationFailed { .. }
        | Event::DesiredReached { .. }
        | Event::ActionOvertook { .. }
        | Event::ActionQueued { .. }
        | Event::TagsApplied { .. } => None,

        // A failed action is tried again, or `gave_up` says that it is not.
        Event::InstanceObserved { .. }
        | Event::ActionIssued { .. }
        | Event::ActionAccepted { .. }
        | Event::ActionFailed { .. }
        | Event::Launched { .. }
        | Event::TagsChanged { .. }
        | Event::RetryRequested { .. } => Some(Reach::Systems),

        Event::StatusChanged { .. } => Some(everyone_if(!all.iter().any(explains_status))),
        Event::HealthChanged { from, to } => {
            Some(everyone_if(to.is_impaired() || from.is_some_and(|health| health.is_impaired())))
        }
        // What the policy decided is told with the drift, and what ended the worker at once with its end.
        Event::DesiredChanged { by, .. } => {
            let ended = all.iter().any(|event| matches!(event, Event::Terminated { .. }));
            Some(everyone_if(*by != Actor::Policy && !ended))
        }

        // What a worker is born with is no change.
        Event::ProtectionChanged { .. } => Some(everyone_if(!all.iter().any(is_birth))),

        Event::Created { .. }
        | Event::Imported { .. }
        | Event::Renamed { .. }
        | Event::SettingsChanged { .. }
        | Event::Held { .. }
        | Event::Released { .. }
        | Event::RebootRequested { .. }
        | Event::Forgotten { .. }
        | Event::DriftDetected { .. }
        | Event::DriftResolved { .. }
        | Event::GaveUp { .. }
        | Event::AlertRaised { .. }
        | Event::AlertResolved { .. }
        | Event::Terminated { .. } => Some(Reach::Everyone),
    }
}

const fn is_birth(event: &Event) -> bool {
    matches!(event, Event::Created { .. } | Event::Imported { .. })
}

const fn everyone_if(everyone: bool) -> Reach {
    if everyone { Reach::Everyone } else { Reach::Systems }
}

/// A fact that says itself why the status in the same record changed. Of an action of ours, whatever called for it
/// has been told already. An alert about load says nothing about the status.
const fn explains_status(event: &Event) -> bool {
    match event {
        Event::Created { .. }
        | Event::Imported { .. }
        | Event::DesiredChanged { .. }
        | Event::DriftDetected { .. }
        | Event::DriftResolved { .. }
        | Event::ActionIssued { .. }
        | Event::GaveUp { .. }
        | Event::Terminated { .. } => true,
        Event::AlertRaised { alert } => explains(alert.kind),
        Event::AlertResolved { kind, .. } => explains(*kind),
        Event::Renamed { .. }
        | Event::TagsChanged { .. }
        | Event::SettingsChanged { .. }
        | Event::Held { .. }
        | Event::Released { .. }
        | Event::ProtectionChanged { .. }
        | Event::RebootRequested { .. }
        | Event::RetryRequested { .. }
        | Event::Forgotten { .. }
        | Event::InstanceObserved { .. }
        | Event::InstanceNotFound { .. }
        | Event::ObservationFailed { .. }
        | Event::StatusChanged { .. }
        | Event::HealthChanged { .. }
        | Event::DesiredReached { .. }
        | Event::ActionOvertook { .. }
        | Event::ActionQueued { .. }
        | Event::ActionAccepted { .. }
        | Event::ActionFailed { .. }
        | Event::Launched { .. }
        | Event::TagsApplied { .. } => false,
    }
}

const fn explains(kind: AlertKind) -> bool {
    matches!(kind, AlertKind::Missing | AlertKind::Unobservable)
}

/// How urgent a fact is: what was asked for is `info`, what was not is `warning`, what cml-fleet cannot or will not
/// put right by itself and may cost work is `critical`.
pub(super) fn severity(event: &Event) -> Severity {
    match event {
        Event::GaveUp { action, .. } if !action.drives() => Severity::Warning,
        Event::GaveUp { .. } | Event::Terminated { expected: false, .. } => Severity::Critical,
        Event::DriftDetected { .. } | Event::AlertRaised { .. } | Event::ActionFailed { .. } => {
            Severity::Warning
        }
        Event::StatusChanged { to: Status::Failed | Status::Unknown, .. } => Severity::Warning,
        Event::HealthChanged { to, .. } if to.is_impaired() => Severity::Warning,
        Event::StatusChanged { .. }
        | Event::HealthChanged { .. }
        | Event::Created { .. }
        | Event::Imported { .. }
        | Event::Renamed { .. }
        | Event::TagsChanged { .. }
        | Event::SettingsChanged { .. }
        | Event::Held { .. }
        | Event::Released { .. }
        | Event::ProtectionChanged { .. }
        | Event::DesiredChanged { .. }
        | Event::RebootRequested { .. }
        | Event::RetryRequested { .. }
        | Event::Forgotten { .. }
        | Event::InstanceObserved { .. }
        | Event::InstanceNotFound { .. }
        | Event::ObservationFailed { .. }
        | Event::DesiredReached { .. }
        | Event::DriftResolved { .. }
        | Event::ActionOvertook { .. }
        | Event::ActionQueued { .. }
        | Event::ActionIssued { .. }
        | Event::ActionAccepted { .. }
        | Event::Launched { .. }
        | Event::TagsApplied { .. }
        | Event::AlertResolved { .. }
        | Event::Terminated { expected: true, .. } => Severity::Info,
    }
}

/// When a fact became true, if it says so itself.
pub(super) const fn happened_at(event: &Event) -> Option<Timestamp> {
    match event {
        Event::Created { at, .. }
        | Event::Imported { at, .. }
        | Event::Held { at, .. }
        | Event::Released { at, .. }
        | Event::DesiredChanged { at, .. }
        | Event::RebootRequested { at, .. }
        | Event::RetryRequested { at, .. }
        | Event::Forgotten { at, .. }
        | Event::InstanceNotFound { at }
        | Event::ObservationFailed { at, .. }
        | Event::DesiredReached { at }
        | Event::DriftResolved { at, .. }
        | Event::ActionOvertook { at }
        | Event::ActionQueued { at, .. }
        | Event::ActionIssued { at, .. }
        | Event::ActionAccepted { at, .. }
        | Event::ActionFailed { at, .. }
        | Event::GaveUp { at, .. }
        | Event::Launched { at, .. }
        | Event::AlertResolved { at, .. }
        | Event::Terminated { at, .. } => Some(*at),
        Event::InstanceObserved { sighting, .. } => Some(sighting.at),
        Event::HealthChanged { to, .. } => Some(to.at),
        Event::DriftDetected { drift, .. } => Some(drift.since),
        Event::AlertRaised { alert } => Some(alert.since),
        Event::Renamed { .. }
        | Event::TagsChanged { .. }
        | Event::SettingsChanged { .. }
        | Event::ProtectionChanged { .. }
        | Event::StatusChanged { .. }
        | Event::TagsApplied { .. } => None,
    }
}

/// The change of status in a record, `running -> stopped`.
pub(super) fn status_change(all: &[Event]) -> Option<String> {
    all.iter().find_map(|event| match event {
        Event::StatusChanged { from, to, .. } => Some(format!("{from} -> {to}")),
        _ => None,
    })
}
