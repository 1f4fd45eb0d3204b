//! One request, one effect, one answer, however often it is sent.

use app::error::StoreError;
use app::ports::{Answer, Begun, Idempotency, RequestKey};
use domain::Observed;
use serde_json::json;

use crate::support::{Client, creation};

const INSTANCE: &str = "i-0123456789abcdef0";

#[tokio::test]
async fn three_at_once_make_one_worker() {
    let client = Client::new().with("idempotency-key", "\"k1\"");
    let body = creation("lab-1");
    let (a, b, c) = tokio::join!(
        client.json("POST", "/workers", &body),
        client.json("POST", "/workers", &body),
        client.json("POST", "/workers", &body),
    );
    let mut statuses = [&a, &b, &c].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409, 409]);
    for loser in [&a, &b, &c].into_iter().filter(|answer| answer.status == 409) {
        assert_eq!((loser.problem().as_str(), loser.header("retry-after")), ("request-in-progress", "1"));
    }
    assert_eq!(client.world.state().workers.len(), 1);
    let winner = [a, b, c].into_iter().find(|answer| answer.status == 201).expect("one");
    let again = client.json("POST", "/workers", &body).await;
    assert_eq!((again.status.as_u16(), &again.text), (201, &winner.text));
    for header in ["location", "etag", "content-type"] {
        assert_eq!(again.header(header), winner.header(header), "{header}");
    }
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(client.world.state().workers.len(), 1);
}

#[tokio::test]
async fn of_two_that_ask_for_one_name_at_once_one_is_refused() {
    let client = Client::new();
    let body = creation("lab-1");
    let (a, b) = tokio::join!(client.json("POST", "/workers", &body), client.json("POST", "/workers", &body));
    let mut statuses = [a, b].map(|answer| answer.status.as_u16());
    statuses.sort_unstable();
    assert_eq!(statuses, [201, 409]);
}

#[tokio::test]
async fn of_two_keys_that_ask_for_one_name_at_once_one_gets_it_and_the_other_is_refused() {
    let client = Client::new();
    let (one, two) = (client.with("idempotency-key", "k1"), client.with("idempotency-key", "k2"));
    let body = creation("lab-1");
    let (a, b) = tokio::join!(one.json("POST", "/workers", &body), two.json("POST", "/workers", &body));
    let (won, lost) = if a.status == 201 { (a, b) } else { (b, a) };
    assert_eq!(
        (won.status.as_u16(), lost.status.as_u16(), lost.problem().as_str()),
        (201, 409, "name-taken")
    );
    assert_eq!(client.world.state().workers.len(), 1);
    assert_eq!(client.get(&format!("/workers/{}", won.id())).await.json()["name"], "lab-1");
}

#[tokio::test]
async fn a_refusal_is_repeated_too() {
    let client = Client::new();
    client.created("lab-1").await;
    let keyed = client.with("idempotency-key", "k");
    let first = keyed.json("POST", "/workers", &creation("lab-1")).await;
    assert_eq!(first.status, 409);
    client
        .send(
            "DELETE",
            &format!(
                "/workers/{}",
                client.get("/workers").await.json()["items"][0]["id"].as_str().expect("an id")
            ),
            "",
        )
        .await;
    let again = keyed.json("POST", "/workers", &creation("lab-1")).await;
    assert_eq!((again.status, again.problem(), again.json()), (first.status, first.problem(), first.json()));
}

#[tokio::test]
async fn a_key_is_for_one_request_of_one_caller() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let keyed = client.with("idempotency-key", "k");
    let (stop, patch) = (format!("/workers/{id}/stop"), format!("/workers/{id}"));
    assert_eq!(keyed.post(&stop).await.status, 202);
    let other_requests = [
        keyed.post(&format!("/workers/{id}/start")).await,
        keyed.json("PATCH", &patch, &json!({})).await,
        keyed.send("DELETE", &format!("{patch}?forget=true"), "").await,
        keyed.with("if-match", "\"2\"").post(&stop).await,
        keyed.with("content-type", "application/json").send("POST", &stop, "{}").await,
    ];
    for answer in other_requests {
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "idempotency-key-reused"));
    }
    let bob = keyed.by(Some("arn:aws:iam::123456789012:user/bob"));
    assert_eq!(bob.post(&stop).await.status, 200, "bob's key is another key");
    assert_eq!(keyed.post(&stop).await.status, 202, "alice's is still answered");
}

#[tokio::test]
async fn a_command_repeats_its_answer_even_when_the_worker_moved_on() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let keyed = client.with("idempotency-key", "k");
    let stop = format!("/workers/{id}/stop");
    let first = keyed.post(&stop).await;
    client.post(&format!("/workers/{id}/start")).await;
    assert_eq!(keyed.post(&stop).await.text, first.text);
    assert_eq!(client.get(&format!("/workers/{id}")).await.json()["desired"], "running");
    let sync = client.with("idempotency-key", "s");
    for _ in 0..2 {
        assert_eq!(sync.post(&format!("/workers/{id}/sync")).await.status, 202);
    }
    assert_eq!(client.world.state().requests.len(), 1);
}

