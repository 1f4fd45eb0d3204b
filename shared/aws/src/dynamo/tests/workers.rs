//! The fleet table.

use app::error::StoreError;
use app::item::{EventItem, Key, WorkerItem, encode};
use app::ports::{InstanceKey, Workers};
use app::record::{EventRecord, Stored};
use domain::{
    Actor, AlertDuration, Desired, DriftPolicy, Event, Overrides, Percent, Policy, PollInterval, Threshold,
};
use serde_json::{Value, json};

use super::{OTHER, WORKER, at, client, condition_failed, names, nothing, ok, parse, worker};
use crate::dynamo::DynamoWorkers;
use crate::wire::{Reply, Wire};

const INSTANCE: &str = "INSTANCE#123456789012#eu-west-1#i-00000000000000001";

fn policy() -> Policy {
    let threshold = Threshold {
        percent: Percent::new(90).expect("in range"),
        duration: AlertDuration::new(300).expect("in range"),
    };
    Policy {
        monitoring: true,
        interval: PollInterval::new(300).expect("in range"),
        drift: DriftPolicy::Alert,
        cpu: threshold,
        memory: threshold,
        disk: threshold,
    }
}

fn by() -> Actor {
    Actor::Policy
}

fn next(before: Option<&Stored>, event: Event) -> (EventRecord, Stored) {
    Stored::next(before, vec![event], &policy(), at(1_000_000)).expect("a worker")
}

fn imported(id: &str) -> (EventRecord, Stored) {
    let event = Event::Imported {
        id: worker(id),
        name: parse("lab-1"),
        account: parse("123456789012"),
        region: parse("eu-west-1"),
        instance: parse("i-00000000000000001"),
        desired: Desired::Running,
        tags: Default::default(),
        overrides: Overrides::default(),
        at: at(999_999),
        by: by(),
    };
    next(None, event)
}

fn workers(wire: &Wire) -> DynamoWorkers {
    DynamoWorkers::new(&client(wire), "fleet", 90)
}

fn json_of(item: &impl serde::Serialize) -> Value {
    serde_json::to_value(encode::<serde_dynamo::Item>(item).expect("an item")).expect("JSON")
}

fn state_item(stored: &Stored) -> Value {
    json_of(&WorkerItem::new(stored, 90))
}

fn event_item(record: &EventRecord) -> Value {
    json_of(&EventItem::new(record, 90))
}

/// Each write of a transaction as `verb pk | sk | condition | values`.
fn writes(wire: &Wire) -> Vec<String> {
    let sent = wire.only();
    assert_eq!(sent.operation(), "TransactWriteItems");
    let line = |write: &Value| {
        let (verb, write) = write.as_object().expect("a write").iter().next().expect("a verb");
        let key = if write["Key"].is_object() { &write["Key"] } else { &write["Item"] };
        let (pk, sk) = (key["pk"]["S"].as_str().expect("pk"), key["sk"]["S"].as_str().expect("sk"));
        assert_eq!(write["TableName"], json!("fleet"));
        let values = write["ExpressionAttributeValues"].as_object().map(|values| json!(values).to_string());
        let given = write["ConditionExpression"].as_str().expect("a condition");
        format!("{verb} {pk} | {sk} | {given} | {}", values.unwrap_or_default())
    };
    sent.json()["TransactItems"].as_array().expect("writes").iter().map(line).collect()
}

