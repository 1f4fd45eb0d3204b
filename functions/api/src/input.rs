//! What the parts of a request mean, checked before anything is written or called. Every fault is reported, not only
//! the first.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Display;
use std::str::FromStr;

use domain::{
    AlertDuration, DriftPolicy, InvalidId, MAX_TAGS, OutOfRange, Percent, PollInterval, Region,
    SettingsPatch, TagKey, TagValue, TagsPatch, UnknownWord,
};
use serde::Deserialize;
use serde_json::Number;

use crate::body::{Entries, Patch};
#[cfg(test)]
use crate::openapi::is;
use crate::problem::{Fault, Kind, Problem};

/// The longest part of a request that an answer repeats, in characters.
const MAX_ECHO: usize = 140;

/// An error that says what would be right.
pub(crate) trait Rule: Display {
    /// What is allowed.
    fn allowed(&self) -> String;
}

impl Rule for InvalidId {
    fn allowed(&self) -> String {
        self.rule.to_owned()
    }
}

impl Rule for UnknownWord {
    fn allowed(&self) -> String {
        self.allowed.clone()
    }
}

impl Rule for OutOfRange {
    fn allowed(&self) -> String {
        format!("{} to {}", self.min, self.max)
    }
}

/// What is wrong with a request so far.
#[derive(Debug, Default)]
pub(crate) struct Faults(Vec<Fault>);

impl Faults {
    /// Notes a fault.
    pub(crate) fn add(
        &mut self,
        field: impl Into<String>,
        detail: impl Into<String>,
        allowed: Option<String>,
    ) {
        let field = field.into().chars().take(MAX_ECHO).collect();
        self.0.push(Fault { field, detail: detail.into(), allowed });
    }

    /// The value, or a fault.
    pub(crate) fn take<T, E: Rule>(&mut self, field: &str, result: Result<T, E>) -> Option<T> {
        result.map_err(|error| self.add(field, error.to_string(), Some(error.allowed()))).ok()
    }

    /// The parsed text, or a fault.
    pub(crate) fn parse<T: FromStr<Err: Rule>>(&mut self, field: &str, text: &str) -> Option<T> {
        self.take(field, text.parse())
    }

    /// The parsed text; a fault if it is absent, too.
    pub(crate) fn require<T: FromStr<Err: Rule>>(&mut self, field: &str, text: Option<&str>) -> Option<T> {
        match text {
            Some(text) => self.parse(field, text),
            None => {
                // The empty text breaks every rule, so its error says what is needed.
                let allowed = "".parse::<T>().err().map(|error| error.allowed());
                self.add(field, "is required", allowed);
                None
            }
        }
    }

    /// A region in which workers may live.
    pub(crate) fn region(&mut self, text: Option<&str>, enabled: &[Region]) -> Option<Region> {
        let region = self.require("region", text)?;
        self.enabled("region", region, enabled)
    }

    /// The region, if workers may live in it.
    pub(crate) fn enabled(&mut self, field: &str, region: Region, enabled: &[Region]) -> Option<Region> {
        if enabled.contains(&region) {
            return Some(region);
        }
        let names: Vec<&str> = enabled.iter().map(Region::as_str).collect();
        self.add(field, "is not one of the regions of this deployment", Some(names.join(", ")));
        None
    }

    /// A number that must be whole and small.
    pub(crate) fn whole<T>(
        &mut self,
        field: &str,
        number: &Number,
        new: impl Fn(u32) -> Result<T, OutOfRange>,
    ) -> Option<T> {
        // To JSON Schema, which our contract is written in, 60.0 is as whole as 60.
        let whole = |n: &f64| n.fract() == 0.0 && (0.0..f64::from(u32::MAX)).contains(n);
        // The largest number is out of every range, so its error tells the range to whatever is not a u32.
        let value = number.as_f64().filter(whole).map_or(u32::MAX, |n| n as u32);
        self.take(field, new(value))
    }

