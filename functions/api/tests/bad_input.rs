//! Every kind of bad input: the status, the field it names, what it says is allowed; nothing written, nothing called.

use domain::Observed;
use serde_json::Value;

use crate::support::{Client, creation};

mod launch;

/// One bad request, and the answer to it.
#[derive(Clone)]
struct Case {
    method: &'static str,
    target: String,
    headers: Vec<(&'static str, Vec<u8>)>,
    body: Vec<u8>,
    status: u16,
    problem: &'static str,
    field: &'static str,
    allowed: &'static str,
}

/// A case without a body.
fn case(method: &'static str, target: &str, status: u16, problem: &'static str) -> Case {
    let target = target.to_owned();
    Case { method, target, headers: vec![], body: vec![], status, problem, field: "", allowed: "" }
}

impl Case {
    fn body(mut self, body: impl AsRef<[u8]>) -> Self {
        self.headers.push(("content-type", b"application/json".to_vec()));
        self.plain(body)
    }

    fn plain(mut self, body: impl AsRef<[u8]>) -> Self {
        self.body = body.as_ref().to_vec();
        self
    }

    fn header(mut self, name: &'static str, value: impl AsRef<[u8]>) -> Self {
        self.headers.push((name, value.as_ref().to_vec()));
        self
    }

    fn names(mut self, field: &'static str, allowed: &'static str) -> Self {
        self.field = field;
        self.allowed = allowed;
        self
    }

