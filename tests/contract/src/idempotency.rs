//! Laws of idempotency records.

use app::ports::{Answer, Begun, Idempotency, RequestKey};
use domain::{Timestamp, WorkerId};
use futures_util::future::join_all;

use crate::{Subject, after};

/// How long whoever begins has time to answer, in seconds.
const LEASE: i64 = 60;
const DAY: i64 = 86_400;

fn request(subject: &impl Subject) -> RequestKey {
    RequestKey {
        caller: format!("arn:aws:iam::123456789012:user/{}", subject.new_worker()),
        key: "8e03978e-40d5".to_owned(),
        fingerprint: "create lab-1".to_owned(),
    }
}

fn answer(status: u16) -> Answer {
    Answer { status, body: format!(r#"{{"status":{status},"name":"Lab \u00e9"}}"#) }
}

async fn begin(subject: &impl Subject, key: &RequestKey, worker: WorkerId, now: Timestamp) -> Begun {
    subject.idempotency().begin(key, worker, now, after(now, LEASE)).await.expect("answered")
}

/// Without it a client that tries again after a time-out would create a second worker beside the first.
pub async fn a_new_key_is_fresh_and_then_running(subject: &impl Subject) {
    let (key, worker, now) = (request(subject), subject.new_worker(), subject.now());
    assert_eq!(begin(subject, &key, worker, now).await, Begun::Fresh { worker });
    for later in [0, 1, LEASE - 1] {
        let again = begin(subject, &key, subject.new_worker(), after(now, later)).await;
        assert_eq!(again, Begun::Running, "after {later} s");
    }
}

/// Without it the same request, sent twice at once, would be carried out twice.
pub async fn of_many_who_begin_a_request_one_carries_it_out(subject: &impl Subject) {
    let (key, now) = (request(subject), subject.now());
    let begun = join_all((0..8).map(|_| begin(subject, &key, subject.new_worker(), now))).await;
    let fresh = begun.iter().filter(|begun| matches!(begun, Begun::Fresh { .. })).count();
    let running = begun.iter().filter(|begun| **begun == Begun::Running).count();
    assert_eq!((fresh, running), (1, 7));
}

/// Without it the second answer to a request would be another than the first.
pub async fn a_finished_request_is_answered_as_the_first_time(subject: &impl Subject) {
    let (key, worker, now) = (request(subject), subject.new_worker(), subject.now());
    begin(subject, &key, worker, now).await;
    subject.idempotency().finish(&key, &answer(201)).await.expect("finished");
    for later in [0, LEASE, DAY - 1] {
        let again = begin(subject, &key, subject.new_worker(), after(now, later)).await;
        assert_eq!(again, Begun::Done(answer(201)), "after {later} s");
    }
    subject.idempotency().finish(&key, &answer(500)).await.expect("answered");
    let again = begin(subject, &key, worker, now).await;
    assert_eq!(again, Begun::Done(answer(201)), "the first answer stays");
}

/// Without it a client that uses a key again by mistake would be told that its new request was carried out.
pub async fn a_key_for_another_request_is_refused(subject: &impl Subject) {
    let (key, now) = (request(subject), subject.now());
    let other = RequestKey { fingerprint: "create lab-2".to_owned(), ..key.clone() };
    begin(subject, &key, subject.new_worker(), now).await;
    assert_eq!(begin(subject, &other, subject.new_worker(), now).await, Begun::Reused);
    assert_eq!(begin(subject, &other, subject.new_worker(), after(now, LEASE)).await, Begun::Reused);
    subject.idempotency().finish(&key, &answer(201)).await.expect("finished");
    assert_eq!(begin(subject, &other, subject.new_worker(), now).await, Begun::Reused);
}

/// Without it a request that was refused could not be sent again, corrected, under its key.
pub async fn an_abandoned_key_is_free_again(subject: &impl Subject) {
    let (key, now) = (request(subject), subject.now());
    begin(subject, &key, subject.new_worker(), now).await;
    for _ in 0..2 {
        subject.idempotency().abandon(&key).await.expect("abandoned");
    }
    subject.idempotency().finish(&key, &answer(201)).await.expect("nothing to finish");
    let corrected = RequestKey { fingerprint: "create lab-2".to_owned(), ..key };
    let worker = subject.new_worker();
    assert_eq!(begin(subject, &corrected, worker, now).await, Begun::Fresh { worker });
}

/// Without it a late failure of a first try would let a third one repeat what the second has done.
pub async fn what_was_answered_cannot_be_abandoned(subject: &impl Subject) {
    let (key, now) = (request(subject), subject.now());
    begin(subject, &key, subject.new_worker(), now).await;
    subject.idempotency().finish(&key, &answer(201)).await.expect("finished");
    subject.idempotency().abandon(&key).await.expect("nothing to abandon");
    assert_eq!(begin(subject, &key, subject.new_worker(), now).await, Begun::Done(answer(201)));
}

/// Without it a request that was cut off would be carried out under two identities: two workers, two instances.
pub async fn when_a_lease_is_over_the_reserved_identity_stays(subject: &impl Subject) {
    let (key, worker, now) = (request(subject), subject.new_worker(), subject.now());
    begin(subject, &key, worker, now).await;
    let later = after(now, LEASE);
    let again = begin(subject, &key, subject.new_worker(), later).await;
    assert_eq!(again, Begun::Fresh { worker }, "the lease is over at its end");
    assert_eq!(begin(subject, &key, subject.new_worker(), later).await, Begun::Running, "a new lease");
    subject.idempotency().finish(&key, &answer(201)).await.expect("finished");
    assert_eq!(begin(subject, &key, worker, later).await, Begun::Done(answer(201)));
}

/// Without it a caller could read, or block, the answers to another one's requests. Session names and keys may hold what
/// separates the two.
pub async fn callers_do_not_share_keys(subject: &impl Subject) {
    let now = subject.now();
    let base = request(subject);
    let with = |caller: &str, key: &str| RequestKey {
        caller: format!("{}{caller}", base.caller),
        key: key.to_owned(),
        fingerprint: base.fingerprint.clone(),
    };
    let keys = [
        with("", "a"),
        with("", "a#b"),
        with("#a", "b"),
        with("%23a", "b"),
        with("#a#b", ""),
        with("/a", "b"),
        with("/b", "a"),
    ];
    for key in &keys {
        let worker = subject.new_worker();
        assert_eq!(begin(subject, key, worker, now).await, Begun::Fresh { worker }, "{key:?}");
    }
}

/// Without it a key would be used up for ever. DynamoDB deletes what has expired days later, and until then it is still read
/// (DynamoDB developer guide, "How it works: DynamoDB Time to Live").
pub async fn a_key_means_a_request_for_a_day(subject: &impl Subject) {
    let (key, now) = (request(subject), subject.now());
    begin(subject, &key, subject.new_worker(), now).await;
    subject.idempotency().finish(&key, &answer(201)).await.expect("finished");
    let worker = subject.new_worker();
    assert_eq!(begin(subject, &key, worker, after(now, DAY)).await, Begun::Fresh { worker });
    let running = begin(subject, &key, subject.new_worker(), after(now, DAY)).await;
    assert_eq!(running, Begun::Running, "it is another request now");
}
