//! CloudWatch: reading metrics.
//!
//! `CPUUtilization` comes from EC2 itself. Memory and disk come from the CloudWatch agent where one runs, and are looked
//! for by instance alone: the agent must aggregate over it (`"aggregation_dimensions": [["InstanceId"]]`).

use std::collections::BTreeMap;

use app::error::CallError;
use app::ports::Metrics;
use aws_sdk_cloudwatch::Client;
use aws_sdk_cloudwatch::primitives::DateTime;
use aws_sdk_cloudwatch::types::{
    Dimension, Metric as Named, MetricDataQuery, MetricDataResult, MetricStat, ScanBy, StatusCode,
};
use aws_types::SdkConfig;
use domain::{Datapoint, InstanceId, Metric, Region, Timestamp, Vitals};

use crate::call::failed;
use crate::clients::Regional;

/// `GetMetricData` takes at most this many queries.
const MOST_QUERIES: usize = 500;
/// Pages of one call's answer.
const MOST_PAGES: usize = 10;

/// CloudWatch's metrics.
#[derive(Debug)]
pub struct CloudWatchMetrics {
    clients: Regional<Client>,
}

/// What the pages so far say about one query.
#[derive(Default)]
struct Series {
    points: Vec<Datapoint>,
    complete: bool,
}

impl CloudWatchMetrics {
    pub(crate) fn new(config: &SdkConfig) -> Self {
        Self { clients: Regional::new(config, Client::new) }
    }
}

impl Metrics for CloudWatchMetrics {
    async fn read(
        &self,
        region: &Region,
        wanted: &[(InstanceId, Metric)],
        from: Timestamp,
        to: Timestamp,
        period: u32,
    ) -> Result<BTreeMap<InstanceId, Vitals>, CallError> {
        let client = self.clients.at(region.as_str());
        let mut read: BTreeMap<InstanceId, Vitals> = BTreeMap::new();
        for asked in wanted.chunks(MOST_QUERIES) {
            let queries: Vec<_> = asked
                .iter()
                .enumerate()
                .map(|(index, (id, metric))| query(index, id, *metric, period))
                .collect();
            let mut series: Vec<Series> = asked.iter().map(|_| Series::default()).collect();
            let mut next = None;
            for _ in 0..MOST_PAGES {
                let request = client
                    .get_metric_data()
                    .start_time(instant(from))
                    .end_time(instant(to))
                    .scan_by(ScanBy::TimestampAscending)
                    .set_metric_data_queries(Some(queries.clone()))
                    .set_next_token(next);
                let page = request.send().await.map_err(|error| failed("CloudWatch GetMetricData", error))?;
                page.metric_data_results().iter().for_each(|result| note(&mut series, result));
                next = page.next_token().filter(|token| !token.is_empty()).map(str::to_owned);
                if next.is_none() {
                    break;
                }
            }
            for ((id, metric), series) in asked.iter().zip(series) {
                if series.complete && !series.points.is_empty() {
                    read.entry(id.clone()).or_default().insert(*metric, series.points);
                }
            }
        }
        Ok(read)
    }
}

/// The average of one metric of one instance. Its id is its place in the request.
fn query(index: usize, id: &InstanceId, metric: Metric, period: u32) -> MetricDataQuery {
    let (namespace, name) = match metric {
        Metric::Cpu => ("AWS/EC2", "CPUUtilization"),
        Metric::Memory => ("CWAgent", "mem_used_percent"),
        Metric::Disk => ("CWAgent", "disk_used_percent"),
    };
    let instance = Dimension::builder().name("InstanceId").value(id.as_str()).build();
    let named = Named::builder().namespace(namespace).metric_name(name).dimensions(instance).build();
    let period = i32::try_from(period).unwrap_or(i32::MAX);
    let stat = MetricStat::builder().metric(named).period(period).stat("Average").build();
    MetricDataQuery::builder().id(format!("q{index}")).metric_stat(stat).build()
}

/// Adds one page's part of a query's answer. Only the last word on a query counts: a page may be partial because
/// the next one has the rest.
fn note(series: &mut [Series], result: &MetricDataResult) {
    let index = result.id().and_then(|id| id.strip_prefix('q')?.parse::<usize>().ok());
    let Some(series) = index.and_then(|index| series.get_mut(index)) else { return };
    series.complete = result.status_code() == Some(&StatusCode::Complete);
    let points = result.timestamps().iter().zip(result.values());
    series.points.extend(points.filter_map(|(at, value)| Datapoint::new(timestamp(at)?, *value)));
}

fn instant(at: Timestamp) -> DateTime {
    DateTime::from_millis(at.as_millisecond())
}

