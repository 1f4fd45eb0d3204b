//! The body of `POST /commands`: what is asked, and of whom.

use app::record::Stored;
use domain::{Bulk, BulkKind, InvalidId, OutOfRange, Region, Status, TagKey, TagValue, TagsPatch, WorkerId};
use serde::Deserialize;
use serde_json::Number;
use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;
use wildmatch::WildMatch;

use super::MAX_WORKERS;
use crate::body::{Entries, Object};
use crate::input::{Faults, tags, tags_patch};
#[cfg(test)]
use crate::openapi::is;
use crate::order::Payload;
use crate::params::NoParams;
use crate::problem::{Kind, Problem};
use crate::routes::read::living;

/// How many workers can be named one by one: as many as fit a body.
pub(crate) const MAX_NAMED: usize = 1000;

/// What is asked of many workers, and of which: those that are named, or those a filter wants.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = NewCommand))]
pub(crate) struct CommandBody {
    #[cfg_attr(test, schema(required, value_type = is::BulkKind))]
    action: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::WorkerIds>))]
    workers: Option<Vec<String>>,
    #[cfg_attr(test, schema(value_type = Option<FilterBody>))]
    filter: Option<Object<FilterBody>>,
    #[cfg_attr(test, schema(value_type = Option<is::TagsPatch>))]
    tags: Option<Entries<Option<String>>>,
    #[cfg_attr(test, schema(value_type = Option<is::Confirmation>))]
    confirm: Option<Number>,
    dry_run: Option<bool>,
}

/// The living workers for which all of it is true.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Filter))]
pub(crate) struct FilterBody {
    #[cfg_attr(test, schema(value_type = Option<is::Region>))]
    region: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::LivingStatus>))]
    status: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::NamePattern>))]
    name: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Tags>))]
    tags: Option<Entries<String>>,
}

impl Payload for CommandBody {
    const KEYED: bool = true;
    type Params = NoParams;
}

/// What is asked, checked.
#[derive(Debug)]
pub(super) struct Wanted {
    pub(super) bulk: Bulk,
    pub(super) target: Target,
    pub(super) confirm: Option<u32>,
    pub(super) dry_run: bool,
}

/// Whom it is asked of.
#[derive(Debug)]
pub(super) enum Target {
    These(Vec<WorkerId>),
    Those(Filter),
}

/// Which workers are meant.
#[derive(Debug)]
pub(super) struct Filter {
    pub(super) region: Option<Region>,
    status: Option<Status>,
    name: Option<NamePattern>,
    tags: BTreeMap<TagKey, TagValue>,
}

impl Filter {
    pub(super) fn wants(&self, stored: &Stored) -> bool {
        let worker = &stored.worker;
        let has = |(key, value): (&TagKey, &TagValue)| worker.state().tags.get(key) == Some(value);
        !worker.is_over()
            && self.status.is_none_or(|status| worker.status() == status)
            && self.name.as_ref().is_none_or(|name| name.matches(worker.state().name.as_str()))
            && self.tags.iter().all(has)
    }
}

/// Names of workers: one, such as `lab-1`, or several, such as `lab-*`.
#[derive(Debug)]
struct NamePattern(WildMatch);

impl NamePattern {
    fn matches(&self, name: &str) -> bool {
        self.0.matches(name)
    }
}

impl FromStr for NamePattern {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        let known = |b: u8| b.is_ascii_alphanumeric() || b"-_.*?".contains(&b);
        if (1..=63).contains(&text.len()) && text.bytes().all(known) {
            return Ok(Self(WildMatch::new(text)));
        }
        Err(InvalidId { rule: PATTERN })
    }
}

/// The rule of a pattern of names.
pub(crate) const PATTERN: &str = "a worker's name, in which * is any text and ? any character";

