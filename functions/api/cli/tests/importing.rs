//! `import`: one, and many.

use domain::Observed;
use serde_json::json;

use crate::support::Fleet;

#[tokio::test]
async fn one_instance_is_imported_under_the_name_that_is_given() {
    let fleet = Fleet::new().await;
    fleet.world.has_instance("i-0123456789abcdef0", Observed::Running, &[]);
    let arguments = [
        "import",
        "--instance",
        "i-0123456789abcdef0",
        "--region",
        "eu-central-1",
        "--name",
        "lab-1",
        "--tag",
        "team=network",
        "--held",
        "not yet",
        "--protected",
        "--interval",
        "60",
        "-o",
        "json",
    ];
    let worker = fleet.run(&arguments).await.json();
    assert_eq!((&worker["name"], &worker["held"]["reason"]), (&json!("lab-1"), &json!("not yet")));
    assert_eq!(worker["settings"]["own"], json!({ "interval": 60 }));
    let again = fleet.run(&arguments).await;
    assert_eq!((again.code, again.err.contains("problem:instance-taken")), (3, true), "{}", again.err);
}

#[tokio::test]
async fn many_instances_are_imported_and_each_is_told_about() {
    let fleet = Fleet::new().await;
    for instance in ["i-0123456789abcdef0", "i-0123456789abcdef1"] {
        fleet.world.has_instance(instance, Observed::Running, &[]);
    }
    let ids = "i-0123456789abcdef0,i-0123456789abcdef1";
    let plan = fleet.run(&["import", "--ids", ids, "--dry-run", "-o", "json"]).await.json();
    assert_eq!((&plan["counts"]["would_import"], fleet.world.state().workers.len()), (&json!(2), 0));
    let ran = fleet.run(&["import", "--ids", ids, "--regions", "eu-central-1"]).await.ok();
    let words: Vec<Vec<&str>> = ran.lines().map(|line| line.split('\t').take(3).collect()).collect();
    assert_eq!(
        words,
        [
            ["i-0123456789abcdef0", "eu-central-1", "imported"],
            ["i-0123456789abcdef1", "eu-central-1", "imported"]
        ]
    );
    let gone = fleet.run(&["import", "--ids", "i-0123456789abcdef9"]).await;
    assert_eq!((gone.code, gone.err.as_str()), (6, "cml-fleet: 1 refused, 0 failed\n"), "{}", gone.out);
}

#[tokio::test]
async fn pages_of_an_import_are_asked_for_one_after_the_other_each_under_its_own_key() {
    let fleet = Fleet::new().await;
    let item = |id: &str| json!({ "instance_id": id, "outcome": "imported", "name": "x", "worker_id": "w" });
    let page = |id: &str, next: Option<&str>| json!({ "items": [item(id)], "next": next, "counts": { "imported": 1, "refused": 0 } });
    fleet.will_answer("POST /workers/import", 200, &[], &page("i-1", Some("b")));
    fleet.will_answer("POST /workers/import", 200, &[], &page("i-2", None));
    let ran = fleet
        .run(&["import", "--find-tag", "team=network", "--image-name", "cml*", "-o", "json"])
        .await
        .json();
    assert_eq!((&ran["counts"]["imported"], ran["items"].as_array().map(Vec::len)), (&json!(2), Some(2)));
    let seen = fleet.seen();
    let find = json!({ "tags": { "team": "network" }, "image_name": "cml*" });
    assert_eq!(seen[0].json(), json!({ "find": find }));
    assert_eq!(seen[1].json(), json!({ "find": find, "cursor": "b" }));
    assert_ne!(seen[0].header("idempotency-key"), seen[1].header("idempotency-key"));
}

#[tokio::test]
async fn what_was_imported_before_a_page_failed_is_told_before_the_failure() {
    let fleet = Fleet::new().await;
    let item = json!({ "instance_id": "i-1", "outcome": "imported", "name": "x", "worker_id": "w" });
    let page = json!({ "items": [item], "next": "b", "counts": { "imported": 1 } });
    for output in ["table", "json"] {
        fleet.will_answer("POST /workers/import", 200, &[], &page);
        fleet.will_answer("POST /workers/import", 500, &[], &json!({ "message": "Internal Server Error" }));
        let ran = fleet.run(&["import", "--find-tag", "team=network", "-o", output]).await;
        assert_eq!((ran.code, ran.err.contains("the answer was 500")), (1, true), "{}", ran.err);
        assert_eq!(ran.err.contains("--cursor b\n"), output == "table", "{}", ran.err);
        match output {
            "table" => assert_eq!(ran.out, "i-1\t-\timported\tx\tw\t-\n"),
            _ => assert_eq!(serde_json::from_str::<serde_json::Value>(&ran.out).expect("JSON"), page),
        }
    }
    // Which is where the next one goes on.
    let last = json!({ "items": [], "next": null, "counts": {} });
    fleet.will_answer("POST /workers/import", 200, &[], &page);
    fleet.will_answer("POST /workers/import", 200, &[], &last);
    let before = fleet.seen().len();
    fleet.run(&["import", "--find-tag", "team=network", "--cursor", "a"]).await.ok();
    let cursors: Vec<_> = fleet.seen()[before..].iter().map(|seen| seen.json()["cursor"].clone()).collect();
    assert_eq!(cursors, ["a", "b"]);
    let one = ["import", "--instance", "i-1", "--region", "eu-central-1", "--cursor", "b"];
    assert_eq!(fleet.run(&one).await.code, 2);
    fleet.will_answer("POST /workers/import", 200, &[], &last);
    let nothing = fleet.run(&["import", "--find-tag", "team=network"]).await;
    assert_eq!((nothing.code, nothing.err.as_str()), (0, "no instance is like that\n"));
}

#[tokio::test]
async fn what_would_be_refused_is_the_answer_of_a_dry_run_and_what_failed_is_none() {
    let fleet = Fleet::new().await;
    for (counts, dry, real) in [
        (json!({ "would_import": 1 }), 0, 0),
        (json!({ "refused": 1 }), 0, 6),
        (json!({ "failed": 1 }), 6, 6),
        (json!({ "refused": 1, "failed": 1 }), 6, 6),
    ] {
        for (flag, code) in [(Some("--dry-run"), dry), (None, real)] {
            let page = json!({ "items": [], "next": null, "counts": counts });
            fleet.will_answer("POST /workers/import", 200, &[], &page);
            let find = ["import", "--find-tag", "team=network"].into_iter().chain(flag);
            let ran = fleet.run(&find.collect::<Vec<_>>()).await;
            assert_eq!((ran.code, ran.err.is_empty()), (code, code == 0), "{counts} {flag:?}: {}", ran.err);
        }
    }
}

#[tokio::test]
async fn one_page_of_an_import_is_shown_as_the_api_wrote_it() {
    let fleet = Fleet::new().await;
    fleet.world.has_instance("i-0123456789abcdef0", Observed::Running, &[]);
    let shown = fleet.run(&["import", "--ids", "i-0123456789abcdef0", "-o", "json"]).await.ok();
    assert_eq!(shown.trim_end(), fleet.answered());
}
