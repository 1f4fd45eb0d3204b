//! Holding workers and protecting them.

use domain::Observed;
use serde_json::{Value, json};

use crate::support::{Answer, Client, creation};

const INSTANCE: &str = "i-0123456789abcdef0";

/// The same caller, who asks under a key.
fn keyed(client: &Client, key: &str) -> Client {
    client.with("idempotency-key", key)
}

async fn patch(client: &Client, id: &str, body: Value) -> Answer {
    client.json("PATCH", &format!("/workers/{id}"), &body).await
}

async fn delete(client: &Client, id: &str, query: &str) -> Answer {
    client.send("DELETE", &format!("/workers/{id}{query}"), "").await
}

/// The facts that were recorded, and whose they are.
fn recorded(client: &Client) -> Vec<(&'static str, Value)> {
    let state = client.world.state();
    let facts = state.events.iter().flat_map(|record| &record.events);
    let by = |event| serde_json::to_value(app::fact::Fact::from(event)).expect("JSON")["by"]["id"].clone();
    facts.map(|event| (event.name(), by(event))).collect()
}

#[tokio::test]
async fn a_worker_is_held_with_a_reason_and_released_with_null() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let held = patch(&client, &id, json!({ "held": "the disk is swapped by hand" })).await;
    assert_eq!(held.status, 200);
    let alice = "arn:aws:iam::123456789012:user/alice";
    let shown =
        json!({ "reason": "the disk is swapped by hand", "at": "2026-09-21T14:13:20.000Z", "by": alice });
    assert_eq!(held.json()["held"], shown);
    assert_eq!(held.json()["next"]["reason"], "held", "the import has not tagged it yet");
    assert_eq!(held.json()["next"]["action"], Value::Null);
    let writes = client.world.effects();
    for body in [json!({ "held": "the disk is swapped by hand" }), json!({}), json!({ "protected": false })] {
        let again = patch(&client, &id, body).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (200, held.header("etag")));
    }
    assert_eq!(client.world.effects(), writes);
    let other = patch(&client, &id, json!({ "held": "cabling" })).await;
    assert_eq!(other.json()["held"]["reason"], "cabling");
    let released = patch(&client, &id, json!({ "held": null })).await;
    assert_eq!((released.status.as_u16(), &released.json()["held"]), (200, &Value::Null));
    assert_eq!(released.json()["next"]["action"], "tag");
    let writes = client.world.effects();
    assert_eq!(patch(&client, &id, json!({ "held": null })).await.status, 200);
    assert_eq!(client.world.effects(), writes);
    let facts = recorded(&client);
    let about: Vec<_> = facts.iter().filter(|(name, _)| ["held", "released"].contains(name)).collect();
    let by = json!(alice);
    assert_eq!(about, [&("held", by.clone()), &("held", by.clone()), &("released", by)]);
}

#[tokio::test]
async fn commands_to_a_held_worker_are_refused_with_who_holds_it_and_how_to_release_it() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    patch(&client, &id, json!({ "held": "cabling" })).await;
    let before = client.world.effects();
    let mut answers = vec![delete(&client, &id, "").await, delete(&client, &id, "?confirm=x").await];
    for command in ["start", "stop", "reboot"] {
        answers.push(client.post(&format!("/workers/{id}/{command}")).await);
    }
    for answer in answers {
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "held"));
        assert_eq!(
            answer.json()["detail"],
            "the worker is held by arn:aws:iam::123456789012:user/alice since 2026-09-21T14:13:20Z (cabling); release it \
             first: PATCH it with `held` null"
        );
    }
    assert_eq!(client.world.effects(), before);
    let changed = patch(&client, &id, json!({ "tags": { "team": "labs" }, "name": "lab-9" })).await;
    assert_eq!((changed.status.as_u16(), &changed.json()["next"]["reason"]), (200, &json!("held")));
    assert_eq!(client.post(&format!("/workers/{id}/sync")).await.status, 202);
    assert_eq!(client.world.state().requests.len(), 1, "it is looked at");
    assert_eq!(delete(&client, &id, "?forget=true").await.status, 200);
}

