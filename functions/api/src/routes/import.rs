//! `POST /workers/import`: workers for instances that exist, for one that is named, or for all that are found.

use std::sync::Arc;

use app::discover::{DiscoverError, Discovery, Found, Item, Position};
use app::error::StoreError;
use app::import::{Importer, Naming, Refusal, Sight, Taken, Terms};
use app::ports::{Clock, Compute, Instance, InstanceKey};
use axum::extract::State;
use axum::http::StatusCode;
use domain::{Actor, InstanceId, Name, WorkerId};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use super::begin::{overrides, under_reserved_identity};
use crate::body::{Entries, Object, Read};
use crate::discovery::{DiscoveryBody, Wanted};
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

/// The body of `POST /workers/import`: one instance, or many.
#[derive(Debug)]
#[cfg_attr(test, derive(utoipa::ToSchema), serde(untagged), schema(as = Import))]
pub(crate) enum ImportBody {
    One(InstanceBody),
    Many(DiscoveryBody),
}

/// The body that is about one instance.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ImportedInstance))]
pub(crate) struct InstanceBody {
    #[cfg_attr(test, schema(required, value_type = is::InstanceId))]
    instance_id: Option<String>,
    #[cfg_attr(test, schema(required, value_type = is::Region))]
    region: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Name>))]
    name: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Tags>))]
    tags: Option<Entries<String>>,
    #[cfg_attr(test, schema(value_type = Option<SettingsBody>))]
    settings: Option<Object<SettingsBody>>,
    #[cfg_attr(test, schema(value_type = Option<is::HoldReason>))]
    held: Option<String>,
    protected: Option<bool>,
    /// Take over an instance also if its tag names a worker that this fleet has no record of.
    adopt_orphans: Option<bool>,
}

/// What tells the two forms apart, whatever is in it.
#[derive(Debug, Deserialize)]
struct Signs {
    instance_id: Option<IgnoredAny>,
    instance_ids: Option<IgnoredAny>,
    find: Option<IgnoredAny>,
    regions: Option<IgnoredAny>,
    dry_run: Option<IgnoredAny>,
    limit: Option<IgnoredAny>,
    cursor: Option<IgnoredAny>,
}

impl Signs {
    const fn are_of_many(&self) -> bool {
        let Self { instance_id, instance_ids, find, regions, dry_run, limit, cursor } = self;
        instance_id.is_none()
            && (instance_ids.is_some()
                || find.is_some()
                || regions.is_some()
                || dry_run.is_some()
                || limit.is_some()
                || cursor.is_some())
    }
}

impl Read for ImportBody {
    fn read(bytes: &[u8]) -> Result<Self, Problem> {
        if Signs::read(bytes)?.are_of_many() {
            DiscoveryBody::read(bytes).map(Self::Many)
        } else {
            InstanceBody::read(bytes).map(Self::One)
        }
    }
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
    Many(Wanted),
}

/// What came of each instance of a page.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Discovered))]
#[expect(missing_docs, reason = "the names are those of the JSON")]
pub struct FoundJson {
    pub items: Vec<ItemJson>,
    pub next: Option<String>,
    pub counts: Counts,
}

/// What came of one instance.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = DiscoveredInstance))]
#[expect(missing_docs, reason = "the names are those of the JSON")]
pub struct ItemJson {
    #[cfg_attr(test, schema(value_type = is::InstanceId))]
    pub instance_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::Region>))]
    pub region: Option<String>,
    pub outcome: Outcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::WorkerId>))]
    pub worker_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[cfg_attr(test, schema(value_type = Option<is::Name>))]
    pub name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<ReasonJson>,
}

/// It has a new worker; it would get one; it has one already; it gets none like this; something else failed, ask again.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[serde(rename_all = "snake_case")]
#[cfg_attr(test, derive(utoipa::ToSchema))]
#[expect(missing_docs, reason = "the names are those of the JSON")]
pub enum Outcome {
    Imported,
    WouldImport,
    Known,
    Refused,
    Failed,
}

/// Why an instance got no worker: the `type` and `detail` of the problem that it would be on its own.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = WhyNot))]
#[expect(missing_docs, reason = "the names are those of the JSON")]
pub struct ReasonJson {
    #[cfg_attr(test, schema(value_type = is::ProblemType))]
    pub r#type: String,
    pub detail: String,
}

/// How often each outcome is among the items.
#[derive(Debug, Default, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = OutcomeCounts))]
#[expect(missing_docs, reason = "the names are those of the JSON")]
pub struct Counts {
    pub imported: u32,
    pub would_import: u32,
    pub known: u32,
    pub refused: u32,
    pub failed: u32,
}

