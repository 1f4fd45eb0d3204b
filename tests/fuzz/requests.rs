//! Requests of somebody who knows the API: changed where callers speak, in path, query, headers, token and body, and
//! in most cases still read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::{Value, json};

use crate::changes::{Change, apply, change, hostile};
use crate::parsers::{COMMAND, SECOND, WORKER};

/// What is done to a request.
#[derive(Debug, Clone)]
enum Edit {
    /// This value at this place; null takes away what was there.
    Put(Vec<&'static str>, Value),
    /// This parameter: in the place of the one of that name, or beside it; without a value, one less.
    Parameter { name: String, value: Option<String>, beside: bool },
    /// This part of the path: in the place of one, or before it.
    Segment { at: Index, text: String, before: bool },
    /// A change of what the body says.
    Body(Change),
    /// The body in base64, or what is said to be base64.
    Base64(bool),
    /// Any other change.
    Any(Change),
}

/// The parameters of all routes, and one of none.
const PARAMETERS: [&str; 10] =
    ["status", "region", "name", "limit", "cursor", "from", "to", "forget", "confirm", "page"];
const HEADERS: [&str; 4] = ["if-match", "idempotency-key", "content-type", "x-request-id"];
const CLAIMS: [&str; 9] = [
    "iss",
    "sub",
    "groups",
    "email",
    "email_verified",
    "preferred_username",
    "cognito:username",
    "username",
    "scope",
];

/// One of these, or something like this pattern.
fn text(known: &[&'static str], like: &'static str) -> BoxedStrategy<String> {
    prop_oneof![3 => select(known.to_vec()).prop_map(str::to_owned), 2 => like].boxed()
}

/// A text where one is meant to be, and sometimes anything.
fn value(text: BoxedStrategy<String>) -> impl Strategy<Value = Value> {
    prop_oneof![12 => text.prop_map(Value::from), 1 => Just(Value::Null), 1 => hostile()]
}

fn header() -> impl Strategy<Value = Edit> {
    select(HEADERS.to_vec()).prop_flat_map(|name| {
        let text = match name {
            "if-match" => text(
                &[
                    r#""1""#,
                    r#""2""#,
                    "2",
                    "*",
                    r#"W/"2""#,
                    r#""2", "1""#,
                    r#""02""#,
                    r#""10000000000000000000""#,
                ],
                "\"?[0-9,W/*+ -]{0,21}\"?",
            ),
            "idempotency-key" => text(
                &["a-key", "a b", "~", r#""a key""#, r#""a\\b""#, r#""a\"b""#, r#""a\b""#, r#""a\"#],
                "\"?([ -~]{0,12}|k{250,260})\"?",
            ),
            "content-type" => text(
                &[
                    "application/json; charset=utf-8",
                    "application/merge-patch+json",
                    "text/plain",
                    "+json",
                    ";",
                ],
                "application/[ -~]{0,12}",
            ),
            _ => text(&["Root=1-69139f58-0b3f5a4b1c2d3e4f5a6b7c8d", ""], "[ -~]{0,140}"),
        };
        let once = value(text.clone());
        let often = vec(text, 0..3).prop_map(Value::from);
        prop_oneof![6 => once, 1 => often].prop_map(move |value| Edit::Put(vec!["headers", name], value))
    })
}

fn claim() -> impl Strategy<Value = Edit> {
    let known = [
        "admin",
        "viewer",
        "[everyone operator]",
        "[operator",
        "[]",
        "admin]",
        "true",
        "false",
        "True",
        "anna@example.com",
        "anna (admin)",
    ];
    let like = prop_oneof!["[\\[\\]() a-z@]{0,12}", "x{120,140}", any::<String>()];
    let text = prop_oneof![select(known.to_vec()).prop_map(str::to_owned), like];
    let claims = vec!["requestContext", "authorizer", "jwt", "claims"];
    (select(CLAIMS.to_vec()), value(text.boxed()))
        .prop_map(move |(name, value)| Edit::Put([claims.as_slice(), &[name]].concat(), value))
}

/// Another caller, or none.
fn caller() -> impl Strategy<Value = Edit> {
    let arn = text(
        &[
            "",
            ":::::",
            "arn:aws:iam::123456789012:root",
            "arn:aws:sts::123456789012:assumed-role/FleetOperator/anna",
        ],
        "arn:aws(-cn)?:(iam|sts)::[0-9]{0,12}:(user|role|assumed-role)(/[!-~]{0,6}){0,3}",
    );
    let iam = value(arn).prop_map(|arn| (vec!["iam", "userArn"], arn));
    let token =
        select(vec![json!({ "iss": "i", "sub": "s" }), json!({ "groups": "admin" }), json!({}), json!(null)]);
    let jwt = token.prop_map(|claims| (vec!["jwt", "claims"], claims));
    let scopes = select(vec![json!(null), json!([]), json!(["fleet/admin"]), json!([null]), json!("openid")]);
    let scopes = scopes.prop_map(|scopes| (vec!["jwt", "scopes"], scopes));
    let whole = select(vec![
        json!(null),
        json!({}),
        json!({ "iam": {}, "jwt": {} }),
        json!({ "lambda": { "role": "admin" } }),
    ]);
    prop_oneof![
        2 => iam,
        1 => jwt,
        1 => scopes,
        1 => select(vec!["iam", "jwt"]).prop_map(|kind| (vec![kind], Value::Null)),
        1 => whole.prop_map(|whole| (Vec::new(), whole)),
    ]
    .prop_map(|(place, value)| {
        Edit::Put([&["requestContext", "authorizer"], place.as_slice()].concat(), value)
    })
}

/// A parameter, mostly one of those that the request has.
fn parameter(query: &str) -> impl Strategy<Value = Edit> + use<> {
    let mut names: Vec<String> = PARAMETERS.map(str::to_owned).into();
    let its_own = query.split('&').filter_map(|pair| pair.split('=').next()).filter(|name| !name.is_empty());
    names.extend(its_own.flat_map(|name| vec![name.to_owned(); 5]));
    let name = prop_oneof![12 => select(names), 1 => "[ -~]{0,8}"];
    name.prop_flat_map(|name| {
        let value = match name.as_str() {
            "status" => text(&["running", "stopped", "terminated", "RUNNING"], "[a-z-]{0,12}"),
            "region" => text(&["us-east-1", "eu-central-1", "us-east-1a"], "[a-z]{2}-[a-z]{1,7}-[0-9]{0,2}"),
            "limit" => text(
                &["0", "1", "3", "100", "101", "1000", "0001", "00001", "4294967296", "%31", "%2B1"],
                "[+-]?[0-9]{0,5}",
            ),
            "from" | "to" => text(
                &[
                    "2026-11-11T21:00:00Z",
                    "9999-12-30T22:00:00Z",
                    "2026-11-12T00:00:00Z",
                    "-009999-01-02T01:59:59Z",
                    "2026-11-11T21:30:00+02:00",
                    "2026-11-11",
                    "%2B1",
                ],
                "20[0-9]{2}-[01][0-9]-[0-3][0-9][T ][0-2][0-9]:[0-5][0-9](:[0-6][0-9])?(Z|[+-][0-9]{2})?",
            ),
            "forget" => text(&["true", "false"], "[a-zA-Z01]{0,5}"),
            "cursor" => text(&["e30", "eyJvZiI6IiIsImF0Ijp7fX0"], "[A-Za-z0-9_=-]{0,40}"),
            _ => text(&["lab-0", "lab-*", "%FF", "%zz", "a+b", "é", ""], "[ -~]{0,16}"),
        };
        let value =
            prop_oneof![8 => value.prop_map(Some), 1 => any::<String>().prop_map(Some), 2 => Just(None)];
        let beside = proptest::bool::weighted(0.15);
        (Just(name), value, beside).prop_map(|(name, value, beside)| Edit::Parameter { name, value, beside })
    })
}

fn path() -> impl Strategy<Value = Edit> {
    let known = [
        WORKER,
        SECOND,
        COMMAND,
        "workers",
        "commands",
        "import",
        "events",
        "telemetry",
        "start",
        "stop",
        "reboot",
        "sync",
        "cancel",
        "health",
        "openapi.json",
        "",
        "..",
        "%2F",
        "%00",
        "%FF",
        "é",
    ];
    let text = text(&known, "[ -~]{0,12}");
    let segment = (any::<Index>(), text, any::<bool>());
    let segment = segment.prop_map(|(at, text, before)| Edit::Segment { at, text, before });
    let method = select(vec!["GET", "POST", "PATCH", "DELETE", "OPTIONS", "HEAD", "get", "BREW", ""]);
    let put = |place: &'static [&'static str], value: String| Edit::Put(place.to_vec(), value.into());
    let method = method.prop_map(move |method| put(&["requestContext", "http", "method"], method.to_owned()));
    let below = ["", "/events", "/telemetry", "/workers", "/sync", "/cancel"];
    let route = (select(vec!["workers", "commands"]), select(vec![WORKER, COMMAND]), select(below.to_vec()));
    let route = route.prop_map(move |(of, id, below)| put(&["rawPath"], format!("/{of}/{id}{below}")));
    prop_oneof![segment, method, route]
}

fn edit(query: &str) -> impl Strategy<Value = Edit> + use<> {
    prop_oneof![
        4 => header(),
        4 => claim(),
        2 => caller(),
        4 => parameter(query),
        2 => path(),
        2 => change().prop_map(Edit::Body),
        1 => any::<bool>().prop_map(Edit::Base64),
        1 => change().prop_map(Edit::Any),
    ]
}

/// A request, edited a few times.
pub(crate) fn edited(event: Value) -> impl Strategy<Value = Value> {
    let query = event["rawQueryString"].as_str().unwrap_or_default();
    vec(edit(query), 1..4).prop_map(move |edits| {
        let mut event = event.clone();
        edits.into_iter().for_each(|edit| carry_out(&mut event, edit));
        event
    })
}

fn carry_out(event: &mut Value, edit: Edit) {
    match edit {
        Edit::Put(place, value) => put(event, &place, value),
        Edit::Parameter { name, value, beside } => {
            let query = event["rawQueryString"].as_str().unwrap_or_default();
            let is_other =
                |pair: &&str| !pair.is_empty() && (beside || pair.split('=').next() != Some(&name));
            let new = value.map(|value| format!("{name}={value}"));
            let pairs: Vec<&str> = query.split('&').filter(is_other).chain(new.as_deref()).collect();
            let query = pairs.join("&");
            put(event, &["rawQueryString"], query.into());
        }
        Edit::Segment { at, text, before } => {
            let path = event["rawPath"].as_str().unwrap_or_default().to_owned();
            let mut parts: Vec<&str> = path.split('/').collect();
            let at = at.index(parts.len());
            parts.splice(at..at + usize::from(!before), [text.as_str()]);
            put(event, &["rawPath"], parts.join("/").into());
        }
        Edit::Body(change) => {
            let text = event["body"].as_str().unwrap_or_default();
            let Ok(mut body) = serde_json::from_str::<Value>(text) else { return };
            apply(&mut body, change);
            put(event, &["body"], body.to_string().into());
        }
        Edit::Base64(is_true) => {
            let body = event["body"].as_str().filter(|_| is_true).map(|body| STANDARD.encode(body));
            if let Some(body) = body {
                put(event, &["body"], body.into());
            }
            put(event, &["isBase64Encoded"], true.into());
        }
        Edit::Any(change) => apply(event, change),
    }
}

/// Puts a value at a place, with all that is above it, unless something else is there.
fn put(event: &mut Value, place: &[&str], value: Value) {
    let Some((name, above)) = place.split_last() else { return };
    let mut here = event;
    for name in above {
        if here[*name].is_null() && here.is_object() {
            here[*name] = json!({});
        }
        let Some(next) = here.get_mut(*name) else { return };
        here = next;
    }
    let Some(fields) = here.as_object_mut() else { return };
    match value {
        Value::Null => drop(fields.remove(*name)),
        value => drop(fields.insert((*name).to_owned(), value)),
    }
}
