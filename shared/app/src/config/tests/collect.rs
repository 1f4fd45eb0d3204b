//! What `collect` is told.

use super::with;
use crate::config::CollectConfig;

#[test]
fn instances_are_discovered_by_a_tag_if_there_is_one() {
    let parse =
        |tag: &str| CollectConfig::parse(&with(&[("ACCOUNT_ID", "123456789012"), ("DISCOVERY_TAG", tag)]));
    for nothing in ["", " "] {
        assert_eq!(parse(nothing).expect("good").discovery, None);
    }
    for (text, key, value) in [
        ("cml-worker=yes", "cml-worker", "yes"),
        ("Name=", "Name", ""),
        ("cml-fleet:managed=true", "cml-fleet:managed", "true"),
        ("a b=c=d", "a b", "c=d"),
    ] {
        let tag = parse(text).expect(text).discovery.expect("a tag");
        assert_eq!((tag.key.as_str(), tag.value.as_str()), (key, value));
    }
    for canary in ["canary", "=canary", "canary*=x", "canary=x?", "canary=x\ny"] {
        let error = parse(canary).expect_err(canary).to_string();
        assert!(error.contains("DISCOVERY_TAG must be a tag as key=value"), "{error}");
        assert!(!error.contains("canary"), "{error}");
    }
}

#[test]
fn what_is_missing_is_named() {
    let error = CollectConfig::parse(&with(&[])).expect_err("missing").to_string();
    for name in ["ACCOUNT_ID is not set", "DISCOVERY_TAG is not set; it may be empty"] {
        assert!(error.contains(name), "{error}");
    }
}
