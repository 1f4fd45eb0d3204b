//! `watch`: workers as they change, until all are where they are waited for.

use std::collections::BTreeMap;

use api::wire::Worker;
use app::ports::{Clock, Ids};
use domain::Status;
use serde_json::value::RawValue;

use super::read::PAGE;
use crate::args::{Output, WatchArgs};
use crate::client::{Client, Request, decode};
use crate::failure::Failure;
use crate::pages::{Extent, ids_of, listing};
use crate::show;
use crate::wait::Wait;

/// Clears a terminal, and goes to its corner.
const CLEAR: &str = "\x1b[2J\x1b[H";

/// The status after which no other comes.
const END: Status = Status::Terminated;
/// The status in which a worker waits for a command, and whoever waits for it would wait in vain.
const STUCK: Status = Status::Failed;

pub(super) async fn watch<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &WatchArgs,
    timeout: Option<u64>,
    output: Output,
) -> Result<(), Failure> {
    let mut wait = Wait::new(client, timeout, output);
    let ids = ids_of(client, &args.workers).await?;
    let mut known = Known::new();
    // Where nothing was ever seen there is nothing to wait for.
    let mut news = Some(look(client, &ids, &known, wait.end(), output).await?);
    loop {
        if let Some(sight) = news {
            tell(client, &sight, &mut known, output)?;
            if let Some(until) = &args.until
                && settled(sight.seen.iter().map(|(worker, _)| worker), until)?
            {
                return Ok(());
            }
        }
        if wait.is_over()? {
            return match &args.until {
                Some(until) => Err(Failure::Vain(format!("not all of them are {until} yet"))),
                None => Ok(()),
            };
        }
        wait.pause(args.interval * 1000).await;
        news = wait.heard(look(client, &ids, &known, wait.end(), output).await)?;
    }
}

/// What was told last of each worker.
type Known = BTreeMap<String, String>;

/// The workers as they are now, each with its JSON.
struct Sight {
    seen: Vec<(Worker, Box<RawValue>)>,
    /// Those that were seen before and are not listed any more; for who reads JSON each with its last, if it has left one.
    gone: Vec<(String, Option<Box<RawValue>>)>,
}

async fn look<O: Clock + Ids>(
    client: &Client<'_, O>,
    ids: &[String],
    known: &Known,
    end: Option<u64>,
    output: Output,
) -> Result<Sight, Failure> {
    let one = async |id: &str| {
        client.send(Request::get(&["workers", id]).until(end)).await?.read::<Box<RawValue>>()
    };
    let mut items = Vec::new();
    if ids.is_empty() {
        let ask = || Request::get(&["workers"]).until(end);
        items = listing(client, Extent { most: None, page: PAGE }, ask).await?.items;
    }
    for id in ids {
        items.push(one(id).await?);
    }
    let seen: Vec<(Worker, Box<RawValue>)> =
        items.into_iter().map(|item| Ok((decode(item.get())?, item))).collect::<Result<_, Failure>>()?;
    let mut gone = Vec::new();
    for id in known.keys().filter(|id| !seen.iter().any(|(worker, _)| worker.id == **id)) {
        let last = match output {
            Output::Json => match one(id).await {
                Err(Failure::Refused(refusal)) if refusal.status == 404 => None,
                last => Some(last?),
            },
            Output::Table => None,
        };
        gone.push((id.clone(), last));
    }
    Ok(Sight { seen, gone })
}

/// Draws all anew on a terminal, and elsewhere a line for each worker that has changed.
fn tell<O: Clock + Ids>(
    client: &Client<'_, O>,
    Sight { seen, gone }: &Sight,
    known: &mut Known,
    output: Output,
) -> Result<(), Failure> {
    let now = format!("{:.0}", client.outside.now());
    if output == Output::Table && client.console.width().is_some() {
        let table = show::workers(seen.iter().map(|(worker, _)| worker));
        return client.console.text(&format!("{CLEAR}{now}\n\n{}", table.text(client.console)));
    }
    for (id, last) in gone {
        known.remove(id);
        match (output, last) {
            (Output::Json, Some(json)) => client.console.line(json.get())?,
            (Output::Json, None) => {}
            (Output::Table, _) => client.console.line(&format!("{now}\t{id}\tis not listed any more"))?,
        }
    }
    for (worker, json) in seen {
        // Who reads JSON is told of whatever changes in it.
        let change = match output {
            Output::Json => worker.version.to_string(),
            Output::Table => show::change(worker),
        };
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
    for worker in workers {
        // Nobody looks at it any more, so its status says nothing.
        if worker.forgotten_at.is_some() {
            return Err(Failure::Vain(format!("{} is forgotten", worker.name)));
        }
        if worker.status == until {
            continue;
        }
        all = false;
        if [END, STUCK].map(Status::as_str).contains(&worker.status.as_ref()) {
            let why = worker.gave_up.first().map(|given_up| format!(": {}", given_up.reason));
            let (name, status, why) = (&worker.name, &worker.status, why.unwrap_or_default());
            return Err(Failure::Vain(format!("{name} is {status}{why}")));
        }
    }
    Ok(all)
}
