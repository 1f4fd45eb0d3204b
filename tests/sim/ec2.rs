//! EC2: instances with their states over time, the buckets that throttle, and the memory of client tokens.
//!
//! Facts: "Request throttling for the Amazon EC2 API" (buckets), "Instance lifecycle" (states), "Ensuring idempotency"
//! (client tokens), "Eventual consistency" (EC2 user guide and API reference).

use std::collections::BTreeMap;
use std::net::IpAddr;

use app::ports::Instance;
use domain::{CheckStatus, InstanceId, Observed, WORKER_TAG, WorkerId, Zone};
use tests::world::{Throttle, account};

use crate::faults::Fault;
use crate::trace::Step;
use crate::world::{Due, Inner, MINUTE, SECOND};

/// How long EC2 may not know a new instance as a rule, and how long in one of so many cases, in a million: as long as is left
/// to a launch.
const YOUNG: i64 = 20 * SECOND;
const LONG_YOUNG: (i64, i64, u64) = (20, 270, 100_000);
/// How long EC2 still answers for a terminated instance.
const LINGERS: i64 = 60 * MINUTE;
/// How long it takes until the status checks of an instance that runs have finished their first run.
const INITIALIZING: i64 = 2 * MINUTE;
/// How long EC2 denies an instance, and how seldom: it is never denied twice in such a time.
pub(crate) const DENIED: (i64, i64) = (20 * SECOND, 120 * MINUTE);
/// The zones instances are in.
pub(crate) const ZONES: [&str; 2] = ["us-east-1a", "us-east-1b"];
/// A subnet in each of them.
pub(crate) const SUBNETS: [&str; 2] = ["subnet-0000000a", "subnet-0000000b"];

/// An instance in one state.
#[derive(Debug, Clone)]
pub(crate) struct Phase {
    pub(crate) since: i64,
    pub(crate) observed: Observed,
    pub(crate) reason: Option<String>,
    /// How often it had been started by then.
    pub(crate) run: u32,
}

/// One instance.
#[derive(Debug, Clone)]
pub(crate) struct Machine {
    pub(crate) phases: Vec<Phase>,
    pub(crate) tags: BTreeMap<String, String>,
    pub(crate) zone: usize,
    instance_type: String,
    /// The token it was launched with, and what else was asked for then.
    pub(crate) token: Option<(String, u64)>,
    pub(crate) impaired_until: i64,
    /// Which of its status checks fails until then.
    impaired: usize,
    /// The elastic address that somebody associated with it, and how many there have been.
    elastic: (bool, u8),
    /// Until when EC2 may not know it yet.
    young_until: i64,
    /// Since when it is gone without a trace.
    pub(crate) vanished: Option<i64>,
    /// Counts its moves.
    pub(crate) moves: u64,
    pub(crate) reboots: u32,
    /// When EC2 began to deny it last.
    pub(crate) denied_at: i64,
}

impl Machine {
    /// The state at a time; what it is now for any time after its last change.
    pub(crate) fn at(&self, at: i64) -> Option<&Phase> {
        self.phases.iter().rev().find(|phase| phase.since <= at)
    }

    pub(crate) fn observed(&self) -> Observed {
        self.phases.last().map_or(Observed::Unknown, |phase| phase.observed)
    }

    /// It exists and costs money.
    pub(crate) fn is_live(&self) -> bool {
        self.vanished.is_none() && !matches!(self.observed(), Observed::ShuttingDown | Observed::Terminated)
    }

    /// It was launched so lately that EC2 may not know it yet.
    pub(crate) const fn is_young(&self, now: i64) -> bool {
        now < self.young_until
    }

    /// EC2 has forgotten it.
    pub(crate) fn is_forgotten(&self, now: i64) -> bool {
        let last = self.phases.last();
        self.vanished.is_some()
            || last.is_some_and(|p| p.observed == Observed::Terminated && now - p.since > LINGERS)
    }

    /// The status checks: of the system, of the instance, and of its volumes.
    pub(crate) fn checks(&self, now: i64, phase: &Phase) -> [CheckStatus; 3] {
        let mut checks = match phase.observed {
            Observed::Running if now - phase.since < INITIALIZING => [CheckStatus::Initializing; 3],
            Observed::Running => [CheckStatus::Ok; 3],
            _ => [CheckStatus::NotApplicable; 3],
        };
        if now < self.impaired_until && checks[self.impaired] == CheckStatus::Ok {
            checks[self.impaired] = CheckStatus::Impaired;
        }
        checks
    }

    /// Where it can be reached from outside: at another address in each run, unless it has an elastic one.
    pub(crate) fn public_ip(&self, phase: &Phase) -> Option<IpAddr> {
        let [.., high, low] = phase.run.to_be_bytes();
        let (has_elastic, number) = self.elastic;
        let address = if has_elastic { [198, 51, 100, number] } else { [203, 0, high, low] };
        // An elastic one stays with an instance that stops (EC2 user guide, "Elastic IP addresses").
        let has_one = match phase.observed {
            Observed::Running => true,
            Observed::ShuttingDown | Observed::Terminated => false,
            _ => has_elastic,
        };
        has_one.then(|| address.into())
    }

