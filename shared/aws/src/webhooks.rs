//! Webhooks over HTTPS, to public addresses only.
//!
//! Design note. The check is made where the name is resolved, so that the address that was checked is the address that
//! is dialled: a check beforehand could be passed with one answer of the DNS and dialled with the next. An
//! address written in the URL needs no resolving and is checked on its own.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use app::error::{CallError, Cause};
use app::ports::{WebhookAnswer, WebhookRequest, Webhooks};
use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::{Client, redirect, retry};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use url::{Host, Url};

use crate::address::is_public;

/// A receiver that does not take a connection within this will not answer either.
const CONNECT: Duration = Duration::from_secs(5);
/// The answer's body says nothing we need: a little is read so that the connection ends cleanly, within this.
const MOST_BYTES: usize = 16 * 1024;
const LONGEST_BODY: Duration = Duration::from_secs(1);

/// Sends webhooks.
#[derive(Debug)]
pub struct HttpsWebhooks {
    client: Client,
    allow_private: bool,
}

impl HttpsWebhooks {
    /// `allow_private` also allows plain HTTP and any port: it is for the local cloud.
    pub(crate) fn new(allow_private: bool) -> Result<Self, Cause> {
        let roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let builder = Client::builder()
            .tls_backend_preconfigured(tls)
            .https_only(!allow_private)
            .redirect(redirect::Policy::none())
            .retry(retry::never())
            .no_proxy()
            .connect_timeout(CONNECT)
            .user_agent(concat!("cml-fleet/", env!("CARGO_PKG_VERSION")));
        let builder = if allow_private { builder } else { builder.dns_resolver(Public) };
        Ok(Self { client: builder.build()?, allow_private })
    }

    /// The URL, if it is one we may send to.
    fn checked(&self, text: &str) -> Result<Url, &'static str> {
        let url = Url::parse(text).map_err(|_| "the URL is not one")?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err("the URL holds a password");
        }
        let address = match url.host().ok_or("the URL names no host")? {
            Host::Domain(_) => None,
            Host::Ipv4(address) => Some(address.into()),
            Host::Ipv6(address) => Some(address.into()),
        };
        if self.allow_private {
            return Ok(url);
        }
        if url.scheme() != "https" {
            return Err("the URL is not https");
        }
        if url.port().is_some_and(|port| port < 1024) {
            return Err("the port is another service's");
        }
        if address.is_some_and(|address| !is_public(address)) {
            return Err(NOT_PUBLIC);
        }
        Ok(url)
    }
}

impl Webhooks for HttpsWebhooks {
    async fn send(&self, request: &WebhookRequest) -> Result<WebhookAnswer, CallError> {
        let url = self.checked(&request.url).map_err(|refusal| CallError {
            message: format!("webhook: {refusal}"),
            retryable: false,
            cause: None,
        })?;
        let timeout = Duration::from_millis(request.timeout_millis);
        let mut post = self.client.post(url).timeout(timeout).body(request.body.clone());
        for (name, value) in &request.headers {
            post = post.header(name, value);
        }
        let answer = post.send().await.map_err(not_sent)?;
        let after = answer.headers().get("retry-after");
        let told = WebhookAnswer {
            status: answer.status().as_u16(),
            retry_after: after.and_then(|value| value.to_str().ok()?.trim().parse().ok()),
        };
        // Whatever comes of the body, the receiver has answered.
        let _ = tokio::time::timeout(LONGEST_BODY, drain(answer)).await;
        Ok(told)
    }
}

async fn drain(mut answer: reqwest::Response) {
    let mut read = 0;
    while let Ok(Some(chunk)) = answer.chunk().await {
        read += chunk.len();
        if read >= MOST_BYTES {
            break;
        }
    }
}

