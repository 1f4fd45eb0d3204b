//! From what CloudWatch has to samples and alerts.

use app::collect::Memory;
use app::ports::Request;
use domain::{AlertKind, InstanceId, Metric, Observed, Timestamp, WorkerId};
use jiff::SignedDuration;

use crate::stack::{Stack, bus_event};

fn publish(stack: &Stack, instance: &InstanceId, metric: Metric, at: Timestamp, value: f64) {
    stack.world.state().measured.insert((instance.clone(), metric, at), value);
}

/// The value of one metric of one sample.
fn kept(stack: &Stack, worker: WorkerId, at: Timestamp, metric: Metric) -> Option<f64> {
    stack.world.state().samples.get(&(worker, at))?.values.get(&metric).copied()
}

async fn writes(stack: &Stack) -> u32 {
    let before = stack.world.called("append");
    stack.minute().await;
    stack.world.called("append") - before
}

#[tokio::test]
async fn metrics_become_samples_once_and_raise_an_alert_after_their_duration() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    for _ in 0..11 {
        publish(&stack, &instance, Metric::Cpu, stack.world.tick(), 97.0);
        stack.minute().await;
    }
    assert!(stack.world.worker(worker).worker.state().alerts.contains_key(&AlertKind::Cpu));
    assert_eq!(stack.world.facts(worker).iter().filter(|name| **name == "alert_raised").count(), 1);
    assert_eq!(stack.world.state().samples.len(), 11);
    stack.world.state().calls.clear();
    stack.minute().await;
    assert_eq!((stack.world.called("append"), stack.world.called("written")), (0, 0));
}

#[tokio::test]
async fn what_is_known_to_be_written_is_not_looked_up_again_whoever_is_looked_at_in_between() {
    let mut stack = Stack::default();
    stack.metric_period = 300;
    let (_, instance) = stack.running().await;
    for minute in 0..30 {
        let tick = stack.world.tick();
        if minute < 15 && tick.as_second() % 300 == 0 {
            publish(&stack, &instance, Metric::Cpu, tick, 20.0);
        }
        stack.minute().await;
        assert_eq!(stack.world.called("written"), stack.world.called("append"), "minute {minute}");
    }
    assert_eq!(stack.world.called("append"), 3);
}

#[tokio::test]
async fn what_a_longer_alert_duration_reads_is_remembered_as_well() {
    let mut stack = Stack::default();
    let (_, instance) = stack.running().await;
    for _ in 0..60 {
        publish(&stack, &instance, Metric::Cpu, stack.world.tick(), 20.0);
        stack.minute().await;
    }
    stack.world.state().calls.clear();
    stack.settings.cpu.duration = domain::AlertDuration::new(3600).expect("in range");
    stack.minute().await;
    assert_eq!((stack.world.called("written"), stack.world.called("append")), (0, 0));
}

#[tokio::test]
async fn the_average_of_a_period_that_is_not_over_is_no_sample() {
    let mut stack = Stack::default();
    stack.metric_period = 300;
    let (worker, instance) = stack.running().await;
    let next = stack.world.tick().as_second().div_euclid(300) * 300 + 300;
    let start = Timestamp::from_second(next).expect("a time");
    let mut minutes = 0;
    while kept(&stack, worker, start, Metric::Cpu).is_none() {
        // What CloudWatch would answer for the period while it is open.
        publish(&stack, &instance, Metric::Cpu, start, f64::from(minutes));
        stack.minute().await;
        minutes += 1;
        assert!(minutes < 20, "it never became one");
    }
    let over = start + SignedDuration::from_secs(300);
    assert!(stack.world.tick() >= over, "a sample of {start} at {}", stack.world.tick());
}

