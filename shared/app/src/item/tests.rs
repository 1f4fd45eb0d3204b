//! Workers with a history survive the table, in few bytes, and in a form that is pinned.

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    ActionKind, Actor, Alert, AlertKind, Alternative, Attempt, CheckStatus, Desired, Details, Drift, Event,
    Failure, FailureKind, GivenUp, Health, Held, LaunchSpec, LaunchTemplate, Observed, Origin, Overrides,
    Queued, Sighting, Snapshot, Source, Timestamp, VolumeType, Worker, WorkerId,
};
use expect_test::{expect, expect_file};
use serde_dynamo::{AttributeValue, Item};

use super::{
    EventItem, Key, OUTBOX_SHARDS, OwnerItem, WorkerItem, decode_event, decode_key, decode_owner,
    decode_watch, decode_worker, encode, outbox_shard, region_sk,
};
use crate::ports::{InstanceKey, Watch};
use crate::record::{EventRecord, Stored};

mod history;
mod releases;

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

fn at(text: &str) -> Timestamp {
    parse(&format!("2026-03-01T{text}Z"))
}

fn worker_id() -> WorkerId {
    parse("01890a5d-ac96-774b-bcce-b302099a8057")
}

fn text(text: &str) -> String {
    text.to_owned()
}

/// A worker that has something of everything. That no field is forgotten is the compiler's business.
fn full() -> Stored {
    let since = at("12:00:00.25");
    let snapshot = Snapshot {
        id: worker_id(),
        name: parse("lab-1"),
        account: parse("123456789012"),
        region: parse("us-east-1"),
        origin: Origin::Created(Box::new(LaunchSpec {
            image: Some(text("ami-0123456789abcdef0")),
            instance_type: Some(text("m5zn.metal")),
            subnet: Some(text("subnet-0a1b2c3d4e5f60718")),
            security_groups: vec![text("sg-0a1b2c3d4e5f60718"), text("sg-0a1b2c3d4e5f60719")],
            key_name: Some(text("ops")),
            instance_profile: Some(text("cml-worker")),
            root_volume_gib: Some(200),
            root_volume_type: Some(VolumeType::Gp3),
            launch_template: Some(LaunchTemplate::Id {
                id: text("lt-0a1b2c3d4e5f60718"),
                version: text("3"),
            }),
            user_data: true,
            alternatives: vec![Alternative { instance_type: Some(text("c5.metal")), subnet: None }],
        })),
        created_at: at("08:00:00"),
        desired: Desired::Running,
        desired_since: at("08:00:00"),
        reached_at: Some(at("08:20:00")),
        instance: Some(parse("i-0123456789abcdef0")),
        launch_called: true,
        already_launched: true,
        alternative: 1,
        launch_shows_until: Some(at("08:05:00")),
        launched_at: Some(at("08:00:02")),
        sighting: Some(Sighting {
            observed: Observed::Stopped,
            source: Source::Event,
            at: since,
            seen_at: at("12:00:01"),
            state_reason: Some(text("Client.UserInitiatedShutdown: User initiated shutdown")),
        }),
        moving_since: Some(at("11:58:00")),
        has_run: true,
        idle_at: Some(at("11:59:58")),
        misses: [at("12:01:00"), at("12:02:00")].into(),
        failures: [at("12:03:00")].into(),
        failure_reason: Some(text("DescribeInstanceStatus: RequestLimitExceeded")),
        health: Some(Health {
            system: CheckStatus::Ok,
            instance: CheckStatus::Impaired,
            ebs: CheckStatus::NotApplicable,
            at: since,
        }),
        zone: Some(parse("us-east-1a")),
        instance_type: Some(text("m5zn.metal")),
        private_ip: Some(parse("10.0.0.7")),
        public_ip: Some(parse("2001:db8::7")),
        tags: [(parse("team"), parse("net lab")), (parse("cost center"), parse(""))].into(),
        applied_tags: [(text("Name"), text("lab-1")), (text(domain::MANAGED_TAG), text("true"))].into(),
        doubtful_tags: [text("team")].into(),
        overrides: Overrides {
            monitoring: Some(false),
            interval: domain::PollInterval::new(120).ok(),
            drift: Some(domain::DriftPolicy::Revert),
            cpu: domain::Percent::new(80).ok(),
            memory: domain::Percent::new(81).ok(),
            disk: domain::Percent::new(82).ok(),
            alert_duration: domain::AlertDuration::new(300).ok(),
        },
        held: Some(Held {
            reason: parse("the disk is swapped by hand"),
            at: at("12:04:30"),
            by: Actor::Caller(text("ana@example.com")),
        }),
        protected: true,
        drift: Some(Drift {
            desired: Desired::Running,
            observed: Observed::Stopped,
            since,
            detected_by: Source::Event,
            reason: Some(text("Client.UserInitiatedShutdown: User initiated shutdown")),
        }),
        attempt: Some(Attempt {
            action: ActionKind::Start,
            number: 2,
            issued_at: at("12:04:00"),
            deadline: at("12:34:00"),
            alternative: Some(1),
            accepted: true,
            failed: Some((
                Failure { kind: FailureKind::Overdue, message: text("still stopped") },
                at("12:35:00"),
            )),
        }),
        queued: Some(Queued { action: ActionKind::Reboot, not_before: at("12:06:00") }),
        stray: Some((ActionKind::Stop, at("12:10:00"))),
        reboot_requested_at: Some(at("12:05:00")),
        reboot_asked_at: Some(at("12:05:00")),
        gave_up: [(
            ActionKind::Start,
            GivenUp { tried_at: at("12:04:00"), reason: text("no attempt succeeded"), hangs: false },
        )]
        .into(),
        alerts: [(AlertKind::Missing, Alert { kind: AlertKind::Missing, since, reason: text("not known") })]
            .into(),
        terminated_at: None,
        forgotten_at: None,
    };
    Stored {
        worker: Worker::from(snapshot),
        version: 17,
        updated_at: at("12:05:00"),
        act_by: Some(at("12:35:00")),
    }
}

