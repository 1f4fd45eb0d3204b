//! EC2.

mod look;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use app::error::CallError;
use app::ports::{Accepted, Actuator, Instance, InstanceQuery};
use domain::{
    Action, ActionKind, AnyTagKey, Failure, FailureKind, InstanceId, LaunchSpec, Observed, Region, TagValue,
    UserData, WorkerId, Zone,
};

use super::{State, World, account};

/// The image that instances are launched from unless something else is said.
pub(super) const IMAGE: &str = "ami-0123456789abcdef0";

/// How many tags an instance has at most (EC2 user guide, "Tag your Amazon EC2 resources").
const MOST_TAGS: usize = 50;

/// One image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ami {
    /// Its id.
    pub id: String,
    /// What it is called.
    pub name: String,
    /// Whose it is: an account, `self`, or another word of EC2's.
    pub owner: String,
    /// When it was made.
    pub created: String,
}

/// One instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Its state.
    pub observed: Observed,
    /// EC2's reason for it.
    pub state_reason: Option<String>,
    /// Its tags.
    pub tags: BTreeMap<String, String>,
    /// The state it will be in the next time somebody looks.
    pub next: Option<Observed>,
    /// The token it was launched with, and what else was asked for: the token is good for that only.
    pub token: Option<(String, LaunchSpec, BTreeMap<String, String>)>,
    /// The user data it was launched with.
    pub user_data: Option<UserData>,
    /// A status check fails.
    pub impaired: bool,
    /// Where it is.
    pub zone: Zone,
    /// The image it was launched from.
    pub image: String,
    /// Its public address, while it runs.
    pub public_ip: Option<IpAddr>,
    /// EC2's answers do not show it: they lag behind its launch.
    pub unseen: bool,
}

pub(super) fn broken(name: &str) -> CallError {
    CallError { message: format!("ec2 {name}: RequestLimitExceeded"), retryable: true, cause: None }
}

fn denied(name: &str) -> CallError {
    CallError { message: format!("ec2 {name}: UnauthorizedOperation"), retryable: false, cause: None }
}

fn unanswered() -> Failure {
    Failure { kind: FailureKind::Other, message: "no answer in time".to_owned() }
}

impl Machine {
    fn is_in(&self, region: &Region) -> bool {
        self.zone.as_str().starts_with(region.as_str())
    }

    /// Whether a search for this finds it.
    fn is_like(&self, query: &InstanceQuery) -> bool {
        let ends = matches!(self.observed, Observed::ShuttingDown | Observed::Terminated);
        let tagged = |(key, value): (&AnyTagKey, &TagValue)| {
            self.tags.get(key.as_str()).is_some_and(|its| its == value.as_str())
        };
        !self.unseen
            && !ends
            && query.tags.iter().all(tagged)
            && (query.images.is_empty() || query.images.contains(&self.image))
    }

    fn describe(&self, id: &InstanceId) -> Instance {
        Instance {
            instance: id.clone(),
            account: account(),
            observed: self.observed,
            state_reason: self.state_reason.clone(),
            zone: Some(self.zone.clone()),
            instance_type: Some("m5zn.metal".to_owned()),
            private_ip: Some([10, 0, 0, 1].into()),
            public_ip: self.public_ip.filter(|_| self.observed == Observed::Running),
            tags: self.tags.clone(),
        }
    }
}

/// The tags of an instance once some were removed and others set.
///
/// # Errors
/// EC2's refusal, where that would be too many.
pub fn retagged(
    tags: &BTreeMap<String, String>,
    set: &BTreeMap<String, String>,
    remove: &BTreeSet<String>,
) -> Result<BTreeMap<String, String>, Failure> {
    let mut tags = tags.clone();
    tags.retain(|key, _| !remove.contains(key));
    tags.extend(set.clone());
    let message = "TagLimitExceeded: more than 50 tags".to_owned();
    if tags.len() > MOST_TAGS { Err(Failure { kind: FailureKind::Invalid, message }) } else { Ok(tags) }
}

fn unknown(id: &InstanceId) -> Failure {
    let message = format!("InvalidInstanceID.NotFound: {id} does not exist");
    Failure { kind: FailureKind::NotFound, message }
}

impl State {
    /// Puts an instance into EC2, as somebody else would, and gives its id.
    ///
    /// # Panics
    /// Never: the id is an instance's, and the zone is one.
    #[expect(clippy::expect_used, reason = "the id is an instance's, and the zone is one")]
    pub fn launch(&mut self, observed: Observed) -> InstanceId {
        let id: InstanceId = format!("i-{:017x}", self.id()).parse().expect("an instance id");
        let machine = Machine {
            observed,
            state_reason: None,
            tags: BTreeMap::new(),
            next: None,
            token: None,
            user_data: None,
            impaired: false,
            zone: "us-east-1a".parse().expect("a zone"),
            image: IMAGE.to_owned(),
            public_ip: Some([203, 0, 113, 1].into()),
            unseen: false,
        };
        self.machines.insert(id.clone(), machine);
        id
    }

