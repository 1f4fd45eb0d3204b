//! `watch`.

use domain::Observed;
use expect_test::expect;
use serde_json::json;

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
    let late = fleet.run(&["watch", "lab-1", "--until", "stopped", "--timeout", "12"]).await;
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
