//! The command line, before the API's own router on an outside that is in memory.

#![expect(clippy::expect_used, reason = "helpers of tests are not tests to the lint")]

mod bulk;
mod bulk_waiting;
mod changing;
mod failing;
mod history;
mod importing;
mod process;
mod reading;
mod support;
mod waiting;
mod words;
