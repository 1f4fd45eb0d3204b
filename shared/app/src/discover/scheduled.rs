//! The discovery of the schedule: whatever carries the fleet's tag, in all regions, as far as the time goes.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use domain::{AnyTagKey, TagValue, WorkerId};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::{DiscoverError, Discovery, Find, Item, LONGEST_VALUE, Place};
use crate::error::Error;
use crate::import::Taken;
use crate::ports::{Clock, Compute, Workers};

/// How long a run goes on beginning with instances and searches. Its function has 55 seconds.
const RUN_BUDGET: SignedDuration = SignedDuration::from_secs(35);
/// How many instances one search is asked for.
const PAGE: u32 = 500;
/// How many instances one line of the log names.
const MOST_NAMED: usize = 10;

/// A tag that marks instances as workers of this fleet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TagSought {
    /// Its key.
    pub key: AnyTagKey,
    /// Its value.
    pub value: TagValue,
}

/// Why a text is no such tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NotATag;

impl fmt::Display for NotATag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("must be a tag as key=value: a key of 1 to 128 and a value of at most 255 letters, digits, spaces or _.:/+-@, the value also with =")
    }
}

impl FromStr for TagSought {
    type Err = NotATag;

    fn from_str(text: &str) -> Result<Self, NotATag> {
        let (key, value) = text.split_once('=').ok_or(NotATag)?;
        let value: TagValue = value.parse().map_err(|_| NotATag)?;
        if value.as_str().chars().count() > LONGEST_VALUE {
            return Err(NotATag);
        }
        Ok(Self { key: key.parse().map_err(|_| NotATag)?, value })
    }
}

/// What a run came to. Every instance that was looked at is in exactly one of `imported`, `known`, `refused` and `failed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DiscoverReport {
    /// Regions searched to their end.
    pub regions_searched: u32,
    /// Regions in which a search failed.
    pub regions_failed: u32,
    /// Regions that the time did not suffice for, wholly or in part; the next run gets further.
    pub regions_unfinished: u32,
    /// Instances that have a new worker.
    pub imported: u32,
    /// Instances that had one.
    pub known: u32,
    /// Instances that get none, by the reason.
    pub refused: BTreeMap<String, u32>,
    /// Instances whose import failed; the next run tries again.
    pub failed: u32,
}

/// What a run has met and has to say something about: by reason, how many, and some of them.
#[derive(Debug, Default)]
struct Said(BTreeMap<&'static str, Vec<String>>);

impl<W: Workers, K: Clock, C: Compute> Discovery<'_, W, K, C> {
    /// Imports what carries the tag, region by region, until all is done or the time is up. What is not reached is left to
    /// the next run, which passes quickly over what has a worker by then; a region that fails does not keep the others.
    ///
    /// # Errors
    /// The last region's error, if no region could be searched.
    pub async fn run(&self, request: WorkerId, tag: &TagSought) -> Result<DiscoverReport, Error> {
        let until = self.importer.fleet.clock.now() + RUN_BUDGET;
        let find = Find { tags: BTreeMap::from([(tag.key.clone(), tag.value.clone())]), image_name: None };
        let (mut report, mut said, mut last_error) = (DiscoverReport::default(), Said::default(), None);
        for region in self.regions {
            let mut place = Some(Place::default());
            while let Some(here) = place {
                if self.importer.fleet.clock.now() >= until {
                    report.regions_unfinished += 1;
                    break;
                }
                match self.stretch(request, region, &find, &here, (PAGE, PAGE as usize), until).await {
                    Ok((items, next)) => {
                        items.iter().for_each(|item| report.count(item, &mut said));
                        report.regions_searched += u32::from(next.is_none());
                        place = next;
                    }
                    Err(error) => {
                        tracing::warn!(region = %region, error = &error as &dyn std::error::Error, "region not searched");
                        report.regions_failed += 1;
                        last_error = Some(error);
                        break;
                    }
                }
            }
        }
        said.log();
        match last_error {
            Some(DiscoverError::Failed(error))
                if report.regions_searched + report.regions_unfinished == 0 && report.looked_at() == 0 =>
            {
                Err(error)
            }
            _ => Ok(report),
        }
    }
}

impl DiscoverReport {
    fn looked_at(&self) -> u32 {
        self.imported + self.known + self.failed + self.refused.values().sum::<u32>()
    }

    fn count(&mut self, item: &Item, said: &mut Said) {
        let instance = item.instance.to_string();
        match &item.outcome {
            Ok(Taken::Imported(_) | Taken::WouldImport(_)) => self.imported += 1,
            Ok(Taken::Known(_)) => self.known += 1,
            Ok(Taken::Refused(refusal)) => {
                *self.refused.entry(refusal.as_str().to_owned()).or_default() += 1;
                said.0.entry(refusal.as_str()).or_default().push(instance);
            }
            Err(error) => {
                // The first one stands for all: they fail together or one in a while.
                if self.failed == 0 {
                    tracing::warn!(
                        instance,
                        error = error as &dyn std::error::Error,
                        "instance not imported"
                    );
                }
                self.failed += 1;
            }
        }
    }
}

impl Said {
    /// One line for each reason. An instance that is refused is refused again in the next run: nobody is woken up for it.
    fn log(&self) {
        for (reason, instances) in &self.0 {
            let some = instances.iter().take(MOST_NAMED).map(String::as_str).collect::<Vec<_>>().join(", ");
            tracing::info!(reason, count = instances.len(), instances = some, "instances get no worker");
        }
    }
}
