//! The way to the API: one request, sent until it has an answer.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use api::wire::Problem;
use app::ports::{Clock, Ids};
use reqwest::header::HeaderMap;
use reqwest::{Method, redirect};
use rustls::crypto::ring;
use rustls::{ClientConfig, RootCertStore};
use serde::de::DeserializeOwned;
use serde_json::Value;
use url::Url;

use crate::args::Global;
use crate::console::Console;
use crate::environment::Environment;
use crate::failure::{Failure, Refusal};
use crate::retry;
use crate::sign::{Identity, Unsigned, is_loopback, is_private};

/// How long one try may take. API Gateway answers within 30 seconds.
const TRY: Duration = Duration::from_secs(31);
/// How long one try may take however soon it is time to give up, unless less was said: one that is cut off at once teaches nothing.
const SHORTEST_TRY: Duration = Duration::from_secs(5);
/// How long a request is tried, in seconds, if nobody says.
const PATIENCE: u64 = 60;

/// One request.
#[derive(Debug)]
pub(crate) struct Request<'a> {
    method: Method,
    path: Vec<&'a str>,
    query: Vec<(&'a str, String)>,
    body: Option<Value>,
    version: Option<u64>,
    until: Option<u64>,
}

impl<'a> Request<'a> {
    fn new(method: Method, path: &[&'a str]) -> Self {
        Self { method, path: path.to_vec(), query: Vec::new(), body: None, version: None, until: None }
    }

    pub(crate) fn get(path: &[&'a str]) -> Self {
        Self::new(Method::GET, path)
    }

    pub(crate) fn post(path: &[&'a str]) -> Self {
        Self::new(Method::POST, path)
    }

    pub(crate) fn patch(path: &[&'a str], body: Value) -> Self {
        Self::new(Method::PATCH, path).body(body)
    }

    pub(crate) fn delete(path: &[&'a str]) -> Self {
        Self::new(Method::DELETE, path)
    }

    /// Adds a query parameter, if there is a value for it.
    pub(crate) fn query(mut self, name: &'a str, value: Option<impl ToString>) -> Self {
        self.query.extend(value.map(|value| (name, value.to_string())));
        self
    }

    pub(crate) fn body(self, body: Value) -> Self {
        Self { body: Some(body), ..self }
    }

    /// Asks only if the worker is still at this version.
    pub(crate) fn at_version(self, version: Option<u64>) -> Self {
        Self { version, ..self }
    }

    /// Is not tried again after this time, in milliseconds, however much patience is left, and not for much longer.
    pub(crate) fn until(self, end: Option<u64>) -> Self {
        Self { until: end, ..self }
    }
}

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The JSON, as the API wrote it.
    pub(crate) text: String,
}

impl Answer {
    /// Reads the JSON.
    pub(crate) fn read<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        decode(&self.text)
    }
}

/// Reads a part of an answer.
pub(crate) fn decode<T: DeserializeOwned>(json: &str) -> Result<T, Failure> {
    serde_json::from_str(json).map_err(|error| {
        Failure::Unreadable(format!("the answer is not one of this API, or of another release: {error}"))
    })
}

/// What came back for one try.
enum Tried {
    Answered { status: u16, headers: HeaderMap, text: String },
    Lost(String),
}

/// A client of one API.
pub(crate) struct Client<'a, O> {
    url: Url,
    http: reqwest::Client,
    identity: Identity,
    /// How long a request is tried, in milliseconds.
    patience: u64,
    verbose: bool,
    pub(crate) outside: &'a O,
    pub(crate) console: &'a Console,
}

impl<O> fmt::Debug for Client<'_, O> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("url", &self.url.as_str()).finish_non_exhaustive()
    }
}

