//! How old the rows of sources are.
//!
//! Sources are asked as they are now, not what has landed of them: a build may be waiting for the answer.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use arrow::array::AsArray;
use arrow::compute::cast;
use arrow::datatypes::{DataType, TimeUnit, TimestampMicrosecondType};
use chrono::{DateTime, Utc};
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use datafusion::physical_plan::streaming::PartitionStream;
use futures::TryStreamExt;
use kinfold_compile::compile::{CompiledProject, FreshnessCheck};
use kinfold_compile::relation::{RelationKey, relations_read};
use kinfold_lake::TablePath;
use kinfold_project::{MaxAge, NodeId, Project, Records, Source, SourceFormat, SourceLocation};

use crate::activate::records;
use crate::context::absolute_location;
use crate::{Engine, EngineError, input};

/// What the age of a source is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FreshnessStatus {
    /// Below every limit.
    Pass,
    /// Above `warn_after`.
    Warn,
    /// Above `error_after`.
    Error,
    /// It could not be found out.
    Unknown,
}

/// The age of one source.
#[derive(Debug)]
pub struct SourceFreshness {
    /// The source.
    pub source: NodeId,
    /// What that means.
    pub status: FreshnessStatus,
    /// When its newest rows came; none if it has no rows, which is infinitely long ago.
    pub loaded_at: Option<DateTime<Utc>>,
    /// Why it could not be found out.
    pub error: Option<EngineError>,
    /// How long it took, milliseconds.
    pub elapsed_ms: u64,
}

impl Engine {
    /// The ages of those of `sources` that have a limit, at the run's clock.
    pub async fn freshness(
        &self,
        project: &Project,
        compiled: &CompiledProject,
        sources: &std::collections::BTreeSet<NodeId>,
    ) -> Vec<SourceFreshness> {
        let mut found = vec![];
        for source in &project.sources {
            let Some(check) = compiled.freshness.get(&source.id) else {
                continue;
            };
            if !sources.contains(&source.id) {
                continue;
            }
            let started = Instant::now();
            let result = self.newest(source, compiled, check).await;
            let elapsed_ms = u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
            found.push(match result {
                Ok(loaded_at) => SourceFreshness {
                    source: source.id.clone(),
                    status: self.status(source, loaded_at),
                    loaded_at,
                    error: None,
                    elapsed_ms,
                },
                Err(error) => SourceFreshness {
                    source: source.id.clone(),
                    status: FreshnessStatus::Unknown,
                    loaded_at: None,
                    error: Some(error),
                    elapsed_ms,
                },
            });
        }
        found
    }

    fn status(&self, source: &Source, loaded_at: Option<DateTime<Utc>>) -> FreshnessStatus {
        let age = loaded_at.map(|time| self.clock.as_of - time);
        let exceeds = |limit: Option<MaxAge>| {
            let limit = limit.map(|limit| i64::try_from(limit.seconds()).unwrap_or(i64::MAX));
            limit.is_some_and(|limit| {
                age.is_none_or(|age| age.num_milliseconds() > limit.saturating_mul(1000))
            })
        };
        if exceeds(source.freshness.error_after) {
            FreshnessStatus::Error
        } else if exceeds(source.freshness.warn_after) {
            FreshnessStatus::Warn
        } else {
            FreshnessStatus::Pass
        }
    }

    /// When the newest rows of a source came.
    async fn newest(
        &self,
        source: &Source,
        compiled: &CompiledProject,
        check: &FreshnessCheck,
    ) -> Result<Option<DateTime<Utc>>, EngineError> {
        let FreshnessCheck::Query(plan) = check else {
            return self.written(source).await;
        };
        let files = matches!(&source.location, SourceLocation::External { format, .. } if *format != SourceFormat::Delta);
        let mut providers = BTreeMap::new();
        let mut beside = None;
        for key in relations_read(plan)? {
            let provider = if files {
                let (table, quarantined) = self.rows_of_files(source, compiled).await?;
                beside = Some(quarantined);
                table
            } else {
                self.table_of(source).await?
            };
            providers.insert(key, provider);
        }
        // Both streams are fed by one pass over the files, so both are read at once.
        let drained = async {
            match beside {
                Some(quarantined) => quarantined.try_for_each(|_| async { Ok(()) }).await,
                None => Ok(()),
            }
        };
        let (time, drained) = tokio::join!(self.first_time(plan, &providers), drained);
        drained?;
        time
    }

    /// The first value of a query, as a time.
    async fn first_time(
        &self,
        plan: &LogicalPlan,
        providers: &BTreeMap<RelationKey, Arc<dyn TableProvider>>,
    ) -> Result<Option<DateTime<Utc>>, EngineError> {
        let rows = self.rows(plan, providers).await?;
        let Some(batch) = rows.iter().find(|batch| batch.num_rows() > 0) else {
            return Ok(None);
        };
        let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
        let times =
            cast(batch.column(0), &micros).map_err(datafusion::common::DataFusionError::from)?;
        let times = times.as_primitive::<TimestampMicrosecondType>();
        let first = times.iter().next().flatten();
        Ok(first.and_then(DateTime::from_timestamp_micros))
    }

