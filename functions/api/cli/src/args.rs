//! The command line: commands, their arguments, and what `--help` says of them.

mod bulk;
mod worker;

use clap::builder::PossibleValuesParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;
use domain::{Metric, Status};

use crate::words::{Pair, Span};

pub(crate) use bulk::{BulkArgs, BulkStatusArgs, ImportArgs};
pub(crate) use worker::{CreateArgs, SettingsArgs, SpecArgs};

const AFTER_HELP: &str = "\
Who asks: a bearer token from CML_FLEET_TOKEN, else AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN, with which
requests are signed for the region in the address, or else for that of AWS_REGION or AWS_DEFAULT_REGION.

Where the output is no terminal there are no colours, no questions, no progress and no headings, and columns are parted by tabs.
Where the error output is none there are no questions and no progress either, and where the input is none there are no questions.
Errors are one line on the error output, with --output json a problem as the API has them; a command line that cannot be read is told
in several lines, and not as JSON. NO_COLOR is honoured.

Exit codes:
  0  done; also when the time for watch without --until, or for events --follow, is over
  1  failed: no answer, a fault of the API, not now (429 and the like), a wrong address (any other 404), a file that cannot be
     read, or nothing was done because you said no
  2  the command line is not valid
  3  refused: the request is not allowed as it is, or not as things are (400, 409, 412, 422 ...)
  4  there is no such worker, command or instance (404)
  5  not logged in, or not allowed (401, 403)
  6  in vain: watch --until did not get there, bulk was not done in time, or not all of an import or bulk came about: something
     was refused or failed, and of a bulk also superseded or cancelled";

/// The command line of a fleet of CML workers on EC2.
#[derive(Debug, Parser)]
#[command(name = "cml-fleet", version, after_help = AFTER_HELP)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Command,
}

/// What every command takes.
#[derive(Debug, Args)]
pub(crate) struct Global {
    /// The address of the API
    #[arg(long, global = true, env = "CML_FLEET_URL", hide_env_values = true)]
    pub(crate) url: Option<String>,
    /// How results are shown
    #[arg(long, short, global = true, value_enum, default_value_t = Output::Table)]
    pub(crate) output: Output,
    /// When to give up: trying a request (after 60 at most), or waiting in watch, events --follow and bulk (never, if not said)
    #[arg(long, global = true, value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..=604_800))]
    pub(crate) timeout: Option<u64>,
    /// Say each request on the error output; never who asks
    #[arg(long, short, global = true)]
    pub(crate) verbose: bool,
}

/// How results are shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Output {
    /// For people and for cut
    Table,
    /// The API's own JSON; one document a line where there is no end
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    #[command(flatten)]
    Ask(Ask),
    /// Print the completions for a shell
    Completions {
        /// The shell
        shell: Shell,
    },
}

/// What to ask the API.
#[derive(Debug, Subcommand)]
pub(crate) enum Ask {
    /// List the living workers
    List(ListArgs),
    /// Show one worker
    Get(WorkerArg),
    /// Follow workers as they change
    Watch(WatchArgs),
    /// Create a worker; its instance is launched
    Create(Box<CreateArgs>),
    /// Answer for instances that exist: one by --instance, or all that are found
    Import(Box<ImportArgs>),
    /// Let a worker run
    Start(ChangeArgs),
    /// Let a worker be stopped
    Stop(ChangeArgs),
    /// Reboot a worker
    Reboot(ChangeArgs),
    /// Look at a worker and its metrics now
    Sync(ChangeArgs),
    /// End a worker and its instance, or only forget it
    Terminate(TerminateArgs),
    /// Keep our hands off a worker
    Hold(HoldArgs),
    /// Take care of a held worker again
    Release(ChangeArgs),
    /// Let a worker be ended only by who names it
    Protect(ChangeArgs),
    /// Undo protect
    Unprotect(ChangeArgs),
    /// Set and remove tags of a worker
    Tag(TagArgs),
    /// Show what happened to a worker, the newest last
    Events(EventsArgs),
    /// Show the metrics of a worker
    Telemetry(TelemetryArgs),
    /// Do one thing to many workers
    Bulk(BulkArgs),
    /// Show how far a bulk command has got
    BulkStatus(BulkStatusArgs),
    /// Keep a bulk command from going on; what EC2 was asked for stays
    BulkCancel {
        /// The id of the bulk command
        id: String,
    },
    /// Print the API's own description, OpenAPI 3.1
    Openapi,
}

