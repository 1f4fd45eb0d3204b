//! Every kind of bad input: the status, the field it names, what it says is allowed; nothing written, nothing called. The
//! deployed API is asked the same (`tests/e2e`).

mod case;
mod commands;
mod imports;
mod launch;
mod requests;

use domain::Observed;

use crate::support::Client;
use case::Case;
pub(crate) use case::creation;

/// Sends it, and reports what is not as it should be.
async fn fault(case: &Case, client: &Client, id: &str) -> Option<String> {
    let before = client.world.effects();
    let mut sender = client.without_keys();
    for (name, value) in &case.headers {
        sender = sender.with(name, value);
    }
    // A request with a key must not even leave a trace of the key.
    if case.method != "GET"
        && case.field != "Idempotency-Key"
        && !case.headers.iter().any(|(name, _)| *name == "idempotency-key")
    {
        sender = sender.with("idempotency-key", "a-key");
    }
    let answer = sender.send(case.method, &case.target.replace("{id}", id), case.body.clone()).await;
    let json = answer.json();
    let named = json["errors"].as_array().is_some_and(|errors| {
        errors.iter().any(|error| {
            error["field"] == case.field && error["allowed"].as_str().unwrap_or("").contains(case.allowed)
        })
    });
    let right = answer.status.as_u16() == case.status
        && answer.problem() == case.problem
        && (case.field.is_empty() || named)
        && json["request_id"] == "JKJaXmPLvHcESHA="
        && client.world.effects() == before;
    let shown = String::from_utf8_lossy(&case.body[..case.body.len().min(200)]).into_owned();
    (!right).then(|| {
        format!(
            "{} {} {shown} {:?}\n  wanted {} {} {} [{}], (writes, calls) {before:?}\n  got    {} {} {:?}\n",
            case.method,
            case.target,
            case.headers,
            case.status,
            case.problem,
            case.field,
            case.allowed,
            answer.status,
            answer.text,
            client.world.effects(),
        )
    })
}

async fn check(cases: Vec<Case>) {
    let client = Client::new();
    let id = client.imported("i-0123456789abcdef0", Observed::Running).await;
    let mut wrong = Vec::new();
    for case in cases {
        wrong.extend(fault(&case, &client, &id).await);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[tokio::test]
async fn bodies_that_are_no_json_object() {
    check(requests::bodies_that_are_no_json_object()).await;
}

#[tokio::test]
async fn fields_that_do_not_exist_or_have_another_type() {
    check(requests::fields_that_do_not_exist_or_have_another_type()).await;
}

#[tokio::test]
async fn values_of_a_creation_that_are_not_allowed() {
    check(requests::values_of_a_creation_that_are_not_allowed()).await;
}

#[tokio::test]
async fn values_of_imports_and_patches_that_are_not_allowed() {
    check(requests::values_of_imports_and_patches_that_are_not_allowed()).await;
}

#[tokio::test]
async fn parameters_that_are_not_allowed() {
    check(requests::parameters_that_are_not_allowed()).await;
}

#[tokio::test]
async fn headers_that_are_not_allowed() {
    check(requests::headers_that_are_not_allowed()).await;
}

#[tokio::test]
async fn paths_that_name_no_worker_or_no_route() {
    check(requests::paths_that_name_no_worker_or_no_route()).await;
}

#[tokio::test]
async fn values_of_a_spec_that_are_not_allowed() {
    check(launch::values_of_a_spec_that_are_not_allowed()).await;
}

#[tokio::test]
async fn imports_of_many_that_are_not_allowed() {
    check(imports::imports_of_many_that_are_not_allowed()).await;
}

#[tokio::test]
async fn commands_that_are_not_allowed() {
    check(commands::commands_that_are_not_allowed()).await;
}
