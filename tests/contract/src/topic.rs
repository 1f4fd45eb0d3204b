//! Laws of the topic.

use std::collections::BTreeMap;

use app::ports::{Topic, TopicMessage};

use crate::Subject;

fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
}

fn message(bodies: &[(&str, &str)]) -> TopicMessage {
    TopicMessage {
        subject: "a law is tried".to_owned(),
        bodies: texts(bodies),
        attributes: texts(&[("severity", "info"), ("empty", "")]),
    }
}

/// Without it an email would be JSON, or an attribute without a value would lose the notice: SNS refuses empty ones (SNS
/// developer guide, "Message attributes").
pub async fn a_message_for_every_kind_of_subscriber_is_accepted(subject: &impl Subject) {
    let whole = message(&[("default", "short"), ("email", "long"), ("https", r#"{"version":"1.0"}"#)]);
    subject.topic().publish(&whole).await.expect("accepted");
}

/// Without it a digest that SNS can never take would be sent again and again (SNS API reference, "`Publish`": 262,144 bytes,
/// else `InvalidParameter`).
pub async fn what_is_too_large_is_refused_for_good(subject: &impl Subject) {
    let long = "x".repeat(256 * 1024);
    let refused = subject.topic().publish(&message(&[("default", &long)])).await.expect_err("refused");
    assert!(!refused.retryable, "{refused}");
}
