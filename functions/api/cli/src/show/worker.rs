//! Workers: as rows, with all their details, and what is new about one.

use api::wire::{Health, Worker};

use super::{Table, dash};

/// A row for each worker.
pub(crate) fn workers<'a>(workers: impl IntoIterator<Item = &'a Worker>) -> Table {
    let mut table = Table::new(&["NAME", "STATUS", "DESIRED", "ZONE", "INSTANCE", "TYPE", "NEXT", "ID"]);
    for worker in workers {
        table.row([
            worker.name.clone(),
            worker.status.to_string(),
            worker.desired.to_string(),
            worker.zone.clone().unwrap_or_else(|| worker.region.clone()),
            dash(worker.instance_id.as_deref()),
            dash(worker.instance_type.as_deref()),
            next(worker),
            worker.id.clone(),
        ]);
    }
    table
}

/// The next step, or why there is none.
fn next(worker: &Worker) -> String {
    match &worker.next.action {
        Some(action) => format!("{action} ({})", worker.next.reason),
        None => worker.next.reason.to_string(),
    }
}

/// What of a worker may be new, as one text: between two that are equal there is nothing new.
pub(crate) fn change(worker: &Worker) -> String {
    let mut parts = vec![format!("{} {}, asked for {}", worker.name, worker.status, worker.desired)];
    parts.extend(worker.held.iter().map(|held| format!("held: {}", held.reason)));
    parts.extend(worker.drift.iter().map(|d| format!("drift: {} instead of {}", d.observed, d.desired)));
    parts.extend(worker.alerts.iter().map(|alert| format!("alert {}: {}", alert.kind, alert.reason)));
    let failed = worker.attempt.iter().filter_map(|a| a.failed.as_ref().map(|f| (&a.action, f)));
    parts.extend(failed.map(|(action, failed)| format!("{action} failed: {}", failed.message)));
    parts.extend(worker.gave_up.iter().map(|g| format!("gave up {}: {}", g.action, g.reason)));
    parts.push(format!("next: {}", next(worker)));
    parts.join(", ")
}

/// Everything about a worker, a line each.
pub(crate) fn details(worker: &Worker) -> Table {
    let mut table = Table::of_pairs();
    let mut add = |name: &str, value: Option<String>| {
        table_row(&mut table, name, value);
    };
    add("name", Some(worker.name.clone()));
    add("id", Some(worker.id.clone()));
    add("status", Some(worker.status.to_string()));
    add("desired", Some(worker.desired.to_string()));
    add("next", Some(worker.next.text.clone()));
    let observed = &worker.observed;
    let seen = observed.seen_at.as_ref().map(|at| format!(", seen {at}")).unwrap_or_default();
    add("observed", Some(format!("{}{seen}", observed.state)));
    add("ec2 says", observed.reason.clone());
    add("instance", worker.instance_id.clone());
    add("type", worker.instance_type.clone());
    add("region", Some(worker.region.clone()));
    add("zone", worker.zone.clone());
    add("account", Some(worker.account.clone()));
    add("private address", worker.addresses.private.clone());
    add("public address", worker.addresses.public.clone());
    add("health", worker.health.as_ref().map(health));
    let held = worker.held.as_ref();
    add("held", held.map(|held| format!("{} (by {}, {})", held.reason, held.by, held.at)));
    add("protected", worker.protected.then(|| "yes".to_owned()));
    let drift = worker.drift.as_ref();
    add("drift", drift.map(|d| format!("{} instead of {} since {}", d.observed, d.desired, d.since)));
    let attempt = worker.attempt.as_ref();
    add("attempt", attempt.map(|a| format!("{}, number {}, until {}", a.action, a.number, a.deadline)));
    let failed = attempt.and_then(|attempt| attempt.failed.as_ref());
    // What was given up is not tried again, whatever was planned before.
    let is_over = attempt.is_some_and(|a| worker.gave_up.iter().any(|given_up| given_up.action == a.action));
    let again = |at: &str| if is_over { String::new() } else { format!(", again at {at}") };
    add("failed", failed.map(|f| format!("{}: {}{}", f.kind, f.message, again(&f.retry_at))));
    for given_up in &worker.gave_up {
        let (action, at, reason) = (&given_up.action, &given_up.tried_at, &given_up.reason);
        add("gave up", Some(format!("{action} at {at}: {reason}")));
    }
    for alert in &worker.alerts {
        add("alert", Some(format!("{} since {}: {}", alert.kind, alert.since, alert.reason)));
    }
    for (key, value) in &worker.tags {
        add("tag", Some(format!("{key}={value}")));
    }
    let force = &worker.settings.in_force;
    let every = if force.monitoring { format!("every {} s", force.interval) } else { "off".to_owned() };
    add("monitoring", Some(every));
    add("on drift", Some(force.drift.to_string()));
    let limits = format!("cpu {} %, memory {} %, disk {} %", force.cpu, force.memory, force.disk);
    add("alerts above", Some(format!("{limits} for {} s", force.alert_duration)));
    add("origin", Some(worker.origin.to_string()));
    add("created", Some(worker.created_at.clone()));
    add("updated", Some(worker.updated_at.clone()));
    add("terminated", worker.terminated_at.clone());
    add("forgotten", worker.forgotten_at.clone());
    add("version", Some(worker.version.to_string()));
    table
}

fn table_row(table: &mut Table, name: &str, value: Option<String>) {
    if let Some(value) = value {
        table.row([name.to_owned(), value]);
    }
}

fn health(health: &Health) -> String {
    let Health { system, instance, ebs, at } = health;
    format!("system {system}, instance {instance}, ebs {ebs}, at {at}")
}
