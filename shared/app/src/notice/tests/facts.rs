//! One of each fact.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ActionKind, Actor, Alert, AlertKind, CheckStatus, Desired, Details, Drift, DriftPolicy, Event, Failure,
    FailureKind, Health, LaunchSpec, Observed, Overrides, Percent, Reason, Sighting, Source, Status,
    Timestamp,
};

use crate::record::EventRecord;

pub(super) const WORKER: &str = "0192f0c1-2d3e-7a4b-8c5d-6e7f80910a1b";

pub(super) fn time(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().expect("a time")
}

/// A record of a worker with these facts.
pub(super) fn record(events: Vec<Event>) -> EventRecord {
    EventRecord {
        worker: WORKER.parse().expect("an id"),
        version: 7,
        at: time("10:00:05.250"),
        name: "web-1".parse().expect("a name"),
        region: "eu-central-1".parse().expect("a region"),
        instance: Some("i-0123456789abcdef0".parse().expect("an instance")),
        request: None,
        events,
    }
}

pub(super) fn alice() -> Actor {
    Actor::Caller("arn:aws:iam::123456789012:user/alice".to_owned())
}

pub(super) fn drift(desired: Desired, observed: Observed, detected_by: Source) -> Drift {
    let reason = "Client.UserInitiatedShutdown: User initiated shutdown (2026-03-01 10:00:00 GMT)".to_owned();
    Drift { desired, observed, since: time("10:00:00"), detected_by, reason: Some(reason) }
}

pub(super) fn drift_detected(policy: DriftPolicy) -> Event {
    Event::DriftDetected {
        drift: drift(Desired::Running, Observed::Stopped, Source::Event),
        policy,
        held: false,
    }
}

pub(super) fn drift_detected_while_held(policy: DriftPolicy) -> Event {
    let drift = drift(Desired::Running, Observed::Stopped, Source::Event);
    Event::DriftDetected { drift, policy, held: true }
}

pub(super) fn status(from: Status, to: Status) -> Event {
    Event::StatusChanged { from, to, reason: "EC2 says so".to_owned() }
}

pub(super) fn health(system: CheckStatus, minute: &str) -> Health {
    Health {
        system,
        instance: CheckStatus::Ok,
        ebs: CheckStatus::NotApplicable,
        at: time(&format!("10:{minute}:00")),
    }
}

pub(super) fn sighted(observed: Observed, confirms: bool) -> Event {
    let sighting = Sighting {
        observed,
        source: Source::Event,
        at: time("10:00:00"),
        seen_at: time("10:00:01"),
        state_reason: Some("Client.UserInitiatedShutdown: User initiated shutdown".to_owned()),
    };
    Event::InstanceObserved { sighting, details: Details::default(), confirms }
}

pub(super) fn alert(kind: AlertKind, reason: &str) -> Event {
    Event::AlertRaised { alert: Alert { kind, since: time("09:50:00"), reason: reason.to_owned() } }
}

pub(super) fn resolved(kind: AlertKind, reason: &str) -> Event {
    Event::AlertResolved { kind, reason: reason.to_owned(), at: time("10:00:00") }
}

pub(super) fn desired(from: Desired, to: Desired, by: Actor) -> Event {
    Event::DesiredChanged { from, to, at: time("10:00:00"), by }
}

pub(super) fn terminated(expected: bool) -> Event {
    Event::Terminated { at: time("10:00:00"), expected, reason: "Server.SpotInstanceTermination".to_owned() }
}

pub(super) fn created() -> Event {
    Event::Created {
        id: WORKER.parse().expect("an id"),
        name: "web-1".parse().expect("a name"),
        account: "123456789012".parse().expect("an account"),
        region: "eu-central-1".parse().expect("a region"),
        spec: Box::new(LaunchSpec {
            image: Some("ami-0abc".to_owned()),
            instance_type: Some("m5zn.metal".to_owned()),
            ..LaunchSpec::default()
        }),
        tags: BTreeMap::new(),
        overrides: Overrides::default(),
        at: time("10:00:00"),
        by: alice(),
    }
}

pub(super) fn imported() -> Event {
    Event::Imported {
        id: WORKER.parse().expect("an id"),
        name: "web-1".parse().expect("a name"),
        account: "123456789012".parse().expect("an account"),
        region: "eu-central-1".parse().expect("a region"),
        instance: "i-0123456789abcdef0".parse().expect("an instance"),
        desired: Desired::Running,
        tags: BTreeMap::new(),
        overrides: Overrides::default(),
        at: time("10:00:00"),
        by: alice(),
    }
}

/// EC2 does not offer what was asked for, and another alternative is next.
fn moved_on(next: u32) -> Event {
    Event::ActionFailed {
        action: ActionKind::Launch,
        number: 1,
        failure: Failure { kind: FailureKind::Unsupported, message: "Unsupported: not here".to_owned() },
        at: time("10:00:00"),
        retry_at: time("10:00:00"),
        next_alternative: Some(next),
    }
}

