//! Changes of a worker that exists.

use app::error::StoreError;
use app::ports::Request;
use domain::{ActionKind, Event, Observed};
use serde_json::json;

use crate::support::Client;

const INSTANCE: &str = "i-0123456789abcdef0";

#[tokio::test]
async fn a_command_is_accepted_once_and_then_already_so() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    for (command, desired) in [("stop", "stopped"), ("start", "running")] {
        let target = format!("/workers/{id}/{command}");
        let first = client.post(&target).await;
        assert_eq!((first.status.as_u16(), &first.json()["desired"]), (202, &json!(desired)));
        let writes = client.world.effects();
        let again = client.post(&target).await;
        assert_eq!((again.status.as_u16(), again.header("etag")), (200, first.header("etag")));
        assert_eq!(client.world.effects(), writes);
    }
    let reboot = format!("/workers/{id}/reboot");
    assert_eq!(client.post(&reboot).await.status, 202);
    assert_eq!(client.post(&reboot).await.status, 200);
    let body = client.with("content-type", "application/json").send("POST", &reboot, "{}").await;
    assert_eq!(body.status, 200, "an empty object is no body");
}

#[tokio::test]
async fn a_command_tells_what_follows_from_it() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let worker = client.post(&format!("/workers/{id}/stop")).await.json();
    assert_eq!((&worker["status"], &worker["next"]["action"]), (&json!("stopping"), &json!("tag")));
    assert_eq!(worker["next"]["reason"], "adoption");
}

#[tokio::test]
async fn a_command_that_makes_no_sense_is_refused_with_the_reason() {
    let client = Client::new();
    let stopped = client.imported(INSTANCE, Observed::Stopped).await;
    let fresh = client.created("lab-1").await;
    let ended = client.created("lab-2").await;
    let ending = client.imported("i-12345678", Observed::Running).await;
    assert_eq!(client.send("DELETE", &format!("/workers/{ended}"), "").await.status, 202);
    assert_eq!(client.send("DELETE", &format!("/workers/{ending}"), "").await.status, 202);
    let before = client.world.effects();
    for (id, command, reason) in [
        (&stopped, "reboot", "only a running worker can be rebooted"),
        (&fresh, "stop", "no instance yet"),
        (&fresh, "reboot", "no instance yet"),
        (&fresh, "sync", "no instance yet"),
        (&ended, "start", "has ended"),
        (&ended, "sync", "has ended"),
        (&ending, "start", "being terminated"),
        (&ending, "stop", "being terminated"),
    ] {
        let answer = client.post(&format!("/workers/{id}/{command}")).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (409, "impossible-command"),
            "{command}"
        );
        assert!(answer.text.contains(reason), "{command}: {}", answer.text);
    }
    let answer = client.json("PATCH", &format!("/workers/{ended}"), &json!({ "name": "x" })).await;
    assert_eq!(answer.status, 409);
    assert_eq!(client.world.effects(), before);
}

#[tokio::test]
async fn a_patch_merges_and_null_removes() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let target = format!("/workers/{id}");
    let body = json!({ "tags": { "a": "1", "b": "2" }, "settings": { "interval": 60, "monitoring": false } });
    assert_eq!(client.json("PATCH", &target, &body).await.status, 200);
    let body = json!({
        "name": "renamed", "tags": { "a": null, "c": "3", "never": null },
        "settings": { "interval": null, "cpu": 50 },
    });
    let merge = client.with("content-type", "application/merge-patch+json");
    let answer = merge.send("PATCH", &target, body.to_string()).await;
    let worker = answer.json();
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (200, "\"3\""));
    assert_eq!(worker["name"], "renamed");
    assert_eq!(worker["tags"], json!({ "b": "2", "c": "3" }));
    assert_eq!(worker["settings"]["own"], json!({ "monitoring": false, "cpu": 50 }));
    assert_eq!(worker["settings"]["in_force"]["interval"], 300);
    let writes = client.world.effects();
    assert_eq!(client.json("PATCH", &target, &json!({})).await.json(), worker);
    assert_eq!(client.world.effects(), writes);
}

#[tokio::test]
async fn tags_that_add_up_to_too_many_are_refused() {
    let client = Client::new();
    let target = format!("/workers/{}", client.created("lab-1").await);
    let tags = |from: u32, to: u32| {
        let tags: serde_json::Map<_, _> = (from..to).map(|n| (format!("k{n}"), json!("v"))).collect();
        json!({ "tags": tags })
    };
    assert_eq!(client.json("PATCH", &target, &tags(0, 47)).await.status, 200);
    let answer = client.json("PATCH", &target, &tags(47, 48)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "invalid-value"));
    assert_eq!(answer.json()["errors"][0]["field"], "tags");
}

