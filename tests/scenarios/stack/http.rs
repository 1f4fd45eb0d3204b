//! The API before a world, asked over HTTP by an admin.

use std::sync::Arc;

use api::{Api, Ports, router};
use app::config::Allowed;
use aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use domain::Region;
use serde_json::{Value, json};
use tests::world::{World, access, account, settings};
use tower::ServiceExt;

struct Outside(Arc<World>);

impl Ports for Outside {
    tests::api_ports!();
}

/// The API of a fleet in these regions.
pub(crate) fn api(world: &Arc<World>, regions: Vec<Region>) -> Router {
    router(Api {
        ports: Outside(Arc::clone(world)),
        settings: settings(),
        regions,
        account: account(),
        access: access(),
        allowed: Allowed::default(),
        mass_termination: 10,
    })
}

/// Asks with a key. Answers with the status and the JSON.
pub(crate) async fn ask(api: &Router, method: &str, target: &str, key: &str, body: &Value) -> (u16, Value) {
    let context: ApiGatewayV2httpRequestContext = serde_json::from_value(json!({
        "requestId": "1", "http": { "method": method },
        "authorizer": { "iam": { "userArn": "arn:aws:iam::123456789012:user/ann" } },
    }))
    .expect("a context");
    let request = Request::builder()
        .method(method)
        .uri(target)
        .header("idempotency-key", key)
        .header("content-type", "application/json")
        .extension(context)
        .body(Body::from(body.to_string()))
        .expect("a request");
    let response = api.clone().oneshot(request).await.expect("infallible");
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    (status, serde_json::from_slice(&bytes).expect("JSON"))
}
