//! `bulk`, against the router that plans commands.

use serde_json::{Value, json};

use crate::support::{Fleet, Outside, Person, Ran};

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
    assert!(ran.starts_with("lab-1\tplanned\t-\t-\t") && ran.contains("\nstatus\tplanned\n"), "{ran}");
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
        ran.starts_with(&format!(
            "lab-1\tplanned\t-\t-\t{first}\nlab-2\tplanned\t-\t-\t{second}\ncommand\tc\n"
        )),
        "{ran}"
    );
    assert!(ran.contains("progress\t2 done, 0 waiting, 0 failed, 0 superseded\n"), "{ran}");
    assert_eq!(person.outside.slept(), [2000]);
    let asked = fleet.seen().into_iter().find(|seen| seen.line == "POST /commands").expect("asked");
    assert_eq!(asked.json(), json!({ "action": "stop", "workers": [first, second] }));

    fleet.will_answer("POST /commands", 202, &[], &accepted);
    fleet.will_answer("GET /commands/c", 200, &[], &command(&json!("c"), "done", [0, 1, 1]));
    fleet.will_answer("GET /commands/c/workers?limit=100", 200, &[], &json!({ "items": [], "next": null }));
    let ran = fleet.run(&["bulk", "stop", "--all"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (6, "cml-fleet: 1 failed\n"));
}

#[tokio::test]
async fn a_command_is_waited_for_from_when_it_was_accepted_and_no_longer_than_was_said() {
    let fleet = Fleet::new().await;
    let running = command(&json!("c"), "running", [1, 1, 0]);
    fleet.will_answer("POST /commands", 503, &[("retry-after", "7")], &json!({}));
    fleet.will_answer("POST /commands", 202, &[], &command(&json!("c"), "running", [0, 0, 0]));
    for _ in 0..5 {
        fleet.will_answer("GET /commands/c", 200, &[], &running);
    }
    fleet.will_answer("GET /commands/c/workers?limit=100", 200, &[], &json!({ "items": [], "next": null }));
    let person = Person::default();
    let ran = fleet.run_by(&person, &["bulk", "stop", "--all", "--timeout", "10"]).await;
    let vain = "cml-fleet: the command c is not done yet: 1 done, 1 waiting, 0 failed\n";
    assert_eq!((ran.code, ran.err.as_str()), (6, vain));
    assert_eq!(person.outside.slept(), [7000, 2000, 3000, 4500, 500]);
}

#[tokio::test]
async fn a_command_whose_workers_cannot_be_shown_is_waited_for_all_the_same() {
    let fleet = Fleet::new().await;
    let mut accepted = command(&json!("c"), "running", [0, 0, 0]);
    accepted["items"] = json!([]);
    accepted["next"] = json!("b");
    fleet.will_answer("POST /commands", 202, &[], &accepted);
    let line = "GET /commands/c/workers?limit=100";
    fleet.will_answer(line, 500, &[], &json!({ "message": "Internal Server Error" }));
    fleet.will_answer("GET /commands/c", 200, &[], &command(&json!("c"), "done", [0, 1, 0]));
    let ran = fleet.run(&["bulk", "stop", "--all", "--timeout", "60"]).await;
    assert_eq!((ran.code, ran.out.starts_with("command\tc\n")), (0, true), "{}", ran.out);
    assert_eq!(ran.err, "cml-fleet: the answer was 500: Internal Server Error\n");
}

#[tokio::test]
async fn a_command_goes_on_being_waited_for_while_the_api_is_away() {
    let fleet = Fleet::new().await;
    fleet.will_answer("POST /commands", 202, &[], &command(&json!("c"), "running", [0, 0, 0]));
    fleet.will_be_away("GET /commands/c", 40);
    fleet.will_answer("GET /commands/c", 200, &[], &command(&json!("c"), "done", [0, 1, 0]));
    let ran = fleet.run(&["bulk", "stop", "--all", "-o", "json"]).await;
    let status = serde_json::from_str::<Value>(&ran.out).expect("JSON")["status"].clone();
    assert_eq!((ran.code, status, ran.err.lines().count()), (0, json!("done"), 1), "{}", ran.err);
}