    /// Sends it, and reports what is not as it should be.
    async fn check(&self, client: &Client, id: &str) -> Option<String> {
        let before = client.world.effects();
        let mut sender = client.without_keys();
        for (name, value) in &self.headers {
            sender = sender.with(name, value);
        }
        // A request with a key must not even leave a trace of the key.
        if self.method != "GET"
            && self.field != "Idempotency-Key"
            && !self.headers.iter().any(|(name, _)| *name == "idempotency-key")
        {
            sender = sender.with("idempotency-key", "a-key");
        }
        let answer = sender.send(self.method, &self.target.replace("{id}", id), self.body.clone()).await;
        let json = answer.json();
        let named = json["errors"].as_array().is_some_and(|errors| {
            errors.iter().any(|error| {
                error["field"] == self.field && error["allowed"].as_str().unwrap_or("").contains(self.allowed)
            })
        });
        let right = answer.status.as_u16() == self.status
            && answer.problem() == self.problem
            && (self.field.is_empty() || named)
            && json["request_id"] == "JKJaXmPLvHcESHA="
            && client.world.effects() == before;
        let shown = String::from_utf8_lossy(&self.body[..self.body.len().min(200)]).into_owned();
        (!right).then(|| {
            format!(
                "{} {} {shown} {:?}\n  wanted {} {} {} [{}], (writes, calls) {before:?}\n  got    {} {} {:?}\n",
                self.method,
                self.target,
                self.headers,
                self.status,
                self.problem,
                self.field,
                self.allowed,
                answer.status,
                answer.text,
                client.world.effects(),
            )
        })
    }
}

async fn check(cases: Vec<Case>) {
    let client = Client::new();
    let id = client.imported("i-0123456789abcdef0", Observed::Running).await;
    let mut wrong = Vec::new();
    for case in cases {
        wrong.extend(case.check(&client, &id).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

const MALFORMED: &str = "malformed-body";
const INVALID: &str = "invalid-value";
const PARAMETER: &str = "invalid-parameter";
const HEADER: &str = "invalid-header";

#[tokio::test]
async fn bodies_that_are_no_json_object() {
    let mut cases = Vec::new();
    for (method, target) in [("POST", "/workers"), ("POST", "/workers/import"), ("PATCH", "/workers/{id}")] {
        let bad = |body: &[u8]| case(method, target, 400, MALFORMED).body(body).names("body", "");
        let deep = format!(r#"{{"tags":{}1{}}}"#, r#"{"a":"#.repeat(5_000), "}".repeat(5_000));
        for body in [
            "".as_bytes(),
            b" \n",
            b"null",
            b"[]",
            b"\"x\"",
            b"1e400",
            b"{",
            b"{}{}",
            b"{} x",
            b"\xff\xfe",
            b"{\"name\":\"\xff\"}",
            br#"{"name":"\ud800"}"#,
            "[".repeat(10_000).as_bytes(),
        ] {
            cases.push(bad(body));
        }
        cases.push(case(method, target, 400, MALFORMED).body(deep));
        let unsupported =
            || case(method, target, 415, "unsupported-media-type").names("Content-Type", "application/json");
        cases.push(unsupported().plain("{}"));
        cases.push(unsupported().plain("{}").header("content-type", "text/plain"));
        cases.push(unsupported().plain("{}").header("content-type", "application/jsonx"));
        cases.push(unsupported().body("{}").header("content-type", "application/json"));
        let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(64 * 1024));
        cases.push(case(method, target, 413, "body-too-large").body(large).names("body", "65536"));
    }
    check(cases).await;
}

#[tokio::test]
async fn fields_that_do_not_exist_or_have_another_type() {
    let create = |body: &str| case("POST", "/workers", 400, MALFORMED).body(body);
    let import = |body: &str| case("POST", "/workers/import", 400, MALFORMED).body(body);
    let patch = |body: &str| case("PATCH", "/workers/{id}", 400, MALFORMED).body(body);
    let bare =
        |method, target| case(method, target, 400, MALFORMED).body(r#"{"force":true}"#).names("force", "");
    check(vec![
        create(r#"{"isAdmin":true}"#).names("isAdmin", "name, region, spec, tags, settings"),
        create(r#"{"spec":{"count":1}}"#).names("spec.count", "root_volume_gib"),
        create(r#"{"settings":{"isAdmin":true}}"#).names("settings.isAdmin", "interval"),
        create(r#"{"name":1}"#).names("name", ""),
        create(r#"{"name":["a"]}"#).names("name", ""),
        create(r#"{"spec":["ami-12345678","m5.large"]}"#).names("spec", ""),
        create(r#"{"spec":{"user_data":["canary"]}}"#).names("spec.user_data", ""),
        create(r#"{"spec":{"image":7}}"#).names("spec.image", ""),
        create(r#"{"spec":{"image":["ami-12345678"]}}"#).names("spec.image", ""),
        create(r#"{"spec":{"image":{"id":"ami-12345678"}}}"#).names("spec.image.id", "name, owner"),
        create(r#"{"spec":{"alternatives":[{"image":"ami-12345678"}]}}"#)
            .names("spec.alternatives[0].image", "instance_type, subnet"),
        create(r#"{"spec":{"launch_template":"lt-12345678"}}"#).names("spec.launch_template", ""),
        create(r#"{"spec":{"launch_template":{"version":true}}}"#).names("spec.launch_template.version", ""),
        create(r#"{"spec":{"root_volume_gib":"8"}}"#).names("spec.root_volume_gib", ""),
        create(r#"{"spec":{"root_volume_gib":1e400}}"#).names("body", ""),
        create(r#"{"spec":{"security_groups":"sg-12345678"}}"#).names("spec.security_groups", ""),
        create(r#"{"spec":{"security_groups":["sg-12345678",2]}}"#).names("spec.security_groups[1]", ""),
        create(r#"{"tags":{"a":1}}"#).names("tags.a", ""),
        create(r#"{"tags":{"a":null}}"#).names("tags.a", ""),
        create(r#"{"tags":{"a":"1","a":"2"}}"#).names("tags.a", ""),
        create(r#"{"tags":[]}"#).names("tags", ""),
        create(r#"{"name":"a","name":"b"}"#).names("name", ""),
        create(r#"{"settings":{"monitoring":"yes"}}"#).names("settings.monitoring", ""),
        create(r#"{"protected":"yes"}"#).names("protected", ""),
        create(r#"{"held":"cabling"}"#).names("held", "name, region, spec, tags, settings, protected"),
        create(r#"{"settings":{"interval":"60"}}"#).names("settings.interval", ""),
        import(r#"{"instance":"i-12345678"}"#).names("instance", "instance_id, region, name, tags, settings"),
        import(r#"{"instance_id":{}}"#).names("instance_id", ""),
        import(r#"{"held":true}"#).names("held", ""),
        import(r#"{"protected":1}"#).names("protected", ""),
        patch(r#"{"desired":"running"}"#).names("desired", "name, tags, settings"),
        patch(r#"{"tags":{"a":{}}}"#).names("tags.a", ""),
        patch(r#"{"settings":[true]}"#).names("settings", ""),
        patch(r#"{"held":false}"#).names("held", ""),
        patch(r#"{"held":{"reason":"cabling"}}"#).names("held", ""),
        patch(r#"{"protected":"true"}"#).names("protected", ""),
        bare("POST", "/workers/{id}/start"),
        bare("POST", "/workers/{id}/sync"),
        bare("DELETE", "/workers/{id}"),
    ])
    .await;
}

/// A creation in which `path` has another value; null removes it.
fn with(path: &str, value: Value) -> String {
    let mut body = creation("lab-2");
    let place = path.split('.').fold(&mut body, |place, key| &mut place[key]);
    *place = value;
    body.to_string()
}

#[tokio::test]
async fn values_of_a_creation_that_are_not_allowed() {
    let mut cases = Vec::new();
    let mut bad = |path: &str, value: Value, field: &'static str, allowed: &'static str| {
        let body = with(path, value);
        cases.push(case("POST", "/workers", 422, INVALID).body(body).names(field, allowed));
    };
    let long = "x".repeat(257);
    for name in [
        "",
        " ",
        &long,
        "café",
        "a\u{202e}b",
        "a\0b",
        "../",
        "a b",
        "-a",
        "<script>",
        "=cmd()",
        "*bold* <!channel> @here",
    ] {
        bad("name", name.into(), "name", "1 to 63 letters");
    }
    for region in ["us-east-99", "../", "EU-CENTRAL-1", "", "eu-west-1"] {
        bad(
            "region",
            region.into(),
            "region",
            if region == "eu-west-1" { "eu-central-1, us-east-1" } else { "us-east-1" },
        );
    }
    bad("name", Value::Null, "name", "1 to 63 letters");
    bad("region", Value::Null, "region", "us-east-1");
    bad("spec", Value::Null, "spec", "image");
    for interval in [serde_json::json!(0), 59.into(), 3601.into(), 86_401.into(), (-60).into(), 60.5.into()] {
        bad("settings.interval", interval, "settings.interval", "60 to 3600");
    }
    bad("settings.cpu", 0.into(), "settings.cpu", "1 to 100");
    bad("settings.memory", 101.into(), "settings.memory", "1 to 100");
    bad("settings.disk", 101.into(), "settings.disk", "1 to 100");
    bad("settings.alert_duration", 59.into(), "settings.alert_duration", "60 to 3600");
    bad("settings.drift", "ignore".into(), "settings.drift", "alert, revert, adopt");
    bad("tags", serde_json::json!({"aws:x": "1"}), "tags.aws:x", "aws:");
    bad("tags", serde_json::json!({"cml-fleet:managed": "false"}), "tags.cml-fleet:managed", "cml-fleet:");
    bad("tags", serde_json::json!({"Name": "x"}), "tags.Name", "not Name");
    bad("tags", serde_json::json!({"": "x"}), "tags.", "1 to 128");
    bad("tags", serde_json::json!({ "k".repeat(129): "x" }), "", "");
    bad("tags", serde_json::json!({"a": long}), "tags.a", "256");
    bad("tags", serde_json::json!({"a": "<b>"}), "tags.a", "256");
    let many: serde_json::Map<String, Value> = (0..48).map(|n| (format!("k{n}"), "v".into())).collect();
    bad("tags", many.into(), "tags", "at most 47");
    check(cases).await;
}

#[tokio::test]
async fn values_of_imports_and_patches_that_are_not_allowed() {
    let import = |body: &str| case("POST", "/workers/import", 422, INVALID).body(body);
    let patch = |body: &str| case("PATCH", "/workers/{id}", 422, INVALID).body(body);
    let many = format!(
        r#"{{"tags":{{{}}}}}"#,
        (0..48).map(|n| format!(r#""k{n}":"v""#)).collect::<Vec<_>>().join(",")
    );
    check(vec![
        import("{}").names("instance_id", "i- and 8 or 17"),
        import("{}").names("region", "us-east-1"),
        import(r#"{"instance_id":"i-XYZ","region":"eu-central-1"}"#).names("instance_id", "i- and 8 or 17"),
        import(r#"{"instance_id":"i-12345678","region":"eu-west-1"}"#)
            .names("region", "eu-central-1, us-east-1"),
        import(r#"{"instance_id":"i-12345678","region":"eu-central-1","name":""}"#).names("name", "1 to 63"),
        import(r#"{"instance_id":"i-12345678","region":"eu-central-1","tags":{"aws:a":"b"}}"#)
            .names("tags.aws:a", ""),
        import(r#"{"instance_id":"i-12345678","region":"eu-central-1","settings":{"cpu":0}}"#)
            .names("settings.cpu", "1 to 100"),
        patch(r#"{"name":null}"#).names("name", "1 to 63"),
        patch(r#"{"name":"a/b"}"#).names("name", "1 to 63"),
        patch(r#"{"tags":null}"#).names("tags", "null removes one entry"),
        patch(r#"{"settings":null}"#).names("settings", "null removes one entry"),
        patch(r#"{"tags":{"aws:a":null}}"#).names("tags.aws:a", "aws:"),
        patch(r#"{"tags":{"a":"\u0000"}}"#).names("tags.a", "256"),
        patch(&many).names("tags", "at most 47"),
        patch(r#"{"settings":{"interval":10}}"#).names("settings.interval", "60 to 3600"),
        patch(r#"{"settings":{"drift":""}}"#).names("settings.drift", "alert, revert, adopt"),
        patch(r#"{"held":""}"#).names("held", "1 to 200"),
        patch(r#"{"held":" "}"#).names("held", "1 to 200"),
        patch(r#"{"held":"a\nb"}"#).names("held", "on one line"),
        patch(r#"{"held":"a\u202eb"}"#).names("held", "invisible"),
        patch(&format!(r#"{{"held":"{}"}}"#, "x".repeat(201))).names("held", "1 to 200"),
        patch(r#"{"protected":null}"#).names("protected", "true, false"),
        import(r#"{"instance_id":"i-12345678","region":"eu-central-1","held":""}"#).names("held", "1 to 200"),
    ])
    .await;
}

#[tokio::test]
async fn parameters_that_are_not_allowed() {
    let get = |target: &str, status, problem| case("GET", target, status, problem);
    let mut cases = vec![
        get("/workers?limit=101", 400, PARAMETER).names("limit", "1 to 100"),
        get("/workers?limit=", 400, PARAMETER).names("limit", "1 to 100"),
        get("/workers?limit=%2B5", 400, PARAMETER).names("limit", "1 to 100"),
        get("/workers/{id}/telemetry?limit=1001", 400, PARAMETER).names("limit", "1 to 1000"),
        get("/workers?page=2", 400, PARAMETER).names("page", "status, region, name, limit, cursor"),
        get("/workers?status=up", 400, PARAMETER).names("status", "pending, provisioning"),
        get("/workers?status=terminated", 400, PARAMETER).names("status", "failed, unknown"),
        get("/workers?name=%00", 400, PARAMETER).names("name", "1 to 63"),
        get("/workers?name=%FF", 400, PARAMETER).names("name", "1 to 63"),
        get("/workers?region=us-east-99", 422, INVALID).names("region", "us-east-1"),
        get("/workers?region=eu-west-1", 422, INVALID).names("region", "eu-central-1, us-east-1"),
        get("/workers?cursor=x", 400, PARAMETER).names("cursor", "next"),
        get("/workers?cursor=bnVsbA", 400, PARAMETER).names("cursor", "next"),
        get("/workers/{id}?verbose", 400, PARAMETER).names("verbose", "no parameters"),
        get("/workers/{id}/events?cursor=%20", 400, PARAMETER).names("cursor", "next"),
        get("/workers/{id}/events?from=2026-01-01T00:00:00Z", 400, PARAMETER).names("from", "limit, cursor"),
        get("/workers/{id}/telemetry?from=yesterday", 400, PARAMETER).names("from", "RFC 3339"),
        get("/workers/{id}/telemetry?cursor=x", 400, PARAMETER).names("cursor", "next"),
        get("/workers/{id}/telemetry?to=1", 400, PARAMETER).names("to", "RFC 3339"),
        get("/workers/{id}/telemetry?from=2099-01-01T00:00:00Z", 400, PARAMETER).names("from", "up to 2026-"),
        case("DELETE", "/workers/{id}?forget=yes", 400, PARAMETER).names("forget", "true, false"),
        case("DELETE", "/workers/{id}?force=true", 400, PARAMETER).names("force", "forget, confirm"),
        case("DELETE", "/workers/{id}?forget=true&confirm=lab-1", 400, PARAMETER).names("confirm", ""),
        case("DELETE", "/workers/{id}?confirm=a&confirm=b", 400, PARAMETER).names("confirm", ""),
        case("POST", "/workers/{id}/stop?confirm=lab-1", 400, PARAMETER).names("confirm", "no parameters"),
        case("POST", "/workers/{id}/stop?force=true", 400, PARAMETER).names("force", "no parameters"),
        case("POST", "/workers?dry_run=true", 400, PARAMETER).body("{}").names("dry_run", "no parameters"),
    ];
    for list in ["/workers", "/workers/{id}/events", "/workers/{id}/telemetry"] {
        for limit in ["limit=0", "limit=-1", "limit=1e3", "limit=99999", "limit=5&limit=5", "limit=4.0"] {
            cases.push(get(&format!("{list}?{limit}"), 400, PARAMETER).names("limit", ""));
        }
    }
    check(cases).await;
}

#[tokio::test]
async fn headers_that_are_not_allowed() {
    let mut cases = Vec::new();
    for etag in ["\"abc\"", "*", "\"-1\"", "1", "W/\"1\"", "\"1\", \"2\"", ""] {
        let case = case("POST", "/workers/{id}/stop", 400, HEADER).header("if-match", etag);
        cases.push(case.names("If-Match", "\"7\""));
    }
    let twice = case("POST", "/workers/{id}/stop", 400, HEADER)
        .header("if-match", "\"1\"")
        .header("if-match", "\"1\"");
    cases.push(twice.names("If-Match", ""));
    cases.push(
        case("POST", "/workers", 400, HEADER).body(creation("a").to_string()).header("if-match", "\"1\""),
    );
    for target in ["/workers", "/workers/import"] {
        let unkeyed = case("POST", target, 400, HEADER).body(creation("a").to_string());
        cases.push(unkeyed.names("Idempotency-Key", "1 to 255"));
    }
    let long = "k".repeat(256);
    for key in [&b""[..], b"\"\"", b"two words", b"caf\xc3\xa9", b"\"open", long.as_bytes()] {
        for (method, target) in [("POST", "/workers"), ("DELETE", "/workers/{id}")] {
            let case = case(method, target, 400, HEADER).header("idempotency-key", key);
            cases.push(case.names("Idempotency-Key", "1 to 255"));
        }
    }
    check(cases).await;
}

#[tokio::test]
async fn paths_that_name_no_worker_or_no_route() {
    let mut cases = Vec::new();
    let long = "x".repeat(8192);
    let unknown = "01890a5d-ac96-774b-bcce-ffffffffffff";
    let upper = "01890A5D-AC96-774B-BCCE-000000000001";
    for id in ["x", "%2F", "%00", "%2e%2e", "%FF", "..%2F..", &long, unknown, upper, "{id}%20"] {
        cases.push(case("GET", &format!("/workers/{id}"), 404, "no-such-worker"));
        cases.push(case("GET", &format!("/workers/{id}/events"), 404, "no-such-worker"));
        cases.push(case("GET", &format!("/workers/{id}/telemetry"), 404, "no-such-worker"));
    }
    for target in
        ["/", "/worker", "/workers/", "/workers/{id}/", "/workers/{id}/resume", "/health/deep", "/%2F"]
    {
        cases.push(case("GET", target, 404, "no-such-route"));
    }
    for (method, target) in
        [("PUT", "/workers"), ("GET", "/workers/{id}/start"), ("POST", "/health"), ("PUT", "/workers/{id}")]
    {
        cases.push(case(method, target, 405, "method-not-allowed"));
    }
    check(cases).await;
}