/// Why there is no answer. Never with the URL, whose path may be a secret.
fn not_sent(error: reqwest::Error) -> CallError {
    let blocked =
        std::iter::successors(error.source(), |cause| (*cause).source()).any(|cause| cause.is::<NotPublic>());
    let (text, retryable) = match &error {
        _ if blocked => (NOT_PUBLIC, true),
        error if error.is_timeout() => ("no answer in time", true),
        error if error.is_builder() => ("the request cannot be made", false),
        error if error.is_connect() => ("not reached", true),
        _ => ("no answer", true),
    };
    CallError { message: format!("webhook: {text}"), retryable, cause: Some(Box::new(error.without_url())) }
}

const NOT_PUBLIC: &str = "the address is not public";

/// A name that stands for no public address.
#[derive(Debug, thiserror::Error)]
#[error("{NOT_PUBLIC}")]
struct NotPublic;

/// The system's resolver, without the addresses that are not public.
#[derive(Debug)]
struct Public;

impl Resolve for Public {
    fn resolve(&self, name: Name) -> Resolving {
        Box::pin(async move {
            let all = tokio::net::lookup_host((name.as_str(), 0)).await?;
            let public: Vec<_> = all.filter(|address| is_public(address.ip())).collect();
            if public.is_empty() {
                return Err(NotPublic.into());
            }
            Ok(Box::new(public.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read, Write};
    use std::net::{SocketAddr, TcpListener};
    use std::sync::Arc;
    use std::sync::mpsc::{Receiver, channel};
    use std::thread;

    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    use rustls::pki_types::PrivatePkcs8KeyDer;
    use rustls::{ServerConfig, ServerConnection};

    /// A receiver that reports each request it reads and answers it with these bytes, again and again if it is `endless`.
    fn receiver(answer: &'static str, endless: bool) -> (SocketAddr, Receiver<String>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let (told, heard) = channel();
        thread::spawn(move || {
            for stream in listener.incoming() {
                let mut stream = stream.expect("a connection");
                let mut text = String::new();
                let mut buffer = [0; 4096];
                while !text.ends_with("}") {
                    let read = stream.read(&mut buffer).expect("readable");
                    if read == 0 {
                        break;
                    }
                    text.push_str(&String::from_utf8_lossy(&buffer[..read]));
                }
                told.send(text).expect("the test listens");
                while stream.write_all(answer.as_bytes()).is_ok() && endless {}
                if answer.is_empty() {
                    thread::sleep(Duration::from_secs(5));
                }
            }
        });
        (address, heard)
    }

    fn request(url: impl ToString) -> WebhookRequest {
        WebhookRequest {
            url: url.to_string(),
            headers: vec![("webhook-id".to_owned(), "msg_1".to_owned())],
            body: r#"{"a":1}"#.to_owned(),
            timeout_millis: 2000,
        }
    }

    fn hooks(allow_private: bool) -> HttpsWebhooks {
        HttpsWebhooks::new(allow_private).expect("a client")
    }

    #[tokio::test]
    async fn the_exact_bytes_are_posted_and_the_answer_told() {
        let (address, heard) =
            receiver("HTTP/1.1 429 Slow\r\nRetry-After: 7\r\nContent-Length: 2\r\n\r\nno", false);
        let answer =
            hooks(true).send(&request(format!("http://{address}/hook?a=b"))).await.expect("answered");
        assert_eq!(answer, WebhookAnswer { status: 429, retry_after: Some(7) });
        let text = heard.recv().expect("a request");
        assert!(text.starts_with("POST /hook?a=b HTTP/1.1\r\n"), "{text}");
        assert!(text.contains("webhook-id: msg_1\r\n") && text.contains("user-agent: cml-fleet/"), "{text}");
        assert!(text.ends_with("\r\n\r\n{\"a\":1}"), "{text}");
    }

    #[tokio::test]
    async fn a_redirect_is_an_answer_and_not_a_way() {
        let (address, heard) =
            receiver("HTTP/1.1 302 Found\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n", false);
        let answer = hooks(true).send(&request(format!("http://{address}/"))).await.expect("answered");
        assert_eq!((answer.status, heard.try_iter().count()), (302, 1));
    }

    #[tokio::test]
    async fn an_endless_body_does_not_hold_us() {
        let (address, _heard) = receiver("HTTP/1.1 200 OK\r\n\r\nxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", true);
        // Less than `LONGEST_BODY`: it is the number of bytes that ends it.
        let sent = tokio::time::timeout(Duration::from_millis(700), async {
            hooks(true).send(&request(format!("http://{address}/"))).await
        });
        assert_eq!(sent.await.expect("in time").expect("answered").status, 200);
    }

    #[tokio::test]
    async fn a_body_that_never_comes_does_not_hold_us() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let _ = stream.read(&mut [0; 4096]).expect("readable");
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\nx").expect("writable");
            thread::sleep(Duration::from_secs(5));
        });
        let sent = tokio::time::timeout(Duration::from_millis(1500), async {
            hooks(true).send(&request(format!("http://{address}/"))).await
        });
        assert_eq!(sent.await.expect("in time").expect("answered").status, 200);
    }

    #[tokio::test]
    async fn a_receiver_that_hangs_up_has_not_answered_and_the_url_is_not_told() {
        for scheme in ["http", "https"] {
            let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
            let address = listener.local_addr().expect("bound");
            thread::spawn(move || listener.incoming().for_each(drop));
            let error =
                hooks(true).send(&request(format!("{scheme}://{address}/canary"))).await.expect_err(scheme);
            assert!(error.retryable && error.message.starts_with("webhook: no"), "{scheme}: {error:?}");
            assert!(!format!("{error:?}").contains("canary"), "{error:?}");
        }
    }

    #[tokio::test]
    async fn a_receiver_that_answers_without_tls_where_it_should_speak_it_has_not_answered() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("writable");
            let mut heard = Vec::new();
            // It hangs up, and may do so rudely.
            let _ = stream.read_to_end(&mut heard);
            String::from_utf8_lossy(&heard).into_owned()
        });
        let error =
            hooks(true).send(&request(format!("https://{address}/canary"))).await.expect_err("no TLS");
        assert_eq!((error.message.as_str(), error.retryable), ("webhook: not reached", true));
        assert!(!served.join().expect("served").contains("canary"), "nothing is told in the open");
    }

    /// Nobody vouches for this certificate of 127.0.0.1, and its key is known to everybody who reads this.
    const STRANGER: [&str; 2] = [
        "MIIBTDCB/6ADAgECAhRSk8GBdMTgFlNQJkvL41qiBB7lyTAFBgMrZXAwFDESMBAGA1UEAwwJbG9jYWxob3N0MCAXDTI2MTEzMDEz\
        MTMyOFoYDzIxMjYxMTA2MTMxMzI4WjAUMRIwEAYDVQQDDAlsb2NhbGhvc3QwKjAFBgMrZXADIQBWygtGfXoVzPOYvOnMKSRmXw7L\
        V5hc0Hj4bL8T9MN+FKNhMF8wHQYDVR0OBBYEFA20TRad9jvSeEGvgykZ2JTs6jRcMB8GA1UdIwQYMBaAFA20TRad9jvSeEGvgykZ\
        2JTs6jRcMA8GA1UdEQQIMAaHBH8AAAEwDAYDVR0TAQH/BAIwADAFBgMrZXADQQAmivT2NKgKEu3ddzC/MW9rOmC/Lct3mW++9YPd\
        NuZWnaInoI++glhK0PBmHGWSWC22mFYRWX40yb5D7TVytHwE",
        "MC4CAQAwBQYDK2VwBCIEIHxEJHv7MGjQAdOiqdGaVlDit1U67g5QqUipPikySc1M",
    ];

    #[tokio::test]
    async fn a_receiver_for_whom_nobody_vouches_is_told_nothing() {
        let [certificate, key] = STRANGER.map(|text| STANDARD.decode(text).expect("base64"));
        let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .expect("versions")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.into()], PrivatePkcs8KeyDer::from(key).into())
            .expect("a certificate and its key");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("bound");
        let served = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            let mut tls = ServerConnection::new(Arc::new(config)).expect("a server");
            let mut end = tls.complete_io(&mut stream);
            while matches!(end, Ok((read, written)) if read + written > 0) {
                end = tls.complete_io(&mut stream);
            }
            let told = tls.reader().read(&mut [0; 16]).unwrap_or_default();
            (end.expect_err("it is not trusted").to_string(), told)
        });
        let error = hooks(true).send(&request(format!("https://{address}/"))).await.expect_err("not trusted");
        assert_eq!((error.message.as_str(), error.retryable), ("webhook: not reached", true));
        let (end, told) = served.join().expect("served");
        assert!(end.contains("UnknownCA"), "{end}");
        assert_eq!(told, 0);
    }

    #[tokio::test]
    async fn a_retry_after_that_is_no_number_of_seconds_is_none() {
        for asked in ["soon", "-1", "Wed, 21 Oct 2026 07:28:00 GMT", "99999999999", ""] {
            let text = format!("HTTP/1.1 429 Slow\r\nRetry-After: {asked}\r\nContent-Length: 0\r\n\r\n");
            let (address, _heard) = receiver(text.leak(), false);
            let answer = hooks(true).send(&request(format!("http://{address}/"))).await.expect("answered");
            assert_eq!(answer, WebhookAnswer { status: 429, retry_after: None }, "{asked}");
        }
    }

    #[tokio::test]
    async fn silence_ends_with_the_timeout_and_the_url_is_not_told() {
        let (address, _heard) = receiver("", false);
        let quick = WebhookRequest { timeout_millis: 50, ..request(format!("http://{address}/canary")) };
        let error = hooks(true).send(&quick).await.expect_err("silence");
        assert_eq!((error.message.as_str(), error.retryable), ("webhook: no answer in time", true));
        assert!(!format!("{error:?}").contains("canary"), "{error:?}");
    }

    #[tokio::test]
    async fn a_name_that_stands_for_a_private_address_is_not_dialled() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        listener.set_nonblocking(true).expect("settable");
        let port = listener.local_addr().expect("bound").port();
        let error =
            hooks(false).send(&request(format!("https://localhost:{port}/"))).await.expect_err("blocked");
        assert_eq!((error.message.as_str(), error.retryable), ("webhook: the address is not public", true));
        assert!(listener.accept().is_err(), "nobody came");
    }

    #[tokio::test]
    async fn urls_that_lead_inside_or_hide_something_are_refused() {
        let refused = [
            "http://example.com/",
            "https://127.0.0.1/",
            "https://2130706433/",
            "https://0x7f.1/",
            "https://0177.0.0.1/",
            "https://[::1]/",
            "https://[::ffff:10.0.0.1]/",
            "https://169.254.169.254/latest/meta-data",
            "https://user:pw@example.com/",
            "https://user@example.com/",
            "https://example.com:22/",
            "ftp://example.com/",
            "file:///etc/passwd",
            "not a url",
        ];
        let hooks = hooks(false);
        for url in refused {
            let error = hooks.send(&request(url)).await.expect_err(url);
            assert!(!error.retryable && error.cause.is_none(), "{url}: {error:?}");
        }
        assert!(hooks.checked("https://example.com/services/T0/B0").is_ok());
        assert!(hooks.checked("https://example.com:8443/").is_ok());
    }

    #[tokio::test]
    async fn a_header_that_is_none_is_a_mistake_of_ours() {
        let odd = WebhookRequest {
            headers: vec![("a b".to_owned(), "c".to_owned())],
            ..request("https://example.com/")
        };
        let error = hooks(false).send(&odd).await.expect_err("refused");
        assert_eq!((error.message.as_str(), error.retryable), ("webhook: the request cannot be made", false));
    }
}
