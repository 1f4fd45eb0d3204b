//! How fast EC2 takes what we ask for, and whose turn is when.
//!
//! EC2 throttles each API of an account and a region by token buckets: one of requests, and for some APIs one of the instances
//! they name (EC2 developer guide, "Request throttling for the Amazon EC2 API"). We count along, so that no call is made
//! that would be throttled. A bucket is one point in time, the one at which it is full again: to take a token moves it on, and
//! to wait lets it come closer. A token that is not there yet can be promised for the time at which it will be, so who has to
//! wait knows at once how long.

use jiff::SignedDuration;

use crate::evidence::later;
use crate::{ActionKind, Region, Timestamp};

/// A queue longer than this is none: a clock that was wrong has written it.
const UNBELIEVABLE: i64 = 24 * 3_600_000;

/// How many tokens a bucket holds, and in how many milliseconds it gets one more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// The most it holds.
    pub capacity: u32,
    /// The time for one more.
    pub millis: u32,
}

/// How far two calls of ours may come closer to each other than they were admitted: by what their ways differ, up to 0.9 seconds, and
/// what the clocks of two machines do, up to 0.6. Lambda's are much closer to each other.
const SLACK_MILLIS: u32 = 1500;

impl Rate {
    const fn new(capacity: u32, millis: u32) -> Self {
        Self { capacity, millis }
    }

    /// What can be had of a bucket of EC2 without ever being throttled: it holds back what flows in while calls come closer
    /// to each other.
    const fn within(capacity: u32, millis: u32) -> Self {
        Self { capacity: capacity.saturating_sub(SLACK_MILLIS / millis), millis }
    }

    /// How long it takes to fill.
    fn fills_in(self) -> i64 {
        i64::from(self.capacity) * i64::from(self.millis)
    }

    /// How long after its turn a call may begin: half of what it takes to fill.
    fn kept(self) -> i64 {
        self.fills_in() / 2
    }

    /// Tokens in tenths a second.
    const fn tenths_a_second(self) -> u32 {
        10_000 / self.millis
    }

    /// The time from which each further token of a bucket is counted.
    fn start(self, full_at: Timestamp, now: i64) -> i64 {
        full_at.as_millisecond().max(now) - self.fills_in()
    }

    /// How many further tokens there are up to this time.
    fn until(self, start: i64, until: i64) -> u32 {
        let tokens = (until - start) / i64::from(self.millis).max(1);
        u32::try_from(tokens.max(0)).unwrap_or(u32::MAX)
    }

    /// When a bucket is full again of which so many tokens were taken.
    fn full_after(self, start: i64, taken: u32) -> i64 {
        start + self.fills_in() + i64::from(taken) * i64::from(self.millis)
    }
}

/// What one kind of action may draw on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// The calls: EC2's own bucket of requests.
    pub calls: Rate,
    /// The workers they are for.
    pub workers: Rate,
    /// How many workers one call is for at most.
    pub batch: u32,
}

impl ActionKind {
    /// What it draws on; `None` for what only reads.
    ///
    /// `calls` are EC2's buckets of requests as documented, but for some that are held back ([`SLACK_MILLIS`]). `workers` is EC2's
    /// bucket of instances for starts (1000 and 2 a second), likewise; where EC2 has none, or one that is faster than we can use it, it is slower, for two reasons. Who waits for a
    /// place is found by the poll, up to a minute after it fell due, so what falls due in a minute must be possible at once:
    /// EC2's bucket of stops and of terminations holds 1000 and would win 1200 a minute, of which the rest is lost. And of
    /// launches and tags, which take a call for each worker, what falls due in a minute must fit one run of `act`.
    ///
    /// EC2 takes up to 1000 instances in a call and recommends smaller batches. Fifty are few enough that one bad id is found in
    /// six halvings, and many enough that calls are never what starts wait for: 2 calls a second are 100 instances, of which EC2
    /// starts 2.
    pub const fn limits(self) -> Option<Limits> {
        let (calls, workers, batch) = match self {
            Self::Start => (Rate::within(5, 500), Rate::within(1000, 500), 50),
            Self::Stop => (Rate::within(50, 200), Rate::within(1000, 80), 50),
            Self::Terminate => (Rate::within(100, 200), Rate::within(1000, 80), 50),
            Self::Reboot => (Rate::within(50, 200), Rate::within(1000, 80), 50),
            Self::Launch => (Rate::within(5, 500), Rate::new(80, 1250), 1),
            // Tags are set by one API and removed by another with a bucket of the same size; no action calls one of them twice.
            Self::Tag => (Rate::within(100, 100), Rate::new(400, 250), 1),
            Self::Locate => return None,
        };
        Some(Limits { calls, workers, batch })
    }

