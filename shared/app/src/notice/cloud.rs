//! The CloudEvents form of a notice (CloudEvents specification, version 1.0.2, structured mode).

use domain::Event;
use serde_json::{Map, Value, json};

use super::Notice;
use crate::fact::Fact;
use crate::ports::CloudEvent;

/// The CloudEvent of a fact: its particulars, with the worker and the severity beside them.
pub(super) fn event(notice: &Notice, event: &Event) -> Value {
    let fact = Fact::from(event);
    let mut data = match serde_json::to_value(&fact) {
        Ok(Value::Object(particulars)) => particulars,
        // A fact's form is an object and has nothing that JSON cannot say; without it the rest still tells enough.
        Ok(_) | Err(_) => Map::from_iter([("fact".to_owned(), Value::from(event.name()))]),
    };
    data.insert("worker".to_owned(), json!(notice.worker));
    data.insert("severity".to_owned(), json!(notice.severity));
    data.insert("title".to_owned(), json!(notice.title));
    let mut event = json!({
        "specversion": "1.0",
        "id": notice.id,
        "source": format!("/cml-fleet/{}", notice.worker.region),
        "type": fact.cloud_event_type(),
        "subject": notice.worker.id,
        "time": format!("{:.3}", notice.at),
        "datacontenttype": "application/json",
    });
    // Moved, where the macro would copy it.
    event["data"] = Value::Object(data);
    event
}

/// The same CloudEvent without the particulars, for where it would be too large. It says so.
pub(super) fn slim(event: &Value) -> Value {
    let mut slim = event.clone();
    if let Some(data) = slim.get_mut("data").and_then(Value::as_object_mut) {
        data.retain(|key, _| matches!(key.as_str(), "worker" | "severity" | "title" | "fact"));
        data.insert("truncated".to_owned(), Value::Bool(true));
    }
    slim
}

/// A CloudEvent as the bus takes it.
pub(crate) fn from_json(json: Value) -> CloudEvent {
    let kind = json.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
    CloudEvent { kind, json }
}
