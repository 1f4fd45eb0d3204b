//! Feeds `webhook_url` until it breaks: `make fuzz T=webhook_url`.
#![no_main]

#[path = "../parsers.rs"]
mod parsers;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| parsers::named("webhook_url")(bytes));
