//! `POST /workers/import`: workers for instances that exist, for one that is named, or for all that are found.

use std::sync::Arc;

use app::discover::{DiscoverError, Discovery, Found, Item};
use app::error::StoreError;
use app::import::{Importer, Naming, Refusal, Sight, Taken, Terms};
use app::ports::{Clock, Compute, Ids, Instance, InstanceKey};
use axum::extract::State;
use axum::http::StatusCode;
use domain::{Actor, InstanceId, Name, WorkerId};
use serde::{Deserialize, Serialize};
use serde_json::Number;

use super::begin::{overrides, under_reserved_identity};
use crate::body::{Entries, Object};
use crate::discovery::{Asked, FindBody, Wanted};
use crate::failure::bad_cursor;
use crate::headers::unconditional;
use crate::input::{Faults, SettingsBody, tags};
#[cfg(test)]
use crate::openapi::is;
use crate::order::{Order, Payload};
use crate::params::NoParams;
use crate::problem::{Kind, Problem};
use crate::reply::Reply;
#[cfg(test)]
use crate::view::WorkerView;
use crate::{Api, Ports};

/// The body of `POST /workers/import`: one instance by `instance_id`, or several by `instance_ids` or `find`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ImportedInstance))]
pub(crate) struct ImportBody {
    instance_id: Option<String>,
    region: Option<String>,
    name: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Tags>))]
    tags: Option<Entries<String>>,
    #[cfg_attr(test, schema(value_type = Option<SettingsBody>))]
    settings: Option<Object<SettingsBody>>,
    held: Option<String>,
    protected: Option<bool>,
    adopt_orphans: Option<bool>,
    instance_ids: Option<Vec<String>>,
    #[cfg_attr(test, schema(value_type = Option<FindBody>))]
    find: Option<Object<FindBody>>,
    regions: Option<Vec<String>>,
    dry_run: Option<bool>,
    #[cfg_attr(test, schema(value_type = Option<u32>))]
    limit: Option<Number>,
    cursor: Option<String>,
}

impl Payload for ImportBody {
    const KEYED: bool = true;
    type Params = NoParams;
}

/// An import, checked as far as its body goes.
#[derive(Debug)]
enum Importing {
    /// One instance: the answer is its worker.
    One { key: InstanceKey, naming: Naming },
    /// All that are found: the answer says what came of each.
    Many { wanted: Wanted, dry_run: bool },
}

/// What came of each instance of a page.
#[derive(Debug, Serialize)]
struct FoundJson {
    items: Vec<ItemJson>,
    next: Option<String>,
    counts: Counts,
}

/// What came of one instance.
#[derive(Debug, Serialize)]
struct ItemJson {
    instance_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    region: Option<String>,
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    worker_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<ReasonJson>,
}

/// Why an instance got no worker: the `type` and `detail` of the problem that it would be on its own.
#[derive(Debug, Serialize)]
struct ReasonJson {
    r#type: String,
    detail: String,
}

/// How often each outcome is among the items.
#[derive(Debug, Default, Serialize)]
struct Counts {
    imported: u32,
    would_import: u32,
    known: u32,
    refused: u32,
    failed: u32,
}

/// Takes over instances that exist; `act` tags them.
#[cfg_attr(
    test,
    utoipa::path(
        post, path = "/workers/import", operation_id = "importInstance",
        request_body = ImportBody,
        responses((status = 201, body = WorkerView)),
    )
)]
pub(crate) async fn import<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    order: Order<ImportBody>,
) -> Result<Reply, Problem> {
    unconditional(order.expected)?;
    let (importing, terms) = api.checked_import(&order.body)?;
    let (api, by) = (&*api, order.by);
    match importing {
        Importing::One { key, naming } => {
            api.once(order.key, |id| async move { api.import_one(id, key, &naming, &terms, &by).await }).await
        }
        // Nothing is done that must not be done twice: the same question again is another look, under the same key, too.
        Importing::Many { wanted, dry_run: true } => {
            api.import_many(api.ports.ids().worker_id(), wanted, true, &terms, &by).await
        }
        Importing::Many { wanted, dry_run: false } => {
            api.once(order.key, |id| async move { api.import_many(id, wanted, false, &terms, &by).await })
                .await
        }
    }
}

