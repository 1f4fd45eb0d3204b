//! What somebody may do to a payload: another value here, a part less there.

use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

/// What is done to a payload.
#[derive(Debug, Clone)]
pub(crate) enum Change {
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
pub(crate) fn hostile() -> impl Strategy<Value = Value> {
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

/// Any change.
pub(crate) fn change() -> impl Strategy<Value = Change> {
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

/// Changes a value.
pub(crate) fn apply(value: &mut Value, change: Change) {
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
