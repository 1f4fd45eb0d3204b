//! Notices as messages of the people's topic (SNS, `MessageStructure=json`): one rendering for each protocol.
//!
//! | Subscribers | get |
//! |---|---|
//! | `email`, and `default` (SMS, JSON email) | plain text |
//! | `https` | the custom schema of Amazon Q Developer in chat applications |
//! | `http`, `sqs`, `lambda`, `firehose` | the CloudEvent |
//!
//! Design note: Amazon Q subscribes as `https` (its endpoint is `https://global.sns-api.chatbot.amazonaws.com`), and drops
//! without a word what is not in its schema, so `https` is its own. SNS cannot tell two `https` subscribers apart; who
//! wants CloudEvents over HTTPS takes a webhook, which is signed and retried for longer, or a queue.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde_json::{Value, json};

use super::text::{shortened, subject};
use super::{Notice, Severity, chat, cloud};
use crate::ports::TopicMessage;
use crate::short;

/// SNS takes 256 KiB, attributes and JSON escapes included. Less, for what is counted otherwise than we do.
const LARGEST: usize = 240 * 1024;
/// The protocols that get the CloudEvent.
const MACHINES: [&str; 4] = ["http", "sqs", "lambda", "firehose"];
/// How many notices a digest lists.
const LISTED: usize = 50;
/// How many bytes of CloudEvents a digest carries. It does so once for each of [`MACHINES`], and escaped.
const CARRIED: usize = 32 * 1024;
/// A larger CloudEvent is carried without its particulars.
const LARGEST_CARRIED: usize = 2 * 1024;

/// The message for one notice.
pub fn message(notice: &Notice) -> TopicMessage {
    let worker = &notice.worker;
    let fields = [
        ("id", notice.id.as_str()),
        ("severity", notice.severity.as_str()),
        ("fact", &notice.fact),
        ("worker_id", &worker.id),
        ("worker_name", &worker.name),
        ("region", &worker.region),
    ];
    let mut message = TopicMessage {
        subject: subject(&headline(notice.severity, &notice.title)),
        bodies: bodies(&email(notice), &chat::one(notice), &notice.event),
        attributes: attributes(&fields),
    };
    if size(&message) > LARGEST {
        message.bodies = bodies(&email(notice), &chat::one(notice), &cloud::slim(&notice.event));
    }
    message
}

/// One message for several notices, the most urgent first. `None` for no notices.
pub fn digest(notices: &[Notice]) -> Option<TopicMessage> {
    let mut sorted: Vec<&Notice> = notices.iter().collect();
    sorted.sort_by_key(|notice| (std::cmp::Reverse(notice.severity), notice.at));
    let first = *sorted.first()?;
    let title = format!("{} notices: {}", sorted.len(), counts(&sorted));
    let id = digest_id(&sorted);
    let fields = [
        ("id", id.as_str()),
        ("severity", first.severity.as_str()),
        ("fact", "digest"),
        ("worker_id", "several"),
        ("worker_name", "several"),
        ("region", shared(&sorted, |notice| &notice.worker.region)),
    ];
    let listed = &sorted[..sorted.len().min(LISTED)];
    let mut text = format!("{title}\n\nSo much happened at once that it is told in one message.\n\n");
    for notice in listed {
        let _ = writeln!(text, "{:.0} {:8} {}", notice.at, notice.severity, notice.title);
    }
    if let Some(rest) = unlisted(sorted.len(), listed.len()) {
        let _ = writeln!(text, "{rest}");
    }
    Some(TopicMessage {
        subject: subject(&headline(first.severity, &title)),
        bodies: bodies(&text, &chat::several(&title, &sorted), &event(&id, &title, first, &sorted)),
        attributes: attributes(&fields),
    })
}

