//! Every fact, its wire form pinned in `contract.jsonl`, and what happens to facts that are not in that form.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ActionKind, Actor, Alert, AlertKind, Alternative, CheckStatus, Desired, Details, Drift, DriftPolicy,
    Event, Failure, FailureKind, Health, LaunchSpec, LaunchTemplate, Observed, Overrides, Reason, Sighting,
    Source, Status, Timestamp,
};
use expect_test::{expect, expect_file};
use serde_json::{Value, json};

use super::Fact;

fn at(text: &str) -> Timestamp {
    format!("2026-03-01T{text}Z").parse().expect(text)
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

fn caller() -> Actor {
    Actor::Caller("ana@example.com".to_owned())
}

fn spec() -> LaunchSpec {
    LaunchSpec {
        image: Some("ami-0123456789abcdef0".to_owned()),
        instance_type: Some("m5zn.metal".to_owned()),
        subnet: Some("subnet-0a1b2c3d".to_owned()),
        security_groups: vec!["sg-0a1b2c3d".to_owned()],
        key_name: Some("ops".to_owned()),
        root_volume_gib: Some(200),
        ..LaunchSpec::default()
    }
}

/// From a launch template alone.
fn templated() -> LaunchSpec {
    LaunchSpec {
        launch_template: Some(LaunchTemplate::Name { name: "cml".to_owned(), version: "$Latest".to_owned() }),
        alternatives: vec![
            Alternative { instance_type: Some("c5.metal".to_owned()), subnet: None },
            Alternative { instance_type: None, subnet: Some("subnet-0a1b2c3e".to_owned()) },
        ],
        ..LaunchSpec::default()
    }
}

fn overrides() -> Overrides {
    Overrides {
        monitoring: Some(true),
        interval: domain::PollInterval::new(60).ok(),
        drift: Some(DriftPolicy::Revert),
        cpu: domain::Percent::new(80).ok(),
        memory: domain::Percent::new(81).ok(),
        disk: domain::Percent::new(82).ok(),
        alert_duration: domain::AlertDuration::new(300).ok(),
    }
}

fn health(system: CheckStatus) -> Health {
    Health { system, instance: CheckStatus::Ok, ebs: CheckStatus::NotApplicable, at: at("12:00:05.123") }
}

fn drift() -> Drift {
    Drift {
        desired: Desired::Running,
        observed: Observed::Stopped,
        since: at("12:00:00"),
        detected_by: Source::Event,
        reason: Some("Client.UserInitiatedShutdown: User initiated shutdown".to_owned()),
    }
}

fn sighting() -> Sighting {
    Sighting {
        observed: Observed::ShuttingDown,
        source: Source::Describe,
        at: at("12:00:00"),
        seen_at: at("12:00:01.5"),
        state_reason: None,
    }
}

fn details() -> Details {
    Details {
        state_reason: Some("Server.SpotInstanceTermination".to_owned()),
        health: Some(health(CheckStatus::Ok)),
        private_ip: Some(parse("10.0.0.7")),
        public_ip: Some(parse("2001:db8::7")),
        zone: Some(parse("us-east-1a")),
        instance_type: Some("m5zn.metal".to_owned()),
    }
}

fn issued(reason: Reason) -> Event {
    Event::ActionIssued {
        action: ActionKind::Start,
        number: 1,
        at: at("12:00:00"),
        deadline: at("12:30:00"),
        alternative: None,
        reason,
    }
}

/// At least one of every fact.
fn samples() -> Vec<Event> {
    let id = parse("01890a5d-ac96-774b-bcce-b302099a8057");
    let tags: BTreeMap<_, _> = [(parse("team"), parse("net lab"))].into();
    let text = |text: &str| text.to_owned();
    let (from, to) = (Overrides::default(), overrides());
    vec![
        Event::Created {
            id,
            name: parse("lab-1"),
            account: parse("123456789012"),
            region: parse("us-east-1"),
            spec: Box::new(spec()),
            tags: tags.clone(),
            overrides: Overrides::default(),
            at: at("12:00:00"),
            by: caller(),
        },
        Event::Created {
            id,
            name: parse("lab-1"),
            account: parse("123456789012"),
            region: parse("us-east-1"),
            spec: Box::new(templated()),
            tags: BTreeMap::new(),
            overrides: Overrides::default(),
            at: at("12:00:00"),
            by: caller(),
        },
        Event::Imported {
            id,
            name: parse("lab-1"),
            account: parse("123456789012"),
            region: parse("us-east-1"),
            instance: parse("i-0123456789abcdef0"),
            desired: Desired::Stopped,
            tags: BTreeMap::new(),
            overrides: overrides(),
            at: at("12:00:00"),
            by: caller(),
        },
        Event::Renamed { from: parse("lab-1"), to: parse("lab-2"), by: caller() },
        Event::TagsChanged { set: tags, removed: [parse("owner")].into(), by: caller() },
        Event::SettingsChanged { from, to, by: caller() },
        Event::Held { reason: parse("the disk is swapped by hand"), at: at("12:00:00"), by: caller() },
        Event::Released { at: at("12:00:00"), by: caller() },
        Event::ProtectionChanged { protected: true, by: caller() },
        Event::DesiredChanged {
            from: Desired::Running,
            to: Desired::Terminated,
            at: at("12:00:00"),
            by: Actor::Policy,
        },
        Event::RebootRequested { at: at("12:00:00"), by: caller() },
        Event::RetryRequested { action: ActionKind::Tag, at: at("12:00:00"), by: caller() },
        Event::Forgotten { at: at("12:00:00"), by: caller() },
        Event::InstanceObserved { sighting: sighting(), details: Details::default(), confirms: true },
        Event::InstanceObserved { sighting: sighting(), details: details(), confirms: false },
        Event::InstanceNotFound { at: at("12:00:00") },
        Event::ObservationFailed {
            at: at("12:00:00"),
            reason: text("DescribeInstances: RequestLimitExceeded"),
        },
        Event::StatusChanged {
            from: Status::Running,
            to: Status::Failed,
            reason: text("an operator asked for it"),
        },
        Event::HealthChanged { from: None, to: health(CheckStatus::Initializing) },
        Event::HealthChanged { from: Some(health(CheckStatus::Ok)), to: health(CheckStatus::Impaired) },
        Event::DesiredReached { at: at("12:00:00") },
        Event::DriftDetected { drift: drift(), policy: DriftPolicy::Alert, held: false },
        Event::DriftDetected { drift: drift(), policy: DriftPolicy::Revert, held: true },
        Event::DriftResolved { drift: Drift { reason: None, ..drift() }, at: at("12:05:00") },
        Event::ActionOvertook { at: at("12:00:00") },
        Event::ActionQueued {
            action: ActionKind::Start,
            at: at("12:00:00"),
            not_before: at("12:03:20"),
            reason: text("EC2 is asked for at most 2 starts a second in us-east-1"),
        },
        issued(Reason::DriftReverted),
        Event::ActionAccepted { action: ActionKind::Launch, at: at("12:00:00") },
        Event::ActionFailed {
            action: ActionKind::Launch,
            number: 2,
            failure: Failure {
                kind: FailureKind::Capacity,
                message: text("InsufficientInstanceCapacity: no room"),
            },
            at: at("12:00:00"),
            retry_at: at("12:01:00"),
            next_alternative: None,
        },
        Event::ActionIssued {
            action: ActionKind::Launch,
            number: 1,
            at: at("12:00:00"),
            deadline: at("12:30:00"),
            alternative: Some(0),
            reason: Reason::NotLaunched,
        },
        Event::ActionFailed {
            action: ActionKind::Launch,
            number: 1,
            failure: Failure { kind: FailureKind::Unsupported, message: text("Unsupported: not here") },
            at: at("12:00:00"),
            retry_at: at("12:00:00"),
            next_alternative: Some(1),
        },
        Event::GaveUp {
            action: ActionKind::Launch,
            attempts: 5,
            reason: text("InsufficientInstanceCapacity: no room"),
            at: at("12:00:00"),
        },
        Event::Launched { instance: parse("i-0123456789abcdef0"), at: at("12:00:00") },
        Event::TagsApplied { set: [(text("Name"), text("lab-1"))].into(), removed: [text("owner")].into() },
        Event::AlertRaised {
            alert: Alert {
                kind: AlertKind::Cpu,
                since: at("12:00:00"),
                reason: text("cpu has been at 97.0 %"),
            },
        },
        Event::AlertResolved {
            kind: AlertKind::Cpu,
            reason: text("cpu is back at 12.0 %"),
            at: at("12:20:00"),
        },
        Event::Terminated { at: at("12:00:00"), expected: true, reason: text("an operator asked for it") },
    ]
}

/// Every reason for an action or for its absence.
fn reasons() -> Vec<Reason> {
    let (action, number, until) = (ActionKind::Stop, 3, at("12:00:00"));
    vec![
        Reason::Ended,
        Reason::Forgotten,
        Reason::AsDesired,
        Reason::Requested,
        Reason::NotLaunched,
        Reason::LaunchUnresolved,
        Reason::Unobserved,
        Reason::InTransition(Observed::Stopping),
        Reason::Missing,
        Reason::DriftReverted,
        Reason::DriftLeft,
        Reason::DriftAdopted,
        Reason::RebootRequested,
        Reason::Adoption,
        Reason::TagsDiffer,
        Reason::InFlight { action, number, until },
        Reason::BackingOff { action, number, until },
        Reason::Queued { action, until },
        Reason::Exhausted { action, number },
        Reason::GaveUp,
        Reason::Held,
    ]
}

fn to_json(event: &Event) -> String {
    serde_json::to_string(&Fact::from(event)).expect("a fact is JSON")
}

fn from_json(value: Value) -> Result<Fact, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// The variants serde knows of, read from what it says about one that does not exist.
fn variants(error: &str) -> BTreeSet<String> {
    error.split('`').skip(3).step_by(2).map(str::to_owned).collect()
}

#[test]
fn the_wire_form_is_the_contract() {
    let lines: Vec<String> = samples().iter().map(to_json).collect();
    expect_file!["contract.jsonl"].assert_eq(&(lines.join("\n") + "\n"));
}

#[test]
fn there_is_a_sample_of_every_fact_under_the_name_the_domain_gives_it() {
    let named: BTreeSet<String> = samples().iter().map(|event| event.name().to_owned()).collect();
    assert_eq!(variants(&from_json(json!({"fact": "nonsense"})).expect_err("unknown")), named);
    for event in samples() {
        let json: Value = serde_json::from_str(&to_json(&event)).expect("JSON");
        assert_eq!(json["fact"], event.name());
    }
}

#[test]
fn every_fact_survives_json_and_the_table() {
    for event in samples() {
        let fact: Fact = serde_json::from_str(&to_json(&event)).expect("a fact");
        assert_eq!(Event::from(fact), event);
        let item: serde_dynamo::Item = serde_dynamo::to_item(Fact::from(&event)).expect("an item");
        let fact: Fact = serde_dynamo::from_item(item).expect("a fact");
        assert_eq!(fact.event(), &event);
    }
}

#[test]
fn every_reason_survives_under_its_own_word() {
    let mut codes = BTreeSet::new();
    for reason in reasons() {
        let json = to_json(&issued(reason.clone()));
        let fact: Fact = serde_json::from_str(&json).expect("a fact");
        assert_eq!(fact.event(), &issued(reason.clone()));
        let json: Value = serde_json::from_str(&json).expect("JSON");
        assert_eq!(json["reason"]["code"], reason.as_str());
        codes.insert(reason.as_str().to_owned());
    }
    let mut unknown: Value = serde_json::from_str(&to_json(&issued(Reason::Ended))).expect("JSON");
    unknown["reason"]["code"] = json!("nonsense");
    assert_eq!(variants(&from_json(unknown).expect_err("unknown")), codes);
}

#[test]
fn the_cloud_event_type_names_fact_and_version() {
    let fact = Fact::from(issued(Reason::Requested));
    assert_eq!(fact.cloud_event_type(), "cml.worker.action_issued.v1");
}

#[test]
fn unknown_members_are_ignored() {
    let json =
        json!({"fact": "desired_reached", "at": "2026-03-01T12:00:00.000Z", "since_version_9": {"x": [1]}});
    assert_eq!(from_json(json), Ok(Fact::from(Event::DesiredReached { at: at("12:00:00") })));
}

#[test]
fn times_are_cut_to_milliseconds_and_read_with_any_offset() {
    let precise = Event::DesiredReached { at: at("12:00:00.123987654") };
    assert_eq!(to_json(&precise), r#"{"fact":"desired_reached","at":"2026-03-01T12:00:00.123Z"}"#);
    let json = json!({"fact": "desired_reached", "at": "2026-03-01T14:00:00+02:00"});
    assert_eq!(from_json(json), Ok(Fact::from(Event::DesiredReached { at: at("12:00:00") })));
}

#[test]
fn a_malformed_fact_is_refused_and_its_values_are_not_echoed() {
    let instance = |text: &str| json!({"fact": "launched", "instance": text, "at": "2026-03-01T12:00:00Z"});
    let mut refusals = String::new();
    for json in [
        json!({"at": "2026-03-01T12:00:00Z"}),
        json!({"fact": "desired_reached"}),
        json!({"fact": "desired_reached", "at": "canary"}),
        instance("canary"),
        json!({"fact": "action_accepted", "action": "canary", "at": "2026-03-01T12:00:00Z"}),
        json!({"fact": "settings_changed", "from": {"interval": 1}, "to": {}, "by": {"kind": "policy"}}),
    ] {
        refusals += &from_json(json).expect_err("refused");
        refusals.push('\n');
    }
    expect![[r#"
        missing field `fact`
        missing field `at`
        must be an RFC 3339 time
        must be an EC2 instance id: i- and 8 or 17 lower-case hexadecimal digits
        must be one of: launch, locate, start, stop, reboot, terminate, tag
        must be a whole number from 60 to 3600
    "#]]
    .assert_eq(&refusals);
    assert!(!refusals.contains("canary"));
}
