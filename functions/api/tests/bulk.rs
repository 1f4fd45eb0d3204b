//! Commands for many workers: the plan, what is accepted and what is called off.

use app::bulk::BulkRunner;
use app::error::{CallError, StoreError};
use app::fleet::Fleet;
use app::ports::Request;
use domain::{Observed, Settings};
use serde_json::{Value, json};

use crate::support::Client;

const NOBODY: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

/// A fleet of workers that run, and one that is stopped.
async fn fleet(running: usize) -> (Client, Vec<String>, String) {
    let client = Client::new();
    let mut ids = Vec::new();
    for number in 0..running {
        ids.push(client.imported(&format!("i-{number:08x}"), Observed::Running).await);
    }
    let stopped = client.imported("i-ffffffff", Observed::Stopped).await;
    client.world.state().requests.clear();
    client.world.pass(1);
    (client, ids, stopped)
}

async fn ask(client: &Client, body: &Value) -> Value {
    let answer = client.json("POST", "/commands", body).await;
    assert!(answer.status.is_success(), "{}", answer.text);
    answer.json()
}

/// `act` carries out what is due.
async fn carry_out(client: &Client, settings: &Settings) {
    let requests = std::mem::take(&mut client.world.state().requests);
    let fleet = Fleet { workers: &client.world, clock: &client.world, settings };
    let runner = BulkRunner { fleet, commands: &client.world, bus: &client.world };
    for request in requests {
        let Request::Command(request) = request else { panic!("{request:?}") };
        runner.run(request.command.parse().expect("a command")).await.expect("carried out");
    }
}

fn outcomes(view: &Value) -> Vec<(&str, &str, &str)> {
    let items = view["items"].as_array().expect("items").iter();
    let text = |value: &Value| value.as_str().map(str::to_owned).unwrap_or_default();
    let mut all: Vec<_> = items
        .map(|item| (text(&item["worker_id"]), text(&item["outcome"]), text(&item["refusal"]["code"])))
        .collect();
    all.sort();
    all.into_iter().map(|(a, b, c)| (&*a.leak(), &*b.leak(), &*c.leak())).collect()
}

#[tokio::test]
async fn a_dry_run_tells_what_would_become_of_each_and_changes_nothing() {
    let (client, running, stopped) = fleet(3).await;
    client.json("PATCH", &format!("/workers/{}", running[1]), &json!({ "held": "cabling" })).await;
    let before = client.world.effects();
    let workers = json!([running[0], running[1], stopped, NOBODY]);
    let view = ask(&client, &json!({ "action": "stop", "workers": workers, "dry_run": true })).await;
    assert_eq!(
        outcomes(&view),
        [
            (running[0].as_str(), "planned", ""),
            (running[1].as_str(), "refused", "held"),
            (stopped.as_str(), "unchanged", ""),
            (NOBODY, "refused", "no-such-worker"),
        ]
    );
    assert_eq!(
        (&view["id"], &view["dry_run"], &view["status"]),
        (&Value::Null, &json!(true), &json!("planned"))
    );
    assert_eq!((&view["ec2_calls"], &view["eta_seconds"]), (&json!(1), &json!(0)));
    let counts =
        json!({ "planned": 1, "asked": 0, "unchanged": 1, "superseded": 0, "cancelled": 0, "refused": 2 });
    assert_eq!(view["counts"], counts);
    assert_eq!(client.world.effects(), before, "not even the key");
    assert_eq!(client.world.state().commands.len(), 0);
}

#[tokio::test]
async fn a_worker_whose_record_cannot_be_read_is_shown_and_is_not_said_to_be_gone() {
    let (client, running, stopped) = fleet(1).await;
    client.world.state().unreadable.insert(running[0].parse().expect("an id"));
    for those in [json!({ "workers": [running[0], stopped] }), json!({ "filter": { "status": "stopped" } })] {
        let mut body = those;
        (body["action"], body["dry_run"]) = ("start".into(), true.into());
        let view = ask(&client, &body).await;
        let expected = [(running[0].as_str(), "refused", "failed"), (stopped.as_str(), "planned", "")];
        assert_eq!(outcomes(&view), expected, "{body}");
    }
}

