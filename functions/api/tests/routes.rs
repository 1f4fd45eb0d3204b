//! The routes, over an outside that is in memory.

#![expect(clippy::expect_used, reason = "helpers of tests are not tests to the lint")]

mod bad_input;
mod bulk;
mod commands;
mod compatible;
mod discovery;
mod document;
mod edges;
mod guards;
mod idempotency;
mod launching;
mod logged;
mod refusals;
mod registering;
mod shown;
mod support;
