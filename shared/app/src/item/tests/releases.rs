//! Items of earlier and later releases, and items that nobody wrote.

use domain::{Origin, Status};
use expect_test::expect;
use serde_dynamo::AttributeValue;

use super::{event_item, full, record, text, worker_item};
use crate::error::StoreError;
use crate::item::{decode_event, decode_worker};
use crate::record::Stored;

#[test]
fn a_worker_that_the_first_release_gave_up_has_given_up_what_it_tried_last() {
    let mut image = worker_item(&full());
    let Some(AttributeValue::M(state)) = image.inner_mut().get_mut("worker") else { panic!("no state") };
    state.remove("given_up");
    state.remove("already_launched");
    state.insert(text("gave_up"), AttributeValue::S(text("no attempt succeeded")));
    let read = decode_worker(image).expect("a worker").worker;
    assert_eq!(read.state().gave_up, full().worker.state().gave_up);
    assert_eq!(read.status(), Status::Failed);
}

#[test]
fn what_hung_when_it_was_given_up_is_read_back_so_and_nothing_is_written_of_what_did_not() {
    let mut snapshot = full().worker.state().clone();
    snapshot.gave_up.values_mut().for_each(|given_up| given_up.hangs = true);
    let hung = Stored { worker: domain::Worker::from(snapshot), ..full() };
    assert_eq!(decode_worker(worker_item(&hung)).expect("a worker"), hung);
    let text = |stored: &Stored| format!("{:?}", worker_item(stored));
    assert_eq!((text(&hung).contains("hangs"), text(&full()).contains("hangs")), (true, false));
}

#[test]
fn a_worker_of_a_release_without_guards_is_neither_held_nor_protected() {
    let mut image = worker_item(&full());
    let Some(AttributeValue::M(state)) = image.inner_mut().get_mut("worker") else { panic!("no state") };
    assert!(state.remove("held").is_some() && state.remove("protected").is_some());
    let read = decode_worker(image).expect("a worker").worker;
    assert_eq!((&read.state().held, read.state().protected), (&None, false));
    // And what is neither is written as that release did.
    let image = worker_item(&Stored { worker: read, ..full() });
    let Some(AttributeValue::M(state)) = image.inner().get("worker") else { panic!("no state") };
    assert!(!state.contains_key("held") && !state.contains_key("protected"));
}

#[test]
fn a_fact_of_a_release_without_guards_tells_of_a_drift_of_a_free_worker() {
    let fact = r#"{"fact":"drift_detected","drift":{"desired":"running","observed":"stopped",
        "since":"2026-03-01T12:00:00.000Z","detected_by":"event"},"policy":"revert"}"#;
    let fact: crate::fact::Fact = serde_json::from_str(fact).expect("a fact");
    assert!(matches!(fact.event(), domain::Event::DriftDetected { held: false, .. }));
}

#[test]
fn attributes_of_a_later_release_are_ignored() {
    let mut image = event_item(&record());
    image.inner_mut().insert(text("since_version_9"), AttributeValue::Bool(true));
    assert_eq!(decode_event(image).expect("facts"), record());
}

#[test]
fn a_fact_of_a_later_release_makes_the_record_undecodable() {
    let mut image = event_item(&record());
    let Some(AttributeValue::L(facts)) = image.inner_mut().get_mut("facts") else { panic!("no facts") };
    let fact = [(text("fact"), AttributeValue::S(text("teleported")))].into();
    facts.push(AttributeValue::M(fact));
    let error = decode_event(image).expect_err("undecodable");
    assert_eq!(error.to_string(), "the event item is not in the form it should be in, at facts[3].fact");
    let source = std::error::Error::source(&error).expect("a source").to_string();
    assert!(source.starts_with("unknown variant `teleported`"), "{source}");
    assert!(matches!(StoreError::from(error), StoreError::Corrupt(_)));
}

#[test]
fn a_missing_or_malformed_attribute_is_an_error_that_says_so() {
    let mut said = String::new();
    for (name, value) in [
        ("version", None),
        ("worker", None),
        ("updated_at", Some(AttributeValue::S(text("yesterday")))),
        ("worker_id", Some(AttributeValue::S(text("canary")))),
        ("worker", Some(AttributeValue::M([(text("id"), AttributeValue::S(text("canary")))].into()))),
    ] {
        let mut image = worker_item(&full());
        match value {
            Some(value) => image.inner_mut().insert(text(name), value),
            None => image.inner_mut().remove(name),
        };
        let error = decode_worker(image).expect_err("malformed");
        said += &format!("{name}: {error}: {}\n", error.source);
    }
    expect![[r#"
        version: the worker item is not in the form it should be in, at .: missing field `version`
        worker: the worker item is not in the form it should be in, at .: missing field `worker`
        updated_at: the worker item is not in the form it should be in, at updated_at: Expected num
        worker_id: the worker item is not in the form it should be in, at worker_id: must be a worker id: a lower-case UUID with hyphens
        worker: the worker item is not in the form it should be in, at worker.id: must be a worker id: a lower-case UUID with hyphens
    "#]]
    .assert_eq(&said);
}

#[test]
fn a_worker_from_before_there_were_alternatives_has_none() {
    let mut image = worker_item(&full());
    let Some(AttributeValue::M(state)) = image.inner_mut().get_mut("worker") else { panic!("no state") };
    for name in ["alternative", "launch_shows_until"] {
        state.remove(name).expect("written today");
    }
    let Some(AttributeValue::M(attempt)) = state.get_mut("attempt") else { panic!("no attempt") };
    attempt.remove("alternative").expect("written today");
    let Some(AttributeValue::M(origin)) = state.get_mut("origin") else { panic!("no origin") };
    let Some(AttributeValue::M(spec)) = origin.get_mut("created") else { panic!("no spec") };
    for name in ["launch_template", "root_volume_type", "user_data", "alternatives"] {
        spec.remove(name).expect("written today");
    }
    let worker = decode_worker(image).expect("a worker").worker;
    assert_eq!((worker.alternative(), worker.state().alternative), (None, 0));
    let Origin::Created(spec) = &worker.state().origin else { panic!("created") };
    assert_eq!((&spec.launch_template, spec.image.as_deref()), (&None, Some("ami-0123456789abcdef0")));
}