impl CommandBody {
    pub(super) fn check(&self, enabled: &[Region]) -> Result<Wanted, Problem> {
        let mut faults = Faults::default();
        let kind = faults.require::<BulkKind>("action", self.action.as_deref());
        let target = self.target(&mut faults, enabled);
        let tags = self.tags_for(kind, &mut faults);
        let confirm = self.confirm.as_ref().and_then(|number| {
            if kind.is_some_and(|kind| kind != BulkKind::Terminate) {
                faults.add("confirm", "is for what ends workers", None);
            }
            faults.whole("confirm", number, |number| {
                let max = u32::try_from(MAX_WORKERS).unwrap_or(u32::MAX);
                if (1..=max).contains(&number) { Ok(number) } else { Err(OutOfRange { min: 1, max }) }
            })
        });
        faults.check(Kind::InvalidValue)?;
        match (kind, target) {
            (Some(kind), Some(target)) => {
                let dry_run = self.dry_run.unwrap_or_default();
                Ok(Wanted { bulk: Bulk::new(kind, tags), target, confirm, dry_run })
            }
            // Whatever is missing is a fault.
            _ => Err(Faults::default().problem(Kind::InvalidValue)),
        }
    }

    fn tags_for(&self, kind: Option<BulkKind>, faults: &mut Faults) -> TagsPatch {
        match (&self.tags, kind) {
            (Some(entries), Some(BulkKind::Tag) | None) if !entries.0.is_empty() => {
                tags_patch(faults, entries)
            }
            (None, Some(BulkKind::Tag)) | (Some(_), Some(BulkKind::Tag)) => {
                let allowed = Some("tags to set, and with null to remove".to_owned());
                faults.add("tags", "says which tags to change, and is needed for that", allowed);
                TagsPatch::default()
            }
            (Some(_), Some(_)) => {
                faults.add("tags", "is for the action tag", None);
                TagsPatch::default()
            }
            (Some(_) | None, None) | (None, Some(_)) => TagsPatch::default(),
        }
    }

    fn target(&self, faults: &mut Faults, enabled: &[Region]) -> Option<Target> {
        match (&self.workers, &self.filter) {
            (Some(ids), None) => these(faults, ids).map(Target::These),
            (None, Some(filter)) => Some(Target::Those(filter.0.check(faults, enabled))),
            (Some(_), Some(_)) => {
                faults.add("filter", "cannot be given beside workers", Some("one of the two".to_owned()));
                None
            }
            (None, None) => {
                let allowed = Some("the ids of workers, or a filter; {} wants all".to_owned());
                faults.add("workers", "is required, unless there is a filter", allowed);
                None
            }
        }
    }
}

fn these(faults: &mut Faults, ids: &[String]) -> Option<Vec<WorkerId>> {
    if ids.is_empty() || ids.len() > MAX_NAMED {
        let allowed = Some(format!("1 to {MAX_NAMED} ids, or a filter"));
        faults.add("workers", format!("must be 1 to {MAX_NAMED} ids"), allowed);
        return None;
    }
    let mut seen = BTreeSet::new();
    let mut checked = Vec::new();
    for (index, id) in ids.iter().enumerate() {
        let field = format!("workers[{index}]");
        let Some(id) = faults.parse::<WorkerId>(&field, id) else { continue };
        if !seen.insert(id) {
            faults.add(field, "is named twice", None);
        }
        checked.push(id);
    }
    Some(checked)
}

impl FilterBody {
    fn check(&self, faults: &mut Faults, enabled: &[Region]) -> Filter {
        let region = self.region.as_deref().and_then(|region| faults.parse("filter.region", region));
        let region = region.and_then(|region| faults.enabled("filter.region", region, enabled));
        let status = self.status.as_deref().and_then(|status| living(faults, "filter.status", status));
        let name = self.name.as_deref().and_then(|name| faults.parse("filter.name", name));
        let tags = self.tags.as_ref().map(|entries| tags(faults, Some(entries))).unwrap_or_default();
        Filter { region, status, name, tags }
    }
}
