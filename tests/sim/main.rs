//! The deterministic simulator: the real handlers of all functions live through hours of everything AWS documents and
//! people do, in virtual time, and the laws are checked after every step.
//!
//! `make sim` runs many seeds, `make sim SEED=n` runs one and says what happened. A seed decides everything: which
//! faults there are, how often, and what everybody does. To look closer, `FAULTS=Hang,ColdStart` takes exactly these
//! faults, and `WORKERS=n` so many workers; with these a seed is another run, so a failure says all that it was run with.

#![expect(clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "all of this is a test")]
#![expect(
    clippy::disallowed_methods,
    reason = "how long a run takes is real time; its seeds come from the environment"
)]

mod books;
mod chance;
mod cloudwatch;
mod day_off;
mod deployment;
mod ears;
mod ec2;
mod end;
mod events;
mod faults;
mod functions;
mod hanging;
mod hash;
mod lagging;
mod lambda;
mod launches;
mod laws;
mod listeners;
mod measuring;
mod orders;
mod outside;
mod people;
mod promptness;
mod requests;
mod run;
mod season;
mod stream;
mod trace;
mod tries;
mod wiring;
mod wishes;
mod world;

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use end::Judged;
use faults::Fault;
use run::{Outcomes, Plan, run};
use wiring::{Function, Wiring};

/// A simulated hour is a million small allocations.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn number(name: &str) -> Option<u64> {
    let text = std::env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(text.parse().unwrap_or_else(|_| panic!("{name} must be a whole number, not {text:?}")))
}

/// The run of a seed, as far as the environment does not say otherwise.
fn plan(seed: u64, hours: i64) -> Plan {
    let faults = std::env::var("FAULTS").ok().filter(|text| !text.is_empty());
    let named = |name: &str| Fault::ALL.into_iter().find(|fault| format!("{fault:?}") == name);
    let faults = faults.map(|names| {
        names
            .split(',')
            .map(|name| named(name).unwrap_or_else(|| panic!("there is no fault {name:?}")))
            .collect()
    });
    let workers = number("WORKERS").map(|workers| workers as usize);
    Plan { seed, hours, workers, faults, only_begin: false }
}

/// Seeds beyond the first that notice what those do not.
fn found() -> Vec<u64> {
    let lines = include_str!("seeds.txt").lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| line.split_whitespace().next().and_then(|seed| seed.parse().ok()).expect("a seed"))
        .collect()
}

/// On how many threads so many seeds are run: as many as there are processors.
fn threads(seeds: usize) -> usize {
    std::thread::available_parallelism().map_or(1, usize::from).min(seeds)
}

/// Runs these seeds.
fn run_all(seeds: &[u64], hours: i64, until_broken: bool) -> Vec<Outcomes> {
    let wiring = Arc::new(Wiring::read());
    let next = AtomicU64::new(0);
    let all = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..threads(seeds.len()) {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
                    let plan = plan(*seed, hours);
                    let mut outcomes = run(&plan, &wiring);
                    if outcomes.broken.is_none() {
                        // Again: the same seed is the same run. To its end every fourth time, if that is not a day away,
                        // else up to where the first hash was taken: all of them would take as long once more.
                        let only_begin = seed % 4 != 0 || hours > 6;
                        let again = run(&Plan { only_begin, ..plan }, &wiring);
                        outcomes.broken = outcomes.differs_from(&again, only_begin);
                    }
                    let enough = until_broken && outcomes.broken.is_some();
                    all.lock().unwrap_or_else(PoisonError::into_inner).push(outcomes);
                    if enough {
                        next.store(u64::MAX / 2, Ordering::Relaxed);
                    }
                }
            });
        }
    });
    let mut all = all.into_inner().unwrap_or_else(PoisonError::into_inner);
    all.sort_by_key(|outcomes| outcomes.seed);
    all
}

