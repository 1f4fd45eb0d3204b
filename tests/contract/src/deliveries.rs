//! Laws of the delivery ledger.

use app::ports::{Claim, Deliveries, Delivery, DeliveryKey, Outcome};
use domain::Timestamp;
use futures_util::future::join_all;

use crate::{Subject, after};

/// How long a claim lasts, in seconds.
const LEASE: i64 = 30;
/// More than all laws together leave due.
const ALL: u32 = 1000;

fn key(subject: &impl Subject, channel: &str) -> DeliveryKey {
    DeliveryKey { notice: format!("{}_1_0", subject.new_worker()), channel: channel.to_owned() }
}

async fn claim(subject: &impl Subject, key: &DeliveryKey, now: Timestamp) -> Claim {
    subject.deliveries().claim(key, "{}", now, after(now, LEASE)).await.expect("answered")
}

async fn record(subject: &impl Subject, key: &DeliveryKey, now: Timestamp, outcome: Outcome) {
    subject.deliveries().record(key, now, &outcome).await.expect("recorded");
}

fn retry(at: Timestamp) -> Outcome {
    Outcome::Retry { at, reason: "503".to_owned() }
}

fn parked() -> Outcome {
    Outcome::Parked { reason: "410".to_owned() }
}

const fn granted(attempts: u32, first_at: Timestamp) -> Claim {
    Claim::Granted { attempts, first_at }
}

/// What is due of these.
async fn due(subject: &impl Subject, now: Timestamp, of: &[DeliveryKey]) -> Vec<Delivery> {
    let all = subject.deliveries().due(now, ALL).await.expect("listed");
    all.into_iter().filter(|delivery| of.contains(&delivery.key)).collect()
}

/// Without it the stream, delivered twice, would tell everybody twice.
pub async fn a_delivery_is_claimed_once_while_the_lease_lasts(subject: &impl Subject) {
    let (topic, now) = (key(subject, "topic"), subject.now());
    assert_eq!(claim(subject, &topic, now).await, granted(0, now));
    for later in [0, 1, LEASE - 1] {
        assert_eq!(claim(subject, &topic, after(now, later)).await, Claim::Waiting, "after {later} s");
    }
    let bus = DeliveryKey { channel: "bus".to_owned(), ..topic };
    assert_eq!(claim(subject, &bus, now).await, granted(0, now), "another channel");
}

/// Without it the claim would be no claim.
pub async fn of_many_who_claim_a_delivery_one_gets_it(subject: &impl Subject) {
    let (topic, now) = (key(subject, "topic"), subject.now());
    let claims = join_all((0..8).map(|_| claim(subject, &topic, now))).await;
    assert_eq!(claims.iter().filter(|claim| **claim == granted(0, now)).count(), 1);
    assert_eq!(claims.iter().filter(|claim| **claim == Claim::Waiting).count(), 7);
}

/// Without it a notice that kills whoever delivers it would be tried for ever: no outcome is ever recorded for it.
pub async fn a_claim_that_came_to_nothing_counts_as_a_try(subject: &impl Subject) {
    let (topic, now) = (key(subject, "topic"), subject.now());
    for tries in 0..3 {
        let at = after(now, LEASE * i64::from(tries));
        assert_eq!(claim(subject, &topic, at).await, granted(tries, now));
    }
}

/// Without it an endpoint that asked for time would be called at once, or never again.
pub async fn a_retry_is_granted_when_its_time_has_come(subject: &impl Subject) {
    let (webhook, now) = (key(subject, "webhook-1a2b"), subject.now());
    claim(subject, &webhook, now).await;
    let again = after(now, 300);
    record(subject, &webhook, now, retry(again)).await;
    assert_eq!(claim(subject, &webhook, after(now, LEASE)).await, Claim::Waiting, "the lease does not count");
    assert_eq!(claim(subject, &webhook, after(again, -1)).await, Claim::Waiting);
    assert_eq!(claim(subject, &webhook, again).await, granted(1, now));
}

/// Without it a late outcome of a lapsed claim would have a delivered notice delivered again.
pub async fn what_is_settled_stays_settled(subject: &impl Subject) {
    let now = subject.now();
    for outcome in [Outcome::Delivered, parked()] {
        let webhook = key(subject, "webhook-1a2b");
        claim(subject, &webhook, now).await;
        record(subject, &webhook, now, outcome).await;
        for late in [retry(now), parked(), Outcome::Delivered] {
            let claims =
                [claim(subject, &webhook, now).await, claim(subject, &webhook, after(now, 86_400)).await];
            assert_eq!(claims, [Claim::Settled, Claim::Settled]);
            record(subject, &webhook, now, late).await;
        }
        let gone =
            || async { due(subject, now, std::slice::from_ref(&webhook)).await.is_empty().then_some(()) };
        subject.eventually("what is settled is not due", gone).await;
    }
}

