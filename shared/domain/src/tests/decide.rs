//! What commands mean, and why some are refused.

use super::support::{
    Story, created, creation, describe, drifted, event, id, importation, imported, launched, names,
    not_found, operator, patch_tags, policy, running, stopped, t,
};
use crate::{
    ActionKind, AlertDuration, CheckStatus, Command, Desired, Details, DriftPolicy, Event, Evidence,
    FailureKind, Finding, GuardsPatch, Health, Observed, Overrides, Percent, PollInterval, Rejection,
    SettingsPatch, Status, TagsPatch, Worker,
};

fn patch(settings: SettingsPatch) -> Command {
    Command::Patch { name: None, tags: TagsPatch::default(), settings, guards: GuardsPatch::default() }
}

fn many_tags(from: usize, count: usize) -> Command {
    let tags: Vec<(String, String)> =
        (from..from + count).map(|n| (format!("key-{n}"), "x".to_owned())).collect();
    let tags: Vec<(&str, &str)> = tags.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    patch_tags(&tags, &[])
}

#[test]
fn a_repeated_command_yields_no_facts() {
    let rename = Command::Patch {
        name: "lab-2".parse().ok(),
        tags: TagsPatch::default(),
        settings: SettingsPatch { drift: Some(Some(DriftPolicy::Revert)), ..SettingsPatch::default() },
        guards: GuardsPatch::default(),
    };
    let commands = [
        Command::Start,
        Command::Stop,
        Command::Reboot,
        Command::Terminate { confirm: None },
        Command::Forget,
        rename,
        patch_tags(&[("team", "labs")], &[]),
    ];
    for command in commands {
        let worker = running().asked(command.clone(), 0);
        assert_eq!(worker.deciding(command.clone(), 60), Ok(Vec::new()), "{command:?}");
    }
}

#[test]
fn a_command_that_is_carried_out_already_yields_no_facts() {
    assert_eq!(running().deciding(Command::Start, 0), Ok(Vec::new()));
    assert_eq!(stopped().deciding(Command::Stop, 0), Ok(Vec::new()));
    assert_eq!(created().deciding(Command::Start, 0), Ok(Vec::new()));
}

#[test]
fn the_same_wish_is_a_fresh_order_once_ec2_drifted_from_it() {
    let events = drifted().deciding(Command::Start, 60).expect("allowed");
    assert_eq!(names(&events), ["desired_changed", "status_changed"]);
    assert!(matches!(events[0], Event::DesiredChanged { from: Desired::Running, to: Desired::Running, .. }));
}

#[test]
fn a_stop_changes_what_is_asked_for_and_the_status_at_once() {
    let events = running().deciding(Command::Stop, 0).expect("allowed");
    assert_eq!(names(&events), ["desired_changed", "status_changed"]);
    let worker = running().with(&events);
    assert_eq!((worker.status(), worker.observed()), (Status::Stopping, Observed::Running));
    assert_eq!((worker.state().desired_since, worker.state().reached_at), (t(0), None));
}

#[test]
fn nothing_can_be_asked_of_a_worker_that_ended() {
    let ended = running().seeing(event(Observed::Terminated, 0));
    let renaming = Command::Patch {
        name: "x".parse().ok(),
        tags: TagsPatch::default(),
        settings: SettingsPatch::default(),
        guards: GuardsPatch::default(),
    };
    for command in [Command::Start, Command::Stop, Command::Reboot, Command::Forget, renaming.clone()] {
        assert_eq!(ended.deciding(command.clone(), 60), Err(Rejection::Ended), "{command:?}");
    }
    assert_eq!(ended.deciding(Command::Terminate { confirm: None }, 60), Ok(Vec::new()));
    let forgotten = running().asked(Command::Forget, 0);
    for command in
        [Command::Start, Command::Stop, Command::Reboot, Command::Terminate { confirm: None }, renaming]
    {
        assert_eq!(forgotten.deciding(command.clone(), 60), Err(Rejection::Ended), "{command:?}");
    }
}

