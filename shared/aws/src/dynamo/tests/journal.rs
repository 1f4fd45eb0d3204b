//! The journal.

use std::collections::BTreeMap;

use app::error::StoreError;
use app::ports::{
    Answer, Begun, Claim, Deliveries, Delivery, DeliveryKey, Heartbeat, Idempotency, Outcome, RequestKey,
    Sample, Samples, Sweeps,
};
use domain::Metric;
use serde_json::{Value, json};

use super::{OTHER, WORKER, at, client, condition_failed, names, nothing, ok, parse, worker};
use crate::dynamo::{DynamoDeliveries, DynamoIdempotency, DynamoSamples, DynamoSweeps};
use crate::wire::{Reply, Wire};

fn sample(second: i64, cpu: f64) -> Sample {
    Sample { worker: worker(WORKER), at: at(second), values: BTreeMap::from([(Metric::Cpu, cpu)]) }
}

fn sample_item(second: i64, cpu: &str) -> Value {
    json!({ "pk": { "S": format!("WORKER#{WORKER}") }, "sk": { "S": format!("SAMPLE#{:015}", second * 1000) },
        "at": { "N": (second * 1000).to_string() }, "values": { "M": { "cpu": { "N": cpu } } },
        "ttl": { "N": (second + 30 * 86_400).to_string() } })
}

fn samples(wire: &Wire) -> DynamoSamples {
    DynamoSamples::new(&client(wire), "journal", 30)
}

fn written(wire: &Wire, index: usize) -> Vec<Value> {
    wire.sent()[index].json()["RequestItems"]["journal"].as_array().cloned().unwrap_or_default()
}

#[tokio::test]
async fn samples_are_written_in_batches_and_the_last_of_a_time_counts() {
    let wire = Wire::new([nothing()]);
    samples(&wire).append(&[sample(60, 1.0), sample(120, 12.25), sample(60, 2.0)]).await.expect("written");
    let put = |item| json!({ "PutRequest": { "Item": item } });
    assert_eq!(written(&wire, 0), [put(sample_item(60, "2")), put(sample_item(120, "12.25"))]);
    let wire = Wire::new([nothing(), nothing()]);
    let many: Vec<_> = (0..26).map(|n| sample(60 * n, 1.0)).collect();
    samples(&wire).append(&many).await.expect("written");
    assert_eq!((written(&wire, 0).len(), written(&wire, 1).len()), (25, 1));
}

#[tokio::test]
async fn what_a_batch_did_not_write_is_written_again_and_in_the_end_given_up() {
    let left =
        json!({ "UnprocessedItems": { "journal": [{ "PutRequest": { "Item": sample_item(60, "1.0") } }] } });
    let wire = Wire::new([ok(left.clone()), nothing()]);
    samples(&wire).append(&[sample(60, 1.0), sample(120, 1.0)]).await.expect("written");
    assert_eq!(written(&wire, 1).len(), 1);
    let error =
        samples(&Wire::new(vec![ok(left); 5])).append(&[sample(60, 1.0)]).await.expect_err("given up");
    assert!(matches!(error, StoreError::Contended(_)), "{error:?}");
}

#[tokio::test]
async fn what_was_written_of_samples_is_read_by_their_keys() {
    let wire = Wire::new([ok(json!({ "Responses": { "journal": [sample_item(120, "2.5")] } }))]);
    let times = [at(60), at(120)].map(|at| (worker(WORKER), at));
    assert_eq!(samples(&wire).written(&times).await.expect("read"), [sample(120, 2.5)]);
    let key = |second: &str| json!({ "pk": { "S": format!("WORKER#{WORKER}") }, "sk": { "S": second } });
    assert_eq!(
        wire.only().json()["RequestItems"]["journal"]["Keys"],
        json!([key("SAMPLE#000000000060000"), key("SAMPLE#000000000120000")])
    );
}

