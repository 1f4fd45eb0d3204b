//! `events` and `telemetry`: what happened.

use api::wire::Point;
use app::ports::{Clock, Ids};
use domain::Metric;
use serde_json::value::RawValue;

use crate::args::{EventsArgs, Output, TelemetryArgs};
use crate::client::{Client, Request, decode};
use crate::failure::Failure;
use crate::pages::{Extent, Listing, id_of, listing, listing_to};
use crate::show::{self, Version};
use crate::wait::Wait;

/// The most versions and the most points of one page.
const VERSIONS: usize = 100;
const POINTS: usize = 1000;
/// How wide lines of blocks are at most, and what is beside them.
const LINE: usize = 60;
const OTHER_COLUMNS: usize = 38;

pub(super) async fn events<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &EventsArgs,
    timeout: Option<u64>,
    output: Output,
) -> Result<(), Failure> {
    let id = id_of(client, &args.named.worker).await?;
    let ask = || Request::get(&["workers", &id, "events"]);
    let most = (!args.all).then(|| usize::try_from(args.limit).unwrap_or(usize::MAX));
    let found = listing(client, Extent { most, page: VERSIONS }, ask).await?;
    if !args.follow && output == Output::Json {
        return client.console.line(&found.json);
    }
    let mut told = tell(client, &found.items, 0, output)?;
    if found.more && output == Output::Table {
        client.console.note("cml-fleet: there are more; --all shows them\n");
    }
    let mut wait = Wait::new(client, timeout, output);
    while args.follow && !wait.is_over()? {
        wait.pause(args.interval * 1000).await;
        let asked = newer(client, told, || ask().until(wait.end())).await;
        if let Some(news) = wait.heard(asked)? {
            told = tell(client, &news.items, told, output)?;
        }
    }
    Ok(())
}

/// The newest versions, as far back as what was told.
async fn newer<'a, O: Clock + Ids>(
    client: &Client<'_, O>,
    told: u64,
    ask: impl Fn() -> Request<'a>,
) -> Result<Listing, Failure> {
    listing_to(client, Extent { most: None, page: VERSIONS }, ask, |item| {
        Ok(decode::<Version>(item.get())?.version <= told + 1)
    })
    .await
}

/// Shows what is newer than what was told, the oldest first, and returns how far that is.
fn tell<O: Clock + Ids>(
    client: &Client<'_, O>,
    items: &[Box<RawValue>],
    told: u64,
    output: Output,
) -> Result<u64, Failure> {
    let mut news = Vec::new();
    for item in items.iter().rev() {
        let version: Version = decode(item.get())?;
        if version.version > told {
            news.push((version, item));
        }
    }
    let Some((newest, _)) = news.last() else { return Ok(told) };
    let newest = newest.version;
    match output {
        Output::Json => {
            for (_, item) in &news {
                client.console.line(item.get())?;
            }
        }
        Output::Table => {
            let table = show::facts(news.iter().map(|(version, _)| version));
            let table = if told == 0 { table } else { table.continued() };
            table.write(client.console)?;
        }
    }
    Ok(newest)
}

pub(super) async fn telemetry<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &TelemetryArgs,
    output: Output,
) -> Result<(), Failure> {
    let id = id_of(client, &args.named.worker).await?;
    let from = format!("{:.3}", args.since.before(client.outside.now()));
    let found = listing(client, Extent { most: None, page: POINTS }, || {
        Request::get(&["workers", &id, "telemetry"]).query("from", Some(&from))
    })
    .await?;
    if output == Output::Json {
        return client.console.line(&found.json);
    }
    let points: Vec<Point> = found.read()?;
    let names: Vec<String> = match args.metric.as_slice() {
        [] => Metric::ALL.iter().map(|metric| metric.as_str().to_owned()).collect(),
        some => some.to_vec(),
    };
    let room = client.console.width().map_or(LINE, |width| width.saturating_sub(OTHER_COLUMNS));
    let metrics = show::metrics(&points, &names, room.clamp(1, LINE));
    show::Metric::table(&metrics).write(client.console)
}
