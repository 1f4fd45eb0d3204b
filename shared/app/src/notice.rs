//! What is told of a fact: to whom, how urgently, and in which words. Pure.
//!
//! Every fact of a record is one of three kinds (see [`rules`]):
//! - **bookkeeping**, which concerns nobody but the worker's own record, is not published;
//! - facts for **systems** go to the event bus, as CloudEvents, and nowhere else;
//! - facts for **everyone** go to the bus, to the webhooks and to the people's topic, under one id.
//!
//! People are told once of one transition: a change of status that another fact of the same record explains is for
//! systems only, and the fact that explains it says what the status is now.

mod chat;
mod cloud;
mod rules;
mod text;
mod topic;
mod wording;

#[cfg(test)]
mod tests;

use std::fmt;

use domain::{Event, Timestamp};
use serde::{Deserialize, Serialize};

use crate::ports::CloudEvent;
use crate::record::EventRecord;

pub(crate) use cloud::from_json as cloud_event;
pub use topic::{digest, message};

/// How urgent a notice is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// Good to know: what was asked for happens.
    Info,
    /// Somebody should look.
    Warning,
    /// Somebody must act.
    Critical,
}

impl Severity {
    /// The word for it in notices, attributes and logs.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Critical => "critical",
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Who is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reach {
    /// The bus only.
    Systems,
    /// The bus, the webhooks and the people's topic.
    Everyone,
}

/// The worker a notice is about, as it was when the fact was recorded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subject {
    /// Its identity.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its region.
    pub region: String,
    /// Its instance, if it had one.
    pub instance: Option<String>,
    /// The version the fact belongs to.
    pub version: u64,
}

/// One fact, ready to be told. It is also what the delivery ledger keeps, so that a later retry tells the same.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// `<worker>_<version>_<index>`: the same on every channel and on every try, so that a receiver can tell a repeat.
    pub id: String,
    /// How urgent it is.
    pub severity: Severity,
    /// Who is told.
    pub reach: Reach,
    /// The fact's name.
    pub fact: String,
    /// When it happened.
    pub at: Timestamp,
    /// The worker.
    pub worker: Subject,
    /// One line.
    pub title: String,
    /// What happened.
    pub happened: String,
    /// Why: EC2's reason, or the operator's.
    pub why: Option<String>,
    /// What cml-fleet does about it.
    pub response: Option<String>,
    /// What the reader can do about it.
    pub advice: Option<String>,
    /// The change of status that comes with it, `running -> stopped`.
    pub status: Option<String>,
    /// The CloudEvent.
    pub event: serde_json::Value,
}

impl Notice {
    /// The CloudEvent, for the bus.
    pub fn cloud_event(&self) -> CloudEvent {
        cloud::from_json(self.event.clone())
    }

    /// The whole notice as plain text: the body of an email.
    pub fn text(&self) -> String {
        topic::email(self)
    }
}

/// The identities of what is to be told of a record and whom each reaches, with its fact, in the order of the facts.
pub fn reached(record: &EventRecord) -> impl Iterator<Item = (String, Reach, &Event)> {
    record.events.iter().enumerate().filter_map(|(index, event)| {
        let reach = rules::reach(event, &record.events)?;
        Some((format!("{}_{}_{index}", record.worker, record.version), reach, event))
    })
}

/// What is to be told of a record, in the order of its facts.
pub fn notices(record: &EventRecord) -> Vec<Notice> {
    let status = rules::status_change(&record.events);
    reached(record)
        .map(|(id, reach, event)| {
            let said = wording::say(event, record);
            let mut notice = Notice {
                id,
                severity: rules::severity(event),
                reach,
                fact: event.name().to_owned(),
                at: rules::happened_at(event).unwrap_or(record.at),
                worker: Subject {
                    id: record.worker.to_string(),
                    name: record.name.to_string(),
                    region: record.region.to_string(),
                    instance: record.instance.as_ref().map(ToString::to_string),
                    version: record.version,
                },
                title: said.title,
                happened: said.happened,
                why: said.why,
                response: said.response,
                advice: said.advice,
                status: status.clone(),
                event: serde_json::Value::Null,
            };
            notice.event = cloud::event(&notice, event);
            notice
        })
        .collect()
}
