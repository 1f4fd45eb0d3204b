//! Five thousand starts at once, on an EC2 that throttles as it is documented to, beside a client that just calls.

use domain::{ActionKind, Bulk, InstanceId, Observed, WorkerId};
use tests::world::Throttle;

use crate::stack::Stack;

const FLEET: usize = 5000;
/// EC2 starts 1000 at once and 2 a second from then on.
const FLOOR: i64 = (FLEET as i64 - 1000) / 2;

/// EC2 tells of every instance that has come up since.
async fn ec2_starts_them(stack: &Stack, told: &mut usize) {
    let new: Vec<InstanceId> =
        stack.world.state().starts[*told..].iter().map(|(_, instance)| instance.clone()).collect();
    *told += new.len();
    for instance in new {
        if let Some(machine) = stack.world.state().machines.get_mut(&instance) {
            machine.observed = machine.next.take().unwrap_or(machine.observed);
        }
        stack.ec2_says(&instance, Observed::Running, 0).await;
    }
}

struct Figures {
    seconds: i64,
    calls: u32,
    throttled: u32,
}

/// One call for each instance, ten a second, and again for what was throttled, until all have started.
fn naive() -> Figures {
    let (mut throttle, mut now, mut left) = (Throttle::default(), 0, FLEET);
    let mut figures = Figures { seconds: 0, calls: 0, throttled: 0 };
    while left > 0 {
        figures.calls += 1;
        match throttle.take(ActionKind::Start, 1, now) {
            Ok(()) => left -= 1,
            Err(_) => figures.throttled += 1,
        }
        now += 100;
    }
    figures.seconds = now / 1000;
    figures
}

#[tokio::test]
async fn five_thousand_starts_end_within_a_twentieth_of_the_least_time_and_none_is_throttled() {
    let mut stack = Stack::default();
    // What a bulk costs, and not what looking costs.
    stack.settings.monitoring = false;
    let mut workers = Vec::new();
    for _ in 0..FLEET {
        workers.push(stack.adopted(Observed::Stopped).await.0);
    }
    stack.settle().await;
    stack.world.state().throttle = Some(Throttle::default());
    stack.world.state().slow = 300;
    stack.world.state().calls.clear();
    let began = stack.world.state().now;
    let command = stack.ask_all(Bulk::Start, &workers).await;
    let (foretold_calls, ends_at) = {
        let state = stack.world.state();
        (state.commands[&command].calls, state.commands[&command].ends_at)
    };
    let foretold = (ends_at.as_millisecond() - began) / 1000;
    stack.deliver().await;
    stack.settle().await;
    let mut told = 0;
    let mut minutes = 0;
    while told < FLEET && minutes < 60 {
        ec2_starts_them(&stack, &mut told).await;
        stack.settle().await;
        let now = stack.world.state().now;
        stack.world.state().now = now - now.rem_euclid(60_000) + 60_000;
        stack.poll().await;
        stack.deliver().await;
        stack.settle().await;
        minutes += 1;
    }
    ec2_starts_them(&stack, &mut told).await;

    let state = stack.world.state();
    let seconds = (state.starts.last().expect("started").0 - began) / 1000;
    let calls = state.calls.get("call_many").copied().unwrap_or_default()
        + state.calls.get("start").copied().unwrap_or_default();
    let per_worker = |name: &str| f64::from(state.calls[name]) / FLEET as f64;
    let client = naive();
    println!("floor    {FLOOR} s");
    println!("foretold {foretold} s, {foretold_calls} calls");
    println!("here     {seconds} s, {calls} calls, {} throttled", state.throttled);
    println!("naive    {} s, {} calls, {} throttled", client.seconds, client.calls, client.throttled);
    println!(
        "a worker {:.2} writes, {:.2} reads; buckets {} draws",
        per_worker("save"),
        per_worker("load"),
        state.calls["draw"]
    );
    assert_eq!(state.throttled, 0);
    assert!(seconds * 100 <= FLOOR * 105, "{seconds} s");
    assert!(
        (foretold..=foretold + 60).contains(&seconds),
        "{foretold} s were foretold, give or take the poll's minute"
    );
    assert!(
        calls.abs_diff(foretold_calls) * 10 <= foretold_calls,
        "{calls} calls, and {foretold_calls} were foretold"
    );
    let mut started: Vec<&InstanceId> = state.starts.iter().map(|(_, instance)| instance).collect();
    started.sort();
    started.dedup();
    assert_eq!((state.starts.len(), started.len()), (FLEET, FLEET), "each once");
    assert!(workers.iter().all(|worker| state.workers[worker].worker.observed() == Observed::Running));
    let attempts = |worker: &WorkerId| {
        let facts = state.facts.range((*worker, 0)..=(*worker, u64::MAX));
        facts.flat_map(|(_, record)| &record.events).filter(|fact| fact.name() == "action_issued").count()
    };
    assert!(workers.iter().all(|worker| attempts(worker) == 1), "nobody lost an attempt by waiting");
    // The order, the place, the intent, the answer, and that it runs.
    assert!(per_worker("save") <= 5.0, "{}", per_worker("save"));
    // Each of these writes wakes `act` once; it looks before each of its own, and the event looks too.
    assert!(per_worker("load") <= 9.0, "{}", per_worker("load"));
    assert!(calls <= 200 && state.calls["draw"] <= 200, "{calls} calls, {} draws", state.calls["draw"]);
    assert!(client.throttled > 10_000 && client.seconds > seconds, "the bucket is real");
}
