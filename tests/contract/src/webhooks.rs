//! Laws of sending webhooks.

use app::error::CallError;
use app::ports::{Clock, WebhookAnswer, WebhookRequest, Webhooks};

use crate::Subject;

/// What is sent: text that any change of its encoding, its ends of lines or its edges would change.
const BODY: &str = " {\"name\": \"l\u{e4}b \u{1f4a5}\",\r\n\"empty\":\"\"}\n";

fn request(url: &str) -> WebhookRequest {
    let headers = [
        ("webhook-id", "msg_1"),
        ("webhook-timestamp", "1700000000"),
        ("webhook-signature", "v1,K5oZfzN95Z9UVu1EsfQmfVNQhnkZ2pj9o9NDN/H/pI4="),
        ("content-type", "application/cloudevents+json; charset=utf-8"),
        ("user-agent", "a law"),
    ];
    WebhookRequest {
        url: url.to_owned(),
        headers: headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        body: BODY.to_owned(),
        timeout_millis: 10_000,
    }
}

/// A new receiver that answers so, and what comes of sending to it.
async fn sent(subject: &impl Subject, answer: WebhookAnswer) -> (String, Result<WebhookAnswer, CallError>) {
    let url = subject.receiver(Some(answer));
    let told = subject.webhooks().send(&request(&url)).await;
    (url, told)
}

/// Without it no signature would fit, and no receiver could tell a notice that comes twice.
pub async fn what_is_sent_arrives_once_and_as_it_is(subject: &impl Subject) {
    let (url, told) = sent(subject, WebhookAnswer { status: 204, retry_after: None }).await;
    assert_eq!(told.expect("answered"), WebhookAnswer { status: 204, retry_after: None });
    let got = subject.received(&url);
    let [got] = got.as_slice() else { panic!("{} requests for one", got.len()) };
    assert_eq!(got.body, BODY);
    for (name, value) in request(&url).headers {
        let named = got.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(&name));
        let values: Vec<&str> = named.map(|(_, value)| value.as_str()).collect();
        assert_eq!(values, [value], "{name}");
    }
}

/// Without it a failure would count as delivered, or a delivery be made again. What a status means is not the sender's to say.
pub async fn a_status_is_brought_back_as_it_is(subject: &impl Subject) {
    for status in [200, 202, 204, 299, 400, 401, 404, 410, 429, 500, 503, 599] {
        let answer = WebhookAnswer { status, retry_after: None };
        assert_eq!(sent(subject, answer.clone()).await.1.expect("answered"), answer);
    }
}

/// Without it a receiver could send our notices, and their signatures, to whom nobody chose (Standard Webhooks, "Webhook
/// delivery": a redirect is a failure).
pub async fn a_redirect_is_an_answer_and_not_a_way(subject: &impl Subject) {
    for status in [301, 302, 303, 307, 308] {
        let (url, told) = sent(subject, WebhookAnswer { status, retry_after: None }).await;
        assert_eq!(told.expect("answered").status, status);
        assert_eq!(subject.received(&url).len(), 1, "{status}: once, and nowhere else");
    }
}

/// Without it a receiver that is busy would be hammered (RFC 9110, "Retry-After").
pub async fn how_long_to_wait_is_brought_back(subject: &impl Subject) {
    for (status, retry_after) in [(429, Some(7)), (503, Some(86_400)), (429, Some(0)), (503, None)] {
        let answer = WebhookAnswer { status, retry_after };
        assert_eq!(sent(subject, answer.clone()).await.1.expect("answered"), answer);
    }
}

/// Without it one receiver that hangs would hold up the others, or count as told.
pub async fn silence_ends_with_the_timeout_and_is_no_answer(subject: &impl Subject) {
    let (url, since) = (subject.receiver(None), subject.now());
    let quick = WebhookRequest { timeout_millis: 500, ..request(&url) };
    let error = subject.webhooks().send(&quick).await.expect_err("no answer");
    assert!(error.retryable, "{error}");
    let waited = subject.clock().now().duration_since(since).as_millis();
    assert!((500..5000).contains(&waited), "{waited} ms");
    assert_eq!(subject.received(&url).len(), 1);
}
