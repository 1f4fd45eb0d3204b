//! Changes of one worker: `PATCH`, `DELETE` and the commands. They record what is wanted; `act` makes it so.

use std::sync::Arc;

use app::ports::{Bus, Clock, CollectionRequested, Request};
use axum::extract::State;
use axum::http::StatusCode;
use domain::{Command, GuardsPatch, HoldReason, Name, SettingsPatch, TagsPatch};
use serde::Deserialize;

use crate::body::{Entries, Object, Patch};
use crate::input::{Faults, SettingsBody, tags_patch};
#[cfg(test)]
use crate::openapi::is;
use crate::order::{Named, Nothing, Order, Payload};
use crate::params::{Known, NoParams};
use crate::problem::{Kind, Problem};
use crate::reply::Reply;
#[cfg(test)]
use crate::view::WorkerView;
use crate::{Api, Ports};

/// The body of `PATCH /workers/{id}`: a merge patch (RFC 7396).
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WorkerPatch))]
pub(crate) struct PatchBody {
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = is::Name))]
    name: Patch<String>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = is::TagsPatch))]
    tags: Patch<Entries<Option<String>>>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = SettingsBody))]
    settings: Patch<Object<SettingsBody>>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<is::HoldReason>))]
    held: Patch<String>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = bool))]
    protected: Patch<bool>,
}

impl Payload for PatchBody {
    type Params = NoParams;
}

impl PatchBody {
    fn check(&self) -> Result<Command, Problem> {
        let mut faults = Faults::default();
        let name = match &self.name.0 {
            Some(name) => faults.require::<Name>("name", name.as_deref()),
            None => None,
        };
        let tags = match &self.tags.0 {
            Some(Some(entries)) => tags_patch(&mut faults, entries),
            Some(None) => removed_whole(&mut faults, "tags"),
            None => TagsPatch::default(),
        };
        let settings = match &self.settings.0 {
            Some(Some(settings)) => settings.0.check(&mut faults),
            Some(None) => removed_whole(&mut faults, "settings"),
            None => SettingsPatch::default(),
        };
        let held = self.held.0.as_ref().map(|reason| {
            let reason = reason.as_deref();
            reason.and_then(|reason| faults.parse::<HoldReason>("held", reason))
        });
        let protected = match self.protected.0 {
            Some(None) => {
                faults.add("protected", "must be true or false, not null", Some("true, false".to_owned()));
                None
            }
            Some(protected) => protected,
            None => None,
        };
        faults.check(Kind::InvalidValue)?;
        Ok(Command::Patch { name, tags, settings, guards: GuardsPatch { held, protected } })
    }
}

/// Null for all tags or all settings at once is more likely a mistake than a wish.
fn removed_whole<T: Default>(faults: &mut Faults, field: &str) -> T {
    faults.add(
        field,
        "cannot be removed as a whole",
        Some("an object in which null removes one entry".to_owned()),
    );
    T::default()
}

/// The parameters of `DELETE /workers/{id}`.
#[derive(Debug)]
pub(crate) struct Ending;

impl Known for Ending {
    const NAMES: &'static [&'static str] = &["forget", "confirm"];
}

/// `DELETE /workers/{id}` takes no body.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NoBody {}

impl Payload for NoBody {
    const OPTIONAL: bool = true;
    type Params = Ending;
}

/// Changes name, tags, settings and guards, all or none.
#[cfg_attr(
    test,
    utoipa::path(
        patch, path = "/workers/{id}", operation_id = "patchWorker",
        request_body = PatchBody,
        responses((status = 200, body = WorkerView)),
    )
)]
pub(crate) async fn patch<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    named: Named,
    order: Order<PatchBody>,
) -> Result<Reply, Problem> {
    let command = order.body.check()?;
    api.carry_out(named, order, command, StatusCode::OK).await
}

