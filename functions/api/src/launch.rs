//! What to launch: the formats EC2 gives its identifiers. EC2 has the last word on whether they exist.

use domain::{LaunchSpec, OutOfRange};
use serde::Deserialize;
use serde_json::Number;

use crate::input::Faults;

/// The size of a root volume in GiB (gp2 and gp3: EBS user guide, "Volume types"). No image of CML fits in less.
const ROOT_VOLUME: OutOfRange = OutOfRange { min: 8, max: 16_384 };

/// The most security groups a network interface can be given (Amazon VPC quotas).
const MAX_SECURITY_GROUPS: usize = 16;

/// What to launch, in a body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SpecBody {
    image: Option<String>,
    instance_type: Option<String>,
    subnet: Option<String>,
    security_groups: Option<Vec<String>>,
    key_name: Option<String>,
    instance_profile: Option<String>,
    root_volume_gib: Option<Number>,
}

/// The format of one text, and how to tell it to people.
struct Format {
    allowed: &'static str,
    valid: fn(&str) -> bool,
}

const IMAGE: Format = Format {
    allowed: "an AMI id: ami- and 8 or 17 lower-case hexadecimal digits",
    valid: |text| is_resource_id(text, "ami-"),
};
const INSTANCE_TYPE: Format =
    Format { allowed: "an EC2 instance type such as m5zn.metal or c5.4xlarge", valid: is_instance_type };
const SUBNET: Format = Format {
    allowed: "a subnet id: subnet- and 8 or 17 lower-case hexadecimal digits",
    valid: |text| is_resource_id(text, "subnet-"),
};
const SECURITY_GROUP: Format = Format {
    allowed: "a security group id: sg- and 8 or 17 lower-case hexadecimal digits",
    valid: |text| is_resource_id(text, "sg-"),
};
const KEY_NAME: Format = Format {
    allowed: "1 to 255 printable ASCII characters, without spaces at the ends",
    valid: |text| {
        (1..=255).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b' '..=b'~'))
            && text.trim() == text
    },
};
const INSTANCE_PROFILE: Format = Format {
    allowed: "the name of an instance profile: 1 to 128 letters, digits or _+=,.@-",
    valid: |text| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
    },
};

/// What to launch, checked; `None` with its faults noted.
pub(crate) fn launch_spec(faults: &mut Faults, body: Option<&SpecBody>) -> Option<LaunchSpec> {
    let Some(body) = body else {
        let allowed = "an object with image, instance_type and, if wanted, subnet, security_groups, key_name, instance_profile, root_volume_gib";
        faults.add("spec", "is required", Some(allowed.to_owned()));
        return None;
    };
    let image = require(faults, "spec.image", body.image.as_deref(), &IMAGE);
    let instance_type = require(faults, "spec.instance_type", body.instance_type.as_deref(), &INSTANCE_TYPE);
    let subnet = optional(faults, "spec.subnet", body.subnet.as_deref(), &SUBNET);
    let key_name = optional(faults, "spec.key_name", body.key_name.as_deref(), &KEY_NAME);
    let profile = body.instance_profile.as_deref();
    let instance_profile = optional(faults, "spec.instance_profile", profile, &INSTANCE_PROFILE);
    let security_groups = groups(faults, body.security_groups.as_deref().unwrap_or_default());
    let root_volume_gib = body.root_volume_gib.as_ref().and_then(|size| {
        faults.whole("spec.root_volume_gib", size, |gib| {
            if (ROOT_VOLUME.min..=ROOT_VOLUME.max).contains(&gib) { Ok(gib) } else { Err(ROOT_VOLUME) }
        })
    });
    Some(LaunchSpec {
        image: image?,
        instance_type: instance_type?,
        subnet,
        security_groups,
        key_name,
        instance_profile,
        root_volume_gib,
    })
}

fn groups(faults: &mut Faults, groups: &[String]) -> Vec<String> {
    const FIELD: &str = "spec.security_groups";
    if groups.len() > MAX_SECURITY_GROUPS {
        let allowed = Some(format!("at most {MAX_SECURITY_GROUPS}"));
        faults.add(FIELD, format!("must be at most {MAX_SECURITY_GROUPS} security groups"), allowed);
        return Vec::new();
    }
    for (index, group) in groups.iter().enumerate() {
        if groups[..index].contains(group) {
            faults.add(format!("{FIELD}[{index}]"), "is given twice", None);
        }
        optional(faults, &format!("{FIELD}[{index}]"), Some(group), &SECURITY_GROUP);
    }
    groups.to_vec()
}

fn require(faults: &mut Faults, field: &str, text: Option<&str>, format: &Format) -> Option<String> {
    if text.is_none() {
        faults.add(field, "is required", Some(format.allowed.to_owned()));
    }
    optional(faults, field, text, format)
}

fn optional(faults: &mut Faults, field: &str, text: Option<&str>, format: &Format) -> Option<String> {
    let text = text?;
    if (format.valid)(text) {
        return Some(text.to_owned());
    }
    faults.add(field, format!("must be {}", format.allowed), Some(format.allowed.to_owned()));
    None
}

/// A prefix and 8 or 17 hexadecimal digits (EC2 user guide, "Resource IDs").
fn is_resource_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|hex| {
        matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

/// A family, a dot and a size, such as `u7i-12tb.224xlarge` or `m5zn.metal`.
fn is_instance_type(text: &str) -> bool {
    let word = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    text.len() <= 40
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.split_once('.').is_some_and(|(family, size)| word(family) && word(size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn instance_types_of_ec2_are_instance_types() {
        for good in ["m5zn.metal", "c5.4xlarge", "u7i-12tb.224xlarge", "m7i-flex.large", "mac2-m2pro.metal"] {
            assert!(is_instance_type(good), "{good}");
        }
        for bad in ["", "m5", "m5.", ".metal", "M5.large", "m5.large.x", "m5 .large", "5m.large", "m5.lärge"]
        {
            assert!(!is_instance_type(bad), "{bad}");
        }
    }
}
