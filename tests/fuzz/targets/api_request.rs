//! Feeds `api_request` until it breaks: `make fuzz T=api_request`.
#![no_main]

#[path = "../changes.rs"]
mod changes;
#[path = "../parsers.rs"]
mod parsers;
#[path = "../requests.rs"]
mod requests;

use libfuzzer_sys::{fuzz_mutator, fuzz_target, fuzzer_mutate};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

fuzz_target!(|bytes: &[u8]| parsers::named("api_request")(bytes));

fuzz_mutator!(|bytes: &mut [u8], size: usize, most: usize, seed: u32| {
    match edited(&bytes[..size], seed).filter(|new| new.len() <= most) {
        Some(new) => {
            bytes[..new.len()].copy_from_slice(&new);
            new.len()
        }
        None => fuzzer_mutate(bytes, size, most),
    }
});

/// The event with one more edit; `None` where the fuzzer's own changes are wanted, which break the JSON more often than not.
fn edited(bytes: &[u8], seed: u32) -> Option<Vec<u8>> {
    let event = serde_json::from_slice(bytes).ok().filter(|_| !seed.is_multiple_of(4))?;
    let rng = TestRng::from_seed(RngAlgorithm::ChaCha, &seed.to_le_bytes().repeat(8));
    let mut runner = TestRunner::new_with_rng(Config::default(), rng);
    let edited = requests::edited(event).new_tree(&mut runner).ok()?.current();
    serde_json::to_vec(&edited).ok()
}
