//! Laws of the bus.

use app::ports::{Bus, CloudEvent, ReconcileRequested, Request};
use serde_json::json;

use crate::Subject;

fn event(bytes: usize) -> CloudEvent {
    CloudEvent { kind: "cml.contract.v1".to_owned(), json: json!({ "text": "x".repeat(bytes) }) }
}

/// Without it a large batch would be told in part, or not at all: EventBridge takes ten entries in one call (EventBridge API
/// reference, "`PutEvents`").
pub async fn more_than_one_call_takes_is_accepted(subject: &impl Subject) {
    let request = Request::Reconcile(ReconcileRequested { workers: Vec::new() });
    for count in [0, 1, 23] {
        subject.bus().request(&vec![request.clone(); count]).await.expect("accepted");
        subject.bus().publish(&vec![event(10); count]).await.expect("accepted");
    }
    subject.bus().publish(&vec![event(100_000); 3]).await.expect("accepted");
}

/// Without it one fact that EventBridge can never take would be put again and again (EventBridge user guide, "Calculating
/// PutEvents event entry size": 256 KB).
pub async fn what_is_too_large_is_refused_for_good(subject: &impl Subject) {
    let refused = subject.bus().publish(&[event(256 * 1024)]).await.expect_err("refused");
    assert!(!refused.retryable, "{refused}");
}
