//! How a command can fail, what is said about it, and with which code the process ends.

use std::io;

use api::wire::{NAMESPACE, Problem};
use serde_json::{Map, Value, json};

use crate::args::Output;
use crate::console::Console;
use crate::retry::{self, IN_PROGRESS, Verdict};
use crate::show::plain;

/// The kinds of problem that say of what was named that it does not exist. Any other 404 is about the address.
const NOT_FOUND: [&str; 3] = ["no-such-worker", "no-such-command", "no-such-instance"];

/// Why a command failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// It was not asked for properly.
    Usage(String),
    /// The API, or what stands before it, said no.
    Refused(Box<Refusal>),
    /// There was no answer.
    Unreachable(String),
    /// There was an answer, but none that can be understood.
    Unreadable(String),
    /// There is nothing of that name.
    NotFound(String),
    /// What was waited for, or was to be done for all, did not come about.
    Vain(String),
    /// The wait for the command with this id ended like this, and the command goes on.
    Unseen(String, Box<Self>),
    /// Whoever was asked said no.
    Declined,
    /// Nobody reads on: no reason to complain.
    Closed,
    /// A file or a stream could not be used.
    Io(String),
}

/// An answer that is no success.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    /// The problem, if it is one of the API's.
    pub(crate) problem: Option<Problem<'static>>,
    /// What was answered, as it is.
    pub(crate) text: String,
    /// The id under which it is in the logs.
    pub(crate) request_id: Option<String>,
    /// Whether the request did not say who asks.
    pub(crate) anonymous: bool,
}

impl Failure {
    /// The exit code. Documented in `--help` and in the README.
    pub(crate) fn code(&self) -> u8 {
        match self {
            Self::Closed => 0,
            Self::Unreachable(_) | Self::Unreadable(_) | Self::Declined | Self::Io(_) => 1,
            Self::Usage(_) => 2,
            // No judgement of the request: it only came at a bad time.
            Self::Refused(_) if self.may_pass() => 1,
            Self::Refused(refusal) => match (refusal.status, refusal.kind()) {
                (401 | 403, _) => 5,
                (404, Some(kind)) if NOT_FOUND.contains(&kind) => 4,
                (404, _) => 1,
                (400..=499, _) => 3,
                _ => 1,
            },
            Self::NotFound(_) => 4,
            Self::Vain(_) => 6,
            Self::Unseen(_, why) => why.code(),
        }
    }

    /// Whether the same may go well another time, with nothing changed.
    pub(crate) fn may_pass(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Refused(refusal) => retry::verdict(refusal.status, refusal.kind()) == Verdict::Again,
            _ => false,
        }
    }

    /// The same, of who waited for a command that goes on.
    pub(crate) fn while_it_goes_on(self, id: String) -> Self {
        match self {
            Self::Closed => self,
            // There is no such command any more.
            why if why.code() == 4 => why,
            why => Self::Unseen(id, Box::new(why)),
        }
    }

    /// Says it, in one line or as a problem.
    pub(crate) fn tell(&self, console: &Console, output: Output) {
        if matches!(self, Self::Closed) {
            return;
        }
        let text = match output {
            Output::Json => self.json(),
            Output::Table => format!("cml-fleet: {}", plain(&self.line())),
        };
        console.note(&format!("{text}\n"));
    }

    fn line(&self) -> String {
        match self {
            Self::Usage(text)
            | Self::Unreachable(text)
            | Self::Unreadable(text)
            | Self::NotFound(text)
            | Self::Vain(text)
            | Self::Io(text) => text.clone(),
            Self::Unseen(id, why) => format!("{}; {}", why.line(), goes_on(id)),
            Self::Declined => "nothing was done".to_owned(),
            Self::Closed => String::new(),
            Self::Refused(refusal) => refusal.line(),
        }
    }

    fn json(&self) -> String {
        match self {
            Self::Refused(refusal) if refusal.problem.is_some() => refusal.text.clone(),
            Self::Refused(refusal) => json!({
                "type": "about:blank", "title": "The API refused", "status": refusal.status,
                "detail": refusal.line(), "request_id": refusal.request_id,
            })
            .to_string(),
            Self::Unseen(id, why) => {
                let mut problem: Map<String, Value> = serde_json::from_str(&why.json()).unwrap_or_default();
                let detail = problem.get("detail").and_then(Value::as_str).unwrap_or_default();
                let detail = format!("{detail}; {}", goes_on(id));
                problem.insert("detail".to_owned(), detail.into());
                Value::Object(problem).to_string()
            }
            other => {
                json!({ "type": "about:blank", "title": other.title(), "detail": other.line() }).to_string()
            }
        }
    }

    fn title(&self) -> &'static str {
        match self {
            Self::Usage(_) => "The command line is not valid",
            Self::Unreachable(_) => "The API has not answered",
            Self::Unreadable(_) => "The answer cannot be read",
            Self::NotFound(_) => "There is no such worker",
            Self::Vain(_) => "What was asked for has not come about",
            Self::Unseen(_, why) => why.title(),
            Self::Declined | Self::Closed => "Nothing was done",
            Self::Refused(_) => "The API refused",
            Self::Io(_) => "A file or stream cannot be used",
        }
    }
}

/// Where a command is seen that is not waited for any more.
fn goes_on(id: &str) -> String {
    format!("command {id} goes on: cml-fleet bulk-status {id}")
}

impl Refusal {
    /// The kind of the API's problem, without what all of them begin with.
    pub(crate) fn kind(&self) -> Option<&str> {
        self.problem.as_ref()?.r#type.strip_prefix(NAMESPACE)
    }

    fn line(&self) -> String {
        let mut line = match &self.problem {
            Some(problem) if problem.errors.is_empty() => format!("{}: {}", problem.title, problem.detail),
            Some(problem) => {
                let faults = problem.errors.iter().map(|fault| {
                    // What is wrong often says already what would be right.
                    let new =
                        fault.allowed.as_ref().filter(|allowed| !fault.detail.contains(allowed.as_str()));
                    let allowed = new.map(|allowed| format!(" (allowed: {allowed})"));
                    format!("{} {}{}", fault.field, fault.detail, allowed.unwrap_or_default())
                });
                format!("{}: {}", problem.title, faults.collect::<Vec<_>>().join("; "))
            }
            None => self.bare(),
        };
        if self.anonymous && matches!(self.status, 401 | 403) {
            line.push_str("; set CML_FLEET_TOKEN, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY");
        }
        if self.kind() == Some(IN_PROGRESS) {
            // Whoever asks again asks under another key.
            line.push_str("; look at what came of it before you ask for it once more");
        }
        match &self.request_id {
            Some(id) => format!("{line} [request {id}]"),
            None => line,
        }
    }

    /// What API Gateway says in its own `message`, or only the status.
    fn bare(&self) -> String {
        let json = serde_json::from_str::<Value>(&self.text).unwrap_or_default();
        match json["message"].as_str() {
            Some(message) => format!("the answer was {}: {message}", self.status),
            None => format!("the answer was {}", self.status),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error.to_string()),
        }
    }
}
