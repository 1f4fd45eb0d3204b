//! The poll: which workers are due for a look, which actions are overdue, and which commands for many go on.
//!
//! There are no timers and no write per worker. A stable hash of its id gives each worker a slot within its interval,
//! and one heartbeat per region says up to which tick all work was handed on, so a missed tick heals at the next.

use std::collections::BTreeMap;

use domain::{CommandId, DriftPolicy, Region, Settings, Timestamp, WorkerId, Zone};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::ports::{
    BulkCommands, Bus, CollectionRequested, CommandRequested, ReconcileRequested, Request, Sweeps, Watch,
    Workers,
};

/// How many workers one page of the index is asked for.
const PAGE: u32 = 1000;
/// How many commands for many workers one tick passes on at most.
const MOST_COMMANDS: u32 = 50;
/// How many workers one request to reconcile names at most.
const RECONCILE_SIZE: usize = 100;

/// What a poll needs.
#[derive(Debug)]
pub struct Poll<'a, W, S, C, B> {
    /// The fleet table.
    pub workers: &'a W,
    /// The heartbeats.
    pub sweeps: &'a S,
    /// The commands for many workers.
    pub commands: &'a C,
    /// The bus.
    pub bus: &'a B,
    /// The fleet's settings.
    pub settings: &'a Settings,
    /// The regions we look after.
    pub regions: &'a [Region],
    /// How many workers one shard has at most: 1 to 100.
    pub shard_size: u32,
    /// The metrics' own period, in seconds.
    pub metric_period: u32,
}

/// What a poll came to. Every worker of a region that was swept is in exactly one of `due`, `not_due`, `unmonitored`
/// and `without_instance`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PollReport {
    /// Regions swept.
    pub regions_swept: u32,
    /// Regions whose tick somebody else had taken up already.
    pub regions_already_swept: u32,
    /// Regions that could not be swept; the next tick makes up for them.
    pub regions_failed: u32,
    /// Workers due for a look.
    pub due: u32,
    /// Workers whose slot has not come.
    pub not_due: u32,
    /// Workers whose monitoring is switched off.
    pub unmonitored: u32,
    /// Workers that have no instance yet.
    pub without_instance: u32,
    /// Requests to collect that were put on the bus.
    pub shards: u32,
    /// Workers whose action is due or overdue.
    pub overdue: u32,
    /// Commands for many workers of which a part is due.
    #[serde(default)]
    pub commands: u32,
}

