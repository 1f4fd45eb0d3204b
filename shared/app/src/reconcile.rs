//! The one place that changes EC2: load, plan, ask whose turn it is, record the intent by a conditional write, call, record
//! the answer.
//!
//! The conditional write before the call makes the call exclusive; the lease in the record makes a crash after it
//! harmless. There is no retry in here: what failed is recorded with the time at which it is due again. Who has to wait for
//! its turn has no intent and so loses no attempt: its place is recorded, once, and the poll brings it back when its turn has
//! come. Who is held takes no place: its plan is to do nothing, and so nobody asks for it.

mod answer;
mod call;
mod look;
mod user_data;
mod withhold;

use std::collections::{BTreeMap, BTreeSet};

use domain::{Action, ActionKind, Ask, Limits, Plan, Timestamp, WorkerId};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::error::{Error, StoreError};
use crate::fleet::{Fleet, is_lost_race};
use crate::govern::Governor;
use crate::ports::{Actuator, BucketKey, Buckets, Clock, Compute, UserDataVault, Workers};
use crate::record::Stored;

/// How often a worker is planned afresh when others change it meanwhile, or the table is busy.
const MAX_ROUNDS: u32 = 3;

/// How long one run begins new work. `act` may run twice as long, so that what was begun is finished.
const BUDGET: SignedDuration = SignedDuration::from_secs(25);

/// What reconciling needs.
#[derive(Debug)]
pub struct Reconciler<'a, W, K, C, A, B, U> {
    /// Records intent and answer.
    pub fleet: Fleet<'a, W, K>,
    /// EC2, to read.
    pub compute: &'a C,
    /// EC2, to change.
    pub actuator: &'a A,
    /// What is left of EC2's buckets.
    pub buckets: &'a B,
    /// The user data of launches.
    pub user_data: &'a U,
}

/// What a reconciliation came to. Every worker is in exactly one of `idle`, `issued`, `queued`, `lapsed`, `unseen`, `over`,
/// `lost_race` and `failed`, but for those whose turn did not come in time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileReport {
    /// Distinct workers looked at.
    pub considered: u32,
    /// Workers that need nothing now, by reason.
    pub idle: BTreeMap<String, u32>,
    /// Workers for which a call was made, by action.
    pub issued: BTreeMap<String, u32>,
    /// Workers whose action has to wait for its turn from now on, by action.
    #[serde(default)]
    pub queued: BTreeMap<String, u32>,
    /// Workers whose attempt was written off without a new one, or which hang between two states.
    pub lapsed: u32,
    /// Workers that seem to hang between two states, where EC2 did not say for certain or there was no time
    /// to ask: the poll brings them back.
    #[serde(default)]
    pub unseen: u32,
    /// Workers that do not exist.
    pub over: u32,
    /// Workers that others kept changing, or that seem to hang since others did; their own events bring us back, or the poll.
    pub lost_race: u32,
    /// Workers whose record could not be read or written.
    pub failed: u32,
    /// Calls EC2 accepted, counted by worker.
    pub accepted: u32,
    /// Calls EC2 refused, counted by worker.
    pub refused: u32,
    /// Calls that were not made, because the worker was held, or asked for something else, after its intent was recorded.
    pub withheld: u32,
}

/// A recorded intent.
struct Issued {
    stored: Stored,
    action: Action,
}

/// What is to be recorded of a worker.
#[derive(Clone, Copy)]
enum Step {
    /// That this is about to be done.
    Issue(ActionKind),
    /// That this waits for its turn.
    Queue(ActionKind, Timestamp),
    /// What became of an attempt.
    Close,
    /// The same, or that EC2 hangs, of a worker as EC2 has just been asked about it.
    Conclude,
}

enum Recorded {
    Issued(Box<Issued>),
    Queued,
    Idle(Plan),
    Lapsed,
    Over,
    LostRace,
}

/// One run: until when it begins new work, and what has come of it.
struct Run {
    until: Timestamp,
    report: ReconcileReport,
    failed: BTreeSet<WorkerId>,
}

impl Run {
    fn fail(&mut self, worker: WorkerId, error: &Error, what: &str) {
        self.report.failed += 1;
        self.failed.insert(worker);
        tracing::error!(worker.id = %worker, error = error as &dyn std::error::Error, "{what}");
    }

    /// Workers that this run has no time for: the caller comes back for them.
    fn leave(&mut self, workers: &[Stored]) {
        self.failed.extend(workers.iter().map(|stored| stored.worker.id()));
    }
}

