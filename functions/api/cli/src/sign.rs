//! Who we say we are: a bearer token, or AWS Signature Version 4.

use std::fmt::Display;
use std::time::{Duration, UNIX_EPOCH};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use domain::Timestamp;
use url::{Host, Url};

use crate::environment::{Environment, Keys, Secret};
use crate::failure::Failure;

/// What API Gateway calls itself in a signature.
const SERVICE: &str = "execute-api";

/// How requests say who asks.
#[derive(Debug, Clone)]
pub(crate) enum Identity {
    /// With a token of the deployment's issuer.
    Token(Secret),
    /// With a signature.
    Keys { keys: Keys, region: String },
    /// Not at all: enough for what anybody may read.
    Nobody,
}

impl Identity {
    /// Who the environment says we are, for this address.
    pub(crate) fn of(environment: &Environment, url: &Url) -> Result<Self, Failure> {
        if let Some(token) = &environment.token {
            return Ok(Self::Token(token.clone()));
        }
        if environment.half {
            let why = "only one of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY is set: set both, or neither";
            return Err(Failure::Usage(why.to_owned()));
        }
        let Some(keys) = environment.keys.clone() else { return Ok(Self::Nobody) };
        // The host of an API knows its region better than an environment that is about other things, too.
        let region = region_of(url).or_else(|| environment.region.clone()).ok_or_else(|| {
            Failure::Usage("the address does not tell the region to sign for: set AWS_REGION".to_owned())
        })?;
        Ok(Self::Keys { keys, region })
    }

    /// The headers that say it, for one request.
    pub(crate) fn headers(
        &self,
        request: &Unsigned<'_>,
        at: Timestamp,
    ) -> Result<Vec<(String, String)>, Failure> {
        match self {
            Self::Token(token) => {
                Ok(vec![("authorization".to_owned(), format!("Bearer {}", token.reveal()))])
            }
            Self::Keys { keys, region } => signed(keys, region, SERVICE, request, at),
            Self::Nobody => Ok(Vec::new()),
        }
    }
}

/// A request before it is signed.
#[derive(Debug)]
pub(crate) struct Unsigned<'a> {
    pub(crate) method: &'a str,
    pub(crate) url: &'a str,
    pub(crate) headers: &'a [(&'static str, String)],
    pub(crate) body: &'a [u8],
}

/// The region in the name of an API's own host.
fn region_of(url: &Url) -> Option<String> {
    let labels: Vec<&str> = url.host_str()?.split('.').collect();
    match labels.as_slice() {
        [_, SERVICE, region, "amazonaws", "com"] | [_, SERVICE, region, "amazonaws", "com", "cn"] => {
            Some((*region).to_owned())
        }
        _ => None,
    }
}

/// Whether what is sent there can be read by nobody on the way.
pub(crate) fn is_private(url: &Url) -> bool {
    url.scheme() == "https" || is_loopback(url)
}

/// Whether it is this machine.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

fn signed(
    keys: &Keys,
    region: &str,
    service: &str,
    request: &Unsigned<'_>,
    at: Timestamp,
) -> Result<Vec<(String, String)>, Failure> {
    let session = keys.session.as_ref().map(|session| session.reveal().to_owned());
    let identity = Credentials::new(&keys.id, keys.secret.reveal(), session, None, "environment").into();
    let time = UNIX_EPOCH + Duration::from_secs(u64::try_from(at.as_second()).unwrap_or(0));
    let parameters = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(time)
        .settings(SigningSettings::default())
        .build()
        .map_err(unsignable)?
        .into();
    let headers = request.headers.iter().map(|(name, value)| (*name, value.as_str()));
    let body = SignableBody::Bytes(request.body);
    let signable = SignableRequest::new(request.method, request.url, headers, body).map_err(unsignable)?;
    let (instructions, _) = sign(signable, &parameters).map_err(unsignable)?.into_parts();
    let (headers, _) = instructions.into_parts();
    Ok(headers.iter().map(|header| (header.name().to_owned(), header.value().to_owned())).collect())
}

/// Whatever it was, no key is in it.
fn unsignable(error: impl Display) -> Failure {
    Failure::Usage(format!("the request cannot be signed: {error}"))
}

#[cfg(test)]
mod tests;
