//! What cannot be meant by a command for many workers.

use super::case::{Case, INVALID, MALFORMED, PARAMETER, case};

const ID: &str = "01890a5d-ac96-774b-bcce-b302099a8057";

pub(crate) fn commands_that_are_not_allowed() -> Vec<Case> {
    let bad = |body: &str| case("POST", "/commands", 422, INVALID).body(body);
    let shapeless = |body: &str| case("POST", "/commands", 400, MALFORMED).body(body);
    let start = |member: &str| format!(r#"{{"action":"start",{member}}}"#);
    let stop_all = |member: &str| format!(r#"{{"action":"stop","filter":{{{member}}}}}"#);
    let many =
        (0..1001).map(|n| format!(r#""01890a5d-ac96-774b-bcce-{n:012x}""#)).collect::<Vec<_>>().join(",");
    let fields = "action, workers, filter, tags, confirm, dry_run";
    vec![
        bad(r#"{"filter":{}}"#).names("action", "start, stop, reboot, terminate, tag, sync"),
        bad(r#"{"action":"Start","filter":{}}"#).names("action", "start, stop, reboot, terminate, tag, sync"),
        bad(r#"{"action":"patch","filter":{}}"#).names("action", "start, stop, reboot, terminate, tag, sync"),
        bad(r#"{"action":"start"}"#).names("workers", "the ids of workers, or a filter"),
        bad(&start(&format!(r#""workers":["{ID}"],"filter":{{}}"#))).names("filter", "one of the two"),
        bad(&start(r#""workers":[]"#)).names("workers", "1 to 1000 ids"),
        bad(&start(&format!(r#""workers":[{many}]"#))).names("workers", "1 to 1000 ids"),
        bad(&start(&format!(r#""workers":["{ID}","lab-1"]"#))).names("workers[1]", "a worker id"),
        bad(&start(&format!(r#""workers":["{}"]"#, ID.to_uppercase()))).names("workers[0]", "lower-case"),
        bad(&start(&format!(r#""workers":["{ID}","{ID}"]"#))).names("workers[1]", ""),
        bad(&stop_all(r#""region":"eu-west-1""#)).names("filter.region", "eu-central-1, us-east-1"),
        bad(&stop_all(r#""region":"Mars""#)).names("filter.region", "us-east-1"),
        bad(&stop_all(r#""status":"terminated""#)).names("filter.status", "running"),
        bad(&stop_all(r#""status":"gone""#)).names("filter.status", "running"),
        bad(&stop_all(r#""name":"lab 1""#)).names("filter.name", "a worker's name"),
        bad(&stop_all(r#""name":"""#)).names("filter.name", "a worker's name"),
        bad(&stop_all(r#""tags":{"Name":"x"}"#)).names("tags.Name", "not starting with"),
        bad(&start(r#""filter":{},"tags":{"a":"b"}"#)).names("tags", ""),
        bad(r#"{"action":"tag","filter":{}}"#).names("tags", "tags to set"),
        bad(r#"{"action":"tag","filter":{},"tags":{}}"#).names("tags", "tags to set"),
        bad(r#"{"action":"tag","filter":{},"tags":{"aws:x":"1"}}"#).names("tags.aws:x", "not starting with"),
        bad(&start(r#""filter":{},"confirm":3"#)).names("confirm", ""),
        bad(r#"{"action":"terminate","filter":{},"confirm":0}"#).names("confirm", "1 to 10000"),
        bad(r#"{"action":"terminate","filter":{},"confirm":2.5}"#).names("confirm", "1 to 10000"),
        shapeless(&start(r#""filter":[]"#)).names("filter", ""),
        shapeless(&start(r#""filter":{"names":"x"}"#)).names("filter.names", "region, status, name, tags"),
        shapeless(&start(r#""filter":{"tags":{"a":null}}"#)).names("filter.tags.a", ""),
        shapeless(&start(r#""workers":"all""#)).names("workers", ""),
        shapeless(&start(r#""workers":[7]"#)).names("workers[0]", ""),
        shapeless(&start(r#""filter":{},"dry_run":"yes""#)).names("dry_run", ""),
        shapeless(&start(r#""filter":{},"confirm":"3""#)).names("confirm", ""),
        shapeless(&start(r#""filter":{},"force":true"#)).names("force", fields),
        case("GET", &format!("/commands/{ID}?limit=1"), 400, PARAMETER).names("limit", "no parameters"),
        case("GET", &format!("/commands/{ID}/workers?limit=101"), 400, PARAMETER).names("limit", "1 to 100"),
        case("GET", &format!("/commands/{ID}/workers?cursor=x"), 400, PARAMETER).names("cursor", "next"),
        case("GET", "/commands/lab-1", 404, "no-such-command"),
        case("GET", &format!("/commands/{ID}"), 404, "no-such-command"),
        case("GET", &format!("/commands/{ID}/workers"), 404, "no-such-command"),
        case("POST", &format!("/commands/{ID}/cancel"), 400, MALFORMED)
            .body(r#"{"why":"x"}"#)
            .names("why", ""),
    ]
}
