//! The arguments of what is about many: `import` and `bulk`.

use clap::builder::TypedValueParser;
use clap::{ArgGroup, Args};
use domain::BulkKind;

use super::{SettingsArgs, words};
use crate::words::Pair;

/// Which instances to answer for.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("which").required(true).multiple(true).args(["instance", "ids", "find_tag", "image_name"]))]
pub(crate) struct ImportArgs {
    /// One instance, by its id
    #[arg(long, value_name = "ID", requires = "region", conflicts_with_all = ["ids", "find_tag", "image_name"])]
    pub(crate) instance: Option<String>,
    /// Where that instance is
    #[arg(long, requires = "instance")]
    pub(crate) region: Option<String>,
    /// What to call its worker; as EC2 calls the instance, if not said
    #[arg(long, requires = "instance")]
    pub(crate) name: Option<String>,
    /// These instances
    #[arg(long, value_name = "ID,...", value_delimiter = ',', conflicts_with_all = ["find_tag", "image_name"])]
    pub(crate) ids: Vec<String>,
    /// All instances with this tag; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) find_tag: Vec<Pair>,
    /// All instances of an image with such a name; * and ? stand for anything
    #[arg(long, value_name = "PATTERN")]
    pub(crate) image_name: Option<String>,
    /// Where to look for them; everywhere, if not said
    #[arg(long, value_name = "REGION,...", value_delimiter = ',', conflicts_with = "instance")]
    pub(crate) regions: Vec<String>,
    /// Only say what would be imported; code 6 only if that is not known of all
    #[arg(long, conflicts_with = "instance")]
    pub(crate) dry_run: bool,
    /// Go on where an import that asked for just the same ended early: the `next` it told
    #[arg(long, conflicts_with = "instance")]
    pub(crate) cursor: Option<String>,
    /// A tag for the workers; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) tag: Vec<Pair>,
    /// Hold them from the beginning, for this reason
    #[arg(long, value_name = "REASON")]
    pub(crate) held: Option<String>,
    /// End them only for who names them
    #[arg(long)]
    pub(crate) protected: bool,
    /// Also those whose tag names a worker that nobody has a record of
    #[arg(long)]
    pub(crate) adopt_orphans: bool,
    #[command(flatten)]
    pub(crate) settings: SettingsArgs,
}

/// One thing for many workers.
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("whom").required(true).args(["workers", "filter", "all"]))]
pub(crate) struct BulkArgs {
    /// What to do
    #[arg(value_parser = kinds())]
    pub(crate) action: BulkKind,
    /// These workers
    #[arg(long, value_name = "ID|NAME,...", value_delimiter = ',')]
    pub(crate) workers: Vec<String>,
    /// All living workers like this: region=, status=, name= (with * and ?) or tag.KEY=; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) filter: Vec<Pair>,
    /// All living workers
    #[arg(long)]
    pub(crate) all: bool,
    /// A tag to set, with the action tag; may be repeated
    #[arg(long, value_name = "KEY=VALUE")]
    pub(crate) tag: Vec<Pair>,
    /// A tag to remove, with the action tag
    #[arg(long, value_name = "KEY", value_delimiter = ',')]
    pub(crate) remove_tag: Vec<String>,
    /// Only say what would be done
    #[arg(long)]
    pub(crate) dry_run: bool,
    /// How many workers will be terminated: many are ended for nothing else; no question is asked
    #[arg(long, value_name = "NUMBER")]
    pub(crate) confirm: Option<u64>,
    /// Do not ask; a termination needs it, or --confirm, where nobody can be asked
    #[arg(long, short)]
    pub(crate) yes: bool,
    /// Do not wait until it is done
    #[arg(long)]
    pub(crate) detach: bool,
}

/// Which bulk command to look at.
#[derive(Debug, Args)]
pub(crate) struct BulkStatusArgs {
    /// The id of the bulk command
    pub(crate) id: String,
    /// Show its workers instead, and what has become of it for each
    #[arg(long)]
    pub(crate) workers: bool,
}

fn kinds() -> impl TypedValueParser<Value = BulkKind> {
    words(BulkKind::ALL.iter().map(|kind| kind.as_str())).try_map(|word| word.parse::<BulkKind>())
}
