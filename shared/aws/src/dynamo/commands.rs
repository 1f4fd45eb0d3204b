//! Commands for many workers: `COMMAND#<id>` in the journal, with one `HEAD` and a `CHUNK#<number>` for each 100 workers.
//!
//! The head is in the index `due` until its last chunk is finished. It is written last, so nobody finds a command of which a
//! chunk is missing.

use std::collections::{BTreeMap, BTreeSet};

use app::error::StoreError;
use app::item::Key;
use app::ports::{BulkChunk, BulkCommand, BulkCommands, BulkItem};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, ReturnValue, WriteRequest};
use domain::{Actor, Bulk, BulkKind, CommandId, TagsPatch, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Ask, Change, Table, item, number, read, readable, text};

/// The partition of the index `due`.
const DUE: &str = "command";
const HEAD: &str = "HEAD";

/// Commands for many workers in the journal.
#[derive(Debug)]
pub struct DynamoCommands {
    table: Table,
    retention_days: u32,
}

/// A command; times in milliseconds, `ttl` in seconds.
#[derive(Debug, Serialize, Deserialize)]
struct HeadItem {
    pk: String,
    sk: String,
    command_id: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    tags: Option<TagsItem>,
    by: String,
    at: i64,
    calls: u32,
    ends_at: i64,
    dues: Vec<i64>,
    chunks: u32,
    next: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    due: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    due_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_at: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cancelled_by: Option<String>,
    ttl: i64,
}

#[derive(Debug, Serialize, Deserialize)]
struct TagsItem {
    set: BTreeMap<String, String>,
    remove: BTreeSet<String>,
}

#[derive(Debug, Serialize, Deserialize)]
struct ChunkItem {
    pk: String,
    sk: String,
    workers: Vec<WorkerItem>,
    finished: bool,
    /// How often it was taken up.
    tries: u32,
    ttl: i64,
}

/// One worker of a chunk.
#[derive(Debug, Serialize, Deserialize)]
struct WorkerItem {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    outcome: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    refusal: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl DynamoCommands {
    pub(crate) fn new(client: &Client, table: &str, retention_days: u32) -> Self {
        Self { table: Table::new(client, table), retention_days }
    }

    fn expiry(&self, at: Timestamp) -> i64 {
        at.as_second() + i64::from(self.retention_days) * 86_400
    }

    fn chunk_request(&self, command: &BulkCommand, chunk: &BulkChunk) -> Result<WriteRequest, StoreError> {
        let Key { pk, sk } = chunk_key(command.id, chunk.number);
        let new = ChunkItem {
            pk,
            sk,
            workers: chunk.items.iter().map(WorkerItem::from).collect(),
            finished: chunk.finished,
            tries: 0,
            ttl: self.expiry(command.at),
        };
        let put = PutRequest::builder().set_item(Some(item(&new)?)).build();
        let put = put.map_err(|error| StoreError::Unavailable(error.into()))?;
        Ok(WriteRequest::builder().put_request(put).build())
    }
}

fn head_key(id: CommandId) -> Key {
    Key { pk: format!("COMMAND#{id}"), sk: HEAD.to_owned() }
}

/// Padded, so that the order of keys is the order of chunks.
fn chunk_key(id: CommandId, number: u32) -> Key {
    Key { pk: format!("COMMAND#{id}"), sk: format!("CHUNK#{number:05}") }
}

fn time(at: i64) -> Result<Timestamp, StoreError> {
    Timestamp::from_millisecond(at).map_err(|error| StoreError::Corrupt(error.into()))
}

fn parsed<T: std::str::FromStr<Err: std::error::Error + Send + Sync + 'static>>(
    text: &str,
) -> Result<T, StoreError> {
    text.parse().map_err(|error| StoreError::Corrupt(Box::new(error)))
}

impl BulkCommands for DynamoCommands {
    async fn accept(&self, command: &BulkCommand, chunks: &[BulkChunk]) -> Result<(), StoreError> {
        if self.command(command.id).await?.is_some() {
            return Ok(());
        }
        let requests = chunks.iter().map(|chunk| self.chunk_request(command, chunk));
        self.table.put_many(requests.collect::<Result<_, StoreError>>()?).await?;
        let head = item(&HeadItem::of(command, self.expiry(command.at)))?;
        self.table.put(head, "attribute_not_exists(#pk)", Vec::new()).await.map(|_| ())
    }

