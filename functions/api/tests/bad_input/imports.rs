//! What cannot be meant by an import of many instances.

use super::case::{Case, INVALID, MALFORMED, PARAMETER, case};

/// An import of a named instance, with another member.
fn named(member: &str) -> String {
    format!(r#"{{"instance_ids":["i-12345678"],{member}}}"#)
}

/// An import of one instance, with another member.
fn one(member: &str) -> String {
    format!(r#"{{"instance_id":"i-12345678","region":"eu-central-1",{member}}}"#)
}

pub(crate) fn imports_of_many_that_are_not_allowed() -> Vec<Case> {
    let bad = |body: &str| case("POST", "/workers/import", 422, INVALID).body(body);
    let shapeless = |body: &str| case("POST", "/workers/import", 400, MALFORMED).body(body);
    let of_many = "instance_ids, find, regions, dry_run, limit, cursor, tags";
    let of_one = "instance_id, region, name, tags";
    let many: String = ('b'..='k').map(|key| format!(r#","{key}":"""#)).collect();
    vec![
        bad(r#"{"instance_ids":[]}"#).names("instance_ids", "1 to 100 instances"),
        bad(r#"{"instance_ids":["i-12345678","i-X"]}"#).names("instance_ids[1]", "8 or 17"),
        bad(&named(r#""find":{"tags":{"a":"b"}}"#)).names("find", "instance_ids or find"),
        bad(r#"{"dry_run":true}"#).names("find", "instance_ids or find"),
        bad(r#"{"regions":["eu-central-1"]}"#).names("find", "instance_ids or find"),
        bad(r#"{"limit":5}"#).names("find", "instance_ids or find"),
        bad(r#"{"cursor":"x"}"#).names("find", "instance_ids or find"),
        bad(&named(r#""regions":[]"#)).names("regions", "eu-central-1"),
        bad(&named(r#""regions":["eu-central-1","eu-west-1"]"#)).names("regions[1]", "eu-central-1"),
        bad(&named(r#""limit":0"#)).names("limit", "1 to 100"),
        bad(&named(r#""limit":101"#)).names("limit", "1 to 100"),
        bad(&named(r#""limit":1.5"#)).names("limit", "1 to 100"),
        bad(&named(r#""held":"""#)).names("held", "1 to 200"),
        bad(&named(r#""tags":{"Name":"x"}"#)).names("tags.Name", "not starting with"),
        bad(&named(r#""settings":{"cpu":0}"#)).names("settings.cpu", "1 to 100"),
        bad(r#"{"find":{}}"#).names("find", "tags, image_name or both"),
        bad(r#"{"find":{"tags":{}}}"#).names("find", "tags, image_name or both"),
        bad(r#"{"find":{"tags":{"a":"b*"}}}"#).names("find.tags.a", "at most 256"),
        bad(&format!(r#"{{"find":{{"tags":{{"a":"{}"}}}}}}"#, "b".repeat(256)))
            .names("find.tags.a", "at most 255"),
        bad(r#"{"find":{"tags":{"a?":"b"}}}"#).names("find.tags.a?", "1 to 128"),
        bad(&format!(r#"{{"find":{{"tags":{{"a":""{many}}}}}}}"#)).names("find.tags", "at most 10"),
        bad(r#"{"find":{"image_name":"*"}}"#).names("find.image_name", "3 at least"),
        bad(r#"{"find":{"image_name":""}}"#).names("find.image_name", "3 to 128"),
        case("POST", "/workers/import", 400, PARAMETER)
            .body(named(r#""cursor":"x""#))
            .names("cursor", "next"),
        shapeless(&named(r#""region":"eu-central-1""#)).names("region", of_many),
        shapeless(&named(r#""name":"lab-1""#)).names("name", of_many),
        shapeless(&named(r#""instance_id":"i-12345678""#)).names("instance_ids", of_one),
        shapeless(&one(r#""find":{"tags":{"a":"b"}}"#)).names("find", of_one),
        shapeless(&one(r#""dry_run":true"#)).names("dry_run", of_one),
        shapeless(&one(r#""regions":["eu-central-1"]"#)).names("regions", of_one),
        shapeless(&one(r#""limit":1"#)).names("limit", of_one),
        shapeless(&one(r#""cursor":"x""#)).names("cursor", of_one),
        shapeless(&one(r#""adopt_orphans":"yes""#)).names("adopt_orphans", ""),
        shapeless(r#"{"instance_ids":"i-12345678"}"#).names("instance_ids", ""),
        shapeless(r#"{"instance_ids":[1]}"#).names("instance_ids[0]", ""),
        shapeless(r#"{"instance_ids":["i-12345678"],"instance_ids":[]}"#).names("instance_ids", ""),
        shapeless(r#"{"find":[]}"#).names("find", ""),
        shapeless(r#"{"find":{"name":"x"}}"#).names("find.name", "tags, image_name"),
        shapeless(r#"{"find":{"tags":{"a":1}}}"#).names("find.tags.a", ""),
        shapeless(r#"{"find":{"tags":{"a":"1","a":"2"}}}"#).names("find.tags.a", ""),
        shapeless(r#"{"dry_run":1}"#).names("dry_run", ""),
        shapeless(r#"{"regions":"eu-central-1"}"#).names("regions", ""),
    ]
}
