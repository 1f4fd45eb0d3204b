//! Workers with a life behind them, made by the domain itself.

use std::collections::BTreeMap;

use domain::{
    Action, ActionKind, Actor, AlertDuration, CheckStatus, Command, CreateWorker, Datapoint, Details,
    DriftPolicy, Event, Evidence, Failure, FailureKind, Finding, Health, ImportWorker, LaunchSpec, Metric,
    Observed, Overrides, Percent, Policy, PollInterval, SettingsPatch, Source, TagsPatch, Threshold,
    Timestamp, Vitals, Worker,
};
use jiff::SignedDuration;
use proptest::prelude::*;

use super::{at, event_item, parse, text, worker_id, worker_item};
use crate::fact::Fact;
use crate::item::{decode_event, decode_worker};
use crate::record::{EventRecord, Stored};

fn policy(drift: DriftPolicy) -> Policy {
    let threshold = Threshold {
        percent: Percent::new(90).expect("percent"),
        duration: AlertDuration::new(600).expect("duration"),
    };
    Policy {
        monitoring: true,
        interval: PollInterval::new(300).expect("interval"),
        drift,
        cpu: threshold,
        memory: threshold,
        disk: threshold,
    }
}

fn ana() -> Actor {
    Actor::Caller(text("arn:aws:sts::123456789012:assumed-role/operator/ana@example.com"))
}

fn create() -> Vec<Event> {
    let command = CreateWorker {
        name: parse("lab-1"),
        account: parse("123456789012"),
        region: parse("us-east-1"),
        spec: LaunchSpec {
            image: Some(text("ami-0123456789abcdef0")),
            instance_type: Some(text("m5zn.metal")),
            subnet: Some(text("subnet-0a1b2c3d4e5f60718")),
            security_groups: vec![text("sg-0a1b2c3d4e5f60718")],
            instance_profile: Some(text("cml-worker")),
            root_volume_gib: Some(200),
            ..LaunchSpec::default()
        },
        tags: [(parse("team"), parse("net lab")), (parse("cost-center"), parse("4711"))].into(),
        overrides: Overrides::default(),
        protected: false,
    };
    Worker::create(worker_id(), command, ana(), at("08:00:00")).expect("created")
}

fn import() -> Vec<Event> {
    let evidence = seen(Observed::Running, Source::Describe, at("08:00:00"));
    let command = ImportWorker {
        name: parse("lab-1"),
        account: parse("123456789012"),
        region: parse("us-east-1"),
        instance: parse("i-0123456789abcdef0"),
        evidence,
        tags: BTreeMap::new(),
        overrides: Overrides::default(),
        protected: false,
        held: None,
    };
    Worker::import(worker_id(), command, ana(), at("08:00:00")).expect("imported")
}

fn seen(observed: Observed, source: Source, at: Timestamp) -> Evidence {
    let ok = Health { system: CheckStatus::Ok, instance: CheckStatus::Ok, ebs: CheckStatus::Ok, at };
    let details = Details {
        state_reason: (observed == Observed::Stopped).then(|| text("Client.UserInitiatedShutdown")),
        health: Some(ok),
        private_ip: Some(parse("10.0.0.7")),
        public_ip: Some(parse("203.0.113.7")),
        zone: Some(parse("us-east-1a")),
        instance_type: Some(text("m5zn.metal")),
    };
    Evidence { finding: Finding::State { observed, details }, source, at, seen_at: at }
}

fn next(before: Option<&Stored>, events: Vec<Event>, now: Timestamp) -> (EventRecord, Stored) {
    Stored::next(before, events, &policy(DriftPolicy::Alert), now).expect("a worker")
}

/// A worker that was just created, and the facts of that.
pub(super) fn born() -> (EventRecord, Stored) {
    next(None, create(), at("08:00:00"))
}

/// A worker that was launched and runs, and the facts of the poll that found it running.
pub(super) fn settled() -> (EventRecord, Stored) {
    let (_, mut stored) = born();
    let policy = policy(DriftPolicy::Alert);
    let (issued, _) = stored.worker.proceed(&policy, at("08:00:01"));
    let launched = [
        Event::Launched { instance: parse("i-0123456789abcdef0"), at: at("08:00:02") },
        Event::ActionAccepted { action: ActionKind::Launch, at: at("08:00:02") },
        Event::TagsApplied { set: stored.worker.wanted_tags(), removed: [].into() },
    ];
    stored = next(Some(&stored), issued, at("08:00:01")).1;
    stored = next(Some(&stored), launched.to_vec(), at("08:00:02")).1;
    let events = stored.worker.observe(&seen(Observed::Running, Source::Describe, at("08:20:00")), &policy);
    next(Some(&stored), events, at("08:20:00"))
}

/// One thing that happens to a worker, chosen by numbers.
type Step = (u8, u8, i64);

