//! How a worker comes to be: taken over, or made.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::join_all;
use reqwest::Method;
use serde_json::json;

use crate::report::millis;
use crate::wait::{Seen, eventually, seen};
use crate::world::{NEXT_POLL, SOON, World};

pub(crate) async fn an_imported_worker_has_telemetry_within_one_interval(world: &World) -> Result<()> {
    let instance = world.instance("imported").await?;
    // On AWS it would have been reporting for long.
    eventually("the instance reports to CloudWatch", SOON, || async {
        let pulse = world.cloud.pulse(Method::GET, "/", None).await?;
        let reporting = pulse["reporting"].as_array().is_some_and(|all| all.contains(&json!(instance)));
        Ok(seen(reporting, &pulse["reporting"]))
    })
    .await?;
    let name = world.name("imported");
    let worker = world.api.import(&world.cloud.region, &instance, &name).await?;
    let imported = Instant::now();
    ensure!(worker["status"] == json!("running"), "an imported running instance is {}", worker["status"]);
    ensure!(worker["settings"]["in_force"]["monitoring"] == json!(true), "it is not monitored: {worker}");
    let id = worker["id"].as_str().context("a worker has an id")?;
    // From here on nobody asks for anything: these are the reads of somebody who waits.
    let sample = eventually("the imported worker has telemetry", NEXT_POLL, || async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        let telemetry = world.api.get(&format!("/workers/{id}/telemetry")).await?;
        Ok(match telemetry["items"].get(0) {
            Some(sample) => Seen::Yes(sample.clone()),
            None => Seen::NotYet(telemetry.to_string()),
        })
    })
    .await?;
    let took = imported.elapsed();
    world.report.add("import to first telemetry (interval 60 s)", format!("{:.0} s", took.as_secs_f64()));
    for metric in ["cpu", "memory", "disk"] {
        let value = sample[metric].as_f64();
        ensure!(value.is_some_and(|v| (0.0..=100.0).contains(&v)), "the sample has no {metric}: {sample}");
    }
    eventually("the instance is adopted", SOON, || async {
        let tags = world.ec2.instance(&instance).await?.tags;
        Ok(seen(tags.get("cml-fleet:worker-id").map(String::as_str) == Some(id), format!("{tags:?}")))
    })
    .await?;
    let again = json!({ "region": world.cloud.region, "instance_id": instance }).to_string();
    let answer = world.api.send("POST", "/workers/import", Some(&again), &[]).await?;
    ensure!(
        answer.status == 409 && answer.json()["worker_id"] == json!(id),
        "imported twice: {}",
        answer.text
    );
    Ok(())
}

pub(crate) async fn a_worker_created_three_times_at_once_has_one_tagged_instance(
    world: &World,
) -> Result<()> {
    let name = world.name("created");
    let body = json!({
        "name": name,
        "region": world.cloud.region,
        "spec": { "image": world.image, "instance_type": "c5.2xlarge" },
        "tags": { "lab": "e2e" },
    })
    .to_string();
    let key = format!("\"create-{name}\"");
    let create = || async {
        let headers = [("idempotency-key", key.as_str())];
        eventually("the creation is answered", SOON, || async {
            let answer = world.api.send("POST", "/workers", Some(&body), &headers).await?;
            // 409 says that the same request is being carried out: its sender asks again.
            if answer.status == 409 {
                return Ok(Seen::NotYet(answer.text));
            }
            ensure!(answer.status == 201, "the creation was answered {}: {}", answer.status, answer.text);
            Ok(Seen::Yes(answer.json()))
        })
        .await
    };
    let started = Instant::now();
    let answers = join_all([create(), create(), create()]).await.into_iter().collect::<Result<Vec<_>>>()?;
    let ids: BTreeSet<String> = answers.iter().map(|worker| worker["id"].to_string()).collect();
    ensure!(ids.len() == 1, "three requests with one key made several workers: {ids:?}");
    let id = answers[0]["id"].as_str().context("a worker has an id")?;
    let worker = world.api.wait_for(id, "/status", json!("running"), SOON).await?;
    world.report.add("create to running (1.2 s of it in EC2)", millis(started.elapsed()));
    let other = body.replace("e2e", "other");
    let reused = world.api.send("POST", "/workers", Some(&other), &[("idempotency-key", &key)]).await?;
    ensure!(reused.status == 422, "the key was taken for another request: {} {}", reused.status, reused.text);

    world.api.settled(id).await?;
    let instances = world.ec2.tagged("cml-fleet:worker-id", id).await?;
    let [instance] = instances.as_slice() else { anyhow::bail!("not one instance, but {instances:?}") };
    ensure!(worker["instance_id"] == json!(instance.id), "the worker has another instance: {worker}");
    let expected =
        [("cml-fleet:managed", "true"), ("cml-fleet:worker-id", id), ("Name", name.as_str()), ("lab", "e2e")];
    for (key, value) in expected {
        ensure!(instance.tags.get(key).map(String::as_str) == Some(value), "tag {key}: {:?}", instance.tags);
    }
    let told = world.steady.log.wait_for("the webhook", id, "created", SOON).await?;
    ensure!(told.severity == "info", "a creation is {}", told.severity);
    eventually("the worker is listed", SOON, || async {
        let list = world.api.get(&format!("/workers?name={name}")).await?;
        Ok(seen(list["items"][0]["id"] == json!(id), list))
    })
    .await
}
