//! Words: one spelling each, and every one of them is read back.

use std::collections::BTreeSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use super::support::{
    Story, created, describe, drifted, event, failed, hold, imported, names, not_found, patch_tags, protect,
    release, running, stopped, t,
};
use crate::{
    ActionKind, AlertKind, CheckStatus, Command, Desired, DriftPolicy, Event, FailureKind, Metric, Observed,
    Region, Source, Status, UnknownWord, WorkerId,
};

fn round_trips<T>(all: &[T], word: fn(T) -> &'static str)
where
    T: Copy + Debug + Display + PartialEq + FromStr<Err = UnknownWord>,
{
    let mut words = BTreeSet::new();
    for value in all {
        let text = word(*value);
        assert_eq!(text.parse(), Ok(*value));
        assert_eq!(value.to_string(), text);
        assert!(words.insert(text), "{text} means two things");
        assert!(text.chars().all(|c| c.is_ascii_lowercase() || c == '_' || c == '-'), "{text}");
    }
    for stranger in ["", "Running", " ok", "nonsense"] {
        let refused = stranger.parse::<T>().expect_err("not a word").to_string();
        assert!(words.iter().all(|word| refused.contains(word)), "{refused}");
    }
}

#[test]
fn every_word_is_read_back_as_what_it_was() {
    round_trips(Desired::ALL, Desired::as_str);
    round_trips(Observed::ALL, Observed::as_str);
    round_trips(Status::ALL, Status::as_str);
    round_trips(Source::ALL, Source::as_str);
    round_trips(CheckStatus::ALL, CheckStatus::as_str);
    round_trips(DriftPolicy::ALL, DriftPolicy::as_str);
    round_trips(ActionKind::ALL, ActionKind::as_str);
    round_trips(FailureKind::ALL, FailureKind::as_str);
    round_trips(AlertKind::ALL, AlertKind::as_str);
    round_trips(Metric::ALL, Metric::as_str);
}

/// One fact of every kind, each made by what makes it in life where that is short.
fn one_of_each() -> Vec<Event> {
    let mut all = Vec::new();
    all.extend(crate::Worker::create(
        super::support::id(),
        super::support::creation("m5.large"),
        super::support::operator(),
        t(0),
    ));
    let mut all: Vec<Event> = all.into_iter().flatten().collect();
    let importation = super::support::importation(describe(Observed::Running, 0));
    all.extend(
        crate::Worker::import(super::support::id(), importation, super::support::operator(), t(0))
            .expect("imported"),
    );
    let rename = Command::Patch {
        name: "lab-2".parse().ok(),
        tags: crate::TagsPatch::default(),
        settings: crate::SettingsPatch { monitoring: Some(Some(false)), ..crate::SettingsPatch::default() },
        guards: crate::GuardsPatch::default(),
    };
    for command in [
        rename,
        patch_tags(&[("team", "labs")], &[]),
        hold("cabling"),
        protect(true),
        Command::Stop,
        Command::Reboot,
        Command::Forget,
    ] {
        all.extend(running().deciding(command, 0).expect("allowed"));
    }
    all.extend(running().asked(hold("cabling"), 0).deciding(release(), 1).expect("allowed"));
    all.extend(running().learning(&event(Observed::Stopped, 0)));
    all.extend(drifted().learning(&event(Observed::Running, 60)));
    all.extend(running().learning(&event(Observed::Terminated, 0)));
    all.extend(running().learning(&failed(0)));
    let missing = running().seeing(not_found(0));
    let raised = missing.learning(&not_found(60));
    all.extend(missing.with(&raised).learning(&describe(Observed::Running, 120)));
    all.extend(raised);
    let starting = stopped().asked(Command::Start, 0).issuing(0);
    all.extend(starting.proceeding(300).0);
    all.extend(starting.refused(FailureKind::Denied, 1).proceeding(2).0);
    let untagged = imported(Observed::Running).issuing(0).refused(FailureKind::Denied, 1).issuing(2);
    all.extend(untagged.deciding(Command::Sync, 3).expect("allowed"));
    all.extend(created().proceeding(0).0);
    all.extend(created().queue(&super::support::policy(crate::DriftPolicy::Alert), t(0), t(60)).0);
    let overtaken = running().asked(Command::Stop, 0).issuing(0).accepted(1).asked(Command::Start, 5);
    all.extend(overtaken.seeing(event(Observed::Stopped, 30)).proceeding(31).0);
    let health = |system| crate::Health { system, instance: CheckStatus::Ok, ebs: CheckStatus::Ok, at: t(0) };
    all.push(Event::HealthChanged { from: None, to: health(CheckStatus::Impaired) });
    all.push(Event::ActionAccepted { action: ActionKind::Start, at: t(0) });
    all.push(Event::Launched { instance: super::support::INSTANCE.parse().expect("an id"), at: t(0) });
    all.push(Event::TagsApplied { set: [].into(), removed: [].into() });
    assert_eq!(imported(Observed::Running).state().name.as_str(), "lab-1");
    all
}

#[test]
fn every_kind_of_fact_has_a_name_of_its_own() {
    let all = one_of_each();
    let mut kinds = Vec::new();
    for event in &all {
        let kind = std::mem::discriminant(event);
        if !kinds.iter().any(|(known, _)| *known == kind) {
            assert!(kinds.iter().all(|(_, name)| *name != event.name()), "{} twice", event.name());
            kinds.push((kind, event.name()));
        }
    }
    let names: BTreeSet<&str> = names(&all).into_iter().collect();
    let expected = "action_accepted action_failed action_issued action_overtook action_queued alert_raised alert_resolved created \
                    desired_changed desired_reached drift_detected drift_resolved forgotten gave_up health_changed held \
                    imported instance_not_found instance_observed launched observation_failed protection_changed \
                    reboot_requested released renamed retry_requested settings_changed status_changed tags_applied tags_changed terminated";
    assert_eq!(names, expected.split_whitespace().collect());
    assert_eq!(kinds.len(), names.len());
}

#[test]
fn an_identifier_has_one_spelling() {
    for good in ["us-east-1", "eu-central-1", "us-gov-west-1"] {
        assert_eq!(good.parse::<Region>().map(|region| region.to_string()).as_deref(), Ok(good));
    }
    for bad in ["", "us-east", "US-EAST-1", "us-east-1a", "us--1", "us-east-1-"] {
        assert!(bad.parse::<Region>().is_err(), "{bad}");
    }
    let id = "0197f5a0-0000-7000-8000-00000000000a";
    assert_eq!(id.parse::<WorkerId>().map(|id| id.to_string()).as_deref(), Ok(id));
    for bad in [id.to_uppercase(), id.replace('-', ""), format!("{{{id}}}"), String::new()] {
        assert!(bad.parse::<WorkerId>().is_err(), "{bad}");
    }
}
