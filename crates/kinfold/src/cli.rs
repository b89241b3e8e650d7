//! The command line.

use std::ffi::OsStr;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Duration;

use chrono::{DateTime, Utc};
use clap::builder::{PossibleValue, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};
use clap_complete::Shell;

mod identity;

pub use identity::{
    ChartArguments, EvaluateArguments, ExplainArguments, LabelArguments, SuggestArguments,
};

/// A customer data platform in one binary: SQL models and YAML in Git, Delta tables in your own
/// storage, audiences in your tools.
#[derive(Debug, Parser)]
#[command(
    name = "kinfold",
    version,
    propagate_version = true,
    max_term_width = 100
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// The command.
    #[command(subcommand)]
    pub command: Command,
}

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// For people.
    Text,
    /// One JSON object on standard output.
    Json,
    /// Diagnostics for code hosts and editors, as SARIF 2.1.0 on standard output.
    Sarif,
}

/// When output is coloured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless `NO_COLOR` is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Options of every command.
#[derive(Clone, Debug, Args)]
pub struct Global {
    /// Folder of the project.
    #[arg(long, global = true, default_value = ".", value_name = "DIR")]
    pub project_dir: PathBuf,
    /// Environment to work in; the first of the project if not given.
    #[arg(long, global = true, value_name = "NAME", env = "KINFOLD_ENV")]
    pub env: Option<String>,
    /// Variables as a YAML mapping, stronger than those of the project.
    #[arg(long, global = true, value_name = "YAML")]
    pub vars: Option<String>,
    /// How results are printed.
    #[arg(long, global = true, value_enum, default_value_t = OutputFormat::Text)]
    pub output: OutputFormat,
    /// When output is coloured.
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto)]
    pub color: ColorChoice,
    /// Only errors on standard error.
    #[arg(long, short, global = true)]
    pub quiet: bool,
    /// Parts into which queries are split, each for a core; as many as there are cores if not given. The
    /// result does not depend on it.
    #[arg(long, global = true, value_name = "N", env = "KINFOLD_THREADS")]
    pub threads: Option<NonZeroUsize>,
}

/// Which nodes.
#[derive(Clone, Debug, Default, Args)]
pub struct Selection {
    /// Nodes to take: names, `tag:…`, `path:…`, `state:modified`, `+` for parents or children.
    #[arg(long, short, num_args = 1.., value_name = "SELECTOR")]
    pub select: Vec<String>,
    /// Nodes to leave out.
    #[arg(long, num_args = 1.., value_name = "SELECTOR")]
    pub exclude: Vec<String>,
    /// Take the nodes of a selector of `selectors.yml`.
    #[arg(long, value_name = "NAME", conflicts_with_all = ["select", "exclude"])]
    pub selector: Option<String>,
    /// Folder with the `manifest.json` (and `run_results.json`) that `state:…` and `result:…` compare with.
    #[arg(long, value_name = "DIR", env = "KINFOLD_STATE")]
    pub state: Option<PathBuf>,
}

/// Where what is neither selected nor built is read.
#[derive(Clone, Debug, Default, Args)]
pub struct Defer {
    /// Read what is neither selected nor built in this environment as another one has published it: the one
    /// that `--state` was written in, else the one that owns the lake.
    #[arg(long)]
    pub defer: bool,
    /// The same, from this environment.
    #[arg(long, value_name = "NAME")]
    pub defer_to: Option<String>,
    /// Prefer what the other environment has also where this one has built the node.
    #[arg(long)]
    pub favor_state: bool,
}

