//! EC2 and CloudWatch, as they are looked at.

use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet};

use app::error::CallError;
use app::ports::{
    Answered, Compute, ImageFound, ImageQuery, Instance, InstanceQuery, InstanceStatus, Metrics, Page,
};
use domain::{CheckStatus, InstanceId, Metric, Region, Timestamp, Vitals, WorkerId};
use tests::world::Ami;

use super::{Environment, Outside, Port, failed};
use crate::ec2::{DENIED, Phase, ZONES, zone};
use crate::faults::Fault;
use crate::wiring::Function;
use crate::world::{Inner, MINUTE, SECOND, World};

/// How long after a period's end CloudWatch has its values, and how long when it is late.
const DELAY: i64 = 30 * SECOND;
const LATE: i64 = 10 * MINUTE;
/// How often there is a newer image, in a million.
const RELEASE: u64 = 300_000;

fn throttled() -> CallError {
    CallError { message: "ec2: RequestLimitExceeded".to_owned(), retryable: true, cause: None }
}

fn unavailable() -> CallError {
    CallError { message: "ec2: Unavailable".to_owned(), retryable: true, cause: None }
}

impl Inner {
    /// Whether a zone is out.
    pub(crate) fn is_dark(&self, zone: usize) -> bool {
        !self.faults.healed && self.now < self.ec2.zone_down_until[zone]
    }

    /// Whether a call that names this instance fails because its zone is out.
    pub(crate) fn is_out(&mut self, by: Function, id: &InstanceId) -> bool {
        let machine = self.ec2.machines.get(id).filter(|machine| !machine.is_forgotten(self.now));
        let out = machine.is_some_and(|machine| self.is_dark(machine.zone));
        if out {
            self.struck(by, Fault::ZoneDown);
        }
        out
    }

    /// Whether EC2 says that it knows no such instance: it does not, or not yet, or denies it for a while.
    pub(crate) fn denies(&mut self, by: Function, id: &InstanceId) -> bool {
        let now = self.now;
        let Some(machine) = self.ec2.machines.get(id).filter(|machine| !machine.is_forgotten(now)) else {
            return true;
        };
        let (denied_for, young) = (now - machine.denied_at, machine.is_young(now));
        if denied_for < DENIED.0 {
            return true;
        }
        if young {
            return self.strikes(by, Fault::NotYetKnown);
        }
        let denied = denied_for > DENIED.1 && self.strikes(by, Fault::Denial);
        if denied {
            self.ec2.machines.entry(id.clone()).and_modify(|machine| machine.denied_at = now);
        }
        denied
    }
}

impl Inner {
    /// An environment of `collect` describes these: each once an hour, where nothing happens.
    fn check_described(&mut self, by: &Environment, ids: &[InstanceId]) {
        if by.function != Function::Collect || self.described.is_none() {
            return;
        }
        for id in ids {
            let described = self.described.get_or_insert_default();
            if !described.insert((by.number, id.clone())) {
                self.violated(format!("{id} is described again within half an hour"));
            }
        }
    }
}

impl Outside {
    /// EC2 takes no question about all of a region while a zone of it is out.
    fn all_lit(&self) -> Result<(), CallError> {
        let mut inner = self.world.inner();
        let lit = !(0..ZONES.len()).any(|zone| inner.is_dark(zone));
        if !lit {
            self.struck(&mut inner, Fault::ZoneDown);
        }
        if lit { Ok(()) } else { Err(unavailable()) }
    }

