//! The books of the whole run: who was told what, and what was given up.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Result, ensure};
use serde_json::json;

use crate::told::Log;
use crate::wait::{eventually, seen};
use crate::world::{NEXT_SWEEP, World};

pub(crate) async fn everybody_was_told_everything_once_and_nothing_was_given_up(world: &World) -> Result<()> {
    let logs = [
        ("the steady receiver", &world.steady.log),
        ("the fickle receiver", &world.fickle.log),
        ("the topic's subscriber", &world.topic.log),
    ];
    // What a receiver missed comes with a later sweep, and so does what there were too many of: in one message, which
    // lists as many as it has room for and counts the others. A sweep that meets a busy second leaves the topic to the next one.
    eventually("all three have heard the same", 2 * NEXT_SWEEP, || async {
        let [steady, fickle, topic] = logs.map(|(_, log)| ids(log));
        let omitted = world.topic.log.omitted();
        let same = steady == fickle && topic.is_subset(&steady) && topic.len() + omitted == steady.len();
        let missing: Vec<&String> = steady.symmetric_difference(&fickle).take(3).collect();
        let heard = format!("{}, {}, {} and {omitted} counted", steady.len(), fickle.len(), topic.len());
        Ok(seen(same, format!("{heard}; between the receivers {missing:?} differ")))
    })
    .await?;
    for (who, log) in logs {
        let mut times: BTreeMap<String, usize> = BTreeMap::new();
        for told in log.all() {
            *times.entry(told.id).or_default() += 1;
        }
        let twice: Vec<_> = times.into_iter().filter(|(_, times)| *times > 1).collect();
        ensure!(twice.is_empty(), "{who} was told more than once of {twice:?}");
    }
    for (who, receiver) in [("steady", &world.steady), ("fickle", &world.fickle)] {
        let faults = receiver.faults();
        ensure!(faults.is_empty(), "the {who} receiver had to refuse {faults:?}");
    }
    world
        .report
        .add("notices told to each of three listeners, once", ids(&world.steady.log).len().to_string());

    let queues = world.cloud.json("sqs", "AmazonSQS.ListQueues", &json!({})).await?;
    for url in queues["QueueUrls"].as_array().into_iter().flatten() {
        let request = json!({ "QueueUrl": url, "AttributeNames": ["ApproximateNumberOfMessages"] });
        let answer = world.cloud.json("sqs", "AmazonSQS.GetQueueAttributes", &request).await?;
        let left = &answer["Attributes"]["ApproximateNumberOfMessages"];
        ensure!(left == &json!("0"), "{left} messages in the dead-letter queue {url}");
    }
    // The mark comes after the telling, and what the topic had no room for is marked by the sweep that tells it.
    eventually("every fact is marked as told", 2 * NEXT_SWEEP, || async {
        let untold = world.fleet.scan("WORKER#").await?;
        let untold = untold.iter().filter(|item| item.get("outbox").is_some());
        let untold: Vec<String> = untold.map(|item| item["pk"].to_string()).collect();
        Ok(seen(untold.is_empty(), format!("{untold:?}")))
    })
    .await
}

fn ids(log: &Log) -> BTreeSet<String> {
    log.all().into_iter().map(|told| told.id).collect()
}