fn over(stored: &Stored) -> Stored {
    let end = Event::Terminated { at: at("13:00:00"), expected: true, reason: text("asked for") };
    let forgotten_at = Some(at("13:00:00"));
    let worker = Worker::from(Snapshot { forgotten_at, ..stored.worker.with(&[end]).state().clone() });
    Stored { worker, act_by: None, ..stored.clone() }
}

/// What a quiet day writes: the worker was seen to start.
fn record() -> EventRecord {
    EventRecord {
        worker: worker_id(),
        version: 18,
        at: at("12:05:00.007"),
        name: parse("lab-1"),
        region: parse("us-east-1"),
        instance: Some(parse("i-0123456789abcdef0")),
        request: None,
        events: vec![
            Event::InstanceObserved {
                sighting: Sighting {
                    observed: Observed::Running,
                    source: Source::Event,
                    at: at("12:05:00"),
                    seen_at: at("12:05:00.007"),
                    state_reason: None,
                },
                details: Details::default(),
                confirms: false,
            },
            Event::DesiredReached { at: at("12:05:00") },
            Event::StatusChanged {
                from: domain::Status::Starting,
                to: domain::Status::Running,
                reason: text("EC2 says the instance is running"),
            },
        ],
    }
}

fn worker_item(stored: &Stored) -> Item {
    encode(&WorkerItem::new(stored, 90)).expect("an item")
}

fn event_item(record: &EventRecord) -> Item {
    encode(&EventItem::new(record, 90)).expect("an item")
}

/// As JSON with the members in order.
fn pretty(item: &Item) -> String {
    fn sorted(value: &serde_json::Value) -> serde_json::Value {
        match value {
            serde_json::Value::Object(members) => {
                let ordered: BTreeMap<_, _> = members.iter().map(|(k, v)| (k.clone(), sorted(v))).collect();
                ordered.into_iter().collect()
            }
            serde_json::Value::Array(items) => items.iter().map(sorted).collect(),
            other => other.clone(),
        }
    }
    let json = sorted(&serde_json::to_value(item).expect("JSON"));
    serde_json::to_string_pretty(&json).expect("JSON") + "\n"
}

/// What DynamoDB counts (developer guide, "Item sizes and formats").
fn size(value: &AttributeValue) -> usize {
    match value {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => digits.len().div_ceil(2) + 1,
        AttributeValue::M(map) => {
            3 + map.iter().map(|(key, value)| 1 + key.len() + size(value)).sum::<usize>()
        }
        AttributeValue::L(list) => 3 + list.iter().map(|value| 1 + size(value)).sum::<usize>(),
        _ => 1,
    }
}

fn bytes(item: &Item) -> usize {
    item.inner().iter().map(|(name, value)| name.len() + size(value)).sum()
}

fn names(item: &Item) -> BTreeSet<&str> {
    item.inner().keys().map(String::as_str).collect()
}

const INDEX: [&str; 9] = [
    "region_pk",
    "region_sk",
    "worker_id",
    "instance_id",
    "zone",
    "monitored",
    "interval",
    "drift_policy",
    "drifted",
];

#[test]
fn the_form_of_items_is_pinned() {
    expect_file!["tests/worker.json"].assert_eq(&pretty(&worker_item(&full())));
    expect_file!["tests/event.json"].assert_eq(&pretty(&event_item(&record())));
}

#[test]
fn a_worker_with_everything_survives_the_table() {
    for stored in [full(), over(&full())] {
        assert_eq!(decode_worker(worker_item(&stored)).expect("a worker"), stored);
    }
}

#[test]
fn a_stream_image_is_an_event_item() {
    let image: Item = serde_json::from_str(include_str!("tests/event.json")).expect("a stream image");
    assert_eq!(decode_event(image).expect("facts"), record());
}

#[test]
fn facts_name_the_request_that_brought_them_about() {
    let record = EventRecord { request: Some(worker_id().into()), ..record() };
    assert_eq!(decode_event(event_item(&record)).expect("facts"), record);
}

