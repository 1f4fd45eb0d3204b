//! Workers in the middle of their lives, and the things that happen to them, in as few words as possible.

use std::collections::{BTreeMap, BTreeSet};

use jiff::SignedDuration;

use crate::{
    Action, ActionKind, Actor, AlertDuration, Command, CreateWorker, Details, DriftPolicy, Event, Evidence,
    Failure, FailureKind, Finding, ImportWorker, LaunchSpec, Observed, Overrides, Percent, Plan, Policy,
    PollInterval, Rejection, Source, Threshold, Timestamp, Worker, WorkerId,
};

/// So many seconds after an afternoon like any other.
pub(super) fn t(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_780_000_000).expect("a time") + SignedDuration::from_secs(seconds)
}

/// When every worker of these tests came to be: long ago.
pub(super) const BIRTH: i64 = -86_400;

pub(super) fn policy(drift: DriftPolicy) -> Policy {
    let threshold = Threshold {
        percent: Percent::new(90).expect("a percentage"),
        duration: AlertDuration::new(300).expect("a duration"),
    };
    Policy {
        monitoring: true,
        interval: PollInterval::new(60).expect("an interval"),
        drift,
        cpu: threshold,
        memory: threshold,
        disk: threshold,
    }
}

pub(super) fn operator() -> Actor {
    Actor::Caller("ada".to_owned())
}

pub(super) fn id() -> WorkerId {
    "0197f5a0-0000-7000-8000-000000000001".parse().expect("a worker id")
}

pub(super) const INSTANCE: &str = "i-0123456789abcdef0";

pub(super) fn spec(instance_type: &str) -> LaunchSpec {
    LaunchSpec {
        image: Some("ami-0123456789abcdef0".to_owned()),
        instance_type: Some(instance_type.to_owned()),
        ..LaunchSpec::default()
    }
}

pub(super) fn creation(instance_type: &str) -> CreateWorker {
    CreateWorker {
        name: "lab-1".parse().expect("a name"),
        account: "123456789012".parse().expect("an account"),
        region: "eu-central-1".parse().expect("a region"),
        spec: spec(instance_type),
        tags: BTreeMap::new(),
        overrides: Overrides::default(),
        protected: false,
    }
}

pub(super) fn importation(evidence: Evidence) -> ImportWorker {
    let CreateWorker { name, account, region, tags, overrides, .. } = creation("m5.large");
    let instance = INSTANCE.parse().expect("an instance id");
    ImportWorker { name, account, region, instance, evidence, tags, overrides, protected: false, held: None }
}

/// Created, and not launched yet.
pub(super) fn created() -> Worker {
    created_as("m5.large")
}

pub(super) fn created_as(instance_type: &str) -> Worker {
    let events = Worker::create(id(), creation(instance_type), operator(), t(BIRTH)).expect("created");
    Worker::born(&events).expect("born")
}

/// Launched, tagged and accepted; EC2 has not said anything about the instance yet.
pub(super) fn launched() -> Worker {
    launched_as("m5.large")
}

pub(super) fn launched_as(instance_type: &str) -> Worker {
    let worker = created_as(instance_type).issuing(BIRTH);
    let launch = [
        Event::ActionAccepted { action: ActionKind::Launch, at: t(BIRTH) },
        Event::Launched { instance: INSTANCE.parse().expect("an instance id"), at: t(BIRTH) },
        Event::TagsApplied { set: worker.wanted_tags(), removed: BTreeSet::new() },
    ];
    worker.with(&launch)
}

/// Runs, as asked, since long ago.
pub(super) fn running() -> Worker {
    launched().seeing(event(Observed::Running, BIRTH + 60))
}

/// Is stopped, as asked, since long ago.
pub(super) fn stopped() -> Worker {
    running()
        .asked(Command::Stop, BIRTH + 600)
        .issuing(BIRTH + 600)
        .accepted(BIRTH + 601)
        .seeing(event(Observed::Stopped, BIRTH + 660))
}

/// Ran, as asked, and was stopped at 0 by somebody else.
pub(super) fn drifted() -> Worker {
    running().seeing(event(Observed::Stopped, 0))
}

pub(super) fn imported(observed: Observed) -> Worker {
    let evidence = describe(observed, BIRTH);
    let events = Worker::import(id(), importation(evidence), operator(), t(BIRTH)).expect("imported");
    Worker::born(&events).expect("born")
}

/// What happens to a worker, under a policy that leaves drift alone unless another one is named.
pub(super) trait Story: Sized {
    fn learning(&self, evidence: &Evidence) -> Vec<Event>;
    fn seeing(self, evidence: Evidence) -> Self;
    fn seeing_under(self, drift: DriftPolicy, evidence: Evidence) -> Self;
    fn deciding(&self, command: Command, at: i64) -> Result<Vec<Event>, Rejection>;
    fn asked(self, command: Command, at: i64) -> Self;
    fn proceeding(&self, at: i64) -> (Vec<Event>, Plan);
    fn issuing(self, at: i64) -> Self;
    fn issuing_under(self, drift: DriftPolicy, at: i64) -> Self;
    fn accepted(self, at: i64) -> Self;
    fn refused(self, kind: FailureKind, at: i64) -> Self;
    fn planned(&self, at: i64) -> String;
    fn planned_under(&self, drift: DriftPolicy, at: i64) -> String;
}

