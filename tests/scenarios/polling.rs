//! The metrics channel.

use std::net::IpAddr;

use app::collect::{CollectReport, Memory};
use app::ports::{CollectionRequested, Request};
use domain::{Command, Observed, Status, WorkerId};

use crate::stack::{Stack, bus_event};

async fn fleet_of(stack: &Stack, size: usize) {
    for _ in 0..size {
        let instance = stack.world.state().launch(Observed::Running);
        stack.import(&instance, Observed::Running).await;
    }
    stack.settle().await;
    for _ in 0..2 {
        stack.minute().await;
    }
}

#[tokio::test]
async fn a_quiet_cycle_of_a_hundred_workers_is_a_handful_of_calls_and_no_write_to_the_fleet_table() {
    let stack = Stack::default();
    fleet_of(&stack, 100).await;
    stack.world.state().calls.clear();
    let reports = stack.minute().await;
    assert_eq!(reports.iter().map(|report| report.unchanged).sum::<u32>(), 100);
    let calls = stack.world.state().calls.clone();
    let expected = [
        ("claim_sweep", 1),
        ("complete_sweep", 1),
        ("due_commands", 1),
        ("load_many", 1),
        ("metrics", 1),
        ("request", 1),
        ("statuses", 1),
        ("watches", 1),
    ];
    assert_eq!(calls, expected.into_iter().collect());
}

#[tokio::test]
async fn every_worker_is_looked_at_once_per_interval_and_not_all_in_the_same_minute() {
    let mut stack = Stack::default();
    fleet_of(&stack, 50).await;
    stack.settings.interval = domain::PollInterval::new(300).expect("in range");
    let mut due = Vec::new();
    for _ in 0..5 {
        stack.world.pass(60);
        due.push(stack.poll().await.due);
    }
    assert_eq!(due.iter().sum::<u32>(), 50);
    assert!(due.iter().all(|due| *due < 25), "{due:?}");
}

#[tokio::test]
async fn a_missed_tick_heals_at_the_next_one_without_a_storm() {
    let stack = Stack::default();
    fleet_of(&stack, 10).await;
    stack.world.pass(1800);
    let report = stack.poll().await;
    assert_eq!((report.due, report.shards), (10, 1));
}

#[tokio::test]
async fn the_same_tick_twice_is_swept_once() {
    let stack = Stack::default();
    fleet_of(&stack, 3).await;
    stack.world.pass(60);
    assert_eq!(stack.poll().await.shards, 1);
    let again = stack.poll().await;
    assert_eq!((again.regions_already_swept, again.shards), (1, 0));
}

#[tokio::test]
async fn a_tick_whose_requests_were_not_accepted_is_made_good_by_the_next() {
    let stack = Stack::default();
    fleet_of(&stack, 3).await;
    stack.world.pass(60);
    stack.world.state().broken.insert("request");
    let regions = [tests::world::region()];
    let poll = app::sweep::Poll {
        workers: &*stack.world,
        sweeps: &*stack.world,
        commands: &*stack.world,
        bus: &*stack.world,
        settings: &stack.settings,
        regions: &regions,
        shard_size: 100,
        metric_period: 60,
    };
    poll.run(stack.world.tick()).await.expect_err("no region was swept");
    stack.world.state().broken.clear();
    stack.world.pass(60);
    assert_eq!(stack.poll().await.due, 3);
}

#[tokio::test]
async fn shards_are_cut_to_size_and_a_shard_of_one_is_one_request_per_worker() {
    let mut stack = Stack::default();
    fleet_of(&stack, 5).await;
    stack.shard_size = 1;
    stack.world.pass(60);
    assert_eq!(stack.poll().await.shards, 5);
}

