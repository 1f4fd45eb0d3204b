//! Laws of telemetry.

use app::ports::{Sample, Samples};
use domain::{Metric, Timestamp, WorkerId};

use crate::{Subject, after};

fn sample(worker: WorkerId, at: Timestamp, cpu: f64) -> Sample {
    Sample { worker, at, values: [(Metric::Cpu, cpu)].into() }
}

async fn all(subject: &impl Subject, worker: WorkerId) -> Vec<Sample> {
    let (from, to) = (after(subject.now(), -86_400), after(subject.now(), 86_400));
    subject.samples().samples(worker, from, to, 1000).await.expect("read")
}

/// Without it a repeated collection would double what was measured.
pub async fn appending_a_sample_again_replaces_it(subject: &impl Subject) {
    let (worker, at) = (subject.new_worker(), subject.now());
    assert_eq!(all(subject, worker).await, []);
    let first =
        Sample { values: [(Metric::Cpu, 12.5), (Metric::Disk, 0.0)].into(), ..sample(worker, at, 0.0) };
    for _ in 0..2 {
        subject.samples().append(std::slice::from_ref(&first)).await.expect("appended");
        assert_eq!(
            all(subject, worker).await,
            std::slice::from_ref(&first),
            "a metric that was not measured has no entry"
        );
    }
    let corrected = sample(worker, at, 99.875);
    subject.samples().append(std::slice::from_ref(&corrected)).await.expect("appended");
    assert_eq!(all(subject, worker).await, [corrected]);
    subject.samples().append(&[]).await.expect("nothing to append");
}

/// Without it one batch that names a time twice would fail as a whole: DynamoDB takes no key twice in one call (DynamoDB API
/// reference, "BatchWriteItem").
pub async fn the_last_sample_of_a_time_counts(subject: &impl Subject) {
    let (worker, at) = (subject.new_worker(), subject.now());
    let batch = [sample(worker, at, 1.0), sample(worker, after(at, 60), 3.0), sample(worker, at, 2.0)];
    subject.samples().append(&batch).await.expect("appended");
    assert_eq!(all(subject, worker).await, [batch[1].clone(), batch[2].clone()]);
}

/// Without it a chart would show another time, or another worker's values.
pub async fn samples_come_newest_first_within_their_range(subject: &impl Subject) {
    let (worker, other) = (subject.new_worker(), subject.new_worker());
    let start = after(subject.now(), -3600);
    let at = |minute: i64| after(start, minute * 60);
    let mut batch: Vec<Sample> =
        (0..6_u8).map(|minute| sample(worker, at(minute.into()), f64::from(minute))).collect();
    batch.push(sample(other, at(2), 77.0));
    subject.samples().append(&batch).await.expect("appended");
    let read = async |from, to, limit| {
        let samples = subject.samples().samples(worker, at(from), at(to), limit).await.expect("read");
        samples.iter().map(|sample| sample.values[&Metric::Cpu]).collect::<Vec<f64>>()
    };
    assert_eq!(read(0, 5, 10).await, [5.0, 4.0, 3.0, 2.0, 1.0, 0.0]);
    assert_eq!(read(1, 3, 10).await, [3.0, 2.0, 1.0], "both ends belong to the range");
    assert_eq!(read(0, 5, 2).await, [5.0, 4.0], "the limit keeps the newest");
    assert_eq!(read(0, 5, 0).await, [0.0; 0]);
    assert_eq!(read(6, 9, 10).await, [0.0; 0]);
}

/// Without it a shard of a hundred workers would lose samples: DynamoDB takes 25 items in one call (DynamoDB API reference,
/// "BatchWriteItem").
pub async fn more_samples_than_one_call_takes_are_all_kept(subject: &impl Subject) {
    let (worker, start) = (subject.new_worker(), after(subject.now(), -7200));
    let batch: Vec<Sample> = (0..60_u8)
        .map(|minute| sample(worker, after(start, i64::from(minute) * 60), f64::from(minute)))
        .collect();
    subject.samples().append(&batch).await.expect("appended");
    let newest_first: Vec<Sample> = batch.into_iter().rev().collect();
    assert_eq!(all(subject, worker).await, newest_first);
}

/// Without it a collection could not tell which of its datapoints are news. A sample that was never written has no entry, and one that
/// is asked for twice has one.
pub async fn of_some_samples_those_that_were_written_come_back(subject: &impl Subject) {
    let (worker, other, at) = (subject.new_worker(), subject.new_worker(), subject.now());
    let batch = [sample(worker, at, 1.0), sample(worker, after(at, 60), 2.0), sample(other, at, 3.0)];
    subject.samples().append(&batch).await.expect("appended");
    let mut asked: Vec<(WorkerId, Timestamp)> =
        (1_i64..=100).map(|minute| (worker, after(at, minute * 60))).collect();
    asked.extend([(worker, at), (other, at), (worker, at), (other, after(at, 60))]);
    let mut found = subject.samples().written(&asked).await.expect("read");
    found.sort_by_key(|sample| (sample.worker != worker, sample.at));
    assert_eq!(found, batch);
    assert_eq!(subject.samples().written(&[]).await.expect("nothing to read"), []);
}
