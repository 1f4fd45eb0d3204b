//! Telemetry: `WORKER#<id>`, `SAMPLE#<milliseconds>` in the journal.

use std::collections::BTreeMap;

use app::error::StoreError;
use app::item::Key;
use app::ports::{Sample, Samples};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use domain::{Metric, Timestamp, WorkerId};
use serde::{Deserialize, Serialize};

use super::{Ask, Table, item, read, readable, text};

/// Samples in the journal.
#[derive(Debug)]
pub struct DynamoSamples {
    table: Table,
    retention_days: u32,
}

/// The item. `at` is in milliseconds, `ttl` in seconds; the values are in percent, by the metric's word.
#[derive(Debug, Serialize, Deserialize)]
struct SampleItem {
    pk: String,
    sk: String,
    at: i64,
    values: BTreeMap<String, f64>,
    ttl: i64,
}

impl DynamoSamples {
    pub(crate) fn new(client: &Client, table: &str, retention_days: u32) -> Self {
        Self { table: Table::new(client, table), retention_days }
    }
}

fn key(worker: WorkerId, at: Timestamp) -> Key {
    // Padded, so that the order of keys is the order of times; nothing was measured before 1970.
    Key { pk: format!("WORKER#{worker}"), sk: format!("SAMPLE#{:015}", at.as_millisecond().max(0)) }
}

impl Samples for DynamoSamples {
    async fn append(&self, samples: &[Sample]) -> Result<(), StoreError> {
        // One batch must not name a key twice: the last sample of a time is the one that counts.
        let latest: BTreeMap<Key, &Sample> =
            samples.iter().map(|sample| (key(sample.worker, sample.at), sample)).collect();
        let write = |(Key { pk, sk }, sample): (Key, &Sample)| {
            let values = sample.values.iter().map(|(metric, value)| (metric.as_str().to_owned(), *value));
            let ttl = sample.at.as_second() + i64::from(self.retention_days) * 86_400;
            let new = SampleItem { pk, sk, at: sample.at.as_millisecond(), values: values.collect(), ttl };
            let put = PutRequest::builder().set_item(Some(item(&new)?)).build();
            let put = put.map_err(|error| StoreError::Unavailable(error.into()))?;
            Ok(WriteRequest::builder().put_request(put).build())
        };
        self.table.put_many(latest.into_iter().map(write).collect::<Result<_, StoreError>>()?).await
    }

    async fn written(&self, samples: &[(WorkerId, Timestamp)]) -> Result<Vec<Sample>, StoreError> {
        let items = self.table.get_many(samples.iter().map(|(worker, at)| key(*worker, *at))).await?;
        Ok(readable(items, |item| {
            let item = read::<SampleItem>(item)?;
            let worker = item.pk.strip_prefix("WORKER#").unwrap_or_default().parse::<WorkerId>();
            item.sample(worker.map_err(|error| StoreError::Corrupt(error.into()))?)
        }))
    }

    async fn samples(
        &self,
        worker: WorkerId,
        from: Timestamp,
        to: Timestamp,
        limit: u32,
    ) -> Result<Vec<Sample>, StoreError> {
        let (first, last) = (key(worker, from), key(worker, to));
        let mut items = Vec::new();
        let mut start = None;
        loop {
            let left = limit.saturating_sub(u32::try_from(items.len()).unwrap_or(u32::MAX));
            if left == 0 {
                break;
            }
            let ask = Ask {
                index: None,
                given: "#pk = :worker AND #sk BETWEEN :from AND :to",
                values: vec![
                    (":worker", text(&first.pk)),
                    (":from", text(&first.sk)),
                    (":to", text(&last.sk)),
                ],
                limit: left,
                backwards: true,
                start,
            };
            let (page, next) = self.table.query(ask).await?;
            items.extend(page);
            start = next;
            if start.is_none() {
                break;
            }
        }
        Ok(readable(items, |item| read::<SampleItem>(item)?.sample(worker)))
    }
}

impl SampleItem {
    fn sample(self, worker: WorkerId) -> Result<Sample, StoreError> {
        let at = Timestamp::from_millisecond(self.at).map_err(|error| StoreError::Corrupt(error.into()))?;
        let known = |(word, value): (String, f64)| Some((word.parse::<Metric>().ok()?, value));
        Ok(Sample { worker, at, values: self.values.into_iter().filter_map(known).collect() })
    }
}
