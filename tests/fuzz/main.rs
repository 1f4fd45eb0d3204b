//! A bounded run of the fuzzing: 500 to 4000 inputs for each parser that meets strangers, 16,500 in all, most of them payloads of
//! `tests/fixtures` that were tampered with, the same ones every time. `PROPTEST_CASES=100000` runs longer; `cargo fuzz` as long as one likes
//! (see ARCHITECTURE.md).
//!
//! Memory is counted as well: for an input of at most 64 KiB no parser may, at any moment, hold more than [`MOST_HELD`]
//! beyond what there was before.
#![expect(clippy::expect_used, reason = "all of this is a test")]

mod changes;
mod found;
mod parsers;
mod requests;
mod tampered;

use std::sync::{Mutex, PoisonError};

use peak_alloc::PeakAlloc;
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestError, TestRng, TestRunner};

use parsers::PARSERS;

/// The allocator counts for the whole process, so one input is fed at a time.
#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// The most that one input may bring a parser to hold, in bytes: the input in every form it passes through, the answer, and a world
/// of three workers.
const MOST_HELD: usize = 1024 * 1024;
/// The most that is fed, in bytes.
const MOST_FED: usize = 64 * 1024;

/// What proptest takes if `PROPTEST_CASES` is not set.
const UNASKED: u32 = 256;

/// Feeds one input and counts.
fn feed(parser: fn(&[u8]), input: &[u8]) {
    let input = &input[..input.len().min(MOST_FED)];
    let _one = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let before = MEMORY.current_usage();
    MEMORY.reset_peak_usage();
    parser(input);
    let held = MEMORY.peak_usage().saturating_sub(before);
    assert!(held <= MOST_HELD, "{held} bytes held for an input of {}", input.len());
}

/// Feeds many inputs of one kind, the same ones every time.
fn run(name: &str, cases: u32, inputs: &impl Strategy<Value = Vec<u8>>) {
    let parser = parsers::named(name);
    let asked = Config::default();
    let cases = if asked.cases == UNASKED { cases } else { asked.cases };
    let config = Config { cases, failure_persistence: None, ..asked };
    let rng = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let fed = TestRunner::new_with_rng(config, rng).run(inputs, |input| {
        feed(parser, &input);
        Ok(())
    });
    match fed {
        Ok(()) => {}
        Err(TestError::Fail(why, input)) => panic!("{name}: {why}: {:?}", String::from_utf8_lossy(&input)),
        Err(TestError::Abort(why)) => panic!("{name}: {why}"),
    }
}

macro_rules! fuzz {
    ($($name:ident: $cases:literal of $inputs:expr;)+) => {
        $(#[test]
        fn $name() {
            run(stringify!($name), $cases, &$inputs);
        })+

        /// A parser without inputs is one that nobody tries.
        #[test]
        fn every_parser_is_fed() {
            let fed = [$(stringify!($name)),+];
            assert!(PARSERS.iter().all(|(name, _)| fed.contains(name)), "{fed:?}");
        }
    };
}

fuzz! {
    api_request: 4000 of tampered::request();
    api_body: 2500 of tampered::body();
    api_cursor: 500 of tampered::cursor();
    state_change: 2000 of tampered::payload(&["ec2-state-change.json"]);
    schedule: 500 of tampered::payload(&["schedule.json"]);
    bus_request: 2000 of tampered::payload(
        &["collection-requested.json", "reconcile-requested.json", "command-requested.json", "schedule.json"]
    );
    stream_batch: 1000 of tampered::payload(&["fleet-stream.json"]);
    webhook_url: 4000 of tampered::url();
}

/// A request that is refused at the door would leave all behind it untried.
#[test]
fn every_request_to_tamper_with_is_carried_out() {
    for name in tampered::REQUESTS {
        let event = serde_json::from_value(tests::fixtures::read(name)).expect(name);
        let (status, json) = parsers::event::answer(event).expect(name);
        assert!(status.is_success(), "{name}: {status} {json}");
    }
}
