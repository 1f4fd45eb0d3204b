//! The ports, as one environment of one function sees them. Every call takes time, may fail before or after its effect,
//! and is a place where the process may die.

/// A call to a table: the way there, the effect, the way back.
macro_rules! through {
    ($self:ident, $port:ident, $effect:expr) => {{
        $self.enter(Port::$port).await.map_err(refused)?;
        let mut answer = $effect;
        if answer.is_ok() && $self.sends_again(Port::$port) {
            answer = $effect;
        }
        $self.leave(Port::$port).await.map_err(refused)?;
        answer
    }};
}

mod change;
mod commands;
mod ledger;
mod look;
mod tables;
mod tell;

use std::collections::BTreeSet;
use std::future::pending;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use app::error::{CallError, StoreError};
use app::ports::{Clock, Ids};
use domain::{Timestamp, WorkerId};
use uuid::Uuid;

use crate::faults::Fault;
use crate::trace::Step;
use crate::wiring::Function;
use crate::world::{Inner, InvocationId, SECOND, World, time};

macro_rules! ports {
    ($($port:ident),+ $(,)?) => {
        /// A port call.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub(crate) enum Port {
            $($port),+
        }

        impl Port {
            /// Each of them.
            const ALL: &[Self] = &[$(Self::$port),+];
        }
    };
}

ports! {
    Load,
    LoadMany,
    Save,
    Owner,
    Watches,
    Events,
    Untold,
    MarkTold,
    Append,
    Written,
    Samples,
    ClaimTick,
    CompleteTick,
    Heartbeat,
    BeginRequest,
    FinishRequest,
    AbandonRequest,
    KeepUserData,
    KeptUserData,
    ForgetUserData,
    ClaimDelivery,
    Defer,
    Record,
    Due,
    Permits,
    Level,
    Draw,
    AcceptCommand,
    ReadCommand,
    Chunks,
    TakeUp,
    RecordChunk,
    Advance,
    CancelCommand,
    DueCommands,
    Statuses,
    Describe,
    Image,
    Images,
    Search,
    Locate,
    Change,
    ChangeMany,
    Metrics,
    PutEvents,
    Publish,
    Topic,
    Webhook,
    Secret,
}

/// Those that no run calls, and why.
const NEVER: [(Port, &str); 3] = [
    (Heartbeat, "no function asks for it without claiming the tick"),
    (Images, "of a discovery that searches, which is not simulated"),
    (Search, "of a discovery that searches, which is not simulated"),
];

fn is_excused(port: Port) -> bool {
    NEVER.iter().any(|(never, _)| *never == port)
}

/// Where nobody died just before a call took effect, or just after it, and which write never met itself, in runs that are long enough.
pub(crate) fn spared(befallen: &BTreeSet<(Fault, Port)>) -> Vec<(Fault, Port)> {
    let called = || Port::ALL.iter().filter(|port| !is_excused(**port));
    let deaths = called().flat_map(|port| [(Fault::CrashBefore, *port), (Fault::CrashAfter, *port)]);
    let again = called().filter(|port| port.meets_itself()).map(|port| (Fault::TableMeetsItself, *port));
    deaths.chain(again).filter(|this| !befallen.contains(this)).collect()
}

/// The ports that were not called by runs that are long enough, or that are excused and were.
pub(crate) fn uncalled(called: &BTreeSet<Port>) -> Vec<Port> {
    Port::ALL.iter().copied().filter(|port| is_excused(*port) == called.contains(port)).collect()
}

use Port::*;

