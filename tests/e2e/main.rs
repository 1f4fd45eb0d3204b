//! The whole loop on the local cloud, through the deployed template: `make e2e`.
//!
//! One test runs all scenarios, because they share one cloud and its three listeners: two webhook receivers and one
//! subscriber of the topic. Scenarios that do not disturb each other run at the same time; the few that change the
//! cloud itself, or measure it, run on their own. What changes the stack for everybody comes last. `ONLY=word make e2e` runs those whose name contains the word.
//!
//! Nothing here shares code with the functions: they are seen from outside, as AWS and their users see them.
#![expect(
    clippy::disallowed_methods,
    reason = "a test against real processes has the real clock and environment"
)]
#![expect(clippy::print_stdout, reason = "it says what it does while it does it")]

mod api;
mod calls;
mod cloud;
mod ec2;
mod functions;
mod receiver;
mod report;
mod scenarios;
mod sigv4;
mod table;
mod told;
mod topic;
mod wait;
mod world;

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, Result};
use futures_util::future::{BoxFuture, join_all};

use world::World;

/// A scenario: its name, and what it does.
struct Scenario {
    name: &'static str,
    run: fn(Arc<World>) -> BoxFuture<'static, Result<()>>,
}

/// Scenarios by the paths of their functions, whose names are sentences.
macro_rules! scenarios {
    ($($module:ident::$name:ident),+ $(,)?) => {
        vec![$(Scenario {
            name: stringify!($name),
            run: |world| Box::pin(async move { scenarios::$module::$name(&world).await }),
        }),+]
    };
}

/// The scenarios in the order of their phases. Those of one phase run at the same time.
fn phases() -> Vec<(&'static str, Vec<Scenario>)> {
    vec![
        ("the first answer", scenarios![figures::the_first_answer_comes_from_a_cold_function]),
        (
            "workers and their loop",
            scenarios![
                access::an_unsigned_request_is_refused_and_health_is_open,
                access::what_is_impossible_is_refused_and_leaves_no_trace,
                bad_input::bad_input_is_answered_by_name_and_leaves_no_trace,
                beginnings::an_imported_worker_has_telemetry_within_one_interval,
                beginnings::a_worker_created_three_times_at_once_has_one_tagged_instance,
                drift::a_stop_behind_our_back_is_recorded_and_told_with_its_reason,
                drift::a_worker_that_is_to_be_reverted_is_started_again_and_told_so_once,
                commands::stop_and_start_are_news_and_terminate_is_the_end,
                discovery::instances_with_a_tag_are_previewed_and_then_imported_once,
                many::many_workers_are_stopped_and_started_by_one_command_each,
                batches::one_undecodable_record_does_not_hold_up_the_others,
                twice::the_same_event_twice_changes_nothing_twice,
            ],
        ),
        (
            "when something fails",
            scenarios![
                drift::a_stop_whose_event_is_lost_is_found_by_the_next_poll,
                webhooks::a_receiver_that_fails_and_hangs_is_told_once_and_delays_nobody,
            ],
        ),
        ("how quick", scenarios![figures::a_stop_reaches_the_webhook_quickly]),
        ("how quick, warm", scenarios![figures::a_warm_api_answers_quickly]),
        ("how much", scenarios![figures::a_quiet_cycle_of_a_hundred_workers_makes_few_calls]),
        (
            "another parameter",
            scenarios![remediation::with_auto_remediation_a_drifted_worker_is_started_again_and_told_so_once],
        ),
        ("roles", scenarios![principals::who_signs_may_do_what_the_role_of_the_principal_is_for]),
        ("the books", scenarios![books::everybody_was_told_everything_once_and_nothing_was_given_up]),
        // After it nobody gets in with a signature.
        ("tokens", scenarios![tokens::people_who_log_in_may_do_what_their_role_is_for]),
    ]
}

#[test]
#[ignore = "it needs the local cloud: make e2e"]
fn the_reactive_loop_runs_end_to_end() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    runtime.block_on(run())
}

async fn run() -> Result<()> {
    let start = Instant::now();
    let world = Arc::new(World::new().await.context("the local cloud cannot be used")?);
    let only = std::env::var("ONLY").unwrap_or_default().replace(' ', "_");
    let mut failed = Vec::new();
    let mut passed = 0;
    for (phase, scenarios) in phases() {
        let chosen: Vec<Scenario> = scenarios.into_iter().filter(|one| one.name.contains(&only)).collect();
        if chosen.is_empty() {
            continue;
        }
        println!("\n{phase}");
        for (name, outcome) in join_all(chosen.into_iter().map(|one| play(one, Arc::clone(&world)))).await {
            match outcome {
                Ok(()) => passed += 1,
                Err(_) => failed.push(name),
            }
        }
    }
    world.report.print(&world.cloud).await?;
    println!("\n{passed} passed, {} failed, in {:.0} s", failed.len(), start.elapsed().as_secs_f64());
    anyhow::ensure!(failed.is_empty(), "failed: {}", failed.join(", "));
    Ok(())
}

/// Runs one scenario and says how it went. A panic in it is a failure of that scenario only.
async fn play(scenario: Scenario, world: Arc<World>) -> (String, Result<()>) {
    let name = scenario.name.replace('_', " ");
    println!("  ...      {name}");
    let start = Instant::now();
    let outcome = match tokio::spawn((scenario.run)(world)).await {
        Ok(outcome) => outcome,
        Err(panic) => Err(anyhow::anyhow!("{panic}")),
    };
    let seconds = start.elapsed().as_secs_f64();
    match &outcome {
        Ok(()) => println!("  ok       {name} ({seconds:.1} s)"),
        Err(error) => println!("  FAILED   {name} ({seconds:.1} s)\n           {error:#}"),
    }
    (name, outcome)
}
