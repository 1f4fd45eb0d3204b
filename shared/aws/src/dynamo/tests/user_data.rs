//! User data in the journal.

use app::error::StoreError;
use app::ports::UserDataVault;
use domain::UserData;
use serde_json::json;

use super::{WORKER, at, client, condition_failed, names, nothing, ok, parse, worker};
use crate::dynamo::DynamoUserData;
use crate::wire::Wire;

fn vault(wire: &Wire) -> DynamoUserData {
    DynamoUserData::new(&client(wire), "journal")
}

fn key() -> serde_json::Value {
    json!({ "pk": { "S": format!("USERDATA#{WORKER}") }, "sk": { "S": "TEXT" } })
}

#[tokio::test]
async fn user_data_is_kept_for_a_week_whatever_was_there() {
    let wire = Wire::new([nothing()]);
    let data: UserData = parse("#cloud-config\ncanary");
    vault(&wire).keep(worker(WORKER), &data, at(60)).await.expect("kept");
    let sent = wire.only().json();
    assert_eq!(sent["TableName"], "journal");
    assert_eq!((&sent["Key"], &sent["ConditionExpression"]), (&key(), &serde_json::Value::Null));
    assert_eq!(sent["UpdateExpression"], "SET #user_data = :text, #ttl = :ttl");
    let values =
        json!({ ":text": { "S": "#cloud-config\ncanary" }, ":ttl": { "N": (60 + 604_800).to_string() } });
    assert_eq!(sent["ExpressionAttributeValues"], values);
    assert_eq!(names(&wire.only()), ["#ttl", "#user_data"]);
}

#[tokio::test]
async fn user_data_is_read_as_it_is_now_and_never_shown() {
    let item = json!({ "pk": { "S": "p" }, "sk": { "S": "TEXT" }, "user_data": { "S": "canary" }, "ttl": { "N": "1" } });
    let wire = Wire::new([
        ok(json!({ "Item": item })),
        nothing(),
        ok(json!({ "Item": { "user_data": { "S": "" } } })),
    ]);
    let vault = vault(&wire);
    let kept = vault.kept(worker(WORKER)).await.expect("read").expect("kept");
    assert_eq!((kept.expose(), format!("{kept:?}").contains("canary")), ("canary", false));
    assert_eq!(vault.kept(worker(WORKER)).await.expect("read"), None);
    assert!(matches!(vault.kept(worker(WORKER)).await, Err(StoreError::Corrupt(_))));
    let sent = wire.sent()[0].json();
    assert_eq!((&sent["Key"], &sent["ConsistentRead"]), (&key(), &json!(true)));
}

#[tokio::test]
async fn user_data_is_forgotten_and_what_is_not_there_is_no_error() {
    let wire = Wire::new([nothing(), condition_failed()]);
    for _ in 0..2 {
        vault(&wire).forget(worker(WORKER)).await.expect("forgotten");
    }
    assert_eq!(wire.sent()[0].operation(), "DeleteItem");
    assert_eq!(wire.sent()[0].json()["Key"], key());
}
