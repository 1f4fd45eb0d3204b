//! The laws that hold after every step, whatever happened before.

use std::collections::{BTreeMap, BTreeSet};

use app::notice::{Reach, reached};
use app::record::{EventRecord, Stored};
use domain::{
    ActionKind, Event, InstanceId, LaunchSpec, Name, Observed, Sighting, Source, UserData, WorkerId,
};
use serde_json::Value;
use tests::world::State;

use crate::end::untagged;
use crate::orders::disorder;
use crate::trace::Step;
use crate::wiring::Function;
use crate::world::{CALL, Inner, InvocationId, MINUTE, SECOND};

/// How old the record of an intent may be when its call is made: the lease of the call, and some skew.
const INTENT_HOLDS: i64 = 64 * SECOND;
/// How often a worker may be called for one intent with others: a batch of 50 can be halved six times.
const MOST_CALLS: u32 = 7;
/// For how long, and how often, EC2 has to deny an instance before that means that it has ended, and how far apart two of these
/// answers are at most.
const GONE_AFTER: i64 = 60 * MINUTE;
const DENIALS: usize = 3;
const APART: i64 = 90 * MINUTE;
/// How much earlier than it was made a describe counts.
const DESCRIBE_LAG: i64 = 30 * SECOND;

/// What the laws remember.
#[derive(Debug, Default)]
pub(crate) struct Books {
    pub(crate) violations: Vec<String>,
    /// The names workers were created or imported under: each is one request's.
    begun: BTreeSet<Name>,
    /// What workers were created to be launched from.
    ordered: BTreeMap<WorkerId, Value>,
    /// What they were launched from, by token.
    launches: BTreeMap<WorkerId, BTreeMap<String, LaunchSpec>>,
    /// Calls made for one recorded intent.
    calls: BTreeMap<(WorkerId, u64), u32>,
    /// The intent that was called for last.
    intents: BTreeMap<(WorkerId, ActionKind), u64>,
    /// Reboots asked for and carried out, and the intents of those.
    reboots: BTreeMap<WorkerId, (u32, u32)>,
    rebooted: BTreeSet<(WorkerId, u64)>,
    /// Which invocation read a worker last, and when.
    read: BTreeMap<WorkerId, (InvocationId, i64)>,
    /// Which invocations drew on the bucket of which kind of action, and were told so.
    drawn: BTreeSet<(InvocationId, ActionKind)>,
    /// Which invocations were told by EC2 that it does not know which instance.
    pub(crate) denied: BTreeSet<(InvocationId, InstanceId)>,
    /// Since when workers are over.
    over: BTreeMap<WorkerId, i64>,
    /// Since when workers are held.
    held: BTreeMap<WorkerId, i64>,
    /// Writes of workers, and those among them that tell of an alert.
    pub(crate) saves: u64,
    pub(crate) alerts: u64,
    /// The notices of each record, by its name in the ledger.
    pub(crate) notices: BTreeMap<String, Notices>,
}

/// What is to be told of one record.
#[derive(Debug)]
pub(crate) struct Notices {
    /// When it was written.
    pub(crate) at: i64,
    /// The ids of the notices, and whom they reach.
    pub(crate) all: Vec<(String, Reach)>,
}

/// How often EC2 has denied a worker's instance in a row by now, and how long that has gone on.
fn denials(record: &EventRecord, was: Option<&Stored>) -> (usize, i64) {
    let before = was.into_iter().flat_map(|was| was.worker.state().misses.iter());
    let now = record.events.iter().filter_map(|event| match event {
        Event::InstanceNotFound { at } => Some(at),
        _ => None,
    });
    let all: BTreeSet<i64> = before.chain(now).map(|at| at.as_millisecond()).collect();
    let Some(last) = all.last().copied() else { return (0, 0) };
    let mut first = last;
    let row = all.iter().rev().take_while(|at| {
        let belongs = first - **at <= APART;
        first = if belongs { **at } else { first };
        belongs
    });
    (row.count(), last - first)
}

