//! DynamoDB: the two tables. What the adapters of both have in common.
//!
//! In expressions every attribute is written `#name`, so that none can be one of DynamoDB's 573 reserved words.

mod buckets;
mod commands;
mod deliveries;
mod idempotency;
mod samples;
mod save;
mod sweeps;
#[cfg(test)]
mod tests;
mod user_data;
mod workers;

pub use buckets::DynamoBuckets;
pub use commands::DynamoCommands;
pub use deliveries::DynamoDeliveries;
pub use idempotency::DynamoIdempotency;
pub use samples::DynamoSamples;
pub use sweeps::DynamoSweeps;
pub use user_data::DynamoUserData;
pub use workers::DynamoWorkers;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use app::error::StoreError;
use app::item::Key;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::types::{AttributeValue, KeysAndAttributes, ReturnValue, WriteRequest};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::call::{failed, report};

type Item = HashMap<String, AttributeValue>;
type Values<'a> = Vec<(&'a str, AttributeValue)>;

/// `BatchGetItem` and `BatchWriteItem` take at most this many.
const MOST_KEYS: usize = 100;
const MOST_WRITES: usize = 25;
/// How often what a batch left undone is asked for, with doubled waits from 50 ms.
const ROUNDS: u32 = 5;

/// One table.
#[derive(Debug, Clone)]
struct Table {
    client: Client,
    name: String,
}

/// A change of one item: an update expression, and the condition it depends on (none if empty).
struct Change<'a> {
    update: &'a str,
    given: &'a str,
    values: Values<'a>,
    returning: ReturnValue,
}

/// A question to one partition of the table or of an index.
struct Ask<'a> {
    index: Option<&'a str>,
    given: &'a str,
    values: Values<'a>,
    limit: u32,
    backwards: bool,
    start: Option<Item>,
}

impl Table {
    fn new(client: &Client, name: &str) -> Self {
        Self { client: client.clone(), name: name.to_owned() }
    }

    /// One item as it is now (strongly consistent).
    async fn get(&self, key: &Key) -> Result<Option<Item>, StoreError> {
        let request = self.client.get_item().table_name(&self.name).set_key(Some(item(key)?));
        let answer = request.consistent_read(true).send().await;
        Ok(answer.map_err(|error| store_error("DynamoDB GetItem", error))?.item)
    }

    /// The items that exist among these (strongly consistent, any order).
    async fn get_many(&self, keys: impl IntoIterator<Item = Key>) -> Result<Vec<Item>, StoreError> {
        const WHAT: &str = "DynamoDB BatchGetItem";
        let keys: Vec<Key> = keys.into_iter().collect::<BTreeSet<Key>>().into_iter().collect();
        let mut found = Vec::new();
        for keys in keys.chunks(MOST_KEYS) {
            let mut open: Vec<Item> = keys.iter().map(item).collect::<Result<_, _>>()?;
            let mut round = 0;
            while !open.is_empty() {
                pause(round, WHAT, open.len()).await?;
                let asked = KeysAndAttributes::builder().set_keys(Some(open)).consistent_read(true).build();
                let asked = asked.map_err(|error| StoreError::Unavailable(error.into()))?;
                let answer = self.client.batch_get_item().request_items(&self.name, asked).send().await;
                let answer = answer.map_err(|error| store_error(WHAT, error))?;
                found.extend(
                    answer.responses.and_then(|mut tables| tables.remove(&self.name)).unwrap_or_default(),
                );
                let left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.name));
                open = left.map(|left| left.keys).unwrap_or_default();
                round += 1;
            }
        }
        Ok(found)
    }

    /// Writes items whose keys are all different, whatever was there.
    async fn put_many(&self, items: Vec<WriteRequest>) -> Result<(), StoreError> {
        const WHAT: &str = "DynamoDB BatchWriteItem";
        for items in items.chunks(MOST_WRITES) {
            let mut open = items.to_vec();
            let mut round = 0;
            while !open.is_empty() {
                pause(round, WHAT, open.len()).await?;
                let answer = self.client.batch_write_item().request_items(&self.name, open).send().await;
                let answer = answer.map_err(|error| store_error(WHAT, error))?;
                open =
                    answer.unprocessed_items.and_then(|mut left| left.remove(&self.name)).unwrap_or_default();
                round += 1;
            }
        }
        Ok(())
    }

    /// Writes one item; `false` if the condition does not hold.
    async fn put(&self, item: Item, given: &str, values: Values<'_>) -> Result<bool, StoreError> {
        let request = self.client.put_item().table_name(&self.name).set_item(Some(item));
        let answer = request
            .condition_expression(given)
            .set_expression_attribute_names(names(&[given]))
            .set_expression_attribute_values(filled(values))
            .send()
            .await;
        Ok(held("DynamoDB PutItem", answer)?.is_some())
    }

    /// Changes one item and answers its attributes as asked for; `None` if the condition does not hold.
    async fn update(&self, key: &Key, change: Change<'_>) -> Result<Option<Item>, StoreError> {
        let Change { update, given, values, returning } = change;
        let request = self.client.update_item().table_name(&self.name).set_key(Some(item(key)?));
        let answer = request
            .update_expression(update)
            .set_condition_expression(Some(given.to_owned()).filter(|given| !given.is_empty()))
            .set_expression_attribute_names(names(&[update, given]))
            .set_expression_attribute_values(filled(values))
            .return_values(returning)
            .send()
            .await;
        Ok(held("DynamoDB UpdateItem", answer)?.map(|answer| answer.attributes.unwrap_or_default()))
    }

    /// Deletes one item; `false` if the condition does not hold.
    async fn delete(&self, key: &Key, given: &str) -> Result<bool, StoreError> {
        let request = self.client.delete_item().table_name(&self.name).set_key(Some(item(key)?));
        let request = request.condition_expression(given).set_expression_attribute_names(names(&[given]));
        Ok(held("DynamoDB DeleteItem", request.send().await)?.is_some())
    }

    /// One page, and the key after which the next one starts. The table is read strongly consistent, an index cannot be.
    async fn query(&self, ask: Ask<'_>) -> Result<(Vec<Item>, Option<Item>), StoreError> {
        let request = self.client.query().table_name(&self.name).set_index_name(ask.index.map(str::to_owned));
        let answer = request
            .key_condition_expression(ask.given)
            .set_expression_attribute_names(names(&[ask.given]))
            .set_expression_attribute_values(filled(ask.values))
            .limit(i32::try_from(ask.limit).unwrap_or(i32::MAX))
            .scan_index_forward(!ask.backwards)
            .consistent_read(ask.index.is_none())
            .set_exclusive_start_key(ask.start)
            .send()
            .await
            .map_err(|error| store_error("DynamoDB Query", error))?;
        let next = answer.last_evaluated_key.filter(|key| !key.is_empty());
        Ok((answer.items.unwrap_or_default(), next))
    }

    /// Items of several partitions of an index up to one value of its sort key, in its order, at most `limit` together.
    async fn due(
        &self,
        index: &str,
        partitions: &[&str],
        (given, by): (&str, &str),
        until: AttributeValue,
        limit: u32,
    ) -> Result<Vec<Item>, StoreError> {
        let mut found = Vec::new();
        for partition in partitions {
            let values = vec![(":partition", text(*partition)), (":until", until.clone())];
            let ask = Ask { index: Some(index), given, values, limit, backwards: false, start: None };
            found.extend(self.query(ask).await?.0);
        }
        let place = |item: &Item| item.get(by)?.as_n().ok()?.parse::<i64>().ok();
        found.sort_by_key(place);
        found.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        Ok(found)
    }
}