#[test]
fn there_is_no_way_back_from_terminating() {
    let worker = running().asked(Command::Terminate { confirm: None }, 0);
    for command in [Command::Start, Command::Stop] {
        assert_eq!(worker.deciding(command, 60), Err(Rejection::Terminating));
    }
    let refused = Rejection::NotRunning { desired: Desired::Terminated, observed: Observed::Running };
    assert_eq!(worker.deciding(Command::Reboot, 60), Err(refused));
}

#[test]
fn what_was_never_launched_cannot_be_stopped_or_rebooted() {
    for worker in [created(), created().issuing(0)] {
        for command in [Command::Stop, Command::Reboot] {
            assert_eq!(worker.deciding(command, 60), Err(Rejection::NotLaunched));
        }
    }
}

#[test]
fn only_what_runs_and_is_to_run_can_be_rebooted() {
    for (worker, desired, observed) in [
        (stopped(), Desired::Stopped, Observed::Stopped),
        (drifted(), Desired::Running, Observed::Stopped),
        (running().asked(Command::Stop, 0), Desired::Stopped, Observed::Running),
        (running().seeing(not_found(0)).seeing(not_found(60)), Desired::Running, Observed::Missing),
    ] {
        assert_eq!(worker.deciding(Command::Reboot, 90), Err(Rejection::NotRunning { desired, observed }));
    }
}

#[test]
fn what_was_never_called_for_ends_at_once() {
    let events = created().deciding(Command::Terminate { confirm: None }, 0).expect("allowed");
    assert_eq!(names(&events), ["desired_changed", "terminated"]);
    assert!(matches!(events[1], Event::Terminated { expected: true, .. }));
}

#[test]
fn what_was_called_for_may_exist_and_does_not_end_at_once() {
    let worker = created().issuing(0).asked(Command::Terminate { confirm: None }, 1);
    assert_eq!((worker.status(), worker.is_over()), (Status::Terminating, false));
}

#[test]
fn an_instance_on_its_way_out_cannot_be_imported() {
    for observed in [Observed::ShuttingDown, Observed::Terminated, Observed::Unknown, Observed::Missing] {
        let refused = Worker::import(id(), importation(describe(observed, 0)), operator(), t(0));
        assert_eq!(refused, Err(Rejection::InstanceEnding { observed }));
    }
    let refused = Worker::import(id(), importation(not_found(0)), operator(), t(0));
    assert_eq!(refused, Err(Rejection::InstanceEnding { observed: Observed::Missing }));
}

#[test]
fn an_import_takes_over_what_is_known_of_the_instance() {
    let check = CheckStatus::Ok;
    let health = Health { system: check, instance: check, ebs: check, at: t(0) };
    let imported = |observed| {
        let details =
            Details { health: Some(health), zone: "eu-central-1a".parse().ok(), ..Details::default() };
        let finding = Finding::State { observed, details };
        let evidence = Evidence { finding, ..describe(observed, 0) };
        Worker::import(id(), importation(evidence), operator(), t(0)).expect("imported")
    };
    let events = imported(Observed::Running);
    assert_eq!(names(&events), ["imported", "instance_observed", "desired_reached", "health_changed"]);
    let worker = Worker::born(&events).expect("born");
    assert_eq!((worker.status(), worker.state().health), (Status::Running, Some(health)));
    assert_eq!(worker.state().zone, "eu-central-1a".parse().ok());
    assert_eq!(names(&imported(Observed::Stopped)), ["imported", "instance_observed", "desired_reached"]);
}

#[test]
fn a_worker_is_born_from_its_first_fact_only() {
    assert_eq!(Worker::born(&[]), None);
    assert_eq!(Worker::born(&[Event::Forgotten { at: t(0), by: operator() }]), None);
}

