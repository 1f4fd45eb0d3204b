//! Idempotency records, by the laws of that port (`tests/contract`).

use app::error::StoreError;
use app::ports::{Answer, Begun, Idempotency, RequestKey};
use domain::{Timestamp, WorkerId};

use super::World;

/// For how many seconds a key means the same request.
const KEPT: i64 = 86_400;

/// An idempotency record.
#[derive(Debug)]
pub(crate) struct Begin {
    fingerprint: String,
    pub(crate) worker: WorkerId,
    lease_until: Timestamp,
    kept_until: Timestamp,
    pub(crate) answer: Option<Answer>,
}

fn place(key: &RequestKey) -> (String, String) {
    (key.caller.clone(), key.key.clone())
}

fn after(at: Timestamp, seconds: i64) -> Timestamp {
    at + jiff::SignedDuration::from_secs(seconds)
}

impl Idempotency for World {
    async fn begin(
        &self,
        key: &RequestKey,
        reserve: WorkerId,
        now: Timestamp,
        lease_until: Timestamp,
    ) -> Result<Begun, StoreError> {
        let mut state = self.write().await;
        let known = state.keys.get(&place(key)).filter(|known| known.kept_until > now);
        let (worker, kept_until) = match known {
            Some(known) if known.fingerprint != key.fingerprint => return Ok(Begun::Reused),
            Some(Begin { answer: Some(answer), .. }) => return Ok(Begun::Done(answer.clone())),
            Some(known) if known.lease_until > now => return Ok(Begun::Running),
            Some(known) => (known.worker, known.kept_until),
            None => (reserve, after(now, KEPT)),
        };
        let fingerprint = key.fingerprint.clone();
        state.keys.insert(place(key), Begin { fingerprint, worker, lease_until, kept_until, answer: None });
        Ok(Begun::Fresh { worker })
    }

    async fn finish(&self, key: &RequestKey, answer: &Answer) -> Result<(), StoreError> {
        if let Some(begun) = self.write().await.keys.get_mut(&place(key)) {
            // The first answer stays.
            begun.answer.get_or_insert_with(|| answer.clone());
        }
        Ok(())
    }

    async fn abandon(&self, key: &RequestKey) -> Result<(), StoreError> {
        let mut state = self.write().await;
        if state.keys.get(&place(key)).is_some_and(|begun| begun.answer.is_none()) {
            state.keys.remove(&place(key));
        }
        Ok(())
    }
}

/// The laws themselves cannot be tried here: they want an adapter of every port. These are what the routes rest on.
mod laws {
    use app::ports::Clock;

    use super::*;

    fn request() -> RequestKey {
        let [caller, key, fingerprint] = ["ann", "k1", "create lab-1"].map(str::to_owned);
        RequestKey { caller, key, fingerprint }
    }

    fn answer(status: u16) -> Answer {
        Answer { status, body: "{}".to_owned() }
    }

    async fn begin(world: &World, later: i64) -> Begun {
        let now = after(world.now(), later);
        let reserve = app::ports::Ids::worker_id(world);
        world.begin(&request(), reserve, now, after(now, 60)).await.expect("begun")
    }

    #[tokio::test]
    async fn a_finished_request_is_answered_as_the_first_time() {
        let world = World::default();
        begin(&world, 0).await;
        for status in [201, 500] {
            world.finish(&request(), &answer(status)).await.expect("finished");
            assert_eq!(begin(&world, KEPT - 1).await, Begun::Done(answer(201)));
        }
    }

    #[tokio::test]
    async fn what_was_answered_cannot_be_abandoned() {
        let world = World::default();
        begin(&world, 0).await;
        world.finish(&request(), &answer(201)).await.expect("finished");
        world.abandon(&request()).await.expect("nothing to abandon");
        assert_eq!(begin(&world, 0).await, Begun::Done(answer(201)));
    }

    #[tokio::test]
    async fn an_abandoned_key_is_free_again_and_has_nothing_to_finish() {
        let world = World::default();
        begin(&world, 0).await;
        for _ in 0..2 {
            world.abandon(&request()).await.expect("abandoned");
        }
        world.finish(&request(), &answer(201)).await.expect("nothing to finish");
        assert!(matches!(begin(&world, 0).await, Begun::Fresh { .. }));
    }

    #[tokio::test]
    async fn a_key_means_a_request_for_a_day_and_its_worker_for_as_long() {
        let world = World::default();
        let first = begin(&world, 0).await;
        assert_eq!((begin(&world, 59).await, begin(&world, 60).await), (Begun::Running, first.clone()));
        world.finish(&request(), &answer(201)).await.expect("finished");
        let fresh = begin(&world, KEPT).await;
        assert!(matches!(fresh, Begun::Fresh { .. }) && fresh != first, "{fresh:?}");
    }
}
