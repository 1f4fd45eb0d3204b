//! Inputs that once broke a parser, each with what was wrong.

use crate::feed;
use crate::parsers::named;

#[test]
fn a_cursor_that_skips_more_than_can_be_counted() {
    feed(named("api_cursor"), br#"{"region":"us-east-1","after":null,"skip":18446744073709551615}"#);
}

/// DynamoDB refuses a range that ends before it begins, so it would have been our fault.
#[test]
fn a_cursor_of_a_time_that_ends_before_it_begins() {
    feed(named("api_cursor"), br#"{"from":1794432600123,"to":1794432000000}"#);
}

/// The standard escapes quotes, so the address that was kept was longer than the longest that is taken.
#[test]
fn a_url_that_grows_when_it_is_read() {
    feed(named("webhook_url"), format!("https://example.com/{}", "\"".repeat(2000)).as_bytes());
}

/// No later tick would have been taken up until then, and nobody would have been watched.
#[test]
fn a_tick_from_the_future() {
    let mut event = tests::fixtures::read("schedule.json");
    event["time"] = "9000-01-01T00:00:00Z".into();
    feed(named("schedule"), event.to_string().as_bytes());
}

/// It would have outweighed whatever EC2 said later.
#[test]
fn an_event_from_the_future() {
    let mut event = tests::fixtures::read("ec2-state-change.json");
    event["time"] = "9000-01-01T00:00:00Z".into();
    feed(named("state_change"), event.to_string().as_bytes());
}
