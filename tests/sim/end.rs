//! What must be so in the end, some time after the last fault.

use std::fmt;

use app::notice::Reach;
use app::ports::{BulkCommand, Outcome};
use app::record::Stored;
use domain::{ActionKind, AlertKind, BulkOutcome, Desired, DriftPolicy, Observed, Progress};
use jiff::SignedDuration;
use tests::world::{Entry, State};

use crate::ec2::Machine;
use crate::world::{Inner, MINUTE, World, time};

/// How long something may be overdue: until the next sweep has come by.
const LATE: SignedDuration = SignedDuration::from_mins(5);

/// How long an instance that vanished may be waited for: an hour of answers that it is not known, the longest interval before the
/// first of them, and another after the last.
const GONE_AFTER: i64 = 100 * MINUTE;

/// How many of the workers that live were compared with EC2 in the end, and of how many of them not all was, as that is known.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Judged {
    /// The record with the instance, what is asked for with the record, and the tags.
    pub(crate) compared: u64,
    /// An action without which EC2 does not get where it was asked to go was given up.
    pub(crate) stuck: u64,
    /// Somebody holds it.
    pub(crate) held: u64,
    /// Nobody looks.
    pub(crate) unmonitored: u64,
    /// Of those that are stuck: its launch was given up, and an instance runs all the same, which nobody could know.
    pub(crate) astray: u64,
}

impl Judged {
    /// The workers at the end of a run.
    pub(crate) fn of(tables: &State, inner: &Inner) -> Self {
        let mut judged = Self::default();
        for Stored { worker, .. } in tables.workers.values().filter(|stored| !stored.worker.is_over()) {
            let count = match worker.state().overrides.monitoring {
                Some(false) => &mut judged.unmonitored,
                _ if worker.is_held() => &mut judged.held,
                _ if worker.is_stuck() => &mut judged.stuck,
                _ => &mut judged.compared,
            };
            *count += 1;
            let unknown = worker.is_stuck() && worker.state().instance.is_none();
            judged.astray += u64::from(unknown && inner.ec2.live_of(worker.id()) > 0);
        }
        judged
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            compared: self.compared + other.compared,
            stuck: self.stuck + other.stuck,
            held: self.held + other.held,
            unmonitored: self.unmonitored + other.unmonitored,
            astray: self.astray + other.astray,
        }
    }

    /// At least every other worker was compared.
    pub(crate) const fn is_enough(self) -> bool {
        self.compared >= self.stuck + self.held + self.unmonitored
    }
}

impl fmt::Display for Judged {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { compared, stuck, held, unmonitored, astray } = self;
        write!(
            f,
            "{compared} compared with EC2, {stuck} stuck ({astray} of them with an instance that nobody could know of), \
             {held} held, {unmonitored} not monitored"
        )
    }
}

/// What is not as it must be.
pub(crate) fn unwell(world: &World) -> Option<String> {
    let tables = world.tables.state();
    let inner = world.inner();
    if !inner.people.are_content() {
        return Some("somebody still waits for an answer".to_owned());
    }
    if !inner.stream.is_drained() {
        return Some("the stream is not drained".to_owned());
    }
    if let Some((caller, key)) = unanswered(&tables).find(|request| !inner.people.is_closed(request)) {
        return Some(format!("the request {key} of {caller} has no answer"));
    }
    if tables.commands.len() > inner.people.many {
        return Some(format!("{} commands came of {} requests", tables.commands.len(), inner.people.many));
    }
    if let Some(command) = tables.commands.values().find_map(|command| unfinished(command, &tables)) {
        return Some(command);
    }
    if let Some((worker, version)) = tables.untold.iter().next() {
        return Some(format!("nobody was told of {worker} at version {version}"));
    }
    untold(&tables, &inner)
        .or_else(|| tables.workers.values().find_map(|stored| unsettled(stored, &inner)))
        .or_else(|| inner.tardy())
}

