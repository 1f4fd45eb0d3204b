//! Laws of saving workers: what a failed save leaves behind is nothing.

use app::error::StoreError;
use app::ports::Workers;
use app::record::Stored;
use domain::{Command, WorkerId};
use futures_util::future::join_all;

use crate::Subject;
use crate::made::{Change, Traits, adopted, born, commanded, created, imported, instance_key, rename, saved};

/// Nothing of a worker is there: no state and no fact.
async fn is_nowhere(subject: &impl Subject, id: WorkerId) {
    let workers = subject.workers();
    assert_eq!(workers.load(id).await.expect("loaded"), None, "no state is left behind");
    let facts = workers.events(id, None, 10).await.expect("listed");
    assert_eq!(facts.items, [], "no fact is left behind");
}

/// A worker is as it was saved, and so are its facts.
async fn is_as_saved(subject: &impl Subject, stored: &Stored) {
    let workers = subject.workers();
    let id = stored.worker.id();
    assert_eq!(workers.load(id).await.expect("loaded").as_ref(), Some(stored));
    let newest = workers.events(id, None, 1).await.expect("listed").items;
    assert_eq!(
        newest.first().map(|record| record.version),
        Some(stored.version),
        "no fact without its state"
    );
}

/// Tries to save, and says what was in the way.
async fn refused(subject: &impl Subject, before: Option<&Stored>, (record, after): &Change) -> StoreError {
    subject.workers().save(before, record, after).await.expect_err("something is in the way")
}

/// Without it a worker would be decided on from a state that never was.
pub async fn a_saved_worker_is_loaded_as_it_was(subject: &impl Subject) {
    let workers = subject.workers();
    assert_eq!(workers.load(subject.new_worker()).await.expect("loaded"), None);
    for worker in [born(subject).await, adopted(subject).await] {
        is_as_saved(subject, &worker).await;
        let change = commanded(subject, &worker, rename(subject.new_name()));
        let renamed = saved(workers, Some(&worker), &change).await;
        assert_eq!(renamed.version, 2);
        is_as_saved(subject, &renamed).await;
        let facts = workers.events(worker.worker.id(), None, 1).await.expect("listed").items;
        assert_eq!(facts, [change.0], "facts come back as they were written");
    }
}

/// Without it a repeated creation would wipe out what happened to the worker since.
pub async fn creating_twice_conflicts_and_changes_nothing(subject: &impl Subject) {
    let worker = born(subject).await;
    let again = created(subject, worker.worker.id(), subject.new_name());
    assert!(matches!(refused(subject, None, &again).await, StoreError::Conflict));
    is_as_saved(subject, &worker).await;
    let name = again.1.worker.state().name.clone();
    saved(subject.workers(), None, &created(subject, subject.new_worker(), name)).await;
}

/// Without it two writers would overwrite each other. The conflict goes before a taken name: whoever lost the race decides
/// anew, and may not want the name any more.
pub async fn a_stale_version_conflicts_and_writes_nothing(subject: &impl Subject) {
    let workers = subject.workers();
    let (first, other) = (born(subject).await, born(subject).await);
    let second =
        saved(workers, Some(&first), &commanded(subject, &first, Command::Terminate { confirm: None })).await;
    let free = subject.new_name();
    for name in [free.clone(), other.worker.state().name.clone()] {
        let late = commanded(subject, &first, rename(name));
        assert!(matches!(refused(subject, Some(&first), &late).await, StoreError::Conflict));
        is_as_saved(subject, &second).await;
    }
    let ahead = Stored { version: 7, ..first };
    let early = commanded(subject, &ahead, rename(free.clone()));
    assert!(matches!(refused(subject, Some(&ahead), &early).await, StoreError::Conflict));
    is_as_saved(subject, &second).await;
    saved(workers, None, &created(subject, subject.new_worker(), free)).await;
}

