//! What AWS, the network and people do to us. Each run has a random subset of the kinds, each with a rate of its own
//! (swarm testing: a fault that is absent uncovers what one that is everywhere hides).

use std::collections::{BTreeMap, BTreeSet};

use crate::chance::Chance;
use crate::wiring::Function;

use Function::{Act, Api, Collect, Drift, Notify, Poll};

/// A kind of fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Fault {
    /// The process dies just before a call takes effect.
    CrashBefore,
    /// The process dies just after a call took effect.
    CrashAfter,
    /// A call never returns, before its effect or after it; Lambda ends the invocation at its time limit.
    Hang,
    /// The environment is gone, and with it all that it remembered.
    ColdStart,
    /// The environment's clock is wrong by up to two seconds.
    ClockSkew,
    /// A table refuses a call.
    TableRefuses,
    /// A table carries a write out, and its answer is lost.
    TableLosesReply,
    /// A table carries a write out, its answer is lost, and our client sends it again, so that it meets what it did itself.
    TableMeetsItself,
    /// Another transaction is in the way.
    TableContended,
    /// An index is a minute behind.
    IndexLags,
    /// The stream delivers a finished batch again.
    Redelivery,
    /// Somebody wrote a record nobody can read.
    PoisonRecord,
    /// A stream's consumer is down for hours: longer than the records of `act` may wait.
    ConsumerDown,
    /// The stream's mappings are off, for longer than it keeps its records: once, when all else is over.
    MappingsOff,
    /// An event is never delivered.
    EventDropped,
    /// An event is delivered twice.
    EventDuplicated,
    /// An event comes up to ten minutes late, behind its successors.
    EventDelayed,
    /// The schedule leaves minutes out.
    TickSkipped,
    /// The schedule fires twice for one minute.
    TickDuplicated,
    /// The schedule fires up to ten minutes late, behind its successors.
    TickDelayed,
    /// The bus refuses entries.
    BusRefuses,
    /// The bus takes entries, and its answer is lost.
    BusLosesReply,
    /// The bus takes some entries of a call, and not the others, however often they are put.
    BusPartial,
    /// EC2 asks to slow down, whatever its buckets hold.
    Ec2Throttles,
    /// EC2 fails.
    Ec2Fails,
    /// EC2 carries a call out, and its answer is lost.
    Ec2LosesReply,
    /// EC2 does not let us look.
    Ec2Forbids,
    /// EC2 answers a call after seconds, nearly too late for our client; the next is as fast as ever.
    Ec2AnswersLate,
    /// A describe answers with what was true up to 30 s ago.
    DescribeLags,
    /// EC2 does not know its own new instance yet.
    NotYetKnown,
    /// EC2 denies for some seconds that it knows an instance.
    Denial,
    /// Calls fail that name an instance of one zone, launch one there, or ask about all of the region.
    ZoneDown,
    /// There is no room.
    NoCapacity,
    /// EC2 undoes a launch or a start that it has accepted.
    Undone,
    /// Instances take much longer than usual.
    SlowTransition,
    /// Somebody else starts, stops or terminates an instance, at times as soon as it has stopped, or gives it another address.
    Meddling,
    /// An instance is gone without a trace.
    Vanishing,
    /// A status check fails.
    Impairment,
    /// CloudWatch fails.
    MetricsFail,
    /// CloudWatch is ten minutes late.
    MetricsLate,
    /// CloudWatch leaves a metric out.
    MetricsPartial,
    /// The topic refuses a message.
    TopicRefuses,
    /// The topic takes a message, and its answer is lost.
    TopicLosesReply,
    /// A receiver answers 500.
    HookFails,
    /// A receiver never answers.
    HookHangs,
    /// A receiver cannot be reached, or does not prove who it is.
    HookUnreachable,
    /// A receiver asks to wait, for a sensible time or not.
    HookLimits,
    /// A receiver does not like a notice, is gone or has moved.
    HookDeclines,
    /// A receiver takes a notice, and its answer is lost.
    HookLosesReply,
    /// The signing secret cannot be read.
    SecretMissing,
    /// A client sends a request twice at once.
    ClientRepeats,
    /// A client does not wait for the answer and asks again.
    ClientGivesUp,
    /// A client whose request failed never asks again.
    ClientLeaves,
}

