//! What comes of many: the workers of a bulk command, the instances of an import.

use std::collections::BTreeMap;

use api::wire::{Command, CommandWorker, DiscoveredInstance, Outcome};

use super::{Table, dash};

/// A row for each worker of a command.
pub(crate) fn targets<'a>(workers: impl IntoIterator<Item = &'a CommandWorker>) -> Table {
    targets_and_why(workers, &BTreeMap::new())
}

/// The same, where it is known of some, by their ids, why it did not come about.
pub(crate) fn targets_and_why<'a>(
    workers: impl IntoIterator<Item = &'a CommandWorker>,
    why: &BTreeMap<String, String>,
) -> Table {
    let mut table = Table::new(&["NAME", "OUTCOME", "PROGRESS", "REASON", "ID"]);
    for worker in workers {
        let refusal = worker.refusal.as_ref().map(|refusal| format!("{}: {}", refusal.code, refusal.text));
        let reason = refusal.as_ref().or_else(|| why.get(&worker.worker_id));
        table.row([
            dash(worker.name.as_deref()),
            worker.outcome.to_string(),
            dash(worker.progress.as_deref()),
            dash(reason.map(String::as_str)),
            worker.worker_id.clone(),
        ]);
    }
    table
}

/// A row for each instance of an import.
pub(crate) fn found<'a>(instances: impl IntoIterator<Item = &'a DiscoveredInstance>) -> Table {
    let mut table = Table::new(&["INSTANCE", "REGION", "OUTCOME", "NAME", "WORKER", "REASON"]);
    for instance in instances {
        table.row([
            instance.instance_id.clone(),
            dash(instance.region.as_deref()),
            outcome(instance.outcome).to_owned(),
            dash(instance.name.as_deref()),
            dash(instance.worker_id.as_deref()),
            dash(instance.reason.as_ref().map(|reason| reason.detail.as_str())),
        ]);
    }
    table
}

/// The word of the API for what came of an instance.
pub(crate) const fn outcome(outcome: Outcome) -> &'static str {
    match outcome {
        Outcome::Imported => "imported",
        Outcome::WouldImport => "would_import",
        Outcome::Known => "known",
        Outcome::Refused => "refused",
        Outcome::Failed => "failed",
    }
}

/// A command in a few lines.
pub(crate) fn summary(command: &Command) -> Table {
    let mut table = Table::of_pairs();
    let mut add = |name: &str, value: String| table.row([name.to_owned(), value]);
    if let Some(id) = &command.id {
        add("command", id.clone());
    }
    add("action", command.action.to_string());
    add("status", command.status.to_string());
    add("by", command.by.clone());
    add("at", command.at.clone());
    let counts = &command.counts;
    let counts = [
        ("planned", counts.planned),
        ("asked", counts.asked),
        ("unchanged", counts.unchanged),
        ("refused", counts.refused),
        ("superseded", counts.superseded),
        ("cancelled", counts.cancelled),
    ];
    for (name, count) in counts.into_iter().filter(|(_, count)| *count > 0) {
        add(name, count.to_string());
    }
    if let Some(p) = &command.progress {
        let text = format!(
            "{} done, {} waiting, {} failed, {} superseded",
            p.done, p.waiting, p.failed, p.superseded
        );
        add("progress", text);
    }
    add("ec2 calls", command.ec2_calls.to_string());
    add("eta", format!("{} ({} s)", command.eta, command.eta_seconds));
    if let Some(cancelled) = &command.cancelled {
        add("called off", format!("{} by {}", cancelled.at, cancelled.by));
    }
    table
}
