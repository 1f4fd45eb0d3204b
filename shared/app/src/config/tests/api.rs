//! What `api` is told.

use std::collections::BTreeMap;

use expect_test::expect;

use super::with;
use crate::config::{ApiConfig, Role};

const GOOD: [(&str, &str); 5] = [
    ("ACCOUNT_ID", "123456789012"),
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
