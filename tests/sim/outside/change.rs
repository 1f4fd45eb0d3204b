//! EC2, as it is changed.

use std::collections::{BTreeMap, BTreeSet};

use app::ports::{Accepted, Actuator};
use app::record::Stored;
use domain::{
    Action, ActionKind, Failure, FailureKind, InstanceId, LaunchSpec, MANAGED_TAG, Observed, Region,
    UserData, WORKER_TAG, WorkerId,
};
use tests::world::retagged;

use super::{Outside, Port};
use crate::ec2::{SUBNETS, ZONES};
use crate::faults::Fault;
use crate::hash::hash;
use crate::trace::Step;
use crate::wiring::Function;
use crate::world::Inner;

fn fail(kind: FailureKind, message: &str) -> Failure {
    Failure { kind, message: message.to_owned() }
}

fn unknown(id: &InstanceId) -> Failure {
    fail(FailureKind::NotFound, &format!("InvalidInstanceID.NotFound: The instance ID '{id}' does not exist"))
}

fn no_capacity() -> Failure {
    fail(FailureKind::Capacity, "InsufficientInstanceCapacity")
}

fn no_quota() -> Failure {
    fail(FailureKind::Quota, "VcpuLimitExceeded")
}

/// A zone is out. Whether anything was done is not said.
fn unavailable() -> Failure {
    fail(FailureKind::Other, "Unavailable")
}

/// The instance that an action names.
const fn named(action: &Action) -> Option<&InstanceId> {
    match action {
        Action::Start(id) | Action::Stop(id) | Action::Reboot(id) | Action::Terminate(id) => Some(id),
        Action::Tag { instance, .. } => Some(instance),
        Action::Launch { .. } | Action::Locate => None,
    }
}

fn accepted(instance: &InstanceId, observed: Option<Observed>) -> Accepted {
    Accepted { instance: instance.clone(), observed, launched: None }
}

fn refused(fault: Fault) -> Failure {
    let kind = if fault == Fault::Ec2Throttles { FailureKind::Throttled } else { FailureKind::Other };
    fail(kind, &format!("{fault:?}"))
}

impl Inner {
    /// Carries an action out, as EC2 would.
    fn carry_out(&mut self, by: Function, action: &Action) -> Result<Accepted, Failure> {
        if let Action::Tag { instance, set, remove } = action
            && set.is_empty()
            && remove.is_empty()
        {
            // Nothing to say to EC2.
            return Ok(accepted(instance, None));
        }
        self.take_tokens(action.kind(), 1)?;
        if let Some(id) = named(action) {
            self.reaches(by, id)?;
        }
        match action {
            Action::Launch { spec, token, tags, user_data } => {
                self.run_instance(by, (token, spec, tags, user_data.as_ref()))
            }
            Action::Tag { instance, set, remove } => {
                let machine = self.ec2.machines.get_mut(instance).ok_or_else(|| unknown(instance))?;
                // The policy of `act`: an instance of ours, or one that is claimed by this very call.
                let ours = self.ec2.tame || machine.tags.contains_key(MANAGED_TAG);
                let adopts = set.contains_key(WORKER_TAG) && !machine.tags.contains_key(WORKER_TAG);
                if !ours && !adopts {
                    return Err(fail(FailureKind::Denied, "UnauthorizedOperation"));
                }
                // Two calls, of which the second may fail: an instance gets the tag that makes it ours before it loses any, and any
                // other has room made first.
                let half = if set.contains_key(MANAGED_TAG) {
                    retagged(&machine.tags, set, &BTreeSet::new())?
                } else {
                    retagged(&machine.tags, &BTreeMap::new(), remove)?
                };
                let tags = retagged(&machine.tags, set, remove)?;
                let in_two = !set.is_empty() && !remove.is_empty();
                let fails = in_two && self.strikes(by, Fault::Ec2Fails);
                if let Some(machine) = self.ec2.machines.get_mut(instance) {
                    machine.tags = if fails { half } else { tags };
                }
                if fails { Err(refused(Fault::Ec2Fails)) } else { Ok(accepted(instance, None)) }
            }
            Action::Start(id) | Action::Stop(id) | Action::Reboot(id) | Action::Terminate(id) => {
                self.drive(action.kind(), id)
            }
            Action::Locate => Err(fail(FailureKind::Invalid, "locate is not a change")),
        }
    }

    /// Whether EC2 gets as far as this instance.
    fn reaches(&mut self, by: Function, id: &InstanceId) -> Result<(), Failure> {
        if self.is_out(by, id) {
            return Err(unavailable());
        }
        if self.denies(by, id) { Err(unknown(id)) } else { Ok(()) }
    }

    /// The zone of a new instance: that of its subnet, or else any that is not out.
    fn zone_for(&mut self, by: Function, subnet: Option<&str>) -> Result<usize, Failure> {
        let asked = subnet.and_then(|subnet| SUBNETS.iter().position(|known| *known == subnet));
        let zones = asked.map_or(0..ZONES.len(), |zone| zone..zone + 1);
        let lit: Vec<usize> = zones.filter(|zone| !self.is_dark(*zone)).collect();
        if let Some(zone) = self.chance.one(&lit) {
            return Ok(*zone);
        }
        self.struck(by, Fault::ZoneDown);
        // As EC2 pleases.
        let no_room = self.chance.hits(500_000);
        Err(if no_room { no_capacity() } else { unavailable() })
    }

