//! `POST /workers` and `POST /workers/import`: how a worker comes to be.

use std::sync::Arc;

use app::error::{Error, StoreError};
use app::ports::{Clock, Compute, ImageQuery, Instance, InstanceKey, UserDataVault, WantedImage, Workers};
use axum::extract::State;
use axum::http::StatusCode;
use domain::{
    Actor, CreateWorker, Details, Evidence, Finding, HoldReason, ImageOwner, ImportWorker, InstanceId,
    NAME_TAG, Name, Overrides, Region, Source, TagKey, TagValue, UserData, WORKER_TAG, WorkerId,
};
use serde::Deserialize;
use std::collections::BTreeMap;

use crate::body::{Entries, Object};
use crate::headers::unconditional;
use crate::input::{Faults, SettingsBody, tags};
use crate::launch::{SpecBody, Wanted, wanted};
#[cfg(test)]
use crate::openapi::is;
use crate::order::{Order, Payload};
use crate::params::NoParams;
use crate::problem::{Kind, Problem};
use crate::reply::Reply;
#[cfg(test)]
use crate::view::WorkerView;
use crate::{Api, Ports};

/// The body of `POST /workers`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewWorker))]
pub(crate) struct CreateBody {
    #[cfg_attr(test, schema(required, value_type = is::Name))]
    name: Option<String>,
    #[cfg_attr(test, schema(required, value_type = is::Region))]
    region: Option<String>,
    #[cfg_attr(test, schema(required, value_type = SpecBody))]
    spec: Option<Object<SpecBody>>,
    #[cfg_attr(test, schema(value_type = Option<is::Tags>))]
    tags: Option<Entries<String>>,
    #[cfg_attr(test, schema(value_type = Option<SettingsBody>))]
    settings: Option<Object<SettingsBody>>,
    protected: Option<bool>,
}

impl Payload for CreateBody {
    const KEYED: bool = true;
    type Params = NoParams;
}

/// The body of `POST /workers/import`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = ImportedInstance))]
pub(crate) struct ImportBody {
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
}

impl Payload for ImportBody {
    const KEYED: bool = true;
    type Params = NoParams;
}

/// Records a worker; `act` launches its instance.
#[cfg_attr(
    test,
    utoipa::path(
        post, path = "/workers", operation_id = "createWorker",
        request_body = CreateBody,
        responses((status = 201, body = WorkerView)),
    )
)]
pub(crate) async fn create<P: Ports>(
    State(api): State<Arc<Api<P>>>,
    order: Order<CreateBody>,
) -> Result<Reply, Problem> {
    unconditional(order.expected)?;
    let Creation { mut command, image, user_data } = api.checked_creation(&order.body)?;
    let (api, by) = (&*api, order.caller.actor());
    api.once(order.key, |id| async move {
        if let Some(query) = image {
            // What is launched is fixed here: every try of the launch has to ask for the same.
            command.spec.image = Some(api.find_image(&command.region, &query).await?);
        }
        if let Some(data) = &user_data {
            api.keep_user_data(id, data).await?;
        }
        match api.fleet().create(id, command, by).await.map_err(under_reserved_identity) {
            Ok(created) => api.show(StatusCode::CREATED, &created.stored),
            Err(problem) => {
                // Whether there is a worker that needs it may not be known.
                if user_data.is_some() && !problem.uncertain {
                    api.forget_user_data(id).await;
                }
                Err(problem)
            }
        }
    })
    .await
}

/// Takes over an instance that exists; `act` tags it.
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
    let wanted = api.checked_import(&order.body)?;
    let (api, by) = (&*api, order.caller.actor());
    api.once(order.key, |id| api.carry_out_import(id, wanted, by)).await
}

/// A creation, checked as far as its body goes.
#[derive(Debug)]
struct Creation {
    command: CreateWorker,
    /// The image that EC2 has to be asked for.
    image: Option<ImageQuery>,
    user_data: Option<UserData>,
}

/// An import, checked as far as its body goes.
#[derive(Debug)]
struct Importing {
    key: InstanceKey,
    name: Option<Name>,
    tags: BTreeMap<TagKey, TagValue>,
    overrides: Overrides,
    held: Option<HoldReason>,
    protected: bool,
}

