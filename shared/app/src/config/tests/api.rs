//! What `api` is told.

use std::collections::BTreeMap;

use expect_test::expect;

use super::with;
use crate::config::{ApiConfig, ConfigErrors, Role};

const GOOD: [(&str, &str); 8] = [
    ("ACCOUNT_ID", "123456789012"),
    ("ALLOWED_INSTANCE_TYPES", ""),
    ("ALLOWED_IMAGE_OWNERS", ""),
    ("MASS_TERMINATION_LIMIT", "10"),
    ("ROLE_CLAIM", "cognito:groups"),
    ("ADMIN_PRINCIPALS", "arn:aws:iam::123456789012:role/admin, arn:aws:iam::123456789012:user/ann"),
    ("OPERATOR_PRINCIPALS", ""),
    ("VIEWER_PRINCIPALS", "*"),
];

fn variables(changes: &[(&str, &str)]) -> BTreeMap<String, String> {
    with(&[&GOOD[..], changes].concat())
}

#[test]
fn principals_have_the_role_of_their_list() {
    let access = ApiConfig::parse(&variables(&[])).expect("good").access;
    assert_eq!(access.claim, "cognito:groups");
    for (arn, role) in [
        ("arn:aws:iam::123456789012:user/ann", Role::Admin),
        ("arn:aws:sts::123456789012:assumed-role/admin/ann", Role::Admin),
        ("arn:aws:iam::123456789012:user/bob", Role::Viewer),
    ] {
        assert_eq!(access.of_principal(arn), Some(role), "{arn}");
    }
}

#[test]
fn what_is_wrong_is_named_and_not_repeated() {
    let changes =
        [("ROLE_CLAIM", "two words"), ("ADMIN_PRINCIPALS", "alice,canary"), ("ACCOUNT_ID", "12345")];
    let error = ApiConfig::parse(&variables(&changes)).expect_err("bad").to_string();
    expect!["the settings cannot be used: ACCOUNT_ID must be a 12-digit AWS account id; ROLE_CLAIM must be the name of a claim: 1 to 128 printable characters without blanks; ADMIN_PRINCIPALS must be a single *, or ARNs of IAM principals separated by commas, roles without their path, in which * stands for any text between two colons"].assert_eq(&error);
    for (name, _) in GOOD {
        let mut variables = variables(&[]);
        variables.remove(name);
        let error = ApiConfig::parse(&variables).expect_err("missing").to_string();
        assert!(error.contains(&format!("{name} is not set")), "{error}");
    }
}

#[test]
fn nobody_is_less_than_an_admin_where_everybody_is_one() {
    for (variable, value) in [("OPERATOR_PRINCIPALS", "arn:aws:iam::1:user/x"), ("VIEWER_PRINCIPALS", "*")] {
        let changes = [("VIEWER_PRINCIPALS", ""), ("ADMIN_PRINCIPALS", "*"), (variable, value)];
        let error = ApiConfig::parse(&variables(&changes)).expect_err("a contradiction").to_string();
        expect!["the settings cannot be used: ADMIN_PRINCIPALS must not be * when OPERATOR_PRINCIPALS or VIEWER_PRINCIPALS name anybody"].assert_eq(&error);
    }
    let alone = [("VIEWER_PRINCIPALS", ""), ("ADMIN_PRINCIPALS", "*")];
    assert!(ApiConfig::parse(&variables(&alone)).is_ok());
}

/// The settings of `api`, with these changes.
fn api(changes: &[(&str, &str)]) -> Result<ApiConfig, ConfigErrors> {
    ApiConfig::parse(&variables(changes))
}

#[test]
fn what_may_be_launched_is_a_list_and_an_empty_one_is_everything() {
    let all = api(&[]).expect("good").allowed;
    assert!(all.instance_type("c5.large") && all.image_owner(&"self".parse().expect("an owner")));
    let some =
        api(&[("ALLOWED_INSTANCE_TYPES", "m5zn.metal, c5.*"), ("ALLOWED_IMAGE_OWNERS", "self,210987654321")]);
    let some = some.expect("good").allowed;
    let types = ["m5zn.metal", "c5.large", "c5d.large", "m5zn.large"].map(|name| some.instance_type(name));
    assert_eq!(types, [true, true, false, false]);
    let owners =
        ["self", "210987654321", "amazon"].map(|owner| some.image_owner(&owner.parse().expect("an owner")));
    assert_eq!(owners, [true, true, false]);
}

#[test]
fn what_may_be_launched_is_refused_with_its_rule() {
    let mut said = String::new();
    for (variable, values) in [
        ("ACCOUNT_ID", &["", "12"][..]),
        ("ALLOWED_INSTANCE_TYPES", &["M5.large", "c5.*,", "c5.*,c5.*", "c5.* m5.*"]),
        ("ALLOWED_IMAGE_OWNERS", &["microsoft", "1234", "self,self", "self;amazon"]),
        ("MASS_TERMINATION_LIMIT", &["", "-1", "10001"]),
    ] {
        for value in values {
            let error = api(&[(variable, value)]).expect_err(value).to_string();
            said += &format!("{value:?}: {}\n", error.trim_start_matches("the settings cannot be used: "));
        }
    }
    expect![[r#"
        "": ACCOUNT_ID is not set, and must be a 12-digit AWS account id
        "12": ACCOUNT_ID must be a 12-digit AWS account id
        "M5.large": ALLOWED_INSTANCE_TYPES must be instance types such as m5zn.metal or c5.*, separated by commas, each once
        "c5.*,": ALLOWED_INSTANCE_TYPES must be instance types such as m5zn.metal or c5.*, separated by commas, each once
        "c5.*,c5.*": ALLOWED_INSTANCE_TYPES must be instance types such as m5zn.metal or c5.*, separated by commas, each once
        "c5.* m5.*": ALLOWED_INSTANCE_TYPES must be instance types such as m5zn.metal or c5.*, separated by commas, each once
        "microsoft": ALLOWED_IMAGE_OWNERS must be self, amazon, aws-marketplace or 12-digit AWS account ids, separated by commas, each once
        "1234": ALLOWED_IMAGE_OWNERS must be self, amazon, aws-marketplace or 12-digit AWS account ids, separated by commas, each once
        "self,self": ALLOWED_IMAGE_OWNERS must be self, amazon, aws-marketplace or 12-digit AWS account ids, separated by commas, each once
        "self;amazon": ALLOWED_IMAGE_OWNERS must be self, amazon, aws-marketplace or 12-digit AWS account ids, separated by commas, each once
        "": MASS_TERMINATION_LIMIT is not set, and must be a whole number from 0 to 10000
        "-1": MASS_TERMINATION_LIMIT must be a whole number from 0 to 10000
        "10001": MASS_TERMINATION_LIMIT must be a whole number from 0 to 10000
    "#]].assert_eq(&said);
}
