//! What AWS hands to the functions.

use app::item::{self, EventItem};
use app::ports::Request;
use app::record::EventRecord;
use aws_lambda_events::event::cloudwatch_events::ec2::InstanceStateChange;
use aws_lambda_events::event::eventbridge::EventBridgeEvent;
use domain::{InstanceId, Observed, Region, Timestamp, WorkerId};
use serde_json::{Value, json};

pub(crate) fn bus_event(request: &Request) -> Value {
    json!({
        "version": "0", "id": "1", "detail-type": request.detail_type(), "source": "cml-fleet", "account": "123456789012",
        "time": "2026-01-01T00:00:00Z", "region": "us-east-1", "resources": [], "detail": request
    })
}

/// The schedule's event of a minute.
pub(super) fn tick(minute: Timestamp) -> EventBridgeEvent {
    let event = serde_json::from_value(json!({
        "version": "0", "id": "1", "detail-type": "Scheduled Event", "source": "aws.events", "account": "123456789012",
        "time": minute.to_string(), "region": "us-east-1", "resources": [], "detail": {}
    }));
    event.expect("an event")
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

/// EC2's event of a change, at this second.
pub(super) fn ec2_event(
    at: i64,
    region: &Region,
    instance: &InstanceId,
    observed: Observed,
) -> EventBridgeEvent<InstanceStateChange> {
    let at = Timestamp::from_second(at).expect("a time");
    let event = serde_json::from_value(json!({
        "version": "0", "id": "1", "detail-type": "EC2 Instance State-change Notification", "source": "aws.ec2",
        "account": "123456789012", "time": at.to_string(), "region": region.as_str(),
        "resources": [format!("arn:aws:ec2:{region}:123456789012:instance/{instance}")],
        "detail": { "instance-id": instance.as_str(), "state": observed.as_str() }
    }));
    event.expect("an event")
}

/// A record as the stream delivers it, with its item.
pub(super) fn with_image(record: &EventRecord) -> Value {
    let image: serde_dynamo::Item = item::encode(&EventItem::new(record, 90)).expect("an item");
    let mut event = stream_record(record.worker, record.version);
    event["dynamodb"]["NewImage"] = serde_json::to_value(image).expect("JSON");
    event
}