    /// What EC2 answers about these instances: each as it is, or as it was a while ago.
    fn look<T>(
        &self,
        ids: &[InstanceId],
        show: impl Fn(&Inner, &InstanceId, &Phase) -> T,
    ) -> Result<Answered<T>, CallError> {
        let mut answer = Answered { found: Vec::new(), unknown: Vec::new() };
        let ids: BTreeSet<&InstanceId> = ids.iter().collect();
        if ids.is_empty() {
            return Ok(answer);
        }
        let mut inner = self.world.inner();
        let now = inner.now;
        if !inner.ec2.admits_look_by_id(now) {
            return Err(throttled());
        }
        let lag = self.lag_of_ec2(&mut inner);
        let mut stale = false;
        for id in ids {
            if inner.is_out(self.function(), id) {
                return Err(unavailable());
            }
            if inner.denies(self.function(), id) {
                answer.unknown.push(id.clone());
                inner.books.denied.insert((self.invocation(), id.clone()));
                continue;
            }
            let machine = &inner.ec2.machines[id];
            let phase = machine.at(now - lag).or(machine.phases.first()).cloned();
            stale |= phase.as_ref().is_some_and(|phase| phase.observed != machine.observed());
            answer.found.extend(phase.map(|phase| show(&inner, id, &phase)));
        }
        if stale {
            self.struck(&mut inner, Fault::DescribeLags);
        }
        Ok(answer)
    }

    /// EC2 takes one more question.
    fn admitted(&self) -> Result<(), CallError> {
        let mut inner = self.world.inner();
        let now = inner.now;
        if inner.ec2.admits_look(now) { Ok(()) } else { Err(throttled()) }
    }

    /// How old EC2's answer is.
    fn lag_of_ec2(&self, inner: &mut Inner) -> i64 {
        if self.hits(inner, Fault::DescribeLags) { inner.chance.between(1, 30) * SECOND } else { 0 }
    }
}

impl World {
    /// A newer image may have come out since somebody looked last.
    fn release_image(&self) {
        let mut tables = self.tables.state();
        let mut inner = self.inner();
        if inner.chance.hits(RELEASE) {
            let number = tables.images.len();
            tables.images.push(Ami {
                id: format!("ami-{number:017x}"),
                name: format!("cml-2.8.{number}"),
                owner: "self".to_owned(),
                created: format!("{}-01-01T00:00:00.000Z", 2026 + number),
            });
        }
    }
}

impl Compute for Outside {
    async fn statuses(&self, _: &Region, ids: &[InstanceId]) -> Result<Answered<InstanceStatus>, CallError> {
        self.enter(Port::Statuses).await.map_err(failed)?;
        let impaired = Cell::new(false);
        let answer = self.look(ids, |inner, id, phase| {
            let machine = &inner.ec2.machines[id];
            let [system, reachability, ebs] = machine.checks(inner.now, phase);
            impaired.set(impaired.get() || [system, reachability, ebs].contains(&CheckStatus::Impaired));
            InstanceStatus {
                instance: id.clone(),
                observed: phase.observed,
                system,
                reachability,
                ebs,
                zone: zone(machine.zone),
            }
        });
        if impaired.into_inner() {
            let mut inner = self.world.inner();
            if !inner.faults.healed {
                self.struck(&mut inner, Fault::Impairment);
            }
        }
        self.leave(Port::Statuses).await.map_err(failed)?;
        answer
    }

    async fn describe(&self, _: &Region, ids: &[InstanceId]) -> Result<Answered<Instance>, CallError> {
        self.enter(Port::Describe).await.map_err(failed)?;
        self.world.inner().check_described(&self.environment, ids);
        let answer = self.look(ids, |inner, id, phase| inner.ec2.machines[id].describe(id, phase));
        self.leave(Port::Describe).await.map_err(failed)?;
        answer
    }

    async fn image(&self, region: &Region, query: &ImageQuery) -> Result<ImageFound, CallError> {
        self.enter(Port::Image).await.map_err(failed)?;
        self.admitted()?;
        self.world.release_image();
        let answer = Compute::image(&self.world.tables, region, query).await;
        self.leave(Port::Image).await.map_err(failed)?;
        answer
    }

    async fn images(
        &self,
        region: &Region,
        name: &str,
        most: usize,
    ) -> Result<Option<Vec<String>>, CallError> {
        self.enter(Port::Images).await.map_err(failed)?;
        self.admitted()?;
        let answer = self.world.tables.images(region, name, most).await;
        self.leave(Port::Images).await.map_err(failed)?;
        answer
    }

