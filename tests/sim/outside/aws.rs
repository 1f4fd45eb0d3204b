//! EC2, CloudWatch and the bus.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use app::error::CallError;
use app::ports::{
    Accepted, Actuator, Answered, Bus, CloudEvent, Compute, ImageQuery, Instance, InstanceStatus, Metrics,
    Request,
};
use app::record::Stored;
use domain::{
    Action, ActionKind, CheckStatus, Failure, FailureKind, InstanceId, MANAGED_TAG, Metric, Observed, Region,
    Timestamp, Vitals, WORKER_TAG, WorkerId,
};

use super::{Outside, Port, failed};
use crate::ec2::{Api, DENIED, Phase, zone};
use crate::faults::Fault;
use crate::trace::Step;
use crate::world::{Inner, MINUTE, SECOND};

fn known_not(inner: &Inner, id: &InstanceId, now: i64) -> bool {
    inner.ec2.machines.get(id).is_none_or(|machine| machine.is_forgotten(now))
}

fn throttled() -> CallError {
    CallError { message: "ec2: RequestLimitExceeded".to_owned(), retryable: true, cause: None }
}

impl Outside {
    /// What EC2 answers about these instances: each as it is, or as it was a while ago.
    fn look<T>(
        &self,
        ids: &[InstanceId],
        show: impl Fn(&Inner, &InstanceId, &Phase) -> T,
    ) -> Result<Answered<T>, CallError> {
        let mut inner = self.world.inner();
        let now = inner.now;
        if !inner.ec2.admits(Api::Describe, ids.len(), now) {
            return Err(throttled());
        }
        let lag = if self.strikes(&mut inner, Fault::DescribeLags) {
            inner.chance.between(1, 30) * SECOND
        } else {
            0
        };
        let mut answer = Answered { found: Vec::new(), unknown: Vec::new() };
        for id in ids {
            let known = inner.ec2.machines.get(id).filter(|machine| !machine.is_forgotten(now));
            let zone_down =
                known.is_some_and(|m| now < inner.ec2.zone_down_until[m.zone]) && !inner.faults.healed;
            if zone_down {
                return Err(CallError {
                    message: "ec2: Unavailable".to_owned(),
                    retryable: true,
                    cause: None,
                });
            }
            let young = known.is_some_and(|m| m.phases.first().is_some_and(|p| now - p.since < 20 * SECOND));
            let denied_for = known.map(|m| now - m.denied_at);
            if denied_for.is_some_and(|since| since > DENIED.1)
                && !young
                && self.strikes(&mut inner, Fault::Denial)
            {
                inner.ec2.machines.entry(id.clone()).and_modify(|machine| machine.denied_at = now);
            }
            let denied = inner.ec2.machines.get(id).is_some_and(|m| now - m.denied_at < DENIED.0);
            if known_not(&inner, id, now) || denied || (young && self.strikes(&mut inner, Fault::NotYetKnown))
            {
                answer.unknown.push(id.clone());
                continue;
            }
            let phase =
                inner.ec2.machines[id].at(now - lag).or(inner.ec2.machines[id].phases.first()).cloned();
            answer.found.extend(phase.map(|phase| show(&inner, id, &phase)));
        }
        Ok(answer)
    }
}

impl Compute for Outside {
    async fn statuses(&self, _: &Region, ids: &[InstanceId]) -> Result<Answered<InstanceStatus>, CallError> {
        self.enter(Port::Statuses).await.map_err(failed)?;
        let answer = self.look(ids, |inner, id, phase| {
            let machine = &inner.ec2.machines[id];
            let ok = machine.check(inner.now, phase.observed);
            InstanceStatus {
                instance: id.clone(),
                observed: phase.observed,
                system: if ok == CheckStatus::Impaired { CheckStatus::Ok } else { ok },
                reachability: ok,
                ebs: if ok == CheckStatus::Impaired { CheckStatus::Ok } else { ok },
                zone: zone(machine.zone),
            }
        });
        self.leave(Port::Statuses).await.map_err(failed)?;
        answer
    }

    async fn describe(&self, _: &Region, ids: &[InstanceId]) -> Result<Answered<Instance>, CallError> {
        self.enter(Port::Describe).await.map_err(failed)?;
        let answer = self.look(ids, |inner, id, phase| inner.ec2.machines[id].describe(id, phase));
        self.leave(Port::Describe).await.map_err(failed)?;
        answer
    }

    async fn image(&self, region: &Region, query: &ImageQuery) -> Result<Option<String>, CallError> {
        self.enter(Port::Describe).await.map_err(failed)?;
        let answer = Compute::image(&self.world.tables, region, query).await;
        self.leave(Port::Describe).await.map_err(failed)?;
        answer
    }

