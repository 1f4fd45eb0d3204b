//! The API on a port of this machine: the real router behind what stands for API Gateway.

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};

use api::{Api, router};
use app::config::{Access, Allowed, Role};
use aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use domain::{
    AlertDuration, Details, DriftPolicy, Event, Observed, Percent, PollInterval, Settings, Sighting, Source,
    Threshold,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::{Person, Ran, World};

/// A token; the others are `operator` and `viewer`. Its text must show up nowhere.
pub(crate) const ADMIN: &str = "admin-hidden-token";

/// A request that arrived.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("text"))
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).expect("JSON")
    }
}

/// An answer that is not the router's.
#[derive(Debug)]
struct Scripted {
    line: String,
    status: u16,
    headers: Vec<(&'static str, &'static str)>,
    body: String,
}

/// What stands before the router.
#[derive(Debug)]
struct Gateway {
    router: Router,
    seen: Mutex<Vec<Seen>>,
    answered: Mutex<String>,
    scripted: Mutex<VecDeque<Scripted>>,
    silent: Mutex<Vec<String>>,
}

/// A fleet, and the address of its API.
#[derive(Debug, Clone)]
pub(crate) struct Fleet {
    pub(crate) world: World,
    pub(crate) url: String,
    gateway: Arc<Gateway>,
}

impl Fleet {
    pub(crate) async fn new() -> Self {
        let world = World::default();
        let router = router(api(world.clone()));
        let gateway = Gateway {
            router,
            seen: Mutex::default(),
            answered: Mutex::default(),
            scripted: Mutex::default(),
            silent: Mutex::default(),
        };
        let gateway = Arc::new(gateway);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let app = Router::new().fallback(answer).with_state(gateway.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { world, url, gateway }
    }

    /// Runs a command line as a script of an admin.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ran {
        self.run_by(&Person::default(), arguments).await
    }

    /// Runs a command line.
    pub(crate) async fn run_by(&self, person: &Person, arguments: &[&str]) -> Ran {
        let mut all = arguments.to_vec();
        all.extend(["--url", &self.url]);
        person.run(&all).await
    }

    /// Answers the next request with this line, such as `GET /commands/x`, like this.
    pub(crate) fn will_answer(
        &self,
        line: &str,
        status: u16,
        headers: &[(&'static str, &'static str)],
        body: &Value,
    ) {
        let (line, headers, body) = (line.to_owned(), headers.to_vec(), body.to_string());
        let mut scripted = self.gateway.scripted.lock().expect("nobody panicked");
        scripted.push_back(Scripted { line, status, headers, body });
    }

    /// Answers the next requests with this line as an API that is not to be reached right now.
    pub(crate) fn will_be_away(&self, line: &str, times: usize) {
        for _ in 0..times {
            self.will_answer(line, 503, &[], &json!({ "message": "Service Unavailable" }));
        }
    }

    /// Never answers requests with this line from now on.
    pub(crate) fn will_be_silent(&self, line: &str) {
        self.gateway.silent.lock().expect("nobody panicked").push(line.to_owned());
    }

    /// The requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.gateway.seen.lock().expect("nobody panicked").clone()
    }

    /// What the router answered last.
    pub(crate) fn answered(&self) -> String {
        self.gateway.answered.lock().expect("nobody panicked").clone()
    }

    /// The last request.
    pub(crate) fn last(&self) -> Seen {
        self.seen().pop().expect("there was one")
    }

    /// Imports an instance that runs, under this name, and returns the worker's id.
    pub(crate) async fn worker(&self, name: &str) -> String {
        let instance = format!("i-{:017x}", self.world.state().instances.len() + 1);
        self.world.has_instance(&instance, Observed::Running, &[("Name", name)]);
        let ran =
            self.run(&["import", "--instance", &instance, "--region", "eu-central-1", "-o", "json"]).await;
        ran.json()["id"].as_str().expect("an id").to_owned()
    }
}

