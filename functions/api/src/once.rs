//! Carrying a request out at most once under its idempotency key (draft-ietf-httpapi-idempotency-key-header).
//!
//! What is stored is the answer to a request that was carried out: its success, or the refusal it met. A request that
//! is malformed never gets here, and a failure of ours frees the key, so that trying again is trying again. The
//! identity reserved with the key is the same on every try, which makes creating repeatable even after a crash.

use app::ports::{Answer, Begun, Clock, Idempotency, Ids, RequestKey};
use domain::WorkerId;
use jiff::SignedDuration;

use crate::problem::{Kind, Problem};
use crate::reply::Reply;
use crate::{Api, Ports};

/// How long a request counts as being carried out. Longer than the function may run.
const LEASE: SignedDuration = SignedDuration::from_secs(30);

impl<P: Ports> Api<P> {
    /// Carries out `work`, or repeats the answer of the time it was carried out. `work` is given the identity to
    /// create under.
    pub(crate) async fn once<F>(
        &self,
        key: Option<RequestKey>,
        work: impl FnOnce(WorkerId) -> F + Send,
    ) -> Result<Reply, Problem>
    where
        F: Future<Output = Result<Reply, Problem>> + Send,
    {
        let reserve = self.ports.ids().worker_id();
        let Some(key) = key else { return work(reserve).await };
        let records = self.ports.idempotency();
        let now = self.ports.clock().now();
        match records.begin(&key, reserve, now, now + LEASE).await? {
            Begun::Fresh { worker } => {
                let outcome = work(worker).await;
                self.settle(&key, &outcome).await;
                outcome
            }
            Begun::Running => Err(Problem::new(
                Kind::InProgress,
                "a request with this Idempotency-Key is being carried out; ask again for its answer",
            )
            .retry_after(1)),
            Begun::Done(answer) => Reply::replay(answer),
            Begun::Reused => Err(Problem::new(
                Kind::KeyReused,
                "this Idempotency-Key was used for another request; a new request needs a new key",
            )),
        }
    }

    /// Stores the answer, or frees the key. If that fails the lease runs out, and the request may be repeated under
    /// the same identity: what was done stays done, so the caller gets the answer all the same.
    async fn settle(&self, key: &RequestKey, outcome: &Result<Reply, Problem>) {
        let records = self.ports.idempotency();
        let settled = match outcome {
            Ok(reply) => records.finish(key, &reply.to_answer()).await,
            Err(problem) if problem.kind.status().is_client_error() => {
                let status = problem.kind.status().as_u16();
                records.finish(key, &Answer { status, body: problem.to_json(None) }).await
            }
            // The record may have been written after all: only the same identity is safe to try again under.
            Err(problem) if problem.uncertain => Ok(()),
            Err(_) => records.abandon(key).await,
        };
        if let Err(error) = settled {
            tracing::warn!(error = %error, "an idempotency record was left to run out");
        }
    }
}
