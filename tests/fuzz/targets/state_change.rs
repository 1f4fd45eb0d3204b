//! Feeds `state_change` until it breaks: `make fuzz T=state_change`.
#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::named("state_change")(bytes));
