//! The schemas of the document against the router: what they allow it takes, what they do not allow it refuses.

mod values;

use domain::Observed;
use serde_json::{Value, json};

use crate::support::openapi::{document, faults};
use crate::support::{Client, creation};
use values::{others, texts};

/// An API with what the bodies are about.
fn prepared() -> Client {
    let client = Client::new();
    client.world.state().image = Some("ami-0123456789abcdef0".into());
    client.world.has_instance("i-12345678", Observed::Running, &[]);
    client
}

/// Whether the router takes a body.
async fn takes(client: &Client, method: &str, target: &str, body: &Value) -> bool {
    let answer = client.json(method, target, body).await;
    match (answer.status.as_u16(), target) {
        // Well-formed; but there is such a worker already, or no such instance.
        (200..=299 | 409, _) | (404, "/workers/import") => true,
        (400 | 422, _) => {
            // Well-formed, but not one of this deployment's.
            let errors = &answer.json()["errors"];
            errors.as_array().is_some_and(|all| all.len() == 1)
                && errors[0]["detail"] == "is not one of the regions of this deployment"
        }
        _ => panic!("{method} {target} {body}: {}", answer.text),
    }
}

/// Puts every value into a member of a body, and holds the document to what the router makes of it.
async fn compare(method: &str, path: &str, base: &Value, members: &[&str]) {
    let schema = &document()["paths"][path][method.to_lowercase()]["requestBody"]["content"]["application/json"]
        ["schema"];
    let values: Vec<Value> = texts().into_iter().map(Value::from).chain(others()).collect();
    let mut client = prepared();
    let mut target = path.replace("{id}", &client.imported("i-87654321", Observed::Running).await);
    let mut differ = Vec::new();
    for member in members {
        let (mut allowed, mut refused) = (0, 0);
        for value in &values {
            let mut body = base.clone();
            match member.rsplit_once("/*") {
                // The text is the name of a member.
                Some((object, "")) => {
                    *body.pointer_mut(object).expect("an object") =
                        json!({ value.as_str().unwrap_or("a"): "b" });
                }
                _ => set(&mut body, member, value.clone()),
            }
            let found = if unsaid(method, member, value) {
                vec!["more than is allowed".to_owned()]
            } else {
                faults(schema, &body)
            };
            if found.is_empty() {
                allowed += 1
            } else {
                refused += 1
            }
            if method == "PATCH" && member.starts_with("/tags") {
                // The tags of one patch would count with those of the next.
                client = prepared();
                target = path.replace("{id}", &client.imported("i-87654321", Observed::Running).await);
            }
            if takes(&client, method, &target, &body).await != found.is_empty() {
                differ.push(format!(
                    "{member}: {}: {found:?}",
                    value.to_string().chars().take(60).collect::<String>()
                ));
            }
        }
        assert!(allowed > 0 && refused > 0, "{member}: the values are all on one side: {allowed}, {refused}");
    }
    assert!(differ.is_empty(), "{method} {path}: router and document differ:\n{}", differ.join("\n"));
}

/// What is refused and no schema has words for: bytes of a text, and how many tags a patch sets, beside those it removes.
fn unsaid(method: &str, member: &str, value: &Value) -> bool {
    match member {
        "/spec/user_data" => value.as_str().is_some_and(|text| text.len() > domain::UserData::MAX_BYTES),
        "/tags" if method == "PATCH" => value.as_object().is_some_and(|tags| tags.len() > domain::MAX_TAGS),
        _ => false,
    }
}

fn set(body: &mut Value, pointer: &str, value: Value) {
    if let Some(place) = body.pointer_mut(pointer) {
        *place = value;
        return;
    }
    let (object, member) = pointer.rsplit_once('/').expect("a pointer");
    body.pointer_mut(object).expect("an object")[member] = value;
}

#[tokio::test]
async fn a_creation_is_taken_if_the_document_allows_it() {
    let mut base = creation("lab-1");
    base["tags"] = json!({});
    base["settings"] = json!({});
    let members = [
        "/name",
        "/region",
        "/spec",
        "/tags",
        "/tags/*",
        "/tags/a",
        "/settings",
        "/protected",
        "/spec/image",
        "/spec/instance_type",
        "/spec/launch_template",
        "/spec/subnet",
        "/spec/security_groups",
        "/spec/key_name",
        "/spec/instance_profile",
        "/spec/root_volume_gib",
        "/spec/root_volume_type",
        "/spec/user_data",
        "/spec/alternatives",
        "/settings/monitoring",
        "/settings/interval",
        "/settings/drift",
        "/settings/cpu",
        "/settings/memory",
        "/settings/disk",
        "/settings/alert_duration",
    ];
    compare("POST", "/workers", &base, &members).await;
    base["spec"]["image"] = json!({ "name": "abc", "owner": "self" });
    compare("POST", "/workers", &base, &["/spec/image/name", "/spec/image/owner"]).await;
}

