//! What is shown: workers, lists, facts, telemetry, health.

use std::collections::BTreeMap;

use app::ports::Sample;
use domain::{Metric, Observed, Timestamp};
use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Client, creation};

#[tokio::test]
async fn health_is_shallow() {
    let client = Client::new();
    let answer = client.get("/health").await;
    assert_eq!((answer.status.as_u16(), answer.json()), (200, json!({ "status": "ok" })));
    assert_eq!(client.world.effects(), (0, 0));
}

#[tokio::test]
async fn a_worker_is_written_like_this() {
    let client = Client::new();
    let id = client.imported("i-0123456789abcdef0", Observed::Running).await;
    let settings = json!({ "tags": { "team": "network" }, "settings": { "interval": 60 } });
    client.json("PATCH", &format!("/workers/{id}"), &settings).await;
    client.world.pass(90);
    let answer = client.post(&format!("/workers/{id}/stop")).await;
    expect![[r#"
        {
          "account": "123456789012",
          "addresses": {
            "private": "10.0.0.7",
            "public": null
          },
          "alerts": [],
          "attempt": null,
          "created_at": "2026-09-21T14:13:20.000Z",
          "desired": "stopped",
          "drift": null,
          "forgotten_at": null,
          "gave_up": [],
          "health": null,
          "held": null,
          "id": "01890a5d-ac96-774b-bcce-000000000001",
          "instance_id": "i-0123456789abcdef0",
          "instance_type": "m5zn.metal",
          "name": "i-0123456789abcdef0",
          "next": {
            "action": "tag",
            "reason": "adoption",
            "text": "the instance must carry our tags before we may act on it"
          },
          "observed": {
            "at": "2026-09-21T14:13:20.000Z",
            "reason": null,
            "seen_at": "2026-09-21T14:13:20.000Z",
            "source": "describe",
            "state": "running"
          },
          "origin": "imported",
          "protected": false,
          "region": "eu-central-1",
          "settings": {
            "in_force": {
              "alert_duration": 600,
              "cpu": 90,
              "disk": 90,
              "drift": "alert",
              "interval": 60,
              "memory": 90,
              "monitoring": true
            },
            "own": {
              "interval": 60
            }
          },
          "spec": null,
          "status": "stopping",
          "tags": {
            "team": "network"
          },
          "terminated_at": null,
          "updated_at": "2026-09-21T14:14:50.000Z",
          "version": 3,
          "zone": "eu-central-1a"
        }"#]]
    .assert_eq(&pretty(&answer.text));
}

#[tokio::test]
async fn a_worker_that_is_being_launched_is_written_like_this() {
    let client = Client::new();
    let answer = client.json("POST", "/workers", &creation("lab-1")).await;
    expect![[r#"
        {
          "account": "123456789012",
          "addresses": {
            "private": null,
            "public": null
          },
          "alerts": [],
          "attempt": null,
          "created_at": "2026-09-21T14:13:20.000Z",
          "desired": "running",
          "drift": null,
          "forgotten_at": null,
          "gave_up": [],
          "health": null,
          "held": null,
          "id": "01890a5d-ac96-774b-bcce-000000000001",
          "instance_id": null,
          "instance_type": null,
          "name": "lab-1",
          "next": {
            "action": "launch",
            "reason": "not_launched",
            "text": "the instance was never launched"
          },
          "observed": {
            "at": null,
            "reason": null,
            "seen_at": null,
            "source": null,
            "state": "unknown"
          },
          "origin": "created",
          "protected": false,
          "region": "eu-central-1",
          "settings": {
            "in_force": {
              "alert_duration": 600,
              "cpu": 90,
              "disk": 90,
              "drift": "alert",
              "interval": 300,
              "memory": 90,
              "monitoring": true
            },
            "own": {}
          },
          "spec": {
            "alternative": null,
            "alternatives": [],
            "image": "ami-0123456789abcdef0",
            "instance_profile": null,
            "instance_type": "m5zn.metal",
            "key_name": null,
            "launch_template": null,
            "root_volume_gib": null,
            "root_volume_type": null,
            "security_groups": [],
            "subnet": null,
            "user_data": false
          },
          "status": "pending",
          "tags": {},
          "terminated_at": null,
          "updated_at": "2026-09-21T14:13:20.000Z",
          "version": 1,
          "zone": null
        }"#]]
    .assert_eq(&pretty(&answer.text));
}

/// Indented, members in alphabetical order.
fn pretty(json: &str) -> String {
    let value: Value = serde_json::from_str(json).expect("JSON");
    serde_json::to_string_pretty(&value).expect("JSON")
}

async fn ids(client: &Client, target: &str) -> (Vec<String>, Option<String>) {
    let answer = client.get(target).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    let json = answer.json();
    let items = json["items"].as_array().expect("items");
    let ids = items.iter().map(|item| item["id"].as_str().expect("an id").to_owned()).collect();
    (ids, json["next"].as_str().map(str::to_owned))
}

/// Ten workers, every other one in us-east-1, the first three of them stopped.
async fn fleet() -> (Client, Vec<String>) {
    let client = Client::new();
    let mut all = Vec::new();
    for n in 0..10 {
        let mut body = creation(&format!("lab-{n}"));
        body["region"] = if n % 2 == 0 { "eu-central-1" } else { "us-east-1" }.into();
        all.push(client.json("POST", "/workers", &body).await.id());
    }
    for n in 0..3 {
        all.push(client.imported(&format!("i-0000000{n}"), Observed::Stopped).await);
    }
    (client, all)
}

#[tokio::test]
async fn a_list_goes_through_all_regions_page_by_page() {
    let (client, all) = fleet().await;
    for limit in [1, 2, 3, 7, 8, 13, 100] {
        let (mut seen, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let (ids, next) = ids(&client, &format!("/workers?limit={limit}{cursor}")).await;
            assert!(ids.len() <= limit);
            seen.extend(ids);
            pages += 1;
            let Some(next) = next else { break };
            cursor = format!("&cursor={next}");
        }
        let mut sorted = seen.clone();
        sorted.sort();
        assert_eq!(sorted, all, "limit {limit}");
        assert!(pages <= 13 / limit + 2, "limit {limit}: {pages} pages");
        assert_eq!(&seen[..5], [&all[0], &all[2], &all[4], &all[6], &all[8]].map(Clone::clone));
    }
}

#[tokio::test]
async fn a_list_can_be_narrowed() {
    let (client, all) = fleet().await;
    assert_eq!(ids(&client, "/workers?region=us-east-1").await.0.len(), 5);
    assert_eq!(ids(&client, "/workers?name=lab-3").await, (vec![all[3].clone()], None));
    assert_eq!(ids(&client, "/workers?name=lab-33").await, (vec![], None));
    assert_eq!(ids(&client, "/workers?name=lab-3&region=eu-central-1").await, (vec![], None));
    assert_eq!(ids(&client, "/workers?status=pending&region=eu-central-1").await.0.len(), 5);
    let (first, next) = ids(&client, "/workers?status=stopped&limit=2").await;
    let (rest, end) =
        ids(&client, &format!("/workers?status=stopped&limit=2&cursor={}", next.expect("more"))).await;
    assert_eq!(([first, rest].concat(), end), (all[10..].to_vec(), None));
}

#[tokio::test]
async fn a_cursor_of_one_query_is_no_cursor_of_another() {
    let (client, all) = fleet().await;
    for id in &all[..2] {
        let answer = client.json("PATCH", &format!("/workers/{id}"), &json!({ "tags": { "a": "b" } })).await;
        assert_eq!(answer.status, 200, "{}", answer.text);
    }
    let events = |id: &str| format!("/workers/{id}/events?limit=1");
    let queries = [
        "/workers?limit=1".to_owned(),
        "/workers?region=eu-central-1&limit=1".to_owned(),
        "/workers?region=us-east-1&limit=1".to_owned(),
        "/workers?status=stopped&limit=1".to_owned(),
        events(&all[0]),
        events(&all[1]),
    ];
    for from in &queries {
        let next = client.get(from).await.json()["next"].as_str().map(str::to_owned);
        let next = next.unwrap_or_else(|| panic!("{from} has one page only"));
        for to in &queries {
            let answer = client.get(&format!("{to}&cursor={next}")).await;
            assert_eq!(answer.status.as_u16(), if from == to { 200 } else { 400 }, "{from} {to}");
        }
        // How much is asked for at a time is not what is asked for.
        let more = client.get(&format!("{from}0&cursor={next}")).await;
        assert_eq!(more.status, 200, "{}", more.text);
    }
}

#[tokio::test]
async fn workers_that_have_ended_are_not_listed_but_can_be_read() {
    let client = Client::new();
    let id = client.created("lab-1").await;
    client.send("DELETE", &format!("/workers/{id}"), "").await;
    assert_eq!(ids(&client, "/workers").await, (vec![], None));
    assert_eq!(client.get(&format!("/workers/{id}")).await.json()["status"], "terminated");
}

#[tokio::test]
async fn facts_come_newest_first_and_say_who_did_it() {
    let client = Client::new();
    let id = client.imported("i-12345678", Observed::Running).await;
    client.post(&format!("/workers/{id}/stop")).await;
    client.post(&format!("/workers/{id}/start")).await;
    let page = client.get(&format!("/workers/{id}/events?limit=2")).await.json();
    assert_eq!((&page["items"][0]["version"], &page["items"][1]["version"]), (&json!(3), &json!(2)));
    expect![[r#"
        {
          "at": "2026-09-21T14:13:20.000Z",
          "facts": [
            {
              "at": "2026-09-21T14:13:20.000Z",
              "by": {
                "id": "arn:aws:iam::123456789012:user/alice",
                "kind": "caller"
              },
              "fact": "desired_changed",
              "from": "running",
              "to": "stopped"
            },
            {
              "fact": "status_changed",
              "from": "running",
              "reason": "an operator asked for it",
              "to": "stopping"
            }
          ],
          "version": 2
        }"#]]
    .assert_eq(&serde_json::to_string_pretty(&page["items"][1]).expect("JSON"));
    let next = page["next"].as_str().expect("more");
    let last = client.get(&format!("/workers/{id}/events?limit=2&cursor={next}")).await.json();
    assert_eq!(last["items"].as_array().expect("items").len(), 1);
    assert_eq!((&last["items"][0]["facts"][0]["fact"], &last["next"]), (&json!("imported"), &Value::Null));
}

fn sample(id: &str, second: i64, values: &[(Metric, f64)]) -> Sample {
    let at = Timestamp::from_second(1_790_000_000 + second).expect("a time");
    Sample {
        worker: id.parse().expect("an id"),
        at,
        values: values.iter().copied().collect::<BTreeMap<_, _>>(),
    }
}

#[tokio::test]
async fn telemetry_leaves_out_what_was_not_measured() {
    let client = Client::new();
    let id = client.imported("i-12345678", Observed::Running).await;
    client.world.state().samples.extend([
        sample(&id, -600, &[(Metric::Cpu, 0.0), (Metric::Memory, 41.5)]),
        sample(&id, -300, &[(Metric::Cpu, 12.25)]),
        sample(&id, -90_000, &[(Metric::Cpu, 99.0)]),
    ]);
    let target = format!("/workers/{id}/telemetry");
    let day = client.get(&target).await.json();
    assert_eq!(
        day["items"],
        json!([
            { "at": "2026-09-21T14:08:20.000Z", "cpu": 12.25 },
            { "at": "2026-09-21T14:03:20.000Z", "cpu": 0.0, "memory": 41.5 },
        ])
    );
    assert_eq!(day["next"], Value::Null);
    let one = client.get(&format!("{target}?limit=1")).await.json();
    assert_eq!(one["items"].as_array().expect("items").len(), 1);
    let next = one["next"].as_str().expect("more").to_owned();
    // Time goes on, and what is paged through stays the same.
    client.world.pass(90_000);
    let rest = client.get(&format!("{target}?limit=1&cursor={next}")).await.json();
    assert_eq!((&rest["items"][0], &rest["next"]), (&day["items"][1], &Value::Null), "{rest}");
    let span = "from=2026-09-20T00:00:00%2B02:00&to=2026-09-21T14:05:00Z";
    let since = client.get(&format!("{target}?{span}")).await.json();
    assert_eq!(since["items"].as_array().expect("items").len(), 2, "{since}");
    let other = client.get(&format!("{target}?from=2026-09-20T00:00:00Z&cursor={next}")).await;
    assert_eq!((other.status.as_u16(), other.problem().as_str()), (400, "invalid-parameter"));
}