#[tokio::test]
async fn a_failure_of_ours_frees_the_key() {
    let client = Client::new().with("idempotency-key", "k");
    client.world.state().failing_saves.extend((0..9).map(|_| StoreError::Contended("busy".into())));
    assert_eq!(client.json("POST", "/workers", &creation("lab-1")).await.status, 503);
    client.world.state().failing_saves.clear();
    assert_eq!(client.json("POST", "/workers", &creation("lab-1")).await.status, 201);
}

#[tokio::test]
async fn a_creation_that_may_have_been_written_keeps_its_identity() {
    let client = Client::new().with("idempotency-key", "k");
    client.world.state().failing_saves.push_back(StoreError::Unavailable("timeout".into()));
    assert_eq!(client.json("POST", "/workers", &creation("lab-1")).await.status, 503);
    let reserved = client.world.state().keys.values().next().expect("a record").worker;
    assert_eq!(client.json("POST", "/workers", &creation("lab-1")).await.status, 409, "the lease is running");
    client.world.pass(31);
    let answer = client.json("POST", "/workers", &creation("lab-1")).await;
    assert_eq!((answer.status.as_u16(), answer.id()), (201, reserved.to_string()));
}

#[tokio::test]
async fn a_creation_of_which_the_busy_table_does_not_say_whether_it_is_there_keeps_its_identity() {
    let client = Client::new().with("idempotency-key", "k");
    let mut body = creation("lab-1");
    body["spec"]["user_data"] = json!("#!/bin/sh");
    client.world.state().unanswered_saves.push_back(lost());
    // The first is before the user data is kept.
    let loads = [Ok(()), Err(StoreError::Contended("slow down".into()))];
    client.world.state().failing_loads.extend(loads);
    let first = client.json("POST", "/workers", &body).await;
    assert_eq!(first.status, 503, "{}", first.text);
    let made = *client.world.state().workers.keys().next().expect("it was written");
    assert!(client.world.state().user_data.contains_key(&made), "it will be launched with that");
    client.world.pass(31);
    let answer = client.json("POST", "/workers", &body).await;
    assert_eq!((answer.status.as_u16(), answer.id()), (201, made.to_string()), "{}", answer.text);
}

#[tokio::test]
async fn a_change_of_which_the_busy_table_does_not_say_whether_it_was_made_is_made_once() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let (worker, keyed) = (format!("/workers/{id}"), client.with("idempotency-key", "k"));
    client.world.state().unanswered_saves.push_back(StoreError::Contended("in the way of itself".into()));
    let loads = [Ok(()), Err(StoreError::Contended("slow down".into()))];
    client.world.state().failing_loads.extend(loads);
    assert_eq!(keyed.post(&format!("{worker}/reboot")).await.problem(), "unavailable");
    client.world.pass(31);
    let version = client.get(&worker).await.json()["version"].clone();
    let again = keyed.post(&format!("{worker}/reboot")).await;
    assert_eq!((again.status.as_u16(), &again.json()["version"]), (202, &version), "{}", again.text);
}

fn lost() -> StoreError {
    StoreError::Unavailable("the answer is lost".into())
}

/// As if the function had died after its work and before its answer was stored.
async fn die_before_the_answer(client: &Client) {
    client.world.state().keys.values_mut().for_each(|record| record.answer = None);
    client.world.pass(31);
}

#[tokio::test]
async fn after_a_crash_a_creation_and_an_import_are_the_same_again() {
    let client = Client::new();
    client.world.has_instance(INSTANCE, Observed::Running, &[]);
    let import = json!({ "instance_id": INSTANCE, "region": "eu-central-1" });
    for (key, target, body) in [("c", "/workers", creation("lab-1")), ("i", "/workers/import", import)] {
        let keyed = client.with("idempotency-key", key);
        let first = keyed.json("POST", target, &body).await;
        die_before_the_answer(&client).await;
        let again = keyed.json("POST", target, &body).await;
        assert_eq!((again.status.as_u16(), again.id()), (201, first.id()), "{}", again.text);
        assert_eq!(again.header("location"), first.header("location"));
    }
    assert_eq!(client.world.state().workers.len(), 2);
    assert_eq!(client.world.state().aws_calls, 1);
}

#[tokio::test]
async fn after_a_crash_the_image_of_a_worker_that_is_there_is_not_looked_for_again() {
    let client = Client::new().with("idempotency-key", "k");
    client.world.state().image = Some("ami-12345678".to_owned());
    let mut body = creation("lab-1");
    body["spec"]["image"] = json!({ "name": "cml-*", "owner": "self" });
    let first = client.json("POST", "/workers", &body).await;
    die_before_the_answer(&client).await;
    // By now the image is gone, which is no reason to refuse what was done.
    client.world.state().image = None;
    let again = client.json("POST", "/workers", &body).await;
    assert_eq!((again.status.as_u16(), again.id()), (201, first.id()), "{}", again.text);
    assert_eq!(again.header("location"), first.header("location"));
    assert_eq!(client.world.state().image_queries.len(), 1);
}

