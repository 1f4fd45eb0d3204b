//! `watch`: workers as they change, until all are where they are waited for.

use std::collections::BTreeMap;

use api::wire::Worker;
use app::ports::{Clock, Ids};
use serde_json::value::RawValue;

use super::read::PAGE;
use crate::args::{Output, WatchArgs};
use crate::client::{Client, Request, decode};
use crate::failure::Failure;
use crate::pages::{Extent, ids_of, listing};
use crate::show;

/// Clears a terminal, and goes to its corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// The status after which no other comes.
const END: &str = "terminated";
/// The status in which a worker waits for a command, and whoever waits for it would wait in vain.
const STUCK: &str = "failed";

pub(super) async fn watch<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &WatchArgs,
    timeout: Option<u64>,
    output: Output,
) -> Result<(), Failure> {
    let end = timeout.map(|timeout| client.millis() + timeout * 1000);
    let ids = ids_of(client, &args.workers).await?;
    let mut known = BTreeMap::new();
    loop {
        let seen = look(client, &ids).await?;
        tell(client, &seen, &mut known, output)?;
        if let Some(until) = &args.until
            && settled(seen.iter().map(|(worker, _)| worker), until)?
        {
            return Ok(());
        }
        if end.is_some_and(|end| client.millis() >= end) {
            return match &args.until {
                Some(until) => Err(Failure::Vain(format!("not all of them are {until} yet"))),
                None => Ok(()),
            };
        }
        client.outside.sleep(args.interval * 1000).await;
    }
}

/// The workers as they are now, each with its JSON.
async fn look<O: Clock + Ids>(
    client: &Client<'_, O>,
    ids: &[String],
) -> Result<Vec<(Worker, Box<RawValue>)>, Failure> {
    let mut items = Vec::new();
    if ids.is_empty() {
        items =
            listing(client, Extent { most: None, page: PAGE }, || Request::get(&["workers"])).await?.items;
    }
    for id in ids {
        items.push(client.send(Request::get(&["workers", id])).await?.read::<Box<RawValue>>()?);
    }
    items.into_iter().map(|item| Ok((decode(item.get())?, item))).collect()
}

/// Draws all anew on a terminal, and elsewhere a line for each worker that has changed.
fn tell<O: Clock + Ids>(
    client: &Client<'_, O>,
    seen: &[(Worker, Box<RawValue>)],
    known: &mut BTreeMap<String, String>,
    output: Output,
) -> Result<(), Failure> {
    let now = format!("{:.0}", client.outside.now());
    if output == Output::Table && client.console.width().is_some() {
        let table = show::workers(seen.iter().map(|(worker, _)| worker));
        return client.console.text(&format!("{CLEAR}{now}\n\n{}", table.text(client.console)));
    }
    let is_seen = |id: &str| seen.iter().any(|(worker, _)| worker.id == id);
    let gone: Vec<String> = known.keys().filter(|id| !is_seen(id)).cloned().collect();
    for id in gone {
        known.remove(&id);
        if output == Output::Table {
            client.console.line(&format!("{now}\t{id}\tis not listed any more"))?;
        }
    }
    for (worker, json) in seen {
        let change = show::change(worker);
        if known.get(&worker.id) == Some(&change) {
            continue;
        }
        match output {
            Output::Json => client.console.line(json.get())?,
            Output::Table => {
                client.console.line(&format!("{now}\t{}\t{}", worker.id, show::plain(&change)))?;
            }
        }
        known.insert(worker.id.clone(), change);
    }
    Ok(())
}

/// Whether all have the status that is waited for; a failure if one cannot get there any more.
fn settled<'a>(workers: impl Iterator<Item = &'a Worker>, until: &str) -> Result<bool, Failure> {
    let mut all = true;
    for worker in workers.filter(|worker| worker.status != until) {
        all = false;
        if [END, STUCK].contains(&worker.status.as_ref()) {
            let why = worker.gave_up.first().map(|given_up| format!(": {}", given_up.reason));
            let (name, status, why) = (&worker.name, &worker.status, why.unwrap_or_default());
            return Err(Failure::Vain(format!("{name} is {status}{why}")));
        }
    }
    Ok(all)
}
