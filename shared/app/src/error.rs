//! How the outside can fail, in our words. The causes stay attached; they are printed once, at the edge.

use domain::{Name, WorkerId};

/// Any error from below, kept for the chain that is printed at the edge.
pub type Cause = Box<dyn std::error::Error + Send + Sync + 'static>;

/// A failed read or write of a table.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The worker is not at the version the change was decided on.
    #[error("the worker changed in the meantime")]
    Conflict,
    /// Another living worker has the name.
    #[error("another worker is called {name}")]
    NameTaken {
        /// The name.
        name: Name,
    },
    /// Another living worker answers for the instance.
    #[error("the instance belongs to another worker")]
    InstanceTaken,
    /// A concurrent transaction got in the way, or the table asks to slow down; nothing was written.
    #[error("the table is busy")]
    Contended(#[source] Cause),
    /// A stored item is not one we can read.
    #[error("a stored item cannot be read")]
    Corrupt(#[source] Cause),
    /// The position a listing should go on from is not one of ours.
    #[error("the cursor is not one of this listing's")]
    BadCursor,
    /// The table could not be reached, or refused.
    #[error("the table cannot be used")]
    Unavailable(#[source] Cause),
}

/// A failed call to a service.
#[derive(Debug, thiserror::Error)]
#[error("{message}")]
pub struct CallError {
    /// What was called and what came of it, fit for an operator: service, operation and error code, never a secret.
    pub message: String,
    /// Trying again may help.
    pub retryable: bool,
    /// What lies below.
    #[source]
    pub cause: Option<Cause>,
}

/// Why a use case could not be carried out.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such worker.
    #[error("there is no worker {0}")]
    NoSuchWorker(WorkerId),
    /// The command makes no sense.
    #[error("refused")]
    Rejected(#[from] domain::Rejection),
    /// The caller expected another version.
    #[error("the worker is at version {current}")]
    Stale {
        /// The version it is at.
        current: u64,
    },
    /// A table failed.
    #[error("storing or loading failed")]
    Store(#[from] StoreError),
    /// A change got no answer that says that it was not written: it may have been.
    #[error("it is not known whether the change was stored")]
    Unanswered(#[source] StoreError),
    /// A call failed.
    #[error("a call failed")]
    Call(#[from] CallError),
}

/// An error with all its causes on one line, `what failed: because: because`. A cause that its parent already quotes
/// is not said twice. For errors that are logged and not returned.
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut said = text.clone();
    let mut next = error.source();
    while let Some(cause) = next {
        let because = cause.to_string();
        if !said.ends_with(&because) {
            text = format!("{text}: {because}");
        }
        said = because;
        next = cause.source();
    }
    text
}
