//! Whose turn it is: draws on EC2's buckets for whoever acts. The one place that retries when somebody else has drawn meanwhile.

use domain::{Admission, Ask, Level, Limits, Timestamp};

use crate::error::{Error, StoreError};
use crate::ports::{BucketKey, Buckets, Clock};

/// How often a draw is tried when others draw on the same bucket. Then nothing is admitted.
const MAX_ROUNDS: u32 = 6;

/// The governor of all calls that change EC2.
#[derive(Debug)]
pub struct Governor<'a, B, K> {
    /// The buckets.
    pub buckets: &'a B,
    /// The clock.
    pub clock: &'a K,
}

impl<B: Buckets, K: Clock> Governor<'_, B, K> {
    /// Admits as many as may be called for until then, and gives the others their places. Nobody is admitted without the
    /// write that takes the tokens out.
    ///
    /// # Errors
    /// [`StoreError::Contended`] if others were faster too often, or a failed table.
    pub async fn admit(&self, key: &BucketKey, limits: &Limits, ask: Ask) -> Result<Admission, Error> {
        self.change(key, |before, now| Level::admit(before, limits, ask, now)).await
    }

    /// EC2 throttled a call that we had tokens for: somebody else has used them, and all of us wait.
    ///
    /// # Errors
    /// Those of [`Self::admit`].
    pub async fn exhaust(&self, key: &BucketKey, limits: &Limits) -> Result<(), Error> {
        let emptied = |before: Option<Level>, now| {
            before.map_or(Level::empty(limits, now), |before| before.emptied(limits, now))
        };
        self.change(key, |before, now| (emptied(before, now), ())).await
    }

    async fn change<T: Send>(
        &self,
        key: &BucketKey,
        change: impl Fn(Option<Level>, Timestamp) -> (Level, T) + Send,
    ) -> Result<T, Error> {
        for round in 0..MAX_ROUNDS {
            let before = self.buckets.level(key).await?;
            let (after, outcome) = change(before, self.clock.now());
            if self.buckets.draw(key, before, after).await? {
                return Ok(outcome);
            }
            self.clock.sleep(10 << round).await;
        }
        Err(StoreError::Contended("others kept drawing on the bucket".into()).into())
    }
}
