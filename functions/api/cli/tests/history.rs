//! `events` and `telemetry`.

use std::collections::BTreeMap;

use app::ports::{Clock, Sample};
use domain::{Metric, Timestamp};
use expect_test::expect;
use serde_json::{Value, json};

use crate::support::{Fleet, Outside, Person};

#[tokio::test]
async fn facts_are_told_the_newest_last_with_their_particulars() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    fleet.run(&["stop", "lab-1"]).await.ok();
    expect![[r#"
        1	2026-09-21T14:13:20.000Z	imported	account=123456789012 at=2026-09-21T14:13:20.000Z by.id=admin by.kind=caller desired=running id=01890a5d-ac96-774b-bcce-000000000001 instance=i-00000000000000001 name=lab-1 region=eu-central-1
        1	2026-09-21T14:13:20.000Z	instance_observed	confirms=false details.instance_type=m5zn.metal details.private_ip=10.0.0.7 details.zone=eu-central-1a sighting.at=2026-09-21T14:13:20.000Z sighting.observed=running sighting.seen_at=2026-09-21T14:13:20.000Z sighting.source=describe
        1	2026-09-21T14:13:20.000Z	desired_reached	at=2026-09-21T14:13:20.000Z
        2	2026-09-21T14:13:20.000Z	desired_changed	at=2026-09-21T14:13:20.000Z by.id=admin by.kind=caller from=running to=stopped
        2	2026-09-21T14:13:20.000Z	status_changed	from=running reason="an operator asked for it" to=stopping
    "#]].assert_eq(&fleet.run(&["events", &id]).await.ok());
}

#[tokio::test]
async fn a_fact_of_a_newer_release_is_told_as_well() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let fact = json!({ "fact": "moved_house", "to": { "zone": "b" }, "why": "a flood", "gone": null });
    let page = json!({ "items": [{ "version": 9, "at": "2026-01-01T00:00:00.000Z", "facts": [fact] }], "next": null });
    fleet.will_answer(&format!("GET /workers/{id}/events?limit=50"), 200, &[], &page);
    let told = fleet.run(&["events", &id]).await.ok();
    assert_eq!(told, "9\t2026-01-01T00:00:00.000Z\tmoved_house\tto.zone=b why=\"a flood\"\n");
}

#[tokio::test]
async fn followed_facts_are_told_once_as_json_lines() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let page = |versions: &[u64]| {
        let item =
            |version: &u64| json!({ "version": version, "at": "2026-01-01T00:00:00.000Z", "facts": [] });
        json!({ "items": versions.iter().map(item).collect::<Vec<_>>(), "next": null })
    };
    let line = |limit: u32| format!("GET /workers/{id}/events?limit={limit}");
    fleet.will_answer(&line(1), 200, &[], &page(&[2]));
    for versions in [&[2, 1][..], &[4, 3, 2, 1], &[4, 3, 2, 1]] {
        fleet.will_answer(&line(100), 200, &[], &page(versions));
    }
    let person = Person { outside: Outside::default(), ..Person::default() };
    let arguments = ["events", &id, "--follow", "--limit", "1", "--timeout", "6", "-o", "json"];
    let told = fleet.run_by(&person, &arguments).await.ok();
    let versions: Vec<Value> = told
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).expect("JSON")["version"].clone())
        .collect();
    assert_eq!((versions, person.outside.slept()), (vec![json!(2), json!(3), json!(4)], vec![2000; 3]));
}

#[tokio::test]
async fn what_is_followed_is_walked_once_as_far_back_as_it_was_told_and_past_an_api_that_is_away() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let page = |versions: &[u64], next: Option<&str>| {
        let fact = json!({ "fact": "f" });
        let item =
            |version: &u64| json!({ "version": version, "at": "2026-01-01T00:00:00.000Z", "facts": [fact] });
        json!({ "items": versions.iter().map(item).collect::<Vec<_>>(), "next": next })
    };
    let line = |rest: &str| format!("GET /workers/{id}/events?limit={rest}");
    fleet.will_answer(&line("1"), 200, &[], &page(&[2], Some("a")));
    fleet.will_be_away(&line("100"), 20);
    fleet.will_answer(&line("100"), 200, &[], &page(&[6, 5], Some("b")));
    fleet.will_answer(&line("100&cursor=b"), 200, &[], &page(&[4, 3], Some("c")));
    let before = fleet.seen().len();
    let person = Person::default();
    let arguments = ["events", &id, "--follow", "--limit", "1", "--timeout", "70"];
    let ran = fleet.run_by(&person, &arguments).await;
    let versions: Vec<&str> =
        ran.out.lines().map(|line| line.split('\t').next().unwrap_or_default()).collect();
    assert_eq!((ran.code, versions), (0, vec!["2", "3", "4", "5", "6"]));
    let away = "cml-fleet: the answer was 503: Service Unavailable\n";
    assert_eq!(ran.err, format!("cml-fleet: there are more; --all shows them\n{away}"));
    let asked: Vec<String> = fleet.seen()[before..].iter().map(|seen| seen.line.clone()).collect();
    let once = asked.iter().filter(|asked| asked.contains("cursor")).count();
    assert_eq!((once, person.outside.slept().iter().sum::<u64>()), (1, 70_000), "{asked:?}");
}

#[tokio::test]
async fn who_sees_a_part_of_what_happened_is_told_so() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    fleet.run(&["stop", "lab-1"]).await.ok();
    let part = fleet.run(&["events", &id, "--limit", "1"]).await;
    assert_eq!((part.code, part.err.as_str()), (0, "cml-fleet: there are more; --all shows them\n"));
    fleet.run(&["events", &id, "--limit", "1", "-o", "json"]).await.ok();
    fleet.run(&["events", &id, "--limit", "2"]).await.ok();
}

#[tokio::test]
async fn metrics_are_lines_of_blocks_with_gaps_where_nothing_was_measured() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let now = Outside::default().now();
    let sample = |minutes: i64, values: &[(Metric, f64)]| Sample {
        worker: id.parse().expect("an id"),
        at: Timestamp::from_second(now.as_second() - minutes * 60).expect("a time"),
        values: values.iter().copied().collect::<BTreeMap<_, _>>(),
    };
    fleet.world.state().samples = vec![
        sample(25, &[(Metric::Cpu, 5.0), (Metric::Memory, 40.0)]),
        sample(20, &[(Metric::Cpu, 55.0)]),
        sample(15, &[(Metric::Cpu, 100.0), (Metric::Memory, 60.0)]),
        sample(10, &[(Metric::Cpu, 12.25), (Metric::Memory, 70.0)]),
        sample(60 * 30, &[(Metric::Cpu, 99.0)]),
    ];
    expect![[r#"
        cpu	5.0	100.0	12.2	%	▁▅█▁
        memory	40.0	70.0	70.0	%	▄ ▅▆
        disk	-	-	-	%	    
    "#]]
    .assert_eq(&fleet.run(&["telemetry", &id]).await.ok());
    let shown = fleet
        .run_by(&Person::at_a_terminal(""), &["telemetry", &id, "--metric", "cpu", "--since", "17m"])
        .await;
    expect![[r#"
        METRIC  MIN   MAX    LAST  UNIT  0 TO 100
        cpu     12.2  100.0  12.2  %     █▁
    "#]]
    .assert_eq(&shown.ok());
    let json = fleet.run(&["telemetry", &id, "--since", "12m", "-o", "json"]).await.json();
    assert_eq!(json["items"].as_array().map(Vec::len), Some(1));
}
