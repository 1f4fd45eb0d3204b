//! The HTTP API: commands, queries and health. It records what is wanted and reads what is known; it never changes EC2.
//!
//! # Design
//! - [`router`] is the whole of it: a table of routes over [`Ports`], with `edge` around it, which gives every answer
//!   its request id and writes one log line, and `identity` in front of every route but `GET /health` and
//!   `GET /openapi.json`: who asks, and whether that role may ask for this.
//! - A handler reads `extract, ask a use case, show`. What a request may contain is checked before anything is written
//!   or called: shape by `body` and `params` (400), meaning by `input` (422), every fault of a request at once.
//! - A `Problem` is the only way to fail. What is shown is chosen here; causes are only logged.
//! - [`wire`] is what the answers are made of. A client reads them into the very same types, with the feature `client`.

mod body;
mod cursor;
mod discovery;
mod edge;
mod failure;
mod headers;
mod identity;
mod input;
mod launch;
mod once;
#[cfg(test)]
mod openapi;
mod order;
mod params;
mod problem;
mod reply;
mod routes;
mod view;
pub mod wire;

use std::sync::Arc;

use app::config::{Access, Allowed, Role};
use app::ports::{
    Buckets, BulkCommands, Bus, Clock, Compute, Idempotency, Ids, Samples, UserDataVault, Workers,
};
use axum::extract::DefaultBodyLimit;
use axum::middleware::from_fn_with_state;
use axum::routing::{delete, get, patch, post};
use domain::{AccountId, Region, Settings};

/// The largest body a request may have.
const BODY_LIMIT: usize = 64 * 1024;

/// What the API needs from the outside: one of each port.
pub trait Ports: Send + Sync + 'static {
    /// The fleet table.
    type Workers: Workers;
    /// Telemetry.
    type Samples: Samples;
    /// Idempotency records.
    type Idempotency: Idempotency;
    /// EC2's buckets, to read.
    type Buckets: Buckets;
    /// Commands for many workers.
    type Commands: BulkCommands;
    /// Reading EC2, for imports and images.
    type Compute: Compute;
    /// User data until the launch.
    type UserData: UserDataVault;
    /// The bus.
    type Bus: Bus;
    /// The clock.
    type Clock: Clock;
    /// New identities.
    type Ids: Ids;

    /// The fleet table.
    fn workers(&self) -> &Self::Workers;
    /// Telemetry.
    fn samples(&self) -> &Self::Samples;
    /// Idempotency records.
    fn idempotency(&self) -> &Self::Idempotency;
    /// EC2's buckets, to read.
    fn buckets(&self) -> &Self::Buckets;
    /// Commands for many workers.
    fn commands(&self) -> &Self::Commands;
    /// Reading EC2, for imports and images.
    fn compute(&self) -> &Self::Compute;
    /// User data until the launch.
    fn user_data(&self) -> &Self::UserData;
    /// The bus.
    fn bus(&self) -> &Self::Bus;
    /// The clock.
    fn clock(&self) -> &Self::Clock;
    /// New identities.
    fn ids(&self) -> &Self::Ids;
}

/// What the handlers work with.
#[derive(Debug)]
pub struct Api<P> {
    /// The outside.
    pub ports: P,
    /// The fleet's settings.
    pub settings: Settings,
    /// The regions workers may live in, in the order they are listed.
    pub regions: Vec<Region>,
    /// The account workers live in.
    pub account: AccountId,
    /// Who may do what.
    pub access: Access,
    /// What may be launched.
    pub allowed: Allowed,
    /// How many workers one command may end without their number.
    pub mass_termination: u32,
}

/// All routes. What the gateway vouches for is expected as an extension of the request: the
/// `ApiGatewayV2httpRequestContext` of the event. Without it nobody is identified.
pub fn router<P: Ports>(api: Api<P>) -> axum::Router {
    let access = Arc::new(api.access.clone());
    let for_ = |role| from_fn_with_state(role, identity::at_least);
    let open = axum::Router::new()
        .route("/health", get(routes::health))
        .route("/openapi.json", get(routes::openapi));
    let viewers = axum::Router::new()
        .route("/workers", get(routes::list))
        .route("/workers/{id}", get(routes::get))
        .route("/workers/{id}/events", get(routes::events))
        .route("/workers/{id}/telemetry", get(routes::telemetry))
        .route("/commands/{id}", get(routes::commands::get))
        .route("/commands/{id}/workers", get(routes::commands::workers))
        .route_layer(for_(Role::Viewer));
    let operators = axum::Router::new()
        .route("/workers/{id}", patch(routes::patch))
        .route("/workers/{id}/start", post(routes::start))
        .route("/workers/{id}/stop", post(routes::stop))
        .route("/workers/{id}/reboot", post(routes::reboot))
        .route("/workers/{id}/sync", post(routes::sync))
        .route("/commands", post(routes::commands::create))
        .route("/commands/{id}/cancel", post(routes::commands::cancel))
        .route_layer(for_(Role::Operator));
    let admins = axum::Router::new()
        .route("/workers", post(routes::create))
        .route("/workers/import", post(routes::import))
        .route("/workers/{id}", delete(routes::delete))
        .route_layer(for_(Role::Admin));
    open.merge(viewers)
        .merge(operators)
        .merge(admins)
        .fallback(routes::no_such_route)
        .method_not_allowed_fallback(routes::method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_LIMIT))
        .layer(from_fn_with_state(access, edge::edge))
        .with_state(Arc::new(api))
}
