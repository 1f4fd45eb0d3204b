//! The contract of the API as an OpenAPI document, made from the types and handlers of this crate.
//!
//! # Design
//! - `utoipa` reads the shape of bodies and answers off the types, and the routes off the handlers; both carry its attributes
//!   under `cfg(test)` only, so that the function is built without it. What it writes is committed as `openapi.json`, which
//!   a test holds to the code and the function serves as it is.
//! - What the types do not say is added here: what single values look like (`is`), which problems, headers and roles an
//!   operation has (`operations`), and examples. `functions/api/tests/support/openapi.rs` holds every answer of every test to the result.

mod examples;
pub(crate) mod is;
mod operations;

use serde_json::{Value, json};
use utoipa::OpenApi;

use crate::{input, launch, problem, routes};
use operations::OPERATIONS;

#[derive(OpenApi)]
#[openapi(
    paths(
        routes::health,
        routes::openapi,
        routes::read::list,
        routes::begin::create,
        routes::import::import,
        routes::read::get,
        routes::change::patch,
        routes::change::delete,
        routes::change::start,
        routes::change::stop,
        routes::change::reboot,
        routes::change::sync,
        routes::commands::create,
        routes::commands::get,
        routes::commands::workers,
        routes::commands::cancel,
        routes::history::events,
        routes::history::telemetry,
    ),
    components(schemas(launch::NewestBody, input::SettingsBody, problem::Body<'static>)),
)]
struct Routes;

/// The whole document.
fn document() -> Value {
    let mut document = serde_json::to_value(Routes::openapi()).expect("JSON");
    document["info"] = json!({
        "title": "cml-fleet",
        "version": "1.0.0",
        "summary": "A fleet of CML workers on EC2",
        "description": DESCRIPTION,
        "license": { "name": "MIT OR Apache-2.0", "identifier": "MIT OR Apache-2.0" },
    });
    document["servers"] = json!([{
        "url": "https://{api}.execute-api.{region}.amazonaws.com",
        "variables": { "api": { "default": "example" }, "region": { "default": "us-east-1" } },
    }]);
    let schemas = document["components"]["schemas"].as_object_mut().expect("schemas");
    schemas.extend(is::all().into_iter().map(|(name, schema)| (name.to_owned(), schema)));
    schemas.insert("GatewayAnswer".to_owned(), operations::gateway_answer());
    for (name, condition) in is::conditions() {
        merge(schemas.get_mut(name).expect(name), &condition);
    }
    for name in SHOWN {
        show_whole(schemas.get_mut(name).expect(name));
    }
    for (name, members) in ABSENT {
        for member in members {
            never_null(&mut schemas.get_mut(name).expect(name)["properties"][member]);
        }
    }
    document["components"]["headers"] = operations::headers();
    document["components"]["securitySchemes"] = operations::security();
    document["components"]["examples"] = examples::components();
    operations::name_worker(document["paths"].as_object_mut().expect("paths"));
    for operation in &OPERATIONS {
        operation.complete(&mut document);
    }
    document
}

const DESCRIPTION: &str = "Records what is wanted of a fleet of CML workers, and shows what is known of them. Bodies are JSON, \
    at most 64 KiB, and may have no other members than these. Every answer that is not a success is a problem (RFC 9457) whose \
    `type` is stable, but for those that API Gateway gives by itself. Words that an answer has may become more: readers take \
    those they do not know as they are. Every GET can be asked as HEAD.";

/// Answers in which every member is always there; what is not known is null.
const SHOWN: [&str; 23] = [
    "Worker",
    "WorkerObserved",
    "Health",
    "Addresses",
    "WorkerSettings",
    "SettingsInForce",
    "Held",
    "Drift",
    "Attempt",
    "Next",
    "WorkerSpec",
    "Workers",
    "Command",
    "CommandCounts",
    "CommandProgress",
    "CommandWorkers",
    "CommandWorker",
    "Cancelled",
    "Refusal",
    "Events",
    "Telemetry",
    "Discovered",
    "OutcomeCounts",
];

fn show_whole(schema: &mut Value) {
    let names: Vec<String> = schema["properties"].as_object().expect("an object").keys().cloned().collect();
    schema["required"] = json!(names);
}

/// Members that are absent where others are null.
const ABSENT: [(&str, &[&str]); 6] = [
    ("OwnSettings", &["monitoring", "interval", "drift", "cpu", "memory", "disk", "alert_duration"]),
    ("WorkerTemplate", &["id", "name"]),
    ("WorkerAlternative", &["instance_type", "subnet"]),
    ("Problem", &["worker_id", "version", "request_id"]),
    ("Fault", &["allowed"]),
    ("DiscoveredInstance", &["region", "worker_id", "name", "reason"]),
];

fn never_null(schema: &mut Value) {
    if let Some(kinds) = schema["type"].as_array() {
        schema["type"] = kinds.iter().find(|kind| **kind != "null").cloned().expect("another type");
    } else if let Some(choices) = schema["oneOf"].as_array() {
        *schema = choices.iter().find(|choice| choice["type"] != "null").cloned().expect("another choice");
    }
}

/// Adds what `more` says to a schema.
fn merge(schema: &mut Value, more: &Value) {
    match (schema, more) {
        (Value::Object(into), Value::Object(more)) => {
            for (name, value) in more {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (schema, more) => *schema = more.clone(),
    }
}

/// As it is committed.
fn text() -> String {
    format!("{}\n", serde_json::to_string_pretty(&document()).expect("JSON"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect_file;

    #[test]
    fn the_committed_document_is_the_code_s() {
        expect_file!["../openapi.json"].assert_eq(&text());
    }
}
