//! Which datapoints are read, and which of them become samples.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::{Metric, Timestamp, WorkerId};
use jiff::SignedDuration;

use crate::error::StoreError;
use crate::ports::{Sample, Samples};

/// How late a value may come: CloudWatch publishes one minutes after its period ends, and each metric in its own time.
pub(super) const LATENESS: SignedDuration = SignedDuration::from_mins(15);

/// The longest time metrics are read for: the longest alert duration, which is the longest interval as well.
const LONGEST_SPAN: SignedDuration = SignedDuration::from_hours(1);

/// From when to when metrics are read, to know what happened in the last `span`. Both are bounds of the metrics' own
/// period, and the end is not after `now`: the average of a period that is not over is that of a part of it.
pub(super) fn window(now: Timestamp, period: u32, span: SignedDuration) -> (Timestamp, Timestamp) {
    (floor(now - span - LATENESS, period), floor(now, period))
}

fn floor(at: Timestamp, period: u32) -> Timestamp {
    let period = i64::from(period.max(1));
    Timestamp::from_second(at.as_second().div_euclid(period) * period).unwrap_or(at)
}

type Values = BTreeMap<Metric, f64>;

/// The samples this environment knows to be written, as far back as metrics are read. Only saves calls: what is not
/// known is looked up before it is written.
#[derive(Debug, Default)]
pub(super) struct Written(Mutex<BTreeMap<(WorkerId, Timestamp), Values>>);

impl Written {
    /// Writes what is new in these samples and answers how many they were. A sample that was written with other metrics
    /// is completed, as one that is not in the answer may only be late. It loses none of those that were there when this
    /// began, whoever wrote them; of two that complete the same at the same time, the later one wins.
    pub(super) async fn bring_up_to_date(
        &self,
        samples: &impl Samples,
        read: &[Sample],
        since: Timestamp,
    ) -> Result<usize, StoreError> {
        let unknown = self.unknown(read);
        if !unknown.is_empty() {
            self.note(&samples.written(&unknown).await?);
        }
        let mut news = self.news(read);
        // What is completed may have been completed by others since.
        let completed = self.completed(&news, &unknown);
        if !completed.is_empty() {
            self.note(&samples.written(&completed).await?);
            news = self.news(read);
        }
        if !news.is_empty() {
            samples.append(&news).await?;
        }
        self.note(&news);
        self.forget(since);
        Ok(news.len())
    }

    /// Forgets what nobody reads any more. Others read from earlier on: how far back is a matter of each worker's settings.
    fn forget(&self, since: Timestamp) {
        self.lock().retain(|(_, at), _| *at >= since - LONGEST_SPAN);
    }

    fn unknown(&self, read: &[Sample]) -> Vec<(WorkerId, Timestamp)> {
        let known = self.lock();
        read.iter().map(key).filter(|key| !known.contains_key(key)).collect()
    }

    /// Those of these that were there before, and that were not read just now.
    fn completed(&self, news: &[Sample], read: &[(WorkerId, Timestamp)]) -> Vec<(WorkerId, Timestamp)> {
        let known = self.lock();
        news.iter().map(key).filter(|key| known.contains_key(key) && !read.contains(key)).collect()
    }

    fn news(&self, read: &[Sample]) -> Vec<Sample> {
        let known = self.lock();
        let news = |sample: &Sample| {
            let before = known.get(&key(sample));
            let mut values = before.cloned().unwrap_or_default();
            values.extend(&sample.values);
            (before != Some(&values)).then_some(Sample { values, ..*sample })
        };
        read.iter().filter_map(news).collect()
    }

    fn note(&self, written: &[Sample]) {
        self.lock().extend(written.iter().map(|sample| (key(sample), sample.values.clone())));
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(WorkerId, Timestamp), Values>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn key(sample: &Sample) -> (WorkerId, Timestamp) {
    (sample.worker, sample.at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_others_read_is_remembered_until_nobody_reads_it() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let worker = WorkerId::new(uuid::Uuid::nil());
        let written = Written::default();
        written.note(&[Sample { worker, at: at(10_000), values: Values::new() }]);
        let known = || written.lock().len();
        written.forget(at(13_600));
        assert_eq!(known(), 1, "a worker with the longest alert duration reads it");
        written.forget(at(13_601));
        assert_eq!(known(), 0);
    }

    #[test]
    fn only_periods_that_are_over_are_read() {
        let at = |second| Timestamp::from_second(second).expect("a time");
        let span = SignedDuration::from_mins(10);
        for (now, period, from, to) in [
            (3600, 300, 2100, 3600),
            (3599, 300, 1800, 3300),
            (3659, 60, 2100, 3600),
            (3660, 60, 2160, 3660),
            (3660, 0, 2160, 3660),
        ] {
            assert_eq!(window(at(now), period, span), (at(from), at(to)), "{now} by {period}");
        }
    }
}
