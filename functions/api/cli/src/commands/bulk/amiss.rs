//! What of a bulk command has not come about: how much, for whom, and why.

use std::collections::BTreeMap;

use api::wire::{Command, CommandWorker, GivenUp, Worker};
use app::ports::{Clock, Ids};
use domain::{ActionKind, Bulk, BulkKind, BulkOutcome, Progress, TagsPatch};

use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::show;

/// For how many of those that failed it is looked up why: each is a request.
const LOOKED_UP: usize = 20;

/// Not all of it came about if a worker was left out, EC2 could not be brought to it, or somebody wanted something else since.
pub(super) fn verdict(command: &Command) -> Result<(), Failure> {
    let (counts, progress) = (&command.counts, command.progress.as_ref());
    let amiss = [
        (counts.refused, "refused"),
        (progress.map_or(0, |progress| progress.failed), "failed"),
        (counts.superseded + progress.map_or(0, |progress| progress.superseded), "superseded"),
        (counts.cancelled, "cancelled"),
    ];
    let told: Vec<String> =
        amiss.iter().filter(|(count, _)| *count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    if told.is_empty() { Ok(()) } else { Err(Failure::Vain(told.join(", "))) }
}

/// Shows those of a command's workers for which it did not come about, and why.
pub(super) async fn tell<O: Clock + Ids>(
    client: &Client<'_, O>,
    asked: BulkKind,
    workers: &[CommandWorker],
) -> Result<(), Failure> {
    let amiss: Vec<&CommandWorker> = workers.iter().filter(|worker| is_amiss(worker)).collect();
    let failed: Vec<&CommandWorker> = amiss.iter().copied().filter(|worker| has_failed(worker)).collect();
    let (mut why, mut rest) = (BTreeMap::new(), Ok(()));
    for failed in failed.iter().take(LOOKED_UP) {
        match reason(client, asked, &failed.worker_id).await {
            Ok(reason) => why.extend(reason.map(|reason| (failed.worker_id.clone(), reason))),
            // Who they are is known all the same, and has to be told first.
            Err(failure) => {
                rest = Err(failure);
                break;
            }
        }
    }
    show::targets_and_why(amiss, &why).write(client.console)?;
    if let left @ 1.. = failed.len().saturating_sub(LOOKED_UP) {
        client.console.note(&format!("cml-fleet: {left} more have failed; cml-fleet get says why\n"));
    }
    rest
}

/// Why what was asked has failed for a worker. The command does not say it, the worker may.
async fn reason<O: Clock + Ids>(
    client: &Client<'_, O>,
    asked: BulkKind,
    id: &str,
) -> Result<Option<String>, Failure> {
    let worker: Worker = client.send(Request::get(&["workers", id])).await?.read()?;
    let action = Bulk::new(asked, TagsPatch::default()).action().map(ActionKind::as_str);
    let (own, others): (Vec<&GivenUp>, Vec<&GivenUp>) =
        worker.gave_up.iter().partition(|given_up| action == Some(given_up.action.as_ref()));
    // What it needs first may have been given up instead.
    let drives = |given_up: &&GivenUp| given_up.action.parse().is_ok_and(ActionKind::drives);
    let told = if own.is_empty() { others.into_iter().filter(drives).collect() } else { own };
    let reasons: Vec<String> =
        told.iter().map(|given_up| format!("{}: {}", given_up.action, given_up.reason)).collect();
    Ok((!reasons.is_empty()).then(|| reasons.join(", ")))
}

/// Whether it did not come about for this worker. Once a command is over, what is only planned was called off.
fn is_amiss(worker: &CommandWorker) -> bool {
    let came_about = [BulkOutcome::Asked, BulkOutcome::Unchanged].map(BulkOutcome::as_str);
    let is_overtaken = worker.progress.as_deref() == Some(Progress::Superseded.as_str());
    !came_about.contains(&worker.outcome.as_ref()) || is_overtaken || has_failed(worker)
}

fn has_failed(worker: &CommandWorker) -> bool {
    worker.progress.as_deref() == Some(Progress::Failed.as_str())
}