    async fn search(
        &self,
        _: &Region,
        query: &InstanceQuery,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Option<Page<Instance>>, CallError> {
        self.enter(Port::Search).await.map_err(failed)?;
        self.admitted()?;
        self.all_lit()?;
        let page = {
            let inner = self.world.inner();
            let images = &self.world.tables.state().images;
            let launched = query.images.is_empty() || images.iter().any(|ami| query.images.contains(&ami.id));
            let found = inner.ec2.machines.iter().filter(|(id, machine)| {
                let mut tags = query.tags.iter();
                let carries = tags.all(|(key, value)| {
                    machine.tags.get(key.as_str()).is_some_and(|is| is == value.as_str())
                });
                launched && carries && machine.is_live() && after.is_none_or(|after| id.as_str() > after)
            });
            let mut found: Vec<Instance> = found
                .filter_map(|(id, machine)| Some(machine.describe(id, machine.at(inner.now)?)))
                .take(limit as usize + 1)
                .collect();
            let more = found.len() > limit as usize;
            found.truncate(limit as usize);
            let next = found.last().filter(|_| more).map(|last| last.instance.to_string());
            Page { items: found, next }
        };
        self.leave(Port::Search).await.map_err(failed)?;
        Ok(Some(page))
    }

    async fn locate(&self, _: &Region, worker: WorkerId) -> Result<Vec<Instance>, CallError> {
        self.enter(Port::Locate).await.map_err(failed)?;
        self.admitted()?;
        self.all_lit()?;
        let found = {
            let mut inner = self.world.inner();
            let now = inner.now;
            let lag = self.lag_of_ec2(&mut inner);
            let carriers: Vec<InstanceId> = inner.ec2.carriers_of(worker).map(|(id, _)| id.clone()).collect();
            let mut found = Vec::new();
            let mut stale = false;
            for id in carriers {
                let machine = &inner.ec2.machines[&id];
                let (young, forgotten) = (machine.is_young(now), machine.is_forgotten(now));
                if forgotten || (young && self.strikes(&mut inner, Fault::NotYetKnown)) {
                    continue;
                }
                let machine = &inner.ec2.machines[&id];
                let phase = machine.at(now - lag);
                stale |= phase.is_none_or(|phase| phase.observed != machine.observed());
                found.extend(phase.map(|phase| machine.describe(&id, phase)));
            }
            if stale {
                self.struck(&mut inner, Fault::DescribeLags);
            }
            found
        };
        self.leave(Port::Locate).await.map_err(failed)?;
        Ok(found)
    }
}

impl Metrics for Outside {
    async fn read(
        &self,
        _: &Region,
        queries: &[(InstanceId, Metric)],
        from: Timestamp,
        to: Timestamp,
        period: u32,
    ) -> Result<BTreeMap<InstanceId, Vitals>, CallError> {
        self.enter(Port::Metrics).await.map_err(failed)?;
        let answer = {
            let mut inner = self.world.inner();
            let read = |inner: &Inner, queries: &[_], late| {
                inner.cloudwatch.read(&inner.ec2, queries, (from, to), period, (inner.now, late))
            };
            let delay = if self.hits(&mut inner, Fault::MetricsLate) { LATE } else { DELAY };
            let partial = self.hits(&mut inner, Fault::MetricsPartial);
            let without = partial.then(|| Metric::ALL[inner.chance.below(3) as usize]);
            let answered: Vec<_> =
                queries.iter().filter(|(_, metric)| Some(*metric) != without).cloned().collect();
            let answer = read(&inner, &answered, delay);
            if delay == LATE && read(&inner, &answered, DELAY) != answer {
                self.struck(&mut inner, Fault::MetricsLate);
            }
            if partial && read(&inner, queries, delay) != answer {
                self.struck(&mut inner, Fault::MetricsPartial);
            }
            answer
        };
        self.leave(Port::Metrics).await.map_err(failed)?;
        Ok(answer)
    }
}