/// Options of commands that build.
#[derive(Clone, Debug, Default, Args)]
pub struct RunOptions {
    /// Which nodes.
    #[command(flatten)]
    pub selection: Selection,
    /// Where the rest is read.
    #[command(flatten)]
    pub defer: Defer,
    /// Build also what is unchanged.
    #[arg(long, short)]
    pub full_refresh: bool,
    /// The run's clock (RFC 3339): what `now()` returns. The time of the start if not given.
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<DateTime<Utc>>,
    /// Memory that queries may use before they spill to disk, such as `512MB` or `4GB`.
    #[arg(long, value_name = "SIZE", value_parser = parse_size)]
    pub memory_limit: Option<usize>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a new project in a folder.
    Init {
        /// The folder; this one if not given.
        dir: Option<PathBuf>,
        /// Name of the project; the folder's if not given.
        #[arg(long)]
        name: Option<String>,
    },
    /// Put the example shop with generated data into a folder and run all of it.
    Demo {
        /// The folder.
        #[arg(long, default_value = "kinfold-demo")]
        dir: PathBuf,
        /// How many people the shop has: 10,000 in a new folder, else as many as there are. Another
        /// number replaces the data.
        #[arg(long)]
        persons: Option<u64>,
        /// Seed of the generator; another one replaces the data.
        #[arg(long)]
        seed: Option<u64>,
        /// Add so many days of data to what is there.
        #[arg(long, value_name = "DAYS", default_value_t = 0)]
        add_days: u32,
        /// Write the files and run nothing.
        #[arg(long)]
        data_only: bool,
        /// Only run the receiver that the shop delivers to, until Ctrl-C.
        #[arg(long)]
        serve: bool,
    },
    /// Say everything that is wrong with the project, without opening a socket.
    Check,
    /// Say more about the code of a diagnostic: why it is one, with an example and how it is mended.
    #[command(after_help = "Example: kinfold explain KF0402, or kinfold explain unknown-column")]
    Explain {
        /// A code or its name; all are listed if not given.
        #[arg(value_parser = CodeWords, hide_possible_values = true)]
        code: Option<String>,
    },
    /// Check, and write the compiled SQL and `manifest.json` to `target/`.
    Compile {
        /// Which nodes to print.
        #[command(flatten)]
        selection: Selection,
    },
    /// Say what a build would do to each node and why, and whom it would concern: who would be merged, split,
    /// new or gone. Writes nothing.
    #[command(
        after_help = "Example: kinfold plan --select state:modified+ --state prod-artefacts --defer"
    )]
    Plan(crate::commands::plan::PlanArguments),
    /// Load sources and seeds, build models, run data tests, and publish if all is well.
    Build(RunOptions),
    /// Build models, without running data tests.
    Run(RunOptions),
    /// Load seeds.
    Seed(RunOptions),
    /// Run data tests on what is published.
    Test(RunOptions),
    /// List nodes.
    Ls {
        /// Which nodes.
        #[command(flatten)]
        selection: Selection,
        /// Only nodes of this type: model, seed, source, test, sync.
        #[arg(long, value_name = "TYPE")]
        resource_type: Vec<String>,
    },
    /// Say which columns a column comes from, or which come of it: from the columns of sources through models to
    /// the fields of destinations.
    #[command(
        after_help = "Examples:\n  kinfold lineage person_profile.lifetime_value\n  kinfold lineage raw.orders.amount --down"
    )]
    Lineage(crate::commands::lineage::LineageArguments),
    /// Sources as they are now.
    #[command(visible_alias = "sources")]
    Source {
        /// What to do.
        #[command(subcommand)]
        action: SourceAction,
    },
    /// Files for catalogues and documentation sites.
    Docs {
        /// What to do.
        #[command(subcommand)]
        action: DocsAction,
    },
    /// Print the first rows of a published model.
    Show {
        /// The model, seed, source or companion relation.
        name: String,
        /// How many rows.
        #[arg(long, default_value_t = 10)]
        limit: u64,
    },
    /// Run a query on what is published.
    Query {
        /// The query; `-` reads it from standard input.
        sql: String,
        /// Print rows as `table`, `csv` or `ndjson`.
        #[arg(long, value_enum, default_value_t = RowFormat::Table)]
        format: RowFormat,
    },
    /// Environments of the lake: list, compare, remove.
    Env {
        /// What to do.
        #[command(subcommand)]
        action: crate::commands::environment::EnvironmentAction,
    },
    /// List what is published and was before, or publish once more what was.
    #[command(
        after_help = "Example: kinfold publish --rollback publishes what readers saw before the last build"
    )]
    Publish(crate::commands::environment::PublishArguments),
    /// Who is who.
    Identity {
        /// What to do.
        #[command(subcommand)]
        action: IdentityAction,
    },
    /// People and accounts.
    Profile {
        /// What to do.
        #[command(subcommand)]
        action: ProfileAction,
    },
    /// Deliver published models to their destinations.
    Sync(SyncArguments),
    /// Run builds and syncs when they are due, and answer questions about them over HTTP.
    Serve(ServeArguments),
    /// Tell an editor about the project while it is written: a language server on standard input and output.
    Lsp,
    /// Connections to destinations.
    Connection {
        /// What to do.
        #[command(subcommand)]
        action: ConnectionAction,
    },
    /// The manifests of destinations: list, make, check and prove them.
    Destination {
        /// What to do.
        #[command(subcommand)]
        action: DestinationAction,
    },
    /// Print completions for a shell.
    Completions {
        /// The shell.
        shell: Shell,
    },
}

/// Any word; shells complete it to the codes that there are and their names.
#[derive(Clone)]
struct CodeWords;

impl TypedValueParser for CodeWords {
    type Value = String;

