//! A discovery: instances that a search finds, or that are named, each looked at on its own and imported if it is free.
//!
//! A caller gets it page by page, the schedule in one go; both in bounded time. There is nothing to remember in between:
//! an instance that has a worker is known the next time, and what was not reached is found again.

mod scheduled;

use std::collections::BTreeMap;

use domain::{AnyTagKey, InstanceId, Region, TagValue, Timestamp, WorkerId};
use futures_util::StreamExt;
use futures_util::stream;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::error::{CallError, Error};
use crate::import::{Importer, Naming, Refusal, Sight, Taken};
use crate::ports::{Answered, Clock, Compute, InstanceKey, InstanceQuery, Page, Workers};

pub use scheduled::{DiscoverReport, TagSought};

/// The tags instances are sought by at most.
pub const MOST_TAGS: usize = 10;
/// The images one name may stand for. EC2 takes at most 200 values in all filters of a call together (EC2 user guide,
/// "Filtering"), and beside the images there are the tags and the four states of what does not end.
pub const MOST_IMAGES: usize = 200 - MOST_TAGS - 4;
/// The longest value a filter of EC2 takes, in characters: one less than a tag may have.
pub const LONGEST_VALUE: usize = 255;
/// EC2 gives no fewer instances a page (EC2 API reference, "`DescribeInstances`").
const LEAST_PAGE: u32 = 5;
/// How many searches one page makes at most; those that find nothing count, too.
const MOST_SEARCHES: u32 = 10;
/// How long a page goes on beginning with instances and searches. Well below the 15 seconds its function has.
const PAGE_BUDGET: SignedDuration = SignedDuration::from_secs(5);
/// How many instances are judged and imported at the same time, and how many regions are asked.
const AT_ONCE: usize = 8;

/// Which instances are meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Sought {
    /// These, wherever they are; at most 100.
    Named(Vec<InstanceId>),
    /// Those that are like this.
    Like(Find),
}

/// What instances are sought by: everything that is given.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Find {
    /// Tags that they carry.
    pub tags: BTreeMap<AnyTagKey, TagValue>,
    /// What the image is called that they were launched from: `*` stands for any text, `?` for any one character.
    pub image_name: Option<String>,
}

/// Where the next page begins.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Position {
    /// So many named instances were looked at.
    Named(usize),
    /// A place in a search.
    Found {
        /// The region.
        region: String,
        /// EC2's position; `None` at the beginning.
        after: Option<String>,
        /// So many instances of EC2's page were looked at.
        skip: usize,
    },
}

/// What came of one instance.
#[derive(Debug)]
pub struct Item {
    /// The instance.
    pub instance: InstanceId,
    /// Where it is, if it was found.
    pub region: Option<Region>,
    /// What came of it. A failure is this instance's and nobody else's.
    pub outcome: Result<Taken, Error>,
}

/// One page. It may be short, even empty, and have a `next`.
#[derive(Debug)]
pub struct Found {
    /// The instances, in the order in which they are named or found.
    pub items: Vec<Item>,
    /// Where the next page begins; `None` at the end.
    pub next: Option<Position>,
}

/// Why there is no page.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// The name stands for too many images.
    #[error("more than {MOST_IMAGES} images in {region} have such a name")]
    TooManyImages {
        /// Where.
        region: Region,
    },
    /// The position is not one of this discovery's, or EC2 does not know it any more.
    #[error("the position is not one of this discovery's")]
    BadPosition,
    /// EC2 or a table failed.
    #[error("the search could not go on")]
    Failed(#[from] Error),
}

impl From<CallError> for DiscoverError {
    fn from(error: CallError) -> Self {
        Self::Failed(error.into())
    }
}

/// What a discovery needs.
#[derive(Debug)]
pub struct Discovery<'a, W, K, C> {
    /// Imports what is found, on its terms.
    pub importer: Importer<'a, W, K>,
    /// EC2, to read.
    pub compute: &'a C,
    /// Where to look, in this order.
    pub regions: &'a [Region],
    /// Only says what would come of it, and writes nothing.
    pub dry_run: bool,
}

/// An instance to look at, or one that there is nothing to look at of.
enum Candidate {
    Seen(Box<Sight>),
    Settled(Item),
}

/// A place in the search of one region.
#[derive(Debug, Clone, Default)]
struct Place {
    after: Option<String>,
    skip: usize,
}

