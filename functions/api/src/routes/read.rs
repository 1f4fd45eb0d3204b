//! `GET /workers` and `GET /workers/{id}`: what is known now.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::ports::{Clock, Page, Watch, Workers};
use app::record::Stored;
use axum::extract::State;
use axum::http::StatusCode;
use domain::{Name, Region, Status, WorkerId};
use serde::{Deserialize, Serialize};

use crate::cursor::Query;
use crate::failure::bad_cursor;
use crate::input::Faults;
#[cfg(test)]
use crate::openapi::is;
use crate::order::Named;
use crate::params::{Known, NoParams, Params};
use crate::problem::{Kind, Problem};
use crate::reply::Reply;
use crate::view::WorkerView;
use crate::{Api, Ports};

pub(crate) const DEFAULT_LIMIT: u32 = 50;
pub(crate) const MAX_LIMIT: u32 = 100;

/// How many workers one request looks through for those its filters want. A page may therefore be short, even empty,
/// and still have a `next`.
const LOOK_THROUGH: usize = 1000;

/// One worker.
#[cfg_attr(
    test,
    utoipa::path(
        get, path = "/workers/{id}", operation_id = "getWorker",
        responses((status = 200, body = WorkerView)),
    )
)]
pub(crate) async fn get<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    Named(id): Named,
    _: Params<NoParams>,
) -> Result<Reply, Problem> {
    api.show(StatusCode::OK, &api.load(id).await?)
}

/// The parameters of `GET /workers`.
#[derive(Debug)]
pub(crate) struct Listing;

impl Known for Listing {
    const NAMES: &'static [&'static str] = &["status", "region", "name", "limit", "cursor"];
}

/// A page of workers.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Workers))]
#[expect(missing_docs, reason = "the names are those of the JSON")]
pub struct WorkersJson {
    pub items: Vec<WorkerView>,
    pub next: Option<String>,
}

/// Where a page starts: `skip` watches into the page of a region's watches that begins after `after`.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Position {
    region: String,
    after: Option<String>,
    skip: usize,
}

/// Which workers are wanted.
#[derive(Debug)]
struct Filter {
    status: Option<Status>,
    name: Option<Name>,
}

impl Filter {
    /// Everything is wanted.
    const fn is_open(&self) -> bool {
        self.status.is_none() && self.name.is_none()
    }

    fn wants(&self, stored: &Stored) -> bool {
        self.status.is_none_or(|status| stored.worker.status() == status)
            && self.name.as_ref().is_none_or(|name| stored.worker.state().name == *name)
    }
}

/// The living workers, in the order of region and zone. A worker that was created a moment ago may not be among them
/// yet, and one that comes or goes while somebody pages through them may be missed or met twice.
#[cfg_attr(
    test,
    utoipa::path(
        get, path = "/workers", operation_id = "listWorkers",
        params(
            ("status" = Option<is::LivingStatus>, Query),
            ("region" = Option<is::Region>, Query),
            ("name" = Option<is::Name>, Query),
            ("limit" = Option<is::WorkersLimit>, Query),
            ("cursor" = Option<is::Cursor>, Query),
        ),
        responses((status = 200, body = WorkersJson)),
    )
)]
pub(crate) async fn list<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    mut params: Params<Listing>,
) -> Result<Reply, Problem> {
    let limit = params.limit(DEFAULT_LIMIT, MAX_LIMIT);
    let status = params.text("status").map(str::to_owned);
    let status = status.and_then(|word| living(&mut params.faults, "status", &word));
    let filter = Filter { status, name: params.parse("name") };
    params.check(Kind::InvalidParameter)?;
    let region = params.text("region").map(str::to_owned);
    let region = region.and_then(|name| params.faults.region(Some(&name), &api.regions));
    params.check(Kind::InvalidValue)?;
    let regions = region.as_ref().map_or(api.regions.as_slice(), std::slice::from_ref);
    let query = Query::new("workers", &["status", "region", "name"].map(|name| (name, params.text(name))));
    let start = params.text("cursor").map(|cursor| query.position(cursor)).transpose()?;
    let (found, next) = api.page(regions, start, &filter, limit as usize).await?;
    let now = api.ports.clock().now();
    let items = found.iter().map(|stored| WorkerView::of(stored, &api.settings, now)).collect();
    Reply::json(StatusCode::OK, &WorkersJson { items, next: next.map(|next| query.cursor(next)) })
}

/// A status to filter by. Workers that have ended are not listed, so nobody can ask for them.
pub(crate) fn living(faults: &mut Faults, field: &str, word: &str) -> Option<Status> {
    let status = faults.parse(field, word)?;
    if status == Status::Terminated {
        let words = Status::ALL.iter().filter(|status| **status != Status::Terminated).map(|s| s.as_str());
        let allowed = words.collect::<Vec<_>>().join(", ");
        faults.add(field, "workers that have ended are not listed", Some(allowed));
    }
    Some(status)
}

impl<P: Ports> Api<P> {
    async fn page(
        &self,
        regions: &[Region],
        start: Option<Position>,
        filter: &Filter,
        limit: usize,
    ) -> Result<(Vec<Stored>, Option<Position>), Problem> {
        let mut found = Vec::new();
        let mut looked_at = 0;
        let first = match &start {
            // No page is that long: the position is not one of ours.
            Some(start) if start.skip >= MAX_LIMIT as usize => None,
            Some(start) => regions.iter().position(|region| region.as_str() == start.region),
            None => Some(0),
        };
        let mut resume = start;
        for region in &regions[first.ok_or_else(bad_cursor)?..] {
            let (mut after, mut skip) = resume.take().map_or((None, 0), |start| (start.after, start.skip));
            loop {
                let here = |skip| Position { region: region.to_string(), after: after.clone(), skip };
                if found.len() == limit || looked_at >= LOOK_THROUGH {
                    return Ok((found, Some(here(skip))));
                }
                let needed = if filter.is_open() { skip + limit - found.len() } else { usize::MAX };
                let size = u32::try_from(needed).map_or(MAX_LIMIT, |needed| needed.min(MAX_LIMIT));
                let Page { items, next } =
                    self.ports.workers().watches(region, after.as_deref(), size).await?;
                let mut stored = self.load_in_order(items.get(skip..).unwrap_or_default()).await?;
                for (index, stored) in stored.drain(..) {
                    if found.len() == limit {
                        return Ok((found, Some(here(skip + index))));
                    }
                    found.extend(stored.filter(|stored| filter.wants(stored)));
                }
                // A name belongs to one living worker at most.
                if filter.name.is_some() && !found.is_empty() {
                    return Ok((found, None));
                }
                looked_at += items.len();
                let Some(next) = next else { break };
                (after, skip) = (Some(next), 0);
            }
        }
        Ok((found, None))
    }

    /// The workers that are watched, each with its place; none if it ended in the meantime.
    async fn load_in_order(&self, watches: &[Watch]) -> Result<Vec<(usize, Option<Stored>)>, Problem> {
        if watches.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Vec<WorkerId> = watches.iter().map(|watch| watch.worker).collect();
        let loaded = self.ports.workers().load_many(&ids).await?;
        let mut loaded: BTreeMap<WorkerId, Stored> =
            loaded.into_iter().map(|stored| (stored.worker.id(), stored)).collect();
        let living = |stored: &Stored| !stored.worker.is_over();
        Ok(ids.iter().map(|id| loaded.remove(id).filter(living)).enumerate().collect())
    }
}