    async fn command(&self, id: CommandId) -> Result<Option<BulkCommand>, StoreError> {
        self.table.get(&head_key(id)).await?.map(|item| read::<HeadItem>(item)?.command()).transpose()
    }

    async fn chunks(&self, id: CommandId, from: u32, limit: u32) -> Result<Vec<BulkChunk>, StoreError> {
        let (first, last) =
            (chunk_key(id, from), chunk_key(id, from.saturating_add(limit.saturating_sub(1))));
        let (mut chunks, mut start) = (Vec::new(), None);
        if limit == 0 {
            return Ok(chunks);
        }
        loop {
            let ask = Ask {
                index: None,
                given: "#pk = :command AND #sk BETWEEN :from AND :to",
                values: vec![
                    (":command", text(&first.pk)),
                    (":from", text(&first.sk)),
                    (":to", text(&last.sk)),
                ],
                limit,
                backwards: false,
                start,
            };
            let (page, next) = self.table.query(ask).await?;
            for item in page {
                chunks.push(read::<ChunkItem>(item)?.chunk()?.0);
            }
            start = next;
            if start.is_none() {
                break;
            }
        }
        Ok(chunks)
    }

    async fn take_up(
        &self,
        id: CommandId,
        chunk: u32,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Option<(BulkChunk, u32)>, StoreError> {
        let change = Change {
            update: "SET #lease_until = :until ADD #tries :one",
            given: "#finished = :no AND (attribute_not_exists(#lease_until) OR #lease_until <= :now)",
            values: vec![
                (":until", number(lease_until.as_millisecond())),
                (":one", number(1)),
                (":no", AttributeValue::Bool(false)),
                (":now", number(now.as_millisecond())),
            ],
            returning: ReturnValue::AllNew,
        };
        let taken = self.table.update(&chunk_key(id, chunk), change).await?;
        taken.map(|item| read::<ChunkItem>(item)?.chunk()).transpose()
    }

    async fn record_chunk(&self, id: CommandId, chunk: &BulkChunk) -> Result<(), StoreError> {
        let workers: Vec<WorkerItem> = chunk.items.iter().map(WorkerItem::from).collect();
        let workers =
            serde_dynamo::to_attribute_value(workers).map_err(|error| StoreError::Corrupt(error.into()))?;
        let mut values = vec![(":workers", workers), (":no", AttributeValue::Bool(false))];
        let update = if chunk.finished {
            values.push((":yes", AttributeValue::Bool(true)));
            "SET #workers = :workers, #finished = :yes REMOVE #lease_until"
        } else {
            "SET #workers = :workers"
        };
        let change = Change { update, given: "#finished = :no", values, returning: ReturnValue::None };
        self.table.update(&chunk_key(id, chunk.number), change).await.map(|_| ())
    }

    async fn advance(&self, id: CommandId, from: u32, due: Option<Timestamp>) -> Result<(), StoreError> {
        let mut values = vec![(":from", number(from)), (":after", number(from.saturating_add(1)))];
        values.extend(due.map(|due| (":due", number(due.as_millisecond()))));
        let update = match due {
            // What was called off is due since then.
            Some(_) => "SET #next = :after, #due_at = if_not_exists(#cancelled_at, :due)",
            None => "SET #next = :after REMOVE #due, #due_at",
        };
        let change = Change { update, given: "#next = :from", values, returning: ReturnValue::None };
        self.table.update(&head_key(id), change).await.map(|_| ())
    }

    async fn cancel(&self, id: CommandId, at: Timestamp, by: &Actor) -> Result<bool, StoreError> {
        let change = Change {
            update: "SET #cancelled_at = :at, #cancelled_by = :by, #due_at = :at",
            given: "attribute_exists(#due) AND attribute_not_exists(#cancelled_at)",
            values: vec![(":at", number(at.as_millisecond())), (":by", text(by))],
            returning: ReturnValue::None,
        };
        Ok(self.table.update(&head_key(id), change).await?.is_some())
    }

    async fn due_commands(&self, now: Timestamp, limit: u32) -> Result<Vec<CommandId>, StoreError> {
        let given = ("#due = :partition AND #due_at <= :until", "due_at");
        let items = self.table.due("due", &[DUE], given, number(now.as_millisecond()), limit).await?;
        Ok(readable(items, |item| parsed(&read::<HeadItem>(item)?.command_id)))
    }
}

impl HeadItem {
    fn of(command: &BulkCommand, ttl: i64) -> Self {
        let Key { pk, sk } = head_key(command.id);
        let tags = match &command.bulk {
            Bulk::Tag(TagsPatch { set, remove }) => Some(TagsItem {
                set: set.iter().map(|(key, value)| (key.to_string(), value.to_string())).collect(),
                remove: remove.iter().map(ToString::to_string).collect(),
            }),
            Bulk::Start | Bulk::Stop | Bulk::Reboot | Bulk::Terminate | Bulk::Sync => None,
        };
        Self {
            pk,
            sk,
            command_id: command.id.to_string(),
            action: command.bulk.kind().to_string(),
            tags,
            by: command.by.to_string(),
            at: command.at.as_millisecond(),
            calls: command.calls,
            ends_at: command.ends_at.as_millisecond(),
            dues: command.dues.iter().map(|due| due.as_millisecond()).collect(),
            chunks: command.chunks,
            next: command.next,
            due: command.due.map(|_| DUE.to_owned()),
            due_at: command.due.map(Timestamp::as_millisecond),
            cancelled_at: command.cancelled.as_ref().map(|(at, _)| at.as_millisecond()),
            cancelled_by: command.cancelled.as_ref().map(|(_, by)| by.to_string()),
            ttl,
        }
    }

