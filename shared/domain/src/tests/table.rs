//! The specification, printed from nested loops. To change it on purpose: `UPDATE_EXPECT=1 cargo test -p domain`.

use std::fmt::Write;

use expect_test::expect_file;

use super::support::{
    Story, action_word, created, describe, drifted, event, hold, imported, launched, names, not_found,
    patch_tags, policy, release, running, stopped, t,
};
use crate::{Command, Desired, DriftPolicy, Event, FailureKind, Observed, Worker};

/// Long after everything that is set up here, and before anything runs out.
const NOW: i64 = 200;

#[test]
fn the_specification_is_this_table() {
    let mut text = String::from(
        "What each state of a worker calls for.\n\n\
         desired    what was asked for\n\
         observed   what EC2 last told us; `-` without an instance\n\
         situation  `not launched`: no call was made yet; `call unanswered`: a launch was called for\n\
         \x20          `not yet`: EC2 has not been as asked since it was asked; `drifted`: it has, and left\n\
         policy     what to do about drift; `any` where it makes no difference\n\
         status     what people read meanwhile\n\n",
    );
    line(&mut text, ["desired", "observed", "situation", "policy", "action", "reason", "status"]);
    for desired in Desired::ALL {
        text.push_str(&"-".repeat(98));
        text.push('\n');
        for (situation, worker) in without_instance(*desired) {
            rows(&mut text, *desired, "-", situation, &worker);
        }
        for observed in Observed::ALL {
            for (situation, worker) in with_instance(*desired, *observed) {
                assert_eq!(worker.observed(), *observed);
                rows(&mut text, *desired, observed.as_str(), situation, &worker);
            }
        }
    }
    text.push_str("\n\nWhat an attempt to start a stopped worker comes to.\n\n");
    attempts(&mut text);
    text.push_str("\n\nWhat is still done after an action was given up.\n\n");
    given_up(&mut text);
    text.push_str("\n\nWhat waits while a worker is held, and what is done once it is released.\n\n");
    held(&mut text);
    expect_file!["specification.txt"].assert_eq(&text);
}

fn rows(text: &mut String, desired: Desired, observed: &str, situation: &str, worker: &Worker) {
    let outcome = |drift: DriftPolicy| {
        let plan = worker.plan(&policy(drift), t(NOW));
        (action_word(plan.action.as_ref()), plan.reason.as_str())
    };
    let outcomes: Vec<_> = DriftPolicy::ALL.iter().map(|drift| (drift.as_str(), outcome(*drift))).collect();
    let same = outcomes.iter().all(|(_, other)| *other == outcomes[0].1);
    let shown = if same { vec![("any", outcomes[0].1)] } else { outcomes };
    for (policy, (action, reason)) in shown {
        let status = worker.status();
        line(text, [desired.as_str(), observed, situation, policy, action, reason, status.as_str()]);
    }
}

fn line(text: &mut String, [desired, observed, situation, policy, action, reason, status]: [&str; 7]) {
    let arrow = if desired == "desired" { "  " } else { "->" };
    let row = format!(
        "{desired:<10}  {observed:<13}  {situation:<15}  {policy:<6}  {arrow} {action:<9}  {reason:<17}  {status}"
    );
    text.push_str(row.trim_end());
    text.push('\n');
}

fn without_instance(desired: Desired) -> Vec<(&'static str, Worker)> {
    let called = created().issuing(0);
    match desired {
        Desired::Running => vec![("not launched", created()), ("call unanswered", called)],
        // A worker without an instance cannot be asked to stop.
        Desired::Stopped => Vec::new(),
        Desired::Terminated => {
            vec![
                ("not launched", created().asked(Command::Terminate { confirm: None }, 1)),
                ("call unanswered", called.asked(Command::Terminate { confirm: None }, 1)),
            ]
        }
    }
}