#[tokio::test]
async fn the_estimate_is_of_what_is_left_of_ec2s_buckets() {
    let (client, running, _) = fleet(3).await;
    let now =
        client.get("/workers").await.json()["items"][0]["updated_at"].as_str().expect("a time").to_owned();
    let now: domain::Timestamp = now.parse().expect("a time");
    let full_at = now + jiff::SignedDuration::from_secs(700);
    client.world.state().level = Some(domain::Level { calls_full_at: now, workers_full_at: full_at });
    for id in &running {
        client.post(&format!("/workers/{id}/stop")).await;
    }
    // It fills in 498.5 seconds and is full in 699: there is a token in 201, and the third of three in 202.
    let body = json!({ "action": "start", "filter": { "status": "stopping" }, "dry_run": true });
    let view = ask(&client, &body).await;
    assert_eq!(
        (&view["counts"]["planned"], &view["ec2_calls"], &view["eta_seconds"]),
        (&json!(3), &json!(1), &json!(202))
    );
}

#[tokio::test]
async fn a_command_is_kept_and_carried_out_and_can_be_followed() {
    let (client, running, stopped) = fleet(3).await;
    let settings = client.settings();
    let view = ask(&client, &json!({ "action": "stop", "filter": {} })).await;
    assert_eq!((&view["status"], &view["counts"]["planned"]), (&json!("running"), &json!(3)));
    let id = view["id"].as_str().expect("an id").to_owned();
    let expected = Request::Command(app::ports::CommandRequested { command: id.clone() });
    assert_eq!(client.world.state().requests, [expected]);
    for worker in &running {
        let shown = client.get(&format!("/workers/{worker}")).await.json();
        assert_eq!(shown["desired"], "running", "planned is not asked");
    }
    carry_out(&client, &settings).await;
    let view = client.get(&format!("/commands/{id}")).await.json();
    assert_eq!(view["counts"]["asked"], 3);
    assert_eq!(view["progress"], json!({ "waiting": 3, "done": 0, "failed": 0, "superseded": 0 }));
    assert_eq!((&view["status"], &view["items"]), (&json!("running"), &Value::Null));
    for worker in &running {
        let shown = client.get(&format!("/workers/{worker}")).await.json();
        assert_eq!(shown["desired"], "stopped");
        let facts = client.get(&format!("/workers/{worker}/events")).await.json();
        assert!(facts["items"][0].to_string().contains("user/alice"), "who asked is in the fact: {facts}");
    }
    // Somebody else wants one of them to run: that is newer.
    client.world.pass(1);
    client.post(&format!("/workers/{}/start", running[0])).await;
    let workers = client.get(&format!("/commands/{id}/workers")).await.json();
    let progress: Vec<&Value> = workers["items"]
        .as_array()
        .expect("items")
        .iter()
        .filter(|item| item["worker_id"] == running[0] || item["worker_id"] == stopped)
        .map(|item| &item["progress"])
        .collect();
    assert_eq!(progress, [&json!("superseded"), &Value::Null]);
}

#[tokio::test]
async fn a_filter_wants_what_has_all_of_it() {
    let (client, running, stopped) = fleet(2).await;
    let patch = json!({ "name": "lab-a", "tags": { "team": "net", "shift": "late" } });
    client.json("PATCH", &format!("/workers/{}", running[0]), &patch).await;
    client
        .json(
            "PATCH",
            &format!("/workers/{}", running[1]),
            &json!({ "name": "lab-b", "tags": { "team": "net" } }),
        )
        .await;
    for (filter, wanted) in [
        (json!({}), vec![&running[0], &running[1], &stopped]),
        (json!({ "status": "running" }), vec![&running[0], &running[1]]),
        (json!({ "name": "lab-?" }), vec![&running[0], &running[1]]),
        (json!({ "name": "lab" }), vec![]),
        (json!({ "tags": { "team": "net", "shift": "late" } }), vec![&running[0]]),
        (json!({ "tags": { "team": "ops" } }), vec![]),
        (json!({ "region": "us-east-1" }), vec![]),
        (json!({ "region": "eu-central-1", "name": "*b" }), vec![&running[1]]),
    ] {
        let view = ask(&client, &json!({ "action": "sync", "filter": filter, "dry_run": true })).await;
        let mut ids: Vec<&str> = outcomes(&view).into_iter().map(|(id, ..)| id).collect();
        let mut wanted: Vec<&str> = wanted.into_iter().map(String::as_str).collect();
        ids.sort_unstable();
        wanted.sort_unstable();
        assert_eq!(ids, wanted, "{filter}");
    }
}

