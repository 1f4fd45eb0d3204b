//! Around every route: who asks, the request id, problems written out, one log line.

use std::error::Error;
use std::fmt::Write as _;
use std::sync::Arc;

use app::config::Access;
use aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use domain::WorkerId;

use crate::identity::{Caller, RequestId};
use crate::problem::Problem;
use crate::reply::Subject;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Takes from the gateway's context what it vouches for, answers, and logs how: never bodies, headers or raw paths.
pub(crate) async fn edge(State(access): State<Arc<Access>>, mut request: Request, next: Next) -> Response {
    let context = request.extensions_mut().remove::<ApiGatewayV2httpRequestContext>();
    let caller = context.as_ref().and_then(|context| Caller::vouched_for(context, &access));
    if let Some(caller) = caller {
        request.extensions_mut().insert(caller);
    }
    let id = RequestId::of(context.as_ref(), request.headers());
    let method = request.method().clone();
    let route = request.extensions().get::<MatchedPath>().cloned();
    let named = request.uri().path().split('/').nth(2).and_then(|part| part.parse::<WorkerId>().ok());

    let mut response = next.run(request).await;

    let worker = response.extensions_mut().remove::<Subject>().map(|subject| subject.0);
    let worker = worker.or(named.map(|id| id.to_string()));
    let route = route.as_ref().map_or("none", MatchedPath::as_str);
    let request_id = id.as_ref().map(RequestId::as_str);
    let status = response.status().as_u16();
    if let Some(problem) = response.extensions_mut().remove::<Problem>() {
        if response.status().is_server_error() {
            let error = problem.cause.as_deref().map(chain);
            tracing::error!(
                request.id = request_id,
                worker.id = worker,
                route,
                status,
                error,
                "a request failed on our side"
            );
        }
        write_out(&mut response, &problem, request_id);
    }
    if let Some(value) = request_id.and_then(|id| HeaderValue::from_str(id).ok()) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    tracing::info!(
        request.id = request_id,
        worker.id = worker,
        method = method.as_str(),
        route,
        status,
        "answered"
    );
    response
}

fn write_out(response: &mut Response, problem: &Problem, request_id: Option<&str>) {
    *response.body_mut() = Body::from(problem.to_json(request_id));
    let headers: &mut HeaderMap = response.headers_mut();
    headers.remove("content-length");
    for (name, value) in problem.headers() {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
    }
}

/// `what failed: because: because`.
fn chain(error: &(dyn Error + Send + Sync + 'static)) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let _ = write!(text, ": {cause}");
        next = cause.source();
    }
    text
}