use Fault::*;

impl Fault {
    pub(crate) const ALL: [Self; 53] = [
        CrashBefore,
        CrashAfter,
        Hang,
        ColdStart,
        ClockSkew,
        TableRefuses,
        TableLosesReply,
        TableMeetsItself,
        TableContended,
        IndexLags,
        Redelivery,
        PoisonRecord,
        ConsumerDown,
        MappingsOff,
        EventDropped,
        EventDuplicated,
        EventDelayed,
        TickSkipped,
        TickDuplicated,
        TickDelayed,
        BusRefuses,
        BusLosesReply,
        BusPartial,
        Ec2Throttles,
        Ec2Fails,
        Ec2LosesReply,
        Ec2Forbids,
        Ec2AnswersLate,
        DescribeLags,
        NotYetKnown,
        Denial,
        ZoneDown,
        NoCapacity,
        Undone,
        SlowTransition,
        Meddling,
        Vanishing,
        Impairment,
        MetricsFail,
        MetricsLate,
        MetricsPartial,
        TopicRefuses,
        TopicLosesReply,
        HookFails,
        HookHangs,
        HookUnreachable,
        HookLimits,
        HookDeclines,
        HookLosesReply,
        SecretMissing,
        ClientRepeats,
        ClientGivesUp,
        ClientLeaves,
    ];

    /// The functions it can strike, and does within some hundred runs, unless a comment says otherwise; empty for what happens outside
    /// all of them.
    pub(crate) const fn strikes(self) -> &'static [Function] {
        match self {
            CrashBefore | CrashAfter | Hang | ColdStart | ClockSkew | TableRefuses => &Function::ALL,
            TableLosesReply => &[Api, Poll, Collect, Drift, Act, Notify],
            TableMeetsItself => &[Api, Poll, Collect, Act, Notify],
            TableContended => &[Api, Collect, Drift, Act],
            IndexLags => &[Api, Poll, Notify],
            Redelivery | PoisonRecord | ConsumerDown | MappingsOff => &[Act, Notify],
            EventDropped | EventDuplicated | EventDelayed => &[Collect, Drift, Act],
            TickSkipped | TickDuplicated | TickDelayed => &[Poll, Notify],
            BusRefuses | BusLosesReply => &[Api, Poll, Act, Notify],
            // Two entries at least; `act` has them for a look at many, in several zones.
            BusPartial => &[Poll, Act, Notify],
            Ec2Throttles | Ec2Fails | Ec2Forbids | Ec2AnswersLate | NotYetKnown | Denial | ZoneDown => {
                &[Api, Collect, Drift, Act]
            }
            // `act` looks too, and too seldom to be sure of it.
            DescribeLags => &[Api, Collect, Drift],
            MetricsFail | MetricsLate | MetricsPartial | Impairment => &[Collect],
            Ec2LosesReply | NoCapacity => &[Act],
            TopicRefuses | TopicLosesReply | HookFails | HookHangs | HookUnreachable | HookLimits
            | HookDeclines | HookLosesReply | SecretMissing => &[Notify],
            ClientRepeats | ClientGivesUp | ClientLeaves => &[Api],
            Undone | SlowTransition | Meddling | Vanishing => &[],
        }
    }

    /// How often it strikes at most, in a million opportunities.
    const fn most(self) -> u64 {
        match self {
            // Per port call: an invocation makes ten to a hundred.
            CrashBefore | CrashAfter => 10_000,
            Hang => 2_000,
            TableRefuses | TableLosesReply | TableMeetsItself => 20_000,
            TableContended | IndexLags | ClockSkew | ColdStart => 200_000,
            // Per batch or record.
            Redelivery => 200_000,
            PoisonRecord => 40_000,
            // Per consumer and minute.
            ConsumerDown => 3_000,
            // In each run that has it.
            MappingsOff => 1_000_000,
            EventDropped | EventDuplicated | EventDelayed => 300_000,
            TickSkipped => 100_000,
            TickDuplicated | TickDelayed => 200_000,
            BusRefuses | BusLosesReply | BusPartial | Ec2Throttles | Ec2Fails | Ec2LosesReply => 150_000,
            DescribeLags | NotYetKnown => 500_000,
            // Per instance and call.
            Denial => 20_000,
            // Per zone and minute.
            ZoneDown => 5_000,
            NoCapacity | Ec2AnswersLate => 300_000,
            Ec2Forbids => 50_000,
            Undone => 50_000,
            SlowTransition => 200_000,
            // Per minute, and per instance that has stopped.
            Meddling => 250_000,
            Vanishing => 10_000,
            Impairment => 50_000,
            MetricsFail | MetricsLate | MetricsPartial => 300_000,
            TopicRefuses | TopicLosesReply => 200_000,
            HookFails | HookHangs | HookUnreachable | HookLimits | HookLosesReply => 200_000,
            HookDeclines => 30_000,
            SecretMissing => 200_000,
            ClientRepeats | ClientGivesUp | ClientLeaves => 300_000,
        }
    }
}

