//! What the use cases need from the outside, as roles in our own words.
//!
//! Every adapter keeps these promises. Methods take `&self`; an
//! adapter is made once per environment and used by one invocation at a time.

mod buckets;
mod commands;
mod compute;
mod deliveries;
mod journal;
mod outside;
mod time;
mod vault;
mod workers;

pub use buckets::{BucketKey, Buckets};
pub use commands::{BulkChunk, BulkCommand, BulkCommands, BulkItem, CHUNK_SIZE};
pub use compute::{
    Accepted, Actuator, Answered, Compute, ImageFound, ImageQuery, Instance, InstanceQuery, InstanceStatus,
    Metrics, WantedImage,
};
pub use deliveries::{Claim, Deliveries, Delivery, DeliveryKey, Outcome};
pub use journal::{Answer, Begun, Heartbeat, Idempotency, RequestKey, Sample, Samples, Sweeps};
pub use outside::{
    Bus, CloudEvent, CollectionRequested, CommandRequested, ReconcileRequested, Request, Secrets,
    SigningSecret, Topic, TopicMessage, WebhookAnswer, WebhookRequest, Webhooks,
};
pub use time::{Clock, Ids};
pub use vault::UserDataVault;
pub use workers::{InstanceKey, Page, Watch, Workers};
