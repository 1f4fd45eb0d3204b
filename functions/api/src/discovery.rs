//! What instances `POST /workers/import` is to find: the second form of its body, checked.

use std::collections::BTreeMap;

use app::discover::{Find, Position, Sought};
use domain::{AnyTagKey, InstanceId, OutOfRange, Region};
use serde::Deserialize;
use serde_json::Number;

use crate::body::{Entries, Object};
use crate::cursor::Query;
use crate::input::Faults;
use crate::launch::image_name;
#[cfg(test)]
use crate::openapi::is;
use crate::problem::Problem;

const DEFAULT_LIMIT: u32 = 50;
const MAX_LIMIT: u32 = 100;
/// The most instances one request names.
const MAX_NAMED: usize = 100;
/// The most tags instances are sought by.
const MAX_TAGS: usize = 10;

/// What instances are sought by.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Find))]
pub(crate) struct FindBody {
    #[cfg_attr(test, schema(value_type = Option<is::Tags>))]
    tags: Option<Entries<String>>,
    image_name: Option<String>,
}

/// The parts of the body that say what is to be found, and which page of it.
#[derive(Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) instance_ids: Option<&'a [String]>,
    pub(crate) find: Option<&'a Object<FindBody>>,
    pub(crate) regions: Option<&'a [String]>,
    pub(crate) limit: Option<&'a Number>,
    pub(crate) cursor: Option<&'a str>,
}

/// What is to be found, and which page of it.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) sought: Sought,
    pub(crate) regions: Vec<Region>,
    pub(crate) limit: u32,
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

impl Asked<'_> {
    /// Checks all of it. `None` with a fault.
    pub(crate) fn check(&self, faults: &mut Faults, enabled: &[Region]) -> Option<Wanted> {
        let sought = match (self.instance_ids, self.find) {
            (Some(ids), _) => named(faults, ids),
            (None, find) => like(faults, &find?.0),
        };
        let regions =
            self.regions.map_or_else(|| Some(enabled.to_vec()), |names| regions(faults, names, enabled));
        let limit = self.limit.map_or(Some(DEFAULT_LIMIT), |limit| {
            faults.whole("limit", limit, |limit| match limit {
                1..=MAX_LIMIT => Ok(limit),
                _ => Err(OutOfRange { min: 1, max: MAX_LIMIT }),
            })
        });
        let (sought, regions, limit) = (sought?, regions?, limit?);
        let asked = format!("{sought:?} {regions:?} {limit}");
        let query = Query::new("import", &[("", Some(&asked))]);
        Some(Wanted { sought, regions, limit, cursor: self.cursor.map(str::to_owned), query })
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
        Some(name) => Some(image_name(faults, "find.image_name", Some(name))?),
        None => None,
    };
    let mut tags = BTreeMap::new();
    for (key, value) in entries {
        let field = format!("find.tags.{key}");
        let key: Option<AnyTagKey> = faults.parse(&field, key);
        tags.extend(key.zip(faults.parse(&field, value)));
    }
    (tags.len() == entries.len()).then_some(Sought::Like(Find { tags, image_name }))
}

/// Regions of this deployment, each once, in the order in which they are given.
fn regions(faults: &mut Faults, names: &[String], enabled: &[Region]) -> Option<Vec<Region>> {
    let mut all: Vec<Region> = Vec::new();
    let allowed = || Some(enabled.iter().map(Region::as_str).collect::<Vec<_>>().join(", "));
    if names.is_empty() {
        faults.add("regions", "must name a region, or be left out for all", allowed());
        return None;
    }
    let mut whole = true;
    for (index, name) in names.iter().enumerate() {
        match enabled.iter().find(|region| region.as_str() == name) {
            Some(region) if !all.contains(region) => all.push(region.clone()),
            Some(_) => {}
            None => {
                whole = false;
                let detail = "is not one of the regions of this deployment";
                faults.add(format!("regions[{index}]"), detail, allowed());
            }
        }
    }
    whole.then_some(all)
}
