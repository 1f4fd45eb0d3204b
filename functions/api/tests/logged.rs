//! What is logged: one line for each request, one more for a fault of ours, and nothing a caller sent.

use std::io;

use app::error::StoreError;
use domain::Observed;
use serde_json::{Value, json};

use crate::support::{Client, creation, log};

fn answered(method: &str, route: &str, status: u16, worker: Option<&str>) -> Value {
    let mut line = json!({
        "level": "INFO", "message": "answered", "request.id": "JKJaXmPLvHcESHA=",
        "method": method, "route": route, "status": status,
    });
    if let Some(worker) = worker {
        line["worker.id"] = worker.into();
    }
    line
}

#[tokio::test]
async fn one_line_for_each_request() {
    let client = Client::new();
    let id = client.imported("i-12345678", Observed::Running).await;
    assert_eq!(log::take(), [answered("POST", "/workers/import", 201, Some(&id))]);
    client.post(&format!("/workers/{id}/stop")).await;
    assert_eq!(log::take(), [answered("POST", "/workers/{id}/stop", 202, Some(&id))]);
    client.by(None).get("/workers").await;
    assert_eq!(log::take(), [answered("GET", "/workers", 401, None)]);
    client.get("/nowhere").await;
    assert_eq!(log::take(), [answered("GET", "none", 404, None)]);
}

#[tokio::test]
async fn nothing_a_caller_sent() {
    let client = Client::new().with("authorization", "canary").with("x-request-id", "canary");
    client.json("POST", "/workers", &creation("canary-1")).await;
    client.json("POST", "/workers", &json!({ "canary": 1, "name": "canary" })).await;
    client.with("idempotency-key", "canary").json("POST", "/workers", &creation("canary-1")).await;
    client.get("/workers/canary?canary=canary").await;
    client.get("/canary").await;
    let lines = log::take();
    assert_eq!(lines.len(), 5);
    assert!(!lines.iter().any(|line| line.to_string().contains("canary")), "{lines:?}");
}

#[tokio::test]
async fn a_fault_of_ours_once_with_all_its_causes() {
    let client = Client::new();
    let cause = Box::new(io::Error::other("connection refused"));
    client.world.state().failing_saves.push_back(StoreError::Unavailable(cause));
    client.json("POST", "/workers", &creation("lab-1")).await;
    let fault = json!({
        "level": "ERROR", "message": "a request failed on our side", "request.id": "JKJaXmPLvHcESHA=",
        "route": "/workers", "status": 503, "error": "the table cannot be used: connection refused",
    });
    assert_eq!(log::take(), [fault, answered("POST", "/workers", 503, None)]);
}