/// One worker.
#[derive(Debug, Args)]
pub(crate) struct WorkerArg {
    /// The worker's id, or the name of a living one
    #[arg(value_name = "ID|NAME")]
    pub(crate) worker: String,
}

/// A change of one worker.
#[derive(Debug, Args)]
pub(crate) struct ChangeArgs {
    #[command(flatten)]
    pub(crate) named: WorkerArg,
    /// Only if the worker is still at this version
    #[arg(long, value_name = "VERSION")]
    pub(crate) if_version: Option<u64>,
}

/// Which workers to list.
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    /// Only in this region
    #[arg(long)]
    pub(crate) region: Option<String>,
    /// Only with this status
    #[arg(long, value_parser = living())]
    pub(crate) status: Option<String>,
    /// Only the one with this name
    #[arg(long)]
    pub(crate) name: Option<String>,
    /// The most workers to list
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// All of them, however many
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
}

/// What to follow.
#[derive(Debug, Args)]
pub(crate) struct WatchArgs {
    /// The workers; all living ones if none is named
    #[arg(value_name = "ID|NAME")]
    pub(crate) workers: Vec<String>,
    /// End when all of them have this status; code 6 if one cannot get there any more, or --timeout is over
    #[arg(long, value_name = "STATUS", requires = "workers", value_parser = any_status())]
    pub(crate) until: Option<String>,
    /// How often to look
    #[arg(long, value_name = "SECONDS", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) interval: u64,
}

/// What to end.
#[derive(Debug, Args)]
pub(crate) struct TerminateArgs {
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// The worker's name, once more: a protected worker is ended by nothing else; no question is asked
    #[arg(long, value_name = "NAME", conflicts_with = "forget")]
    pub(crate) confirm: Option<String>,
    /// Leave the instance alone, and only forget the worker
    #[arg(long)]
    pub(crate) forget: bool,
    /// Do not ask; needed where nobody can be asked
    #[arg(long, short)]
    pub(crate) yes: bool,
}

/// What to hold.
#[derive(Debug, Args)]
pub(crate) struct HoldArgs {
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// Why
    #[arg(long)]
    pub(crate) reason: String,
}

/// Which tags to change.
#[derive(Debug, Args)]
pub(crate) struct TagArgs {
    #[command(flatten)]
    pub(crate) change: ChangeArgs,
    /// Tags to set
    #[arg(value_name = "KEY=VALUE", required_unless_present = "remove")]
    pub(crate) set: Vec<Pair>,
    /// Tags to remove
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) remove: Vec<String>,
}

/// Which facts to show.
#[derive(Debug, Args)]
pub(crate) struct EventsArgs {
    #[command(flatten)]
    pub(crate) named: WorkerArg,
    /// The most versions to show, the newest ones
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub(crate) limit: u32,
    /// All of them
    #[arg(long, conflicts_with = "limit")]
    pub(crate) all: bool,
    /// Go on with what happens from now on
    #[arg(long, short)]
    pub(crate) follow: bool,
    /// How often to look, with --follow
    #[arg(long, value_name = "SECONDS", default_value_t = 2, value_parser = clap::value_parser!(u64).range(1..=3600))]
    pub(crate) interval: u64,
}

/// Which metrics to show.
#[derive(Debug, Args)]
pub(crate) struct TelemetryArgs {
    #[command(flatten)]
    pub(crate) named: WorkerArg,
    /// Only this one, in a table; may be repeated
    #[arg(long, value_parser = words(Metric::ALL.iter().map(|metric| metric.as_str())))]
    pub(crate) metric: Vec<String>,
    /// How far back: a number and s, m, h or d
    #[arg(long, value_name = "SPAN", default_value = "24h")]
    pub(crate) since: Span,
}

fn words(words: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(words.collect::<Vec<_>>())
}

fn any_status() -> PossibleValuesParser {
    words(Status::ALL.iter().map(|status| status.as_str()))
}

fn living() -> PossibleValuesParser {
    words(Status::ALL.iter().filter(|status| **status != Status::Terminated).map(|status| status.as_str()))
}
