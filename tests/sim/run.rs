//! One run: a fleet lives through some hours of faults, then everything heals, and in the end all must be well.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use domain::Metric;

use crate::chance::Chance;
use crate::day_off::BEFORE_IT;
use crate::deployment::Deployment;
use crate::ears::{leak, listening};
use crate::end::{Judged, unanswered, undecided, unwell};
use crate::faults::{Fault, Faults};
use crate::lambda::Lambda;
use crate::measuring::unmeasured;
use crate::outside::Port;
use crate::people::Seen;
use crate::season::{AFTERWARDS, living};
use crate::trace::Step;
use crate::wiring::{Function, Wiring};
use crate::world::{BEGINNING, Due, MINUTE, SECOND, World};

/// How long after the last fault everything has to be in order: what was under way must end, retries of actions are over
/// (15 minutes at most, five times), and each worker has been looked at.
const RECOVERY: i64 = 150 * MINUTE;

/// After how long the first hash is taken. By then there are workers, faults and notices.
const BEGIN: i64 = 40 * MINUTE;

/// How many channels there are: the bus, the topic and two webhooks.
const CHANNELS: u64 = 4;

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

impl Plan {
    /// What runs this once more.
    pub(crate) fn command(&self) -> String {
        let workers = self.workers.map_or_else(String::new, |workers| format!(" WORKERS={workers}"));
        let faults = self.faults.iter().map(|faults| {
            let names: Vec<String> = faults.iter().map(|fault| format!("{fault:?}")).collect();
            format!(" FAULTS={}", names.join(","))
        });
        format!("make sim SEED={} HOURS={}{workers}{}", self.seed, self.hours, faults.collect::<String>())
    }
}

/// How a run went.
#[derive(Debug)]
pub(crate) struct Outcomes {
    pub(crate) seed: u64,
    /// The hash and the last steps after the first minutes, and in the end.
    pub(crate) early: (u128, String),
    pub(crate) end: (u128, String),
    pub(crate) steps: u64,
    /// Virtual seconds, without those that were skipped.
    pub(crate) seconds: i64,
    pub(crate) workers: usize,
    pub(crate) facts: usize,
    pub(crate) notices: usize,
    /// What reached a dead-letter queue.
    pub(crate) dead_letters: u32,
    /// Notices that a digest only counted, and requests that were left without an answer for good.
    pub(crate) excused: (u64, usize),
    /// The workers that lived when all should be in order; none if the run did not get there.
    pub(crate) judged: Judged,
    pub(crate) struck: BTreeMap<(Fault, Option<Function>), u64>,
    pub(crate) set: BTreeSet<Fault>,
    /// The ports that were called.
    pub(crate) called: BTreeSet<Port>,
    /// At which of them somebody died, or met what he did himself.
    pub(crate) befallen: BTreeSet<(Fault, Port)>,
    /// The first law that was broken.
    pub(crate) broken: Option<String>,
}

impl Outcomes {
    /// How another run of the same seed differs, with the last steps of both; none if it does not. Its end is no matter if it
    /// was only begun.
    pub(crate) fn differs_from(&self, again: &Self, only_begun: bool) -> Option<String> {
        let pairs = [(&self.early, &again.early), (&self.end, &again.end)];
        let compared = if only_begun { &pairs[..1] } else { &pairs[..] };
        let (one, two) = compared.iter().find(|(one, two)| one.0 != two.0)?;
        Some(format!(
            "two runs of one seed differ; the last steps of the first:\n{}  and of the second:\n{}",
            one.1, two.1
        ))
    }
}

