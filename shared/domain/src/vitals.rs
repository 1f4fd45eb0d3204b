//! What CloudWatch told us. Absent is absent, never zero.

use std::collections::BTreeMap;

use crate::state::words;
use crate::{AlertKind, Policy, Threshold, Timestamp};

/// A metric we read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Metric {
    /// `AWS/EC2` `CPUUtilization`, percent.
    Cpu,
    /// `CWAgent` `mem_used_percent`, percent; only where an agent publishes it.
    Memory,
    /// `CWAgent` `disk_used_percent`, percent; only where an agent publishes it.
    Disk,
}

words!(Metric { Cpu => "cpu", Memory => "memory", Disk => "disk" });

impl Metric {
    /// Only an agent on the instance publishes it; the others are EC2's own.
    pub const fn is_of_agent(self) -> bool {
        match self {
            Self::Cpu => false,
            Self::Memory | Self::Disk => true,
        }
    }

    /// The threshold that applies to this metric.
    pub fn threshold(self, policy: &Policy) -> Threshold {
        match self {
            Self::Cpu => policy.cpu,
            Self::Memory => policy.memory,
            Self::Disk => policy.disk,
        }
    }

    /// The alert this metric raises.
    pub fn alert(self) -> AlertKind {
        match self {
            Self::Cpu => AlertKind::Cpu,
            Self::Memory => AlertKind::Memory,
            Self::Disk => AlertKind::Disk,
        }
    }
}

/// One value of one metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Datapoint {
    /// The start of the period the value is the average of.
    pub at: Timestamp,
    /// Percent, 0 to 100.
    pub value: f64,
}

impl Datapoint {
    /// The datapoint, if the value is one that can be: finite and from 0 to 100. Values up to one percent outside,
    /// which CloudWatch's averaging can produce, are clamped; anything else is not a measurement.
    pub fn new(at: Timestamp, value: f64) -> Option<Self> {
        (value.is_finite() && (-1.0..=101.0).contains(&value))
            .then(|| Self { at, value: value.clamp(0.0, 100.0) })
    }
}

/// The datapoints read for one worker, oldest first. A metric without data has no entry.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Vitals(BTreeMap<Metric, Vec<Datapoint>>);

impl Vitals {
    /// Adds the datapoints of one metric, in any order.
    pub fn insert(&mut self, metric: Metric, mut points: Vec<Datapoint>) {
        points.sort_by_key(|point| point.at);
        points.dedup_by_key(|point| point.at);
        if !points.is_empty() {
            self.0.insert(metric, points);
        }
    }

    /// The datapoints of one metric, oldest first; empty if there are none.
    pub fn points(&self, metric: Metric) -> &[Datapoint] {
        self.0.get(&metric).map_or(&[], Vec::as_slice)
    }

    /// Every time at which at least one metric has a value, oldest first, with those values.
    pub fn samples(&self) -> BTreeMap<Timestamp, BTreeMap<Metric, f64>> {
        let mut samples: BTreeMap<Timestamp, BTreeMap<Metric, f64>> = BTreeMap::new();
        for (metric, points) in &self.0 {
            for point in points {
                samples.entry(point.at).or_default().insert(*metric, point.value);
            }
        }
        samples
    }

    /// Nothing was measured.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
