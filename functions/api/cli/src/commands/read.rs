//! `list` and `get`: what is known now.

use api::wire::Worker;
use app::ports::{Clock, Ids};

use crate::args::{ListArgs, Output};
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::pages::{Extent, id_of, listing};
use crate::show;

/// The most workers of one page.
pub(super) const PAGE: usize = 100;

pub(super) async fn list<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &ListArgs,
    output: Output,
) -> Result<(), Failure> {
    let most = (!args.all).then(|| usize::try_from(args.limit).unwrap_or(usize::MAX));
    let found = listing(client, Extent { most, page: PAGE }, || {
        Request::get(&["workers"])
            .query("region", args.region.as_ref())
            .query("status", args.status.as_ref())
            .query("name", args.name.as_ref())
    })
    .await?;
    if output == Output::Json {
        return client.console.line(&found.json);
    }
    let workers: Vec<Worker> = found.read()?;
    show::workers(&workers).write(client.console)?;
    if found.more {
        // Also where nobody looks: who reads a part must not take it for the whole.
        client.console.note("cml-fleet: there are more; --all lists them\n");
    }
    Ok(())
}

pub(super) async fn get<O: Clock + Ids>(
    client: &Client<'_, O>,
    named: &str,
    output: Output,
) -> Result<(), Failure> {
    let id = id_of(client, named).await?;
    let answer = client.send(Request::get(&["workers", &id])).await?;
    match output {
        Output::Json => client.console.line(&answer.text),
        Output::Table => show::details(&answer.read()?).write(client.console),
    }
}
