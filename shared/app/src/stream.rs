//! Batches of the fleet table's stream, and the answer to them. Shared by both consumers.
//!
//! Records are read one by one: one that is not in any form we know is that record's problem and not the batch's.

use aws_lambda_events::event::dynamodb;
use aws_lambda_events::event::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use serde_json::Value;

use crate::item::{self, ItemError};
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
    let records = event.get("Records")?.as_array()?;
    let of_dynamodb =
        |record: &Value| record.get("eventSource").and_then(Value::as_str) == Some("aws:dynamodb");
    if !records.iter().any(of_dynamodb) {
        return None;
    }
    Some(records.iter().filter(|record| may_be_facts(record)).map(entry).collect())
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

fn entry(record: &Value) -> Entry {
    let sequence = record.pointer("/dynamodb/SequenceNumber").and_then(Value::as_str);
    let sequence = sequence.filter(|sequence| !sequence.is_empty()).map(str::to_owned);
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
