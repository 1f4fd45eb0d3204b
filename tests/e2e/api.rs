//! A client of the deployed API, as an operator's tool would be: signed JSON over HTTP.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Answer, Call, Cloud, answer};
use crate::wait::{Seen, eventually};

/// How often in a row a worker has to look the same to be at rest.
const STILL: u32 = 8;

/// The API.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    cloud: Cloud,
}

impl Api {
    pub(crate) fn new(cloud: &Cloud) -> Self {
        Self { cloud: cloud.clone() }
    }

    /// Any signed request, with more headers. Brings an idempotency key along where one is required.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<&str>,
        headers: &[(&str, &str)],
    ) -> Result<Answer> {
        let required = method == "POST" && ["/workers", "/workers/import", "/commands"].contains(&path);
        let key = format!("e2e-{}", jiff::Timestamp::now().as_nanosecond());
        let mut headers = headers.to_vec();
        if required && !headers.iter().any(|(name, _)| *name == "idempotency-key") {
            headers.push(("idempotency-key", &key));
        }
        let mut all: Vec<(&str, Vec<u8>)> =
            headers.iter().map(|(name, value)| (*name, value.as_bytes().to_vec())).collect();
        if body.is_some() && !headers.iter().any(|(name, _)| *name == "content-type") {
            all.push(("content-type", b"application/json".to_vec()));
        }
        self.send_bytes(method, path, all, body.unwrap_or_default().as_bytes().to_vec()).await
    }

    /// Any signed request, of whatever bytes.
    pub(crate) async fn send_bytes(
        &self,
        method: &str,
        path: &str,
        headers: Vec<(&str, Vec<u8>)>,
        body: Vec<u8>,
    ) -> Result<Answer> {
        let call = Call {
            service: "execute-api",
            region: &self.cloud.region,
            method: Method::from_bytes(method.as_bytes())?,
            url: format!("{}{path}", self.cloud.api),
            headers,
            body,
        };
        self.cloud.signed(call).await
    }

    /// The same without a signature.
    pub(crate) async fn unsigned(&self, method: &str, path: &str) -> Result<Answer> {
        let method = Method::from_bytes(method.as_bytes())?;
        answer(self.cloud.http.request(method, format!("{}{path}", self.cloud.api))).await
    }

    /// A signed GET that must succeed.
    pub(crate) async fn get(&self, path: &str) -> Result<Value> {
        Ok(self.send("GET", path, None, &[]).await?.ok(&format!("GET {path}"))?.json())
    }

    /// A signed POST that must succeed.
    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<Value> {
        let body = body.to_string();
        Ok(self.send("POST", path, Some(&body), &[]).await?.ok(&format!("POST {path}"))?.json())
    }

    /// The worker.
    pub(crate) async fn worker(&self, id: &str) -> Result<Value> {
        self.get(&format!("/workers/{id}")).await
    }

    /// Imports an instance and returns the worker.
    pub(crate) async fn import(&self, region: &str, instance: &str, name: &str) -> Result<Value> {
        let body = json!({ "region": region, "instance_id": instance, "name": name }).to_string();
        let answer = self.send("POST", "/workers/import", Some(&body), &[]).await?;
        ensure!(
            answer.status == 201,
            "the import of {instance} was answered {}: {}",
            answer.status,
            answer.text
        );
        let worker = answer.json();
        ensure!(worker["instance_id"] == json!(instance), "the import answers with another worker: {worker}");
        Ok(worker)
    }

    /// A command: `start`, `stop`, `reboot` or `sync`.
    pub(crate) async fn command(&self, id: &str, command: &str) -> Result<Value> {
        self.post(&format!("/workers/{id}/{command}"), &json!({})).await
    }

    /// All facts of a worker, oldest first, each with its version.
    pub(crate) async fn facts(&self, id: &str) -> Result<Vec<(u64, Value)>> {
        let mut facts = Vec::new();
        let mut path = format!("/workers/{id}/events?limit=100");
        loop {
            let page = self.get(&path).await?;
            for item in page["items"].as_array().context("a page has items")? {
                let version = item["version"].as_u64().context("facts have a version")?;
                let here = item["facts"].as_array().context("facts are a list")?;
                facts.extend(here.iter().rev().map(|fact| (version, fact.clone())));
            }
            let Some(next) = page["next"].as_str() else { break };
            path = format!("/workers/{id}/events?limit=100&cursor={next}");
        }
        facts.reverse();
        Ok(facts)
    }

    /// The names of all facts of a worker, oldest first.
    pub(crate) async fn fact_names(&self, id: &str) -> Result<Vec<String>> {
        let name = |(_, fact): &(u64, Value)| fact["fact"].as_str().unwrap_or_default().to_owned();
        Ok(self.facts(id).await?.iter().map(name).collect())
    }

    /// Waits until a field of the worker (a JSON pointer) has this value; answers the whole worker.
    pub(crate) async fn wait_for(
        &self,
        id: &str,
        pointer: &str,
        wanted: Value,
        within: Duration,
    ) -> Result<Value> {
        let what = format!("worker {id} has {pointer} {wanted}");
        eventually(&what, within, || async {
            let worker = self.worker(id).await?;
            match worker.pointer(pointer) {
                Some(actual) if *actual == wanted => Ok(Seen::Yes(worker)),
                other => Ok(Seen::NotYet(format!("{other:?} at version {}", worker["version"]))),
            }
        })
        .await
    }

    /// The names of the facts that somebody did, to the worker or to its instance, since it was `before`. What was only
    /// seen of it, as by a poll that happened to come by, is left out.
    pub(crate) async fn done_since(&self, id: &str, before: &Value) -> Result<Vec<String>> {
        let seen = ["instance_observed", "health_changed", "alert_raised", "alert_resolved"];
        let since = before["version"].as_u64().context("a worker has a version")?;
        let later = self.facts(id).await?.into_iter().filter(|(version, _)| *version > since);
        let names = later.map(|(_, fact)| fact["fact"].as_str().unwrap_or_default().to_owned());
        Ok(names.filter(|name| !seen.contains(&name.as_str())).collect())
    }

    /// Waits until nothing is under way: no attempt, no next step (the adoption of an instance is one), no new version
    /// for a moment.
    pub(crate) async fn settled(&self, id: &str) -> Result<Value> {
        let history = Mutex::new((0, 0));
        eventually(&format!("worker {id} settles"), Duration::from_secs(30), || async {
            let worker = self.worker(id).await?;
            let version = worker["version"].as_u64().context("a worker has a version")?;
            let mut history = history.lock().unwrap_or_else(PoisonError::into_inner);
            let (last, times) = *history;
            let idle = worker["attempt"].is_null() && worker["next"]["action"].is_null();
            let times = if version == last && idle { times + 1 } else { 0 };
            *history = (version, times);
            Ok(if times >= STILL { Seen::Yes(worker) } else { Seen::NotYet(worker.to_string()) })
        })
        .await
    }
}
