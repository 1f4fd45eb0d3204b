//! `POST /commands`, and what becomes of one: a command for many workers, planned at once and carried out by `act` at the pace
//! that EC2 allows.

mod body;
pub(crate) mod view;

use std::sync::Arc;

use app::bulk::{BulkPlan, Planner, Sought, follow, seek, tally};
use app::config::Role;
use app::error::StoreError;
use app::ports::{
    BulkChunk, BulkCommand, BulkCommands, BulkItem, Bus, CHUNK_SIZE, Clock, CommandRequested, Request,
    Workers,
};
use axum::extract::State;
use axum::http::StatusCode;
use domain::{Actor, Bulk, BulkOutcome, CommandId, Timestamp, WorkerId};
use serde::{Deserialize, Serialize};

use crate::cursor::Query;
use crate::failure::{bad_cursor, no_such_command};
use crate::headers::unconditional;
use crate::input::Faults;
#[cfg(test)]
use crate::openapi::is;
use crate::order::{NamedCommand, Nothing, Order};
use crate::params::{Known, NoParams, Params};
use crate::problem::{Kind, Problem};
use crate::reply::Reply;
use crate::{Api, Ports};

pub(crate) use body::CommandBody;
use body::{Filter, Target, Wanted};
#[cfg(test)]
pub(crate) use body::{MAX_NAMED, PATTERN};
use view::Shown;
#[cfg(test)]
pub(crate) use view::Standing;
pub(crate) use view::{CommandView, ItemsView};

/// How many workers one command is for at most.
pub(crate) const MAX_WORKERS: usize = 10_000;
pub(crate) const DEFAULT_LIMIT: u32 = 100;
/// As many as are in a chunk, so that a page is in two of them at most.
pub(crate) const MAX_LIMIT: u32 = 100;
/// How many workers one read of a region's index answers for.
const WATCHES: u32 = 1000;

/// Asks something of many workers: what each of them makes of it, how many calls to EC2 it takes and until when. With
/// `dry_run` nothing else happens. The answer shows every worker of a dry run, and the first 100 of a command.
#[cfg_attr(
    test,
    utoipa::path(
        post, path = "/commands", operation_id = "createCommand",
        request_body = CommandBody,
        responses((status = 202, body = CommandView), (status = 200, body = CommandView)),
    )
)]
pub(crate) async fn create<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    order: Order<CommandBody>,
) -> Result<Reply, Problem> {
    unconditional(order.expected)?;
    let wanted = order.body.check(&api.regions)?;
    if wanted.bulk == Bulk::Terminate {
        order.caller.needs(Role::Admin)?;
    }
    let (api, by) = (&*api, order.caller.actor());
    if wanted.dry_run {
        let at = api.ports.clock().now();
        let plan = api.plan(&wanted, &by, at).await?;
        let view = CommandView::of_plan(&plan, &wanted.bulk, &by, at);
        return Reply::json(StatusCode::OK, &view);
    }
    api.once(order.key, |this| async move {
        let id = CommandId::from(this.identity);
        let commands = api.ports.commands();
        // From here on nobody may try under another identity: this one may be, or become, a command.
        let uncertain = |error: StoreError| Problem::from(error).uncertain(true);
        // An earlier try of this very request may have got as far as this.
        let (command, chunks) = match commands.command(id).await.map_err(uncertain)? {
            Some(command) => {
                let chunks = commands.chunks(id, 0, command.chunks).await.map_err(uncertain)?;
                (command, chunks)
            }
            None => {
                let at = api.ports.clock().now();
                let plan = api.plan(&wanted, &by, at).await?;
                api.confirmed(&wanted, &plan)?;
                let (command, chunks) = plan.command(id, wanted.bulk, by, at);
                commands.accept(&command, &chunks).await.map_err(uncertain)?;
                (command, chunks)
            }
        };
        api.carry_on(id).await;
        let first: Vec<BulkItem> = chunks.first().map(|chunk| chunk.items.clone()).unwrap_or_default();
        let next = (command.chunks > 1).then(|| query(id).cursor(Position { chunk: 1, skip: 0 }));
        let tally = tally(chunks.iter().flat_map(|chunk| &chunk.items));
        let view = CommandView::of(&command, api.ports.clock().now(), &tally, Shown::First(&first, next));
        Reply::accepted(id, &view)
    })
    .await
}

