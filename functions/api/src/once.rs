//! Carrying a request out at most once under its idempotency key (draft-ietf-httpapi-idempotency-key-header).
//!
//! What is stored is the answer to a request that was carried out: its success, or the refusal it met. A request that
//! is malformed never gets here, and a failure of ours frees the key, so that trying again is trying again. Where it is not
//! known what a try did, the key is not freed but runs out, and the identity reserved with it stays the same on every try:
//! what is created is created under it, and what is changed says in its facts that it was this request.

use app::fleet::Try;
use app::ports::{Answer, Begun, Clock, Idempotency, Ids, RequestKey};
use domain::WorkerId;
use jiff::SignedDuration;

use crate::problem::{Kind, Problem};
use crate::reply::Reply;
use crate::{Api, Ports};

/// How long a request counts as being carried out. Longer than the function may run.
const LEASE: SignedDuration = SignedDuration::from_secs(30);

/// What a request goes by while it is carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Reserved {
    /// What it creates is created under this identity.
    pub(crate) identity: WorkerId,
    /// The try, if the request has a key.
    pub(crate) tried: Option<Try>,
}

impl<P: Ports> Api<P> {
    /// Carries out `work`, or repeats the answer of the time it was carried out. `work` is given the identity to
    /// create under, or to leave in the facts of what it changes.
    pub(crate) async fn once<F>(
        &self,
        key: Option<RequestKey>,
        work: impl FnOnce(Reserved) -> F + Send,
    ) -> Result<Reply, Problem>
    where
        F: Future<Output = Result<Reply, Problem>> + Send,
    {
        let reserve = self.ports.ids().worker_id();
        let Some(key) = key else { return work(Reserved { identity: reserve, tried: None }).await };
        let records = self.ports.idempotency();
        let now = self.ports.clock().now();
        match records.begin(&key, reserve, now, now + LEASE).await? {
            Begun::Fresh { worker } => {
                // Another identity than the one of this try was reserved by an earlier one.
                let again = worker != reserve;
                let tried = Try { request: worker.into(), again };
                let outcome = work(Reserved { identity: worker, tried: Some(tried) }).await;
                self.settle(&key, &outcome, again).await;
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
    async fn settle(&self, key: &RequestKey, outcome: &Result<Reply, Problem>, again: bool) {
        let records = self.ports.idempotency();
        let settled = match outcome {
            Ok(reply) => records.finish(key, &reply.to_answer()).await,
            Err(problem) if problem.kind.status().is_client_error() => {
                let status = problem.kind.status().as_u16();
                records.finish(key, &Answer { status, body: problem.to_json(None) }).await
            }
            // The record may have been written after all, now or by an earlier try: only the same identity is safe to try again
            // under.
            Err(problem) if problem.uncertain || again => Ok(()),
            Err(_) => records.abandon(key).await,
        };
        if let Err(error) = settled {
            tracing::warn!(error = %error, "an idempotency record was left to run out");
        }
    }
}
