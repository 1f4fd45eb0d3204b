//! `bulk` while it waits: what is told of a command that goes on, ends, or cannot be seen any more.

use serde_json::{Value, json};

use crate::support::{Closing, Fleet, Outside, Person, Pipe, Ran};

/// The id of a worker that need not exist.
const WORKER: &str = "01890a5d-ac96-774b-bcce-000000000001";
/// What is said of a command that is not waited for any more.
const GOES_ON: &str = "command c goes on: cml-fleet bulk-status c";

/// A command as the API shows it later.
pub(crate) fn command(id: &Value, status: &str, [waiting, done, failed]: [u32; 3]) -> Value {
    json!({
        "id": id, "action": "stop", "dry_run": false, "status": status, "by": "admin", "at": "2026-01-01T00:00:00.000Z",
        "counts": { "planned": 0, "asked": 2, "unchanged": 0, "superseded": 0, "cancelled": 0, "refused": 0 },
        "ec2_calls": 1, "eta_seconds": 3, "eta": "2026-01-01T00:00:03.000Z", "cancelled": null,
        "progress": { "waiting": waiting, "done": done, "failed": failed, "superseded": 0 }, "items": null, "next": null,
    })
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
    let vain = format!("cml-fleet: not done yet: 1 done, 1 waiting, 0 failed; {GOES_ON}\n");
    assert_eq!((ran.code, ran.err), (6, vain));
    assert!(ran.out.contains("progress\t1 done, 1 waiting, 0 failed, 0 superseded\n"), "{}", ran.out);
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

#[tokio::test]
async fn a_command_that_cannot_be_seen_any_more_is_shown_as_it_was_seen_last_and_named() {
    let fleet = Fleet::new().await;
    let accepted = command(&json!("c"), "running", [0, 0, 0]);
    let seen = command(&json!("c"), "running", [1, 1, 0]);
    let expired = json!({ "message": "The incoming token has expired" });
    // Before there was a look the answer to the request itself is the last one.
    for last in [&accepted, &seen] {
        for output in ["table", "json"] {
            fleet.will_answer("POST /commands", 202, &[], &accepted);
            if last == &seen {
                fleet.will_answer("GET /commands/c", 200, &[], last);
            }
            fleet.will_answer("GET /commands/c", 401, &[], &expired);
            let line = "GET /commands/c/workers?limit=100";
            fleet.will_answer(line, 200, &[], &json!({ "items": [], "next": null }));
            let ran = fleet.run(&["bulk", "stop", "--workers", WORKER, "-o", output]).await;
            let said = format!("the answer was 401: The incoming token has expired; {GOES_ON}");
            if output == "json" {
                assert_eq!((ran.code, ran.out), (5, format!("{last}\n")));
                let problem: Value = serde_json::from_str(&ran.err).expect("JSON");
                assert_eq!((&problem["status"], &problem["detail"]), (&json!(401), &json!(said)));
            } else {
                assert_eq!((ran.code, ran.err), (5, format!("cml-fleet: {said}\n")));
                let done = format!("progress\t{} done, ", last["progress"]["done"]);
                assert!(ran.out.starts_with("command\tc\n") && ran.out.contains(&done), "{}", ran.out);
            }
        }
    }
}

#[tokio::test]
async fn a_problem_of_the_api_stays_what_it_is_when_it_ends_a_wait() {
    let fleet = Fleet::new().await;
    let problem = json!({
        "type": "urn:cml-fleet:problem:forbidden", "title": "The caller may not do this", "status": 403,
        "detail": "not you", "request_id": "r",
    });
    fleet.will_answer("POST /commands", 202, &[], &command(&json!("c"), "running", [0, 0, 0]));
    fleet.will_answer("GET /commands/c", 403, &[], &problem);
    let ran = fleet.run(&["bulk", "stop", "--all", "-o", "json"]).await;
    let mut said = problem;
    said["detail"] = json!(format!("not you; {GOES_ON}"));
    assert_eq!((ran.code, serde_json::from_str::<Value>(&ran.err).expect("JSON")), (5, said));
}

#[tokio::test]
async fn a_command_is_named_as_well_if_the_api_is_away_until_the_end() {
    let fleet = Fleet::new().await;
    let away = "the answer was 503: Service Unavailable";
    for output in ["table", "json"] {
        let accepted = command(&json!("c"), "running", [0, 0, 0]);
        fleet.will_answer("POST /commands", 202, &[], &accepted);
        fleet.will_be_away("GET /commands/c", 40);
        let line = "GET /commands/c/workers?limit=100";
        fleet.will_answer(line, 200, &[], &json!({ "items": [], "next": null }));
        let ran = fleet.run(&["bulk", "stop", "--all", "--timeout", "12", "-o", output]).await;
        let ends = match output {
            "json" => format!("{accepted}\n"),
            _ => "eta\t2026-01-01T00:00:03.000Z (3 s)\n".to_owned(),
        };
        assert_eq!((ran.code, ran.out.ends_with(&ends)), (1, true), "{}", ran.out);
        // It is said once when it begins, and again since it is how it ends.
        assert_eq!((ran.err.matches(away).count(), ran.err.lines().count()), (2, 2), "{}", ran.err);
        assert!(ran.err.contains(&format!("{away}; {GOES_ON}")), "{}", ran.err);
    }
}

#[tokio::test]
async fn who_does_not_read_on_is_not_told_that_a_command_goes_on() {
    let fleet = Fleet::new().await;
    fleet.will_answer("POST /commands", 202, &[], &command(&json!("c"), "running", [0, 0, 0]));
    fleet.will_answer("GET /commands/c", 401, &[], &json!({ "message": "Unauthorized" }));
    let err = Pipe::default();
    let bulk = ["bulk", "stop", "--all", "-o", "json", "--url", &fleet.url];
    let code = Person::default().run_into(Closing(3), err.clone(), &bulk).await;
    assert_eq!((code, err.text()), (0, String::new()));
}

/// What has become of a command for a worker.
pub(crate) fn became(id: &str, name: &str, outcome: &str, progress: Option<&str>) -> Value {
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
async fn why_it_failed_is_what_was_given_up_of_what_was_asked() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let mut stuck = fleet.run(&["get", &id, "-o", "json"]).await.json();
    let last = command(&json!("c"), "done", [0, 0, 1]);
    for (gave_up, why) in [
        (vec!["launch", "reboot", "stop", "tag"], "stop: no stop"),
        // It was in the way of what was asked.
        (vec!["launch", "reboot", "tag"], "launch: no launch"),
        (vec!["reboot", "tag"], "-"),
        (vec!["another"], "-"),
        (vec![], "-"),
    ] {
        let given_up = |action: &&str| json!({ "action": action, "tried_at": "2026-01-01T00:00:00.000Z", "reason": format!("no {action}") });
        stuck["gave_up"] = gave_up.iter().map(given_up).collect();
        fleet.will_answer(&format!("GET /workers/{id}"), 200, &[], &stuck);
        let items = [became(&id, "lab-1", "asked", Some("failed"))];
        let line = "GET /commands/c/workers?limit=100";
        fleet.will_answer(line, 200, &[], &json!({ "items": items, "next": null }));
        let ran = ending(&fleet, &last, &[]).await;
        let row = format!("\nlab-1\tasked\tfailed\t{why}\t{id}\n");
        assert_eq!((ran.code, ran.out.ends_with(&row)), (6, true), "{gave_up:?}: {}", ran.out);
    }
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
async fn who_is_planned_still_when_a_command_is_called_off_is_waited_for() {
    let called_off = |planned: u32, asked: u32, cancelled: u32| {
        let mut command = command(&json!("c"), "cancelled", [0, asked, 0]);
        command["cancelled"] = json!({ "by": "ada", "at": "2026-01-01T00:00:01.000Z" });
        for (name, count) in [("planned", planned), ("asked", asked), ("cancelled", cancelled)] {
            command["counts"][name] = count.into();
        }
        command
    };
    // A chunk that was being recorded just then is carried out, another is marked as called off.
    for (then, code, said) in
        [(called_off(0, 3, 0), 0, ""), (called_off(0, 0, 3), 6, "cml-fleet: 3 cancelled\n")]
    {
        let fleet = Fleet::new().await;
        fleet.will_answer("POST /commands", 202, &[], &command(&json!("c"), "running", [0, 0, 0]));
        fleet.will_answer("GET /commands/c", 200, &[], &called_off(3, 0, 0));
        fleet.will_answer("GET /commands/c", 200, &[], &then);
        for _ in 0..2 {
            let nobody = json!({ "items": [], "next": null });
            fleet.will_answer("GET /commands/c/workers?limit=100", 200, &[], &nobody);
        }
        let ran = fleet.run(&["bulk", "stop", "--all"]).await;
        assert_eq!((ran.code, ran.err.as_str()), (code, said), "{}", ran.out);
    }
}

#[tokio::test]
async fn a_command_that_was_called_off_or_overtaken_has_not_come_about() {
    let fleet = Fleet::new().await;
    let called_off = json!({ "by": "ada", "at": "2026-01-01T00:00:01.000Z" });
    for (counts, overtaken, cancelled, said) in [
        (json!({ "cancelled": 2 }), 0, called_off.clone(), "2 cancelled"),
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