#[tokio::test]
async fn a_command_that_was_carried_out_is_not_carried_out_again_after_a_crash() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let (worker, keyed) = (format!("/workers/{id}"), client.with("idempotency-key", "k"));
    let first = keyed.post(&format!("{worker}/stop")).await;
    die_before_the_answer(&client).await;
    // What others want by now is newer, and is not undone by an old request.
    client.post(&format!("{worker}/start")).await;
    for _ in 0..250 {
        client.json("PATCH", &worker, &json!({ "protected": true })).await;
        client.json("PATCH", &worker, &json!({ "protected": false })).await;
    }
    let again = keyed.post(&format!("{worker}/stop")).await;
    assert_eq!((first.status.as_u16(), again.status.as_u16()), (202, 202), "{}", again.text);
    assert_eq!(again.json()["desired"], "running");
    assert_eq!(client.get(&worker).await.json()["version"], again.json()["version"]);
}

#[tokio::test]
async fn a_change_whose_write_is_not_answered_is_made_once() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let (worker, keyed) = (format!("/workers/{id}"), client.with("idempotency-key", "k"));
    let renamed = json!({ "name": "lab-2", "tags": { "team": "a" } });
    client.world.state().unanswered_saves.push_back(lost());
    assert_eq!(keyed.json("PATCH", &worker, &renamed).await.problem(), "unavailable");
    assert_eq!(keyed.json("PATCH", &worker, &renamed).await.problem(), "request-in-progress");
    client.json("PATCH", &worker, &json!({ "name": "lab-3" })).await;
    let version = client.get(&worker).await.json()["version"].clone();
    client.world.pass(31);
    let again = keyed.json("PATCH", &worker, &renamed).await;
    assert_eq!((again.status.as_u16(), &again.json()["name"]), (200, &json!("lab-3")));
    assert_eq!(again.json()["version"], version);
}

#[tokio::test]
async fn a_try_that_fails_does_not_forget_what_an_earlier_one_may_have_done() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let (worker, keyed) = (format!("/workers/{id}"), client.with("idempotency-key", "k"));
    let stop = format!("{worker}/stop");
    client.world.state().unanswered_saves.push_back(lost());
    assert_eq!(keyed.post(&stop).await.status, 503);
    client.world.pass(31);
    client.world.state().failing_loads.push_back(Err(lost()));
    assert_eq!(keyed.post(&stop).await.status, 503);
    client.post(&format!("{worker}/start")).await;
    client.world.pass(31);
    let again = keyed.post(&stop).await;
    assert_eq!((again.status.as_u16(), &again.json()["desired"]), (202, &json!("running")));
}

#[tokio::test]
async fn a_write_that_arrives_twice_does_not_lose_against_itself() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let keyed = client.with("idempotency-key", "k").with("if-match", "\"1\"");
    // It was written, its answer got lost, and what came of sending it again is that the table is busy.
    client.world.state().unanswered_saves.push_back(StoreError::Contended("busy".into()));
    let stopped = keyed.post(&format!("/workers/{id}/stop")).await;
    assert_eq!((stopped.status.as_u16(), &stopped.json()["version"]), (202, &json!(2)), "{}", stopped.text);
}

#[tokio::test]
async fn a_change_that_was_not_written_is_made_by_the_next_try() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let keyed = client.with("idempotency-key", "k").with("if-match", "\"1\"");
    client.world.state().failing_saves.push_back(StoreError::Unavailable("timeout".into()));
    let stop = format!("/workers/{id}/stop");
    assert_eq!(keyed.post(&stop).await.status, 503);
    client.world.pass(31);
    let again = keyed.post(&stop).await;
    assert_eq!((again.status.as_u16(), &again.json()["desired"]), (202, &json!("stopped")), "{}", again.text);
}

#[tokio::test]
async fn a_stored_answer_nobody_can_read_is_our_fault() {
    let client = Client::new().with("idempotency-key", "k");
    assert_eq!(client.json("POST", "/workers", &creation("lab-1")).await.status, 201);
    for record in client.world.state().keys.values_mut() {
        record.answer = Some(Answer { status: 409, body: "{}".to_owned() });
    }
    assert_eq!(client.json("POST", "/workers", &creation("lab-1")).await.problem(), "internal");
}

#[tokio::test]
async fn the_support_module_keeps_the_promises_of_the_port() {
    let world = Client::new().world;
    let key = |fingerprint: &str| RequestKey {
        caller: "a".into(),
        key: "k".into(),
        fingerprint: fingerprint.into(),
    };
    let reserve = "01890a5d-ac96-774b-bcce-000000000001".parse().expect("an id");
    let at = |second| domain::Timestamp::from_second(second).expect("a time");
    let begin = async |fingerprint, now| {
        world.begin(&key(fingerprint), reserve, at(now), at(now + 30)).await.expect("begun")
    };
    assert_eq!(begin("f", 0).await, Begun::Fresh { worker: reserve });
    assert_eq!(begin("f", 29).await, Begun::Running);
    assert_eq!(begin("g", 29).await, Begun::Reused);
    assert_eq!(begin("f", 30).await, Begun::Fresh { worker: reserve });
}
