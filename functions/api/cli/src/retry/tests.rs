//! How long is waited, and for what.

use super::*;
use domain::WorkerId;

struct Highest;

impl Ids for Highest {
    fn worker_id(&self) -> WorkerId {
        unreachable!("nothing is named here")
    }

    fn below(&self, below: u64) -> u64 {
        below - 1
    }
}

#[test]
fn pauses_double_up_to_a_limit_and_give_way_to_what_was_asked_for() {
    let pauses: Vec<u64> = (1..=7).map(|tries| pause(tries, None, &Highest)).collect();
    assert_eq!(pauses, [400, 800, 1600, 3200, 6400, 10_000, 10_000]);
    assert_eq!(pause(1, Some(2000), &Highest), 2000);
    assert_eq!(pause(u32::MAX, Some(2000), &Highest), 10_000);
}

#[test]
fn a_retry_after_is_a_number_or_a_date() {
    let now = "2015-10-21T07:27:30Z".parse().expect("a time");
    assert_eq!(retry_after("2", now), Some(2000));
    assert_eq!(retry_after("Wed, 21 Oct 2015 07:28:00 GMT", now), Some(30_000));
    assert_eq!(retry_after("Wed, 21 Oct 2015 07:27:00 GMT", now), Some(0));
    assert_eq!(retry_after("soon", now), None);
}

#[test]
fn only_what_may_pass_is_tried_again() {
    for status in [429, 502, 503, 504] {
        assert_eq!(verdict(status, None), Verdict::Again, "{status}");
    }
    for status in [200, 202, 400, 401, 403, 404, 409, 412, 422, 500] {
        assert_eq!(verdict(status, None), Verdict::Final, "{status}");
    }
    assert_eq!(verdict(409, Some("request-in-progress")), Verdict::Again);
    assert_eq!(verdict(502, Some("refused-by-aws")), Verdict::Final);
}
