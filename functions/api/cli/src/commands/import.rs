//! `import`: one instance, or all that are found, page by page.

use api::wire::{DiscoveredInstance, Outcome};
use app::ports::{Clock, Ids};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::collections::BTreeMap;

use super::worker;
use crate::args::{ImportArgs, Output};
use crate::body;
use crate::client::{Client, Request, decode};
use crate::failure::Failure;
use crate::show;

/// A page of what came of the instances, each as the API wrote it.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Page {
    items: Vec<Box<RawValue>>,
    next: Option<String>,
    counts: BTreeMap<String, u64>,
}

impl Page {
    /// Adds the page that follows.
    fn add(&mut self, page: Self) {
        self.items.extend(page.items);
        self.next = page.next;
        for (outcome, count) in page.counts {
            *self.counts.entry(outcome).or_default() += count;
        }
    }
}

pub(super) async fn import<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &ImportArgs,
    output: Output,
) -> Result<(), Failure> {
    let ask = async |cursor: Option<&str>| {
        client.send(Request::post(&["workers", "import"]).body(body::import(args, cursor)?)).await
    };
    if args.instance.is_some() {
        return worker(client, &ask(None).await?, output);
    }
    let first = ask(args.cursor.as_deref()).await?;
    let mut whole: Page = first.read()?;
    let is_one_page = whole.next.is_none();
    let mut rest = Ok(());
    while let Some(cursor) = &whole.next {
        match ask(Some(cursor)).await.and_then(|answer| answer.read()) {
            Ok(page) => whole.add(page),
            // What was done before is done, and has to be told first.
            Err(failure) => {
                rest = Err(failure);
                break;
            }
        }
    }
    match output {
        Output::Json if is_one_page => client.console.line(&first.text)?,
        Output::Json => {
            let json = serde_json::to_string(&whole).map_err(|error| Failure::Io(error.to_string()))?;
            client.console.line(&json)?;
        }
        Output::Table => {
            let found = whole.items.iter().map(|item| decode::<DiscoveredInstance>(item.get()));
            show::found(&found.collect::<Result<Vec<_>, _>>()?).write(client.console)?;
        }
    }
    if let Some(next) = whole.next.as_ref().filter(|_| output == Output::Table) {
        client.console.note(&format!("the rest of it is had with --cursor {next}\n"));
    }
    rest?;
    if whole.counts.values().all(|count| *count == 0) && output == Output::Table {
        client.console.note("no instance is like that\n");
    }
    let count = |outcome| whole.counts.get(show::outcome(outcome)).copied().unwrap_or(0);
    match (count(Outcome::Refused), count(Outcome::Failed)) {
        (0, 0) => Ok(()),
        // It was only asked, and this is the answer.
        (_, 0) if args.dry_run => Ok(()),
        (refused, failed) => Err(Failure::Vain(format!("{refused} refused, {failed} failed"))),
    }
}
