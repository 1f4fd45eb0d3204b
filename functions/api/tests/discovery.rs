//! Imports of many instances at once, and what of them is refused.

use app::error::{CallError, StoreError};
use domain::Observed;
use serde_json::{Value, json};

use crate::support::Client;

/// What a request with a key writes of the key: that it is begun, and its answer.
const KEY: usize = 2;
const STRANGER: &str = "01890a5d-ac96-774b-bcce-ffffffffffff";

fn instance(number: usize) -> String {
    format!("i-{number:017x}")
}

/// An API before which there are so many tagged instances.
fn with_tagged(count: usize) -> Client {
    let client = Client::new();
    for number in 1..=count {
        client.world.has_instance(&instance(number), Observed::Running, &[("cml", "yes")]);
    }
    client
}

async fn import(client: &Client, body: &Value) -> Value {
    let answer = client.json("POST", "/workers/import", body).await;
    assert_eq!(answer.status, 200, "{}", answer.text);
    answer.json()
}

/// What came of each instance, in words.
fn outcomes(found: &Value) -> Vec<String> {
    let items = found["items"].as_array().expect("items");
    let mut counted = [("imported", 0), ("would_import", 0), ("known", 0), ("refused", 0), ("failed", 0)];
    for item in items {
        let count = counted.iter_mut().find(|(outcome, _)| item["outcome"] == *outcome);
        count.unwrap_or_else(|| panic!("an outcome: {item}")).1 += 1;
    }
    let counts: Value =
        counted.into_iter().map(|(outcome, count)| (outcome.to_owned(), json!(count))).collect();
    assert_eq!(found["counts"], counts);
    let kind = |item: &Value| {
        let kind = item["reason"]["type"].as_str()?;
        Some(format!(" {}", kind.strip_prefix("urn:cml-fleet:problem:")?))
    };
    let text = |item: &Value| {
        format!("{}{}", item["outcome"].as_str().expect("text"), kind(item).unwrap_or_default())
    };
    items.iter().map(text).collect()
}

#[tokio::test]
async fn each_named_instance_has_its_own_result_in_the_order_in_which_it_is_named() {
    let client = Client::new();
    let owner = client.imported(&instance(1), Observed::Running).await;
    client.world.has_instance(&instance(2), Observed::Stopped, &[("Name", "lab-2")]);
    client.world.has_instance(&instance(3), Observed::ShuttingDown, &[]);
    client.world.has_instance(&instance(4), Observed::Running, &[("cml-fleet:worker-id", STRANGER)]);
    client.world.has_instance(&instance(5), Observed::Running, &[("cml-fleet:worker-id", &owner)]);
    client.world.has_instance(&instance(6), Observed::Running, &[]);
    client.world.state().instances[5].account = "210987654321".parse().expect("an account");
    let ids: Vec<String> = [7, 6, 5, 4, 3, 2, 1, 2].map(instance).into();
    let body = json!({
        "instance_ids": ids, "tags": { "team": "network" }, "settings": { "drift": "revert" }, "held": "new", "protected": true,
    });
    let found = import(&client, &body).await;
    assert_eq!(
        outcomes(&found),
        [
            "refused no-such-instance",
            "refused no-such-instance",
            "refused instance-claimed",
            "refused instance-claimed",
            "refused impossible-command",
            "imported",
            "known"
        ]
    );
    assert_eq!(found["next"], Value::Null);
    let items = found["items"].as_array().expect("items");
    assert_eq!(
        items[0]["reason"]["detail"],
        format!("EC2 knows no instance {} of this account in eu-central-1, us-east-1", instance(7))
    );
    assert!(items[0].get("region").is_none() && items[0].get("worker_id").is_none(), "{}", items[0]);
    assert_eq!(items[6]["worker_id"], owner);
    let worker =
        client.get(&format!("/workers/{}", items[5]["worker_id"].as_str().expect("an id"))).await.json();
    assert_eq!((&worker["name"], &items[5]["name"]), (&json!("lab-2"), &json!("lab-2")));
    assert_eq!(
        (&items[5]["region"], &items[5]["instance_id"]),
        (&json!("eu-central-1"), &json!(instance(2)))
    );
    assert_eq!((&worker["status"], &worker["tags"]), (&json!("stopped"), &json!({ "team": "network" })));
    assert_eq!((&worker["protected"], &worker["held"]["reason"]), (&json!(true), &json!("new")));
    assert_eq!(worker["settings"]["own"], json!({ "drift": "revert" }));
}

