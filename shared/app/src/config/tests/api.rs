//! The settings of `api` alone.

use expect_test::expect;

use super::{ApiConfig, with};
use crate::config::ConfigErrors;

/// The settings of `api`, with these changes.
fn api(changes: &[(&str, &str)]) -> Result<ApiConfig, ConfigErrors> {
    let mut all =
        with(&[("ACCOUNT_ID", "123456789012"), ("ALLOWED_INSTANCE_TYPES", ""), ("ALLOWED_IMAGE_OWNERS", "")]);
    all.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
    ApiConfig::parse(&all)
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
    "#]].assert_eq(&said);
    let error = ApiConfig::parse(&with(&[("ACCOUNT_ID", "123456789012")])).expect_err("no lists").to_string();
    expect!["the settings cannot be used: ALLOWED_INSTANCE_TYPES is not set; it may be empty; ALLOWED_IMAGE_OWNERS is not set; it may be empty"].assert_eq(&error);
}
