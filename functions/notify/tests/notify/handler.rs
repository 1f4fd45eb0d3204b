//! The function itself: its events, its answers, and what it writes down.

use app::error::with_causes;
use app::item::{self, EventItem};
use app::record::EventRecord;
use serde_json::{Value, json};

use crate::world::{Fake, ONE, Receiver, SECRET, TWO, drifted, id, log, record, started};

/// A record as the stream delivers it.
fn stream_record(sequence: u64, record: &EventRecord) -> Value {
    let image: serde_dynamo::Item = item::encode(&EventItem::new(record, 90)).expect("an item");
    let image = serde_json::to_value(image).expect("JSON");
    json!({
        "eventID": format!("event-{sequence}"),
        "eventName": "INSERT",
        "eventVersion": "1.1",
        "eventSource": "aws:dynamodb",
        "awsRegion": "eu-central-1",
        "eventSourceARN": "arn:aws:dynamodb:eu-central-1:123456789012:table/fleet/stream/2026-03-01T00:00:00.000",
        "dynamodb": {
            "ApproximateCreationDateTime": 1_772_359_200,
            "Keys": { "pk": image["pk"], "sk": image["sk"] },
            "NewImage": image,
            "SequenceNumber": sequence.to_string(),
            "SizeBytes": 512,
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        },
    })
}

fn batch(records: impl IntoIterator<Item = Value>) -> Value {
    json!({ "Records": records.into_iter().collect::<Vec<_>>() })
}

fn every_minute() -> Value {
    json!({
        "version": "0",
        "id": "53dc4d37-cffa-4f76-80c9-8b7d4a4d2eaa",
        "detail-type": "Scheduled Event",
        "source": "aws.events",
        "account": "123456789012",
        "time": "2026-03-01T10:01:00Z",
        "region": "eu-central-1",
        "resources": ["arn:aws:events:eu-central-1:123456789012:rule/every-minute"],
        "detail": {},
    })
}

async fn answer(world: &Fake, event: &Value) -> Value {
    let answer = notify::handle(&world.notifier(&[ONE, TWO]), event).await.expect("handled");
    serde_json::to_value(answer).expect("JSON")
}

#[tokio::test(start_paused = true)]
async fn a_batch_is_told_and_answered_with_its_report() {
    let world = Fake::new();
    let event = batch([stream_record(1, &started(1)), stream_record(2, &drifted(2))]);
    let answer = answer(&world, &event).await;
    let expected = json!({
        "records": 2, "undecodable": 0, "notices": 2, "due": 0, "delivered": 8, "digests": 0, "deferred": 0,
        "retrying": 0, "parked": 0, "repeated": 0, "failed": 0, "batchItemFailures": [],
    });
    assert_eq!(answer, expected);
}

