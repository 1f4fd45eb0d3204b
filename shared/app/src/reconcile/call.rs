//! Calls for several workers at once, and what is done when EC2 refuses one: a bad instance spoils a call, and must not spoil
//! the others.
//!
//! Batches are of one action and region and not of one instance type or zone: a call is scarce, and a lack of room rare. When
//! EC2 says that it has none, the batch is taken apart by type and zone, and then by halves: as many start as there is room
//! for, and once one alone is refused its type has no room in its zone, and no more calls are made for that.

use std::collections::BTreeMap;

use domain::{Action, ActionKind, Ask, Failure, FailureKind, InstanceId, Timestamp, Zone};

use super::answer::{Answer, facts, liveliest};
use super::{Issued, Reconciler, Run, Step};
use crate::ports::{Accepted, Actuator, BucketKey, Buckets, Clock, Compute, UserDataVault, Workers};
use crate::record::Stored;

/// Where EC2 has room or has none: an instance type in a zone.
type Pool = (Option<String>, Option<Zone>);

/// Recorded intents for one call, and how a call failed that was for these and others.
type Batch = (Vec<Issued>, Option<Failure>);

impl<W, K, C, A, B, U> Reconciler<'_, W, K, C, A, B, U>
where
    W: Workers,
    K: Clock,
    C: Compute,
    A: Actuator,
    B: Buckets,
    U: UserDataVault,
{
    /// Records the intents of a batch and calls for it. `true` if EC2 throttled us.
    pub(super) async fn carry_out(&self, key: &BucketKey, batch: Vec<Stored>, run: &mut Run) -> bool {
        let mut issued = Vec::new();
        for stored in batch {
            issued.extend(self.record(stored, Step::Issue(key.action), run).await);
        }
        let mut throttled = false;
        let mut full: BTreeMap<Pool, Failure> = BTreeMap::new();
        let mut open: Vec<Batch> = vec![(issued, None)];
        while let Some((batch, failed)) = open.pop() {
            let mut asked = Vec::new();
            for issued in batch {
                match full.get(&pool(&issued)) {
                    Some(no_room) => {
                        let why = open_or(failed.as_ref(), no_room.clone());
                        self.settle(issued, &Err(why), self.fleet.clock.now(), run).await;
                    }
                    None => asked.push(issued),
                }
            }
            if asked.is_empty() {
                continue;
            }
            if let Some(failed) = failed.clone()
                && (throttled || !self.may_call_again(key, run).await)
            {
                self.settle_all(asked, &not_asked(failed), self.fleet.clock.now(), run).await;
                continue;
            }
            let (asked, withheld) = self.still_free(key.action, asked).await;
            for (issued, why) in withheld {
                let why = open_or(failed.as_ref(), why);
                self.settle(issued, &Err(why), self.fleet.clock.now(), run).await;
            }
            if asked.is_empty() {
                continue;
            }
            let called_at = self.fleet.clock.now();
            match self.call(key, &asked).await {
                Ok(answers) => {
                    for (issued, answer) in asked.into_iter().zip(answers) {
                        self.settle(issued, &Ok(answer), called_at, run).await;
                    }
                }
                Err(failure) => {
                    throttled |= failure.kind == FailureKind::Throttled;
                    if let [alone] = asked.as_slice()
                        && is_no_room(failure.kind)
                    {
                        full.insert(pool(alone), failure.clone());
                    }
                    let (refused, again) = blame(key.action, asked, &failure);
                    self.settle_all(refused, &failure, called_at, run).await;
                    open.extend(again.into_iter().rev().map(|batch| (batch, Some(failure.clone()))));
                }
            }
        }
        if throttled
            && let Some(limits) = key.action.limits()
            && let Err(error) = self.governor().exhaust(key, &limits).await
        {
            tracing::warn!(error = &error as &dyn std::error::Error, "bucket not emptied");
        }
        throttled
    }

    /// Draws on the bucket of calls for one more.
    pub(super) async fn may_call_again(&self, key: &BucketKey, run: &Run) -> bool {
        let Some(limits) = key.action.limits() else { return true };
        // They are in a batch, so what they need as workers was taken out before.
        let ask = Ask { placed: 1, fresh: 0, until: Some(run.until) };
        match self.governor().admit(key, &limits, ask).await {
            Ok(admission) => admission.admitted == 1 && self.reaches(admission.calls.nth(0), run).await,
            Err(_) => false,
        }
    }

    /// One call for the whole batch, and one answer for each. They are all accepted or none is.
    async fn call(&self, key: &BucketKey, batch: &[Issued]) -> Result<Vec<Answer>, Failure> {
        if let [alone] = batch {
            return Ok(vec![self.call_alone(key, alone).await?]);
        }
        let ids: Vec<InstanceId> = batch.iter().filter_map(instance).cloned().collect();
        let accepted = self.actuator.call_many(&key.region, key.action, &ids).await?;
        let mut said: BTreeMap<InstanceId, Accepted> =
            accepted.into_iter().map(|one| (one.instance.clone(), one)).collect();
        let unsaid = |id: InstanceId| Accepted { instance: id, observed: None, launched: None };
        Ok(ids
            .into_iter()
            .map(|id| Answer::Accepted(said.remove(&id).unwrap_or_else(|| unsaid(id))))
            .collect())
    }

    async fn call_alone(&self, key: &BucketKey, issued: &Issued) -> Result<Answer, Failure> {
        let worker = issued.stored.worker.id();
        match &issued.action {
            Action::Locate => match self.compute.locate(&key.region, worker).await {
                Ok(instances) => Ok(Answer::Located(liveliest(instances))),
                Err(error) => Err(Failure { kind: FailureKind::Other, message: error.message }),
            },
            action => {
                let action = self.complete(worker, action.clone()).await?;
                self.actuator.call(&key.region, worker, &action).await.map(Answer::Accepted)
            }
        }
    }

    async fn settle_all(&self, batch: Vec<Issued>, failure: &Failure, called_at: Timestamp, run: &mut Run) {
        for issued in batch {
            self.settle(issued, &Err(failure.clone()), called_at, run).await;
        }
    }

    /// Records what EC2 answered.
    async fn settle(
        &self,
        issued: Issued,
        answer: &Result<Answer, Failure>,
        called_at: Timestamp,
        run: &mut Run,
    ) {
        let (worker, kind) = (issued.stored.worker.id(), issued.action.kind());
        match answer {
            Ok(_) => run.report.accepted += 1,
            Err(failure) if failure.kind == FailureKind::Withheld => {
                run.report.withheld += 1;
                tracing::info!(worker.id = %worker, action = %kind, reason = %failure.message, "not called");
            }
            Err(failure) => {
                run.report.refused += 1;
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
                Ok(facts(&self.fleet, &stored.worker, &issued.action, answer, called_at, now))
            })
            .await;
        match outcome {
            Ok(changed)
                if changed.stored.worker.state().forgotten_at.is_some() && changed.events.is_empty() =>
            {
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
            Err(error) => run.fail(worker, &error, "answer not recorded"),
        }
    }
}

/// Who is refused by this failure of their call, and what calls are to be made for the others.
fn blame(kind: ActionKind, batch: Vec<Issued>, failure: &Failure) -> (Vec<Issued>, Vec<Vec<Issued>>) {
    // A call that must not be repeated may have been carried out for all of them; and who has to slow down asks no more.
    let is_final = failure.kind.is_open() && !kind.may_repeat(failure.kind);
    if batch.len() < 2 || is_final || failure.kind == FailureKind::Throttled {
        return (batch, Vec::new());
    }
    let (named, others): (Vec<_>, Vec<_>) = batch
        .into_iter()
        .partition(|issued| instance(issued).is_some_and(|id| names(&failure.message, id.as_str())));
    if !named.is_empty() {
        return (named, Vec::from_iter((!others.is_empty()).then_some(others)));
    }
    let mut parts: BTreeMap<Option<Pool>, Vec<Issued>> = BTreeMap::new();
    let by_pool = is_no_room(failure.kind);
    for issued in others {
        parts.entry(by_pool.then(|| pool(&issued))).or_default().push(issued);
    }
    let mut parts: Vec<Vec<Issued>> = parts.into_values().collect();
    if let [all] = parts.as_mut_slice() {
        let second = all.split_off(all.len().div_ceil(2));
        parts.push(second);
    }
    (Vec::new(), parts)
}

/// EC2 has no room for some of a batch, or the account's quota has none: it has for others, or for fewer.
const fn is_no_room(kind: FailureKind) -> bool {
    matches!(kind, FailureKind::Capacity | FailureKind::Quota)
}

/// The instance it is for.
fn instance(issued: &Issued) -> Option<&InstanceId> {
    match &issued.action {
        Action::Start(id) | Action::Stop(id) | Action::Reboot(id) | Action::Terminate(id) => Some(id),
        Action::Tag { instance, .. } => Some(instance),
        Action::Launch { .. } | Action::Locate => None,
    }
}

fn pool(issued: &Issued) -> Pool {
    let state = issued.stored.worker.state();
    (state.instance_type.clone(), state.zone.clone())
}

/// Whether a message names an instance: this one, and not one whose id begins with its id.
fn names(message: &str, id: &str) -> bool {
    let ends = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_alphanumeric());
    message.match_indices(id).any(|(at, _)| message.get(at + id.len()..).is_some_and(ends))
}

/// The failure of the call that named a worker before, if that call may have been carried out: nothing that happens later
/// makes it undone.
fn open_or(failed: Option<&Failure>, since: Failure) -> Failure {
    failed.filter(|failed| failed.kind.is_open()).cloned().unwrap_or(since)
}

/// What is told of those for whom no further call was made: the call that failed may have been carried out, or it was refused
/// because of somebody else, and they are not to blame.
fn not_asked(failed: Failure) -> Failure {
    if failed.kind.is_open() {
        return failed;
    }
    let message =
        format!("refused together with others, and there was no time to ask alone: {}", failed.message);
    Failure { kind: FailureKind::Throttled, message }
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn a_message_names_an_instance_by_its_whole_id() {
        let message =
            "InvalidInstanceID.NotFound: The instance IDs 'i-0123456789abcdef0, i-0000000a' do not exist";
        assert!(names(message, "i-0123456789abcdef0") && names(message, "i-0000000a"));
        assert!(!names(message, "i-01234567"), "the beginning of another");
        assert!(!names("RequestLimitExceeded", "i-0000000a"));
    }
}
