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
mod tests {
    use super::*;

    fn keys(session: Option<&str>) -> Keys {
        Keys {
            id: "AKIDEXAMPLE".into(),
            secret: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session: session.map(Secret::new),
        }
    }

    fn header<'a>(headers: &'a [(String, String)], name: &str) -> &'a str {
        headers.iter().find(|(other, _)| other == name).map_or("", |(_, value)| value)
    }

    /// "get-vanilla" of the test suite that AWS publishes for Signature Version 4.
    #[test]
    fn a_signature_is_the_one_that_aws_publishes() {
        let request =
            Unsigned { method: "GET", url: "https://example.amazonaws.com/", headers: &[], body: b"" };
        let at = "2015-08-30T12:36:00Z".parse().expect("a time");
        let headers = signed(&keys(None), "us-east-1", "service", &request, at).expect("signed");
        assert_eq!(header(&headers, "x-amz-date"), "20150830T123600Z");
        assert_eq!(
            header(&headers, "authorization"),
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
             SignedHeaders=host;x-amz-date, \
             Signature=5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"
        );
    }

    #[test]
    fn the_session_the_body_and_the_key_of_the_request_are_signed_as_well() {
        let at = "2015-08-30T12:36:00Z".parse().expect("a time");
        let sign = |session: Option<&str>, key: &str, body: &[u8]| {
            let headers = [("idempotency-key", key.to_owned())];
            let url = "https://a.execute-api.eu-central-1.amazonaws.com/workers";
            let request = Unsigned { method: "POST", url, headers: &headers, body };
            let headers = signed(&keys(session), "eu-central-1", SERVICE, &request, at).expect("signed");
            let authorization = header(&headers, "authorization").to_owned();
            let signature = authorization.rsplit_once("Signature=").expect("signed").1.to_owned();
            (authorization, header(&headers, "x-amz-security-token").to_owned(), signature)
        };
        let (authorization, token, signature) = sign(Some("session"), "k", b"{}");
        assert!(authorization.contains("/eu-central-1/execute-api/aws4_request"), "{authorization}");
        let names = "SignedHeaders=host;idempotency-key;x-amz-date;x-amz-security-token";
        assert!(authorization.contains(names), "{authorization}");
        assert_eq!(token, "session");
        for (session, key, body) in
            [(None, "k", b"{}".as_slice()), (Some("session"), "l", b"{}"), (Some("session"), "k", b"{ }")]
        {
            assert_ne!(sign(session, key, body).2, signature);
        }
    }

    #[test]
    fn the_region_is_that_of_the_host_then_that_of_the_environment() {
        let of = |url: &str, region: Option<&str>| {
            let region = region.map(str::to_owned);
            let environment = Environment { keys: Some(keys(None)), region, ..Environment::default() };
            match Identity::of(&environment, &url.parse().expect("an address")) {
                Ok(Identity::Keys { region, .. }) => region,
                other => format!("{other:?}"),
            }
        };
        let aws = "https://a1b2.execute-api.eu-central-1.amazonaws.com";
        assert_eq!(of(aws, Some("us-east-1")), "eu-central-1");
        assert_eq!(of("http://localhost:4566", Some("us-east-1")), "us-east-1");
        assert!(of("http://localhost:4566", None).contains("set AWS_REGION"));
    }

    #[test]
    fn a_token_goes_before_keys_and_nobody_is_nobody() {
        let url = "http://localhost:4566".parse().expect("an address");
        let (token, keys) = (Some(Secret::new("t")), Some(keys(None)));
        let both = Environment { token, keys, ..Environment::default() };
        assert!(matches!(Identity::of(&both, &url), Ok(Identity::Token(_))));
        assert!(matches!(Identity::of(&Environment::default(), &url), Ok(Identity::Nobody)));
        let half = Environment { half: true, ..Environment::default() };
        assert!(matches!(Identity::of(&half, &url), Err(Failure::Usage(_))));
        let token = Some(Secret::new("t"));
        assert!(matches!(Identity::of(&Environment { token, ..half }, &url), Ok(Identity::Token(_))));
    }
}
