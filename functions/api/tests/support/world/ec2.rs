//! EC2, as far as the API asks it.

use app::error::CallError;
use app::ports::{self, Answered, ImageFound, ImageQuery, Instance, InstanceQuery, InstanceStatus, Page};
use domain::{InstanceId, Region, WorkerId};

use super::World;

/// Of more than these nobody can tell the newest.
const MOST_IMAGES: usize = 1000;

fn is_in(region: &Region, instance: &Instance) -> bool {
    instance.zone.as_ref().is_some_and(|zone| zone.as_str().starts_with(region.as_str()))
}

impl ports::Compute for World {
    async fn statuses(&self, _: &Region, _: &[InstanceId]) -> Result<Answered<InstanceStatus>, CallError> {
        unreachable!("the API does not read status checks")
    }

    async fn describe(&self, region: &Region, ids: &[InstanceId]) -> Result<Answered<Instance>, CallError> {
        let mut state = self.call().await;
        if let Some(error) = state.failing_describes.pop_front() {
            return Err(error);
        }
        let (known, unknown): (Vec<_>, Vec<_>) = ids.iter().cloned().partition(|id| {
            state.instances.iter().any(|known| known.instance == *id && is_in(region, known))
        });
        let found = state.instances.iter().filter(|instance| known.contains(&instance.instance)).cloned();
        Ok(Answered { found: found.collect(), unknown })
    }

    async fn locate(&self, _: &Region, _: WorkerId) -> Result<Vec<Instance>, CallError> {
        unreachable!("the API does not look for launches")
    }

    async fn image(&self, region: &Region, query: &ImageQuery) -> Result<ImageFound, CallError> {
        let mut state = self.call().await;
        if let Some(error) = state.failing_describes.pop_front() {
            return Err(error);
        }
        state.image_queries.push(query.clone());
        if state.images.get(region).is_some_and(|all| all.len() > MOST_IMAGES) {
            return Ok(ImageFound::TooMany);
        }
        Ok(state.image.clone().map_or(ImageFound::None, ImageFound::One))
    }

    async fn images(
        &self,
        region: &Region,
        name: &str,
        most: usize,
    ) -> Result<Option<Vec<String>>, CallError> {
        let mut state = self.call().await;
        state.image_names.push((region.clone(), name.to_owned()));
        let images = state.images.get(region).cloned().unwrap_or_default();
        Ok((images.len() <= most).then_some(images))
    }

    async fn search(
        &self,
        region: &Region,
        query: &InstanceQuery,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Option<Page<Instance>>, CallError> {
        let mut state = self.call().await;
        if let Some(error) = state.failing_describes.pop_front() {
            return Err(error);
        }
        state.searches.push((region.clone(), query.clone(), limit));
        let carries = |instance: &&Instance| {
            let mut tags = query.tags.iter();
            is_in(region, instance)
                && tags.all(|(key, value)| {
                    instance.tags.get(key.as_str()).is_some_and(|is| is == value.as_str())
                })
        };
        let all: Vec<Instance> = state.instances.iter().filter(carries).cloned().collect();
        let Some(start) = after.map_or(Some(0), |after| after.parse().ok()) else { return Ok(None) };
        let end = all.len().min(start + limit as usize);
        let next = (end < all.len()).then(|| end.to_string());
        Ok(Some(Page { items: all[start.min(end)..end].to_vec(), next }))
    }
}