#[tokio::test]
async fn delete_ends_and_forget_only_forgets() {
    let client = Client::new();
    let ended = client.imported(INSTANCE, Observed::Running).await;
    let target = format!("/workers/{ended}");
    let answer = client.send("DELETE", &target, "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["status"]), (202, &json!("terminating")));
    assert_eq!(client.send("DELETE", &target, "").await.status, 200);

    let forgotten = client.imported("i-12345678", Observed::Running).await;
    let target = format!("/workers/{forgotten}");
    let answer = client.send("DELETE", &format!("{target}?forget=true"), "").await;
    assert_eq!((answer.status.as_u16(), &answer.json()["desired"]), (200, &json!("running")));
    assert_eq!(answer.json()["next"]["reason"], "forgotten");
    assert_eq!(client.send("DELETE", &format!("{target}?forget=true"), "").await.status, 200);
    assert_eq!(client.send("DELETE", &format!("{target}?forget=false"), "").await.status, 409);
}

#[tokio::test]
async fn sync_asks_for_a_look_and_writes_nothing() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let (writes, calls) = client.world.effects();
    let answer = client.post(&format!("/workers/{id}/sync")).await;
    assert_eq!((answer.status.as_u16(), answer.id()), (202, id.clone()));
    assert_eq!(client.world.effects(), (writes, calls + 1));
    let state = client.world.state();
    let [Request::Collect(request)] = state.requests.as_slice() else { panic!("{:?}", state.requests) };
    assert_eq!(request.region, "eu-central-1");
    assert_eq!((&request.workers, &request.metrics), (&vec![id.clone()], &vec![id]));
    assert!(request.all_metrics, "whoever asks wants to see a new agent at once");
    assert_eq!(request.tick, 1_790_000_000_000);
}

#[tokio::test]
async fn tags_that_were_given_up_are_shown_and_tried_again_by_a_sync() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let at = "2026-09-21T14:13:21Z".parse().expect("a time");
    let reason = "TagLimitExceeded: too many tags".to_owned();
    for stored in client.world.state().workers.values_mut() {
        let given_up = Event::GaveUp { action: ActionKind::Tag, attempts: 5, reason: reason.clone(), at };
        stored.worker.apply(&given_up);
    }
    let worker = client.get(&format!("/workers/{id}")).await.json();
    let given_up = json!([{ "action": "tag", "tried_at": "2026-09-21T14:13:21.000Z", "reason": reason }]);
    assert_eq!((&worker["gave_up"], &worker["status"]), (&given_up, &json!("running")));
    assert_eq!(worker["next"]["reason"], "gave_up");
    let synced = client.post(&format!("/workers/{id}/sync")).await.json();
    assert_eq!((&synced["gave_up"], &synced["next"]["action"]), (&json!([]), &json!("tag")));
    assert_eq!(client.world.state().requests.len(), 1);
}

#[tokio::test]
async fn a_version_that_is_not_the_workers_is_refused() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let before = client.world.effects();
    for version in ["\"2\"", "\"9223372036854775808\""] {
        let stale = client.with("if-match", version);
        for (method, path) in [("POST", "/stop"), ("POST", "/sync"), ("DELETE", "")] {
            let answer = stale.send(method, &format!("/workers/{id}{path}"), "").await;
            assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (412, "stale-version"));
            assert_eq!(answer.json()["version"], 1);
        }
    }
    assert_eq!(client.world.effects(), before);
    let current = client.with("if-match", "\"1\"");
    assert_eq!(current.post(&format!("/workers/{id}/stop")).await.status, 202);
    assert_eq!(current.post(&format!("/workers/{id}/start")).await.status, 412);
}

#[tokio::test]
async fn a_lost_race_is_run_again() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    client.world.state().failing_saves.extend([StoreError::Conflict, StoreError::Contended("busy".into())]);
    let answer = client.post(&format!("/workers/{id}/stop")).await;
    assert_eq!((answer.status.as_u16(), answer.header("etag")), (202, "\"2\""));

    client.world.state().failing_saves.extend((0..9).map(|_| StoreError::Conflict));
    let answer = client.post(&format!("/workers/{id}/start")).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "unavailable"));
    assert_eq!(answer.json()["detail"], "others are changing the same worker; try again");
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn a_table_that_is_throttled_is_not_said_to_be_others_who_change_the_worker() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    client.world.state().failing_saves.extend((0..9).map(|_| StoreError::Contended("slow down".into())));
    let answer = client.post(&format!("/workers/{id}/stop")).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "unavailable"));
    assert_eq!(answer.json()["detail"], "the records are busy right now; try again");
    assert!(!answer.header("retry-after").is_empty());
}

#[tokio::test]
async fn two_commands_at_once_are_carried_out_one_after_the_other() {
    let client = Client::new();
    let id = client.imported(INSTANCE, Observed::Running).await;
    let (stop, delete) = (format!("/workers/{id}/stop"), format!("/workers/{id}"));
    let (stopped, deleted) = tokio::join!(client.post(&stop), client.send("DELETE", &delete, ""));
    assert_eq!(deleted.status, 202, "{}", deleted.text);
    assert!(matches!(stopped.status.as_u16(), 202 | 409), "{}", stopped.text);
    assert_eq!(client.get(&delete).await.json()["desired"], "terminated");
}

#[tokio::test]
async fn of_a_start_and_a_termination_at_once_the_start_never_comes_last() {
    for start_first in [true, false] {
        let client = Client::new();
        let id = client.imported(INSTANCE, Observed::Stopped).await;
        let (start, delete) = (format!("/workers/{id}/start"), format!("/workers/{id}"));
        let (started, deleted) = if start_first {
            tokio::join!(client.post(&start), client.send("DELETE", &delete, ""))
        } else {
            let (deleted, started) = tokio::join!(client.send("DELETE", &delete, ""), client.post(&start));
            (started, deleted)
        };
        assert_eq!(deleted.status, 202, "{}", deleted.text);
        // Whoever was first wrote; the start that was second was decided again, on the state as it was by then.
        let expected = if start_first { 202 } else { 409 };
        assert_eq!(started.status, expected, "{}", started.text);
        assert!(start_first || started.text.contains("being terminated"), "{}", started.text);
        let worker = client.get(&delete).await.json();
        assert_eq!((&worker["desired"], &worker["status"]), (&json!("terminated"), &json!("terminating")));
    }
}