#[test]
fn only_a_living_worker_is_in_the_index_of_its_region_and_only_one_that_is_over_expires() {
    let (living, ended) = (worker_item(&full()), worker_item(&over(&full())));
    let index: BTreeSet<&str> = INDEX.into();
    assert_eq!(names(&living).intersection(&index).count(), INDEX.len());
    assert_eq!(names(&ended).intersection(&index).count(), 0);
    assert_eq!(living.get("ttl"), None);
    let expiry = at("12:05:00").as_second() + 90 * 86_400;
    assert_eq!(ended.get("ttl"), Some(&AttributeValue::N(expiry.to_string())));
}

#[test]
fn what_the_index_projects_is_a_watch() {
    let mut projected = worker_item(&full());
    projected
        .inner_mut()
        .retain(|name, _| INDEX.contains(&name.as_str()) || ["pk", "sk", "act_by"].contains(&name.as_str()));
    let watch = decode_watch(projected).expect("a watch");
    let expected = Watch {
        worker: worker_id(),
        instance: Some(parse("i-0123456789abcdef0")),
        zone: Some(parse("us-east-1a")),
        monitoring: Some(false),
        interval: Some(120),
        drift_policy: Some(domain::DriftPolicy::Revert),
        // It has drifted, and nobody is to be asked to put that right.
        drifted: false,
        act_by: Some(at("12:35:00")),
    };
    assert_eq!(watch, expected);
    let by = Actor::Caller(text("ana@example.com"));
    let sighting = full().worker.state().sighting.clone().expect("seen");
    // Let go, seen again, and what was given up asked for once more.
    let released = full().worker.with(&[
        Event::Released { at: at("12:36:00"), by: by.clone() },
        Event::InstanceObserved {
            sighting: Sighting { at: at("12:37:00"), seen_at: at("12:37:00"), ..sighting },
            details: domain::Details::default(),
            confirms: false,
        },
        Event::RetryRequested { action: ActionKind::Start, at: at("12:38:00"), by },
    ]);
    let watch = decode_watch(worker_item(&Stored { worker: released, ..full() })).expect("a watch");
    assert_eq!(watch, Watch { drifted: true, ..expected });
}

#[test]
fn a_worker_without_settings_or_instance_is_a_watch_that_says_so() {
    let (_, born) = history::born();
    let watch = decode_watch(worker_item(&born)).expect("a watch");
    let nothing = Watch {
        worker: born.worker.id(),
        instance: None,
        zone: None,
        monitoring: None,
        interval: None,
        drift_policy: None,
        drifted: false,
        act_by: born.act_by,
    };
    assert_eq!(watch, nothing);
}

#[test]
fn keys_are_as_documented() {
    let instance = InstanceKey {
        account: parse("123456789012"),
        region: parse("us-east-1"),
        instance: parse("i-0123456789abcdef0"),
    };
    let keys: String = [
        Key::state(worker_id()),
        Key::event(worker_id(), 7),
        Key::event(worker_id(), u64::MAX),
        Key::instance(&instance),
        Key::name(&parse("lab-1")),
    ]
    .iter()
    .map(|Key { pk, sk }| format!("{pk} | {sk}\n"))
    .collect();
    expect![[r#"
        WORKER#01890a5d-ac96-774b-bcce-b302099a8057 | STATE
        WORKER#01890a5d-ac96-774b-bcce-b302099a8057 | EVENT#00000000000000000007
        WORKER#01890a5d-ac96-774b-bcce-b302099a8057 | EVENT#18446744073709551615
        INSTANCE#123456789012#us-east-1#i-0123456789abcdef0 | OWNER
        NAME#lab-1 | OWNER
    "#]]
    .assert_eq(&keys);
    assert_eq!(region_sk(None, worker_id()), format!("-#{}", worker_id()));
    assert_eq!(region_sk(Some(&parse("us-east-1a")), worker_id()), format!("us-east-1a#{}", worker_id()));
    assert!(OUTBOX_SHARDS.contains(&outbox_shard(worker_id())));
}

#[test]
fn the_key_of_facts_tells_worker_and_version() {
    let key = decode_key(event_item(&record())).expect("a key");
    assert_eq!(key.as_event(), Some((worker_id(), 18)));
    assert_eq!(Key::state(worker_id()).as_event(), None);
    let unpadded = Key { sk: text("EVENT#18"), ..key };
    assert_eq!(unpadded.as_event(), None);
}

#[test]
fn an_owner_survives_the_table() {
    let item: Item = encode(&OwnerItem::new(Key::name(&parse("lab-1")), worker_id())).expect("an item");
    assert_eq!(decode_owner(item).expect("an owner"), worker_id());
}

#[test]
fn items_are_small() {
    let (record, born) = history::born();
    let (settled_record, settled) = history::settled();
    let sizes = format!(
        "a new worker {}, its facts {}; a settled worker {}, its facts {}; a worker with everything {}; a start {}",
        bytes(&worker_item(&born)),
        bytes(&event_item(&record)),
        bytes(&worker_item(&settled)),
        bytes(&event_item(&settled_record)),
        bytes(&worker_item(&full())),
        bytes(&event_item(&self::record())),
    );
    expect!["a new worker 678, its facts 621; a settled worker 1096, its facts 720; a worker with everything 2191; a start 494"].assert_eq(&sizes);
}