    /// Somebody else changes an instance.
    pub fn meddle(&mut self, id: &InstanceId, observed: Observed, reason: &str) {
        if let Some(machine) = self.machines.get_mut(id) {
            machine.observed = observed;
            machine.state_reason = Some(reason.to_owned());
            machine.next = None;
        }
    }

    /// The instance launched with the token, made if there is none.
    fn launch_once(
        &mut self,
        token: &str,
        spec: &LaunchSpec,
        tags: &BTreeMap<String, String>,
    ) -> Result<InstanceId, Failure> {
        let launches = self.machines.iter().filter_map(|(id, machine)| Some((id, machine.token.as_ref()?)));
        let earlier = launches.into_iter().find(|(_, (known, ..))| known == token);
        if let Some((id, (_, launched_from, launched_with))) = earlier {
            if launched_from == spec && launched_with == tags {
                return Ok(id.clone());
            }
            let message = "IdempotentParameterMismatch: the token was used with other parameters".to_owned();
            return Err(Failure { kind: FailureKind::AlreadyLaunched, message });
        }
        let asked = [spec.instance_type.as_ref(), spec.subnet.as_ref()];
        if let Some((kind, message)) = asked.into_iter().flatten().find_map(|part| self.no_room.get(part)) {
            return Err(Failure { kind: *kind, message: (*message).to_owned() });
        }
        let id = self.launch(Observed::Pending);
        if let Some(machine) = self.machines.get_mut(&id) {
            machine.token = Some((token.to_owned(), spec.clone(), tags.clone()));
            machine.image = spec.image.clone().unwrap_or_else(|| IMAGE.to_owned());
            machine.tags.clone_from(tags);
            machine.next = Some(Observed::Running);
        }
        Ok(id)
    }

    /// Whether EC2 answers a question, about something that is `dark` or not.
    fn ask(&mut self, name: &'static str, dark: bool) -> Result<(), CallError> {
        let works = self.call(name);
        if self.denied.contains(name) {
            return Err(denied(name));
        }
        if dark || !works { Err(broken(name)) } else { Ok(()) }
    }

    /// The instance, if EC2's answers show it.
    fn seen(&self, id: &InstanceId) -> Option<&Machine> {
        self.machines.get(id).filter(|machine| !machine.unseen)
    }

    fn is_dark(&self, ids: &[InstanceId]) -> bool {
        ids.iter().filter_map(|id| self.machines.get(id)).any(|machine| self.dark.contains(&machine.zone))
    }

    fn settle(&mut self, id: &InstanceId) {
        if let Some(machine) = self.machines.get_mut(id)
            && let Some(next) = machine.next.take()
        {
            machine.observed = next;
        }
    }

    fn carry_out(&mut self, action: &Action) -> Result<Accepted, Failure> {
        self.now += self.slow;
        let name = action.kind().as_str();
        let works = self.call(name);
        self.throttled_or(action.kind(), 1)?;
        if let Some(kind) = self.refused.get(name) {
            return Err(Failure { kind: *kind, message: format!("EC2 refuses to {name}: {kind}") });
        }
        if !works {
            let message = "InsufficientInstanceCapacity: no room".to_owned();
            return Err(Failure { kind: FailureKind::Capacity, message });
        }
        let answer = match action {
            Action::Launch { spec, token, tags, user_data } => {
                let id = self.launch_once(token, spec, tags)?;
                self.machines.entry(id.clone()).and_modify(|machine| machine.user_data.clone_from(user_data));
                let launched = self.machines.get(&id).map(|machine| machine.describe(&id));
                let observed = launched.as_ref().map(|instance| instance.observed);
                Ok(Accepted { instance: id, observed, launched })
            }
            Action::Tag { instance, set, remove } => {
                let machine = self.machines.get_mut(instance).ok_or_else(|| unknown(instance))?;
                machine.tags = retagged(&machine.tags, set, remove)?;
                Ok(Accepted { instance: instance.clone(), observed: None, launched: None })
            }
            Action::Start(id) | Action::Stop(id) | Action::Reboot(id) | Action::Terminate(id) => {
                let room = self.room.clone();
                if action.kind() == ActionKind::Start {
                    self.has_room(std::slice::from_ref(id))?;
                }
                // What is refused takes no room.
                self.change(action.kind(), id).inspect_err(|_| self.room = room)
            }
            Action::Locate => {
                Err(Failure { kind: FailureKind::Invalid, message: "locate is not a change".to_owned() })
            }
        };
        if self.unanswered.contains(action.kind().as_str()) {
            return Err(unanswered());
        }
        answer
    }