/// How far a command has come.
#[cfg_attr(
    test,
    utoipa::path(
        get, path = "/commands/{id}", operation_id = "getCommand",
        params(("id" = is::CommandId, Path)),
        responses((status = 200, body = CommandView)),
    )
)]
pub(crate) async fn get<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    NamedCommand(id): NamedCommand,
    _: Params<NoParams>,
) -> Result<Reply, Problem> {
    api.show_command(id).await
}

/// The parameters of `GET /commands/{id}/workers`.
#[derive(Debug)]
pub(crate) struct Listing;

impl Known for Listing {
    const NAMES: &'static [&'static str] = &["limit", "cursor"];
}

/// Where a page starts: so many items into a chunk.
#[derive(Debug, Clone, Copy, Default, Serialize, Deserialize)]
struct Position {
    chunk: u32,
    skip: usize,
}

/// The workers of a command, and what has become of it for each.
#[cfg_attr(
    test,
    utoipa::path(
        get, path = "/commands/{id}/workers", operation_id = "listCommandWorkers",
        params(
            ("id" = is::CommandId, Path),
            ("limit" = Option<is::CommandWorkersLimit>, Query),
            ("cursor" = Option<is::Cursor>, Query),
        ),
        responses((status = 200, body = ItemsView)),
    )
)]
pub(crate) async fn workers<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    NamedCommand(id): NamedCommand,
    mut params: Params<Listing>,
) -> Result<Reply, Problem> {
    let limit = params.limit(DEFAULT_LIMIT, MAX_LIMIT) as usize;
    params.check(Kind::InvalidParameter)?;
    let start = params.text("cursor").map(|cursor| query(id).position::<Position>(cursor)).transpose()?;
    let Position { chunk, skip } = start.unwrap_or_default();
    let command = api.load_command(id).await?;
    if chunk >= command.chunks || skip >= CHUNK_SIZE {
        return Err(bad_cursor());
    }
    // A page is no longer than a chunk, so it ends in the next one at the latest.
    let left = command.chunks - chunk;
    let chunks = api.ports.commands().chunks(id, chunk, left.min(2)).await?;
    let placed = |chunk: BulkChunk| {
        let BulkChunk { number, items, .. } = chunk;
        items.into_iter().enumerate().map(move |(skip, item)| (Position { chunk: number, skip }, item))
    };
    let mut placed: Vec<(Position, BulkItem)> = chunks.into_iter().flat_map(placed).skip(skip).collect();
    let rest = placed.split_off(limit.min(placed.len()));
    let after = Position { chunk: chunk + 2, skip: 0 };
    let next =
        rest.first().map(|(position, _)| *position).or((after.chunk < command.chunks).then_some(after));
    let items: Vec<BulkItem> = placed.into_iter().map(|(_, item)| item).collect();
    let progress = follow(api.ports.workers(), &command.bulk, &items).await?;
    let next = next.map(|next| query(id).cursor(next));
    Reply::json(StatusCode::OK, &ItemsView::of(&items, &progress, next))
}

/// Calls a command off. What is recorded in a worker already goes on, and so does a chunk of up to 100 that is just being recorded;
/// the others are left alone.
#[cfg_attr(
    test,
    utoipa::path(
        post, path = "/commands/{id}/cancel", operation_id = "cancelCommand",
        params(("id" = is::CommandId, Path)),
        request_body = Nothing,
        responses((status = 200, body = CommandView)),
    )
)]
pub(crate) async fn cancel<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    NamedCommand(id): NamedCommand,
    order: Order<Nothing>,
) -> Result<Reply, Problem> {
    unconditional(order.expected)?;
    let (api, by) = (&*api, order.caller.actor());
    api.once(order.key, |_| async move {
        api.load_command(id).await?;
        if api.ports.commands().cancel(id, api.ports.clock().now(), &by).await? {
            api.carry_on(id).await;
        }
        api.show_command(id).await
    })
    .await
}

/// The listing of a command's workers.
fn query(id: CommandId) -> Query {
    Query::new("command", &[("id", Some(&id.to_string()))])
}

