//! The contract in `openapi.json`, to which every answer of every test is held.

use std::collections::HashMap;
use std::sync::{Mutex, OnceLock};

use jsonschema::Validator;
use serde_json::{Value, json};

use super::client::Answer;

/// The headers of answers that mean something here.
const HEADERS: [&str; 7] = [
    "X-Request-Id",
    "Cache-Control",
    "ETag",
    "Location",
    "Idempotency-Replayed",
    "Retry-After",
    "WWW-Authenticate",
];

/// The document.
pub(crate) fn document() -> &'static Value {
    static DOCUMENT: OnceLock<Value> = OnceLock::new();
    DOCUMENT.get_or_init(|| serde_json::from_str(include_str!("../../openapi.json")).expect("JSON"))
}

/// Each operation: method, path, and what the document says of it.
pub(crate) fn operations() -> impl Iterator<Item = (String, &'static str, &'static Value)> {
    let paths = document()["paths"].as_object().expect("paths");
    paths.iter().flat_map(|(path, item)| {
        let methods = item.as_object().expect("operations");
        methods.iter().map(move |(method, operation)| (method.to_uppercase(), path.as_str(), operation))
    })
}

/// What is wrong with a value by this schema of the document; nothing if it is as the schema says.
pub(crate) fn faults(schema: &Value, value: &Value) -> Vec<String> {
    static KNOWN: Mutex<Option<HashMap<String, &'static Validator>>> = Mutex::new(None);
    let mut known = KNOWN.lock().expect("nobody panicked");
    let validator = known.get_or_insert_default().entry(schema.to_string()).or_insert_with(|| {
        let whole =
            json!({ "allOf": [schema], "components": { "schemas": document()["components"]["schemas"] } });
        let built = jsonschema::draft202012::options().should_validate_formats(true).build(&whole);
        Box::leak(Box::new(built.unwrap_or_else(|error| panic!("{error}: {schema}"))))
    });
    validator.iter_errors(value).map(|error| format!("{}: {error}", error.instance_path())).collect()
}

/// What a reference stands for.
pub(crate) fn resolve(value: &'static Value) -> &'static Value {
    match value["$ref"].as_str() {
        Some(pointer) => document().pointer(pointer.trim_start_matches('#')).expect(pointer),
        None => value,
    }
}

/// The operation that a request is for, if there is one.
fn operation(method: &str, target: &str) -> Option<&'static Value> {
    let path = target.split('?').next().unwrap_or_default();
    let fits = |template: &str| {
        let (ours, theirs): (Vec<&str>, Vec<&str>) =
            (template.split('/').collect(), path.split('/').collect());
        let alike = |(a, b): (&&str, &&str)| a == b || (a.starts_with('{') && !b.is_empty());
        ours.len() == theirs.len() && ours.iter().zip(&theirs).all(alike)
    };
    let method = if method == "HEAD" { "GET" } else { method };
    let paths = document()["paths"].as_object().expect("paths").keys().filter(|template| fits(template));
    // What is spelt out goes before what is any worker's.
    let path = paths.min_by_key(|template| template.matches('{').count())?;
    operations().find(|(its, of, _)| its == method && of == path).map(|(.., operation)| operation)
}

/// A request, as far as the contract speaks of it.
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    pub(crate) target: &'a str,
    pub(crate) headers: &'a [(String, Vec<u8>)],
    pub(crate) body: &'a [u8],
}

/// Panics unless the contract allows such an answer to such a request.
pub(crate) fn hold(asked: &Asked<'_>, answer: &Answer) {
    let Asked { method, target, .. } = asked;
    let Some(operation) = operation(method, target) else {
        assert!(matches!(answer.status.as_u16(), 204 | 404 | 405), "{method} {target}: {answer:?}");
        return;
    };
    let status = answer.status.as_u16().to_string();
    let response = &operation["responses"][&status];
    assert!(response.is_object(), "the document knows no such answer to {method} {target}: {answer:?}");
    for name in HEADERS {
        let value = answer.header(name);
        if value.is_empty() {
            continue;
        }
        let header = resolve(&response["headers"][name]);
        assert!(header.is_object(), "the document knows no header {name}: {method} {target}: {answer:?}");
        let value = value.parse::<u64>().map_or_else(|_| json!(value), |number| json!(number));
        assert_eq!(faults(&header["schema"], &value), Vec::<String>::new(), "{name} of {method} {target}");
    }
    let content = &response["content"][answer.header("content-type")];
    assert!(content.is_object(), "the document knows no such content of {method} {target}: {answer:?}");
    if *method != "HEAD" {
        let found = faults(&content["schema"], &answer.json());
        assert!(found.is_empty(), "{method} {target}: {}\n{}", found.join("\n"), answer.text);
    }
    if answer.status.is_success() {
        hold_request(asked, operation);
    }
}

/// What was carried out must have been allowed.
fn hold_request(asked: &Asked<'_>, operation: &'static Value) {
    let Asked { method, target, headers, body } = asked;
    if !body.is_empty() && operation["requestBody"].is_object() {
        let schema = &operation["requestBody"]["content"]["application/json"]["schema"];
        let body: Value = serde_json::from_slice(body).expect("JSON");
        let found = faults(schema, &body);
        assert!(
            found.is_empty(),
            "{method} {target} took what the document does not allow: {found:?}\n{body}"
        );
    }
    if operation["security"] == json!([]) {
        // What is open takes whatever parameters probes and caches add.
        return;
    }
    let empty = Vec::new();
    let parameters = operation["parameters"].as_array().unwrap_or(&empty);
    let query = target.split_once('?').map_or("", |(_, query)| query);
    for (name, value) in query.split('&').filter_map(|pair| pair.split_once('=')) {
        let parameter = parameters.iter().find(|one| one["name"] == name && one["in"] == "query");
        let parameter = parameter.unwrap_or_else(|| panic!("{method} {target}: no parameter {name}"));
        let value = value.replace("%3A", ":").replace("%2B", "+");
        let typed = serde_json::from_str(&value).ok().filter(|typed: &Value| !typed.is_object());
        let value = typed.unwrap_or_else(|| json!(value));
        assert_eq!(faults(&parameter["schema"], &value), Vec::<String>::new(), "{method} {target}: {name}");
    }
    for parameter in parameters.iter().filter(|one| one["in"] == "header") {
        let name = parameter["name"].as_str().expect("a name");
        let given = headers.iter().find(|(given, _)| given.eq_ignore_ascii_case(name));
        match given.map(|(_, value)| String::from_utf8_lossy(value)) {
            Some(value) => {
                let found = faults(&parameter["schema"], &json!(value));
                assert!(found.is_empty(), "{method} {target}: {name}: {found:?}");
            }
            None => assert_ne!(parameter["required"], true, "{method} {target}: done without {name}"),
        }
    }
}