/// The notice as the plain text of an email.
pub(super) fn email(notice: &Notice) -> String {
    let worker = &notice.worker;
    let mut text = format!("{}\n", notice.title);
    let said = [
        ("", Some(&notice.happened).filter(|happened| !happened.is_empty())),
        ("Why: ", notice.why.as_ref()),
        ("What cml-fleet does: ", notice.response.as_ref()),
        ("What you can do: ", notice.advice.as_ref()),
    ];
    let said: Vec<String> =
        said.iter().filter_map(|(label, what)| what.map(|what| format!("{label}{what}\n"))).collect();
    if !said.is_empty() {
        let _ = write!(text, "\n{}", said.concat());
    }
    let _ = writeln!(text, "\nWorker:   {} ({})", worker.name, worker.id);
    let _ =
        writeln!(text, "Instance: {} in {}", worker.instance.as_deref().unwrap_or("none yet"), worker.region);
    if let Some(status) = &notice.status {
        let _ = writeln!(text, "Status:   {status}");
    }
    let _ = writeln!(text, "When:     {:.0}", notice.at);
    let _ = writeln!(text, "Notice:   {} ({}, {})", notice.id, notice.severity, notice.fact);
    text
}

/// "and 7 more", if there are more than those listed.
pub(super) fn unlisted(all: usize, listed: usize) -> Option<String> {
    (all > listed).then(|| format!("and {} more", all - listed))
}

fn headline(severity: Severity, title: &str) -> String {
    format!("[{}] {title}", severity.as_str().to_ascii_uppercase())
}

/// "2 critical, 5 info"
fn counts(notices: &[&Notice]) -> String {
    let counted = [Severity::Critical, Severity::Warning, Severity::Info].map(|severity| {
        let count = notices.iter().filter(|notice| notice.severity == severity).count();
        (count > 0).then(|| format!("{count} {severity}"))
    });
    counted.into_iter().flatten().collect::<Vec<_>>().join(", ")
}

/// What all notices have in common, or `several`.
fn shared<'a>(notices: &[&'a Notice], of: impl Fn(&'a Notice) -> &'a str) -> &'a str {
    let mut values = notices.iter().map(|notice| of(notice));
    match values.next() {
        Some(first) if values.all(|value| value == first) => first,
        Some(_) | None => "several",
    }
}

/// The CloudEvent of a digest: the CloudEvents of the notices, as far as there is room for them.
fn event(id: &str, title: &str, first: &Notice, notices: &[&Notice]) -> Value {
    let mut room = CARRIED;
    let mut carried = Vec::new();
    for notice in notices {
        let whole = notice.event.to_string().len() <= LARGEST_CARRIED;
        let event = if whole { notice.event.clone() } else { cloud::slim(&notice.event) };
        let length = event.to_string().len();
        if length > room {
            break;
        }
        room -= length;
        carried.push(event);
    }
    json!({
        "specversion": "1.0",
        "id": id,
        "source": format!("/cml-fleet/{}", shared(notices, |notice| &notice.worker.region)),
        "type": "cml.digest.v1",
        "time": format!("{:.3}", first.at),
        "datacontenttype": "application/json",
        "data": {
            "title": title,
            "severity": first.severity,
            "count": notices.len(),
            "omitted": notices.len() - carried.len(),
            "events": carried,
        },
    })
}

/// The same for two digests only if they are of the same notices: what comes again comes in another company.
fn digest_id(notices: &[&Notice]) -> String {
    let mut ids: Vec<&str> = notices.iter().map(|notice| notice.id.as_str()).collect();
    ids.sort_unstable();
    format!("digest_{}", short::hash(&ids.join(" ")))
}

fn bodies(text: &str, chat: &Value, event: &Value) -> BTreeMap<String, String> {
    let mut bodies = BTreeMap::from([
        ("default".to_owned(), text.to_owned()),
        ("email".to_owned(), text.to_owned()),
        ("https".to_owned(), chat.to_string()),
    ]);
    let event = event.to_string();
    bodies.extend(MACHINES.map(|protocol| (protocol.to_owned(), event.clone())));
    bodies
}

/// An attribute must not be empty (SNS API reference, "MessageAttributeValue").
fn attributes(fields: &[(&str, &str)]) -> BTreeMap<String, String> {
    fields
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| ((*name).to_owned(), shortened(value, 256)))
        .collect()
}

/// The bytes that SNS counts: the bodies as the JSON they are sent as, and the attributes.
fn size(message: &TopicMessage) -> usize {
    let bodies = serde_json::to_string(&message.bodies).map_or(usize::MAX, |json| json.len());
    let attributes: usize =
        message.attributes.iter().map(|(name, value)| name.len() + value.len() + 16).sum();
    bodies.saturating_add(attributes)
}
