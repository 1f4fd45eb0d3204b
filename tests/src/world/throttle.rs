//! EC2's token buckets, written down once more: by tokens and not by time, so that nobody checks himself.

use std::collections::BTreeMap;

use domain::{ActionKind, Failure, FailureKind};

/// A bucket in thousandths of a token.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bucket {
    capacity: i64,
    per_second: i64,
    left: i64,
    at: i64,
}

impl Bucket {
    fn new(capacity: i64, per_second: i64, at: i64) -> Self {
        Self { capacity: capacity * 1000, per_second, left: capacity * 1000, at }
    }

    fn fill(&mut self, now: i64) {
        self.left = (self.left + (now - self.at).max(0) * self.per_second).min(self.capacity);
        self.at = self.at.max(now);
    }
}

/// The buckets of one account and region (EC2 developer guide, "Request throttling for the Amazon EC2 API").
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Throttle(BTreeMap<(ActionKind, bool), Bucket>);

impl Throttle {
    /// Takes a call for so many instances, or refuses it.
    ///
    /// # Errors
    /// `RequestLimitExceeded`.
    pub fn take(&mut self, kind: ActionKind, instances: usize, now: i64) -> Result<(), Failure> {
        use ActionKind::{Launch, Locate, Reboot, Start, Stop, Tag, Terminate};
        let (requests, resources) = match kind {
            Start | Launch => ((5, 2), Some((1000, 2))),
            Stop => ((50, 5), Some((1000, 20))),
            Terminate => ((100, 5), Some((1000, 20))),
            Reboot => ((50, 5), None),
            Tag => ((100, 10), None),
            Locate => return Ok(()),
        };
        let wanted = [(false, Some(requests), 1), (true, resources, instances)];
        let mut enough = true;
        for (resource, size, tokens) in wanted {
            let Some((capacity, per_second)) = size else { continue };
            let bucket =
                self.0.entry((kind, resource)).or_insert_with(|| Bucket::new(capacity, per_second, now));
            bucket.fill(now);
            enough &= bucket.left >= i64::try_from(tokens).unwrap_or(i64::MAX / 1000) * 1000;
        }
        for (resource, _, tokens) in wanted.into_iter().filter(|_| enough) {
            if let Some(bucket) = self.0.get_mut(&(kind, resource)) {
                bucket.left -= i64::try_from(tokens).unwrap_or(0) * 1000;
            }
        }
        let message = "RequestLimitExceeded: Request limit exceeded.".to_owned();
        if enough { Ok(()) } else { Err(Failure { kind: FailureKind::Throttled, message }) }
    }
}