#[tokio::test]
async fn a_creation_from_a_template_is_taken_if_the_document_allows_it() {
    let mut base = creation("lab-1");
    base["spec"] = json!({ "launch_template": { "id": "lt-12345678", "version": 1 } });
    let members = [
        "/spec/image",
        "/spec/instance_type",
        "/spec/root_volume_gib",
        "/spec/root_volume_type",
        "/spec/launch_template/id",
        "/spec/launch_template/version",
        "/spec/alternatives",
    ];
    compare("POST", "/workers", &base, &members).await;
    base["spec"] = json!({ "launch_template": { "name": "abc", "version": 1 } });
    compare("POST", "/workers", &base, &["/spec/launch_template/name"]).await;
}

#[tokio::test]
async fn an_import_is_taken_if_the_document_allows_it() {
    let base = json!({ "instance_id": "i-12345678", "region": "eu-central-1" });
    let members =
        ["/instance_id", "/region", "/name", "/tags", "/settings", "/held", "/protected", "/adopt_orphans"];
    compare("POST", "/workers/import", &base, &members).await;
}

#[tokio::test]
async fn an_import_of_named_instances_is_taken_if_the_document_allows_it() {
    let base = json!({ "instance_ids": ["i-12345678"], "regions": ["eu-central-1"], "dry_run": true });
    let members = [
        "/instance_ids",
        "/instance_ids/0",
        "/regions",
        "/regions/0",
        "/find",
        "/dry_run",
        "/limit",
        "/tags",
        "/settings",
        "/held",
        "/protected",
        "/adopt_orphans",
    ];
    compare("POST", "/workers/import", &base, &members).await;
}

#[tokio::test]
async fn an_import_of_what_is_found_is_taken_if_the_document_allows_it() {
    let base = json!({ "find": { "tags": { "a": "b" } }, "dry_run": true });
    let members =
        ["/find", "/find/tags", "/find/tags/*", "/find/tags/a", "/find/image_name", "/instance_ids"];
    compare("POST", "/workers/import", &base, &members).await;
    let base = json!({ "find": { "image_name": "abc" }, "dry_run": true });
    compare("POST", "/workers/import", &base, &["/find/tags", "/find/image_name"]).await;
}

#[tokio::test]
async fn an_import_has_the_members_of_one_form_only() {
    let schema = &document()["paths"]["/workers/import"]["post"]["requestBody"]["content"]["application/json"]
        ["schema"];
    let client = prepared();
    let one = json!({ "instance_id": "i-12345678", "region": "eu-central-1" });
    let named = json!({ "instance_ids": ["i-12345678"] });
    let found = json!({ "find": { "tags": { "a": "b" } } });
    let of_one =
        [("instance_id", "i-12345678".into()), ("region", "us-east-1".into()), ("name", "lab-1".into())];
    let of_many = [
        ("instance_ids", json!(["i-12345678"])),
        ("find", json!({ "tags": { "a": "b" } })),
        ("regions", json!(["us-east-1"])),
        ("dry_run", true.into()),
        ("limit", 1.into()),
        ("cursor", "x".into()),
    ];
    for (base, others) in [(&one, &of_many[..]), (&named, &of_one), (&found, &of_one)] {
        for (member, value) in others {
            for value in [value.clone(), Value::Null] {
                let mut body = base.clone();
                body[*member] = value;
                assert_ne!(faults(schema, &body), Vec::<String>::new(), "the document allows {body}");
                assert!(!takes(&client, "POST", "/workers/import", &body).await, "the router takes {body}");
            }
        }
    }
}

#[tokio::test]
async fn a_patch_is_taken_if_the_document_allows_it() {
    let base = json!({ "tags": {}, "settings": {} });
    let members = [
        "/name",
        "/tags",
        "/tags/*",
        "/tags/a",
        "/settings",
        "/held",
        "/protected",
        "/settings/interval",
        "/settings/drift",
        "/settings/cpu",
        "/settings/monitoring",
    ];
    compare("PATCH", "/workers/{id}", &base, &members).await;
}