#[tokio::test]
async fn what_is_found_comes_page_by_page_over_all_regions_and_each_instance_once() {
    let client = with_tagged(7);
    for number in 8..=10 {
        client.world.has_instance(&instance(number), Observed::Running, &[("cml", "yes")]);
        client.world.state().instances[number - 1].zone = "us-east-1b".parse().ok();
    }
    client.world.has_instance(&instance(11), Observed::Running, &[("cml", "no")]);
    for (limit, pages) in [(1, 10), (3, 4), (5, 2), (100, 1)] {
        let (mut seen, mut cursor, mut asked) = (Vec::new(), Value::Null, 0);
        loop {
            let mut body = json!({ "find": { "tags": { "cml": "yes" } }, "dry_run": true, "limit": limit });
            if !cursor.is_null() {
                body["cursor"] = cursor;
            }
            let found = import(&client, &body).await;
            asked += 1;
            let items = found["items"].as_array().expect("items").clone();
            assert!(items.len() <= limit, "{found}");
            seen.extend(items.iter().map(|item| item["instance_id"].as_str().expect("an id").to_owned()));
            cursor = found["next"].clone();
            if cursor.is_null() {
                break;
            }
        }
        assert_eq!(seen, (1..=10).map(instance).collect::<Vec<_>>(), "{limit}");
        // The last page may have to look for more, and find none.
        assert!((pages..=pages + 1).contains(&asked), "{limit}: {asked} pages");
    }
    let only = json!({ "find": { "tags": { "cml": "yes" } }, "regions": ["us-east-1"], "dry_run": true });
    assert_eq!(import(&client, &only).await["items"].as_array().expect("items").len(), 3);
}

#[tokio::test]
async fn a_dry_run_writes_nothing_and_the_same_request_then_does_what_it_said() {
    let client = with_tagged(2).with("idempotency-key", "k");
    client.world.state().instances[0].tags.insert("Name".to_owned(), "lab-1".to_owned());
    let mut body = json!({ "find": { "tags": { "cml": "yes" } }, "dry_run": true });
    let found = import(&client, &body).await;
    assert_eq!(outcomes(&found), ["would_import", "would_import"]);
    assert_eq!(found["items"][0]["name"], "lab-1");
    assert_eq!(found["items"][1]["name"], instance(2));
    assert!(found["items"][0].get("worker_id").is_none());
    assert_eq!(client.world.effects().0, 0, "not even of the key");
    body["dry_run"] = false.into();
    let done = import(&client, &body).await;
    assert_eq!(outcomes(&done), ["imported", "imported"]);
    assert_eq!(done["items"][0]["name"], "lab-1");
    assert_eq!(client.world.effects().0, 2 + KEY);
    assert_eq!(import(&client, &body).await, done, "the stored answer");
    body["dry_run"] = true.into();
    assert_eq!(outcomes(&import(&client, &body).await), ["known", "known"], "another look");
}

#[tokio::test]
async fn instances_of_one_name_are_all_imported_and_only_one_of_them_is_called_that() {
    let client = Client::new();
    client.created("lab").await;
    for number in 1..=3 {
        let name = if number == 1 { "lab" } else { "twin" };
        client.world.has_instance(&instance(number), Observed::Running, &[("Name", name), ("cml", "yes")]);
    }
    let found = import(&client, &json!({ "find": { "tags": { "cml": "yes" } } })).await;
    assert_eq!(outcomes(&found), ["imported"; 3]);
    let mut names: Vec<&str> =
        found["items"].as_array().expect("items").iter().filter_map(|item| item["name"].as_str()).collect();
    names.sort_unstable();
    assert_eq!(names[0], instance(1), "the name is another worker's");
    assert!(names[1].starts_with("i-") && names[2] == "twin", "{names:?}");
}

