//! Changes of one worker.

use app::ports::{Clock, Ids};
use serde_json::Value;

use super::worker;
use crate::args::{ChangeArgs, Output, TerminateArgs};
use crate::client::{Client, Request};
use crate::failure::Failure;
use crate::pages::{id_of, worker_of};

/// `start`, `stop`, `reboot`, `sync`.
pub(super) async fn order<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &ChangeArgs,
    verb: &str,
    output: Output,
) -> Result<(), Failure> {
    let id = id_of(client, &args.named.worker).await?;
    let request = Request::post(&["workers", &id, verb]).at_version(args.if_version);
    worker(client, &client.send(request).await?, output)
}

/// A merge patch.
pub(super) async fn patch<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &ChangeArgs,
    body: Value,
    output: Output,
) -> Result<(), Failure> {
    let id = id_of(client, &args.named.worker).await?;
    let request = Request::patch(&["workers", &id], body).at_version(args.if_version);
    worker(client, &client.send(request).await?, output)
}

/// The end of a worker. Whoever can be asked is asked; nobody's silence is a yes.
pub(super) async fn terminate<O: Clock + Ids>(
    client: &Client<'_, O>,
    args: &TerminateArgs,
    output: Output,
) -> Result<(), Failure> {
    let consent = args.yes || args.confirm.is_some();
    if !consent && !client.console.is_attended() {
        return Err(Failure::Usage("nobody can be asked: say --yes, or --confirm and the name".to_owned()));
    }
    let named = &args.change.named.worker;
    let id = if consent {
        id_of(client, named).await?
    } else {
        let found = worker_of(client, named).await?;
        let (name, id) = (&found.name, &found.id);
        let question = match (&found.instance_id, args.forget) {
            (_, true) => format!("Forget {name} ({id}) and leave its instance as it is?"),
            (Some(instance), false) => format!("Terminate {name} ({id}) and its instance {instance}?"),
            (None, false) => format!("Terminate {name} ({id})?"),
        };
        if !client.console.confirmed(&question)? {
            return Err(Failure::Declined);
        }
        found.id
    };
    let request = Request::delete(&["workers", &id])
        .query("confirm", args.confirm.as_ref())
        .query("forget", args.forget.then_some(true))
        .at_version(args.change.if_version);
    worker(client, &client.send(request).await?, output)
}
