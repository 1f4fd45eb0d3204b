//! Values at and beyond the edges of every rule.

use serde_json::{Value, json};

use crate::support::creation;

/// Texts at and beyond the edges of every rule there is.
pub(super) fn texts() -> Vec<String> {
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
pub(super) fn others() -> Vec<Value> {
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
    let instances = |count: usize| json!((0..count).map(|n| format!("i-{n:08x}")).collect::<Vec<_>>());
    all.extend([instances(1), instances(100), instances(101), json!(["i-12345678", "i-12345678"])]);
    all.extend([json!(["us-east-1"]), json!(["us-east-1", "eu-central-1"]), json!(["US-EAST-1"])]);
    all.extend([
        json!({ "tags": { "a": "b" } }),
        json!({ "tags": {} }),
        json!({ "image_name": "abc" }),
        json!({ "tags": {}, "image_name": "abc" }),
        json!({ "tags": { "a": "b" }, "image_name": null }),
        json!({ "tags": null, "image_name": null }),
        json!({ "tags": { "a": "b" }, "image_name": "ab" }),
        tags(1),
        tags(10),
        tags(11),
        tags(47),
        tags(48),
        json!({ "interval": 60 }),
        json!({ "interval": null, "cpu": 101 }),
    ]);
    all
}
