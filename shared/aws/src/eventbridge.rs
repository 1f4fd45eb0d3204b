//! EventBridge: our requests to ourselves, and facts for the world, on one bus.

use std::time::Duration;

use app::error::CallError;
use app::ports::{Bus, CloudEvent, Request};
use aws_sdk_eventbridge::Client;
use aws_sdk_eventbridge::types::{PutEventsRequestEntry, PutEventsResultEntry};
use aws_types::SdkConfig;

use crate::call::{failed, is_passing};

/// The source of everything we put on the bus; the rules of the template match it.
const SOURCE: &str = "cml-fleet";
const WHAT: &str = "EventBridge PutEvents";
/// `PutEvents` takes at most this many entries, and this many bytes of them.
const MOST_ENTRIES: usize = 10;
const MOST_BYTES: usize = 256 * 1024;
/// How often entries that were not accepted are put again.
const ROUNDS: u32 = 3;

/// The bus.
#[derive(Debug)]
pub struct EventBridgeBus {
    client: Client,
    bus: String,
}

/// One entry of the bus.
struct Entry {
    kind: String,
    detail: String,
}

impl EventBridgeBus {
    pub(crate) fn new(config: &SdkConfig, bus: impl Into<String>) -> Self {
        Self { client: Client::new(config), bus: bus.into() }
    }

    /// Puts all entries, in calls as large as EventBridge takes them.
    async fn put(&self, entries: Vec<Entry>) -> Result<(), CallError> {
        if let Some(entry) = entries.iter().find(|entry| entry.bytes() > MOST_BYTES) {
            let message = format!("{WHAT}: a {} is larger than {MOST_BYTES} bytes", entry.kind);
            return Err(CallError { message, retryable: false, cause: None });
        }
        let mut open = entries.as_slice();
        while !open.is_empty() {
            let mut bytes = 0;
            let fits = open.iter().take(MOST_ENTRIES).take_while(|entry| {
                bytes += entry.bytes();
                bytes <= MOST_BYTES
            });
            let (batch, rest) = open.split_at(fits.count());
            self.put_batch(batch).await?;
            open = rest;
        }
        Ok(())
    }

    /// One call, and again for the entries EventBridge did not accept.
    async fn put_batch(&self, batch: &[Entry]) -> Result<(), CallError> {
        let mut open: Vec<PutEventsRequestEntry> = batch.iter().map(|entry| self.entry(entry)).collect();
        let mut round = 1;
        loop {
            let answer = self.client.put_events().set_entries(Some(open.clone())).send().await;
            let answer = answer.map_err(|error| failed(WHAT, error))?;
            let code =
                |(entry, result): (_, &PutEventsResultEntry)| Some((entry, result.error_code()?.to_owned()));
            let refused: Vec<_> = open.into_iter().zip(answer.entries()).filter_map(code).collect();
            let Some((_, first)) = refused.first() else { return Ok(()) };
            let hopeless = refused.iter().map(|(_, code)| code).find(|code| !is_passing(code));
            if round == ROUNDS || hopeless.is_some() {
                let code = hopeless.unwrap_or(first);
                let message =
                    format!("{WHAT}: {code} for {} entries of {}", refused.len(), answer.entries().len());
                return Err(CallError { message, retryable: hopeless.is_none(), cause: None });
            }
            open = refused.into_iter().map(|(entry, _)| entry).collect();
            tokio::time::sleep(Duration::from_millis(50 << round)).await;
            round += 1;
        }
    }

    fn entry(&self, entry: &Entry) -> PutEventsRequestEntry {
        PutEventsRequestEntry::builder()
            .event_bus_name(&self.bus)
            .source(SOURCE)
            .detail_type(&entry.kind)
            .detail(&entry.detail)
            .build()
    }
}

impl Entry {
    /// As EventBridge counts ("Calculating PutEvents event entry size").
    const fn bytes(&self) -> usize {
        SOURCE.len() + self.kind.len() + self.detail.len()
    }
}

impl Bus for EventBridgeBus {
    async fn request(&self, requests: &[Request]) -> Result<(), CallError> {
        let entry = |request: &Request| {
            let detail = serde_json::to_string(request).map_err(|error| CallError {
                message: format!("{WHAT}: a request cannot be written as JSON"),
                retryable: false,
                cause: Some(Box::new(error)),
            })?;
            Ok(Entry { kind: request.detail_type().to_owned(), detail })
        };
        self.put(requests.iter().map(entry).collect::<Result<_, _>>()?).await
    }

    async fn publish(&self, events: &[CloudEvent]) -> Result<(), CallError> {
        let entry = |event: &CloudEvent| Entry { kind: event.kind.clone(), detail: event.json.to_string() };
        self.put(events.iter().map(entry).collect()).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reply, Wire};
    use app::ports::ReconcileRequested;
    use serde_json::{Value, json};

