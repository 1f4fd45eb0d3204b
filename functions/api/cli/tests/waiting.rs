//! `watch`.

use domain::Observed;
use expect_test::expect;
use serde_json::json;
use tokio::time::Instant;

use crate::support::{Fleet, Outside, Person, ec2_says};

/// Somebody in whose world EC2 says this after so many looks.
fn while_ec2_says(fleet: &Fleet, worker: &str, said: Vec<(usize, Observed)>) -> Person {
    let (world, worker) = (fleet.world.clone(), worker.to_owned());
    let outside = Outside::where_(move |times| {
        for (_, observed) in said.iter().filter(|(after, _)| *after == times) {
            ec2_says(&world, &worker, *observed);
        }
    });
    Person { outside, ..Person::default() }
}

#[tokio::test]
async fn in_a_pipe_each_change_is_a_line_and_what_is_waited_for_ends_it() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    fleet.run(&["stop", "lab-1"]).await.ok();
    let person = while_ec2_says(&fleet, &id, vec![(2, Observed::Stopping), (4, Observed::Stopped)]);
    let ran = fleet.run_by(&person, &["watch", "lab-1", "--until", "stopped"]).await;
    expect![[r#"
        2026-09-21T14:13:20Z	01890a5d-ac96-774b-bcce-000000000001	lab-1 stopping, asked for stopped, next: tag (adoption)
        2026-09-21T14:13:30Z	01890a5d-ac96-774b-bcce-000000000001	lab-1 stopping, asked for stopped, next: in_transition
        2026-09-21T14:13:40Z	01890a5d-ac96-774b-bcce-000000000001	lab-1 stopped, asked for stopped, next: tag (adoption)
    "#]].assert_eq(&ran.ok());
    assert_eq!(person.outside.slept(), [5000; 4]);
}

#[tokio::test]
async fn as_json_each_change_is_the_worker() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    fleet.run(&["stop", "lab-1"]).await.ok();
    let person = while_ec2_says(&fleet, &id, vec![(3, Observed::Stopped)]);
    let ran = fleet.run_by(&person, &["watch", "lab-1", "--until", "stopped", "-o", "json"]).await.ok();
    let status =
        |line: &str| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["status"].clone();
    assert_eq!(ran.lines().map(status).collect::<Vec<_>>(), [json!("stopping"), json!("stopped")]);
}

#[tokio::test]
async fn who_cannot_get_there_any_more_or_not_in_time_is_waited_for_in_vain() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let person = Person::default();
    let late = fleet.run_by(&person, &["watch", "lab-1", "--until", "stopped", "--timeout", "12"]).await;
    assert_eq!(person.outside.slept(), [5000, 5000, 2000]);
    assert_eq!((late.code, late.err.as_str()), (6, "cml-fleet: not all of them are stopped yet\n"));
    fleet.run(&["terminate", "lab-1", "--yes"]).await.ok();
    let person = while_ec2_says(&fleet, &id, vec![(1, Observed::Terminated)]);
    let over = fleet.run_by(&person, &["watch", "lab-1", "--until", "running"]).await;
    assert_eq!((over.code, over.err.as_str()), (6, "cml-fleet: lab-1 is terminated\n"));
    assert_eq!(fleet.run(&["watch", &id, "--until", "terminated"]).await.code, 0);
}

#[tokio::test]
async fn on_a_terminal_all_is_drawn_anew() {
    let fleet = Fleet::new().await;
    fleet.worker("lab-1").await;
    let person = Person::at_a_terminal("");
    let ran = fleet.run_by(&person, &["watch", "--interval", "1", "--timeout", "2"]).await.ok();
    assert_eq!(ran.matches("\u{1b}[2J\u{1b}[H2026-09-21T14:13:2").count(), 3, "{ran:?}");
    assert_eq!(ran.matches("lab-1").count(), 3);
}

#[tokio::test]
async fn who_is_forgotten_gets_nowhere() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    fleet.run(&["stop", "lab-1"]).await.ok();
    fleet.run(&["terminate", &id, "--forget", "--yes"]).await.ok();
    let watch = async |until| fleet.run(&["watch", &id, "--until", until, "--timeout", "60"]).await;
    let ran = watch("stopped").await;
    assert_eq!((ran.code, ran.err.as_str()), (6, "cml-fleet: lab-1 is forgotten\n"));
    // Also not where it looks as if it were there already, and least of all at its end.
    let mut forgotten = fleet.run(&["get", &id, "-o", "json"]).await.json();
    for status in ["stopped", "terminated"] {
        forgotten["status"] = json!(status);
        fleet.will_answer(&format!("GET /workers/{id}"), 200, &[], &forgotten);
        let ran = watch(status).await;
        assert_eq!((ran.code, ran.err.as_str()), (6, "cml-fleet: lab-1 is forgotten\n"), "{status}");
    }
}

