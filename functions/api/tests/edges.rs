//! The schemas of the document against the router: what they allow it takes, what they do not allow it refuses.

use domain::Observed;
use serde_json::{Value, json};

use crate::support::openapi::{document, faults};
use crate::support::{Client, creation};

/// Texts at and beyond the edges of every rule there is.
fn texts() -> Vec<String> {
    let ends: [(&str, &[usize]); 9] = [
        ("a", &[1, 2, 3, 25, 26, 40, 41, 63, 64, 128, 129, 200, 201, 255, 256, 257]),
        ("0", &[1, 8, 11, 12, 13, 17]),
        ("1", &[1, 10, 11]),
        ("é", &[1, 3, 128, 200, 201, 256, 257, 8192, 8193]),
        (" ", &[1, 3]),
        ("*", &[1, 3]),
        ("-", &[1, 3]),
        (".", &[1]),
        ("x", &[16_384, 16_385]),
    ];
    let mut all: Vec<String> =
        ends.iter().flat_map(|(text, counts)| counts.iter().map(|count| text.repeat(*count))).collect();
    for prefix in ["i-", "ami-", "lt-", "subnet-", "sg-"] {
        all.extend([7, 8, 9, 16, 17, 18].map(|count| format!("{prefix}{}", "0".repeat(count))));
        all.extend(
            ["fedcba98", "FEDCBA98", "ghijklmn", "0123456 ", " 0123456"].map(|hex| format!("{prefix}{hex}")),
        );
    }
    let words = [
        "",
        "a-b",
        "a_b",
        "a.b",
        "-ab",
        "ab-",
        ".ab",
        "ab.",
        "_ab",
        "a b",
        " a b",
        "a b ",
        "a\tb",
        "a\nb",
        "ab\n",
        "\nab",
        "a\u{a0}b",
        "a\u{85}b",
        "a\u{200b}b",
        "a\u{202e}b",
        "a\u{2060}b",
        "a\u{3000}b",
        "a\u{feff}b",
        "a\u{7f}b",
        "a\u{2028}b",
        "a\u{ad}b",
        "\u{3000}ab",
        "a\u{1680}b",
        "a\u{180e}b",
        "a\u{206f}b",
        "a\u{2010}b",
        "a\u{205e}b",
        "a\u{61c}b",
        "ß",
        "中文",
        "٣",
        "Ⅷ",
        "½",
        "e\u{301}",
        "x\u{345}",
        "🙂",
        "\u{1d7d8}",
        "a'b",
        "a\"b",
        "a\\b",
        "a$b",
        "a&b",
        "a,b",
        "a(b)[c]",
        "us-east-1",
        "eu-central-1",
        "us-gov-west-1",
        "us-east-10",
        "us-east",
        "us--1",
        "US-EAST-1",
        "us-iso-east-x-1",
        "m5zn.metal",
        "m5",
        "m5.",
        ".metal",
        "M5.large",
        "5m.large",
        "m5.large.x",
        "u7i-12tb.224xlarge",
        "m5zn.metal\n",
        "ab*",
        "ab?",
        "abc*",
        "*a*b*c*",
        "a?b?c",
        "ab[c]",
        "a/b'c@d_e",
        "a+b",
        "self",
        "amazon",
        "aws-marketplace",
        "Self",
        "$Latest",
        "$Default",
        "$latest",
        "0",
        "01",
        "1",
        "9999999999",
        "10000000000",
        "-1",
        "1.5",
        "gp2",
        "gp3",
        "io1",
        "alert",
        "revert",
        "adopt",
        "Alert",
        "true",
        "null",
        "Name",
        "name",
        "aws:x",
        "AWS:x",
        "Aws:x",
        "aws",
        "cml-fleet:x",
        "CML-FLEET:x",
        "cml-fleet",
        "xaws:y",
        "a:b/c=d+e-f@g_h.i",
        "cml/worker",
        "a+b=c,d.e@f-g_h",
    ];
    all.extend(words.map(str::to_owned));
    all
}

/// Values that are no texts, at and beyond the edges of every rule there is.
fn others() -> Vec<Value> {
    let numbers = [
        -1_i64,
        0,
        1,
        2,
        7,
        8,
        9,
        59,
        60,
        61,
        99,
        100,
        101,
        3599,
        3600,
        3601,
        16_383,
        16_384,
        16_385,
        4_294_967_295,
        4_294_967_296,
        9_999_999_999,
        10_000_000_000,
    ];
    let mut all: Vec<Value> = numbers.iter().map(|number| json!(number)).collect();
    all.extend([json!(0.5), json!(8.0), json!(60.0), json!(60.5), json!(1e2), json!(1e300), json!(-0.0)]);
    all.extend([
        json!(null),
        json!(true),
        json!(false),
        json!([]),
        json!({}),
        json!([null]),
        json!({ "a": null }),
    ]);
    all.extend([
        json!({ "a": "b" }),
        json!({ "a": 1 }),
        json!({ "id": "lt-12345678" }),
        json!({ "name": "abc" }),
    ]);
    all.extend([json!({ "name": "abc", "owner": "self" }), json!({ "name": "abc", "owner": "nobody" })]);
    let template = |name: &str, version: Value| json!({ name: if name == "id" { "lt-12345678" } else { "abc" }, "version": version });
    for version in
        [json!(1), json!("1"), json!(0), json!(1.0), json!(1.5), json!("$Latest"), json!(true), json!(null)]
    {
        all.extend([template("id", version.clone()), template("name", version)]);
    }
    all.push(json!({ "id": "lt-12345678", "name": "abc", "version": 1 }));
    all.push(json!({ "id": null, "name": "abc", "version": 1 }));
    all.push(creation("lab-1")["spec"].clone());
    let groups = |count: usize| json!((0..count).map(|n| format!("sg-{n:08x}")).collect::<Vec<_>>());
    all.extend([groups(1), groups(16), groups(17), json!(["sg-00000001", "sg-00000001"]), json!(["sg-1"])]);
    let subnets = |count: usize| {
        json!((0..count).map(|n| json!({ "subnet": format!("subnet-{n:08x}") })).collect::<Vec<_>>())
    };
    all.extend([
        subnets(1),
        subnets(5),
        subnets(6),
        json!([{}]),
        json!([{ "subnet": null }]),
        json!([{ "x": 1 }]),
    ]);
    all.push(json!([{ "instance_type": "c5.metal", "subnet": null }]));
    let tags = |count: usize| {
        json!((0..count).map(|n| (n.to_string(), json!("v"))).collect::<serde_json::Map<_, _>>())
    };
    all.extend([
        tags(1),
        tags(47),
        tags(48),
        json!({ "interval": 60 }),
        json!({ "interval": null, "cpu": 101 }),
    ]);
    all
}

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
    let members = ["/instance_id", "/region", "/name", "/tags", "/settings", "/held", "/protected"];
    compare("POST", "/workers/import", &base, &members).await;
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
