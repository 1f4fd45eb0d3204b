//! A command for many workers on its way: once each, at EC2's pace, through crashes, and until it is called off.

use app::bulk::{Planner, seek, tally};
use app::ports::{BulkCommands, BulkItem, CommandRequested, Ids, Request};
use domain::{Bulk, BulkOutcome, BulkRefusal, Command, CommandId, InstanceId, Observed, WorkerId, Zone};
use serde_json::json;
use tests::world::region;

use crate::stack::http::{api, ask};
use crate::stack::{Stack, operator};

impl Stack {
    /// Asks something of many workers, as the API would.
    pub(crate) async fn ask_all(&self, bulk: Bulk, workers: &[WorkerId]) -> CommandId {
        let id = self.plan_all(bulk, workers).await;
        self.pass_on(id);
        id
    }

    /// The same, and the bus loses the request.
    async fn plan_all(&self, bulk: Bulk, workers: &[WorkerId]) -> CommandId {
        let (id, at) = (CommandId::from(self.world.worker_id()), self.world.state().time());
        let known = seek(&*self.world, workers).await.expect("read");
        let plan =
            Planner { buckets: &*self.world }.plan(&bulk, &operator(), at, &known).await.expect("planned");
        let (command, chunks) = plan.command(id, bulk, operator(), at);
        self.world.accept(&command, &chunks).await.expect("accepted");
        id
    }

    fn pass_on(&self, id: CommandId) {
        let request = CommandRequested { command: id.to_string() };
        self.world.state().bus.push(Request::Command(request));
    }

    fn items(&self, id: CommandId) -> Vec<BulkItem> {
        let state = self.world.state();
        let chunks = state.chunks.range((id, 0)..=(id, u32::MAX));
        chunks.flat_map(|(_, entry)| entry.chunk.items.clone()).collect()
    }

    /// How many workers of a command have this outcome.
    fn with_outcome(&self, id: CommandId, outcome: BulkOutcome) -> u32 {
        tally(&self.items(id)).get(&outcome).copied().unwrap_or_default()
    }
}

async fn fleet(stack: &Stack, size: usize, observed: Observed) -> Vec<WorkerId> {
    let mut all = Vec::new();
    for _ in 0..size {
        all.push(stack.adopted(observed).await.0);
    }
    stack.settle().await;
    stack.world.pass(1);
    all
}

fn asked(stack: &Stack, worker: WorkerId, fact: &str) -> usize {
    stack.world.facts(worker).iter().filter(|name| **name == fact).count()
}

fn is_over(stack: &Stack, id: CommandId) -> bool {
    stack.world.state().commands[&id].due.is_none()
}

#[tokio::test]
async fn a_command_is_asked_of_each_worker_once_however_often_it_is_passed_on() {
    let stack = Stack::default();
    let workers = fleet(&stack, 120, Observed::Running).await;
    let id = stack.ask_all(Bulk::Reboot, &workers).await;
    stack.pass_on(id);
    stack.deliver().await;
    stack.settle().await;
    stack.pass_on(id);
    stack.deliver().await;
    assert!(is_over(&stack, id));
    assert_eq!(stack.with_outcome(id, BulkOutcome::Asked), 120);
    assert!(workers.iter().all(|worker| asked(&stack, *worker, "reboot_requested") == 1));
}

#[tokio::test]
async fn a_command_that_dies_on_the_way_is_carried_on_and_repeats_nothing() {
    for call in ["take_up", "save", "record_chunk", "advance"] {
        let stack = Stack::default();
        let workers = fleet(&stack, 3, Observed::Running).await;
        let id = stack.ask_all(Bulk::Reboot, &workers).await;
        stack.world.state().dies_after = Some(call);
        assert!(stack.until_death(stack.deliver()).await.is_none(), "it dies after {call}");
        // EC2 has carried out by now what was asked before.
        stack.settle().await;
        for _ in 0..3 {
            stack.minute().await;
        }
        assert!(is_over(&stack, id), "{call}");
        assert_eq!(stack.with_outcome(id, BulkOutcome::Asked), 3, "{call}");
        for worker in &workers {
            assert_eq!(asked(&stack, *worker, "reboot_requested"), 1, "{call}");
            assert_eq!(asked(&stack, *worker, "action_accepted"), 1, "{call}");
        }
    }
}

