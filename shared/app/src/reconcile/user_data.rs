//! User data on its way to EC2: read for the launch, and forgotten once nobody needs it any more.

use domain::{Action, ActionKind, Failure, FailureKind, Worker, WorkerId};

use super::Reconciler;
use crate::error::with_causes;
use crate::ports::UserDataVault;

impl<W, K, C, A, B, U: UserDataVault> Reconciler<'_, W, K, C, A, B, U> {
    /// The action, with its user data if it is a launch that has some. An instance without it would not be what was asked
    /// for, so without it there is no launch.
    ///
    /// # Errors
    /// That it cannot be read, or is not kept any more. EC2 was not asked.
    pub(super) async fn complete(&self, worker: WorkerId, mut action: Action) -> Result<Action, Failure> {
        let Action::Launch { spec, user_data, .. } = &mut action else { return Ok(action) };
        if !spec.user_data {
            return Ok(action);
        }
        match self.user_data.kept(worker).await {
            Ok(Some(kept)) => *user_data = Some(kept),
            Ok(None) => {
                let message = "the user data is not kept any more, and nothing is launched without it: create the worker anew";
                return Err(Failure { kind: FailureKind::Invalid, message: message.to_owned() });
            }
            Err(error) => {
                tracing::warn!(worker.id = %worker, error = with_causes(&error), "user data not read");
                let message = format!("the user data cannot be read: {error}");
                return Err(Failure { kind: FailureKind::Refused, message });
            }
        }
        Ok(action)
    }

    /// Forgets the user data of a worker that has its instance since this action, or will never have one. If that fails
    /// it is forgotten when its time is up.
    pub(super) async fn forget_user_data(&self, worker: &Worker, after: Option<ActionKind>) {
        let now_known = matches!(after, Some(ActionKind::Launch | ActionKind::Locate));
        if !worker.has_used_user_data() || !(now_known || worker.is_over()) {
            return;
        }
        if let Err(error) = self.user_data.forget(worker.id()).await {
            tracing::warn!(worker.id = %worker.id(), error = with_causes(&error), "user data not forgotten");
        }
    }
}