impl<P: Ports> Api<P> {
    fn checked_import(&self, body: &ImportBody) -> Result<(Importing, Terms), Problem> {
        let mut faults = Faults::default();
        let importing = if body.instance_ids.is_some() || body.find.is_some() {
            self.checked_many(&mut faults, body)
        } else {
            self.checked_one(&mut faults, body)
        };
        let terms = Terms {
            tags: tags(&mut faults, body.tags.as_ref()),
            overrides: overrides(&mut faults, body.settings.as_ref()),
            held: body.held.as_deref().and_then(|reason| faults.parse("held", reason)),
            protected: body.protected.unwrap_or_default(),
            adopt_orphans: body.adopt_orphans.unwrap_or_default(),
            respect_forgotten: false,
        };
        match importing {
            Some(importing) => faults.check(Kind::InvalidValue).map(|()| (importing, terms)),
            None => Err(faults.problem(Kind::InvalidValue)),
        }
    }

    fn checked_one(&self, faults: &mut Faults, body: &ImportBody) -> Option<Importing> {
        let many = [
            ("regions", body.regions.is_some()),
            ("dry_run", body.dry_run.is_some()),
            ("limit", body.limit.is_some()),
            ("cursor", body.cursor.is_some()),
        ];
        refuse(faults, many, "goes with instance_ids or find only");
        let instance = faults.require::<InstanceId>("instance_id", body.instance_id.as_deref());
        let region = faults.region(body.region.as_deref(), &self.regions);
        let name = body.name.as_deref().map(|name| faults.parse::<Name>("name", name));
        let naming = match name {
            Some(name) => Naming::Given(name?),
            None => Naming::Tagged,
        };
        let key = InstanceKey { account: self.account.clone(), region: region?, instance: instance? };
        Some(Importing::One { key, naming })
    }

    fn checked_many(&self, faults: &mut Faults, body: &ImportBody) -> Option<Importing> {
        let one = [
            ("instance_id", body.instance_id.is_some()),
            ("find", body.instance_ids.is_some() && body.find.is_some()),
            ("region", body.region.is_some()),
            ("name", body.name.is_some()),
        ];
        refuse(faults, one, "does not go with instance_ids or find");
        let asked = Asked {
            instance_ids: body.instance_ids.as_deref(),
            find: body.find.as_ref(),
            regions: body.regions.as_deref(),
            limit: body.limit.as_ref(),
            cursor: body.cursor.as_deref(),
        };
        let wanted = asked.check(faults, &self.regions)?;
        Some(Importing::Many { wanted, dry_run: body.dry_run.unwrap_or_default() })
    }

