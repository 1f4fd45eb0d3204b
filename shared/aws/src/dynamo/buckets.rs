//! What is left of EC2's buckets: `BUCKET#<account>#<region>#<action>`, `LEVEL` in the journal.

use app::error::StoreError;
use app::item::Key;
use app::ports::{BucketKey, Buckets};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::{Level, Timestamp};
use serde::Deserialize;

use super::{Change, Table, number, read};

/// Buckets in the journal.
#[derive(Debug)]
pub struct DynamoBuckets {
    table: Table,
}

/// The item; times in milliseconds.
#[derive(Debug, Deserialize)]
struct LevelItem {
    calls_full_at: i64,
    workers_full_at: i64,
}

impl DynamoBuckets {
    pub(crate) fn new(client: &Client, table: &str) -> Self {
        Self { table: Table::new(client, table) }
    }
}

fn key(bucket: &BucketKey) -> Key {
    let BucketKey { account, region, action } = bucket;
    Key { pk: format!("BUCKET#{account}#{region}#{action}"), sk: "LEVEL".to_owned() }
}

impl Buckets for DynamoBuckets {
    async fn level(&self, bucket: &BucketKey) -> Result<Option<Level>, StoreError> {
        let time = |at| Timestamp::from_millisecond(at).map_err(|error| StoreError::Corrupt(error.into()));
        let Some(item) = self.table.get(&key(bucket)).await? else { return Ok(None) };
        let LevelItem { calls_full_at, workers_full_at } = read(item)?;
        Ok(Some(Level { calls_full_at: time(calls_full_at)?, workers_full_at: time(workers_full_at)? }))
    }

    async fn draw(
        &self,
        bucket: &BucketKey,
        before: Option<Level>,
        after: Level,
    ) -> Result<bool, StoreError> {
        let mut values = vec![
            (":calls", number(after.calls_full_at.as_millisecond())),
            (":workers", number(after.workers_full_at.as_millisecond())),
        ];
        let given = match before {
            None => "attribute_not_exists(#pk)",
            Some(before) => {
                values.push((":old_calls", number(before.calls_full_at.as_millisecond())));
                values.push((":old_workers", number(before.workers_full_at.as_millisecond())));
                "#calls_full_at = :old_calls AND #workers_full_at = :old_workers"
            }
        };
        let change = Change {
            update: "SET #calls_full_at = :calls, #workers_full_at = :workers",
            given,
            values,
            returning: ReturnValue::None,
        };
        Ok(self.table.update(&key(bucket), change).await?.is_some())
    }
}
