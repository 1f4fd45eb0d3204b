//! What was asked for last is what is done: a command for many changes a worker once and never against a newer wish, and
//! no call works against what is asked for.

use std::collections::{BTreeMap, BTreeSet};

use app::ports::{BulkCommand, BulkItem};
use app::record::{EventRecord, Stored};
use domain::{ActionKind, Actor, Bulk, BulkOutcome, CommandId, Desired, Event, WorkerId};
use tests::world::State;

use crate::wiring::Function;
use crate::world::Inner;

/// What was asked for.
#[derive(Debug, Default)]
pub(crate) struct Wishes {
    /// When somebody was last asked for something else.
    turned: BTreeMap<WorkerId, i64>,
    /// When somebody was last to be rebooted.
    rebooting: BTreeMap<WorkerId, i64>,
    /// Whom `act` recorded what a command for many asks.
    recorded: BTreeSet<(CommandId, WorkerId)>,
}

/// What a command for many may ask of a worker that is recorded as asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Asked {
    State(Desired),
    Reboot,
}

impl Asked {
    const fn by(bulk: &Bulk) -> Option<Self> {
        match bulk {
            Bulk::Start => Some(Self::State(Desired::Running)),
            Bulk::Stop => Some(Self::State(Desired::Stopped)),
            Bulk::Terminate => Some(Self::State(Desired::Terminated)),
            Bulk::Reboot => Some(Self::Reboot),
            Bulk::Tag(_) | Bulk::Sync => None,
        }
    }

    /// And by whom.
    const fn of(event: &Event) -> Option<(Self, &Actor)> {
        match event {
            Event::DesiredChanged { to, by: by @ Actor::Caller(_), .. } => Some((Self::State(*to), by)),
            Event::RebootRequested { by: by @ Actor::Caller(_), .. } => Some((Self::Reboot, by)),
            _ => None,
        }
    }
}

/// Whether a worker is among those that a command is still to be recorded in.
fn is_named(tables: &State, command: &BulkCommand, worker: WorkerId) -> bool {
    let mut chunks = tables.chunks.range((command.id, 0)..=(command.id, u32::MAX));
    let is_open = |item: &BulkItem| item.worker == worker && item.outcome == BulkOutcome::Planned;
    chunks.any(|(_, chunk)| chunk.chunk.items.iter().any(is_open))
}

/// Whether an action works against what is asked for.
const fn is_against(kind: ActionKind, desired: Desired) -> bool {
    match (kind, desired) {
        (ActionKind::Launch | ActionKind::Reboot, Desired::Terminated)
        | (ActionKind::Start, Desired::Stopped | Desired::Terminated)
        | (ActionKind::Stop, Desired::Running | Desired::Terminated)
        | (ActionKind::Reboot, Desired::Stopped)
        | (ActionKind::Terminate, Desired::Running | Desired::Stopped) => true,
        (ActionKind::Launch, Desired::Running | Desired::Stopped)
        | (ActionKind::Start | ActionKind::Reboot, Desired::Running)
        | (ActionKind::Stop, Desired::Stopped)
        | (ActionKind::Terminate, Desired::Terminated)
        | (ActionKind::Locate | ActionKind::Tag, _) => false,
    }
}

impl Inner {
    /// A worker was written. What `act` records as asked for by somebody comes from a command for many: one that names the worker, is
    /// no older than what was asked for before, and was not recorded already.
    pub(crate) fn check_wishes(
        &mut self,
        by: Function,
        was: Option<&Stored>,
        record: &EventRecord,
        tables: &State,
    ) {
        let (worker, now) = (record.worker, self.now);
        if record.events.iter().any(|event| matches!(event, Event::DesiredChanged { .. })) {
            self.wishes.turned.insert(worker, now);
        }
        if record.events.iter().any(|event| matches!(event, Event::RebootRequested { .. })) {
            self.wishes.rebooting.insert(worker, now);
        }
        let Some(was) = was.filter(|_| by == Function::Act) else { return };
        let since = was.worker.state().desired_since;
        for (asked, who) in record.events.iter().filter_map(Asked::of) {
            let asks = |command: &&BulkCommand| {
                Asked::by(&command.bulk) == Some(asked)
                    && command.by == *who
                    && (asked == Asked::Reboot || command.at >= since)
                    && !self.wishes.recorded.contains(&(command.id, worker))
                    && is_named(tables, command, worker)
            };
            let command = tables.commands.values().filter(asks).min_by_key(|command| command.at);
            match command.map(|command| command.id) {
                Some(command) => drop(self.wishes.recorded.insert((command, worker))),
                None => self.violated(format!(
                    "{asked:?} is recorded for {worker}, which was asked for something else at {since}, and no command asks for it"
                )),
            }
        }
    }

    /// Since when something is asked of a worker that this action works against, if so.
    pub(crate) fn works_against(&self, worker: WorkerId, kind: ActionKind, tables: &State) -> Option<i64> {
        let desired = tables.workers.get(&worker)?.worker.state().desired;
        let turned = *self.wishes.turned.get(&worker)?;
        // Whatever is asked for afterwards takes a reboot back.
        let taken_back = || self.wishes.rebooting.get(&worker).is_some_and(|asked| *asked < turned);
        (is_against(kind, desired) || (kind == ActionKind::Reboot && taken_back())).then_some(turned)
    }
}