#[tokio::test]
async fn a_sample_is_completed_by_the_metric_that_comes_late_and_is_not_written_again() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    let at = stack.world.tick();
    publish(&stack, &instance, Metric::Cpu, at, 20.0);
    assert_eq!((writes(&stack).await, writes(&stack).await), (1, 0));
    publish(&stack, &instance, Metric::Memory, at, 40.0);
    assert_eq!((writes(&stack).await, writes(&stack).await), (1, 0));
    assert_eq!(kept(&stack, worker, at, Metric::Cpu), Some(20.0));
    assert_eq!(kept(&stack, worker, at, Metric::Memory), Some(40.0));
    // A value that CloudWatch has made whole since.
    publish(&stack, &instance, Metric::Cpu, at, 21.0);
    assert_eq!(writes(&stack).await, 1);
    assert_eq!(kept(&stack, worker, at, Metric::Cpu), Some(21.0));
}

#[tokio::test]
async fn an_environment_that_knows_nothing_overwrites_no_sample_with_fewer_values() {
    let mut stack = Stack::default();
    let (worker, instance) = stack.running().await;
    let at = stack.world.tick();
    for metric in [Metric::Cpu, Metric::Memory] {
        publish(&stack, &instance, metric, at, 50.0);
    }
    stack.minute().await;
    // CloudWatch answers in part only, and the collection runs elsewhere.
    stack.world.state().measured.remove(&(instance.clone(), Metric::Memory, at));
    stack.memory = Memory::default();
    assert_eq!(writes(&stack).await, 0);
    stack.memory = Memory::default();
    publish(&stack, &instance, Metric::Disk, at, 60.0);
    assert_eq!(writes(&stack).await, 1);
    for (metric, value) in [(Metric::Cpu, 50.0), (Metric::Memory, 50.0), (Metric::Disk, 60.0)] {
        assert_eq!(kept(&stack, worker, at, metric), Some(value), "{metric}");
    }
}

#[tokio::test]
async fn an_environment_that_completes_a_sample_loses_nothing_that_another_has_added_meanwhile() {
    let mut stack = Stack::default();
    let (worker, instance) = stack.running().await;
    let at = stack.world.tick();
    publish(&stack, &instance, Metric::Cpu, at, 50.0);
    stack.minute().await;
    let first = std::mem::take(&mut stack.memory);
    publish(&stack, &instance, Metric::Memory, at, 40.0);
    assert_eq!(writes(&stack).await, 1, "elsewhere");
    stack.memory = first;
    stack.world.state().measured.remove(&(instance.clone(), Metric::Memory, at));
    publish(&stack, &instance, Metric::Disk, at, 60.0);
    assert_eq!(writes(&stack).await, 1);
    for (metric, value) in [(Metric::Cpu, 50.0), (Metric::Memory, 40.0), (Metric::Disk, 60.0)] {
        assert_eq!(kept(&stack, worker, at, metric), Some(value), "{metric}");
    }
}

#[tokio::test]
async fn a_quick_stop_and_start_ends_an_alert_and_what_was_measured_before_does_not_raise_it_again() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    let hot_minute = async || {
        publish(&stack, &instance, Metric::Cpu, stack.world.tick(), 97.0);
        stack.minute().await;
        stack.world.worker(worker).worker.state().alerts.contains_key(&AlertKind::Cpu)
    };
    while !hot_minute().await {}
    for observed in [Observed::Stopped, Observed::Running] {
        stack.world.state().meddle(&instance, observed, "");
        stack.ec2_says(&instance, observed, 0).await;
        stack.world.pass(5);
    }
    assert!(stack.world.worker(worker).worker.state().alerts.is_empty());
    let mut minutes = 1;
    while !hot_minute().await {
        minutes += 1;
        assert!(minutes < 30, "it never came back");
    }
    assert!(minutes > 10, "raised again {minutes} minutes after the start, by values of before it");
}

