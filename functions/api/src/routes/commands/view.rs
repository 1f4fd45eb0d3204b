//! A command for many workers as the API shows it.

#![expect(missing_docs, reason = "the names are those of the JSON; `openapi.json` says what they may hold")]

use std::collections::BTreeMap;

use app::bulk::{BulkPlan, tally};
use app::ports::{BulkCommand, BulkItem};
use domain::{Actor, Bulk, BulkOutcome, Progress, Timestamp, WorkerId};
use serde::Serialize;

#[cfg(test)]
use crate::openapi::is;
use crate::view::{Word, time};

/// The JSON of a command. Its workers are in the answer to its request, its progress in later ones.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Command))]
pub struct CommandView {
    #[cfg_attr(test, schema(value_type = Option<is::CommandId>))]
    pub id: Option<String>,
    #[cfg_attr(test, schema(value_type = is::BulkKind))]
    pub action: Word,
    pub dry_run: bool,
    #[cfg_attr(test, schema(value_type = is::CommandStatus))]
    pub status: Word,
    pub by: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub at: String,
    pub counts: CountsView,
    pub ec2_calls: u32,
    pub eta_seconds: u64,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub eta: String,
    pub cancelled: Option<CancelledView>,
    pub progress: Option<ProgressView>,
    pub items: Option<Vec<ItemView>>,
    #[cfg_attr(test, schema(value_type = Option<is::Cursor>))]
    pub next: Option<String>,
}

/// How many workers have which outcome.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CommandCounts))]
pub struct CountsView {
    pub planned: u32,
    pub asked: u32,
    pub unchanged: u32,
    pub superseded: u32,
    pub cancelled: u32,
    pub refused: u32,
}

#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Cancelled))]
pub struct CancelledView {
    pub by: String,
    #[cfg_attr(test, schema(value_type = is::Time))]
    pub at: String,
}

/// How far those have come that were asked.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CommandProgress))]
pub struct ProgressView {
    pub waiting: u32,
    pub done: u32,
    pub failed: u32,
    pub superseded: u32,
}

/// A page of a command's workers.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CommandWorkers))]
pub struct ItemsView {
    pub items: Vec<ItemView>,
    #[cfg_attr(test, schema(value_type = Option<is::Cursor>))]
    pub next: Option<String>,
}

/// What has become of a command for one worker.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = CommandWorker))]
pub struct ItemView {
    #[cfg_attr(test, schema(value_type = is::WorkerId))]
    pub worker_id: String,
    #[cfg_attr(test, schema(value_type = Option<is::Name>))]
    pub name: Option<String>,
    #[cfg_attr(test, schema(value_type = is::BulkOutcome))]
    pub outcome: Word,
    #[cfg_attr(test, schema(value_type = Option<is::Progress>))]
    pub progress: Option<Word>,
    pub refusal: Option<RefusalView>,
}

/// Why a worker is left out.
#[derive(Debug, Serialize)]
#[cfg_attr(feature = "client", derive(serde::Deserialize))]
#[cfg_attr(test, derive(utoipa::ToSchema), schema(as = Refusal))]
pub struct RefusalView {
    #[cfg_attr(test, schema(value_type = is::RefusalCode))]
    pub code: Word,
    pub text: String,
}

/// What is shown beside a command itself.
pub(super) enum Shown<'a> {
    /// Its first workers, and where the others are.
    First(&'a [BulkItem], Option<String>),
    /// How far those that were asked have come.
    Progress(&'a BTreeMap<WorkerId, Progress>),
}

/// How a command stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It was only tried.
    Planned,
    /// Something is left to do, or EC2 is not there yet.
    Running,
    /// Nothing is left to do.
    Done,
    /// It was called off.
    Cancelled,
}

impl Standing {
    #[cfg(test)]
    pub(crate) const ALL: [Self; 4] = [Self::Planned, Self::Running, Self::Done, Self::Cancelled];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Planned => "planned",
            Self::Running => "running",
            Self::Done => "done",
            Self::Cancelled => "cancelled",
        }
    }
}

