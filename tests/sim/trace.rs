//! What happened, as a hash to compare two runs by and as the last steps to read after a failure.

use std::collections::VecDeque;
use std::fmt;
use std::hash::Hash;

use domain::{ActionKind, InstanceId, Observed, WorkerId};

use crate::faults::Fault;
use crate::hash::hash;
use crate::outside::Port;
use crate::wiring::Function;
use crate::world::{BEGINNING, InvocationId};

/// How many of the last steps are kept.
const KEPT: usize = 80;

/// Spreads a step's hash over all bits: the golden ratio's, odd.
const MIX: u128 = 0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835;

/// One step.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Step {
    Began(Function, InvocationId),
    /// With a hash of its answer.
    Ended(Function, InvocationId, Result<u64, String>),
    Died(Function, InvocationId, &'static str),
    Called(Function, InvocationId, Port),
    Struck(Fault, Option<Function>),
    Saved(WorkerId, u64, Vec<&'static str>),
    Moved(InstanceId, Observed, &'static str),
    Acted(WorkerId, ActionKind, &'static str),
    Told(&'static str, String),
    Asked(usize, String, u16),
    DeadLetter(Function, &'static str),
    Healed,
    Off,
    On,
    Season,
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Began(function, id) => write!(f, "{function}#{id} begins"),
            Self::Ended(function, id, Ok(_)) => write!(f, "{function}#{id} ends"),
            Self::Ended(function, id, Err(error)) => write!(f, "{function}#{id} fails: {error}"),
            Self::Died(function, id, how) => write!(f, "{function}#{id} dies: {how}"),
            Self::Called(function, id, port) => write!(f, "{function}#{id} calls {port:?}"),
            Self::Struck(fault, Some(function)) => write!(f, "FAULT {fault:?} strikes {function}"),
            Self::Struck(fault, None) => write!(f, "FAULT {fault:?}"),
            Self::Saved(worker, version, facts) => {
                write!(f, "{worker} is at {version}: {}", facts.join(", "))
            }
            Self::Moved(instance, observed, who) => write!(f, "{instance} is {observed} ({who})"),
            Self::Acted(worker, kind, what) => write!(f, "EC2 {kind} of {worker}: {what}"),
            Self::Told(whom, notice) => write!(f, "{whom} is told {notice}"),
            Self::Asked(person, what, status) => write!(f, "person {person}: {what}: {status}"),
            Self::DeadLetter(function, why) => write!(f, "{function} has a dead letter: {why}"),
            Self::Healed => f.write_str("no more faults from here on"),
            Self::Off => f.write_str("the mappings of the stream are off"),
            Self::On => f.write_str("more than a day later the mappings are on again"),
            Self::Season => f.write_str("a season later"),
        }
    }
}

/// All steps, as a hash, and the last ones.
#[derive(Debug, Default)]
pub(crate) struct Trace {
    hash: u128,
    steps: u64,
    last: VecDeque<(i64, Step)>,
}

impl Trace {
    pub(crate) fn add(&mut self, now: i64, step: Step) {
        // An odd factor loses nothing of what was there.
        self.hash = (self.hash ^ u128::from(hash((now, &step)))).wrapping_mul(MIX).rotate_left(47);
        self.steps += 1;
        if self.last.len() == KEPT {
            self.last.pop_front();
        }
        self.last.push_back((now, step));
    }

    pub(crate) const fn hash(&self) -> u128 {
        self.hash
    }

    pub(crate) const fn steps(&self) -> u64 {
        self.steps
    }

    /// The last steps, one a line, with the time since the beginning.
    pub(crate) fn tail(&self) -> String {
        let line = |(at, step): &(i64, Step)| {
            let millis = at - BEGINNING;
            let (hours, rest) = (millis / 3_600_000, millis % 3_600_000);
            format!("    {hours}:{:02}:{:06.3}  {step}\n", rest / 60_000, (rest % 60_000) as f64 / 1000.0)
        };
        self.last.iter().map(line).collect()
    }
}