/// Waits before another round of a batch, or gives up.
async fn pause(round: u32, what: &str, left: usize) -> Result<(), StoreError> {
    if round == ROUNDS {
        return Err(StoreError::Contended(
            format!("{what}: {left} left undone after {ROUNDS} rounds").into(),
        ));
    }
    if round > 0 {
        tokio::time::sleep(Duration::from_millis(25 << round)).await;
    }
    Ok(())
}

/// What is `#written` so in the expressions, by name.
fn names(expressions: &[&str]) -> Option<HashMap<String, String>> {
    let word =
        |rest: &str| rest.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '_').collect::<String>();
    let words = expressions.iter().flat_map(|expression| expression.split('#').skip(1)).map(word);
    Some(words.map(|word| (format!("#{word}"), word)).collect::<HashMap<_, _>>())
        .filter(|names| !names.is_empty())
}

fn filled(values: Values<'_>) -> Option<Item> {
    let values: Item = values.into_iter().map(|(name, value)| (name.to_owned(), value)).collect();
    Some(values).filter(|values| !values.is_empty())
}

fn text(text: impl ToString) -> AttributeValue {
    AttributeValue::S(text.to_string())
}

fn number(number: impl Into<i64>) -> AttributeValue {
    AttributeValue::N(number.into().to_string())
}

/// The attributes of anything that is an item.
fn item(item: &impl Serialize) -> Result<Item, StoreError> {
    serde_dynamo::to_item(item).map_err(|error| StoreError::Corrupt(error.into()))
}

/// An item of the journal.
fn read<T: DeserializeOwned>(item: Item) -> Result<T, StoreError> {
    serde_dynamo::from_item(item).map_err(|error| StoreError::Corrupt(error.into()))
}

/// Those of many items that can be read: one that cannot must not hide the others.
fn readable<T, E: Into<StoreError>>(items: Vec<Item>, read: impl Fn(Item) -> Result<T, E>) -> Vec<T> {
    let readable = |item: Item| {
        let key: BTreeMap<String, String> = item
            .iter()
            .filter(|(name, _)| matches!(name.as_str(), "pk" | "sk"))
            .filter_map(|(name, value)| Some((name.clone(), value.as_s().ok()?.clone())))
            .collect();
        read(item)
            .map_err(|error| {
                let error: StoreError = error.into();
                let cause = std::error::Error::source(&error).map(ToString::to_string);
                tracing::error!(?key, cause, "{error}; it is left out");
            })
            .ok()
    };
    items.into_iter().filter_map(readable).collect()
}

/// Tells a condition that does not hold (`None`) from a failure.
fn held<T, E>(
    what: &'static str,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<Option<T>, StoreError>
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    match answer {
        Ok(answer) => Ok(Some(answer)),
        Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(None),
        Err(error) => Err(store_error(what, error)),
    }
}

fn store_error<E>(what: &'static str, error: SdkError<E, HttpResponse>) -> StoreError
where
    E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
{
    let busy = report(&error).throttled || error.code() == Some("TransactionConflictException");
    let cause = Box::new(failed(what, error));
    if busy { StoreError::Contended(cause) } else { StoreError::Unavailable(cause) }
}
