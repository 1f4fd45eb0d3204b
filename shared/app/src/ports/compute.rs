//! EC2 and CloudWatch.

use std::collections::BTreeMap;
use std::net::IpAddr;

use domain::{
    Action, AnyTagKey, CheckStatus, Failure, Health, ImageOwner, InstanceId, Metric, Observed, Region,
    TagValue, Timestamp, Vitals, WorkerId, Zone,
};

use super::Page;
use crate::error::CallError;

/// What EC2 says about an instance in a cheap, batched answer (`DescribeInstanceStatus`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceStatus {
    /// The instance.
    pub instance: InstanceId,
    /// Its state.
    pub observed: Observed,
    /// System status check.
    pub system: CheckStatus,
    /// Instance status check.
    pub reachability: CheckStatus,
    /// Attached EBS check.
    pub ebs: CheckStatus,
    /// Its zone.
    pub zone: Option<Zone>,
}

impl InstanceStatus {
    /// The checks as read at `at`.
    pub const fn health(&self, at: Timestamp) -> Health {
        Health { system: self.system, instance: self.reachability, ebs: self.ebs, at }
    }
}

/// What EC2 says about an instance in full (`DescribeInstances`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Instance {
    /// The instance.
    pub instance: InstanceId,
    /// The account that owns it.
    pub account: domain::AccountId,
    /// Its state.
    pub observed: Observed,
    /// EC2's reason for the last transition: code and message.
    pub state_reason: Option<String>,
    /// Its zone.
    pub zone: Option<Zone>,
    /// Its type.
    pub instance_type: Option<String>,
    /// Its private address.
    pub private_ip: Option<IpAddr>,
    /// Its public address.
    pub public_ip: Option<IpAddr>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
}

/// The answer to a question about several instances: what is known, and which are not.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered<T> {
    /// What EC2 knows.
    pub found: Vec<T>,
    /// The ids EC2 says, in an answer, it does not know. An id in neither list was not answered for.
    pub unknown: Vec<InstanceId>,
}

/// Which image is meant, and whose it may be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageQuery {
    /// The image.
    pub image: WantedImage,
    /// The owners it may have; empty for any.
    pub owners: Vec<ImageOwner>,
}

/// How an image is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WantedImage {
    /// By its id, `ami-...`.
    Id(String),
    /// The newest whose name is like this: `*` stands for any text, `?` for any one character.
    Newest(String),
}

/// What EC2 has of an image that is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageFound {
    /// The one that is meant, by its id.
    One(String),
    /// None that is like it and can be launched.
    None,
    /// So many have such a name that not all of them are read, and any of the others may be newer.
    TooMany,
}

/// Which instances are sought. Those that are ending, or have ended, never are.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct InstanceQuery {
    /// Tags that they carry, all of them, with exactly these values.
    pub tags: BTreeMap<AnyTagKey, TagValue>,
    /// The images they were launched from, at most [`crate::discover::MOST_IMAGES`]; empty for any.
    pub images: Vec<String>,
}

/// Reading EC2. Never changes anything.
pub trait Compute: Sync {
    /// State and status checks of up to 100 instances; one unknown id does not spoil the others.
    fn statuses(
        &self,
        region: &Region,
        ids: &[InstanceId],
    ) -> impl Future<Output = Result<Answered<InstanceStatus>, CallError>> + Send;

    /// Everything about up to 100 instances; one unknown id does not spoil the others.
    fn describe(
        &self,
        region: &Region,
        ids: &[InstanceId],
    ) -> impl Future<Output = Result<Answered<Instance>, CallError>> + Send;

    /// The instances that carry the worker's tag, terminated ones included.
    fn locate(
        &self,
        region: &Region,
        worker: WorkerId,
    ) -> impl Future<Output = Result<Vec<Instance>, CallError>> + Send;

    /// The image that can be launched and is meant.
    fn image(
        &self,
        region: &Region,
        query: &ImageQuery,
    ) -> impl Future<Output = Result<ImageFound, CallError>> + Send;

    /// The ids of all images that we can see and whose name is like this, also of those that cannot be launched any more;
    /// `None` if there are more than `most`.
    fn images(
        &self,
        region: &Region,
        name: &str,
        most: usize,
    ) -> impl Future<Output = Result<Option<Vec<String>>, CallError>> + Send;

    /// A page of at most `limit` instances like this, 5 to 1000, in EC2's own order; a page may be short, even empty, and
    /// have a `next`. `None` if EC2 does not know the position `after` (any more). The same query and limit on every page.
    fn search(
        &self,
        region: &Region,
        query: &InstanceQuery,
        after: Option<&str>,
        limit: u32,
    ) -> impl Future<Output = Result<Option<Page<Instance>>, CallError>> + Send;
}

/// EC2's answer to a mutating call: the state it now reports for the instance, if it said one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Accepted {
    /// The instance; for a launch, the new one.
    pub instance: InstanceId,
    /// The state in EC2's answer.
    pub observed: Option<Observed>,
    /// What else a launch's answer says.
    pub launched: Option<Instance>,
}

/// Changing EC2. Only `act` is given one.
pub trait Actuator: Sync {
    /// Makes one call for a worker. Not for [`Action::Locate`], which only reads.
    fn call(
        &self,
        region: &Region,
        worker: WorkerId,
        action: &Action,
    ) -> impl Future<Output = Result<Accepted, Failure>> + Send;

    /// Makes one call for several instances of one region: start, stop, reboot or terminate. All are accepted, or
    /// none is and the caller may ask for each on its own.
    fn call_many(
        &self,
        region: &Region,
        kind: domain::ActionKind,
        instances: &[InstanceId],
    ) -> impl Future<Output = Result<Vec<Accepted>, Failure>> + Send;
}

/// Reading CloudWatch.
pub trait Metrics: Sync {
    /// The datapoints of these metrics from `from` on and before `to`, with this period in seconds. An instance or a metric
    /// without data is absent from the answer; a metric that CloudWatch could only answer in part is absent as well.
    fn read(
        &self,
        region: &Region,
        wanted: &[(InstanceId, Metric)],
        from: Timestamp,
        to: Timestamp,
        period: u32,
    ) -> impl Future<Output = Result<BTreeMap<InstanceId, Vitals>, CallError>> + Send;
}
