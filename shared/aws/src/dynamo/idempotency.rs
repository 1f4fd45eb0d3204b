//! Requests with an idempotency key: `IDEMPOTENCY#<caller>#<key>`, `REQUEST` in the journal.

use app::error::StoreError;
use app::item::Key;
use app::ports::{Answer, Begun, Idempotency, RequestKey};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::ReturnValue;
use domain::{Timestamp, WorkerId};
use serde::{Deserialize, Serialize};

use super::{Change, Table, item, number, read, text};

/// How long a key means the same request.
const KEPT_SECONDS: i64 = 24 * 3600;

/// Idempotency records in the journal.
#[derive(Debug)]
pub struct DynamoIdempotency {
    table: Table,
}

/// The item; `lease_until` in milliseconds, `ttl` in seconds. The answer is there once there is one.
#[derive(Debug, Serialize, Deserialize)]
struct RequestItem {
    pk: String,
    sk: String,
    fingerprint: String,
    worker_id: String,
    lease_until: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    status: Option<u16>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<String>,
    ttl: i64,
}

impl DynamoIdempotency {
    pub(crate) fn new(client: &Client, table: &str) -> Self {
        Self { table: Table::new(client, table) }
    }
}

fn key(request: &RequestKey) -> Key {
    // The caller must not be able to write a separator: two callers would share a key.
    let caller = request.caller.replace('%', "%25").replace('#', "%23");
    Key { pk: format!("IDEMPOTENCY#{caller}#{}", request.key), sk: "REQUEST".to_owned() }
}

impl Idempotency for DynamoIdempotency {
    async fn begin(
        &self,
        request: &RequestKey,
        reserve: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Begun, StoreError> {
        let key = key(request);
        let Key { pk, sk } = key.clone();
        let new = RequestItem {
            pk,
            sk,
            fingerprint: request.fingerprint.clone(),
            worker_id: reserve.to_string(),
            lease_until: lease_until.as_millisecond(),
            status: None,
            body: None,
            ttl: now.as_second() + KEPT_SECONDS,
        };
        // DynamoDB deletes expired items late: one that is still there no longer counts.
        let free = "attribute_not_exists(#pk) OR #ttl <= :now";
        if self.table.put(item(&new)?, free, vec![(":now", number(now.as_second()))]).await? {
            return Ok(Begun::Fresh { worker: reserve });
        }
        // Gone in between: somebody else had it a moment ago.
        let Some(known) = self.table.get(&key).await? else { return Ok(Begun::Running) };
        let known: RequestItem = read(known)?;
        match known {
            RequestItem { fingerprint, .. } if fingerprint != request.fingerprint => Ok(Begun::Reused),
            RequestItem { status: Some(status), body, .. } => {
                Ok(Begun::Done(Answer { status, body: body.unwrap_or_default() }))
            }
            RequestItem { lease_until, .. } if lease_until > now.as_millisecond() => Ok(Begun::Running),
            RequestItem { worker_id, lease_until: lapsed, .. } => {
                let change = Change {
                    update: "SET #lease_until = :until",
                    given: "#lease_until = :lapsed AND attribute_not_exists(#status)",
                    values: vec![
                        (":until", number(lease_until.as_millisecond())),
                        (":lapsed", number(lapsed)),
                    ],
                    returning: ReturnValue::None,
                };
                if self.table.update(&key, change).await?.is_none() {
                    return Ok(Begun::Running);
                }
                let worker = worker_id.parse().map_err(|error| StoreError::Corrupt(Box::new(error)))?;
                Ok(Begun::Fresh { worker })
            }
        }
    }

    async fn finish(&self, request: &RequestKey, answer: &Answer) -> Result<(), StoreError> {
        let change = Change {
            update: "SET #status = :status, #body = :body",
            // The first answer stays; an abandoned request gets none.
            given: "attribute_exists(#pk) AND attribute_not_exists(#status)",
            values: vec![(":status", number(answer.status)), (":body", text(&answer.body))],
            returning: ReturnValue::None,
        };
        self.table.update(&key(request), change).await.map(|_| ())
    }

    async fn abandon(&self, request: &RequestKey) -> Result<(), StoreError> {
        self.table.delete(&key(request), "attribute_not_exists(#status)").await.map(|_| ())
    }
}
