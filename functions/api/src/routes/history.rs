//! `GET /workers/{id}/events` and `GET /workers/{id}/telemetry`: what happened, newest first.

use std::collections::BTreeMap;
use std::sync::Arc;

use app::fact::Fact;
use app::ports::{Clock, Sample, Samples, Workers};
use app::record::EventRecord;
use axum::extract::State;
use axum::http::StatusCode;
use domain::{Metric, Timestamp};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::cursor::Query;
use crate::failure::bad_cursor;
#[cfg(test)]
use crate::openapi::is;
use crate::order::Named;
use crate::params::{Known, Params};
use crate::problem::{Kind, Problem};
use crate::reply::Reply;
use crate::view::{Word, time};
use crate::{Api, Ports};

pub(crate) const DEFAULT_EVENTS: u32 = 50;
pub(crate) const MAX_EVENTS: u32 = 100;
pub(crate) const DEFAULT_POINTS: u32 = 100;
pub(crate) const MAX_POINTS: u32 = 1000;

/// How far telemetry goes back when nobody says.
const DEFAULT_SPAN: SignedDuration = SignedDuration::from_hours(24);

/// The parameters of `GET /workers/{id}/events`.
#[derive(Debug)]
pub(crate) struct Events;

impl Known for Events {
    const NAMES: &'static [&'static str] = &["limit", "cursor"];
}

/// A page of facts.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Events))]
pub(crate) struct EventsJson {
    items: Vec<EventsView>,
    next: Option<String>,
}

/// The facts that made one version.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Version))]
struct EventsView {
    version: u64,
    #[cfg_attr(test, schema(value_type = is::Time))]
    at: String,
    #[cfg_attr(test, schema(value_type = Vec<is::Fact>))]
    facts: Vec<Fact>,
}

/// The table's own position.
#[derive(Debug, Serialize, Deserialize)]
struct After {
    after: String,
}

/// The facts of a worker.
#[cfg_attr(
    test,
    utoipa::path(
        get, path = "/workers/{id}/events", operation_id = "listEvents",
        params(
            ("limit" = Option<is::EventsLimit>, Query),
            ("cursor" = Option<is::Cursor>, Query),
        ),
        responses((status = 200, body = EventsJson)),
    )
)]
pub(crate) async fn events<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    Named(id): Named,
    mut params: Params<Events>,
) -> Result<Reply, Problem> {
    let limit = params.limit(DEFAULT_EVENTS, MAX_EVENTS);
    params.check(Kind::InvalidParameter)?;
    let query = Query::new("events", &[("worker", Some(&id.to_string()))]);
    let start = params.text("cursor").map(|cursor| query.position::<After>(cursor)).transpose()?;
    api.load(id).await?;
    let after = start.as_ref().map(|start| start.after.as_str());
    let page = api.ports.workers().events(id, after, limit).await?;
    let items = page.items.iter().map(EventsView::from).collect();
    let next = page.next.map(|after| query.cursor(After { after }));
    Reply::json(StatusCode::OK, &EventsJson { items, next })
}

impl From<&EventRecord> for EventsView {
    fn from(record: &EventRecord) -> Self {
        let facts = record.events.iter().map(Fact::from).collect();
        Self { version: record.version, at: time(record.at), facts }
    }
}

/// The parameters of `GET /workers/{id}/telemetry`.
#[derive(Debug)]
pub(crate) struct Telemetry;

impl Known for Telemetry {
    const NAMES: &'static [&'static str] = &["from", "to", "limit", "cursor"];
}

/// A page of telemetry.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Telemetry))]
#[expect(missing_docs, reason = "the names are those of the JSON")]
pub struct TelemetryJson {
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub from: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub to: String,
    #[cfg_attr(test, schema(value_type = Vec<is::Point>))]
    pub items: Vec<PointView>,
    pub next: Option<String>,
}

/// What is left of a time span, in milliseconds since the epoch: what has been shown ends where the next page begins.
#[derive(Debug, Serialize, Deserialize)]
struct Span {
    from: i64,
    to: i64,
}

/// One point in time. A metric that was not measured is absent.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(Deserialize))]
#[expect(missing_docs, reason = "the names are those of the JSON")]
pub struct PointView {
    pub at: String,
    #[serde(flatten)]
    pub percent: BTreeMap<Word, f64>,
}

/// What was measured on a worker, in percent.
#[cfg_attr(
    test,
    utoipa::path(
        get, path = "/workers/{id}/telemetry", operation_id = "listTelemetry",
        params(
            ("from" = Option<is::Instant>, Query),
            ("to" = Option<is::Instant>, Query),
            ("limit" = Option<is::PointsLimit>, Query),
            ("cursor" = Option<is::Cursor>, Query),
        ),
        responses((status = 200, body = TelemetryJson)),
    )
)]
pub(crate) async fn telemetry<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    Named(id): Named,
    mut params: Params<Telemetry>,
) -> Result<Reply, Problem> {
    let limit = params.limit(DEFAULT_POINTS, MAX_POINTS);
    let (from, to) = (instant(&mut params, "from"), instant(&mut params, "to"));
    params.check(Kind::InvalidParameter)?;
    let to = to.unwrap_or_else(|| api.ports.clock().now());
    let from = from.unwrap_or_else(|| to.checked_sub(DEFAULT_SPAN).unwrap_or(Timestamp::MIN));
    if from > to {
        params.faults.add("from", "must not be after to", Some(format!("up to {}", time(to))));
    }
    params.check(Kind::InvalidParameter)?;
    let bounds = ["from", "to"].map(|name| (name, params.text(name)));
    let worker = id.to_string();
    let query = Query::new("telemetry", &[("worker", Some(worker.as_str())), bounds[0], bounds[1]]);
    let (from, to) = match params.text("cursor") {
        Some(cursor) => query.position::<Span>(cursor)?.bounds()?,
        None => (from, to),
    };
    api.load(id).await?;
    // One more than asked for tells whether there is more.
    let mut samples = api.ports.samples().samples(id, from, to, limit + 1).await?;
    let rest = |sample: &Sample| Span { from: from.as_millisecond(), to: sample.at.as_millisecond() };
    let next = samples.get(limit as usize).map(|sample| query.cursor(rest(sample)));
    samples.truncate(limit as usize);
    let items = samples.iter().map(PointView::from).collect();
    Reply::json(StatusCode::OK, &TelemetryJson { from: time(from), to: time(to), items, next })
}

impl Span {
    /// No span of ours ends before it begins, and no table can be asked for such a one.
    fn bounds(&self) -> Result<(Timestamp, Timestamp), Problem> {
        let at = |millis| Timestamp::from_millisecond(millis).map_err(|_| bad_cursor());
        let (from, to) = (at(self.from)?, at(self.to)?);
        if from <= to { Ok((from, to)) } else { Err(bad_cursor()) }
    }
}

impl From<&Sample> for PointView {
    fn from(sample: &Sample) -> Self {
        let percent = sample.values.iter().map(|(metric, value)| (Metric::as_str(*metric).into(), *value));
        Self { at: time(sample.at), percent: percent.collect() }
    }
}

fn instant(params: &mut Params<Telemetry>, name: &str) -> Option<Timestamp> {
    let parsed = params.text(name)?.parse::<Timestamp>();
    if parsed.is_err() {
        let allowed = "an RFC 3339 time such as 2026-01-31T12:00:00Z";
        params.faults.add(name, format!("must be {allowed}"), Some(allowed.to_owned()));
    }
    parsed.ok()
}