impl<P: Ports> Api<P> {
    fn checked_creation(&self, body: &CreateBody) -> Result<Creation, Problem> {
        let mut faults = Faults::default();
        let name = faults.require::<Name>("name", body.name.as_deref());
        let region = faults.region(body.region.as_deref(), &self.regions);
        let wanted = wanted(&mut faults, body.spec.as_ref().map(|spec| &spec.0), &self.allowed);
        let tags = tags(&mut faults, body.tags.as_ref());
        let overrides = overrides(&mut faults, body.settings.as_ref());
        match (name, region, wanted) {
            (Some(name), Some(region), Some(Wanted { spec, image, user_data })) => {
                faults.check(Kind::InvalidValue)?;
                let (account, protected) = (self.account.clone(), body.protected.unwrap_or_default());
                let command = CreateWorker { name, account, region, spec, tags, overrides, protected };
                Ok(Creation { command, image, user_data })
            }
            _ => Err(faults.problem(Kind::InvalidValue)),
        }
    }

    fn checked_import(&self, body: &ImportBody) -> Result<Importing, Problem> {
        let mut faults = Faults::default();
        let instance = faults.require::<InstanceId>("instance_id", body.instance_id.as_deref());
        let region = faults.region(body.region.as_deref(), &self.regions);
        let name = body.name.as_deref().and_then(|name| faults.parse("name", name));
        let tags = tags(&mut faults, body.tags.as_ref());
        let overrides = overrides(&mut faults, body.settings.as_ref());
        let held = body.held.as_deref().and_then(|reason| faults.parse("held", reason));
        let protected = body.protected.unwrap_or_default();
        match (instance, region) {
            (Some(instance), Some(region)) => {
                faults.check(Kind::InvalidValue)?;
                let key = InstanceKey { account: self.account.clone(), region, instance };
                Ok(Importing { key, name, tags, overrides, held, protected })
            }
            _ => Err(faults.problem(Kind::InvalidValue)),
        }
    }

    async fn carry_out_import(&self, id: WorkerId, wanted: Importing, by: Actor) -> Result<Reply, Problem> {
        let Importing { key, name, tags, overrides, held, protected } = wanted;
        match self.ports.workers().owner(&key).await? {
            // An earlier try of this very request got as far as this.
            Some(owner) if owner == id => return self.show(StatusCode::CREATED, &self.load(id).await?),
            Some(owner) => return Err(Problem::from(StoreError::InstanceTaken).about(owner)),
            None => {}
        }
        let at = self.ports.clock().now();
        let instance = self.look_up(&key).await?;
        self.unclaimed(&instance).await?;
        let name = match name {
            Some(name) => name,
            None => default_name(&instance, &key)?,
        };
        let evidence = Evidence {
            finding: Finding::State { observed: instance.observed, details: details(&instance) },
            source: Source::Describe,
            at,
            seen_at: self.ports.clock().now(),
        };
        let InstanceKey { account, region, instance } = key.clone();
        let command =
            ImportWorker { name, account, region, instance, evidence, tags, overrides, protected, held };
        match self.fleet().import(id, command, by).await {
            Ok(imported) => self.show(StatusCode::CREATED, &imported.stored),
            Err(Error::Store(StoreError::InstanceTaken)) => {
                let problem = Problem::from(StoreError::InstanceTaken);
                let owner = self.ports.workers().owner(&key).await?;
                Err(owner.into_iter().fold(problem, Problem::about))
            }
            Err(error) => Err(under_reserved_identity(error)),
        }
    }

    /// Two fleets must not drive one instance. Its managed tag has the same value in all of them, so whose it is, is in the
    /// tag with the worker's id: nobody's without one, free again if that worker of ours is over.
    async fn unclaimed(&self, instance: &Instance) -> Result<(), Problem> {
        let Some(tag) = instance.tags.get(WORKER_TAG) else { return Ok(()) };
        let Ok(named) = tag.parse::<WorkerId>() else { return Err(claimed("something")) };
        match self.ports.workers().load(named).await? {
            Some(stored) if stored.worker.is_over() => Ok(()),
            // It has another instance: the tag came along with a copy of that one's.
            Some(stored)
                if stored.worker.state().instance.as_ref().is_some_and(|its| *its != instance.instance) =>
            {
                Err(copied(named).about(named))
            }
            Some(_) => Err(Problem::from(StoreError::InstanceTaken).about(named)),
            None => Err(claimed(&format!("worker {named}"))),
        }
    }

