//! What an answer means: delivered, to be tried again and when, or given up.

use domain::Timestamp;
use jiff::SignedDuration;

use super::lane::Ended;
use crate::error::CallError;
use crate::ports::{Ids, Outcome, WebhookAnswer};

/// How long to wait after each failed try, in seconds; all in all three days (Standard Webhooks, "Retry schedule", with
/// shorter first steps). Waits are rounded up to the next sweep.
pub(super) const SCHEDULE: [u32; 11] =
    [5, 30, 120, 600, 1800, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600];

/// How a try went.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Try {
    /// It arrived.
    Arrived,
    /// The receiver is gone for good and says so.
    Gone,
    /// It did not arrive.
    Failed(Failed),
}

/// Why a delivery did not arrive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Failed {
    /// In words fit for an operator.
    pub(super) reason: String,
    /// When the receiver would like to be asked again, in seconds.
    pub(super) retry_after: Option<u32>,
    /// The channel is to blame and not this one notice: others would fail as well.
    pub(super) channel_is_down: bool,
}

impl Failed {
    pub(super) fn because(reason: String) -> Self {
        Self { reason, retry_after: None, channel_is_down: true }
    }
}

/// What a webhook's answer means (Standard Webhooks, "Webhook delivery"): only 2xx is arrived, a redirect is a failure,
/// 410 is the end, and everything else is worth another try.
pub(super) fn judge(answer: Result<WebhookAnswer, CallError>) -> Try {
    match answer {
        Ok(WebhookAnswer { status: 200..=299, .. }) => Try::Arrived,
        Ok(WebhookAnswer { status: 410, .. }) => Try::Gone,
        Ok(WebhookAnswer { status, retry_after }) => Try::Failed(Failed {
            reason: format!("the endpoint answered {status}"),
            retry_after,
            channel_is_down: !matches!(status, 400..=499) || matches!(status, 401 | 403 | 404 | 408 | 429),
        }),
        Err(error) => Try::Failed(Failed::because(error.message)),
    }
}

/// What to record of a try, which was preceded by `attempts` others.
pub(super) fn outcome(tried: &Try, attempts: u32, now: Timestamp, ids: &impl Ids) -> Outcome {
    let failed = match tried {
        Try::Arrived => return Outcome::Delivered,
        Try::Gone => return Outcome::Parked { reason: "the endpoint answered 410 Gone".to_owned() },
        Try::Failed(failed) => failed,
    };
    let step = usize::try_from(attempts).unwrap_or(usize::MAX);
    let Some(base) = SCHEDULE.get(step) else {
        return Outcome::Parked {
            reason: format!("gave up after {} tries: {}", attempts + 1, failed.reason),
        };
    };
    let base = i64::from(*base) * 1000;
    let wait = match failed.retry_after {
        // The receiver has a say, but not one that would hammer it or forget the notice.
        Some(seconds) => (i64::from(seconds) * 1000).clamp(base, 2 * base),
        None => base * 4 / 5 + i64::try_from(ids.below(base.unsigned_abs() * 2 / 5 + 1)).unwrap_or(0),
    };
    Outcome::Retry { at: now + SignedDuration::from_millis(wait), reason: failed.reason.clone() }
}

/// How an outcome is counted.
pub(super) const fn ended(outcome: &Outcome) -> Ended {
    match outcome {
        Outcome::Delivered => Ended::Delivered,
        Outcome::Retry { .. } => Ended::Retrying,
        Outcome::Parked { .. } => Ended::Parked,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::WorkerId;

    struct Dice(u64);

    impl Ids for Dice {
        fn worker_id(&self) -> WorkerId {
            unreachable!("no worker is made here")
        }

        fn below(&self, below: u64) -> u64 {
            self.0.min(below - 1)
        }
    }

    fn answered(status: u16, retry_after: Option<u32>) -> Try {
        judge(Ok(WebhookAnswer { status, retry_after }))
    }

    /// After how many milliseconds a try is made again.
    fn wait(tried: &Try, attempts: u32, dice: u64) -> i64 {
        match outcome(tried, attempts, Timestamp::UNIX_EPOCH, &Dice(dice)) {
            Outcome::Retry { at, .. } => at.as_millisecond(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_2xx_is_delivered_and_410_is_the_end() {
        for status in [200, 202, 204, 299] {
            assert_eq!(answered(status, None), Try::Arrived);
        }
        assert_eq!(answered(410, None), Try::Gone);
        for status in [100, 199, 301, 302, 307, 400, 401, 404, 408, 429, 500, 502, 503, 504, 599] {
            assert!(matches!(answered(status, None), Try::Failed(_)), "{status}");
        }
    }

    #[test]
    fn a_notice_the_endpoint_does_not_like_says_nothing_about_the_next() {
        let down = |status| matches!(answered(status, None), Try::Failed(failed) if failed.channel_is_down);
        assert!([400, 413, 415, 422].into_iter().all(|status| !down(status)));
        assert!([301, 401, 404, 408, 429, 500, 503].into_iter().all(down));
    }

    #[test]
    fn waits_follow_the_schedule_with_a_fifth_of_jitter() {
        let failed = answered(500, None);
        for (step, seconds) in (0_u32..).zip(SCHEDULE) {
            let base = i64::from(seconds) * 1000;
            assert_eq!(wait(&failed, step, 0), base * 4 / 5);
            assert_eq!(wait(&failed, step, u64::MAX), base * 6 / 5);
        }
    }

    #[test]
    fn a_receiver_may_ask_for_up_to_twice_the_wait() {
        assert_eq!(wait(&answered(429, Some(86_400)), 1, 0), 60_000);
        assert_eq!(wait(&answered(503, Some(40)), 1, 0), 40_000);
        assert_eq!(wait(&answered(503, Some(0)), 1, 0), 30_000);
    }

    #[test]
    fn after_the_last_step_it_is_parked_with_the_reason() {
        let parked = outcome(&answered(500, Some(1)), 11, Timestamp::UNIX_EPOCH, &Dice(0));
        assert_eq!(
            parked,
            Outcome::Parked { reason: "gave up after 12 tries: the endpoint answered 500".to_owned() }
        );
    }
}
