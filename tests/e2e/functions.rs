//! The deployed functions, invoked directly: the same event twice, a batch nobody would send.

use anyhow::{Context, Result, bail};
use reqwest::Method;
use serde_json::Value;

use crate::cloud::{Call, Cloud};

/// The functions of the stack.
#[derive(Debug, Clone)]
pub(crate) struct Functions {
    cloud: Cloud,
}

impl Functions {
    pub(crate) fn new(cloud: &Cloud) -> Self {
        Self { cloud: cloud.clone() }
    }

    fn url(&self, function: &str, rest: &str) -> String {
        format!("{}/2015-03-31/functions/{}-{function}{rest}", self.cloud.ministack, self.cloud.stack)
    }

    /// Invokes a function and waits for its result, which must not be an error.
    pub(crate) async fn invoke(&self, function: &str, event: &Value) -> Result<Value> {
        let call = Call {
            service: "lambda",
            region: &self.cloud.region,
            method: Method::POST,
            url: self.url(function, "/invocations"),
            headers: vec![("content-type", b"application/json".to_vec())],
            body: event.to_string().into_bytes(),
        };
        let answer = self.cloud.signed(call).await?.ok(&format!("the invocation of {function}"))?;
        if !answer.header("x-amz-function-error").is_empty() {
            bail!("{function} failed: {}", answer.text);
        }
        Ok(answer.json())
    }

    /// The bytes of the function's archive.
    pub(crate) async fn size(&self, function: &str) -> Result<u64> {
        let call = Call {
            service: "lambda",
            region: &self.cloud.region,
            method: Method::GET,
            url: self.url(function, ""),
            headers: Vec::new(),
            body: Vec::new(),
        };
        let answer = self.cloud.signed(call).await?.ok(&format!("the description of {function}"))?.json();
        answer["Configuration"]["CodeSize"].as_u64().context("a function has a size")
    }
}
