//! The arguments of `create`: a flag for each field of the body, called as it is.

use std::path::PathBuf;

use clap::Args;
use domain::{DriftPolicy, VolumeType};
use serde::Serialize;
use serde_with::skip_serializing_none;

use super::words;
use crate::words::Pair;

/// A new worker.
#[derive(Debug, Args)]
pub(crate) struct CreateArgs {
    /// The whole request as JSON, from a file or from - (the input), instead of all other flags
    #[arg(long, value_name = "FILE", conflicts_with_all = ["name", "region", "tag", "protected", "SpecArgs", "SettingsArgs"])]
    pub(crate) file: Option<PathBuf>,
    /// What to call it
    #[arg(long, required_unless_present = "file")]
    pub(crate) name: Option<String>,
    /// Where to launch it
    #[arg(long, required_unless_present = "file")]
    pub(crate) region: Option<String>,
    /// A tag; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) tag: Vec<Pair>,
    /// End it only for who names it
    #[arg(long)]
    pub(crate) protected: bool,
    #[command(flatten)]
    pub(crate) spec: SpecArgs,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// What to launch.
#[derive(Debug, Args)]
#[command(next_help_heading = "What to launch")]
pub(crate) struct SpecArgs {
    /// An AMI, by its id
    #[arg(long, value_name = "AMI", conflicts_with = "image_name")]
    pub(crate) image: Option<String>,
    /// The newest image with such a name; * and ? stand for anything
    #[arg(long, value_name = "PATTERN", requires = "image_owner")]
    pub(crate) image_name: Option<String>,
    /// Whose image: self, amazon, aws-marketplace or an account id
    #[arg(long, value_name = "OWNER", requires = "image_name")]
    pub(crate) image_owner: Option<String>,
    /// Such as m5zn.metal
    #[arg(long, value_name = "TYPE")]
    pub(crate) instance_type: Option<String>,
    /// A launch template, by its id
    #[arg(long, value_name = "ID", conflicts_with = "launch_template_name")]
    pub(crate) launch_template_id: Option<String>,
    /// A launch template, by its name
    #[arg(long, value_name = "NAME")]
    pub(crate) launch_template_name: Option<String>,
    /// Its version: a number, $Latest or $Default
    #[arg(long, value_name = "VERSION")]
    pub(crate) launch_template_version: Option<String>,
    /// The subnet
    #[arg(long)]
    pub(crate) subnet: Option<String>,
    /// A security group; may be repeated
    #[arg(long, value_name = "GROUP", value_delimiter = ',')]
    pub(crate) security_group: Vec<String>,
    /// The name of the key pair
    #[arg(long, value_name = "NAME")]
    pub(crate) key_name: Option<String>,
    /// The name of the instance profile
    #[arg(long, value_name = "NAME")]
    pub(crate) instance_profile: Option<String>,
    /// The size of the root volume, in GiB
    #[arg(long, value_name = "GIB")]
    pub(crate) root_volume_gib: Option<u32>,
    /// The type of the root volume
    #[arg(long, value_name = "TYPE", value_parser = words(VolumeType::ALL.iter().map(|kind| kind.as_str())))]
    pub(crate) root_volume_type: Option<String>,
    /// User data, from a file or from - (the input); it is shown nowhere
    #[arg(long, value_name = "FILE")]
    pub(crate) user_data: Option<PathBuf>,
    /// What to launch where there is no room: instance_type=..., subnet=..., or both with a comma; may be repeated, in order
    #[arg(long, value_name = "KEY=VALUE,...")]
    pub(crate) alternative: Vec<String>,
}

/// The settings of a worker. What is not given follows the fleet.
#[skip_serializing_none]
#[derive(Debug, Args, Serialize)]
#[command(next_help_heading = "Settings of its own")]
pub(crate) struct SettingsArgs {
    /// Whether it is watched
    #[arg(long, value_name = "BOOL")]
    pub(crate) monitoring: Option<bool>,
    /// How often it is looked at, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) interval: Option<u32>,
    /// What is done about drift
    #[arg(long, value_name = "POLICY", value_parser = words(DriftPolicy::ALL.iter().map(|policy| policy.as_str())))]
    pub(crate) drift: Option<String>,
    /// The share of CPU that is too much
    #[arg(long, value_name = "PERCENT")]
    pub(crate) cpu: Option<u32>,
    /// The share of memory that is too much
    #[arg(long, value_name = "PERCENT")]
    pub(crate) memory: Option<u32>,
    /// The share of the disk that is too much
    #[arg(long, value_name = "PERCENT")]
    pub(crate) disk: Option<u32>,
    /// How long it has to be too much, in seconds
    #[arg(long, value_name = "SECONDS")]
    pub(crate) alert_duration: Option<u32>,
}
