//! The parameter `AutoRemediation`, set as an operator sets it: the running stack is deployed again.

use std::time::Instant;

use anyhow::{Result, ensure};
use serde_json::json;

use crate::scenarios::drift::reverted;
use crate::world::World;

pub(crate) async fn with_auto_remediation_a_drifted_worker_is_started_again_and_told_so_once(
    world: &World,
) -> Result<()> {
    // The functions' processes, which have worked for all the scenarios before, end with the update.
    world.report.look_at_memory(&world.cloud).await?;
    let before = Instant::now();
    world.cloud.deploy("AutoRemediation=true").await?;
    world.report.add("sam deploy of another parameter", format!("{:.0} s", before.elapsed().as_secs_f64()));

    let (worker, instance) = world.worker("remediated").await?;
    let settings = &world.api.worker(&worker).await?["settings"];
    ensure!(settings["in_force"]["drift"] == json!("revert"), "the parameter is not in force: {settings}");
    ensure!(settings["own"] == json!({}), "the worker has settings of its own: {settings}");
    reverted(world, &worker, &instance).await
}