    /// Fails if anything was wrong.
    pub(crate) fn check(self, kind: Kind) -> Result<(), Problem> {
        if self.0.is_empty() { Ok(()) } else { Err(self.problem(kind)) }
    }

    /// The problem these faults make.
    pub(crate) fn problem(self, kind: Kind) -> Problem {
        Problem::with_faults(kind, self.0)
    }
}

/// A worker's own settings, in a body, called as facts call them. Null makes a setting follow the fleet.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Settings))]
pub(crate) struct SettingsBody {
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<bool>))]
    monitoring: Patch<bool>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<is::PollInterval>))]
    interval: Patch<Number>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<is::DriftPolicy>))]
    drift: Patch<String>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<is::Percent>))]
    cpu: Patch<Number>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<is::Percent>))]
    memory: Patch<Number>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<is::Percent>))]
    disk: Patch<Number>,
    #[serde(default)]
    #[cfg_attr(test, schema(value_type = Option<is::AlertDuration>))]
    alert_duration: Patch<Number>,
}

impl SettingsBody {
    /// The change of settings it asks for.
    pub(crate) fn check(&self, faults: &mut Faults) -> SettingsPatch {
        let mut percent = |field, value| number(faults, field, value, Percent::new);
        let cpu = percent("settings.cpu", &self.cpu);
        let memory = percent("settings.memory", &self.memory);
        let disk = percent("settings.disk", &self.disk);
        let interval = &self.interval;
        let duration = &self.alert_duration;
        SettingsPatch {
            monitoring: self.monitoring.0,
            interval: number(faults, "settings.interval", interval, PollInterval::new),
            drift: self.drift.0.as_ref().map(|word| {
                let word = word.as_deref();
                word.and_then(|word| faults.parse::<DriftPolicy>("settings.drift", word))
            }),
            cpu,
            memory,
            disk,
            alert_duration: number(faults, "settings.alert_duration", duration, AlertDuration::new),
        }
    }
}

/// A number that may be absent or null.
fn number<T>(
    faults: &mut Faults,
    field: &str,
    value: &Patch<Number>,
    new: impl Fn(u32) -> Result<T, OutOfRange>,
) -> Option<Option<T>> {
    value.0.as_ref().map(|value| value.as_ref().and_then(|number| faults.whole(field, number, &new)))
}

/// The tags of a new worker.
pub(crate) fn tags(faults: &mut Faults, entries: Option<&Entries<String>>) -> BTreeMap<TagKey, TagValue> {
    let entries = entries.map_or(&[][..], |entries| &entries.0);
    limit_tags(faults, entries.len());
    entries.iter().filter_map(|(key, value)| tag(faults, key, value)).collect()
}

/// A change of tags: null removes.
pub(crate) fn tags_patch(faults: &mut Faults, entries: &Entries<Option<String>>) -> TagsPatch {
    let (mut set, mut remove) = (BTreeMap::new(), BTreeSet::new());
    limit_tags(faults, entries.0.iter().filter(|(_, value)| value.is_some()).count());
    for (key, value) in &entries.0 {
        match value {
            Some(value) => set.extend(tag(faults, key, value)),
            None => remove.extend(faults.parse(&field_of(key), key)),
        }
    }
    TagsPatch { set, remove }
}

fn tag(faults: &mut Faults, key: &str, value: &str) -> Option<(TagKey, TagValue)> {
    let field = field_of(key);
    let key = faults.parse(&field, key);
    let value = faults.parse(&field, value);
    Some((key?, value?))
}

fn field_of(key: &str) -> String {
    format!("tags.{key}")
}

fn limit_tags(faults: &mut Faults, count: usize) {
    if count > MAX_TAGS {
        let allowed = Some(format!("at most {MAX_TAGS} tags"));
        faults.add("tags", format!("a worker can have at most {MAX_TAGS} tags of its own"), allowed);
    }
}
