//! Instances that nobody names are found by their tag and their image, previewed, and imported.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use serde_json::{Value, json};

use crate::wait::{eventually, seen};
use crate::world::{SOON, World};

pub(crate) async fn instances_with_a_tag_are_previewed_and_then_imported_once(world: &World) -> Result<()> {
    let name = world.name("found");
    let launched: BTreeSet<String> = world.ec2.launch(&world.image, &name, 3).await?.into_iter().collect();
    let find = json!({ "tags": { "Name": name }, "image_name": world.name("cml-2.9.?") });
    let ask = |dry_run: bool| json!({ "find": find, "dry_run": dry_run });

    let preview = world.api.post("/workers/import", &ask(true)).await?;
    ensure!(preview["counts"]["would_import"] == 3, "three would be imported: {preview}");
    for instance in &launched {
        ensure!(world.ec2.instance(instance).await?.tags.len() == 1, "a preview leaves {instance} alone");
    }
    let done = world.api.post("/workers/import", &ask(false)).await?;
    ensure!(done["counts"]["imported"] == 3 && done["next"].is_null(), "three are imported: {done}");
    let items = done["items"].as_array().context("items")?;
    let text = |item: &Value, field: &str| item[field].as_str().map(str::to_owned).context("a text");
    let found: BTreeSet<String> =
        items.iter().map(|item| text(item, "instance_id")).collect::<Result<_>>()?;
    ensure!(found == launched, "those that were launched: {done}");
    let names: BTreeSet<String> = items.iter().map(|item| text(item, "name")).collect::<Result<_>>()?;
    ensure!(names.len() == 3 && names.contains(&name), "one has the name, the others their ids: {names:?}");
    for item in items {
        let (instance, worker) = (text(item, "instance_id")?, text(item, "worker_id")?);
        eventually(&format!("{instance} is tagged"), SOON, || async {
            let tags = world.ec2.instance(&instance).await?.tags;
            Ok(seen(tags.get("cml-fleet:worker-id") == Some(&worker), format!("{tags:?}")))
        })
        .await?;
    }
    // By their ids: their tag is the workers' names by now.
    let again = world.api.post("/workers/import", &json!({ "instance_ids": launched })).await?;
    ensure!(again["counts"]["known"] == 3, "known by now: {again}");
    Ok(())
}