    pub(crate) fn describe(&self, id: &InstanceId, phase: &Phase) -> Instance {
        Instance {
            instance: id.clone(),
            account: account(),
            observed: phase.observed,
            state_reason: phase.reason.clone(),
            zone: zone(self.zone),
            instance_type: Some(self.instance_type.clone()),
            private_ip: Some([10, 0, 0, 1].into()),
            public_ip: self.public_ip(phase),
            tags: self.tags.clone(),
        }
    }
}

pub(crate) fn zone(index: usize) -> Option<Zone> {
    ZONES.get(index)?.parse().ok()
}

/// A token bucket.
#[derive(Debug, Clone)]
struct Bucket {
    capacity: f64,
    per_second: f64,
    tokens: f64,
    at: i64,
}

impl Bucket {
    const fn new(capacity: f64, per_second: f64) -> Self {
        Self { capacity, per_second, tokens: capacity, at: 0 }
    }

    fn take(&mut self, tokens: f64, now: i64) -> bool {
        let gained = (now - self.at).max(0) as f64 / 1000.0 * self.per_second;
        self.tokens = (self.tokens + gained).min(self.capacity);
        self.at = now;
        let granted = self.tokens >= tokens;
        if granted {
            self.tokens -= tokens;
        }
        granted
    }
}

/// All instances and buckets of the one region.
#[derive(Debug, Default)]
pub(crate) struct Ec2 {
    pub(crate) machines: BTreeMap<InstanceId, Machine>,
    pub(crate) tokens: BTreeMap<String, InstanceId>,
    /// What is left for calls that change.
    pub(crate) throttle: Throttle,
    /// What is left for calls that look.
    looks: Option<Bucket>,
    /// What is left for those that look at instances by their ids.
    looks_by_id: Option<Bucket>,
    /// Until when calls fail that name an instance of this zone, launch one there, or ask about all of the region.
    pub(crate) zone_down_until: [i64; 2],
    /// For the laws, which are EC2's and are in a hurry: the policy of `act` is not in force, and no state lasts long.
    pub(crate) tame: bool,
}

impl Ec2 {
    /// Whether EC2 takes a call that only looks, with a filter and by the page: 100 at once, 20 a second.
    pub(crate) fn admits_look(&mut self, now: i64) -> bool {
        self.looks.get_or_insert_with(|| Bucket::new(100.0, 20.0)).take(1.0, now)
    }

    /// Whether EC2 takes a call that only looks, without either: 50 at once, 10 a second.
    pub(crate) fn admits_look_by_id(&mut self, now: i64) -> bool {
        self.looks_by_id.get_or_insert_with(|| Bucket::new(50.0, 10.0)).take(1.0, now)
    }

    /// The instances that carry a worker's tag.
    pub(crate) fn carriers_of(&self, worker: WorkerId) -> impl Iterator<Item = (&InstanceId, &Machine)> {
        let tag = worker.to_string();
        self.machines.iter().filter(move |(_, machine)| machine.tags.get(WORKER_TAG) == Some(&tag))
    }

    /// How many of them live.
    pub(crate) fn live_of(&self, worker: WorkerId) -> usize {
        self.carriers_of(worker).filter(|(_, machine)| machine.is_live()).count()
    }
}

impl Inner {
    /// A new instance, on its way to running.
    pub(crate) fn launch(
        &mut self,
        token: Option<(String, u64)>,
        instance_type: &str,
        tags: BTreeMap<String, String>,
        zone: Option<usize>,
    ) -> InstanceId {
        let id: InstanceId = format!("i-{:017x}", self.id()).parse().expect("an instance id");
        let zone = zone.unwrap_or_else(|| self.chance.below(ZONES.len() as u64) as usize);
        // What others launched is older when we hear of it.
        let (from, to, often) = LONG_YOUNG;
        let long = token.is_some() && !self.ec2.tame && self.chance.hits(often);
        let young = if long { self.chance.between(from, to) * SECOND } else { YOUNG };
        let machine = Machine {
            phases: Vec::new(),
            tags,
            zone,
            instance_type: instance_type.to_owned(),
            token,
            impaired_until: 0,
            impaired: 0,
            elastic: (false, 0),
            young_until: self.now + young,
            vanished: None,
            moves: 0,
            reboots: 0,
            denied_at: 0,
        };
        self.ec2.machines.insert(id.clone(), machine);
        self.move_to(&id, Observed::Pending, None, "launched");
        id
    }