fn timestamp(at: &DateTime) -> Option<Timestamp> {
    Timestamp::from_millisecond(at.to_millis().ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{Reply, Wire, cbor};
    use serde_json::{Value, json};

    fn id(number: u64) -> InstanceId {
        format!("i-{number:017x}").parse().expect("an instance id")
    }

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn answer(results: Value, next: Option<&str>) -> Reply {
        Reply::bytes(cbor::encode(&json!({ "MetricDataResults": results, "NextToken": next })))
    }

    fn series(id: &str, status: &str, points: &[(i64, f64)]) -> Value {
        let times: Vec<Value> = points.iter().map(|(at, _)| json!({ "$time": at })).collect();
        let values: Vec<f64> = points.iter().map(|(_, value)| *value).collect();
        json!({ "Id": id, "StatusCode": status, "Timestamps": times, "Values": values })
    }

    async fn read(wire: &Wire, ids: &[InstanceId]) -> Result<BTreeMap<InstanceId, Vitals>, CallError> {
        let region = "eu-west-1".parse().expect("a region");
        let of = |id: &InstanceId| Metric::ALL.iter().map(|metric| (id.clone(), *metric)).collect::<Vec<_>>();
        let wanted: Vec<(InstanceId, Metric)> = ids.iter().flat_map(of).collect();
        CloudWatchMetrics::new(&wire.config()).read(&region, &wanted, at(600), at(900), 300).await
    }

    #[tokio::test]
    async fn each_metric_of_each_instance_is_one_query_of_one_call() {
        let wire = Wire::new([answer(json!([series("q0", "Complete", &[(600, 12.5)])]), None)]);
        let vitals = read(&wire, &[id(1), id(2)]).await.expect("answered");
        assert_eq!(vitals.len(), 1);
        assert_eq!(vitals[&id(1)].points(Metric::Cpu), [Datapoint { at: at(600), value: 12.5 }]);
        assert_eq!(vitals[&id(1)].points(Metric::Memory), []);
        let sent = cbor::decode(&wire.only().bytes);
        assert_eq!(sent["MetricDataQueries"].as_array().map(Vec::len), Some(6));
        let second = &sent["MetricDataQueries"][1];
        let wanted = json!({ "Id": "q1", "MetricStat": { "Metric": { "Namespace": "CWAgent",
            "MetricName": "mem_used_percent", "Dimensions": [{ "Name": "InstanceId", "Value": id(1).as_str() }] },
            "Period": 300, "Stat": "Average" } });
        assert_eq!(second, &wanted);
        assert_eq!(
            (&sent["StartTime"], &sent["EndTime"]),
            (&json!({ "$time": 600 }), &json!({ "$time": 900 }))
        );
    }

    #[tokio::test]
    async fn more_than_500_queries_are_several_calls() {
        let wire = Wire::new([
            answer(json!([]), None),
            answer(json!([series("q0", "Complete", &[(600, 1.0)])]), None),
        ]);
        let ids: Vec<InstanceId> = (0..200).map(id).collect();
        let vitals = read(&wire, &ids).await.expect("answered");
        let queries = |index: usize| {
            cbor::decode(&wire.sent()[index].bytes)["MetricDataQueries"].as_array().map(Vec::len)
        };
        assert_eq!((queries(0), queries(1)), (Some(500), Some(100)));
        // The 501st query: the third metric of the 167th instance.
        assert_eq!(vitals[&id(166)].points(Metric::Disk).len(), 1);
    }

    #[tokio::test]
    async fn a_metric_that_is_not_answered_in_full_is_absent() {
        let results = json!([
            series("q0", "PartialData", &[(600, 1.0)]),
            series("q1", "InternalError", &[]),
            series("q2", "Complete", &[]),
            series("q3", "Complete", &[(600, 2.0), (660, f64::from(150))]),
        ]);
        let vitals = read(&Wire::new([answer(results, None)]), &[id(1), id(2)]).await.expect("answered");
        assert_eq!(vitals.keys().collect::<Vec<_>>(), [&id(2)]);
        assert_eq!(vitals[&id(2)].points(Metric::Cpu), [Datapoint { at: at(600), value: 2.0 }]);
    }

    #[tokio::test]
    async fn a_page_that_is_partial_because_another_follows_is_made_whole() {
        let wire = Wire::new([
            answer(json!([series("q0", "PartialData", &[(600, 1.0)])]), Some("more")),
            answer(json!([series("q0", "Complete", &[(660, 2.0)])]), None),
        ]);
        let vitals = read(&wire, &[id(1)]).await.expect("answered");
        assert_eq!(vitals[&id(1)].points(Metric::Cpu).len(), 2);
        assert_eq!(cbor::decode(&wire.sent()[1].bytes)["NextToken"], json!("more"));
    }

    #[tokio::test]
    async fn paging_ends_even_if_cloudwatch_does_not() {
        let page = answer(json!([series("q0", "PartialData", &[(600, 1.0)])]), Some("more"));
        let wire = Wire::new(vec![page; MOST_PAGES]);
        assert!(read(&wire, &[id(1)]).await.expect("answered").is_empty());
        assert_eq!(wire.sent().len(), MOST_PAGES);
    }

    #[tokio::test]
    async fn a_failed_call_is_an_error_and_not_an_absence() {
        let body = cbor::encode(
            &json!({ "__type": "com.amazonaws.cloudwatch#Throttling", "message": "Rate exceeded" }),
        );
        let error =
            read(&Wire::new([Reply::bytes(body).with_status(400)]), &[id(1)]).await.expect_err("throttled");
        assert_eq!((error.message.as_str(), error.retryable), ("CloudWatch GetMetricData: Throttling", true));
    }
}
