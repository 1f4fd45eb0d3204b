//! Observations of EC2, and the total order that decides which of two is newer.

use std::net::IpAddr;

use jiff::SignedDuration;

use crate::state::words;
use crate::{Health, Observed, Timestamp, Zone};

/// EC2's `Describe*` answers may lag behind its own events by this much (boto3 issue 4386; EC2 API reference,
/// "Eventual consistency"), so a describe counts as if it had been made that much earlier.
pub(crate) const DESCRIBE_LAG: SignedDuration = SignedDuration::from_secs(30);

/// Where an observation comes from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Source {
    /// A `Describe*` call.
    Describe,
    /// The answer to one of our own mutating calls.
    Response,
    /// An EC2 state-change event.
    Event,
}

words!(Source { Describe => "describe", Response => "response", Event => "event" });

/// One observation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// What was found.
    pub finding: Finding,
    /// How it was found.
    pub source: Source,
    /// When it was true: the event's own time, or when the call was made.
    pub at: Timestamp,
    /// When we learnt it.
    pub seen_at: Timestamp,
}

/// What an observation found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Finding {
    /// EC2 says the instance is in this state.
    State {
        /// The state. Never `Unknown` or `Missing`: those are conclusions, not answers of EC2.
        observed: Observed,
        /// What else the answer said.
        details: Details,
    },
    /// EC2 answered, and knows no such instance. Not the same as terminated.
    NotFound,
    /// The call failed; nothing is known but that.
    Failed {
        /// What failed, in words fit for an operator.
        reason: String,
    },
}

/// What an observation says besides the state. Absent means "not said", never "empty"; but for the public address beside a private
/// one, as no instance has to have one.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Details {
    /// EC2's reason for the last transition, such as `Client.UserInitiatedShutdown: User initiated shutdown`.
    pub state_reason: Option<String>,
    /// The status checks, with the time of the evidence.
    pub health: Option<Health>,
    /// The private address.
    pub private_ip: Option<IpAddr>,
    /// The public address.
    pub public_ip: Option<IpAddr>,
    /// The zone the instance is in.
    pub zone: Option<Zone>,
    /// The instance type, such as `m5zn.metal`.
    pub instance_type: Option<String>,
}

impl Details {
    /// The public address, where this one was known: an elastic one can be taken away from an instance that runs.
    pub(crate) fn public_beside(&self, known: Option<IpAddr>) -> Option<IpAddr> {
        self.public_ip.or(known.filter(|_| self.private_ip.is_none()))
    }
}

/// The newest thing EC2 told us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// The state EC2 reported.
    pub observed: Observed,
    /// How we know.
    pub source: Source,
    /// When it was true.
    pub at: Timestamp,
    /// When we learnt it.
    pub seen_at: Timestamp,
    /// EC2's reason for the transition, if it gave one.
    pub state_reason: Option<String>,
}

impl Sighting {
    /// The time it counts for.
    pub(crate) fn counted(&self) -> Timestamp {
        effective(self.source, self.at)
    }

    /// Position in the total order of sightings of one instance.
    ///
    /// A total order, and not a pairwise rule, so that any permutation of the same evidence ends in the same state:
    /// terminated is final; then the effective time, where a describe counts [`DESCRIBE_LAG`] earlier than it was
    /// made; then the source; then the later state of an instance's life.
    pub(crate) fn order(&self) -> (bool, Timestamp, Source, u8) {
        (self.observed == Observed::Terminated, self.counted(), self.source, self.observed.rank())
    }
}

/// Whether an observation that counts for `counted` says anything about what happened since `since`. Compared by the
/// second, as EC2 stamps its events: the event that an action causes may carry a time just before the action's.
pub(crate) fn is_since(counted: Timestamp, since: Timestamp) -> bool {
    counted.as_second() >= since.as_second()
}

/// A later time, or the end of time.
pub(crate) fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// The time an observation counts for when it is compared with others.
pub(crate) fn effective(source: Source, at: Timestamp) -> Timestamp {
    match source {
        Source::Describe => at.checked_sub(DESCRIBE_LAG).unwrap_or(Timestamp::MIN),
        Source::Response | Source::Event => at,
    }
}
