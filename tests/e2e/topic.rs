//! An HTTP subscriber of the people's topic: subscribes, confirms, keeps what is published.

use std::sync::Arc;
use std::time::Instant;

use anyhow::Result;
use axum::Router;
use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::post;
use serde_json::Value;
use tokio::net::TcpListener;
use tokio::sync::Notify;

use crate::cloud::Cloud;
use crate::told::Log;
use crate::world::SOON;

/// The subscriber.
#[derive(Debug)]
pub(crate) struct Subscriber {
    /// What was published.
    pub(crate) log: Log,
    http: reqwest::Client,
    confirmed: Notify,
}

impl Subscriber {
    /// Subscribes to the stack's topic on a free port, and waits until the subscription is confirmed.
    pub(crate) async fn start(cloud: &Cloud) -> Result<Arc<Self>> {
        let subscriber =
            Arc::new(Self { log: Log::default(), http: cloud.http.clone(), confirmed: Notify::new() });
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let endpoint = format!("http://127.0.0.1:{}/sns", listener.local_addr()?.port());
        let app = Router::new().route("/sns", post(receive)).with_state(Arc::clone(&subscriber));
        tokio::spawn(async move { axum::serve(listener, app).await });
        let parameters = [
            ("Action", "Subscribe"),
            ("Version", "2010-03-31"),
            ("TopicArn", cloud.output("NotificationTopicArn")?),
            ("Protocol", "http"),
            ("Endpoint", endpoint.as_str()),
        ];
        cloud.query("sns", &cloud.ministack, &cloud.region, &parameters).await?.ok("SNS Subscribe")?;
        tokio::time::timeout(SOON, subscriber.confirmed.notified()).await.map_err(|_| {
            anyhow::anyhow!(
                "SNS did not ask {endpoint} to confirm its subscription within {} s",
                SOON.as_secs()
            )
        })?;
        Ok(subscriber)
    }
}

async fn receive(State(subscriber): State<Arc<Subscriber>>, body: String) -> StatusCode {
    let at = Instant::now();
    let Ok(message) = serde_json::from_str::<Value>(&body) else { return StatusCode::BAD_REQUEST };
    match message["Type"].as_str() {
        Some("SubscriptionConfirmation") => {
            let url = message["SubscribeURL"].as_str().unwrap_or_default().to_owned();
            let answered =
                subscriber.http.get(url).send().await.is_ok_and(|answer| answer.status().is_success());
            if answered {
                subscriber.confirmed.notify_one();
            }
        }
        Some("Notification") => {
            let text = message["Message"].as_str().unwrap_or_default();
            if let Ok(event) = serde_json::from_str(text) {
                subscriber.log.add(&event, at);
            }
        }
        _ => return StatusCode::BAD_REQUEST,
    }
    StatusCode::OK
}