fn with_instance(desired: Desired, observed: Observed) -> Vec<(&'static str, Worker)> {
    let asked = match desired {
        Desired::Running => launched(),
        Desired::Stopped => launched().asked(Command::Stop, -3600),
        Desired::Terminated => launched().asked(Command::Terminate { confirm: None }, -3600),
    };
    let plain = see(asked.clone(), observed);
    let situation = if plain.state().reached_at.is_some() { "as asked" } else { "not yet" };
    let mut all = vec![(situation, plain)];
    let (asked_for, left_for) = match desired {
        Desired::Running => (Observed::Running, Observed::Stopped),
        Desired::Stopped => (Observed::Stopped, Observed::Running),
        Desired::Terminated => return all,
    };
    let drifted = see(asked.seeing(event(asked_for, -600)).seeing(event(left_for, -300)), observed);
    if drifted.state().drift.is_some() && drifted.observed() == observed {
        all.push(("drifted", drifted));
    }
    all
}

fn see(worker: Worker, observed: Observed) -> Worker {
    match observed {
        Observed::Unknown => worker,
        Observed::Missing => worker.seeing(not_found(0)).seeing(not_found(60)),
        seen => worker.seeing(describe(seen, 100)),
    }
}

/// A story per row, told until the moment before somebody looks at the worker again.
fn attempts(text: &mut String) {
    let start = || super::support::stopped().asked(Command::Start, 0).issuing(0);
    let falls_back =
        || start().accepted(1).seeing(event(Observed::Pending, 2)).seeing(event(Observed::Stopped, 20));
    let fifth = || {
        let mut worker = start();
        for at in [0, 1000, 2000, 3000] {
            worker = worker.refused(FailureKind::Capacity, at).issuing(at + 1000);
        }
        worker.refused(FailureKind::Capacity, 4000)
    };
    let stories: [(&str, Worker, i64); 12] = [
        ("called, 59 s ago", start(), 59),
        ("called, 60 s ago, never answered", start(), 60),
        ("accepted, 299 s ago", start().accepted(1), 299),
        ("accepted, 300 s ago", start().accepted(1), 300),
        ("accepted, fell back to stopped, 299 s ago", falls_back(), 299),
        ("accepted, fell back to stopped, 300 s ago", falls_back(), 300),
        ("refused for lack of capacity, 29 s ago", start().refused(FailureKind::Capacity, 1), 30),
        ("refused for lack of capacity, 30 s ago", start().refused(FailureKind::Capacity, 1), 31),
        ("refused for lack of permission", start().refused(FailureKind::Denied, 1), 2),
        ("refused for the fifth time, 479 s ago", fifth(), 4479),
        ("refused for the fifth time, 480 s ago", fifth(), 4480),
        ("given up", fifth().issuing(4480), 9999),
    ];
    let _ = writeln!(text, "{:<42}  {:<8}  {:<13}  {:<9}  facts", "attempt", "action", "reason", "status");
    text.push_str(&"-".repeat(110));
    text.push('\n');
    for (story, worker, at) in stories {
        let (events, plan) = worker.proceeding(at);
        let after = worker.with(&events);
        let row = format!(
            "{story:<42}  {:<8}  {:<13}  {:<9}  {}",
            action_word(plan.action.as_ref()),
            plan.reason.as_str(),
            after.status().as_str(),
            facts(&events),
        );
        text.push_str(row.trim_end());
        text.push('\n');
    }
}