/// The faults of one run.
#[derive(Debug)]
pub(crate) struct Faults {
    rates: BTreeMap<Fault, u64>,
    counts: BTreeMap<(Fault, Option<Function>), u64>,
    /// Nothing strikes by chance any more.
    pub(crate) healed: bool,
}

impl Faults {
    /// A random half of the kinds, each at a random rate; now and then none at all. Each kind has a chance of its own, from
    /// the seed and its name, so that a new kind leaves the others as they are.
    pub(crate) fn swarm(seed: u64) -> Self {
        let calm = Chance::named(seed, "calm").hits(30_000);
        let mut rates = BTreeMap::new();
        for fault in Fault::ALL.into_iter().filter(|_| !calm) {
            let mut chance = Chance::named(seed, &format!("{fault:?}"));
            if chance.hits(500_000) {
                rates.insert(fault, fault.most() * chance.between(1, 4).unsigned_abs() / 4);
            }
        }
        Self { rates, counts: BTreeMap::new(), healed: false }
    }

    /// Exactly these, at their highest rates.
    pub(crate) fn only(faults: &[Fault]) -> Self {
        let rates = faults.iter().map(|fault| (*fault, fault.most())).collect();
        Self { rates, counts: BTreeMap::new(), healed: false }
    }

    /// Whether a fault hits at this opportunity. It counts where it is seen to have an effect, with [`Self::count`].
    pub(crate) fn hits(&self, fault: Fault, chance: &mut Chance) -> bool {
        self.hits_oftener(fault, 1, chance)
    }

    /// The same, so many times as often.
    pub(crate) fn hits_oftener(&self, fault: Fault, times: u64, chance: &mut Chance) -> bool {
        !self.healed && self.rates.get(&fault).is_some_and(|rate| chance.hits(rate * times))
    }

    /// A fault had an effect on somebody.
    pub(crate) fn count(&mut self, fault: Fault, whom: Option<Function>) {
        *self.counts.entry((fault, whom)).or_default() += 1;
    }

    /// Whether a fault strikes, for one that has its effect whenever it hits.
    pub(crate) fn strikes(&mut self, fault: Fault, whom: Option<Function>, chance: &mut Chance) -> bool {
        let hits = self.hits(fault, chance);
        if hits {
            self.count(fault, whom);
        }
        hits
    }

    /// Whether this fault is among those of the run.
    pub(crate) fn include(&self, fault: Fault) -> bool {
        self.rates.contains_key(&fault)
    }

    /// Whether anything but these has struck a function by now.
    pub(crate) fn have_struck(&self, whom: Function, but: &[Fault]) -> bool {
        self.counts.keys().any(|(fault, of)| *of == Some(whom) && !but.contains(fault))
    }

    pub(crate) fn set(&self) -> BTreeSet<Fault> {
        self.rates.keys().copied().collect()
    }

    /// How often each had an effect, and on whom.
    pub(crate) fn counts(&self) -> &BTreeMap<(Fault, Option<Function>), u64> {
        &self.counts
    }
}

/// All the pairs of a fault and whom it strikes that a long enough run has to show.
pub(crate) fn pairs() -> BTreeSet<(Fault, Option<Function>)> {
    let of = |fault: Fault| match fault.strikes() {
        [] => vec![(fault, None)],
        functions => functions.iter().map(|function| (fault, Some(*function))).collect(),
    };
    Fault::ALL.into_iter().flat_map(of).collect()
}