#[test]
fn ec2s_fifty_tags_are_forty_seven_of_the_operators() {
    let full = running().asked(many_tags(0, 47), 0);
    assert_eq!(full.wanted_tags().len(), 50);
    let refused = Err(Rejection::TooManyTags { max: 47 });
    assert_eq!(running().deciding(many_tags(0, 48), 0), refused);
    assert_eq!(full.deciding(patch_tags(&[("new", "x")], &[]), 0), refused);
    assert!(full.deciding(patch_tags(&[("new", "x")], &["key-0"]), 0).is_ok());
    assert!(full.deciding(patch_tags(&[("key-0", "y")], &[]), 0).is_ok());
    let Command::Patch { tags, .. } = many_tags(0, 48) else { panic!("a patch") };
    let mut creation = creation("m5.large");
    creation.tags = tags.set.clone();
    assert_eq!(Worker::create(id(), creation, operator(), t(0)), refused);
    let mut importation = importation(describe(Observed::Running, 0));
    importation.tags = tags.set;
    assert_eq!(Worker::import(id(), importation, operator(), t(0)), refused);
}

#[test]
fn a_patch_of_tags_tells_only_what_changes() {
    let worker = running().asked(patch_tags(&[("team", "labs"), ("cost", "7")], &[]), 0);
    let events =
        worker.deciding(patch_tags(&[("team", "labs"), ("cost", "8")], &["nowhere"]), 1).expect("allowed");
    let [Event::TagsChanged { set, removed, .. }] = events.as_slice() else { panic!("{events:?}") };
    assert_eq!(set.keys().map(|key| key.as_str()).collect::<Vec<_>>(), ["cost"]);
    assert!(removed.is_empty());
}

#[test]
fn a_tag_that_is_both_set_and_removed_is_set_whatever_it_was() {
    for before in ["labs", "core"] {
        let worker = running().asked(patch_tags(&[("team", before)], &[]), 0);
        let worker = worker.asked(patch_tags(&[("team", "labs")], &["team"]), 1);
        let tags: Vec<&str> = worker.state().tags.values().map(|value| value.as_str()).collect();
        assert_eq!(tags, ["labs"], "was {before}");
    }
}

#[test]
fn a_new_name_is_a_tag_of_the_instance_too() {
    let renaming = Command::Patch {
        name: "lab-2".parse().ok(),
        tags: TagsPatch::default(),
        settings: SettingsPatch::default(),
        guards: GuardsPatch::default(),
    };
    let worker = running().asked(renaming, 0);
    assert_eq!(worker.wanted_tags()[crate::NAME_TAG], "lab-2");
    assert_eq!(worker.planned(1), "tag: tags_differ");
}

#[test]
fn a_patch_that_is_refused_in_part_changes_nothing() {
    let Command::Patch { tags, .. } = many_tags(0, 48) else { panic!("a patch") };
    let command = Command::Patch {
        name: "lab-2".parse().ok(),
        tags,
        settings: SettingsPatch::default(),
        guards: GuardsPatch::default(),
    };
    assert_eq!(running().deciding(command, 0), Err(Rejection::TooManyTags { max: 47 }));
}

#[test]
fn own_settings_win_over_the_fleets_and_none_follows_it() {
    let fleet = policy(DriftPolicy::Alert);
    assert_eq!(Overrides::default().over(&fleet), fleet);
    let own = Overrides {
        monitoring: Some(false),
        interval: PollInterval::new(300).ok(),
        drift: Some(DriftPolicy::Revert),
        cpu: Percent::new(50).ok(),
        memory: Percent::new(60).ok(),
        disk: Percent::new(70).ok(),
        alert_duration: AlertDuration::new(600).ok(),
    };
    let policy = own.over(&fleet);
    assert_eq!((policy.monitoring, policy.interval.get(), policy.drift), (false, 300, DriftPolicy::Revert));
    let percents = [policy.cpu, policy.memory, policy.disk].map(|threshold| threshold.percent.get());
    let durations = [policy.cpu, policy.memory, policy.disk].map(|threshold| threshold.duration.get());
    assert_eq!((percents, durations), ([50, 60, 70], [600; 3]));
}

