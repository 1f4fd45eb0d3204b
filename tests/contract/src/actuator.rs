//! Laws of changing EC2.

use std::collections::{BTreeMap, BTreeSet};

use app::ports::{Accepted, Actuator, Compute};
use domain::{Action, ActionKind, Failure, FailureKind, InstanceId, Observed, WorkerId};

use crate::Subject;
use crate::compute::{described, launch, launched, running, tags, until};

async fn call(subject: &impl Subject, worker: WorkerId, action: &Action) -> Result<Accepted, Failure> {
    subject.actuator().call(&subject.region(), worker, action).await
}

/// The state that EC2 reported when it accepted the call.
async fn accepted(subject: &impl Subject, action: Action) -> Option<Observed> {
    call(subject, subject.new_worker(), &action).await.expect("accepted").observed
}

/// Without it a launch whose answer was lost would be made, and paid for, twice (EC2 API reference, "Ensuring idempotency":
/// the same client token, the same instance).
pub async fn a_launch_with_the_same_token_is_the_same_launch(subject: &impl Subject) {
    let worker = subject.new_worker();
    let first = call(subject, worker, &launch(subject, worker)).await.expect("launched");
    assert!(matches!(first.observed, Some(Observed::Pending | Observed::Running)), "{first:?}");
    let instance = first.launched.expect("EC2 describes what it launched");
    assert_eq!((&instance.instance, &instance.account), (&first.instance, &subject.account()));
    let again = call(subject, worker, &launch(subject, worker)).await.expect("launched");
    assert_eq!(again.instance, first.instance);
    let found = subject.compute().locate(&subject.region(), worker).await.expect("answered");
    assert_eq!(found.len(), 1);
    assert_ne!(launched(subject).await.1, first.instance, "another worker has another one");
}

/// Without it a launch repeated after a change of tags would make a second instance, or look as if it could never be made (EC2 API
/// reference, "Ensuring idempotency": `IdempotentParameterMismatch`).
pub async fn a_token_is_good_for_one_launch_only(subject: &impl Subject) {
    let (worker, id) = launched(subject).await;
    let Action::Launch { spec, token, mut tags, user_data } = launch(subject, worker) else {
        panic!("a launch")
    };
    tags.insert("course".to_owned(), "CCNA".to_owned());
    let refused =
        call(subject, worker, &Action::Launch { spec, token, tags, user_data }).await.expect_err("refused");
    assert_eq!(refused.kind, FailureKind::AlreadyLaunched, "{refused:?}");
    let found = subject.compute().locate(&subject.region(), worker).await.expect("answered");
    assert!(found.iter().map(|instance| &instance.instance).eq([&id]), "{found:?}");
}

/// Without it there would be no fleet to drive. EC2 accepts first and gets there later (EC2 user guide, "Instance state
/// changes").
pub async fn an_instance_goes_where_it_is_sent(subject: &impl Subject) {
    use Observed::{Pending, Running, ShuttingDown, Stopped, Stopping, Terminated};
    let id = running(subject).await.1;
    assert!(matches!(accepted(subject, Action::Reboot(id.clone())).await, None | Some(Running)));
    until(subject, &id, Running).await;
    assert!(matches!(accepted(subject, Action::Stop(id.clone())).await, Some(Stopping | Stopped)));
    until(subject, &id, Stopped).await;
    assert_eq!(described(subject, &id).await.observed, Stopped);
    assert!(matches!(accepted(subject, Action::Start(id.clone())).await, Some(Pending | Running)));
    until(subject, &id, Running).await;
    assert!(matches!(
        accepted(subject, Action::Terminate(id.clone())).await,
        Some(ShuttingDown | Terminated)
    ));
    until(subject, &id, Terminated).await;
}

/// An instance that runs, one that is stopped and one that has ended, each with the call that asks for just that.
async fn settled(subject: &impl Subject) -> Vec<(Action, Observed)> {
    let ids = [running(subject).await.1, running(subject).await.1, running(subject).await.1];
    let [up, down, gone] = ids;
    accepted(subject, Action::Stop(down.clone())).await;
    accepted(subject, Action::Terminate(gone.clone())).await;
    until(subject, &down, Observed::Stopped).await;
    until(subject, &gone, Observed::Terminated).await;
    vec![
        (Action::Start(up), Observed::Running),
        (Action::Stop(down), Observed::Stopped),
        (Action::Terminate(gone), Observed::Terminated),
    ]
}

