//! The formats EC2 gives its names and identifiers.

/// The format of one text, and how to tell it to people.
pub(crate) struct Format {
    pub(crate) allowed: &'static str,
    pub(crate) valid: fn(&str) -> bool,
}

pub(crate) const IMAGE: Format = Format {
    allowed: "an AMI id: ami- and 8 or 17 lower-case hexadecimal digits; or an object with name and owner",
    valid: |text| is_resource_id(text, "ami-"),
};
/// What images can be called (EC2 API reference, "`CreateImage`"), with wildcards; of which only, every image would do.
pub(crate) const IMAGE_NAME: Format = Format {
    allowed: "3 to 128 letters, digits, spaces or ()[]./-'@_, with * and ? for what may be anything, and 3 at least that are not",
    valid: |text| {
        let plain = |b: &u8| b.is_ascii_alphanumeric() || b" ()[]./-'@_".contains(b);
        text.len() <= 128
            && text.bytes().all(|b| plain(&b) || b == b'*' || b == b'?')
            && text.bytes().filter(plain).count() >= 3
    },
};
pub(crate) const INSTANCE_TYPE: Format =
    Format { allowed: "an EC2 instance type such as m5zn.metal or c5.4xlarge", valid: is_instance_type };
pub(crate) const TEMPLATE_ID: Format = Format {
    allowed: "a launch template id: lt- and 8 or 17 lower-case hexadecimal digits",
    valid: |text| is_resource_id(text, "lt-"),
};
/// EC2 API reference, "`CreateLaunchTemplate`".
pub(crate) const TEMPLATE_NAME: Format = Format {
    allowed: "the name of a launch template: 3 to 128 letters, digits or ().-/_",
    valid: |text| {
        (3..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"().-/_".contains(&b))
    },
};
pub(crate) const TEMPLATE_VERSION: Format = Format {
    allowed: "the number of a version, $Latest or $Default",
    valid: |text| {
        let number = (1..=10).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_digit())
            && !text.starts_with('0');
        number || matches!(text, "$Latest" | "$Default")
    },
};
pub(crate) const SUBNET: Format = Format {
    allowed: "a subnet id: subnet- and 8 or 17 lower-case hexadecimal digits",
    valid: |text| is_resource_id(text, "subnet-"),
};
pub(crate) const SECURITY_GROUP: Format = Format {
    allowed: "a security group id: sg- and 8 or 17 lower-case hexadecimal digits",
    valid: |text| is_resource_id(text, "sg-"),
};
pub(crate) const KEY_NAME: Format = Format {
    allowed: "1 to 255 printable ASCII characters, without spaces at the ends",
    valid: |text| {
        (1..=255).contains(&text.len())
            && text.bytes().all(|b| matches!(b, b' '..=b'~'))
            && text.trim() == text
    },
};
pub(crate) const INSTANCE_PROFILE: Format = Format {
    allowed: "the name of an instance profile: 1 to 128 letters, digits or _+=,.@-",
    valid: |text| {
        (1..=128).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"_+=,.@-".contains(&b))
    },
};

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
