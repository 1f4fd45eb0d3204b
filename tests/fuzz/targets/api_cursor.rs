//! Feeds `api_cursor` until it breaks: `make fuzz T=api_cursor`.
#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::named("api_cursor")(bytes));
