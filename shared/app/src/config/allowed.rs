//! What may be launched.

use std::fmt;
use std::str::FromStr;

use domain::{ImageOwner, InvalidId};
use wildmatch::WildMatch;

/// What may be launched in this deployment. An empty list allows everything.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Allowed {
    /// The instance types.
    pub instance_types: Vec<TypePattern>,
    /// The owners of images.
    pub image_owners: Vec<ImageOwner>,
}

impl Allowed {
    /// An instance of this type may be launched.
    pub fn instance_type(&self, name: &str) -> bool {
        self.instance_types.is_empty() || self.instance_types.iter().any(|pattern| pattern.matches(name))
    }

    /// An image of this owner may be launched.
    pub fn image_owner(&self, owner: &ImageOwner) -> bool {
        self.image_owners.is_empty() || self.image_owners.contains(owner)
    }
}

/// Instance types: one, such as `m5zn.metal`, or several, such as `c5.*`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TypePattern(String);

impl TypePattern {
    /// The type is one of these.
    pub fn matches(&self, name: &str) -> bool {
        WildMatch::new(&self.0).matches(name)
    }
}

impl FromStr for TypePattern {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let known = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-.*?".contains(&b);
        if (1..=40).contains(&text.len()) && text.bytes().all(known) {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidId { rule: "an instance type such as m5zn.metal, or several such as c5.*" })
    }
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
