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
        let list = claim.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(claim);
        list.split(' ').filter_map(|word| word.parse().ok()).max()
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

/// IAM principals, by the pattern of their ARNs: `*` stands for any text, `?` for one character, within one of an ARN's
/// six parts (as IAM's own `ArnLike` has it).
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Principals(String);

impl Principals {
    /// Whether these are all whom IAM lets in.
    pub fn are_all(&self) -> bool {
        self.0 == "*"
    }

    fn include(&self, arn: &str) -> bool {
        if self.are_all() {
            return !arn.is_empty();
        }
        let fits = |arn: &str| {
            let both = parts(&self.0).zip(parts(arn));
            both.is_some_and(|(patterns, parts)| {
                patterns.iter().zip(parts).all(|(pattern, part)| WildMatch::new(pattern).matches(part))
            })
        };
        fits(arn) || role_of_session(arn).is_some_and(|role| fits(&role))
    }
}

impl FromStr for Principals {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if text == "*" {
            return Ok(Self(text.to_owned()));
        }
        let parts = parts(text).filter(|parts| parts[0] == "arn" && !parts[5].is_empty()).ok_or(())?;
        // Nobody calls with the path of a role in the ARN, so a pattern with one would fit nobody.
        let has_path = parts[5].strip_prefix("role/").is_some_and(|role| role.contains('/'));
        let printable = text.bytes().all(|b| b.is_ascii_graphic());
        if has_path || !printable { Err(()) } else { Ok(Self(text.to_owned())) }
    }
}

/// `arn:<partition>:<service>:<region>:<account>:<resource>`.
fn parts(arn: &str) -> Option<[&str; 6]> {
    arn.splitn(6, ':').collect::<Vec<_>>().try_into().ok()
}

/// The role of whoever has assumed one. The caller is `arn:aws:sts::<account>:assumed-role/<role>/<session>`, while people
/// know the role as `arn:aws:iam::<account>:role/<role>`. The path of a role is not part of the session's ARN, and the
/// session's name is whatever the caller chose (IAM user guide, "IAM identifiers").
pub fn role_of_session(arn: &str) -> Option<String> {
    let [arn, partition, service, _, account, resource] = parts(arn)?;
    let (role, _) = resource.strip_prefix("assumed-role/")?.split_once('/')?;
    (arn == "arn" && service == "sts").then(|| format!("arn:{partition}:iam::{account}:role/{role}"))
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
            // Cognito's groups may have these in their names, and no blanks.
            ("viewer,admin", None),
            (r#"["admin"]"#, None),
            ("[]", None),
            ("", None),
            ("Admin administrators super-admin admin2", None),
            ("[admin", None),
            ("[[admin]]", None),
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
            // What somebody may call a user or a session that should not be taken for a role.
            ("arn:aws:iam::999999999999:user/x:sts::123456789012:assumed-role/ops-night/y", None),
            ("arn:aws:sts::999999999999:assumed-role/x/arn:aws:sts::123456789012:assumed-role/ops-a/y", None),
            ("arn:aws:sts::999999999999:federated-user/x", None),
            ("", None),
        ] {
            assert_eq!(access.of_principal(arn), role, "{arn}");
        }
    }

    #[test]
    fn a_wildcard_ends_at_a_colon() {
        let those = "arn:aws:*::123456789012:*/admin".parse::<Principals>().expect("a pattern");
        let ops = "arn:*:iam::*:role/admin".parse::<Principals>().expect("a pattern");
        assert!(those.include("arn:aws:iam::123456789012:user/admin"));
        assert!(ops.include("arn:aws:sts::111111111111:assumed-role/admin/y"));
        assert!(!ops.include("arn:aws:iam::111111111111:user/x:sts::222222222222:assumed-role/admin/y"));
        assert!(!ops.include("arn:aws:iam::111111111111:user/x:iam::2:role/admin"));
    }

    #[test]
    fn only_arns_and_everybody_are_patterns() {
        for good in ["*", "arn:aws:iam::123456789012:root", "arn:*:iam::*:role/x?", "arn:aws:iam::1:user/a/b"]
        {
            assert!(good.parse::<Principals>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "alice",
            "arn:aws:iam",
            "arn:aws:iam::1:",
            "arn:aws:iam::1:user/a b",
            "**",
            "arn:aws:iam::1:role/path/x",
        ] {
            assert!(bad.parse::<Principals>().is_err(), "{bad}");
        }
    }
}
