//! Laws of finding workers and facts.

use std::collections::BTreeSet;

use app::error::StoreError;
use app::ports::{Clock, InstanceKey, Watch, Workers};
use app::record::{EventRecord, Stored};
use domain::{
    ActionKind, Actor, Command, Desired, Drift, DriftPolicy, Event, Observed, Overrides, PollInterval,
    Region, Source, Timestamp, WorkerId, Zone,
};

use crate::made::{Traits, adopted, born, commanded, created, imported, instance_key, rename, saved, told};
use crate::{Subject, after};

/// More than all laws together leave untold.
const ALL: u32 = 1000;
/// More pages than any listing here has.
const MOST_PAGES: usize = 20;

/// Without it a shard would lose workers, or look at one twice. DynamoDB takes no key twice in one call and no more than
/// 100 (DynamoDB API reference, "BatchGetItem").
pub async fn many_workers_are_loaded_at_once_and_each_of_them_once(subject: &impl Subject) {
    let workers = subject.workers();
    let (one, other) = (born(subject).await, adopted(subject).await);
    let mut ids: Vec<WorkerId> = (0..101).map(|_| subject.new_worker()).collect();
    ids.extend([one.worker.id(), other.worker.id(), one.worker.id()]);
    let mut loaded = workers.load_many(&ids).await.expect("loaded");
    loaded.sort_by_key(|stored| stored.worker.id());
    let mut expected = [one, other];
    expected.sort_by_key(|stored| stored.worker.id());
    assert_eq!(loaded, expected);
    assert_eq!(workers.load_many(&[]).await.expect("nothing to load"), []);
}

/// Without it an event of EC2 that comes right after an import would be taken for somebody else's.
pub async fn the_owner_of_an_instance_is_known_at_once(subject: &impl Subject) {
    let workers = subject.workers();
    let worker = adopted(subject).await;
    let key = instance_key(&worker);
    assert_eq!(workers.owner(&key).await.expect("looked up"), Some(worker.worker.id()));
    let elsewhere = InstanceKey { region: subject.new_region(), ..key.clone() };
    let unknown = InstanceKey { instance: subject.new_instance(), ..key };
    for key in [elsewhere, unknown] {
        assert_eq!(workers.owner(&key).await.expect("looked up"), None);
    }
}

/// The watches of a region, page by page.
async fn watched(subject: &impl Subject, region: &Region, limit: u32) -> Vec<Watch> {
    let mut all = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..MOST_PAGES {
        let page = subject.workers().watches(region, next.as_deref(), limit).await.expect("listed");
        assert!(page.items.len() <= limit as usize, "a page has at most {limit}");
        all.extend(page.items);
        next = page.next;
        if next.is_none() {
            return all;
        }
    }
    panic!("the pages do not end: {all:?}");
}

fn watch(stored: &Stored) -> Watch {
    let state = stored.worker.state();
    Watch {
        worker: state.id,
        instance: state.instance.clone(),
        zone: state.zone.clone(),
        monitoring: state.overrides.monitoring,
        interval: state.overrides.interval.map(PollInterval::get),
        drift_policy: state.overrides.drift,
        drifted: stored.worker.may_be_reverted(),
        act_by: stored.act_by,
    }
}

/// Without it the poll would overlook a worker that drifted, or one whose action is overdue.
pub async fn a_watch_says_what_a_poll_needs_to_know(subject: &impl Subject) {
    let workers = subject.workers();
    let region = subject.new_region();
    let traits = Traits {
        region: Some(region.clone()),
        zone: "us-east-1a".parse().ok(),
        overrides: Overrides {
            monitoring: Some(false),
            interval: PollInterval::new(60).ok(),
            drift: Some(DriftPolicy::Revert),
            ..Overrides::default()
        },
    };
    let change = imported(subject, subject.new_name(), subject.new_instance(), traits);
    let mut worker = saved(workers, None, &change).await;
    let now = subject.now();
    let drift = Drift {
        desired: Desired::Running,
        observed: Observed::Stopped,
        since: now,
        detected_by: Source::Event,
        reason: None,
    };
    let gave_up =
        Event::GaveUp { action: ActionKind::Start, attempts: 5, reason: "no room".to_owned(), at: now };
    let steps = [
        vec![],
        vec![Event::DriftDetected { drift, policy: DriftPolicy::Revert, held: false }],
        vec![gave_up],
        vec![Event::Held {
            reason: "the disk is swapped by hand".parse().expect("a reason"),
            at: now,
            by: Actor::Policy,
        }],
        vec![Event::Released { at: now, by: Actor::Policy }],
    ];
    let mut drifted = Vec::new();
    for facts in steps {
        if !facts.is_empty() {
            worker = saved(workers, Some(&worker), &told(subject, &worker, facts)).await;
        }
        let expected = [watch(&worker)];
        let shown = || async { (watched(subject, &region, 10).await == expected).then_some(()) };
        subject.eventually("the index says what the worker is", shown).await;
        drifted.push(watch(&worker).drifted);
    }
    assert_eq!(drifted, [false, true, true, false, true], "nobody puts right what is held");
}