impl<P: Ports> Api<P> {
    async fn load_command(&self, id: CommandId) -> Result<BulkCommand, Problem> {
        self.ports.commands().command(id).await?.ok_or_else(|| no_such_command(Some(id)))
    }

    async fn show_command(&self, id: CommandId) -> Result<Reply, Problem> {
        let command = self.load_command(id).await?;
        let chunks = self.ports.commands().chunks(id, 0, command.chunks).await?;
        // What was over long ago expires item by item, and what is left of it would be counted as all.
        if chunks.len() < command.chunks as usize {
            return Err(no_such_command(Some(id)));
        }
        let items: Vec<BulkItem> = chunks.into_iter().flat_map(|chunk| chunk.items).collect();
        let progress = follow(self.ports.workers(), &command.bulk, &items).await?;
        let now = self.ports.clock().now();
        let view = CommandView::of(&command, now, &tally(&items), Shown::Progress(&progress));
        Reply::json(StatusCode::OK, &view)
    }

    async fn plan(&self, wanted: &Wanted, by: &Actor, at: Timestamp) -> Result<BulkPlan, Problem> {
        let workers = self.chosen(&wanted.target).await?;
        let planner = Planner { buckets: self.ports.buckets() };
        Ok(planner.plan(&wanted.bulk, by, at, &workers).await?)
    }

    /// Whoever ends many at once has to know how many, and whoever says a number has to mean this one.
    fn confirmed(&self, wanted: &Wanted, plan: &BulkPlan) -> Result<(), Problem> {
        let planned = plan.items.iter().filter(|item| item.outcome == BulkOutcome::Planned).count();
        let many = wanted.bulk == Bulk::Terminate && planned > self.mass_termination as usize;
        if wanted.confirm.map_or(!many, |said| said as usize == planned) {
            return Ok(());
        }
        let limit = self.mass_termination;
        let why = match wanted.confirm {
            Some(said) => format!("this would end {planned} of the workers, and confirm says {said}"),
            None => format!(
                "this would end {planned} workers, and more than {limit} have to be confirmed by their number"
            ),
        };
        let detail = format!("{why}; make sure with dry_run, then pass confirm={planned}");
        Err(Problem::new(Kind::ConfirmationNeeded, detail))
    }

    /// The workers that are meant, each with its record if it has one.
    async fn chosen(&self, target: &Target) -> Result<Vec<Sought>, Problem> {
        match target {
            Target::These(ids) => Ok(seek(self.ports.workers(), ids).await?),
            Target::Those(filter) => self.matching(filter).await,
        }
    }

    async fn matching(&self, filter: &Filter) -> Result<Vec<Sought>, Problem> {
        let mut found = Vec::new();
        // Of a worker whose record cannot be read nobody knows whether it is meant: it is shown, and left out.
        let is_wanted = |sought: &Sought| match sought {
            Sought::Known(stored) => filter.wants(stored),
            Sought::Unreadable(_) => true,
            Sought::Absent(_) => false,
        };
        let regions = filter.region.as_ref().map_or(self.regions.as_slice(), std::slice::from_ref);
        for region in regions {
            let mut after: Option<String> = None;
            loop {
                let page = self.ports.workers().watches(region, after.as_deref(), WATCHES).await?;
                let ids: Vec<WorkerId> = page.items.iter().map(|watch| watch.worker).collect();
                let sought = seek(self.ports.workers(), &ids).await?;
                found.extend(sought.into_iter().filter(is_wanted));
                if found.len() > MAX_WORKERS {
                    let mut faults = Faults::default();
                    let detail =
                        format!("matches more than {MAX_WORKERS} workers, the most one command is for");
                    faults.add("filter", detail, Some(format!("at most {MAX_WORKERS} workers")));
                    return Err(faults.problem(Kind::InvalidValue));
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        Ok(found)
    }

    /// Lets `act` carry on with a command. If it is not told now, the poll tells it within a minute.
    async fn carry_on(&self, id: CommandId) {
        let request = Request::Command(CommandRequested { command: id.to_string() });
        if let Err(error) = self.ports.bus().request(&[request]).await {
            tracing::warn!(command.id = %id, error = %error, "a command waits for the poll");
        }
    }
}