fn effective(sighting: &Sighting) -> i64 {
    let at = sighting.at.as_millisecond();
    if sighting.source == Source::Describe { at - DESCRIBE_LAG } else { at }
}

impl Inner {
    pub(crate) fn violated(&mut self, law: String) {
        self.books.violations.push(law);
    }

    /// A worker was written.
    pub(crate) fn saved(
        &mut self,
        (by, run): (Function, InvocationId),
        was: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
        tables: &State,
    ) {
        let worker = after.worker.id();
        self.books.saves += 1;
        let of_alert =
            |event: &Event| matches!(event, Event::AlertRaised { .. } | Event::AlertResolved { .. });
        self.books.alerts += u64::from(record.events.iter().any(of_alert));
        if record.events.iter().all(Event::only_confirms) {
            self.violated(format!("{worker} is written, and only confirmed: {:?}", record.events));
        }
        if matches!(by, Function::Poll | Function::Notify) {
            self.violated(format!("{by} wrote {worker}"));
        }
        let expected = was.map_or(1, |was| was.version + 1);
        if after.version != expected || record.version != expected {
            self.violated(format!("{worker}: version {} follows {}", after.version, expected - 1));
        }
        if tables.facts.get(&(worker, expected)) != Some(record) || record.events.is_empty() {
            self.violated(format!("{worker}: version {expected} has no facts beside it"));
        }
        if let Some(was) = was {
            if was.worker.is_over() {
                self.violated(format!("{worker} has ended and changes all the same"));
            }
            let (old, new) = (was.worker.state().sighting.as_ref(), after.worker.state().sighting.as_ref());
            if let (Some(old), Some(new)) = (old, new) {
                let final_one = new.observed == Observed::Terminated;
                if effective(new) < effective(old) && !final_one {
                    self.violated(format!("{worker}: older evidence {new:?} overwrote {old:?}"));
                }
                if old.observed == Observed::Terminated && !final_one {
                    self.violated(format!("{worker}: terminated became {new:?}"));
                }
            }
        }
        if after.worker.is_over() {
            self.books.over.insert(worker, self.now);
        }
        self.check_against_ec2(run, was, record, after);
        self.check_tags(after);
        self.check_hands_off(was, record, after);
        self.check_wishes(by, was, record, tables);
        self.check_tries(record, after);
        self.check_launches(record, after);
        self.check_hanging(record, after);
        self.check_measured(was, record, after);
        if was.is_none() && !self.books.begun.insert(after.worker.state().name.clone()) {
            self.violated(format!("two workers came of one request: {}", after.worker.state().name));
        }
        let name = after.worker.state().name.as_str();
        let ordered = self.people.ordered.get(name).filter(|_| was.is_none());
        self.books.ordered.extend(ordered.map(|spec| (worker, spec.clone())));
        let asked =
            record.events.iter().filter(|event| matches!(event, Event::RebootRequested { .. })).count();
        self.books.reboots.entry(worker).or_default().0 += asked as u32;
        let all = reached(record).map(|(id, reach, _)| (id, reach)).collect();
        let notices = Notices { at: self.now, all };
        self.books.notices.insert(format!("{worker}_{}", record.version), notices);
        self.check_promptness(by, was, record, after);
        let names = record.events.iter().map(Event::name).collect();
        self.step(Step::Saved(worker, after.version, names));
        let now = self.now;
        self.indexes.wrote_worker(now, after);
        self.indexes.wrote_facts(now, (worker, record.version), tables);
        self.stream_in(record);
    }