    /// An instance gets into a state: EC2 says so in an event, and a state it cannot stay in ends by itself.
    pub(crate) fn move_to(
        &mut self,
        id: &InstanceId,
        observed: Observed,
        reason: Option<&str>,
        who: &'static str,
    ) {
        let now = self.now;
        let Some(machine) = self.ec2.machines.get_mut(id) else { return };
        machine.moves += 1;
        let moves = machine.moves;
        let started = machine.phases.last().map_or(0, |phase| phase.run);
        let run = started + u32::from(observed == Observed::Pending);
        machine.phases.push(Phase { since: now, observed, reason: reason.map(str::to_owned), run });
        self.step(Step::Moved(id.clone(), observed, who));
        let (from, to) = match observed {
            Observed::Pending => (8, 90),
            Observed::Stopping => (10, 120),
            Observed::ShuttingDown => (10, 90),
            _ => (0, 0),
        };
        if to > 0 {
            let slow = self.faults.strikes(Fault::SlowTransition, None, &mut self.chance);
            let to = if self.ec2.tame { from } else { to };
            let seconds = self.chance.between(from, to) * if slow { 10 } else { 1 };
            self.after(seconds * SECOND, Due::Settle(id.clone(), moves));
        }
        self.emit(id, observed);
    }

    /// A transition ends, unless the instance was moved meanwhile.
    pub(crate) fn settle(&mut self, id: &InstanceId, moves: u64) {
        let Some(machine) = self.ec2.machines.get(id) else { return };
        if machine.moves != moves || machine.vanished.is_some() {
            return;
        }
        let reason = machine.phases.last().and_then(|phase| phase.reason.clone());
        let is_new = machine.phases.iter().all(|phase| phase.observed == Observed::Pending);
        let next = match machine.observed() {
            Observed::Pending if self.faults.strikes(Fault::Undone, None, &mut self.chance) => {
                let next = if is_new { Observed::Terminated } else { Observed::Stopped };
                let reason = Some("Server.InternalError: Internal error on launch");
                return self.move_to(id, next, reason, "EC2");
            }
            Observed::Pending => Observed::Running,
            Observed::Stopping => Observed::Stopped,
            Observed::ShuttingDown => Observed::Terminated,
            _ => return,
        };
        let reason = reason.filter(|_| next != Observed::Running);
        self.move_to(id, next, reason.as_deref(), "by itself");
        // Before anybody has looked.
        if next == Observed::Stopped && self.faults.strikes(Fault::Meddling, None, &mut self.chance) {
            self.move_to(id, Observed::Pending, None, "somebody else");
        }
    }

    /// Somebody else does something to a random instance.
    pub(crate) fn meddle(&mut self) {
        self.after(MINUTE, Due::Meddle);
        if self.faults.healed {
            return;
        }
        for zone in 0..ZONES.len() {
            // It counts where a call meets it.
            if self.faults.hits(Fault::ZoneDown, &mut self.chance) {
                self.ec2.zone_down_until[zone] = self.now + self.chance.between(2, 30) * MINUTE;
            }
        }
        let live: Vec<InstanceId> =
            self.ec2.machines.iter().filter(|(_, m)| m.is_live()).map(|(id, _)| id.clone()).collect();
        let (now, Some(id)) = (self.now, self.chance.one(&live).cloned()) else { return };
        self.push_around(&id);
        let runs = self.ec2.machines[&id].observed() == Observed::Running;
        // It counts where somebody sees it.
        if runs && self.faults.hits(Fault::Impairment, &mut self.chance) {
            let (minutes, check) = (self.chance.between(3, 40), self.chance.below(3));
            if let Some(machine) = self.ec2.machines.get_mut(&id) {
                let passes = minutes % 4 > 0;
                machine.impaired = check as usize;
                machine.impaired_until = if passes { now + minutes * MINUTE } else { i64::MAX };
            }
        }
        if self.faults.strikes(Fault::Vanishing, None, &mut self.chance)
            && let Some(machine) = self.ec2.machines.get_mut(&id)
        {
            machine.vanished = Some(now);
            self.step(Step::Moved(id, Observed::Missing, "vanished"));
        }
    }

    /// Somebody else starts, stops or terminates an instance, or associates an address with it or takes that away.
    fn push_around(&mut self, id: &InstanceId) {
        let terminate = self.chance.hits(60_000);
        if self.chance.hits(200_000) {
            let readdresses = self.faults.strikes(Fault::Meddling, None, &mut self.chance);
            if let Some(machine) = self.ec2.machines.get_mut(id).filter(|_| readdresses) {
                let (has, number) = machine.elastic;
                machine.elastic = (!has, number.wrapping_add(u8::from(!has)));
            }
            return;
        }
        let by_user = Some("Client.UserInitiatedShutdown: User initiated shutdown");
        let (to, reason) = match self.ec2.machines[id].observed() {
            _ if terminate => (Observed::ShuttingDown, by_user),
            Observed::Running => (Observed::Stopping, by_user),
            Observed::Stopped => (Observed::Pending, None),
            _ => return,
        };
        if self.faults.strikes(Fault::Meddling, None, &mut self.chance) {
            self.move_to(id, to, reason, "somebody else");
        }
    }
}
