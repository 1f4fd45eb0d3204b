//! Secrets Manager: the secret that signs webhooks, kept for a while.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use app::error::CallError;
use app::ports::{Secrets, SigningSecret};
use aws_sdk_secretsmanager::Client;
use aws_types::SdkConfig;
use tokio::time::Instant;

use crate::call::failed;

const WHAT: &str = "SecretsManager GetSecretValue";
/// How long the secret is used before it is read again, so that a rotation takes effect.
const KEPT: Duration = Duration::from_secs(300);
/// How Standard Webhooks marks a symmetric secret.
const PREFIX: &str = "whsec_";

/// The signing secret.
#[derive(Debug)]
pub struct SecretsManagerSecrets {
    client: Client,
    arn: String,
    kept: Mutex<Option<(Instant, SigningSecret)>>,
}

impl SecretsManagerSecrets {
    pub(crate) fn new(config: &SdkConfig, arn: impl Into<String>) -> Self {
        Self { client: Client::new(config), arn: arn.into(), kept: Mutex::default() }
    }

    async fn signing_secret_at(&self, now: Instant) -> Result<SigningSecret, CallError> {
        if let Some((until, secret)) = &*self.kept.lock().unwrap_or_else(PoisonError::into_inner)
            && now < *until
        {
            return Ok(secret.clone());
        }
        let answer = self.client.get_secret_value().secret_id(&self.arn).send().await;
        let answer = answer.map_err(|error| failed(WHAT, error))?;
        let text = answer.secret_string().unwrap_or_default();
        let text = text.strip_prefix(PREFIX).unwrap_or(text);
        if text.is_empty() {
            let message = format!("{WHAT}: the secret is empty");
            return Err(CallError { message, retryable: false, cause: None });
        }
        let secret = SigningSecret::new(format!("{PREFIX}{text}"));
        *self.kept.lock().unwrap_or_else(PoisonError::into_inner) = Some((now + KEPT, secret.clone()));
        Ok(secret)
    }
}

impl Secrets for SecretsManagerSecrets {
    async fn signing_secret(&self) -> Result<SigningSecret, CallError> {
        self.signing_secret_at(Instant::now()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reply, Wire};
    use serde_json::json;

    fn secret(text: &str) -> Reply {
        Reply::ok(json!({ "SecretString": text }))
    }

    #[tokio::test]
    async fn the_secret_is_read_once_in_five_minutes() {
        let wire = Wire::new([secret("first"), secret("whsec_second")]);
        let secrets = SecretsManagerSecrets::new(&wire.config(), "arn:aws:secret");
        let start = Instant::now();
        let at = async |seconds| {
            let secret = secrets.signing_secret_at(start + Duration::from_secs(seconds)).await;
            secret.expect("read").expose().to_owned()
        };
        assert_eq!([at(0).await, at(299).await], ["whsec_first", "whsec_first"]);
        assert_eq!(wire.only().json(), json!({ "SecretId": "arn:aws:secret" }));
        assert_eq!(at(300).await, "whsec_second");
    }

    #[tokio::test]
    async fn an_empty_secret_signs_nothing_and_is_not_kept() {
        let wire = Wire::new([secret(""), secret("later")]);
        let secrets = SecretsManagerSecrets::new(&wire.config(), "arn");
        assert!(!secrets.signing_secret().await.expect_err("empty").retryable);
        assert_eq!(secrets.signing_secret().await.expect("read").expose(), "whsec_later");
    }

    #[tokio::test]
    async fn the_secret_is_never_shown() {
        let wire = Wire::new([secret("canary")]);
        let secrets = SecretsManagerSecrets::new(&wire.config(), "arn");
        secrets.signing_secret().await.expect("read");
        assert!(!format!("{secrets:?}").contains("canary"));
    }

    #[tokio::test]
    async fn a_refusal_names_its_code() {
        let wire = Wire::new([Reply::json("AccessDeniedException", "no")]);
        let error =
            SecretsManagerSecrets::new(&wire.config(), "arn").signing_secret().await.expect_err("refused");
        let shown = (error.message.as_str(), error.retryable);
        assert_eq!(shown, ("SecretsManager GetSecretValue: AccessDeniedException", false));
    }
}
