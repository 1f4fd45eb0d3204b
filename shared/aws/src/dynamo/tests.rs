//! DynamoDB on the wire: what is asked, and what the answers mean.

mod buckets;
mod commands;
mod journal;
mod user_data;
mod workers;

use domain::{Timestamp, WorkerId};
use serde_json::{Value, json};

use crate::wire::{Reply, Sent, Wire};

const WORKER: &str = "0192aaaa-0000-7000-8000-000000000001";
const OTHER: &str = "0192aaaa-0000-7000-8000-000000000002";

fn client(wire: &Wire) -> aws_sdk_dynamodb::Client {
    aws_sdk_dynamodb::Client::new(&wire.config())
}

fn worker(text: &str) -> WorkerId {
    text.parse().expect("a worker id")
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).expect("a time")
}

fn parse<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
    text.parse().expect(text)
}

fn ok(body: Value) -> Reply {
    Reply::ok(body)
}

fn nothing() -> Reply {
    ok(json!({}))
}

fn condition_failed() -> Reply {
    Reply::json("ConditionalCheckFailedException", "The conditional request failed")
}

fn names(sent: &Sent) -> Vec<String> {
    let sent = sent.json();
    let names = sent["ExpressionAttributeNames"].as_object().cloned().unwrap_or_default();
    let mut names: Vec<String> = names
        .into_iter()
        .map(|(name, stands_for)| {
            assert_eq!(json!(name[1..]), stands_for);
            name
        })
        .collect();
    names.sort();
    names
}

#[test]
fn every_name_of_every_expression_is_declared_once() {
    let names = super::names(&["SET #a = :a REMOVE #b_c", "attribute_exists(#a) AND #d<:x"]).expect("some");
    let mut names: Vec<_> = names.into_iter().collect();
    names.sort();
    let declared: Vec<_> = names.iter().map(|(name, word)| (name.as_str(), word.as_str())).collect();
    assert_eq!(declared, [("#a", "a"), ("#b_c", "b_c"), ("#d", "d")]);
    assert_eq!(super::names(&[""]), None);
}
