//! What is refused whatever it asks, and what every refusal looks like.

use std::io;

use app::error::StoreError;
use domain::Observed;
use expect_test::expect;
use serde_json::json;

use crate::support::{Client, creation};

/// Every route but `GET /health` and `GET /openapi.json`, with the roles that may ask for it.
const ROUTES: [(&str, &str, &[&str]); 16] = [
    ("GET", "/workers", &["viewer", "operator", "admin"]),
    ("GET", "/workers/{id}", &["viewer", "operator", "admin"]),
    ("GET", "/workers/{id}/events", &["viewer", "operator", "admin"]),
    ("GET", "/workers/{id}/telemetry", &["viewer", "operator", "admin"]),
    ("PATCH", "/workers/{id}", &["operator", "admin"]),
    ("POST", "/workers/{id}/start", &["operator", "admin"]),
    ("POST", "/workers/{id}/stop", &["operator", "admin"]),
    ("POST", "/workers/{id}/reboot", &["operator", "admin"]),
    ("POST", "/workers/{id}/sync", &["operator", "admin"]),
    ("GET", "/commands/{id}", &["viewer", "operator", "admin"]),
    ("GET", "/commands/{id}/workers", &["viewer", "operator", "admin"]),
    ("POST", "/commands", &["operator", "admin"]),
    ("POST", "/commands/{id}/cancel", &["operator", "admin"]),
    ("POST", "/workers", &["admin"]),
    ("POST", "/workers/import", &["admin"]),
    ("DELETE", "/workers/{id}", &["admin"]),
];

#[tokio::test]
async fn nobody_unknown_gets_past_health() {
    let client = Client::new();
    let id = client.imported("i-12345678", Observed::Running).await;
    let before = client.world.effects();
    let no_subject = json!({ "iss": "https://issuer.example.com", "cognito:groups": "[admin]" });
    let no_issuer = json!({ "sub": "x", "cognito:groups": "[admin]" });
    for nobody in
        [client.by(None), client.by(Some("")), client.with_token(&no_subject), client.with_token(&no_issuer)]
    {
        assert_eq!(nobody.get("/health").await.status, 200);
        for (method, target, _) in ROUTES {
            let answer = nobody.send(method, &target.replace("{id}", &id), "").await;
            assert_eq!(
                (answer.status.as_u16(), answer.problem().as_str()),
                (401, "unauthenticated"),
                "{target}"
            );
            assert_eq!(answer.header("www-authenticate"), "Bearer, AWS4-HMAC-SHA256");
        }
    }
    assert_eq!(client.world.effects(), before);
}

#[tokio::test]
async fn every_role_may_do_what_it_is_for_and_nothing_else() {
    let client = Client::new();
    let id = client.imported("i-12345678", Observed::Running).await;
    let token = |groups: &str| {
        let claims = json!({ "iss": "https://issuer.example.com", "sub": "7", "cognito:groups": groups });
        client.with_token(&claims)
    };
    let callers = [
        ("admin", token("[admin viewer]")),
        ("admin", client.clone()),
        ("operator", token("[everybody operator]")),
        ("operator", client.by(Some("arn:aws:iam::999999999999:user/oscar"))),
        ("viewer", token("viewer")),
        ("viewer", client.by(Some("arn:aws:iam::999999999999:user/vera"))),
        ("none", token("[everybody]")),
        ("none", token("")),
        ("none", client.by(Some("arn:aws:iam::999999999999:user/eve"))),
    ];
    for (role, caller) in callers {
        for (method, target, allowed) in ROUTES {
            let before = client.world.effects();
            // Whoever is let through is told that the parameter is unknown; nothing is done either way.
            let answer = caller.send(method, &format!("{}?x=1", target.replace("{id}", &id)), "").await;
            let expected =
                if allowed.contains(&role) { (400, "invalid-parameter") } else { (403, "forbidden") };
            let got = answer.problem();
            assert_eq!((answer.status.as_u16(), got.as_str()), expected, "{role} {method} {target}");
            assert_eq!(client.world.effects(), before, "{role} {method} {target}");
        }
    }
    expect![
        "this needs the role admin, and you have the role viewer; ask whoever runs this deployment for it"
    ]
    .assert_eq(token("viewer").post("/workers").await.json()["detail"].as_str().expect("a detail"));
}

