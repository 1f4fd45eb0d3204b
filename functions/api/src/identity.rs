//! Who asks, and under which request id: what API Gateway vouches for, and nothing a client says about itself.

use aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use axum::extract::{FromRequestParts, Request};
use axum::http::HeaderMap;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::Response;
use domain::Actor;

use crate::problem::{Kind, Problem};

/// The caller the authorizer identified. An extension of the request, put there by the edge of the API.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The ARN of the IAM principal.
    pub(crate) arn: String,
}

impl Caller {
    /// The caller in API Gateway's context, if an authorizer put one there.
    pub(crate) fn vouched_for(context: &ApiGatewayV2httpRequestContext) -> Option<Self> {
        let arn = context.authorizer.as_ref()?.iam.as_ref()?.user_arn.as_ref()?;
        (!arn.is_empty()).then(|| Self { arn: arn.clone() })
    }

    /// The caller as facts name it.
    pub(crate) fn actor(&self) -> Actor {
        Actor::Caller(self.arn.clone())
    }
}

impl<S: Sync> FromRequestParts<S> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        parts.extensions.get::<Self>().cloned().ok_or_else(unauthenticated)
    }
}

/// Lets nobody through whom the authorizer did not identify: a second lock behind API Gateway's own.
pub(crate) async fn required(request: Request, next: Next) -> Result<Response, Problem> {
    if request.extensions().get::<Caller>().is_none() {
        return Err(unauthenticated());
    }
    Ok(next.run(request).await)
}

fn unauthenticated() -> Problem {
    Problem::new(Kind::Unauthenticated, "sign the request with AWS Signature Version 4 (service execute-api)")
}

/// The id under which a request is found in every log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct RequestId(String);

impl RequestId {
    /// API Gateway's id, or else the client's own `x-request-id` if it is a harmless one.
    pub(crate) fn of(context: Option<&ApiGatewayV2httpRequestContext>, headers: &HeaderMap) -> Option<Self> {
        let given = || headers.get("x-request-id").and_then(|value| value.to_str().ok());
        let id = context.and_then(|context| context.request_id.as_deref()).or_else(given)?;
        let harmless = |b: u8| b.is_ascii_alphanumeric() || b"-_.=+/:".contains(&b);
        ((1..=128).contains(&id.len()) && id.bytes().all(harmless)).then(|| Self(id.to_owned()))
    }

    /// The text of the id.
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}
