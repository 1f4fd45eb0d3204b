//! `bulk`, against the router that plans commands.

use serde_json::{Value, json};

use crate::support::{Fleet, Outside, Person};

/// A command as the API shows it later.
fn command(id: &Value, status: &str, [waiting, done, failed]: [u32; 3]) -> Value {
    json!({
        "id": id, "action": "stop", "dry_run": false, "status": status, "by": "admin", "at": "2026-01-01T00:00:00.000Z",
        "counts": { "planned": 0, "asked": 2, "unchanged": 0, "superseded": 0, "cancelled": 0, "refused": 0 },
        "ec2_calls": 1, "eta_seconds": 3, "eta": "2026-01-01T00:00:03.000Z", "cancelled": null,
        "progress": { "waiting": waiting, "done": done, "failed": failed, "superseded": 0 }, "items": null, "next": null,
    })
}

#[tokio::test]
async fn a_dry_run_shows_the_plan_and_changes_nothing() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    fleet.worker("other").await;
    let ran = fleet
        .run(&["bulk", "stop", "--filter", "name=lab-*", "--filter", "status=running", "--dry-run"])
        .await
        .ok();
    assert!(ran.starts_with("lab-1\tplanned\t-\t") && ran.contains("\nstatus\tplanned\n"), "{ran}");
    let wanted =
        json!({ "action": "stop", "dry_run": true, "filter": { "name": "lab-*", "status": "running" } });
    assert_eq!(fleet.last().json(), wanted);
    assert_eq!(fleet.run(&["get", "lab-1", "-o", "json"]).await.json()["desired"], "running");
}

#[tokio::test]
async fn a_command_is_shown_then_waited_for() {
    let fleet = Fleet::new().await;
    let (first, second) = (fleet.worker("lab-1").await, fleet.worker("lab-2").await);
    let accepted = command(&json!("c"), "running", [0, 0, 0]);
    let item = |id: &str, name: &str| json!({ "worker_id": id, "name": name, "outcome": "planned", "progress": null, "refusal": null });
    let mut accepted = accepted;
    accepted["progress"] = Value::Null;
    accepted["items"] = json!([item(&first, "lab-1"), item(&second, "lab-2")]);
    fleet.will_answer("POST /commands", 202, &[], &accepted);
    fleet.will_answer("GET /commands/c", 200, &[], &command(&json!("c"), "running", [2, 0, 0]));
    fleet.will_answer("GET /commands/c", 200, &[], &command(&json!("c"), "done", [0, 2, 0]));
    let person = Person { outside: Outside::default(), ..Person::default() };
    let ran = fleet.run_by(&person, &["bulk", "stop", "--workers", "lab-1,lab-2"]).await.ok();
    assert!(
        ran.starts_with(&format!("lab-1\tplanned\t-\t{first}\nlab-2\tplanned\t-\t{second}\ncommand\tc\n")),
        "{ran}"
    );
    assert!(ran.contains("progress\t2 done, 0 waiting, 0 failed, 0 superseded\n"), "{ran}");
    assert_eq!(person.outside.slept(), [2000]);
    let asked = fleet.seen().into_iter().find(|seen| seen.line == "POST /commands").expect("asked");
    assert_eq!(asked.json(), json!({ "action": "stop", "workers": [first, second] }));

    fleet.will_answer("POST /commands", 202, &[], &accepted);
    fleet.will_answer("GET /commands/c", 200, &[], &command(&json!("c"), "done", [0, 1, 1]));
    let ran = fleet.run(&["bulk", "stop", "--all"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (6, "cml-fleet: 0 refused, 1 failed\n"));

    fleet.will_answer("POST /commands", 202, &[], &accepted);
    for _ in 0..3 {
        fleet.will_answer("GET /commands/c", 200, &[], &command(&json!("c"), "running", [1, 1, 0]));
    }
    let ran = fleet.run(&["bulk", "stop", "--all", "--timeout", "3"]).await;
    let vain = "cml-fleet: the command c is not done yet: 1 done, 1 waiting, 0 failed\n";
    assert_eq!((ran.code, ran.err.as_str()), (6, vain));
}

#[tokio::test]
async fn the_router_takes_what_is_sent_and_shows_what_can_be_read() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    let ran = fleet
        .run(&[
            "bulk",
            "tag",
            "--all",
            "--tag",
            "team=network",
            "--remove-tag",
            "old",
            "--detach",
            "-o",
            "json",
        ])
        .await
        .json();
    let id = ran["id"].as_str().expect("an id").to_owned();
    assert_eq!(
        fleet.last().json(),
        json!({ "action": "tag", "filter": {}, "tags": { "team": "network", "old": null } })
    );
    for arguments in [vec!["bulk-status", &id], vec!["bulk-cancel", &id]] {
        let shown = fleet.run(&arguments).await.ok();
        assert!(shown.starts_with(&format!("command\t{id}\naction\ttag\n")), "{shown}");
    }
    assert_eq!(fleet.run(&["bulk-status", "01890a5d-ac96-774b-bcce-00000000ffff"]).await.code, 4);
}

#[tokio::test]
async fn an_end_of_many_needs_a_yes_and_a_yes_at_a_terminal_is_to_the_number_that_was_shown() {
    let fleet = Fleet::new().await;
    for name in ["lab-1", "lab-2", "lab-3"] {
        fleet.worker(name).await;
    }
    assert_eq!(fleet.run(&["bulk", "terminate", "--all"]).await.code, 2);
    let many = fleet.run(&["bulk", "terminate", "--all", "--yes"]).await;
    assert_eq!((many.code, many.err.contains("ended only with their number")), (3, true), "{}", many.err);

    let no = fleet.run_by(&Person::at_a_terminal("n\n"), &["bulk", "terminate", "--all", "--detach"]).await;
    assert_eq!((no.code, fleet.last().json()["dry_run"].clone()), (1, json!(true)));
    assert!(no.err.contains("terminate 3 of 3 workers, in about "), "{}", no.err);

    let yes =
        fleet.run_by(&Person::at_a_terminal("yes\n"), &["bulk", "terminate", "--all", "--detach"]).await;
    assert_eq!(
        (yes.code, fleet.last().json()),
        (0, json!({ "action": "terminate", "filter": {}, "confirm": 3 }))
    );
}

#[tokio::test]
async fn a_filter_that_is_none_is_not_sent() {
    let fleet = Fleet::new().await;
    for filter in ["colour=red", "status", "name=a name=b"] {
        let arguments: Vec<&str> = ["bulk", "stop"]
            .into_iter()
            .chain(filter.split(' ').flat_map(|filter| ["--filter", filter]))
            .collect();
        assert_eq!(fleet.run(&arguments).await.code, 2, "{filter}");
    }
    assert_eq!(fleet.run(&["bulk", "stop"]).await.code, 2);
    assert!(fleet.seen().is_empty());
}
