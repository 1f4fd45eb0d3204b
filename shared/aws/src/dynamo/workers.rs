//! Workers and their facts: the fleet table.

use app::error::StoreError;
use app::item::{
    Key, OUTBOX_SHARDS, decode_event, decode_key, decode_owner, decode_watch, decode_worker, encode,
    event_prefix, region_pk, region_sk,
};
use app::ports::{InstanceKey, Page, Watch, Workers};
use app::record::{EventRecord, Stored};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::{Region, Timestamp, WorkerId, Zone};

use super::save::Save;
use super::{Ask, Change, Item, Table, number, readable, text};

/// The fleet table.
#[derive(Debug)]
pub struct DynamoWorkers {
    table: Table,
    retention_days: u32,
}

impl DynamoWorkers {
    pub(crate) fn new(client: &Client, table: &str, retention_days: u32) -> Self {
        Self { table: Table::new(client, table), retention_days }
    }
}

impl Workers for DynamoWorkers {
    async fn load(&self, id: WorkerId) -> Result<Option<Stored>, StoreError> {
        let item = self.table.get(&Key::state(id)).await?;
        Ok(item.map(decode_worker).transpose()?)
    }

    async fn load_many(&self, ids: &[WorkerId]) -> Result<Vec<Stored>, StoreError> {
        let items = self.table.get_many(ids.iter().map(|id| Key::state(*id))).await?;
        Ok(readable(items, decode_worker))
    }

    async fn save(
        &self,
        before: Option<&Stored>,
        record: &EventRecord,
        after: &Stored,
    ) -> Result<(), StoreError> {
        Save::new(&self.table, before, record, after, self.retention_days)?.send().await
    }

    async fn owner(&self, key: &InstanceKey) -> Result<Option<WorkerId>, StoreError> {
        let item = self.table.get(&Key::instance(key)).await?;
        Ok(item.map(decode_owner).transpose()?)
    }

    async fn watches(
        &self,
        region: &Region,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<Watch>, StoreError> {
        let partition = region_pk(region);
        let ask = Ask {
            index: Some("by-region"),
            given: "#region_pk = :region",
            values: vec![(":region", text(&partition))],
            limit,
            backwards: false,
            start: after.map(|after| place(&partition, after)).transpose()?,
        };
        let (items, next) = self.table.query(ask).await?;
        let next = next.and_then(|key| Some(key.get("region_sk")?.as_s().ok()?.clone()));
        Ok(Page { items: readable(items, decode_watch), next })
    }

    async fn events(
        &self,
        id: WorkerId,
        after: Option<&str>,
        limit: u32,
    ) -> Result<Page<EventRecord>, StoreError> {
        let (partition, prefix) = event_prefix(id);
        let start = match after {
            Some(version) => {
                let version = version.parse().map_err(|_| StoreError::BadCursor)?;
                Some(encode(&Key::event(id, version))?)
            }
            None => None,
        };
        let ask = Ask {
            index: None,
            given: "#pk = :worker AND begins_with(#sk, :event)",
            values: vec![(":worker", text(partition)), (":event", text(prefix))],
            limit,
            backwards: true,
            start,
        };
        let (items, next) = self.table.query(ask).await?;
        let next = next.and_then(|key| decode_key(key).ok()?.as_event());
        Ok(Page { items: readable(items, decode_event), next: next.map(|(_, version)| version.to_string()) })
    }

    async fn untold(&self, before: Timestamp, limit: u32) -> Result<Vec<EventRecord>, StoreError> {
        let given = ("#outbox = :partition AND #at < :until", "at");
        let until = number(before.as_millisecond());
        let keys = self.table.due("outbox", &OUTBOX_SHARDS, given, until, limit).await?;
        let items = self.table.get_many(readable(keys, decode_key)).await?;
        // The index lags: what has been told since is not untold.
        let items = items.into_iter().filter(|item| item.contains_key("outbox")).collect();
        let mut records = readable(items, decode_event);
        records.sort_by_key(|record| (record.at, record.worker, record.version));
        Ok(records)
    }

    async fn mark_told(&self, worker: WorkerId, version: u64) -> Result<(), StoreError> {
        let change = Change {
            update: "REMOVE #outbox",
            // Facts that have expired are not to be written anew.
            given: "attribute_exists(#pk)",
            values: Vec::new(),
            returning: ReturnValue::None,
        };
        self.table.update(&Key::event(worker, version), change).await.map(|_| ())
    }
}

/// The key in the index `by-region` that a cursor, the place of a worker in its region, stands for.
fn place(partition: &str, cursor: &str) -> Result<Item, StoreError> {
    let (zone, worker) = cursor.rsplit_once('#').ok_or(StoreError::BadCursor)?;
    let worker: WorkerId = worker.parse().map_err(|_| StoreError::BadCursor)?;
    let zone: Option<Zone> = zone.parse().ok();
    if region_sk(zone.as_ref(), worker) != cursor {
        return Err(StoreError::BadCursor);
    }
    let mut key: Item = encode(&Key::state(worker))?;
    key.insert("region_pk".to_owned(), text(partition));
    key.insert("region_sk".to_owned(), text(cursor));
    Ok(key)
}
