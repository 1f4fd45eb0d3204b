//! Inputs: payloads of `tests/fixtures` that somebody tampered with, and plain noise.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use tests::fixtures;

use crate::changes::{apply, change};
use crate::requests::edited;

/// Requests of people with tokens and of IAM principals, with all headers and parameters that the API knows.
pub(crate) const REQUESTS: [&str; 6] = [
    "api-request.json",
    "api-patch.json",
    "api-list.json",
    "api-telemetry.json",
    "api-end.json",
    "api-forget.json",
];

/// A value, changed a few times, as text; sometimes cut or with bytes that do not belong there.
fn tampered(value: Value) -> impl Strategy<Value = Vec<u8>> {
    written(vec(change(), 0..6).prop_map(move |changes| {
        let mut value = value.clone();
        changes.into_iter().for_each(|change| apply(&mut value, change));
        value
    }))
}

/// Values as text; sometimes cut or with bytes that do not belong there.
fn written(values: impl Strategy<Value = Value>) -> impl Strategy<Value = Vec<u8>> {
    let noise = prop_oneof![
        4 => Just(Vec::new()),
        1 => vec((any::<Index>(), any::<u8>()), 1..4),
    ];
    (values, noise).prop_map(|(value, noise)| {
        let mut bytes = value.to_string().into_bytes();
        for (at, byte) in noise {
            let at = at.index(bytes.len());
            if byte == 0 { bytes.truncate(at.max(1)) } else { bytes[at] = byte }
        }
        bytes
    })
}

fn noise() -> impl Strategy<Value = Vec<u8>> {
    vec(any::<u8>(), 0..200)
}

/// Payloads, tampered with.
pub(crate) fn payload(names: &[&str]) -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![19 => select(payloads(names)).prop_flat_map(tampered), 1 => noise()]
}

fn payloads(names: &[&str]) -> Vec<Value> {
    names.iter().map(|name| fixtures::read(name)).collect()
}

/// Requests as API Gateway hands them over, edited by somebody who knows the API, or tampered with by somebody who does not.
pub(crate) fn request() -> impl Strategy<Value = Vec<u8>> {
    let edited = written(select(payloads(&REQUESTS)).prop_flat_map(edited));
    prop_oneof![3 => edited, 1 => payload(&REQUESTS)]
}

/// The number of a route, and a body for it.
pub(crate) fn body() -> impl Strategy<Value = Vec<u8>> {
    let settings = json!({ "monitoring": true, "interval": 300, "drift": "alert", "cpu": 90, "memory": null, "disk": 1, "alert_duration": 600 });
    let spec = json!({
        "image": "ami-0123456789abcdef0", "instance_type": "m5zn.metal", "subnet": "subnet-12345678",
        "security_groups": ["sg-12345678"], "key_name": "k", "instance_profile": "p", "root_volume_gib": 64,
        "launch_template": { "name": "cml", "version": 3 }, "root_volume_type": "gp3", "user_data": "#!/bin/sh",
        "alternatives": [{ "instance_type": "c5.metal" }, { "subnet": "subnet-23456789" }],
    });
    let worker = "019a7dd0-5f0a-7c3e-9d52-3f6f6a1b2c3d";
    let bodies = vec![
        (
            0_u8,
            json!({ "name": "lab-9", "region": "us-east-1", "spec": spec, "tags": { "course": "CCNA" }, "settings": settings, "protected": true }),
        ),
        (
            1,
            json!({ "instance_id": "i-0123456789abcdef1", "region": "us-east-1", "name": "lab-9", "tags": { "a": "b" }, "settings": settings, "held": "cabling", "protected": false }),
        ),
        (
            1,
            json!({ "instance_ids": ["i-1234567890abcdef0", "i-0123456789abcdef1"], "regions": ["us-east-1"], "tags": { "a": "b" }, "settings": settings, "held": "cabling", "adopt_orphans": true }),
        ),
        (1, json!({ "find": { "image_name": "cml-*" }, "limit": 100, "dry_run": false, "protected": true })),
        (
            2,
            json!({ "name": "lab-9", "tags": { "course": "CCNA", "old": null }, "settings": settings, "held": null, "protected": true }),
        ),
        (
            3,
            json!({ "action": "terminate", "workers": [worker, "019a7dd0-6a11-7f00-8a4b-0c9d8e7f6a5b"], "confirm": 2, "dry_run": false }),
        ),
        (
            3,
            json!({ "action": "tag", "filter": { "region": "us-east-1", "status": "running", "name": "lab-*" }, "tags": { "shift": "late", "owner": null } }),
        ),
    ];
    let tampered = select(bodies)
        .prop_flat_map(|(route, body)| tampered(body).prop_map(move |body| [vec![route], body].concat()));
    prop_oneof![19 => tampered, 1 => noise()]
}

