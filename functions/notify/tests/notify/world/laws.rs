//! That this world keeps the laws of the delivery ledger (`tests/contract`). The laws themselves cannot be tried here: they want
//! an adapter of every port.

use std::time::Duration;

use app::ports::{Claim, Clock, Deliveries, DeliveryKey, Outcome};
use domain::Timestamp;

use super::Fake;

const LEASE: u64 = 30;

fn key() -> DeliveryKey {
    DeliveryKey { notice: super::id(1), channel: "webhook-1a2b".to_owned() }
}

fn after(at: Timestamp, seconds: u64) -> Timestamp {
    at + Duration::from_secs(seconds)
}

fn before(at: Timestamp, seconds: u64) -> Timestamp {
    at - Duration::from_secs(seconds)
}

async fn claim(world: &Fake, now: Timestamp) -> Claim {
    world.claim(&key(), "{}", now, after(now, LEASE)).await.expect("answered")
}

fn retry(at: Timestamp) -> Outcome {
    Outcome::Retry { at, reason: "503".to_owned() }
}

fn parked() -> Outcome {
    Outcome::Parked { reason: "410".to_owned() }
}

#[tokio::test(start_paused = true)]
async fn a_claim_holds_for_its_lease_and_a_retry_until_its_time() {
    let world = Fake::new();
    let now = world.now();
    assert_eq!(claim(&world, now).await, Claim::Granted { attempts: 0, first_at: now });
    assert_eq!(claim(&world, after(now, LEASE - 1)).await, Claim::Waiting);
    assert_eq!(claim(&world, after(now, LEASE)).await, Claim::Granted { attempts: 1, first_at: now });
    world.record(&key(), now, &retry(after(now, 300))).await.expect("recorded");
    world.defer(&key(), "other", now, now).await.expect("known already");
    assert_eq!(claim(&world, after(now, 299)).await, Claim::Waiting);
    assert_eq!(claim(&world, after(now, 300)).await, Claim::Granted { attempts: 2, first_at: now });
}

#[tokio::test(start_paused = true)]
async fn what_is_settled_stays_settled() {
    for outcome in [Outcome::Delivered, parked()] {
        let world = Fake::new();
        let now = world.now();
        claim(&world, now).await;
        for late in [outcome.clone(), retry(now), parked()] {
            world.record(&key(), now, &late).await.expect("recorded");
            assert_eq!(claim(&world, after(now, 86_400)).await, Claim::Settled);
            assert_eq!(world.due(after(now, 86_400), 9).await.expect("listed"), []);
            assert_eq!(world.ended("webhook"), [Some(outcome.clone())]);
        }
        assert_eq!(world.reasons("webhook"), [""; 0], "nor is it to be tried again");
    }
}

#[tokio::test(start_paused = true)]
async fn an_outcome_without_a_claim_enters_nothing() {
    let world = Fake::new();
    let now = world.now();
    for outcome in [Outcome::Delivered, retry(now), parked()] {
        world.record(&key(), now, &outcome).await.expect("recorded");
        assert_eq!(world.ended("webhook"), []);
    }
    assert_eq!(claim(&world, now).await, Claim::Granted { attempts: 0, first_at: now });
}

#[tokio::test(start_paused = true)]
async fn no_more_permits_are_given_than_a_second_has() {
    let world = Fake::new();
    let now = world.now();
    let take = async |name, at, wanted| world.permits(name, at, wanted, 5).await.expect("answered");
    assert_eq!([take("a", now, 0).await, take("a", now, 3).await, take("a", now, 3).await], [0, 3, 2]);
    // The second begins with its first permit, whatever the clock says, and is one for all clocks.
    let soon = now + Duration::from_millis(900);
    assert_eq!([take("b", soon, 5).await, take("b", after(now, 1), 1).await], [5, 0]);
    assert_eq!(take("a", after(now, 1), 9).await, 5, "the next second has its own");
    assert_eq!([take("a", now, 1).await, take("a", before(now, 9), 1).await], [0, 0], "nor one behind");
    assert_eq!(take("a", before(now, 99), 1).await, 1, "one that is this far ahead is not believed");
}
