//! What a run has in its hands: the lake, the memory, the clock.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use datafusion::execution::SessionState;
use datafusion::execution::memory_pool::{FairSpillPool, TrackConsumersPool};
use datafusion::execution::runtime_env::{RuntimeEnv, RuntimeEnvBuilder};
use kinfold_compile::session::{SessionOptions, session_state};
use kinfold_lake::{Lake, TablePath};
use kinfold_project::model::ResolvedEnvironment;

use crate::EngineError;
use crate::functions::with_functions;

/// The clock of a run: read once, recorded, and what `now()` returns in every model.
#[derive(Clone, Debug)]
pub struct RunClock {
    /// Names the run; sorts by time.
    pub run_id: String,
    /// The run's time, whole microseconds.
    pub as_of: DateTime<Utc>,
}

impl RunClock {
    /// A run that starts at `as_of`, cut to microseconds because that is what a table stores.
    #[must_use]
    pub fn at(as_of: DateTime<Utc>) -> Self {
        let as_of = DateTime::from_timestamp_micros(as_of.timestamp_micros()).unwrap_or(as_of);
        Self {
            run_id: uuid::Uuid::now_v7().to_string(),
            as_of,
        }
    }
}

/// Limits of a run.
#[derive(Clone, Debug)]
pub struct EngineOptions {
    /// Bytes that queries may hold before they spill.
    pub memory_limit: usize,
    /// Partitions of a plan.
    pub target_partitions: usize,
}

impl Default for EngineOptions {
    /// 4 GiB, and as many partitions as there are processor cores.
    fn default() -> Self {
        Self {
            memory_limit: 4 << 30,
            target_partitions: std::thread::available_parallelism().map_or(2, usize::from),
        }
    }
}

/// Everything that a run of one project in one environment works with. Cheap to clone.
#[derive(Clone)]
pub struct Engine {
    /// Root of the project.
    pub root: Arc<Path>,
    /// Name of the project.
    pub project: Arc<str>,
    /// The environment.
    pub environment: Arc<ResolvedEnvironment>,
    /// The lake of the environment.
    pub lake: Lake,
    /// Memory, spill files and object stores of all queries.
    pub runtime: Arc<RuntimeEnv>,
    /// The run's clock.
    pub clock: RunClock,
    pub(crate) options: EngineOptions,
}

impl Engine {
    /// Opens the environment's lake.
    ///
    /// # Errors
    /// Those of [`Lake::open`], and when the memory pool cannot be set up.
    pub async fn open(
        root: &Path,
        project: &str,
        environment: ResolvedEnvironment,
        clock: RunClock,
        options: EngineOptions,
    ) -> Result<Self, EngineError> {
        let location = absolute_location(root, &environment.lake);
        let lake = Lake::open(&location, &environment.storage.0).await?;
        let consumers = std::num::NonZeroUsize::new(5).unwrap_or(std::num::NonZeroUsize::MIN);
        let pool = TrackConsumersPool::new(FairSpillPool::new(options.memory_limit), consumers);
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(pool))
            .build_arc()?;
        lake.register(&runtime);
        Ok(Self {
            root: root.into(),
            project: project.into(),
            environment: Arc::new(environment),
            lake,
            runtime,
            clock,
            options,
        })
    }

    /// A session for one query, with the run's clock and no relations.
    #[must_use]
    pub fn session(&self, spilling_joins: bool) -> SessionState {
        self.session_in(self.options.target_partitions, spilling_joins)
    }

    /// The same, whose plans have so many partitions.
    pub(crate) fn session_in(&self, partitions: usize, spilling_joins: bool) -> SessionState {
        let options = SessionOptions {
            as_of: self.clock.as_of,
            target_partitions: partitions,
            spilling_joins,
        };
        with_functions(session_state(&options, Arc::clone(&self.runtime)))
    }

    /// Where a relation of this environment is stored.
    ///
    /// # Errors
    /// When a name cannot be part of a path.
    pub fn table_path(&self, schema: &str, name: &str) -> Result<TablePath, EngineError> {
        let path = if self.environment.owns_lake {
            format!("{schema}/{name}")
        } else {
            format!("_kinfold/env/{}/{schema}/{name}", self.environment.name)
        };
        Ok(TablePath::new(&path)?)
    }
}

/// A location of the project's files as the lake understands it: `s3://…` as it is, a folder made
/// absolute against the project's root.
#[must_use]
pub fn absolute_location(root: &Path, location: &str) -> String {
    if location.contains("://") {
        return location.to_owned();
    }
    let joined: PathBuf = root.join(location);
    let absolute = std::path::absolute(&joined).unwrap_or(joined);
    // `a/./b` and `a/../b` would be other objects to a store.
    let mut clean = PathBuf::new();
    for part in absolute.components() {
        match part {
            std::path::Component::CurDir => {}
            std::path::Component::ParentDir => {
                clean.pop();
            }
            other => clean.push(other),
        }
    }
    clean.to_string_lossy().into_owned()
}

/// A session for checking without a lake: it has the run's clock and reaches nothing.
#[must_use]
pub fn offline_session(clock: &RunClock) -> SessionState {
    let options = SessionOptions {
        as_of: clock.as_of,
        target_partitions: 2,
        spilling_joins: false,
    };
    with_functions(session_state(&options, Arc::new(RuntimeEnv::default())))
}