/// What has become of a command for a worker.
fn became(id: &str, name: &str, outcome: &str, progress: Option<&str>) -> Value {
    let refusal = (outcome == "refused").then(|| json!({ "code": "held", "text": "it is held" }));
    json!({ "worker_id": id, "name": name, "outcome": outcome, "progress": progress, "refusal": refusal })
}

/// A fleet where a command ends like this.
async fn ending(fleet: &Fleet, last: &Value, arguments: &[&str]) -> Ran {
    let mut accepted = command(&json!("c"), "running", [0, 0, 0]);
    accepted["items"] = json!([]);
    fleet.will_answer("POST /commands", 202, &[], &accepted);
    fleet.will_answer("GET /commands/c", 200, &[], last);
    fleet.run(&[&["bulk", "stop", "--all", "--timeout", "60"][..], arguments].concat()).await
}

#[tokio::test]
async fn what_has_not_come_about_is_shown_worker_by_worker_and_why() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-2").await;
    let mut stuck = fleet.run(&["get", &id, "-o", "json"]).await.json();
    stuck["gave_up"] =
        json!([{ "action": "stop", "tried_at": "2026-01-01T00:00:00.000Z", "reason": "8 tries" }]);
    fleet.will_answer(&format!("GET /workers/{id}"), 200, &[], &stuck);
    let first = [became("w", "lab-1", "asked", Some("done")), became(&id, "lab-2", "asked", Some("failed"))];
    let second = [
        became("w", "lab-3", "refused", None),
        became("w", "lab-4", "superseded", None),
        became("w", "lab-5", "cancelled", None),
        became("w", "lab-6", "unchanged", None),
        became("w", "lab-7", "asked", Some("superseded")),
    ];
    let pages = || {
        let line = "GET /commands/c/workers?limit=100";
        fleet.will_answer(line, 200, &[], &json!({ "items": first, "next": "b" }));
        let next = format!("{line}&cursor=b");
        fleet.will_answer(&next, 200, &[], &json!({ "items": second, "next": null }));
    };
    let mut last = command(&json!("c"), "done", [0, 1, 1]);
    last["counts"]["refused"] = json!(1);
    pages();
    let ran = ending(&fleet, &last, &[]).await;
    let amiss = format!(
        "\nlab-2\tasked\tfailed\tstop: 8 tries\t{id}\nlab-3\trefused\t-\theld: it is held\tw\n\
         lab-4\tsuperseded\t-\t-\tw\nlab-5\tcancelled\t-\t-\tw\nlab-7\tasked\tsuperseded\t-\tw\n"
    );
    assert!(ran.out.ends_with(&amiss) && !ran.out.contains("lab-1"), "{}", ran.out);
    assert_eq!((ran.code, ran.err.as_str()), (6, "cml-fleet: 1 refused, 1 failed\n"));

    pages();
    let shown = fleet.run(&["bulk-status", "c", "--workers"]).await.ok();
    assert!(shown.starts_with("lab-1\tasked\tdone\t-\tw\nlab-2\tasked\tfailed\t-\t"), "{shown}");
    assert_eq!(shown.lines().count(), 7);
    pages();
    let json = fleet.run(&["bulk-status", "c", "--workers", "-o", "json"]).await.json();
    let all = [&first[..], &second[..]].concat();
    assert_eq!(json, json!({ "items": all, "next": null }));
}

#[tokio::test]
async fn of_many_that_failed_only_some_are_looked_up_and_all_are_named() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let line = "GET /commands/c/workers?limit=100";
    let last = command(&json!("c"), "done", [0, 0, 23]);
    let items: Vec<Value> =
        (1..=23).map(|number| became(&id, &format!("lab-{number}"), "asked", Some("failed"))).collect();
    fleet.will_answer(line, 200, &[], &json!({ "items": items, "next": null }));
    let before = fleet.seen().len();
    let ran = ending(&fleet, &last, &[]).await;
    let looks =
        fleet.seen()[before..].iter().filter(|seen| seen.line == format!("GET /workers/{id}")).count();
    assert_eq!((ran.code, looks, ran.out.matches("\tfailed\t").count()), (6, 20, 23), "{}", ran.out);
    let more = "cml-fleet: 3 more have failed; cml-fleet get says why\n";
    assert_eq!(ran.err, format!("{more}cml-fleet: 23 failed\n"));

    // Who is not found is named all the same, and what came of the command is how it ends.
    let items = [became("01890a5d-ac96-774b-bcce-00000000ffff", "lab-9", "asked", Some("failed"))];
    fleet.will_answer(line, 200, &[], &json!({ "items": items, "next": null }));
    let ran = ending(&fleet, &last, &[]).await;
    assert_eq!((ran.code, ran.out.contains("\nlab-9\tasked\tfailed\t-\t")), (6, true), "{}", ran.out);
    assert!(ran.err.contains("There is no such worker"), "{}", ran.err);
    assert!(ran.err.ends_with("cml-fleet: 23 failed\n"), "{}", ran.err);
}