    /// What is concluded from EC2's silence must be so: "not found" is not "terminated", and a failed call teaches nothing.
    fn check_against_ec2(
        &mut self,
        run: InvocationId,
        was: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
    ) {
        let (worker, state) = (after.worker.id(), after.worker.state());
        let says_so = record.events.iter().any(|event| matches!(event, Event::InstanceNotFound { .. }));
        let was_told = state.instance.clone().is_some_and(|id| self.books.denied.contains(&(run, id)));
        if says_so && !was_told {
            self.violated(format!("it is recorded that EC2 does not know {worker}, and EC2 did not say so"));
        }
        let ends = record.events.iter().any(|event| matches!(event, Event::Terminated { .. }));
        if ends && state.instance.is_none() && self.ec2.live_of(worker) > 0 {
            self.violated(format!("{worker} is said to have ended without an instance, and one of it lives"));
        }
        let Some(machine) = state.instance.as_ref().and_then(|id| self.ec2.machines.get(id)) else { return };
        if machine.vanished.is_some() && ends {
            let (answers, span) = denials(record, was);
            if answers < DENIALS || span < GONE_AFTER {
                let message =
                    format!("{worker} is said to have ended after {answers} answers within {span} ms");
                self.violated(message);
            }
            return;
        }
        if !machine.is_live() {
            return;
        }
        if ends {
            self.violated(format!("{worker} is said to have ended, and its instance lives"));
        } else if after.worker.observed() == Observed::Missing {
            self.violated(format!("{worker} is said to be missing, and EC2 knows it: {:?}", state.misses));
        }
    }

    /// An instance carries the tags that the record says it does, if that says that nothing is left to do about them.
    fn check_tags(&mut self, after: &Stored) {
        let (worker, state) = (after.worker.id(), after.worker.state());
        let machine = state.instance.as_ref().and_then(|id| self.ec2.machines.get(id));
        let done = state.doubtful_tags.is_empty() && state.applied_tags == after.worker.wanted_tags();
        if let Some(how) = machine.filter(|_| done).and_then(|machine| untagged(after, machine)) {
            self.violated(format!("the instance of {worker} {how}: {:?}", state.applied_tags));
        }
    }

    /// Nothing is begun, queued or given up while somebody holds a worker.
    fn check_hands_off(&mut self, was: Option<&Stored>, record: &EventRecord, after: &Stored) {
        let worker = after.worker.id();
        if !after.worker.is_held() {
            self.books.held.remove(&worker);
            return;
        }
        let now = self.now;
        self.books.held.entry(worker).or_insert(now);
        if was.is_none_or(|was| !was.worker.is_held()) {
            return;
        }
        let begun = record.events.iter().find(|event| match event {
            Event::ActionIssued { action, .. }
            | Event::ActionQueued { action, .. }
            | Event::GaveUp { action, .. } => *action != ActionKind::Locate,
            _ => false,
        });
        if let Some(event) = begun {
            self.violated(format!("{worker} is held, and all the same: {}", event.name()));
        }
    }

    /// An invocation reads these workers.
    pub(crate) fn read(&mut self, by: InvocationId, workers: &[WorkerId]) {
        self.books.read.extend(workers.iter().map(|worker| (*worker, (by, self.now))));
    }

    /// An invocation knows that it has drawn on a bucket. How many tokens it took is EC2's own bucket's matter.
    pub(crate) fn drew(&mut self, by: InvocationId, kind: ActionKind) {
        self.books.drawn.insert((by, kind));
    }

    /// Of the workers that are over the one that had this instance last.
    pub(crate) fn last_owner(&self, id: &InstanceId, tables: &State) -> Option<WorkerId> {
        let had = |worker: &&WorkerId| {
            let stored = tables.workers.get(worker);
            stored.is_some_and(|stored| stored.worker.state().instance.as_ref() == Some(id))
        };
        self.books.over.keys().filter(had).max_by_key(|worker| self.books.over.get(worker)).copied()
    }