    async fn locate(&self, _: &Region, worker: WorkerId) -> Result<Vec<Instance>, CallError> {
        self.enter(Port::Locate).await.map_err(failed)?;
        let found = {
            let mut inner = self.world.inner();
            let now = inner.now;
            if !inner.ec2.admits(Api::Describe, 1, now) {
                return Err(throttled());
            }
            let tag = worker.to_string();
            let carriers = inner.ec2.machines.iter().filter(|(_, machine)| {
                machine.tags.get(WORKER_TAG) == Some(&tag) && !machine.is_forgotten(now)
            });
            let known =
                carriers.filter(|(_, m)| m.phases.first().is_some_and(|p| now - p.since > 5 * SECOND));
            known.filter_map(|(id, m)| Some(m.describe(id, m.phases.last()?))).collect()
        };
        self.leave(Port::Locate).await.map_err(failed)?;
        Ok(found)
    }
}

fn fail(kind: FailureKind, message: &str) -> Failure {
    Failure { kind, message: message.to_owned() }
}

fn refused(fault: Fault) -> Failure {
    let kind = if fault == Fault::Ec2Throttles { FailureKind::Throttled } else { FailureKind::Other };
    fail(kind, &format!("{fault:?}"))
}

impl Inner {
    /// Carries an action out, as EC2 would.
    fn carry_out(&mut self, worker: WorkerId, action: &Action) -> Result<Accepted, Failure> {
        let now = self.now;
        let api = match action.kind() {
            ActionKind::Launch => Api::Run,
            ActionKind::Start => Api::Start,
            ActionKind::Terminate => Api::Terminate,
            _ => Api::Mutate,
        };
        if !self.ec2.admits(api, 1, now) {
            return Err(fail(FailureKind::Throttled, "RequestLimitExceeded"));
        }
        match action {
            Action::Launch { spec, tags, .. } => self.run_instance(worker, spec, tags),
            Action::Tag { instance, set, remove } => {
                let machine = self.ec2.machines.get_mut(instance).filter(|m| !m.is_forgotten(now));
                let Some(machine) = machine else {
                    return Err(fail(FailureKind::NotFound, "InvalidInstanceID.NotFound"));
                };
                // The policy of `act`: an instance of ours, or one that is claimed by this very call.
                let ours = machine.tags.contains_key(MANAGED_TAG);
                let adopts = set.contains_key(WORKER_TAG) && !machine.tags.contains_key(WORKER_TAG);
                if !ours && !adopts {
                    return Err(fail(FailureKind::Denied, "UnauthorizedOperation"));
                }
                machine.tags.retain(|key, _| !remove.contains(key));
                machine.tags.extend(set.clone());
                Ok(Accepted { instance: instance.clone(), observed: None, launched: None })
            }
            Action::Start(id) | Action::Stop(id) | Action::Reboot(id) | Action::Terminate(id) => {
                self.drive(action.kind(), id)
            }
            Action::Locate => Err(fail(FailureKind::Invalid, "locate is not a change")),
        }
    }

    fn run_instance(
        &mut self,
        worker: WorkerId,
        spec: &domain::LaunchSpec,
        tags: &BTreeMap<String, String>,
    ) -> Result<Accepted, Failure> {
        let mut hasher = DefaultHasher::new();
        (format!("{spec:?}"), tags).hash(&mut hasher);
        let asked = hasher.finish();
        let id = match self.ec2.tokens.get(&worker).cloned() {
            Some(id) => {
                if self.ec2.machines[&id].token != Some((worker, asked)) {
                    return Err(already_launched());
                }
                id
            }
            None => {
                let id = self.launch(Some((worker, asked)), tags.clone());
                self.ec2.tokens.insert(worker, id.clone());
                id
            }
        };
        let machine = &self.ec2.machines[&id];
        let launched = machine.phases.last().map(|phase| machine.describe(&id, phase));
        let observed = launched.as_ref().map(|instance| instance.observed);
        Ok(Accepted { instance: id, observed, launched })
    }

    fn drive(&mut self, kind: ActionKind, id: &InstanceId) -> Result<Accepted, Failure> {
        let now = self.now;
        let Some(machine) = self.ec2.machines.get_mut(id).filter(|m| !m.is_forgotten(now)) else {
            return Err(fail(FailureKind::NotFound, "InvalidInstanceID.NotFound"));
        };
        if !machine.tags.contains_key(MANAGED_TAG) {
            return Err(fail(FailureKind::Denied, "UnauthorizedOperation"));
        }
        let by_user = Some("Client.UserInitiatedShutdown: User initiated shutdown");
        let now_in = match (kind, machine.observed()) {
            (ActionKind::Start, Observed::Stopped) => {
                self.move_to(id, Observed::Pending, None, "act");
                Observed::Pending
            }
            (ActionKind::Start, state @ (Observed::Running | Observed::Pending)) => state,
            (ActionKind::Stop, Observed::Running | Observed::Pending) => {
                self.move_to(id, Observed::Stopping, by_user, "act");
                Observed::Stopping
            }
            (ActionKind::Stop, state @ (Observed::Stopping | Observed::Stopped)) => state,
            (ActionKind::Terminate, state @ (Observed::ShuttingDown | Observed::Terminated)) => state,
            (ActionKind::Terminate, _) => {
                self.move_to(id, Observed::ShuttingDown, by_user, "act");
                Observed::ShuttingDown
            }
            (ActionKind::Reboot, Observed::Running) => {
                machine.reboots += 1;
                return Ok(Accepted { instance: id.clone(), observed: None, launched: None });
            }
            (_, state) => {
                let message = format!("IncorrectInstanceState: it is {state}");
                return Err(fail(FailureKind::IncorrectState, &message));
            }
        };
        Ok(Accepted { instance: id.clone(), observed: Some(now_in), launched: None })
    }
}