/// Without it a sweep would miss workers, or ask EC2 about those of one zone in many calls. The index is behind
/// (DynamoDB developer guide, "Eventually consistent reads on global secondary indexes").
pub async fn watches_are_the_living_workers_of_one_region_in_order_of_zone_and_id(subject: &impl Subject) {
    let workers = subject.workers();
    let (here, elsewhere) = (subject.new_region(), subject.new_region());
    let mut expected: Vec<(Option<Zone>, WorkerId)> = Vec::new();
    for (zone, region) in [
        ("us-east-1b", &here),
        ("us-east-1a", &here),
        ("", &here),
        ("us-east-1a", &here),
        ("us-east-1a", &elsewhere),
    ] {
        let traits = Traits { region: Some(region.clone()), zone: zone.parse().ok(), ..Traits::default() };
        let change = imported(subject, subject.new_name(), subject.new_instance(), traits);
        let worker = saved(workers, None, &change).await;
        if *region == here {
            expected.push((worker.worker.state().zone.clone(), worker.worker.id()));
        }
    }
    let traits = Traits { region: Some(here.clone()), ..Traits::default() };
    let change = imported(subject, subject.new_name(), subject.new_instance(), traits);
    let over = saved(workers, None, &change).await;
    saved(workers, Some(&over), &commanded(subject, &over, Command::Forget)).await;
    expected.sort();
    for limit in [1, 2, 10] {
        let shown = || async {
            let all = watched(subject, &here, limit).await;
            let all: Vec<_> = all.into_iter().map(|watch| (watch.zone, watch.worker)).collect();
            (all == expected).then_some(())
        };
        subject.eventually(&format!("pages of {limit} in order: {expected:?}"), shown).await;
    }
    assert_eq!(watched(subject, &subject.new_region(), 10).await, []);
}

/// A worker with this many versions, and its facts, newest first.
async fn with_history(subject: &impl Subject, versions: usize) -> (Stored, Vec<EventRecord>) {
    let workers = subject.workers();
    let first = created(subject, subject.new_worker(), subject.new_name());
    let mut worker = saved(workers, None, &first).await;
    let mut records = vec![first.0];
    while records.len() < versions {
        let change = commanded(subject, &worker, rename(subject.new_name()));
        worker = saved(workers, Some(&worker), &change).await;
        records.insert(0, change.0);
    }
    (worker, records)
}

/// Without it a history would have holes or repeat itself. The last page may be empty: that there is a place to go on from does
/// not say that there is more (DynamoDB developer guide, "Paginating table query results").
pub async fn facts_come_newest_first_and_page_by_page(subject: &impl Subject) {
    let (worker, records) = with_history(subject, 4).await;
    let (_, others) = with_history(subject, 1).await;
    for limit in [1, 2, 3, 10] {
        let mut all = Vec::new();
        let mut next: Option<String> = None;
        for _ in 0..MOST_PAGES {
            let page = subject.workers().events(worker.worker.id(), next.as_deref(), limit).await;
            let page = page.expect("listed");
            assert!(page.items.len() <= limit as usize);
            all.extend(page.items);
            next = page.next;
            if next.is_none() {
                break;
            }
        }
        assert_eq!((next, &all), (None, &records), "pages of {limit}");
        assert!(!all.contains(&others[0]));
    }
}

