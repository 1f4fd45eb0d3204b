//! The way in of API requests meets whatever somebody may invoke the function with.

use serde_json::{Value, json};

use super::*;

/// Where a request is changed.
const PLACES: [&str; 20] = [
    "/version",
    "/routeKey",
    "/rawPath",
    "/rawQueryString",
    "/cookies",
    "/headers",
    "/headers/host",
    "/headers/content-type",
    "/headers/x-forwarded-proto",
    "/queryStringParameters",
    "/pathParameters",
    "/stageVariables",
    "/requestContext/stage",
    "/requestContext/authorizer",
    "/requestContext/authorizer/iam/userArn",
    "/requestContext/http/method",
    "/requestContext/http/path",
    "/requestContext/timeEpoch",
    "/body",
    "/isBase64Encoded",
];

/// What is put there.
fn strange() -> Vec<Value> {
    let texts = [
        "",
        " ",
        "\0",
        "\n",
        "é",
        "💥",
        "%",
        "%zz",
        "//",
        "/a b",
        "http://",
        "[::1",
        "?",
        "#",
        "{}",
        "e30=",
        "e30",
        "GET",
        "G T",
        "https",
        "stage",
        "a;b=c",
        "text/plain",
        "\u{202e}",
    ];
    let mut values: Vec<Value> = texts.into_iter().map(Value::from).collect();
    values.extend([
        json!(null),
        json!(true),
        json!(0),
        json!(-1),
        json!(u64::MAX),
        json!(1e308),
        json!([]),
        json!([""]),
        json!({}),
        json!({ "a b": "c" }),
        json!({ "\n": "\0" }),
        json!({ "host": "a b" }),
        json!({ "": "" }),
    ]);
    values
}

fn put(event: &mut Value, place: &str, value: Value) {
    let (parent, name) = place.rsplit_once('/').unwrap_or_default();
    if let Some(Value::Object(fields)) = event.pointer_mut(parent) {
        fields.insert(name.to_owned(), value);
    }
}

/// Any two parts of a request are something else: it is answered, or the runtime refuses what is no request at all.
#[tokio::test]
async fn no_request_is_too_strange_for_an_answer() {
    let request = include_str!("../../../../tests/fixtures/api-request.json");
    let request: Value = serde_json::from_str(request).expect("JSON");
    let values = strange();
    let mut answered = 0;
    for (one, first) in PLACES.iter().enumerate() {
        for second in &PLACES[one..] {
            for (number, value) in values.iter().enumerate() {
                let mut event = request.clone();
                put(&mut event, first, value.clone());
                put(&mut event, second, values[(number * 7 + one) % values.len()].clone());
                let Ok(request) = serde_json::from_value::<LambdaRequest>(event) else { continue };
                let router = axum::Router::new().fallback(async |body: axum::body::Bytes| body);
                let event = LambdaEvent::new(request, lambda_runtime::Context::default());
                let answer = http(router).oneshot(event).await.expect("infallible");
                let answer = serde_json::to_value(answer).expect("JSON");
                assert!(answer["statusCode"].is_u64(), "{first} and {second}: {value}: {answer}");
                answered += 1;
            }
        }
    }
    assert!(answered > 1000, "{answered}");
}