/// Without it a repeated call would be taken for a failure, or would move what is where it should be (EC2 API reference:
/// "`StartInstances`", "`StopInstances`", "`TerminateInstances`": repeating one is no error).
pub async fn what_is_so_already_is_accepted_and_stays_so(subject: &impl Subject) {
    for (action, observed) in settled(subject).await {
        for _ in 0..2 {
            accepted(subject, action.clone()).await;
            let (Action::Start(id) | Action::Stop(id) | Action::Terminate(id)) = &action else {
                panic!("one of the three")
            };
            assert_eq!(described(subject, id).await.observed, observed);
        }
    }
}

/// Without it the record would say, on EC2's word, that an instance moves which does not (EC2 API reference,
/// "`InstanceStateChange`": the current state).
pub async fn what_is_so_already_is_said_to_be_so(subject: &impl Subject) {
    let (mut said, mut is) = (Vec::new(), Vec::new());
    for (action, observed) in settled(subject).await {
        said.push(accepted(subject, action).await);
        is.push(Some(observed));
    }
    assert_eq!(said, is, "EC2 says where each is already");
}

/// Without it a worker that has ended could come back (EC2 API reference, "Error codes", `IncorrectInstanceState`).
pub async fn what_has_ended_cannot_be_started(subject: &impl Subject) {
    let id = running(subject).await.1;
    accepted(subject, Action::Terminate(id.clone())).await;
    for action in [Action::Start(id.clone()), Action::Stop(id.clone())] {
        let refused = call(subject, subject.new_worker(), &action).await.expect_err("refused");
        assert_eq!(refused.kind, FailureKind::IncorrectState, "{action:?}: {refused:?}");
    }
    until(subject, &id, Observed::Terminated).await;
    let refused = call(subject, subject.new_worker(), &Action::Start(id.clone())).await.expect_err("refused");
    assert_eq!(refused.kind, FailureKind::IncorrectState);
    assert_eq!(described(subject, &id).await.observed, Observed::Terminated);
}

/// Without it an imported instance would lose its owner's tags, or keep those of ours that were taken back (EC2 API
/// reference, "`CreateTags`": the others stay; "`DeleteTags`": without a value the tag goes whatever it says).
pub async fn tags_are_set_and_removed_by_key(subject: &impl Subject) {
    let (worker, instance) = running(subject).await;
    let text = str::to_owned;
    let set = BTreeMap::from([(text("Name"), text("lab 1")), (text("course"), text("CCNA"))]);
    let remove = BTreeSet::from([text("empty"), text("never was")]);
    let mut expected = tags(worker);
    expected.remove("empty");
    expected.extend(set.clone());
    for _ in 0..2 {
        let action = Action::Tag { instance: instance.clone(), set: set.clone(), remove: remove.clone() };
        let answer = call(subject, worker, &action).await.expect("accepted");
        assert_eq!(answer, Accepted { instance: instance.clone(), observed: None, launched: None });
        assert_eq!(described(subject, &instance).await.tags, expected);
    }
    let nothing = Action::Tag { instance: instance.clone(), set: BTreeMap::new(), remove: BTreeSet::new() };
    call(subject, worker, &nothing).await.expect("nothing to do");
    assert_eq!(described(subject, &instance).await.tags, expected);
}

