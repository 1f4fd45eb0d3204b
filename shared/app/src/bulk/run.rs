//! Carrying out what is due of a command for many workers: it is recorded in each of them, and `act` does the rest.

use std::collections::BTreeMap;

use domain::{BulkAnswer, BulkOutcome, BulkRefusal, CommandId, Timestamp, WorkerId, Zone};
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use super::settled;
use crate::error::Error;
use crate::fleet::{Fleet, MAX_ROUNDS, is_lost_race};
use crate::ports::{
    BulkChunk, BulkCommand, BulkCommands, BulkItem, Bus, Clock, CollectionRequested, Request, Workers,
};
use crate::record::Stored;

/// How long one run takes up chunks; twice as long is what the function has.
const BUDGET: SignedDuration = SignedDuration::from_secs(25);

/// How long a chunk is left to whoever took it up. Longer than the function may run.
const LEASE: SignedDuration = SignedDuration::from_secs(90);

/// How often a chunk is taken up before the workers in it that cannot be read or written are left out.
const MAX_TRIES: u32 = 10;

/// What carrying out needs.
#[derive(Debug)]
pub struct BulkRunner<'a, W, K, C, B> {
    /// Records what is asked.
    pub fleet: Fleet<'a, W, K>,
    /// The commands.
    pub commands: &'a C,
    /// The bus, on which looks are asked for.
    pub bus: &'a B,
}

/// What a run came to: chunks finished, and their workers by outcome.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct BulkReport {
    /// Chunks finished.
    pub chunks: u32,
    /// Their workers, by outcome.
    pub workers: BTreeMap<String, u32>,
    /// Workers that could not be read or written; the chunk is taken up again.
    pub failed: u32,
}

