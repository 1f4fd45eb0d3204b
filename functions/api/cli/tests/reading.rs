//! `list` and `get`.

use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Fleet, Person};

#[tokio::test]
async fn a_list_is_parted_by_tabs_in_a_pipe_and_aligned_under_a_heading_on_a_terminal() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    fleet.worker("lab-2").await;
    expect![[r#"
        lab-1	running	running	eu-central-1a	i-00000000000000001	m5zn.metal	tag (adoption)	01890a5d-ac96-774b-bcce-000000000001
        lab-2	running	running	eu-central-1a	i-00000000000000002	m5zn.metal	tag (adoption)	01890a5d-ac96-774b-bcce-000000000002
    "#]].assert_eq(&fleet.run(&["list"]).await.ok());
    let shown = fleet.run_by(&Person::at_a_terminal(""), &["list"]).await.ok();
    expect![[r#"
        NAME   STATUS   DESIRED  ZONE           INSTANCE             TYPE        NEXT            ID
        lab-1  running  running  eu-central-1a  i-00000000000000001  m5zn.metal  tag (adoption)  01890a5d-ac96-774b-bcce-000000…
        lab-2  running  running  eu-central-1a  i-00000000000000002  m5zn.metal  tag (adoption)  01890a5d-ac96-774b-bcce-000000…
    "#]].assert_eq(&shown);
}

#[tokio::test]
async fn json_is_what_the_api_wrote() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let arguments = [
        vec!["list"],
        vec!["get", "lab-1"],
        vec!["events", &id],
        vec!["telemetry", &id],
        vec!["openapi"],
        vec!["stop", &id],
    ];
    for mut arguments in arguments {
        arguments.extend(["--output", "json"]);
        let shown = fleet.run(&arguments).await.ok();
        assert_eq!(shown.trim_end(), fleet.answered().trim_end(), "{arguments:?}");
    }
}

#[tokio::test]
async fn a_list_goes_over_pages_and_says_when_there_is_more() {
    let fleet = Fleet::new().await;
    for number in 0..5 {
        fleet.worker(&format!("lab-{number}")).await;
    }
    let part = fleet.run(&["list", "--limit", "3"]).await;
    assert_eq!((part.code, part.out.lines().count()), (0, 3));
    assert_eq!(part.err, "cml-fleet: there are more; --all lists them\n");
    assert_eq!(fleet.run(&["list", "--all"]).await.ok().lines().count(), 5);

    // Pages that are short, even empty, are not the end.
    let page = |text: &str| serde_json::from_str::<Value>(text).expect("JSON");
    let workers = fleet.run(&["list", "-o", "json"]).await.json();
    let items = workers["items"].as_array().expect("items");
    fleet.will_answer("GET /workers?limit=2", 200, &[], &page(r#"{"items":[],"next":"b"}"#));
    let second = serde_json::json!({ "items": [items[0]], "next": "c" });
    fleet.will_answer("GET /workers?limit=2&cursor=b", 200, &[], &second);
    let third = serde_json::json!({ "items": [items[1]], "next": null });
    fleet.will_answer("GET /workers?limit=1&cursor=c", 200, &[], &third);
    let joined = fleet.run(&["list", "--limit", "2", "-o", "json"]).await.json();
    assert_eq!(joined, serde_json::json!({ "items": items[..2], "next": null }));
}

#[tokio::test]
async fn a_worker_is_shown_with_all_that_is_known_by_its_id_or_name() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let by_name = fleet.run(&["get", "lab-1"]).await.ok();
    assert_eq!(fleet.run(&["get", &id]).await.ok(), by_name);
    expect![[r#"
        name	lab-1
        id	01890a5d-ac96-774b-bcce-000000000001
        status	running
        desired	running
        next	the instance must carry our tags before we may act on it
        observed	running, seen 2026-09-21T14:13:20.000Z
        instance	i-00000000000000001
        type	m5zn.metal
        region	eu-central-1
        zone	eu-central-1a
        account	123456789012
        private address	10.0.0.7
        monitoring	every 300 s
        on drift	alert
        alerts above	cpu 90 %, memory 90 %, disk 90 % for 600 s
        origin	imported
        created	2026-09-21T14:13:20.000Z
        updated	2026-09-21T14:13:20.000Z
        version	1
    "#]]
    .assert_eq(&by_name);
}

#[tokio::test]
async fn what_was_given_up_is_not_said_to_be_tried_again() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    let mut worker = fleet.run(&["get", "lab-1", "-o", "json"]).await.json();
    let failed = json!({ "kind": "capacity", "message": "no room", "retry_at": "later" });
    worker["attempt"] = json!({
        "action": "start", "number": 5, "issued_at": "t", "deadline": "t", "alternative": null, "accepted": false,
        "failed": failed,
    });
    let given_up = json!({ "action": "start", "tried_at": "t", "reason": "no room" });
    for (gave_up, again) in [(json!([]), true), (json!([given_up]), false)] {
        worker["gave_up"] = gave_up;
        let id = worker["id"].as_str().expect("an id").to_owned();
        fleet.will_answer(&format!("GET /workers/{id}"), 200, &[], &worker);
        let shown = fleet.run(&["get", &id]).await.ok();
        assert!(shown.contains("failed\tcapacity: no room"), "{shown}");
        assert_eq!(shown.contains("again at later"), again, "{shown}");
    }
}

#[tokio::test]
async fn filters_are_those_of_the_api() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    assert_eq!(fleet.run(&["list", "--status", "stopped"]).await.ok(), "");
    assert_eq!(fleet.run(&["list", "--region", "us-east-1", "--name", "lab-1"]).await.ok(), "");
    assert_eq!(fleet.last().line, "GET /workers?region=us-east-1&name=lab-1&limit=50");
}
