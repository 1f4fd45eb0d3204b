//! Who may do what: three roles, and how a caller comes by one.

use std::fmt;
use std::str::FromStr;

use wildmatch::WildMatch;

/// What a caller may do. Each role may do all that the ones before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Role {
    /// Reads.
    Viewer,
    /// Drives workers that exist, and changes their names, tags and settings.
    Operator,
    /// Decides which workers there are.
    Admin,
}

impl Role {
    /// Every role, the one with the least power first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Operator, Self::Admin];

    /// The word for it in claims and in problems.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Operator => "operator",
            Self::Admin => "admin",
        }
    }

    /// The highest role a claim gives, if any. API Gateway hands a claim on as text: a list becomes `[one two]`, so that
    /// a value with a blank in it looks like two. Words that are no roles count for nothing.
    pub fn in_claim(claim: &str) -> Option<Self> {
        let list = claim.trim().strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(claim);
        let words = list.split(|c: char| c.is_whitespace() || c == ',');
        words.filter_map(|word| word.trim_matches('"').parse().ok()).max()
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A text that is not the word for a role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must be viewer, operator or admin")]
pub struct NotARole;

impl FromStr for Role {
    type Err = NotARole;

    fn from_str(text: &str) -> Result<Self, NotARole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(NotARole)
    }
}

/// How callers come by their roles.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Access {
    /// The claim of an OIDC token that names the role.
    pub claim: String,
    /// Which IAM principals have which role.
    pub principals: Vec<(Principals, Role)>,
}

impl Access {
    /// The highest role of an IAM principal, if it has any.
    pub fn of_principal(&self, arn: &str) -> Option<Role> {
        self.principals.iter().filter(|(those, _)| those.include(arn)).map(|(_, role)| *role).max()
    }
}

/// IAM principals, by the pattern of their ARNs: `*` stands for any text, `?` for one character.
#[derive(Debug, Clone, PartialEq)]
pub struct Principals(WildMatch);

impl Eq for Principals {}

impl Principals {
    fn include(&self, arn: &str) -> bool {
        self.0.matches(arn) || role_of_session(arn).is_some_and(|role| self.0.matches(&role))
    }
}

impl FromStr for Principals {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let is_arn = text.splitn(6, ':').count() == 6 && text.starts_with("arn:");
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        if printable && (text == "*" || is_arn) { Ok(Self(WildMatch::new(text))) } else { Err(()) }
    }
}

/// Who has assumed a role calls as `arn:aws:sts::<account>:assumed-role/<role>/<session>`, while people know the role as
/// `arn:aws:iam::<account>:role/<role>`. The path of a role is not part of the session's ARN (IAM user guide, "IAM
/// identifiers").
fn role_of_session(arn: &str) -> Option<String> {
    let (before, session) = arn.split_once(":assumed-role/")?;
    let (role, _) = session.split_once('/')?;
    let (partition, account) = before.strip_prefix("arn:")?.split_once(":sts::")?;
    Some(format!("arn:{partition}:iam::{account}:role/{role}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_claim_gives_the_highest_role_it_names() {
        for (claim, role) in [
            ("admin", Some(Role::Admin)),
            ("[viewer operator]", Some(Role::Operator)),
            ("[everyone operator us-east-1_abc_google]", Some(Role::Operator)),
            ("openid viewer email", Some(Role::Viewer)),
            ("viewer,admin", Some(Role::Admin)),
            (r#"["viewer","operator"]"#, Some(Role::Operator)),
            (r#"["viewer", "operator"]"#, Some(Role::Operator)),
            ("[]", None),
            ("", None),
            ("Admin administrators super-admin admin2", None),
            ("[admin", None),
        ] {
            assert_eq!(Role::in_claim(claim), role, "{claim}");
        }
    }

    #[test]
    fn a_principal_has_the_highest_role_of_the_patterns_it_fits() {
        let those = |text: &str| text.parse::<Principals>().expect("a pattern");
        let access = Access {
            claim: "groups".into(),
            principals: vec![
                (those("arn:aws:iam::123456789012:role/ops-*"), Role::Operator),
                (those("arn:aws:iam::123456789012:user/alice"), Role::Admin),
                (those("arn:aws:iam::123456789012:*"), Role::Viewer),
            ],
        };
        for (arn, role) in [
            ("arn:aws:iam::123456789012:user/alice", Some(Role::Admin)),
            ("arn:aws:iam::123456789012:user/alice2", Some(Role::Viewer)),
            ("arn:aws:sts::123456789012:assumed-role/ops-night/bob", Some(Role::Operator)),
            ("arn:aws:sts::123456789012:assumed-role/dev/ops-night", Some(Role::Viewer)),
            ("arn:aws:sts::999999999999:assumed-role/ops-night/bob", None),
            ("arn:aws:iam::999999999999:user/alice", None),
            ("", None),
        ] {
            assert_eq!(access.of_principal(arn), role, "{arn}");
        }
    }

    #[test]
    fn only_arns_and_everybody_are_patterns() {
        for good in ["*", "arn:aws:iam::123456789012:root", "arn:*:iam::*:role/x?"] {
            assert!(good.parse::<Principals>().is_ok(), "{good}");
        }
        for bad in ["", "alice", "arn:aws:iam", "arn:aws:iam::1:user/a b", "**"] {
            assert!(bad.parse::<Principals>().is_err(), "{bad}");
        }
    }
}
