//! Buckets.

use app::ports::{BucketKey, Buckets};
use domain::{ActionKind, Level};
use serde_json::json;

use super::{at, client, condition_failed, names, nothing, ok, parse};
use crate::dynamo::DynamoBuckets;
use crate::wire::Wire;

fn buckets(wire: &Wire) -> DynamoBuckets {
    DynamoBuckets::new(&client(wire), "journal")
}

fn key() -> BucketKey {
    BucketKey { account: parse("123456789012"), region: parse("us-east-1"), action: ActionKind::Start }
}

fn level(calls: i64, workers: i64) -> Level {
    Level { calls_full_at: at(calls), workers_full_at: at(workers) }
}

#[tokio::test]
async fn a_level_is_read_as_it_is_now() {
    let item = json!({ "pk": { "S": "p" }, "sk": { "S": "s" }, "calls_full_at": { "N": "60000" },
        "workers_full_at": { "N": "90000" } });
    let wire = Wire::new([ok(json!({ "Item": item }))]);
    assert_eq!(buckets(&wire).level(&key()).await.expect("read"), Some(level(60, 90)));
    let sent = wire.only().json();
    let place = json!({ "pk": { "S": "BUCKET#123456789012#us-east-1#start" }, "sk": { "S": "LEVEL" } });
    assert_eq!((&sent["Key"], &sent["ConsistentRead"]), (&place, &json!(true)));
    assert_eq!(buckets(&Wire::new([nothing()])).level(&key()).await.expect("read"), None);
}

#[tokio::test]
async fn a_draw_depends_on_the_level_it_was_decided_on() {
    let wire = Wire::new([nothing()]);
    assert!(buckets(&wire).draw(&key(), Some(level(60, 90)), level(61, 95)).await.expect("written"));
    let sent = wire.only().json();
    assert_eq!(sent["UpdateExpression"], json!("SET #calls_full_at = :calls, #workers_full_at = :workers"));
    assert_eq!(
        sent["ConditionExpression"],
        json!("#calls_full_at = :old_calls AND #workers_full_at = :old_workers")
    );
    let values =
        [(":calls", "61000"), (":workers", "95000"), (":old_calls", "60000"), (":old_workers", "90000")];
    for (name, value) in values {
        assert_eq!(sent["ExpressionAttributeValues"][name], json!({ "N": value }), "{name}");
    }
    assert_eq!(names(&wire.only()), ["#calls_full_at", "#workers_full_at"]);
}

#[tokio::test]
async fn the_first_draw_finds_nothing_and_a_lost_one_is_said_to_be() {
    let wire = Wire::new([condition_failed()]);
    assert!(!buckets(&wire).draw(&key(), None, level(61, 95)).await.expect("answered"));
    assert_eq!(wire.only().json()["ConditionExpression"], json!("attribute_not_exists(#pk)"));
}
