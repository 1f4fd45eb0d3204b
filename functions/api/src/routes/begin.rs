//! `POST /workers`: how a worker comes to be that has no instance yet.

use std::sync::Arc;

use app::error::{Error, StoreError};
use app::ports::{Clock, Compute, ImageFound, ImageQuery, UserDataVault, WantedImage, Workers};
use axum::extract::State;
use axum::http::StatusCode;
use domain::{CreateWorker, ImageOwner, Name, Overrides, Region, UserData, WorkerId};
use serde::Deserialize;

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
    api.once(order.key, |this| async move {
        let id = this.identity;
        // What an earlier try of this very request has created stays created, also if its image is gone by now.
        if this.tried.is_some_and(|tried| tried.again)
            && let Some(stored) = api.ports.workers().load(id).await?
        {
            return api.show(StatusCode::CREATED, &stored);
        }
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

/// A creation, checked as far as its body goes.
#[derive(Debug)]
struct Creation {
    command: CreateWorker,
    /// The image that EC2 has to be asked for.
    image: Option<ImageQuery>,
    user_data: Option<UserData>,
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
        let mut faults = Faults::default();
        let found = self.ports.compute().image(region, query).await?;
        let owners: Vec<&str> = query.owners.iter().map(ImageOwner::as_str).collect();
        let owners = owners.join(", ");
        let detail = match (found, &query.image) {
            (ImageFound::One(image), _) => return Ok(image),
            (ImageFound::TooMany, _) => {
                let detail = format!("too many images in {region}, of {owners}, have such a name");
                faults.add("spec.image.name", detail, Some("a name with fewer wildcards".to_owned()));
                return Err(faults.problem(Kind::InvalidValue));
            }
            (ImageFound::None, WantedImage::Id(id)) => {
                format!("EC2 has no image {id} in {region} that is available and of the owners {owners}")
            }
            (ImageFound::None, WantedImage::Newest(_)) => {
                format!("EC2 has no image with such a name in {region} that is available and of {owners}")
            }
        };
        let allowed = format!("an image that is available in {region}, of: {owners}");
        faults.add("spec.image", detail, Some(allowed));
        Err(faults.problem(Kind::InvalidValue))
    }
}

pub(super) fn overrides(faults: &mut Faults, settings: Option<&Object<SettingsBody>>) -> Overrides {
    settings.map(|body| body.0.check(faults).applied_to(&Overrides::default())).unwrap_or_default()
}

/// A failure to begin a worker. If the table could not even be asked whether the worker is there, it may be: the
/// identity stays reserved.
pub(super) fn under_reserved_identity(error: Error) -> Problem {
    let uncertain = matches!(error, Error::Unanswered(_) | Error::Store(StoreError::Unavailable(_)));
    Problem::from(error).uncertain(uncertain)
}
