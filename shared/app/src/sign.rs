//! Signing webhooks (Standard Webhooks, `v1`: HMAC-SHA256 over `id.timestamp.body`).

use domain::Timestamp;
use standardwebhooks::{HEADER_WEBHOOK_ID, HEADER_WEBHOOK_SIGNATURE, HEADER_WEBHOOK_TIMESTAMP, Webhook};

use crate::ports::SigningSecret;

/// The fewest base64 characters of a secret: 24 bytes (Standard Webhooks, "Signature scheme").
const SHORTEST: usize = 32;

/// Why nothing can be signed. Says nothing about the secret but this, and has no cause that might.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// It is not `whsec_` and base64 of at least 24 bytes.
    #[error("the signing secret is not one")]
    NotASecret,
}

/// The headers of one attempt: the id, which is the same on every attempt; the time of this one; the signature of the
/// exact bytes of `body`.
///
/// # Errors
/// [`SignError`] if the secret cannot sign.
pub fn headers(
    secret: &SigningSecret,
    id: &str,
    now: Timestamp,
    body: &str,
) -> Result<Vec<(String, String)>, SignError> {
    let key = secret.expose().strip_prefix("whsec_").ok_or(SignError::NotASecret)?;
    if key.trim_end_matches('=').len() < SHORTEST {
        return Err(SignError::NotASecret);
    }
    let seconds = now.as_second();
    let signature = Webhook::new(key)
        .and_then(|webhook| webhook.sign(id, seconds, body.as_bytes()))
        .map_err(|_| SignError::NotASecret)?;
    Ok(vec![
        (HEADER_WEBHOOK_ID.to_owned(), id.to_owned()),
        (HEADER_WEBHOOK_TIMESTAMP.to_owned(), seconds.to_string()),
        (HEADER_WEBHOOK_SIGNATURE.to_owned(), signature),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of the reference library.
    const SECRET: &str = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD";

    fn signed(secret: &str) -> Result<Vec<(String, String)>, SignError> {
        let now = Timestamp::from_second(1_649_367_553).expect("a time");
        let body = r#"{"email":"test@example.com","username":"test_user"}"#;
        headers(&SigningSecret::new(secret.to_owned()), "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk", now, body)
    }

    #[test]
    fn the_known_answer_is_ours() {
        let headers = signed(SECRET).expect("signed");
        assert_eq!(headers[0], ("webhook-id".to_owned(), "msg_27UH4WbU6Z5A5EzD8u03UvzRbpk".to_owned()));
        assert_eq!(headers[1], ("webhook-timestamp".to_owned(), "1649367553".to_owned()));
        assert_eq!(headers[2].1, "v1,tZ1I4/hDygAJgO5TYxiSd6Sd0kDW6hPenDe+bTa3Kkw=");
    }

    #[test]
    fn what_is_no_secret_signs_nothing_and_is_not_shown() {
        for text in ["", "whsec_", "whsec_c2hvcnQ=", &SECRET[6..], "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7o!"] {
            let error = signed(text).expect_err(text);
            assert_eq!(format!("{error} {error:?}"), "the signing secret is not one NotASecret");
        }
    }
}
