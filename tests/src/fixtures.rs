//! Payloads, in `tests/fixtures`, in the form in which AWS hands them to the functions.

use serde_json::Value;

use crate::repo;

/// The payload of this name.
///
/// # Panics
/// If there is none, or it is not JSON.
#[expect(clippy::panic, reason = "a test without its fixture cannot go on")]
pub fn read(name: &str) -> Value {
    let path = repo::root().join("tests/fixtures").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{} is not JSON: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use app::ports::Request;
    use aws_lambda_events::event::apigw::ApiGatewayV2httpRequest;
    use aws_lambda_events::event::cloudwatch_events::ec2::InstanceStateChange;
    use aws_lambda_events::event::dynamodb::Event;
    use aws_lambda_events::event::eventbridge::EventBridgeEvent;

    fn decode<T: serde::de::DeserializeOwned>(name: &str) -> T {
        serde_json::from_value(read(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    #[test]
    fn every_payload_is_what_its_function_expects() {
        let change: EventBridgeEvent<InstanceStateChange> = decode("ec2-state-change.json");
        assert_eq!(
            (change.detail.instance_id.as_str(), change.detail.state.as_str()),
            ("i-1234567890abcdef0", "stopped")
        );
        let schedule: EventBridgeEvent = decode("schedule.json");
        assert!(schedule.time.is_some());
        for (name, detail_type) in [
            ("collection-requested.json", "CollectionRequested"),
            ("reconcile-requested.json", "ReconcileRequested"),
            ("command-requested.json", "CommandRequested"),
        ] {
            let request: EventBridgeEvent<Request> = decode(name);
            assert_eq!(
                (request.detail_type.as_str(), request.detail.detail_type()),
                (detail_type, detail_type)
            );
        }
        let request: ApiGatewayV2httpRequest = decode("api-request.json");
        let iam =
            request.request_context.authorizer.and_then(|authorizer| authorizer.iam).expect("an IAM caller");
        assert_eq!(
            iam.user_arn.as_deref(),
            Some("arn:aws:sts::123456789012:assumed-role/FleetOperator/anna")
        );
        for (name, groups) in [("api-list.json", "[everyone viewer]"), ("api-patch.json", "admin")] {
            let request: ApiGatewayV2httpRequest = decode(name);
            let token = request.request_context.authorizer.and_then(|authorizer| authorizer.jwt);
            let claims = token.expect("a caller with a token").claims;
            assert_eq!(claims.get("groups").map(String::as_str), Some(groups), "{name}");
        }
    }

    #[test]
    fn one_fact_of_the_stream_cannot_be_decoded_and_the_others_can() {
        let Event { records, .. } = decode("fleet-stream.json");
        let facts = records.into_iter().filter(|record| {
            let sk: String =
                serde_dynamo::from_attribute_value(record.change.keys["sk"].clone()).expect("a sort key");
            record.event_name == "INSERT" && sk.starts_with("EVENT#")
        });
        let (sound, broken): (Vec<_>, Vec<_>) =
            facts.map(|record| app::item::decode_event(record.change.new_image)).partition(Result::is_ok);
        assert_eq!((sound.len(), broken.len()), (2, 1));
        let versions: Vec<u64> = sound.into_iter().flatten().map(|record| record.version).collect();
        assert_eq!(versions, [4, 5]);
    }
}
