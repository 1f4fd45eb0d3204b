//! The door: who is let in, and what is said to those who ask for something impossible.

use anyhow::{Result, ensure};
use serde_json::{Value, json};

use crate::cloud::Answer;
use crate::world::World;

pub(crate) async fn an_unsigned_request_is_refused_and_health_is_open(world: &World) -> Result<()> {
    let nobody = "019a7dd0-5f0a-7c3e-9d52-3f6f6a1b2c3d";
    let closed = [
        ("GET", "/workers".to_owned()),
        ("POST", "/workers".to_owned()),
        ("POST", "/workers/import".to_owned()),
        ("GET", format!("/workers/{nobody}")),
        ("PATCH", format!("/workers/{nobody}")),
        ("DELETE", format!("/workers/{nobody}")),
        ("POST", format!("/workers/{nobody}/start")),
        ("POST", format!("/workers/{nobody}/stop")),
        ("POST", format!("/workers/{nobody}/reboot")),
        ("POST", format!("/workers/{nobody}/sync")),
        ("GET", format!("/workers/{nobody}/events")),
        ("GET", format!("/workers/{nobody}/telemetry")),
    ];
    for (method, path) in closed {
        let answer = world.api.unsigned(method, &path).await?;
        ensure!(answer.status == 403, "{method} {path} without a signature was answered {}", answer.status);
    }
    let health = world.api.unsigned("GET", "/health").await?;
    ensure!(health.status == 200, "GET /health was answered {}: {}", health.status, health.text);
    let unknown = world.api.send("GET", &format!("/workers/{nobody}"), None, &[]).await?;
    problem(&unknown, 404, "")
}

/// One bad request: method, path, body, the status and the field that its answer must name.
type Bad = (&'static str, &'static str, String, u16, &'static str);

pub(crate) async fn bad_input_is_answered_by_name_and_leaves_no_trace(world: &World) -> Result<()> {
    let (worker, instance) = world.worker("bad-input").await?;
    let before = world.api.worker(&worker).await?;
    let region = world.cloud.region.as_str();
    let spec = json!({ "image": world.image, "instance_type": "c5.2xlarge" });
    let create = |change: Value| {
        let mut body = json!({ "name": "never-made", "region": region, "spec": spec });
        merge(&mut body, change);
        body.to_string()
    };
    let import = |change: Value| {
        let mut body = json!({ "region": region, "instance_id": instance });
        merge(&mut body, change);
        body.to_string()
    };
    let table: Vec<Bad> = vec![
        ("POST", "/workers", "{".to_owned(), 400, "body"),
        ("POST", "/workers", "[]".to_owned(), 400, "body"),
        ("POST", "/workers", create(json!({ "isAdmin": true })), 400, "isAdmin"),
        ("POST", "/workers", create(json!({ "name": 7 })), 400, "name"),
        ("POST", "/workers", create(json!({ "name": "" })), 422, "name"),
        ("POST", "/workers", create(json!({ "region": "mars-north-1" })), 422, "region"),
        ("POST", "/workers", create(json!({ "spec": { "image": "ami-nope" } })), 422, "spec.image"),
        ("POST", "/workers", create(json!({ "settings": { "interval": 10 } })), 422, "settings.interval"),
        ("POST", "/workers", create(json!({ "settings": { "drift": "ignore" } })), 422, "settings.drift"),
        ("POST", "/workers/import", import(json!({ "instance_id": "i-1; drop" })), 422, "instance_id"),
        ("POST", "/workers/import", import(json!({ "instance_id": "i-0123456789abcdef0" })), 404, ""),
        ("POST", "/workers/import", import(json!({})), 409, ""),
        ("PATCH", "", json!({ "settings": { "cpu": 101 } }).to_string(), 422, "settings.cpu"),
        ("PATCH", "", json!({ "status": "running" }).to_string(), 400, "status"),
        ("POST", "/explode", "{}".to_owned(), 404, ""),
        ("DELETE", "?forget=perhaps", String::new(), 400, "forget"),
        ("GET", "/events?limit=0", String::new(), 400, "limit"),
        ("GET", "/telemetry?from=yesterday", String::new(), 400, "from"),
    ];
    for (method, path, body, status, field) in &table {
        let path = if path.starts_with("/workers") {
            (*path).to_owned()
        } else {
            format!("/workers/{worker}{path}")
        };
        let body = Some(body.as_str()).filter(|body| !body.is_empty());
        let answer = world.api.send(method, &path, body, &[]).await?;
        problem(&answer, *status, field)
            .map_err(|error| error.context(format!("{method} {path} {body:?}")))?;
    }
    let unkeyed = world.api.send_as_it_is("POST", "/workers", Some(&create(json!({}))), &[]).await?;
    problem(&unkeyed, 400, "Idempotency-Key")?;
    // No gateway sends this, but whoever may invoke the function can.
    let mut event = tests::fixtures::read("api-request.json");
    event["isBase64Encoded"] = json!(true);
    let answer = world.functions.invoke("api", &event).await?;
    ensure!(answer["statusCode"] == json!(400), "a body that is no base64 was answered {answer}");
    let stale = [("if-match", "\"9999\"")];
    let answer = world.api.send("POST", &format!("/workers/{worker}/stop"), Some("{}"), &stale).await?;
    problem(&answer, 412, "")?;
    let done = world.api.done_since(&worker, &before).await?;
    ensure!(done.is_empty(), "a refused request changed the worker: {done:?}");
    let made = world.api.get("/workers?name=never-made").await?;
    ensure!(made["items"] == json!([]), "a refused request made a worker: {made}");
    Ok(())
}

/// The answer is a problem of this status that names this field.
pub(crate) fn problem(answer: &Answer, status: u16, field: &str) -> Result<()> {
    ensure!(answer.status == status, "answered {}, not {status}: {}", answer.status, answer.text);
    let kind = answer.header("content-type");
    ensure!(kind.starts_with("application/problem+json"), "the content type is {kind}: {}", answer.text);
    let json = answer.json();
    ensure!(
        json["type"].is_string() && json["title"].is_string() && json["status"] == json!(status),
        "{json}"
    );
    let named = |error: &Value| error["field"] == json!(field);
    let errors = json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    ensure!(field.is_empty() || errors.iter().any(named), "the answer does not name {field}: {json}");
    Ok(())
}

fn merge(into: &mut Value, change: Value) {
    if let (Some(into), Value::Object(change)) = (into.as_object_mut(), change) {
        into.extend(change);
    }
}
