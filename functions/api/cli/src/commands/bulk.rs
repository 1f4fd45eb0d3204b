//! `bulk`, `bulk-status` and `bulk-cancel`: one thing for many workers.

mod amiss;

use api::wire::{Command, CommandWorker};
use app::ports::{Clock, Ids};
use domain::BulkKind;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::args::{BulkArgs, BulkStatusArgs, Output};
use crate::body;
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::pages::{Extent, Listing, ids_of, listing};
use crate::show;
use crate::wait::Wait;

/// How often a command is looked at while it is waited for, in milliseconds.
const LOOK_EVERY: u64 = 2000;
/// How long it is between two looks at most, in milliseconds: each reads every worker that was asked.
const SLOWEST: u64 = 30_000;
/// For how long it is waited until all that was called off is marked as such, in seconds.
const SETTLES: u64 = 15;
/// The most workers of one page.
const PAGE: usize = 100;
/// The most workers that can be named in one command.
const MOST_NAMED: usize = 1000;

pub(super) async fn bulk<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &BulkArgs,
    timeout: Option<u64>,
    output: Output,
) -> Result<(), Failure> {
    let ends_workers = args.action == BulkKind::Terminate;
    let consent = args.yes || args.confirm.is_some() || args.dry_run;
    let asks = !consent && client.console.is_attended();
    if ends_workers && !consent && !asks {
        return Err(Failure::Usage("nobody can be asked: say --yes, or --confirm and a number".to_owned()));
    }
    let mut ids = ids_of(client, &args.workers).await?;
    let ask = async |ids: &[String], dry_run, confirm| {
        let body = body::bulk(args, ids, dry_run, confirm)?;
        client.send(Request::post(&["commands"]).body(body)).await
    };
    let mut confirm = args.confirm;
    if asks {
        let answer = ask(&ids, true, None).await?;
        let plan: Command = answer.read()?;
        let workers = plan.items.as_deref().unwrap_or_default();
        client.console.note(&show::targets(workers).text(client.console));
        let (planned, all, seconds) = (plan.counts.planned, workers.len(), plan.eta_seconds);
        let question = format!("{} {planned} of {all} workers, in about {seconds} s?", args.action);
        if planned == 0 {
            // As a table it was shown; as JSON it is all that there is to say.
            if output == Output::Json {
                client.console.line(&answer.text)?;
            }
            note_nobody(client, &plan, output);
            return amiss::verdict(&plan);
        }
        if !client.console.confirmed(&question)? {
            return Err(Failure::Declined);
        }
        // Who says yes to a number says yes to just that number, and who says yes to workers to just those.
        confirm = ends_workers.then_some(u64::from(planned));
        if plan.next.is_none() && workers.len() <= MOST_NAMED {
            ids = workers.iter().map(|worker| worker.worker_id.clone()).collect();
        }
    }
    let answer = ask(&ids, args.dry_run, confirm).await?;
    let command: Command = answer.read()?;
    note_nobody(client, &command, output);
    let Some(id) = command.id.clone() else { return show(client, &command, &answer, output) };
    if output == Output::Table && !asks {
        beside(client, tell(client, &id, &command).await, output)?;
    }
    if args.detach {
        brief(client, &command, &answer, output)?;
        return amiss::verdict(&command);
    }
    if client.console.is_watched() {
        let note = format!("command {id}; it goes on without you: cml-fleet bulk-status {id}\n");
        client.console.note(&note);
    }
    let mut last = (command, answer);
    // What was called off is over once it is marked as that: a chunk that was being recorded just then is carried out.
    let is_over = |command: &Command| {
        let waiting = command.progress.as_ref().map_or(0, |progress| progress.waiting);
        command.status != "running" && waiting + command.counts.planned == 0
    };
    let waited = wait(client, &id, Wait::new(client, timeout, output), is_over, &mut last).await;
    let (command, answer) = last;
    if let Err(failure) = waited {
        beside(client, brief(client, &command, &answer, output), output)?;
        return Err(failure.while_it_goes_on(id));
    }
    show(client, &command, &answer, output)?;
    let verdict = amiss::verdict(&command);
    if verdict.is_err() && output == Output::Table {
        beside(client, tell_amiss(client, &id, args.action).await, output)?;
    }
    verdict
}

/// Says so if there is nobody to do it to: a filter with a mistake in it looks like one that is done at once.
fn note_nobody<O: Clock + Ids>(client: &Client<'_, O>, command: &Command, output: Output) {
    let counts = &command.counts;
    let all = [counts.planned, counts.asked, counts.unchanged, counts.refused, counts.superseded];
    if output == Output::Table && all.iter().sum::<u32>() + counts.cancelled == 0 {
        client.console.note("no worker is like that\n");
    }
}

/// What is only shown beside may fail: that is said, and it is no reason not to tell how the command itself ends.
fn beside<O: Clock + Ids>(
    client: &Client<'_, O>,
    told: Result<(), Failure>,
    output: Output,
) -> Result<(), Failure> {
    match told {
        Err(Failure::Closed) => told,
        Err(failure) => {
            failure.tell(client.console, output);
            Ok(())
        }
        Ok(()) => Ok(()),
    }
}