impl<W: Workers, K: Clock, C: BulkCommands, B: Bus> BulkRunner<'_, W, K, C, B> {
    /// Carries out what is due of a command. What is due later, or did not get its turn, stays due.
    ///
    /// # Errors
    /// A failed table, or a failed bus. What was finished before is finished.
    pub async fn run(&self, id: CommandId) -> Result<BulkReport, Error> {
        let mut report = BulkReport::default();
        let until = later(self.now(), BUDGET);
        while self.now() < until {
            // Afresh for each chunk: somebody may have called it off.
            let Some(command) = self.commands.command(id).await? else {
                tracing::warn!(command.id = %id, "there is no such command");
                break;
            };
            let is_due = |due: Timestamp| due <= self.now() || command.cancelled.is_some();
            if !command.due.is_some_and(is_due) || !self.take_next(&command, &mut report).await? {
                break;
            }
        }
        Ok(report)
    }

    /// Carries out the next chunk. `false` if it is not ours to do now.
    async fn take_next(&self, command: &BulkCommand, report: &mut BulkReport) -> Result<bool, Error> {
        let (id, number) = (command.id, command.next);
        let now = self.now();
        match self.commands.take_up(id, number, now, later(now, LEASE)).await? {
            Some((mut chunk, tries)) => {
                let failed = self.carry_out(command, &mut chunk, tries).await?;
                report.failed += failed;
                chunk.finished = failed == 0;
                // Whoever takes it up again goes on with the others.
                self.commands.record_chunk(id, &chunk).await?;
                if failed > 0 {
                    return Ok(false);
                }
                report.chunks += 1;
                for (outcome, workers) in super::tally(&chunk.items) {
                    *report.workers.entry(outcome.as_str().to_owned()).or_default() += workers;
                }
            }
            None => {
                // Somebody is at it, or finished it and got no further.
                let chunk = self.commands.chunks(id, number, 1).await?.into_iter().next();
                if chunk.is_some_and(|chunk| chunk.number == number && !chunk.finished) {
                    return Ok(false);
                }
            }
        }
        let after = usize::try_from(number).unwrap_or(usize::MAX).saturating_add(1);
        self.commands.advance(id, number, command.dues.get(after).copied()).await?;
        Ok(true)
    }

    /// Records the command in the workers of a chunk. Returns how many could not be read or written.
    async fn carry_out(
        &self,
        command: &BulkCommand,
        chunk: &mut BulkChunk,
        tries: u32,
    ) -> Result<u32, Error> {
        let open = |item: &&mut BulkItem| item.outcome == BulkOutcome::Planned;
        let ids: Vec<WorkerId> = chunk.items.iter_mut().filter(open).map(|item| item.worker).collect();
        let mut known = super::load_all(self.fleet.workers, &ids).await?;
        if command.cancelled.is_some() {
            for item in chunk.items.iter_mut().filter(open) {
                // Somebody may have died after asking.
                let was_asked = known
                    .get(&item.worker)
                    .is_some_and(|stored| stored.worker.took(&command.bulk, command.at));
                item.outcome = if was_asked { BulkOutcome::Asked } else { BulkOutcome::Cancelled };
            }
            return Ok(0);
        }
        let (mut failed, mut looks) = (0, BTreeMap::new());
        for item in chunk.items.iter_mut().filter(open) {
            match self.ask(command, item, known.remove(&item.worker)).await {
                Ok(Some(stored)) => {
                    let state = stored.worker.state();
                    let where_it_is = (state.region.to_string(), state.zone.clone());
                    looks.entry(where_it_is).or_insert_with(Vec::new).push(item.worker.to_string());
                }
                Ok(None) => {}
                Err(error) if tries >= MAX_TRIES => {
                    tracing::error!(worker.id = %item.worker, error = &error as &dyn std::error::Error, "left out of a command");
                    let text = format!("its record could not be read or written, {tries} times");
                    item.outcome = BulkOutcome::Refused;
                    item.refusal = Some((BulkRefusal::Failed, text));
                }
                Err(error) => {
                    failed += 1;
                    tracing::warn!(worker.id = %item.worker, error = &error as &dyn std::error::Error, "not asked yet");
                }
            }
        }
        if command.bulk == domain::Bulk::Sync {
            self.look(looks).await?;
        }
        Ok(failed)
    }

    /// Asks one worker, and notes what came of it. Returns it if it takes the command.
    async fn ask(
        &self,
        command: &BulkCommand,
        item: &mut BulkItem,
        mut known: Option<Stored>,
    ) -> Result<Option<Stored>, Error> {
        let BulkCommand { bulk, by, at, .. } = command;
        let mut round = 0;
        loop {
            let stored = match known.take() {
                Some(stored) => Some(stored),
                None => self.fleet.workers.load(item.worker).await?,
            };
            let answer =
                stored.map(|stored| (stored.worker.answer(bulk, *at, by.clone(), self.now()), stored));
            let Some((BulkAnswer::Takes(events), stored)) = answer else {
                (item.outcome, item.refusal) = settled(item.worker, answer.map(|(answer, _)| answer));
                return Ok(None);
            };
            match self.fleet.save(&stored, events).await {
                Ok(changed) => {
                    item.outcome = BulkOutcome::Asked;
                    return Ok(Some(changed.stored));
                }
                Err(error) if is_lost_race(&error) && round < MAX_ROUNDS => {
                    round = self.fleet.pause(round).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Asks for a look at these workers, by region and zone: a zone that is out must not keep the others from being seen.
    async fn look(&self, looks: BTreeMap<(String, Option<Zone>), Vec<String>>) -> Result<(), Error> {
        let tick = self.now().as_millisecond();
        let look = |((region, _), workers): ((String, Option<Zone>), Vec<String>)| {
            let metrics = workers.clone();
            Request::Collect(CollectionRequested { region, workers, metrics, all_metrics: true, tick })
        };
        let requests: Vec<Request> = looks.into_iter().map(look).collect();
        if !requests.is_empty() {
            self.bus.request(&requests).await?;
        }
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.fleet.clock.now()
    }
}

fn later(at: Timestamp, by: SignedDuration) -> Timestamp {
    at.saturating_add(by).unwrap_or(Timestamp::MAX)
}
