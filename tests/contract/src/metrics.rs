//! Laws of reading CloudWatch.

use std::collections::BTreeMap;

use app::ports::Metrics;
use domain::{InstanceId, Metric, Vitals};

use crate::{Subject, after};

/// The period asked for, in seconds.
const PERIOD: u32 = 60;

/// Without it an alert would rest on another time than the one it names. A datapoint is stamped with the start of its period,
/// which may lie a little before the time asked for; the end is not part of what is asked for (CloudWatch API reference,
/// "`GetMetricData`").
pub async fn what_was_measured_is_read_in_order(subject: &impl Subject) {
    let (region, id) = (subject.region(), subject.measured().await);
    let asked = [(id.clone(), Metric::Cpu)];
    let read = || async {
        let (from, to) = (after(subject.now(), -600), after(subject.now(), 60));
        let mut read = subject.metrics().read(&region, &asked, from, to, PERIOD).await.expect("answered");
        Some((read.remove(&id)?, from, to)).filter(|(vitals, ..)| !vitals.points(Metric::Cpu).is_empty())
    };
    let (vitals, from, to) = subject.eventually("CloudWatch has what was measured", read).await;
    let points = vitals.points(Metric::Cpu);
    assert!(points.is_sorted_by(|a, b| a.at < b.at), "{points:?}");
    let earliest = after(from, -i64::from(PERIOD));
    assert!(points.iter().all(|point| earliest <= point.at && point.at < to), "{points:?}");
    assert!(points.iter().all(|point| (0.0..=100.0).contains(&point.value)), "{points:?}");
    let last = points[points.len() - 1].at;
    let before = subject.metrics().read(&region, &asked, from, last, PERIOD).await.expect("answered");
    let earlier = before.get(&id).map_or(&[][..], |vitals| vitals.points(Metric::Cpu));
    assert!(earlier.iter().all(|point| point.at < last), "before is not at: {earlier:?}");
}

/// Without it silence would be taken for idleness: nothing measured is not nought measured.
pub async fn what_was_not_measured_is_absent(subject: &impl Subject) {
    let (region, id) = (subject.region(), subject.measured().await);
    let asked = [(id.clone(), Metric::Cpu), (subject.new_instance(), Metric::Cpu)];
    let read = async |asked: &[(InstanceId, Metric)], from, to| -> BTreeMap<_, Vitals> {
        let (from, to) = (after(subject.now(), from), after(subject.now(), to));
        subject.metrics().read(&region, asked, from, to, PERIOD).await.expect("answered")
    };
    let measured = || async { Some(read(&asked, -600, 60).await).filter(|read| !read.is_empty()) };
    let recently = subject.eventually("CloudWatch has what was measured", measured).await;
    assert!(recently.keys().eq([&id]), "only what was measured: {recently:?}");
    assert!(!recently[&id].is_empty());
    assert_eq!(read(&asked, -172_800, -86_400).await, BTreeMap::new(), "nothing was measured that long ago");
    assert_eq!(read(&asked, 600, 1200).await, BTreeMap::new(), "nor was it yet to be");
    assert_eq!(read(&[], -600, 60).await, BTreeMap::new());
}