    fn results(codes: &[Option<&str>]) -> Reply {
        let entry = |code: &Option<&str>| match code {
            Some(code) => json!({ "ErrorCode": code, "ErrorMessage": "no" }),
            None => json!({ "EventId": "1" }),
        };
        let failed = codes.iter().flatten().count();
        let entries: Vec<Value> = codes.iter().map(entry).collect();
        Reply::ok(json!({ "FailedEntryCount": failed, "Entries": entries }))
    }

    fn event(size: usize) -> CloudEvent {
        CloudEvent { kind: "cml.worker.created.v1".to_owned(), json: json!({ "id": "x".repeat(size) }) }
    }

    fn bus(wire: &Wire) -> EventBridgeBus {
        EventBridgeBus::new(&wire.config(), "fleet")
    }

    fn entries(sent: &crate::wire::Sent) -> usize {
        sent.json()["Entries"].as_array().map_or(0, Vec::len)
    }

    #[tokio::test]
    async fn a_request_goes_to_our_bus_under_its_detail_type() {
        let wire = Wire::new([results(&[None])]);
        let request = Request::Reconcile(ReconcileRequested { workers: vec!["w".to_owned()] });
        bus(&wire).request(std::slice::from_ref(&request)).await.expect("accepted");
        let sent = wire.only();
        assert_eq!(sent.operation(), "PutEvents");
        let detail = serde_json::to_string(&request).expect("JSON");
        let entry = json!({ "Source": "cml-fleet", "DetailType": "ReconcileRequested", "Detail": detail,
            "EventBusName": "fleet" });
        assert_eq!(sent.json()["Entries"], json!([entry]));
    }

    #[tokio::test]
    async fn a_fact_goes_out_under_its_cloudevents_type() {
        let wire = Wire::new([results(&[None])]);
        bus(&wire).publish(&[event(1)]).await.expect("accepted");
        let entry = &wire.only().json()["Entries"][0];
        assert_eq!(entry["DetailType"], json!("cml.worker.created.v1"));
        assert_eq!(entry["Detail"], json!(r#"{"id":"x"}"#));
    }

    #[tokio::test]
    async fn ten_entries_a_call_and_no_call_for_none() {
        let wire = Wire::new([results(&[None; 10]), results(&[None; 2])]);
        bus(&wire).publish(&vec![event(1); 12]).await.expect("accepted");
        bus(&wire).publish(&[]).await.expect("nothing to do");
        assert_eq!(wire.sent().iter().map(entries).collect::<Vec<_>>(), [10, 2]);
    }

    #[tokio::test]
    async fn large_entries_share_a_call_only_as_far_as_they_fit() {
        let wire = Wire::new([results(&[None; 2]), results(&[None; 1])]);
        bus(&wire).publish(&vec![event(100 * 1024); 3]).await.expect("accepted");
        assert_eq!(wire.sent().iter().map(entries).collect::<Vec<_>>(), [2, 1]);
        let error = bus(&Wire::new([])).publish(&[event(MOST_BYTES)]).await.expect_err("too large");
        assert!(!error.retryable && error.message.contains("larger than"), "{error}");
    }

    #[tokio::test]
    async fn only_the_entries_that_were_not_accepted_are_put_again() {
        let wire = Wire::new([results(&[None, Some("ThrottlingException"), None]), results(&[None])]);
        let events: Vec<CloudEvent> = (1..=3).map(event).collect();
        bus(&wire).publish(&events).await.expect("accepted");
        let again = wire.sent()[1].json();
        assert_eq!(again["Entries"].as_array().map(Vec::len), Some(1));
        assert_eq!(again["Entries"][0]["Detail"], json!(r#"{"id":"xx"}"#));
    }

    #[tokio::test]
    async fn putting_again_is_bounded() {
        let wire = Wire::new(vec![results(&[Some("InternalFailure")]); 3]);
        let error = bus(&wire).publish(&[event(1)]).await.expect_err("never accepted");
        assert_eq!(error.message, "EventBridge PutEvents: InternalFailure for 1 entries of 1");
        assert!(error.retryable);
        assert_eq!(wire.sent().len(), 3);
    }

    #[tokio::test]
    async fn an_entry_that_will_never_be_accepted_is_not_put_again() {
        let wire = Wire::new([results(&[Some("ThrottlingException"), Some("MalformedDetail")])]);
        let error = bus(&wire).publish(&[event(1), event(2)]).await.expect_err("malformed");
        assert_eq!(error.message, "EventBridge PutEvents: MalformedDetail for 2 entries of 2");
        assert!(!error.retryable);
    }
}
