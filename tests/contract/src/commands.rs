//! Laws of commands for many workers.

use std::collections::BTreeMap;

use app::ports::{BulkChunk, BulkCommand, BulkCommands, BulkItem};
use domain::{Actor, Bulk, BulkOutcome, BulkRefusal, CommandId, TagsPatch, Timestamp};
use futures_util::future::join_all;

use crate::{Subject, after};

/// A time long past: what is due then is due before anything that anybody else enters.
fn start() -> Timestamp {
    Timestamp::from_millisecond(1_500_000_000_007).expect("a time")
}

fn asker() -> Actor {
    Actor::Caller("ann (1)".to_owned())
}

fn item(subject: &impl Subject, outcome: BulkOutcome) -> BulkItem {
    BulkItem { worker: subject.new_worker(), name: Some(subject.new_name()), outcome, refusal: None }
}

/// Two chunks to carry out, one with nothing to do.
fn made(subject: &impl Subject) -> (BulkCommand, Vec<BulkChunk>) {
    let tags = TagsPatch {
        set: BTreeMap::from([("team".parse().expect("a key"), "net lab".parse().expect("a value"))]),
        remove: [("owner".parse().expect("a key"))].into(),
    };
    let refusal = Some((BulkRefusal::NoSuchWorker, "there is no worker \"x\"".to_owned()));
    let unknown = BulkItem { name: None, refusal, ..item(subject, BulkOutcome::Refused) };
    let chunk = |number, items, finished| BulkChunk { number, items, finished };
    let chunks = vec![
        chunk(0, vec![item(subject, BulkOutcome::Planned), item(subject, BulkOutcome::Planned)], false),
        chunk(1, vec![item(subject, BulkOutcome::Planned)], false),
        chunk(2, vec![unknown, item(subject, BulkOutcome::Unchanged)], true),
    ];
    let command = BulkCommand {
        id: CommandId::from(subject.new_worker()),
        bulk: Bulk::Tag(tags),
        by: asker(),
        at: start(),
        calls: 3,
        ends_at: after(start(), 77),
        dues: vec![start(), after(start(), 60)],
        chunks: 3,
        next: 0,
        due: Some(start()),
        cancelled: None,
    };
    (command, chunks)
}

async fn accepted(subject: &impl Subject) -> (BulkCommand, Vec<BulkChunk>) {
    let (command, chunks) = made(subject);
    subject.commands().accept(&command, &chunks).await.expect("accepted");
    (command, chunks)
}

async fn found(subject: &impl Subject, id: CommandId) -> BulkCommand {
    subject.commands().command(id).await.expect("read").expect("there")
}

async fn chunks(subject: &impl Subject, id: CommandId) -> Vec<BulkChunk> {
    subject.commands().chunks(id, 0, 100).await.expect("read")
}

/// Without it what is carried out is not what was asked.
pub async fn a_command_is_found_as_it_was_accepted(subject: &impl Subject) {
    let (command, all) = accepted(subject).await;
    assert_eq!(found(subject, command.id).await, command);
    assert_eq!(chunks(subject, command.id).await, all);
    let commands = subject.commands();
    assert_eq!(commands.chunks(command.id, 1, 1).await.expect("read"), all[1..2]);
    assert_eq!(commands.chunks(command.id, 1, 9).await.expect("read"), all[1..]);
    let (start, _) = made(subject);
    commands.accept(&BulkCommand { bulk: Bulk::Start, ..start.clone() }, &[]).await.expect("accepted");
    assert_eq!(found(subject, start.id).await.bulk, Bulk::Start);
    let unknown = CommandId::from(subject.new_worker());
    assert_eq!(commands.command(unknown).await.expect("read"), None);
    assert_eq!(commands.chunks(unknown, 0, 9).await.expect("read"), []);
}

/// Without it a request that is tried again would undo what was carried out in between.
pub async fn what_is_accepted_again_stays_as_it_is(subject: &impl Subject) {
    let (command, all) = accepted(subject).await;
    let (mut chunk, _) = take(subject, command.id, 0, 0).await.expect("free");
    chunk.items[0].outcome = BulkOutcome::Asked;
    chunk.finished = true;
    subject.commands().record_chunk(command.id, &chunk).await.expect("written");
    subject.commands().advance(command.id, 0, Some(command.dues[1])).await.expect("written");
    let (before, left) = (found(subject, command.id).await, chunks(subject, command.id).await);
    subject.commands().accept(&command, &all).await.expect("accepted");
    assert_eq!((found(subject, command.id).await, chunks(subject, command.id).await), (before, left));
}

/// Takes a chunk up for a minute, so many seconds after the start.
async fn take(subject: &impl Subject, id: CommandId, chunk: u32, at: i64) -> Option<(BulkChunk, u32)> {
    let (now, until) = (after(start(), at), after(start(), at + 60));
    subject.commands().take_up(id, chunk, now, until).await.expect("answered")
}

/// Without it two would carry out the same chunk, or a crash would leave it for good.
pub async fn a_chunk_is_taken_up_by_one_until_their_lease_is_over(subject: &impl Subject) {
    let (command, all) = accepted(subject).await;
    let taken = join_all((0..6).map(|_| take(subject, command.id, 0, 0))).await;
    let taken: Vec<_> = taken.into_iter().flatten().collect();
    assert_eq!(taken, [(all[0].clone(), 1)]);
    assert_eq!(take(subject, command.id, 0, 59).await, None);
    assert_eq!(take(subject, command.id, 0, 60).await, Some((all[0].clone(), 2)));
    assert_eq!(take(subject, command.id, 1, 60).await, Some((all[1].clone(), 1)), "another one");
    assert_eq!(take(subject, command.id, 2, 60).await, None, "finished from the start");
    assert_eq!(take(subject, command.id, 7, 60).await, None, "there is none");
}

