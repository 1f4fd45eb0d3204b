//! The one place that changes EC2: load, plan, record the intent by a conditional write, call, record the answer.
//!
//! The conditional write before the call makes the call exclusive; the lease in the record makes a crash after it
//! harmless. There is no retry in here: what failed is recorded with the time at which it is due again.
//!
//! A batch is called up to half a minute after its intents were recorded, and one by one if EC2 does not take it, so
//! whether a worker is held by now is read once more before each call. A call that is being made is not called back.

mod user_data;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Action, ActionKind, Details, Event, Evidence, Failure, FailureKind, Finding, InstanceId, Plan, Region,
    Source, Timestamp, Worker, WorkerId,
};
use jiff::{RoundMode, SignedDuration, TimestampRound, Unit};
use serde::{Deserialize, Serialize};

use crate::collect::details;
use crate::error::{Error, StoreError};
use crate::fleet::Fleet;
use crate::ports::{Accepted, Actuator, Clock, Compute, Instance, UserDataVault, Workers};
use crate::record::Stored;

/// How often a worker is planned afresh when others change it meanwhile.
const MAX_ROUNDS: u32 = 3;

/// How long one run begins new work. `act` may run twice as long, so that what was begun is finished.
const BUDGET: SignedDuration = SignedDuration::from_secs(25);

/// Actions EC2 takes for several instances in one call.
const fn is_batchable(kind: ActionKind) -> bool {
    match kind {
        ActionKind::Start | ActionKind::Stop | ActionKind::Reboot | ActionKind::Terminate => true,
        ActionKind::Launch | ActionKind::Locate | ActionKind::Tag => false,
    }
}

/// What reconciling needs.
#[derive(Debug)]
pub struct Reconciler<'a, W, K, C, A, U> {
    /// Records intent and answer.
    pub fleet: Fleet<'a, W, K>,
    /// EC2, to read.
    pub compute: &'a C,
    /// EC2, to change.
    pub actuator: &'a A,
    /// The user data of launches.
    pub user_data: &'a U,
}

/// What a reconciliation came to. Every worker is in exactly one of `idle`, `issued`, `lapsed`, `over`, `lost_race`
/// and `failed`, but for those whose turn did not come in time.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReconcileReport {
    /// Distinct workers looked at.
    pub considered: u32,
    /// Workers that need nothing now, by reason.
    pub idle: BTreeMap<String, u32>,
    /// Workers for which a call was made, by action.
    pub issued: BTreeMap<String, u32>,
    /// Workers whose attempt was written off without a new one.
    pub lapsed: u32,
    /// Workers that do not exist.
    pub over: u32,
    /// Workers that others kept changing; their own events bring us back.
    pub lost_race: u32,
    /// Workers whose record could not be read or written.
    pub failed: u32,
    /// Calls EC2 accepted, counted by worker.
    pub accepted: u32,
    /// Calls EC2 refused, counted by worker.
    pub refused: u32,
    /// Calls that were not made, because the worker was held after its intent was recorded.
    pub withheld: u32,
}

/// A recorded intent.
struct Issued {
    stored: Stored,
    action: Action,
}

enum Prepared {
    Issued(Box<Issued>),
    Idle(Plan),
    Lapsed,
    Over,
    LostRace,
}