#[tokio::test]
async fn one_unknown_instance_is_that_workers_outcome_and_nobody_elses() {
    let stack = Stack::default();
    let (lost, instance) = stack.running().await;
    let (kept, _) = stack.running().await;
    stack.world.state().machines.remove(&instance);
    let reports = stack.minute().await;
    assert_eq!((reports[0].not_found, reports[0].changed, reports[0].unchanged), (1, 1, 1));
    assert_eq!(stack.world.worker(kept).worker.status(), Status::Running);
    // Once is not enough, and not found is not terminated.
    assert_eq!(stack.world.worker(lost).worker.status(), Status::Running);
    stack.minute().await;
    let stored = stack.world.worker(lost);
    assert_eq!((stored.worker.observed(), stored.worker.status()), (Observed::Missing, Status::Unknown));
    assert!(stack.world.facts(lost).contains(&"alert_raised"));
}

#[tokio::test]
async fn while_ec2_cannot_be_asked_nothing_is_learnt_and_after_three_looks_the_state_is_unknown() {
    let stack = Stack::default();
    let (worker, _) = stack.running().await;
    stack.world.state().broken.insert("statuses");
    for expected in [Status::Running, Status::Running, Status::Unknown] {
        stack.minute().await;
        assert_eq!(stack.world.worker(worker).worker.status(), expected);
    }
    let reason = stack.world.worker(worker).worker.state().failure_reason.clone();
    assert!(reason.is_some_and(|reason| reason.contains("RequestLimitExceeded")));
    stack.world.state().broken.clear();
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
}

#[tokio::test]
async fn while_cloudwatch_is_down_state_is_collected_all_the_same() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().broken.insert("metrics");
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.world.state().meddle(&instance, Observed::Running, "");
    let reports = stack.minute().await;
    assert!(reports[0].metrics_failed);
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
}

#[tokio::test]
async fn a_lost_race_is_tried_again_on_the_new_state() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.world.state().races = 2;
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
}

#[tokio::test]
async fn the_same_collection_twice_changes_nothing() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.world.pass(60);
    stack.poll().await;
    let requests: Vec<Request> = stack.world.state().bus.clone();
    let event = bus_event(&requests[0]);
    stack.collect(&event).await;
    let (version, samples) = (stack.world.worker(worker).version, stack.world.state().samples.len());
    let again = stack.collect(&event).await;
    assert_eq!((again.changed, again.unchanged), (0, 1));
    assert_eq!((stack.world.worker(worker).version, stack.world.state().samples.len()), (version, samples));
}

#[tokio::test]
async fn switched_off_monitoring_stops_the_looks_and_not_the_commands() {
    let mut stack = Stack::default();
    let (worker, _) = stack.running().await;
    stack.settings.monitoring = false;
    stack
        .fleet()
        .execute(worker, domain::Command::Stop, crate::stack::operator(), None, None)
        .await
        .expect("carried out");
    stack.world.pass(60);
    let report = stack.poll().await;
    assert_eq!((report.due, report.unmonitored, report.overdue), (0, 1, 1));
}

/// A look that somebody asks for.
async fn sync(stack: &Stack, worker: WorkerId) -> CollectReport {
    let look = CollectionRequested {
        region: tests::world::region().to_string(),
        workers: vec![worker.to_string()],
        metrics: vec![worker.to_string()],
        all_metrics: true,
        tick: stack.world.state().now,
    };
    stack.collect(&bus_event(&Request::Collect(look))).await
}

fn addresses(stack: &Stack, worker: WorkerId) -> [Option<String>; 2] {
    let state = stack.world.worker(worker).worker.state().clone();
    [state.private_ip, state.public_ip].map(|ip| ip.map(|ip| ip.to_string()))
}

#[tokio::test]
async fn addresses_that_were_not_told_when_the_instance_began_to_run_are_read_at_the_next_look_and_once() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    let both = [Some("10.0.0.1".to_owned()), Some("203.0.113.1".to_owned())];
    assert_eq!(addresses(&stack, worker), both);
    stack.command(worker, Command::Stop).await;
    stack.settle().await;
    stack.minute().await;
    assert_eq!(addresses(&stack, worker), [both[0].clone(), None], "EC2 keeps the private one");
    stack.command(worker, Command::Start).await;
    stack.settle().await;
    // EC2 says that it runs, and cannot be asked for more.
    stack.world.pass(30);
    stack.world.state().meddle(&instance, Observed::Running, "");
    stack.world.state().broken.insert("describe");
    stack.ec2_says(&instance, Observed::Running, 0).await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Running);
    stack.world.state().broken.clear();
    stack.world.state().calls.clear();
    for _ in 0..3 {
        stack.minute().await;
    }
    assert_eq!(addresses(&stack, worker), both);
    assert_eq!((stack.world.called("describe"), stack.world.called("save")), (1, 1));
}

