//! A look at EC2 before anybody says that it hangs between two states.
//!
//! What is known of a transition may be old: the event that it is over can be lost, and the poll looks once an interval. So `act`
//! asks EC2 itself, and concludes nothing as long as that fails.

use domain::{Evidence, Finding, Source};

use super::{Reconciler, Run, Step};
use crate::collect::details;
use crate::error::Error;
use crate::ports::{Actuator, Buckets, Clock, Compute, UserDataVault, Workers};
use crate::record::Stored;

impl<W, K, C, A, B, U> Reconciler<'_, W, K, C, A, B, U>
where
    W: Workers,
    K: Clock,
    C: Compute,
    A: Actuator,
    B: Buckets,
    U: UserDataVault,
{
    /// Closes what is over, of a worker for which nothing is to be called.
    pub(super) async fn close(&self, stored: Stored, run: &mut Run) {
        let worker = stored.worker.id();
        let policy = stored.worker.overrides().over(self.fleet.settings);
        if !stored.worker.seems_to_hang(&policy, self.now()) {
            self.record(stored, Step::Close, run).await;
            return;
        }
        match self.look(&stored).await {
            Ok(Some(stored)) => {
                self.record(stored, Step::Close, run).await;
            }
            Ok(None) => run.report.unseen += 1,
            Err(error) => run.fail(worker, &error, "look not recorded"),
        }
    }

    /// The worker with what EC2 says of its instance; `None` if it says nothing. That it knows no such instance is not for here
    /// to judge: the instance is not where it was to get either way.
    async fn look(&self, stored: &Stored) -> Result<Option<Stored>, Error> {
        let state = stored.worker.state();
        let Some(instance) = &state.instance else { return Ok(Some(stored.clone())) };
        let at = self.now();
        let answer = match self.compute.describe(&state.region, std::slice::from_ref(instance)).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::warn!(worker.id = %state.id, error = &error as &dyn std::error::Error, "instance not described");
                return Ok(None);
            }
        };
        let Some(found) = answer.found.into_iter().find(|found| found.instance == *instance) else {
            return Ok(answer.unknown.contains(instance).then(|| stored.clone()));
        };
        let finding = Finding::State { observed: found.observed, details: details(&found) };
        let evidence = Evidence { finding, source: Source::Describe, at, seen_at: self.now() };
        let changed = self.fleet.observe(state.id, &[evidence]).await?;
        Ok(Some(changed.stored))
    }
}
