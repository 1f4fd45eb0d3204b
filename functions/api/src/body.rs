//! Bodies: JSON of exactly the expected shape, or a problem that names the field.

use std::fmt;
use std::marker::PhantomData;

use axum::http::HeaderMap;
use axum::http::header::CONTENT_TYPE;
use serde::de::{DeserializeOwned, Error, MapAccess, Visitor, value::MapAccessDeserializer};
use serde::{Deserialize, Deserializer};

use crate::input::Faults;
use crate::problem::{Kind, Problem};

/// A field that may be absent (`None`), null (`Some(None)`) or given. Needs `#[serde(default)]` beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Patch<T>(pub(crate) Option<Option<T>>);

impl<T> Default for Patch<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Patch<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Option::deserialize(deserializer).map(|value| Self(Some(value)))
    }
}

/// A JSON object. Serde's derive alone would take an array of the fields' values as well.
#[derive(Debug, Default)]
pub(crate) struct Object<T>(pub(crate) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(ObjectVisitor(PhantomData))
    }
}

struct ObjectVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for ObjectVisitor<T> {
    type Value = Object<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
        T::deserialize(MapAccessDeserializer::new(map)).map(Object)
    }
}

/// A JSON object with keys of the caller's choice, each once.
#[derive(Debug)]
pub(crate) struct Entries<V>(pub(crate) Vec<(String, V)>);

impl<'de, V: Deserialize<'de>> Deserialize<'de> for Entries<V> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor(PhantomData))
    }
}

struct EntriesVisitor<V>(PhantomData<V>);

impl<'de, V: Deserialize<'de>> Visitor<'de> for EntriesVisitor<V> {
    type Value = Entries<V>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Entries<V>, A::Error> {
        let mut entries: Vec<(String, V)> = Vec::new();
        while let Some((key, value)) = map.next_entry::<String, V>()? {
            if entries.iter().any(|(other, _)| *other == key) {
                return Err(A::Error::custom(format_args!("duplicate field `{key}`")));
            }
            entries.push((key, value));
        }
        Ok(Entries(entries))
    }
}

/// The media types a JSON body may have: `application/json`, and what ends in `+json`.
pub(crate) fn require_json(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(CONTENT_TYPE).iter();
    let (only, more) = (values.next().and_then(|value| value.to_str().ok()), values.next());
    let essence = only.and_then(|text| text.split(';').next()).map_or("", str::trim).to_ascii_lowercase();
    if more.is_none()
        && (essence == "application/json"
            || essence.starts_with("application/") && essence.ends_with("+json"))
    {
        return Ok(());
    }
    let mut faults = Faults::default();
    let allowed = Some("application/json".to_owned());
    faults.add("Content-Type", "must say that the body is JSON", allowed);
    Err(faults.problem(Kind::NotJson))
}

/// What a body can be read as.
pub(crate) trait Read: Sized {
    /// Reads a body.
    fn read(bytes: &[u8]) -> Result<Self, Problem>;
}

impl<T: DeserializeOwned> Read for T {
    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        parse(bytes)
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if bytes.trim_ascii().is_empty() {
        return Err(malformed("", "is empty; a JSON object is needed", None));
    }
    let text = std::str::from_utf8(bytes).map_err(|_| malformed("", "is not UTF-8", None))?;
    let mut json = serde_json::Deserializer::from_str(text);
    let value: Object<T> = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        explain(if path == "." { "" } else { &path }, error.inner())
    })?;
    json.end().map_err(|_| malformed("", "goes on after the JSON object", None))?;
    Ok(value.0)
}

/// Words serde's message anew: with the field it is about and what is allowed, without the value that was sent.
fn explain(path: &str, error: &serde_json::Error) -> Problem {
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(message.as_str(), |(message, _)| message);
    if let Some(rest) = message.strip_prefix("unknown field `") {
        let (name, expected) = rest.rsplit_once("`, expected ").unwrap_or((rest, ""));
        let names = expected.split('`').skip(1).step_by(2).collect::<Vec<_>>().join(", ");
        let field = if path.is_empty() { name.trim_end_matches("`, there are no fields") } else { path };
        let allowed = (!names.is_empty()).then_some(names);
        return malformed(field, "is not a field of this request", allowed);
    }
    if let Some(name) = message.strip_prefix("duplicate field `") {
        return malformed(&join(path, name.trim_end_matches('`')), "is given twice", None);
    }
    if let Some((found, expected)) =
        message.strip_prefix("invalid type: ").and_then(|rest| rest.rsplit_once(", expected "))
    {
        let found = match found.split(['"', '`']).next().map_or("", str::trim) {
            "string" => "a string",
            "integer" | "floating point" => "a number",
            "boolean" => "true or false",
            "sequence" => "an array",
            "map" => "an object",
            other => other,
        };
        let expected = match expected {
            "a boolean" => "true or false",
            "a JSON number" => "a number",
            "a sequence" => "an array",
            "a map" => "an object",
            other => other,
        };
        return malformed(path, &format!("must be {expected}, not {found}"), None);
    }
    let detail = match error.classify() {
        serde_json::error::Category::Syntax | serde_json::error::Category::Eof => {
            format!("is not JSON: {message} at line {} column {}", error.line(), error.column())
        }
        serde_json::error::Category::Data | serde_json::error::Category::Io => "is not valid".to_owned(),
    };
    malformed("", &detail, None)
}

/// The path of a field below `path`; serde already names the field itself in some paths.
fn join(path: &str, name: &str) -> String {
    if path.is_empty() || path == name {
        name.to_owned()
    } else if path.ends_with(&format!(".{name}")) {
        path.to_owned()
    } else {
        format!("{path}.{name}")
    }
}

