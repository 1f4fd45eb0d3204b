//! What every SDK client shares: credentials, region, endpoints, timeouts, retries and one HTTP client.
//!
//! Design notes. `aws-config` is not used: inside Lambda the credentials and the region are environment
//! variables, and its default chain costs four times as much work as all the rest of the start (it makes an STS
//! client that reads every root certificate of the system). AWS endpoints are signed by Amazon's own roots,
//! so those five are embedded and nothing else is trusted; `SSL_CERT_FILE` or `SSL_CERT_DIR` (a corporate proxy, a
//! partition with another authority) brings the system's trust store back.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use aws_sdk_dynamodb::config::{BehaviorVersion, IdentityCache, Region, StalledStreamProtectionConfig};
use aws_smithy_http_client::tls::{Provider, TlsContext, TrustStore, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::retry::RetryConfig;
use aws_smithy_types::timeout::TimeoutConfig;
use aws_types::SdkConfig;
use aws_types::service_config::{LoadServiceConfig, ServiceConfigKey};

use crate::config::Environment;

/// Amazon Trust Services' four roots and the Starfield root that cross-signs them.
const AMAZON_ROOTS: &[u8] = include_bytes!("amazon-roots.pem");

/// A connection that takes longer than this will not come.
const CONNECT: Duration = Duration::from_secs(2);
/// The first byte of an answer. The same for all services, so that they share one connection pool.
const READ: Duration = Duration::from_secs(5);
/// One try, answer read to its end.
const ATTEMPT: Duration = Duration::from_secs(6);
/// All tries of one call together: the longest a call can take. A function's own timeout must be above it; the
/// shortest of the template is 15 seconds.
pub const LONGEST_CALL: Duration = Duration::from_secs(13);
/// Tries of one call, the first included.
const ATTEMPTS: u32 = 3;

/// What keeps the clients from being made.
#[derive(Debug, thiserror::Error)]
pub enum ClientsError {
    /// Variables that AWS Lambda always sets are not there.
    #[error("the environment lacks {}", .0.join(", "))]
    NotSet(Vec<&'static str>),
    /// The TLS settings are not usable.
    #[error("the TLS client cannot be set up")]
    Tls(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// The configuration all clients start from.
pub(crate) fn shared(environment: &Environment) -> Result<SdkConfig, ClientsError> {
    Ok(base(environment)?.http_client(http_client(environment)?).build())
}

/// Everything but the HTTP client, which tests replace.
pub(crate) fn base(environment: &Environment) -> Result<aws_types::sdk_config::Builder, ClientsError> {
    let required = ["AWS_REGION", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"];
    let [Some(region), Some(key), Some(secret)] = required.map(|name| environment.get(name)) else {
        let missing = required.into_iter().filter(|name| environment.get(name).is_none());
        return Err(ClientsError::NotSet(missing.collect()));
    };
    let token = environment.get("AWS_SESSION_TOKEN").map(str::to_owned);
    // Lambda gives each environment credentials that outlive it: no expiry, nothing to refresh, nothing to cache.
    let credentials = Credentials::new(key, secret, token, None, "Environment");
    let mut builder = SdkConfig::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .credentials_provider(SharedCredentialsProvider::new(credentials))
        .identity_cache(IdentityCache::no_cache())
        .timeout_config(timeouts())
        .retry_config(
            RetryConfig::standard().with_max_attempts(ATTEMPTS).with_max_backoff(Duration::from_secs(2)),
        )
        // Nothing here streams; the timeouts above cover a stalled answer.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
        .service_config(Endpoints::from(environment));
    builder.set_endpoint_url(environment.get("AWS_ENDPOINT_URL").map(str::to_owned));
    Ok(builder)
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder()
        .connect_timeout(CONNECT)
        .read_timeout(READ)
        .operation_attempt_timeout(ATTEMPT)
        .operation_timeout(LONGEST_CALL)
        .build()
}

fn http_client(environment: &Environment) -> Result<SharedHttpClient, ClientsError> {
    let system = ["SSL_CERT_FILE", "SSL_CERT_DIR"].into_iter().any(|name| environment.get(name).is_some());
    let trust =
        if system { TrustStore::default() } else { TrustStore::empty().with_pem_certificate(AMAZON_ROOTS) };
    let tls = TlsContext::builder().with_trust_store(trust).build();
    let inner = aws_smithy_http_client::Builder::new()
        .tls_provider(Provider::rustls(CryptoMode::Ring))
        .tls_context(tls.map_err(|error| ClientsError::Tls(Box::new(error)))?)
        .build_https();
    Ok(SharedHttpClient::new(Lazy(inner)))
}

/// Makes its first connector with the first call: the SDK would make one more for every client, only to check it.
#[derive(Debug)]
struct Lazy(SharedHttpClient);

impl HttpClient for Lazy {
    fn http_connector(
        &self,
        settings: &HttpConnectorSettings,
        components: &RuntimeComponents,
    ) -> SharedHttpConnector {
        self.0.http_connector(settings, components)
    }
}

/// `AWS_ENDPOINT_URL_<SERVICE>`: how the local cloud puts itself in AWS's place.
#[derive(Debug)]
struct Endpoints(BTreeMap<String, String>);

impl From<&Environment> for Endpoints {
    fn from(environment: &Environment) -> Self {
        let named = |(name, url): (&String, &String)| {
            name.starts_with("AWS_ENDPOINT_URL_").then(|| (name.clone(), url.clone()))
        };
        let urls = environment.as_map().iter().filter(|(_, url)| !url.trim().is_empty());
        Self(urls.filter_map(named).collect())
    }
}

impl LoadServiceConfig for Endpoints {
    fn load_config(&self, key: ServiceConfigKey<'_>) -> Option<String> {
        let service = key.service_id().to_uppercase().replace([' ', '-'], "_");
        self.0.get(&format!("{}_{service}", key.env())).cloned()
    }
}

/// One client per region, each made when it is first asked for.
pub(crate) struct Regional<C> {
    config: SdkConfig,
    make: fn(&SdkConfig) -> C,
    made: Mutex<BTreeMap<String, C>>,
}

impl<C: Clone> Regional<C> {
    pub(crate) fn new(config: &SdkConfig, make: fn(&SdkConfig) -> C) -> Self {
        Self { config: config.clone(), make, made: Mutex::default() }
    }

    /// The client for a region.
    pub(crate) fn at(&self, region: &str) -> C {
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(client) = made.get(region) {
            return client.clone();
        }
        let config = self.config.to_builder().region(Region::new(region.to_owned())).build();
        made.entry(region.to_owned()).or_insert((self.make)(&config)).clone()
    }
}

impl<C> fmt::Debug for Regional<C> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Regional").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reply, Wire};

    const LAMBDA: [(&str, &str); 4] = [
        ("AWS_REGION", "eu-west-1"),
        ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
        ("AWS_SECRET_ACCESS_KEY", "canary"),
        ("AWS_SESSION_TOKEN", "token"),
    ];

    fn lambda(more: &[(&str, &str)]) -> Environment {
        LAMBDA.iter().chain(more).map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    async fn asked(environment: &Environment, region: &str) -> crate::wire::Sent {
        let wire = Wire::new([Reply::ok("<DescribeInstancesResponse/>")]);
        let config = base(environment).expect("complete").http_client(wire.clone()).build();
        let clients = Regional::new(&config, aws_sdk_ec2::Client::new);
        clients.at(region).describe_instances().send().await.expect("answered");
        wire.only()
    }

    #[tokio::test]
    async fn each_region_is_asked_at_its_own_endpoint_and_signed_for() {
        let sent = asked(&lambda(&[]), "ap-south-1").await;
        assert_eq!(sent.uri, "https://ec2.ap-south-1.amazonaws.com/");
        let signature = sent.header("authorization");
        assert!(signature.contains("AKIDEXAMPLE/") && signature.contains("/ap-south-1/ec2/"), "{signature}");
        assert_eq!(sent.header("x-amz-security-token"), "token");
    }

    #[tokio::test]
    async fn the_endpoint_of_a_service_goes_before_the_endpoint_of_all() {
        let all = lambda(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:4566")]);
        assert_eq!(asked(&all, "eu-west-1").await.uri, "http://127.0.0.1:4566/");
        let both = lambda(&[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:4566"),
            ("AWS_ENDPOINT_URL_EC2", "http://127.0.0.1:5"),
        ]);
        assert_eq!(asked(&both, "eu-west-1").await.uri, "http://127.0.0.1:5/");
    }

    #[test]
    fn a_service_name_of_two_words_is_joined_by_an_underscore() {
        let endpoints = Endpoints::from(&lambda(&[("AWS_ENDPOINT_URL_SECRETS_MANAGER", "http://s")]));
        let key = ServiceConfigKey::builder()
            .service_id("Secrets Manager")
            .env("AWS_ENDPOINT_URL")
            .profile("endpoint_url")
            .build();
        assert_eq!(endpoints.load_config(key.expect("complete")).as_deref(), Some("http://s"));
    }

    #[test]
    fn all_that_is_missing_is_named_at_once() {
        let error =
            shared(&Environment::from([("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")])).expect_err("incomplete");
        assert_eq!(error.to_string(), "the environment lacks AWS_REGION, AWS_SECRET_ACCESS_KEY");
    }

    #[test]
    fn every_timeout_is_set_and_each_is_within_the_next() {
        let config = shared(&lambda(&[])).expect("complete");
        let timeouts = config.timeout_config().expect("set");
        let order = [
            timeouts.connect_timeout(),
            timeouts.read_timeout(),
            timeouts.operation_attempt_timeout(),
            timeouts.operation_timeout(),
        ];
        assert!(order.iter().all(Option::is_some) && order.is_sorted(), "{order:?}");
        assert_eq!(config.retry_config().expect("set").max_attempts(), ATTEMPTS);
    }

    #[test]
    fn the_embedded_roots_are_the_five_and_make_a_client() {
        assert_eq!(AMAZON_ROOTS.split(|b| *b == b'\n').filter(|l| l.starts_with(b"-----BEGIN")).count(), 5);
        use rustls::pki_types::{CertificateDer, pem::PemObject};
        let mut store = rustls::RootCertStore::empty();
        for certificate in CertificateDer::pem_slice_iter(AMAZON_ROOTS) {
            store.add(certificate.expect("PEM")).expect("a trust anchor");
        }
        assert_eq!(store.len(), 5);
    }

    #[test]
    fn secrets_are_not_shown() {
        let shown = format!("{:?}", shared(&lambda(&[])).expect("complete"));
        assert!(!shown.contains("canary"), "{shown}");
    }
}
