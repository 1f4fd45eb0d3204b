//! Test support: an HTTP client that keeps what was sent and answers from a list.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;

use crate::config::Environment;

/// One request as it went out.
#[derive(Debug, Clone)]
pub(crate) struct Sent {
    pub(crate) uri: String,
    pub(crate) bytes: Vec<u8>,
    headers: Vec<(String, String)>,
}

impl Sent {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.iter().find(|(key, _)| key == name).map_or("", |(_, value)| value)
    }

    /// `PutItem` of `DynamoDB_20120810.PutItem`.
    pub(crate) fn operation(&self) -> &str {
        self.header("x-amz-target").rsplit('.').next().unwrap_or_default()
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.bytes).expect("a JSON body")
    }

    /// The fields of a query-protocol body (EC2, SNS) as `key=value`, decoded, in the order sent, without the version.
    pub(crate) fn fields(&self) -> Vec<String> {
        let pairs = url::form_urlencoded::parse(&self.bytes);
        pairs.filter(|(key, _)| key != "Version").map(|(key, value)| format!("{key}={value}")).collect()
    }
}

/// One answer to give.
#[derive(Debug, Clone)]
pub(crate) struct Reply(u16, Vec<u8>);

impl Reply {
    pub(crate) fn ok(body: impl ToString) -> Self {
        Self::status(200, body)
    }

    pub(crate) fn bytes(body: Vec<u8>) -> Self {
        Self(200, body)
    }

    pub(crate) fn with_status(self, status: u16) -> Self {
        Self(status, self.1)
    }

    pub(crate) fn status(status: u16, body: impl ToString) -> Self {
        Self(status, body.to_string().into_bytes())
    }

    /// An EC2 error document.
    pub(crate) fn ec2(code: &str, message: &str) -> Self {
        let error = format!("<Error><Code>{code}</Code><Message>{message}</Message></Error>");
        Self::status(400, format!("<Response><Errors>{error}</Errors></Response>"))
    }

    /// An error of the JSON protocols.
    pub(crate) fn json(code: &str, message: &str) -> Self {
        Self::status(
            400,
            serde_json::json!({ "__type": format!("com.amazonaws#{code}"), "message": message }),
        )
    }
}

#[derive(Debug, Default)]
struct State {
    replies: VecDeque<Reply>,
    sent: Vec<Sent>,
}

/// The client; clones share what they saw.
#[derive(Debug, Clone)]
pub(crate) struct Wire(Arc<Mutex<State>>);

impl Wire {
    pub(crate) fn new(replies: impl IntoIterator<Item = Reply>) -> Self {
        Self(Arc::new(Mutex::new(State { replies: replies.into_iter().collect(), sent: Vec::new() })))
    }

    /// The configuration of a Lambda in eu-west-1 over this wire, without the SDK's own retries.
    pub(crate) fn config(&self) -> SdkConfig {
        let environment = Environment::from([
            ("AWS_REGION", "eu-west-1"),
            ("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE"),
            ("AWS_SECRET_ACCESS_KEY", "canary"),
        ]);
        let base = crate::clients::base(&environment).expect("complete");
        base.retry_config(RetryConfig::disabled()).http_client(self.clone()).build()
    }

    pub(crate) fn sent(&self) -> Vec<Sent> {
        self.0.lock().expect("one thread").sent.clone()
    }

    /// The request, if there was exactly one.
    pub(crate) fn only(&self) -> Sent {
        let [sent] = self.sent().try_into().expect("exactly one request");
        sent
    }
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let mut state = self.0.lock().expect("one thread");
        let headers = request.headers().iter().map(|(key, value)| (key.to_owned(), value.to_owned()));
        state.sent.push(Sent {
            uri: request.uri().to_owned(),
            bytes: request.body().bytes().unwrap_or_default().to_vec(),
            headers: headers.collect(),
        });
        let Reply(status, body) = state.replies.pop_front().expect("one more request than there are answers");
        let status = status.try_into().expect("a status");
        HttpConnectorFuture::ready(Ok(HttpResponse::new(status, SdkBody::from(body))))
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

/// CBOR as JSON, for the one service that speaks it. A time is `{"$time": seconds}`.
pub(crate) mod cbor {
    use aws_smithy_cbor::data::Type;
    use aws_smithy_cbor::{Decoder, Encoder};
    use aws_smithy_types::DateTime;
    use serde_json::{Map, Value, json};

    pub(crate) fn encode(value: &Value) -> Vec<u8> {
        let mut encoder = Encoder::new(Vec::new());
        put(&mut encoder, value);
        encoder.into_writer()
    }

    fn put(encoder: &mut Encoder, value: &Value) {
        match value {
            Value::Null => encoder.null(),
            Value::Bool(value) => encoder.boolean(*value),
            Value::Number(value) => encoder.double(value.as_f64().expect("a number")),
            Value::String(value) => encoder.str(value),
            Value::Array(values) => {
                encoder.array(values.len());
                values.iter().for_each(|value| put(encoder, value));
                encoder
            }
            Value::Object(fields) => {
                if let Some(seconds) = fields.get("$time").and_then(Value::as_i64) {
                    encoder.timestamp(&DateTime::from_secs(seconds));
                    return;
                }
                encoder.map(fields.len());
                for (key, value) in fields {
                    encoder.str(key);
                    put(encoder, value);
                }
                encoder
            }
        };
    }

    pub(crate) fn decode(bytes: &[u8]) -> Value {
        take(&mut Decoder::new(bytes)).expect("CBOR")
    }

    fn take(decoder: &mut Decoder<'_>) -> Result<Value, aws_smithy_cbor::decode::DeserializeError> {
        Ok(match decoder.datatype()? {
            Type::Map | Type::MapIndef => {
                let length = decoder.map()?;
                let mut fields = Map::new();
                while length.is_none_or(|length| (fields.len() as u64) < length) {
                    if decoder.datatype()? == Type::Break {
                        decoder.skip()?;
                        break;
                    }
                    let key = decoder.string()?;
                    fields.insert(key, take(decoder)?);
                }
                Value::Object(fields)
            }
            Type::Array | Type::ArrayIndef => {
                let length = decoder.list()?;
                let mut values = Vec::new();
                while length.is_none_or(|length| (values.len() as u64) < length) {
                    if decoder.datatype()? == Type::Break {
                        decoder.skip()?;
                        break;
                    }
                    values.push(take(decoder)?);
                }
                Value::Array(values)
            }
            Type::String | Type::StringIndef => json!(decoder.string()?),
            Type::Tag => json!({ "$time": decoder.timestamp()?.secs() }),
            Type::F16 | Type::F32 | Type::F64 => json!(decoder.double()?),
            Type::Bool => json!(decoder.boolean()?),
            Type::Null => {
                decoder.null()?;
                Value::Null
            }
            _ => json!(decoder.long()?),
        })
    }
}