/// The facts of a step.
fn happen(worker: &Worker, (what, choice, seconds): Step, now: Timestamp) -> Vec<Event> {
    let policy = policy(DriftPolicy::ALL[usize::from(choice) % DriftPolicy::ALL.len()]);
    let by = if choice % 5 == 0 { Actor::Policy } else { ana() };
    let earlier = now - SignedDuration::from_secs(seconds / 4);
    let command = |command| worker.decide(command, by.clone(), now).unwrap_or_default();
    match what {
        0 => command(Command::Start),
        1 => command(Command::Stop),
        2 => command(Command::Reboot),
        3 if choice % 8 == 0 => command(Command::Terminate { confirm: None }),
        3 if choice % 8 == 1 => command(Command::Forget),
        3 => command(Command::Patch {
            name: Some(parse(&format!("lab-{choice}"))),
            tags: TagsPatch {
                set: [(parse("round"), parse(&choice.to_string()))].into(),
                remove: [parse("team")].into(),
            },
            settings: SettingsPatch {
                monitoring: Some(Some(choice % 2 == 0)),
                interval: Some(PollInterval::new(60 + u32::from(choice)).ok()),
                ..SettingsPatch::default()
            },
            guards: domain::GuardsPatch {
                held: match choice % 4 {
                    0 => Some(Some(parse(&format!("round {choice}")))),
                    1 | 2 => Some(None),
                    _ => None,
                },
                protected: (choice % 3 == 0).then_some(choice % 2 == 0),
            },
        }),
        4 => worker.observe(&finding(Finding::NotFound, now), &policy),
        5 => worker.observe(&finding(Finding::Failed { reason: text("RequestLimitExceeded") }, now), &policy),
        6 => worker.assess(&hot(now, choice), &policy, 300, now),
        7 | 8 => act(worker, &policy, choice, now),
        _ => {
            // `Unknown` and `Missing`, the first and the last, are conclusions.
            let observed = Observed::ALL[1 + usize::from(choice) % 6];
            let source = Source::ALL[usize::from(choice) % Source::ALL.len()];
            worker.observe(&seen(observed, source, earlier), &policy)
        }
    }
}

fn finding(finding: Finding, at: Timestamp) -> Evidence {
    Evidence { finding, source: Source::Describe, at, seen_at: at }
}

fn hot(now: Timestamp, choice: u8) -> Vitals {
    let value = if choice.is_multiple_of(2) { 97.0 } else { 3.0 };
    let mut vitals = Vitals::default();
    let points = [600, 300, 0].map(|ago| Datapoint { at: now - SignedDuration::from_secs(ago), value });
    vitals.insert(Metric::Cpu, points.to_vec());
    vitals
}

/// A step on EC2, and how it went.
fn act(worker: &Worker, policy: &Policy, choice: u8, now: Timestamp) -> Vec<Event> {
    let (mut events, plan) = worker.proceed(policy, now);
    let Some(action) = plan.action else { return events };
    let kind = action.kind();
    if choice.is_multiple_of(3) {
        let kinds = FailureKind::ALL;
        let failure =
            Failure { kind: kinds[usize::from(choice) % kinds.len()], message: text("EC2 said no") };
        events.push(worker.with(&events).action_failed(kind, failure, now));
        return events;
    }
    match action {
        Action::Launch { .. } => {
            events.push(Event::Launched { instance: parse("i-0123456789abcdef0"), at: now });
        }
        Action::Tag { set, remove, .. } => events.push(Event::TagsApplied { set, removed: remove }),
        Action::Locate => events.push(worker.not_located(now)),
        Action::Start(_) | Action::Stop(_) | Action::Reboot(_) | Action::Terminate(_) => {}
    }
    events.push(Event::ActionAccepted { action: kind, at: now });
    events
}

/// What is stored is what comes back, and facts are the same in JSON.
fn survives(record: &EventRecord, stored: &Stored) {
    assert_eq!(&decode_worker(worker_item(stored)).expect("a worker"), stored);
    assert_eq!(&decode_event(event_item(record)).expect("facts"), record);
    for event in &record.events {
        let json = serde_json::to_string(&Fact::from(event)).expect("JSON");
        assert_eq!(serde_json::from_str::<Fact>(&json).expect("a fact").event(), event);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_history_survives_the_table(
        imported in any::<bool>(),
        steps in prop::collection::vec((0_u8..14, any::<u8>(), 0_i64..2000), 1..40),
    ) {
        let mut now = at("08:00:00");
        let (record, mut stored) = next(None, if imported { import() } else { create() }, now);
        survives(&record, &stored);
        for step in steps {
            now += SignedDuration::new(step.2, 7_000_000);
            let events = happen(&stored.worker, step, now);
            if events.is_empty() {
                continue;
            }
            let (record, after) = next(Some(&stored), events, now);
            survives(&record, &after);
            stored = after;
        }
    }
}