#[tokio::test]
async fn samples_are_read_newest_first_over_as_many_pages_as_it_takes() {
    let key = json!({ "pk": { "S": "p" }, "sk": { "S": "s" } });
    let wire = Wire::new([
        ok(json!({ "Items": [sample_item(120, "2.5")], "LastEvaluatedKey": key })),
        ok(json!({ "Items": [sample_item(60, "1")], "LastEvaluatedKey": key })),
    ]);
    let read = samples(&wire).samples(worker(WORKER), at(60), at(120), 2).await.expect("read");
    assert_eq!(read, [sample(120, 2.5), sample(60, 1.0)]);
    let [first, second] = wire.sent().try_into().expect("two pages");
    assert_eq!(first.json()["KeyConditionExpression"], json!("#pk = :worker AND #sk BETWEEN :from AND :to"));
    let values = json!({ ":worker": { "S": format!("WORKER#{WORKER}") },
        ":from": { "S": "SAMPLE#000000000060000" }, ":to": { "S": "SAMPLE#000000000120000" } });
    assert_eq!(first.json()["ExpressionAttributeValues"], values);
    assert_eq!((&first.json()["ScanIndexForward"], &first.json()["Limit"]), (&json!(false), &json!(2)));
    assert_eq!((&second.json()["ExclusiveStartKey"], &second.json()["Limit"]), (&key, &json!(1)));
}

#[tokio::test]
async fn a_tick_is_taken_up_once_and_tells_how_things_stood() {
    let before = json!({ "Attributes": { "claimed": { "N": "60000" }, "completed": { "N": "60000" } } });
    let wire = Wire::new([nothing(), ok(before), condition_failed()]);
    let sweeps = DynamoSweeps::new(&client(&wire), "journal");
    let region = parse("eu-west-1");
    assert_eq!(sweeps.claim(&region, at(60)).await.expect("claimed"), Some(None));
    let known = Heartbeat { claimed: at(60), completed: Some(at(60)) };
    assert_eq!(sweeps.claim(&region, at(120)).await.expect("claimed"), Some(Some(known)));
    assert_eq!(sweeps.claim(&region, at(120)).await.expect("lost"), None);
    let sent = wire.sent()[0].json();
    assert_eq!(sent["Key"], json!({ "pk": { "S": "SWEEP#eu-west-1" }, "sk": { "S": "HEARTBEAT" } }));
    assert_eq!(sent["ConditionExpression"], json!("attribute_not_exists(#claimed) OR #claimed < :tick"));
    assert_eq!(
        (&sent["ReturnValues"], &sent["UpdateExpression"]),
        (&json!("ALL_OLD"), &json!("SET #claimed = :tick"))
    );
}

#[tokio::test]
async fn an_older_tick_completes_nothing_and_a_heartbeat_is_read_as_it_is() {
    let wire =
        Wire::new([condition_failed(), ok(json!({ "Item": { "claimed": { "N": "60000" } } })), nothing()]);
    let sweeps = DynamoSweeps::new(&client(&wire), "journal");
    let region = parse("eu-west-1");
    sweeps.complete(&region, at(60)).await.expect("not an error");
    assert_eq!(names(&wire.sent()[0]), ["#claimed", "#completed"]);
    let known = Heartbeat { claimed: at(60), completed: None };
    assert_eq!(sweeps.heartbeat(&region).await.expect("read"), Some(known));
    assert_eq!(sweeps.heartbeat(&region).await.expect("read"), None);
}

fn request() -> RequestKey {
    RequestKey { caller: "a#b".to_owned(), key: "k".to_owned(), fingerprint: "f".to_owned() }
}

async fn begun(replies: Vec<Reply>) -> (Begun, Wire) {
    let wire = Wire::new(replies);
    let idempotency = DynamoIdempotency::new(&client(&wire), "journal");
    let begun = idempotency.begin(&request(), worker(WORKER), at(1000), at(1030)).await.expect("begun");
    (begun, wire)
}

