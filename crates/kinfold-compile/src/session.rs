//! The one DataFusion session that checks and runs models.
//!
//! Everything that decides what a statement means is set here: the dialect, the functions, the
//! clock. The checker and the executor both start from [`session_state`], so what checks, runs.

use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::catalog::{CatalogProviderList, MemoryCatalogProviderList};
use datafusion::common::config::Dialect;
use datafusion::execution::runtime_env::RuntimeEnv;
use datafusion::execution::{SessionState, SessionStateBuilder};
use datafusion::prelude::SessionConfig;

/// Catalog under which every relation of a project is known: `"kinfold"."<schema>"."<name>"`.
pub const CATALOG: &str = "kinfold";

/// How deep a statement may be nested.
pub const RECURSION_LIMIT: usize = 100;

/// What a session may use.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The run's clock: what `now()` and `current_date` return.
    pub as_of: DateTime<Utc>,
    /// Partitions of a plan; the number of processor cores is a good value.
    pub target_partitions: usize,
    /// Sort-merge joins instead of hash joins: slower, but they spill.
    pub spilling_joins: bool,
}

/// A session with kinfold's meaning of SQL.
///
/// The dialect is DuckDB's (lambdas, trailing commas, `GROUP BY ALL`), unquoted names fold to lower
/// case, text is `Utf8` because that is what a table read back has, and spans are collected so that
/// errors can point into the user's file.
#[must_use]
pub fn session_state(options: &SessionOptions, runtime: Arc<RuntimeEnv>) -> SessionState {
    let mut config = SessionConfig::new()
        .with_information_schema(false)
        .with_create_default_catalog_and_schema(false)
        .with_default_catalog_and_schema(CATALOG, "main")
        .with_target_partitions(options.target_partitions.max(1));
    let o = config.options_mut();
    o.sql_parser.dialect = Dialect::DuckDB;
    o.sql_parser.collect_spans = true;
    if let Ok(limit) = RECURSION_LIMIT.to_string().parse() {
        o.sql_parser.recursion_limit = limit;
    }
    o.sql_parser.map_string_types_to_utf8view = false;
    o.execution.parquet.schema_force_view_types = false;
    o.execution.parquet.pushdown_filters = true;
    o.optimizer.expand_views_at_output = false;
    o.optimizer.prefer_hash_join = !options.spilling_joins;
    // Every plan must give the same rows in the same order of operations on every machine that
    // runs it with the same number of partitions; stealing files between partitions breaks that.
    o.execution.enable_file_stream_work_stealing = false;
    let catalogs: Arc<dyn CatalogProviderList> = Arc::new(MemoryCatalogProviderList::new());
    let mut state = SessionStateBuilder::new_with_default_features()
        .with_config(config)
        .with_runtime_env(runtime)
        .with_catalog_list(catalogs)
        .build();
    state.execution_props_mut().query_execution_start_time = Some(options.as_of);
    state
}
