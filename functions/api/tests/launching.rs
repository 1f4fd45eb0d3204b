//! What a new worker is launched from: images by id and by name, launch templates, and what a deployment allows.

use app::config::Allowed;
use app::error::CallError;
use app::ports::{ImageQuery, WantedImage};
use serde_json::{Value, json};

use crate::support::{Client, creation, log};

/// A creation from this.
fn from(spec: Value) -> Value {
    let mut body = creation("lab-1");
    body["spec"] = spec;
    body
}

fn newest(name: &str, owner: &str) -> Value {
    from(json!({ "image": { "name": name, "owner": owner }, "instance_type": "m5zn.metal" }))
}

fn query(image: WantedImage, owners: &[&str]) -> ImageQuery {
    ImageQuery { image, owners: owners.iter().map(|owner| owner.parse().expect("an owner")).collect() }
}

/// Only bare metal and the larger c5, from images of the account's own and of one other.
fn restricted() -> Client {
    let parse = |texts: [&str; 2]| texts.map(|text| text.parse().expect("a pattern")).into();
    let image_owners = ["self", "210987654321"].map(|text| text.parse().expect("an owner")).into();
    Client::allowing(Allowed { instance_types: parse(["m5zn.metal", "c5.*xlarge"]), image_owners })
}

/// What a request with a key writes of the key: that it is begun, and its answer.
const KEY: usize = 2;

#[tokio::test]
async fn an_image_by_name_is_found_when_the_worker_is_created_and_stays_the_same() {
    let client = Client::new().with("idempotency-key", "k1");
    client.world.state().image = Some("ami-0123456789abcdef0".to_owned());
    let answer = client.json("POST", "/workers", &newest("cml-2.?-*", "self")).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
    assert_eq!(answer.json()["spec"]["image"], "ami-0123456789abcdef0");
    let asked = query(WantedImage::Newest("cml-2.?-*".to_owned()), &["self"]);
    assert_eq!(client.world.state().image_queries, [asked]);
    client.world.state().image = Some("ami-22222222".to_owned());
    let again = client.json("POST", "/workers", &newest("cml-2.?-*", "self")).await;
    assert_eq!((again.status.as_u16(), again.text), (201, answer.text));
    assert_eq!(client.world.state().image_queries.len(), 1);
}

#[tokio::test]
async fn an_image_that_does_not_exist_is_a_fault_of_the_field_and_creates_nothing() {
    for (body, client) in [
        (newest("cml-*", "amazon"), Client::new()),
        (creation("lab-1"), restricted()),
        (newest("cml-*", "self"), restricted()),
    ] {
        let answer = client.json("POST", "/workers", &body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "invalid-value"), "{body}");
        let fault = &answer.json()["errors"][0];
        assert_eq!(fault["field"], "spec.image", "{fault}");
        assert!(fault["allowed"].as_str().is_some_and(|text| text.contains("eu-central-1")), "{fault}");
        assert!(client.world.state().workers.is_empty());
    }
}

#[tokio::test]
async fn a_name_that_too_many_images_have_is_a_fault_of_the_name() {
    let client = Client::new().with("idempotency-key", "k1");
    let region = "eu-central-1".parse().expect("a region");
    client.world.state().images.insert(region, vec!["ami-12345678".to_owned(); 1001]);
    let answer = client.json("POST", "/workers", &newest("ami*", "amazon")).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (422, "invalid-value"),
        "{}",
        answer.text
    );
    let fault = &answer.json()["errors"][0];
    assert_eq!(
        (&fault["field"], &fault["allowed"]),
        (&json!("spec.image.name"), &json!("a name with fewer wildcards"))
    );
    assert!(client.world.state().workers.is_empty());
}

#[tokio::test]
async fn an_ec2_that_does_not_answer_creates_nothing_and_frees_the_key() {
    let client = Client::new().with("idempotency-key", "k1");
    let lost = CallError { message: "EC2 DescribeImages: lost".to_owned(), retryable: true, cause: None };
    client.world.state().failing_describes.push_back(lost);
    let body = newest("cml-*", "self");
    assert_eq!(client.json("POST", "/workers", &body).await.status, 503);
    assert!(client.world.state().workers.is_empty());
    client.world.state().image = Some("ami-12345678".to_owned());
    assert_eq!(client.json("POST", "/workers", &body).await.status, 201);
}

#[tokio::test]
async fn an_id_is_asked_for_only_where_owners_are_restricted() {
    let client = Client::new();
    client.created("lab-1").await;
    assert_eq!(client.world.effects().1, 0);
    let client = restricted();
    client.world.state().image = Some("ami-0123456789abcdef0".to_owned());
    client.created("lab-1").await;
    let id = WantedImage::Id("ami-0123456789abcdef0".to_owned());
    assert_eq!(client.world.state().image_queries, [query(id, &["self", "210987654321"])]);
}

