//! `notify` and the use case behind it, against a world in memory with a virtual clock.

#![expect(clippy::expect_used, reason = "helpers of tests are not tests to the lint")]

mod channels;
mod handler;
mod ledger;
mod people;
mod webhooks;
mod world;