impl Story for Worker {
    fn learning(&self, evidence: &Evidence) -> Vec<Event> {
        self.observe(evidence, &policy(DriftPolicy::Alert))
    }

    fn seeing(self, evidence: Evidence) -> Self {
        self.seeing_under(DriftPolicy::Alert, evidence)
    }

    fn seeing_under(self, drift: DriftPolicy, evidence: Evidence) -> Self {
        self.with(&self.observe(&evidence, &policy(drift)))
    }

    fn deciding(&self, command: Command, at: i64) -> Result<Vec<Event>, Rejection> {
        self.decide(command, operator(), t(at))
    }

    fn asked(self, command: Command, at: i64) -> Self {
        self.with(&self.deciding(command, at).expect("not refused"))
    }

    fn proceeding(&self, at: i64) -> (Vec<Event>, Plan) {
        self.proceed(&policy(DriftPolicy::Alert), t(at))
    }

    fn issuing(self, at: i64) -> Self {
        self.issuing_under(DriftPolicy::Alert, at)
    }

    fn issuing_under(self, drift: DriftPolicy, at: i64) -> Self {
        self.with(&self.proceed(&policy(drift), t(at)).0)
    }

    fn accepted(self, at: i64) -> Self {
        let action = self.state().attempt.as_ref().expect("an attempt").action;
        self.with(&[Event::ActionAccepted { action, at: t(at) }])
    }

    fn refused(self, kind: FailureKind, at: i64) -> Self {
        let action = self.state().attempt.as_ref().expect("an attempt").action;
        let failure = Failure { kind, message: format!("EC2 says {kind}") };
        self.with(&[self.action_failed(action, failure, t(at))])
    }

    fn planned(&self, at: i64) -> String {
        self.planned_under(DriftPolicy::Alert, at)
    }

    fn planned_under(&self, drift: DriftPolicy, at: i64) -> String {
        let plan = self.plan(&policy(drift), t(at));
        format!("{}: {}", action_word(plan.action.as_ref()), plan.reason.as_str())
    }
}

pub(super) fn action_word(action: Option<&Action>) -> &'static str {
    action.map_or("-", |action| action.kind().as_str())
}

fn state(observed: Observed, source: Source, at: i64) -> Evidence {
    let finding = Finding::State { observed, details: Details::default() };
    Evidence { finding, source, at: t(at), seen_at: t(at) }
}

pub(super) fn event(observed: Observed, at: i64) -> Evidence {
    state(observed, Source::Event, at)
}

pub(super) fn describe(observed: Observed, at: i64) -> Evidence {
    state(observed, Source::Describe, at)
}

pub(super) fn response(observed: Observed, at: i64) -> Evidence {
    state(observed, Source::Response, at)
}

pub(super) fn not_found(at: i64) -> Evidence {
    Evidence { finding: Finding::NotFound, source: Source::Describe, at: t(at), seen_at: t(at) }
}

pub(super) fn failed(at: i64) -> Evidence {
    let finding = Finding::Failed { reason: "RequestLimitExceeded".to_owned() };
    Evidence { finding, source: Source::Describe, at: t(at), seen_at: t(at) }
}

/// The same, with EC2's reason.
pub(super) fn because(reason: &str, evidence: Evidence) -> Evidence {
    let Finding::State { observed, details } = evidence.finding else { panic!("only a state has a reason") };
    let details = Details { state_reason: Some(reason.to_owned()), ..details };
    Evidence { finding: Finding::State { observed, details }, ..evidence }
}

pub(super) fn names(events: &[Event]) -> Vec<&'static str> {
    events.iter().map(Event::name).collect()
}

pub(super) fn patch_tags(set: &[(&str, &str)], remove: &[&str]) -> Command {
    let tags = crate::TagsPatch {
        set: set
            .iter()
            .map(|(key, value)| (key.parse().expect("a key"), value.parse().expect("a value")))
            .collect(),
        remove: remove.iter().map(|key| key.parse().expect("a key")).collect(),
    };
    Command::Patch {
        name: None,
        tags,
        settings: crate::SettingsPatch::default(),
        guards: crate::GuardsPatch::default(),
    }
}

/// Holds it, for this reason.
pub(super) fn hold(reason: &str) -> Command {
    guard(crate::GuardsPatch { held: Some(Some(reason.parse().expect("a reason"))), protected: None })
}

pub(super) fn release() -> Command {
    guard(crate::GuardsPatch { held: Some(None), protected: None })
}

pub(super) fn protect(protected: bool) -> Command {
    guard(crate::GuardsPatch { held: None, protected: Some(protected) })
}

fn guard(guards: crate::GuardsPatch) -> Command {
    let (tags, settings) = (crate::TagsPatch::default(), crate::SettingsPatch::default());
    Command::Patch { name: None, tags, settings, guards }
}
