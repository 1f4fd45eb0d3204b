//! What the tests of the whole tree share: the tree itself, the template as data, event patterns, payloads.
//!
//! The tests are the targets beside this library: `tidy` and `tidy_fuzz` (the code keeps its own rules), `template`, `access` and
//! `settings` (so does what is deployed), `sim` (the fleet through hours of faults) and `mutants` (would it notice), `scenarios` (the handlers on the account in memory), `contract` (that account keeps the laws of the
//! ports), `fuzz` (the parsers that meet strangers) and `e2e` (the loop on the local cloud). They fail with what to do, not
//! only with what is wrong.

pub mod fixtures;
pub mod pattern;
pub mod repo;
pub mod template;
pub mod world;

/// Fails with every fault found, one a line, under the rule they break.
///
/// # Panics
/// If there is a fault.
#[track_caller]
pub fn hold(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "\n{rule}\n  {}\n", faults.join("\n  "));
}