impl CommandView {
    /// What a command would be.
    pub(super) fn of_plan(plan: &BulkPlan, bulk: &Bulk, by: &Actor, at: Timestamp) -> Self {
        Self {
            id: None,
            action: bulk.kind().as_str().into(),
            dry_run: true,
            status: Standing::Planned.as_str().into(),
            by: by.to_string(),
            at: time(at),
            counts: CountsView::of(&tally(&plan.items)),
            ec2_calls: plan.calls,
            eta_seconds: seconds(at, plan.ends_at),
            eta: time(plan.ends_at),
            cancelled: None,
            progress: None,
            items: Some(plan.items.iter().map(|item| ItemView::of(item, None)).collect()),
            next: None,
        }
    }

    pub(super) fn of(
        command: &BulkCommand,
        now: Timestamp,
        tally: &BTreeMap<BulkOutcome, u32>,
        shown: Shown<'_>,
    ) -> Self {
        let (progress, items, next) = match shown {
            Shown::First(items, next) => {
                (None, Some(items.iter().map(|item| ItemView::of(item, None)).collect()), next)
            }
            Shown::Progress(progress) => (Some(ProgressView::of(progress)), None, None),
        };
        let asked = tally.get(&BulkOutcome::Asked).copied().unwrap_or_default();
        let waiting = progress.as_ref().map_or(asked, |progress| progress.waiting);
        let standing = match (&command.cancelled, command.due) {
            (Some(_), _) => Standing::Cancelled,
            (None, None) if waiting == 0 => Standing::Done,
            (None, _) => Standing::Running,
        };
        Self {
            id: Some(command.id.to_string()),
            action: command.bulk.kind().as_str().into(),
            dry_run: false,
            status: standing.as_str().into(),
            by: command.by.to_string(),
            at: time(command.at),
            counts: CountsView::of(tally),
            ec2_calls: command.calls,
            eta_seconds: seconds(now, command.ends_at),
            eta: time(command.ends_at),
            cancelled: command
                .cancelled
                .as_ref()
                .map(|(at, by)| CancelledView { by: by.to_string(), at: time(*at) }),
            progress,
            items,
            next,
        }
    }
}

/// Whole seconds until then; none once it is over.
fn seconds(now: Timestamp, then: Timestamp) -> u64 {
    let millis = then.as_millisecond() - now.as_millisecond();
    u64::try_from(millis).unwrap_or(0).div_ceil(1000)
}

impl CountsView {
    fn of(tally: &BTreeMap<BulkOutcome, u32>) -> Self {
        let count = |outcome| tally.get(&outcome).copied().unwrap_or_default();
        Self {
            planned: count(BulkOutcome::Planned),
            asked: count(BulkOutcome::Asked),
            unchanged: count(BulkOutcome::Unchanged),
            superseded: count(BulkOutcome::Superseded),
            cancelled: count(BulkOutcome::Cancelled),
            refused: count(BulkOutcome::Refused),
        }
    }
}

impl ProgressView {
    fn of(progress: &BTreeMap<WorkerId, Progress>) -> Self {
        let count = |wanted| {
            let those = progress.values().filter(|progress| **progress == wanted);
            u32::try_from(those.count()).unwrap_or(u32::MAX)
        };
        Self {
            waiting: count(Progress::Waiting),
            done: count(Progress::Done),
            failed: count(Progress::Failed),
            superseded: count(Progress::Superseded),
        }
    }
}

impl ItemsView {
    pub(super) fn of(
        items: &[BulkItem],
        progress: &BTreeMap<WorkerId, Progress>,
        next: Option<String>,
    ) -> Self {
        let view = |item: &BulkItem| ItemView::of(item, progress.get(&item.worker).copied());
        Self { items: items.iter().map(view).collect(), next }
    }
}

impl ItemView {
    fn of(item: &BulkItem, progress: Option<Progress>) -> Self {
        let refusal = |(code, text): &(domain::BulkRefusal, String)| RefusalView {
            code: code.as_str().into(),
            text: text.clone(),
        };
        Self {
            worker_id: item.worker.to_string(),
            name: item.name.as_ref().map(ToString::to_string),
            outcome: item.outcome.as_str().into(),
            progress: progress.map(|progress| progress.as_str().into()),
            refusal: item.refusal.as_ref().map(refusal),
        }
    }
}