fn report(outcomes: &Outcomes, hours: i64) {
    let Outcomes {
        seed, end: (hash, tail), steps, seconds, workers, facts, notices, dead_letters, set, ..
    } = outcomes;
    println!(
        "seed {seed}: {steps} steps in {seconds} s, {workers} workers, {facts} versions, {notices} notices, {dead_letters} dead letters, trace {hash:032x}"
    );
    let (omitted, unanswered) = outcomes.excused;
    println!(
        "  {omitted} notices only counted in a digest, {unanswered} requests without an answer for good"
    );
    println!("  faults: {set:?}");
    if let Some(broken) = &outcomes.broken {
        let again = plan(*seed, hours).command();
        println!("  BROKEN: {broken}\n  the last steps:\n{tail}  again with: {again}");
    }
}

#[test]
fn the_fleet_survives() {
    // Without being told otherwise, as in the quick loop: little, as it is not compiled to be fast there.
    let hours = number("HOURS").map_or(1, |hours| hours as i64);
    if let Some(seed) = number("SEED") {
        let all = run_all(&[seed], hours, false);
        all.iter().for_each(|outcomes| report(outcomes, hours));
        assert!(all.iter().all(|outcomes| outcomes.broken.is_none()));
        return;
    }
    let count = number("SEEDS").unwrap_or(2);
    let from = number("FROM").unwrap_or(1);
    // What was noticed once is the first to be looked for.
    let mut seeds = found();
    seeds.extend(from..from + count);
    let start = Instant::now();
    let all = run_all(&seeds, hours, number("UNTIL_BROKEN").is_some());
    let took = start.elapsed().as_secs_f64();
    let broken: Vec<&Outcomes> = all.iter().filter(|outcomes| outcomes.broken.is_some()).collect();
    broken.iter().take(10).for_each(|outcomes| report(outcomes, hours));
    let simulated: i64 = all.iter().map(|outcomes| outcomes.seconds).sum();
    let (threads, pace) = (threads(seeds.len()), simulated as f64 / took);
    println!(
        "{count} seeds and the {} of seeds.txt, of {hours} h, {} broken: {simulated} simulated seconds in {took:.1} s on {threads} threads, {pace:.0} a second, {:.0} for each thread; what was run a second time is not among them",
        found().len(),
        broken.len(),
        pace / threads as f64
    );
    let (omitted, unanswered) =
        all.iter().fold((0, 0), |sum, outcomes| (sum.0 + outcomes.excused.0, sum.1 + outcomes.excused.1));
    println!(
        "excused: {omitted} notices only counted in a digest, {unanswered} requests without an answer for good"
    );
    let judged = all.iter().fold(Judged::default(), |sum, outcomes| sum.and(outcomes.judged));
    println!("workers that lived in the end: {judged}");
    if number("COVERAGE").is_some() || count >= 200 {
        assert!(judged.is_enough(), "too few workers were compared with EC2: {judged}");
        let called = all.iter().flat_map(|outcomes| &outcomes.called).copied().collect();
        let (never_struck, never_called) = (uncovered(&all), outside::uncalled(&called));
        assert!(
            never_struck.is_empty() && never_called.is_empty(),
            "faults that never struck: {never_struck:?}, ports that were never called: {never_called:?}"
        );
        let spared = outside::spared(&all.iter().flat_map(|outcomes| &outcomes.befallen).copied().collect());
        assert!(spared.is_empty(), "calls that were spared: {spared:?}");
    }
    assert!(
        broken.is_empty(),
        "broken: {:?}",
        broken.iter().map(|outcomes| outcomes.seed).collect::<Vec<_>>()
    );
}

/// The faults that never struck whom they can strike.
fn uncovered(all: &[Outcomes]) -> Vec<(Fault, Option<Function>)> {
    let mut struck: BTreeMap<(Fault, Option<Function>), u64> = BTreeMap::new();
    for outcomes in all {
        for (pair, count) in &outcomes.struck {
            *struck.entry(*pair).or_default() += count;
        }
    }
    faults::pairs().into_iter().filter(|pair| !struck.contains_key(pair)).collect()
}
