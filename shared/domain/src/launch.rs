//! What to launch.

use crate::state::words;

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