#[tokio::test]
async fn what_only_an_agent_publishes_is_asked_for_seldom_where_there_is_none_and_at_once_on_demand() {
    let stack = Stack::default();
    let (_, silent) = stack.running().await;
    let (_, speaking) = stack.running().await;
    let mut asked = Vec::new();
    for _ in 0..120 {
        publish(&stack, &silent, Metric::Cpu, stack.world.tick(), 20.0);
        publish(&stack, &speaking, Metric::Memory, stack.world.tick(), 20.0);
        asked.push(stack.minute().await[0].metrics_asked);
    }
    assert!(asked[..10].iter().all(|asked| *asked == 6), "{asked:?}");
    assert!(asked[20..].iter().all(|asked| [4, 6].contains(asked)), "{asked:?}");
    assert!((1..=2).contains(&asked[20..].iter().filter(|asked| **asked == 6).count()), "{asked:?}");
    // The same look once more, but because somebody asked for it.
    stack.world.pass(60);
    stack.poll().await;
    for (all_metrics, metrics) in [(false, 4), (true, 6)] {
        let mut request = stack.world.state().bus[0].clone();
        let Request::Collect(collect) = &mut request else { panic!("{request:?}") };
        collect.all_metrics = all_metrics;
        assert_eq!(stack.collect(&bus_event(&request)).await.metrics_asked, metrics);
    }
}

#[tokio::test]
async fn a_request_from_before_the_last_deployment_is_understood() {
    let stack = Stack::default();
    stack.running().await;
    stack.world.pass(60);
    stack.poll().await;
    let mut event = bus_event(&stack.world.state().bus[0]);
    event["detail"].as_object_mut().expect("a request").remove("all_metrics").expect("it is new");
    assert_eq!(stack.collect(&event).await.unchanged, 1);
}

#[tokio::test]
async fn while_an_alert_about_memory_is_up_its_agent_is_asked() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    for _ in 0..12 {
        publish(&stack, &instance, Metric::Memory, stack.world.tick(), 97.0);
        stack.minute().await;
    }
    let alerts = || stack.world.worker(worker).worker.state().alerts.clone();
    let raised = alerts();
    assert!(raised.contains_key(&AlertKind::Memory));
    for _ in 0..90 {
        assert_eq!(stack.minute().await[0].metrics_asked, 3);
    }
    assert_eq!(alerts(), raised, "no data is no reason to end it");
    for _ in 0..12 {
        publish(&stack, &instance, Metric::Memory, stack.world.tick(), 20.0);
        stack.minute().await;
    }
    assert!(alerts().is_empty());
}

#[tokio::test]
async fn an_alert_may_take_an_hour_of_values() {
    let mut stack = Stack::default();
    stack.settings.cpu.duration = domain::AlertDuration::new(3600).expect("in range");
    let (worker, instance) = stack.running().await;
    for _ in 0..60 {
        publish(&stack, &instance, Metric::Cpu, stack.world.tick(), 97.0);
        stack.minute().await;
    }
    assert!(stack.world.worker(worker).worker.state().alerts.contains_key(&AlertKind::Cpu));
}

#[tokio::test]
async fn samples_that_could_not_be_written_are_written_by_the_next_look() {
    for broken in ["append", "written"] {
        let stack = Stack::default();
        let (worker, instance) = stack.running().await;
        let at = stack.world.tick();
        publish(&stack, &instance, Metric::Cpu, at, 20.0);
        stack.world.state().broken.insert(broken);
        let reports = stack.minute().await;
        assert_eq!((reports[0].samples_failed, reports[0].samples, reports[0].measured), (true, 0, 1));
        assert_eq!(kept(&stack, worker, at, Metric::Cpu), None);
        stack.world.state().broken.clear();
        assert_eq!(stack.minute().await[0].samples, 1);
        assert_eq!(kept(&stack, worker, at, Metric::Cpu), Some(20.0));
    }
}

#[tokio::test]
async fn a_worker_that_is_looked_at_once_an_hour_has_samples_of_the_whole_hour() {
    let mut stack = Stack::default();
    let (_, instance) = stack.running().await;
    stack.settings.interval = domain::PollInterval::new(3600).expect("in range");
    stack.world.state().samples.clear();
    for _ in 0..120 {
        publish(&stack, &instance, Metric::Cpu, stack.world.tick(), 20.0);
        stack.minute().await;
    }
    let times: Vec<Timestamp> = stack.world.state().samples.keys().map(|(_, at)| *at).collect();
    assert!(times.len() > 60, "{} samples", times.len());
    let gap = times.windows(2).find(|two| two[1].duration_since(two[0]) != SignedDuration::from_mins(1));
    assert_eq!(gap, None);
}
