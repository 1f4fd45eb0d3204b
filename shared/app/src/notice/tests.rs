//! Every fact in its words, and the rules of who is told of what.

mod facts;

use std::collections::BTreeSet;
use std::fmt::Write as _;

use domain::{ActionKind, Actor, AlertKind, Desired, DriftPolicy, Event, Observed, Source, Status};
use expect_test::expect_file;

use super::{Notice, Reach, digest, message, notices};
use crate::ports::TopicMessage;
use facts::{
    WORKER, actions, alert, alice, created, desired, drift, drift_detected, every_fact, gave_up, record,
    resolved, sighted, status, terminated, time,
};

#[test]
fn every_fact_in_its_words() {
    let mut shown = String::new();
    for event in every_fact() {
        let record = record(vec![event]);
        let Some(notice) = notices(&record).pop() else {
            let _ = writeln!(shown, "=== {}: bookkeeping\n", record.events[0].name());
            continue;
        };
        let reach = if notice.reach == Reach::Everyone { "everyone" } else { "systems" };
        let _ = writeln!(shown, "=== {}: {}, for {reach}", notice.fact, notice.severity);
        let _ = writeln!(shown, "{}", notice.text());
    }
    expect_file!["tests/every_fact.txt"].assert_eq(&shown);
}

#[test]
fn one_drift_on_every_channel() {
    let record = record(vec![
        sighted(Observed::Stopped, false),
        drift_detected(DriftPolicy::Revert),
        status(Status::Running, Status::Stopped),
    ]);
    let mut shown = String::new();
    for notice in notices(&record).iter().filter(|notice| notice.reach == Reach::Everyone) {
        let message = message(notice);
        let _ = writeln!(shown, "subject: {}\nattributes: {:#?}", message.subject, message.attributes);
        for (protocol, body) in &message.bodies {
            let json: Option<serde_json::Value> = serde_json::from_str(body).ok();
            let body = json.map_or_else(|| body.clone(), |json| format!("{json:#}"));
            let _ = writeln!(shown, "--- {protocol}\n{body}");
        }
    }
    expect_file!["tests/one_drift.txt"].assert_eq(&shown);
}

/// Who is told of what: `severity fact` for what everyone is told of, in brackets what only systems are.
#[track_caller]
fn told(events: Vec<Event>, expected: &str) {
    let all: Vec<String> = notices(&record(events))
        .iter()
        .map(|notice| match notice.reach {
            Reach::Everyone => format!("{} {}", notice.severity, notice.fact),
            Reach::Systems => format!("[{}]", notice.fact),
        })
        .collect();
    assert_eq!(all.join(", "), expected);
}

#[test]
fn a_drift_is_one_message_and_its_change_of_status_is_in_it() {
    let events = vec![
        sighted(Observed::Stopped, false),
        drift_detected(DriftPolicy::Alert),
        status(Status::Running, Status::Stopped),
    ];
    told(events.clone(), "[instance_observed], warning drift_detected, [status_changed]");
    assert!(notices(&record(events))[1].text().contains("Status:   running -> stopped"));
}

#[test]
fn a_drift_that_is_adopted_is_one_message() {
    let adopted = desired(Desired::Running, Desired::Stopped, Actor::Policy);
    told(
        vec![drift_detected(DriftPolicy::Adopt), adopted, status(Status::Running, Status::Stopped)],
        "warning drift_detected, [desired_changed], [status_changed]",
    );
}

#[test]
fn a_drift_that_is_reverted_is_told_when_it_is_found_and_when_it_is_over() {
    let mut issued = actions();
    issued.truncate(1);
    issued.push(status(Status::Stopped, Status::Starting));
    told(issued, "[action_issued], [status_changed]");
    let resolved = Event::DriftResolved {
        drift: drift(Desired::Running, Observed::Stopped, Source::Event),
        at: time("10:02:00"),
    };
    told(
        vec![sighted(Observed::Running, false), resolved, status(Status::Starting, Status::Running)],
        "[instance_observed], info drift_resolved, [status_changed]",
    );
}

#[test]
fn a_stop_that_was_asked_for_is_told_quietly() {
    told(
        vec![desired(Desired::Running, Desired::Stopped, alice()), status(Status::Running, Status::Stopping)],
        "info desired_changed, [status_changed]",
    );
    told(
        vec![
            sighted(Observed::Stopped, false),
            Event::DesiredReached { at: time("10:00:00") },
            status(Status::Stopping, Status::Stopped),
        ],
        "[instance_observed], info status_changed",
    );
}

#[test]
fn a_protection_is_told_when_it_changes_and_a_hold_always() {
    let protected = || Event::ProtectionChanged { protected: true, by: alice() };
    let held = || {
        let reason = "the disk is swapped by hand".parse().expect("a reason");
        Event::Held { reason, at: time("10:00:00"), by: alice() }
    };
    told(vec![protected(), held()], "info protection_changed, info held");
    told(vec![created(), protected()], "info created, [protection_changed]");
    told(vec![facts::imported(), protected(), held()], "info imported, [protection_changed], info held");
    told(vec![Event::Released { at: time("10:00:00"), by: alice() }], "info released");
}

#[test]
fn giving_up_is_one_message() {
    told(
        vec![actions().remove(2), actions().remove(5), status(Status::Starting, Status::Failed)],
        "[action_failed], critical gave_up, [status_changed]",
    );
}

#[test]
fn giving_up_what_keeps_nothing_else_from_being_done_is_a_warning() {
    told(vec![gave_up(ActionKind::Tag, "no")], "warning gave_up");
    told(vec![gave_up(ActionKind::Reboot, "no")], "warning gave_up");
    told(vec![gave_up(ActionKind::Locate, "no")], "critical gave_up");
}

