//! Tags, and what is not known of them after a call whose answer was lost.

use super::support::{Story, imported, patch_tags, running};
use crate::{Action, Command, Event, FailureKind, Observed, Worker};

/// Carries `team=labs`; a call that sets `team=ops` and `cost=7` was made, and its answer was lost.
fn doubtful() -> Worker {
    let worker = tagged(running().asked(patch_tags(&[("team", "labs")], &[]), 0).issuing(0));
    worker
        .asked(patch_tags(&[("team", "ops"), ("cost", "7")], &[]), 10)
        .issuing(10)
        .refused(FailureKind::Other, 11)
}

/// EC2 has taken what is under way.
fn tagged(worker: Worker) -> Worker {
    let (set, removed) = worker.tag_difference();
    worker.accepted(1).with(&[Event::TagsApplied { set, removed }])
}

#[test]
fn a_tag_that_a_lost_call_may_have_changed_is_set_also_if_it_is_to_be_as_it_was() {
    let worker = doubtful().asked(patch_tags(&[("team", "labs")], &["cost"]), 12);
    let (_, plan) = worker.proceeding(100);
    let Some(Action::Tag { set, remove, .. }) = plan.action else { panic!("tags, not {plan:?}") };
    assert_eq!(set, [("team".to_owned(), "labs".to_owned())].into());
    assert_eq!(remove, ["cost".to_owned()].into(), "it may be there");
}

#[test]
fn nothing_is_in_doubt_once_a_call_is_answered() {
    let worker = doubtful().asked(patch_tags(&[("team", "labs")], &["cost"]), 12).issuing(100);
    assert!(!worker.state().doubtful_tags.is_empty());
    let worker = tagged(worker);
    assert_eq!((worker.planned(200).as_str(), worker.state().doubtful_tags.len()), ("-: as_desired", 0));
}

#[test]
fn two_calls_for_tags_are_never_under_way_at_once() {
    let adopting = imported(Observed::Running).issuing(0).asked(Command::Stop, 1);
    assert_eq!(adopting.planned(2), "-: in_flight");
    assert_eq!(
        adopting.clone().accepted(2).planned(3),
        "tag: adoption",
        "its tags were not said to be there"
    );
    // Whoever made the call has died.
    assert_eq!(adopting.planned(60), "tag: adoption");
    let tagging = running().asked(patch_tags(&[("team", "labs")], &[]), 0).issuing(0).asked(Command::Stop, 1);
    assert_eq!(
        (tagging.planned(2).as_str(), tagging.planned(60).as_str()),
        ("-: in_flight", "stop: requested")
    );
}
