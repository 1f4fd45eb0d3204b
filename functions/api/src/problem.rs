//! What a caller is told when a request fails: `application/problem+json` (RFC 9457).
//!
//! A [`Problem`] is an answer in itself. It leaves a handler unwritten, as an extension of the response; [`crate::edge`]
//! writes it out, because only the edge knows the request id, and logs its cause if the fault is ours.

use std::borrow::Cow;
use std::error::Error;
use std::sync::Arc;

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use domain::WorkerId;
use serde::{Deserialize, Serialize};

#[cfg(test)]
use crate::openapi::is;

/// The media type of a problem.
pub(crate) const MEDIA_TYPE: &str = "application/problem+json";

/// The prefix of every problem's `type`.
pub const NAMESPACE: &str = "urn:cml-fleet:problem:";

/// Gives the kinds their slug, which is the stable part of `type`, their status and their title.
macro_rules! kinds {
    ($($kind:ident => $slug:literal, $status:ident, $title:literal;)+) => {
        /// The kinds of problems. Their slugs are part of the API: add, never change.
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        pub(crate) enum Kind { $($kind),+ }

        impl Kind {
            pub(crate) const ALL: &'static [Self] = &[$(Self::$kind),+];

            pub(crate) const fn slug(self) -> &'static str {
                match self { $(Self::$kind => $slug),+ }
            }

            pub(crate) const fn status(self) -> StatusCode {
                match self { $(Self::$kind => StatusCode::$status),+ }
            }

            /// The `type` of its problems.
            pub(crate) fn uri(self) -> String {
                format!("{NAMESPACE}{}", self.slug())
            }

            pub(crate) const fn title(self) -> &'static str {
                match self { $(Self::$kind => $title),+ }
            }
        }
    };
}

kinds! {
    MalformedBody => "malformed-body", BAD_REQUEST, "The body is not what this request takes";
    InvalidParameter => "invalid-parameter", BAD_REQUEST, "A parameter is not valid";
    InvalidHeader => "invalid-header", BAD_REQUEST, "A header is not valid";
    Unauthenticated => "unauthenticated", UNAUTHORIZED, "The caller is not known";
    Forbidden => "forbidden", FORBIDDEN, "The caller may not do this";
    NoSuchRoute => "no-such-route", NOT_FOUND, "There is no such route";
    NoSuchWorker => "no-such-worker", NOT_FOUND, "There is no such worker";
    NoSuchCommand => "no-such-command", NOT_FOUND, "There is no such command";
    NoSuchInstance => "no-such-instance", NOT_FOUND, "There is no such instance";
    MethodNotAllowed => "method-not-allowed", METHOD_NOT_ALLOWED, "This route has no such method";
    ImpossibleCommand => "impossible-command", CONFLICT, "The command makes no sense for the worker as it is";
    Held => "held", CONFLICT, "The worker is held";
    Protected => "protected", CONFLICT, "The worker is protected";
    NotConfirmed => "not-confirmed", CONFLICT, "The confirmation names another worker";
    ConfirmationNeeded => "confirmation-needed", CONFLICT, "The number of workers has to be confirmed";
    NameTaken => "name-taken", CONFLICT, "Another worker has this name";
    InstanceTaken => "instance-taken", CONFLICT, "Another worker answers for this instance";
    InstanceClaimed => "instance-claimed", CONFLICT, "The instance's tag names a worker that is not of this fleet";
    InProgress => "request-in-progress", CONFLICT, "The same request is being carried out";
    Stale => "stale-version", PRECONDITION_FAILED, "The worker has changed";
    BodyTooLarge => "body-too-large", PAYLOAD_TOO_LARGE, "The body is too large";
    NotJson => "unsupported-media-type", UNSUPPORTED_MEDIA_TYPE, "The body must be JSON";
    InvalidValue => "invalid-value", UNPROCESSABLE_ENTITY, "A value is not allowed";
    KeyReused => "idempotency-key-reused", UNPROCESSABLE_ENTITY, "The key was used for another request";
    Internal => "internal", INTERNAL_SERVER_ERROR, "Something went wrong on our side";
    Refused => "refused-by-aws", BAD_GATEWAY, "AWS refused our call";
    Unavailable => "unavailable", SERVICE_UNAVAILABLE, "A service we need cannot be used right now";
}

/// One thing that is wrong with a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Fault))]
pub struct Fault {
    /// Where: the path of a field, the name of a parameter or of a header.
    pub field: String,
    /// What is wrong.
    pub detail: String,
    /// What would be right.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub allowed: Option<String>,
}

/// Why a request failed, in words for the caller, and the cause, for the log.
#[derive(Debug, Clone)]
pub(crate) struct Problem {
    pub(crate) kind: Kind,
    detail: String,
    errors: Vec<Fault>,
    worker: Option<String>,
    version: Option<u64>,
    retry_after: Option<u32>,
    /// Whether anything was written is not known: an idempotency key must not be freed.
    pub(crate) uncertain: bool,
    /// What lies below. For the log only.
    pub(crate) cause: Option<Arc<dyn Error + Send + Sync>>,
}