    fn run_instance(
        &mut self,
        by: Function,
        (token, spec, tags, user_data): (&str, &LaunchSpec, &BTreeMap<String, String>, Option<&UserData>),
    ) -> Result<Accepted, Failure> {
        let asked = hash((format!("{spec:?}"), tags, user_data.map(UserData::expose)));
        let id = match self.ec2.tokens.get(token).cloned() {
            Some(id) => {
                if self.ec2.machines[&id].token != Some((token.to_owned(), asked)) {
                    return Err(already_launched());
                }
                id
            }
            None => {
                let instance_type = spec.instance_type.as_deref().unwrap_or("m5zn.metal");
                let launch = Some((token.to_owned(), asked));
                let zone = self.zone_for(by, spec.subnet.as_deref())?;
                let id = self.launch(launch, instance_type, tags.clone(), Some(zone));
                self.ec2.tokens.insert(token.to_owned(), id.clone());
                id
            }
        };
        let machine = &self.ec2.machines[&id];
        let launched = machine.phases.last().map(|phase| machine.describe(&id, phase));
        let observed = launched.as_ref().map(|instance| instance.observed);
        Ok(Accepted { instance: id, observed, launched })
    }

    fn drive(&mut self, kind: ActionKind, id: &InstanceId) -> Result<Accepted, Failure> {
        let tame = self.ec2.tame;
        let machine = self.ec2.machines.get_mut(id).ok_or_else(|| unknown(id))?;
        if !tame && !machine.tags.contains_key(MANAGED_TAG) {
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
                return Ok(accepted(id, None));
            }
            (_, state) => {
                let message = format!("IncorrectInstanceState: it is {state}");
                return Err(fail(FailureKind::IncorrectState, &message));
            }
        };
        Ok(accepted(id, Some(now_in)))
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
            if kind != ActionKind::Locate {
                inner.acting((self.function(), self.invocation()), worker, kind, &tables);
            }
            if let Action::Launch { token, spec, user_data, .. } = action
                && !inner.ec2.tame
            {
                inner.launching(worker, (token, spec, user_data.as_ref()));
            }
            // A launch that was made before needs no more.
            let takes_room = match action {
                Action::Launch { token, .. } => !inner.ec2.tokens.contains_key(token),
                _ => kind == ActionKind::Start,
            };
            if takes_room && self.strikes(&mut inner, Fault::NoCapacity) {
                return Err(inner.no_room());
            }
            let answer = inner.carry_out(self.function(), action);
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
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        if matches!(kind, ActionKind::Launch | ActionKind::Locate | ActionKind::Tag) {
            return Err(fail(FailureKind::Invalid, "not for several instances at once"));
        }
        self.enter(Port::ChangeMany).await.map_err(refused)?;
        let answer = {
            let tables = self.world.tables.state();
            let mut inner = self.world.inner();
            let mut owners = Vec::new();
            for id in ids {
                let owner = tables.owners.iter().find(|(key, _)| key.instance == *id);
                // Or whose it was last; whether the call came too late for that is a law of every call.
                let owner = owner.map(|(_, worker)| *worker).or_else(|| inner.last_owner(id, &tables));
                match owner {
                    Some(worker) => inner.acting((self.function(), self.invocation()), worker, kind, &tables),
                    None => inner.violated(format!("{kind} of {id}, which is nobody's")),
                }
                owners.extend(owner);
            }
            let answer = if kind == ActionKind::Start && self.strikes(&mut inner, Fault::NoCapacity) {
                Err(inner.no_room())
            } else {
                inner.drive_all(self.function(), kind, ids)
            };
            let said = if answer.is_ok() { "accepted with others" } else { "refused with others" };
            for worker in owners {
                inner.step(Step::Acted(worker, kind, said));
                inner.acted(worker, kind, answer.is_ok());
            }
            answer
        };
        self.leave(Port::ChangeMany).await.map_err(refused)?;
        answer
    }
}

impl Inner {
    /// Why there is no room: EC2's, or what the account may have.
    fn no_room(&mut self) -> Failure {
        if self.chance.hits(250_000) { no_quota() } else { no_capacity() }
    }

    /// EC2's tokens for a call. It has one for every call of ours: nobody else draws on these buckets here.
    fn take_tokens(&mut self, kind: ActionKind, instances: usize) -> Result<(), Failure> {
        let answer = self.ec2.throttle.take(kind, instances, self.now);
        // Clocks that differ by seconds are more than the governor holds back for.
        if answer.is_err() && !self.ec2.tame && !self.faults.set().contains(&Fault::ClockSkew) {
            self.violated(format!("EC2 throttles a {kind}, and act counts along"));
        }
        answer
    }

    /// Changes all of these or none: one that EC2 would refuse spoils the call.
    fn drive_all(
        &mut self,
        by: Function,
        kind: ActionKind,
        ids: &[InstanceId],
    ) -> Result<Vec<Accepted>, Failure> {
        self.would_take(by, kind, ids)?;
        ids.iter().map(|id| self.drive(kind, id)).collect()
    }

    /// Whether EC2 takes this change of all of these.
    fn would_take(&mut self, by: Function, kind: ActionKind, ids: &[InstanceId]) -> Result<(), Failure> {
        self.take_tokens(kind, ids.len())?;
        for id in ids {
            self.reaches(by, id)?;
            let machine = self.ec2.machines.get(id).ok_or_else(|| unknown(id))?;
            if !self.ec2.tame && !machine.tags.contains_key(MANAGED_TAG) {
                return Err(fail(FailureKind::Denied, "UnauthorizedOperation"));
            }
            let state = machine.observed();
            let fits = match kind {
                ActionKind::Terminate => true,
                ActionKind::Start => {
                    matches!(state, Observed::Stopped | Observed::Running | Observed::Pending)
                }
                ActionKind::Stop => !matches!(state, Observed::ShuttingDown | Observed::Terminated),
                _ => state == Observed::Running,
            };
            if !fits {
                return Err(fail(
                    FailureKind::IncorrectState,
                    &format!("IncorrectInstanceState: it is {state}"),
                ));
            }
        }
        Ok(())
    }
}
