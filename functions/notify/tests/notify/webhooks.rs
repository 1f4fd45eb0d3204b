//! Webhooks: signed, patient, and each on its own.

use app::config::WebhookUrl;
use app::deliver::Endpoint;
use app::ports::{Clock, Outcome};
use domain::Timestamp;

use crate::world::{Fake, ONE, Receiver, SECRET, TWO, drifted, header, id, started};

#[tokio::test(start_paused = true)]
async fn five_hundred_twice_and_a_hang_and_then_it_is_delivered_once_and_nobody_else_waited() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Answers(500), Receiver::Answers(500), Receiver::Hangs]);
    let notifier = world.notifier(&[ONE, TWO]);
    let begun = world.now();
    notifier.tell(&[drifted(1)]).await;
    assert_eq!(world.taken(TWO), [id(1)]);
    assert_eq!(world.now(), begun);
    let mut minutes = 0;
    while world.taken(ONE).is_empty() && minutes < 10 {
        world.pass(60).await;
        notifier.sweep().await.expect("swept");
        minutes += 1;
    }
    assert_eq!(world.taken(ONE), [id(1)]);
    assert_eq!(world.tries(ONE), 4);
    assert!(minutes <= 5, "{minutes}");
    world.pass(3600).await;
    notifier.sweep().await.expect("swept");
    assert_eq!((world.tries(ONE), world.tries(TWO)), (4, 1));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_hangs_costs_one_short_wait_and_delays_no_other_channel_and_no_later_batch() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Hangs; 50]);
    let notifier = world.notifier(&[ONE, TWO]);
    let begun = world.now();
    let batch: Vec<_> = (1..=5).map(started).collect();
    notifier.tell(&batch).await;
    assert_eq!(world.now().duration_since(begun).as_millis(), 2_000);
    assert_eq!((world.tries(ONE), world.taken(TWO).len()), (1, 5));
    let immediately = |at: &Timestamp| *at == begun;
    assert!(world.state().topic.iter().all(|(at, _)| immediately(at)));
    assert!(world.state().hooks.iter().all(|(at, _, _)| immediately(at)));

    let begun = world.now();
    notifier.tell(&[started(6)]).await;
    assert_eq!(world.now(), begun);
    assert_eq!((world.tries(ONE), world.taken(TWO).len()), (1, 6));

    // The sweep tries it patiently, and once for all six.
    world.pass(57).await;
    let begun = world.now();
    let swept = notifier.sweep().await.expect("swept").report;
    assert_eq!(world.now().duration_since(begun).as_millis(), 15_000);
    assert_eq!((world.tries(ONE), swept.retrying), (2, 6));

    // It works again: all of it arrives, each notice once.
    world.receiver(ONE, &[]);
    for _ in 0..4 {
        world.pass(60).await;
        notifier.sweep().await.expect("swept");
    }
    let mut taken = world.taken(ONE);
    taken.sort();
    assert_eq!(taken, (1..=6).map(id).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_slow_gets_its_share_of_a_batch_and_the_rest_from_the_sweep() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Takes(1_900); 50]);
    let notifier = world.notifier(&[ONE]);
    let begun = world.now();
    let batch: Vec<_> = (1..=20).map(started).collect();
    let told = notifier.tell(&batch).await.report;
    assert!(world.now().duration_since(begun).as_secs() < 5);
    assert_eq!(world.taken(ONE).len(), 2);
    assert_eq!(told.deferred, 18 + 15, "18 for the webhook, 15 for the topic");
    world.pass(60).await;
    notifier.sweep().await.expect("swept");
    assert_eq!(world.taken(ONE).len(), 20);
}

#[tokio::test(start_paused = true)]
async fn a_sweep_ends_within_its_budget_and_leaves_the_rest_due() {
    let world = Fake::new();
    let notifier = world.notifier(&[ONE]);
    let batch: Vec<_> = (1..=40).map(started).collect();
    world.receiver(ONE, &[Receiver::Resets]);
    notifier.tell(&batch).await;
    world.receiver(ONE, &[Receiver::Takes(9_000); 100]);
    world.pass(60).await;
    let begun = world.now();
    let swept = notifier.sweep().await.expect("swept").report;
    assert!(world.now().duration_since(begun).as_secs() <= 24, "{}", world.now().duration_since(begun));
    assert_eq!(swept.due, 40 + 35, "40 for the webhook, 35 for the topic");
    assert_eq!((world.taken(ONE).len(), swept.retrying), (1 + 8, 8));
    assert!(world.next_due().expect("due") <= world.now());
}

