//! What a caller is told when a request succeeds: JSON, and the headers that go with a worker.

use app::ports::Answer;
use app::record::Stored;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE, ETAG, LOCATION};
use axum::http::{HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::{CommandId, Settings, Timestamp};
use serde::{Deserialize, Serialize};

use crate::problem::{Kind, Problem};
use crate::routes::commands::view::CommandView;
use crate::view::WorkerView;

const REPLAYED: HeaderName = HeaderName::from_static("idempotency-replayed");

/// The worker an answer is about, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Subject(pub(crate) String);

/// The members of a worker's or a command's JSON that headers repeat.
#[derive(Debug, Deserialize)]
struct Marks {
    id: String,
    /// A command has none.
    version: Option<u64>,
}

impl Marks {
    /// Where to find what an answer with this status has begun.
    fn location(&self, status: StatusCode) -> Option<String> {
        match (self.version, status) {
            (Some(_), StatusCode::CREATED) => Some(format!("/workers/{}", self.id)),
            (None, StatusCode::ACCEPTED) => Some(format!("/commands/{}", self.id)),
            _ => None,
        }
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Reply {
    status: StatusCode,
    body: String,
    marks: Option<Marks>,
    replayed: bool,
}

impl Reply {
    /// Any JSON.
    pub(crate) fn json<T: Serialize>(status: StatusCode, value: &T) -> Result<Self, Problem> {
        let body = serde_json::to_string(value).map_err(|error| {
            Problem::new(Kind::Internal, "the answer cannot be written; the fault is logged").caused_by(error)
        })?;
        Ok(Self { status, body, marks: None, replayed: false })
    }

    /// A worker as it is at `now`.
    pub(crate) fn worker(
        status: StatusCode,
        stored: &Stored,
        settings: &Settings,
        now: Timestamp,
    ) -> Result<Self, Problem> {
        let marks = Marks { id: stored.worker.id().to_string(), version: Some(stored.version) };
        let reply = Self::json(status, &WorkerView::of(stored, settings, now))?;
        Ok(Self { marks: Some(marks), ..reply })
    }

    /// A command for many workers that was accepted.
    pub(crate) fn accepted(id: CommandId, view: &CommandView) -> Result<Self, Problem> {
        let marks = Marks { id: id.to_string(), version: None };
        let reply = Self::json(StatusCode::ACCEPTED, view)?;
        Ok(Self { marks: Some(marks), ..reply })
    }

    /// The answer that was given to an earlier request with the same key: this, or a problem.
    pub(crate) fn replay(answer: Answer) -> Result<Self, Problem> {
        let unreadable = || Problem::new(Kind::Internal, "the stored answer cannot be read");
        let status = StatusCode::from_u16(answer.status).map_err(|_| unreadable())?;
        if !status.is_success() {
            return Err(Problem::from_json(&answer.body).unwrap_or_else(unreadable));
        }
        let marks = serde_json::from_str(&answer.body).ok();
        Ok(Self { status, body: answer.body, marks, replayed: true })
    }

    /// The form in which an answer is stored.
    pub(crate) fn to_answer(&self) -> Answer {
        Answer { status: self.status.as_u16(), body: self.body.clone() }
    }
}

impl IntoResponse for Reply {
    fn into_response(self) -> Response {
        let mut response = (self.status, self.body).into_response();
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.replayed {
            headers.insert(REPLAYED, HeaderValue::from_static("true"));
        }
        if let Some(marks) = self.marks {
            let value = |text: String| HeaderValue::from_str(&text).ok();
            let etag = marks.version.and_then(|version| value(format!("\"{version}\"")));
            headers.extend(etag.map(|etag| (ETAG, etag)));
            headers.extend(marks.location(self.status).and_then(value).map(|location| (LOCATION, location)));
            if marks.version.is_some() {
                response.extensions_mut().insert(Subject(marks.id));
            }
        }
        response
    }
}