/// Takes over instances that exist; `act` tags them.
#[cfg_attr(
    test,
    utoipa::path(
        post, path = "/workers/import", operation_id = "importInstance",
        request_body = ImportBody,
        responses((status = 201, body = WorkerView), (status = 200, body = FoundJson)),
    )
)]
pub(crate) async fn import<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    order: Order<ImportBody>,
) -> Result<Reply, Problem> {
    unconditional(order.expected)?;
    let (importing, terms) = api.checked_import(&order.body)?;
    let (api, by) = (&*api, order.caller.actor());
    match importing {
        Importing::One { key, naming } => {
            api.once(order.key, |this| async move {
                api.import_one(this.identity, key, &naming, &terms, &by).await
            })
            .await
        }
        Importing::Many(wanted) => {
            let start = wanted.start()?;
            // A dry run does nothing that must not be done twice: the same again is another look, under the same key, too.
            let key = order.key.filter(|_| !wanted.dry_run);
            api.once(
                key,
                |this| async move { api.import_many(this.identity, wanted, start, &terms, &by).await },
            )
            .await
        }
    }
}

/// What the new workers get.
fn terms(
    faults: &mut Faults,
    own: Option<&Entries<String>>,
    settings: Option<&Object<SettingsBody>>,
    held: Option<&str>,
    protected: Option<bool>,
    adopt_orphans: Option<bool>,
) -> Terms {
    Terms {
        tags: tags(faults, own),
        overrides: overrides(faults, settings),
        held: held.and_then(|reason| faults.parse("held", reason)),
        protected: protected.unwrap_or_default(),
        adopt_orphans: adopt_orphans.unwrap_or_default(),
        respect_forgotten: false,
    }
}

impl<P: Ports> Api<P> {
    fn checked_import(&self, body: &ImportBody) -> Result<(Importing, Terms), Problem> {
        let mut faults = Faults::default();
        let (importing, terms) = match body {
            ImportBody::One(body) => {
                let InstanceBody { tags, settings, held, protected, adopt_orphans, .. } = body;
                let one = self.checked_one(&mut faults, body);
                let (tags, settings, held) = (tags.as_ref(), settings.as_ref(), held.as_deref());
                (one, terms(&mut faults, tags, settings, held, *protected, *adopt_orphans))
            }
            ImportBody::Many(body) => {
                let DiscoveryBody { tags, settings, held, protected, adopt_orphans, .. } = body;
                let many = body.check(&mut faults, &self.regions).map(Importing::Many);
                let (tags, settings, held) = (tags.as_ref(), settings.as_ref(), held.as_deref());
                (many, terms(&mut faults, tags, settings, held, *protected, *adopt_orphans))
            }
        };
        match importing {
            Some(importing) => faults.check(Kind::InvalidValue).map(|()| (importing, terms)),
            None => Err(faults.problem(Kind::InvalidValue)),
        }
    }

    fn checked_one(&self, faults: &mut Faults, body: &InstanceBody) -> Option<Importing> {
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
        start: Option<Position>,
        terms: &Terms,
        by: &Actor,
    ) -> Result<Reply, Problem> {
        let (importer, compute) = (self.importer(terms, by), self.ports.compute());
        let discovery = Discovery { importer, compute, regions: &wanted.regions, dry_run: wanted.dry_run };
        let Found { items, next } = discovery.page(id, &wanted.sought, start, wanted.limit).await?;
        let mut counts = Counts::default();
        let items = items.into_iter().map(|item| ItemJson::of(item, &mut counts)).collect();
        let next = next.map(|next| wanted.cursor(next));
        Reply::json(StatusCode::OK, &FoundJson { items, next, counts })
    }
}

impl ItemJson {
    fn of(item: Item, counts: &mut Counts) -> Self {
        let (mut worker_id, mut name, mut reason) = (None, None, None);
        let (outcome, count) = match item.outcome {
            Ok(Taken::Imported(stored)) => {
                worker_id = Some(stored.worker.id().to_string());
                name = Some(stored.worker.state().name.to_string());
                (Outcome::Imported, &mut counts.imported)
            }
            Ok(Taken::WouldImport(would)) => {
                name = Some(would.to_string());
                (Outcome::WouldImport, &mut counts.would_import)
            }
            Ok(Taken::Known(worker)) => {
                worker_id = Some(worker.to_string());
                (Outcome::Known, &mut counts.known)
            }
            Ok(Taken::Refused(refusal)) => {
                reason = Some(ReasonJson::from(&Problem::from(refusal)));
                (Outcome::Refused, &mut counts.refused)
            }
            Err(error) => {
                let instance = item.instance.as_str();
                tracing::warn!(instance, error = &error as &dyn std::error::Error, "instance not imported");
                reason = Some(ReasonJson::from(&Problem::from(error)));
                (Outcome::Failed, &mut counts.failed)
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
