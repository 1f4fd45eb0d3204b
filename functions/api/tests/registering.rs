//! How workers come to be.

use app::error::{CallError, StoreError};
use domain::Observed;
use serde_json::json;

use crate::support::{Client, creation};

const INSTANCE: &str = "i-0123456789abcdef0";

/// What a request with a key writes of the key: that it is begun, and its answer.
const KEY: usize = 2;

fn import(instance: &str) -> serde_json::Value {
    json!({ "instance_id": instance, "region": "eu-central-1" })
}

#[tokio::test]
async fn a_created_worker_is_pending_and_says_where_it_is() {
    let client = Client::new();
    let mut body = creation("lab-1");
    body["tags"] = json!({ "team": "network" });
    body["settings"] = json!({ "interval": 60, "drift": "revert", "cpu": null });
    let answer = client.json("POST", "/workers", &body).await;
    assert_eq!(answer.status, 201);
    assert_eq!(answer.header("location"), format!("/workers/{}", answer.id()));
    assert_eq!(answer.header("etag"), "\"1\"");
    assert_eq!(answer.header("content-type"), "application/json");
    let worker = answer.json();
    assert_eq!(worker["status"], "pending");
    assert_eq!(worker["next"]["action"], "launch");
    assert_eq!(worker["tags"], json!({ "team": "network" }));
    assert_eq!(worker["settings"]["own"], json!({ "interval": 60, "drift": "revert" }));
    assert_eq!(worker["settings"]["in_force"]["cpu"], 90);
    assert_eq!(client.get(answer.header("location")).await.json(), worker);
    assert_eq!(client.world.effects(), (1 + KEY, 0), "one save, nothing asked of AWS");
}

#[tokio::test]
async fn everything_that_can_be_launched_is_recorded() {
    let client = Client::new();
    let mut body = creation("lab-1");
    body["spec"] = json!({
        "image": "ami-12345678", "instance_type": "c5.4xlarge", "subnet": "subnet-12345678",
        "security_groups": ["sg-12345678", "sg-0123456789abcdef0"], "key_name": "my key",
        "instance_profile": "cml-worker", "root_volume_gib": 8, "root_volume_type": "gp3",
        "launch_template": { "id": "lt-12345678", "version": "3" },
        "user_data": "#cloud-config\n",
        "alternatives": [{ "instance_type": "c5.9xlarge" }, { "subnet": "subnet-23456789" }],
    });
    let answer = client.json("POST", "/workers", &body).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    body["spec"]["alternative"] = 0.into();
    body["spec"]["user_data"] = true.into();
    assert_eq!(answer.json()["spec"], body["spec"]);
}

#[tokio::test]
async fn an_imported_worker_is_what_its_instance_is() {
    let client = Client::new();
    client.world.has_instance(INSTANCE, Observed::Stopped, &[("Name", "lab-7"), ("team", "network")]);
    let answer = client.json("POST", "/workers/import", &import(INSTANCE)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    let worker = answer.json();
    assert_eq!(worker["name"], "lab-7");
    assert_eq!((&worker["status"], &worker["desired"]), (&json!("stopped"), &json!("stopped")));
    assert_eq!(worker["instance_id"], INSTANCE);
    assert_eq!(worker["zone"], "eu-central-1a");
    assert_eq!(worker["addresses"]["private"], "10.0.0.7");
    assert_eq!(worker["observed"]["source"], "describe");
    assert_eq!(worker["tags"], json!({}), "the tags of the instance stay its own");
    assert_eq!(worker["next"]["action"], "tag");
    assert_eq!(client.world.effects(), (1 + KEY, 1));
}

#[tokio::test]
async fn an_instance_without_a_usable_name_is_called_by_its_id() {
    for tags in [&[][..], &[("Name", "not a name!")]] {
        let client = Client::new();
        client.world.has_instance(INSTANCE, Observed::Running, tags);
        let answer = client.json("POST", "/workers/import", &import(INSTANCE)).await;
        assert_eq!(answer.json()["name"], INSTANCE, "{}", answer.text);
    }
}

#[tokio::test]
async fn a_name_that_is_given_goes_before_the_tag() {
    let client = Client::new();
    client.world.has_instance(INSTANCE, Observed::Running, &[("Name", "lab-7")]);
    let mut body = import(INSTANCE);
    body["name"] = "mine".into();
    assert_eq!(client.json("POST", "/workers/import", &body).await.json()["name"], "mine");
}

#[tokio::test]
async fn a_name_that_is_taken_is_refused_with_a_hint() {
    let client = Client::new();
    client.created("lab-1").await;
    let answer = client.json("POST", "/workers", &creation("lab-1")).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "name-taken"));
    assert!(answer.text.contains("choose another name"), "{}", answer.text);
    let other = client.created("lab-2").await;
    let answer = client.json("PATCH", &format!("/workers/{other}"), &json!({ "name": "lab-1" })).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "name-taken"));
}