#[tokio::test]
async fn a_hold_is_bound_to_a_version_and_to_a_key_like_any_change() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let stale = patch(&client.with("if-match", "\"7\""), &id, json!({ "held": "cabling" })).await;
    assert_eq!((stale.status.as_u16(), stale.problem().as_str()), (412, "stale-version"));
    let under_key = keyed(&client, "one");
    let hold = || patch(&under_key, &id, json!({ "held": "cabling" }));
    let first = hold().await;
    assert_eq!(first.json()["held"]["reason"], "cabling");
    patch(&client, &id, json!({ "held": null })).await;
    assert_eq!(hold().await.text, first.text, "the answer of then, and it is not held again");
    assert_eq!(client.get(&format!("/workers/{id}")).await.json()["held"], Value::Null);
    let reused = patch(&under_key, &id, json!({ "held": "disk swap" })).await;
    assert_eq!(reused.problem(), "idempotency-key-reused");
}

#[tokio::test]
async fn an_import_can_hold_and_protect_and_a_creation_protect() {
    let client = Client::new();
    client.world.has_instance(INSTANCE, Observed::Running, &[]);
    let body =
        json!({ "instance_id": INSTANCE, "region": "eu-central-1", "held": "cabling", "protected": true });
    let worker = client.json("POST", "/workers/import", &body).await.json();
    assert_eq!((&worker["held"]["reason"], &worker["protected"]), (&json!("cabling"), &json!(true)));
    assert_eq!((&worker["next"]["action"], &worker["next"]["reason"]), (&Value::Null, &json!("held")));
    let mut body = creation("lab-1");
    body["protected"] = json!(true);
    let worker = client.json("POST", "/workers", &body).await.json();
    assert_eq!((&worker["held"], &worker["protected"]), (&Value::Null, &json!(true)));
    let plain = client.json("POST", "/workers", &creation("lab-2")).await.json();
    assert_eq!(plain["protected"], false);
}

#[tokio::test]
async fn a_protected_worker_is_terminated_only_by_its_name() {
    let client = Client::new();
    let id = client.created("lab-1").await;
    let protected = patch(&client, &id, json!({ "protected": true })).await.json();
    assert_eq!(protected["protected"], true);
    let before = client.world.effects();
    for query in ["", "?confirm=", "?confirm=lab-2", "?confirm=LAB-1", "?forget=false"] {
        let answer = delete(&client, &id, query).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "protected"), "{query}");
        let detail = "the worker is protected; to terminate it all the same, end it by itself and pass its name: confirm=lab-1";
        assert_eq!(answer.json()["detail"], detail);
    }
    assert_eq!(client.world.effects(), before);
    let refused = delete(&keyed(&client, "one"), &id, "").await;
    let reused = delete(&keyed(&client, "one"), &id, "?confirm=lab-1").await;
    assert_eq!(
        (refused.problem().as_str(), reused.problem().as_str()),
        ("protected", "idempotency-key-reused")
    );
    assert_eq!(delete(&client, &id, "?confirm=lab-1").await.status, 202);
    // It has ended, so there is nothing left to protect.
    assert_eq!(delete(&client, &id, "").await.status, 200);
    let kept = client.created("lab-1").await;
    patch(&client, &kept, json!({ "protected": true })).await;
    assert_eq!(delete(&client, &kept, "?forget=true").await.status, 200, "the instance lives on");
}

#[tokio::test]
async fn a_mistyped_name_is_a_mistake_also_where_none_is_needed() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let answer = delete(&client, &id, "?confirm=lab-1").await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "not-confirmed"));
    assert!(answer.text.contains(&format!("confirm={INSTANCE} or none")), "{}", answer.text);
    assert_eq!(delete(&client, &id, &format!("?confirm={INSTANCE}")).await.status, 202);
    assert_eq!(delete(&client, &id, "?confirm=lab-1").await.status, 200, "it is ending already");
}