/// Runs one seed. A panic of our code, or of a law, is a broken law.
pub(crate) fn run(plan: &Plan, wiring: &Arc<Wiring>) -> Outcomes {
    let mut chance = Chance::new(plan.seed);
    let faults = match &plan.faults {
        Some(these) => Faults::only(these),
        None => Faults::swarm(plan.seed),
    };
    let set = faults.set();
    let deployment = Deployment::by(&mut chance);
    let workers = plan.workers.unwrap_or_else(|| chance.between(20, 50) as usize);
    let world = Arc::new(World::new(chance, faults, Arc::clone(wiring), deployment));
    let lambda = Lambda::new(Arc::clone(&world), deployment);
    let mut run = Run {
        world: Arc::clone(&world),
        lambda,
        deployment,
        early: (0, String::new()),
        unanswered: None,
        judged: Judged::default(),
    };
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
        early: run.early,
        end: (inner.trace.hash(), inner.trace.tail()),
        steps: inner.trace.steps(),
        seconds: (inner.now - BEGINNING - inner.skipped) / SECOND,
        workers: tables.workers.len(),
        facts: tables.facts.len(),
        notices: inner.listeners.tellings(),
        dead_letters: inner.dead_letters.values().sum(),
        excused: (inner.listeners.omissions, run.unanswered.unwrap_or_else(|| unanswered(&tables).count())),
        judged: run.judged,
        struck: inner.faults.counts().clone(),
        set,
        called: inner.calls.keys().map(|(_, port)| *port).collect(),
        befallen: inner.befallen.clone(),
        broken,
    }
}

struct Run {
    world: Arc<World>,
    lambda: Lambda,
    deployment: Deployment,
    early: (u128, String),
    /// Requests without an answer, before they expired.
    unanswered: Option<usize>,
    judged: Judged,
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
        self.early = {
            let inner = self.world.inner();
            (inner.trace.hash(), inner.trace.tail())
        };
        if broken.is_some() || plan.only_begin {
            return broken;
        }
        if let Some(broken) = self.until(healing) {
            return Some(broken);
        }
        {
            let mut inner = self.world.inner();
            inner.faults.healed = true;
            inner.healed_at = inner.now;
            inner.step(Step::Healed);
        }
        if let Some(broken) = self.until(healing + RECOVERY - QUIET * MINUTE) {
            return Some(broken);
        }
        let before = self.spent();
        self.world.inner().described = Some(BTreeSet::new());
        if let Some(broken) = self.until(healing + RECOVERY) {
            return Some(broken);
        }
        self.world.inner().described = None;
        let made = self.spent().since(&before);
        let living = living(&self.world.tables.state()).len() as u64;
        self.judged = {
            let (tables, inner) = (self.world.tables.state(), self.world.inner());
            Judged::of(&tables, &inner)
        };
        unwell(&self.world)
            .or_else(|| wasteful(&made, living, &self.deployment))
            .or_else(|| unmeasured(&self.world))
            .or_else(|| self.a_day_off())
            .or_else(|| self.a_season_later())
    }

    /// What is not in order after more than a day without the stream's mappings, if the run has one: nobody's facts are lost
    /// for good.
    fn a_day_off(&mut self) -> Option<String> {
        if !self.world.inner().faults.include(Fault::MappingsOff) {
            return None;
        }
        self.world.begin_day_off();
        let until = self.world.inner().now + BEFORE_IT;
        if let Some(broken) = self.until(until) {
            return Some(broken);
        }
        if self.world.came_to_nothing() {
            return Some("a script changed all workers, and the stream has nothing of it".to_owned());
        }
        self.world.end_day_off();
        let until = self.world.inner().now + AFTERWARDS;
        let broken = self.until(until).or_else(|| unwell(&self.world));
        broken.map(|broken| format!("after a day without the mappings: {broken}"))
    }

    /// What is not in order once everything with a time to live is gone: whoever lived lives, or ended since, and what was
    /// still to be told was told or given up.
    fn a_season_later(&mut self) -> Option<String> {
        let (lived, old) = {
            let tables = self.world.tables.state();
            self.unanswered = Some(unanswered(&tables).count());
            (living(&tables), tables.facts.keys().copied().collect::<Vec<_>>())
        };
        self.world.season();
        let begun = self.world.inner().now;
        let until = begun + AFTERWARDS;
        if let Some(broken) = self.until(until).or_else(|| unwell(&self.world)) {
            return Some(format!("a season later: {broken}"));
        }
        let tables = self.world.tables.state();
        if let Some(undecided) = undecided(&tables, begun) {
            return Some(format!("a season later: {undecided}"));
        }
        if let Some(lost) = lived.iter().find(|worker| !tables.workers.contains_key(worker)) {
            return Some(format!("a season later: {lost} lived, and its record has expired"));
        }
        let kept = old.iter().find(|facts| tables.facts.contains_key(facts));
        kept.map(|(worker, version)| {
            format!("a season later: the facts of {worker} at {version} are still there")
        })
    }

    /// What was called and written so far.
    fn spent(&self) -> Spent {
        let tables = self.world.tables.state();
        let inner = self.world.inner();
        let of = |function| inner.calls.iter().filter(|((f, _), _)| *f == function).map(|(_, n)| n).sum();
        let appends = inner.calls.iter().filter(|((_, port), _)| *port == Port::Append).map(|(_, n)| n).sum();
        Spent {
            poll: of(Function::Poll),
            collect: of(Function::Collect),
            act: of(Function::Act),
            notify: of(Function::Notify),
            open: tables.ledger.iter().filter(|(_, entry)| entry.due.is_some()).count() as u64,
            tries: tables.ledger.iter().map(|(_, entry)| u64::from(entry.attempts)).sum(),
            alerts: inner.books.alerts,
            saves: inner.books.saves - inner.books.alerts,
            appends,
            samples: tables.samples.len() as u64,
        }
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
            Due::Expire(item) => self.world.expire(&item),
            Due::Person(person) => {
                let workers: Vec<Seen> = self.world.tables.state().workers.values().map(Seen::of).collect();
                self.world.inner().act_as(person, &workers);
            }
        }
    }
}