/// What is not in order with a command for many workers: all of it has been asked of them, and they went there, unless
/// somebody holds them or nobody looks.
fn unfinished(command: &BulkCommand, tables: &State) -> Option<String> {
    let (id, bulk) = (command.id, &command.bulk);
    if command.due.is_some() {
        return Some(format!("the command {id} is still to be carried on: {command:?}"));
    }
    let chunks = tables.chunks.range((id, 0)..=(id, u32::MAX)).map(|(_, entry)| &entry.chunk);
    for item in chunks.flat_map(|chunk| &chunk.items) {
        let stored = tables.workers.get(&item.worker);
        let waits = |stored: &&Stored| {
            let (worker, state) = (&stored.worker, stored.worker.state());
            let seen = state.overrides.monitoring != Some(false) && worker.observed() != Observed::Missing;
            worker.progress(bulk) == Progress::Waiting && seen && !worker.is_held()
        };
        match item.outcome {
            BulkOutcome::Planned => {
                return Some(format!("{} of the command {id} is only planned", item.worker));
            }
            BulkOutcome::Asked if stored.filter(waits).is_some() => {
                return Some(format!(
                    "{} still waits for {bulk:?} of the command {id}: {stored:?}",
                    item.worker
                ));
            }
            _ => {}
        }
    }
    None
}

/// The requests that were begun and have no answer.
pub(crate) fn unanswered(tables: &State) -> impl Iterator<Item = &(String, String)> {
    tables.requests.iter().filter(|(_, request)| request.answer.is_none()).map(|(request, _)| request)
}

/// A notice that a channel it is for was not told. What the ledger calls delivered was compared with what was told when it
/// was entered.
fn untold(tables: &State, inner: &Inner) -> Option<String> {
    let tardy = |notice: &str, channel: &str| {
        let entry = tables.ledger.get(&(notice.to_owned(), channel.to_owned()));
        let settled = entry.is_some_and(|entry| is_settled(entry, inner.now));
        (!settled).then(|| format!("{channel} was not told {notice}: {entry:?}"))
    };
    for (worker, version) in tables.facts.keys() {
        let record = format!("{worker}_{version}");
        let Some(notices) = inner.books.notices.get(&record) else {
            return Some(format!("the facts of {record} were never written"));
        };
        let notices = &notices.all;
        let on_bus = (!notices.is_empty()).then(|| tardy(&record, "bus")).flatten();
        let everyone = notices.iter().filter(|(_, reach)| *reach == Reach::Everyone);
        let elsewhere =
            || everyone.flat_map(|(id, _)| inner.listeners.channels_of_everyone().map(move |on| (id, on)));
        let tardy = on_bus.or_else(|| elsewhere().find_map(|(id, channel)| tardy(id, channel)));
        if tardy.is_some() {
            return tardy;
        }
    }
    None
}

/// A delivery that was entered before a time, after which every other try of it had its turn, and that is neither made nor given
/// up with a reason.
pub(crate) fn undecided(tables: &State, before: i64) -> Option<String> {
    let old = tables.ledger.iter().filter(|(_, entry)| entry.first_at < time(before));
    let mut open = old.filter(|(_, entry)| entry.due.is_some() || !has_ended(entry));
    open.next().map(|((notice, channel), entry)| format!("{channel} was never told {notice}: {entry:?}"))
}

/// Delivered, or given up with a reason.
fn has_ended(entry: &Entry) -> bool {
    match &entry.outcome {
        Some(Outcome::Delivered) => true,
        Some(Outcome::Parked { reason }) => !reason.is_empty(),
        Some(Outcome::Retry { .. }) | None => false,
    }
}

/// Delivered, given up with a reason, or waiting for a time to come.
fn is_settled(entry: &Entry, now: i64) -> bool {
    match &entry.due {
        Some(due) => due.as_millisecond() >= now - 3 * MINUTE,
        None => has_ended(entry),
    }
}