#[tokio::test]
async fn as_json_every_version_is_told_and_the_last_of_who_is_not_listed_any_more() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    fleet.worker("lab-2").await;
    fleet.run(&["terminate", "lab-1", "--yes"]).await.ok();
    // What was seen already makes a version, and no other words.
    let says = vec![(1, Observed::Running), (3, Observed::Terminated)];
    let told = async |output: &str| {
        let person = while_ec2_says(&fleet, &id, says.clone());
        fleet.run_by(&person, &["watch", "--timeout", "25", "-o", output]).await.ok()
    };
    let ran = told("json").await;
    let workers: Vec<serde_json::Value> =
        ran.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let seen: Vec<_> =
        workers.iter().map(|worker| (&worker["name"], &worker["version"], &worker["status"])).collect();
    let (first, second) = (json!("lab-1"), json!("lab-2"));
    assert_eq!(
        seen,
        [
            (&first, &json!(2), &json!("terminating")),
            (&second, &json!(1), &json!("running")),
            (&first, &json!(3), &json!("terminating")),
            (&first, &json!(4), &json!("terminated")),
        ]
    );
}

#[tokio::test]
async fn who_is_not_listed_any_more_is_said_to_be_that() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    fleet.run(&["terminate", "lab-1", "--yes"]).await.ok();
    let person = while_ec2_says(&fleet, &id, vec![(1, Observed::Terminated)]);
    let ran = fleet.run_by(&person, &["watch", "--timeout", "15"]).await.ok();
    assert_eq!(ran.lines().count(), 2, "{ran}");
    assert!(ran.ends_with(&format!("\t{id}\tis not listed any more\n")), "{ran}");
}

/// Somebody for whom the API is away after the first look, for so many requests.
fn while_the_api_is_away(fleet: &Fleet, line: &str, times: usize) -> Person {
    let (fleet, line) = (fleet.clone(), line.to_owned());
    let outside = Outside::where_(move |slept| {
        if slept == 1 {
            fleet.will_be_away(&line, times);
        }
    });
    Person { outside, ..Person::default() }
}

#[tokio::test]
async fn an_api_that_is_away_is_waited_for_until_the_end_and_it_is_said_once() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let watch = ["watch", id.as_str(), "--until", "stopped", "--timeout"];
    let line = format!("GET /workers/{id}");
    // More tries than a minute has: twice there is no answer.
    let person = while_the_api_is_away(&fleet, &line, 40);
    let ran = fleet.run_by(&person, &[&watch[..], &["300"]].concat()).await;
    let away = "cml-fleet: the answer was 503: Service Unavailable\n";
    assert_eq!((ran.code, ran.err), (6, format!("{away}cml-fleet: not all of them are stopped yet\n")));
    let slept: u64 = person.outside.slept().iter().sum();
    assert_eq!(slept, 300_000);

    // If it is away at the end, nobody knows.
    let person = while_the_api_is_away(&fleet, &line, 40);
    let ran = fleet.run_by(&person, &[&watch[..], &["12"]].concat()).await;
    assert_eq!((ran.code, ran.err), (1, format!("{away}{away}")));
    let slept: u64 = person.outside.slept().iter().sum();
    assert_eq!(slept, 12_000);
}

#[tokio::test]
async fn a_wait_that_is_over_waits_for_an_answer_only_for_a_moment() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    let outside = {
        let (fleet, line) = (fleet.clone(), format!("GET /workers/{id}"));
        Outside::where_(move |_| {
            fleet.will_be_silent(&line);
            tokio::time::pause();
        })
    };
    let person = Person { outside, ..Person::default() };
    let began = Instant::now();
    let ran = fleet.run_by(&person, &["watch", &id, "--interval", "40", "--timeout", "40"]).await;
    assert_eq!((ran.code, ran.err.contains("127.0.0.1 has not answered in time")), (1, true), "{}", ran.err);
    assert_eq!(person.outside.slept(), [40_000]);
    let took = began.elapsed().as_secs();
    assert!((5..15).contains(&took), "{took} s");
}

#[tokio::test]
async fn an_api_that_was_never_there_is_not_waited_for() {
    let fleet = Fleet::new().await;
    let id = fleet.worker("lab-1").await;
    fleet.will_be_away(&format!("GET /workers/{id}"), 40);
    let ran = fleet.run(&["watch", &id, "--timeout", "600"]).await;
    assert_eq!((ran.code, ran.out.as_str()), (1, ""), "{}", ran.err);
}
