//! What cannot be launched.

use serde_json::{Value, json};

use super::case::{Case, INVALID, case, with};

pub(crate) fn values_of_a_spec_that_are_not_allowed() -> Vec<Case> {
    let mut cases = Vec::new();
    let mut bad = |path: &str, value: Value, field: &'static str, allowed: &'static str| {
        let body = with(path, value);
        cases.push(case("POST", "/workers", 422, INVALID).body(body).names(field, allowed));
    };
    bad("spec.image", Value::Null, "spec.image", "ami-");
    for image in ["", "ami-", "ami-XYZ45678", "ami-1234567", "AMI-12345678", "i-12345678"] {
        bad("spec.image", image.into(), "spec.image", "ami-");
    }
    let image = |name: &str, owner: &str| json!({ "name": name, "owner": owner });
    for name in ["", "ab", "***", "cml\n*", "cml-é*", &"x".repeat(129)] {
        bad("spec.image", image(name, "self"), "spec.image.name", "3 to 128");
    }
    for owner in ["", "me", "all", "12345678901"] {
        bad("spec.image", image("cml-*", owner), "spec.image.owner", "self, amazon");
    }
    bad("spec.image", json!({}), "spec.image.name", "3 to 128");
    bad("spec.image", json!({}), "spec.image.owner", "self, amazon");
    let template = |name: Option<&str>, id: Option<&str>, version: Value| json!({ "name": name, "id": id, "version": version });
    let id = "lt-0123456789abcdef0";
    for version in [Value::Null, 0.into(), (-1).into(), 1.5.into(), "".into(), "latest".into(), "01".into()] {
        bad(
            "spec.launch_template",
            template(None, Some(id), version),
            "spec.launch_template.version",
            "$Latest",
        );
    }
    bad("spec.launch_template", template(None, None, 1.into()), "spec.launch_template", "id");
    bad("spec.launch_template", template(Some("cml"), Some(id), 1.into()), "spec.launch_template", "name");
    bad("spec.launch_template", template(None, Some("lt-1"), 1.into()), "spec.launch_template.id", "lt-");
    bad(
        "spec.launch_template",
        template(Some("a b"), None, 1.into()),
        "spec.launch_template.name",
        "3 to 128",
    );
    bad("spec.root_volume_type", "io2".into(), "spec.root_volume_type", "gp2, gp3");
    let without_image = json!({ "launch_template": template(Some("cml"), None, 1.into()), "root_volume_gib": 64, "root_volume_type": "gp3" });
    bad("spec", without_image.clone(), "spec.root_volume_gib", "spec.image");
    bad("spec", without_image, "spec.root_volume_type", "spec.image");
    bad("spec.instance_type", "large".into(), "spec.instance_type", "m5zn.metal");
    bad("spec.subnet", "vpc-12345678".into(), "spec.subnet", "subnet-");
    bad("spec.security_groups", json!(["sg-1"]), "spec.security_groups[0]", "sg-");
    bad("spec.security_groups", json!(["sg-12345678", "sg-12345678"]), "spec.security_groups[1]", "");
    bad("spec.security_groups", json!(vec!["sg-12345678"; 17]), "spec.security_groups", "at most 16");
    bad("spec.key_name", "".into(), "spec.key_name", "1 to 255");
    bad("spec.key_name", "clé".into(), "spec.key_name", "1 to 255");
    bad("spec.instance_profile", "arn:aws:iam::1:x/y".into(), "spec.instance_profile", "1 to 128");
    for size in [json!(0), 7.into(), 16_385.into(), (-1).into(), 8.5.into(), 1e300.into(), u64::MAX.into()] {
        bad("spec.root_volume_gib", size, "spec.root_volume_gib", "8 to 16384");
    }
    for text in ["".to_owned(), "x".repeat(16_385), "ß".repeat(8_193)] {
        bad("spec.user_data", text.into(), "spec.user_data", "1 to 16384 bytes");
    }
    let large = json!({ "instance_type": "large" });
    bad("spec.alternatives", json!([large]), "spec.alternatives[0].instance_type", "m5zn.metal");
    bad("spec.alternatives", json!([{ "subnet": "vpc-12345678" }]), "spec.alternatives[0].subnet", "subnet-");
    bad("spec.alternatives", json!([{}]), "spec.alternatives[0]", "another instance_type");
    let same = json!({ "instance_type": "m5zn.metal" });
    bad("spec.alternatives", json!([same]), "spec.alternatives[0]", "another subnet");
    let other = json!({ "instance_type": "c5.metal" });
    bad("spec.alternatives", json!([other, other]), "spec.alternatives[1]", "another subnet");
    bad("spec.alternatives", json!([other, {}, {}, {}, {}, {}]), "spec.alternatives", "at most 5");
    cases
}