#[tokio::test]
async fn a_key_that_is_used_again_after_a_crash_goes_on_with_the_same_workers() {
    let client = with_tagged(3).with("idempotency-key", "k");
    let body = json!({ "find": { "tags": { "cml": "yes" } } });
    let first = import(&client, &body).await;
    // As if the function had died before its answer was kept, and one import had not been made.
    client.world.pass(60);
    let lost = first["items"][1]["worker_id"].as_str().expect("an id").to_owned();
    client.world.state().workers.remove(&lost.parse().expect("an id"));
    client.world.state().keys.values_mut().for_each(|key| key.answer = None);
    let again = import(&client, &body).await;
    assert_eq!(again, first, "the same workers, the lost one made again");
    assert_eq!(client.world.state().workers.len(), 3);
}

#[tokio::test]
async fn two_requests_at_once_make_one_worker_of_each_instance() {
    let client = with_tagged(20);
    let body = json!({ "find": { "tags": { "cml": "yes" } } });
    let (one, other) = tokio::join!(import(&client, &body), import(&client, &body));
    assert_eq!(client.world.state().workers.len(), 20);
    let (one, other) = (outcomes(&one), outcomes(&other));
    for (number, pair) in one.iter().zip(&other).enumerate() {
        let mut pair = [pair.0.as_str(), pair.1.as_str()];
        pair.sort_unstable();
        assert_eq!(pair, ["imported", "known"], "{number}");
    }
}

#[tokio::test]
async fn orphans_are_adopted_if_that_is_said_and_if_we_may_change_their_tags() {
    let client = Client::new();
    let busy = client.imported(&instance(1), Observed::Running).await;
    let ours = ("cml-fleet:managed", "true");
    for (number, tags) in [
        (2, &[ours, ("cml-fleet:worker-id", STRANGER)][..]),
        (3, &[ours, ("cml-fleet:worker-id", "nonsense")]),
        (4, &[("cml-fleet:worker-id", STRANGER)]),
        (5, &[ours, ("cml-fleet:worker-id", busy.as_str())]),
    ] {
        client.world.has_instance(&instance(number), Observed::Running, tags);
    }
    let ids: Vec<String> = (2..=5).map(instance).collect();
    let mut body = json!({ "instance_ids": ids, "adopt_orphans": false });
    let refused = import(&client, &body).await;
    assert_eq!(outcomes(&refused), ["refused instance-claimed"; 4]);
    assert!(
        refused["items"][0]["reason"]["detail"].as_str().expect("text").contains("adopt_orphans"),
        "{refused}"
    );
    body["adopt_orphans"] = true.into();
    let found = import(&client, &body).await;
    assert_eq!(
        outcomes(&found),
        ["imported", "imported", "refused instance-claimed", "refused instance-claimed"]
    );
    let detail = |index: usize| found["items"][index]["reason"]["detail"].as_str().expect("text");
    assert!(detail(2).contains("no tag cml-fleet:managed"), "{}", detail(2));
    assert!(detail(3).contains("answers for another instance"), "{}", detail(3));
    let worker = found["items"][0]["worker_id"].as_str().expect("an id");
    assert_eq!(client.get(&format!("/workers/{worker}")).await.json()["next"]["action"], "tag");
    // One alone as well.
    client.world.has_instance(&instance(6), Observed::Running, &[ours, ("cml-fleet:worker-id", STRANGER)]);
    let one = json!({ "instance_id": instance(6), "region": "eu-central-1", "adopt_orphans": true });
    assert_eq!(client.json("POST", "/workers/import", &one).await.status, 201);
}

#[tokio::test]
async fn what_was_forgotten_is_imported_again_when_somebody_asks_for_it() {
    let client = with_tagged(1);
    let find = json!({ "find": { "tags": { "cml": "yes" } } });
    let first = import(&client, &find).await["items"][0]["worker_id"].as_str().expect("an id").to_owned();
    client.world.state().instances[0].tags.insert("cml-fleet:worker-id".to_owned(), first.clone());
    client.send("DELETE", &format!("/workers/{first}?forget=true"), "").await;
    assert_eq!(outcomes(&import(&client, &find).await), ["imported"]);
}