#[tokio::test]
async fn two_who_carry_it_out_at_once_ask_each_worker_once() {
    let stack = Stack::default();
    let workers = fleet(&stack, 3, Observed::Running).await;
    let id = stack.plan_all(Bulk::Stop, &workers).await;
    let runner = stack.runner();
    let first = stack.pausing("take_up", runner.run(id), runner.run(id)).await.expect("carried out");
    assert_eq!(first.workers["asked"], 3, "the other one found it taken");
    assert!(workers.iter().all(|worker| asked(&stack, *worker, "desired_changed") == 1));
}

#[tokio::test]
async fn a_command_whose_request_was_lost_is_found_by_the_poll() {
    let stack = Stack::default();
    let workers = fleet(&stack, 2, Observed::Running).await;
    let id = stack.plan_all(Bulk::Stop, &workers).await;
    stack.world.pass(60);
    assert_eq!(stack.poll().await.commands, 1);
    stack.deliver().await;
    assert!(is_over(&stack, id));
    stack.world.pass(60);
    assert_eq!(stack.poll().await.commands, 0);
}

#[tokio::test]
async fn what_ec2_cannot_be_asked_for_yet_is_not_recorded_yet_and_can_be_called_off() {
    let mut stack = Stack::default();
    stack.settings.monitoring = false;
    let workers = fleet(&stack, 2000, Observed::Stopped).await;
    let id = stack.ask_all(Bulk::Start, &workers).await;
    stack.deliver().await;
    // 997 at once, and those whose turn comes within three minutes: 360; in whole chunks.
    assert_eq!(stack.with_outcome(id, BulkOutcome::Asked), 1400);
    stack.minute().await;
    assert_eq!(stack.with_outcome(id, BulkOutcome::Asked), 1500);
    let now = stack.world.state().time();
    assert!(stack.world.cancel(id, now, &operator()).await.expect("called off"));
    stack.minute().await;
    assert!(is_over(&stack, id));
    assert_eq!(stack.with_outcome(id, BulkOutcome::Cancelled), 500);
    let left = workers.iter().filter(|worker| asked(&stack, **worker, "desired_changed") == 0).count();
    assert_eq!(left, 500, "and nothing was asked of them");
}

#[tokio::test]
async fn what_somebody_asked_since_stands() {
    let stack = Stack::default();
    let workers = fleet(&stack, 3, Observed::Running).await;
    let id = stack.plan_all(Bulk::Stop, &workers).await;
    stack.world.pass(1);
    stack.command(workers[0], Command::Stop).await;
    stack.command(workers[0], Command::Start).await;
    stack.command(workers[1], Command::Forget).await;
    stack.pass_on(id);
    stack.deliver().await;
    let outcome = |worker| stack.items(id).into_iter().find(|item| item.worker == worker).expect("an item");
    assert_eq!(outcome(workers[0]).outcome, BulkOutcome::Superseded);
    let refusal = outcome(workers[1]).refusal.expect("refused");
    assert_eq!(
        (refusal.0, refusal.1.as_str()),
        (BulkRefusal::Impossible, "the worker has ended; create or import another one")
    );
    assert_eq!(outcome(workers[2]).outcome, BulkOutcome::Asked);
}

#[tokio::test]
async fn a_worker_that_cannot_be_written_is_left_out_in_the_end_and_holds_nobody_up() {
    let stack = Stack::default();
    let workers = fleet(&stack, 2, Observed::Running).await;
    let id = stack.ask_all(Bulk::Stop, &workers).await;
    stack.world.state().broken.insert("save");
    stack.deliver().await;
    assert_eq!(stack.with_outcome(id, BulkOutcome::Planned), 2, "it will be tried again");
    for _ in 0..20 {
        stack.minute().await;
    }
    assert!(is_over(&stack, id), "not for ever");
    let items = stack.items(id);
    let because = items[0].refusal.clone().expect("left out");
    assert_eq!(
        because,
        (BulkRefusal::Failed, "its record could not be read or written, 10 times".to_owned())
    );
    assert_eq!(stack.with_outcome(id, BulkOutcome::Refused), 2);
}

