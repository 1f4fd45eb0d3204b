//! Counting calls to AWS where they arrive: MiniStack keeps a CloudTrail, moto a recording of its requests.

use std::collections::BTreeMap;
use std::fmt;

use anyhow::{Context, Result};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::Method;
use serde_json::{Value, json};

use crate::cloud::{Cloud, answer};

/// Calls by service and operation.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Calls(BTreeMap<String, u64>);

impl Calls {
    /// All of them.
    pub(crate) fn total(&self) -> u64 {
        self.0.values().sum()
    }

    fn count(&mut self, operation: String) {
        *self.0.entry(operation).or_default() += 1;
    }
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let each: Vec<String> =
            self.0.iter().map(|(operation, count)| format!("{count} {operation}")).collect();
        write!(f, "{} ({})", self.total(), each.join(", "))
    }
}

/// Where the functions look.
const REGIONS: [&str; 2] = ["us-east-1", "us-west-2"];
/// What the functions call themselves. The others here are the pulse and this test.
const FUNCTIONS: &str = "aws-sdk-rust";

/// Does something, and counts the calls of functions that arrive while it does.
pub(crate) async fn during<T>(cloud: &Cloud, work: impl Future<Output = Result<T>>) -> Result<(T, Calls)> {
    control(cloud, "start-recording").await?;
    control(cloud, "reset-recording").await?;
    let seen = trail(cloud).await?;
    record(cloud, true).await?;
    let done = work.await;
    record(cloud, false).await?;
    control(cloud, "stop-recording").await?;
    let mut calls = Calls::default();
    for (id, operation) in trail(cloud).await? {
        if !seen.contains_key(&id) {
            calls.count(operation);
        }
    }
    let recording = control(cloud, "download-recording").await?;
    for line in recording.lines().filter(|line| !line.trim().is_empty()) {
        let request: Value = serde_json::from_str(line)?;
        if request["headers"].to_string().contains(FUNCTIONS) {
            calls.count(operation(&request));
        }
    }
    Ok((done?, calls))
}

/// Switches MiniStack's CloudTrail on or off.
async fn record(cloud: &Cloud, on: bool) -> Result<()> {
    let body = json!({ "cloudtrail._recording_enabled": on }).to_string();
    let url = format!("{}/_ministack/config", cloud.ministack);
    answer(cloud.http.post(url).body(body)).await?.ok("MiniStack's CloudTrail").map(drop)
}

/// What the trails of all regions have of the functions, newest first and 50 at most: an id and the operation.
async fn trail(cloud: &Cloud) -> Result<BTreeMap<String, String>> {
    let target = "com.amazonaws.cloudtrail.v20131101.CloudTrail_20131101.LookupEvents";
    let mut seen = BTreeMap::new();
    for region in REGIONS {
        let answer = cloud.json_in(region, "cloudtrail", target, &json!({ "MaxResults": 50 })).await?;
        for event in answer["Events"].as_array().context("a trail has events")? {
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            if text("CloudTrailEvent").contains(FUNCTIONS) {
                let service = text("EventSource").replace(".amazonaws.com", "");
                // MiniStack does not know the name of what comes as CBOR, which for the functions is one operation only.
                let name =
                    if text("EventName").starts_with("POST") { "GetMetricData" } else { text("EventName") };
                seen.insert(text("EventId").to_owned(), format!("{service}.{name}"));
            }
        }
    }
    Ok(seen)
}

/// Moto's recorder.
async fn control(cloud: &Cloud, what: &str) -> Result<String> {
    let url = format!("{}/moto-api/recorder/{what}", cloud.moto);
    let method = if what.starts_with("download") { Method::GET } else { Method::POST };
    Ok(answer(cloud.http.request(method, url)).await?.ok("moto's recorder")?.text)
}

/// The operation of a recorded request: a parameter of the query protocol, or the end of an RPC path.
fn operation(request: &Value) -> String {
    let url = request["url"].as_str().unwrap_or_default();
    if let Some((_, operation)) = url.split_once("/operation/") {
        return format!("cloudwatch.{operation}");
    }
    let body = request["body"].as_str().and_then(|body| STANDARD.decode(body).ok()).unwrap_or_default();
    let body = String::from_utf8_lossy(&body).into_owned();
    let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
    format!("ec2.{}", action.unwrap_or("unknown"))
}