#[tokio::test]
async fn the_name_of_an_image_stands_for_its_ids_in_each_region() {
    let client = with_tagged(1);
    let (home, other) = ("eu-central-1".parse().expect("a region"), "us-east-1".parse().expect("a region"));
    client.world.state().images.insert(home, vec!["ami-1".to_owned(), "ami-2".to_owned()]);
    let body = json!({ "find": { "image_name": "cml-2.*", "tags": { "cml": "yes" } } });
    assert_eq!(outcomes(&import(&client, &body).await), ["imported"]);
    {
        let state = client.world.state();
        let [(region, query, limit)] = state.searches.as_slice() else { panic!("{:?}", state.searches) };
        assert_eq!(
            (region.as_str(), query.images.as_slice(), *limit),
            ("eu-central-1", &["ami-1", "ami-2"].map(str::to_owned)[..], 50)
        );
        let asked = [("eu-central-1", "cml-2.*"), ("us-east-1", "cml-2.*")];
        assert!(state.image_names.iter().map(|(region, name)| (region.as_str(), name.as_str())).eq(asked));
    }
    client.world.state().images.insert(other, vec!["ami-9".to_owned(); 187]);
    let many = json!({ "find": { "image_name": "cml-2.*" }, "regions": ["us-east-1"] });
    let answer = client.json("POST", "/workers/import", &many).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (422, "invalid-value"));
    let fault = &answer.json()["errors"][0];
    assert_eq!(fault["field"], "find.image_name");
    assert_eq!(fault["detail"], "more than 186 images in us-east-1 have such a name");
}

#[tokio::test]
async fn a_failure_is_that_of_one_instance_or_of_a_page_and_tells_nothing_from_inside() {
    let client = with_tagged(3);
    let find = json!({ "find": { "tags": { "cml": "yes" } } });
    let canary = || CallError { message: "canary".to_owned(), retryable: true, cause: None };
    client.world.state().failing_describes.push_back(canary());
    let answer = client.json("POST", "/workers/import", &find).await;
    assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (503, "unavailable"));
    client.world.state().failing_saves.push_back(StoreError::Unavailable("canary".into()));
    let found = import(&client, &find).await;
    let mut sorted = outcomes(&found);
    sorted.sort_unstable();
    assert_eq!(sorted, ["failed unavailable", "imported", "imported"]);
    assert!(!found.to_string().contains("canary"), "{found}");
    let mut again = outcomes(&import(&client, &find).await);
    again.sort_unstable();
    assert_eq!(again, ["imported", "known", "known"]);
    // Of a region that does not answer nobody can say that an instance is not there.
    client.world.state().failing_describes.push_back(canary());
    let found = import(&client, &json!({ "instance_ids": [instance(9)] })).await;
    assert_eq!(outcomes(&found), ["failed unavailable"]);
}

#[tokio::test]
async fn a_cursor_goes_on_with_its_own_query_only() {
    let client = with_tagged(6);
    let page = |find: &str, limit: u32| json!({ "find": { "tags": { "cml": find } }, "dry_run": true, "limit": limit });
    let next = import(&client, &page("yes", 5)).await["next"].clone();
    let named = json!({ "instance_ids": [instance(1), instance(2)], "dry_run": true, "limit": 1 });
    let of_named = import(&client, &named).await["next"].clone();
    let mut last = named.clone();
    last["cursor"] = of_named.clone();
    let rest = import(&client, &last).await;
    assert_eq!((&rest["items"][0]["instance_id"], &rest["next"]), (&json!(instance(2)), &Value::Null));
    let garbage = json!("x");
    for (mut body, cursor) in [
        (page("no", 5), &next),
        (page("yes", 6), &next),
        (page("yes", 5), &of_named),
        (named, &next),
        (page("yes", 5), &garbage),
    ] {
        body["cursor"] = cursor.clone();
        let answer = client.json("POST", "/workers/import", &body).await;
        assert_eq!((answer.status.as_u16(), answer.problem().as_str()), (400, "invalid-parameter"), "{body}");
    }
}
