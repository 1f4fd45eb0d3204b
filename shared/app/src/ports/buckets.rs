//! What is left of EC2's buckets, for all who act.

use domain::{AccountId, ActionKind, Level, Region};

use crate::error::StoreError;

/// One kind of action in one account and region: what EC2 throttles by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketKey {
    /// The account.
    pub account: AccountId,
    /// The region.
    pub region: Region,
    /// The kind of action.
    pub action: ActionKind,
}

/// Buckets in the journal: one item for each key.
pub trait Buckets: Sync {
    /// What is left (strongly consistent); `None` if nobody has drawn on it yet.
    fn level(&self, key: &BucketKey) -> impl Future<Output = Result<Option<Level>, StoreError>> + Send;

    /// Writes what is left after drawing, if it is still what it was `before`. `false` if somebody else has drawn
    /// meanwhile: nothing is written then.
    fn draw(
        &self,
        key: &BucketKey,
        before: Option<Level>,
        after: Level,
    ) -> impl Future<Output = Result<bool, StoreError>> + Send;
}