    /// A call that changes EC2 is about to take effect: by `act`, with a token, for nobody who is held or over, and after an intent
    /// of this worker and action that was recorded not long before, and not called for too often. Its reason is part of an intent,
    /// as is its type; that there is one is what can be checked of it.
    pub(crate) fn acting(
        &mut self,
        (by, run): (Function, InvocationId),
        worker: WorkerId,
        kind: ActionKind,
        tables: &State,
    ) {
        if by != Function::Act {
            self.violated(format!("{by} changes EC2: {kind} of {worker}"));
        }
        if !self.books.drawn.contains(&(run, kind)) {
            self.violated(format!("{kind} of {worker} by who drew no token"));
        }
        // A call that is being made is not called back; but who has read it since knows.
        let read = self.books.read.get(&worker).filter(|(reader, _)| *reader == run).map(|(_, at)| *at);
        let now = self.now;
        let knows = move |since: &i64| now - since > CALL || read.is_some_and(|at| *since < at);
        let hands_off = [(&self.books.held, "held"), (&self.books.over, "over")];
        let known = hands_off.into_iter().find(|(since, _)| since.get(&worker).is_some_and(knows));
        if let Some((_, what)) = known {
            self.violated(format!("{kind} of {worker}, which is {what}"));
        }
        if let Some(since) = self.works_against(worker, kind, tables).filter(knows) {
            self.violated(format!("{kind} of {worker}, of which something else is asked since {since}"));
        }
        let issued = tables.facts.range((worker, 0)..=(worker, u64::MAX)).rev().find_map(|(_, record)| {
            record.events.iter().find_map(|event| match event {
                Event::ActionIssued { action, at, .. } if *action == kind => {
                    Some((record.version, at.as_millisecond()))
                }
                _ => None,
            })
        });
        let Some((version, at)) = issued else {
            self.violated(format!("{kind} of {worker} without a recorded intent"));
            return;
        };
        if self.now - at > INTENT_HOLDS {
            self.violated(format!("{kind} of {worker} is called {} ms after its intent", self.now - at));
        }
        // With all of its batch, with half of it, and so on: an answer that was lost, or a refusal, says nothing about any of them. How
        // often a reboot takes effect is counted on its own.
        self.books.intents.insert((worker, kind), version);
        let calls = self.books.calls.entry((worker, version)).or_default();
        *calls += 1;
        let most = if matches!(kind, ActionKind::Launch | ActionKind::Tag) { 1 } else { MOST_CALLS };
        if *calls > most {
            self.violated(format!("{kind} of {worker} is called more than {most} times for one intent"));
        }
    }

    /// A launch is about to take effect: of what the worker was created for, and of the same with one token only.
    pub(crate) fn launching(
        &mut self,
        worker: WorkerId,
        (token, spec, user_data): (&str, &LaunchSpec, Option<&UserData>),
    ) {
        let ordered = self.books.ordered.get(&worker);
        let wrong = ordered.map_or(Some("without an order"), |ordered| disorder(ordered, spec, user_data));
        let launches = self.books.launches.entry(worker).or_default();
        let known = launches.entry(token.to_owned()).or_insert_with(|| spec.clone());
        let wrong = wrong.or((known != spec).then_some("from something else with the same token"));
        let mut others = launches.iter().filter(|(of, _)| *of != token).map(|(_, other)| other);
        let wrong = wrong.or_else(|| {
            others.find_map(|other| {
                let again = (other == spec).then_some("from the same with another token");
                again.or((other.image != spec.image).then_some("from another image than before"))
            })
        });
        if let Some(wrong) = wrong {
            self.violated(format!("{worker} is launched {wrong}"));
        }
    }

    /// `act` is told that there is no user data for a launch.
    pub(crate) fn no_user_data(&mut self, worker: WorkerId, tables: &State) {
        let needs_it = |stored: &Stored| !stored.worker.has_used_user_data();
        if tables.workers.get(&worker).is_some_and(needs_it) {
            self.violated(format!("the user data of {worker} is gone before its launch"));
        }
    }

    /// A call that changes EC2 was made.
    pub(crate) fn acted(&mut self, worker: WorkerId, kind: ActionKind, accepted: bool) {
        if kind == ActionKind::Launch && self.ec2.live_of(worker) > 1 {
            self.violated(format!("{worker} has {} live instances", self.ec2.live_of(worker)));
        }
        if kind == ActionKind::Reboot && accepted {
            let (asked, made) = self.books.reboots.entry(worker).or_default();
            *made += 1;
            let intent = self.books.intents.get(&(worker, kind)).copied().unwrap_or_default();
            let again = !self.books.rebooted.insert((worker, intent));
            if again || made > asked {
                let message = format!("{worker} is rebooted {made} times and was asked {asked} times");
                self.violated(message);
            }
        }
    }
}
