//! The local cloud under test: where it is, and signed calls to it.

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HOST, HeaderMap};
use serde_json::Value;

use crate::sigv4::{Signer, Unsigned};

/// Where everything is: the variables that `make e2e` sets.
#[derive(Debug, Clone)]
pub(crate) struct Cloud {
    pub(crate) http: reqwest::Client,
    pub(crate) api: String,
    pub(crate) ministack: String,
    pub(crate) moto: String,
    pub(crate) pulse: String,
    pub(crate) region: String,
    pub(crate) account: String,
    pub(crate) stack: String,
    pub(crate) webhooks: Vec<String>,
    /// The parameters that make the API accept the tokens of the local user pool.
    pub(crate) oidc: String,
    pub(crate) oidc_password: String,
    deploy: String,
    outputs: Value,
}

/// An answer: status, headers, text.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    /// The text as JSON; null if it is none.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// One header.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The answer, if it is a success.
    pub(crate) fn ok(self, what: &str) -> Result<Self> {
        if !(200..300).contains(&self.status) {
            bail!("{what} was answered {}: {}", self.status, self.text);
        }
        Ok(self)
    }
}

/// One call: to which service, with what.
#[derive(Debug, Clone)]
pub(crate) struct Call<'a> {
    pub(crate) service: &'static str,
    pub(crate) region: &'a str,
    pub(crate) method: Method,
    pub(crate) url: String,
    pub(crate) headers: Vec<(&'a str, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Cloud {
    /// Reads the variables.
    pub(crate) fn from_environment() -> Result<Self> {
        let variable = |name: &str| {
            std::env::var(name).with_context(|| format!("{name} is not set: run this with `make e2e`"))
        };
        let outputs = PathBuf::from(variable("OUTPUTS")?);
        let text = std::fs::read_to_string(&outputs).with_context(|| outputs.display().to_string())?;
        Ok(Self {
            http: reqwest::Client::builder().no_proxy().build()?,
            api: variable("API_URL")?,
            ministack: variable("MINISTACK_URL")?,
            moto: variable("MOTO_URL")?,
            pulse: variable("PULSE_URL")?,
            region: variable("REGION")?,
            account: variable("ACCOUNT_ID")?,
            stack: variable("STACK_NAME")?,
            webhooks: variable("NOTIFICATION_WEBHOOKS")?.split(',').map(str::to_owned).collect(),
            oidc: variable("OIDC_PARAMETERS")?,
            oidc_password: variable("OIDC_PASSWORD")?,
            deploy: variable("DEPLOY")?,
            outputs: serde_json::from_str(&text)?,
        })
    }

    /// What the stack says of itself.
    pub(crate) fn output(&self, name: &str) -> Result<&str> {
        self.outputs[name].as_str().with_context(|| format!("the stack has no output {name}"))
    }

    /// Deploys the same template to this stack again, with some parameters (`Name=value Name=value`) changed.
    pub(crate) async fn deploy(&self, parameters: &str) -> Result<()> {
        let line = format!("{} {parameters}", self.deploy);
        let shell = move || Command::new("sh").args(["-c", &line]).output();
        let output = tokio::task::spawn_blocking(shell).await??;
        if !output.status.success() {
            bail!("the deployment failed: {}", String::from_utf8_lossy(&output.stderr));
        }
        Ok(())
    }

    /// Makes a signed call.
    pub(crate) async fn signed(&self, call: Call<'_>) -> Result<Answer> {
        self.signed_by("test", call).await
    }

    /// Makes a call that is signed with this access key. The emulator looks whose it is, and not at the signature.
    pub(crate) async fn signed_by(&self, access_key: &str, call: Call<'_>) -> Result<Answer> {
        let url = reqwest::Url::parse(&call.url).with_context(|| call.url.clone())?;
        let at = jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ").to_string();
        let host = format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(80));
        let signer = Signer {
            access_key: access_key.to_owned(),
            secret_key: "test".to_owned(),
            region: call.region.to_owned(),
            service: call.service,
        };
        let request = Unsigned {
            method: call.method.as_str(),
            host: &host,
            path: url.path(),
            query: url.query().unwrap_or_default(),
            body: &call.body,
        };
        let authorization = signer.authorization(request, &at);
        let mut request = self
            .http
            .request(call.method, url)
            .header(HOST, host)
            .header("x-amz-date", at)
            .header(AUTHORIZATION, authorization);
        for (name, value) in call.headers {
            request = request.header(name, value);
        }
        answer(request.body(call.body)).await
    }

    /// A call in the AWS JSON protocol, such as DynamoDB's.
    pub(crate) async fn json(&self, service: &'static str, target: &str, body: &Value) -> Result<Value> {
        self.json_in(&self.region, service, target, body).await
    }

    /// The same in any region.
    pub(crate) async fn json_in(
        &self,
        region: &str,
        service: &'static str,
        target: &str,
        body: &Value,
    ) -> Result<Value> {
        let version = if service == "dynamodb" || service == "sqs" { "1.0" } else { "1.1" };
        let call = Call {
            service,
            region,
            method: Method::POST,
            url: format!("{}/", self.ministack),
            headers: vec![
                ("content-type", format!("application/x-amz-json-{version}").into_bytes()),
                ("x-amz-target", target.as_bytes().to_vec()),
            ],
            body: body.to_string().into_bytes(),
        };
        Ok(self.signed(call).await?.ok(target)?.json())
    }

    /// A call in the AWS query protocol: EC2's and SNS's. Answers XML.
    pub(crate) async fn query(
        &self,
        service: &'static str,
        base: &str,
        region: &str,
        parameters: &[(&str, &str)],
    ) -> Result<Answer> {
        let call = Call {
            service,
            region,
            method: Method::POST,
            url: format!("{base}/"),
            headers: vec![("content-type", b"application/x-www-form-urlencoded; charset=utf-8".to_vec())],
            body: form(parameters).into_bytes(),
        };
        self.signed(call).await
    }

    /// The control of the pulse.
    pub(crate) async fn pulse(&self, method: Method, path: &str, body: Option<Value>) -> Result<Value> {
        let mut request = self.http.request(method, format!("{}{path}", self.pulse));
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_string());
        }
        Ok(answer(request).await?.ok(&format!("the pulse's {path}"))?.json())
    }
}

/// Sends a request and reads the whole answer.
pub(crate) async fn answer(request: reqwest::RequestBuilder) -> Result<Answer> {
    let response = request.send().await?;
    let (status, headers) = (response.status().as_u16(), response.headers().clone());
    Ok(Answer { status, headers, text: response.text().await? })
}

fn form(parameters: &[(&str, &str)]) -> String {
    let encode = |text: &str| -> String {
        text.bytes()
            .map(|byte| match byte {
                b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                    char::from(byte).to_string()
                }
                _ => format!("%{byte:02X}"),
            })
            .collect()
    };
    let pairs: Vec<String> =
        parameters.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
    pairs.join("&")
}
