//! The fleet table.

use std::collections::BTreeSet;

use app::error::StoreError;
use app::item::region_sk;
use app::ports::{InstanceKey, Page, Watch, Workers};
use app::record::{EventRecord, Stored};
use domain::{Region, Timestamp, WorkerId, Zone};

use super::{State, World};

fn refused(name: &str) -> StoreError {
    StoreError::Unavailable(format!("{name} is out of order").into())
}

fn key(stored: &Stored) -> Option<InstanceKey> {
    let state = stored.worker.state();
    let instance = state.instance.clone().filter(|_| !stored.worker.is_over())?;
    Some(InstanceKey { account: state.account.clone(), region: state.region.clone(), instance })
}

/// The place in its region that a cursor stands for.
fn place(cursor: &str) -> Result<(Option<Zone>, WorkerId), StoreError> {
    let (zone, worker) = cursor.rsplit_once('#').ok_or(StoreError::BadCursor)?;
    let worker = worker.parse().map_err(|_| StoreError::BadCursor)?;
    let zone: Option<Zone> = zone.parse().ok();
    if region_sk(zone.as_ref(), worker) == cursor { Ok((zone, worker)) } else { Err(StoreError::BadCursor) }
}

/// What the index of living workers shows of a worker; `None` if it has ended.
pub fn watch(stored: &Stored) -> Option<Watch> {
    let worker = stored.worker.state();
    (!stored.worker.is_over()).then(|| Watch {
        worker: worker.id,
        instance: worker.instance.clone(),
        zone: worker.zone.clone(),
        monitoring: worker.overrides.monitoring,
        interval: worker.overrides.interval.map(|interval| interval.get()),
        drift_policy: worker.overrides.drift,
        drifted: stored.worker.may_be_reverted(),
        act_by: stored.act_by,
    })
}

/// A page of the index of living workers of one region, in its order.
///
/// # Errors
/// A cursor that is none of this listing.
pub fn page(mut items: Vec<Watch>, after: Option<&str>, limit: u32) -> Result<Page<Watch>, StoreError> {
    let after = after.map(place).transpose()?;
    let place = |watch: &Watch| (watch.zone.clone(), watch.worker);
    items.sort_by_key(place);
    items.retain(|watch| after.as_ref().is_none_or(|after| place(watch) > *after));
    let more = items.len() > limit as usize;
    items.truncate(limit as usize);
    let next = items.last().filter(|_| more).map(|watch| region_sk(watch.zone.as_ref(), watch.worker));
    Ok(Page { items, next })
}

impl State {
    fn write(
        &mut self,
        before: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
    ) -> Result<(), StoreError> {
        let id = after.worker.id();
        let current = self.workers.get(&id).map(|stored| stored.version);
        if current != before.map(|stored| stored.version) || self.facts.contains_key(&(id, record.version)) {
            return Err(StoreError::Conflict);
        }
        let name = &after.worker.state().name;
        if !after.worker.is_over() && self.names.get(name).is_some_and(|owner| *owner != id) {
            return Err(StoreError::NameTaken { name: name.clone() });
        }
        let instance = key(after);
        if instance.as_ref().and_then(|key| self.owners.get(key)).is_some_and(|owner| *owner != id) {
            return Err(StoreError::InstanceTaken);
        }
        if let Some(before) = self.workers.get(&id) {
            let name = &before.worker.state().name;
            if self.names.get(name) == Some(&id) {
                self.names.remove(name);
            }
            if let Some(held) = key(before) {
                self.owners.remove(&held);
            }
        }
        if !after.worker.is_over() {
            self.names.insert(name.clone(), id);
        }
        if let Some(key) = instance {
            self.owners.insert(key, id);
        }
        self.workers.insert(id, after.clone());
        self.facts.insert((id, record.version), record.clone());
        self.untold.insert((id, record.version));
        Ok(())
    }
}

impl State {
    fn save(
        &mut self,
        before: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
    ) -> Result<(), StoreError> {
        if !self.call("save") {
            return Err(refused("save"));
        }
        if self.busy {
            return Err(StoreError::Contended("ThrottlingException".into()));
        }
        if self.races > 0 {
            self.races -= 1;
            return Err(StoreError::Conflict);
        }
        if let Some((theirs, stored)) = self.meanwhile.pop_front() {
            let current = self.workers.get(&stored.worker.id()).cloned();
            self.write(current.as_ref(), &theirs, &stored)?;
        }
        self.write(before, record, after)
    }
}

impl Workers for World {
    async fn load(&self, id: WorkerId) -> Result<Option<Stored>, StoreError> {
        let mut state = self.state();
        if !state.call("load") {
            return Err(refused("load"));
        }
        Ok(state.workers.get(&id).cloned())
    }

    async fn load_many(&self, ids: &[WorkerId]) -> Result<Vec<Stored>, StoreError> {
        let mut state = self.state();
        if !state.call("load_many") {
            return Err(refused("load_many"));
        }
        let ids: BTreeSet<&WorkerId> = ids.iter().collect();
        Ok(ids.into_iter().filter_map(|id| state.workers.get(id).cloned()).collect())
    }

    async fn save(
        &self,
        before: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
    ) -> Result<(), StoreError> {
        self.state().save(before, record, after)?;
        self.survive("save").await;
        Ok(())
    }

    async fn owner(&self, key: &InstanceKey) -> Result<Option<WorkerId>, StoreError> {
        let mut state = self.state();
        if !state.call("owner") {
            return Err(refused("owner"));
        }
        Ok(state.owners.get(key).copied())
    }

    async fn watches(
        &self,
        region: &Region,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Watch>, StoreError> {
        let mut state = self.state();
        if !state.call("watches") {
            return Err(refused("watches"));
        }
        let of_region = state.workers.values().filter(|s| s.worker.state().region == *region);
        page(of_region.filter_map(watch).collect(), after, limit)
    }

    async fn events(
        &self,
        id: WorkerId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<EventRecord>, StoreError> {
        let mut state = self.state();
        if !state.call("events") {
            return Err(refused("events"));
        }
        let after: u64 = match after {
            Some(text) => text.parse().map_err(|_| StoreError::BadCursor)?,
            None => u64::MAX,
        };
        let older = state.facts.range((id, 0)..(id, after)).rev();
        let mut items: Vec<EventRecord> =
            older.map(|(_, record)| record.clone()).take(limit as usize + 1).collect();
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|record| record.version.to_string());
        Ok(Page { items, next })
    }

    async fn untold(&self, before: Timestamp, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        let mut state = self.state();
        if !state.call("untold") {
            return Err(refused("untold"));
        }
        let records = state.untold.iter().filter_map(|key| state.facts.get(key));
        let mut old: Vec<EventRecord> = records.filter(|record| record.at < before).cloned().collect();
        old.sort_by_key(|record| record.at);
        old.truncate(limit as usize);
        Ok(old)
    }

    async fn mark_told(&self, worker: WorkerId, version: u64) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.call("mark_told") {
            return Err(refused("mark_told"));
        }
        state.untold.remove(&(worker, version));
        Ok(())
    }
}
