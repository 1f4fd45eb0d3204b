//! The command line of the API: `cml-fleet`.
//!
//! # Design
//! - [`run`] is the whole program: arguments, [`Environment`], clock and chance come in, text goes to the [`Console`], and the exit
//!   code comes out. `main` alone knows the process it runs in, so the tests drive all of it, without waiting.
//! - `client` is the only way to the API: it says who asks, it tries again what may be tried again, and it makes every request for a
//!   change with an `Idempotency-Key` that stays the same however often it is sent.
//! - JSON is shown as the API wrote it. Only tables are made from `api::wire`.
//! - A `Failure` is the only way to fail; its exit code is the contract with scripts.

mod args;
mod body;
mod client;
mod commands;
mod console;
mod environment;
mod failure;
mod pages;
mod retry;
mod show;
mod sign;
mod wait;
mod words;

use std::ffi::OsString;

use app::ports::{Clock, Ids};
use clap::Parser;

pub use console::{Console, Terminal};
pub use environment::Environment;

use args::{Ask, Cli, Command, Global};
use client::Client;
use failure::Failure;

/// Runs one command line, and returns its exit code.
pub async fn run<O: Clock + Ids>(
    arguments: impl IntoIterator<Item = OsString>,
    environment: &Environment,
    outside: &O,
    console: &Console,
) -> u8 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            let text = error.to_string();
            if error.use_stderr() {
                console.note(&text);
                return u8::try_from(error.exit_code()).unwrap_or(2);
            }
            return console.text(&text).map_or_else(|failure| failure.code(), |()| 0);
        }
    };
    let outcome = match &cli.command {
        Command::Ask(command) => ask(&cli.global, command, environment, outside, console).await,
        Command::Completions { shell } => console.text(&commands::completions(*shell)),
    };
    match outcome {
        Ok(()) => 0,
        Err(failure) => {
            failure.tell(console, cli.global.output);
            failure.code()
        }
    }
}

async fn ask<O: Clock + Ids>(
    global: &Global,
    command: &Ask,
    environment: &Environment,
    outside: &O,
    console: &Console,
) -> Result<(), Failure> {
    // What anybody may read is asked for by nobody in particular.
    let nobody = Environment::default();
    let environment = if matches!(command, Ask::Openapi) { &nobody } else { environment };
    let client = Client::new(global, environment, outside, console)?;
    commands::run(&client, command, global).await
}
