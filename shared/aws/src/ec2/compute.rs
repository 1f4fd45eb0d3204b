//! Reading EC2.

use std::collections::{BTreeMap, BTreeSet};

use app::error::CallError;
use app::ports::{
    Answered, Compute, ImageFound, ImageQuery, Instance, InstanceQuery, InstanceStatus, Page, WantedImage,
};
use aws_sdk_ec2::Client;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_ec2::types::{Filter, Image};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_types::SdkConfig;
use domain::{ImageOwner, InstanceId, Region, WORKER_TAG, WorkerId};

use super::read;
use crate::call::failed;
use crate::clients::Regional;

/// `DescribeInstanceStatus` takes at most this many ids.
const MOST_IDS: usize = 100;
/// Calls for one question, whatever EC2 makes of its ids.
const MOST_CALLS: usize = 16;
/// Pages of one listing.
const MOST_PAGES: usize = 10;
/// Pages of images, of which somebody waits for the newest: up to 3000 of them.
const MOST_IMAGE_PAGES: usize = 3;

/// The states of instances that are neither ending nor have ended.
const LIVING: [&str; 4] = ["pending", "running", "stopping", "stopped"];

/// EC2's read-only calls.
#[derive(Debug)]
pub struct Ec2Compute {
    clients: Regional<Client>,
}

/// One call's answer: it went well, or it named an unknown id in this message.
type Tried<T> = Result<Result<Vec<T>, String>, CallError>;

impl Ec2Compute {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self { clients: Regional::new(config, Client::new) }
    }

    /// Asks about ids although one that EC2 does not know fails the whole call: those it names are taken out, and if it
    /// names none that were asked for, the ids are asked for by halves.
    async fn ask<T, F: Future<Output = Tried<T>>>(
        ids: &[InstanceId],
        key: fn(&T) -> &InstanceId,
        call: impl Fn(Vec<String>) -> F,
    ) -> Result<Answered<T>, CallError> {
        let wanted: BTreeSet<&InstanceId> = ids.iter().collect();
        let mut found = BTreeMap::new();
        let mut unknown = Vec::new();
        let distinct: Vec<InstanceId> = wanted.iter().copied().cloned().collect();
        let mut open: Vec<Vec<InstanceId>> = distinct.chunks(MOST_IDS).map(<[_]>::to_vec).collect();
        let mut calls = 0;
        while let Some(batch) = open.pop() {
            if calls == MOST_CALLS {
                let left = batch.len() + open.iter().map(Vec::len).sum::<usize>();
                tracing::warn!(
                    left,
                    "EC2 does not know too many of the ids; the rest is asked for next time"
                );
                break;
            }
            calls += 1;
            match call(batch.iter().map(InstanceId::to_string).collect()).await? {
                Ok(items) => {
                    let asked = items.into_iter().filter(|item| wanted.contains(key(item)));
                    found.extend(asked.map(|item| (key(&item).clone(), item)));
                }
                Err(message) => {
                    let named = named(&message);
                    let (gone, rest): (Vec<_>, Vec<_>) =
                        batch.into_iter().partition(|id| named.contains(id.as_str()));
                    if !gone.is_empty() {
                        unknown.extend(gone);
                        open.extend((!rest.is_empty()).then_some(rest));
                    } else if let [only] = rest.as_slice() {
                        unknown.push(only.clone());
                    } else {
                        open.extend(rest.chunks(rest.len().div_ceil(2)).map(<[_]>::to_vec));
                    }
                }
            }
        }
        Ok(Answered { found: found.into_values().collect(), unknown })
    }
}

/// Everything in a message that looks like an instance id.
fn named(message: &str) -> BTreeSet<&str> {
    message
        .split(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .filter(|word| word.starts_with("i-"))
        .collect()
}

/// The id is none of an image that we may see.
fn is_no_such_image(code: Option<&str>) -> bool {
    matches!(code, Some("InvalidAMIID.NotFound" | "InvalidAMIID.Malformed" | "InvalidAMIID.Unavailable"))
}

/// The position is none that EC2 gave, or is too old.
fn is_no_such_position(code: Option<&str>) -> bool {
    matches!(code, Some("InvalidNextToken" | "InvalidPaginationToken" | "InvalidParameterValue"))
}

fn filter(name: impl Into<String>, value: impl Into<String>) -> Filter {
    Filter::builder().name(name).values(value).build()
}

/// Tells "I know no such instance" from failures of the call.
fn or_unknown<T, E>(what: &'static str, error: SdkError<E, HttpResponse>) -> Tried<T>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match error.code() {
        Some("InvalidInstanceID.NotFound" | "InvalidInstanceID.Malformed") => {
            Ok(Err(error.message().unwrap_or_default().to_owned()))
        }
        _ => Err(failed(what, error)),
    }
}

impl Compute for Ec2Compute {
    async fn statuses(
        &self,
        region: &Region,
        ids: &[InstanceId],
    ) -> Result<Answered<InstanceStatus>, CallError> {
        const WHAT: &str = "EC2 DescribeInstanceStatus";
        let client = self.clients.at(region.as_str());
        let call = async |ids| {
            let request = client.describe_instance_status().include_all_instances(true);
            match request.set_instance_ids(Some(ids)).send().await {
                Ok(answer) => Ok(Ok(answer.instance_statuses().iter().filter_map(read::status).collect())),
                Err(error) => or_unknown(WHAT, error),
            }
        };
        Self::ask(ids, |status| &status.instance, call).await
    }