/// Lets EC2 tell something of a worker.
pub(crate) fn ec2_says(world: &World, worker: &str, observed: Observed) {
    let id = worker.parse().expect("an id");
    let mut state = world.state();
    let stored = state.workers.get_mut(&id).expect("a worker");
    let at = stored.updated_at;
    let sighting = Sighting { observed, source: Source::Event, at, seen_at: at, state_reason: None };
    let seen = Event::InstanceObserved { sighting, details: Details::default(), confirms: false };
    let over = Event::Terminated { at, expected: true, reason: "it was asked for".into() };
    let ended = (observed == Observed::Terminated).then_some(over);
    stored.worker = stored.worker.with(&[vec![seen], ended.into_iter().collect()].concat());
    stored.version += 1;
}

fn api(ports: World) -> Api<World> {
    let threshold = Threshold {
        percent: Percent::new(90).expect("in range"),
        duration: AlertDuration::new(600).expect("in range"),
    };
    let settings = Settings {
        monitoring: true,
        interval: PollInterval::new(300).expect("in range"),
        drift: DriftPolicy::Alert,
        cpu: threshold,
        memory: threshold,
        disk: threshold,
    };
    let access = Access {
        claim: "groups".into(),
        principals: vec![("arn:aws:iam::123456789012:*".parse().expect("a pattern"), Role::Admin)],
    };
    Api {
        ports,
        settings,
        regions: ["eu-central-1", "us-east-1"].map(|name| name.parse().expect("a region")).into(),
        account: "123456789012".parse().expect("an account"),
        access,
        allowed: Allowed::default(),
        mass_termination: 2,
    }
}

/// Who asks, as an authorizer says it: the role is the beginning of the token.
fn authorizer(headers: &HeaderMap) -> Option<Value> {
    let text = headers.get("authorization")?.to_str().ok()?;
    if text.starts_with("AWS4-HMAC-SHA256 ") {
        return Some(json!({ "iam": { "userArn": "arn:aws:iam::123456789012:user/alice" } }));
    }
    let role = text.strip_prefix("Bearer ")?.split('-').next()?;
    Some(
        json!({ "jwt": { "claims": { "iss": "https://issuer", "sub": role, "groups": role }, "scopes": null } }),
    )
}

async fn answer(State(gateway): State<Arc<Gateway>>, request: Request) -> Response {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, usize::MAX).await.expect("a body");
    let line = format!("{} {}", parts.method, parts.uri);
    let body = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    let seen = Seen { line: line.clone(), headers: parts.headers.clone(), body };
    gateway.seen.lock().expect("nobody panicked").push(seen);
    let is_silent = gateway.silent.lock().expect("nobody panicked").contains(&line);
    if is_silent {
        pending::<()>().await;
    }
    let scripted = {
        let mut all = gateway.scripted.lock().expect("nobody panicked");
        let place = all.iter().position(|scripted| scripted.line == line);
        place.and_then(|place| all.remove(place))
    };
    if let Some(Scripted { status, headers, body, .. }) = scripted {
        let mut response = (StatusCode::from_u16(status).expect("a status"), body).into_response();
        for (name, value) in headers {
            response.headers_mut().insert(name, value.parse().expect("a value"));
        }
        return response;
    }
    let open = ["/health", "/openapi.json"].contains(&parts.uri.path());
    let Some(authorizer) = authorizer(&parts.headers).or(open.then_some(Value::Null)) else {
        return (StatusCode::UNAUTHORIZED, r#"{"message":"Unauthorized"}"#).into_response();
    };
    let mut context = json!({
        "requestId": "JKJaXmPLvHcESHA=", "accountId": "123456789012", "stage": "$default",
        "http": { "method": parts.method.as_str(), "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
    });
    if !authorizer.is_null() {
        context["authorizer"] = authorizer;
    }
    let context: ApiGatewayV2httpRequestContext = serde_json::from_value(context).expect("a context");
    let mut request = Request::from_parts(parts, Body::from(bytes));
    request.extensions_mut().insert(context);
    let (parts, body) = gateway.router.clone().oneshot(request).await.expect("infallible").into_parts();
    let bytes = to_bytes(body, usize::MAX).await.expect("a body");
    *gateway.answered.lock().expect("nobody panicked") = String::from_utf8(bytes.to_vec()).expect("UTF-8");
    Response::from_parts(parts, Body::from(bytes))
}