impl<W: Workers, K: Clock, C: Compute> Discovery<'_, W, K, C> {
    /// One page of at most `limit` instances. `request` is the same on every try of the request, and with it are the
    /// identities of the workers: what an earlier try made is not made again.
    ///
    /// # Errors
    /// [`DiscoverError`], if nothing was done.
    pub async fn page(
        &self,
        request: WorkerId,
        sought: &Sought,
        from: Option<Position>,
        limit: u32,
    ) -> Result<Found, DiscoverError> {
        let until = self.importer.fleet.clock.now() + PAGE_BUDGET;
        match (sought, from) {
            (Sought::Named(ids), None) => self.named(request, ids, 0, limit, until).await,
            (Sought::Named(ids), Some(Position::Named(skip))) if skip < ids.len() => {
                self.named(request, ids, skip, limit, until).await
            }
            (Sought::Like(find), None) => self.like(request, find, 0, Place::default(), limit, until).await,
            (Sought::Like(find), Some(Position::Found { region, after, skip })) => {
                let first = self.regions.iter().position(|known| known.as_str() == region);
                let first = first.ok_or(DiscoverError::BadPosition)?;
                self.like(request, find, first, Place { after, skip }, limit, until).await
            }
            (Sought::Named(_) | Sought::Like(_), Some(_)) => Err(DiscoverError::BadPosition),
        }
    }

    async fn named(
        &self,
        request: WorkerId,
        ids: &[InstanceId],
        skip: usize,
        limit: u32,
        until: Timestamp,
    ) -> Result<Found, DiscoverError> {
        let end = ids.len().min(skip + limit as usize);
        let candidates = self.look_up(&ids[skip..end]).await?;
        let items = self.settle(request, candidates, until).await;
        let done = skip + items.len();
        Ok(Found { items, next: (done < ids.len()).then_some(Position::Named(done)) })
    }

    /// Asks every region about these. Only what all of them have answered is unknown.
    async fn look_up(&self, ids: &[InstanceId]) -> Result<Vec<Candidate>, CallError> {
        let clock = self.importer.fleet.clock;
        let answers: Vec<_> = stream::iter(self.regions.to_vec())
            .map(|region| async move {
                let at = clock.now();
                let answer = self.compute.describe(&region, ids).await;
                (region, at, clock.now(), answer)
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        let (mut seen, mut unknown, mut failure) = (BTreeMap::new(), BTreeMap::new(), None);
        let mut asked = 0;
        for (region, at, seen_at, answer) in answers {
            match answer {
                Ok(Answered { found, unknown: ids }) => {
                    asked += 1;
                    ids.into_iter().for_each(|id| *unknown.entry(id).or_insert(0) += 1);
                    let sights = found.into_iter().map(|instance| {
                        let id = instance.instance.clone();
                        (id, Sight { instance, region: region.clone(), at, seen_at })
                    });
                    seen.extend(sights);
                }
                Err(error) => {
                    tracing::warn!(region = %region, error = &error as &dyn std::error::Error, "instances not looked up");
                    failure = Some(error);
                }
            }
        }
        match failure {
            Some(error) if asked == 0 => return Err(error),
            _ => {}
        }
        let candidate = |id: &InstanceId| match seen.remove(id) {
            Some(sight) => Candidate::Seen(Box::new(sight)),
            None => {
                let everywhere = unknown.get(id) == Some(&self.regions.len());
                let outcome = if everywhere {
                    let (instance, regions) = (id.clone(), self.regions.to_vec());
                    Ok(Taken::Refused(Refusal::NoSuchInstance { instance, regions }))
                } else {
                    let message = "EC2 did not answer for the instance".to_owned();
                    Err(CallError { message, retryable: true, cause: None }.into())
                };
                Candidate::Settled(Item { instance: id.clone(), region: None, outcome })
            }
        };
        Ok(ids.iter().map(candidate).collect())
    }

    async fn like(
        &self,
        request: WorkerId,
        find: &Find,
        first: usize,
        start: Place,
        limit: u32,
        until: Timestamp,
    ) -> Result<Found, DiscoverError> {
        // A page that begins within one of EC2's ends with it: else all that follow would be two searches each.
        let (aligns, mut start) = (start.skip > 0, Some(start));
        let (mut items, mut searches) = (Vec::new(), 0);
        for region in &self.regions[first..] {
            let mut place = Some(start.take().unwrap_or_default());
            while let Some(here) = place {
                let left = limit as usize - items.len();
                let late = searches > 0 && self.importer.fleet.clock.now() >= until;
                let full = left == 0 || (aligns && !items.is_empty());
                if full || searches == MOST_SEARCHES || late {
                    return Ok(Found { items, next: Some(here.within(region)) });
                }
                searches += 1;
                let size = limit.max(LEAST_PAGE);
                match self.stretch(request, region, find, &here, (size, left), until).await {
                    Ok((more, next)) => {
                        items.extend(more);
                        place = next;
                    }
                    Err(error) if items.is_empty() => return Err(error),
                    // What was done is told; the next page says what is wrong, if it still is.
                    Err(error) => {
                        tracing::warn!(region = %region, error = &error as &dyn std::error::Error, "region not searched");
                        return Ok(Found { items, next: Some(here.within(region)) });
                    }
                }
            }
        }
        Ok(Found { items, next: None })
    }

    /// Looks at what one search finds, in pages of `size`, of which `most` are looked at, and says where to go on in this region.
    async fn stretch(
        &self,
        request: WorkerId,
        region: &Region,
        find: &Find,
        place: &Place,
        (size, most): (u32, usize),
        until: Timestamp,
    ) -> Result<(Vec<Item>, Option<Place>), DiscoverError> {
        let Some(query) = self.query(region, find).await? else { return Ok((Vec::new(), None)) };
        let clock = self.importer.fleet.clock;
        let at = clock.now();
        let page = self.compute.search(region, &query, place.after.as_deref(), size).await?;
        let Page { items, next } = page.ok_or(DiscoverError::BadPosition)?;
        let (seen_at, found) = (clock.now(), items.len());
        let sight = |instance| Sight { instance, region: region.clone(), at, seen_at };
        let candidates = items.into_iter().skip(place.skip).take(most);
        let candidates = candidates.map(|instance| Candidate::Seen(Box::new(sight(instance)))).collect();
        let items = self.settle(request, candidates, until).await;
        let done = place.skip + items.len();
        let next = if done < found {
            Some(Place { after: place.after.clone(), skip: done })
        } else {
            next.map(|after| Place { after: Some(after), skip: 0 })
        };
        Ok((items, next))
    }

    /// What EC2 is asked for in a region; `None` if nothing there can be like it. EC2 filters by the image's id, not by its name.
    async fn query(&self, region: &Region, find: &Find) -> Result<Option<InstanceQuery>, DiscoverError> {
        let tags = find.tags.clone();
        let Some(name) = &find.image_name else {
            return Ok(Some(InstanceQuery { tags, images: Vec::new() }));
        };
        let images = self.compute.images(region, name, MOST_IMAGES).await?;
        let images = images.ok_or_else(|| DiscoverError::TooManyImages { region: region.clone() })?;
        Ok((!images.is_empty()).then_some(InstanceQuery { tags, images }))
    }

    /// Begins with one after the other until the time is up, but with the first one in any case; gives those it began with.
    async fn settle(&self, request: WorkerId, candidates: Vec<Candidate>, until: Timestamp) -> Vec<Item> {
        let items: Vec<Option<Item>> = stream::iter(candidates.into_iter().enumerate())
            .map(|(number, candidate)| async move {
                let sight = match candidate {
                    Candidate::Settled(item) => return Some(item),
                    Candidate::Seen(sight) => sight,
                };
                if number > 0 && self.importer.fleet.clock.now() >= until {
                    return None;
                }
                let outcome = self.one(request, &sight).await;
                let Sight { instance, region, .. } = *sight;
                Some(Item { instance: instance.instance, region: Some(region), outcome })
            })
            .buffered(AT_ONCE)
            .collect()
            .await;
        items.into_iter().map_while(|item| item).collect()
    }

    async fn one(&self, request: WorkerId, sight: &Sight) -> Result<Taken, Error> {
        let key = sight.key();
        let id = identity(request, &key);
        if self.dry_run {
            return self.importer.preview(id, sight, &Naming::TaggedIfFree).await;
        }
        match self.importer.known(id, &key).await? {
            Some(taken) => Ok(taken),
            None => self.importer.import(id, sight, &Naming::TaggedIfFree).await,
        }
    }
}

impl Place {
    fn within(self, region: &Region) -> Position {
        Position::Found { region: region.to_string(), after: self.after, skip: self.skip }
    }
}

/// The worker that a request makes of an instance: the same one on every try.
fn identity(request: WorkerId, key: &InstanceKey) -> WorkerId {
    request.derived(&format!("{}/{}/{}", key.account, key.region, key.instance))
}
