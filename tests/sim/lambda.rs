//! Lambda: environments that keep what they remember until they are gone, invocations that end, fail, crash or run out
//! of time, and what the caller of each does about it. One thread carries all of them out.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Wake, Waker};

use serde_json::Value;

use crate::deployment::Deployment;
use crate::faults::Fault;
use crate::functions::Warm;
use crate::hash::hash;
use crate::outside::{Environment, Outside};
use crate::trace::Step;
use crate::wiring::Function;
use crate::world::{Call, Due, From, InvocationId, MINUTE, SECOND, World};

/// A handler at work: its answer, or its error in words.
pub(crate) type Running = Pin<Box<dyn Future<Output = Result<Value, String>>>>;

/// Invocations that can go on.
#[derive(Debug, Default)]
struct Ready(Mutex<VecDeque<InvocationId>>);

struct Alarm {
    ready: Arc<Ready>,
    invocation: InvocationId,
    rung: AtomicBool,
}

impl Wake for Alarm {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if !self.rung.swap(true, Ordering::Relaxed) {
            self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).push_back(self.invocation);
        }
    }
}

struct Invocation {
    call: Call,
    warm: Warm,
    environment: Arc<Environment>,
    running: Running,
    alarm: Arc<Alarm>,
}

/// All environments and invocations.
pub(crate) struct Lambda {
    world: Arc<World>,
    deployment: Deployment,
    running: BTreeMap<InvocationId, Invocation>,
    idle: BTreeMap<Function, Vec<(Warm, Arc<Environment>)>>,
    ready: Arc<Ready>,
    next: InvocationId,
    /// How many environments there have been.
    made: u64,
}

impl Lambda {
    pub(crate) fn new(world: Arc<World>, deployment: Deployment) -> Self {
        Self {
            world,
            deployment,
            running: BTreeMap::new(),
            idle: BTreeMap::new(),
            ready: Arc::default(),
            next: 0,
            made: 0,
        }
    }

    fn environment(&mut self, function: Function) -> (Warm, Arc<Environment>) {
        let mut inner = self.world.inner();
        let crate::world::Inner { faults, chance, .. } = &mut *inner;
        let idle = self.idle.entry(function).or_default();
        while let Some(kept) = idle.pop() {
            if !faults.strikes(Fault::ColdStart, Some(function), chance) {
                return kept;
            }
        }
        let skewed = faults.strikes(Fault::ClockSkew, Some(function), chance);
        let wrong = chance.between(1, 2 * SECOND) * if chance.hits(500_000) { 1 } else { -1 };
        let skew = if skewed { wrong } else { 0 };
        drop(inner);
        self.made += 1;
        let (number, invocation) = (self.made, AtomicU64::new(0));
        let environment = Arc::new(Environment { function, number, skew, invocation });
        let outside = Outside { world: Arc::clone(&self.world), environment: Arc::clone(&environment) };
        (Warm::new(function, outside, self.deployment), environment)
    }

    /// Begins an invocation.
    pub(crate) fn invoke(&mut self, call: Call) {
        self.next += 1;
        let id = self.next;
        let (warm, environment) = self.environment(call.function);
        environment.invocation.store(id, Ordering::Relaxed);
        let running = warm.run(Arc::clone(&call.event));
        let alarm =
            Arc::new(Alarm { ready: Arc::clone(&self.ready), invocation: id, rung: AtomicBool::new(false) });
        {
            let mut inner = self.world.inner();
            let timeout = inner.wiring.of(call.function).timeout;
            inner.step(Step::Began(call.function, id));
            let now = inner.now;
            inner.begun.insert(id, now);
            inner.after(timeout, Due::TimeLimit(id));
        }
        self.running.insert(id, Invocation { call, warm, environment, running, alarm });
        self.advance(id);
    }

    /// Lets everything go on that can.
    pub(crate) fn advance_ready(&mut self) {
        loop {
            let next = self.ready.0.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
            let Some(id) = next else { return };
            self.advance(id);
        }
    }

    fn advance(&mut self, id: InvocationId) {
        let Some(invocation) = self.running.get_mut(&id) else { return };
        invocation.alarm.rung.store(false, Ordering::Relaxed);
        let waker = Waker::from(Arc::clone(&invocation.alarm));
        let polled = invocation.running.as_mut().poll(&mut Context::from_waker(&waker));
        let dying = self.world.inner().dying.remove(&id);
        match polled {
            _ if dying => self.die(id, "crash"),
            Poll::Ready(end) => self.end(id, end),
            Poll::Pending => {}
        }
    }

    /// An invocation's time is up, if it is still under way.
    pub(crate) fn time_limit(&mut self, id: InvocationId) {
        if self.running.contains_key(&id) {
            self.die(id, "time limit");
        }
    }

    fn end(&mut self, id: InvocationId, end: Result<Value, String>) {
        let Some(invocation) = self.running.remove(&id) else { return };
        let Invocation { call, warm, environment, .. } = invocation;
        self.idle.entry(call.function).or_default().push((warm, environment));
        let step = Step::Ended(call.function, id, end.as_ref().map(hash).map_err(Clone::clone));
        {
            let mut inner = self.world.inner();
            inner.step(step);
            inner.begun.remove(&id);
        }
        self.report(call, end.as_ref().map_err(|_| ()));
    }

    /// The process is gone, with its environment and all that was not written down.
    fn die(&mut self, id: InvocationId, how: &'static str) {
        let Some(Invocation { call, running, .. }) = self.running.remove(&id) else { return };
        drop(running);
        self.world.inner().listeners.doom(id);
        {
            let mut inner = self.world.inner();
            inner.step(Step::Died(call.function, id, how));
            inner.begun.remove(&id);
        }
        self.report(call, Err(()));
    }

    /// What the caller does about the end of its call.
    fn report(&mut self, call: Call, end: Result<&Value, ()>) {
        let mut inner = self.world.inner();
        match call.from {
            From::Mapping { consumer, from, to } => inner.batch_ended(consumer, from, to, end),
            From::Person(ask) => inner.answered(ask, end.ok()),
            From::Rule { .. } if end.is_ok() => {}
            From::Rule { tries, since } => {
                let function = call.function;
                let settings = inner.wiring.of(function).clone();
                // Lambda waits a minute before the second try of an asynchronous call and two before the third.
                let wait = i64::from(tries + 1) * MINUTE;
                if tries < settings.retries && inner.now + wait - since <= settings.max_age {
                    let from = From::Rule { tries: tries + 1, since };
                    inner.after(wait, Due::Invoke(Call { from, ..call }));
                } else {
                    inner.dead_letter(function, "an asynchronous call failed too often");
                }
            }
        }
    }
}
