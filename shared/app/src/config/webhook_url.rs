//! The address of a webhook endpoint: checked once, and never shown whole.

use std::fmt;

use url::{Host, Url};

/// The longest URL taken: more than any real one, and short enough for one environment variable.
const MAX_LENGTH: usize = 2048;

/// Where a webhook goes to. Path and query may hold a secret, as Slack's do, so only scheme and host are shown.
///
/// Whether the host's addresses are public is known only when it is resolved, and is checked then, at each delivery.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WebhookUrl(Url);

/// Why a URL cannot be a webhook. Names the rule, never echoes the URL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum InvalidUrl {
    /// Blanks, control characters, backslashes or anything else but printable ASCII; or far too long.
    #[error("must be at most {MAX_LENGTH} printable ASCII characters without blanks and backslashes")]
    Characters,
    /// Not an absolute URL.
    #[error("must be an absolute URL with a host")]
    NotAbsolute,
    /// A scheme that is not allowed.
    #[error("must begin with https:// (http:// only with ALLOW_PRIVATE_WEBHOOKS=true)")]
    Scheme,
    /// A user name or a password.
    #[error("must not contain a user name or a password")]
    UserInfo,
    /// A fragment, which never leaves the client.
    #[error("must not contain a fragment")]
    Fragment,
    /// A port that is not https's.
    #[error("must use port 443 (another one only with ALLOW_PRIVATE_WEBHOOKS=true)")]
    Port,
    /// A host that cannot be public.
    #[error(
        "must have a public host name, not an address or localhost (those only with ALLOW_PRIVATE_WEBHOOKS=true)"
    )]
    Host,
}

impl WebhookUrl {
    /// Checks a URL. `allow_private` is for the local cloud: plain http, any port, any host.
    ///
    /// # Errors
    /// The rule it breaks.
    pub fn parse(text: &str, allow_private: bool) -> Result<Self, InvalidUrl> {
        // The URL standard forgives line breaks, tabs and backslashes by rewriting them; we do not.
        if text.len() > MAX_LENGTH || !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
            return Err(InvalidUrl::Characters);
        }
        let (scheme, rest) = text.split_once("://").ok_or(InvalidUrl::NotAbsolute)?;
        if !(scheme == "https" || (scheme == "http" && allow_private)) {
            return Err(InvalidUrl::Scheme);
        }
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        if authority.is_empty() {
            return Err(InvalidUrl::NotAbsolute);
        }
        if authority.contains('@') {
            return Err(InvalidUrl::UserInfo);
        }
        let url = Url::parse(text).map_err(|_| InvalidUrl::NotAbsolute)?;
        // The URL standard writes some characters as three.
        if url.as_str().len() > MAX_LENGTH {
            return Err(InvalidUrl::Characters);
        }
        if url.fragment().is_some() {
            return Err(InvalidUrl::Fragment);
        }
        if !allow_private {
            if url.port().is_some() {
                return Err(InvalidUrl::Port);
            }
            if !matches!(url.host(), Some(Host::Domain(name)) if is_public_name(name)) {
                return Err(InvalidUrl::Host);
            }
        }
        Ok(Self(url))
    }

    /// The whole URL. Not for logs, events or errors.
    pub fn expose(&self) -> &str {
        self.0.as_str()
    }
}

/// A name that may resolve outside: it has a dot, and its last label is not one of those kept for inside (RFC 6761,
/// RFC 6762, ICANN's `internal`).
fn is_public_name(name: &str) -> bool {
    const INSIDE: [&str; 6] = ["localhost", "local", "internal", "invalid", "test", "arpa"];
    let name = name.strip_suffix('.').unwrap_or(name);
    name.rsplit_once('.').is_some_and(|(_, last)| !last.is_empty() && !INSIDE.contains(&last))
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.0.scheme(), self.0.host_str().unwrap_or_default())
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({self}/[REDACTED])")
    }
}
