//! The real handlers of `functions/`, each wired to the ports of its environment as its `main.rs` does on AWS.

use std::sync::Arc;

use app::bulk::BulkRunner;
use app::collect::{Collector, Memory};
use app::config::Allowed;
use app::deliver::Notifier;
use app::error::with_causes;
use app::fleet::Fleet;
use app::ports::Clock;
use app::reconcile::Reconciler;
use app::sweep::Poll;
use aws_lambda_events::apigw::ApiGatewayV2httpRequestContext;
use axum::body::{Body, to_bytes};
use axum::http::Request;
use collect::Scheduled;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tests::world::{access, account, region};
use tower::ServiceExt;

use crate::deployment::Deployment;
use crate::lambda::Running;
use crate::listeners::Listeners;
use crate::outside::Outside;
use crate::wiring::Function;

/// How many workers one command may end without their number.
const MASS_TERMINATION: u32 = 3;

/// What an environment keeps between invocations.
#[derive(Clone)]
pub(crate) enum Warm {
    Api(axum::Router),
    Poll(Outside, Deployment),
    Collect(Outside, Deployment, Arc<Memory>),
    Drift(Outside, Deployment),
    Act(Outside, Deployment),
    Notify(Arc<Notifier<Outside>>),
}

impl Warm {
    pub(crate) fn new(function: Function, outside: Outside, deployment: Deployment) -> Self {
        match function {
            Function::Api => Self::Api(api::router(api::Api {
                ports: outside,
                settings: deployment.settings,
                regions: vec![region()],
                account: account(),
                access: access(),
                allowed: Allowed::default(),
                mass_termination: MASS_TERMINATION,
            })),
            Function::Poll => Self::Poll(outside, deployment),
            Function::Collect => Self::Collect(outside, deployment, Arc::default()),
            Function::Drift => Self::Drift(outside, deployment),
            Function::Act => Self::Act(outside, deployment),
            Function::Notify => Self::Notify(Arc::new(Notifier::new(outside, &Listeners::urls()))),
        }
    }

    /// Handles one event.
    pub(crate) fn run(&self, event: Arc<Value>) -> Running {
        match self.clone() {
            Self::Api(router) => Box::pin(async move { Ok(answer(router, &event).await) }),
            Self::Poll(outside, Deployment { settings, metric_period, shard_size }) => Box::pin(async move {
                let poll = Poll {
                    workers: &outside,
                    sweeps: &outside,
                    commands: &outside,
                    bus: &outside,
                    settings: &settings,
                    regions: &[region()],
                    shard_size,
                    metric_period,
                };
                done(poll::handle(&poll, &read(&event)?, outside.now()).await)
            }),
            Self::Collect(outside, Deployment { settings, metric_period, .. }, kept) => {
                Box::pin(async move {
                    let fleet = Fleet { workers: &outside, clock: &outside, settings: &settings };
                    let collector = Collector {
                        fleet,
                        compute: &outside,
                        metrics: &outside,
                        samples: &outside,
                        memory: &kept,
                        metric_period,
                    };
                    let scheduled =
                        Scheduled { tag: None, regions: &[region()], account: &account(), ids: &outside };
                    done(collect::handle(&collector, &scheduled, &event).await)
                })
            }
            Self::Drift(outside, Deployment { settings, .. }) => Box::pin(async move {
                let fleet = Fleet { workers: &outside, clock: &outside, settings: &settings };
                done(drift::handle(&fleet, &outside, &[region()], &read(&event)?).await)
            }),
            Self::Act(outside, Deployment { settings, .. }) => Box::pin(async move {
                let fleet = Fleet { workers: &outside, clock: &outside, settings: &settings };
                let reconciler = Reconciler {
                    fleet,
                    compute: &outside,
                    actuator: &outside,
                    buckets: &outside,
                    user_data: &outside,
                };
                let runner = BulkRunner { fleet, commands: &outside, bus: &outside };
                done(act::handle(&reconciler, &runner, &event).await)
            }),
            Self::Notify(notifier) => Box::pin(async move { done(notify::handle(&notifier, &event).await) }),
        }
    }
}

fn read<T: DeserializeOwned>(event: &Value) -> Result<T, String> {
    T::deserialize(event).map_err(|error| format!("the event cannot be read: {error}"))
}

fn done<T: serde::Serialize, E: std::error::Error>(end: Result<T, E>) -> Result<Value, String> {
    match end {
        Ok(report) => serde_json::to_value(report).map_err(|error| error.to_string()),
        Err(error) => Err(with_causes(&error)),
    }
}

/// One request through the router, as API Gateway would put it.
async fn answer(router: axum::Router, event: &Value) -> Value {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let context: ApiGatewayV2httpRequestContext = serde_json::from_value(json!({
        "requestId": "request", "accountId": "123456789012", "stage": "$default",
        "http": { "method": text("method"), "path": "/", "protocol": "HTTP/1.1", "sourceIp": "192.0.2.1" },
        "authorizer": { "iam": { "userArn": text("caller") } },
    }))
    .expect("a context");
    let mut request = Request::builder().method(text("method")).uri(text("target")).extension(context);
    if !text("key").is_empty() {
        request = request.header("idempotency-key", text("key"));
    }
    let body = match &event["body"] {
        Value::Null => Body::empty(),
        json => {
            request = request.header("content-type", "application/json");
            Body::from(json.to_string())
        }
    };
    let response = router.oneshot(request.body(body).expect("a request")).await.expect("infallible");
    let status = response.status().as_u16();
    let bytes = to_bytes(response.into_body(), usize::MAX).await.expect("a body");
    let mut answer = json!({ "status": status });
    answer["body"] = serde_json::from_slice(&bytes).unwrap_or_default();
    answer
}
