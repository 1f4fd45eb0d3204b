//! The way in and out of every function: logging, the runtime, and the one place where an error is written down.
//!
//! A handler that fails returns its error; the runtime logs that once, with all its causes (`Failed`), and reports
//! it to Lambda, which retries or parks the event. Nothing else logs an error that it also returns.

use std::convert::Infallible;
use std::error::Error;
use std::fmt;
use std::str::FromStr;

use axum::http::header::HOST;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use lambda_http::Adapter;
use lambda_http::request::{LambdaRequest, RequestContext};
use lambda_runtime::{Diagnostic, LambdaEvent, service_fn};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tower::{Service, ServiceExt};
use tracing::level_filters::LevelFilter;
use tracing_subscriber::Layer;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use url::Url;

use crate::config::Environment;

/// Why a function does not start, or stopped. `Debug`, which is what `main` prints, says it with all causes.
pub struct Refused(Box<dyn Error + Send + Sync>);

impl<E: Into<Box<dyn Error + Send + Sync>>> From<E> for Refused {
    fn from(error: E) -> Self {
        Self(error.into())
    }
}

impl fmt::Debug for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        chain(&*self.0, f)
    }
}

/// A handler's error on its way to Lambda: its message is the whole chain.
struct Failed<E>(E);

impl<E: Error + 'static> fmt::Debug for Failed<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        chain(&self.0, f)
    }
}

impl<E: Error + 'static> From<Failed<E>> for Diagnostic {
    fn from(failed: Failed<E>) -> Self {
        Self { error_type: std::any::type_name::<E>().to_owned(), error_message: format!("{failed:?}") }
    }
}