    fn command(self) -> Result<BulkCommand, StoreError> {
        let kind: BulkKind = parsed(&self.action)?;
        let cancelled = match (self.cancelled_at, self.cancelled_by) {
            (Some(at), Some(by)) => Some((time(at)?, Actor::Caller(by))),
            _ => None,
        };
        Ok(BulkCommand {
            id: parsed(&self.command_id)?,
            bulk: Bulk::new(kind, self.tags.map(TagsItem::patch).transpose()?.unwrap_or_default()),
            by: Actor::Caller(self.by),
            at: time(self.at)?,
            calls: self.calls,
            ends_at: time(self.ends_at)?,
            dues: self.dues.into_iter().map(time).collect::<Result<_, _>>()?,
            chunks: self.chunks,
            next: self.next,
            due: self.due_at.map(time).transpose()?,
            cancelled,
        })
    }
}

impl TagsItem {
    fn patch(self) -> Result<TagsPatch, StoreError> {
        let set = self.set.iter().map(|(key, value)| Ok((parsed(key)?, parsed(value)?)));
        let remove = self.remove.iter().map(|key| parsed(key));
        Ok(TagsPatch {
            set: set.collect::<Result<_, StoreError>>()?,
            remove: remove.collect::<Result<_, StoreError>>()?,
        })
    }
}

impl ChunkItem {
    /// The chunk, and how often it was taken up.
    fn chunk(self) -> Result<(BulkChunk, u32), StoreError> {
        let digits = self.sk.strip_prefix("CHUNK#").unwrap_or_default();
        let number = digits.parse().map_err(|error| StoreError::Corrupt(Box::new(error)))?;
        let items = self.workers.into_iter().map(WorkerItem::item).collect::<Result<_, _>>()?;
        Ok((BulkChunk { number, items, finished: self.finished }, self.tries))
    }
}

impl From<&BulkItem> for WorkerItem {
    fn from(item: &BulkItem) -> Self {
        Self {
            id: item.worker.to_string(),
            name: item.name.as_ref().map(ToString::to_string),
            outcome: item.outcome.to_string(),
            refusal: item.refusal.as_ref().map(|(refusal, _)| refusal.to_string()),
            text: item.refusal.as_ref().map(|(_, text)| text.clone()),
        }
    }
}

impl WorkerItem {
    fn item(self) -> Result<BulkItem, StoreError> {
        let refusal = self.refusal.map(|word| parsed(&word)).transpose()?;
        Ok(BulkItem {
            worker: parsed(&self.id)?,
            name: self.name.map(|name| parsed(&name)).transpose()?,
            outcome: parsed(&self.outcome)?,
            refusal: refusal.map(|refusal| (refusal, self.text.unwrap_or_default())),
        })
    }
}
