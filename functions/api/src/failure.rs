//! How a failed use case is told to the caller. The one place where errors from below become [`Problem`]s.

use app::error::{CallError, Error, StoreError};
use app::import::Refusal;
use domain::{CommandId, Rejection, WorkerId};

use crate::input::Faults;
use crate::problem::{Kind, Problem};

/// When to try again after a short disturbance.
const SOON: u32 = 2;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        let problem = match &error {
            StoreError::NameTaken { name } => Self::new(
                Kind::NameTaken,
                format!(
                    "another living worker is called {name}; choose another name, or end that worker first"
                ),
            ),
            StoreError::InstanceTaken => {
                Self::new(Kind::InstanceTaken, "another living worker answers for this instance")
            }
            StoreError::BadCursor => return bad_cursor(),
            StoreError::Conflict => {
                Self::new(Kind::Unavailable, "others are changing the same worker; try again")
                    .retry_after(SOON)
            }
            // Throttled, or in the way of another transaction: the error does not say which.
            StoreError::Contended(_) => {
                Self::new(Kind::Unavailable, "the records are busy right now; try again").retry_after(SOON)
            }
            StoreError::Unavailable(_) => {
                Self::new(Kind::Unavailable, "the records cannot be reached right now; try again")
                    .retry_after(SOON)
            }
            StoreError::Corrupt(_) => {
                Self::new(Kind::Internal, "a record cannot be read; the fault is logged")
            }
        };
        problem.caused_by(error)
    }
}

impl From<CallError> for Problem {
    fn from(error: CallError) -> Self {
        let problem = if error.retryable {
            Self::new(Kind::Unavailable, "AWS did not answer; try again").retry_after(SOON)
        } else {
            Self::new(Kind::Refused, "AWS refused a call we made for this request; the fault is logged")
        };
        problem.caused_by(error)
    }
}

impl From<Error> for Problem {
    fn from(error: Error) -> Self {
        match error {
            Error::NoSuchWorker(id) => no_such_worker(Some(id)),
            Error::Rejected(rejection) => rejection.into(),
            Error::Stale { current } => Self::new(
                Kind::Stale,
                format!(
                    "If-Match names another version than {current}, which the worker is at; read it again"
                ),
            )
            .at_version(current),
            Error::Store(error) => error.into(),
            Error::Unanswered(error) => Self::from(error).uncertain(true),
            Error::Call(error) => error.into(),
        }
    }
}

impl From<Rejection> for Problem {
    fn from(rejection: Rejection) -> Self {
        match rejection {
            Rejection::TooManyTags { max } => {
                let allowed = Some(format!("at most {max} tags"));
                let mut faults = Faults::default();
                faults.add("tags", rejection.to_string(), allowed);
                faults.problem(Kind::InvalidValue)
            }
            Rejection::Held(_) => Self::new(Kind::Held, rejection.to_string()),
            Rejection::Protected { .. } => Self::new(Kind::Protected, rejection.to_string()),
            Rejection::Misnamed { .. } => Self::new(Kind::NotConfirmed, rejection.to_string()),
            Rejection::Ended
            | Rejection::Terminating
            | Rejection::NotLaunched
            | Rejection::Launching
            | Rejection::NotRunning { .. }
            | Rejection::InstanceEnding { .. } => Self::new(Kind::ImpossibleCommand, rejection.to_string()),
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::NoSuchInstance { .. } => Self::new(Kind::NoSuchInstance, detail),
            Refusal::Claimed { .. } | Refusal::Unmanaged { .. } => Self::new(Kind::InstanceClaimed, detail),
            Refusal::Copied { of: worker } | Refusal::Forgotten { worker } => {
                Self::new(Kind::InstanceClaimed, detail).about(worker)
            }
            Refusal::NameTaken { .. } => Self::new(Kind::NameTaken, detail),
            Refusal::Rejected(rejection) => rejection.into(),
        }
    }
}

/// There is no such worker. Also what a path says that cannot be a worker's: whether an id is malformed or merely
/// unknown makes no difference to the caller.
pub(crate) fn no_such_worker(id: Option<WorkerId>) -> Problem {
    match id {
        Some(id) => Problem::new(Kind::NoSuchWorker, format!("there is no worker {id}")),
        None => {
            Problem::new(Kind::NoSuchWorker, "the path names no worker: a worker id is a lower-case UUID")
        }
    }
}

/// There is no such command; a path that cannot be a command's names none.
pub(crate) fn no_such_command(id: Option<CommandId>) -> Problem {
    match id {
        Some(id) => {
            Problem::new(Kind::NoSuchCommand, format!("there is no command {id}, or it is long over"))
        }
        None => {
            Problem::new(Kind::NoSuchCommand, "the path names no command: a command id is a lower-case UUID")
        }
    }
}

/// A cursor that was not handed out by this listing.
pub(crate) fn bad_cursor() -> Problem {
    let mut faults = Faults::default();
    let allowed = Some("the `next` of an earlier page of the same query, unchanged".to_owned());
    faults.add("cursor", "is not a cursor of this listing", allowed);
    faults.problem(Kind::InvalidParameter)
}
