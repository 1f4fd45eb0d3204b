//! One run: a fleet lives through some hours of faults, then everything heals, and in the end all must be well.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use app::ports::Outcome;
use domain::{AlertDuration, DriftPolicy, Observed, Percent, PollInterval, Settings, Threshold, WorkerId};

use crate::chance::Chance;
use crate::ears::{leak, listening};
use crate::faults::{Fault, Faults};
use crate::lambda::Lambda;
use crate::trace::Step;
use crate::wiring::{Function, Wiring};
use crate::world::{BEGINNING, Due, Inner, MINUTE, SECOND, World, time};

/// How long after the last fault everything has to be in order: what was under way must end, retries of actions are over
/// (15 minutes at most, five times), and each worker has been looked at.
const RECOVERY: i64 = 150 * MINUTE;

/// After how long the first hash is taken. By then there are workers, faults and notices.
const BEGIN: i64 = 40 * MINUTE;

/// The last minutes of a run, in which nothing happens any more.
const QUIET: i64 = 30;

/// What to run.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) seed: u64,
    /// Hours with faults.
    pub(crate) hours: i64,
    /// The workers people want; chosen by the seed if absent.
    pub(crate) workers: Option<usize>,
    /// Exactly these faults instead of the seed's.
    pub(crate) faults: Option<Vec<Fault>>,
    /// End where the first hash is taken.
    pub(crate) only_begin: bool,
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Outcomes {
    pub(crate) seed: u64,
    pub(crate) hash: u128,
    /// The hash after the first minutes.
    pub(crate) early: u128,
    pub(crate) steps: u64,
    /// Virtual seconds.
    pub(crate) seconds: i64,
    pub(crate) workers: usize,
    pub(crate) facts: usize,
    pub(crate) notices: usize,
    pub(crate) invocations_dead: u32,
    pub(crate) struck: BTreeMap<(Fault, Option<Function>), u64>,
    pub(crate) set: BTreeSet<Fault>,
    /// The first law that was broken.
    pub(crate) broken: Option<String>,
    /// The last steps, if one was.
    pub(crate) tail: String,
}

fn settings(chance: &mut Chance) -> Settings {
    let threshold = Threshold {
        percent: Percent::new(90).expect("in range"),
        duration: AlertDuration::new(600).expect("in range"),
    };
    let interval = if chance.hits(300_000) { 60 } else { 300 };
    let drift = [DriftPolicy::Alert, DriftPolicy::Revert, DriftPolicy::Adopt][chance.below(3) as usize];
    Settings {
        monitoring: true,
        interval: PollInterval::new(interval).expect("in range"),
        drift,
        cpu: threshold,
        memory: threshold,
        disk: threshold,
    }
}

/// Runs one seed. A panic of our code, or of a law, is a broken law.
pub(crate) fn run(plan: &Plan, wiring: &Arc<Wiring>) -> Outcomes {
    let mut chance = Chance::new(plan.seed);
    let mut of_faults = chance.fork();
    let faults = match &plan.faults {
        Some(these) => Faults::only(these),
        None => Faults::swarm(&mut of_faults),
    };
    let set = faults.set();
    let settings = settings(&mut chance);
    let workers = plan.workers.unwrap_or_else(|| chance.between(20, 50) as usize);
    let metric_period = if chance.hits(500_000) { 60 } else { 300 };
    let world = Arc::new(World::new(chance, faults, Arc::clone(wiring)));
    let lambda = Lambda::new(Arc::clone(&world), settings, metric_period);
    let mut run = Run { world: Arc::clone(&world), lambda, early: 0 };
    let lived = catch_unwind(AssertUnwindSafe(|| listening(plan.seed, || run.live(plan, workers))));
    let broken = match lived {
        Ok(broken) => broken,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!("a panic: {}", text.unwrap_or_default()))
        }
    };
    let tables = world.tables.state();
    let inner = world.inner();
    Outcomes {
        seed: plan.seed,
        hash: inner.trace.hash(),
        early: run.early,
        steps: inner.trace.steps(),
        seconds: (inner.now - BEGINNING) / SECOND,
        workers: tables.workers.len(),
        facts: tables.facts.len(),
        notices: inner.listeners.told.len(),
        invocations_dead: inner.dead_letters.values().sum(),
        struck: inner.faults.struck().clone(),
        set,
        tail: if broken.is_some() { inner.trace.tail() } else { String::new() },
        broken,
    }
}

