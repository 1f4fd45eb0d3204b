//! What is launched instead, when, and under which token.

use super::support::{Story, creation, hold, id, operator, policy, release, t};
use crate::{
    Action, ActionKind, Alternative, Command, DriftPolicy, Event, FailureKind, LaunchSpec, MAX_ATTEMPTS,
    Status, Worker,
};

fn alternative(instance_type: Option<&str>, subnet: Option<&str>) -> Alternative {
    Alternative { instance_type: instance_type.map(str::to_owned), subnet: subnet.map(str::to_owned) }
}

/// Created as bare metal in one subnet; else a smaller one there, else bare metal in another subnet.
fn created() -> Worker {
    let mut command = creation("m5zn.metal");
    command.spec.subnet = Some("subnet-1".to_owned());
    command.spec.alternatives =
        vec![alternative(Some("c5.large"), None), alternative(None, Some("subnet-2"))];
    let events = Worker::create(id(), command, operator(), t(-9)).expect("created");
    Worker::born(&events).expect("born")
}

/// What is launched at a time, as type, subnet and token; and the number of the attempt.
fn launch(worker: &Worker, at: i64) -> Option<(String, u32)> {
    let (events, plan) = worker.proceeding(at);
    let number = events.iter().find_map(|event| match event {
        Event::ActionIssued { number, .. } => Some(*number),
        _ => None,
    });
    let Some(Action::Launch { spec, token, .. }) = plan.action else { return None };
    let LaunchSpec { instance_type: Some(kind), subnet: Some(subnet), .. } = *spec else { panic!("both") };
    let suffix = token.strip_prefix(&id().to_string()).expect("the worker's").to_owned();
    Some((format!("{kind} {subnet} *{suffix}"), number.expect("issued")))
}

fn says(worker: &Worker) -> String {
    let attempt = worker.state().attempt.clone().expect("an attempt");
    attempt.failed.expect("failed").0.message
}

#[test]
fn where_ec2_has_no_room_the_next_alternative_is_tried_at_once_and_in_the_end_all_again() {
    let mut worker = created();
    let mut tried = Vec::new();
    let mut at = 0;
    while worker.state().gave_up.is_empty() {
        assert!(at < 9999, "it gives up in the end");
        if let Some((what, number)) = launch(&worker, at) {
            tried.push(format!("{at}: {number} {what}"));
            let kind = if what.contains("c5") { FailureKind::Unsupported } else { FailureKind::Capacity };
            worker = worker.issuing(at).refused(kind, at);
        } else {
            worker = worker.issuing(at);
            at += 30;
        }
    }
    let round = ["m5zn.metal subnet-1 *", "c5.large subnet-1 *-1", "m5zn.metal subnet-2 *-2"];
    let expected: Vec<String> = [(0, 1), (30, 2), (90, 3), (210, 4), (450, 5)]
        .iter()
        .flat_map(|(at, number)| round.map(|what| format!("{at}: {number} {what}")))
        .collect();
    assert_eq!(tried, expected);
    assert_eq!((worker.status(), tried.len()), (Status::Failed, 3 * MAX_ATTEMPTS as usize));
    let reason = &worker.state().gave_up[&ActionKind::Launch].reason;
    assert_eq!(
        reason,
        "EC2 has no room for m5zn.metal in subnet-2: EC2 says capacity; that was the last alternative"
    );
    assert_eq!(launch(&worker.asked(Command::Start, at), at).expect("afresh").0, round[0]);
}

#[test]
fn an_operator_is_told_what_was_refused_and_what_is_next() {
    let worker = created().issuing(0).refused(FailureKind::Quota, 1);
    assert_eq!(worker.alternative(), Some(1));
    assert_eq!(
        says(&worker),
        "the account's quota does not allow m5zn.metal in subnet-1: EC2 says quota; next is alternative 1 of 2, \
         c5.large in subnet-1"
    );
    let worker = worker.issuing(1).refused(FailureKind::Unsupported, 2);
    assert_eq!(
        says(&worker),
        "EC2 does not offer c5.large in subnet-1: EC2 says unsupported; next is alternative 2 of 2, m5zn.metal in subnet-2"
    );
}

#[test]
fn the_fact_says_by_which_alternative_and_the_time_limit_is_that_ones() {
    let worker = created().issuing(0).refused(FailureKind::Capacity, 1);
    let (events, _) = worker.proceeding(1);
    let [Event::ActionIssued { alternative, deadline, number, .. }] = events.as_slice() else {
        panic!("{events:?}")
    };
    assert_eq!((*alternative, *number, *deadline), (Some(1), 1, t(1 + 600)));
    assert_eq!(worker.act_by(&policy(DriftPolicy::Alert), t(1)), Some(t(1)));
    let attempt = worker.with(&events).state().attempt.clone().expect("under way");
    assert_eq!(attempt.alternative, Some(1));
}

