//! The people's topic: never faster than people's mailboxes are allowed to be filled.
//!
//! SNS takes an email subscription back to pending when more than ten messages a second go to it, and deletes it two
//! days later, so an alert storm could end alerting for good. All environments together send at most [`PER_SECOND`]
//! messages a second, the most urgent ones first; what gets no permit is left to the next sweep, which tells all of it
//! in one message. A permit is used within its second or not at all: saved ones would make a burst of several seconds'.

use std::cmp::Reverse;

use futures_util::future::join_all;
use jiff::SignedDuration;

use super::judge::{Failed, Try};
use super::lane::{AT_ONCE, Ended, Lane};
use super::ledger::{Claimed, key, payload};
use super::{Notifier, Ports};
use crate::error::StoreError;
use crate::notice::{self, Notice, Reach};
use crate::ports::{Deliveries, Delivery, Topic, TopicMessage};

/// The topic in the ledger.
pub(super) const CHANNEL: &str = "topic";
/// The name of its permits.
const PERMITS: &str = "sns";
/// How many messages a second all environments may send together: half of what SNS bears.
pub(super) const PER_SECOND: u32 = 5;
/// How long a permit holds.
const PERMIT_HOLDS: SignedDuration = SignedDuration::from_secs(1);

impl<P: Ports> Notifier<P> {
    /// The topic's share of a batch.
    pub(super) async fn tell_people(&self, notices: &[(usize, Notice)]) -> Lane {
        let mut lane = Lane::default();
        let mut ours: Vec<&(usize, Notice)> =
            notices.iter().filter(|(_, notice)| notice.reach == Reach::Everyone).collect();
        ours.sort_by_key(|(_, notice)| Reverse(notice.severity));
        let mut permits = 0;
        let mut expire = None;
        for (position, (_, notice)) in ours.iter().enumerate() {
            // Asked for at first, and again when those that are left have expired.
            if expire.is_none_or(|at| permits > 0 && self.now() >= at) {
                let wanted = u32::try_from(ours.len() - position).unwrap_or(u32::MAX).min(PER_SECOND);
                expire = Some(self.now() + PERMIT_HOLDS);
                permits = match self.permits(wanted).await {
                    Ok(permits) => permits,
                    Err(error) => {
                        lane.fail(ours[position..].iter().map(|(record, _)| *record), error);
                        return lane;
                    }
                };
            }
            let ended = if permits > 0 && self.breaker.is_closed(CHANNEL, self.now()) {
                self.tell_one(notice, &mut permits).await
            } else {
                self.defer(&key(&notice.id, CHANNEL), &payload(notice)).await
            };
            match ended {
                Ok(ended) => lane.count(ended),
                Err(error) => {
                    lane.fail(ours[position..].iter().map(|(record, _)| *record), error);
                    break;
                }
            }
        }
        lane
    }

    async fn tell_one(&self, notice: &Notice, permits: &mut u32) -> Result<Ended, StoreError> {
        let Some(claimed) = self.claim(key(&notice.id, CHANNEL), &payload(notice)).await? else {
            return Ok(Ended::Repeated);
        };
        *permits -= 1;
        let tried = self.put(&notice::message(notice)).await;
        Ok(self.record(&claimed, &tried, "").await)
    }

    /// The notices the topic is due again, in one message.
    pub(super) async fn tell_people_again(&self, due: &[Delivery]) -> Lane {
        let mut lane = Lane::default();
        let wanted = u32::from(!due.is_empty());
        match self.permits(wanted).await {
            Ok(0) => return lane,
            Ok(_) => {}
            Err(error) => {
                lane.fail([], error);
                return lane;
            }
        }
        let (claimed, notices) = self.take_up(due, &mut lane).await;
        let message = match notices.as_slice() {
            [one] => Some(notice::message(one)),
            several => notice::digest(several),
        };
        let Some(message) = message else { return lane };
        let tried = self.put(&message).await;
        if tried == Try::Arrived && notices.len() > 1 {
            lane.report.digests += 1;
        }
        for some in claimed.chunks(AT_ONCE) {
            let ends = join_all(some.iter().map(|claimed| self.record(claimed, &tried, ""))).await;
            ends.into_iter().for_each(|ended| lane.count(ended));
        }
        lane
    }

    /// Claims what is due and reads what was kept of it.
    async fn take_up(&self, due: &[Delivery], lane: &mut Lane) -> (Vec<Claimed>, Vec<Notice>) {
        let (mut all_claimed, mut notices) = (Vec::new(), Vec::new());
        for some in due.chunks(AT_ONCE) {
            let claims = join_all(some.iter().map(|due| self.claim(due.key.clone(), &due.payload))).await;
            for (delivery, claim) in some.iter().zip(claims) {
                match (claim, serde_json::from_str::<Notice>(&delivery.payload)) {
                    (Ok(Some(claimed)), Ok(notice)) => {
                        all_claimed.push(claimed);
                        notices.push(notice);
                    }
                    (Ok(Some(claimed)), Err(_)) => {
                        self.give_up(&claimed, "what was kept of the notice cannot be read").await;
                        lane.count(Ended::Parked);
                    }
                    (Ok(None), _) => lane.count(Ended::Repeated),
                    (Err(error), _) => lane.fail([], error),
                }
            }
        }
        (all_claimed, notices)
    }

    async fn permits(&self, wanted: u32) -> Result<u32, StoreError> {
        if wanted == 0 {
            return Ok(0);
        }
        self.ports.deliveries().permits(PERMITS, self.now(), wanted, PER_SECOND).await
    }

    async fn put(&self, message: &TopicMessage) -> Try {
        match self.ports.topic().publish(message).await {
            Ok(()) => {
                self.breaker.reset(CHANNEL);
                Try::Arrived
            }
            Err(error) => {
                self.breaker.trip(CHANNEL, self.now());
                Try::Failed(Failed::because(error.message))
            }
        }
    }
}