#[tokio::test]
async fn who_asked_is_in_the_fact_in_words_that_cannot_be_borrowed() {
    let client = Client::new();
    let groups = "[operator]";
    for (claims, by) in [
        (
            json!({ "email": "ann@example.com", "email_verified": "true", "username": "x" }),
            "ann@example.com (7)",
        ),
        (json!({ "email": "ann@example.com", "email_verified": "false", "username": "x" }), "x (7)"),
        (json!({ "email": "ann@example.com", "username": "x" }), "x (7)"),
        (json!({ "cognito:username": "ann" }), "ann (7)"),
        (json!({ "email": "", "username": "ann" }), "ann (7)"),
        (json!({ "preferred_username": "a\u{202e}nn\n", "username": "ann" }), "ann (7)"),
        (json!({ "preferred_username": "x".repeat(129) }), "7"),
        (json!({ "preferred_username": "ada(1)" }), "7"),
        (json!({ "preferred_username": "ada@example.com (1)" }), "7"),
        (json!({}), "7"),
    ] {
        let id = client.imported("i-12345678", Observed::Running).await;
        let mut all = json!({ "iss": "https://issuer.example.com", "sub": "7", "cognito:groups": groups });
        all.as_object_mut().expect("an object").extend(claims.as_object().expect("an object").clone());
        assert_eq!(client.with_token(&all).post(&format!("/workers/{id}/stop")).await.status, 202);
        let facts = client.get(&format!("/workers/{id}/events?limit=1")).await.json();
        assert_eq!(facts["items"][0]["facts"][0]["by"]["id"], by, "{facts}");
        client.send("DELETE", &format!("/workers/{id}?forget=true"), "").await;
    }
}

#[tokio::test]
async fn a_key_belongs_to_whoever_used_it() {
    let client = Client::new().with("idempotency-key", "k");
    let token = |issuer: &str, subject: &str| {
        client.with_token(&json!({ "iss": issuer, "sub": subject, "cognito:groups": "admin" }))
    };
    for (number, caller) in
        [token("https://a", "1"), token("https://b", "1"), token("https://a", "2"), client.clone()]
            .iter()
            .enumerate()
    {
        let answer = caller.json("POST", "/workers", &creation(&format!("lab-{number}"))).await;
        assert_eq!(answer.status, 201, "{}", answer.text);
    }
}

#[tokio::test]
async fn what_a_client_says_about_itself_counts_for_nothing() {
    let nobody = Client::new().by(None).with("x-amzn-requestcontext", "{}").with("authorization", "Bearer x");
    assert_eq!(nobody.get("/workers").await.status, 401);
}

#[tokio::test]
async fn a_browser_may_ask_whether_it_may_ask() {
    let client = Client::new().by(None);
    for target in ["/workers", "/workers/x", "/workers/import", "/health", "/nowhere"] {
        let answer = client.send("OPTIONS", target, "").await;
        assert_eq!((answer.status.as_u16(), answer.text.as_str()), (204, ""), "{target}");
    }
    assert_eq!(client.world.effects(), (0, 0));
}

#[tokio::test]
async fn an_assumed_role_is_the_same_caller_in_its_next_session() {
    let client = Client::new();
    let session =
        |name: &str| client.by(Some(&format!("arn:aws:sts::123456789012:assumed-role/night/{name}")));
    let (first, second) =
        (session("one").with("idempotency-key", "k"), session("two").with("idempotency-key", "k"));
    let made = first.json("POST", "/workers", &creation("lab-1")).await;
    assert_eq!(made.status, 201, "{}", made.text);
    let again = second.json("POST", "/workers", &creation("lab-1")).await;
    assert_eq!((again.status.as_u16(), again.id()), (201, made.id()));
    let facts = client.get(&format!("/workers/{}/events", made.id())).await.text;
    assert!(facts.contains("assumed-role/night/one"), "the fact says who it was: {facts}");
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
