//! `notify`: tells people and systems what happened, once.
//!
//! It is invoked by the stream with facts, and every minute to try again what could not be delivered and to tell what
//! was never told.

use app::deliver::{Notifier, Ports, Report, Told};
use app::error::{StoreError, with_causes};
use app::stream::{self, Entry};
use aws_lambda_events::event::streams::DynamoDbEventResponse;
use serde::Serialize;
use serde_json::Value;

/// Why an invocation failed as a whole.
#[derive(Debug, thiserror::Error)]
pub enum NotifyError {
    /// The event is neither a stream batch nor the minute's.
    #[error("the event is neither a batch of the fleet table's stream nor a scheduled one")]
    UnknownEvent,
    /// A table could not be used. What is due stays due.
    #[error("the sweep could not be carried out")]
    Sweep(#[source] StoreError),
}

/// The function's answer: the report, and for a stream batch what has to come again.
#[derive(Debug, Serialize)]
pub struct Answer {
    /// What became of it.
    #[serde(flatten)]
    pub report: Report,
    /// From which record on the batch has to come again.
    #[serde(flatten)]
    pub batch: Option<DynamoDbEventResponse>,
}

/// Takes in one event.
///
/// A record that cannot be read is logged, counted and left behind: it would block its shard for nothing. If the ledger
/// cannot be used, the first record that is not told is handed back, and with it everything after it; what of that was
/// told already is in the ledger and is not told twice.
///
/// # Errors
/// [`NotifyError`].
pub async fn handle<P: Ports>(notifier: &Notifier<P>, event: &Value) -> Result<Answer, NotifyError> {
    if let Some(entries) = stream::decode(event) {
        return Ok(tell(notifier, entries).await);
    }
    if event.get("detail-type").and_then(Value::as_str) != Some("Scheduled Event") {
        return Err(NotifyError::UnknownEvent);
    }
    let Told { report, error, .. } = notifier.sweep().await.map_err(NotifyError::Sweep)?;
    say(&report, "swept");
    match error {
        Some(error) => Err(NotifyError::Sweep(error)),
        None => Ok(Answer { report, batch: None }),
    }
}

async fn tell<P: Ports>(notifier: &Notifier<P>, entries: Vec<Entry>) -> Answer {
    let (mut sequences, mut records) = (Vec::new(), Vec::new());
    let mut undecodable = 0;
    for Entry { sequence, record } in entries {
        match record {
            Ok(record) => {
                sequences.push(sequence);
                records.push(record);
            }
            Err(error) => {
                undecodable += 1;
                let sequence = sequence.unwrap_or_default();
                tracing::error!(
                    stream.sequence = sequence,
                    error = with_causes(&error),
                    "a stream record cannot be read"
                );
            }
        }
    }
    let Told { mut report, first_failed, error } = notifier.tell(&records).await;
    report.undecodable = undecodable;
    if let Some(error) = error {
        tracing::error!(error = with_causes(&error), "the ledger cannot be used; the stream tries again");
    }
    say(&report, "told");
    let first_failed = first_failed.and_then(|index| sequences.get(index).cloned().flatten());
    Answer { report, batch: Some(stream::reply(first_failed)) }
}

fn say(report: &Report, what: &str) {
    let Report {
        records,
        undecodable,
        notices,
        due,
        delivered,
        digests,
        deferred,
        retrying,
        parked,
        repeated,
        failed,
    } = report;
    tracing::info!(
        records,
        undecodable,
        notices,
        due,
        delivered,
        digests,
        deferred,
        retrying,
        parked,
        repeated,
        failed,
        "{what}"
    );
}
