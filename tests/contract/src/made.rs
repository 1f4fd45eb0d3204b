//! Workers to try the tables with.

use std::collections::BTreeMap;

use app::ports::{InstanceKey, Workers};
use app::record::{EventRecord, Stored};
use domain::{
    Actor, AlertDuration, Command, CreateWorker, Details, DriftPolicy, Event, Evidence, Finding,
    ImportWorker, InstanceId, LaunchSpec, Name, Observed, Overrides, Percent, Policy, PollInterval, Region,
    SettingsPatch, Source, TagsPatch, Threshold, Worker, WorkerId, Zone,
};

use crate::Subject;

/// A worker to be saved, with the facts that made it so.
pub(crate) type Change = (EventRecord, Stored);

fn policy() -> Policy {
    let threshold = Threshold {
        percent: Percent::new(90).expect("in range"),
        duration: AlertDuration::new(600).expect("in range"),
    };
    Policy {
        monitoring: true,
        interval: PollInterval::new(300).expect("in range"),
        drift: DriftPolicy::Alert,
        cpu: threshold,
        memory: threshold,
        disk: threshold,
    }
}

fn by() -> Actor {
    Actor::Caller("arn:aws:iam::123456789012:user/law".to_owned())
}

/// What to launch, from an image.
pub(crate) fn spec(image: String) -> LaunchSpec {
    LaunchSpec { image: Some(image), instance_type: Some("m5zn.metal".to_owned()), ..LaunchSpec::default() }
}

/// The birth of a worker without an instance.
pub(crate) fn created(subject: &impl Subject, id: WorkerId, name: Name) -> Change {
    let now = subject.now();
    let tag = ("course".parse().expect("a key"), "CCNA 200-301".parse().expect("a value"));
    let command = CreateWorker {
        name,
        account: subject.account(),
        region: subject.region(),
        spec: spec(subject.image()),
        tags: BTreeMap::from([tag]),
        overrides: Overrides::default(),
        protected: false,
    };
    let events = Worker::create(id, command, by(), now).expect("allowed");
    Stored::next(None, events, &policy(), now).expect("a birth")
}

/// What else than an instance and a name an import can have.
#[derive(Default)]
pub(crate) struct Traits {
    pub(crate) region: Option<Region>,
    pub(crate) zone: Option<Zone>,
    pub(crate) overrides: Overrides,
}

/// The birth of a worker whose instance runs.
pub(crate) fn imported(
    subject: &impl Subject,
    name: Name,
    instance: InstanceId,
    Traits { region, zone, overrides }: Traits,
) -> Change {
    let now = subject.now();
    let details = Details { zone, ..Details::default() };
    let command = ImportWorker {
        name,
        account: subject.account(),
        region: region.unwrap_or_else(|| subject.region()),
        instance,
        evidence: Evidence {
            finding: Finding::State { observed: Observed::Running, details },
            source: Source::Describe,
            at: now,
            seen_at: now,
        },
        tags: BTreeMap::new(),
        overrides,
        protected: false,
        held: None,
    };
    let events = Worker::import(subject.new_worker(), command, by(), now).expect("allowed");
    Stored::next(None, events, &policy(), now).expect("a birth")
}

/// What a command makes of a worker.
pub(crate) fn commanded(subject: &impl Subject, before: &Stored, command: Command) -> Change {
    let events = before.worker.decide(command, by(), subject.now()).expect("allowed");
    assert!(!events.is_empty(), "the command changes the worker");
    let (record, after) = told(subject, before, events);
    // As if it had come with a key.
    (EventRecord { request: Some(subject.new_worker().into()), ..record }, after)
}

/// What facts make of a worker.
pub(crate) fn told(subject: &impl Subject, before: &Stored, events: Vec<Event>) -> Change {
    Stored::next(Some(before), events, &policy(), subject.now()).expect("it was born")
}

/// The command to call a worker something else.
pub(crate) fn rename(name: Name) -> Command {
    Command::Patch {
        name: Some(name),
        tags: TagsPatch::default(),
        settings: SettingsPatch::default(),
        guards: domain::GuardsPatch::default(),
    }
}

/// Saves a change that nothing is in the way of.
pub(crate) async fn saved(
    workers: &impl Workers,
    before: Option<&Stored>,
    (record, after): &Change,
) -> Stored {
    workers.save(before, record, after).await.expect("nothing is in the way");
    after.clone()
}

/// A new worker without an instance, saved.
pub(crate) async fn born(subject: &impl Subject) -> Stored {
    let change = created(subject, subject.new_worker(), subject.new_name());
    saved(subject.workers(), None, &change).await
}

/// A new worker with an instance, saved.
pub(crate) async fn adopted(subject: &impl Subject) -> Stored {
    let change = imported(subject, subject.new_name(), subject.new_instance(), Traits::default());
    saved(subject.workers(), None, &change).await
}

/// The key of a worker's instance.
pub(crate) fn instance_key(stored: &Stored) -> InstanceKey {
    let state = stored.worker.state();
    InstanceKey {
        account: state.account.clone(),
        region: state.region.clone(),
        instance: state.instance.clone().expect("it has an instance"),
    }
}