/// Each on a policy that brings drift back.
fn given_up(text: &mut String) {
    let give_up = |worker: Worker| worker.issuing(0).refused(FailureKind::Denied, 1).issuing(2);
    let tag = || give_up(super::support::running().asked(patch_tags(&[("team", "labs")], &[]), 0));
    let reboot = || give_up(super::support::running().asked(Command::Reboot, 0));
    let start = || give_up(super::support::stopped().asked(Command::Start, 0));
    let adoption = || give_up(super::support::imported(Observed::Running));
    let stories: [(&str, Worker); 11] = [
        ("tag, and it runs as asked", tag()),
        ("tag, and it is stopped by somebody else", tag().seeing(event(Observed::Stopped, 10))),
        ("tag, and a reboot is asked for", tag().asked(Command::Reboot, 10)),
        ("tag, and it is synchronised", tag().asked(Command::Sync, 10)),
        ("tag of an import, and it runs as asked", adoption()),
        ("tag of an import, and a stop is asked for", adoption().asked(Command::Stop, 10)),
        ("reboot, and it runs as asked", reboot()),
        ("reboot, and other tags are asked for", reboot().asked(patch_tags(&[("team", "labs")], &[]), 10)),
        ("reboot, and it is synchronised", reboot().asked(Command::Sync, 10)),
        ("start, and it is still stopped", start()),
        ("start, and other tags are asked for", start().asked(patch_tags(&[("team", "labs")], &[]), 10)),
    ];
    let _ = writeln!(text, "{:<42}  {:<8}  {:<16}  status", "given up", "action", "reason");
    text.push_str(&"-".repeat(80));
    text.push('\n');
    for (story, worker) in stories {
        let plan = worker.plan(&policy(DriftPolicy::Revert), t(NOW));
        let (action, reason) = (action_word(plan.action.as_ref()), plan.reason.as_str());
        let _ = writeln!(text, "{story:<42}  {action:<8}  {reason:<16}  {}", worker.status().as_str());
    }
}

fn held(text: &mut String) {
    let starting = || stopped().asked(Command::Start, 0).issuing(0);
    let tags = || patch_tags(&[("team", "labs")], &[]);
    let stories = [
        ("nothing to do", running()),
        ("not launched", created()),
        ("launched, the answer lost", created().issuing(0)),
        ("EC2 says that it launched one", created().issuing(0).refused(FailureKind::AlreadyLaunched, 1)),
        ("imported, and not ours yet", imported(Observed::Running)),
        ("other tags are asked for", running().asked(tags(), 10)),
        ("a reboot is asked for", running().asked(Command::Reboot, 10)),
        ("a stop is asked for", running().asked(Command::Stop, 10)),
        ("a stop is under way", running().asked(Command::Stop, 10).issuing(10).accepted(11)),
        ("a start was refused", starting().refused(FailureKind::Capacity, 1)),
        ("a start was refused for good", starting().refused(FailureKind::Denied, 1)),
        ("a start was given up", starting().refused(FailureKind::Denied, 1).issuing(2)),
        ("the end is asked for", running().asked(Command::Terminate { confirm: None }, 10)),
        ("it drifted", drifted()),
        ("EC2 is moving it", running().seeing(event(Observed::Stopping, 10))),
    ];
    let shown = |plan: &crate::Plan| (action_word(plan.action.as_ref()), plan.reason.as_str());
    let _ =
        writeln!(text, "when it is held                 policy  action   reason         released   reason");
    text.push_str(&"-".repeat(90));
    text.push('\n');
    for (story, worker) in stories {
        let outcome = |drift: DriftPolicy| {
            let plan = |worker: &Worker, at| shown(&worker.plan(&policy(drift), t(at)));
            let worker = worker.clone().asked(hold("cabling"), 20);
            // Long after every deadline, so that it shows if one of them was missed meanwhile.
            let after = worker.with(&worker.proceed(&policy(drift), t(9999)).0);
            (plan(&after, 9999), plan(&after.asked(release(), 10_000), 10_000))
        };
        let outcomes: Vec<_> =
            DriftPolicy::ALL.iter().map(|drift| (drift.as_str(), outcome(*drift))).collect();
        let same = outcomes.iter().all(|(_, other)| *other == outcomes[0].1);
        let rows = if same { vec![("any", outcomes[0].1)] } else { outcomes };
        for (policy, ((action, reason), (then, why))) in rows {
            let _ = writeln!(text, "{story:<30}  {policy:<6}  {action:<7}  {reason:<13}  {then:<9}  {why}");
        }
    }
}

fn facts(events: &[Event]) -> String {
    names(events).join(", ")
}
