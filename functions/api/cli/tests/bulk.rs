//! `bulk`, against the router that plans commands: what is shown, asked and sent.

use serde_json::{Value, json};

use crate::bulk_waiting::{became, command};
use crate::support::{Fleet, Person};

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
async fn a_plan_with_nothing_in_it_is_the_answer_and_no_question() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    fleet.world.pass(1);
    let start = ["bulk", "start", "--all", "-o", "json", "--timeout", "9"];
    let ran = fleet.run_by(&Person::at_a_terminal("y\n"), &start).await;
    let plan: Value = serde_json::from_str(&ran.out).expect("JSON");
    assert_eq!((ran.code, &plan["dry_run"], &plan["counts"]["unchanged"]), (0, &json!(true), &json!(1)));
    assert!(!ran.err.contains('?'), "{}", ran.err);
    let nobody = ["bulk", "start", "--filter", "name=no-such-*"];
    let ran = fleet.run_by(&Person::at_a_terminal("y\n"), &nobody).await;
    assert_eq!((ran.code, ran.err.ends_with("no worker is like that\n")), (0, true), "{}", ran.err);
    for flag in ["--dry-run", "--detach"] {
        let ran = fleet.run(&["bulk", "start", "--filter", "name=no-such-*", flag]).await;
        assert_eq!((ran.code, ran.err.as_str()), (0, "no worker is like that\n"), "{flag}: {}", ran.out);
    }
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
        // Nobody carries it out here, so that it is not known whether it was called off.
        let (said, called_off) = ("what is planned is called off, but for", arguments[0] == "bulk-cancel");
        let ran = fleet.run(&arguments).await;
        assert_eq!((ran.code, ran.err.starts_with(said)), (0, called_off), "{}", ran.err);
        let shown = ran.out;
        assert!(shown.starts_with(&format!("command\t{id}\naction\ttag\n")), "{shown}");
    }
    assert_eq!(fleet.run(&["bulk-status", "01890a5d-ac96-774b-bcce-00000000ffff"]).await.code, 4);
}

#[tokio::test]
async fn what_is_called_off_is_looked_at_until_it_is_known_what_was() {
    let called_off = |counts: &Value| {
        let mut command = command(&json!("c"), "cancelled", [0, 0, 0]);
        command["cancelled"] = json!({ "by": "ada", "at": "2026-01-01T00:00:00.000Z" });
        for (name, count) in counts.as_object().expect("counts") {
            command["counts"][name] = count.clone();
        }
        command
    };
    let first = called_off(&json!({ "planned": 60, "asked": 0 }));
    for (then, said) in [
        (json!({ "cancelled": 60, "asked": 0 }), ""),
        (json!({ "asked": 60 }), "nothing was called off"),
        (json!({ "planned": 60, "asked": 0 }), "what is planned is called off, but for"),
    ] {
        let fleet = Fleet::new().await;
        fleet.will_answer("POST /commands/c/cancel", 200, &[], &first);
        fleet.will_answer("GET /commands/c", 200, &[], &first);
        for _ in 0..9 {
            fleet.will_answer("GET /commands/c", 200, &[], &called_off(&then));
        }
        let ran = fleet.run(&["bulk-cancel", "c"]).await;
        assert_eq!(ran.code, 0, "{then}: {}", ran.err);
        assert!(ran.err.starts_with(said) && ran.err.is_empty() == said.is_empty(), "{then}: {}", ran.err);
    }
}

#[tokio::test]
async fn an_end_of_many_needs_a_yes_and_a_yes_at_a_terminal_is_to_the_number_that_was_shown() {
    let fleet = Fleet::new().await;
    let mut ids = Vec::new();
    for name in ["lab-1", "lab-2", "lab-3"] {
        ids.push(fleet.worker(name).await);
    }
    assert_eq!(fleet.run(&["bulk", "terminate", "--all"]).await.code, 2);
    let many = fleet.run(&["bulk", "terminate", "--all", "--yes"]).await;
    assert_eq!((many.code, many.err.contains("has to be confirmed")), (3, true), "{}", many.err);

    let no = fleet.run_by(&Person::at_a_terminal("n\n"), &["bulk", "terminate", "--all", "--detach"]).await;
    assert_eq!((no.code, fleet.last().json()["dry_run"].clone()), (1, json!(true)));
    assert!(no.err.contains("terminate 3 of 3 workers, in about "), "{}", no.err);

    let yes =
        fleet.run_by(&Person::at_a_terminal("yes\n"), &["bulk", "terminate", "--all", "--detach"]).await;
    assert_eq!(
        (yes.code, fleet.last().json()),
        (0, json!({ "action": "terminate", "workers": ids, "confirm": 3 }))
    );
}

#[tokio::test]
async fn a_yes_is_to_the_workers_that_were_shown() {
    let fleet = Fleet::new().await;
    let (held, taken) = (fleet.worker("lab-1").await, fleet.worker("lab-2").await);
    fleet.worker("other").await;
    fleet.run(&["hold", "lab-1", "--reason", "mine"]).await.ok();
    let stop = ["bulk", "stop", "--filter", "name=lab-*", "--detach"];
    let ran = fleet.run_by(&Person::at_a_terminal("y\n"), &stop).await;
    assert!(ran.err.contains("stop 1 of 2 workers, in about "), "{}", ran.err);
    assert_eq!(fleet.last().json(), json!({ "action": "stop", "workers": [taken, held] }));
    // Who is not asked has seen nothing.
    fleet.run(&[&stop[..], &["-o", "json"]].concat()).await;
    assert_eq!(fleet.last().json(), json!({ "action": "stop", "filter": { "name": "lab-*" } }));
}

#[tokio::test]
async fn more_workers_than_can_be_named_or_were_shown_are_asked_for_by_their_filter() {
    let fleet = Fleet::new().await;
    let description = fleet.run(&["openapi"]).await.json();
    let most = description["components"]["schemas"]["WorkerIds"]["maxItems"].as_u64().expect("a number");
    for (shown, next, are_named) in
        [(most, Value::Null, true), (most + 1, Value::Null, false), (2, json!("b"), false)]
    {
        let ids: Vec<String> =
            (0..shown).map(|number| format!("01890a5d-ac96-774b-bcce-{number:012x}")).collect();
        let mut plan = command(&Value::Null, "planned", [0, 0, 0]);
        plan["counts"]["planned"] = json!(shown);
        plan["items"] = ids.iter().map(|id| became(id, "lab", "planned", None)).collect();
        plan["next"] = next;
        fleet.will_answer("POST /commands", 200, &[], &plan);
        fleet.will_answer("POST /commands", 202, &[], &command(&json!("c"), "running", [0, 0, 0]));
        fleet.run_by(&Person::at_a_terminal("y\n"), &["bulk", "stop", "--all", "--detach"]).await;
        let wanted = match are_named {
            true => json!({ "action": "stop", "workers": ids }),
            false => json!({ "action": "stop", "filter": {} }),
        };
        assert!(fleet.last().json() == wanted, "{shown}: {}", fleet.last().body.len());
    }
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
