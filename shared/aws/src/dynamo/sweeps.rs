//! Heartbeats of the metrics channel: `SWEEP#<region>`, `HEARTBEAT` in the journal.

use app::error::StoreError;
use app::item::Key;
use app::ports::{Heartbeat, Sweeps};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::{Region, Timestamp};
use serde::Deserialize;

use super::{Change, Item, Table, number, read};

/// Heartbeats in the journal.
#[derive(Debug)]
pub struct DynamoSweeps {
    table: Table,
}

/// The item; times in milliseconds.
#[derive(Debug, Deserialize)]
struct HeartbeatItem {
    claimed: i64,
    completed: Option<i64>,
}

impl DynamoSweeps {
    pub(crate) fn new(client: &Client, table: &str) -> Self {
        Self { table: Table::new(client, table) }
    }
}

fn key(region: &Region) -> Key {
    Key { pk: format!("SWEEP#{region}"), sk: "HEARTBEAT".to_owned() }
}

fn heartbeat(item: Item) -> Result<Heartbeat, StoreError> {
    let time = |at| Timestamp::from_millisecond(at).map_err(|error| StoreError::Corrupt(error.into()));
    let HeartbeatItem { claimed, completed } = read(item)?;
    Ok(Heartbeat { claimed: time(claimed)?, completed: completed.map(time).transpose()? })
}

impl Sweeps for DynamoSweeps {
    async fn claim(&self, region: &Region, tick: Timestamp) -> Result<Option<Option<Heartbeat>>, StoreError> {
        let change = Change {
            update: "SET #claimed = :tick",
            given: "attribute_not_exists(#claimed) OR #claimed < :tick",
            values: vec![(":tick", number(tick.as_millisecond()))],
            returning: ReturnValue::AllOld,
        };
        let Some(before) = self.table.update(&key(region), change).await? else { return Ok(None) };
        if before.is_empty() { Ok(Some(None)) } else { Ok(Some(Some(heartbeat(before)?))) }
    }

    async fn complete(&self, region: &Region, tick: Timestamp) -> Result<(), StoreError> {
        let change = Change {
            update: "SET #completed = :tick",
            given: "attribute_exists(#claimed) AND (attribute_not_exists(#completed) OR #completed < :tick)",
            values: vec![(":tick", number(tick.as_millisecond()))],
            returning: ReturnValue::None,
        };
        self.table.update(&key(region), change).await.map(|_| ())
    }

    async fn heartbeat(&self, region: &Region) -> Result<Option<Heartbeat>, StoreError> {
        self.table.get(&key(region)).await?.map(heartbeat).transpose()
    }
}