    fn parse_ref(
        &self,
        command: &clap::Command,
        argument: Option<&clap::Arg>,
        value: &OsStr,
    ) -> Result<String, clap::Error> {
        clap::builder::StringValueParser::new().parse_ref(command, argument, value)
    }

    fn possible_values(&self) -> Option<Box<dyn Iterator<Item = PossibleValue> + '_>> {
        let words = crate::pages::codes().flat_map(|code| [code.id, code.name]);
        Some(Box::new(words.map(PossibleValue::new)))
    }
}

/// How to serve.
#[derive(Debug, Args)]
pub struct ServeArguments {
    /// Address and port to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:8710", value_name = "ADDRESS")]
    pub listen: SocketAddr,
    /// Environment variable with the token that requests have to bring.
    #[arg(long, default_value = "KINFOLD_TOKEN", value_name = "NAME")]
    pub token_env: String,
    /// A name by which others call this server, beside its addresses. May be repeated.
    #[arg(long, value_name = "HOST")]
    pub allow_host: Vec<String>,
    /// So many builds and syncs at once.
    #[arg(long, default_value_t = 4, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    pub max_jobs: u16,
    /// How often inputs are looked at for changes.
    #[arg(long, default_value = "30s", value_name = "TIME", value_parser = parse_time)]
    pub poll: Duration,
    /// How long running jobs may go on when the server is stopped, before they are cancelled.
    #[arg(long, default_value = "2m", value_name = "TIME", value_parser = parse_time)]
    pub drain: Duration,
}

fn parse_time(text: &str) -> Result<Duration, String> {
    kinfold_project::schedule::parse_interval(text)
        .ok_or_else(|| "write it like `90s`, `15m`, `2h` or `1d`".to_owned())
}

/// What `sync` does.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct SyncArguments {
    /// Something else than a run.
    #[command(subcommand)]
    pub action: Option<SyncAction>,
    /// Which syncs: names; all if not given.
    #[arg(long, short, num_args = 1.., value_name = "NAME")]
    pub select: Vec<String>,
    /// Count and show what would be sent, send nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Send at most so many rows, and remove none.
    #[arg(long, value_name = "ROWS", conflicts_with = "dry_run")]
    pub limit: Option<u64>,
    /// Only the row with this key, such as `email=ann@example.com`; parts of a key are separated by
    /// commas. May be repeated.
    #[arg(long, value_name = "FIELD=VALUE", value_parser = parse_key)]
    pub only_keys: Vec<Vec<(String, String)>>,
    /// The run's clock (RFC 3339).
    #[arg(long, value_name = "TIME")]
    pub as_of: Option<DateTime<Utc>>,
}

/// Commands of `source`.
#[derive(Debug, Subcommand)]
pub enum SourceAction {
    /// Say how old the newest rows of sources with a `freshness:` are, and write `sources.json` to `target/`. Ends
    /// with 1 if one of them is older than its `error_after`.
    Freshness(crate::commands::source::FreshnessArguments),
    /// Write the columns of all sources to `sources.lock.yml`, so that `kinfold check` knows them where it cannot
    /// reach the sources, and changes of them are seen in Git.
    Snapshot(crate::commands::source_snapshot::SnapshotArguments),
}

/// Commands of `docs`.
#[derive(Debug, Subcommand)]
pub enum DocsAction {
    /// Write `manifest.json` and `catalog.json` to `target/`: what the project has, and what is published of it
    /// with its columns.
    Generate,
}

/// Commands of `identity`.
#[derive(Debug, Subcommand)]
pub enum IdentityAction {
    /// Take people out of an identity, of all that was made of it, and of earlier versions, for good.
    #[command(
        after_help = "Example: kinfold identity erase person email:ann@example.com --dry-run"
    )]
    Erase(crate::commands::identity::erase::EraseArguments),
    /// Find the parameters of a linkage in its records, and write them beside its model.
    Train {
        /// The model with materialization `linkage`.
        #[arg(value_name = "MODEL")]
        model: String,
        /// Print them and write nothing.
        #[arg(long)]
        dry_run: bool,
    },
    /// Say why two identifiers are one person's, or why they are not.
    Explain(ExplainArguments),
    /// Judge a linkage or an identity by labels.
    Evaluate(EvaluateArguments),
    /// Draw what can be seen of a linkage or an identity without labels.
    Charts(ChartArguments),
    /// Write pairs of records to a file for somebody to label.
    Label(LabelArguments),
    /// Propose a linkage for the records of a relation, with reasons.
    Suggest(SuggestArguments),
}