impl<W, K, C, A, U> Reconciler<'_, W, K, C, A, U>
where
    W: Workers,
    K: Clock,
    C: Compute,
    A: Actuator,
    U: UserDataVault,
{
    /// Takes each worker one step further, if a step is due. Returns the workers whose record could not be read or
    /// written; for those the caller must come back.
    pub async fn run(&self, workers: &BTreeSet<WorkerId>) -> (ReconcileReport, BTreeSet<WorkerId>) {
        let mut report = ReconcileReport { considered: count(workers.len()), ..ReconcileReport::default() };
        let mut failed = BTreeSet::new();
        let mut batches: BTreeMap<(Region, ActionKind), Vec<Issued>> = BTreeMap::new();
        let started = self.fleet.clock.now();
        for worker in workers {
            // An intent that is recorded and not carried out costs the worker an attempt: better not to begin.
            if self.fleet.clock.now().duration_since(started) >= BUDGET {
                failed.insert(*worker);
                continue;
            }
            match self.prepare(*worker).await {
                Ok(Prepared::Issued(issued)) => {
                    let kind = issued.action.kind();
                    let region = issued.stored.worker.state().region.clone();
                    *report.issued.entry(kind.to_string()).or_default() += 1;
                    if is_batchable(kind) {
                        batches.entry((region, kind)).or_default().push(*issued);
                    } else {
                        self.carry_out(&region, kind, vec![*issued], &mut report, &mut failed).await;
                    }
                }
                Ok(Prepared::Idle(plan)) => {
                    *report.idle.entry(plan.reason.as_str().to_owned()).or_default() += 1;
                }
                Ok(Prepared::Lapsed) => report.lapsed += 1,
                Ok(Prepared::Over) => report.over += 1,
                Ok(Prepared::LostRace) => report.lost_race += 1,
                Err(error) => {
                    report.failed += 1;
                    failed.insert(*worker);
                    tracing::error!(worker.id = %worker, error = &error as &dyn std::error::Error, "worker not planned");
                }
            }
        }
        for ((region, kind), batch) in batches {
            self.carry_out(&region, kind, batch, &mut report, &mut failed).await;
        }
        (report, failed)
    }

    /// Plans, and records what is about to be done.
    async fn prepare(&self, worker: WorkerId) -> Result<Prepared, Error> {
        for _ in 0..MAX_ROUNDS {
            let Some(stored) = self.fleet.workers.load(worker).await? else { return Ok(Prepared::Over) };
            let policy = stored.worker.overrides().over(self.fleet.settings);
            let (events, plan) = stored.worker.proceed(&policy, self.fleet.clock.now());
            if events.is_empty() {
                self.forget_user_data(&stored.worker, None).await;
                return Ok(Prepared::Idle(plan));
            }
            tracing::info!(
                worker.id = %worker,
                action = plan.action.as_ref().map_or("none", |action| action.kind().as_str()),
                reason = %plan.reason,
                "planned"
            );
            match self.fleet.save(&stored, events).await {
                Ok(changed) => {
                    return Ok(match plan.action {
                        Some(action) => Prepared::Issued(Box::new(Issued { stored: changed.stored, action })),
                        None => Prepared::Lapsed,
                    });
                }
                Err(Error::Store(StoreError::Conflict | StoreError::Contended(_))) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Prepared::LostRace)
    }

    async fn carry_out(
        &self,
        region: &Region,
        kind: ActionKind,
        batch: Vec<Issued>,
        report: &mut ReconcileReport,
        failed: &mut BTreeSet<WorkerId>,
    ) {
        let called_at = self.fleet.clock.now();
        let mut together = self.call_together(region, kind, &batch).await;
        for issued in batch {
            let worker = issued.stored.worker.id();
            let answer = match together.remove(&worker) {
                Some(answer) => answer.map(Answer::Accepted),
                None => self.call_alone(region, &issued).await,
            };
            match &answer {
                Ok(_) => report.accepted += 1,
                Err(failure) if failure.kind == FailureKind::Withheld => {
                    report.withheld += 1;
                    tracing::info!(worker.id = %worker, action = %kind, reason = %failure.message, "not called");
                }
                Err(failure) => {
                    report.refused += 1;
                    tracing::warn!(worker.id = %worker, action = %kind, reason = %failure.message, "refused by EC2");
                }
            }
            let outcome = self
                .fleet
                .change(worker, |stored, now| {
                    // Forgotten since the call: the instance is not ours any more, and nothing happens to the record.
                    if stored.worker.is_over() {
                        return Ok(Vec::new());
                    }
                    Ok(facts(&stored.worker, &issued.action, &answer, called_at, now, self))
                })
                .await;
            match outcome {
                Ok(changed) if changed.stored.worker.is_over() && changed.events.is_empty() => {
                    let instance =
                        answer.as_ref().ok().and_then(Answer::instance).map_or("none", InstanceId::as_str);
                    tracing::warn!(
                        worker.id = %worker,
                        action = %kind,
                        instance,
                        "EC2 answered about a worker that was forgotten meanwhile"
                    );
                }
                Ok(changed) => self.forget_user_data(&changed.stored.worker, Some(kind)).await,
                Err(error) => {
                    report.failed += 1;
                    failed.insert(worker);
                    tracing::error!(worker.id = %worker, error = &error as &dyn std::error::Error, "answer not recorded");
                }
            }
        }
    }

    /// One call for the whole batch, where EC2 takes one: its answer for each worker, or for all of them the failure of a
    /// call that must not be repeated, as it may have been carried out. Whoever is not in the answer is asked for alone:
    /// one bad id spoils a batch, and must not spoil the others.
    async fn call_together(
        &self,
        region: &Region,
        kind: ActionKind,
        batch: &[Issued],
    ) -> BTreeMap<WorkerId, Result<Accepted, Failure>> {
        if !is_batchable(kind) || batch.len() < 2 {
            return BTreeMap::new();
        }
        let workers: Vec<WorkerId> = batch.iter().map(|issued| issued.stored.worker.id()).collect();
        // Where that cannot be read, each is read again on its own.
        let Ok(now) = self.fleet.workers.load_many(&workers).await else { return BTreeMap::new() };
        let free: BTreeMap<InstanceId, WorkerId> = now
            .iter()
            .filter(|stored| !stored.worker.is_held() && !stored.worker.is_over())
            .filter_map(|stored| Some((stored.worker.state().instance.clone()?, stored.worker.id())))
            .collect();
        if free.len() < 2 {
            return BTreeMap::new();
        }
        let ids: Vec<InstanceId> = free.keys().cloned().collect();
        match self.actuator.call_many(region, kind, &ids).await {
            Ok(accepted) => {
                accepted.into_iter().filter_map(|one| Some((*free.get(&one.instance)?, Ok(one)))).collect()
            }
            Err(failure) if failure.kind.is_open() && !kind.may_repeat(failure.kind) => {
                free.into_values().map(|worker| (worker, Err(failure.clone()))).collect()
            }
            Err(failure) => {
                tracing::warn!(action = %kind, reason = %failure.message, "batch refused, asking one by one");
                BTreeMap::new()
            }
        }
    }

    /// Whether the worker is free to be changed just before the call.
    ///
    /// # Errors
    /// [`FailureKind::Withheld`] if it is held or over by now, or nobody can tell.
    async fn still_free(&self, worker: WorkerId) -> Result<(), Failure> {
        let message = match self.fleet.workers.load(worker).await {
            Ok(Some(stored)) if stored.worker.is_held() => "the worker was held before the call was made",
            Ok(Some(stored)) if stored.worker.is_over() => "the worker ended before the call was made",
            Ok(_) => return Ok(()),
            Err(error) => {
                tracing::warn!(worker.id = %worker, error = &error as &dyn std::error::Error, "not read before the call");
                "the worker's record could not be read before the call"
            }
        };
        Err(Failure { kind: FailureKind::Withheld, message: message.to_owned() })
    }

    async fn call_alone(&self, region: &Region, issued: &Issued) -> Result<Answer, Failure> {
        let worker = issued.stored.worker.id();
        match &issued.action {
            Action::Locate => match self.compute.locate(region, worker).await {
                Ok(instances) => Ok(Answer::Located(liveliest(instances))),
                Err(error) => Err(Failure { kind: FailureKind::Other, message: error.message }),
            },
            action => {
                self.still_free(worker).await?;
                let action = self.complete(worker, action.clone()).await?;
                self.actuator.call(region, worker, &action).await.map(Answer::Accepted)
            }
        }
    }
}

enum Answer {
    Accepted(Accepted),
    Located(Option<Instance>),
}

impl Answer {
    /// The instance it speaks of.
    const fn instance(&self) -> Option<&InstanceId> {
        match self {
            Self::Accepted(accepted) => Some(&accepted.instance),
            Self::Located(Some(instance)) => Some(&instance.instance),
            Self::Located(None) => None,
        }
    }
}

/// Of several instances with one worker's tag, the one that is still there.
fn liveliest(instances: Vec<Instance>) -> Option<Instance> {
    instances
        .into_iter()
        .min_by_key(|i| matches!(i.observed, domain::Observed::ShuttingDown | domain::Observed::Terminated))
}

/// The facts of an answer. The worker may have moved on since the call; what EC2 did is true all the same.
fn facts<W: Workers, K: Clock, C, A, U>(
    worker: &Worker,
    action: &Action,
    answer: &Result<Answer, Failure>,
    called_at: Timestamp,
    now: Timestamp,
    reconciler: &Reconciler<'_, W, K, C, A, U>,
) -> Vec<Event> {
    let kind = action.kind();
    let accepted = Event::ActionAccepted { action: kind, at: now };
    let mut events = match answer {
        Err(failure) => vec![worker.action_failed(kind, failure.clone(), now)],
        Ok(Answer::Located(None)) if worker.state().instance.is_none() => vec![worker.not_located(now)],
        Ok(Answer::Located(None)) => vec![accepted],
        Ok(Answer::Located(Some(instance))) => {
            let launched = Event::Launched { instance: instance.instance.clone(), at: called_at };
            vec![accepted, launched, worker.tags_found(&instance.tags)]
        }
        Ok(Answer::Accepted(Accepted { instance, .. })) => match action {
            Action::Launch { tags, .. } => vec![
                accepted,
                Event::Launched { instance: instance.clone(), at: called_at },
                worker.tags_found(tags),
            ],
            Action::Tag { set, remove, .. } => {
                vec![accepted, Event::TagsApplied { set: set.clone(), removed: remove.clone() }]
            }
            Action::Locate
            | Action::Start(_)
            | Action::Stop(_)
            | Action::Reboot(_)
            | Action::Terminate(_) => vec![accepted],
        },
    };
    if let Some(evidence) = evidence(answer, called_at, now) {
        let learnt = reconciler.fleet.learn(&worker.with(&events), &[evidence]);
        events.extend(learnt);
    }
    events
}

/// What the answer says about the instance's state.
fn evidence(answer: &Result<Answer, Failure>, called_at: Timestamp, now: Timestamp) -> Option<Evidence> {
    let (observed, details, source) = match answer {
        Ok(Answer::Accepted(Accepted { observed: Some(observed), launched, .. })) => {
            let details = launched.as_ref().map(details).unwrap_or_default();
            (*observed, details, Source::Response)
        }
        Ok(Answer::Located(Some(instance))) => (instance.observed, details(instance), Source::Describe),
        Ok(Answer::Accepted(_) | Answer::Located(None)) | Err(_) => return None,
    };
    // EC2 stamps its events to the second; an answer must not look newer than the event it caused.
    let floor = TimestampRound::new().smallest(Unit::Second).mode(RoundMode::Floor);
    let at = called_at.round(floor).unwrap_or(called_at);
    let details: Details = details;
    Some(Evidence { finding: Finding::State { observed, details }, source, at, seen_at: now })
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
