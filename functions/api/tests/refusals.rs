//! What is refused whatever it asks, and what every refusal looks like.

use std::io;

use app::error::StoreError;
use domain::Observed;
use expect_test::expect;

use crate::support::{Client, creation};

#[tokio::test]
async fn nobody_unknown_gets_past_health() {
    let client = Client::new();
    let id = client.imported("i-12345678", Observed::Running).await;
    let before = client.world.effects();
    for nobody in [client.by(None), client.by(Some(""))] {
        assert_eq!(nobody.get("/health").await.status, 200);
        for (method, target) in [
            ("GET", "/workers"),
            ("POST", "/workers"),
            ("POST", "/workers/import"),
            ("GET", "/workers/{id}"),
            ("PATCH", "/workers/{id}"),
            ("DELETE", "/workers/{id}"),
            ("POST", "/workers/{id}/start"),
            ("POST", "/workers/{id}/stop"),
            ("POST", "/workers/{id}/reboot"),
            ("POST", "/workers/{id}/sync"),
            ("GET", "/workers/{id}/events"),
            ("GET", "/workers/{id}/telemetry"),
        ] {
            let answer = nobody.send(method, &target.replace("{id}", &id), "").await;
            assert_eq!(
                (answer.status.as_u16(), answer.problem().as_str()),
                (401, "unauthenticated"),
                "{target}"
            );
            assert_eq!(answer.header("www-authenticate"), "AWS4-HMAC-SHA256");
        }
    }
    assert_eq!(client.world.effects(), before);
}

#[tokio::test]
async fn what_a_client_says_about_itself_counts_for_nothing() {
    let nobody = Client::new().by(None).with("x-amzn-requestcontext", "{}").with("authorization", "Bearer x");
    assert_eq!(nobody.get("/workers").await.status, 401);
}

#[tokio::test]
async fn another_method_is_answered_with_those_that_exist() {
    let client = Client::new();
    for (method, target, allow) in [
        ("PUT", "/workers", "GET,HEAD,POST"),
        ("GET", "/workers/import", "POST"),
        ("POST", "/workers/x", "GET,HEAD,PATCH,DELETE"),
        ("DELETE", "/health", "GET,HEAD"),
    ] {
        let answer = client.send(method, target, "").await;
        let expected = (405, "method-not-allowed", allow);
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str(), answer.header("allow")),
            expected,
            "{target}"
        );
    }
}

#[tokio::test]
async fn a_failure_of_ours_tells_nothing_of_the_inside() {
    let client = Client::new();
    let canary = || Box::new(io::Error::other("canary: table arn:aws:dynamodb"));
    for (error, status, problem) in [
        (StoreError::Unavailable(canary()), 503, "unavailable"),
        (StoreError::Corrupt(canary()), 500, "internal"),
    ] {
        client.world.state().failing_saves.push_back(error);
        let answer = client.json("POST", "/workers", &creation("lab-1")).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (status, problem));
        assert!(!answer.text.contains("canary"), "{}", answer.text);
    }
}

#[tokio::test]
async fn a_problem_is_written_like_this() {
    let client = Client::new();
    let body = serde_json::json!({ "name": "", "region": "mars", "settings": { "interval": 5 } });
    let answer = client.json("POST", "/workers", &body).await;
    let json = serde_json::to_string_pretty(&answer.json()).expect("JSON");
    expect![[r#"
        {
          "detail": "4 things are wrong (name, region, spec, settings.interval); see errors",
          "errors": [
            {
              "allowed": "1 to 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit",
              "detail": "must be 1 to 63 letters, digits, '-', '_' or '.', starting and ending with a letter or digit",
              "field": "name"
            },
            {
              "allowed": "an AWS region name such as us-east-1",
              "detail": "must be an AWS region name such as us-east-1",
              "field": "region"
            },
            {
              "allowed": "an object with image, instance_type and, if wanted, launch_template, subnet, security_groups, key_name, instance_profile, root_volume_gib, root_volume_type, user_data, alternatives",
              "detail": "is required",
              "field": "spec"
            },
            {
              "allowed": "60 to 3600",
              "detail": "must be a whole number from 60 to 3600",
              "field": "settings.interval"
            }
          ],
          "request_id": "JKJaXmPLvHcESHA=",
          "status": 422,
          "title": "A value is not allowed",
          "type": "urn:cml-fleet:problem:invalid-value"
        }"#]].assert_eq(&json);
}
