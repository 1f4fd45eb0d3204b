//! A collection: looks at one shard of workers, each on its own.

mod agents;
mod descriptions;
mod telemetry;

use std::collections::{BTreeMap, BTreeSet};

use domain::{
    Details, Evidence, Finding, InstanceId, Metric, Observed, Region, Source, Timestamp, Vitals, Worker,
    WorkerId,
};
use futures_util::StreamExt;
use jiff::SignedDuration;
use serde::{Deserialize, Serialize};

use crate::error::{CallError, Error, StoreError};
use crate::fleet::{Changed, Fleet};
use crate::ports::{Answered, Clock, Compute, Instance, InstanceStatus, Metrics, Sample, Samples, Workers};
use crate::record::Stored;

use agents::Agents;
use descriptions::Descriptions;
use telemetry::Written;

/// EC2 takes at most this many explicit ids in one call (EC2 API reference, `DescribeInstanceStatus`).
const MAX_IDS: usize = 100;
/// How many changed workers are written at the same time.
const WRITERS: usize = 8;

/// What a collection needs.
#[derive(Debug)]
pub struct Collector<'a, W, K, C, M, S> {
    /// Records what was learnt.
    pub fleet: Fleet<'a, W, K>,
    /// EC2, to read.
    pub compute: &'a C,
    /// CloudWatch.
    pub metrics: &'a M,
    /// Telemetry.
    pub samples: &'a S,
    /// What this environment remembers.
    pub memory: &'a Memory,
    /// The metrics' own period, in seconds.
    pub metric_period: u32,
}

/// What an environment remembers between invocations. It only saves calls.
#[derive(Debug, Default)]
pub struct Memory {
    /// Which samples are written.
    written: Written,
    /// Which agents are silent.
    agents: Agents,
    /// When workers were described last.
    descriptions: Descriptions,
}

/// One shard to look at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shard {
    /// The region.
    pub region: Region,
    /// The workers.
    pub workers: Vec<WorkerId>,
    /// Those among them whose metrics are due.
    pub metrics: BTreeSet<WorkerId>,
    /// Somebody asked for this look: what only an agent publishes is read as well, however silent it was, and every instance is
    /// described, however lately it was: an address may have been associated with it since.
    pub all_metrics: bool,
}

/// What a collection came to. Every worker of the shard is in exactly one of `changed`, `unchanged`, `over`,
/// `without_instance` and `failed`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectReport {
    /// Workers in the shard.
    pub requested: u32,
    /// Workers whose record was written.
    pub changed: u32,
    /// Workers that were looked at, and whose record says so already.
    pub unchanged: u32,
    /// Workers that have ended or are unknown.
    pub over: u32,
    /// Workers that have no instance yet.
    pub without_instance: u32,
    /// Workers whose record could not be written.
    pub failed: u32,
    /// Workers whose instance EC2 says it does not know. Also in `changed` or `unchanged`.
    pub not_found: u32,
    /// Workers EC2 could not be asked about. Also in `changed`.
    pub unobserved: u32,
    /// Metrics asked for: what CloudWatch charges for.
    pub metrics_asked: u32,
    /// Workers with at least one metric.
    pub measured: u32,
    /// Workers whose metrics were asked for and that have none.
    pub unmeasured: u32,
    /// CloudWatch could not be asked; state was collected all the same.
    pub metrics_failed: bool,
    /// Samples written.
    pub samples: u32,
    /// Samples could not be written; they are read again next time.
    pub samples_failed: bool,
    /// Facts recorded, by name.
    pub facts: BTreeMap<String, u32>,
}

/// What EC2 and CloudWatch said about one shard.
struct Answers {
    at: Timestamp,
    statuses: BTreeMap<InstanceId, InstanceStatus>,
    unknown: BTreeSet<InstanceId>,
    failed: Option<String>,
    described: BTreeMap<InstanceId, Instance>,
    vitals: BTreeMap<InstanceId, Vitals>,
    /// Since when the metrics were read.
    measured_since: Timestamp,
}

impl Answers {
    /// What is known of an instance in the state that it is in. Either answer may lag.
    fn description(&self, instance: &InstanceId) -> Option<&Instance> {
        let status = self.statuses.get(instance)?;
        self.described.get(instance).filter(|full| full.observed == status.observed)
    }
}