fn malformed(field: &str, detail: &str, allowed: Option<String>) -> Problem {
    let mut faults = Faults::default();
    faults.add(if field.is_empty() { "body" } else { field }, detail, allowed);
    faults.problem(Kind::MalformedBody)
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its Debug output is looked at")]
    struct Outer {
        name: Option<String>,
        inner: Option<Object<Inner>>,
        tags: Option<Entries<Option<String>>>,
        list: Option<Vec<String>>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    #[expect(dead_code, reason = "only its Debug output is looked at")]
    struct Inner {
        #[serde(default)]
        size: Patch<serde_json::Number>,
        on: Option<bool>,
    }

    #[derive(Debug, Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Nothing {}

    fn check<T: DeserializeOwned + fmt::Debug>(body: &str, expected: &Expect) {
        let shown = match parse::<T>(body.as_bytes()) {
            Ok(value) => format!("{value:?}"),
            Err(problem) => {
                let json: serde_json::Value = serde_json::from_str(&problem.to_json(None)).expect("JSON");
                json["errors"].to_string()
            }
        };
        expected.assert_eq(&shown);
    }

    #[test]
    fn a_field_that_is_wrong_is_named_by_its_path() {
        check::<Outer>(
            r#"{"isAdmin":1}"#,
            &expect![[
                r#"[{"allowed":"name, inner, tags, list","detail":"is not a field of this request","field":"isAdmin"}]"#
            ]],
        );
        check::<Outer>(
            r#"{"inner":{"isAdmin":1}}"#,
            &expect![[
                r#"[{"allowed":"size, on","detail":"is not a field of this request","field":"inner.isAdmin"}]"#
            ]],
        );
        check::<Outer>(
            r#"{"inner":{"on":"yes, expected no"}}"#,
            &expect![[r#"[{"detail":"must be true or false, not a string","field":"inner.on"}]"#]],
        );
        check::<Outer>(
            r#"{"inner":[1,true]}"#,
            &expect![[r#"[{"detail":"must be an object, not an array","field":"inner"}]"#]],
        );
        check::<Outer>(
            r#"{"name":7}"#,
            &expect![[r#"[{"detail":"must be a string, not a number","field":"name"}]"#]],
        );
        check::<Outer>(
            r#"{"list":["a",2]}"#,
            &expect![[r#"[{"detail":"must be a string, not a number","field":"list[1]"}]"#]],
        );
        check::<Outer>(
            r#"{"list":{"a":1}}"#,
            &expect![[r#"[{"detail":"must be an array, not an object","field":"list"}]"#]],
        );
        check::<Outer>(
            r#"{"tags":{"a":1}}"#,
            &expect![[r#"[{"detail":"must be a string, not a number","field":"tags.a"}]"#]],
        );
        check::<Outer>(
            r#"{"tags":{"a":"1","a":"2"}}"#,
            &expect![[r#"[{"detail":"is given twice","field":"tags.a"}]"#]],
        );
        check::<Outer>(
            r#"{"name":"a","name":"b"}"#,
            &expect![[r#"[{"detail":"is given twice","field":"name"}]"#]],
        );
        check::<Outer>(
            r#"{"inner":{"size":"1"}}"#,
            &expect![[r#"[{"detail":"must be a number, not a string","field":"inner.size"}]"#]],
        );
        check::<Outer>(
            r#"{"inner":{"size":1e400}}"#,
            &expect![[
                r#"[{"detail":"is not JSON: number out of range at line 1 column 22","field":"body"}]"#
            ]],
        );
        check::<Nothing>(
            r#"{"a":1}"#,
            &expect![[r#"[{"detail":"is not a field of this request","field":"a"}]"#]],
        );
        check::<Outer>(
            "{\"a`, expected b\":1}",
            &expect![[
                r#"[{"allowed":"name, inner, tags, list","detail":"is not a field of this request","field":"a`, expected b"}]"#
            ]],
        );
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for body in ["", " ", "null", "[]", "\"x\"", "1e400", "{", "{} {}", "\u{feff}{}"] {
            assert_eq!(parse::<Outer>(body.as_bytes()).expect_err(body).kind, Kind::MalformedBody, "{body}");
        }
        assert!(parse::<Outer>(b"{\"name\":\"\xff\"}").is_err());
        assert!(parse::<Outer>(format!("{}{}", "[".repeat(10_000), "]".repeat(10_000)).as_bytes()).is_err());
        let deep = format!(r#"{{"tags":{}1{}}}"#, r#"{"a":"#.repeat(10_000), "}".repeat(10_000));
        assert!(parse::<Outer>(deep.as_bytes()).is_err());
    }

    #[test]
    fn absent_null_and_given_are_three_things() {
        check::<Outer>(
            r#"{"inner":{}}"#,
            &expect![
                "Outer { name: None, inner: Some(Object(Inner { size: Patch(None), on: None })), tags: None, list: None }"
            ],
        );
        check::<Outer>(
            r#"{"inner":{"size":null}}"#,
            &expect![
                "Outer { name: None, inner: Some(Object(Inner { size: Patch(Some(None)), on: None })), tags: None, list: None }"
            ],
        );
        check::<Outer>(
            r#"{"inner":{"size":2.5}}"#,
            &expect![
                "Outer { name: None, inner: Some(Object(Inner { size: Patch(Some(Some(Number(2.5)))), on: None })), tags: None, list: None }"
            ],
        );
    }
}
