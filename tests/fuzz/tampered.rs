//! Inputs: recorded payloads that somebody tampered with, and plain noise.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};
use tests::fixtures;

/// What is done to a payload.
#[derive(Debug, Clone)]
enum Change {
    /// Another value in the place of one.
    Replace(Index, Value),
    /// One part less.
    Remove(Index),
    /// One key more.
    Add(Index, String, Value),
    /// One part put where another was.
    Copy(Index, Index),
    /// A few characters in a text.
    Write(Index, Index, String),
}

/// Values that programs trip over.
fn hostile() -> impl Strategy<Value = Value> {
    let numbers = select(vec![
        json!(0),
        json!(-1),
        json!(1),
        json!(2.5),
        json!(-0.0),
        json!(1e308),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(253_402_207_200_999_i64),
        json!(-377_705_023_201_000_i64),
        json!(1_794_432_600_123_i64),
        json!(u32::MAX),
    ]);
    let texts = select(vec![
        "",
        " ",
        "0",
        "-1",
        "1e400",
        "NaN",
        "null",
        "true",
        "\u{0}",
        "\u{202e}gnp",
        "\u{feff}",
        "é",
        "💥",
        "../..",
        "%00",
        "{}",
        "a#b",
        "9999-12-30T22:00:00Z",
        "9999-12-31T23:59:59Z",
        "+262142-12-31T23:59:59Z",
        "-009999-01-02T01:59:59Z",
        "0000-00-00T00:00:00Z",
        "2026-11-11T21:29:54.999999999Z",
        "WORKER#",
        "EVENT#",
        "EVENT#99999999999999999999",
        "STATE",
        "INSERT",
        "running",
        "terminated",
        "missing",
        "unknown",
        "shutting-down",
        "collect",
        "reconcile",
        "us-east-1",
        "i-1234567890abcdef0",
        "253402207200999",
        "-377705023201000",
        "9223372036854775807",
        "18446744073709551615",
        "-9223372036854775808",
        "0.1",
        "019a7dd0-5f0a-7c3e-9d52-3f6f6a1b2c3d",
    ])
    .prop_map(|text| json!(text));
    let long = (1_usize..60_000).prop_map(|length| json!("x".repeat(length)));
    let many = (1_usize..3000).prop_map(|length| json!(vec![0; length]));
    let deep = (1_usize..200).prop_map(|depth| (0..depth).fold(json!(null), |inner, _| json!([inner])));
    prop_oneof![
        6 => numbers,
        8 => texts,
        2 => any::<String>().prop_map(|text| json!(text)),
        1 => long,
        1 => many,
        1 => deep,
        2 => select(vec![json!(null), json!(true), json!(false), json!([]), json!({}), json!([[]]), json!({ "S": "x" }), json!({ "N": "x" })]),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let key = prop_oneof![
        select(vec![
            "S",
            "N",
            "M",
            "L",
            "NULL",
            "BOOL",
            "detail",
            "Records",
            "body",
            "fact",
            "isBase64Encoded",
            ""
        ])
        .prop_map(str::to_owned),
        any::<String>(),
    ];
    prop_oneof![
        5 => (any::<Index>(), hostile()).prop_map(|(at, value)| Change::Replace(at, value)),
        2 => any::<Index>().prop_map(Change::Remove),
        1 => (any::<Index>(), key, hostile()).prop_map(|(at, key, value)| Change::Add(at, key, value)),
        2 => (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Change::Copy(from, to)),
        2 => (any::<Index>(), any::<Index>(), "\\PC{0,4}").prop_map(|(at, place, text)| Change::Write(at, place, text)),
    ]
}

/// The paths of all parts of a value.
fn paths(value: &Value, here: &str, all: &mut Vec<String>) {
    all.push(here.to_owned());
    match value {
        Value::Object(fields) => {
            for (key, value) in fields {
                paths(value, &format!("{here}/{}", key.replace('~', "~0").replace('/', "~1")), all);
            }
        }
        Value::Array(items) => {
            for (index, value) in items.iter().enumerate() {
                paths(value, &format!("{here}/{index}"), all);
            }
        }
        _ => {}
    }
}

fn apply(value: &mut Value, change: Change) {
    let mut all = Vec::new();
    paths(value, "", &mut all);
    // A large payload would make large ones of larger ones.
    if all.len() > 5000 {
        return;
    }
    match change {
        Change::Replace(at, new) => {
            if let Some(part) = value.pointer_mut(at.get(all.as_slice()).as_str()) {
                *part = new;
            }
        }
        Change::Remove(at) => {
            let Some((parent, key)) = at.get(all.as_slice()).as_str().rsplit_once('/') else { return };
            match value.pointer_mut(parent) {
                Some(Value::Object(fields)) => {
                    fields.remove(key);
                }
                Some(Value::Array(items)) => {
                    items.remove(key.parse().expect("an index"));
                }
                _ => {}
            }
        }
        Change::Add(at, key, new) => match value.pointer_mut(at.get(all.as_slice()).as_str()) {
            Some(Value::Object(fields)) => {
                fields.insert(key, new);
            }
            Some(Value::Array(items)) => items.push(new),
            _ => {}
        },
        Change::Copy(from, to) => {
            let part = value.pointer(from.get(all.as_slice()).as_str()).cloned();
            if let Some((part, place)) = part.zip(value.pointer_mut(to.get(all.as_slice()).as_str())) {
                *place = part;
            }
        }
        Change::Write(at, place, text) => {
            if let Some(Value::String(old)) = value.pointer_mut(at.get(all.as_slice()).as_str()) {
                let mut letters: Vec<char> = old.chars().collect();
                let place = place.index(letters.len() + 1);
                letters.splice(place.min(letters.len())..(place + 1).min(letters.len()), text.chars());
                *old = letters.into_iter().collect();
            }
        }
    }
}

/// A value, changed a few times, as text; sometimes cut or with bytes that do not belong there.
fn tampered(value: Value) -> impl Strategy<Value = Vec<u8>> {
    let noise = prop_oneof![
        4 => Just(Vec::new()),
        1 => vec((any::<Index>(), any::<u8>()), 1..4),
    ];
    (vec(change(), 0..6), noise).prop_map(move |(changes, noise)| {
        let mut value = value.clone();
        changes.into_iter().for_each(|change| apply(&mut value, change));
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

/// Recorded payloads, tampered with.
pub(crate) fn payload(names: &[&str]) -> impl Strategy<Value = Vec<u8>> {
    let recorded: Vec<Value> = names.iter().map(|name| fixtures::read(name)).collect();
    prop_oneof![19 => select(recorded).prop_flat_map(tampered), 1 => noise()]
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
