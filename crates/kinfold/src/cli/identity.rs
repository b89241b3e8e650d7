//! Arguments of the commands that judge identities.

use std::path::PathBuf;

use clap::Args;

/// Whom to explain.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kinfold identity explain email:ann@example.com user_id:ann2")]
pub struct ExplainArguments {
    /// A canonical id, `email:ann@example.com`, or the value of any identifier.
    #[arg(value_name = "A")]
    pub one: String,
    /// The other one.
    #[arg(value_name = "B")]
    pub other: String,
    /// The identity model, if several know the ids.
    #[arg(long, value_name = "MODEL")]
    pub identity: Option<String>,
}

/// What to judge, and by what.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  kinfold identity evaluate contact_matches --labels labels.csv\n  kinfold identity evaluate person --labels known_people --output json"
)]
pub struct EvaluateArguments {
    /// The model with materialization `linkage` or `identity`.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// A file of comma-separated values or a published relation: `source, record_id, cluster`, or
    /// `source_a, record_a, source_b, record_b, is_match`.
    #[arg(long, value_name = "FILE|RELATION")]
    pub labels: String,
    /// How many of the worst pairs to show.
    #[arg(long, default_value_t = 5, value_name = "NUMBER")]
    pub worst: usize,
    /// Show also the compared values of the worst pairs. They are of people: mind who sees them.
    #[arg(long)]
    pub values: bool,
    /// Write charts and an index.html into this folder.
    #[arg(long, value_name = "DIR")]
    pub charts: Option<PathBuf>,
}

/// What to draw.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  kinfold identity charts contact_matches --to charts/")]
pub struct ChartArguments {
    /// The model with materialization `linkage` or `identity`.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The folder; charts of the same name in it are replaced.
    #[arg(long, value_name = "DIR")]
    pub to: PathBuf,
}

/// What to label.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  kinfold identity label contact_matches --to labels.csv --pairs 300\n\nThe file holds the compared values of people. Fill in `is_match`: 1 for one person, 0 for two, and nothing if you cannot tell."
)]
pub struct LabelArguments {
    /// The model with materialization `linkage`.
    #[arg(value_name = "MODEL")]
    pub model: String,
    /// The file to write, which must not be there.
    #[arg(long, value_name = "FILE")]
    pub to: PathBuf,
    /// How many pairs.
    #[arg(long, default_value_t = 200, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    pub pairs: u64,
    /// Another seed draws other pairs.
    #[arg(long, default_value_t = 1, value_name = "NUMBER")]
    pub seed: u64,
}

/// What to find a model for.
#[derive(Debug, Args)]
#[command(
    after_help = "Example:\n  kinfold identity suggest stg_contacts --to models/contact_matches"
)]
pub struct SuggestArguments {
    /// A published model, seed or source with one row for each record.
    #[arg(value_name = "RELATION")]
    pub relation: String,
    /// Write `PATH.sql` and `PATH.yml`, which must not be there; else they are printed.
    #[arg(long, value_name = "PATH")]
    pub to: Option<PathBuf>,
    /// The column with the id of a record; found by itself if it is plain.
    #[arg(long, value_name = "COLUMN")]
    pub id: Option<String>,
    /// Pairs to compare, at most, for each record.
    #[arg(long, default_value_t = 40, value_name = "NUMBER", value_parser = clap::value_parser!(u64).range(1..=100_000))]
    pub pairs_per_record: u64,
    /// Only print what would be written.
    #[arg(long)]
    pub dry_run: bool,
}