    /// All of them or none.
    fn carry_out_many(&mut self, kind: ActionKind, ids: &[InstanceId]) -> Result<Vec<Accepted>, Failure> {
        self.now += self.slow;
        self.call("call_many");
        self.throttled_or(kind, ids.len())?;
        if matches!(kind, ActionKind::Launch | ActionKind::Locate | ActionKind::Tag) {
            let message = format!("{kind} is not for several instances at once");
            return Err(Failure { kind: FailureKind::Invalid, message });
        }
        if let Some(id) = ids.iter().find(|id| !self.machines.contains_key(*id)) {
            return Err(unknown(id));
        }
        let (room, started) = (self.room.clone(), self.starts.len());
        let before: Vec<(InstanceId, Machine)> =
            ids.iter().filter_map(|id| Some((id.clone(), self.machines.get(id)?.clone()))).collect();
        if kind == ActionKind::Start {
            self.has_room(ids)?;
        }
        let answer: Result<Vec<Accepted>, Failure> = ids.iter().map(|id| self.change(kind, id)).collect();
        if answer.is_err() {
            self.room = room;
            self.starts.truncate(started);
            self.machines.extend(before);
        }
        if self.unanswered.contains("call_many") {
            return Err(unanswered());
        }
        answer
    }

    fn throttled_or(&mut self, kind: ActionKind, instances: usize) -> Result<(), Failure> {
        let now = self.now;
        let taken = self.throttle.as_mut().map_or(Ok(()), |throttle| throttle.take(kind, instances, now));
        self.throttled += u32::from(taken.is_err());
        taken
    }

    /// Whether there is room for these to start, all of them.
    fn has_room(&mut self, ids: &[InstanceId]) -> Result<(), Failure> {
        let zones = |zone: &Zone| {
            let there =
                |id: &&InstanceId| self.machines.get(*id).is_some_and(|machine| machine.zone == *zone);
            u32::try_from(ids.iter().filter(there).count()).unwrap_or(u32::MAX)
        };
        let wanted: Vec<(Zone, u32)> = self.room.keys().map(|zone| (zone.clone(), zones(zone))).collect();
        if let Some((zone, _)) = wanted.iter().find(|(zone, wanted)| *wanted > self.room[zone]) {
            let message = format!("InsufficientInstanceCapacity: not enough capacity in {zone}");
            return Err(Failure { kind: FailureKind::Capacity, message });
        }
        for (zone, wanted) in wanted {
            self.room.entry(zone).and_modify(|room| *room -= wanted);
        }
        Ok(())
    }

    fn change(&mut self, kind: ActionKind, id: &InstanceId) -> Result<Accepted, Failure> {
        let accepted = |observed| Ok(Accepted { instance: id.clone(), observed, launched: None });
        let machine = self.machines.get_mut(id).ok_or_else(|| unknown(id))?;
        if kind == ActionKind::Start && machine.observed == Observed::Stopping {
            let message =
                "IncorrectInstanceState: the instance is not in a state from which it can be started";
            return Err(Failure { kind: FailureKind::IncorrectState, message: message.to_owned() });
        }
        let (now, next) = match kind {
            ActionKind::Start => (Observed::Pending, Observed::Running),
            ActionKind::Stop => (Observed::Stopping, Observed::Stopped),
            ActionKind::Terminate => (Observed::ShuttingDown, Observed::Terminated),
            ActionKind::Launch | ActionKind::Locate | ActionKind::Reboot | ActionKind::Tag => {
                return accepted(None);
            }
        };
        if machine.observed == now || machine.observed == next {
            return accepted(Some(machine.observed));
        }
        if kind != ActionKind::Terminate
            && matches!(machine.observed, Observed::ShuttingDown | Observed::Terminated)
        {
            let message = format!("IncorrectInstanceState: {id} is {}", machine.observed);
            return Err(Failure { kind: FailureKind::IncorrectState, message });
        }
        if kind == ActionKind::Start {
            self.starts.push((self.now, id.clone()));
        }
        machine.observed = now;
        machine.next = Some(next);
        machine.state_reason = Some("Client.UserInitiatedShutdown: User initiated shutdown".to_owned());
        accepted(Some(now))
    }
}

impl Actuator for World {
    async fn call(&self, _: &Region, _: WorkerId, action: &Action) -> Result<Accepted, Failure> {
        let answer = self.state().carry_out(action);
        self.survive(action.kind().as_str()).await;
        answer
    }

    async fn call_many(
        &self,
        _: &Region,
        kind: ActionKind,
        ids: &[InstanceId],
    ) -> Result<Vec<Accepted>, Failure> {
        let answer = self.state().carry_out_many(kind, ids);
        self.survive("call_many").await;
        answer
    }
}