    /// When the table or the files of a source were last written.
    async fn written(&self, source: &Source) -> Result<Option<DateTime<Utc>>, EngineError> {
        match &source.location {
            SourceLocation::External { format, .. } if *format != SourceFormat::Delta => {
                let storage = &self.environment.storage;
                Ok(input::last_written(&self.root, source, storage).await?)
            }
            SourceLocation::External {
                location, storage, ..
            } => {
                let opened = self.external(&location.value, &storage.0).await?;
                Ok(opened.snapshot().written_at().await?)
            }
            SourceLocation::Lake | SourceLocation::Records(_) => {
                let path = self.path_of(source).await?;
                let snapshot = self.lake.snapshot(&path, None).await?;
                let missing = || EngineError::TableMissing(path.as_str().to_owned());
                Ok(snapshot.ok_or_else(missing)?.written_at().await?)
            }
        }
    }

    /// The newest version of the Delta table of a source; none of a source of files.
    ///
    /// # Errors
    /// When it cannot be opened.
    pub async fn delta_version(&self, source: &Source) -> Result<Option<u64>, EngineError> {
        match &source.location {
            SourceLocation::External {
                location,
                format: SourceFormat::Delta,
                storage,
            } => {
                let opened = self.external(&location.value, &storage.0).await?;
                Ok(Some(opened.version()))
            }
            SourceLocation::External { .. } | SourceLocation::Records(_) => Ok(None),
            SourceLocation::Lake => {
                let path = self.path_of(source).await?;
                let snapshot = self.lake.snapshot(&path, None).await?;
                Ok(snapshot.map(|snapshot| snapshot.version()))
            }
        }
    }

    /// The newest version of the Delta table of a source.
    async fn table_of(&self, source: &Source) -> Result<Arc<dyn TableProvider>, EngineError> {
        if let SourceLocation::External {
            location, storage, ..
        } = &source.location
        {
            let opened = self.external(&location.value, &storage.0).await?;
            opened.register(&self.runtime);
            return Ok(opened.provider());
        }
        let path = self.path_of(source).await?;
        let snapshot = self.lake.snapshot(&path, None).await?;
        let missing = || EngineError::TableMissing(path.as_str().to_owned());
        Ok(snapshot.ok_or_else(missing)?.provider()?)
    }

    async fn external(
        &self,
        location: &str,
        own: &BTreeMap<String, String>,
    ) -> Result<kinfold_lake::ExternalTable, EngineError> {
        let address = absolute_location(&self.root, location);
        let options = if own.is_empty() {
            &self.environment.storage.0
        } else {
            own
        };
        Ok(kinfold_lake::open_external_delta(&address, options, None).await?)
    }

    /// Where the table of a source of this lake is.
    async fn path_of(&self, source: &Source) -> Result<TablePath, EngineError> {
        match &source.location {
            // It is made of the states of syncs when it is built.
            SourceLocation::Records(Records::SyncSnapshot) => {
                Err(EngineError::NotBuilt(source.id.clone()))
            }
            SourceLocation::Records(kind) => records::table(self, *kind).await,
            _ => {
                let path = format!("{}/{}", source.schema, source.identifier);
                Ok(TablePath::new(&path)?)
            }
        }
    }

    /// The rows of the files of a source as a table that can be read once, and the records that are none.
    async fn rows_of_files(
        &self,
        source: &Source,
        compiled: &CompiledProject,
    ) -> Result<(Arc<dyn TableProvider>, SendableRecordBatchStream), EngineError> {
        let node = compiled.nodes.get(&source.id);
        let schema = node.and_then(|node| node.schema.clone());
        let schema = schema.ok_or_else(|| EngineError::NotBuilt(source.id.clone()))?;
        let storage = &self.environment.storage;
        let files = input::list(&self.root, source, storage).await?;
        let landing = input::read(
            &self.root,
            source,
            &files,
            Arc::clone(&schema),
            storage,
            &self.runtime,
        )
        .await?;
        let once = Once {
            schema: Arc::clone(&schema),
            rows: Mutex::new(Some(landing.rows)),
        };
        let table = StreamingTable::try_new(schema, vec![Arc::new(once)])?;
        Ok((Arc::new(table), landing.quarantined))
    }
}

/// A stream that a query reads once.
struct Once {
    schema: SchemaRef,
    rows: Mutex<Option<SendableRecordBatchStream>>,
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once").finish_non_exhaustive()
    }
}

impl PartitionStream for Once {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        let rows = self
            .rows
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        rows.unwrap_or_else(|| {
            let again = datafusion::common::exec_datafusion_err!("the files are read only once");
            let error = futures::stream::once(async { Err(again) });
            Box::pin(RecordBatchStreamAdapter::new(
                Arc::clone(&self.schema),
                error,
            ))
        })
    }
}