/// Without it the outcome of a delivery whose record has expired would make a new and empty one.
pub async fn an_outcome_without_a_claim_enters_nothing(subject: &impl Subject) {
    let now = subject.now();
    for outcome in [Outcome::Delivered, retry(now), parked()] {
        let webhook = key(subject, "webhook-1a2b");
        record(subject, &webhook, now, outcome).await;
        assert_eq!(claim(subject, &webhook, now).await, granted(0, now));
    }
}

/// Without it what the stream's run has no time for would be lost, or be told before its turn.
pub async fn a_deferred_delivery_is_due_when_it_was_said_to_be(subject: &impl Subject) {
    let (webhook, now) = (key(subject, "webhook-1a2b"), subject.now());
    let at = after(now, 60);
    subject.deliveries().defer(&webhook, "later", now, at).await.expect("entered");
    assert_eq!(claim(subject, &webhook, after(at, -1)).await, Claim::Waiting);
    let of = [webhook.clone()];
    let delivery = Delivery { key: webhook.clone(), attempts: 0, first_at: now, payload: "later".to_owned() };
    let shown = || async { (due(subject, at, &of).await == [delivery.clone()]).then_some(()) };
    subject.eventually("it is due at its time", shown).await;
    assert_eq!(due(subject, after(at, -1), &of).await, [], "and not before");
    assert_eq!(claim(subject, &webhook, at).await, granted(0, now));
}

/// Without it deferring what is on its way, or was delivered, would deliver it once more.
pub async fn deferring_what_is_known_changes_nothing(subject: &impl Subject) {
    let (webhook, now) = (key(subject, "webhook-1a2b"), subject.now());
    let defer = async |at| {
        subject.deliveries().defer(&webhook, "other", now, at).await.expect("answered");
    };
    claim(subject, &webhook, now).await;
    defer(now).await;
    assert_eq!(claim(subject, &webhook, now).await, Claim::Waiting, "the claim holds");
    assert_eq!(claim(subject, &webhook, after(now, LEASE)).await, granted(1, now));
    record(subject, &webhook, now, Outcome::Delivered).await;
    defer(now).await;
    assert_eq!(claim(subject, &webhook, now).await, Claim::Settled);
}

/// Without it the sweep would send something else than what was to be told, or let the oldest wait for ever.
pub async fn what_is_due_comes_oldest_first_with_the_first_payload(subject: &impl Subject) {
    // Long ago, so that no other law's are among the oldest.
    let start = after(subject.now(), -30 * 86_400);
    let channels = ["bus", "webhook-1a2b", "topic", "webhook-3c4d"];
    let keys: Vec<DeliveryKey> = channels.iter().map(|channel| key(subject, channel)).collect();
    for (index, key) in (0_i64..).zip(&keys) {
        // Entered in one order, due in the other.
        let until = after(start, 100 - index);
        let claim = subject.deliveries().claim(key, channels[0], start, until).await.expect("answered");
        assert_eq!(claim, granted(0, start));
        subject.deliveries().defer(key, "other", start, start).await.expect("answered");
    }
    let expected: Vec<Delivery> = keys
        .iter()
        .rev()
        .map(|key| Delivery {
            key: key.clone(),
            attempts: 1,
            first_at: start,
            payload: channels[0].to_owned(),
        })
        .collect();
    let now = after(start, 100);
    let shown = || async { (due(subject, now, &keys).await == expected).then_some(()) };
    subject.eventually("all are due, in the order of their times", shown).await;
    assert_eq!(
        due(subject, after(start, 98), &keys).await,
        expected[..2],
        "what is not due yet is not listed"
    );
    assert_eq!(subject.deliveries().due(now, 1).await.expect("listed").len(), 1);
    for key in &keys {
        record(subject, key, now, Outcome::Delivered).await;
    }
}

/// Without it an alert storm would silence alerting: SNS suspends an email subscription that is sent more than ten
/// messages a second (SNS developer guide, "Email notifications").
pub async fn no_more_permits_are_given_than_a_second_has(subject: &impl Subject) {
    let name = format!("law-{}", subject.new_worker());
    let now = Timestamp::from_second(subject.now().as_second()).expect("a time");
    let take = async |name: &str, at, wanted| {
        subject.deliveries().permits(name, at, wanted, 5).await.expect("answered")
    };
    assert_eq!(take(&name, now, 0).await, 0);
    assert_eq!(take(&name, now, 3).await, 3);
    assert_eq!(take(&name, now, 3).await, 2, "what is left");
    assert_eq!(take(&name, now, 1).await, 0);
    assert_eq!(take(&name, after(now, 1), 9).await, 5, "the next second has its own");
    assert_eq!(take(&name, now, 1).await, 0, "and a clock that is behind takes part in it");
    assert_eq!(take(&name, after(now, -9), 1).await, 0);
    assert_eq!(take(&name, after(now, -99), 1).await, 1, "one that is this far ahead is not believed");
    assert_eq!(take(&format!("{name}-other"), now, 1).await, 1);
    let crowd = format!("{name}-crowd");
    let taken: u32 = join_all((0..8).map(|_| take(&crowd, now, 2))).await.into_iter().sum();
    assert_eq!(taken, 5, "however many ask at once");
}