impl Port {
    /// What may keep the call from taking effect.
    const fn before(self) -> &'static [Fault] {
        match self {
            Load | LoadMany | Owner | Watches | Events | Untold | MarkTold | Append | Written | Samples
            | ClaimTick | CompleteTick | Heartbeat | BeginRequest | FinishRequest | AbandonRequest
            | KeepUserData | KeptUserData | ForgetUserData | ClaimDelivery | Defer | Record | Due
            | Permits | Level | Draw | AcceptCommand | ReadCommand | Chunks | TakeUp | RecordChunk
            | Advance | CancelCommand | DueCommands => &[Fault::TableRefuses],
            Save => &[Fault::TableRefuses, Fault::TableContended],
            Statuses | Describe | Image | Images | Search | Locate => {
                &[Fault::Ec2Throttles, Fault::Ec2Fails, Fault::Ec2Forbids]
            }
            Change | ChangeMany => &[Fault::Ec2Throttles, Fault::Ec2Fails],
            Metrics => &[Fault::MetricsFail],
            PutEvents | Publish => &[Fault::BusRefuses],
            Topic => &[Fault::TopicRefuses],
            Webhook => &[],
            Secret => &[Fault::SecretMissing],
        }
    }

    /// What may keep its answer from coming back.
    const fn after(self) -> &'static [Fault] {
        match self {
            Save | MarkTold | Append | ClaimTick | CompleteTick | BeginRequest | FinishRequest
            | AbandonRequest | KeepUserData | ForgetUserData | ClaimDelivery | Defer | Record | Permits
            | Draw | AcceptCommand | TakeUp | RecordChunk | Advance | CancelCommand => {
                &[Fault::TableLosesReply]
            }
            Change | ChangeMany => &[Fault::Ec2LosesReply],
            PutEvents | Publish => &[Fault::BusLosesReply],
            Topic => &[Fault::TopicLosesReply],
            Load | LoadMany | Owner | Watches | Events | Untold | Written | Samples | Heartbeat
            | KeptUserData | Due | Level | ReadCommand | Chunks | DueCommands | Statuses | Describe
            | Image | Images | Search | Locate | Metrics | Webhook | Secret => &[],
        }
    }

    /// Whether a write of it that is sent again meets what it did itself. Not that of a worker: DynamoDB knows its transaction again by
    /// the token, and answers as it did (`TransactWriteItems`, `ClientRequestToken`).
    fn meets_itself(self) -> bool {
        self != Save && self.after().contains(&Fault::TableLosesReply)
    }

    /// How many times as often that or a death happens there: where hardly anybody gets to, nobody would.
    const fn oftener(self) -> u64 {
        match self {
            Locate | KeepUserData | AbandonRequest | AcceptCommand | CancelCommand | Chunks => 20,
            ChangeMany | RecordChunk => 10,
            _ => 1,
        }
    }

    /// Whether it is EC2 that answers.
    const fn is_ec2(self) -> bool {
        matches!(self, Statuses | Describe | Image | Images | Search | Locate | Change | ChangeMany)
    }

    /// How long it takes, in milliseconds, both ends included.
    const fn takes(self) -> (i64, i64) {
        match self {
            Change | ChangeMany => (100, 900),
            Statuses | Describe | Image | Images | Search | Locate | Metrics => (40, 300),
            Webhook => (20, 400),
            PutEvents | Publish | Topic => (10, 80),
            _ => (3, 20),
        }
    }
}

/// One execution environment of a function.
#[derive(Debug)]
pub(crate) struct Environment {
    pub(crate) function: Function,
    pub(crate) number: u64,
    /// How wrong its clock is, in milliseconds.
    pub(crate) skew: i64,
    /// What it is working on.
    pub(crate) invocation: AtomicU64,
}

/// The ports of one environment.
#[derive(Debug, Clone)]
pub(crate) struct Outside {
    pub(crate) world: Arc<World>,
    pub(crate) environment: Arc<Environment>,
}

impl Outside {
    pub(crate) fn function(&self) -> Function {
        self.environment.function
    }

    fn invocation(&self) -> InvocationId {
        self.environment.invocation.load(Ordering::Relaxed)
    }

    /// The way to a call's effect. `Err` says that there is none, and why.
    async fn enter(&self, port: Port) -> Result<(), Fault> {
        let function = self.function();
        let at = {
            let mut inner = self.world.inner();
            *inner.calls.entry((function, port)).or_default() += 1;
            let (from, to) = port.takes();
            inner.now + inner.chance.between(from, to)
        };
        self.world.until(at).await;
        {
            let mut inner = self.world.inner();
            inner.step(Step::Called(function, self.invocation(), port));
            for fault in port.before() {
                if self.strikes(&mut inner, *fault) {
                    return Err(*fault);
                }
            }
        }
        self.may_die(Fault::CrashBefore, Some(port)).await;
        self.may_die(Fault::Hang, Some(port)).await;
        Ok(())
    }

