//! The tags of an instance: those it should carry, those it carries, and what is not known of them.

use std::collections::{BTreeMap, BTreeSet};

use crate::{ActionKind, Event, MANAGED_TAG, NAME_TAG, TagKey, WORKER_TAG, Worker};

impl Worker {
    /// All tags the instance should carry: the operator's and ours.
    pub fn wanted_tags(&self) -> BTreeMap<String, String> {
        let mut tags: BTreeMap<String, String> = self
            .0
            .tags
            .iter()
            .map(|(key, value)| (key.as_str().to_owned(), value.as_str().to_owned()))
            .collect();
        tags.insert(WORKER_TAG.to_owned(), self.0.id.to_string());
        tags.insert(MANAGED_TAG.to_owned(), "true".to_owned());
        tags.insert(NAME_TAG.to_owned(), self.0.name.as_str().to_owned());
        tags
    }

    /// The fact that the instance carries these tags; somebody else's among them are left out.
    pub fn tags_found(&self, tags: &BTreeMap<String, String>) -> Event {
        let (wanted, applied) = (self.wanted_tags(), &self.0.applied_tags);
        let ours = |key: &String| wanted.contains_key(key) || applied.contains_key(key);
        let set = tags.iter().filter(|(key, _)| ours(key)).map(|(key, value)| (key.clone(), value.clone()));
        let removed = applied.keys().filter(|key| !tags.contains_key(*key)).cloned();
        Event::TagsApplied { set: set.collect(), removed: removed.collect() }
    }

    /// What to set and what to remove to bring the instance's tags in line. What an earlier call may have changed is set, or
    /// removed, whatever it was before.
    pub(crate) fn tag_difference(&self) -> (BTreeMap<String, String>, BTreeSet<String>) {
        let (wanted, applied, doubtful) = (self.wanted_tags(), &self.0.applied_tags, &self.0.doubtful_tags);
        let carried = applied.keys().chain(doubtful);
        let remove = carried.filter(|key| !wanted.contains_key(*key)).cloned().collect();
        let differs =
            |key: &String, value: &String| doubtful.contains(key) || applied.get(key) != Some(value);
        let set = wanted.into_iter().filter(|(key, value)| differs(key, value)).collect();
        (set, remove)
    }

    /// A call is about to change tags, and its answer may be lost.
    pub(crate) fn doubt_tags(&mut self, action: ActionKind) {
        if action == ActionKind::Tag {
            let (set, remove) = self.tag_difference();
            self.0.doubtful_tags.extend(set.into_keys().chain(remove));
        }
    }

    /// These tags were set and these removed.
    pub(crate) fn apply_tags(&mut self, set: &BTreeMap<String, String>, removed: &BTreeSet<String>) {
        let s = &mut self.0;
        s.doubtful_tags.retain(|key| !set.contains_key(key) && !removed.contains(key));
        s.applied_tags.retain(|key, _| !removed.contains(key));
        s.applied_tags.extend(set.clone());
    }

    /// A launch whose answer is not known may have given the instance tags that are taken away here.
    pub(crate) fn remember_launched_tags(&mut self, removed: &BTreeSet<TagKey>) {
        let s = &mut self.0;
        if s.launch_called && s.instance.is_none() {
            let launched_with = s.tags.iter().filter(|(key, _)| removed.contains(*key));
            s.applied_tags.extend(
                launched_with.map(|(key, value)| (key.as_str().to_owned(), value.as_str().to_owned())),
            );
        }
    }
}
