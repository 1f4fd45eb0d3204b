//! The tables, read and written past the code that owns them: to see what is there, and to put in what should not be.

use anyhow::{Context, Result};
use serde_json::{Value, json};

use crate::cloud::Cloud;

/// One table.
#[derive(Debug, Clone)]
pub(crate) struct Table {
    cloud: Cloud,
    name: String,
}

impl Table {
    /// The fleet table.
    pub(crate) fn fleet(cloud: &Cloud) -> Result<Self> {
        Ok(Self { cloud: cloud.clone(), name: cloud.output("FleetTableName")?.to_owned() })
    }

    /// The journal table.
    pub(crate) fn journal(cloud: &Cloud) -> Result<Self> {
        Ok(Self { cloud: cloud.clone(), name: cloud.output("JournalTableName")?.to_owned() })
    }

    async fn call(&self, operation: &str, mut body: Value) -> Result<Value> {
        body["TableName"] = json!(self.name);
        self.cloud.json("dynamodb", &format!("DynamoDB_20120810.{operation}"), &body).await
    }

    /// Puts an item of texts and numbers.
    pub(crate) async fn put(&self, item: Value) -> Result<()> {
        self.call("PutItem", json!({ "Item": item })).await.map(drop)
    }

    /// One item, in DynamoDB's own JSON.
    pub(crate) async fn get(&self, pk: &str, sk: &str) -> Result<Option<Value>> {
        let key = json!({ "pk": { "S": pk }, "sk": { "S": sk } });
        let answer = self.call("GetItem", json!({ "Key": key, "ConsistentRead": true })).await?;
        Ok(answer.get("Item").cloned())
    }

    /// All items of a partition, in the order of their sort keys.
    pub(crate) async fn partition(&self, pk: &str) -> Result<Vec<Value>> {
        let query = json!({
            "KeyConditionExpression": "pk = :pk",
            "ExpressionAttributeValues": { ":pk": { "S": pk } },
            "ConsistentRead": true,
        });
        let answer = self.call("Query", query).await?;
        Ok(answer["Items"].as_array().context("a query has items")?.clone())
    }

    /// All items whose partition key begins like this.
    pub(crate) async fn scan(&self, prefix: &str) -> Result<Vec<Value>> {
        let mut items = Vec::new();
        let mut scan = json!({
            "FilterExpression": "begins_with(pk, :prefix)",
            "ExpressionAttributeValues": { ":prefix": { "S": prefix } },
        });
        loop {
            let answer = self.call("Scan", scan.clone()).await?;
            items.extend(answer["Items"].as_array().context("a scan has items")?.iter().cloned());
            let Some(last) = answer.get("LastEvaluatedKey") else { return Ok(items) };
            scan["ExclusiveStartKey"] = last.clone();
        }
    }

    /// Sets one number of an item that is there.
    pub(crate) async fn set_number(&self, item: &Value, name: &str, value: i64) -> Result<()> {
        let update = json!({
            "Key": { "pk": item["pk"], "sk": item["sk"] },
            "UpdateExpression": "SET #name = :value",
            "ConditionExpression": "attribute_exists(#name)",
            "ExpressionAttributeNames": { "#name": name },
            "ExpressionAttributeValues": { ":value": { "N": value.to_string() } },
        });
        self.call("UpdateItem", update).await.map(drop)
    }
}