/// What was called, and what was written.
#[derive(Debug)]
struct Spent {
    poll: u64,
    collect: u64,
    act: u64,
    notify: u64,
    /// Deliveries that still had to be tried in the beginning, and those that were.
    open: u64,
    tries: u64,
    /// Writes of workers that tell of an alert, and all others.
    alerts: u64,
    saves: u64,
    /// Calls that write samples, and samples that were not there before.
    appends: u64,
    samples: u64,
}

impl Spent {
    const fn since(&self, before: &Self) -> Self {
        Self {
            poll: self.poll - before.poll,
            collect: self.collect - before.collect,
            act: self.act - before.act,
            notify: self.notify - before.notify,
            open: before.open,
            tries: self.tries - before.tries,
            alerts: self.alerts - before.alerts,
            saves: self.saves - before.saves,
            appends: self.appends - before.appends,
            samples: self.samples - before.samples,
        }
    }
}

/// A cycle in which nothing happens costs calls by the shard, never by the worker: the poll claims its tick, reads the index,
/// asks, says that it is done, and looks for commands that go on; a shard (of a zone, or of none yet) is loaded, asked about,
/// described (each worker at most once by each environment, see `Inner::check_described`), measured, and its samples are compared
/// and written; `act` is asked about whoever was written and nobody else; `notify` reads two indexes, and tells of what was written on each channel, once, or of what waited until then. No worker is
/// written but to raise or to end an alert, as there may be a busy hour also then, and that is once for each metric; and a
/// worker has a sample for each period of the metrics.
fn wasteful(made: &Spent, living: u64, deployment: &Deployment) -> Option<String> {
    let ticks = QUIET.unsigned_abs() + 1;
    // One of each zone and one of those that are in none yet, and as many more as their number takes.
    let shards = 3 + living / u64::from(deployment.shard_size);
    let periods = QUIET.unsigned_abs() * 60 / u64::from(deployment.metric_period) + 1;
    let most = Spent {
        poll: 5 * ticks,
        collect: 6 * shards * ticks + 3 * made.alerts,
        act: 2 * made.alerts,
        notify: 2 * ticks + 7 * made.tries,
        open: made.open,
        tries: made.open + CHANNELS * Metric::ALL.len() as u64 * made.alerts,
        alerts: Metric::ALL.len() as u64 * living,
        saves: 0,
        appends: shards * ticks,
        samples: living * periods,
    };
    let too_many = made.poll > most.poll
        || made.collect > most.collect
        || made.act > most.act
        || made.notify > most.notify
        || made.tries > most.tries
        || made.alerts > most.alerts
        || made.saves > most.saves
        || made.appends > most.appends
        || made.samples > most.samples;
    too_many.then(|| format!("{QUIET} quiet minutes took {made:?}, and {most:?} are enough"))
}