pub(super) fn actions() -> Vec<Event> {
    let action = ActionKind::Start;
    let failed = |kind, message: &str| Event::ActionFailed {
        action,
        number: 2,
        failure: Failure { kind, message: message.to_owned() },
        at: time("10:00:00"),
        retry_at: time("10:01:00"),
        next_alternative: None,
    };
    vec![
        Event::ActionIssued {
            action,
            number: 2,
            at: time("10:00:00"),
            deadline: time("10:05:00"),
            alternative: None,
            reason: Reason::DriftReverted,
        },
        Event::ActionAccepted { action, at: time("10:00:00") },
        failed(FailureKind::Capacity, "InsufficientInstanceCapacity: no room"),
        failed(FailureKind::Denied, "UnauthorizedOperation: not allowed"),
        failed(FailureKind::AlreadyLaunched, "IdempotentParameterMismatch: the token was used before"),
        Event::GaveUp {
            action,
            attempts: 5,
            reason: "InsufficientInstanceCapacity: no room".to_owned(),
            at: time("10:00:00"),
        },
        gave_up(ActionKind::Tag, "TagLimitExceeded: too many tags"),
        Event::ActionFailed {
            action: ActionKind::Reboot,
            number: 1,
            failure: Failure {
                kind: FailureKind::Other,
                message: "no answer in time; it is not known whether EC2 rebooted the instance".to_owned(),
            },
            at: time("10:00:00"),
            retry_at: time("10:01:00"),
            next_alternative: None,
        },
        moved_on(1),
        moved_on(0),
        gave_up(ActionKind::Reboot, "no answer in time; it is not known whether EC2 rebooted the instance"),
        failed(FailureKind::Withheld, "the worker was held before the call was made"),
    ]
}

pub(super) fn gave_up(action: ActionKind, reason: &str) -> Event {
    Event::GaveUp { action, attempts: 1, reason: reason.to_owned(), at: time("10:00:00") }
}

/// At least one of each fact.
pub(super) fn every_fact() -> Vec<Event> {
    let own = Overrides { monitoring: Some(false), cpu: Percent::new(75).ok(), ..Overrides::default() };
    let mut all = vec![
        created(),
        imported(),
        Event::Renamed {
            from: "web-0".parse().expect("a name"),
            to: "web-1".parse().expect("a name"),
            by: alice(),
        },
        Event::TagsChanged { set: BTreeMap::new(), removed: BTreeSet::new(), by: alice() },
        Event::SettingsChanged { from: Overrides::default(), to: own, by: alice() },
        Event::Held {
            reason: "the disk is swapped by hand".parse().expect("a reason"),
            at: time("10:00:00"),
            by: alice(),
        },
        Event::Released { at: time("10:00:00"), by: alice() },
        Event::ProtectionChanged { protected: true, by: alice() },
        Event::ProtectionChanged { protected: false, by: alice() },
        desired(Desired::Running, Desired::Stopped, alice()),
        desired(Desired::Running, Desired::Running, alice()),
        desired(Desired::Stopped, Desired::Terminated, alice()),
        desired(Desired::Running, Desired::Stopped, Actor::Policy),
        Event::RebootRequested { at: time("10:00:00"), by: alice() },
        Event::RetryRequested { action: ActionKind::Tag, at: time("10:00:00"), by: alice() },
        Event::Forgotten { at: time("10:00:00"), by: alice() },
        sighted(Observed::Stopped, false),
        sighted(Observed::Stopped, true),
        Event::InstanceNotFound { at: time("10:00:00") },
        Event::ObservationFailed {
            at: time("10:00:00"),
            reason: "ec2 DescribeInstances: timeout".to_owned(),
        },
        status(Status::Running, Status::Stopping),
        status(Status::Stopping, Status::Failed),
        Event::HealthChanged { from: None, to: health(CheckStatus::Initializing, "01") },
        Event::HealthChanged {
            from: Some(health(CheckStatus::Ok, "01")),
            to: health(CheckStatus::Impaired, "02"),
        },
        Event::HealthChanged {
            from: Some(health(CheckStatus::Impaired, "02")),
            to: health(CheckStatus::Ok, "03"),
        },
        Event::DesiredReached { at: time("10:00:00") },
        drift_detected(DriftPolicy::Alert),
        drift_detected(DriftPolicy::Revert),
        drift_detected_while_held(DriftPolicy::Alert),
        drift_detected_while_held(DriftPolicy::Revert),
        drift_detected_while_held(DriftPolicy::Adopt),
        Event::DriftDetected {
            drift: drift(Desired::Stopped, Observed::Running, Source::Describe),
            policy: DriftPolicy::Adopt,
            held: false,
        },
        Event::DriftResolved {
            drift: drift(Desired::Running, Observed::Stopped, Source::Event),
            at: time("10:02:00"),
        },
        Event::ActionOvertook { at: time("10:00:00") },
        Event::ActionQueued {
            action: ActionKind::Start,
            at: time("10:00:00"),
            not_before: time("10:03:20"),
            reason: "EC2 is asked for at most 2 starts a second in us-east-1".to_owned(),
        },
    ];
    all.extend(actions());
    all.extend([
        Event::Launched {
            instance: "i-0123456789abcdef0".parse().expect("an instance"),
            at: time("10:00:00"),
        },
        Event::TagsApplied { set: BTreeMap::new(), removed: BTreeSet::new() },
        alert(AlertKind::Cpu, "cpu has been at or over 90 % for 600 s, last 97.5 %"),
        alert(
            AlertKind::Missing,
            "EC2 has answered at least twice, a minute apart, that it knows no such instance",
        ),
        alert(AlertKind::Unobservable, "EC2 could not be asked 3 times in a row: timeout"),
        alert(
            AlertKind::Hanging,
            "the instance was already stopping at 2026-03-01T09:50:00Z, and the time limit has passed",
        ),
        resolved(AlertKind::Disk, "disk is back under 85 %, last 60.0 %"),
        resolved(AlertKind::Missing, "EC2 knows the instance again"),
        resolved(AlertKind::Hanging, "the transition is over"),
        terminated(true),
        terminated(false),
    ]);
    all
}
