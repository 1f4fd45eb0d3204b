//! Identifiers, each parsed once at the edge, so that the core never meets a malformed one.

use std::fmt;
use std::str::FromStr;

use uuid::Uuid;

/// Why a text is not an identifier of the expected kind. Names the rule, never echoes the text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("must be {rule}")]
pub struct InvalidId {
    /// The rule the text broke, as an operator should read it.
    pub rule: &'static str,
}

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident, $rule:literal, $valid:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The text of the identifier.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                let valid: fn(&str) -> bool = $valid;
                if valid(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId { rule: $rule }) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

text_id! {
    /// An EC2 instance id: `i-` and 8 or 17 hexadecimal digits (EC2 user guide, "Resource IDs").
    InstanceId, "an EC2 instance id: i- and 8 or 17 lower-case hexadecimal digits", |text| {
        text.strip_prefix("i-").is_some_and(|hex| {
            matches!(hex.len(), 8 | 17) && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
        })
    }
}

text_id! {
    /// An AWS region name, such as `eu-central-1` or `us-gov-west-1`. Whether it is enabled is a setting.
    Region, "an AWS region name such as us-east-1", |text| {
        let parts: Vec<&str> = text.split('-').collect();
        text.len() <= 25
            && (3..=4).contains(&parts.len())
            && parts[..parts.len() - 1].iter().all(|p| !p.is_empty() && p.bytes().all(|b| b.is_ascii_lowercase()))
            && parts[parts.len() - 1].len() == 1
            && parts[parts.len() - 1].bytes().all(|b| b.is_ascii_digit())
    }
}

text_id! {
    /// An availability or local zone name, such as `us-east-1a`.
    Zone, "an availability zone name such as us-east-1a", |text| {
        (4..=40).contains(&text.len())
            && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    }
}

text_id! {
    /// A 12-digit AWS account id.
    AccountId, "a 12-digit AWS account id", |text| text.len() == 12 && text.bytes().all(|b| b.is_ascii_digit())
}

text_id! {
    /// Whose images are meant: the account's own, Amazon's, the marketplace's, or those of another account (EC2 API
    /// reference, "`DescribeImages`").
    ImageOwner, "self, amazon, aws-marketplace or a 12-digit AWS account id", |text| {
        matches!(text, "self" | "amazon" | "aws-marketplace") || text.parse::<AccountId>().is_ok()
    }
}

text_id! {
    /// What operators call a worker: 1 to 63 letters, digits, `-`, `_` or `.`, starting and ending with a letter or
    /// digit. Unique among living workers.
    Name, "1 to 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit", |text| {
        let bytes = text.as_bytes();
        (1..=63).contains(&bytes.len())
            && bytes.iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.'))
            && bytes[0].is_ascii_alphanumeric()
            && bytes[bytes.len() - 1].is_ascii_alphanumeric()
    }
}

impl From<&InstanceId> for Name {
    /// The id of an instance keeps the rules of a name.
    fn from(instance: &InstanceId) -> Self {
        Self(instance.0.clone())
    }
}

text_id! {
    /// A tag key an operator may set: 1 to 128 characters, not in the `aws:` or `cml-fleet:` namespaces and not
    /// `Name`, which follow the worker itself (EC2 user guide, "Tag restrictions").
    TagKey, "1 to 128 letters, digits, spaces or _.:/=+-@, not starting with aws: or cml-fleet:, and not Name", |text| {
        let lower = text.to_ascii_lowercase();
        (1..=128).contains(&text.chars().count())
            && text.chars().all(tag_char)
            && !lower.starts_with("aws:")
            && !lower.starts_with("cml-fleet:")
            && text != crate::NAME_TAG
    }
}

text_id! {
    /// A tag key as anybody may have set it, ours, AWS's and `Name` included: what instances are sought by.
    AnyTagKey, "1 to 128 letters, digits, spaces or _.:/=+-@", |text| {
        (1..=128).contains(&text.chars().count()) && text.chars().all(tag_char)
    }
}

text_id! {
    /// A tag value: at most 256 characters of EC2's tag alphabet.
    TagValue, "at most 256 letters, digits, spaces or _.:/=+-@", |text| {
        text.chars().count() <= 256 && text.chars().all(tag_char)
    }
}

text_id! {
    /// Why a worker is held: 1 to 200 characters on one line, all of which can be seen.
    HoldReason, "1 to 200 characters on one line, none of them a control or invisible character, without spaces at the ends", |text| {
        (1..=200).contains(&text.chars().count())
            && text.trim() == text
            && !text.chars().any(|c| c.is_control() || is_hidden(c) || (c.is_whitespace() && c != ' '))
    }
}

/// Characters that show nothing but change how the others are shown: zero-width ones, and those that set the
/// direction of writing (Unicode technical report 36, "Bidirectional text spoofing").
pub const fn is_hidden(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}')
}

/// EC2's tag alphabet: letters, digits and spaces of any script, and `_.:/=+-@`.
fn tag_char(c: char) -> bool {
    c.is_alphanumeric() || c == ' ' || matches!(c, '_' | '.' | ':' | '/' | '=' | '+' | '-' | '@')
}

/// A UUID in its one spelling: two spellings of one key would be two things to the table.
macro_rules! uuid_id {
    ($(#[$doc:meta])* $name:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                const RULE: InvalidId = InvalidId { rule: $rule };
                let id = Uuid::parse_str(text).map_err(|_| RULE)?;
                if id.hyphenated().to_string() == text { Ok(Self(id)) } else { Err(RULE) }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.hyphenated().fmt(f)
            }
        }
    };
}

uuid_id! {
    /// The identity of a worker. It is also in EC2's `ClientToken` at launch, so a repeated launch is the same launch.
    WorkerId, "a worker id: a lower-case UUID with hyphens"
}

uuid_id! {
    /// The identity of a command for many workers.
    CommandId, "a command id: a lower-case UUID with hyphens"
}

uuid_id! {
    /// The identity of a request that came with an idempotency key. It is in the facts that the request brought about, so that
    /// a repeated request finds what it did before.
    RequestId, "a request id: a lower-case UUID with hyphens"
}

impl From<WorkerId> for RequestId {
    /// A request reserves one identity, and goes by it if it creates nothing.
    fn from(reserved: WorkerId) -> Self {
        Self(reserved.0)
    }
}

impl From<WorkerId> for CommandId {
    /// A request reserves one identity for whatever it creates.
    fn from(reserved: WorkerId) -> Self {
        Self(reserved.0)
    }
}

impl WorkerId {
    /// The worker with this identifier.
    pub const fn new(id: Uuid) -> Self {
        Self(id)
    }

    /// EC2's `ClientToken` for a launch by this alternative; 0 is the spec itself. EC2 takes a token for one request only,
    /// of at most 64 ASCII characters (EC2 API reference, "Ensuring idempotency").
    pub fn client_token(self, alternative: u32) -> String {
        if alternative == 0 { self.to_string() } else { format!("{self}-{alternative}") }
    }

    /// The identity of a worker that a request with this identity makes of something: the same on every try.
    #[must_use]
    pub fn derived(self, of: &str) -> Self {
        Self(Uuid::new_v5(&self.0, of.as_bytes()))
    }

    /// A number that is the same for this worker on every machine and in every release: it spreads workers over the
    /// slots of their poll interval.
    pub fn stable_hash(&self) -> u64 {
        // FNV-1a, written out because the standard hasher may change between releases.
        self.0.as_bytes().iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| {
            (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
        })
    }
}
