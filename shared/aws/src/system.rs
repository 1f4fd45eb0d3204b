//! The machine itself: its clock, and its source of identities and chance.

use std::time::Duration;

use app::ports::{Clock, Ids};
use domain::{Timestamp, WorkerId};
use uuid::Uuid;

/// The machine's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        // Records keep milliseconds; what is compared with them must not be finer.
        Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
    }

    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

/// The machine's random source.
#[derive(Debug, Clone, Copy, Default)]
pub struct RandomIds;

impl Ids for RandomIds {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes identities")]
    fn worker_id(&self) -> WorkerId {
        WorkerId::new(Uuid::now_v7())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that takes chances")]
    fn below(&self, below: u64) -> u64 {
        // The last eight bytes of a version 7 UUID are random but for the two bits of the variant.
        let random = Uuid::now_v7().as_u128() & 0x3fff_ffff_ffff_ffff;
        u64::try_from(random).unwrap_or(0) % below.max(1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_has_no_more_than_milliseconds() {
        assert_eq!(SystemClock.now().as_nanosecond() % 1_000_000, 0);
    }

    #[test]
    fn identities_differ_and_are_in_order_of_time() {
        let ids: Vec<WorkerId> = (0..100).map(|_| RandomIds.worker_id()).collect();
        assert!(ids.is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn chance_stays_below_and_moves() {
        let drawn: std::collections::BTreeSet<u64> = (0..200).map(|_| RandomIds.below(10)).collect();
        assert!(drawn.iter().all(|number| *number < 10) && drawn.len() > 5, "{drawn:?}");
        assert_eq!(RandomIds.below(0), 0);
    }
}
