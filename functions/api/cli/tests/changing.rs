//! What changes one worker.

use serde_json::{Value, json};

use crate::support::{Fleet, Outside, Person};

#[tokio::test]
async fn orders_are_given_by_name_each_with_a_key_of_its_own() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    for (verb, desired) in
        [("stop", "stopped"), ("start", "running"), ("reboot", "running"), ("sync", "running")]
    {
        let ran = fleet.run(&[verb, "lab-1", "-o", "json"]).await.json();
        assert_eq!((&ran["id"], &ran["desired"]), (&json!(id), &json!(desired)), "{verb}");
        let last = fleet.last();
        assert_eq!(last.line, format!("POST /workers/{id}/{verb}"));
        assert_eq!((last.header("idempotency-key").len(), last.body.as_str()), (36, ""), "{verb}");
    }
}

#[tokio::test]
async fn patches_hold_protect_and_tag() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    let patched = async |arguments: &[&str]| {
        let mut all = arguments.to_vec();
        all.extend(["-o", "json"]);
        let worker = fleet.run(&all).await.json();
        (fleet.last().json(), worker)
    };
    let (body, worker) = patched(&["hold", "lab-1", "--reason", "a disk is swapped"]).await;
    assert_eq!(body, json!({ "held": "a disk is swapped" }));
    assert_eq!(worker["held"]["reason"], "a disk is swapped");
    let (body, worker) = patched(&["release", "lab-1"]).await;
    assert_eq!((body, &worker["held"]), (json!({ "held": null }), &Value::Null));
    assert_eq!(patched(&["protect", "lab-1"]).await.1["protected"], true);
    assert_eq!(patched(&["unprotect", "lab-1"]).await.1["protected"], false);
    patched(&["tag", "lab-1", "team=network", "room=4"]).await;
    let (body, worker) = patched(&["tag", "lab-1", "room=5", "--remove", "team"]).await;
    assert_eq!(body, json!({ "tags": { "room": "5", "team": null } }));
    assert_eq!(worker["tags"], json!({ "room": "5" }));
}

#[tokio::test]
async fn a_change_of_an_older_version_is_refused() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    assert_eq!(fleet.run(&["stop", "lab-1", "--if-version", "1"]).await.code, 0);
    let ran = fleet.run(&["start", "lab-1", "--if-version", "1"]).await;
    assert_eq!((ran.code, ran.err.contains("The worker has changed")), (3, true), "{}", ran.err);
}

#[tokio::test]
async fn an_end_is_asked_for_at_a_terminal_and_has_to_be_wanted_in_a_pipe() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let status = async || fleet.run(&["get", &id, "-o", "json"]).await.json()["status"].clone();

    let ran = fleet.run(&["terminate", "lab-1"]).await;
    assert_eq!(
        (ran.code, fleet.last().line.starts_with("POST")),
        (2, true),
        "nothing was asked: {}",
        ran.err
    );

    let no = fleet.run_by(&Person::at_a_terminal("n\n"), &["terminate", "lab-1"]).await;
    assert_eq!((no.code, status().await), (1, json!("running")));
    let question = format!("Terminate lab-1 ({id}) and its instance i-00000000000000001? [y/N] ");
    assert_eq!(no.err, format!("{question}cml-fleet: nothing was done\n"));
    let silence = fleet.run_by(&Person::at_a_terminal(""), &["terminate", "lab-1"]).await;
    assert_eq!((silence.code, status().await), (1, json!("running")));

    let yes = fleet.run_by(&Person::at_a_terminal("y\n"), &["terminate", "lab-1"]).await;
    assert_eq!((yes.code, status().await), (0, json!("terminating")));
}

#[tokio::test]
async fn a_protected_worker_is_ended_by_its_name_and_a_forgotten_one_leaves_its_instance() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    let second = fleet.worker("lab-2").await;
    fleet.run(&["protect", "lab-1"]).await.ok();
    assert_eq!(fleet.run(&["terminate", "lab-1", "--yes"]).await.code, 3);
    assert_eq!(fleet.run(&["terminate", "lab-1", "--confirm", "lab-2"]).await.code, 3);
    assert_eq!(fleet.run(&["terminate", "lab-1", "--confirm", "lab-1"]).await.code, 0);
    fleet.run(&["terminate", "lab-2", "--forget", "--yes"]).await.ok();
    assert_eq!(fleet.last().line, format!("DELETE /workers/{second}?forget=true"));
}

#[tokio::test]
async fn who_has_an_id_and_need_not_ask_looks_nothing_up() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let before = fleet.seen().len();
    fleet.run(&["terminate", &id, "--yes"]).await.ok();
    assert_eq!((fleet.seen().len() - before, fleet.last().line), (1, format!("DELETE /workers/{id}")));
}

