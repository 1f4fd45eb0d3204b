//! When a request is sent again, and how long it waits before that.

use app::ports::Ids;
use domain::Timestamp;

/// The first pause, in milliseconds; each one after it is twice as long.
const FIRST_PAUSE: u64 = 400;
/// The longest pause we choose ourselves.
const LONGEST_PAUSE: u64 = 10_000;

/// The kind of problem that says that an earlier try is still being carried out.
pub(crate) const IN_PROGRESS: &str = "request-in-progress";

/// What an answer says about another try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is the answer.
    Final,
    /// Another try may get another answer.
    Again,
}

/// Whether an answer with this status, and of this kind of problem, may be another one next time. Every request that is
/// made here may be sent twice: it only reads, or has a key.
pub(crate) fn verdict(status: u16, problem: Option<&str>) -> Verdict {
    match (status, problem) {
        // AWS judged our call: it would do so again.
        (502, Some("refused-by-aws")) => Verdict::Final,
        // The answer to that try got lost.
        (409, Some(IN_PROGRESS)) | (429 | 502 | 503 | 504, _) => Verdict::Again,
        _ => Verdict::Final,
    }
}

/// The pause before the next try, in milliseconds, after this many: at least what the other side asked for.
pub(crate) fn pause(tries: u32, asked: Option<u64>, chance: &impl Ids) -> u64 {
    let longest = FIRST_PAUSE.saturating_mul(1 << tries.saturating_sub(1).min(10)).min(LONGEST_PAUSE);
    let ours = longest / 2 + chance.below(longest / 2 + 1);
    asked.unwrap_or(0).max(ours)
}

/// The milliseconds that a `Retry-After` asks for: a number of seconds, or a date.
pub(crate) fn retry_after(text: &str, now: Timestamp) -> Option<u64> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<u64>() {
        return seconds.checked_mul(1000);
    }
    let at = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(u64::try_from(at.as_millisecond() - now.as_millisecond()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
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
}