#[tokio::test(start_paused = true)]
async fn the_same_event_twice_tells_nobody_twice() {
    let world = Fake::new();
    let event = batch([stream_record(1, &started(1)), stream_record(2, &drifted(2))]);
    answer(&world, &event).await;
    let again = answer(&world, &event).await;
    assert_eq!((&again["delivered"], &again["repeated"]), (&json!(0), &json!(8)));
    answer(&world, &every_minute()).await;
    answer(&world, &every_minute()).await;
    assert_eq!(world.tries(ONE), 2);
    let state = world.state();
    assert_eq!((state.topic.len(), state.bus.len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn one_record_that_cannot_be_read_is_counted_and_the_rest_is_told() {
    let world = Fake::new();
    let mut unknown = stream_record(2, &started(2));
    unknown["dynamodb"]["NewImage"]["facts"]["L"][0]["M"]["fact"]["S"] = json!("abducted");
    let mut no_image = stream_record(3, &started(3));
    no_image["dynamodb"].as_object_mut().expect("an object").remove("NewImage");
    let mut no_sequence = stream_record(4, &started(4));
    no_sequence["dynamodb"].as_object_mut().expect("an object").remove("SequenceNumber");
    let event = batch([
        stream_record(1, &started(1)),
        unknown,
        no_image,
        no_sequence,
        json!("not even an object"),
        json!({ "eventName": "INSERT", "dynamodb": { "SequenceNumber": "5" } }),
        stream_record(6, &started(6)),
    ]);
    let answer = answer(&world, &event).await;
    assert_eq!((&answer["records"], &answer["undecodable"]), (&json!(2), &json!(5)));
    assert_eq!(answer["batchItemFailures"], json!([]));
    assert_eq!(world.taken(ONE), [id(1), id(6)]);
}

#[tokio::test(start_paused = true)]
async fn what_is_not_the_insertion_of_facts_is_left_out() {
    let world = Fake::new();
    let mut marked = stream_record(2, &started(2));
    marked["eventName"] = json!("MODIFY");
    let mut state = stream_record(3, &started(3));
    state["dynamodb"]["Keys"]["sk"]["S"] = json!("STATE");
    let answer = answer(&world, &batch([stream_record(1, &started(1)), marked, state])).await;
    assert_eq!((&answer["records"], &answer["undecodable"]), (&json!(1), &json!(0)));
}

#[tokio::test(start_paused = true)]
async fn the_first_record_that_is_not_told_is_the_checkpoint() {
    let world = Fake::new();
    world.state().unclaimable = Some(id(2));
    let event = batch((1..=3).map(|number| stream_record(number * 100, &started(number))));
    let first = answer(&world, &event).await;
    assert_eq!(first["batchItemFailures"], json!([{ "itemIdentifier": "200" }]));
    world.state().unclaimable = None;
    let rest = batch((2..=3).map(|number| stream_record(number * 100, &started(number))));
    assert_eq!(answer(&world, &rest).await["batchItemFailures"], json!([]));
    assert_eq!(world.taken(ONE), [id(1), id(2), id(3)]);
}

#[tokio::test(start_paused = true)]
async fn the_minute_sweeps_and_answers_with_its_report() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Answers(500)]);
    answer(&world, &batch([stream_record(1, &drifted(1))])).await;
    world.pass(60).await;
    let swept = answer(&world, &every_minute()).await;
    assert_eq!((&swept["due"], &swept["delivered"]), (&json!(1), &json!(1)));
    assert_eq!(swept.get("batchItemFailures"), None);
}

#[tokio::test(start_paused = true)]
async fn an_event_of_another_kind_is_an_error() {
    let world = Fake::new();
    for event in [
        json!(null),
        json!({}),
        json!({ "Records": [] }),
        json!({ "Records": [{ "eventSource": "aws:sqs" }] }),
    ] {
        let error = notify::handle(&world.notifier(&[]), &event).await.expect_err("refused");
        let text = "the event is neither a batch of the fleet table's stream nor a scheduled one";
        assert_eq!(with_causes(&error), text);
    }
}

#[tokio::test(start_paused = true)]
async fn neither_the_secret_nor_a_url_nor_a_record_is_ever_written_down() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Answers(500), Receiver::Answers(410)]);
    world.receiver(TWO, &[Receiver::Resets]);
    world.state().bus_down = true;
    let notifier = world.notifier(&[ONE, TWO]);
    let mut bad = stream_record(2, &started(2));
    bad["dynamodb"]["NewImage"]["name"]["S"] = json!("<canary>");
    let event = batch([stream_record(1, &drifted(1)), bad]);
    notify::handle(&notifier, &event).await.expect("handled");
    world.pass(60).await;
    notify::handle(&notifier, &every_minute()).await.expect("handled");
    world.state().unclaimable = Some(id(3));
    notify::handle(&notifier, &batch([stream_record(3, &record(3, drifted(3).events))]))
        .await
        .expect("handled");

    let written = log::take();
    let shown = format!("{written}{notifier:?}");
    for expected in [
        "a stream record cannot be read",
        "stream.sequence=\"2\"",
        "a delivery failed and is tried again",
        "a delivery was given up",
        "https://one.example.com",
        "the ledger cannot be used",
        "the table is away",
    ] {
        assert!(written.contains(expected), "{expected} is missing in {written}");
    }
    for secret in ["canary", &SECRET[6..]] {
        assert!(!shown.contains(secret), "{secret} is in {shown}");
    }
}