impl<W, K, C, M, S> Collector<'_, W, K, C, M, S>
where
    W: Workers,
    K: Clock,
    C: Compute,
    M: Metrics,
    S: Samples,
{
    /// Looks at a shard. One worker's bad data, lost race or missing instance is that worker's outcome and nobody
    /// else's.
    ///
    /// # Errors
    /// Only if the workers could not be loaded: then nothing was done, and asking again is right.
    pub async fn run(&self, shard: &Shard) -> Result<CollectReport, Error> {
        let mut report = CollectReport { requested: count(shard.workers.len()), ..CollectReport::default() };
        let loaded = self.fleet.workers.load_many(&shard.workers).await?;
        let alive =
            |stored: &Stored| !stored.worker.is_over() && stored.worker.state().region == shard.region;
        let (live, launching): (Vec<Stored>, Vec<Stored>) =
            loaded.into_iter().filter(alive).partition(|stored| stored.worker.state().instance.is_some());
        report.without_instance = count(launching.len());
        report.over = report.requested.saturating_sub(count(live.len()) + report.without_instance);
        let answers = self.ask(shard, &live, &mut report).await;
        let outcomes: Vec<(&Stored, Result<Changed, Error>)> = futures_util::stream::iter(&live)
            .map(async |stored| (stored, self.record(stored, &answers).await))
            .buffer_unordered(WRITERS)
            .collect()
            .await;
        let mut described = Vec::new();
        for (stored, outcome) in outcomes {
            let worker = stored.worker.id();
            if outcome.as_ref().is_ok_and(|changed| answers.are_recorded(&changed.stored)) {
                described.push(worker);
            }
            match outcome {
                Ok(Changed { events, .. }) if events.is_empty() => report.unchanged += 1,
                Ok(Changed { events, .. }) => {
                    report.changed += 1;
                    for event in events {
                        *report.facts.entry(event.name().to_owned()).or_default() += 1;
                    }
                }
                Err(error) => {
                    report.failed += 1;
                    tracing::warn!(worker.id = %worker, error = &error as &dyn std::error::Error, "worker not recorded");
                }
            }
        }
        self.memory.descriptions.note(described, answers.at);
        self.keep_samples(&live, &answers, &mut report).await;
        Ok(report)
    }

    async fn ask(&self, shard: &Shard, live: &[Stored], report: &mut CollectReport) -> Answers {
        let at = self.fleet.clock.now();
        let ids: Vec<InstanceId> =
            live.iter().filter_map(|stored| stored.worker.state().instance.clone()).collect();
        let mut answers = Answers {
            at,
            statuses: BTreeMap::new(),
            unknown: BTreeSet::new(),
            failed: None,
            described: BTreeMap::new(),
            vitals: BTreeMap::new(),
            measured_since: at,
        };
        for chunk in ids.chunks(MAX_IDS) {
            match self.compute.statuses(&shard.region, chunk).await {
                Ok(Answered { found, unknown }) => {
                    answers
                        .statuses
                        .extend(found.into_iter().map(|status| (status.instance.clone(), status)));
                    answers.unknown.extend(unknown);
                }
                Err(error) => answers.failed = Some(told(&error, "EC2 not asked")),
            }
        }
        report.not_found = count(answers.unknown.len());
        report.unobserved = count(ids.len().saturating_sub(answers.statuses.len() + answers.unknown.len()));
        self.describe(shard, live, &mut answers).await;
        self.measure(shard, live, &mut answers, report).await;
        answers
    }

    /// Asks for all that EC2 knows of those of which something is new, or that were not described for long.
    async fn describe(&self, shard: &Shard, live: &[Stored], answers: &mut Answers) {
        let is_asked = |stored: &Stored| {
            shard.all_metrics || self.memory.descriptions.is_old(stored.worker.id(), answers.at)
        };
        let news: Vec<InstanceId> =
            live.iter().filter_map(|stored| needs_description(stored, answers, is_asked(stored))).collect();
        for chunk in news.chunks(MAX_IDS) {
            match self.compute.describe(&shard.region, chunk).await {
                Ok(answer) => {
                    answers.described.extend(answer.found.into_iter().map(|i| (i.instance.clone(), i)));
                }
                // The state is known all the same. The addresses of what runs come with the next look, EC2's reason with the next
                // change or within the hour, and either with a look that somebody asks for.
                Err(error) => drop(told(&error, "instances not described")),
            }
        }
    }

    /// Reads the metrics of the workers that are due for it and run: a stopped machine publishes none.
    async fn measure(
        &self,
        shard: &Shard,
        live: &[Stored],
        answers: &mut Answers,
        report: &mut CollectReport,
    ) {
        let runs = |id: &&InstanceId| {
            answers.statuses.get(id).is_some_and(|status| status.observed == Observed::Running)
        };
        let due: Vec<(&Worker, &InstanceId, bool)> = live
            .iter()
            .filter(|stored| shard.metrics.contains(&stored.worker.id()))
            .filter_map(|Stored { worker, .. }| {
                let instance = worker.state().instance.as_ref().filter(runs)?;
                let agent = shard.all_metrics || self.memory.agents.are_asked(worker, answers.at);
                Some((worker, instance, agent))
            })
            .collect();
        if due.is_empty() {
            return;
        }
        // Everything since the last look, and as much as the longest alert needs: datapoints are free.
        let needed = live.iter().map(|stored| {
            let policy = stored.worker.overrides().over(self.fleet.settings);
            let durations = [policy.cpu, policy.memory, policy.disk].map(|metric| metric.duration.get());
            durations.into_iter().fold(policy.interval.get(), u32::max)
        });
        let needed = SignedDuration::from_secs(i64::from(needed.max().unwrap_or(0)));
        let (from, to) = telemetry::window(answers.at, self.metric_period, needed);
        answers.measured_since = from;
        let wanted: Vec<(InstanceId, Metric)> = due
            .iter()
            .flat_map(|(_, instance, agent)| {
                let metrics = Metric::ALL.iter().filter(|metric| *agent || !metric.is_of_agent());
                metrics.map(|metric| ((*instance).clone(), *metric))
            })
            .collect();
        report.metrics_asked = count(wanted.len());
        match self.metrics.read(&shard.region, &wanted, from, to, self.metric_period).await {
            Ok(vitals) => {
                for (worker, instance, _) in due.iter().filter(|(.., agent)| *agent) {
                    self.memory.agents.note(worker.id(), vitals.get(*instance), answers.at);
                }
                report.measured = count(vitals.values().filter(|vitals| !vitals.is_empty()).count());
                report.unmeasured = count(due.len()) - report.measured;
                answers.vitals = vitals;
            }
            Err(error) => {
                report.metrics_failed = true;
                tracing::error!(error = &error as &dyn std::error::Error, "metrics not read");
            }
        }
    }

    async fn record(&self, stored: &Stored, answers: &Answers) -> Result<Changed, Error> {
        let state = stored.worker.state();
        let Some(instance) = &state.instance else {
            return Ok(Changed { stored: stored.clone(), events: Vec::new() });
        };
        let evidence = self.evidence(instance, answers);
        let learn = |stored: &Stored| {
            let mut events = self.fleet.learn(&stored.worker, evidence.as_slice());
            if let Some(vitals) = answers.vitals.get(instance) {
                let worker = stored.worker.with(&events);
                let policy = worker.overrides().over(self.fleet.settings);
                events.extend(worker.assess(vitals, &policy, self.metric_period, answers.at));
            }
            events
        };
        match self.fleet.save(stored, learn(stored)).await {
            Err(Error::Store(StoreError::Conflict | StoreError::Contended(_))) => {
                self.fleet.change(stored.worker.id(), |stored, _| Ok(learn(stored))).await
            }
            outcome => outcome,
        }
    }

    /// What the answers say about one instance. An instance in no answer was not answered for, and that is a failed
    /// look, not a missing instance.
    fn evidence(&self, instance: &InstanceId, answers: &Answers) -> Vec<Evidence> {
        let finding = match answers.statuses.get(instance) {
            Some(status) => {
                let full = answers.description(instance);
                Finding::State {
                    observed: status.observed,
                    details: Details {
                        health: Some(status.health(answers.at)),
                        zone: status.zone.clone(),
                        ..full.map(details).unwrap_or_default()
                    },
                }
            }
            None if answers.unknown.contains(instance) => Finding::NotFound,
            None => Finding::Failed {
                reason: answers
                    .failed
                    .clone()
                    .unwrap_or_else(|| "EC2's answer left the instance out".to_owned()),
            },
        };
        let seen_at = self.fleet.clock.now();
        vec![Evidence { finding, source: Source::Describe, at: answers.at, seen_at }]
    }

    async fn keep_samples(&self, live: &[Stored], answers: &Answers, report: &mut CollectReport) {
        let mut samples = Vec::new();
        for stored in live {
            let worker = stored.worker.id();
            let Some(vitals) = stored.worker.state().instance.as_ref().and_then(|id| answers.vitals.get(id))
            else {
                continue;
            };
            samples.extend(vitals.samples().into_iter().map(|(at, values)| Sample { worker, at, values }));
        }
        if samples.is_empty() {
            return;
        }
        match self.memory.written.bring_up_to_date(self.samples, &samples, answers.measured_since).await {
            Ok(written) => report.samples = count(written),
            Err(error) => {
                report.samples_failed = true;
                tracing::warn!(error = &error as &dyn std::error::Error, "samples not written");
            }
        }
    }
}

/// An instance whose state changed, of which we know little, or about which is asked anyhow, is worth the full description: it has
/// EC2's reason and the addresses.
fn needs_description(stored: &Stored, answers: &Answers, asked: bool) -> Option<InstanceId> {
    let state = stored.worker.state();
    let status = answers.statuses.get(state.instance.as_ref()?)?;
    let news = asked
        || stored.worker.observed() != status.observed
        || state.instance_type.is_none()
        || (status.observed == Observed::Running && state.private_ip.is_none());
    news.then(|| status.instance.clone())
}

/// What a full description says besides the state.
pub fn details(instance: &Instance) -> Details {
    Details {
        state_reason: instance.state_reason.clone(),
        health: None,
        private_ip: instance.private_ip,
        public_ip: instance.public_ip,
        zone: instance.zone.clone(),
        instance_type: instance.instance_type.clone(),
    }
}

/// Logs a failed call that is survived, and gives its words for the record.
fn told(error: &CallError, what: &'static str) -> String {
    tracing::warn!(error = error as &dyn std::error::Error, "{what}");
    error.message.clone()
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
