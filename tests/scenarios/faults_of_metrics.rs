//! What happens when CloudWatch is down, answers in part, or answers nonsense.

use domain::{AlertKind, InstanceId, Metric, Observed, Status, WorkerId};

use crate::stack::Stack;

/// The period that began with this minute has a value, which is read with the next look.
fn publish(stack: &Stack, instance: &InstanceId, metric: Metric, value: f64) {
    let at = stack.world.tick();
    stack.world.state().measured.insert((instance.clone(), metric, at), value);
}

/// All values of one metric that were kept, oldest first.
fn kept(stack: &Stack, worker: WorkerId, metric: Metric) -> Vec<f64> {
    let state = stack.world.state();
    let samples = state.samples.iter().filter(|((of, _), _)| *of == worker);
    samples.filter_map(|(_, sample)| sample.values.get(&metric).copied()).collect()
}

#[tokio::test]
async fn a_metric_that_cloudwatch_does_not_answer_in_full_is_absent_and_the_others_are_kept() {
    // The adapter leaves such a metric out: `a_metric_that_is_not_answered_in_full_is_absent`. There is no reason kept
    // with it: absent is absent.
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    for _ in 0..11 {
        publish(&stack, &instance, Metric::Cpu, 20.0);
        publish(&stack, &instance, Metric::Memory, 97.0);
        stack.minute().await;
    }
    let memory_is_up = || stack.world.worker(worker).worker.state().alerts.contains_key(&AlertKind::Memory);
    assert!(memory_is_up());
    for _ in 0..30 {
        publish(&stack, &instance, Metric::Cpu, 20.0);
        let reports = stack.minute().await;
        assert!(!reports[0].metrics_failed);
    }
    assert_eq!(
        (kept(&stack, worker, Metric::Cpu).len(), kept(&stack, worker, Metric::Memory).len()),
        (41, 11)
    );
    assert!(memory_is_up(), "what is not known ends no alert");
    assert_eq!(stack.world.facts(worker).iter().filter(|name| name.starts_with("alert_")).count(), 1);
}

#[tokio::test]
async fn an_hour_without_cloudwatch_raises_and_ends_no_alert_costs_no_look_at_ec2_and_heals_by_itself() {
    // That it is down is told once, by an alarm: `metrics_that_cannot_be_read_are_told_by_one_alarm`.
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    for _ in 0..11 {
        publish(&stack, &instance, Metric::Cpu, 97.0);
        stack.minute().await;
    }
    let facts = stack.world.state().facts.len();
    let newest = kept(&stack, worker, Metric::Cpu).len();
    stack.world.state().broken.insert("metrics");
    for _ in 0..60 {
        publish(&stack, &instance, Metric::Cpu, 97.0);
        let reports = stack.minute().await;
        assert_eq!((reports[0].metrics_failed, reports[0].unchanged, reports[0].unobserved), (true, 1, 0));
    }
    assert_eq!(stack.world.state().facts.len(), facts, "one alert, and it is up");
    assert_eq!(kept(&stack, worker, Metric::Cpu).len(), newest, "telemetry gets old");
    stack.world.state().meddle(&instance, Observed::Stopped, "");
    stack.minute().await;
    assert_eq!(stack.world.worker(worker).worker.status(), Status::Stopped);
    stack.world.state().meddle(&instance, Observed::Running, "");
    stack.world.state().broken.clear();
    stack.minute().await;
    assert!(kept(&stack, worker, Metric::Cpu).len() > newest);
}

#[tokio::test]
async fn a_value_that_cannot_be_is_kept_nowhere_and_one_just_outside_is_clamped() {
    let stack = Stack::default();
    let (worker, instance) = stack.running().await;
    let nonsense = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -5.0, 101.1, 1e300];
    for value in nonsense {
        publish(&stack, &instance, Metric::Cpu, value);
        stack.minute().await;
    }
    assert!(kept(&stack, worker, Metric::Cpu).is_empty());
    for value in [-0.5, 101.0] {
        publish(&stack, &instance, Metric::Cpu, value);
        stack.minute().await;
    }
    assert_eq!(kept(&stack, worker, Metric::Cpu), [0.0, 100.0]);
}