#[test]
fn a_setting_is_left_set_or_handed_back_to_the_fleet() {
    let set = SettingsPatch { drift: Some(Some(DriftPolicy::Revert)), ..SettingsPatch::default() };
    let other = SettingsPatch { monitoring: Some(Some(false)), ..SettingsPatch::default() };
    let back = SettingsPatch { drift: Some(None), ..SettingsPatch::default() };
    let worker = running().asked(patch(set), 0);
    assert_eq!(worker.overrides().drift, Some(DriftPolicy::Revert));
    let worker = worker.asked(patch(other), 1);
    assert_eq!(
        (worker.overrides().drift, worker.overrides().monitoring),
        (Some(DriftPolicy::Revert), Some(false))
    );
    let worker = worker.asked(patch(back), 2);
    assert_eq!((worker.overrides().drift, worker.overrides().monitoring), (None, Some(false)));
}

#[test]
fn numbers_outside_their_range_are_refused_with_the_range() {
    assert!(PollInterval::new(60).is_ok() && PollInterval::new(3600).is_ok());
    for wrong in [0, 59, 3601, u32::MAX] {
        let refused = PollInterval::new(wrong).expect_err("out of range").to_string();
        assert_eq!(refused, "must be a whole number from 60 to 3600");
    }
    assert!(Percent::new(0).is_err() && Percent::new(1).is_ok());
    assert!(Percent::new(100).is_ok() && Percent::new(101).is_err());
    assert!(AlertDuration::new(59).is_err() && AlertDuration::new(3601).is_err());
}

#[test]
fn a_forgotten_instance_is_left_alone() {
    let worker = imported(Observed::Running).issuing(0).asked(Command::Forget, 1);
    assert_eq!(worker.state().attempt, None);
    assert_eq!(worker.planned(9999), "-: forgotten");
    assert_eq!(worker.proceeding(9999).0, Vec::new());
}

#[test]
fn a_late_answer_to_a_reboot_is_none_to_one_that_was_asked_for_since() {
    let rebooting = running().asked(Command::Reboot, 0).issuing(1);
    assert_eq!(rebooting.clone().accepted(2).state().reboot_requested_at, None);
    let meanwhile = rebooting.asked(Command::Stop, 2).asked(Command::Start, 3).asked(Command::Reboot, 4);
    let answered = meanwhile.with(&[Event::ActionAccepted { action: ActionKind::Reboot, at: t(5) }]);
    assert_eq!(answered.state().reboot_requested_at, Some(t(4)));
}

#[test]
fn a_reboot_that_is_asked_for_anew_is_made_whatever_became_of_the_earlier_call() {
    let rebooting = running().asked(Command::Reboot, 0).issuing(1);
    // That it stopped took the first wish back; its call is still under way.
    let stopped = rebooting.seeing(event(Observed::Stopped, 2)).seeing(event(Observed::Running, 3));
    let anew = stopped.asked(Command::Reboot, 4);
    for kind in FailureKind::ALL {
        let told = anew.clone().refused(*kind, 5);
        assert_eq!(told.planned(34), "-: backing_off", "{kind}");
        assert_eq!(told.planned(35), "reboot: reboot_requested", "{kind}");
        assert_eq!(told.issuing(35).state().attempt.as_ref().map(|attempt| attempt.number), Some(1));
    }
}

#[test]
fn a_worker_whose_launch_is_not_resolved_cannot_be_forgotten() {
    let launching = || created().issuing(0);
    for worker in [
        launching(),
        launching().refused(FailureKind::Other, 1),
        launching().refused(FailureKind::AlreadyLaunched, 1),
        launching().asked(Command::Terminate { confirm: None }, 1),
    ] {
        assert_eq!(
            worker.deciding(Command::Forget, 2),
            Err(Rejection::Launching),
            "{:?}",
            worker.state().attempt
        );
    }
    let hopeless = launching().refused(FailureKind::Invalid, 1);
    let given_up = hopeless.with(&hopeless.proceeding(2).0);
    for worker in [created(), launched(), given_up] {
        let names = names(&worker.deciding(Command::Forget, 3).expect("nothing is lost by it"));
        assert_eq!(names, ["forgotten"]);
    }
}
