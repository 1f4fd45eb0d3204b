//! Commands for many workers in the journal.

use app::error::StoreError;
use app::ports::{BulkChunk, BulkCommand, BulkCommands, BulkItem};
use domain::{Actor, Bulk, BulkOutcome, BulkRefusal, CommandId};
use serde_json::{Value, json};

use super::{WORKER, at, client, condition_failed, names, nothing, ok, parse, worker};
use crate::dynamo::DynamoCommands;
use crate::wire::Wire;

const COMMAND: &str = "0192aaaa-0000-7000-8000-00000000000c";

fn commands(wire: &Wire) -> DynamoCommands {
    DynamoCommands::new(&client(wire), "journal", 90)
}

fn id() -> CommandId {
    parse(COMMAND)
}

fn command() -> BulkCommand {
    BulkCommand {
        id: id(),
        bulk: Bulk::Start,
        by: Actor::Caller("ann".to_owned()),
        at: at(60),
        calls: 2,
        ends_at: at(90),
        dues: vec![at(60)],
        chunks: 1,
        next: 0,
        due: Some(at(60)),
        cancelled: None,
    }
}

fn chunk() -> BulkChunk {
    let refusal = Some((BulkRefusal::Held, "it is held".to_owned()));
    let item = BulkItem { worker: worker(WORKER), name: None, outcome: BulkOutcome::Refused, refusal };
    BulkChunk { number: 0, items: vec![item], finished: false }
}

fn key(sk: &str) -> Value {
    json!({ "pk": { "S": format!("COMMAND#{COMMAND}") }, "sk": { "S": sk } })
}

/// The chunk as it is stored.
fn chunk_item(outcome: &str) -> Value {
    let item = json!({ "M": { "id": { "S": WORKER }, "outcome": { "S": outcome }, "refusal": { "S": "held" },
        "text": { "S": "it is held" } } });
    let mut chunk = key("CHUNK#00000");
    chunk["workers"] = json!({ "L": [item] });
    chunk["finished"] = json!({ "BOOL": false });
    chunk["tries"] = json!({ "N": "3" });
    chunk["ttl"] = json!({ "N": (60 + 90 * 86_400).to_string() });
    chunk
}

#[tokio::test]
async fn a_command_is_written_after_its_chunks_and_only_once() {
    let wire = Wire::new([nothing(), nothing(), nothing()]);
    commands(&wire).accept(&command(), &[chunk()]).await.expect("accepted");
    let sent = wire.sent();
    let order: Vec<_> = sent.iter().map(|sent| sent.operation()).collect();
    assert_eq!(order, ["GetItem", "BatchWriteItem", "PutItem"]);
    let mut written = chunk_item("refused");
    written["tries"] = json!({ "N": "0" });
    assert_eq!(sent[1].json()["RequestItems"]["journal"][0]["PutRequest"]["Item"], written);
    let head = sent[2].json();
    assert_eq!(head["ConditionExpression"], "attribute_not_exists(#pk)");
    let item = &head["Item"];
    assert_eq!((&item["due"], &item["due_at"]), (&json!({ "S": "command" }), &json!({ "N": "60000" })));
    assert_eq!((&item["action"], &item["by"]), (&json!({ "S": "start" }), &json!({ "S": "ann" })));
    assert_eq!(item["dues"], json!({ "L": [{ "N": "60000" }] }));

    let known = Wire::new([ok(json!({ "Item": item }))]);
    commands(&known).accept(&command(), &[chunk()]).await.expect("accepted");
    assert_eq!(known.only().operation(), "GetItem", "what is there stays");
    let read = Wire::new([ok(json!({ "Item": item }))]);
    assert_eq!(commands(&read).command(id()).await.expect("read"), Some(command()));
    assert_eq!(read.only().json()["ConsistentRead"], true);
}

#[tokio::test]
async fn a_chunk_is_taken_up_with_a_lease_and_a_count() {
    let wire = Wire::new([ok(json!({ "Attributes": chunk_item("refused") })), condition_failed()]);
    let taken = commands(&wire).take_up(id(), 0, at(60), at(150)).await.expect("answered");
    assert_eq!(taken, Some((chunk(), 3)));
    assert_eq!(commands(&wire).take_up(id(), 0, at(60), at(150)).await.expect("answered"), None);
    let sent = wire.sent()[0].json();
    assert_eq!((&sent["Key"], &sent["ReturnValues"]), (&key("CHUNK#00000"), &json!("ALL_NEW")));
    assert_eq!(sent["UpdateExpression"], "SET #lease_until = :until ADD #tries :one");
    assert_eq!(
        sent["ConditionExpression"],
        "#finished = :no AND (attribute_not_exists(#lease_until) OR #lease_until <= :now)"
    );
    assert_eq!(names(&wire.sent()[0]), ["#finished", "#lease_until", "#tries"]);
}

