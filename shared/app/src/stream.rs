//! Batches of the fleet table's stream, and the answer to them. Shared by both consumers.
//!
//! Records are read one by one: one that is not in any form we know is that record's problem and not the batch's.

use aws_lambda_events::event::dynamodb;
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use domain::WorkerId;
use serde_json::Value;

use crate::item::{self, ItemError, Key};
use crate::record::EventRecord;

/// What the sort keys of items of facts begin with.
const FACTS: &str = "EVENT#";

/// One record of a batch, in the order of the stream.
#[derive(Debug)]
pub struct Entry {
    /// Its place in the stream; the checkpoint, if it fails. Absent only in what cannot be read.
    pub sequence: Option<String>,
    /// The facts, or why they cannot be read. Trying such a record again changes nothing.
    pub record: Result<EventRecord, Undecodable>,
}

/// A record of a batch for who wants to know only whom it is about.
#[derive(Debug)]
pub struct Hint {
    /// Its place in the stream; the checkpoint, if it fails. Absent only in what cannot be read.
    pub sequence: Option<String>,
    /// The worker; `None` if the record cannot be read that far.
    pub worker: Option<WorkerId>,
}

/// Why a stream record cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Undecodable {
    /// It is not a record of a DynamoDB stream.
    #[error("it is not a record of a DynamoDB stream")]
    Envelope(#[source] serde_json::Error),
    /// It has no place in the stream.
    #[error("it has no sequence number")]
    NoSequence,
    /// Its item is not one of facts.
    #[error(transparent)]
    Item(#[from] ItemError),
}

/// The records of a stream batch; `None` if the event is not one.
///
/// What is not the insertion of facts is left out: the stream's filter lets nothing else through, and where there is no
/// filter, a changed or expired item is no fact.
pub fn decode(event: &Value) -> Option<Vec<Entry>> {
    Some(insertions(event)?.map(entry).collect())
}

/// Whom the records of a stream batch are about, whatever else they say; `None` if the event is not one. Leaves out what
/// [`decode`] does.
pub fn hints(event: &Value) -> Option<Vec<Hint>> {
    Some(insertions(event)?.map(hint).collect())
}

fn insertions(event: &Value) -> Option<impl Iterator<Item = &Value>> {
    let records = event.get("Records")?.as_array()?;
    let of_dynamodb =
        |record: &Value| record.get("eventSource").and_then(Value::as_str) == Some("aws:dynamodb");
    records.iter().any(of_dynamodb).then(|| records.iter().filter(|record| may_be_facts(record)))
}

/// The answer to a stream batch: the first record that has to come again, and with it everything after it; or none.
pub fn reply(first_failed: Option<String>) -> DynamoDbEventResponse {
    let mut response = DynamoDbEventResponse::default();
    response.batch_item_failures.extend(first_failed.map(|sequence| {
        let mut failure = DynamoDbBatchItemFailure::default();
        failure.item_identifier = Some(sequence);
        failure
    }));
    response
}

/// It is the insertion of facts, or in a form that does not say what it is.
fn may_be_facts(record: &Value) -> bool {
    let inserted = record.get("eventName").and_then(Value::as_str).is_none_or(|name| name == "INSERT");
    let key = record.pointer("/dynamodb/Keys/sk/S").and_then(Value::as_str);
    inserted && key.is_none_or(|sk| sk.starts_with(FACTS))
}

fn sequence(record: &Value) -> Option<String> {
    let sequence = record.pointer("/dynamodb/SequenceNumber").and_then(Value::as_str);
    sequence.filter(|sequence| !sequence.is_empty()).map(str::to_owned)
}

fn hint(record: &Value) -> Hint {
    let sequence = sequence(record);
    let key = |name: &str| Some(record.pointer("/dynamodb/Keys")?.get(name)?.get("S")?.as_str()?.to_owned());
    let key = key("pk").zip(key("sk")).map(|(pk, sk)| Key { pk, sk });
    // Without a place in the stream it could not be asked for again.
    let worker = key.and_then(|key| key.as_event()).map(|(worker, _)| worker).filter(|_| sequence.is_some());
    Hint { sequence, worker }
}

fn entry(record: &Value) -> Entry {
    let sequence = sequence(record);
    let record = match &sequence {
        Some(_) => facts(record),
        None => Err(Undecodable::NoSequence),
    };
    Entry { sequence, record }
}

fn facts(record: &Value) -> Result<EventRecord, Undecodable> {
    let record: dynamodb::EventRecord =
        serde::Deserialize::deserialize(record).map_err(Undecodable::Envelope)?;
    Ok(item::decode_event(record.change.new_image)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn record(keys: &Value, sequence: &Value) -> Value {
        json!({ "eventSource": "aws:dynamodb", "eventName": "INSERT",
            "dynamodb": { "Keys": keys, "SequenceNumber": sequence } })
    }

    #[test]
    fn a_hint_names_the_worker_whatever_else_the_record_says() {
        const WORKER: &str = "01890a5d-ac96-774b-bcce-b302099a8057";
        let keys = |pk: &str, sk: &str| json!({ "pk": { "S": pk }, "sk": { "S": sk } });
        let worker = format!("WORKER#{WORKER}");
        let facts = keys(&worker, "EVENT#00000000000000000003");
        let state = keys(&worker, "STATE");
        let mut removed = record(&facts, &json!("4"));
        removed["eventName"] = json!("REMOVE");
        let batch = json!({ "Records": [
            record(&facts, &json!("1")), record(&state, &json!("2")), removed, record(&facts, &json!("")),
            record(&keys("WORKER#broken", "EVENT#00000000000000000003"), &json!("5")), record(&json!(7), &json!("6")),
        ] });
        let hints = hints(&batch).expect("a batch of the stream");
        let read: Vec<_> = hints.iter().map(|hint| (hint.sequence.as_deref(), hint.worker)).collect();
        let worker = Some(WORKER.parse().expect("an id"));
        assert_eq!(read, [(Some("1"), worker), (None, None), (Some("5"), None), (Some("6"), None)]);
    }

    #[test]
    fn what_is_no_batch_of_the_stream_has_neither_hints_nor_facts() {
        for event in
            [json!({}), json!({ "Records": 7 }), json!({ "Records": [{ "eventSource": "aws:sqs" }] })]
        {
            assert!(hints(&event).is_none() && decode(&event).is_none(), "{event}");
        }
    }
}
