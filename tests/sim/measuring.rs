//! The metrics channel: what is kept of CloudWatch and of the status checks is what they said, and what is concluded from it
//! is so.

use app::ports::Sample;
use app::record::{EventRecord, Stored};
use domain::{AlertKind, Event, InstanceId, Metric, Observed, Policy};
use tests::world::State;

use crate::world::{Inner, InvocationId, MINUTE, SECOND, World, time};

/// How long after the last values of an alert it is raised at most: they are published within five minutes, and the last
/// period that is over began up to two ago. One more may be lost.
const FRESH: i64 = 6 * MINUTE;
/// How many percent points under the threshold a value is low, if not at half of it.
const HYSTERESIS: f64 = 5.0;
/// How long it takes until a silent agent is asked again.
const AGENT_NOTICED: i64 = 60 * MINUTE;
/// For how long there has to be a sample of each period in the end.
const COMPLETE: i64 = 30 * MINUTE;

const fn metric_of(kind: AlertKind) -> Option<Metric> {
    match kind {
        AlertKind::Cpu => Some(Metric::Cpu),
        AlertKind::Memory => Some(Metric::Memory),
        AlertKind::Disk => Some(Metric::Disk),
        AlertKind::Missing | AlertKind::Unobservable | AlertKind::Hanging => None,
    }
}

/// Under what a metric is low whose limit is this, both in percent.
fn low(limit: f64) -> f64 {
    (limit - HYSTERESIS).max(limit / 2.0)
}

impl Inner {
    fn period(&self) -> i64 {
        i64::from(self.deployment.metric_period) * SECOND
    }

    fn policy(&self, stored: &Stored) -> Policy {
        stored.worker.overrides().over(&self.deployment.settings)
    }

    /// The values of one metric from the period that begins at or after `from`, to the one that begins before `to`; `None` where
    /// CloudWatch has none.
    fn values(&self, id: &InstanceId, metric: Metric, (from, to): (i64, i64)) -> Vec<(i64, Option<f64>)> {
        let period = self.period();
        let first = (from + period - 1).div_euclid(period) * period;
        let starts = (0..).map(|n| first + n * period).take_while(|at| *at < to);
        let value =
            |at| self.cloudwatch.datapoint(&self.ec2, id, metric, at, period).map(|point| point.value);
        starts.map(|at| (at, value(at))).collect()
    }

    /// Samples are written: each value as CloudWatch has it, of a period that is over, and beside those that were there when this
    /// invocation began.
    pub(crate) fn check_samples(&mut self, by: InvocationId, samples: &[Sample], tables: &State) {
        let begun = self.begun.get(&by).copied().unwrap_or(i64::MAX);
        for sample in samples {
            let Sample { worker, at, values } = sample;
            let instance =
                tables.workers.get(worker).and_then(|stored| stored.worker.state().instance.as_ref());
            let Some(instance) = instance else {
                self.violated(format!("{worker} has no instance, and samples"));
                continue;
            };
            let start = at.as_millisecond();
            let is = |metric| {
                let point = self.cloudwatch.datapoint(&self.ec2, instance, metric, start, self.period());
                point.map(|point| point.value)
            };
            let wrong = values.iter().find(|(metric, value)| is(**metric) != Some(**value));
            let wrong =
                wrong.map(|(metric, value)| format!("{metric} at {at} is {value}, not {:?}", is(*metric)));
            let early =
                (start + self.period() > self.now).then(|| format!("the period from {at} is not over"));
            let before = tables.samples.get(&(*worker, *at));
            let old = before.filter(|_| self.sampled.get(worker).is_some_and(|written| *written < begun));
            let lost = old.and_then(|before| before.values.keys().find(|was| !values.contains_key(was)));
            let lost = lost.map(|metric| format!("{metric} at {at} is lost"));
            if let Some(wrong) = wrong.or(early).or(lost) {
                self.violated(format!("the samples of {worker}: {wrong}"));
            }
        }
        let now = self.now;
        self.sampled.extend(samples.iter().map(|sample| (sample.worker, now)));
    }

    /// A worker was written.
    pub(crate) fn check_measured(&mut self, was: Option<&Stored>, record: &EventRecord, after: &Stored) {
        let worker = record.worker;
        let Some(id) = &after.worker.state().instance else { return };
        let Some(machine) = self.ec2.machines.get(id) else { return };
        for event in &record.events {
            match event {
                Event::HealthChanged { to, .. }
                    if to.is_impaired() && self.now - machine.impaired_until > MINUTE =>
                {
                    self.violated(format!("{worker} is said to be impaired, and is not"));
                    return;
                }
                Event::AlertRaised { alert } => {
                    let Some(metric) = metric_of(alert.kind) else { continue };
                    let threshold = metric.threshold(&self.policy(after));
                    let (limit, lasts) =
                        (f64::from(threshold.percent.get()), i64::from(threshold.duration.get()) * SECOND);
                    let since = alert.since.as_millisecond();
                    let values = self.values(id, metric, (since, since + lasts));
                    let high = values.iter().all(|(_, value)| value.is_none_or(|value| value >= limit));
                    let old = self.now - (since + lasts) > FRESH + 3 * self.period();
                    if !high || old || values.iter().all(|(_, value)| value.is_none()) {
                        self.violated(format!("{worker}: {alert:?}, and CloudWatch has {values:?}"));
                        return;
                    }
                }
                Event::AlertResolved { kind, .. } => {
                    let Some(metric) = metric_of(*kind) else { continue };
                    let alert = was.and_then(|was| was.worker.state().alerts.get(kind));
                    let Some(since) = alert.map(|alert| alert.since.as_millisecond()) else { continue };
                    // What does not run has no load.
                    let stopped = machine.phases.last().is_some_and(|phase| phase.since > since);
                    if !stopped && !self.has_been_low(after, id, metric, since) {
                        self.violated(format!(
                            "{metric} of {worker} is said to be low again, and was not: {event:?}"
                        ));
                        return;
                    }
                }
                _ => {}
            }
        }
    }