fn known(fingerprint: &str, lease_until: i64, status: Option<u16>) -> Reply {
    let mut item = json!({ "pk": { "S": "p" }, "sk": { "S": "REQUEST" }, "fingerprint": { "S": fingerprint },
        "worker_id": { "S": OTHER }, "lease_until": { "N": (lease_until * 1000).to_string() }, "ttl": { "N": "2000" } });
    if let Some(status) = status {
        item["status"] = json!({ "N": status.to_string() });
        item["body"] = json!({ "S": "{}" });
    }
    ok(json!({ "Item": item }))
}

#[tokio::test]
async fn a_new_request_reserves_its_worker_and_callers_cannot_write_each_others_keys() {
    let (begun, wire) = begun(vec![nothing()]).await;
    assert_eq!(begun, Begun::Fresh { worker: worker(WORKER) });
    let item = json!({ "pk": { "S": "IDEMPOTENCY#a%23b#k" }, "sk": { "S": "REQUEST" }, "fingerprint": { "S": "f" },
        "worker_id": { "S": WORKER }, "lease_until": { "N": "1030000" }, "ttl": { "N": "87400" } });
    let sent = wire.only().json();
    assert_eq!(sent["Item"], item);
    assert_eq!(sent["ConditionExpression"], json!("attribute_not_exists(#pk) OR #ttl <= :now"));
    assert_eq!(sent["ExpressionAttributeValues"], json!({ ":now": { "N": "1000" } }));
}

#[tokio::test]
async fn a_known_request_is_running_done_or_another() {
    let cases = [
        (known("f", 1001, None), Begun::Running),
        (known("f", 0, Some(201)), Begun::Done(Answer { status: 201, body: "{}".to_owned() })),
        (known("g", 0, Some(201)), Begun::Reused),
        (nothing(), Begun::Running),
    ];
    for (item, expected) in cases {
        assert_eq!(begun(vec![condition_failed(), item]).await.0, expected);
    }
}

#[tokio::test]
async fn a_lapsed_request_is_taken_over_once_under_its_first_identity() {
    let (taken, wire) = begun(vec![condition_failed(), known("f", 1000, None), nothing()]).await;
    assert_eq!(taken, Begun::Fresh { worker: worker(OTHER) });
    let sent = wire.sent()[2].json();
    assert_eq!(
        sent["ConditionExpression"],
        json!("#lease_until = :lapsed AND attribute_not_exists(#status)")
    );
    let values = json!({ ":until": { "N": "1030000" }, ":lapsed": { "N": "1000000" } });
    assert_eq!(sent["ExpressionAttributeValues"], values);
    let (lost, _) = begun(vec![condition_failed(), known("f", 1000, None), condition_failed()]).await;
    assert_eq!(lost, Begun::Running);
}

#[tokio::test]
async fn the_first_answer_stays_and_only_an_unanswered_request_can_be_abandoned() {
    let wire = Wire::new([condition_failed(), condition_failed()]);
    let idempotency = DynamoIdempotency::new(&client(&wire), "journal");
    let answer = Answer { status: 200, body: "{}".to_owned() };
    idempotency.finish(&request(), &answer).await.expect("not an error");
    idempotency.abandon(&request()).await.expect("not an error");
    let [finish, abandon] = wire.sent().try_into().expect("two calls");
    let given = json!("attribute_exists(#pk) AND attribute_not_exists(#status)");
    assert_eq!(finish.json()["ConditionExpression"], given);
    assert_eq!(names(&finish), ["#body", "#pk", "#status"]);
    assert_eq!(abandon.operation(), "DeleteItem");
    assert_eq!(abandon.json()["ConditionExpression"], json!("attribute_not_exists(#status)"));
}

fn delivery() -> DeliveryKey {
    DeliveryKey { notice: "n".to_owned(), channel: "webhook-1f".to_owned() }
}

fn deliveries(wire: &Wire) -> DynamoDeliveries {
    DynamoDeliveries::new(&client(wire), "journal", 90)
}

