//! A look at EC2 before anybody says that it hangs between two states.
//!
//! What is known of a transition may be old: the event that it is over can be lost, and the poll looks once an interval. So `act`
//! asks EC2 itself, and concludes nothing as long as EC2 does not say for certain.

use std::collections::BTreeMap;

use domain::{Evidence, Finding, InstanceId, Region, Source, Timestamp, Zone};
use jiff::SignedDuration;

use super::{Reconciler, Run, Step, count};
use crate::collect::details;
use crate::ports::{Actuator, Answered, Buckets, Clock, Compute, Instance, UserDataVault, Workers};
use crate::record::Stored;

/// How long after EC2 has denied to know an instance, or us the right to ask, its saying so again is news. What is recorded calls
/// `act` again.
const DENIED_AGAIN: SignedDuration = SignedDuration::from_secs(60);
/// How long before the end of a run no more is asked, as calls that change something still come.
const TIME_FOR_CALLS: SignedDuration = SignedDuration::from_secs(15);

const NO_ANSWER: &str = "EC2 does not say who hangs";

impl<W, K, C, A, B, U> Reconciler<'_, W, K, C, A, B, U>
where
    W: Workers,
    K: Clock,
    C: Compute,
    A: Actuator,
    B: Buckets,
    U: UserDataVault,
{
    pub(super) fn seems_to_hang(&self, stored: &Stored) -> bool {
        let policy = stored.worker.overrides().over(self.fleet.settings);
        stored.worker.seems_to_hang(&policy, self.now())
    }

    /// Asks EC2 about workers that seem to hang, and records what has become of them where it answers. In an outage of a zone a call
    /// fails that names an instance there, so each zone is asked about on its own.
    pub(super) async fn look(&self, hanging: Vec<Stored>, run: &mut Run) {
        let until = run.until.saturating_sub(TIME_FOR_CALLS).unwrap_or(run.until);
        let mut zones: BTreeMap<(Region, Option<Zone>), Vec<Stored>> = BTreeMap::new();
        for stored in hanging {
            let state = stored.worker.state();
            zones.entry((state.region.clone(), state.zone.clone())).or_default().push(stored);
        }
        for ((region, _), workers) in zones {
            let at = self.now();
            if at >= until {
                run.report.unseen += count(workers.len());
                continue;
            }
            let ids: Vec<InstanceId> =
                workers.iter().filter_map(|stored| stored.worker.state().instance.clone()).collect();
            match self.compute.describe(&region, &ids).await {
                Ok(answer) => {
                    for stored in &workers {
                        self.conclude(stored, &answer, at, run).await;
                    }
                }
                // What is over in a minute is not worth telling; that we may not look is, and nobody else may be looking.
                Err(error) if error.retryable => {
                    run.report.unseen += count(workers.len());
                    tracing::warn!(%region, error = &error as &dyn std::error::Error, "{NO_ANSWER}");
                }
                Err(error) => {
                    tracing::error!(%region, error = &error as &dyn std::error::Error, "{NO_ANSWER}");
                    self.denied(&workers, &error.message, at, run).await;
                }
            }
        }
    }

    /// Records that EC2 does not let us look, so that whoever reads of the worker sees why nothing is concluded. Of those that are
    /// monitored `collect` says how they are, and whether it may look.
    async fn denied(&self, workers: &[Stored], why: &str, at: Timestamp, run: &mut Run) {
        let is_news = |stored: &Stored| {
            let (worker, state) = (&stored.worker, stored.worker.state());
            let monitored = worker.overrides().over(self.fleet.settings).monitoring;
            !monitored && !worker.is_unobservable() && !lately(state.failures.last(), at)
        };
        for stored in workers {
            if !is_news(stored) || self.now() >= run.until {
                run.report.unseen += 1;
                continue;
            }
            let finding = Finding::Failed { reason: why.to_owned() };
            let evidence = Evidence { finding, source: Source::Describe, at, seen_at: self.now() };
            let learn = |stored: &Stored| self.fleet.learn(&stored.worker, std::slice::from_ref(&evidence));
            let learnt = self.fleet.change(stored.worker.id(), |stored, _| {
                Ok(if is_news(stored) { learn(stored) } else { Vec::new() })
            });
            match learnt.await {
                Ok(_) => run.report.unseen += 1,
                Err(error) => run.fail(stored.worker.id(), &error, "look not recorded"),
            }
        }
    }

    async fn conclude(&self, stored: &Stored, answer: &Answered<Instance>, at: Timestamp, run: &mut Run) {
        let worker = stored.worker.id();
        let Some(finding) = finding(stored, answer, at).filter(|_| self.now() < run.until) else {
            run.report.unseen += 1;
            return;
        };
        let says = match &finding {
            Finding::State { observed, .. } => Some(*observed),
            Finding::NotFound | Finding::Failed { .. } => None,
        };
        let evidence = Evidence { finding, source: Source::Describe, at, seen_at: self.now() };
        let learnt = self.fleet.change(worker, |stored, _| {
            let events = self.fleet.learn(&stored.worker, std::slice::from_ref(&evidence));
            // What is known may be newer than the answer, which is half a minute old at worst. Recorded it would call `act` again,
            // and that until it is old enough.
            let older = says.is_some_and(|says| stored.worker.with(&events).observed() != says);
            Ok(if older { Vec::new() } else { events })
        });
        match learnt.await {
            Ok(changed) if says == Some(changed.stored.worker.observed()) => {
                self.record(changed.stored, Step::Conclude, run).await;
            }
            Ok(_) => run.report.unseen += 1,
            Err(error) => run.fail(worker, &error, "look not recorded"),
        }
    }
}

/// What the answer says of the instance that is worth recording; `None` if it leaves it out, or denies it once more.
fn finding(stored: &Stored, answer: &Answered<Instance>, at: Timestamp) -> Option<Finding> {
    let state = stored.worker.state();
    let instance = state.instance.as_ref()?;
    if let Some(found) = answer.found.iter().find(|found| found.instance == *instance) {
        return Some(Finding::State { observed: found.observed, details: details(found) });
    }
    (answer.unknown.contains(instance) && !lately(state.misses.last(), at)).then_some(Finding::NotFound)
}

fn lately(last: Option<&Timestamp>, at: Timestamp) -> bool {
    last.is_some_and(|last| at.duration_since(*last) < DENIED_AGAIN)
}