/// What is within a cursor, and noise.
pub(crate) fn cursor() -> impl Strategy<Value = Vec<u8>> {
    let worker = "019a7dd0-5f0a-7c3e-9d52-3f6f6a1b2c3d";
    let inner = vec![
        json!({ "region": "us-east-1", "after": null, "skip": 1 }),
        json!({ "region": "us-east-1", "after": format!("-#{worker}"), "skip": 0 }),
        json!({ "after": "1" }),
        json!({ "from": 1_794_432_000_000_i64, "to": 1_794_432_600_123_i64 }),
        json!({ "chunk": 0, "skip": 0 }),
        json!({ "named": 0 }),
        json!({ "found": { "region": "us-east-1", "after": "i-0123456789abcdef1", "skip": 1 } }),
    ];
    let outer =
        select(inner.clone()).prop_map(|inner| URL_SAFE_NO_PAD.encode(inner.to_string()).into_bytes());
    let cut = (outer, any::<Index>(), any::<u8>()).prop_map(|(mut text, at, byte)| {
        let at = at.index(text.len());
        text[at] = byte;
        text
    });
    prop_oneof![8 => select(inner).prop_flat_map(tampered), 1 => cut, 1 => noise()]
}

/// Addresses, put together from parts of good and bad ones.
pub(crate) fn url() -> impl Strategy<Value = Vec<u8>> {
    let schemes = select(vec![
        "https://",
        "http://",
        "HTTPS://",
        "https:",
        "https:/",
        "https:///",
        "file://",
        "ftp://",
        "",
        "https://https://",
    ]);
    let hosts = select(vec![
        "example.com",
        "hooks.slack.com",
        "EXAMPLE.com.",
        "localhost",
        "a.localhost",
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "169.254.169.254",
        "metadata.google.internal",
        "user:pw@example.com",
        "example.com@127.0.0.1",
        "%6cocalhost",
        "127%2e0%2e0%2e1",
        "xn--bcher-kva.example",
        "xn--",
        "a..b",
        ".example.com",
        "example.com:443",
        "example.com:22",
        "example.com:0",
        "example.com:65536",
        "example.com:",
        "1.2.3",
        "0",
        "a_b.example",
        "-a.example",
        "example.com\\@localhost",
        "",
    ]);
    let paths = prop_oneof![
        select(vec![
            "",
            "/",
            "/services/TEAM/CHANNEL/TOKEN",
            "/?a=b",
            "?a=b",
            "#f",
            "/#",
            "/a b",
            "/\"<>`{}|^",
            "/%zz",
            "/..//../a",
            "/\t",
            "\\",
            ":"
        ])
        .prop_map(str::to_owned),
        "[ -~]{0,40}",
        (0_usize..2100, select(vec!['a', '"', '%', '{']))
            .prop_map(|(length, letter)| format!("/{}", letter.to_string().repeat(length))),
    ];
    let whole = (schemes, hosts, paths).prop_map(|(scheme, host, path)| format!("{scheme}{host}{path}"));
    let with_noise =
        (whole, prop_oneof![3 => Just(None), 1 => (any::<Index>(), any::<char>()).prop_map(Some)]).prop_map(
            |(url, noise)| {
                let mut letters: Vec<char> = url.chars().collect();
                if let Some((at, letter)) = noise {
                    letters.insert(at.index(letters.len() + 1), letter);
                }
                letters.into_iter().collect::<String>().into_bytes()
            },
        );
    prop_oneof![19 => with_noise, 1 => any::<String>().prop_map(String::into_bytes)]
}
