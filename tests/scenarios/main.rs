//! Scenarios: the real handlers on a small account in memory, wired as `template.yaml` wires them.

#![expect(clippy::expect_used, reason = "helpers of tests are not tests to the lint")]

mod bulk;
mod commanding;
mod discovering;
mod drifting;
mod driving;
mod faults_of_crashes;
mod faults_of_ec2;
mod faults_of_events;
mod faults_of_metrics;
mod faults_of_telling;
mod forgetting;
mod hanging;
mod holding;
mod launching;
mod measuring;
mod performed;
mod polling;
mod stack;
mod turns;
mod user_data;
mod waiting;
