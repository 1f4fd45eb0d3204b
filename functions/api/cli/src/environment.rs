//! What the process was given besides its arguments, read once: who we are, and what is liked.

use std::fmt;

/// A text that nobody may see: not in an error, not in a log, not by `{:?}`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Hides a text.
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, for the one header it is made for.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[REDACTED]")
    }
}

/// The keys requests are signed with.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    pub(crate) id: String,
    pub(crate) secret: Secret,
    pub(crate) session: Option<Secret>,
}

/// The environment variables that count.
#[derive(Debug, Clone, Default)]
pub struct Environment {
    /// `CML_FLEET_TOKEN`. It goes before the keys.
    pub(crate) token: Option<Secret>,
    /// `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN`.
    pub(crate) keys: Option<Keys>,
    /// One of the two keys without the other.
    pub(crate) half: bool,
    /// `AWS_REGION` or `AWS_DEFAULT_REGION`.
    pub(crate) region: Option<String>,
    /// `NO_COLOR`.
    pub no_color: bool,
}

impl Environment {
    /// Reads the variables. What is empty is not set.
    pub fn read(variable: impl Fn(&str) -> Option<String>) -> Self {
        let given = |name: &str| variable(name).filter(|value| !value.is_empty());
        let hidden = |name: &str| given(name).map(Secret::new);
        let (id, secret) = (given("AWS_ACCESS_KEY_ID"), hidden("AWS_SECRET_ACCESS_KEY"));
        let half = id.is_some() != secret.is_some();
        let keys = id.zip(secret);
        Self {
            token: hidden("CML_FLEET_TOKEN"),
            keys: keys.map(|(id, secret)| Keys { id, secret, session: hidden("AWS_SESSION_TOKEN") }),
            half,
            region: given("AWS_REGION").or_else(|| given("AWS_DEFAULT_REGION")),
            no_color: given("NO_COLOR").is_some(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        Environment::read(|name| {
            variables.iter().find(|(other, _)| *other == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn half_a_key_and_an_empty_token_are_none() {
        let half = environment(&[("AWS_ACCESS_KEY_ID", "AKID"), ("CML_FLEET_TOKEN", "")]);
        assert!(half.keys.is_none() && half.half && half.token.is_none() && !half.no_color);
        assert!(environment(&[("AWS_SECRET_ACCESS_KEY", "s")]).half && !environment(&[]).half);
        let region = environment(&[("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "eu-central-1")]).region;
        assert_eq!(region.as_deref(), Some("eu-central-1"));
    }

    #[test]
    fn no_secret_is_in_what_is_printed_for_debugging() {
        let all = environment(&[
            ("CML_FLEET_TOKEN", "hidden-token"),
            ("AWS_ACCESS_KEY_ID", "AKID"),
            ("AWS_SECRET_ACCESS_KEY", "hidden-key"),
            ("AWS_SESSION_TOKEN", "hidden-session"),
        ]);
        let shown = format!("{all:?}");
        assert!(shown.contains("AKID") && !shown.contains("hidden"), "{shown}");
    }
}
