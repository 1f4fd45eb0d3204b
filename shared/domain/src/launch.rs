//! What to launch.

use std::fmt;
use std::str::FromStr;

use crate::action::{ActionKind, Attempt, FailureKind};
use crate::state::words;
use crate::{InvalidId, Origin, Timestamp, Worker};

/// What to launch. Checked at the edge; EC2 has the last word.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct LaunchSpec {
    /// The machine image, `ami-...`; without it the launch template has one.
    pub image: Option<String>,
    /// The instance type, such as `m5zn.metal`; without it the launch template has one.
    pub instance_type: Option<String>,
    /// The launch template; what is given beside it goes before what it says.
    pub launch_template: Option<LaunchTemplate>,
    /// The subnet, `subnet-...`; without it EC2 takes the default one.
    pub subnet: Option<String>,
    /// The security groups, `sg-...`; empty for the subnet's default one.
    pub security_groups: Vec<String>,
    /// The name of the key pair.
    pub key_name: Option<String>,
    /// The name of the instance profile.
    pub instance_profile: Option<String>,
    /// The size of the root volume in GiB; without it the image decides.
    pub root_volume_gib: Option<u32>,
    /// The type of the root volume; without it the image decides.
    pub root_volume_type: Option<VolumeType>,
    /// The instance is given user data. The text itself is kept elsewhere: it may hold secrets.
    pub user_data: bool,
    /// What to launch instead, one after the other, where EC2 has no room for it.
    pub alternatives: Vec<Alternative>,
}

/// What to launch instead. What it does not say is as in the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alternative {
    /// The instance type.
    pub instance_type: Option<String>,
    /// The subnet, and with it the zone.
    pub subnet: Option<String>,
}

impl LaunchSpec {
    /// What to launch by this alternative, counted from 1; 0 is the spec itself.
    pub fn by(&self, alternative: u32) -> Self {
        let instead =
            usize::try_from(alternative).ok().and_then(|n| self.alternatives.get(n.checked_sub(1)?));
        let (instance_type, subnet) =
            instead.map_or((None, None), |instead| (instead.instance_type.clone(), instead.subnet.clone()));
        Self {
            instance_type: instance_type.or_else(|| self.instance_type.clone()),
            subnet: subnet.or_else(|| self.subnet.clone()),
            alternatives: Vec::new(),
            ..self.clone()
        }
    }

    /// How many alternatives there are.
    pub fn count(&self) -> u32 {
        u32::try_from(self.alternatives.len()).unwrap_or(u32::MAX)
    }

    /// What it comes to, for people.
    fn in_words(&self) -> String {
        let kind = self.instance_type.as_deref().unwrap_or("what the launch template asks for");
        self.subnet.as_ref().map_or_else(|| kind.to_owned(), |subnet| format!("{kind} in {subnet}"))
    }
}

impl Worker {
    /// What the worker is launched from, if we launch it.
    pub(crate) fn spec(&self) -> Option<&LaunchSpec> {
        match &self.0.origin {
            Origin::Created(spec) => Some(spec),
            Origin::Imported => None,
        }
    }

    /// The worker was given user data, and needs it no more: it has its instance, or is over.
    pub fn has_used_user_data(&self) -> bool {
        self.spec().is_some_and(|spec| spec.user_data) && (self.0.instance.is_some() || self.is_over())
    }

    /// The alternative in use, if there are any; 0 is the spec itself.
    pub fn alternative(&self) -> Option<u32> {
        self.spec().filter(|spec| !spec.alternatives.is_empty()).map(|_| self.0.alternative)
    }

    /// The alternative to try after such a failure: 0 begins anew. Only a definite refusal of the one in use leads to
    /// another, and while an earlier launch may still show, none does: there would be two instances.
    pub(crate) fn next_alternative(
        &self,
        action: ActionKind,
        failure: FailureKind,
        now: Timestamp,
    ) -> Option<u32> {
        let spec =
            self.spec().filter(|spec| action == ActionKind::Launch && !spec.alternatives.is_empty())?;
        let under_way = self.0.attempt.as_ref().is_some_and(|attempt| attempt.action == action);
        let in_doubt = self.0.launch_shows_until.is_some_and(|until| now < until);
        if !failure.is_elsewhere() || !under_way || in_doubt {
            return None;
        }
        let next = self.0.alternative.saturating_add(1);
        Some(if next > spec.count() { 0 } else { next })
    }

    /// The failed attempt is followed by the next alternative, and both count as one.
    pub(crate) fn moves_on_from(&self, attempt: &Attempt) -> bool {
        attempt.action == ActionKind::Launch
            && attempt.failed.is_some()
            && self.0.alternative != 0
            && attempt.alternative != Some(self.0.alternative)
    }

    /// What EC2's refusal means for an operator, before what EC2 said.
    pub(crate) fn explain(
        &self,
        action: ActionKind,
        failure: FailureKind,
        next: Option<u32>,
    ) -> (String, String) {
        let wanted = match self.spec() {
            Some(spec) if action == ActionKind::Launch => spec.by(self.0.alternative).in_words(),
            _ => self.0.instance_type.clone().unwrap_or_else(|| "the instance".to_owned()),
        };
        let before = match failure {
            FailureKind::Capacity => format!("EC2 has no room for {wanted}: "),
            FailureKind::Quota => format!("the account's quota does not allow {wanted}: "),
            FailureKind::Unsupported => format!("EC2 does not offer {wanted}: "),
            _ => String::new(),
        };
        let after = match (next, self.spec()) {
            (Some(0), _) => "; that was the last alternative".to_owned(),
            (Some(next), Some(spec)) => {
                format!("; next is alternative {next} of {}, {}", spec.count(), spec.by(next).in_words())
            }
            _ => String::new(),
        };
        (before, after)
    }
}

/// What an instance reads at its first boot. May hold secrets: its `Debug` shows nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct UserData(String);

impl UserData {
    /// The most bytes EC2 takes, before they are base64 (EC2 user guide, "Run commands when you launch an EC2 instance").
    pub const MAX_BYTES: usize = 16 * 1024;

    /// The text. Not for records, facts, logs or errors.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl FromStr for UserData {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        if (1..=Self::MAX_BYTES).contains(&text.len()) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidId { rule: "1 to 16384 bytes of text, before it is base64" })
    }
}

impl fmt::Debug for UserData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserData([REDACTED])")
    }
}

/// A launch template, and which version of it: a number, `$Latest` or `$Default`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LaunchTemplate {
    /// By its id, `lt-...`.
    Id {
        /// The id.
        id: String,
        /// The version.
        version: String,
    },
    /// By its name.
    Name {
        /// The name.
        name: String,
        /// The version.
        version: String,
    },
}

/// The types of volumes that need no further particulars (EBS user guide, "Volume types").
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeType {
    /// General purpose, the older one.
    Gp2,
    /// General purpose.
    Gp3,
}

words!(VolumeType { Gp2 => "gp2", Gp3 => "gp3" });
