//! Feeds `api_body` until it breaks: `make fuzz T=api_body`.
#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::named("api_body")(bytes));