#[tokio::test]
async fn a_launch_template_may_say_all_that_is_not_given() {
    for template in [
        json!({ "id": "lt-0123456789abcdef0", "version": 7 }),
        json!({ "name": "cml/worker", "version": "$Latest" }),
        json!({ "name": "cml/worker", "version": "12" }),
    ] {
        let client = Client::new();
        let answer = client.json("POST", "/workers", &from(json!({ "launch_template": template }))).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
        let spec = &answer.json()["spec"];
        let version = template["version"].as_str().unwrap_or("7").to_owned();
        let mut expected = template;
        expected["version"] = version.into();
        assert_eq!(
            (&spec["launch_template"], &spec["image"], &spec["instance_type"]),
            (&expected, &Value::Null, &Value::Null)
        );
        assert_eq!(client.world.effects(), (1 + KEY, 0));
    }
}

#[tokio::test]
async fn what_a_deployment_does_not_allow_is_refused_and_no_template_smuggles_it_in() {
    let template = json!({ "name": "cml", "version": 1 });
    let image = "ami-12345678";
    for (spec, field, allowed) in [
        (
            json!({ "image": image, "instance_type": "c5.large" }),
            "spec.instance_type",
            "m5zn.metal, c5.*xlarge",
        ),
        (
            json!({ "image": image, "instance_type": "m5zn.metal", "alternatives": [{ "instance_type": "c5.large" }] }),
            "spec.alternatives[0].instance_type",
            "m5zn.metal, c5.*xlarge",
        ),
        (
            json!({ "image": image, "launch_template": template }),
            "spec.instance_type",
            "m5zn.metal, c5.*xlarge",
        ),
        (
            json!({ "instance_type": "m5zn.metal", "launch_template": template }),
            "spec.image",
            "self, 210987654321",
        ),
        (
            json!({ "instance_type": "m5zn.metal", "image": { "name": "cml*", "owner": "amazon" } }),
            "spec.image.owner",
            "self, 210987654321",
        ),
    ] {
        let client = restricted();
        let answer = client.json("POST", "/workers", &from(spec)).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "invalid-value"));
        let faults = answer.json()["errors"].clone();
        let named = faults.as_array().expect("faults").iter().any(|fault| {
            fault["field"] == field && fault["allowed"].as_str().is_some_and(|text| text.contains(allowed))
        });
        assert!(named, "{field}: {faults}");
        assert_eq!(client.world.effects(), (0, 0));
    }
    let client = restricted();
    client.world.state().image = Some(image.to_owned());
    let spec = json!({ "instance_type": "c5.9xlarge", "image": image, "launch_template": template });
    let answer = client.json("POST", "/workers", &from(spec)).await;
    assert_eq!(answer.status, 201, "{}", answer.text);
}

/// A creation with user data.
fn with_user_data(text: &str) -> Value {
    from(json!({ "image": "ami-12345678", "instance_type": "m5zn.metal", "user_data": text }))
}

#[tokio::test]
async fn user_data_is_kept_for_the_launch_and_shown_nowhere() {
    let client = Client::new().with("idempotency-key", "k1");
    log::take();
    let answer = client.json("POST", "/workers", &with_user_data("#!/bin/sh\ncanary")).await;
    assert_eq!((answer.status.as_u16(), &answer.json()["spec"]["user_data"]), (201, &json!(true)));
    let id = answer.id();
    let kept = client.world.state().user_data[&id.parse().expect("an id")].clone();
    assert_eq!(kept.expose(), "#!/bin/sh\ncanary");
    let events = client.get(&format!("/workers/{id}/events")).await;
    assert!(events.text.contains("\"user_data\":true"), "{}", events.text);
    let state = client.world.state();
    let stored = format!("{:?} {:?} {:?}", state.workers, state.events, state.keys);
    let logged = format!("{:?}", log::take());
    for text in [&answer.text, &events.text, &stored, &logged] {
        assert!(!text.is_empty() && !text.contains("canary"), "{text}");
    }
}

#[tokio::test]
async fn user_data_of_a_worker_that_is_not_created_is_not_kept() {
    let client = Client::new();
    client.created("lab-1").await;
    let answer = client.json("POST", "/workers", &with_user_data("canary")).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (409, "name-taken"));
    assert!(client.world.state().user_data.is_empty());
}

#[tokio::test]
async fn after_a_crash_user_data_that_may_have_been_used_is_not_kept_again() {
    let client = Client::new().with("idempotency-key", "k1");
    let body = with_user_data("canary");
    let id = client.json("POST", "/workers", &body).await.id();
    // The answer was never stored; meanwhile the worker was launched.
    client.world.state().user_data.clear();
    client.world.state().keys.values_mut().for_each(|begun| begun.answer = None);
    client.world.pass(60);
    let again = client.json("POST", "/workers", &body).await;
    assert_eq!((again.status.as_u16(), again.id()), (201, id));
    assert!(client.world.state().user_data.is_empty());
}
