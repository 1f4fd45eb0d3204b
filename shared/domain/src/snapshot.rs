//! The complete state of a worker, as plain data, for the edges that store and show it.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::{
    AccountId, ActionKind, Alert, AlertKind, Attempt, Desired, Drift, GivenUp, Health, Held, InstanceId,
    Name, Origin, Overrides, Queued, Region, Sighting, TagKey, TagValue, Timestamp, WorkerId, Zone,
};

/// Everything a [`crate::Worker`] knows. Plain data: it can be read and rebuilt, and only [`crate::Worker::apply`]
/// changes the one inside a worker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snapshot {
    /// Its identity.
    pub id: WorkerId,
    /// Its name.
    pub name: Name,
    /// Its account.
    pub account: AccountId,
    /// Its region.
    pub region: Region,
    /// How it came to be.
    pub origin: Origin,
    /// When it was created or imported.
    pub created_at: Timestamp,
    /// What was asked for.
    pub desired: Desired,
    /// Since when: evidence from before says nothing about whether it was reached.
    pub desired_since: Timestamp,
    /// The earliest time, since then, at which EC2 was as asked. A describe counts 30 seconds earlier than it was made.
    pub reached_at: Option<Timestamp>,
    /// The instance, once there is one.
    pub instance: Option<InstanceId>,
    /// A launch was called for at least once: even without an answer there may be an instance.
    pub launch_called: bool,
    /// EC2 refused to repeat a launch because it had launched an instance: as long as that one is not found it is searched
    /// for, as another launch might make a second one.
    pub already_launched: bool,
    /// By which alternative it is launched; 0 is the spec itself.
    pub alternative: u32,
    /// Until when a launch by that one whose answer is not known may still show: no other is tried before.
    pub launch_shows_until: Option<Timestamp>,
    /// When the instance was launched, if by us.
    pub launched_at: Option<Timestamp>,
    /// The newest sighting of the instance.
    pub sighting: Option<Sighting>,
    /// Since when EC2 is moving the instance from one settled state to another, if it is: what finds it still at it does not
    /// change that. A settled state in between that is told late does not either.
    pub moving_since: Option<Timestamp>,
    /// The instance has run at least once.
    pub has_run: bool,
    /// The latest time at which the instance was seen not to run: what was measured before is of another run.
    pub idle_at: Option<Timestamp>,
    /// When EC2 answered, since that sighting, that it knows no such instance.
    pub misses: BTreeSet<Timestamp>,
    /// The latest three times, since EC2 last answered, at which it could not be asked.
    pub failures: BTreeSet<Timestamp>,
    /// Why it could not be asked the last time.
    pub failure_reason: Option<String>,
    /// The newest status checks.
    pub health: Option<Health>,
    /// The zone the instance is in.
    pub zone: Option<Zone>,
    /// The instance type.
    pub instance_type: Option<String>,
    /// The private address.
    pub private_ip: Option<IpAddr>,
    /// The public address.
    pub public_ip: Option<IpAddr>,
    /// The operator's own tags.
    pub tags: BTreeMap<TagKey, TagValue>,
    /// The tags of ours and of the operator's that the instance is known to carry; as long as the answer to a launch is
    /// not known, those it may carry and must not.
    pub applied_tags: BTreeMap<String, String>,
    /// The keys of tags that a call was to set or to remove whose answer is not known.
    pub doubtful_tags: BTreeSet<String>,
    /// Its own settings.
    pub overrides: Overrides,
    /// Who holds it and why: nothing changes its instance until it is released.
    pub held: Option<Held>,
    /// To terminate it takes its name.
    pub protected: bool,
    /// The drift EC2 is in.
    pub drift: Option<Drift>,
    /// The action under way, or the last one that failed.
    pub attempt: Option<Attempt>,
    /// The action that waits for its turn.
    pub queued: Option<Queued>,
    /// An action that was under way when something else was asked for, and until when its effect is still ours.
    pub stray: Option<(ActionKind, Timestamp)>,
    /// Since when a reboot is asked for, and not made.
    pub reboot_requested_at: Option<Timestamp>,
    /// When a reboot was last asked for.
    pub reboot_asked_at: Option<Timestamp>,
    /// What we gave up.
    pub gave_up: BTreeMap<ActionKind, GivenUp>,
    /// The alerts that are up.
    pub alerts: BTreeMap<AlertKind, Alert>,
    /// When it ended.
    pub terminated_at: Option<Timestamp>,
    /// When it was forgotten.
    pub forgotten_at: Option<Timestamp>,
}