impl<W, K, C, A, B, U> Reconciler<'_, W, K, C, A, B, U>
where
    W: Workers,
    K: Clock,
    C: Compute,
    A: Actuator,
    B: Buckets,
    U: UserDataVault,
{
    /// Takes each worker one step further, if a step is due and it is its turn. Returns the workers whose record could not
    /// be read or written; for those the caller must come back.
    pub async fn run(&self, workers: &BTreeSet<WorkerId>) -> (ReconcileReport, BTreeSet<WorkerId>) {
        let until = self.now().saturating_add(BUDGET).unwrap_or(Timestamp::MAX);
        let report = ReconcileReport { considered: count(workers.len()), ..ReconcileReport::default() };
        let mut run = Run { until, report, failed: BTreeSet::new() };
        let mut due: BTreeMap<BucketKey, Vec<Stored>> = BTreeMap::new();
        let mut hanging = Vec::new();
        for worker in workers {
            // An intent that is recorded and not carried out costs the worker an attempt: better not to begin.
            if self.now() >= run.until {
                run.failed.insert(*worker);
                continue;
            }
            match self.fleet.workers.load(*worker).await {
                Ok(Some(stored)) => match self.due(&stored) {
                    Some(key) => due.entry(key).or_default().push(stored),
                    None if self.seems_to_hang(&stored) => hanging.push(stored),
                    None => {
                        self.record(stored, Step::Close, &mut run).await;
                    }
                },
                Ok(None) => run.report.over += 1,
                Err(error) => run.fail(*worker, &error.into(), "worker not planned"),
            }
        }
        // Those that take a call for each worker last: they may take all the time there is.
        let each_alone =
            |(key, _): &(BucketKey, _)| key.action.limits().is_none_or(|limits| limits.batch == 1);
        let (alone, together): (Vec<_>, Vec<_>) = due.into_iter().partition(each_alone);
        for (key, group) in together {
            self.serve(&key, group, &mut run).await;
        }
        self.look(hanging, &mut run).await;
        for (key, group) in alone {
            self.serve(&key, group, &mut run).await;
        }
        (run.report, run.failed)
    }

    /// Carries out what is due of one kind.
    async fn serve(&self, key: &BucketKey, group: Vec<Stored>, run: &mut Run) {
        if let Some(limits) = key.action.limits() {
            return self.take_turns(key, &limits, group, run).await;
        }
        for stored in group {
            if self.reaches(self.now(), run).await {
                self.carry_out(key, vec![stored], run).await;
            } else {
                run.leave(&[stored]);
            }
        }
    }

    /// What is due, as EC2 throttles it.
    fn due(&self, stored: &Stored) -> Option<BucketKey> {
        let state = stored.worker.state();
        let policy = stored.worker.overrides().over(self.fleet.settings);
        let action = stored.worker.proceed(&policy, self.now()).1.action?.kind();
        Some(BucketKey { account: state.account.clone(), region: state.region.clone(), action })
    }

    /// Asks the governor once for all, and lets each go when it is its turn: who has waited longest first.
    async fn take_turns(&self, key: &BucketKey, limits: &Limits, mut group: Vec<Stored>, run: &mut Run) {
        let now = self.now();
        // What nobody has time to use is not taken out of the buckets.
        if now >= run.until {
            return run.leave(&group);
        }
        let place = |stored: &Stored| {
            let queued = stored.worker.state().queued.filter(|queued| queued.action == key.action);
            queued.filter(|queued| queued.is_up(now)).map(|queued| queued.not_before)
        };
        group.sort_by_key(|stored| {
            let place = place(stored);
            (place.is_none(), place, stored.worker.state().desired_since, stored.worker.id())
        });
        let placed = group.iter().filter(|stored| place(stored).is_some()).count();
        let fresh = count(group.len() - placed);
        let ask = Ask { placed: count(placed), fresh, until: Some(run.until) };
        let Some(admission) = self.ask(key, limits, ask, &group, run).await else { return };
        let waiting = group.split_off((admission.admitted as usize).min(group.len()));
        self.wait_for(key, waiting, admission.places, run).await;
        let drawn = admission.admitted.div_ceil(limits.batch.max(1));
        let mut batches = group.chunks(limits.batch.max(1) as usize);
        let mut number = 0;
        while let Some(batch) = batches.next() {
            // One call after the other may take longer than from turn to turn.
            number = admission.calls.kept_from(number, self.now());
            let may_call = match number < drawn {
                true => self.reaches(admission.calls.nth(number), run).await,
                false => self.may_call_again(key, run).await,
            };
            if !may_call {
                run.leave(batch);
            } else if self.carry_out(key, batch.to_vec(), run).await {
                // EC2 throttles although we had tokens: the others wait, and so does everybody else.
                let rest: Vec<Stored> = batches.by_ref().flatten().cloned().collect();
                let ask = Ask { placed: 0, fresh: count(rest.len()), until: None };
                if let Some(later) = self.ask(key, limits, ask, &rest, run).await {
                    self.wait_for(key, rest, later.places, run).await;
                }
            }
            number += 1;
        }
    }

    async fn ask(
        &self,
        key: &BucketKey,
        limits: &Limits,
        ask: Ask,
        group: &[Stored],
        run: &mut Run,
    ) -> Option<domain::Admission> {
        if group.is_empty() {
            return None;
        }
        match self.governor().admit(key, limits, ask).await {
            Ok(admission) => Some(admission),
            Err(error) => {
                run.leave(group);
                run.report.failed += count(group.len());
                tracing::error!(action = %key.action, error = &error as &dyn std::error::Error, "nobody admitted");
                None
            }
        }
    }

    async fn wait_for(&self, key: &BucketKey, waiting: Vec<Stored>, places: domain::Turns, run: &mut Run) {
        for (number, stored) in waiting.into_iter().enumerate() {
            let step = Step::Queue(key.action, places.nth(count(number)));
            self.record(stored, step, run).await;
        }
    }

    /// Waits for a turn. `false` if it comes too late for this run.
    async fn reaches(&self, turn: Timestamp, run: &Run) -> bool {
        let now = self.now();
        let millis = turn.as_millisecond() - now.as_millisecond();
        if now >= run.until || turn > run.until {
            return false;
        }
        if millis > 0 {
            self.fleet.clock.sleep(millis.unsigned_abs()).await;
        }
        true
    }

    /// Records a step that was planned on `first`, and counts what came of it. The intent is returned, if it is one.
    async fn record(&self, first: Stored, step: Step, run: &mut Run) -> Option<Issued> {
        let worker = first.worker.id();
        match self.try_record(first, step).await {
            Ok(Recorded::Issued(issued)) => {
                *run.report.issued.entry(issued.action.kind().to_string()).or_default() += 1;
                return Some(*issued);
            }
            Ok(Recorded::Queued) => {
                if let Step::Queue(action, _) = step {
                    *run.report.queued.entry(action.to_string()).or_default() += 1;
                }
            }
            Ok(Recorded::Idle(plan)) => {
                *run.report.idle.entry(plan.reason.as_str().to_owned()).or_default() += 1;
            }
            Ok(Recorded::Lapsed) => run.report.lapsed += 1,
            Ok(Recorded::Over) => run.report.over += 1,
            Ok(Recorded::LostRace) => run.report.lost_race += 1,
            Err(error) => run.fail(worker, &error, "worker not planned"),
        }
        None
    }

    async fn try_record(&self, first: Stored, step: Step) -> Result<Recorded, Error> {
        let id = first.worker.id();
        let (mut known, mut round) = (Some(first), 0);
        loop {
            let Some(stored) = (match known.take() {
                Some(stored) => Some(stored),
                None => self.fleet.workers.load(id).await?,
            }) else {
                return Ok(Recorded::Over);
            };
            let policy = stored.worker.overrides().over(self.fleet.settings);
            let (events, plan) = match step {
                Step::Queue(_, turn) => stored.worker.queue(&policy, self.now(), turn),
                Step::Issue(_) | Step::Close | Step::Conclude => stored.worker.proceed(&policy, self.now()),
            };
            if events.is_empty() {
                self.forget_user_data(&stored.worker, None).await;
                return Ok(Recorded::Idle(plan));
            }
            let expected = match step {
                Step::Issue(kind) | Step::Queue(kind, _) => Some(kind),
                Step::Close | Step::Conclude => None,
            };
            // Somebody has changed what is due, and it is not its turn for that: their own event brings us back.
            if plan.action.as_ref().map(Action::kind) != expected {
                return Ok(Recorded::LostRace);
            }
            // Nor was EC2 asked about what is known now.
            if (round > 0 || !matches!(step, Step::Conclude)) && self.seems_to_hang(&stored) {
                return Ok(Recorded::LostRace);
            }
            tracing::info!(
                worker.id = %id,
                action = expected.map_or("none", ActionKind::as_str),
                reason = %plan.reason,
                queued = matches!(step, Step::Queue(..)),
                "planned"
            );
            let lost = match self.fleet.save(&stored, events).await {
                Ok(changed) => {
                    return Ok(match (plan.action, step) {
                        (Some(action), Step::Issue(_) | Step::Close | Step::Conclude) => {
                            Recorded::Issued(Box::new(Issued { stored: changed.stored, action }))
                        }
                        (Some(_), Step::Queue(..)) => Recorded::Queued,
                        (None, _) => Recorded::Lapsed,
                    });
                }
                Err(error) if is_lost_race(&error) => error,
                Err(error) => return Err(error),
            };
            if round + 1 == MAX_ROUNDS {
                // Who was faster has written a fact that brings us back. Where the table was busy nobody need have written any.
                return match lost {
                    Error::Store(StoreError::Contended(_)) => Err(lost),
                    _ => Ok(Recorded::LostRace),
                };
            }
            round = self.fleet.pause(round).await;
        }
    }

    const fn governor(&self) -> Governor<'_, B, K> {
        Governor { buckets: self.buckets, clock: self.fleet.clock }
    }

    fn now(&self) -> Timestamp {
        self.fleet.clock.now()
    }
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
