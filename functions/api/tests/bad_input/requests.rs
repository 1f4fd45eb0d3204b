//! Every kind of bad input but that of what to launch: the status, the field it names, what it says is allowed.

use serde_json::Value;

use super::case::{Case, HEADER, INVALID, MALFORMED, PARAMETER, case, creation, with};

pub(crate) fn bodies_that_are_no_json_object() -> Vec<Case> {
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
    cases
}

pub(crate) fn fields_that_do_not_exist_or_have_another_type() -> Vec<Case> {
    let create = |body: &str| case("POST", "/workers", 400, MALFORMED).body(body);
    let import = |body: &str| case("POST", "/workers/import", 400, MALFORMED).body(body);
    let patch = |body: &str| case("PATCH", "/workers/{id}", 400, MALFORMED).body(body);
    let bare =
        |method, target| case(method, target, 400, MALFORMED).body(r#"{"force":true}"#).names("force", "");
    vec![
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
    ]
}

pub(crate) fn values_of_a_creation_that_are_not_allowed() -> Vec<Case> {
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
    cases
}

pub(crate) fn values_of_imports_and_patches_that_are_not_allowed() -> Vec<Case> {
    let import = |body: &str| case("POST", "/workers/import", 422, INVALID).body(body);
    let patch = |body: &str| case("PATCH", "/workers/{id}", 422, INVALID).body(body);
    let many = format!(
        r#"{{"tags":{{{}}}}}"#,
        (0..48).map(|n| format!(r#""k{n}":"v""#)).collect::<Vec<_>>().join(",")
    );
    vec![
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
    ]
}

pub(crate) fn parameters_that_are_not_allowed() -> Vec<Case> {
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
    cases
}

pub(crate) fn headers_that_are_not_allowed() -> Vec<Case> {
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
    cases
}

pub(crate) fn paths_that_name_no_worker_or_no_route() -> Vec<Case> {
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
    cases
}
