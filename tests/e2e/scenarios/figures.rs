//! How quick it is, and how much it asks of AWS.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures_util::future::try_join_all;
use serde_json::{Value, json};

use crate::calls::during;
use crate::ec2::Ec2;
use crate::report::{millis, percentile};
use crate::wait::{eventually, seen};
use crate::world::{SOON, World};

/// How often a stop is timed.
const STOPS: usize = 20;
/// How often a warm answer is timed.
const ANSWERS: usize = 50;
/// How many workers a quiet cycle is counted for.
const FLEET: usize = 100;
/// How long they may take to be at rest: a hundred adoptions, beside which nothing is measured.
const SETTLED: Duration = Duration::from_secs(180);

pub(crate) async fn the_first_answer_comes_from_a_cold_function(world: &World) -> Result<()> {
    let asked = Instant::now();
    world.api.get("/workers").await?;
    world.report.add("first API answer (GET /workers, cold start)", millis(asked.elapsed()));
    Ok(())
}

pub(crate) async fn a_warm_api_answers_quickly(world: &World) -> Result<()> {
    let (worker, _) = world.worker("warm").await?;
    let path = format!("/workers/{worker}");
    let mut took = Vec::new();
    for _ in 0..ANSWERS {
        let asked = Instant::now();
        world.api.get(&path).await?;
        took.push(asked.elapsed());
    }
    took.sort_unstable();
    let figure = format!("p50 {}, p99 {}", millis(percentile(&took, 0.5)), millis(percentile(&took, 0.99)));
    world.report.add(format!("warm API answer (GET /workers/{{id}}, {ANSWERS} times)"), figure);
    Ok(())
}

pub(crate) async fn a_stop_reaches_the_webhook_quickly(world: &World) -> Result<()> {
    let (worker, instance) = world.worker("timed").await?;
    let mut took = Vec::new();
    for run in 0..STOPS {
        world.ec2.stop(&instance).await?;
        let stopped = Instant::now();
        let told =
            world.steady.log.wait_for_after("the webhook", &worker, "drift_detected", run, SOON).await?;
        took.push(told.at.duration_since(stopped));
        // EC2 dates its events to the second: the next change belongs in another one.
        tokio::time::sleep(Duration::from_millis(1100)).await;
        world.ec2.start(&instance).await?;
        world.api.wait_for(&worker, "/status", json!("running"), SOON).await?;
        tokio::time::sleep(Duration::from_millis(1100)).await;
    }
    took.sort_unstable();
    let (p50, p99) = (percentile(&took, 0.5), percentile(&took, 0.99));
    let verdict =
        if p50 < Duration::from_secs(1) && p99 < Duration::from_secs(2) { "goal" } else { "MISSED, goal" };
    let figure = format!("p50 {}, p99 {} ({verdict} under 1 s and 2 s)", millis(p50), millis(p99));
    world.report.add(format!("EC2 stop to webhook ({STOPS} times, 150 ms of it in EC2)"), figure);
    Ok(())
}

pub(crate) async fn a_quiet_cycle_of_a_hundred_workers_makes_few_calls(world: &World) -> Result<()> {
    // A region of its own, so that nothing else is counted.
    let region = "us-west-2";
    let ec2 = Ec2::new(&world.cloud, region);
    let image = ec2.image(&world.name("cml-many")).await?;
    let instances = ec2.launch(&image, &world.name("many"), FLEET).await?;
    let mut workers: Vec<Value> = Vec::new();
    for some in instances.chunks(4) {
        let first = workers.len();
        let imports = some.iter().enumerate().map(|(number, instance)| {
            let name = world.name(&format!("many-{}", first + number));
            async move { world.api.import(region, instance, &name).await }
        });
        workers.extend(try_join_all(imports).await?);
    }
    let ids: Vec<&str> = workers.iter().filter_map(|worker| worker["id"].as_str()).collect();
    eventually("all instances are adopted", SETTLED, || async {
        let adopted = ec2.tagged("cml-fleet:managed", "true").await?.len();
        Ok(seen(adopted == FLEET, format!("{adopted} of {FLEET}")))
    })
    .await?;
    let mut request = world.event("collection-requested.json");
    request["detail"]["region"] = json!(region);
    request["detail"]["workers"] = json!(ids);
    request["detail"]["metrics"] = json!(ids);
    // The first look learns what imports could not say (status checks); from the second on it is quiet.
    eventually("the fleet is quiet", SETTLED, || async {
        let report = world.functions.invoke("collect", &request).await?;
        Ok(seen(report["unchanged"] == json!(FLEET) && report["failed"] == json!(0), report))
    })
    .await?;
    // Only these hundred are left, so that a whole cycle is theirs.
    for worker in list(world).await? {
        if !ids.contains(&worker.as_str()) {
            let path = format!("/workers/{worker}?forget=true");
            world.api.send("DELETE", &path, None, &[]).await?.ok(&path)?;
        }
    }
    tokio::time::sleep(Duration::from_secs(3)).await;
    let mut cycles = Vec::new();
    for minute in 1..=3 {
        // A minute that nobody has polled yet. What the functions' own schedules do in between is in some counts only.
        let mut tick = world.event("schedule.json");
        let at = jiff::Timestamp::now() + jiff::SignedDuration::from_mins(minute);
        tick["time"] = json!(at.strftime("%Y-%m-%dT%H:%M:00Z").to_string());
        let (report, calls) = during(&world.cloud, async {
            let report = world.functions.invoke("poll", &tick).await?;
            tokio::time::sleep(Duration::from_secs(4)).await;
            Ok(report)
        })
        .await?;
        ensure!(report["due"] == json!(FLEET), "not all were due: {report}");
        cycles.push((calls.total(), calls, report));
    }
    let (_, calls, report) = cycles.into_iter().min_by_key(|(total, ..)| *total).context("a cycle")?;
    world.report.add(format!("AWS calls of a cycle, {FLEET} quiet workers, nothing new"), calls.to_string());
    world.report.add("  poll's report", report.to_string());
    let (report, calls) = during(&world.cloud, world.functions.invoke("collect", &request)).await?;
    ensure!(report["requested"] == json!(FLEET) && report["changed"] == json!(0), "{report}");
    world.report.add("  collect alone", calls.to_string());
    world.report.add("  collect's report", report.to_string());
    Ok(())
}

/// The ids of all living workers.
async fn list(world: &World) -> Result<Vec<String>> {
    let mut ids = Vec::new();
    let mut path = "/workers?limit=100".to_owned();
    loop {
        let page = world.api.get(&path).await?;
        let items = page["items"].as_array().context("a page has items")?;
        ids.extend(items.iter().filter_map(|worker| worker["id"].as_str().map(str::to_owned)));
        let Some(next) = page["next"].as_str() else { return Ok(ids) };
        path = format!("/workers?limit=100&cursor={next}");
    }
}
