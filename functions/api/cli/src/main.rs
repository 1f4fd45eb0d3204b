//! The process: its arguments, environment, terminal, clock and chance.

use std::io::{self, BufReader, IsTerminal};
use std::process::ExitCode;
use std::time::Duration;

use app::ports::{Clock, Ids};
use cml_fleet::{Console, Environment, Terminal};
use domain::{Timestamp, WorkerId};
use uuid::Uuid;

/// The machine's clock and its source of identities and chance.
#[derive(Debug)]
struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the clock")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    async fn sleep(&self, millis: u64) {
        tokio::time::sleep(Duration::from_millis(millis)).await;
    }
}

impl Ids for System {
    #[expect(clippy::disallowed_methods, reason = "the one place that makes identities")]
    fn worker_id(&self) -> WorkerId {
        WorkerId::new(Uuid::now_v7())
    }

    #[expect(clippy::disallowed_methods, reason = "the one place that takes chances")]
    fn below(&self, below: u64) -> u64 {
        // The last eight bytes of a version 7 UUID are random but for the two bits of the variant.
        let random = Uuid::now_v7().as_u128() & 0x3fff_ffff_ffff_ffff;
        u64::try_from(random).unwrap_or(0) % below.max(1)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "the one place that reads the environment")]
    let environment = Environment::read(|name| std::env::var(name).ok());
    let width = console::Term::stdout().size_checked().map_or(80, |(_, columns)| usize::from(columns));
    let terminal = Terminal {
        out: io::stdout().is_terminal().then_some(width),
        err: io::stderr().is_terminal(),
        input: io::stdin().is_terminal(),
    };
    let input = BufReader::new(io::stdin());
    let console = Console::new(io::stdout(), io::stderr(), input, terminal, environment.no_color);
    ExitCode::from(cml_fleet::run(std::env::args_os(), &environment, &System, &console).await)
}