#[tokio::test]
async fn an_instance_that_has_a_worker_is_refused_with_that_worker() {
    let client = Client::new();
    let owner = client.imported(INSTANCE, Observed::Running).await;
    let before = client.world.effects();
    let answer = client.json("POST", "/workers/import", &import(INSTANCE)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "instance-taken"));
    assert_eq!(answer.json()["worker_id"], owner);
    assert_eq!(client.world.effects(), (before.0 + KEY, before.1), "EC2 need not be asked for that");
}

#[tokio::test]
async fn an_instance_taken_while_we_looked_is_refused_as_well() {
    let client = Client::new();
    client.world.has_instance(INSTANCE, Observed::Running, &[]);
    client.world.state().failing_saves.push_back(StoreError::InstanceTaken);
    let answer = client.json("POST", "/workers/import", &import(INSTANCE)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "instance-taken"));
}

#[tokio::test]
async fn an_instance_that_is_gone_or_not_ours_is_refused() {
    let client = Client::new();
    let answer = client.json("POST", "/workers/import", &import(INSTANCE)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (404, "no-such-instance"));

    client.world.has_instance(INSTANCE, Observed::Terminated, &[]);
    let answer = client.json("POST", "/workers/import", &import(INSTANCE)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "impossible-command"));
    assert!(answer.text.contains("the instance is terminated"), "{}", answer.text);

    client.world.state().instances[0].account = "210987654321".parse().expect("an account");
    let answer = client.json("POST", "/workers/import", &import(INSTANCE)).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (404, "no-such-instance"));
    assert_eq!(client.world.effects(), (3 * KEY, 3));
}

#[tokio::test]
async fn an_ec2_that_does_not_answer_is_our_fault_and_stays_inside() {
    let client = Client::new();
    for (retryable, status, problem) in [(true, 503, "unavailable"), (false, 502, "refused-by-aws")] {
        let message = "ec2 DescribeInstances: canary".to_owned();
        client.world.state().failing_describes.push_back(CallError { message, retryable, cause: None });
        let answer = client.json("POST", "/workers/import", &import(INSTANCE)).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem));
        assert!(!answer.text.contains("canary"), "{}", answer.text);
        assert_eq!(answer.header("retry-after").is_empty(), !retryable);
    }
}

#[tokio::test]
async fn the_name_of_an_ended_worker_is_free_again() {
    let client = Client::new();
    let first = client.created("lab-1").await;
    client.send("DELETE", &format!("/workers/{first}"), "").await;
    assert_ne!(client.created("lab-1").await, first);
}

#[tokio::test]
async fn an_instance_that_another_worker_is_tagged_on_is_refused_unless_that_worker_of_ours_is_over() {
    const STRANGER: &str = "01890a5d-ac96-774b-bcce-ffffffffffff";
    let client = Client::new();
    let living = client.created("living").await;
    let busy = client.imported(INSTANCE, Observed::Running).await;
    let (forgotten, ended) = (client.created("forgotten").await, client.created("ended").await);
    client.send("DELETE", &format!("/workers/{forgotten}?forget=true"), "").await;
    client.send("DELETE", &format!("/workers/{ended}"), "").await;
    let table = [
        (STRANGER, 409, "instance-claimed", "forget it there first"),
        ("01890A5D-AC96", 409, "instance-claimed", "remove the tag from the instance"),
        ("", 409, "instance-claimed", "remove the tag from the instance"),
        (&living, 409, "instance-taken", living.as_str()),
        (&busy, 409, "instance-claimed", "which answers for another instance; remove the tag"),
        (&forgotten, 201, "", ""),
        (&ended, 201, "", ""),
    ];
    for (number, (tag, status, problem, said)) in table.into_iter().enumerate() {
        let instance = format!("i-0123456789abcde{number:02}");
        let tags = [("cml-fleet:managed", "true"), ("cml-fleet:worker-id", tag)];
        client.world.has_instance(&instance, Observed::Running, &tags);
        let before = client.world.effects();
        let refused = client.json("POST", "/workers/import", &import(&instance)).await;
        assert_eq!(refused.status, status, "{tag}: {}", refused.text);
        assert!(refused.text.contains(said), "{tag}: {}", refused.text);
        let (writes, looks) = client.world.effects();
        assert_eq!(looks, before.1 + 1, "{tag}");
        if status == 409 {
            assert_eq!(refused.problem(), problem, "{tag}");
            assert_eq!(writes, before.0 + KEY, "{tag}: a refused import wrote something");
        }
    }
}

#[tokio::test]
async fn an_instance_that_was_forgotten_is_imported_again_with_its_tags_on() {
    let client = Client::new();
    let first = client.imported(INSTANCE, Observed::Running).await;
    let tags = [("cml-fleet:managed", "true"), ("cml-fleet:worker-id", first.as_str())];
    client.world.state().instances.clear();
    client.world.has_instance(INSTANCE, Observed::Running, &tags);
    client.send("DELETE", &format!("/workers/{first}?forget=true"), "").await;
    let answer = client.json("POST", "/workers/import", &import(INSTANCE)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_ne!(answer.id(), first);
    assert_eq!(answer.json()["next"]["action"], "tag", "the tag is to name the new worker");
}