/// What is not in order with a worker.
fn unsettled(stored: &Stored, inner: &Inner) -> Option<String> {
    let (worker, state) = (&stored.worker, stored.worker.state());
    let id = worker.id();
    if worker.is_over() {
        let live = inner.ec2.live_of(id);
        // Forgotten: its instance is left alone and may run. Who forgets what was given up before it had one knows.
        let known = state.instance.is_some() || worker.is_stuck();
        let leaked = live > 0 && !(state.forgotten_at.is_some() && known);
        return leaked.then(|| format!("{id} has ended, and {live} instances of it live: {state:?}"));
    }
    let now = time(inner.now);
    if stored.act_by.is_some_and(|at| at < now - LATE) {
        return Some(format!("{id} has an overdue action: {:?}", state.attempt));
    }
    if let Some(attempt) = &state.attempt
        && attempt.failed.is_none()
        && !state.gave_up.contains_key(&attempt.action)
        && !worker.is_held()
        && attempt.deadline < now - LATE
    {
        return Some(format!("{id} has an attempt that never ended: {attempt:?}"));
    }
    let Some(instance) = &state.instance else {
        return (!worker.is_stuck() && !worker.is_held())
            .then(|| format!("{id} still has no instance: {state:?}"));
    };
    let machine = inner.ec2.machines.get(instance)?;
    let said = worker.observed();
    let untagged = || untagged(stored, machine).map(|how| format!("{id}: {instance} {how}: {state:?}"));
    // What the record says may be old then; what it says is acted upon all the same.
    if state.overrides.monitoring == Some(false) {
        return (said.is_settled() && !worker.is_held()).then(untagged).flatten();
    }
    if machine.vanished.is_some_and(|since| inner.now - since > GONE_AFTER) {
        return Some(format!("{id}: {instance} vanished hours ago, and the record says {said}: {state:?}"));
    }
    let actual = if machine.vanished.is_some() { Observed::Missing } else { machine.observed() };
    let agrees = said == actual || (said == Observed::Terminated && actual == Observed::Missing);
    if !agrees {
        return Some(format!("{id}: {instance} is {actual}, and the record says {said}: {state:?}"));
    }
    let public_ip = machine.phases.last().and_then(|phase| machine.public_ip(phase));
    if said.is_settled() && state.public_ip != public_ip {
        return Some(format!("{id}: {instance} has the address {public_ip:?}: {state:?}"));
    }
    // Whoever holds it knows that it is not as asked, and what waits.
    if worker.is_held() {
        return None;
    }
    let policy = worker.overrides().over(&inner.deployment.settings).drift;
    let off = said.is_settled() && !said.fulfils(state.desired) && !worker.is_stuck();
    if off && (state.drift.is_none() || policy != DriftPolicy::Alert) {
        let desired = state.desired;
        return Some(format!("{id} is {said}, is to be {desired}, and under {policy} is left so: {state:?}"));
    }
    if said.fulfils(state.desired) && state.drift.is_some() {
        return Some(format!("{id} is {said} as it is to be, and is said to drift: {state:?}"));
    }
    let mut alerts = state.alerts.keys().filter(|_| said != Observed::Missing);
    if let Some(alert) = alerts.find(|kind| is_about_ec2(**kind)) {
        return Some(format!("{id} is {said}, and the alert {alert} is up: {state:?}"));
    }
    untagged()
}

/// Whether there is an alert about what EC2 says, which it says no more when it says where the instance is.
const fn is_about_ec2(kind: AlertKind) -> bool {
    matches!(kind, AlertKind::Missing | AlertKind::Unobservable | AlertKind::Hanging)
}

/// How the tags of a live instance are not as they are wanted, unless that was given up.
pub(crate) fn untagged(stored: &Stored, machine: &Machine) -> Option<String> {
    let state = stored.worker.state();
    // Whoever is to be terminated gets no tags any more, also if that was given up.
    let pursued = state.desired != Desired::Terminated && !state.gave_up.contains_key(&ActionKind::Tag);
    if !machine.is_live() || !pursued {
        return None;
    }
    let wanted = stored.worker.wanted_tags();
    let missing = wanted.iter().find(|(key, value)| machine.tags.get(*key) != Some(value));
    let left =
        machine.tags.keys().find(|key| !wanted.contains_key(*key) && state.applied_tags.contains_key(*key));
    missing
        .map(|(key, value)| format!("does not carry {key}={value}"))
        .or_else(|| left.map(|key| format!("still carries {key}")))
}