/// Without it a late hand would write that nothing was asked where it was.
pub async fn what_was_finished_first_stays(subject: &impl Subject) {
    let (command, _) = accepted(subject).await;
    let (mut chunk, _) = take(subject, command.id, 0, 0).await.expect("free");
    chunk.items[0].outcome = BulkOutcome::Asked;
    chunk.items[1].outcome = BulkOutcome::Refused;
    chunk.items[1].refusal = Some((BulkRefusal::Held, "the worker is held".to_owned()));
    // So far: whoever takes it up again goes on from there, when the lease is over.
    subject.commands().record_chunk(command.id, &chunk).await.expect("written");
    assert_eq!(chunks(subject, command.id).await[0], chunk);
    assert_eq!(take(subject, command.id, 0, 59).await, None);
    assert_eq!(take(subject, command.id, 0, 60).await, Some((chunk.clone(), 2)));
    chunk.finished = true;
    subject.commands().record_chunk(command.id, &chunk).await.expect("written");
    let finished = chunk.clone();
    assert_eq!(chunks(subject, command.id).await[0], finished);
    assert_eq!(take(subject, command.id, 0, 999).await, None);
    chunk.items[0].outcome = BulkOutcome::Cancelled;
    subject.commands().record_chunk(command.id, &chunk).await.expect("answered");
    assert_eq!(chunks(subject, command.id).await[0], finished);
    let none = BulkChunk { number: 9, ..chunk };
    subject.commands().record_chunk(command.id, &none).await.expect("answered");
    assert_eq!(chunks(subject, command.id).await.len(), 3, "nothing comes to be");
}

/// Without it a request that comes twice would skip a chunk.
pub async fn a_command_goes_on_chunk_by_chunk_and_never_back(subject: &impl Subject) {
    let (command, _) = accepted(subject).await;
    let at = |next, due| BulkCommand { next, due, ..command.clone() };
    let second = Some(command.dues[1]);
    for _ in 0..2 {
        subject.commands().advance(command.id, 0, second).await.expect("answered");
        assert_eq!(found(subject, command.id).await, at(1, second));
    }
    subject.commands().advance(command.id, 1, None).await.expect("answered");
    subject.commands().advance(command.id, 0, second).await.expect("answered");
    assert_eq!(found(subject, command.id).await, at(2, None));
}

/// Without it whoever calls it off would be told so of what is done already.
pub async fn a_command_is_called_off_once_and_only_while_something_is_left(subject: &impl Subject) {
    let (command, _) = accepted(subject).await;
    let (at, other) = (after(start(), 5), Actor::Caller("bea".to_owned()));
    let cancel = async |id, at, by: &Actor| subject.commands().cancel(id, at, by).await.expect("answered");
    assert!(cancel(command.id, at, &asker()).await);
    let cancelled = BulkCommand { cancelled: Some((at, asker())), due: Some(at), ..command.clone() };
    assert_eq!(found(subject, command.id).await, cancelled);
    assert!(!cancel(command.id, after(at, 1), &other).await);
    assert_eq!(found(subject, command.id).await, cancelled);
    subject.commands().advance(command.id, 0, Some(after(at, 500))).await.expect("answered");
    let on_with_it = BulkCommand { next: 1, ..cancelled };
    assert_eq!(found(subject, command.id).await, on_with_it, "nothing of it waits any more");

    let (done, _) = accepted(subject).await;
    subject.commands().advance(done.id, 0, None).await.expect("answered");
    assert!(!cancel(done.id, at, &other).await);
    assert_eq!(found(subject, done.id).await.cancelled, None);
    let unknown = CommandId::from(subject.new_worker());
    assert!(!cancel(unknown, at, &other).await);
    assert_eq!(subject.commands().command(unknown).await.expect("read"), None);
}

/// Without it what a crash left, or falls due later, would never go on.
pub async fn what_is_due_comes_oldest_first_until_it_is_finished(subject: &impl Subject) {
    let (mut first, chunks) = made(subject);
    let (mut second, _) = made(subject);
    first.due = Some(after(start(), -20));
    second.due = Some(after(start(), -10));
    for command in [&second, &first] {
        subject.commands().accept(command, &chunks).await.expect("accepted");
    }
    let due = async |at: i64| -> Vec<CommandId> {
        let due = subject.commands().due_commands(after(start(), at), 1000).await.expect("read");
        due.into_iter().filter(|id| [first.id, second.id].contains(id)).collect()
    };
    let both = [first.id, second.id];
    subject.eventually("both are due", async || (due(-10).await == both).then_some(())).await;
    assert_eq!(due(-11).await, [first.id]);
    subject.commands().advance(first.id, 0, Some(after(start(), 50))).await.expect("answered");
    subject.commands().advance(second.id, 0, None).await.expect("answered");
    subject.eventually("one goes on later", async || due(49).await.is_empty().then_some(())).await;
    assert_eq!(due(50).await, [first.id]);
}