#[tokio::test]
async fn many_are_ended_only_with_their_number_and_never_the_protected_ones() {
    let (client, running, _) = fleet(4).await;
    let protect = json!({ "protected": true });
    client.json("PATCH", &format!("/workers/{}", running[0]), &protect).await;
    let ending = |confirm: Value| json!({ "action": "terminate", "filter": {}, "confirm": confirm });
    // Three that run and one that is stopped; the limit is three.
    for wrong in [json!(null), json!(3), json!(5)] {
        let answer = client.json("POST", "/commands", &ending(wrong)).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "confirmation-needed"));
        assert!(answer.text.contains("confirm=4"), "{}", answer.text);
    }
    assert_eq!(client.world.state().commands.len(), 0);
    let view = ask(&client, &ending(json!(4))).await;
    assert_eq!((&view["counts"]["planned"], &view["counts"]["refused"]), (&json!(4), &json!(1)));
    carry_out(&client, &client.settings()).await;
    client.world.pass(1);
    let shown = client.get(&format!("/workers/{}", running[0])).await.json();
    assert_eq!(shown["desired"], "running", "it takes its name");
    let few = json!({ "action": "terminate", "workers": [running[0], running[1]], "dry_run": true });
    assert_eq!(ask(&client, &few).await["counts"]["planned"], 0, "one is protected, one is ending already");
}

#[tokio::test]
async fn ending_many_takes_the_role_that_ending_one_takes() {
    let (client, running, _) = fleet(1).await;
    let operator = client.by(Some("arn:aws:iam::999999999999:user/oscar"));
    let viewer = client.by(Some("arn:aws:iam::999999999999:user/vera"));
    let body = |action: &str| json!({ "action": action, "workers": running });
    for dry_run in [false, true] {
        let mut ending = body("terminate");
        ending["dry_run"] = dry_run.into();
        let answer = operator.json("POST", "/commands", &ending).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (403, "forbidden"));
    }
    assert_eq!(operator.json("POST", "/commands", &body("stop")).await.status, 202);
    assert_eq!(viewer.json("POST", "/commands", &body("stop")).await.status, 403);
    let id = operator.json("POST", "/commands", &body("sync")).await.id();
    assert_eq!(viewer.get(&format!("/commands/{id}")).await.status, 200);
    assert_eq!(viewer.post(&format!("/commands/{id}/cancel")).await.status, 403);
}

#[tokio::test]
async fn a_request_that_is_repeated_is_one_command() {
    let (client, ..) = fleet(2).await;
    let body = json!({ "action": "stop", "filter": {} });
    let keyed = client.with("idempotency-key", "once");
    let first = keyed.json("POST", "/commands", &body).await;
    let again = keyed.json("POST", "/commands", &body).await;
    assert_eq!((first.json(), again.header("idempotency-replayed")), (again.json(), "true"));
    for answer in [&first, &again] {
        assert_eq!(answer.header("location"), format!("/commands/{}", first.id()));
        assert_eq!(client.get(answer.header("location")).await.id(), first.id());
    }
    assert_eq!(client.world.state().commands.len(), 1);
    // The table took it and could not say so: the next try finds it, whatever it is for by now.
    client.world.state().failing_accepts.push_back(StoreError::Unavailable("lost".into()));
    let keyed = client.with("idempotency-key", "lost");
    assert_eq!(keyed.json("POST", "/commands", &body).await.status, 503);
    let kept: Vec<String> = client.world.state().commands.keys().map(ToString::to_string).collect();
    client.world.pass(31);
    // It could not be looked up either: still nobody knows, and the key stays with it.
    client.world.state().failing_commands.push_back(StoreError::Unavailable("again".into()));
    assert_eq!(keyed.json("POST", "/commands", &body).await.status, 503);
    client.world.pass(31);
    let answer = keyed.json("POST", "/commands", &body).await;
    assert_eq!(answer.status, 202);
    assert!(kept.contains(&answer.id()) && answer.id() != first.id());
    assert_eq!(client.world.state().commands.len(), 2);
    assert_eq!(client.without_keys().json("POST", "/commands", &body).await.status, 400, "a key is required");
}

#[tokio::test]
async fn a_command_that_the_bus_did_not_take_waits_for_the_poll() {
    let (client, ..) = fleet(1).await;
    let refused = CallError { message: "no".into(), retryable: true, cause: None };
    client.world.state().failing_requests.push_back(refused);
    let view = ask(&client, &json!({ "action": "stop", "filter": {} })).await;
    assert_eq!(view["status"], "running");
    let state = client.world.state();
    let (command, _) = state.commands.values().next().expect("kept");
    assert_eq!(command.due, Some(command.at), "it is due, and so the poll finds it");
}