#[tokio::test]
async fn a_look_that_somebody_asks_for_reads_the_addresses_afresh_and_writes_only_news() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.pass(60);
    stack.world.state().calls.clear();
    assert_eq!((sync(&stack, worker).await.unchanged, stack.world.called("describe")), (1, 1));
    // Somebody gives it an elastic address and takes it away again, of which there is no event.
    for public in [Some([198, 51, 100, 7].into()), None] {
        stack.world.state().machines.get_mut(&instance).expect("launched").public_ip = public;
        assert_eq!(stack.minute().await[0].unchanged, 1, "nobody asked for it");
        assert_eq!((sync(&stack, worker).await.changed, sync(&stack, worker).await.unchanged), (1, 1));
        assert_eq!(addresses(&stack, worker)[1], public.map(|ip: IpAddr| ip.to_string()));
    }
}

#[tokio::test]
async fn an_address_that_nothing_told_of_is_read_within_the_hour_by_one_call() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    // Somebody has stopped and started it since, and not an event of that arrived; or has given it an elastic address.
    stack.world.state().machines.get_mut(&instance).expect("launched").public_ip =
        Some([198, 51, 100, 7].into());
    stack.world.state().calls.clear();
    for _ in 0..60 {
        stack.minute().await;
    }
    assert_eq!(addresses(&stack, worker)[1].as_deref(), Some("198.51.100.7"));
    assert_eq!((stack.world.called("describe"), stack.world.called("save")), (1, 1));
    for _ in 0..55 {
        stack.minute().await;
    }
    assert_eq!((stack.world.called("describe"), stack.world.called("save")), (2, 1), "nothing is new");
}

#[tokio::test]
async fn a_hundred_that_were_not_described_for_an_hour_are_described_in_one_call() {
    let stack = Stack::default();
    fleet_of(&stack, 100).await;
    stack.world.pass(60 * 60);
    stack.world.state().calls.clear();
    for _ in 0..10 {
        stack.minute().await;
    }
    assert_eq!((stack.world.called("describe"), stack.world.called("save")), (1, 0));
}

#[tokio::test]
async fn a_description_that_an_event_hides_is_read_again_at_the_next_look() {
    let mut stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.pass(30);
    stack.world.state().meddle(&instance, Observed::Stopped, "Client.UserInitiatedShutdown");
    stack.world.state().broken.insert("describe");
    stack.ec2_says(&instance, Observed::Stopped, 0).await;
    stack.world.state().broken.clear();
    // A look counts as half a minute older than it is. It is that of an environment that has never described the worker.
    stack.world.pass(10);
    stack.memory = Memory::default();
    let reason = || {
        let state = stack.world.worker(worker).worker.state().clone();
        state.sighting.and_then(|sighting| sighting.state_reason)
    };
    let before = stack.world.called("describe");
    sync(&stack, worker).await;
    assert_eq!((reason(), stack.world.called("describe")), (None, before + 1));
    stack.minute().await;
    assert_eq!(reason().as_deref(), Some("Client.UserInitiatedShutdown"));
}

#[tokio::test]
async fn an_address_that_could_not_be_recorded_is_read_again_at_the_next_look() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    stack.world.pass(60 * 60);
    stack.world.state().machines.get_mut(&instance).expect("launched").public_ip =
        Some([198, 51, 100, 7].into());
    stack.world.state().broken.insert("save");
    assert_eq!(stack.minute().await[0].failed, 1);
    stack.world.state().broken.clear();
    stack.minute().await;
    assert_eq!(addresses(&stack, worker)[1].as_deref(), Some("198.51.100.7"));
}
