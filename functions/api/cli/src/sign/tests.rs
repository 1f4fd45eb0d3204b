//! Signatures are those that AWS publishes, and no key is in them.

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
    let request = Unsigned { method: "GET", url: "https://example.amazonaws.com/", headers: &[], body: b"" };
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