#[tokio::test]
async fn a_command_that_was_called_off_or_overtaken_has_not_come_about() {
    let fleet = Fleet::new().await;
    let called_off = json!({ "by": "ada", "at": "2026-01-01T00:00:01.000Z" });
    for (counts, overtaken, cancelled, said) in [
        (json!({ "cancelled": 2 }), 0, called_off.clone(), "2 cancelled"),
        (json!({ "cancelled": 1, "planned": 2 }), 0, called_off.clone(), "3 cancelled"),
        (json!({ "superseded": 1 }), 0, Value::Null, "1 superseded"),
        (json!({ "superseded": 1 }), 2, Value::Null, "3 superseded"),
        (json!({}), 0, called_off, ""),
    ] {
        let mut last =
            command(&json!("c"), if cancelled.is_null() { "done" } else { "cancelled" }, [0, 1, 0]);
        for (name, count) in counts.as_object().expect("counts") {
            last["counts"][name] = count.clone();
        }
        last["progress"]["superseded"] = json!(overtaken);
        last["cancelled"] = cancelled;
        let ran = ending(&fleet, &last, &["-o", "json"]).await;
        let wanted = if said.is_empty() { 0 } else { 6 };
        assert_eq!(
            (ran.code, ran.err.contains(&format!("\"{said}\""))),
            (wanted, wanted == 6),
            "{}",
            ran.err
        );
    }
}

#[tokio::test]
async fn a_plan_with_nothing_in_it_is_the_answer_and_no_question() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    fleet.world.pass(1);
    let start = ["bulk", "start", "--all", "-o", "json", "--timeout", "9"];
    let ran = fleet.run_by(&Person::at_a_terminal("y\n"), &start).await;
    let plan: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((ran.code, &plan["dry_run"], &plan["counts"]["unchanged"]), (0, &json!(true), &json!(1)));
    assert!(!ran.err.contains('?'), "{}", ran.err);
}

#[tokio::test]
async fn nobody_is_asked_and_nothing_is_drawn_unless_all_are_terminals() {
    let fleet = Fleet::new().await;
    for terminals in [[false, true, true], [true, false, true]] {
        let person = Person::with_terminals(terminals);
        fleet.will_answer("POST /commands", 202, &[], &command(&json!("c"), "running", [0, 0, 0]));
        fleet.will_answer("GET /commands/c", 200, &[], &command(&json!("c"), "done", [0, 1, 0]));
        let before = fleet.seen().len();
        fleet.run_by(&person, &["bulk", "stop", "--all", "-o", "json"]).await.ok();
        assert_eq!(fleet.seen().len() - before, 2, "{terminals:?}");
        let end = fleet.run_by(&person, &["bulk", "terminate", "--all"]).await;
        assert_eq!((end.code, fleet.seen().len() - before), (2, 2), "{terminals:?}: {}", end.err);
        let end = fleet.run_by(&person, &["terminate", "lab-1"]).await;
        assert_eq!((end.code, fleet.seen().len() - before), (2, 2), "{terminals:?}: {}", end.err);
    }
    // Who cannot answer is not asked, but may look on.
    let person = Person::with_terminals([true, true, false]);
    fleet.will_answer("POST /commands", 202, &[], &command(&json!("c"), "running", [0, 0, 0]));
    fleet.will_answer("GET /commands/c", 200, &[], &command(&json!("c"), "done", [0, 1, 0]));
    let ran = fleet.run_by(&person, &["bulk", "stop", "--all", "-o", "json"]).await;
    assert_eq!(
        (ran.code, ran.err.starts_with("command c; it goes on without you")),
        (0, true),
        "{}",
        ran.err
    );
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