    fn importer<'a>(&'a self, terms: &'a Terms, by: &'a Actor) -> Importer<'a, P::Workers, P::Clock> {
        Importer { fleet: self.fleet(), account: &self.account, terms, by }
    }

    async fn import_one(
        &self,
        id: WorkerId,
        key: InstanceKey,
        naming: &Naming,
        terms: &Terms,
        by: &Actor,
    ) -> Result<Reply, Problem> {
        let importer = self.importer(terms, by);
        let taken = match importer.known(id, &key).await.map_err(under_reserved_identity)? {
            Some(taken) => taken,
            None => {
                let at = self.ports.clock().now();
                let instance = self.look_up(&key).await?;
                let sight = Sight { instance, region: key.region, at, seen_at: self.ports.clock().now() };
                importer.import(id, &sight, naming).await.map_err(under_reserved_identity)?
            }
        };
        match taken {
            Taken::Imported(stored) => self.show(StatusCode::CREATED, &stored),
            Taken::Known(owner) => Err(Problem::from(StoreError::InstanceTaken).about(owner)),
            Taken::Refused(refusal) => Err(refusal.into()),
            Taken::WouldImport(_) => Err(Problem::new(Kind::Internal, "nothing was imported")),
        }
    }

    async fn look_up(&self, key: &InstanceKey) -> Result<Instance, Problem> {
        let ids = std::slice::from_ref(&key.instance);
        let answered = self.ports.compute().describe(&key.region, ids).await?;
        if let Some(found) = answered.found.into_iter().find(|found| found.instance == key.instance) {
            return Ok(found);
        }
        if answered.unknown.contains(&key.instance) {
            let (instance, regions) = (key.instance.clone(), vec![key.region.clone()]);
            return Err(Refusal::NoSuchInstance { instance, regions }.into());
        }
        Err(Problem::new(Kind::Unavailable, "EC2 did not answer for the instance; try again").retry_after(2))
    }

    async fn import_many(
        &self,
        id: WorkerId,
        wanted: Wanted,
        dry_run: bool,
        terms: &Terms,
        by: &Actor,
    ) -> Result<Reply, Problem> {
        let (importer, compute) = (self.importer(terms, by), self.ports.compute());
        let discovery = Discovery { importer, compute, regions: &wanted.regions, dry_run };
        let Found { items, next } = discovery.page(id, &wanted.sought, wanted.start()?, wanted.limit).await?;
        let mut counts = Counts::default();
        let items = items.into_iter().map(|item| ItemJson::of(item, &mut counts)).collect();
        let next = next.map(|next| wanted.cursor(next));
        Reply::json(StatusCode::OK, &FoundJson { items, next, counts })
    }
}

/// Refuses the fields that are given.
fn refuse<const N: usize>(faults: &mut Faults, fields: [(&str, bool); N], detail: &str) {
    for (field, _) in fields.into_iter().filter(|(_, given)| *given) {
        let allowed = "instance_id with region and name, or instance_ids or find with regions, dry_run, limit and cursor";
        faults.add(field, detail, Some(allowed.to_owned()));
    }
}

impl ItemJson {
    fn of(item: Item, counts: &mut Counts) -> Self {
        let (mut worker_id, mut name, mut reason) = (None, None, None);
        let (outcome, count) = match item.outcome {
            Ok(Taken::Imported(stored)) => {
                worker_id = Some(stored.worker.id().to_string());
                name = Some(stored.worker.state().name.to_string());
                ("imported", &mut counts.imported)
            }
            Ok(Taken::WouldImport(would)) => {
                name = Some(would.to_string());
                ("would_import", &mut counts.would_import)
            }
            Ok(Taken::Known(worker)) => {
                worker_id = Some(worker.to_string());
                ("known", &mut counts.known)
            }
            Ok(Taken::Refused(refusal)) => {
                reason = Some(ReasonJson::from(&Problem::from(refusal)));
                ("refused", &mut counts.refused)
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "instance not imported");
                reason = Some(ReasonJson::from(&Problem::from(error)));
                ("failed", &mut counts.failed)
            }
        };
        *count += 1;
        let (instance_id, region) = (item.instance.to_string(), item.region.map(|region| region.to_string()));
        Self { instance_id, region, outcome, worker_id, name, reason }
    }
}

impl From<&Problem> for ReasonJson {
    fn from(problem: &Problem) -> Self {
        Self { r#type: problem.kind.uri(), detail: problem.detail().to_owned() }
    }
}

impl From<DiscoverError> for Problem {
    fn from(error: DiscoverError) -> Self {
        match error {
            DiscoverError::BadPosition => bad_cursor(),
            DiscoverError::Failed(error) => error.into(),
            DiscoverError::TooManyImages { .. } => {
                let mut faults = Faults::default();
                let allowed = Some("a name with fewer wildcards".to_owned());
                faults.add("find.image_name", error.to_string(), allowed);
                faults.problem(Kind::InvalidValue)
            }
        }
    }
}