fn open_item(due_at: Option<&str>) -> Value {
    let mut item = json!({ "pk": { "S": "NOTICE#n" }, "sk": { "S": "CHANNEL#webhook-1f" }, "notice": { "S": "n" },
        "channel": { "S": "webhook-1f" }, "attempts": { "N": "3" }, "first_at": { "N": "1000" },
        "payload": { "S": "p" } });
    if let Some(due_at) = due_at {
        item["due_at"] = json!({ "N": due_at });
    }
    item
}

async fn claim(replies: Vec<Reply>) -> (Claim, Wire) {
    let wire = Wire::new(replies);
    let claim = deliveries(&wire).claim(&delivery(), "p", at(60), at(90)).await.expect("an answer");
    (claim, wire)
}

#[tokio::test]
async fn a_claim_enters_a_delivery_or_takes_one_that_is_due() {
    let (granted, wire) = claim(vec![ok(json!({ "Attributes": open_item(Some("90000")) }))]).await;
    assert_eq!(granted, Claim::Granted { attempts: 2, first_at: at(1) });
    let sent = wire.only().json();
    assert_eq!(sent["Key"], json!({ "pk": { "S": "NOTICE#n" }, "sk": { "S": "CHANNEL#webhook-1f" } }));
    assert_eq!(sent["ConditionExpression"], json!("attribute_not_exists(#pk) OR #due_at <= :now"));
    assert_eq!(sent["ReturnValues"], json!("ALL_NEW"));
    let update = sent["UpdateExpression"]
        .as_str()
        .expect("an expression")
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    assert_eq!(
        update,
        "SET #notice = :notice, #channel = :channel, #due = :due, #due_at = :until, #first_at = \
         if_not_exists(#first_at, :now), #payload = if_not_exists(#payload, :payload), #attempts = \
         if_not_exists(#attempts, :none) + :one"
    );
    let values = &sent["ExpressionAttributeValues"];
    assert_eq!((&values[":due"]["S"], &values[":until"]["N"]), (&json!("webhook"), &json!("90000")));
}

#[tokio::test]
async fn a_claim_that_is_not_granted_says_why() {
    let item = |due_at| ok(json!({ "Item": open_item(due_at) }));
    assert_eq!(claim(vec![condition_failed(), item(Some("90000"))]).await.0, Claim::Waiting);
    assert_eq!(claim(vec![condition_failed(), item(None)]).await.0, Claim::Settled);
    assert_eq!(claim(vec![condition_failed(), nothing()]).await.0, Claim::Waiting);
}

#[tokio::test]
async fn a_deferred_delivery_is_entered_once_and_was_never_tried() {
    let wire = Wire::new([condition_failed()]);
    deliveries(&wire).defer(&delivery(), "p", at(60), at(90)).await.expect("not an error");
    let sent = wire.only().json();
    assert_eq!(sent["ConditionExpression"], json!("attribute_not_exists(#pk)"));
    let item = &sent["Item"];
    assert_eq!(
        (&item["attempts"]["N"], &item["due"]["S"], &item["due_at"]["N"], &item["first_at"]["N"]),
        (&json!("0"), &json!("webhook"), &json!("90000"), &json!("60000"))
    );
}

#[tokio::test]
async fn each_outcome_leaves_the_index_or_its_time_behind() {
    let reason = || "HTTP 500".to_owned();
    let cases = [
        (Outcome::Delivered, "REMOVE #due, #due_at, #payload", "attribute_exists(#pk)"),
        (Outcome::Parked { reason: reason() }, "REMOVE #due, #due_at", "attribute_exists(#due)"),
        (
            Outcome::Retry { at: at(120), reason: reason() },
            "SET #due_at = :at, #reason = :reason",
            "attribute_exists(#due)",
        ),
    ];
    for (outcome, update, given) in cases {
        let wire = Wire::new([condition_failed()]);
        deliveries(&wire).record(&delivery(), at(60), &outcome).await.expect("a late answer is not an error");
        let sent = wire.only().json();
        assert!(sent["UpdateExpression"].as_str().expect("one").ends_with(update), "{sent}");
        assert_eq!(sent["ConditionExpression"], json!(given));
        let expires = sent["ExpressionAttributeValues"][":ttl"]["N"] == json!((60 + 90 * 86_400).to_string());
        assert_eq!(expires, !matches!(outcome, Outcome::Retry { .. }));
    }
}

