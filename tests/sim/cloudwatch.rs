//! CloudWatch: values that follow from the instance and the minute alone, so that none has to be kept.

use std::collections::BTreeMap;
use std::hash::Hash;

use domain::{Datapoint, InstanceId, Metric, Observed, Timestamp, Vitals};

use crate::chance::Chance;
use crate::ec2::Ec2;
use crate::hash::hash;
use crate::world::{MINUTE, SECOND, time};

/// How far ahead a clock may be.
const AHEAD: i64 = 2 * SECOND;

/// All metrics of all instances.
#[derive(Debug)]
pub(crate) struct CloudWatch {
    salt: u64,
}

impl CloudWatch {
    pub(crate) fn new(chance: &mut Chance) -> Self {
        Self { salt: chance.below(u64::MAX) }
    }

    fn dice(&self, what: impl Hash) -> u64 {
        hash((self.salt, what))
    }

    /// Percent; `None` if nobody publishes the metric.
    fn value(&self, id: &InstanceId, metric: Metric, at: i64) -> Option<f64> {
        // Every other instance has an agent, one in ten hours of a metric is a busy one, and a few values are nonsense.
        if metric != Metric::Cpu && self.dice((id, "agent")).is_multiple_of(2) {
            return None;
        }
        let busy = self.dice((id, metric, at / (60 * MINUTE), "busy")).is_multiple_of(10);
        let dice = self.dice((id, metric, at));
        if (dice / 50).is_multiple_of(500) {
            return Some(f64::NAN);
        }
        let noise = (dice % 50) as f64 / 10.0;
        Some(if busy { 94.0 } else { 20.0 } + noise)
    }

    /// The value of the period that begins at a time, if the instance ran all through it and one was published.
    pub(crate) fn datapoint(
        &self,
        ec2: &Ec2,
        id: &InstanceId,
        metric: Metric,
        at: i64,
        period: i64,
    ) -> Option<Datapoint> {
        let machine = ec2.machines.get(id)?;
        let runs = |at| machine.at(at).is_some_and(|phase| phase.observed == Observed::Running);
        let value = (runs(at) && runs(at + period - 1)).then(|| self.value(id, metric, at))??;
        Datapoint::new(time(at), value)
    }

    /// What is there between two times. `late` is how long after a period's end its value is published.
    pub(crate) fn read(
        &self,
        ec2: &Ec2,
        queries: &[(InstanceId, Metric)],
        (from, to): (Timestamp, Timestamp),
        period: u32,
        (now, late): (i64, i64),
    ) -> BTreeMap<InstanceId, Vitals> {
        let period = i64::from(period) * SECOND;
        let first = from.as_millisecond().div_euclid(period) * period;
        // The end is exclusive, and a period is there when it is over and published.
        let last = (to.as_millisecond() - 1).min(now - late - period);
        let mut answer: BTreeMap<InstanceId, Vitals> = BTreeMap::new();
        for (id, metric) in queries {
            let mut points = Vec::new();
            let mut at = first;
            while at <= last {
                points.extend(self.datapoint(ec2, id, *metric, at, period));
                at += period;
            }
            // Whoever asks for a period that is not over gets the average of what there is of it. By a clock that is ahead it may be.
            if at < to.as_millisecond() && now + AHEAD < at + period {
                let part = (now - late - at).div_euclid(MINUTE) * MINUTE;
                let begun = (part > 0).then(|| self.datapoint(ec2, id, *metric, at, part)).flatten();
                points.extend(begun.and_then(|whole| Datapoint::new(whole.at, whole.value / 2.0)));
            }
            if !points.is_empty() {
                answer.entry(id.clone()).or_default().insert(*metric, points);
            }
        }
        answer
    }
}