async fn tell_amiss<O: Clock + Ids>(
    client: &Client<'_, O>,
    id: &str,
    asked: BulkKind,
) -> Result<(), Failure> {
    amiss::tell(client, asked, &workers(client, id).await?.read::<CommandWorker>()?).await
}

/// All workers of a command, and what has become of it for each.
async fn workers<O: Clock + Ids>(client: &Client<'_, O>, id: &str) -> Result<Listing, Failure> {
    let ask = || Request::get(&["commands", id, "workers"]);
    listing(client, Extent { most: None, page: PAGE }, ask).await
}

/// Shows all workers of a command. Its answer has the first ones.
async fn tell<O: Clock + Ids>(client: &Client<'_, O>, id: &str, command: &Command) -> Result<(), Failure> {
    if let (Some(workers), None) = (&command.items, &command.next) {
        return show::targets(workers).write(client.console);
    }
    show::targets(&workers(client, id).await?.read::<CommandWorker>()?).write(client.console)
}

/// Looks at a command until it is over. However that ends, what was heard last is kept.
async fn wait<O: Clock + Ids>(
    client: &Client<'_, O>,
    id: &str,
    mut wait: Wait<'_, '_, O>,
    is_over: impl Fn(&Command) -> bool,
    last: &mut (Command, Answer),
) -> Result<(), Failure> {
    let bar = bar(client.console.is_watched());
    let (mut pause, mut standing) = (LOOK_EVERY, String::new());
    loop {
        let asked = client.send(Request::get(&["commands", id]).until(wait.end())).await;
        if let Some(answer) = bar.suspend(|| wait.heard(asked))? {
            let command: Command = answer.read()?;
            let progress = command.progress.as_ref();
            let (done, waiting, failed) =
                progress.map_or((0, 0, 0), |p| (p.done + p.superseded, p.waiting, p.failed));
            let left = command.counts.planned + waiting;
            bar.set_length(u64::from(left + done + failed));
            bar.set_position(u64::from(done + failed));
            bar.set_message(format!("{failed} failed, eta {}", command.eta));
            let over = is_over(&command);
            *last = (command, answer);
            if over {
                return Ok(());
            }
            standing = format!("{done} done, {left} waiting, {failed} failed");
        }
        if wait.is_over()? {
            return Err(Failure::Vain(format!("not done yet: {standing}")));
        }
        wait.pause(pause).await;
        pause = (pause * 3 / 2).min(SLOWEST);
    }
}

fn bar(watched: bool) -> ProgressBar {
    let target = if watched { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
    let bar = ProgressBar::with_draw_target(Some(0), target);
    let style = ProgressStyle::with_template("{wide_bar} {pos}/{len} {msg}");
    bar.set_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
    bar
}

fn show<O: Clock + Ids>(
    client: &Client<'_, O>,
    command: &Command,
    answer: &Answer,
    output: Output,
) -> Result<(), Failure> {
    if let (Output::Table, Some(workers)) = (output, &command.items) {
        show::targets(workers).write(client.console)?;
    }
    brief(client, command, answer, output)
}

/// Shows a command, and in a table none of its workers.
fn brief<O: Clock + Ids>(
    client: &Client<'_, O>,
    command: &Command,
    answer: &Answer,
    output: Output,
) -> Result<(), Failure> {
    match output {
        Output::Json => client.console.line(&answer.text),
        Output::Table => show::summary(command).write(client.console),
    }
}

pub(super) async fn status<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &BulkStatusArgs,
    output: Output,
) -> Result<(), Failure> {
    let id = args.id.as_str();
    if args.workers {
        let found = workers(client, id).await?;
        return match output {
            Output::Json => client.console.line(&found.json),
            Output::Table => show::targets(&found.read::<CommandWorker>()?).write(client.console),
        };
    }
    let answer = client.send(Request::get(&["commands", id])).await?;
    show(client, &answer.read()?, &answer, output)
}

pub(super) async fn cancel<O: Clock + Ids>(
    client: &Client<'_, O>,
    id: &str,
    timeout: Option<u64>,
    output: Output,
) -> Result<(), Failure> {
    let answer = client.send(Request::post(&["commands", id, "cancel"])).await?;
    let mut last: (Command, Answer) = (answer.read()?, answer);
    let is_settled = |command: &Command| command.counts.planned == 0;
    if !is_settled(&last.0) {
        // It is called off, whether or not it can be seen which of them were.
        let until = Wait::new(client, Some(timeout.unwrap_or(SETTLES)), output);
        match wait(client, id, until, is_settled, &mut last).await {
            Err(Failure::Vain(_)) => {}
            waited => beside(client, waited, output)?,
        }
    }
    let (command, answer) = last;
    show(client, &command, &answer, output)?;
    if output == Output::Table {
        match (command.counts.planned, command.counts.cancelled) {
            (1.., _) => client.console.note(&format!(
                "what is planned is called off, but for what is being recorded just now: cml-fleet bulk-status {id}\n"
            )),
            (0, 0) => client.console.note("nothing was called off: nothing was left that had not begun\n"),
            (0, _) => {}
        }
    }
    Ok(())
}