struct Run {
    world: Arc<World>,
    lambda: Lambda,
    early: u128,
}

impl Run {
    /// Lives through everything; the first law that was broken, if any was.
    fn live(&mut self, plan: &Plan, workers: usize) -> Option<String> {
        {
            let mut inner = self.world.inner();
            inner.map_stream();
            inner.populate(6, workers);
            inner.at(BEGINNING, Due::Tick);
            inner.after(MINUTE / 2, Due::Meddle);
        }
        let healing = BEGINNING + plan.hours * 60 * MINUTE;
        let broken = self.until(BEGINNING + BEGIN.min(plan.hours * 60 * MINUTE));
        self.early = self.world.inner().trace.hash();
        if broken.is_some() || plan.only_begin {
            return broken;
        }
        if let Some(broken) = self.until(healing) {
            return Some(broken);
        }
        {
            let mut inner = self.world.inner();
            inner.faults.healed = true;
            inner.step(Step::Healed);
        }
        if let Some(broken) = self.until(healing + RECOVERY - QUIET * MINUTE) {
            return Some(broken);
        }
        let before = self.calls();
        if let Some(broken) = self.until(healing + RECOVERY) {
            return Some(broken);
        }
        self.unwell().or_else(|| wasteful(before, self.calls()))
    }

    /// Calls of the metrics channel so far, and writes of workers.
    fn calls(&self) -> Calls {
        let inner = self.world.inner();
        let of = |function| inner.calls.iter().filter(|((f, _), _)| *f == function).map(|(_, n)| n).sum();
        Calls { poll: of(Function::Poll), collect: of(Function::Collect), saves: inner.books.saves }
    }

    /// Runs until a time, or until a law is broken.
    fn until(&mut self, end: i64) -> Option<String> {
        while let Some(due) = self.world.next(end) {
            self.carry_out(due);
            self.lambda.advance_ready();
            if let Some(line) = leak() {
                return Some(format!("a secret is in the log: {line}"));
            }
            let mut inner = self.world.inner();
            if !inner.books.violations.is_empty() {
                return Some(inner.books.violations.remove(0));
            }
        }
        self.world.inner().now = end;
        None
    }

    fn carry_out(&mut self, due: Due) {
        match due {
            Due::Wake(waker) => waker.wake(),
            Due::Tick => self.world.inner().tick(),
            Due::Invoke(call) => self.lambda.invoke(call),
            Due::TimeLimit(invocation) => self.lambda.time_limit(invocation),
            Due::Look(consumer) => self.world.inner().look(consumer),
            Due::Settle(instance, moves) => self.world.inner().settle(&instance, moves),
            Due::Meddle => self.world.inner().meddle(),
            Due::Person(person) => {
                let workers: Vec<(WorkerId, bool)> = {
                    let tables = self.world.tables.state();
                    tables.workers.values().map(|s| (s.worker.id(), s.worker.is_over())).collect()
                };
                self.world.inner().act_as(person, &workers);
            }
        }
    }

    /// What is not as it must be in the end.
    fn unwell(&self) -> Option<String> {
        let tables = self.world.tables.state();
        let inner = self.world.inner();
        let now = inner.now;
        if !inner.people.are_content() {
            return Some("somebody still waits for an answer".to_owned());
        }
        if !inner.stream.is_drained() {
            return Some("the stream is not drained".to_owned());
        }
        if let Some(((caller, key), _)) = tables
            .requests
            .iter()
            .find(|(_, request)| request.answer.is_none() && request.lease_until.as_millisecond() > now)
        {
            return Some(format!("the request {key} of {caller} is still under way"));
        }
        if let Some((worker, version)) = tables.untold.iter().next() {
            return Some(format!("nobody was told of {worker} at version {version}"));
        }
        for ((notice, channel), entry) in &tables.ledger {
            let waits = entry.due.is_some_and(|due| due.as_millisecond() < now - 3 * MINUTE);
            let silent = entry.due.is_none() && entry.outcome.is_none();
            let unreasoned = matches!(&entry.outcome, Some(Outcome::Parked { reason }) if reason.is_empty());
            if waits || silent || unreasoned {
                return Some(format!("{channel} was not told {notice}: {entry:?}"));
            }
        }
        tables
            .workers
            .values()
            .find_map(|stored| unsettled(stored, &inner))
            .or_else(|| untrue(&tables, &inner))
    }
}

