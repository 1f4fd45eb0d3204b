//! The commands: each asks the API and shows what came of it.

mod bulk;
mod change;
mod history;
mod import;
mod read;
mod watch;

use app::ports::{Clock, Ids};
use clap::CommandFactory;
use clap_complete::Shell;
use serde_json::json;

use crate::args::{Ask, Cli, Global, Output};
use crate::body;
use crate::client::{Answer, Client, Request};
use crate::failure::Failure;
use crate::show;

/// Carries out a command.
pub(crate) async fn run<O: Clock + Ids>(
    client: &Client<'_, O>,
    command: &Ask,
    global: &Global,
) -> Result<(), Failure> {
    let (output, timeout) = (global.output, global.timeout);
    match command {
        Ask::List(args) => read::list(client, args, output).await,
        Ask::Get(args) => read::get(client, &args.worker, output).await,
        Ask::Watch(args) => watch::watch(client, args, timeout, output).await,
        Ask::Create(args) => {
            let body = body::create(args, client.console)?;
            worker(client, &client.send(Request::post(&["workers"]).body(body)).await?, output)
        }
        Ask::Import(args) => import::import(client, args, output).await,
        Ask::Start(args) => change::order(client, args, "start", output).await,
        Ask::Stop(args) => change::order(client, args, "stop", output).await,
        Ask::Reboot(args) => change::order(client, args, "reboot", output).await,
        Ask::Sync(args) => change::order(client, args, "sync", output).await,
        Ask::Terminate(args) => change::terminate(client, args, output).await,
        Ask::Hold(args) => change::patch(client, &args.change, json!({ "held": args.reason }), output).await,
        Ask::Release(args) => change::patch(client, args, json!({ "held": null }), output).await,
        Ask::Protect(args) => change::patch(client, args, json!({ "protected": true }), output).await,
        Ask::Unprotect(args) => change::patch(client, args, json!({ "protected": false }), output).await,
        Ask::Tag(args) => {
            let tags = body::tags_patch(&args.set, &args.remove)?;
            change::patch(client, &args.change, json!({ "tags": tags }), output).await
        }
        Ask::Events(args) => history::events(client, args, timeout, output).await,
        Ask::Telemetry(args) => history::telemetry(client, args, output).await,
        Ask::Bulk(args) => bulk::bulk(client, args, timeout, output).await,
        Ask::BulkStatus(args) => bulk::status(client, args, output).await,
        Ask::BulkCancel { id } => bulk::cancel(client, id, timeout, output).await,
        Ask::Openapi => {
            let answer = client.send(Request::get(&["openapi.json"])).await?;
            client.console.text(&answer.text)
        }
    }
}

/// The completions for a shell.
pub(crate) fn completions(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "cml-fleet", &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// Shows the worker of an answer, as a row.
fn worker<O: Clock + Ids>(client: &Client<'_, O>, answer: &Answer, output: Output) -> Result<(), Failure> {
    match output {
        Output::Json => client.console.line(&answer.text),
        Output::Table => show::workers([&answer.read()?]).write(client.console),
    }
}