#[test]
fn an_alert_about_load_does_not_hide_a_change_of_status() {
    told(
        vec![resolved(AlertKind::Cpu, "it no longer runs"), status(Status::Running, Status::Stopped)],
        "info alert_resolved, info status_changed",
    );
    told(
        vec![alert(AlertKind::Missing, "gone"), status(Status::Running, Status::Unknown)],
        "warning alert_raised, [status_changed]",
    );
}

#[test]
fn an_end_is_one_message() {
    told(
        vec![sighted(Observed::Terminated, false), terminated(true)],
        "[instance_observed], info terminated",
    );
    told(vec![terminated(false)], "critical terminated");
    told(
        vec![desired(Desired::Running, Desired::Terminated, alice()), terminated(true)],
        "[desired_changed], info terminated",
    );
}

#[test]
fn an_id_names_worker_version_and_place_and_has_no_dot() {
    let ids: Vec<String> = notices(&record(every_fact())).into_iter().map(|notice| notice.id).collect();
    assert_eq!(ids[0], format!("{WORKER}_7_0"));
    assert!(ids.iter().all(|id| !id.contains('.')));
    assert_eq!(ids.len(), ids.iter().collect::<BTreeSet<_>>().len());
}

#[test]
fn a_notice_is_kept_as_it_is() {
    for notice in notices(&record(every_fact())) {
        let kept = serde_json::to_string(&notice).expect("written");
        assert_eq!(serde_json::from_str::<Notice>(&kept).expect("read"), notice);
    }
}

#[test]
fn a_reason_from_outside_cannot_forge_a_line_or_mention_anybody() {
    let evil = "<!channel> *stop*\r\nBcc: all@example.test \u{202e}<https://evil.test|click>";
    let event = Event::StatusChanged { from: Status::Running, to: Status::Stopped, reason: evil.to_owned() };
    let message = message(&notices(&record(vec![event]))[0]);
    assert!(message.bodies["email"].contains("Why: <!channel> *stop*  Bcc: all@example.test <https"));
    let chat = &message.bodies["https"];
    assert!(
        chat.contains("&lt;!channel&gt; ∗stop∗") && !chat.contains("<!") && !chat.contains("<http"),
        "{chat}"
    );
}

#[test]
fn a_message_with_the_largest_facts_is_small_enough_for_sns() {
    let Event::Created { id, name, account, region, spec, overrides, at, by, .. } = created() else {
        unreachable!()
    };
    let tag =
        |n: u8| (format!("{n:ü>128}").parse().expect("a key"), "ü".repeat(256).parse().expect("a value"));
    let tags = (0..47).map(tag).collect();
    let event = Event::Created { id, name, account, region, spec, tags, overrides, at, by };
    let notice = notices(&record(vec![event])).remove(0);
    assert!(notice.event.to_string().len() > 30_000);
    let small = message(&notice);
    let bytes = |message: &TopicMessage| serde_json::to_string(&message.bodies).expect("json").len();
    assert!(bytes(&small) < 250_000, "{}", bytes(&small));

    let many = vec![notice; 500];
    let message = digest(&many).expect("some");
    assert!(bytes(&message) < 250_000, "{}", bytes(&message));
    assert!(bytes(&message) > 100_000);
}

#[test]
fn a_digest_is_called_by_all_that_is_in_it() {
    let notices: Vec<Notice> = (1..=4)
        .flat_map(|version| {
            let wanted = record(vec![desired(Desired::Running, Desired::Stopped, alice())]);
            notices(&crate::record::EventRecord { version, ..wanted })
        })
        .collect();
    let [one, two, three, four] = notices.as_slice() else { panic!("{notices:?}") };
    let id = |of: &[&Notice]| {
        let of: Vec<Notice> = of.iter().map(|notice| (*notice).clone()).collect();
        let message = digest(&of).expect("some");
        let event: serde_json::Value = serde_json::from_str(&message.bodies["sqs"]).expect("json");
        assert_eq!(event["id"], message.attributes["id"].as_str());
        message.attributes["id"].clone()
    };
    assert_eq!(id(&[one, two, three]), id(&[three, one, two]));
    for others in [[one, two, four].as_slice(), &[one, two], &[one, two, three, four]] {
        assert_ne!(id(&[one, two, three]), id(others));
    }
}

#[test]
fn a_digest_starts_with_the_most_urgent_and_counts_the_rest() {
    let mut many = Vec::new();
    for _ in 0..60 {
        many.extend(notices(&record(vec![desired(Desired::Running, Desired::Stopped, alice())])));
    }
    many.extend(notices(&record(vec![terminated(false)])));
    let message = digest(&many).expect("some");
    assert_eq!(message.subject, "[CRITICAL] 61 notices: 1 critical, 60 info");
    assert_eq!(message.attributes["severity"], "critical");
    let email: Vec<&str> = message.bodies["email"].lines().skip(4).collect();
    assert_eq!(
        email[0],
        "2026-03-01T10:00:00Z critical web-1 was terminated, and cml-fleet was not asked to"
    );
    assert_eq!((email.len(), *email.last().expect("a line")), (51, "and 11 more"));
    let event: serde_json::Value = serde_json::from_str(&message.bodies["sqs"]).expect("json");
    let carried = event["data"]["events"].as_array().expect("events").len();
    assert_eq!(event["data"]["omitted"], 61 - carried);
    assert!(carried > 20, "{carried}");
    let chat: serde_json::Value = serde_json::from_str(&message.bodies["https"]).expect("json");
    assert_eq!(chat["source"], "custom");
    assert!(chat["content"]["description"].as_str().expect("text").ends_with("and 46 more"));
    assert_eq!(digest(&[]), None);
}
