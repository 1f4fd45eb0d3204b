//! The pure core: what a worker is, what a command or an observation means for it, and what to do next.
//!
//! Nothing here is asynchronous, reads a clock, serialises, logs or fails for an outside reason. Time comes in as
//! an argument, facts come out as [`Event`]s. The four functions that matter are [`Worker::decide`],
//! [`Worker::observe`], [`Worker::apply`] and [`Worker::plan`].

mod action;
mod alert;
mod apply;
mod bucket;
mod bulk;
mod command;
mod decide;
mod due;
mod event;
mod evidence;
mod health;
mod id;
mod launch;
mod observe;
mod plan;
mod policy;
mod reason;
mod snapshot;
mod state;
mod status;
mod tags;
#[cfg(test)]
mod tests;
mod vitals;
mod worker;

pub use action::{Action, ActionKind, Attempt, CALL_LEASE, Failure, FailureKind, MAX_ATTEMPTS};
pub use alert::{Alert, AlertKind};
pub use bucket::{Admission, Ask, Forecast, Level, Limits, Queued, Rate, Turns};
pub use bulk::{Bulk, BulkAnswer, BulkKind, BulkOutcome, BulkRefusal, Progress};
pub use command::{
    Actor, Command, CreateWorker, Decision, GuardsPatch, ImportWorker, Rejection, SettingsPatch, TagsPatch,
};
pub use event::{Event, Origin};
pub use evidence::{Details, Evidence, Finding, Sighting, Source};
pub use health::{CheckStatus, Health};
pub use id::{
    AccountId, AnyTagKey, CommandId, HoldReason, ImageOwner, InstanceId, InvalidId, Name, Region, RequestId,
    TagKey, TagValue, WorkerId, Zone, is_hidden,
};
pub use launch::{Alternative, LaunchSpec, LaunchTemplate, UserData, VolumeType};
pub use policy::{
    AlertDuration, DriftPolicy, OutOfRange, Overrides, Percent, Policy, PollInterval, Settings, Threshold,
};
pub use reason::{Plan, Reason};
pub use snapshot::Snapshot;
pub use state::{Desired, Observed, UnknownWord};
pub use status::Status;
pub use vitals::{Datapoint, Metric, Vitals};
pub use worker::{Drift, GivenUp, Held, Worker};

/// A point in time, UTC, to the nanosecond. Stored and compared at millisecond precision.
pub use jiff::Timestamp;

/// The most tags an operator may give one worker: EC2 allows 50, and three are ours (EC2 user guide, "Tag restrictions").
pub const MAX_TAGS: usize = 47;
/// Tag that names the worker an instance belongs to.
pub const WORKER_TAG: &str = "cml-fleet:worker-id";
/// Tag that lets `act`, and nobody else, change the instance: IAM conditions require it.
pub const MANAGED_TAG: &str = "cml-fleet:managed";
/// The tag EC2's console shows as the instance's name.
pub const NAME_TAG: &str = "Name";
