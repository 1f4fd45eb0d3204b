//! EC2.

use std::collections::{BTreeMap, BTreeSet};

use app::error::CallError;
use app::ports::{
    Accepted, Actuator, Answered, Compute, ImageQuery, Instance, InstanceQuery, InstanceStatus, Page,
    WantedImage,
};
use domain::{
    Action, ActionKind, AnyTagKey, CheckStatus, Failure, FailureKind, InstanceId, LaunchSpec, Observed,
    Region, TagValue, UserData, WORKER_TAG, WorkerId, Zone,
};
use wildmatch::WildMatch;

use super::{State, World, account};

/// The image that instances are launched from unless something else is said.
pub(super) const IMAGE: &str = "ami-0123456789abcdef0";

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
    /// EC2's answers do not show it: they lag behind its launch.
    pub unseen: bool,
}

pub(super) fn broken(name: &str) -> CallError {
    CallError { message: format!("ec2 {name}: RequestLimitExceeded"), retryable: true, cause: None }
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
            public_ip: (self.observed == Observed::Running).then(|| [203, 0, 113, 1].into()),
            tags: self.tags.clone(),
        }
    }
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
                machine.tags.retain(|key, _| !remove.contains(key));
                machine.tags.extend(set.clone());
                Ok(Accepted { instance: instance.clone(), observed: None, launched: None })
            }
            Action::Start(id) | Action::Stop(id) | Action::Reboot(id) | Action::Terminate(id) => {
                self.change(action.kind(), id)
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
        machine.observed = now;
        machine.next = Some(next);
        machine.state_reason = Some("Client.UserInitiatedShutdown: User initiated shutdown".to_owned());
        accepted(Some(now))
    }
}

impl Compute for World {
    async fn statuses(&self, _: &Region, ids: &[InstanceId]) -> Result<Answered<InstanceStatus>, CallError> {
        let mut state = self.state();
        if !state.call("statuses") || state.is_dark(ids) {
            return Err(broken("statuses"));
        }
        let mut answer = Answered { found: Vec::new(), unknown: Vec::new() };
        for id in ids.iter().collect::<BTreeSet<_>>() {
            state.settle(id);
            match state.seen(id) {
                Some(machine) => answer.found.push(InstanceStatus {
                    instance: id.clone(),
                    observed: machine.observed,
                    system: if machine.impaired { CheckStatus::Impaired } else { CheckStatus::Ok },
                    reachability: CheckStatus::Ok,
                    ebs: CheckStatus::Ok,
                    zone: Some(machine.zone.clone()),
                }),
                None => answer.unknown.push(id.clone()),
            }
        }
        Ok(answer)
    }

    async fn describe(&self, _: &Region, ids: &[InstanceId]) -> Result<Answered<Instance>, CallError> {
        let mut state = self.state();
        if !state.call("describe") || state.is_dark(ids) {
            return Err(broken("describe"));
        }
        let mut answer = Answered { found: Vec::new(), unknown: Vec::new() };
        for id in ids.iter().collect::<BTreeSet<_>>() {
            match state.seen(id) {
                Some(machine) => answer.found.push(machine.describe(id)),
                None => answer.unknown.push(id.clone()),
            }
        }
        Ok(answer)
    }

    async fn locate(&self, _: &Region, worker: WorkerId) -> Result<Vec<Instance>, CallError> {
        let mut state = self.state();
        if !state.call("locate") {
            return Err(broken("locate"));
        }
        let tag = worker.to_string();
        let carriers = state
            .machines
            .iter()
            .filter(|(_, machine)| !machine.unseen && machine.tags.get(WORKER_TAG) == Some(&tag));
        Ok(carriers.map(|(id, machine)| machine.describe(id)).collect())
    }

    async fn image(&self, _: &Region, query: &ImageQuery) -> Result<Option<String>, CallError> {
        let mut state = self.state();
        if !state.call("image") {
            return Err(broken("image"));
        }
        let is_meant = |image: &&Ami| {
            let owned = query.owners.iter().any(|owner| owner.as_str() == image.owner);
            (owned || query.owners.is_empty())
                && match &query.image {
                    WantedImage::Id(id) => *id == image.id,
                    WantedImage::Newest(name) => WildMatch::new(name).matches(&image.name),
                }
        };
        let newest = state.images.iter().filter(is_meant).max_by_key(|image| (&image.created, &image.id));
        Ok(newest.map(|image| image.id.clone()))
    }

    async fn images(&self, _: &Region, name: &str, most: usize) -> Result<Option<Vec<String>>, CallError> {
        let mut state = self.state();
        if !state.call("images") {
            return Err(broken("images"));
        }
        let pattern = WildMatch::new(name);
        let called = state.images.iter().filter(|image| pattern.matches(&image.name));
        let ids: Vec<String> = called.map(|image| image.id.clone()).collect();
        Ok((ids.len() <= most).then_some(ids))
    }

    async fn search(
        &self,
        region: &Region,
        query: &InstanceQuery,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Option<Page<Instance>>, CallError> {
        let mut state = self.state();
        state.now += state.slow_search;
        // Without ids it is a question to the whole region.
        let dark = state.dark.iter().any(|zone| zone.as_str().starts_with(region.as_str()));
        if !state.call("search") || dark {
            return Err(broken("search"));
        }
        let after = match after.map(str::parse::<InstanceId>) {
            Some(Err(_)) => return Ok(None),
            Some(Ok(after)) => Some(after),
            None => None,
        };
        let mut found: Vec<Instance> = state
            .machines
            .iter()
            .filter(|(id, machine)| after.as_ref().is_none_or(|after| *id > after) && machine.is_in(region))
            .filter(|(_, machine)| machine.is_like(query))
            .map(|(id, machine)| machine.describe(id))
            .take(limit as usize + 1)
            .collect();
        let more = found.len() > limit as usize;
        found.truncate(limit as usize);
        let next = found.last().filter(|_| more).map(|last| last.instance.to_string());
        Ok(Some(Page { items: found, next }))
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
        let mut state = self.state();
        state.call("call_many");
        if matches!(kind, ActionKind::Launch | ActionKind::Locate | ActionKind::Tag) {
            let message = format!("{kind} is not for several instances at once");
            return Err(Failure { kind: FailureKind::Invalid, message });
        }
        if let Some(id) = ids.iter().find(|id| !state.machines.contains_key(*id)) {
            return Err(unknown(id));
        }
        let answer = ids.iter().map(|id| state.change(kind, id)).collect();
        if state.unanswered.contains("call_many") {
            return Err(unanswered());
        }
        answer
    }
}
