//! EC2, as it is looked at.

use std::collections::BTreeSet;

use app::error::CallError;
use app::ports::{
    Answered, Compute, ImageFound, ImageQuery, Instance, InstanceQuery, InstanceStatus, Page, WantedImage,
};
use domain::{CheckStatus, InstanceId, Region, WORKER_TAG, WorkerId};
use wildmatch::WildMatch;

use super::{Ami, World, broken};

impl Compute for World {
    async fn statuses(
        &self,
        region: &Region,
        ids: &[InstanceId],
    ) -> Result<Answered<InstanceStatus>, CallError> {
        let mut state = self.state();
        let dark = state.is_dark(ids);
        state.ask("statuses", dark)?;
        let mut answer = Answered { found: Vec::new(), unknown: Vec::new() };
        for id in ids.iter().collect::<BTreeSet<_>>() {
            state.settle(id);
            match state.seen(id).filter(|machine| machine.is_in(region)) {
                Some(machine) => answer.found.push(InstanceStatus {
                    instance: id.clone(),
                    observed: machine.observed,
                    system: if machine.impaired { CheckStatus::Impaired } else { CheckStatus::Ok },
                    reachability: CheckStatus::Ok,
                    ebs: CheckStatus::Ok,
                    zone: Some(machine.zone.clone()),
                }),
                None => answer.unknown.push(id.clone()),
            }
        }
        Ok(answer)
    }

    async fn describe(&self, region: &Region, ids: &[InstanceId]) -> Result<Answered<Instance>, CallError> {
        let mut state = self.state();
        state.now += state.slow_describe;
        let dark = state.is_dark(ids);
        state.ask("describe", dark)?;
        let mut answer = Answered { found: Vec::new(), unknown: Vec::new() };
        for id in ids.iter().collect::<BTreeSet<_>>() {
            match state.seen(id).filter(|machine| machine.is_in(region)) {
                Some(machine) => answer.found.push(machine.describe(id)),
                None => answer.unknown.push(id.clone()),
            }
        }
        Ok(answer)
    }

    async fn locate(&self, _: &Region, worker: WorkerId) -> Result<Vec<Instance>, CallError> {
        let mut state = self.state();
        state.ask("locate", false)?;
        let tag = worker.to_string();
        let carriers = state
            .machines
            .iter()
            .filter(|(_, machine)| !machine.unseen && machine.tags.get(WORKER_TAG) == Some(&tag));
        Ok(carriers.map(|(id, machine)| machine.describe(id)).collect())
    }

    async fn image(&self, _: &Region, query: &ImageQuery) -> Result<ImageFound, CallError> {
        let mut state = self.state();
        state.ask("image", false)?;
        let is_meant = |image: &&Ami| {
            let owned = query.owners.iter().any(|owner| owner.as_str() == image.owner);
            (owned || query.owners.is_empty())
                && match &query.image {
                    WantedImage::Id(id) => *id == image.id,
                    WantedImage::Newest(name) => WildMatch::new(name).matches(&image.name),
                }
        };
        let newest = state.images.iter().filter(is_meant).max_by_key(|image| (&image.created, &image.id));
        Ok(newest.map_or(ImageFound::None, |image| ImageFound::One(image.id.clone())))
    }

    async fn images(&self, _: &Region, name: &str, most: usize) -> Result<Option<Vec<String>>, CallError> {
        let mut state = self.state();
        state.ask("images", false)?;
        let pattern = WildMatch::new(name);
        let called = state.images.iter().filter(|image| pattern.matches(&image.name));
        let ids: Vec<String> = called.map(|image| image.id.clone()).collect();
        Ok((ids.len() <= most).then_some(ids))
    }

    async fn search(
        &self,
        region: &Region,
        query: &InstanceQuery,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Option<Page<Instance>>, CallError> {
        let mut state = self.state();
        state.now += state.slow_search;
        if state.searches_left == Some(0) {
            return Err(broken("search"));
        }
        state.searches_left = state.searches_left.map(|left| left - 1);
        // Without ids it is a question to the whole region.
        let dark = state.dark.iter().any(|zone| zone.as_str().starts_with(region.as_str()));
        state.ask("search", dark)?;
        let after = match after.map(str::parse::<InstanceId>) {
            Some(Err(_)) => return Ok(None),
            Some(Ok(after)) => Some(after),
            None => None,
        };
        let mut found: Vec<Instance> = state
            .machines
            .iter()
            .filter(|(id, machine)| after.as_ref().is_none_or(|after| *id > after) && machine.is_in(region))
            .filter(|(_, machine)| machine.is_like(query))
            .map(|(id, machine)| machine.describe(id))
            .take(limit as usize + 1)
            .collect();
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|last| last.instance.to_string());
        Ok(Some(Page { items: found, next }))
    }
}
