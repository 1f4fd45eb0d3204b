//! Laws of the secret that signs webhooks.

use app::ports::Secrets;
use app::sign;

use crate::Subject;

/// Without it no receiver could verify what it gets. CloudFormation puts the secret without the prefix that Standard Webhooks asks for.
pub async fn the_secret_is_read_as_it_was_put_and_signs(subject: &impl Subject) {
    let put = subject.secret_as_put();
    let whole = format!("whsec_{}", put.strip_prefix("whsec_").unwrap_or(&put));
    for _ in 0..2 {
        let secret = subject.secrets().signing_secret().await.expect("read");
        assert!(secret.expose() == whole, "it is not what was put");
        sign::headers(&secret, "msg_1", subject.now(), "{}").expect("it signs");
    }
}

/// Without it a notice would be sent with a signature that nobody can verify, or the sender would wait for a secret that does not come
/// (Secrets Manager API reference, "`GetSecretValue`": `ResourceNotFoundException`).
pub async fn a_secret_that_nobody_put_is_refused_for_good(subject: &impl Subject) {
    let refused = subject.secrets_without_one().signing_secret().await.expect_err("refused");
    assert!(!refused.retryable, "{refused}");
}
