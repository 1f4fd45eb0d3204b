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

pub(crate) async fn what_is_impossible_is_refused_and_leaves_no_trace(world: &World) -> Result<()> {
    let (worker, instance) = world.worker("impossible").await?;
    let before = world.api.worker(&worker).await?;
    let import = |instance: &str| {
        json!({ "region": world.cloud.region, "instance_id": instance, "name": "never-made" }).to_string()
    };
    let twice = world.api.send("POST", "/workers/import", Some(&import(&instance)), &[]).await?;
    problem(&twice, 409, "")?;
    let nobodys =
        world.api.send("POST", "/workers/import", Some(&import("i-0123456789abcdef0")), &[]).await?;
    problem(&nobodys, 404, "")?;
    // No gateway sends this, but whoever may invoke the function can.
    let mut event = tests::fixtures::read("api-request.json");
    event["isBase64Encoded"] = json!(true);
    let answer = world.functions.invoke("api", &event).await?;
    ensure!(answer["statusCode"] == json!(400), "a body that is no base64 was answered {answer}");
    for (version, status, field) in [
        ("\"9999\"", 412, ""),
        ("\"9223372036854775808\"", 412, ""),
        ("\"18446744073709551616\"", 400, "If-Match"),
    ] {
        let stale = [("if-match", version)];
        let answer = world.api.send("POST", &format!("/workers/{worker}/stop"), Some("{}"), &stale).await?;
        problem(&answer, status, field)?;
    }
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