/// The JSON of a problem.
#[derive(Debug, Serialize, Deserialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Problem))]
#[expect(missing_docs, reason = "the names are those of RFC 9457 and of `openapi.json`")]
pub struct Body<'a> {
    #[cfg_attr(test, schema(value_type = is::ProblemType))]
    pub r#type: Cow<'a, str>,
    #[cfg_attr(test, schema(value_type = String))]
    pub title: Cow<'a, str>,
    pub status: u16,
    #[cfg_attr(test, schema(value_type = String))]
    pub detail: Cow<'a, str>,
    #[serde(default, skip_serializing_if = "<[Fault]>::is_empty")]
    #[cfg_attr(test, schema(value_type = Vec<Fault>))]
    pub errors: Cow<'a, [Fault]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::WorkerId>))]
    pub worker_id: Option<Cow<'a, str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub version: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<String>))]
    pub request_id: Option<Cow<'a, str>>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self {
            kind,
            detail: detail.into(),
            errors: Vec::new(),
            worker: None,
            version: None,
            retry_after: None,
            uncertain: false,
            cause: None,
        }
    }

    /// A problem that lies in these parts of the request.
    pub(crate) fn with_faults(kind: Kind, errors: Vec<Fault>) -> Self {
        let detail = match errors.as_slice() {
            [only] => format!("{}: {}", only.field, only.detail),
            several => {
                let fields: Vec<&str> = several.iter().map(|fault| fault.field.as_str()).take(10).collect();
                format!("{} things are wrong ({}); see errors", several.len(), fields.join(", "))
            }
        };
        Self { errors, ..Self::new(kind, detail) }
    }

    /// Names the worker it is about.
    pub(crate) fn about(self, worker: WorkerId) -> Self {
        Self { worker: Some(worker.to_string()), ..self }
    }

    /// Says the version the worker is at.
    pub(crate) fn at_version(self, version: u64) -> Self {
        Self { version: Some(version), ..self }
    }

    /// Says when to try again, in seconds.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self { retry_after: Some(seconds), ..self }
    }

    /// Says whether something may have been written that we do not know of.
    pub(crate) fn uncertain(self, uncertain: bool) -> Self {
        Self { uncertain, ..self }
    }

    /// Keeps the cause for the log.
    pub(crate) fn caused_by(self, cause: impl Error + Send + Sync + 'static) -> Self {
        Self { cause: Some(Arc::new(cause)), ..self }
    }

    /// What is wrong, in words for the caller.
    pub(crate) fn detail(&self) -> &str {
        &self.detail
    }

    /// The JSON a caller gets.
    pub(crate) fn to_json(&self, request_id: Option<&str>) -> String {
        let body = Body {
            r#type: Cow::Owned(self.kind.uri()),
            title: Cow::Borrowed(self.kind.title()),
            status: self.kind.status().as_u16(),
            detail: Cow::Borrowed(&self.detail),
            errors: Cow::Borrowed(&self.errors),
            worker_id: self.worker.as_deref().map(Cow::Borrowed),
            version: self.version,
            request_id: request_id.map(Cow::Borrowed),
        };
        // Strings and numbers under string keys: there is nothing in it that could fail to be JSON.
        serde_json::to_string(&body).unwrap_or_default()
    }

    /// Reads a problem that [`Self::to_json`] wrote; `None` if it is not one.
    pub(crate) fn from_json(json: &str) -> Option<Self> {
        let body: Body<'_> = serde_json::from_str(json).ok()?;
        let slug = body.r#type.strip_prefix(NAMESPACE)?;
        let kind = Kind::ALL.iter().copied().find(|kind| kind.slug() == slug)?;
        Some(Self {
            errors: body.errors.into_owned(),
            worker: body.worker_id.map(Cow::into_owned),
            version: body.version,
            ..Self::new(kind, body.detail)
        })
    }

    /// The headers that belong to this problem.
    pub(crate) fn headers(&self) -> Vec<(&'static str, String)> {
        let mut headers =
            vec![("content-type", MEDIA_TYPE.to_owned()), ("cache-control", "no-store".to_owned())];
        headers.extend(self.retry_after.map(|seconds| ("retry-after", seconds.to_string())));
        if self.kind == Kind::Unauthenticated {
            headers.push(("www-authenticate", "Bearer, AWS4-HMAC-SHA256".to_owned()));
        }
        headers
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = self.kind.status().into_response();
        response.extensions_mut().insert(self);
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stored_problem_is_the_same_problem_when_it_is_read_again() {
        let fault = Fault { field: "name".into(), detail: "is \"odd\"".into(), allowed: Some("a-z".into()) };
        for kind in Kind::ALL {
            let problem = Problem {
                worker: Some("w".into()),
                version: Some(7),
                ..Problem::with_faults(*kind, vec![fault.clone()])
            };
            let json = problem.to_json(None);
            let read = Problem::from_json(&json).expect("a problem");
            assert_eq!((read.kind, read.to_json(None)), (*kind, json));
        }
    }
}