impl<'a, O: Clock + Ids> Client<'a, O> {
    pub(crate) fn new(
        global: &Global,
        environment: &Environment,
        outside: &'a O,
        console: &'a Console,
    ) -> Result<Self, Failure> {
        let url = address(global.url.as_deref().unwrap_or_default())?;
        let identity = Identity::of(environment, &url)?;
        if !matches!(identity, Identity::Nobody) && !is_private(&url) {
            let text = "who you are is not sent in clear text: use https, but for an API on this machine";
            return Err(Failure::Usage(text.to_owned()));
        }
        let unusable = |error: &dyn fmt::Display| Failure::Io(error.to_string());
        let roots = RootCertStore::from_iter(webpki_roots::TLS_SERVER_ROOTS.iter().cloned());
        let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .map_err(|error| unusable(&error))?
            .with_root_certificates(roots)
            .with_no_client_auth();
        let builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls)
            .redirect(redirect::Policy::none())
            .user_agent("cml-fleet");
        let builder = if is_loopback(&url) { builder.no_proxy() } else { builder };
        let http = builder.build().map_err(|error| unusable(&error))?;
        let patience = global.timeout.map_or(PATIENCE, |timeout| timeout.min(PATIENCE)) * 1000;
        Ok(Self { url, http, identity, patience, verbose: global.verbose, outside, console })
    }

    /// Sends a request until it has an answer, or patience ends. What changes something has one key all along.
    pub(crate) async fn send(&self, request: Request<'_>) -> Result<Answer, Failure> {
        let key = (request.method != Method::GET).then(|| self.outside.worker_id().to_string());
        let patient_until = self.millis() + self.patience;
        let give_up_at = request.until.map_or(patient_until, |end| end.min(patient_until));
        let shortest = SHORTEST_TRY.min(Duration::from_millis(self.patience));
        let mut tries = 0;
        loop {
            tries += 1;
            let left = Duration::from_millis(give_up_at.saturating_sub(self.millis()));
            let tried = self.try_once(&request, key.as_deref(), left.clamp(shortest, TRY)).await?;
            let (outcome, asked) = match tried {
                Tried::Answered { status: 200..=299, text, .. } => return Ok(Answer { text }),
                Tried::Answered { status, headers, text } => {
                    let refused = Failure::Refused(Box::new(self.refusal(status, &headers, text)));
                    if !refused.may_pass() {
                        return Err(refused);
                    }
                    let asked = headers.get("retry-after").and_then(|value| value.to_str().ok());
                    let asked = asked.and_then(|text| retry::retry_after(text, self.outside.now()));
                    (refused, asked)
                }
                Tried::Lost(why) => (Failure::Unreachable(why), None),
            };
            let pause = retry::pause(tries, asked, self.outside);
            if self.millis().saturating_add(pause) >= give_up_at {
                return Err(outcome);
            }
            self.outside.sleep(pause).await;
        }
    }

    async fn try_once(
        &self,
        request: &Request<'_>,
        key: Option<&str>,
        within: Duration,
    ) -> Result<Tried, Failure> {
        let url = self.target(request);
        let body = request.body.as_ref().map(Value::to_string).unwrap_or_default();
        let mut headers: Vec<(&'static str, String)> = Vec::new();
        headers.extend(request.body.is_some().then(|| ("content-type", "application/json".to_owned())));
        headers.extend(key.map(|key| ("idempotency-key", key.to_owned())));
        headers.extend(request.version.map(|version| ("if-match", format!("\"{version}\""))));
        let (method, bytes) = (request.method.as_str(), body.as_bytes());
        let unsigned = Unsigned { method, url: url.as_str(), headers: &headers, body: bytes };
        let identity = self.identity.headers(&unsigned, self.outside.now())?;
        let mut sent = self.http.request(request.method.clone(), url.clone()).timeout(within);
        for (name, value) in headers {
            sent = sent.header(name, value);
        }
        for (name, value) in identity {
            sent = sent.header(name, value);
        }
        let tried = match sent.body(body).send().await {
            Ok(response) => {
                let (status, headers) = (response.status().as_u16(), response.headers().clone());
                match response.text().await {
                    Ok(text) => Tried::Answered { status, headers, text },
                    Err(error) => Tried::Lost(self.lost(&error)),
                }
            }
            // It would be the same request again. What is wrong is told without what it stands in, which may be a token.
            Err(error) if error.is_builder() => {
                let text = format!(
                    "the request cannot be made: {}; see the address, what is named, CML_FLEET_TOKEN and AWS_*",
                    cause(&error)
                );
                return Err(Failure::Usage(text));
            }
            Err(error) => Tried::Lost(self.lost(&error)),
        };
        if self.verbose {
            let told = match &tried {
                Tried::Answered { status, headers, .. } => {
                    format!("{status} {}", request_id(headers).unwrap_or_default())
                }
                Tried::Lost(why) => why.clone(),
            };
            self.console.note(&format!("{} {url} -> {}\n", request.method, told.trim_end()));
        }
        Ok(tried)
    }

    fn target(&self, request: &Request<'_>) -> Url {
        let mut url = self.url.clone();
        // An address with a scheme and a host has segments.
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(&request.path);
        }
        if !request.query.is_empty() {
            url.query_pairs_mut().extend_pairs(&request.query);
        }
        url
    }

    fn refusal(&self, status: u16, headers: &HeaderMap, text: String) -> Refusal {
        let problem = serde_json::from_str::<Problem<'static>>(&text).ok();
        let in_text = problem.as_ref().and_then(|problem| problem.request_id.as_deref()).map(str::to_owned);
        let request_id = in_text.or_else(|| request_id(headers).map(str::to_owned));
        Refusal { status, problem, text, request_id, anonymous: matches!(self.identity, Identity::Nobody) }
    }

    /// Why there is no answer, in words that name the host and nothing else of the request.
    fn lost(&self, error: &reqwest::Error) -> String {
        let host = self.url.host_str().unwrap_or_default();
        let what = if error.is_timeout() {
            "has not answered in time"
        } else if error.is_connect() {
            "cannot be connected to"
        } else {
            "broke off"
        };
        format!("{host} {what}: {}", cause(error))
    }

    /// The time, in milliseconds.
    pub(crate) fn millis(&self) -> u64 {
        u64::try_from(self.outside.now().as_millisecond()).unwrap_or(0)
    }
}

/// What lies below an error: the last of its causes.
fn cause(error: &reqwest::Error) -> &dyn Error {
    let mut cause: &dyn Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause
}

fn request_id(headers: &HeaderMap) -> Option<&str> {
    headers.get("x-request-id").or_else(|| headers.get("apigw-requestid"))?.to_str().ok()
}

/// The address of an API: where its paths begin.
fn address(text: &str) -> Result<Url, Failure> {
    let fault = |what: &str| Failure::Usage(format!("{what} (--url or CML_FLEET_URL)"));
    if text.is_empty() {
        return Err(fault("where is the API? Give its address"));
    }
    let url = Url::parse(text).map_err(|error| fault(&format!("the address is not valid: {error}")))?;
    if !matches!(url.scheme(), "https" | "http") || !url.has_host() {
        return Err(fault("the address must begin with https:// (or http:// on this machine)"));
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(fault("the address must be without user, password and parameters"));
    }
    Ok(url)
}