/// What the metrics channel did.
#[derive(Debug)]
struct Calls {
    poll: u64,
    collect: u64,
    saves: u64,
}

/// A cycle in which nothing happens costs calls by the shard, never by the worker: the poll claims its tick, reads the
/// index, asks and says that it is done; a shard (of a zone, or of none yet) is loaded, asked about twice, measured, and
/// its samples are compared and written.
fn wasteful(before: Calls, after: Calls) -> Option<String> {
    let (ticks, shards) = (QUIET.unsigned_abs() + 1, 3);
    let writes = 3 * (after.saves - before.saves);
    let most = Calls { poll: 4 * ticks, collect: 6 * shards * ticks + writes, saves: 0 };
    let made = Calls { poll: after.poll - before.poll, collect: after.collect - before.collect, saves: 0 };
    (made.poll > most.poll || made.collect > most.collect).then(|| {
        format!("in {QUIET} quiet minutes the metrics channel made {made:?}, and {most:?} are enough")
    })
}

/// What is not in order with a worker.
fn unsettled(stored: &app::record::Stored, inner: &Inner) -> Option<String> {
    let worker = &stored.worker;
    let state = worker.state();
    let id = worker.id();
    if worker.is_over() {
        let live = inner.ec2.live_of(id);
        // Forgotten: the instance is left alone, and may run.
        let leaked = live > 0 && state.forgotten_at.is_none();
        return leaked.then(|| format!("{id} has ended, and {live} instances of it live"));
    }
    let now = time(inner.now);
    if stored.act_by.is_some_and(|at| at < now - jiff::SignedDuration::from_mins(5)) {
        return Some(format!("{id} has an overdue action: {:?}", state.attempt));
    }
    if let Some(attempt) = &state.attempt
        && attempt.failed.is_none()
        && state.gave_up.is_empty()
        && attempt.deadline < now - jiff::SignedDuration::from_mins(5)
    {
        return Some(format!("{id} has an attempt that never ended: {attempt:?}"));
    }
    let Some(instance) = &state.instance else {
        let resting = !state.gave_up.is_empty();
        return (!resting).then(|| format!("{id} still has no instance: {state:?}"));
    };
    if state.overrides.monitoring == Some(false) {
        return None;
    }
    let machine = inner.ec2.machines.get(instance)?;
    let actual = if machine.vanished { Observed::Missing } else { machine.observed() };
    let said = worker.observed();
    let agrees = said == actual || (said == Observed::Terminated && actual == Observed::Missing);
    if !agrees {
        return Some(format!("{id}: {instance} is {actual}, and the record says {said}: {state:?}"));
    }
    let settled = said.is_settled() && !said.fulfils(state.desired);
    if settled && state.drift.is_none() && state.gave_up.is_empty() {
        return Some(format!("{id} is {said}, is to be {}, and nobody says so: {state:?}", state.desired));
    }
    None
}

/// Whether the notices that were told are those of the ledger.
fn untrue(tables: &tests::world::State, inner: &Inner) -> Option<String> {
    for ((notice, channel), entry) in &tables.ledger {
        let delivered = matches!(entry.outcome, Some(Outcome::Delivered));
        let channel = match channel.as_str() {
            // The bus is told a record's notices together, and a digest names only so many.
            "bus" | "topic" => continue,
            hook if *hook == *crate::listeners::channel("steady") => "steady",
            _ => "moody",
        };
        if delivered && !inner.listeners.told.contains_key(&(channel, notice.clone())) {
            return Some(format!("the ledger says that {channel} was told {notice}, and it was not"));
        }
    }
    None
}