    /// Whether a metric was low for as long as its alert lasts, since it was raised and not long ago.
    fn has_been_low(&self, after: &Stored, id: &InstanceId, metric: Metric, since: i64) -> bool {
        let threshold = metric.threshold(&self.policy(after));
        let (low, lasts) =
            (low(f64::from(threshold.percent.get())), i64::from(threshold.duration.get()) * SECOND);
        let latest = self.now - lasts - FRESH - 3 * self.period();
        let values = self.values(id, metric, (since.max(latest), self.now));
        let mut starts = values.iter().map(|(from, _)| *from).filter(|from| from + lasts <= self.now);
        starts.any(|from| {
            let run = values.iter().filter(|(at, _)| (from..from + lasts).contains(at));
            let known: Vec<f64> = run.filter_map(|(_, value)| *value).collect();
            !known.is_empty() && known.iter().all(|value| *value < low)
        })
    }

    /// What is not known in the end of a worker that runs and is looked at.
    fn unmeasured(&self, stored: &Stored, tables: &State) -> Option<String> {
        let (id, state) = (stored.worker.id(), stored.worker.state());
        let policy = self.policy(stored);
        let instance = state.instance.as_ref()?;
        let machine = self.ec2.machines.get(instance)?;
        let phase = machine.phases.last().filter(|phase| phase.observed == Observed::Running)?;
        let runs_since = phase.since;
        if !policy.monitoring || machine.vanished.is_some() || stored.worker.is_over() {
            return None;
        }
        let checks = state.health.map(|health| [health.system, health.instance, health.ebs]);
        let is = machine.checks(self.now, phase);
        if checks != Some(is) {
            return Some(format!(
                "the status checks of {id} are {is:?}, and the record says {:?}",
                state.health
            ));
        }
        let looked = self.now - i64::from(policy.interval.get()) * SECOND - 2 * MINUTE;
        let known = |metric: Metric, from| {
            let noticed = if metric.is_of_agent() { AGENT_NOTICED } else { 0 };
            runs_since + noticed <= from
        };
        Metric::ALL.iter().find_map(|metric| {
            // What was over and published when it was looked at last.
            let to = looked - 2 * self.period();
            let from = to - COMPLETE;
            let written = |at: i64| {
                let key = (id, time(at));
                tables.samples.get(&key).and_then(|sample| sample.values.get(metric)).copied()
            };
            let values = self.values(instance, *metric, (from, to));
            let gap = values.iter().find(|(at, value)| value.is_some() && written(*at) != *value);
            let gap = gap.filter(|_| known(*metric, from)).map(|(at, value)| {
                format!("{metric} of {id} is {value:?} at {at}, and kept is {:?}", written(*at))
            });
            gap.or_else(|| self.misjudged(stored, *metric, looked, known))
        })
    }

    /// An alert that is up and must not be, or is not up and must be.
    fn misjudged(
        &self,
        stored: &Stored,
        metric: Metric,
        looked: i64,
        known: impl Fn(Metric, i64) -> bool,
    ) -> Option<String> {
        let state = stored.worker.state();
        let threshold = metric.threshold(&self.policy(stored));
        let limit = f64::from(threshold.percent.get());
        let low = low(limit);
        let from = looked - i64::from(threshold.duration.get()) * SECOND - 3 * self.period();
        let last = self.now.div_euclid(self.period()) * self.period();
        let values = self.values(state.instance.as_ref()?, metric, (from, last));
        let all = |is: &dyn Fn(f64) -> bool| values.iter().all(|(_, value)| value.is_some_and(is));
        let is_up = state.alerts.contains_key(&metric.alert());
        let wrong = (all(&|value| value >= limit) && !is_up) || (all(&|value| value < low) && is_up);
        (wrong && known(metric, from)).then(|| {
            format!(
                "{metric} of {} was {values:?}, and its alerts are {:?}",
                stored.worker.id(),
                state.alerts
            )
        })
    }
}

/// What is not known of a worker in the end, after hours in which nobody failed.
pub(crate) fn unmeasured(world: &World) -> Option<String> {
    let (tables, inner) = (world.tables.state(), world.inner());
    tables.workers.values().find_map(|stored| inner.unmeasured(stored, &tables))
}
