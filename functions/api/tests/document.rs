//! The document at `GET /openapi.json`: that it is there, that its routes and roles are the router's, that its examples work.
//! That answers are as it says is looked at with every request of every test, in `support/openapi.rs`.

use domain::Observed;
use serde_json::{Value, json};

use crate::support::Client;
use crate::support::openapi::{document, faults, operations, resolve};

#[tokio::test]
async fn the_document_is_served_to_everybody_and_may_be_kept() {
    let client = Client::new();
    let answer = client.by(None).get("/openapi.json").await;
    assert_eq!((answer.status.as_u16(), answer.header("cache-control")), (200, "public, max-age=3600"));
    assert_eq!(answer.json(), *document());
    assert_eq!(answer.json()["openapi"], "3.1.0");
    assert_eq!(client.world.effects(), (0, 0));
}

#[tokio::test]
async fn the_router_has_the_methods_of_the_document_and_no_others() {
    let client = Client::new();
    for path in document()["paths"].as_object().expect("paths").keys() {
        let target = path.replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057");
        let answer = client.send("TRACE", &target, "").await;
        let mut allowed: Vec<String> = answer.header("allow").split(',').map(str::to_owned).collect();
        let mut documented: Vec<String> =
            operations().filter(|(_, of, _)| of == path).map(|(method, ..)| method).collect();
        if documented.contains(&"GET".to_owned()) {
            documented.push("HEAD".to_owned());
        }
        allowed.sort();
        documented.sort();
        assert_eq!((answer.status.as_u16(), allowed), (405, documented), "{path}");
    }
}

#[tokio::test]
async fn every_operation_takes_the_role_it_says() {
    let client = Client::new();
    let roles = ["none", "viewer", "operator", "admin"];
    for (method, path, operation) in operations() {
        // Whoever is let through is told that the parameter is unknown; nothing is done either way.
        let target = format!("{}?x=1", path.replace("{id}", "01890a5d-ac96-774b-bcce-b302099a8057"));
        let needed = operation["x-required-role"].as_str();
        assert_eq!(operation["security"] == json!([]), needed.is_none(), "{method} {path}");
        let of = |role: &str| roles.iter().position(|one| *one == role).expect("a role");
        for role in roles {
            let claims = json!({ "iss": "https://issuer.example.com", "sub": "7", "cognito:groups": role });
            let answer = client.with_token(&claims).send(&method, &target, "").await;
            let expected = match needed {
                None => 200,
                Some(needed) if of(role) >= of(needed) => 400,
                Some(_) => 403,
            };
            assert_eq!(answer.status.as_u16(), expected, "{role} {method} {path}");
        }
    }
}

#[tokio::test]
async fn every_example_of_a_request_works() {
    let mut sent = 0;
    for (method, path, operation) in operations() {
        let body = &operation["requestBody"]["content"]["application/json"];
        assert_eq!(body.is_object(), body["examples"].is_object(), "{method} {path} has no example");
        for (name, example) in body["examples"].as_object().into_iter().flatten() {
            let client = Client::new();
            client.world.state().image = Some("ami-0123456789abcdef0".into());
            let id = client.imported("i-12345678", Observed::Running).await;
            client.world.has_instance("i-0123456789abcdef0", Observed::Running, &[("team", "net lab")]);
            client.world.state().instances[1].zone = "us-east-1a".parse().ok();
            let subject = if path.starts_with("/commands/") {
                let command = json!({ "action": "stop", "workers": [id] });
                client.json("POST", "/commands", &command).await.id()
            } else {
                id.clone()
            };
            let body = example["value"].to_string().replace("01890a5d-ac96-774b-bcce-b302099a8057", &id);
            let body: Value = serde_json::from_str(&body).expect("JSON");
            let answer = client.json(&method, &path.replace("{id}", &subject), &body).await;
            assert!(answer.status.is_success(), "{method} {path} {name}: {}", answer.text);
            sent += 1;
        }
    }
    assert!(sent >= 10, "{sent} examples");
}

#[test]
fn every_example_is_as_its_schema_says() {
    let mut looked_at = 0;
    for (method, path, operation) in operations() {
        let responses = operation["responses"].as_object().expect("responses").values();
        let contents = responses.map(|one| &one["content"]).chain([&operation["requestBody"]["content"]]);
        for content in contents.filter_map(Value::as_object).flat_map(serde_json::Map::values) {
            for (name, example) in content["examples"].as_object().into_iter().flatten() {
                let found = faults(&content["schema"], &resolve(example)["value"]);
                assert!(found.is_empty(), "{method} {path} {name}: {found:?}");
                looked_at += 1;
            }
        }
    }
    assert!(looked_at > 100, "{looked_at} examples");
}

#[test]
fn every_component_is_used() {
    let text = document().to_string();
    for kind in ["schemas", "headers", "examples"] {
        for name in document()["components"][kind].as_object().expect(kind).keys() {
            assert!(text.contains(&format!("\"#/components/{kind}/{name}\"")), "{kind}/{name}");
        }
    }
}