#[tokio::test(start_paused = true)]
async fn however_an_endpoint_fails_it_is_one_bounded_try_nobody_else_waits_and_it_is_told_later() {
    // A body that drips or does not end, bad TLS and a hang-up come from the adapter as one of these; see its own tests.
    for (failure, longest, reason) in [
        (Receiver::Answers(500), 0, "the endpoint answered 500"),
        (Receiver::Answers(301), 0, "the endpoint answered 301"),
        (Receiver::Hangs, 2, "in time"),
        (Receiver::Takes(60_000), 2, "in time"),
        (Receiver::Resets, 0, "connection reset"),
        (Receiver::MovedInside, 0, "the address is not public"),
    ] {
        let world = Fake::new();
        world.receiver(ONE, &[failure]);
        let notifier = world.notifier(&[ONE, TWO]);
        let begun = world.now();
        notifier.tell(&[drifted(1), drifted(2)]).await;
        assert_eq!(world.now().duration_since(begun).as_secs(), longest, "{failure:?}");
        assert_eq!((world.tries(ONE), world.taken(ONE).len()), (1, 0), "{failure:?}");
        assert_eq!(world.taken(TWO).len(), 2, "{failure:?}");
        {
            let state = world.state();
            assert_eq!((state.topic.len(), state.bus.len()), (2, 2), "{failure:?}");
            assert!(state.hooks.iter().all(|(at, _, _)| *at == begun), "{failure:?}");
        }
        let reasons = world.reasons("webhook-");
        assert!(reasons.len() == 1 && reasons[0].contains(reason), "{failure:?}: {reasons:?}");
        for _ in 0..2 {
            world.pass(60).await;
            notifier.sweep().await.expect("swept");
        }
        assert_eq!(world.taken(ONE).len(), 2, "{failure:?}");
        assert_eq!(world.next_due(), None, "{failure:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_whose_name_moved_inside_is_never_dialled_and_parked_with_that_reason() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::MovedInside; 100]);
    let notifier = world.notifier(&[ONE, TWO]);
    notifier.tell(&[drifted(1)]).await;
    while let Some(due) = world.next_due() {
        let wait = due.duration_since(world.now()).as_secs() + 1;
        world.pass(wait.unsigned_abs()).await;
        notifier.sweep().await.expect("swept");
    }
    let reason = "gave up after 12 tries: webhook: the address is not public".to_owned();
    assert!(world.ended("webhook-").contains(&Some(Outcome::Parked { reason })));
    assert_eq!((world.taken(ONE).len(), world.taken(TWO).len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn every_try_has_the_id_of_the_notice_and_a_signature_of_its_own() {
    #[expect(clippy::disallowed_methods, reason = "the reference library verifies against the real time")]
    let world = Fake::starting_at(Timestamp::now());
    world.receiver(ONE, &[Receiver::Answers(503)]);
    let notifier = world.notifier(&[ONE]);
    notifier.tell(&[drifted(1)]).await;
    world.pass(60).await;
    notifier.sweep().await.expect("swept");
    let verifier = standardwebhooks::Webhook::new(SECRET).expect("a secret");
    let state = world.state();
    let mut stamps = Vec::new();
    for (_, request, _) in &state.hooks {
        assert_eq!(header(request, "webhook-id"), id(1));
        assert_eq!(header(request, "content-type"), "application/cloudevents+json; charset=utf-8");
        assert_eq!(header(request, "user-agent"), "cml-fleet");
        let stamp: i64 = header(request, "webhook-timestamp").parse().expect("seconds");
        let signature = verifier.sign(&id(1), stamp, request.body.as_bytes()).expect("signed");
        assert_eq!(header(request, "webhook-signature"), signature);
        let headers = request
            .headers
            .iter()
            .map(|(name, value)| (name.parse().expect("a name"), value.parse().expect("a value")));
        verifier.verify(request.body.as_bytes(), &headers.collect()).expect("verified");
        let body: serde_json::Value = serde_json::from_str(&request.body).expect("JSON");
        assert_eq!((&body["id"], &body["type"]), (&id(1).into(), &"cml.worker.drift_detected.v1".into()));
        stamps.push(stamp);
    }
    assert_eq!(stamps.len(), 2);
    assert_ne!(stamps[0], stamps[1]);
}

#[tokio::test(start_paused = true)]
async fn gone_means_gone() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Answers(410)]);
    let notifier = world.notifier(&[ONE, TWO]);
    let told = notifier.tell(&[drifted(1)]).await.report;
    assert_eq!((told.parked, told.delivered), (1, 3));
    world.pass(3600).await;
    notifier.sweep().await.expect("swept");
    assert_eq!(world.tries(ONE), 1);
    assert_eq!(world.state().marked.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_is_gone_is_asked_once_for_each_notice_and_nobody_else_notices() {
    // It is a parameter of the deployment, so only an operator can take it away; one that is back hears what comes then.
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Answers(410); 3]);
    let notifier = world.notifier(&[ONE, TWO]);
    for number in 1..=3 {
        let told = notifier.tell(&[drifted(number)]).await.report;
        assert_eq!((told.parked, told.delivered, told.retrying), (1, 3, 0), "{number}");
        world.pass(3600).await;
        notifier.sweep().await.expect("swept");
    }
    assert_eq!((world.tries(ONE), world.taken(ONE).len()), (3, 0));
    let reason = || Some(Outcome::Parked { reason: "the endpoint answered 410 Gone".to_owned() });
    let parked = world.ended("webhook-").into_iter().filter(|ended| *ended == reason()).count();
    assert_eq!((parked, world.next_due()), (3, None));
    assert_eq!(world.taken(TWO), [id(1), id(2), id(3)]);
    notifier.tell(&[drifted(4)]).await;
    assert_eq!(world.taken(ONE), [id(4)]);
}

#[tokio::test(start_paused = true)]
async fn a_receiver_that_asks_to_wait_is_given_up_to_twice_the_time() {
    // One whose Retry-After is not in seconds has not asked: the schedule is the schedule.
    for (receiver, seconds) in [
        (Receiver::AsksToWait(429, 86_400), 10),
        (Receiver::AsksToWait(429, 7), 7),
        (Receiver::AsksToWait(429, 0), 5),
        (Receiver::Answers(429), 5),
    ] {
        let world = Fake::new();
        world.receiver(ONE, &[receiver]);
        let notifier = world.notifier(&[ONE]);
        let begun = world.now();
        notifier.tell(&[drifted(1)]).await;
        assert_eq!(world.next_due().expect("due").duration_since(begun).as_secs(), seconds, "{receiver:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_notice_the_endpoint_refuses_does_not_hold_up_the_others() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Answers(422)]);
    let notifier = world.notifier(&[ONE]);
    notifier.tell(&[started(1), started(2)]).await;
    assert_eq!(world.taken(ONE), [id(2)]);
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_that_never_works_is_parked_after_three_days_and_the_reason_is_kept() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Answers(500); 100]);
    let notifier = world.notifier(&[ONE]);
    let begun = world.now();
    notifier.tell(&[drifted(1)]).await;
    while let Some(due) = world.next_due() {
        let wait = due.duration_since(world.now()).as_secs() + 1;
        world.pass(wait.unsigned_abs()).await;
        notifier.sweep().await.expect("swept");
    }
    assert_eq!(world.tries(ONE), 12);
    let reason = "gave up after 12 tries: the endpoint answered 500".to_owned();
    assert_eq!(world.ended("webhook-"), [Some(Outcome::Parked { reason })]);
    let hours = world.now().duration_since(begun).as_hours();
    assert!((70..80).contains(&hours), "{hours}");
}

#[tokio::test(start_paused = true)]
async fn without_the_secret_nothing_is_sent_and_nothing_is_lost() {
    let world = Fake::new();
    world.state().secret_missing = true;
    let notifier = world.notifier(&[ONE, TWO]);
    notifier.tell(&[drifted(1), drifted(2)]).await;
    assert_eq!((world.tries(ONE), world.state().topic.len()), (0, 2));
    world.state().secret_missing = false;
    world.pass(60).await;
    notifier.sweep().await.expect("swept");
    assert_eq!((world.taken(ONE).len(), world.taken(TWO).len()), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn what_is_due_to_an_endpoint_that_was_taken_away_is_parked() {
    let world = Fake::new();
    world.receiver(ONE, &[Receiver::Resets]);
    world.notifier(&[ONE]).tell(&[drifted(1)]).await;
    world.pass(60).await;
    let swept = world.notifier(&[TWO]).sweep().await.expect("swept").report;
    assert_eq!((swept.parked, world.tries(ONE)), (1, 1));
    assert_eq!(world.next_due(), None);
}

#[test]
fn an_endpoint_shows_its_host_and_a_hash() {
    let endpoint = Endpoint::new(&WebhookUrl::parse(ONE, false).expect("a URL"));
    let shown = format!("{endpoint:?}");
    assert_eq!(shown, format!("Endpoint({}, https://one.example.com)", endpoint.channel()));
    assert_eq!(endpoint.channel().len(), "webhook-".len() + 16);
}
