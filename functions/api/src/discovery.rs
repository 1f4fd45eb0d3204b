//! What instances `POST /workers/import` is to find: the form of its body that is about many, checked.

use std::collections::BTreeMap;

use app::discover::{Find, Position, Sought};
use domain::{AnyTagKey, InstanceId, OutOfRange, Region, TagValue};
use serde::Deserialize;
use serde_json::Number;

use crate::body::{Entries, Object};
use crate::cursor::Query;
use crate::input::{Faults, SettingsBody};
use crate::launch::image_name;
#[cfg(test)]
use crate::openapi::is;
use crate::problem::Problem;

pub(crate) const DEFAULT_LIMIT: u32 = 50;
pub(crate) const MAX_LIMIT: u32 = 100;
/// The most instances one request names.
pub(crate) const MAX_NAMED: usize = 100;
pub(crate) use app::discover::{LONGEST_VALUE, MOST_TAGS as MAX_TAGS};

/// What instances are sought by.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Find))]
pub(crate) struct FindBody {
    #[cfg_attr(test, schema(value_type = Option<is::SoughtTags>))]
    tags: Option<Entries<String>>,
    #[cfg_attr(test, schema(value_type = Option<is::ImageName>))]
    image_name: Option<String>,
}

/// The body of `POST /workers/import` that is about many instances: those that are named, or those that are found.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Discovery))]
pub(crate) struct DiscoveryBody {
    #[cfg_attr(test, schema(value_type = Option<is::InstanceIds>))]
    instance_ids: Option<Vec<String>>,
    #[cfg_attr(test, schema(value_type = Option<FindBody>))]
    find: Option<Object<FindBody>>,
    #[cfg_attr(test, schema(value_type = Option<is::Regions>))]
    regions: Option<Vec<String>>,
    /// Say what would come of it, and write nothing.
    dry_run: Option<bool>,
    #[cfg_attr(test, schema(value_type = Option<is::ImportLimit>))]
    limit: Option<Number>,
    #[cfg_attr(test, schema(value_type = Option<is::Cursor>))]
    cursor: Option<String>,
    #[cfg_attr(test, schema(value_type = Option<is::Tags>))]
    pub(crate) tags: Option<Entries<String>>,
    #[cfg_attr(test, schema(value_type = Option<SettingsBody>))]
    pub(crate) settings: Option<Object<SettingsBody>>,
    #[cfg_attr(test, schema(value_type = Option<is::HoldReason>))]
    pub(crate) held: Option<String>,
    pub(crate) protected: Option<bool>,
    /// Take over an instance also if its tag names a worker that this fleet has no record of.
    pub(crate) adopt_orphans: Option<bool>,
}

/// What is to be found, and which page of it.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) sought: Sought,
    pub(crate) regions: Vec<Region>,
    pub(crate) limit: u32,
    /// Nothing is to be written.
    pub(crate) dry_run: bool,
    /// Where the page begins, if it is not the first one.
    cursor: Option<String>,
    query: Query,
}

impl Wanted {
    /// Where the page begins.
    pub(crate) fn start(&self) -> Result<Option<Position>, Problem> {
        self.cursor.as_deref().map(|cursor| self.query.position(cursor)).transpose()
    }

    /// A position as a caller gets it.
    pub(crate) fn cursor(&self, position: Position) -> String {
        self.query.cursor(position)
    }
}

