//! Laws of heartbeats.

use app::ports::{Heartbeat, Sweeps};
use domain::Timestamp;
use futures_util::future::join_all;

use crate::{Subject, after};

/// A tick as a schedule names it: a full minute.
fn tick(subject: &impl Subject) -> Timestamp {
    Timestamp::from_second(subject.now().as_second().div_euclid(60) * 60).expect("a time")
}

/// Without it two schedules that fire for one minute would look at every worker twice.
pub async fn a_tick_is_taken_up_once(subject: &impl Subject) {
    let (region, tick) = (subject.new_region(), tick(subject));
    let sweeps = subject.sweeps();
    assert_eq!(sweeps.heartbeat(&region).await.expect("read"), None);
    assert_eq!(sweeps.claim(&region, tick).await.expect("claimed"), Some(None), "the first ever");
    assert_eq!(sweeps.claim(&region, tick).await.expect("answered"), None, "the same again");
    assert_eq!(sweeps.claim(&region, after(tick, -60)).await.expect("answered"), None, "an earlier one");
    let heartbeat = Heartbeat { claimed: tick, completed: None };
    assert_eq!(sweeps.heartbeat(&region).await.expect("read"), Some(heartbeat));
    assert_eq!(sweeps.claim(&subject.new_region(), tick).await.expect("claimed"), Some(None), "elsewhere");
}

/// Without it the claim would be no claim.
pub async fn of_many_who_claim_a_tick_one_gets_it(subject: &impl Subject) {
    let (region, tick) = (subject.new_region(), tick(subject));
    let claims = join_all((0..8).map(|_| subject.sweeps().claim(&region, tick))).await;
    let granted = claims.into_iter().filter(|claim| claim.as_ref().expect("answered").is_some());
    assert_eq!(granted.count(), 1);
}

/// Without it a sweep would not know which ticks were missed.
pub async fn a_later_tick_finds_the_heartbeat_as_it_was(subject: &impl Subject) {
    let (region, tick) = (subject.new_region(), tick(subject));
    let sweeps = subject.sweeps();
    sweeps.claim(&region, tick).await.expect("claimed");
    let before = Heartbeat { claimed: tick, completed: None };
    assert_eq!(sweeps.claim(&region, after(tick, 60)).await.expect("claimed"), Some(Some(before)));
    sweeps.complete(&region, after(tick, 60)).await.expect("completed");
    let before = Heartbeat { claimed: after(tick, 60), completed: Some(after(tick, 60)) };
    assert_eq!(sweeps.claim(&region, after(tick, 180)).await.expect("claimed"), Some(Some(before)));
    let now = Heartbeat { claimed: after(tick, 180), completed: Some(after(tick, 60)) };
    assert_eq!(sweeps.heartbeat(&region).await.expect("read"), Some(now), "a claim completes nothing");
}

/// Without it a slow sweep that ends late would have its successor's work done once more.
pub async fn completion_is_remembered_and_never_goes_back(subject: &impl Subject) {
    let (region, tick) = (subject.new_region(), tick(subject));
    let sweeps = subject.sweeps();
    sweeps.claim(&region, tick).await.expect("claimed");
    sweeps.claim(&region, after(tick, 60)).await.expect("claimed");
    for done in [after(tick, 60), tick, after(tick, 60)] {
        sweeps.complete(&region, done).await.expect("completed");
        let heartbeat = Heartbeat { claimed: after(tick, 60), completed: Some(after(tick, 60)) };
        assert_eq!(sweeps.heartbeat(&region).await.expect("read"), Some(heartbeat));
    }
}

/// Without it a heartbeat could be there that says when it was completed and not when it was begun.
pub async fn what_nobody_took_up_cannot_be_completed(subject: &impl Subject) {
    let region = subject.new_region();
    subject.sweeps().complete(&region, tick(subject)).await.expect("nothing to complete");
    assert_eq!(subject.sweeps().heartbeat(&region).await.expect("read"), None);
}
