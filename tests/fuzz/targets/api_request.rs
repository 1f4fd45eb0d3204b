//! Feeds `api_request` until it breaks: `make fuzz T=api_request`.
#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::named("api_request")(bytes));
