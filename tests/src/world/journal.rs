//! The journal: telemetry, heartbeats, buckets and idempotency records.

use std::collections::BTreeSet;

use app::error::StoreError;
use app::ports::{
    Answer, Begun as Beginning, BucketKey, Buckets, Heartbeat, Idempotency, RequestKey, Sample, Samples,
    Sweeps, UserDataVault,
};
use domain::{Level, Region, Timestamp, UserData, WorkerId};
use jiff::SignedDuration;

use super::World;

/// A request that was begun.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Begun {
    /// The hash of the request.
    pub fingerprint: String,
    /// The identity reserved for it.
    pub worker: WorkerId,
    /// Until when whoever began it has time to answer.
    pub lease_until: Timestamp,
    /// Until when the key means this request.
    pub kept_until: Timestamp,
    /// The answer.
    pub answer: Option<Answer>,
}

/// How long a key means the same request.
const KEPT: SignedDuration = SignedDuration::from_hours(24);

pub(super) fn refused() -> StoreError {
    StoreError::Unavailable("the journal is out of order".into())
}

impl Samples for World {
    async fn append(&self, samples: &[Sample]) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.call("append") {
            return Err(refused());
        }
        state.samples.extend(samples.iter().map(|sample| ((sample.worker, sample.at), sample.clone())));
        Ok(())
    }

    async fn written(&self, samples: &[(WorkerId, Timestamp)]) -> Result<Vec<Sample>, StoreError> {
        let mut state = self.state();
        if !state.call("written") {
            return Err(refused());
        }
        let samples: BTreeSet<_> = samples.iter().collect();
        Ok(samples.into_iter().filter_map(|key| state.samples.get(key).cloned()).collect())
    }

    async fn samples(
        &self,
        worker: WorkerId,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        let mut state = self.state();
        if !state.call("samples") {
            return Err(refused());
        }
        let range = state.samples.range((worker, from)..=(worker, to)).rev();
        Ok(range.map(|(_, sample)| sample.clone()).take(limit as usize).collect())
    }
}

impl Sweeps for World {
    async fn claim(&self, region: &Region, tick: Timestamp) -> Result<Option<Option<Heartbeat>>, StoreError> {
        let mut state = self.state();
        if !state.call("claim_sweep") {
            return Err(refused());
        }
        let before = state.heartbeats.get(region).copied();
        if before.is_some_and(|heartbeat| heartbeat.claimed >= tick) {
            return Ok(None);
        }
        let completed = before.and_then(|heartbeat| heartbeat.completed);
        state.heartbeats.insert(region.clone(), Heartbeat { claimed: tick, completed });
        Ok(Some(before))
    }

    async fn complete(&self, region: &Region, tick: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.call("complete_sweep") {
            return Err(refused());
        }
        if let Some(heartbeat) = state.heartbeats.get_mut(region) {
            heartbeat.completed = heartbeat.completed.max(Some(tick));
        }
        Ok(())
    }

    async fn heartbeat(&self, region: &Region) -> Result<Option<Heartbeat>, StoreError> {
        Ok(self.state().heartbeats.get(region).copied())
    }
}

impl Buckets for World {
    async fn level(&self, key: &BucketKey) -> Result<Option<Level>, StoreError> {
        let mut state = self.state();
        if !state.call("level") {
            return Err(refused());
        }
        Ok(state.levels.get(key).copied())
    }

    async fn draw(&self, key: &BucketKey, before: Option<Level>, after: Level) -> Result<bool, StoreError> {
        {
            let mut state = self.state();
            if !state.call("draw") {
                return Err(refused());
            }
            let lost = state.rivals > 0;
            state.rivals = state.rivals.saturating_sub(1);
            if lost || state.levels.get(key).copied() != before {
                return Ok(false);
            }
            state.levels.insert(key.clone(), after);
        }
        self.survive("draw").await;
        Ok(true)
    }
}

impl UserDataVault for World {
    async fn keep(&self, worker: WorkerId, data: &UserData, _: Timestamp) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.call("keep") {
            return Err(StoreError::Unavailable("keep is out of order".into()));
        }
        state.user_data.insert(worker, data.clone());
        Ok(())
    }

    async fn kept(&self, worker: WorkerId) -> Result<Option<UserData>, StoreError> {
        let mut state = self.state();
        if !state.call("kept") {
            return Err(StoreError::Unavailable("kept is out of order".into()));
        }
        Ok(state.user_data.get(&worker).cloned())
    }

    async fn forget(&self, worker: WorkerId) -> Result<(), StoreError> {
        let mut state = self.state();
        if !state.call("forget") {
            return Err(StoreError::Unavailable("forget is out of order".into()));
        }
        state.user_data.remove(&worker);
        Ok(())
    }
}

impl Idempotency for World {
    async fn begin(
        &self,
        key: &RequestKey,
        reserve: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Beginning, StoreError> {
        let mut state = self.state();
        let entry = (key.caller.clone(), key.key.clone());
        let known = state.requests.get(&entry).filter(|known| known.kept_until > now);
        let (worker, kept_until) = match known {
            Some(known) if known.fingerprint != key.fingerprint => return Ok(Beginning::Reused),
            Some(Begun { answer: Some(answer), .. }) => return Ok(Beginning::Done(answer.clone())),
            Some(known) if known.lease_until > now => return Ok(Beginning::Running),
            Some(known) => (known.worker, known.kept_until),
            None => (reserve, now.saturating_add(KEPT).unwrap_or(Timestamp::MAX)),
        };
        let fingerprint = key.fingerprint.clone();
        let begun = Begun { fingerprint, worker, lease_until, kept_until, answer: None };
        state.requests.insert(entry, begun);
        Ok(Beginning::Fresh { worker })
    }

    async fn finish(&self, key: &RequestKey, answer: &Answer) -> Result<(), StoreError> {
        if let Some(begun) = self.state().requests.get_mut(&(key.caller.clone(), key.key.clone())) {
            // The first answer stays.
            begun.answer.get_or_insert_with(|| answer.clone());
        }
        Ok(())
    }

    async fn abandon(&self, key: &RequestKey) -> Result<(), StoreError> {
        let mut state = self.state();
        let entry = (key.caller.clone(), key.key.clone());
        if state.requests.get(&entry).is_some_and(|begun| begun.answer.is_none()) {
            state.requests.remove(&entry);
        }
        Ok(())
    }
}