#[test]
fn no_other_failure_leads_to_another_alternative() {
    for kind in FailureKind::ALL.iter().filter(|kind| !kind.is_elsewhere()) {
        let worker = created().issuing(0).refused(*kind, 1);
        assert_eq!(worker.alternative(), Some(0), "{kind}");
    }
    let worker = created().issuing(0);
    assert_eq!(launch(&worker, 60).expect("again"), ("m5zn.metal subnet-1 *".to_owned(), 2));
}

#[test]
fn while_a_launch_whose_answer_was_lost_may_still_show_nothing_else_is_launched() {
    let lost = created().issuing(0).refused(FailureKind::Other, 1);
    let crashed = created().issuing(0);
    let asked_again =
        created().issuing(0).asked(Command::Start, 2).asked(Command::Terminate { confirm: None }, 3);
    assert!(matches!(asked_again.proceeding(4).1.action, Some(Action::Locate)));
    for open in [lost, crashed] {
        for kind in [FailureKind::Capacity, FailureKind::Unsupported] {
            let early = open.clone().issuing(60).refused(kind, 299);
            assert_eq!(launch(&early, 400).expect("again").0, "m5zn.metal subnet-1 *");
            let late = open.clone().issuing(60).refused(kind, 300);
            assert_eq!(launch(&late, 300).expect("another").0, "c5.large subnet-1 *-1");
        }
    }
}

#[test]
fn a_refusal_that_arrives_after_another_order_does_not_move_on() {
    let failed = created().issuing(0).refused(FailureKind::Denied, 1).issuing(2);
    assert_eq!(failed.status(), Status::Failed);
    let worker = failed.asked(Command::Start, 3).issuing(3).asked(Command::Terminate { confirm: None }, 4);
    let late = crate::Failure { kind: FailureKind::Capacity, message: "late".to_owned() };
    let worker = worker.with(&[worker.action_failed(ActionKind::Launch, late, t(5))]);
    assert_eq!(worker.alternative(), Some(0));
}

#[test]
fn without_alternatives_what_ec2_does_not_offer_is_the_end_and_no_room_is_not() {
    let worker = super::support::created().issuing(0);
    let unsupported = worker.clone().refused(FailureKind::Unsupported, 1);
    assert_eq!(unsupported.planned(40), "-: exhausted");
    assert_eq!(worker.refused(FailureKind::Quota, 1).planned(40), "launch: not_launched");
}

#[test]
fn a_failed_status_says_why() {
    let (events, _) = super::support::created().issuing(0).refused(FailureKind::Unsupported, 1).proceeding(2);
    let said = events.iter().find_map(|event| match event {
        Event::StatusChanged { to: Status::Failed, reason, .. } => Some(reason.as_str()),
        _ => None,
    });
    assert_eq!(
        said,
        Some("gave up trying to launch after 1 attempts: EC2 does not offer m5.large: EC2 says unsupported")
    );
}

#[test]
fn a_token_is_short_ascii_and_one_for_each_alternative() {
    let tokens: std::collections::BTreeSet<String> = (0..=5).map(|n| id().client_token(n)).collect();
    assert_eq!(tokens.len(), 6);
    assert!(tokens.iter().all(|token| token.is_ascii() && token.len() <= 64));
    assert!(tokens.contains(&id().to_string()));
}

#[test]
fn an_alternative_that_is_due_at_once_waits_for_its_turn_like_any_launch() {
    let refused = created().issuing(0).refused(FailureKind::Capacity, 1);
    assert_eq!(refused.planned(1), "launch: not_launched");
    let queued = refused.with(&refused.queue(&policy(DriftPolicy::Alert), t(1), t(100)).0);
    assert_eq!((queued.planned(99), queued.alternative()), ("-: queued".to_owned(), Some(1)));
    let waited = launch(&queued, 100);
    assert_eq!(
        waited,
        Some(("c5.large subnet-1 *-1".to_owned(), 1)),
        "to wait is no attempt, and both are one"
    );
}

#[test]
fn a_release_counts_afresh_and_goes_on_where_it_was() {
    let moving = created().issuing(0).refused(FailureKind::Capacity, 1);
    let released = moving.asked(hold("cabling"), 2).asked(release(), 3);
    assert_eq!(launch(&released, 4).expect("another"), ("c5.large subnet-1 *-1".to_owned(), 1));
}
