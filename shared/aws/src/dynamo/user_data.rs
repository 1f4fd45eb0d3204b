//! User data until the launch: `USERDATA#<worker>`, `TEXT` in the journal.

use app::error::StoreError;
use app::item::Key;
use app::ports::UserDataVault;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::{Timestamp, UserData, WorkerId};
use serde::Deserialize;

use super::{Change, Table, number, read, text};

/// How long user data waits for its launch: a launch that was given up may be asked for again.
const KEPT_SECONDS: i64 = 7 * 24 * 3600;

/// User data in the journal.
#[derive(Debug)]
pub struct DynamoUserData {
    table: Table,
}

/// The item. It has no `Debug`: the text may be secret.
#[derive(Deserialize)]
struct UserDataItem {
    user_data: String,
}

impl DynamoUserData {
    pub(crate) fn new(client: &Client, table: &str) -> Self {
        Self { table: Table::new(client, table) }
    }
}

/// `act` may read and delete what has such a key; of the rest of the journal it reaches the buckets alone.
fn key(worker: WorkerId) -> Key {
    Key { pk: format!("USERDATA#{worker}"), sk: "TEXT".to_owned() }
}

impl UserDataVault for DynamoUserData {
    async fn keep(&self, worker: WorkerId, data: &UserData, now: Timestamp) -> Result<(), StoreError> {
        let change = Change {
            update: "SET #user_data = :text, #ttl = :ttl",
            given: "",
            values: vec![(":text", text(data.expose())), (":ttl", number(now.as_second() + KEPT_SECONDS))],
            returning: ReturnValue::None,
        };
        self.table.update(&key(worker), change).await.map(|_| ())
    }

    async fn kept(&self, worker: WorkerId) -> Result<Option<UserData>, StoreError> {
        let Some(item) = self.table.get(&key(worker)).await? else { return Ok(None) };
        let UserDataItem { user_data } = read(item)?;
        user_data.parse::<UserData>().map(Some).map_err(|error| StoreError::Corrupt(Box::new(error)))
    }

    async fn forget(&self, worker: WorkerId) -> Result<(), StoreError> {
        self.table.delete(&key(worker), "attribute_exists(#pk)").await.map(|_| ())
    }
}
