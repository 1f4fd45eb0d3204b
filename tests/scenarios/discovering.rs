//! Instances that exist become workers: when somebody asks for all that are like this, and by themselves.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use app::discover::DiscoverReport;
use app::ports::Ids;
use app::record::Stored;
use axum::Router;
use collect::{CollectError, Report};
use domain::{Actor, Details, Event, InstanceId, Observed, Region, Worker, WorkerId};
use serde_json::{Value, json};
use tests::world::{World, account, region, settings};

use crate::stack::http::{api as api_in, ask};
use crate::stack::{Stack, operator};

fn west() -> Region {
    "us-west-2".parse().expect("a region")
}

/// Somebody launches an instance with the tag, in a zone.
fn tagged(world: &World, zone: &str, more: &[(&str, &str)]) -> InstanceId {
    let mut state = world.state();
    let id = state.launch(Observed::Running);
    let machine = state.machines.get_mut(&id).expect("it was launched");
    machine.zone = zone.parse().expect("a zone");
    let tags = [("cml", "yes")].iter().chain(more);
    machine.tags.extend(tags.map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    id
}

/// A deployment in two regions that looks for the tag.
fn seeking() -> Stack {
    let mut stack = Stack::default();
    (stack.regions, stack.discovery) = (vec![region(), west()], "cml=yes".parse().ok());
    stack
}

impl Stack {
    /// The schedule fires that looks for instances.
    async fn discovers(&self) -> Result<DiscoverReport, CollectError> {
        let event = json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
        match self.collected(&event).await? {
            Report::Discovered(report) => Ok(report),
            other => panic!("a discovery: {other:?}"),
        }
    }

    async fn discover(&self) -> DiscoverReport {
        self.discovers().await.expect("discovered")
    }

    fn worker_of(&self, instance: &InstanceId) -> WorkerId {
        let state = self.world.state();
        *state.owners.iter().find(|(key, _)| key.instance == *instance).expect("it has a worker").1
    }
}

fn api(world: &Arc<World>) -> Router {
    api_in(world, vec![region(), west()])
}

async fn import(api: &Router, key: &str, body: &Value) -> Value {
    let (status, json) = ask(api, "POST", "/workers/import", key, body).await;
    assert_eq!(status, 200, "{json}");
    json
}

/// All pages of a query: how often each outcome came, the instances, and how many pages there were.
async fn pages(
    api: &Router,
    name: &str,
    mut body: Value,
) -> (BTreeMap<String, u64>, BTreeSet<String>, usize) {
    let (mut counts, mut seen, mut number) = (BTreeMap::<String, u64>::new(), BTreeSet::new(), 0);
    loop {
        number += 1;
        let page = import(api, &format!("{name}-{number}"), &body).await;
        for item in page["items"].as_array().expect("items") {
            let instance = item["instance_id"].as_str().expect("an id").to_owned();
            assert!(seen.insert(instance), "twice: {item}");
        }
        for (outcome, count) in page["counts"].as_object().expect("counts") {
            *counts.entry(outcome.clone()).or_default() += count.as_u64().expect("a count");
        }
        if page["next"].is_null() {
            counts.retain(|_, count| *count > 0);
            return (counts, seen, number);
        }
        body["cursor"] = page["next"].clone();
    }
}

#[tokio::test]
async fn thousands_of_instances_in_two_regions_are_imported_page_by_page_and_each_of_them_once() {
    let world = Arc::new(World::default());
    for number in 0..2_500 {
        tagged(&world, if number < 1_730 { "us-east-1a" } else { "us-west-2b" }, &[("Name", "cml")]);
    }
    world.state().launch(Observed::Running);
    let api = api(&world);
    let mut body = json!({ "find": { "tags": { "cml": "yes" } }, "limit": 100, "dry_run": true });
    let only = |outcome: &str| BTreeMap::from([(outcome.to_owned(), 2_500)]);
    let (counts, previewed, number) = pages(&api, "preview", body.clone()).await;
    assert_eq!((counts, number), (only("would_import"), 26));
    assert_eq!(world.called("search"), 27, "one for each page, and one more where a region ends within one");
    {
        let state = world.state();
        assert!(state.workers.is_empty() && state.facts.is_empty() && state.requests.is_empty());
    }
    body["dry_run"] = false.into();
    let (counts, imported, number) = pages(&api, "import", body.clone()).await;
    assert_eq!((counts, number), (only("imported"), 26));
    assert_eq!(imported, previewed);
    assert_eq!(world.state().workers.len(), 2_500);
    assert_eq!(world.state().owners.len(), 2_500);
    let (counts, ..) = pages(&api, "again", body).await;
    assert_eq!(counts, only("known"));
    let of_west = world.state().owners.keys().filter(|key| key.region == west()).count();
    assert_eq!(of_west, 770);
}

#[tokio::test]
async fn a_page_that_is_out_of_time_or_of_searches_ends_and_the_next_one_goes_on() {
    let body = json!({ "find": { "tags": { "cml": "yes" } }, "dry_run": true });
    let world = Arc::new(World::default());
    for zone in ["us-east-1a", "us-east-1b", "us-west-2a"] {
        tagged(&world, zone, &[]);
    }
    world.state().slow_search = 6_000;
    let slow = api(&world);
    let first = import(&slow, "k", &body).await;
    assert_eq!((first["items"].as_array().map(Vec::len), world.called("search")), (Some(1), 1), "{first}");
    let (counts, seen, number) = pages(&slow, "slow", body.clone()).await;
    assert_eq!((counts["would_import"], seen.len()), (3, 3));
    assert!(number <= 4, "{number} pages: one instance each, and the end of a region");

    world.state().slow_search = 0;
    let mut regions: Vec<Region> =
        ('a'..='k').map(|letter| format!("eu-{letter}-1").parse().expect("a region")).collect();
    regions.push(west());
    let wide = api_in(&world, regions);
    let before = world.called("search");
    let empty = import(&wide, "w", &body).await;
    assert_eq!((&empty["items"], world.called("search") - before), (&json!([]), 10), "{empty}");
    let (counts, _, number) = pages(&wide, "wide", body).await;
    assert_eq!((counts["would_import"], number), (1, 2));
}

#[tokio::test]
async fn a_function_that_dies_between_two_instances_is_tried_again_and_makes_nothing_twice() {
    let world = Arc::new(World::default());
    let instances: Vec<InstanceId> = (0..20).map(|_| tagged(&world, "us-east-1a", &[])).collect();
    let (api, body) = (api(&world), json!({ "find": { "tags": { "cml": "yes" } } }));
    world.state().dies_after = Some("save");
    let died = tokio::select! {
        biased;
        _ = import(&api, "k", &body) => false,
        () = world.death() => true,
    };
    let made: BTreeSet<WorkerId> = world.state().workers.keys().copied().collect();
    assert!(died && !made.is_empty() && made.len() < instances.len(), "in the middle: {}", made.len());
    world.pass(60);
    let page = import(&api, "k", &body).await;
    assert_eq!(page["counts"]["imported"], 20, "{page}");
    let state = world.state();
    assert_eq!((state.workers.len(), state.facts.len()), (20, 20), "each began once");
    assert!(made.iter().all(|worker| state.workers.contains_key(worker)));
}

#[tokio::test]
async fn the_schedule_imports_what_carries_the_tag_in_every_region_and_says_that_it_was_the_policy() {
    const STRANGER: &str = "01890a5d-ac96-774b-bcce-ffffffffffff";
    let stack = seeking();
    let world = &stack.world;
    let first = tagged(world, "us-east-1a", &[("Name", "lab")]);
    let second = tagged(world, "us-east-1b", &[("Name", "lab")]);
    let third = tagged(world, "us-west-2a", &[]);
    let claimed =
        tagged(world, "us-west-2a", &[("cml-fleet:worker-id", STRANGER), ("cml-fleet:managed", "true")]);
    let gone = tagged(world, "us-west-2a", &[]);
    world.state().meddle(&gone, Observed::Terminated, "Client.UserInitiatedShutdown");
    world.state().launch(Observed::Running);
    let elsewhere = tagged(world, "eu-west-1a", &[]);
    let report = stack.discover().await;
    let refused = BTreeMap::from([("claimed".to_owned(), 1)]);
    let expected = DiscoverReport { regions_searched: 2, imported: 3, refused, ..DiscoverReport::default() };
    assert_eq!(report, expected);
    for (instance, name) in [(&first, "lab"), (&second, second.as_str()), (&third, third.as_str())] {
        let worker = stack.worker_of(instance);
        assert_eq!(world.worker(worker).worker.state().name.as_str(), name);
        let state = world.state();
        let by = state.facts[&(worker, 1)].events.iter().find_map(|event| match event {
            Event::Imported { by, .. } => Some(by.clone()),
            _ => None,
        });
        assert_eq!(by, Some(Actor::Policy));
    }
    assert!(world.state().owners.keys().all(|key| key.instance != claimed && key.instance != elsewhere));
    stack.settle().await;
    let tag = |instance: &InstanceId| world.state().machines[instance].tags["cml-fleet:worker-id"].clone();
    assert_eq!(tag(&first), stack.worker_of(&first).to_string());
    assert_eq!(tag(&claimed), STRANGER);
    assert_eq!(stack.discover().await, DiscoverReport { imported: 0, known: 3, ..expected });
}

#[tokio::test]
async fn without_a_tag_to_look_for_nothing_is_looked_for() {
    let stack = Stack::default();
    tagged(&stack.world, "us-east-1a", &[]);
    let event = json!({ "detail-type": "Scheduled Event", "source": "aws.events", "detail": {} });
    assert_eq!(stack.collected(&event).await.expect("nothing"), Report::DiscoveryIsOff);
    assert_eq!(stack.world.called("search"), 0);
}

#[tokio::test]
async fn what_somebody_forgot_does_not_come_back_by_itself() {
    let stack = seeking();
    let instance = tagged(&stack.world, "us-east-1a", &[]);
    stack.discover().await;
    stack.settle().await;
    let worker = stack.worker_of(&instance);
    stack.command(worker, domain::Command::Forget).await;
    stack.settle().await;
    let report = stack.discover().await;
    assert_eq!((report.imported, report.refused), (0, BTreeMap::from([("forgotten".to_owned(), 1)])));
    assert!(stack.world.state().owners.is_empty());
}

#[tokio::test]
async fn what_was_forgotten_before_it_was_tagged_is_found_again() {
    let stack = seeking();
    let instance = tagged(&stack.world, "us-east-1a", &[]);
    stack.discover().await;
    // Nothing has come round to its tags yet.
    let worker = stack.worker_of(&instance);
    stack.command(worker, domain::Command::Forget).await;
    assert_eq!(stack.discover().await.imported, 1, "nobody can see that it was forgotten");
}

#[tokio::test]
async fn a_run_that_imported_something_says_so_although_its_next_search_fails() {
    let mut stack = seeking();
    stack.regions = vec![region()];
    for _ in 0..600 {
        tagged(&stack.world, "us-east-1a", &[]);
    }
    stack.world.state().searches_left = Some(1);
    let report = stack.discover().await;
    assert_eq!((report.imported, report.regions_failed, report.regions_searched), (500, 1, 0));
    stack.world.state().searches_left = Some(0);
    assert!(
        matches!(stack.discovers().await, Err(CollectError::NotSearched(_))),
        "nothing at all was looked at"
    );
}

#[tokio::test]
async fn a_run_that_is_out_of_time_is_finished_by_the_next_one() {
    let stack = seeking();
    for _ in 0..1_200 {
        tagged(&stack.world, "us-east-1a", &[]);
    }
    stack.world.state().slow_search = 20_000;
    let report = stack.discover().await;
    assert_eq!((report.regions_searched, report.regions_unfinished), (0, 2), "{report:?}");
    assert_eq!(report.imported, 501, "a page, and of the second one the instance that it began with");
    assert_eq!(stack.world.called("search"), 2);
    stack.world.state().slow_search = 0;
    let report = stack.discover().await;
    let expected =
        DiscoverReport { regions_searched: 2, imported: 699, known: 501, ..DiscoverReport::default() };
    assert_eq!(report, expected);
}

#[tokio::test]
async fn a_region_that_cannot_be_searched_does_not_keep_the_others_from_it() {
    let stack = seeking();
    tagged(&stack.world, "us-east-1a", &[]);
    let there = tagged(&stack.world, "us-west-2a", &[]);
    stack.world.state().dark.insert("us-east-1b".parse().expect("a zone"));
    let report = stack.discover().await;
    assert_eq!((report.regions_failed, report.regions_searched, report.imported), (1, 1, 1), "{report:?}");
    stack.worker_of(&there);
    stack.world.state().broken.insert("search");
    assert!(matches!(stack.discovers().await, Err(CollectError::NotSearched(_))), "Lambda tries again");
    stack.world.state().broken.clear();
    stack.world.state().broken.insert("owner");
    stack.world.state().dark.clear();
    let report = stack.discover().await;
    assert_eq!(
        (report.failed, report.regions_searched),
        (2, 2),
        "each instance fails on its own: {report:?}"
    );
}

#[tokio::test]
async fn of_two_who_import_an_instance_at_once_one_makes_its_worker_and_the_other_knows_it() {
    for name in ["theirs", "lab"] {
        let stack = seeking();
        let instance = tagged(&stack.world, "us-east-1a", &[("Name", "lab")]);
        let theirs = stack.world.worker_id();
        let meanwhile = {
            let mut state = stack.world.state();
            let now = state.time();
            let evidence = domain::Evidence {
                finding: domain::Finding::State { observed: Observed::Running, details: Details::default() },
                source: domain::Source::Describe,
                at: now,
                seen_at: now,
            };
            let command = domain::ImportWorker {
                name: name.parse().expect("a name"),
                account: account(),
                region: region(),
                instance: instance.clone(),
                evidence,
                tags: BTreeMap::new(),
                overrides: domain::Overrides::default(),
                protected: false,
                held: None,
            };
            let events = Worker::import(theirs, command, operator(), now).expect("imported");
            let next = Stored::next(None, events, &settings(), now).expect("a worker");
            state.meanwhile.push_back(next);
            state.workers.len()
        };
        let report = stack.discover().await;
        assert_eq!(
            (meanwhile, report.imported, report.known, report.failed),
            (0, 0, 1, 0),
            "{name}: {report:?}"
        );
        assert!(report.refused.is_empty(), "{name}: {report:?}");
        assert_eq!(stack.worker_of(&instance), theirs);
        assert_eq!(stack.world.state().workers.len(), 1);
    }
}

#[tokio::test]
async fn a_run_that_dies_between_two_instances_leaves_the_rest_to_the_next_one() {
    let stack = seeking();
    for _ in 0..20 {
        tagged(&stack.world, "us-east-1a", &[]);
    }
    stack.world.state().dies_after = Some("save");
    assert!(stack.until_death(stack.discover()).await.is_none());
    let made = u32::try_from(stack.world.state().workers.len()).expect("few");
    assert!((1..20).contains(&made), "in the middle: {made}");
    let report = stack.discover().await;
    assert_eq!((report.known, report.imported), (made, 20 - made), "{report:?}");
    assert_eq!(stack.world.state().facts.len(), 20);
}