/// Without it tags that are within EC2's limit could not take the place of others (EC2 user guide, "Tag your Amazon EC2 resources": 50
/// for each).
pub async fn tags_make_room_for_others_and_there_are_fifty_at_most(subject: &impl Subject) {
    let (worker, instance) = running(subject).await;
    let named = |keys: std::ops::Range<usize>| keys.map(|n| (format!("key-{n}"), "v".to_owned()));
    let change = |set: BTreeMap<String, String>, remove: BTreeSet<String>| Action::Tag {
        instance: instance.clone(),
        set,
        remove,
    };
    let room = 50 - tags(worker).len();
    call(subject, worker, &change(named(0..room).collect(), BTreeSet::new())).await.expect("room");
    let old = named(0..2).map(|(key, _)| key).collect();
    call(subject, worker, &change(named(50..52).collect(), old)).await.expect("room was made");
    let mut expected = tags(worker);
    expected.extend(named(2..room).chain(named(50..52)));
    assert_eq!(described(subject, &instance).await.tags, expected);
    let refused = call(subject, worker, &change(named(60..61).collect(), BTreeSet::new())).await;
    assert_eq!(refused.expect_err("one too many").kind, FailureKind::Invalid);
    assert_eq!(described(subject, &instance).await.tags, expected);
}

/// Without it we would wait for an instance that is gone (EC2 API reference, "Error codes", `InvalidInstanceID.NotFound`).
pub async fn an_instance_nobody_knows_cannot_be_changed(subject: &impl Subject) {
    let (worker, id) = (subject.new_worker(), subject.new_instance());
    for action in [
        Action::Start(id.clone()),
        Action::Stop(id.clone()),
        Action::Reboot(id.clone()),
        Action::Terminate(id.clone()),
    ] {
        let refused = call(subject, worker, &action).await.expect_err("refused");
        assert_eq!(refused.kind, FailureKind::NotFound, "{action:?}: {refused:?}");
    }
}

/// Without it an import of an instance that is gone would count as adopted.
pub async fn an_instance_nobody_knows_cannot_be_tagged(subject: &impl Subject) {
    let (worker, instance) = (subject.new_worker(), subject.new_instance());
    let set = BTreeMap::from([("course".to_owned(), "CCNA".to_owned())]);
    let action = Action::Tag { instance, set, remove: BTreeSet::new() };
    let refused = call(subject, worker, &action).await.expect_err("nobody's tags are refused");
    assert_eq!(refused.kind, FailureKind::NotFound, "{refused:?}");
}

/// Without it, asking again for each on its own would repeat what was done (EC2 API reference, "`TerminateInstances`": with one
/// incorrect id "none of the instances are terminated").
pub async fn a_call_for_several_is_for_all_or_for_none(subject: &impl Subject) {
    let region = subject.region();
    let ids = [running(subject).await.1, running(subject).await.1];
    let several = async |kind, ids: &[InstanceId]| subject.actuator().call_many(&region, kind, ids).await;
    assert_eq!(several(ActionKind::Terminate, &[]).await.expect("nothing to do"), []);
    let with_unknown = [&ids[0], &subject.new_instance(), &ids[1]].map(InstanceId::clone);
    for kind in [ActionKind::Stop, ActionKind::Terminate] {
        let refused = several(kind, &with_unknown).await.expect_err("refused");
        assert_eq!(refused.kind, FailureKind::NotFound, "{refused:?}");
    }
    let answer = subject.compute().statuses(&region, &ids).await.expect("answered");
    assert!(answer.found.iter().all(|status| status.observed == Observed::Running), "{answer:?}");
    let accepted = several(ActionKind::Stop, &ids).await.expect("accepted");
    let named: Vec<&InstanceId> = accepted.iter().map(|accepted| &accepted.instance).collect();
    assert_eq!(named, [&ids[0], &ids[1]], "one answer for each, in their order");
    assert!(
        accepted.iter().all(|one| matches!(one.observed, Some(Observed::Stopping | Observed::Stopped))),
        "{accepted:?}"
    );
    for id in &ids {
        until(subject, id, Observed::Stopped).await;
    }
    for kind in [ActionKind::Launch, ActionKind::Locate, ActionKind::Tag] {
        assert_eq!(several(kind, &ids).await.expect_err("refused").kind, FailureKind::Invalid, "{kind}");
    }
}

/// Without it a look would count as a change, and need the right to change.
pub async fn to_locate_is_not_to_act(subject: &impl Subject) {
    let refused = call(subject, subject.new_worker(), &Action::Locate).await.expect_err("refused");
    assert_eq!(refused.kind, FailureKind::Invalid);
}
