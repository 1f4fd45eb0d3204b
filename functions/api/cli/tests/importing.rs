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