#[tokio::test]
async fn who_was_asked_before_it_was_called_off_is_said_to_be_so() {
    for call in ["save", "record_chunk"] {
        let stack = Stack::default();
        let workers = fleet(&stack, 3, Observed::Running).await;
        let id = stack.ask_all(Bulk::Stop, &workers).await;
        stack.world.state().dies_after = Some(call);
        assert!(stack.until_death(stack.deliver()).await.is_none(), "it dies after {call}");
        let now = stack.world.state().time();
        stack.world.cancel(id, now, &operator()).await.expect("called off");
        for _ in 0..3 {
            stack.minute().await;
        }
        let desired = |worker: &WorkerId| asked(&stack, *worker, "desired_changed");
        let stopped = u32::try_from(workers.iter().map(desired).sum::<usize>()).expect("few");
        assert_eq!(stack.with_outcome(id, BulkOutcome::Asked), stopped, "{call}");
        assert_eq!(stack.with_outcome(id, BulkOutcome::Cancelled), 3 - stopped, "{call}");
    }
}

#[tokio::test]
async fn a_race_for_a_worker_is_run_again() {
    let stack = Stack::default();
    let workers = fleet(&stack, 1, Observed::Running).await;
    let id = stack.plan_all(Bulk::Stop, &workers).await;
    stack.world.state().races = 2;
    stack.meanwhile(workers[0], Command::Reboot);
    stack.pass_on(id);
    stack.deliver().await;
    assert_eq!(stack.with_outcome(id, BulkOutcome::Asked), 1);
    assert_eq!(asked(&stack, workers[0], "desired_changed"), 1);
}

#[tokio::test]
async fn ten_thousand_workers_are_planned_with_a_hundred_and_ten_reads_and_one_more_is_too_many() {
    let stack = Stack::default();
    for _ in 0..10_000 {
        stack.adopted(Observed::Stopped).await;
    }
    stack.world.pass(1);
    stack.world.state().calls.clear();
    let api = api(&stack.world, vec![region()]);
    let body = json!({ "action": "start", "filter": {} });
    let (status, command) = ask(&api, "POST", "/commands", "all", &body).await;
    assert_eq!((status, &command["counts"]["planned"]), (202, &json!(10_000)));
    // The first 997 at once, and two a second from then on.
    assert_eq!(command["eta_seconds"], 4502);
    let calls = stack.world.state().calls.clone();
    let read =
        ["watches", "load_many", "load", "level", "accept"].map(|call| calls.get(call).copied().unwrap_or(0));
    assert_eq!(read, [10, 100, 0, 1, 1]);
    stack.adopted(Observed::Stopped).await;
    let (status, problem) = ask(&api, "POST", "/commands", "more", &body).await;
    assert_eq!((status, &problem["errors"][0]["field"]), (422, &json!("filter")));
}

#[tokio::test]
async fn a_look_at_all_of_them_sees_those_whose_zone_is_not_out() {
    let stack = Stack::default();
    let workers = fleet(&stack, 4, Observed::Running).await;
    {
        let mut state = stack.world.state();
        let dark: Zone = "us-east-1b".parse().expect("a zone");
        let of_first: Vec<InstanceId> = workers[..2]
            .iter()
            .filter_map(|worker| state.workers[worker].worker.state().instance.clone())
            .collect();
        for instance in of_first {
            state.machines.get_mut(&instance).expect("launched").zone = dark.clone();
        }
        drop(state);
    }
    // Where they are is known once they were looked at.
    let id = stack.ask_all(Bulk::Sync, &workers).await;
    stack.deliver().await;
    assert!(is_over(&stack, id));
    stack.deliver().await;
    stack.world.state().dark.insert("us-east-1b".parse().expect("a zone"));
    stack.world.pass(60);
    stack.ask_all(Bulk::Sync, &workers).await;
    stack.deliver().await;
    stack.deliver().await;
    let failed = |worker: &WorkerId| asked(&stack, *worker, "observation_failed") > 0;
    assert_eq!(workers.iter().map(failed).collect::<Vec<_>>(), [true, true, false, false]);
}
