//! A whole event of API Gateway (payload 2.0).

use aws_lambda_events::event::apigw::ApiGatewayV2httpRequest;
use axum::body::Body;
use axum::http::{Request, StatusCode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;

use super::{ask, wait};

/// A request of anybody's. Where it is answered with a page, our own cursor leads to the next one.
pub(super) fn api_request(bytes: &[u8]) {
    let Ok(mut event) = serde_json::from_slice::<ApiGatewayV2httpRequest>(bytes) else { return };
    let Some((status, json)) = answer(event.clone()) else { return };
    let query = event.raw_query_string.unwrap_or_default();
    let Some(next) = json["next"].as_str().filter(|_| status == StatusCode::OK && is_plain(&query)) else {
        return;
    };
    let others = query.split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("cursor"));
    let next = format!("cursor={next}");
    event.raw_query_string = Some(others.chain([next.as_str()]).collect::<Vec<_>>().join("&"));
    let (status, json) = answer(event).expect("a request");
    assert_eq!(status, StatusCode::OK, "our own cursor was refused: {json}");
}

/// What the API answers to an event, if that makes a request.
pub(crate) fn answer(event: ApiGatewayV2httpRequest) -> Option<(StatusCode, Value)> {
    let body = event.body.unwrap_or_default();
    let body = if event.is_base64_encoded {
        // What the way in makes of a body that is none: see `aws::entry`.
        STANDARD.decode(body).unwrap_or_else(|_| vec![0xff])
    } else {
        body.into_bytes()
    };
    let path = encoded(&event.raw_path.unwrap_or_default(), "?#");
    let target = match event.raw_query_string.filter(|query| !query.is_empty()) {
        Some(query) => format!("{path}?{}", encoded(&query, "#")),
        None => path,
    };
    let method = event.request_context.http.method.clone();
    let mut request = Request::builder().method(method).uri(target).body(Body::from(body)).ok()?;
    *request.headers_mut() = event.headers;
    request.extensions_mut().insert(event.request_context);
    Some(wait(ask(request)))
}

/// A part of a URL with all escaped that a URL cannot hold. `aws::entry` also goes the steps of `..`; here they meet the router.
fn encoded(text: &str, also: &str) -> String {
    let mut url = String::new();
    for byte in text.bytes() {
        let letter = char::from(byte);
        if byte.is_ascii_graphic() && !"\"<>\\^`{|}".contains(letter) && !also.contains(letter) {
            url.push(letter);
        } else {
            url.push_str(&format!("%{byte:02X}"));
        }
    }
    url
}

/// Whether the parameters' names are written without escapes, so that the cursor among them is found.
fn is_plain(query: &str) -> bool {
    let names = query.split('&').filter_map(|pair| pair.split('=').next());
    names.flat_map(str::bytes).all(|byte| byte.is_ascii_lowercase())
}
