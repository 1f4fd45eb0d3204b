//! How often a call goes out, and whose it is to repeat it.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use app::ports::Actuator;
use aws_smithy_types::retry::RetryConfig;
use aws_types::SdkConfig;
use domain::{Action, Failure, FailureKind};

use super::{id, image, launch, region, worker};
use crate::ec2::Ec2Actuator;
use crate::wire::{Reply, Wire};

/// The SDK tries again as it is deployed to, and does not wait in between.
fn retrying(wire: &Wire) -> SdkConfig {
    let retries = RetryConfig::standard().with_max_attempts(3).with_initial_backoff(Duration::ZERO);
    wire.config().into_builder().retry_config(retries).build()
}

/// What comes of an action to which EC2 answers this, however often it is asked, and how often it was.
async fn tried(action: &Action, reply: &Reply, before: Option<Reply>) -> (Failure, usize) {
    let looks = usize::from(before.is_some());
    let wire = Wire::new(before.into_iter().chain(std::iter::repeat_n(reply.clone(), 3)));
    let answer = Ec2Actuator::new(&retrying(&wire)).call(&region(), worker(), action).await;
    (answer.expect_err("refused"), wire.sent().len() - looks)
}

fn tag(set: &[(&str, &str)], remove: &[&str]) -> Action {
    let set: BTreeMap<_, _> =
        set.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let remove: BTreeSet<_> = remove.iter().map(|key| (*key).to_owned()).collect();
    Action::Tag { instance: id(1), set, remove }
}

#[tokio::test]
async fn a_reboot_is_called_for_once_where_other_calls_are_tried_again() {
    for (action, calls) in [(Action::Reboot(id(1)), 1), (Action::Stop(id(1)), 3)] {
        let (failure, sent) = tried(&action, &Reply::status(503, ""), None).await;
        assert_eq!((failure.kind, sent), (FailureKind::Other, calls), "{action:?}");
    }
}

#[tokio::test]
async fn what_ec2_has_no_room_for_or_throttles_is_called_for_once_and_left_to_act() {
    let answers = [
        ("InsufficientInstanceCapacity", 500, FailureKind::Capacity),
        ("InsufficientHostCapacity", 503, FailureKind::Capacity),
        ("UnfulfillableCapacity", 500, FailureKind::Capacity),
        ("VcpuLimitExceeded", 500, FailureKind::Quota),
        ("RequestLimitExceeded", 503, FailureKind::Throttled),
        ("RequestLimitExceeded", 400, FailureKind::Throttled),
        ("Throttling", 400, FailureKind::Throttled),
        ("ResourceCountLimitExceeded", 503, FailureKind::Other),
    ];
    let actions = [
        (Action::Start(id(1)), None),
        (Action::Stop(id(1)), None),
        (Action::Terminate(id(1)), None),
        (Action::Reboot(id(1)), None),
        (tag(&[("team", "core")], &[]), None),
        (tag(&[], &["old"]), None),
        (launch(), Some(image())),
    ];
    for (code, status, kind) in answers {
        for (action, before) in &actions {
            let reply = Reply::ec2(code, "Not now.").with_status(status);
            let (failure, sent) = tried(action, &reply, before.clone()).await;
            assert_eq!((failure.kind, sent), (kind, 1), "{code} {status} {action:?}");
        }
    }
}

#[tokio::test]
async fn trouble_on_their_side_is_tried_again_whatever_it_is_called() {
    for code in ["InternalError", "Unavailable", "ServiceUnavailable"] {
        let reply = Reply::ec2(code, "Oops.").with_status(500);
        let (failure, sent) = tried(&Action::Start(id(1)), &reply, None).await;
        assert_eq!((failure.kind, sent), (FailureKind::Other, 3), "{code}");
    }
}

#[tokio::test]
async fn a_look_before_a_launch_is_no_change_and_is_tried_again() {
    let (failure, sent) = tried(&launch(), &Reply::ec2("RequestLimitExceeded", "Slow down."), None).await;
    assert_eq!((failure.kind, sent), (FailureKind::Throttled, 3));
}