/// `what failed: because: because`. A cause that its parent already quotes is not said twice.
fn chain(error: &(dyn Error + 'static), f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let mut said = error.to_string();
    f.write_str(&said)?;
    let mut next = error.source();
    while let Some(cause) = next {
        let text = cause.to_string();
        if !said.ends_with(&text) {
            write!(f, ": {text}")?;
        }
        said = text;
        next = cause.source();
    }
    Ok(())
}

/// Answers events of one type until Lambda ends the environment.
pub async fn serve<E, R, F, X>(handler: F) -> Result<(), Refused>
where
    E: DeserializeOwned,
    R: Serialize,
    F: AsyncFn(E) -> Result<R, X>,
    X: Error + 'static,
{
    let handler = &handler;
    let service = service_fn(async |event: LambdaEvent<E>| handler(event.payload).await.map_err(Failed));
    Ok(lambda_runtime::run(service).await?)
}

/// Answers HTTP API requests (payload 2.0) with a router.
///
/// The router finds the event's own request context among the request's extensions: who is calling is in there.
pub async fn serve_http(router: axum::Router) -> Result<(), Refused> {
    Ok(lambda_runtime::run(http(router)).await?)
}

/// The router as a service that answers events.
fn http(
    router: axum::Router,
) -> impl Service<LambdaEvent<LambdaRequest>, Response: Serialize, Error = Infallible, Future: Send> {
    let router = router.layer(axum::middleware::map_request(unwrap_context));
    Adapter::from(router).map_request(|event: LambdaEvent<LambdaRequest>| LambdaEvent {
        payload: readable(event.payload),
        context: event.context,
    })
}

/// `lambda_http` panics on a body that is said to be base64 and is not, and on what makes no URL. The gateway sends hardly any
/// of that, but whoever may invoke the function can. Such a body becomes one that is no text, which the router refuses as it refuses
/// any such; of a URL the router needs path and query, which are encoded as a browser would.
fn readable(mut request: LambdaRequest) -> LambdaRequest {
    let LambdaRequest::ApiGatewayV2(event) = &mut request else { return request };
    if event.is_base64_encoded && event.body.as_ref().is_some_and(|body| STANDARD.decode(body).is_err()) {
        event.body = Some(STANDARD.encode(b"\xff"));
    }
    event.headers.remove(HOST);
    event.request_context.domain_name = None;
    if let Ok(mut url) = Url::parse("http://localhost") {
        url.set_path(event.raw_path.as_deref().unwrap_or_default());
        url.set_query(event.raw_query_string.as_deref());
        event.raw_path = Some(url.path().to_owned());
        event.raw_query_string = url.query().map(str::to_owned);
    }
    request
}

/// `lambda_http` wraps the context of every kind of gateway into one enum; ours is HTTP API, payload 2.0.
async fn unwrap_context(mut request: axum::extract::Request) -> axum::extract::Request {
    if let Some(RequestContext::ApiGatewayV2(context)) = request.extensions().get::<RequestContext>().cloned()
    {
        request.extensions_mut().insert(context);
    }
    request
}

/// Sets the log up: JSON inside Lambda, text elsewhere.
pub(crate) fn log(environment: &Environment) -> Result<(), Refused> {
    if environment.get("AWS_LAMBDA_RUNTIME_API").is_none() {
        return Err("this program is an AWS Lambda function; `make up` runs it in the local cloud".into());
    }
    let registry = tracing_subscriber::registry();
    let lines = tracing_subscriber::fmt::layer();
    if environment.get("AWS_LAMBDA_LOG_FORMAT").is_some_and(|format| format.eq_ignore_ascii_case("text")) {
        registry.with(lines.with_ansi(false).with_filter(levels(environment)?)).try_init()?;
    } else {
        let json = lines.json().flatten_event(true).with_span_list(false).with_target(false);
        registry.with(json.with_filter(levels(environment)?)).try_init()?;
    }
    Ok(())
}

/// Lambda's own log level first, then `RUST_LOG`, else `info`. Libraries speak from `warn` up unless they are named. Lambda's
/// runtime does not go below `debug`: its `trace` is every event as it came, with what callers sent and what they signed it with.
fn levels(environment: &Environment) -> Result<Targets, Refused> {
    let level = match environment.get("AWS_LAMBDA_LOG_LEVEL") {
        Some(level) if level.eq_ignore_ascii_case("fatal") => "error",
        Some(level) => level,
        None => environment.get("RUST_LOG").unwrap_or("info"),
    };
    let wanted = Targets::from_str(level).map_err(|error| format!("log level {level:?}: {error}"))?;
    let ours = wanted.default_level().unwrap_or(LevelFilter::OFF);
    let libraries = ["aws_", "h2", "hyper", "reqwest", "rustls", "tower"];
    let quiet = libraries.into_iter().map(|name| (name, ours.min(LevelFilter::WARN)));
    let runtime = ("lambda_", ours.min(LevelFilter::DEBUG));
    Ok(Targets::new()
        .with_default(ours)
        .with_targets(quiet.chain([runtime]))
        .with_targets(wanted.iter().map(|(t, l)| (t.to_owned(), l))))
}

#[cfg(test)]
mod strangers;

#[cfg(test)]
mod tests {
    use super::*;
    use tracing::Level;

    #[derive(Debug, thiserror::Error)]
    #[error("the worker cannot be saved")]
    struct Outer(#[source] Inner);

    #[derive(Debug, thiserror::Error)]
    #[error("dispatch failure")]
    struct Inner(#[source] std::io::Error);

    fn refused_connection() -> Outer {
        Outer(Inner(std::io::Error::new(std::io::ErrorKind::ConnectionRefused, "connection refused")))
    }

    #[test]
    fn lambda_is_told_every_cause_and_the_type() {
        let diagnostic = Diagnostic::from(Failed(refused_connection()));
        assert_eq!(
            diagnostic.error_message,
            "the worker cannot be saved: dispatch failure: connection refused"
        );
        assert!(diagnostic.error_type.ends_with("::Outer"), "{}", diagnostic.error_type);
    }

    #[test]
    fn main_prints_every_cause() {
        let shown = format!("{:?}", Refused::from(refused_connection()));
        assert_eq!(shown, "the worker cannot be saved: dispatch failure: connection refused");
    }

    /// What an echo of the body answers to an event with this one.
    async fn echoed(body: &str, is_base64: bool) -> (serde_json::Value, Vec<u8>) {
        let event = serde_json::json!({
            "version": "2.0", "routeKey": "POST /workers", "rawPath": "/workers", "rawQueryString": "", "headers": {},
            "requestContext": {
                "stage": "$default", "timeEpoch": 0,
                "http": { "method": "POST", "path": "/workers", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
            },
            "body": body, "isBase64Encoded": is_base64,
        });
        let router = axum::Router::new().fallback(async |body: axum::body::Bytes| body);
        let request: LambdaRequest = serde_json::from_value(event).expect("an event");
        let answer =
            http(router).oneshot(LambdaEvent::new(request, lambda_runtime::Context::default())).await;
        let answer = serde_json::to_value(answer.expect("infallible")).expect("JSON");
        let text = answer["body"].as_str().unwrap_or_default();
        let bytes = if answer["isBase64Encoded"] == serde_json::json!(true) {
            STANDARD.decode(text).expect("base64")
        } else {
            text.as_bytes().to_vec()
        };
        (answer["statusCode"].clone(), bytes)
    }

    #[tokio::test]
    async fn a_body_that_is_no_base64_reaches_the_router_as_what_no_text_can_be() {
        for (body, is_base64, arrives) in [
            ("{}", false, b"{}".as_slice()),
            ("e30=", true, b"{}"),
            ("e30=", false, b"e30="),
            ("{}", true, b"\xff"),
            ("e30", true, b"\xff"),
        ] {
            let (status, echo) = echoed(body, is_base64).await;
            assert_eq!((status, echo.as_slice()), (serde_json::json!(200), arrives), "{body} {is_base64}");
        }
    }

    fn enabled(variables: &[(&str, &str)], target: &str, level: Level) -> bool {
        let environment = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        levels(&environment).expect("a level").would_enable(target, &level)
    }

    #[test]
    fn lambdas_level_goes_before_rust_log_and_libraries_stay_quiet() {
        let both = [("AWS_LAMBDA_LOG_LEVEL", "DEBUG"), ("RUST_LOG", "error")];
        assert!(enabled(&both, "app::fleet", Level::DEBUG));
        assert!(!enabled(&both, "aws_smithy_runtime::client", Level::INFO));
        assert!(enabled(&both, "aws_smithy_runtime::client", Level::WARN));
        assert!(!enabled(&[], "app::fleet", Level::DEBUG));
        assert!(enabled(&[], "app::fleet", Level::INFO));
        // The runtime's span, which gives every line the id of its invocation.
        assert!(enabled(&[], "lambda_runtime::layers::trace", Level::INFO));
        assert!(!enabled(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")], "app::fleet", Level::WARN));
        assert!(enabled(&[("AWS_LAMBDA_LOG_LEVEL", "FATAL")], "app::fleet", Level::ERROR));
    }

    #[test]
    fn no_level_of_lambdas_writes_whole_events_to_the_log() {
        for level in ["TRACE", "DEBUG", "trace"] {
            let lambda = [("AWS_LAMBDA_LOG_LEVEL", level)];
            // Where `lambda_runtime` has its "raw JSON event received from Lambda".
            assert!(!enabled(&lambda, "lambda_runtime::layers::api_response", Level::TRACE), "{level}");
            assert!(enabled(&lambda, "lambda_runtime::layers::trace", Level::INFO), "{level}");
        }
        let trace = [("AWS_LAMBDA_LOG_LEVEL", "TRACE")];
        assert!(enabled(&trace, "lambda_runtime::runtime", Level::DEBUG));
        assert!(enabled(&trace, "app::fleet", Level::TRACE));
        let error = [("AWS_LAMBDA_LOG_LEVEL", "ERROR")];
        assert!(!enabled(&error, "lambda_runtime::runtime", Level::WARN));
    }

    #[test]
    fn a_library_that_is_named_speaks() {
        let named = [("RUST_LOG", "info,aws_smithy_runtime=trace")];
        assert!(enabled(&named, "aws_smithy_runtime::client", Level::TRACE));
        assert!(!enabled(&named, "hyper", Level::INFO));
    }

    #[test]
    fn a_level_that_is_none_refuses_the_start() {
        let environment = Environment::from([("AWS_LAMBDA_LOG_LEVEL", "loud=loud")]);
        let refused = levels(&environment).expect_err("not a level");
        assert!(format!("{refused:?}").starts_with("log level \"loud=loud\": "), "{refused:?}");
    }

    #[test]
    fn outside_lambda_the_start_is_refused_with_a_hint() {
        let refused = log(&Environment::default()).expect_err("not in Lambda");
        assert!(format!("{refused:?}").contains("make up"));
    }
}
