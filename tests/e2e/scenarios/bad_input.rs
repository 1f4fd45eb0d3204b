//! The router's own table of bad input, through the gateway, which unpacks paths, headers and bodies on the way.

#[path = "../../../functions/api/tests/bad_input/case.rs"]
mod case;
#[path = "../../../functions/api/tests/bad_input/commands.rs"]
mod commands;
#[path = "../../../functions/api/tests/bad_input/imports.rs"]
mod imports;
#[path = "../../../functions/api/tests/bad_input/launch.rs"]
mod launch;
#[path = "../../../functions/api/tests/bad_input/requests.rs"]
mod requests;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::world::World;
use case::Case;

pub(crate) async fn bad_input_is_answered_by_name_and_leaves_no_trace(world: &World) -> Result<()> {
    let (worker, _) = world.worker("bad-input").await?;
    let before = world.api.worker(&worker).await?;
    let named = [
        requests::bodies_that_are_no_json_object(),
        requests::fields_that_do_not_exist_or_have_another_type(),
        requests::values_of_a_creation_that_are_not_allowed(),
        requests::values_of_imports_and_patches_that_are_not_allowed(),
        requests::parameters_that_are_not_allowed(),
        requests::headers_that_are_not_allowed(),
        imports::imports_of_many_that_are_not_allowed(),
        commands::commands_that_are_not_allowed(),
        launch::values_of_a_spec_that_are_not_allowed(),
    ]
    .concat();
    // The local gateway makes text of every body, with another character for each byte that is none.
    let named: Vec<Case> = named.into_iter().filter(|case| std::str::from_utf8(&case.body).is_ok()).collect();
    let count = named.len();
    let mut faults = Vec::new();
    for case in named {
        faults.extend(fault(world, &worker, &case, true).await?);
    }
    // What a gateway makes of a path is its own; that there is nothing there is all the same. The local one overlooks a blank
    // and a slash at the end.
    let overlooked = |case: &Case| ["/workers/{id}%20", "/workers/"].contains(&case.target.as_str());
    let paths = requests::paths_that_name_no_worker_or_no_route();
    for case in paths.into_iter().filter(|case| !overlooked(case)) {
        faults.extend(fault(world, &worker, &case, false).await?);
    }
    ensure!(faults.is_empty(), "of {count}:\n{}", faults.join("\n"));
    let done = world.api.done_since(&worker, &before).await?;
    ensure!(done.is_empty(), "a refused request changed the worker: {done:?}");
    for name in ["lab-1", "lab-2", "a"] {
        let made = world.api.get(&format!("/workers?name={name}")).await?;
        ensure!(made["items"] == json!([]), "a refused request made a worker: {made}");
    }
    Ok(())
}

/// Sends it, and reports what is not as it should be.
async fn fault(world: &World, worker: &str, case: &Case, is_named: bool) -> Result<Option<String>> {
    // The table is of another deployment.
    let here = |text: &str| text.replace("{id}", worker).replace("eu-central-1", &world.cloud.region);
    let target = here(&case.target);
    let body = match String::from_utf8(case.body.clone()) {
        Ok(text) => here(&text).into_bytes(),
        Err(error) => error.into_bytes(),
    };
    let mut headers = case.headers.clone();
    let keyed = headers.iter().any(|(name, _)| *name == "idempotency-key");
    if case.method != "GET" && case.field != "Idempotency-Key" && !keyed {
        headers.push(("idempotency-key", b"never-used".to_vec()));
    }
    let answer = world.api.send_bytes(case.method, &target, headers, body).await?;
    let json = answer.json();
    let kind = json["type"].as_str().and_then(|kind| kind.rsplit(':').next()).unwrap_or_default();
    let errors = json["errors"].as_array().map(Vec::as_slice).unwrap_or_default();
    let field = case.field.is_empty() || errors.iter().any(|error| error["field"] == case.field);
    let right = answer.status == case.status
        && (!is_named || (kind == case.problem && field && !answer.header("x-request-id").is_empty()));
    let body: String = String::from_utf8_lossy(&case.body).chars().take(200).collect();
    let target: String = target.chars().take(200).collect();
    let (method, status, problem, field) = (case.method, case.status, case.problem, case.field);
    Ok((!right).then(|| {
        let (got, text) = (answer.status, &answer.text);
        format!("{method} {target} {body}: wanted {status} {problem} {field}, got {got} {text}")
    }))
}