#[tokio::test]
async fn what_is_finished_or_advanced_is_so_once() {
    let wire = Wire::new([condition_failed(), nothing(), nothing(), nothing()]);
    let commands = commands(&wire);
    let finished = BulkChunk { finished: true, ..chunk() };
    commands.record_chunk(id(), &finished).await.expect("what was finished first stays");
    commands.record_chunk(id(), &chunk()).await.expect("written");
    commands.advance(id(), 4, Some(at(70))).await.expect("answered");
    commands.advance(id(), 5, None).await.expect("answered");
    let [finish, part, next, last] = wire.sent().try_into().expect("four");
    assert_eq!(finish.json()["ConditionExpression"], "#finished = :no");
    assert_eq!(
        finish.json()["UpdateExpression"],
        "SET #workers = :workers, #finished = :yes REMOVE #lease_until"
    );
    assert_eq!(finish.json()["ExpressionAttributeValues"][":workers"], chunk_item("refused")["workers"]);
    assert_eq!(part.json()["UpdateExpression"], "SET #workers = :workers");
    assert_eq!(next.json()["ConditionExpression"], "#next = :from");
    // What was called off stays due at once.
    assert_eq!(
        next.json()["UpdateExpression"],
        "SET #next = :after, #due_at = if_not_exists(#cancelled_at, :due)"
    );
    assert_eq!(next.json()["ExpressionAttributeValues"][":after"], json!({ "N": "5" }));
    assert_eq!(last.json()["UpdateExpression"], "SET #next = :after REMOVE #due, #due_at");
}

#[tokio::test]
async fn only_what_is_not_done_is_called_off() {
    let wire = Wire::new([nothing(), condition_failed()]);
    let by = Actor::Caller("ann".to_owned());
    assert!(commands(&wire).cancel(id(), at(60), &by).await.expect("answered"));
    assert!(!commands(&wire).cancel(id(), at(60), &by).await.expect("answered"));
    let sent = wire.sent()[0].json();
    assert_eq!(sent["ConditionExpression"], "attribute_exists(#due) AND attribute_not_exists(#cancelled_at)");
    assert_eq!(sent["UpdateExpression"], "SET #cancelled_at = :at, #cancelled_by = :by, #due_at = :at");
}

#[tokio::test]
async fn what_is_due_is_asked_of_the_index() {
    let wire = Wire::new([ok(json!({ "Items": [] }))]);
    assert_eq!(commands(&wire).due_commands(at(60), 50).await.expect("answered"), []);
    let sent = wire.only().json();
    assert_eq!((&sent["IndexName"], &sent["Limit"]), (&json!("due"), &json!(50)));
    assert_eq!(sent["ExpressionAttributeValues"][":partition"], json!({ "S": "command" }));
    assert_eq!(sent["ExpressionAttributeValues"][":until"], json!({ "N": "60000" }));
}

#[tokio::test]
async fn chunks_are_read_from_page_to_page_and_none_is_overlooked() {
    let page = json!({ "Items": [chunk_item("asked")], "LastEvaluatedKey": key("CHUNK#00000") });
    let mut second = chunk_item("planned");
    second["sk"] = json!({ "S": "CHUNK#00001" });
    let wire = Wire::new([ok(page), ok(json!({ "Items": [second] }))]);
    let chunks = commands(&wire).chunks(id(), 0, 2).await.expect("read");
    assert_eq!(chunks.iter().map(|chunk| chunk.number).collect::<Vec<_>>(), [0, 1]);
    assert_eq!(chunks[0].items[0].outcome, BulkOutcome::Asked);
    let sent = wire.sent();
    let values = &sent[0].json()["ExpressionAttributeValues"];
    assert_eq!(
        (&values[":from"], &values[":to"]),
        (&json!({ "S": "CHUNK#00000" }), &json!({ "S": "CHUNK#00001" }))
    );
    assert_eq!(sent[1].json()["ExclusiveStartKey"], key("CHUNK#00000"));
    let broken = Wire::new([ok(json!({ "Items": [chunk_item("done")] }))]);
    assert!(
        matches!(commands(&broken).chunks(id(), 0, 2).await, Err(StoreError::Corrupt(_))),
        "no such outcome"
    );
}