/// What EC2 says of a token that was used for another launch.
fn already_launched() -> Failure {
    fail(FailureKind::AlreadyLaunched, "IdempotentParameterMismatch")
}

impl Actuator for Outside {
    async fn call(&self, _: &Region, worker: WorkerId, action: &Action) -> Result<Accepted, Failure> {
        self.enter(Port::Change).await.map_err(refused)?;
        let kind = action.kind();
        let answer = {
            let tables = self.world.tables.state();
            let mut inner = self.world.inner();
            inner.acting(self.function(), worker, kind, &tables);
            let takes_room = matches!(kind, ActionKind::Launch | ActionKind::Start);
            if takes_room && self.strikes(&mut inner, Fault::NoCapacity) {
                return Err(fail(FailureKind::Capacity, "InsufficientInstanceCapacity"));
            }
            let answer = inner.carry_out(worker, action);
            inner.step(Step::Acted(worker, kind, if answer.is_ok() { "accepted" } else { "refused" }));
            inner.acted(worker, kind, answer.is_ok());
            let unadopted = |stored: &Stored| stored.worker.state().gave_up.contains_key(&ActionKind::Tag);
            let denied = matches!(&answer, Err(failure) if failure.kind == FailureKind::Denied);
            if denied && !tables.workers.get(&worker).is_some_and(unadopted) {
                inner.violated(format!(
                    "{kind} of {worker} is not allowed before the instance carries our tags"
                ));
            }
            answer
        };
        self.leave(Port::Change).await.map_err(refused)?;
        answer
    }

    async fn call_many(
        &self,
        _: &Region,
        kind: ActionKind,
        ids: &[InstanceId],
    ) -> Result<Vec<Accepted>, Failure> {
        self.enter(Port::ChangeMany).await.map_err(refused)?;
        let answer = {
            let tables = self.world.tables.state();
            let mut inner = self.world.inner();
            if kind == ActionKind::Start && self.strikes(&mut inner, Fault::NoCapacity) {
                return Err(fail(FailureKind::Capacity, "InsufficientInstanceCapacity"));
            }
            // All or nothing: one that EC2 would refuse spoils the call.
            let spoilt = ids.iter().any(|id| !inner.would_take(kind, id));
            if spoilt {
                return Err(fail(FailureKind::IncorrectState, "IncorrectInstanceState"));
            }
            let mut accepted = Vec::new();
            for id in ids {
                let owner =
                    tables.owners.iter().find(|(key, _)| key.instance == *id).map(|(_, worker)| *worker);
                if let Some(worker) = owner {
                    inner.acting(self.function(), worker, kind, &tables);
                    inner.step(Step::Acted(worker, kind, "accepted with others"));
                    inner.acted(worker, kind, true);
                }
                accepted.push(inner.drive(kind, id)?);
            }
            accepted
        };
        self.leave(Port::ChangeMany).await.map_err(refused)?;
        Ok(answer)
    }
}

impl Inner {
    fn would_take(&self, kind: ActionKind, id: &InstanceId) -> bool {
        let Some(machine) = self.ec2.machines.get(id) else { return false };
        let ours = !machine.is_forgotten(self.now) && machine.tags.contains_key(MANAGED_TAG);
        ours && match (kind, machine.observed()) {
            (ActionKind::Terminate, _) => true,
            (ActionKind::Start, state) => {
                matches!(state, Observed::Stopped | Observed::Running | Observed::Pending)
            }
            (ActionKind::Stop, state) => !matches!(state, Observed::ShuttingDown | Observed::Terminated),
            (ActionKind::Reboot, state) => state == Observed::Running,
            _ => false,
        }
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
            let late = if self.strikes(&mut inner, Fault::MetricsLate) { 10 * MINUTE } else { 30 * SECOND };
            let partial = self.strikes(&mut inner, Fault::MetricsPartial);
            let without = partial.then(|| Metric::ALL[inner.chance.below(3) as usize]);
            inner.cloudwatch.read(&inner.ec2, queries, (from, to), period, (inner.now, late), without)
        };
        self.leave(Port::Metrics).await.map_err(failed)?;
        Ok(answer)
    }
}

impl Bus for Outside {
    async fn request(&self, requests: &[Request]) -> Result<(), CallError> {
        self.enter(Port::PutEvents).await.map_err(failed)?;
        {
            let mut inner = self.world.inner();
            requests.iter().for_each(|request| inner.put(request));
        }
        self.leave(Port::PutEvents).await.map_err(failed)
    }

    async fn publish(&self, events: &[CloudEvent]) -> Result<(), CallError> {
        self.enter(Port::Publish).await.map_err(failed)?;
        {
            let mut inner = self.world.inner();
            for event in events {
                inner.told("bus", &event.json);
            }
        }
        self.leave(Port::Publish).await.map_err(failed)
    }
}