    /// How long after its time a place can still be taken. As long as the bucket takes to fill: what was promised then and
    /// not used is lost, because EC2's bucket holds no more than its capacity.
    pub fn place_kept(self) -> SignedDuration {
        self.limits().map_or(SignedDuration::ZERO, |limits| {
            SignedDuration::from_millis(limits.workers.fills_in() - i64::from(limits.workers.millis))
        })
    }

    /// Why some have to wait, for people: `at most 2 starts a second`.
    pub(crate) fn pace(self) -> String {
        let things = match self {
            Self::Launch => "launches",
            Self::Locate => "searches",
            Self::Start => "starts",
            Self::Stop => "stops",
            Self::Reboot => "reboots",
            Self::Terminate => "terminations",
            Self::Tag => "changes of tags",
        };
        let tenths = self.limits().map_or(0, |limits| limits.workers.tenths_a_second());
        match (tenths / 10, tenths % 10) {
            (whole, 0) => format!("at most {whole} {things} a second"),
            (whole, tenth) => format!("at most {whole}.{tenth} {things} a second"),
        }
    }
}

/// Why an action that is due has to wait.
pub(crate) fn why_queued(action: ActionKind, region: &Region) -> String {
    format!("EC2 is asked for {} in {region}", action.pace())
}

/// An action that waits for its turn.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Queued {
    /// What waits.
    pub action: ActionKind,
    /// Its turn.
    pub not_before: Timestamp,
}

impl Queued {
    /// Its turn is still to come, and not so far ahead that only a wrong clock can have written it.
    pub(crate) fn waits(&self, now: Timestamp) -> bool {
        now < self.not_before && self.not_before <= later(now, SignedDuration::from_millis(UNBELIEVABLE))
    }

    /// Its turn has come, and is not over: what it needs was set aside for it.
    pub fn is_up(&self, now: Timestamp) -> bool {
        self.not_before <= now && now <= later(self.not_before, self.action.place_kept())
    }
}

/// The two buckets of one kind of action in one account and region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Level {
    /// When the bucket of calls is full again.
    pub calls_full_at: Timestamp,
    /// When the bucket of workers is full again.
    pub workers_full_at: Timestamp,
}

/// Whom EC2 is to be asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ask {
    /// Workers whose turn it is: what they need was taken out of the bucket when they were queued.
    pub placed: u32,
    /// The other workers.
    pub fresh: u32,
    /// Until when calls may be made. Who could not be called for until then is not admitted; nobody is if there is no time.
    pub until: Option<Timestamp>,
}

/// What was granted. Whoever asked comes in one order: first those whose turn it is, then the others.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Admission {
    /// How many of them may be called for.
    pub admitted: u32,
    /// When each call may be made.
    pub calls: Turns,
    /// When it is the turn of each of the others.
    pub places: Turns,
}

/// A series of points in time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Turns {
    start: i64,
    millis: u32,
    floor: i64,
    kept: i64,
}

impl Turns {
    /// The turn of this number, from 0.
    pub fn nth(&self, number: u32) -> Timestamp {
        let at = self.start + (i64::from(number) + 1) * i64::from(self.millis);
        time(at.max(self.floor))
    }

    /// The first turn from this number on that can still be taken. One that passed a while ago is lost: the buckets have filled
    /// since, others have drawn on that, and all would call at once.
    pub fn kept_from(&self, number: u32, now: Timestamp) -> u32 {
        let oldest = now.as_millisecond() - self.kept;
        if oldest <= self.floor {
            return number;
        }
        let millis = i64::from(self.millis).max(1);
        // The number n has its turn at start + (n + 1) * millis.
        let lost = (oldest - self.start + millis - 1) / millis - 1;
        number.max(u32::try_from(lost.max(0)).unwrap_or(u32::MAX))
    }
}

/// What lies ahead of many workers that wait for the same kind of action; see [`Level::forecast`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Forecast {
    now: Timestamp,
    calls: Turns,
    workers: Turns,
    batch: u32,
}

impl Forecast {
    /// The turn of the worker of this number, from 0.
    pub fn nth(&self, number: u32) -> Timestamp {
        self.workers.nth(number).max(self.calls.nth(number / self.batch))
    }

