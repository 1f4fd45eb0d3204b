//! User data between the request that creates a worker and its launch.

use domain::{Timestamp, UserData, WorkerId};

use crate::error::StoreError;

/// Where user data is kept until the instance has it. It may hold secrets, so it is in no record, in no fact and in no stream.
pub trait UserDataVault: Sync {
    /// Keeps the user data of a worker for a week at most. Keeping it again replaces it.
    fn keep(
        &self,
        worker: WorkerId,
        data: &UserData,
        now: Timestamp,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The user data of a worker, if it is still kept (strongly consistent).
    fn kept(&self, worker: WorkerId) -> impl Future<Output = Result<Option<UserData>, StoreError>> + Send;

    /// Forgets it. Forgetting what is not kept is not an error.
    fn forget(&self, worker: WorkerId) -> impl Future<Output = Result<(), StoreError>> + Send;
}
