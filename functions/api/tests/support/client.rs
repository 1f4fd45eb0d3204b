//! A client of the API, as API Gateway would put its requests to the function.

use api::{Api, router};
use app::config::{Access, Allowed, Role};
use aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use domain::{AlertDuration, DriftPolicy, Percent, PollInterval, Settings, Threshold};
use serde_json::Value;
use tower::ServiceExt;

use super::openapi::{self, Asked};
use super::{World, creation};

pub(crate) const ALICE: &str = "arn:aws:iam::123456789012:user/alice";

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: StatusCode,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {:?}", self.text))
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    /// The id of the worker in the answer.
    pub(crate) fn id(&self) -> String {
        self.json()["id"].as_str().unwrap_or_else(|| panic!("no id in {}", self.text)).to_owned()
    }

    /// The last part of the problem's type.
    pub(crate) fn problem(&self) -> String {
        let json = self.json();
        assert_eq!(self.header("content-type"), "application/problem+json", "{json}");
        assert_eq!(json["status"], self.status.as_u16(), "{json}");
        let kind = json["type"].as_str().expect("a type");
        kind.strip_prefix("urn:cml-fleet:problem:").expect("one of our types").to_owned()
    }
}

/// A request under construction.
#[derive(Debug)]
pub(crate) struct Client {
    pub(crate) world: World,
    router: Router,
    /// What the authorizer says of whoever asks.
    authorizer: Option<Value>,
    headers: Vec<(String, Vec<u8>)>,
    /// Brings an idempotency key along where one is required.
    keyed: bool,
}

impl Clone for Client {
    fn clone(&self) -> Self {
        Self {
            world: self.world.clone(),
            router: self.router.clone(),
            authorizer: self.authorizer.clone(),
            headers: self.headers.clone(),
            keyed: self.keyed,
        }
    }
}

impl Client {
    /// Alice, before an API of her own with nothing in it.
    pub(crate) fn new() -> Self {
        Self::allowing(Allowed::default())
    }

    /// The same where only this may be launched.
    pub(crate) fn allowing(allowed: Allowed) -> Self {
        super::log::listen();
        let world = World::default();
        let settings = Self::fleet_settings();
        let regions = ["eu-central-1", "us-east-1"].map(|name| name.parse().expect("a region"));
        let account = "123456789012".parse().expect("an account");
        let principals = |pattern: &str, role| (pattern.parse().expect("a pattern"), role);
        let access = Access {
            claim: "cognito:groups".into(),
            principals: vec![
                principals("arn:aws:iam::123456789012:*", Role::Admin),
                principals("arn:aws:iam::999999999999:user/oscar", Role::Operator),
                principals("arn:aws:iam::999999999999:user/v*", Role::Viewer),
            ],
        };
        let router = router(Api {
            ports: world.clone(),
            settings,
            regions: regions.into(),
            account,
            access,
            allowed,
            mass_termination: 3,
        });
        Self { world, router, authorizer: Some(iam(ALICE)), headers: Vec::new(), keyed: true }
    }

    /// The settings of the fleet behind the API.
    pub(crate) fn settings(&self) -> Settings {
        Self::fleet_settings()
    }

    fn fleet_settings() -> Settings {
        let threshold = Threshold {
            percent: Percent::new(90).expect("in range"),
            duration: AlertDuration::new(600).expect("in range"),
        };
        Settings {
            monitoring: true,
            interval: PollInterval::new(300).expect("in range"),
            drift: DriftPolicy::Alert,
            cpu: threshold,
            memory: threshold,
            disk: threshold,
        }
    }

    /// The same API, asked by another IAM principal or by nobody known.
    pub(crate) fn by(&self, caller: Option<&str>) -> Self {
        Self { authorizer: caller.map(iam), ..self.clone() }
    }

    /// The same API, asked with a token that has these claims.
    pub(crate) fn with_token(&self, claims: &Value) -> Self {
        let authorizer = serde_json::json!({ "jwt": { "claims": claims, "scopes": null } });
        Self { authorizer: Some(authorizer), ..self.clone() }
    }

    /// The same, without an idempotency key where one is required.
    pub(crate) fn without_keys(&self) -> Self {
        Self { keyed: false, ..self.clone() }
    }

    /// The same, with one more header.
    pub(crate) fn with(&self, name: &str, value: impl AsRef<[u8]>) -> Self {
        let mut client = self.clone();
        client.headers.push((name.to_owned(), value.as_ref().to_vec()));
        client
    }

    pub(crate) async fn send(&self, method: &str, target: &str, body: impl Into<Body>) -> Answer {
        let body = to_bytes(body.into(), usize::MAX).await.expect("a body");
        let mut headers = self.headers.clone();
        let wants_key = method == "POST" && ["/workers", "/workers/import", "/commands"].contains(&target);
        if self.keyed && wants_key && !self.headers.iter().any(|(name, _)| name == "idempotency-key") {
            headers.push(("idempotency-key".to_owned(), self.world.new_key().into_bytes()));
        }
        let mut request = Request::builder().method(method).uri(target);
        for (name, value) in &headers {
            request = request.header(name, value.as_slice());
        }
        let mut context: Value = serde_json::json!({
            "requestId": "JKJaXmPLvHcESHA=", "accountId": "123456789012", "stage": "$default",
            "http": { "method": method, "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
        });
        if let Some(authorizer) = &self.authorizer {
            context["authorizer"] = authorizer.clone();
        }
        let context: ApiGatewayV2httpRequestContext = serde_json::from_value(context).expect("a context");
        let request = request.extension(context).body(Body::from(body.clone())).expect("a request");
        let response = self.router.clone().oneshot(request).await.expect("infallible");
        let (parts, answered) = response.into_parts();
        let bytes = to_bytes(answered, usize::MAX).await.expect("a body");
        let text = String::from_utf8(bytes.into()).expect("UTF-8");
        assert_eq!(parts.headers["x-request-id"], "JKJaXmPLvHcESHA=", "{method} {target}");
        let answer = Answer { status: parts.status, headers: parts.headers, text };
        openapi::hold(&Asked { method, target, headers: &headers, body: &body }, &answer);
        answer
    }

    pub(crate) async fn get(&self, target: &str) -> Answer {
        self.send("GET", target, Body::empty()).await
    }

    /// Sends JSON.
    pub(crate) async fn json(&self, method: &str, target: &str, body: &Value) -> Answer {
        self.with("content-type", "application/json").send(method, target, body.to_string()).await
    }

    /// Sends a command, which has no body.
    pub(crate) async fn post(&self, target: &str) -> Answer {
        self.send("POST", target, Body::empty()).await
    }

    /// Creates a worker, and returns its id.
    pub(crate) async fn created(&self, name: &str) -> String {
        let answer = self.json("POST", "/workers", &creation(name)).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.id()
    }

    /// Imports an instance in a state, and returns the worker's id.
    pub(crate) async fn imported(&self, instance: &str, observed: domain::Observed) -> String {
        self.world.has_instance(instance, observed, &[]);
        let body = serde_json::json!({ "instance_id": instance, "region": "eu-central-1" });
        let answer = self.json("POST", "/workers/import", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        answer.id()
    }
}

/// What the authorizer says of an IAM principal.
fn iam(arn: &str) -> Value {
    serde_json::json!({ "iam": { "userArn": arn } })
}