/// Commands of `profile`.
#[derive(Debug, Subcommand)]
pub enum ProfileAction {
    /// Print all that is published of one person: identifiers, traits, segments.
    Show {
        /// A canonical id, also one that was merged; `email:ann@example.com`; or the value of any identifier.
        #[arg(value_name = "ID")]
        id: String,
        /// The identity model, if several know the id.
        #[arg(long, value_name = "MODEL")]
        identity: Option<String>,
    },
}

/// Commands of `connection`.
#[derive(Debug, Subcommand)]
pub enum ConnectionAction {
    /// Ask destinations whether they are there, take the credentials, and have the objects of the syncs.
    Check {
        /// The connections; all if not given.
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

/// Commands of `destination`.
#[derive(Debug, Subcommand)]
pub enum DestinationAction {
    /// List the destinations that are part of the program.
    List,
    /// Make a folder of a description of an API (OpenAPI 3, Swagger 2).
    New(NewDestination),
    /// Say everything that is wrong with a folder.
    Check {
        /// Folders, or names of destinations that are part of the program.
        #[arg(required = true, value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
    /// Check, and replay every recorded exchange and fault against a server on this machine.
    Test {
        /// Folders, or names of destinations that are part of the program.
        #[arg(required = true, value_name = "FOLDER")]
        folders: Vec<PathBuf>,
    },
}

/// What a destination's folder is made of.
#[derive(Debug, Args)]
pub struct NewDestination {
    /// Name of the destination, by which connections call it.
    #[arg(required_unless_present = "list")]
    pub name: Option<String>,
    /// The description of the API: JSON or YAML.
    #[arg(long, value_name = "FILE")]
    pub from: PathBuf,
    /// The operation that writes rows, by its `operationId` or as `POST /contacts`; the likeliest one if not given.
    /// May be repeated.
    #[arg(long = "operation", value_name = "OPERATION")]
    pub operations: Vec<String>,
    /// Folder of the project in which the destination's folder is made.
    #[arg(long, default_value = "destinations", value_name = "DIR")]
    pub into: PathBuf,
    /// Only list the operations that look as if they wrote rows, and why.
    #[arg(long, conflicts_with = "operations")]
    pub list: bool,
}

/// Other commands of `sync`.
#[derive(Debug, Subcommand)]
pub enum SyncAction {
    /// List the rows that a destination did not take, and why.
    Rejected {
        /// The sync.
        name: String,
        /// Send them again with the next run.
        #[arg(long, conflicts_with = "forget")]
        retry: bool,
        /// Leave them alone until their values change.
        #[arg(long)]
        forget: bool,
        /// Only the row with this key, such as `email=ann@example.com`. May be repeated.
        #[arg(long, value_name = "FIELD=VALUE", value_parser = parse_key)]
        only_keys: Vec<Vec<(String, String)>>,
        /// How many rows to list.
        #[arg(long, default_value_t = 20)]
        limit: usize,
        /// Print keys as they are; else they are masked.
        #[arg(long)]
        show_keys: bool,
    },
    /// Ask the destination whether it still has what it confirmed.
    Verify {
        /// The sync.
        name: String,
        /// Then send what is different or missing there.
        #[arg(long)]
        heal: bool,
    },
    /// Ask the destination how many people of the audience it has found.
    Reach {
        /// The sync.
        name: String,
    },
    /// Send what a guard held back, exactly as it was shown.
    Approve {
        /// The sync.
        name: String,
        /// The id that the run has printed.
        id: String,
        /// The run's clock (RFC 3339).
        #[arg(long, value_name = "TIME")]
        as_of: Option<DateTime<Utc>>,
    },
}

/// How rows are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum RowFormat {
    /// Aligned columns.
    Table,
    /// Comma-separated values with a header.
    Csv,
    /// One JSON object per line.
    Ndjson,
}

fn parse_key(text: &str) -> Result<Vec<(String, String)>, String> {
    let pair = |part: &str| {
        let (field, value) = part.split_once('=')?;
        Some((field.trim().to_owned(), value.to_owned()))
    };
    let pairs: Option<Vec<_>> = text.split(',').map(pair).collect();
    pairs.ok_or_else(|| "a key is written like `email=ann@example.com`".to_owned())
}

fn parse_size(text: &str) -> Result<usize, String> {
    let text = text.trim();
    let digits = text
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    let number: usize = number
        .parse()
        .map_err(|_| "a size is a number and a unit, such as `512MB`".to_owned())?;
    let factor: usize = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return Err("known units are B, KB, MB and GB".to_owned()),
    };
    number
        .checked_mul(factor)
        .filter(|n| *n > 0)
        .ok_or_else(|| "this size is out of range".to_owned())
}
