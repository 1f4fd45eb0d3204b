//! Feeds `stream_batch` until it breaks: `make fuzz T=stream_batch`.
#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::named("stream_batch")(bytes));