impl DiscoveryBody {
    /// Checks what is to be found. `None` with a fault.
    pub(crate) fn check(&self, faults: &mut Faults, enabled: &[Region]) -> Option<Wanted> {
        let sought = match (&self.instance_ids, &self.find) {
            (Some(ids), None) => named(faults, ids),
            (None, Some(find)) => like(faults, &find.0),
            (ids, _) => {
                let detail = if ids.is_some() {
                    "does not go with instance_ids"
                } else {
                    "is required, or instance_ids"
                };
                faults.add("find", detail, Some("instance_ids or find".to_owned()));
                None
            }
        };
        let names = self.regions.as_deref();
        let regions = names.map_or_else(|| Some(enabled.to_vec()), |names| regions(faults, names, enabled));
        let limit = self.limit.as_ref().map_or(Some(DEFAULT_LIMIT), |limit| {
            faults.whole("limit", limit, |limit| match limit {
                1..=MAX_LIMIT => Ok(limit),
                _ => Err(OutOfRange { min: 1, max: MAX_LIMIT }),
            })
        });
        let (sought, regions, limit) = (sought?, regions?, limit?);
        let asked = format!("{sought:?} {regions:?} {limit}");
        let query = Query::new("import", &[("", Some(&asked))]);
        let (dry_run, cursor) = (self.dry_run.unwrap_or_default(), self.cursor.clone());
        Some(Wanted { sought, regions, limit, dry_run, cursor, query })
    }
}

/// Instances, each once.
fn named(faults: &mut Faults, ids: &[String]) -> Option<Sought> {
    if ids.is_empty() || ids.len() > MAX_NAMED {
        let allowed = format!("1 to {MAX_NAMED} instances");
        faults.add("instance_ids", format!("must name {allowed}"), Some(allowed));
        return None;
    }
    let mut all: Vec<InstanceId> = Vec::new();
    let mut whole = true;
    for (index, id) in ids.iter().enumerate() {
        match faults.parse(&format!("instance_ids[{index}]"), id) {
            Some(id) if !all.contains(&id) => all.push(id),
            Some(_) => {}
            None => whole = false,
        }
    }
    whole.then_some(Sought::Named(all))
}

fn like(faults: &mut Faults, body: &FindBody) -> Option<Sought> {
    let entries = body.tags.as_ref().map_or(&[][..], |entries| &entries.0);
    if entries.is_empty() && body.image_name.is_none() {
        let allowed = Some("tags, image_name or both".to_owned());
        faults.add("find", "must say what instances are sought by", allowed);
        return None;
    }
    if entries.len() > MAX_TAGS {
        let allowed = Some(format!("at most {MAX_TAGS} tags"));
        faults.add("find.tags", format!("instances are sought by at most {MAX_TAGS} tags"), allowed);
        return None;
    }
    let image_name = match body.image_name.as_deref() {
        Some(name) => Some(image_name(faults, "find.image_name", name)?),
        None => None,
    };
    let mut tags = BTreeMap::new();
    for (key, value) in entries {
        let field = format!("find.tags.{key}");
        let key: Option<AnyTagKey> = faults.parse(&field, key);
        let value: Option<TagValue> = faults.parse(&field, value);
        if value.as_ref().is_some_and(|value| value.as_str().chars().count() > LONGEST_VALUE) {
            let allowed = format!("at most {LONGEST_VALUE} characters");
            faults.add(&*field, format!("EC2 seeks values of {allowed}"), Some(allowed));
            continue;
        }
        tags.extend(key.zip(value));
    }
    (tags.len() == entries.len()).then_some(Sought::Like(Find { tags, image_name }))
}

/// Regions of this deployment, each once, in the order in which they are given.
fn regions(faults: &mut Faults, names: &[String], enabled: &[Region]) -> Option<Vec<Region>> {
    if names.is_empty() {
        let allowed: Vec<&str> = enabled.iter().map(Region::as_str).collect();
        faults.add("regions", "must name a region, or be left out for all", Some(allowed.join(", ")));
        return None;
    }
    let mut all: Vec<Region> = Vec::new();
    let mut whole = true;
    for (index, name) in names.iter().enumerate() {
        let field = format!("regions[{index}]");
        match faults.parse(&field, name).and_then(|region| faults.enabled(&field, region, enabled)) {
            Some(region) if !all.contains(&region) => all.push(region),
            Some(_) => {}
            None => whole = false,
        }
    }
    whole.then_some(all)
}
