//! What AWS hands to the functions.

use app::item::{self, EventItem};
use app::ports::Request;
use app::record::EventRecord;
use domain::WorkerId;
use serde_json::{Value, json};

pub(crate) fn bus_event(request: &Request) -> Value {
    json!({
        "version": "0", "id": "1", "detail-type": request.detail_type(), "source": "cml-fleet", "account": "123456789012",
        "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": request
    })
}

pub(crate) fn stream_record(worker: WorkerId, version: u64) -> Value {
    json!({
        "eventID": format!("{worker}-{version}"), "eventName": "INSERT", "eventVersion": "1.1", "eventSource": "aws:dynamodb",
        "awsRegion": "us-east-1",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_700_000_000,
            "Keys": { "pk": { "S": format!("WORKER#{worker}") }, "sk": { "S": format!("EVENT#{version:020}") } },
            "SequenceNumber": format!("{version:021}"), "SizeBytes": 100, "StreamViewType": "NEW_AND_OLD_IMAGES"
        }
    })
}

/// A record as the stream delivers it, with its item.
pub(super) fn with_image(record: &EventRecord) -> Value {
    let image: serde_dynamo::Item = item::encode(&EventItem::new(record, 90)).expect("an item");
    let mut event = stream_record(record.worker, record.version);
    event["dynamodb"]["NewImage"] = serde_json::to_value(image).expect("JSON");
    event
}
