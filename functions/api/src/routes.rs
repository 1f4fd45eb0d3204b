//! The handlers, by what they do: `begin` a worker, `import` some, `change` one or by `commands` many, `read` the present, read its
//! `history`.

pub(crate) mod begin;
pub(crate) mod change;
pub(crate) mod commands;
pub(crate) mod history;
pub(crate) mod import;
pub(crate) mod read;

use app::fleet::Fleet;
use app::ports::{Clock, Workers};
use app::record::Stored;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{Method, StatusCode};
use axum::response::IntoResponse;
use domain::WorkerId;
use serde::Serialize;

use crate::failure::no_such_worker;
use crate::problem::{Kind, Problem};
use crate::reply::Reply;
use crate::{Api, Ports};

pub(crate) use begin::create;
pub(crate) use change::{delete, patch, reboot, start, stop, sync};
pub(crate) use history::{events, telemetry};
pub(crate) use import::import;
pub(crate) use read::{get, list};

impl<P: Ports> Api<P> {
    /// The use cases.
    fn fleet(&self) -> Fleet<'_, P::Workers, P::Clock> {
        Fleet { workers: self.ports.workers(), clock: self.ports.clock(), settings: &self.settings }
    }

    /// The worker, or a problem if there is none.
    async fn load(&self, id: WorkerId) -> Result<Stored, Problem> {
        self.ports.workers().load(id).await?.ok_or_else(|| no_such_worker(Some(id)))
    }

    /// A worker as it is now.
    fn show(&self, status: StatusCode, stored: &Stored) -> Result<Reply, Problem> {
        Reply::worker(status, stored, &self.settings, self.ports.clock().now())
    }
}

/// The JSON of a healthy answer.
#[derive(Debug, Serialize)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Healthy))]
pub(crate) struct HealthJson {
    status: &'static str,
}

/// `GET /health`: the function runs and has found its settings in order. Reads nothing.
#[cfg_attr(
    test,
    utoipa::path(
        get, path = "/health", operation_id = "health",
        responses((status = 200, body = HealthJson)),
    )
)]
pub(crate) async fn health() -> Result<Reply, Problem> {
    Reply::json(StatusCode::OK, &HealthJson { status: "ok" })
}

/// The contract of this API, as `openapi` made it.
const DOCUMENT: &str = include_str!("../openapi.json");

/// `GET /openapi.json`: the contract of this API.
#[cfg_attr(
    test,
    utoipa::path(
        get, path = "/openapi.json", operation_id = "openapi",
        responses((status = 200, body = serde_json::Value)),
    )
)]
pub(crate) async fn openapi() -> impl IntoResponse {
    ([(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "public, max-age=3600")], DOCUMENT)
}

/// Any path that is not in the table of routes.
pub(crate) async fn no_such_route(method: Method) -> Result<StatusCode, Problem> {
    preflight_or(&method, Problem::new(Kind::NoSuchRoute, "this API has no such path"))
}

/// A path of the table, asked with another method. The router adds `Allow`.
pub(crate) async fn method_not_allowed(method: Method) -> Result<StatusCode, Problem> {
    let detail = "this path has no such method; see the Allow header";
    preflight_or(&method, Problem::new(Kind::MethodNotAllowed, detail))
}

/// A browser asks with OPTIONS, and without a token, whether a page may ask: a success, to which API Gateway adds what the
/// parameter `CorsAllowedOrigins` allows. It tells nothing.
fn preflight_or(method: &Method, problem: Problem) -> Result<StatusCode, Problem> {
    if method == Method::OPTIONS { Ok(StatusCode::NO_CONTENT) } else { Err(problem) }
}
