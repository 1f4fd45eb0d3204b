//! Feeds `bus_request` until it breaks: `make fuzz T=bus_request`.
#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::named("bus_request")(bytes));