    /// Keeps user data for the launch, before there is a worker that could be launched without it. If an earlier try of
    /// this request got as far as the worker, its user data was kept then, and may have been used since.
    async fn keep_user_data(&self, id: WorkerId, data: &UserData) -> Result<(), Problem> {
        if self.ports.workers().load(id).await?.is_none() {
            self.ports.user_data().keep(id, data, self.ports.clock().now()).await?;
        }
        Ok(())
    }

    /// Nobody needs it. If that fails it is forgotten when its time is up.
    async fn forget_user_data(&self, id: WorkerId) {
        if let Err(error) = self.ports.user_data().forget(id).await {
            tracing::warn!(worker.id = %id, error = %error, "user data not forgotten");
        }
    }

    /// The id of the image that is meant, or a problem that names the field.
    async fn find_image(&self, region: &Region, query: &ImageQuery) -> Result<String, Problem> {
        if let Some(image) = self.ports.compute().image(region, query).await? {
            return Ok(image);
        }
        let owners: Vec<&str> = query.owners.iter().map(ImageOwner::as_str).collect();
        let owners = owners.join(", ");
        let detail = match &query.image {
            WantedImage::Id(id) => {
                format!("EC2 has no image {id} in {region} that is available and of the owners {owners}")
            }
            WantedImage::Newest(_) => {
                format!("EC2 has no image with such a name in {region} that is available and of {owners}")
            }
        };
        let mut faults = Faults::default();
        let allowed = format!("an image that is available in {region}, of: {owners}");
        faults.add("spec.image", detail, Some(allowed));
        Err(faults.problem(Kind::InvalidValue))
    }

    async fn look_up(&self, key: &InstanceKey) -> Result<Instance, Problem> {
        let answered =
            self.ports.compute().describe(&key.region, std::slice::from_ref(&key.instance)).await?;
        let found = answered.found.into_iter().find(|found| found.instance == key.instance);
        match found {
            Some(instance) if instance.account == key.account => Ok(instance),
            None if !answered.unknown.contains(&key.instance) => {
                Err(Problem::new(Kind::Unavailable, "EC2 did not answer for the instance; try again")
                    .retry_after(2))
            }
            Some(_) | None => {
                Err(Problem::new(Kind::NoSuchInstance, no_such_instance(&key.instance, &key.region)))
            }
        }
    }
}

fn claimed(by: &str) -> Problem {
    let detail = format!(
        "the instance's tag {WORKER_TAG} names {by} that this fleet has no record of; if another fleet answers for \
         the instance, forget it there first; then remove the tag from the instance and import it again"
    );
    Problem::new(Kind::InstanceClaimed, detail)
}

fn copied(named: WorkerId) -> Problem {
    let detail = format!(
        "the instance's tag {WORKER_TAG} names worker {named}, which answers for another instance; remove the tag from \
         this instance and import it again"
    );
    Problem::new(Kind::InstanceClaimed, detail)
}

fn no_such_instance(instance: &InstanceId, region: &Region) -> String {
    format!("EC2 knows no instance {instance} of this account in {region}")
}

fn overrides(faults: &mut Faults, settings: Option<&Object<SettingsBody>>) -> Overrides {
    settings.map(|body| body.0.check(faults).applied_to(&Overrides::default())).unwrap_or_default()
}

/// What EC2 calls the instance, if that can be a worker's name, else the instance's id.
fn default_name(instance: &Instance, key: &InstanceKey) -> Result<Name, Problem> {
    let tagged = instance.tags.get(NAME_TAG).and_then(|name| name.parse().ok());
    let id = || key.instance.as_str().parse().ok();
    tagged.or_else(id).ok_or_else(|| Problem::new(Kind::Internal, "the instance's id cannot be a name"))
}

fn details(instance: &Instance) -> Details {
    Details {
        state_reason: instance.state_reason.clone(),
        health: None,
        private_ip: instance.private_ip,
        public_ip: instance.public_ip,
        zone: instance.zone.clone(),
        instance_type: instance.instance_type.clone(),
    }
}

/// A failure to begin a worker. If the table could not even be asked whether the worker is there, it may be: the
/// identity stays reserved.
fn under_reserved_identity(error: Error) -> Problem {
    let uncertain = matches!(error, Error::Store(StoreError::Unavailable(_)));
    Problem::from(error).uncertain(uncertain)
}
