//! The parts of a request that asks for a change, all checked before the handler runs.

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::IntoResponse;
use domain::{CommandId, WorkerId};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use app::ports::RequestKey;

use crate::body::{self, Read};
use crate::failure::{no_such_command, no_such_worker};
use crate::headers;
use crate::identity::Caller;
use crate::params::{Known, NoParams, Params};
use crate::problem::{Kind, Problem};
use crate::{BODY_LIMIT, input::Faults};

/// The worker a path names. What cannot be a worker's id names none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Named(pub(crate) WorkerId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| no_such_worker(None))
    }
}

/// The command a path names. What cannot be a command's id names none.
#[derive(Debug, Clone, Copy)]
pub(crate) struct NamedCommand(pub(crate) CommandId);

impl<S: Send + Sync> FromRequestParts<S> for NamedCommand {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<String>::from_request_parts(parts, state).await;
        let id = path.ok().and_then(|Path(text)| text.parse().ok());
        id.map(Self).ok_or_else(|| no_such_command(None))
    }
}

/// What a change may bring along.
pub(crate) trait Payload: Read {
    /// The body may be left out.
    const OPTIONAL: bool = false;
    /// It must come with an idempotency key: done twice by accident, it would be done twice.
    const KEYED: bool = false;
    /// The query parameters.
    type Params: Known;
}

/// No body, or an empty object.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Nothing))]
pub(crate) struct Nothing {}

impl Payload for Nothing {
    const OPTIONAL: bool = true;
    type Params = NoParams;
}

/// A request for a change.
#[derive(Debug)]
pub(crate) struct Order<B: Payload> {
    /// Who asks.
    pub(crate) caller: Caller,
    /// The version the worker must be at.
    pub(crate) expected: Option<u64>,
    /// The idempotency key, with what it stands for.
    pub(crate) key: Option<RequestKey>,
    /// The query parameters.
    pub(crate) params: Params<B::Params>,
    /// The body.
    pub(crate) body: B,
}

impl<B: Payload, S: Send + Sync> FromRequest<S> for Order<B> {
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let (mut parts, body) = request.into_parts();
        let caller = Caller::from_request_parts(&mut parts, state).await?;
        let params = Params::read(&parts.uri)?;
        let expected = headers::expected_version(&parts.headers)?;
        let key = headers::idempotency_key(&parts.headers)?;
        if key.is_none() && B::KEYED {
            return Err(headers::missing_key());
        }

        let request = Request::from_parts(parts.clone(), body);
        let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
            match rejection.into_response().status() {
                StatusCode::PAYLOAD_TOO_LARGE => {
                    let mut faults = Faults::default();
                    let allowed = Some(format!("at most {BODY_LIMIT} bytes"));
                    faults.add("body", format!("must be at most {BODY_LIMIT} bytes"), allowed);
                    faults.problem(Kind::BodyTooLarge)
                }
                _ => Problem::new(Kind::MalformedBody, "the body could not be read"),
            }
        })?;
        let body = if bytes.is_empty() && B::OPTIONAL {
            B::read(b"{}")?
        } else if bytes.is_empty() {
            // Says that the body is empty, which helps more than that it is not declared as JSON.
            B::read(&bytes)?
        } else {
            body::require_json(&parts.headers)?;
            B::read(&bytes)?
        };
        let key = key.map(|key| RequestKey {
            caller: caller.id.clone(),
            key,
            fingerprint: fingerprint(&parts, expected, &bytes),
        });
        Ok(Self { caller, expected, key, params, body })
    }
}

/// What makes two requests the same: method, path, query, expected version and body.
fn fingerprint(parts: &Parts, expected: Option<u64>, body: &[u8]) -> String {
    let target = parts.uri.path_and_query().map_or("", |target| target.as_str());
    let mut hash = Sha256::new();
    hash.update(format!("{} {target}\n{expected:?}\n", parts.method));
    hash.update(body);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}