#[tokio::test]
async fn a_new_worker_is_one_transaction_with_its_facts_its_name_and_its_instance() {
    let wire = Wire::new([nothing()]);
    let (record, stored) = imported(WORKER);
    workers(&wire).save(None, &record, &stored).await.expect("saved");
    let ours =
        format!(r#"attribute_not_exists(#pk) OR #worker_id = :worker | {{":worker":{{"S":"{WORKER}"}}}}"#);
    assert_eq!(
        writes(&wire),
        [
            format!("Put WORKER#{WORKER} | STATE | attribute_not_exists(#pk) | "),
            format!("Put WORKER#{WORKER} | EVENT#00000000000000000001 | attribute_not_exists(#pk) | "),
            format!("Put NAME#lab-1 | OWNER | {ours}"),
            format!("Put {INSTANCE} | OWNER | {ours}"),
        ]
    );
    let sent = wire.only().json();
    assert_eq!(sent["TransactItems"][0]["Put"]["Item"], state_item(&stored));
    assert_eq!(sent["TransactItems"][1]["Put"]["Item"], event_item(&record));
    assert!(sent["ClientRequestToken"].is_string(), "the SDK's own retries are the same transaction");
}

#[tokio::test]
async fn a_change_is_bound_to_the_version_it_was_decided_on_and_moves_only_what_moved() {
    let wire = Wire::new([nothing()]);
    let (_, before) = imported(WORKER);
    let (record, after) =
        next(Some(&before), Event::Renamed { from: parse("lab-1"), to: parse("lab-2"), by: by() });
    workers(&wire).save(Some(&before), &record, &after).await.expect("saved");
    let ours =
        format!(r#"attribute_not_exists(#pk) OR #worker_id = :worker | {{":worker":{{"S":"{WORKER}"}}}}"#);
    assert_eq!(
        writes(&wire),
        [
            format!(r#"Put WORKER#{WORKER} | STATE | #version = :version | {{":version":{{"N":"1"}}}}"#),
            format!("Put WORKER#{WORKER} | EVENT#00000000000000000002 | attribute_not_exists(#pk) | "),
            format!("Put NAME#lab-2 | OWNER | {ours}"),
            format!("Delete NAME#lab-1 | OWNER | {ours}"),
        ]
    );
}

#[tokio::test]
async fn a_worker_that_is_over_lets_go_of_its_name_and_its_instance() {
    let wire = Wire::new([nothing()]);
    let (_, before) = imported(WORKER);
    let (record, after) = next(Some(&before), Event::Forgotten { at: at(1_000_000), by: by() });
    workers(&wire).save(Some(&before), &record, &after).await.expect("saved");
    let kept: Vec<_> =
        writes(&wire).iter().map(|line| line.split(" | ").next().unwrap_or_default().to_owned()).collect();
    assert_eq!(kept[2..], ["Delete NAME#lab-1".to_owned(), format!("Delete {INSTANCE}")]);
}

fn cancelled(codes: &[&str]) -> Reply {
    let reasons: Vec<Value> = codes.iter().map(|code| json!({ "Code": code })).collect();
    let body = json!({ "__type": "com.amazonaws.dynamodb.v20120810#TransactionCanceledException",
        "Message": "Transaction cancelled", "CancellationReasons": reasons });
    Reply::status(400, body)
}

async fn refusal(reply: Reply) -> StoreError {
    let (record, stored) = imported(WORKER);
    workers(&Wire::new([reply])).save(None, &record, &stored).await.expect_err("refused")
}

#[tokio::test]
async fn why_a_transaction_was_cancelled_is_told_apart() {
    const FAILED: &str = "ConditionalCheckFailed";
    assert!(matches!(refusal(cancelled(&[FAILED, "None", "None", "None"])).await, StoreError::Conflict));
    assert!(matches!(refusal(cancelled(&["None", FAILED, "None", "None"])).await, StoreError::Conflict));
    let taken = refusal(cancelled(&["None", "None", FAILED, FAILED])).await;
    assert!(matches!(&taken, StoreError::NameTaken { name } if name.as_str() == "lab-1"), "{taken:?}");
    assert!(matches!(refusal(cancelled(&["None", "None", "None", FAILED])).await, StoreError::InstanceTaken));
    // A condition that failed is certain; a conflict may pass.
    assert!(matches!(
        refusal(cancelled(&[FAILED, "None", "TransactionConflict", "None"])).await,
        StoreError::Conflict
    ));
    for code in ["TransactionConflict", "ThrottlingError", "ProvisionedThroughputExceeded"] {
        let refusal = refusal(cancelled(&["None", code, "None", "None"])).await;
        assert!(matches!(refusal, StoreError::Contended(_)), "{code}: {refusal:?}");
    }
    assert!(matches!(refusal(cancelled(&["None", "ValidationError"])).await, StoreError::Unavailable(_)));
}

#[tokio::test]
async fn a_throttled_table_is_busy_and_a_refusal_is_not() {
    assert!(matches!(refusal(Reply::json("ThrottlingException", "slow")).await, StoreError::Contended(_)));
    assert!(matches!(
        refusal(Reply::json("TransactionInProgressException", "wait")).await,
        StoreError::Contended(_)
    ));
    let StoreError::Unavailable(cause) = refusal(Reply::json("AccessDeniedException", "no")).await else {
        panic!("not a refusal")
    };
    assert_eq!(cause.to_string(), "DynamoDB TransactWriteItems: AccessDeniedException");
}

#[tokio::test]
async fn a_worker_is_read_as_it_is_now() {
    let (_, stored) = imported(WORKER);
    let wire = Wire::new([ok(json!({ "Item": state_item(&stored) })), nothing()]);
    let workers = workers(&wire);
    assert_eq!(workers.load(worker(WORKER)).await.expect("read"), Some(stored));
    assert_eq!(workers.load(worker(OTHER)).await.expect("read"), None);
    let key = json!({ "pk": { "S": format!("WORKER#{WORKER}") }, "sk": { "S": "STATE" } });
    assert_eq!(wire.sent()[0].json(), json!({ "TableName": "fleet", "Key": key, "ConsistentRead": true }));
}

#[tokio::test]
async fn a_worker_that_cannot_be_read_is_not_taken_for_none() {
    let item = json!({ "pk": { "S": "WORKER#1" }, "sk": { "S": "STATE" } });
    let error =
        workers(&Wire::new([ok(json!({ "Item": item }))])).load(worker(WORKER)).await.expect_err("corrupt");
    assert!(matches!(error, StoreError::Corrupt(_)), "{error:?}");
}

#[tokio::test]
async fn what_a_batch_left_out_is_asked_for_again_and_a_bad_item_hides_no_other() {
    let (_, stored) = imported(WORKER);
    let bad = json!({ "pk": { "S": "WORKER#1" }, "sk": { "S": "STATE" } });
    let key = json!({ "pk": { "S": format!("WORKER#{WORKER}") }, "sk": { "S": "STATE" } });
    let left = json!({ "fleet": { "Keys": [key], "ConsistentRead": true } });
    let wire = Wire::new([
        ok(json!({ "Responses": { "fleet": [bad] }, "UnprocessedKeys": left })),
        ok(json!({ "Responses": { "fleet": [state_item(&stored)] }, "UnprocessedKeys": {} })),
    ]);
    let ids = [worker(WORKER), worker(OTHER), worker(WORKER)];
    assert_eq!(workers(&wire).load_many(&ids).await.expect("read"), [stored]);
    let asked = |index: usize| wire.sent()[index].json()["RequestItems"]["fleet"].clone();
    assert_eq!(
        (asked(0)["Keys"].as_array().map(Vec::len), &asked(0)["ConsistentRead"]),
        (Some(2), &json!(true))
    );
    assert_eq!(asked(1)["Keys"], json!([key]));
}

#[tokio::test]
async fn a_batch_that_is_never_finished_is_given_up() {
    let key = json!({ "pk": { "S": format!("WORKER#{WORKER}") }, "sk": { "S": "STATE" } });
    let body = json!({ "Responses": {}, "UnprocessedKeys": { "fleet": { "Keys": [key] } } });
    let wire = Wire::new(vec![ok(body); 5]);
    let error = workers(&wire).load_many(&[worker(WORKER)]).await.expect_err("given up");
    assert!(matches!(error, StoreError::Contended(_)), "{error:?}");
    assert_eq!(wire.sent().len(), 5);
}

#[tokio::test]
async fn more_than_100_workers_are_several_batches() {
    let wire = Wire::new([nothing(), nothing()]);
    let ids: Vec<_> = (1..=101).map(|n| worker(&format!("0192aaaa-0000-7000-8000-{n:012}"))).collect();
    assert_eq!(workers(&wire).load_many(&ids).await.expect("read"), []);
    assert_eq!(wire.sent().len(), 2);
}

#[tokio::test]
async fn the_owner_of_an_instance_is_read_as_it_is_now() {
    let item = json!({ "pk": { "S": INSTANCE }, "sk": { "S": "OWNER" }, "worker_id": { "S": WORKER } });
    let wire = Wire::new([ok(json!({ "Item": item }))]);
    let key = InstanceKey {
        account: parse("123456789012"),
        region: parse("eu-west-1"),
        instance: parse("i-00000000000000001"),
    };
    assert_eq!(workers(&wire).owner(&key).await.expect("read"), Some(worker(WORKER)));
    let sent = wire.only().json();
    assert_eq!((&sent["Key"]["pk"]["S"], &sent["ConsistentRead"]), (&json!(INSTANCE), &json!(true)));
}

#[tokio::test]
async fn the_workers_of_a_region_come_in_pages_and_a_cursor_goes_on_where_one_ended() {
    let (_, stored) = imported(WORKER);
    let place = format!("-#{WORKER}");
    let last = json!({ "pk": { "S": format!("WORKER#{WORKER}") }, "sk": { "S": "STATE" },
        "region_pk": { "S": "REGION#eu-west-1" }, "region_sk": { "S": place } });
    let wire = Wire::new([
        ok(json!({ "Items": [state_item(&stored)], "LastEvaluatedKey": last })),
        ok(json!({ "Items": [] })),
    ]);
    let (workers, region) = (workers(&wire), parse("eu-west-1"));
    let page = workers.watches(&region, None, 25).await.expect("a page");
    assert_eq!((page.items[0].worker, page.next.as_deref()), (worker(WORKER), Some(place.as_str())));
    let end = workers.watches(&region, page.next.as_deref(), 25).await.expect("the end");
    assert_eq!((end.items.len(), end.next), (0, None));
    let first = wire.sent()[0].json();
    assert_eq!(first["IndexName"], json!("by-region"));
    assert_eq!(first["KeyConditionExpression"], json!("#region_pk = :region"));
    assert_eq!(first["ExpressionAttributeValues"], json!({ ":region": { "S": "REGION#eu-west-1" } }));
    assert_eq!((&first["Limit"], &first["ConsistentRead"]), (&json!(25), &json!(false)));
    assert_eq!(names(&wire.sent()[0]), ["#region_pk"]);
    assert_eq!(wire.sent()[1].json()["ExclusiveStartKey"], last);
}

#[tokio::test]
async fn a_cursor_that_is_none_of_ours_is_refused_before_the_table_is_asked() {
    let wire = Wire::new([]);
    let (workers, region) = (workers(&wire), parse("eu-west-1"));
    for cursor in ["", "x", "-#x", "EU#0192aaaa-0000-7000-8000-000000000001", "eu-west-1a"] {
        let error = workers.watches(&region, Some(cursor), 25).await.expect_err(cursor);
        assert!(matches!(error, StoreError::BadCursor), "{cursor}: {error:?}");
    }
    let error = workers.events(worker(WORKER), Some("-1"), 25).await.expect_err("not a version");
    assert!(matches!(error, StoreError::BadCursor));
}

#[tokio::test]
async fn facts_are_listed_newest_first() {
    let (record, _) = imported(WORKER);
    let key = json_of(&Key::event(worker(WORKER), 1));
    let wire = Wire::new([ok(json!({ "Items": [event_item(&record)], "LastEvaluatedKey": key }))]);
    let page = workers(&wire).events(worker(WORKER), Some("7"), 1).await.expect("a page");
    assert_eq!((page.items, page.next.as_deref()), (vec![record], Some("1")));
    let sent = wire.only().json();
    assert_eq!(sent["KeyConditionExpression"], json!("#pk = :worker AND begins_with(#sk, :event)"));
    assert_eq!((&sent["ScanIndexForward"], &sent["ConsistentRead"]), (&json!(false), &json!(true)));
    assert_eq!(sent["ExclusiveStartKey"], json_of(&Key::event(worker(WORKER), 7)));
    assert_eq!(names(&wire.only()), ["#pk", "#sk"]);
}

#[tokio::test]
async fn untold_facts_are_read_from_all_partitions_and_what_was_told_since_is_left_out() {
    let (first, told) = (imported(WORKER).0, imported(OTHER).0);
    let entry = |record: &EventRecord, at: i64| {
        let mut entry = json_of(&Key::event(record.worker, record.version));
        entry["at"] = json!({ "N": at.to_string() });
        json!({ "Items": [entry] })
    };
    let mut told_item = event_item(&told);
    told_item.as_object_mut().expect("an item").remove("outbox");
    let wire = Wire::new([
        ok(entry(&told, 2)),
        nothing(),
        ok(entry(&first, 1)),
        nothing(),
        ok(json!({ "Responses": { "fleet": [told_item, event_item(&first)] } })),
    ]);
    assert_eq!(workers(&wire).untold(at(1_000_001), 10).await.expect("read"), [first]);
    let asked = wire.sent()[2].json();
    assert_eq!(asked["IndexName"], json!("outbox"));
    assert_eq!(asked["KeyConditionExpression"], json!("#outbox = :partition AND #at < :until"));
    let values = json!({ ":partition": { "S": "2" }, ":until": { "N": "1000001000" } });
    assert_eq!(asked["ExpressionAttributeValues"], values);
}

#[tokio::test]
async fn only_the_oldest_untold_facts_are_read_whole() {
    let (old, new) = (imported(WORKER).0, imported(OTHER).0);
    let entry = |record: &EventRecord, at: &str| {
        let mut entry = json_of(&Key::event(record.worker, record.version));
        entry["at"] = json!({ "N": at });
        ok(json!({ "Items": [entry] }))
    };
    // 9 before 10: as numbers, not as texts.
    let wire = Wire::new([entry(&new, "10"), nothing(), entry(&old, "9"), nothing(), nothing()]);
    workers(&wire).untold(at(1_000_001), 1).await.expect("read");
    let keys = wire.sent()[4].json()["RequestItems"]["fleet"]["Keys"].clone();
    assert_eq!(keys, json!([json_of(&Key::event(worker(WORKER), 1))]));
}

#[tokio::test]
async fn telling_twice_or_after_the_facts_expired_is_not_an_error() {
    let wire = Wire::new([nothing(), condition_failed()]);
    let workers = workers(&wire);
    workers.mark_told(worker(WORKER), 3).await.expect("marked");
    workers.mark_told(worker(WORKER), 3).await.expect("nothing to mark");
    let sent = wire.sent()[0].json();
    assert_eq!(sent["Key"], json_of(&Key::event(worker(WORKER), 3)));
    assert_eq!(sent["UpdateExpression"], json!("REMOVE #outbox"));
    assert_eq!(sent["ConditionExpression"], json!("attribute_exists(#pk)"));
}