#[tokio::test]
async fn a_command_that_is_called_off_asks_nothing_more() {
    let (client, running, _) = fleet(2).await;
    let id = ask(&client, &json!({ "action": "stop", "filter": {} })).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    let view = client.post(&format!("/commands/{id}/cancel")).await.json();
    assert_eq!((&view["status"], &view["counts"]["planned"]), (&json!("cancelled"), &json!(2)));
    assert!(view["cancelled"]["by"].as_str().expect("a name").ends_with("alice"), "{view}");
    carry_out(&client, &client.settings()).await;
    let after = client.get(&format!("/commands/{id}")).await.json();
    assert_eq!((&after["counts"]["planned"], &after["counts"]["cancelled"]), (&json!(0), &json!(2)));
    for worker in &running {
        assert_eq!(client.get(&format!("/workers/{worker}")).await.json()["desired"], "running");
    }
    let again = client.post(&format!("/commands/{id}/cancel")).await;
    assert_eq!((again.status.as_u16(), &again.json()["cancelled"]), (200, &after["cancelled"]));
}

#[tokio::test]
async fn what_is_done_already_cannot_be_called_off() {
    let (client, ..) = fleet(1).await;
    let id = ask(&client, &json!({ "action": "sync", "filter": {} })).await["id"]
        .as_str()
        .expect("an id")
        .to_owned();
    carry_out(&client, &client.settings()).await;
    let view = client.post(&format!("/commands/{id}/cancel")).await.json();
    assert_eq!((&view["status"], &view["cancelled"]), (&json!("done"), &Value::Null));
}

#[tokio::test]
async fn the_workers_of_a_command_come_in_pages_and_each_once() {
    let (client, running, stopped) = fleet(120).await;
    let view = ask(&client, &json!({ "action": "stop", "filter": {} })).await;
    assert_eq!(view["items"].as_array().map(Vec::len), Some(100), "the first chunk");
    let id = view["id"].as_str().expect("an id");
    for limit in [1, 7, 100] {
        let (mut seen, mut target) = (Vec::new(), format!("/commands/{id}/workers?limit={limit}"));
        loop {
            let page = client.get(&target).await.json();
            let items = page["items"].as_array().expect("items");
            assert!(items.len() <= limit && !items.is_empty());
            seen.extend(items.iter().map(|item| item["worker_id"].as_str().expect("an id").to_owned()));
            let Some(next) = page["next"].as_str() else { break };
            target = format!("/commands/{id}/workers?limit={limit}&cursor={next}");
        }
        let mut expected: Vec<String> = running.iter().chain([&stopped]).cloned().collect();
        expected.sort();
        seen.sort();
        assert_eq!(seen, expected, "{limit}");
    }
    let next = view["next"].as_str().expect("more");
    let rest = client.get(&format!("/commands/{id}/workers?cursor={next}")).await.json();
    assert_eq!(rest["items"].as_array().map(Vec::len), Some(21));
    let other = ask(&client, &json!({ "action": "sync", "filter": {} })).await;
    let foreign = format!("/commands/{}/workers?cursor={next}", other["id"].as_str().expect("an id"));
    assert_eq!(client.get(&foreign).await.problem(), "invalid-parameter", "a cursor is of one command");
}

#[tokio::test]
async fn looking_at_many_is_asked_for_once_for_each_region() {
    let (client, ..) = fleet(2).await;
    ask(&client, &json!({ "action": "sync", "filter": {} })).await;
    carry_out(&client, &client.settings()).await;
    let requests = client.world.state().requests.clone();
    let [Request::Collect(look)] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!((look.workers.len(), look.all_metrics), (3, true));
}

#[tokio::test]
async fn what_is_left_of_a_command_that_expires_is_not_shown_as_all_of_it() {
    let (client, _, _) = fleet(2).await;
    let command = ask(&client, &json!({ "action": "stop", "filter": {} })).await;
    let path = format!("/commands/{}", command["id"].as_str().expect("an id"));
    assert_eq!(client.get(&path).await.status, 200);
    client.world.state().commands.values_mut().for_each(|(_, chunks)| chunks.clear());
    let answer = client.get(&path).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (404, "no-such-command"));
}