    /// About how many calls so many workers take. Who has to wait is called for once a minute, when the poll comes by.
    pub fn calls(&self, workers: u32) -> u32 {
        let at_once = (0..workers).take_while(|number| self.workers.nth(*number) <= self.now);
        let at_once = u32::try_from(at_once.count()).unwrap_or(u32::MAX);
        let (waiting, a_minute) = (workers - at_once, 60_000 / self.workers.millis.max(1));
        let batches = |workers: u32| workers.div_ceil(self.batch);
        let whole = waiting.checked_div(a_minute).unwrap_or(0);
        batches(at_once) + whole * batches(a_minute) + batches(waiting - whole * a_minute)
    }
}

impl Level {
    /// What is left when EC2 throttles a call all the same: nothing. Others draw on the same buckets.
    pub fn empty(limits: &Limits, now: Timestamp) -> Self {
        let full = |rate: Rate| time(now.as_millisecond() + rate.fills_in());
        Self { calls_full_at: full(limits.calls), workers_full_at: full(limits.workers) }
    }

    /// The same or less: what somebody promised is still promised.
    pub fn emptied(self, limits: &Limits, now: Timestamp) -> Self {
        let empty = Self::empty(limits, now);
        Self {
            calls_full_at: self.calls_full_at.max(empty.calls_full_at),
            workers_full_at: self.workers_full_at.max(empty.workers_full_at),
        }
    }

    /// What is left as far as it can be believed: all of it if nobody ever asked.
    fn believed(before: Option<Self>, limits: &Limits, now: Timestamp) -> Self {
        let known = before.unwrap_or(Self { calls_full_at: now, workers_full_at: now });
        let full_at = known.workers_full_at.max(known.calls_full_at).as_millisecond();
        if full_at - now.as_millisecond() > UNBELIEVABLE { Self::empty(limits, now) } else { known }
    }

    /// When EC2 can be asked for each of many workers that all fall due now, if nobody else asks.
    pub fn forecast(before: Option<Self>, limits: &Limits, now: Timestamp) -> Forecast {
        let (known, at) = (Self::believed(before, limits, now), now.as_millisecond());
        let turns = |rate: Rate, full_at| Turns {
            start: rate.start(full_at, at),
            millis: rate.millis,
            floor: at,
            kept: rate.kept(),
        };
        Forecast {
            now,
            calls: turns(limits.calls, known.calls_full_at),
            workers: turns(limits.workers, known.workers_full_at),
            batch: limits.batch.max(1),
        }
    }

    /// Admits as many as there are tokens for, promises the others theirs, and says what is left. `before` is `None` if nobody
    /// ever asked. A clock that is behind gets less, and one that is ahead at most what it is ahead, and that once.
    pub fn admit(before: Option<Self>, limits: &Limits, ask: Ask, now: Timestamp) -> (Self, Admission) {
        let Limits { calls, workers, batch } = *limits;
        let (at, until) = (now.as_millisecond(), ask.until.map(|until| until.as_millisecond()));
        let known = Self::believed(before, limits, now);
        let call_start = calls.start(known.calls_full_at, at);
        let start = workers.start(known.workers_full_at, at);

        let callable = until.map_or(0, |until| calls.until(call_start, until)).saturating_mul(batch);
        let there = ask.placed.saturating_add(ask.fresh.min(workers.until(start, at)));
        let admitted = there.min(callable);
        let made = admitted.div_ceil(batch.max(1));
        let taken = admitted.saturating_sub(ask.placed);
        let others = ask.placed.saturating_add(ask.fresh) - admitted;
        let after = Self {
            calls_full_at: time(calls.full_after(call_start, made)),
            workers_full_at: time(workers.full_after(start, taken.saturating_add(others))),
        };
        let admission = Admission {
            admitted,
            calls: Turns { start: call_start, millis: calls.millis, floor: at, kept: calls.kept() },
            places: Turns {
                start: start + i64::from(taken) * i64::from(workers.millis),
                millis: workers.millis,
                kept: workers.kept(),
                // Who waits for calls waits at least as long as there are none.
                floor: until.filter(|_| callable < there).map_or(at, |until| until.max(at)),
            },
        };
        (after, admission)
    }
}

fn time(millis: i64) -> Timestamp {
    Timestamp::from_millisecond(millis).unwrap_or(Timestamp::MAX)
}