/// Ends a worker and its instance, or only forgets it. What ends may have to be named, what is only forgotten lives on.
#[cfg_attr(
    test,
    utoipa::path(
        delete, path = "/workers/{id}", operation_id = "endWorker",
        params(
            ("forget" = Option<bool>, Query),
            ("confirm" = Option<String>, Query),
        ),
        responses((status = 202, body = WorkerView), (status = 200, body = WorkerView)),
    )
)]
pub(crate) async fn delete<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    named: Named,
    order: Order<NoBody>,
) -> Result<Reply, Problem> {
    let confirm = order.params.text("confirm").map(str::to_owned);
    let mut faults = Faults::default();
    match order.params.text("forget") {
        None | Some("false") => {
            return api.carry_out(named, order, Command::Terminate { confirm }, StatusCode::ACCEPTED).await;
        }
        Some("true") if confirm.is_none() => {
            return api.carry_out(named, order, Command::Forget, StatusCode::OK).await;
        }
        Some("true") => {
            faults.add("confirm", "is for what ends the instance, and forgetting does not", None);
        }
        Some(_) => faults.add("forget", "must be true or false", Some("true, false".to_owned())),
    }
    Err(faults.problem(Kind::InvalidParameter))
}

/// Lets a worker run.
#[cfg_attr(
    test,
    utoipa::path(
        post, path = "/workers/{id}/start", operation_id = "startWorker",
        request_body = Nothing,
        responses((status = 202, body = WorkerView), (status = 200, body = WorkerView)),
    )
)]
pub(crate) async fn start<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    named: Named,
    order: Order<Nothing>,
) -> Result<Reply, Problem> {
    api.carry_out(named, order, Command::Start, StatusCode::ACCEPTED).await
}

/// Lets a worker be stopped.
#[cfg_attr(
    test,
    utoipa::path(
        post, path = "/workers/{id}/stop", operation_id = "stopWorker",
        request_body = Nothing,
        responses((status = 202, body = WorkerView), (status = 200, body = WorkerView)),
    )
)]
pub(crate) async fn stop<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    named: Named,
    order: Order<Nothing>,
) -> Result<Reply, Problem> {
    api.carry_out(named, order, Command::Stop, StatusCode::ACCEPTED).await
}

/// Reboots a worker.
#[cfg_attr(
    test,
    utoipa::path(
        post, path = "/workers/{id}/reboot", operation_id = "rebootWorker",
        request_body = Nothing,
        responses((status = 202, body = WorkerView), (status = 200, body = WorkerView)),
    )
)]
pub(crate) async fn reboot<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    named: Named,
    order: Order<Nothing>,
) -> Result<Reply, Problem> {
    api.carry_out(named, order, Command::Reboot, StatusCode::ACCEPTED).await
}

/// Asks for a look at a worker and its metrics now, instead of when it is due, and for another try with its tags if they
/// were given up.
#[cfg_attr(
    test,
    utoipa::path(
        post, path = "/workers/{id}/sync", operation_id = "syncWorker",
        request_body = Nothing,
        responses((status = 202, body = WorkerView)),
    )
)]
pub(crate) async fn sync<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    Named(id): Named,
    order: Order<Nothing>,
) -> Result<Reply, Problem> {
    let api = &*api;
    let Order { caller, expected, key, .. } = order;
    let by = caller.actor();
    api.once(key, |this| async move {
        let stored = api.fleet().execute(id, Command::Sync, by, expected, this.tried).await?.stored;
        let request = CollectionRequested {
            region: stored.worker.state().region.to_string(),
            workers: vec![id.to_string()],
            metrics: vec![id.to_string()],
            all_metrics: true,
            tick: api.ports.clock().now().as_millisecond(),
        };
        api.ports.bus().request(&[Request::Collect(request)]).await?;
        api.show(StatusCode::ACCEPTED, &stored)
    })
    .await
}

impl<P: Ports> Api<P> {
    /// Carries out a command. `done` is the status if it changed something; what is as asked already is `200 OK`.
    async fn carry_out<B: Payload + Send>(
        &self,
        Named(id): Named,
        order: Order<B>,
        command: Command,
        done: StatusCode,
    ) -> Result<Reply, Problem> {
        let Order { caller, expected, key, .. } = order;
        let by = caller.actor();
        self.once(key, |this| async move {
            let changed = self.fleet().execute(id, command, by, expected, this.tried).await?;
            let status = if changed.events.is_empty() { StatusCode::OK } else { done };
            self.show(status, &changed.stored)
        })
        .await
    }
}
