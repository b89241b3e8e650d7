//! What can go wrong while a project runs.

use datafusion::common::DataFusionError;
use kinfold_lake::LakeError;
use kinfold_project::NodeId;

/// A failure of a query, as the query engine reports it.
pub type QueryFailure = DataFusionError;

/// An error of a run. Messages name nodes, tables, columns and files, never rows or secrets.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// The lake refused or failed.
    #[error(transparent)]
    Lake(#[from] LakeError),
    /// A query failed while it was planned or run.
    #[error("{}", query_failure(.0))]
    Query(#[source] Box<DataFusionError>),
    /// What reading an input found.
    #[error(transparent)]
    Input(#[from] crate::input::InputError),
    /// A stored document is not what kinfold writes.
    #[error("stored document `{name}` is not readable")]
    Document {
        /// Which document.
        name: String,
        /// Why.
        source: serde_json::Error,
    },
    /// A stored document was written by a newer kinfold.
    #[error(
        "stored document `{name}` has format {found}; this kinfold reads formats up to {supported}"
    )]
    NewerFormat {
        /// Which document.
        name: String,
        /// Its format.
        found: u64,
        /// The newest format that is understood.
        supported: u64,
    },
    /// A node was asked for that the environment does not have.
    #[error("`{0}` has not been built in this environment; run `kinfold build` first")]
    NotBuilt(NodeId),
    /// Nothing is published in the environment that is deferred to.
    #[error("nothing is published in the environment `{0}`, so nothing can be read there")]
    NothingPublished(String),
    /// There is nothing to go back to.
    #[error("{}", nothing_before(.environment, *.generation))]
    NothingBefore {
        /// The environment.
        environment: String,
        /// What was asked for.
        generation: Option<u64>,
    },
    /// A version that was published has lost files.
    #[error(
        "files of `{table}` at version {version} were removed since, so it cannot be published again"
    )]
    FilesRemoved {
        /// The table.
        table: String,
        /// Its version.
        version: u64,
    },
    /// The environment that owns the lake is not removed.
    #[error("`{0}` owns the lake: its tables are those that everybody reads")]
    OwnsLake(String),
    /// Another environment reads the tables of one that shall be removed.
    #[error("`{reader}` reads tables of `{environment}`")]
    ReadElsewhere {
        /// The environment that shall be removed.
        environment: String,
        /// Who reads its tables.
        reader: String,
    },
    /// A published table is gone from the lake.
    #[error("table `{0}` is named by the environment and missing in the lake")]
    TableMissing(String),
    /// An incremental model has other columns than its table, and may neither be built anew nor get them.
    #[error(
        "`{0}` has other columns than its table; `on_schema_change: sync_all_columns` gives them to it, and \
         `--full-refresh` builds it anew unless `full_refresh: false` forbids it"
    )]
    ColumnsChanged(NodeId),
    /// Rows break the contract of a materialization.
    #[error("{rows} rows of `{node}` {what}")]
    Contract {
        /// The node.
        node: NodeId,
        /// How many rows.
        rows: u64,
        /// What is wrong with them.
        what: &'static str,
    },
    /// Identity resolution cannot go on.
    #[error("identity resolution of `{node}` failed")]
    Identity {
        /// The node.
        node: NodeId,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A linkage cannot be trained or built.
    #[error("the linkage `{node}` cannot go on")]
    Linkage {
        /// The node.
        node: NodeId,
        /// Why.
        source: crate::build::LinkageFailure,
    },
    /// A materialization that this version cannot run.
    #[error("`{node}` is materialized as `{materialization}`, which is not supported yet")]
    NotSupported {
        /// The node.
        node: NodeId,
        /// The materialization.
        materialization: String,
    },
    /// The operating system refused.
    #[error("cannot {action} `{path}`")]
    File {
        /// What was tried.
        action: &'static str,
        /// Where.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The run was cancelled by the user.
    #[error("cancelled")]
    Cancelled,
    /// A background task ended abnormally.
    #[error("a background task failed")]
    Task(#[from] tokio::task::JoinError),
    /// Delivery could not start or be recorded.
    #[error(transparent)]
    Activate(#[from] crate::activate::ActivateError),
}

impl From<DataFusionError> for EngineError {
    fn from(error: DataFusionError) -> Self {
        // A stream of the lake may carry a lake's error through DataFusion.
        Self::Query(Box::new(error))
    }
}

/// The sentence for a failed query: the innermost error, without the row values that some carry.
fn query_failure(error: &DataFusionError) -> String {
    let root = error.find_root().strip_backtrace();
    let first = root.lines().next().unwrap_or_default();
    match root_kind(error) {
        // Casting errors quote the value that would not cast.
        RootKind::Value => {
            let head = first.split(['\'', '"']).next().unwrap_or(first).trim_end();
            format!("query failed: {head}")
        }
        RootKind::Other => format!("query failed: {first}"),
    }
}

enum RootKind {
    Value,
    Other,
}

fn root_kind(error: &DataFusionError) -> RootKind {
    match error.find_root() {
        DataFusionError::ArrowError(..) | DataFusionError::Execution(_) => RootKind::Value,
        _ => RootKind::Other,
    }
}

fn nothing_before(environment: &str, generation: Option<u64>) -> String {
    match generation {
        Some(number) => {
            format!("`{environment}` keeps no generation {number} of what it had published")
        }
        None => format!(
            "`{environment}` had nothing published before that differs from what it has now"
        ),
    }
}
