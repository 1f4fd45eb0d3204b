//! What came of a call, for people and for decisions. The one reader of `SdkError`, whose own `Display` says nothing.

use app::error::CallError;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// Codes by which AWS asks to slow down (aws-runtime `THROTTLING_ERRORS`, and EC2's own).
const THROTTLES: &[&str] = &[
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// Codes of trouble on AWS's side, or of credentials that a new environment will not have.
const PASSING: &[&str] = &[
    "ExpiredToken",
    "ExpiredTokenException",
    "InternalError",
    "InternalException",
    "InternalFailure",
    "InternalServerError",
    "InternalServiceError",
    "RequestExpired",
    "RequestTimeout",
    "RequestTimeoutException",
    "ServiceUnavailable",
    "Unavailable",
];

/// The longest message of AWS that is passed on.
const LONGEST: usize = 300;

/// What came of a failed call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Report {
    /// AWS's error code; `None` if there was no answer.
    pub(crate) code: Option<String>,
    /// The code and AWS's message, or why there was no answer.
    pub(crate) text: String,
    /// AWS asks to slow down.
    pub(crate) throttled: bool,
    /// Trying again may help.
    pub(crate) retryable: bool,
}

/// Reads an error.
pub(crate) fn report<E: ProvideErrorMetadata>(error: &SdkError<E, HttpResponse>) -> Report {
    let SdkError::ServiceError(_) = error else {
        let (text, retryable) = match error {
            SdkError::TimeoutError(_) => ("no answer in time", true),
            SdkError::DispatchFailure(failure) => ("not reached", !failure.is_user()),
            SdkError::ResponseError(_) => ("the answer cannot be read", true),
            _ => ("the request cannot be made", false),
        };
        return Report { code: None, text: text.to_owned(), throttled: false, retryable };
    };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    if error.code().is_none() && status < 400 {
        let text = "the answer cannot be read".to_owned();
        return Report { code: None, text, throttled: false, retryable: true };
    }
    let code = error.code().map_or_else(|| format!("HTTP {status}"), str::to_owned);
    let throttled = status == 429 || is_throttle(&code);
    let retryable = throttled || status >= 500 || is_passing(&code);
    let text = match error.message().map(brief) {
        Some(message) if !message.is_empty() => format!("{code}: {message}"),
        _ => code.clone(),
    };
    Report { code: Some(code), text, throttled, retryable }
}

/// An error code by which AWS asks to slow down.
pub(crate) fn is_throttle(code: &str) -> bool {
    THROTTLES.contains(&code)
}

/// An error code after which trying again may help.
pub(crate) fn is_passing(code: &str) -> bool {
    is_throttle(code) || PASSING.contains(&code)
}

/// The error of a port, its cause kept, the raw answer not. `what` is service and operation.
pub(crate) fn failed<E>(what: &'static str, error: SdkError<E, HttpResponse>) -> CallError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let Report { code, text, retryable, .. } = report(&error);
    let message = format!("{what}: {}", code.unwrap_or(text));
    CallError { message, retryable, cause: Some(error.into_source().unwrap_or_else(Into::into)) }
}

/// AWS's message without what no operator can read: encoded policy decisions, and anything very long.
fn brief(message: &str) -> String {
    let readable = message.split("Encoded authorization failure message").next().unwrap_or_default().trim();
    if readable.chars().count() <= LONGEST {
        return readable.to_owned();
    }
    let mut short: String = readable.chars().take(LONGEST - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reply, Wire};
    use aws_sdk_ec2::operation::stop_instances::StopInstancesError;
    use std::error::Error;

    async fn answer(reply: Reply) -> SdkError<StopInstancesError, HttpResponse> {
        let wire = Wire::new([reply]);
        aws_sdk_ec2::Client::new(&wire.config()).stop_instances().send().await.expect_err("an error")
    }

    #[tokio::test]
    async fn the_code_is_named_and_the_cause_kept() {
        let error =
            failed("EC2 StopInstances", answer(Reply::ec2("UnauthorizedOperation", "You may not.")).await);
        assert_eq!(error.to_string(), "EC2 StopInstances: UnauthorizedOperation");
        assert!(!error.retryable);
        let causes: Vec<String> = std::iter::successors(error.source(), |cause| (*cause).source())
            .map(ToString::to_string)
            .collect();
        assert!(causes.iter().any(|cause| cause.contains("You may not.")), "{causes:?}");
    }

    #[tokio::test]
    async fn throttles_and_trouble_on_their_side_are_worth_another_try() {
        let throttled = report(&answer(Reply::ec2("RequestLimitExceeded", "Request limit exceeded.")).await);
        assert!(throttled.throttled && throttled.retryable);
        let broken = report(&answer(Reply::status(503, "<html>")).await);
        assert_eq!((broken.text.as_str(), broken.retryable, broken.throttled), ("HTTP 503", true, false));
        assert!(!report(&answer(Reply::ec2("InvalidParameterValue", "no")).await).retryable);
    }

    #[tokio::test]
    async fn an_answer_that_cannot_be_read_is_not_kept_for_it_may_hold_a_secret() {
        let error = failed("EC2 StopInstances", answer(Reply::ok("<canary")).await);
        assert_eq!(
            (error.to_string().as_str(), error.retryable),
            ("EC2 StopInstances: the answer cannot be read", true)
        );
        assert!(error.source().is_some() && !format!("{error:?}").contains("canary"), "{error:?}");
    }

    #[tokio::test]
    async fn an_encoded_policy_decision_is_left_out_and_a_long_message_cut() {
        let denied = "You are not authorized. Encoded authorization failure message: 4nfpJy0wS";
        let report_of =
            |message: String| async move { report(&answer(Reply::ec2("X", &message)).await).text };
        assert_eq!(report_of(denied.to_owned()).await, "X: You are not authorized.");
        assert_eq!(report_of("é".repeat(1000)).await.chars().count(), "X: ".len() + LONGEST);
    }
}