    async fn describe(&self, region: &Region, ids: &[InstanceId]) -> Result<Answered<Instance>, CallError> {
        const WHAT: &str = "EC2 DescribeInstances";
        let client = self.clients.at(region.as_str());
        let call = async |ids| match client.describe_instances().set_instance_ids(Some(ids)).send().await {
            Ok(answer) => Ok(Ok(instances(answer.reservations()).collect())),
            Err(error) => or_unknown(WHAT, error),
        };
        Self::ask(ids, |instance| &instance.instance, call).await
    }

    async fn locate(&self, region: &Region, worker: WorkerId) -> Result<Vec<Instance>, CallError> {
        let client = self.clients.at(region.as_str());
        let worker = worker.to_string();
        let filter = Filter::builder().name(format!("tag:{WORKER_TAG}")).values(&worker).build();
        let mut found = Vec::new();
        let mut next = None;
        for _ in 0..MOST_PAGES {
            let request = client.describe_instances().filters(filter.clone()).max_results(1000);
            let page = request.set_next_token(next).send().await;
            let page = page.map_err(|error| failed("EC2 DescribeInstances", error))?;
            let ours = |instance: &Instance| instance.tags.get(WORKER_TAG) == Some(&worker);
            found.extend(instances(page.reservations()).filter(ours));
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(found);
            }
        }
        let message = format!("EC2 DescribeInstances: more than {MOST_PAGES} pages for one worker");
        Err(CallError { message, retryable: false, cause: None })
    }

    async fn image(&self, region: &Region, query: &ImageQuery) -> Result<ImageFound, CallError> {
        const WHAT: &str = "EC2 DescribeImages";
        let client = self.clients.at(region.as_str());
        let owners: Vec<String> = query.owners.iter().map(ImageOwner::to_string).collect();
        let request = client
            .describe_images()
            .set_owners(Some(owners).filter(|owners| !owners.is_empty()))
            .filters(filter("state", "available"));
        // One id is one image; a name may be that of many.
        let request = match &query.image {
            WantedImage::Id(id) => request.image_ids(id),
            WantedImage::Newest(name) => request.filters(filter("name", name)).max_results(1000),
        };
        let mut newest = None;
        let mut next = None;
        for _ in 0..MOST_IMAGE_PAGES {
            let page = match request.clone().set_next_token(next).send().await {
                Ok(page) => page,
                Err(error) if is_no_such_image(error.code()) => return Ok(ImageFound::None),
                Err(error) => return Err(failed(WHAT, error)),
            };
            // EC2 writes times in one form, whose order is that of time.
            let dated =
                |image: &Image| Some((image.creation_date()?.to_owned(), image.image_id()?.to_owned()));
            newest = newest.max(page.images().iter().filter_map(dated).max());
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(newest.map_or(ImageFound::None, |(_, id)| ImageFound::One(id)));
            }
        }
        Ok(ImageFound::TooMany)
    }

    async fn images(
        &self,
        region: &Region,
        name: &str,
        most: usize,
    ) -> Result<Option<Vec<String>>, CallError> {
        const WHAT: &str = "EC2 DescribeImages";
        let client = self.clients.at(region.as_str());
        // What cannot be launched any more may run for years.
        let request = client
            .describe_images()
            .filters(filter("name", name))
            .include_deprecated(true)
            .include_disabled(true)
            .max_results(1000);
        let mut found = Vec::new();
        let mut next = None;
        for _ in 0..MOST_PAGES {
            let page = request.clone().set_next_token(next).send().await;
            let page = page.map_err(|error| failed(WHAT, error))?;
            found.extend(page.images().iter().filter_map(Image::image_id).map(str::to_owned));
            if found.len() > most {
                return Ok(None);
            }
            next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
            if next.is_none() {
                return Ok(Some(found));
            }
        }
        let message = format!("{WHAT}: more than {MOST_PAGES} pages of images with one name");
        Err(CallError { message, retryable: false, cause: None })
    }

    async fn search(
        &self,
        region: &Region,
        query: &InstanceQuery,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Option<Page<Instance>>, CallError> {
        let states = LIVING.map(str::to_owned).to_vec();
        let mut filters =
            vec![Filter::builder().name("instance-state-name").set_values(Some(states)).build()];
        filters.extend(query.tags.iter().map(|(key, value)| filter(format!("tag:{key}"), value.as_str())));
        if !query.images.is_empty() {
            filters.push(Filter::builder().name("image-id").set_values(Some(query.images.clone())).build());
        }
        let request = self.clients.at(region.as_str()).describe_instances().set_filters(Some(filters));
        let request = request.max_results(i32::try_from(limit).unwrap_or(1000));
        let page = match request.set_next_token(after.map(str::to_owned)).send().await {
            Ok(page) => page,
            Err(error) if after.is_some() && is_no_such_position(error.code()) => return Ok(None),
            Err(error) => return Err(failed("EC2 DescribeInstances", error)),
        };
        let next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
        Ok(Some(Page { items: instances(page.reservations()).collect(), next }))
    }
}

fn instances(reservations: &[aws_sdk_ec2::types::Reservation]) -> impl Iterator<Item = Instance> + '_ {
    reservations.iter().flat_map(|reservation| {
        let owner = reservation.owner_id();
        reservation.instances().iter().filter_map(move |instance| read::instance(instance, owner))
    })
}