    /// The way back from a call's effect. `Err` says that its answer is lost, and why.
    async fn leave(&self, port: Port) -> Result<(), Fault> {
        let late = {
            let mut inner = self.world.inner();
            let late = port.is_ec2() && self.strikes(&mut inner, Fault::Ec2AnswersLate);
            late.then(|| inner.now + inner.chance.between(2 * SECOND, 4 * SECOND))
        };
        if let Some(at) = late {
            self.world.until(at).await;
        }
        {
            let mut inner = self.world.inner();
            for fault in port.after() {
                if self.strikes(&mut inner, *fault) {
                    return Err(*fault);
                }
            }
        }
        self.may_die(Fault::CrashAfter, Some(port)).await;
        self.may_die(Fault::Hang, Some(port)).await;
        Ok(())
    }

    /// Whether our client sends a write again that was not refused.
    fn sends_again(&self, port: Port) -> bool {
        let mut inner = self.world.inner();
        let Inner { faults, chance, .. } = &mut *inner;
        let strikes =
            port.meets_itself() && faults.hits_oftener(Fault::TableMeetsItself, port.oftener(), chance);
        if strikes {
            self.struck(&mut inner, Fault::TableMeetsItself);
            inner.befallen.insert((Fault::TableMeetsItself, port));
        }
        strikes
    }

    /// Whether a fault hits; if it has an effect on this function it is yet to be counted.
    fn hits(&self, inner: &mut Inner, fault: Fault) -> bool {
        let Inner { faults, chance, .. } = inner;
        faults.hits(fault, chance)
    }

    /// A fault had its effect.
    fn struck(&self, inner: &mut Inner, fault: Fault) {
        inner.struck(self.function(), fault);
    }

    /// Whether a fault strikes, for one that has its effect whenever it hits.
    fn strikes(&self, inner: &mut Inner, fault: Fault) -> bool {
        inner.strikes(self.function(), fault)
    }

    /// Never returns if it does: a hanging call waits for Lambda's time limit, a crash ends everything at once.
    async fn may_die(&self, fault: Fault, at: Option<Port>) {
        let strikes = {
            let mut inner = self.world.inner();
            let times = at.map_or(1, Port::oftener);
            let Inner { faults, chance, .. } = &mut *inner;
            let strikes = faults.hits_oftener(fault, times, chance);
            if strikes {
                self.struck(&mut inner, fault);
                inner.listeners.doom(self.invocation());
                inner.befallen.extend(at.map(|port| (fault, port)));
            }
            if strikes && fault != Fault::Hang {
                inner.dying.insert(self.invocation());
            }
            strikes
        };
        if strikes {
            pending::<()>().await;
        }
    }
}

impl Inner {
    /// A fault had its effect on a function.
    fn struck(&mut self, whom: Function, fault: Fault) {
        self.faults.count(fault, Some(whom));
        self.step(Step::Struck(fault, Some(whom)));
    }

    /// Whether a fault strikes a function, for one that has its effect whenever it hits.
    fn strikes(&mut self, whom: Function, fault: Fault) -> bool {
        let hits = self.faults.hits(fault, &mut self.chance);
        if hits {
            self.struck(whom, fault);
        }
        hits
    }
}

/// A table's error.
fn refused(fault: Fault) -> StoreError {
    match fault {
        Fault::TableContended => StoreError::Contended("TransactionConflictException".into()),
        _ => StoreError::Unavailable(format!("{fault:?}").into()),
    }
}

/// A service's error.
fn failed(fault: Fault) -> CallError {
    CallError { message: format!("{fault:?}"), retryable: fault != Fault::Ec2Forbids, cause: None }
}

impl Clock for Outside {
    fn now(&self) -> Timestamp {
        time(self.world.inner().now + self.environment.skew)
    }

    async fn sleep(&self, millis: u64) {
        let at = self.world.inner().now + i64::try_from(millis).unwrap_or(i64::MAX / 4);
        self.world.until(at).await;
        self.may_die(Fault::Hang, None).await;
    }
}

impl Ids for Outside {
    fn worker_id(&self) -> WorkerId {
        let mut inner = self.world.inner();
        let millis = u128::from(inner.now.unsigned_abs());
        WorkerId::new(Uuid::from_u128((millis << 80) | (u128::from(inner.chance.below(u64::MAX)) << 8) | 7))
    }

    fn below(&self, below: u64) -> u64 {
        self.world.inner().chance.below(below)
    }
}

impl api::Ports for Outside {
    tests::api_ports!(Self;);
}

impl app::deliver::Ports for Outside {
    tests::one_world! {
        Self;
        workers: Workers,
        deliveries: Deliveries,
        topic: Topic,
        bus: Bus,
        webhooks: Webhooks,
        secrets: Secrets,
        clock: Clock,
        ids: Ids,
    }
}