impl<W: Workers, S: Sweeps, C: BulkCommands, B: Bus> Poll<'_, W, S, C, B> {
    /// Sweeps every region for one tick. A region that fails is counted and does not keep the others from being swept.
    ///
    /// # Errors
    /// The last region's error, if no region could be swept.
    pub async fn run(&self, tick: Timestamp) -> Result<PollReport, Error> {
        let mut report = PollReport::default();
        let mut last_error = None;
        for region in self.regions {
            match self.sweep(region, tick, &mut report).await {
                Ok(true) => report.regions_swept += 1,
                Ok(false) => report.regions_already_swept += 1,
                Err(error) => {
                    report.regions_failed += 1;
                    tracing::warn!(region = %region, error = &error as &dyn std::error::Error, "region not swept");
                    last_error = Some(error);
                }
            }
        }
        match self.pass_commands_on(tick).await {
            Ok(commands) => report.commands = commands,
            // They stay due: the next tick makes up for it.
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "commands not passed on"),
        }
        match last_error {
            Some(error) if report.regions_swept + report.regions_already_swept == 0 => Err(error),
            _ => Ok(report),
        }
    }

    async fn sweep(&self, region: &Region, tick: Timestamp, report: &mut PollReport) -> Result<bool, Error> {
        let Some(heartbeat) = self.sweeps.claim(region, tick).await? else { return Ok(false) };
        let last = heartbeat.and_then(|heartbeat| heartbeat.completed);
        let mut shards: BTreeMap<Option<Zone>, Vec<(WorkerId, bool)>> = BTreeMap::new();
        let mut overdue: Vec<(Option<Timestamp>, WorkerId)> = Vec::new();
        let mut position = None;
        loop {
            let page = self.workers.watches(region, position.as_deref(), PAGE).await?;
            for watch in page.items {
                if self.is_overdue(&watch, tick) {
                    overdue.push((watch.act_by, watch.worker));
                }
                match self.look(&watch, last, tick) {
                    Look::Unmonitored => report.unmonitored += 1,
                    Look::NoInstance => report.without_instance += 1,
                    Look::NotDue => report.not_due += 1,
                    Look::Due { metrics } => {
                        report.due += 1;
                        shards.entry(watch.zone).or_default().push((watch.worker, metrics));
                    }
                }
            }
            position = page.next;
            if position.is_none() {
                break;
            }
        }
        // Who has waited longest goes first.
        overdue.sort_unstable();
        let overdue: Vec<WorkerId> = overdue.into_iter().map(|(_, worker)| worker).collect();
        report.overdue += u32::try_from(overdue.len()).unwrap_or(u32::MAX);
        let requests = self.requests(region, tick, &shards, &overdue);
        report.shards += u32::try_from(requests.iter().filter(|r| matches!(r, Request::Collect(_))).count())
            .unwrap_or(u32::MAX);
        self.bus.request(&requests).await?;
        self.sweeps.complete(region, tick).await?;
        Ok(true)
    }

    async fn pass_commands_on(&self, tick: Timestamp) -> Result<u32, Error> {
        let due = self.commands.due_commands(tick, MOST_COMMANDS).await?;
        let request = |id: &CommandId| Request::Command(CommandRequested { command: id.to_string() });
        let requests: Vec<Request> = due.iter().map(request).collect();
        if !requests.is_empty() {
            self.bus.request(&requests).await?;
        }
        Ok(u32::try_from(due.len()).unwrap_or(u32::MAX))
    }

    fn look(&self, watch: &Watch, last: Option<Timestamp>, tick: Timestamp) -> Look {
        if !watch.monitoring.unwrap_or(self.settings.monitoring) {
            return Look::Unmonitored;
        }
        if watch.instance.is_none() {
            return Look::NoInstance;
        }
        let interval = watch.interval.unwrap_or(self.settings.interval.get());
        let state = is_due(watch.worker, interval, last, tick);
        // Reading a metric more often than it is published costs money and teaches nothing.
        let metrics = is_due(watch.worker, interval.max(self.metric_period), last, tick);
        if state || metrics { Look::Due { metrics } } else { Look::NotDue }
    }

    fn shard_size(&self) -> usize {
        usize::try_from(self.shard_size.clamp(1, 100)).unwrap_or(100)
    }

    fn is_overdue(&self, watch: &Watch, tick: Timestamp) -> bool {
        let policy = watch.drift_policy.unwrap_or(self.settings.drift);
        // A fleet whose policy became `revert` has drift that nobody was asked to correct when it was found.
        watch.act_by.is_some_and(|at| at <= tick)
            || (watch.drifted && watch.act_by.is_none() && policy == DriftPolicy::Revert)
    }

    fn requests(
        &self,
        region: &Region,
        tick: Timestamp,
        shards: &BTreeMap<Option<Zone>, Vec<(WorkerId, bool)>>,
        overdue: &[WorkerId],
    ) -> Vec<Request> {
        let collect = shards.values().flat_map(|workers| workers.chunks(self.shard_size())).map(|chunk| {
            Request::Collect(CollectionRequested {
                region: region.as_str().to_owned(),
                workers: chunk.iter().map(|(worker, _)| worker.to_string()).collect(),
                metrics: chunk
                    .iter()
                    .filter(|(_, metrics)| *metrics)
                    .map(|(worker, _)| worker.to_string())
                    .collect(),
                all_metrics: false,
                tick: tick.as_millisecond(),
            })
        });
        let reconcile = overdue.chunks(RECONCILE_SIZE).map(|chunk| {
            Request::Reconcile(ReconcileRequested {
                workers: chunk.iter().map(ToString::to_string).collect(),
            })
        });
        collect.chain(reconcile).collect()
    }
}

enum Look {
    Unmonitored,
    NoInstance,
    NotDue,
    Due { metrics: bool },
}

/// Whether a slot of this worker lies after `last` and not after `tick`.
pub fn is_due(worker: WorkerId, interval: u32, last: Option<Timestamp>, tick: Timestamp) -> bool {
    let interval = i64::from(interval.max(1));
    let offset = i64::try_from(worker.stable_hash() % interval.unsigned_abs()).unwrap_or(0);
    let slot = |at: Timestamp| (at.as_second() - offset).div_euclid(interval);
    last.is_none_or(|last| slot(tick) > slot(last))
}