#[tokio::test]
async fn what_is_due_comes_from_every_kind_of_channel_oldest_first() {
    let of = |channel: &str, due_at: &str| {
        let mut item = open_item(Some(due_at));
        item["channel"] = json!({ "S": channel });
        ok(json!({ "Items": [item] }))
    };
    let wire = Wire::new([of("webhook-1f", "10000"), of("topic", "9000"), of("bus", "11000")]);
    let due = deliveries(&wire).due(at(60), 2).await.expect("read");
    let channels: Vec<_> = due.iter().map(|delivery| delivery.key.channel.as_str()).collect();
    assert_eq!(channels, ["topic", "webhook-1f"]);
    let first = Delivery { key: delivery(), attempts: 3, first_at: at(1), payload: "p".to_owned() };
    assert_eq!(due[1], first);
    let sent = wire.sent()[0].json();
    assert_eq!((&sent["IndexName"], &sent["Limit"]), (&json!("due"), &json!(2)));
    assert_eq!(sent["KeyConditionExpression"], json!("#due = :partition AND #due_at <= :until"));
    let values = json!({ ":partition": { "S": "webhook" }, ":until": { "N": "60000" } });
    assert_eq!(sent["ExpressionAttributeValues"], values);
}

#[tokio::test]
async fn the_first_permit_opens_a_second_and_none_wanted_is_no_call() {
    let wire = Wire::new([ok(json!({}))]);
    assert_eq!(deliveries(&wire).permits("sns", at(60), 9, 5).await.expect("counted"), 5);
    let sent = wire.only().json();
    assert_eq!(sent["Key"], json!({ "pk": { "S": "RATE#sns" }, "sk": { "S": "WINDOW" } }));
    assert_eq!(sent["UpdateExpression"], json!("SET #since = :now, #taken = :wanted, #ttl = :ttl"));
    let given = "attribute_not_exists(#pk) OR #since <= :over OR #since > :absurd";
    assert_eq!(sent["ConditionExpression"], json!(given));
    let values =
        [(":now", "60000"), (":wanted", "9"), (":ttl", "3660"), (":over", "59000"), (":absurd", "70000")];
    for (name, value) in values {
        assert_eq!(sent["ExpressionAttributeValues"][name], json!({ "N": value }), "{name}");
    }
    assert_eq!(deliveries(&Wire::new([])).permits("sns", at(60), 0, 5).await.expect("nothing"), 0);
}

#[tokio::test]
async fn permits_of_an_open_second_run_out() {
    for (taken, granted) in [("2", 2), ("5", 2), ("6", 1), ("7", 0), ("99", 0)] {
        let wire = Wire::new([condition_failed(), ok(json!({ "Attributes": { "taken": { "N": taken } } }))]);
        assert_eq!(
            deliveries(&wire).permits("sns", at(60), 2, 5).await.expect("counted"),
            granted,
            "{taken}"
        );
        let sent = wire.sent()[1].json();
        assert_eq!(sent["UpdateExpression"], json!("ADD #taken :wanted"));
        assert_eq!(sent["ConditionExpression"], json!("#since > :over AND #taken < :limit"));
        assert_eq!(sent["ExpressionAttributeValues"][":limit"], json!({ "N": "5" }));
    }
    let wire = Wire::new([condition_failed(), condition_failed()]);
    assert_eq!(deliveries(&wire).permits("sns", at(60), 2, 5).await.expect("counted"), 0);
}