#[tokio::test]
async fn a_worker_is_created_from_flags_for_every_field_of_the_request() {
    let fleet = Fleet::new().await;
    fleet.world.state().image = Some("ami-0123456789abcdef0".into());
    let flags = [
        "create",
        "--name",
        "lab-9",
        "--region",
        "eu-central-1",
        "--protected",
        "--tag",
        "team=network",
        "--image-name",
        "cml-2.8*",
        "--image-owner",
        "self",
        "--instance-type",
        "m5zn.metal",
        "--launch-template-name",
        "cml",
        "--launch-template-version",
        "$Latest",
        "--subnet",
        "subnet-0123456789abcdef0",
        "--security-group",
        "sg-0123456789abcdef0,sg-0123456789abcdef1",
        "--key-name",
        "ops",
        "--instance-profile",
        "cml-worker",
        "--root-volume-gib",
        "200",
        "--root-volume-type",
        "gp3",
        "--user-data",
        "-",
        "--alternative",
        "instance_type=c5.metal,subnet=subnet-0123456789abcdef1",
        "--alternative",
        "instance_type=m5.metal",
        "--monitoring",
        "true",
        "--interval",
        "60",
        "--drift",
        "revert",
        "--cpu",
        "80",
        "--memory",
        "81",
        "--disk",
        "82",
        "--alert-duration",
        "900",
        "-o",
        "json",
    ];
    let person = Person { input: "#!/bin/sh\n", ..Person::default() };
    let worker = fleet.run_by(&person, &flags).await.json();
    assert_eq!((&worker["name"], &worker["settings"]["own"]["disk"]), (&json!("lab-9"), &json!(82)));

    // Each property of the schemas has been sent: a field that the API gets later needs its flag.
    let document: Value = serde_json::from_str(include_str!("../../openapi.json")).expect("JSON");
    let sent = fleet.last().json();
    for (schema, object) in [
        ("NewWorker", &sent),
        ("Spec", &sent["spec"]),
        ("Settings", &sent["settings"]),
        ("Alternative", &sent["spec"]["alternatives"][0]),
    ] {
        let properties = document["components"]["schemas"][schema]["properties"].as_object().expect(schema);
        for property in properties.keys() {
            assert!(object.get(property).is_some(), "{schema}.{property} has no flag");
        }
    }
    assert_eq!(sent["spec"]["user_data"], "#!/bin/sh\n");
}

#[tokio::test]
async fn a_worker_is_created_from_a_file_and_a_fault_in_it_is_told_by_its_place_only() {
    let fleet = Fleet::new().await;
    let body = r#"{"name":"lab-1","region":"eu-central-1","spec":{"image":"ami-0123456789abcdef0","instance_type":"m5zn.metal"}}"#;
    let person = Person { input: body, ..Person::default() };
    assert_eq!(fleet.run_by(&person, &["create", "--file", "-", "-o", "json"]).await.json()["name"], "lab-1");
    let person = Person { input: "{\"user_data\": \"hidden", ..Person::default() };
    let ran = fleet.run_by(&person, &["create", "--file", "-"]).await;
    assert_eq!((ran.code, ran.err.as_str()), (2, "cml-fleet: - is not JSON: line 1, column 21\n"));
    assert_eq!(fleet.run(&["create", "--file", "-", "--name", "x"]).await.code, 2);
}

#[tokio::test]
async fn a_lost_answer_is_asked_for_again_under_the_same_key_and_makes_one_worker() {
    let fleet = Fleet::new().await;
    let busy = json!({ "message": "Service Unavailable" });
    fleet.will_answer("POST /workers", 503, &[("retry-after", "7")], &busy);
    fleet.will_answer("POST /workers", 504, &[], &busy);
    let person = Person { outside: Outside::default(), ..Person::default() };
    let create = [
        "create",
        "--name",
        "lab-1",
        "--region",
        "eu-central-1",
        "--image",
        "ami-0123456789abcdef0",
        "--instance-type",
        "m5zn.metal",
    ];
    fleet.run_by(&person, &create).await.ok();
    let keys: Vec<String> =
        fleet.seen().iter().map(|seen| seen.header("idempotency-key").to_owned()).collect();
    assert_eq!((keys.len(), keys[0].len()), (3, 36));
    assert!(keys.iter().all(|key| *key == keys[0]), "{keys:?}");
    assert_eq!(person.outside.slept(), [7000, 400]);
    assert_eq!(fleet.world.state().workers.len(), 1);
}