/// Without it concurrent commands would both be acknowledged and one of them be lost. A loser is told to decide anew
/// (`Conflict`) or to try again (`Contended`): DynamoDB cancels a transaction that meets another one on the same item
/// (DynamoDB developer guide, "Transaction conflict handling").
pub async fn of_many_saves_on_one_version_one_wins(subject: &impl Subject) {
    let worker = born(subject).await;
    let names: Vec<_> = (0..4).map(|_| subject.new_name()).collect();
    let changes: Vec<Change> =
        names.iter().map(|name| commanded(subject, &worker, rename(name.clone()))).collect();
    let tries = changes.iter().map(|(record, after)| subject.workers().save(Some(&worker), record, after));
    let results = join_all(tries).await;
    let winners: Vec<&Change> =
        changes.iter().zip(&results).filter(|(_, result)| result.is_ok()).map(|(change, _)| change).collect();
    let [(_, winner)] = winners.as_slice() else { panic!("{} of them won", winners.len()) };
    is_as_saved(subject, winner).await;
    for error in results.into_iter().filter_map(Result::err) {
        assert!(matches!(error, StoreError::Conflict | StoreError::Contended(_)), "{error}");
    }
}

/// Without it two workers would answer to one name, or a refused creation would hold an instance for ever.
pub async fn a_taken_name_leaves_nothing_behind(subject: &impl Subject) {
    let name = born(subject).await.worker.state().name.clone();
    let late = imported(subject, name.clone(), subject.new_instance(), Traits::default());
    let StoreError::NameTaken { name: taken } = refused(subject, None, &late).await else {
        panic!("the name is what is in the way")
    };
    assert_eq!(taken, name);
    is_nowhere(subject, late.1.worker.id()).await;
    let owner = subject.workers().owner(&instance_key(&late.1)).await.expect("looked up");
    assert_eq!(owner, None, "the instance is still free");
}

/// Without it two workers would drive one instance, or a refused import would hold a name for ever.
pub async fn a_taken_instance_leaves_nothing_behind(subject: &impl Subject) {
    let workers = subject.workers();
    let owner = adopted(subject).await;
    let key = instance_key(&owner);
    let name = subject.new_name();
    let late = imported(subject, name.clone(), key.instance.clone(), Traits::default());
    assert!(matches!(refused(subject, None, &late).await, StoreError::InstanceTaken));
    is_nowhere(subject, late.1.worker.id()).await;
    assert_eq!(workers.owner(&key).await.expect("looked up"), Some(owner.worker.id()));
    saved(workers, None, &created(subject, subject.new_worker(), name)).await;
}

/// Without it names would run out, or a name would have two workers.
pub async fn a_renamed_worker_frees_its_old_name_and_holds_its_new_one(subject: &impl Subject) {
    let workers = subject.workers();
    let worker = born(subject).await;
    let (old, new) = (worker.worker.state().name.clone(), subject.new_name());
    let renamed = saved(workers, Some(&worker), &commanded(subject, &worker, rename(new.clone()))).await;
    is_as_saved(subject, &renamed).await;
    saved(workers, None, &created(subject, subject.new_worker(), old)).await;
    let late = created(subject, subject.new_worker(), new);
    assert!(matches!(refused(subject, None, &late).await, StoreError::NameTaken { .. }));
}

/// Without it a refused rename would leave a worker with two names, or with none.
pub async fn renaming_to_a_taken_name_changes_nothing(subject: &impl Subject) {
    let (one, other) = (born(subject).await, born(subject).await);
    let late = commanded(subject, &one, rename(other.worker.state().name.clone()));
    assert!(matches!(refused(subject, Some(&one), &late).await, StoreError::NameTaken { .. }));
    is_as_saved(subject, &one).await;
    let taken = created(subject, subject.new_worker(), one.worker.state().name.clone());
    assert!(matches!(refused(subject, None, &taken).await, StoreError::NameTaken { .. }), "it kept its own");
}

/// Without it nobody could have the name, or import the instance, of a worker that is no more.
pub async fn an_ended_worker_frees_its_name_and_its_instance(subject: &impl Subject) {
    let workers = subject.workers();
    let worker = adopted(subject).await;
    let key = instance_key(&worker);
    let over = saved(workers, Some(&worker), &commanded(subject, &worker, Command::Forget)).await;
    assert!(over.worker.is_over());
    is_as_saved(subject, &over).await;
    assert_eq!(workers.owner(&key).await.expect("looked up"), None);
    let name = worker.worker.state().name.clone();
    let next = imported(subject, name, key.instance.clone(), Traits::default());
    let next = saved(workers, None, &next).await;
    assert_eq!(workers.owner(&key).await.expect("looked up"), Some(next.worker.id()));
}