/// Without it a made-up cursor would be answered with somebody else's page, or as a failure of ours.
pub async fn a_cursor_of_another_kind_is_refused(subject: &impl Subject) {
    let workers = subject.workers();
    let (worker, _) = with_history(subject, 2).await;
    for cursor in ["", "x", "-1", "1.5", "99999999999999999999", "us-east-1a#1"] {
        let answer = workers.events(worker.worker.id(), Some(cursor), 10).await;
        assert!(matches!(answer, Err(StoreError::BadCursor)), "{cursor:?} for facts: {answer:?}");
    }
    let id = worker.worker.id();
    for cursor in
        ["", "x", "7", "#", "us-east-1a#", "us-east-1a#7", &id.to_string(), &format!("No Zone#{id}")]
    {
        let answer = workers.watches(&subject.region(), Some(cursor), 10).await;
        assert!(matches!(answer, Err(StoreError::BadCursor)), "{cursor:?} for workers: {answer:?}");
    }
}

/// The untold facts of these workers, in the order they come.
async fn untold(subject: &impl Subject, before: Timestamp, of: &[WorkerId]) -> Vec<EventRecord> {
    let all = subject.workers().untold(before, ALL).await.expect("listed");
    all.into_iter().filter(|record| of.contains(&record.worker)).collect()
}

/// Without it a fact that the stream lost would never be told, or a told one again and again.
pub async fn facts_stay_untold_until_they_are_marked_as_told(subject: &impl Subject) {
    let workers = subject.workers();
    let (worker, records) = with_history(subject, 2).await;
    let id = worker.worker.id();
    let soon = after(subject.now(), 60);
    let both = || async { (untold(subject, soon, &[id]).await.len() == 2).then_some(()) };
    subject.eventually("both facts are untold", both).await;
    workers.mark_told(id, 1).await.expect("marked");
    let one = || async {
        let left = untold(subject, soon, &[id]).await;
        (left == records[..1]).then_some(())
    };
    subject.eventually("the marked one is not untold any more", one).await;
    let facts = workers.events(id, None, 10).await.expect("listed").items;
    assert_eq!(facts, records, "the history is as it was");
}

/// Without it whoever makes sure twice would fail, or a fact that has expired would come back as an empty item.
pub async fn marking_twice_or_marking_what_never_was_is_no_error(subject: &impl Subject) {
    let workers = subject.workers();
    let (worker, records) = with_history(subject, 1).await;
    let id = worker.worker.id();
    for _ in 0..2 {
        workers.mark_told(id, 1).await.expect("marked");
    }
    workers.mark_told(id, 9).await.expect("nothing to mark");
    let nobody = subject.new_worker();
    workers.mark_told(nobody, 1).await.expect("nothing to mark");
    assert_eq!(workers.events(id, None, 10).await.expect("listed").items, records);
    assert_eq!(workers.events(nobody, None, 10).await.expect("listed").items, []);
    let gone =
        || async { untold(subject, after(subject.now(), 60), &[id, nobody]).await.is_empty().then_some(()) };
    subject.eventually("none of them is untold", gone).await;
}

/// Without it the sweep would tell news before it is old enough to be lost, or starve the oldest.
pub async fn untold_facts_come_oldest_first_and_only_those_from_before(subject: &impl Subject) {
    let mut ids = Vec::new();
    let mut times = BTreeSet::new();
    for _ in 0..3 {
        let (worker, records) = with_history(subject, 1).await;
        ids.push(worker.worker.id());
        times.insert(records[0].at);
        subject.clock().sleep(5).await;
    }
    let soon = after(subject.now(), 60);
    let expected: Vec<Timestamp> = times.iter().copied().collect();
    let shown = || async {
        let found = untold(subject, soon, &ids).await;
        (found.iter().map(|record| record.at).collect::<Vec<_>>() == expected).then_some(())
    };
    subject.eventually("all three in their order", shown).await;
    let earlier = untold(subject, expected[2], &ids).await;
    assert!(earlier.iter().map(|record| record.at).eq(expected[..2].iter().copied()), "before is not at");
    assert!(subject.workers().untold(soon, 2).await.expect("listed").len() <= 2);
}
