//! The tables that people are taken out of, and their files.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use datafusion::arrow::array::{
    ArrayRef, AsArray, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Int64Type, Schema, SchemaRef};
use datafusion::catalog::{MemTable, TableProvider};
use datafusion::common::DataFusionError;
use datafusion::physical_plan::memory::MemoryStream;
use kinfold_identity::ChangeKind;
use kinfold_lake::Vacuum;
use kinfold_project::NodeId;

use super::report::KeptVersion;
use super::{EraseReport, EraseRequest, Whom, path_of};
use crate::build::statement::{Statement, quoted};
use crate::published::{Published, PublishedNode, StoredTable};
use crate::stream::under_schema;
use crate::{Engine, EngineError};

const PERSON: &str = include_str!("../../../../../sql/erase/person.sql");
const EDGES: &str = include_str!("../../../../../sql/erase/edges.sql");
const NAMED: &str = include_str!("../../../../../sql/erase/named.sql");
const ONCE_SHARED: &str = include_str!("../../../../../sql/erase/once_shared.sql");
const ALIASES: &str = include_str!("../../../../../sql/erase/aliases.sql");

/// What leaves a table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Take {
    /// Rows with a canonical id of theirs.
    Person,
    /// Rows of their records, or with their identifiers.
    Edges,
    /// Rows with a canonical id or an identifier of theirs.
    Named,
    /// Rows with a canonical id of theirs, and closed ones of others from when they were one.
    OnceShared,
    /// Nothing, but their ids stand for nobody.
    Aliases,
    /// Nothing: it has no values. It says that they were deleted.
    Changes,
}

/// A published table that may name people.
#[derive(Clone, Debug)]
pub(super) struct Place {
    node: NodeId,
    companion: Option<String>,
    pub(super) take: Take,
}

/// What became of a table.
pub(super) struct Taken {
    /// Its new version, if anything was written.
    pub(super) table: Option<StoredTable>,
    pub(super) rows: u64,
}

impl Place {
    pub(super) fn stored<'d>(&self, document: &'d Published) -> Option<&'d StoredTable> {
        let node = document.nodes.get(&self.node)?;
        match &self.companion {
            None => node.table.as_ref(),
            Some(suffix) => node.companions.get(suffix),
        }
    }

    pub(super) fn replace(&self, document: &mut Published, table: StoredTable) {
        let Some(node) = document.nodes.get_mut(&self.node) else {
            return;
        };
        // It has no longer what its inputs make of it.
        if let Some(basis) = &mut node.basis {
            basis.data = None;
        }
        match &self.companion {
            None => node.table = Some(table),
            Some(suffix) => {
                node.companions.insert(suffix.clone(), table);
            }
        }
    }
}

/// The tables of a node, with what leaves them.
pub(super) fn places(id: &NodeId, node: &PublishedNode, identity: &NodeId) -> Vec<Place> {
    let place = |companion: Option<&String>, take| Place {
        node: id.clone(),
        companion: companion.cloned(),
        take,
    };
    // A source and a seed are what others gave; what is outside the lake is theirs too.
    if matches!(node.kind.as_str(), "source" | "seed") {
        return vec![];
    }
    let own = node.table.iter().map(|_| place(None, Take::Person));
    let companions = node.companions.keys().map(|suffix| {
        let take = match (id == identity, suffix.as_str(), node.kind.as_str()) {
            (true, "edges", _) => Take::Edges,
            (true, "history" | "alarms", _) => Take::Named,
            (true, "aliases", _) => Take::Aliases,
            (true, "changes", _) => Take::Changes,
            (_, "history", "profile") => Take::OnceShared,
            _ => Take::Person,
        };
        place(Some(suffix), take)
    });
    own.chain(companions).collect()
}

impl Engine {
    /// Every table that may name people of this identity.
    pub(super) async fn places_of(
        &self,
        document: &Published,
        identity: &NodeId,
    ) -> Result<Vec<Place>, EngineError> {
        let mut found = vec![];
        for (id, node) in &document.nodes {
            for place in places(id, node, identity) {
                let Some(stored) = place.stored(document).filter(|table| !table.external) else {
                    continue;
                };
                let columns = self.provider(stored).await?.schema();
                let has = |name: &str| columns.field_with_name(name).is_ok();
                // Ids of another identity are others' ids: nobody is found there.
                if has("canonical_id") || matches!(place.take, Take::Aliases | Take::Changes) {
                    found.push(place);
                }
            }
        }
        Ok(found)
    }

    /// A statement that knows whom it is about.
    pub(super) async fn about(&self, whom: &Whom) -> Result<Statement<'_>, EngineError> {
        let one = |name, values: &BTreeSet<String>| {
            let column: StringArray = values.iter().map(Some).collect();
            memory(vec![(name, column)])
        };
        let two = |names: [&'static str; 2], values: &BTreeSet<(String, String)>| {
            let first: StringArray = values.iter().map(|(first, _)| Some(first)).collect();
            let second: StringArray = values.iter().map(|(_, second)| Some(second)).collect();
            memory(names.into_iter().zip([first, second]).collect())
        };
        let values: BTreeSet<&String> = whom.identifiers.iter().map(|(_, value)| value).collect();
        let shared = whom.shared.iter().flat_map(|id| {
            let values = values.iter();
            values.map(move |value| (id.clone(), (*value).clone()))
        });
        let mut statement = self.statement(false);
        for (name, table) in [
            ("people", one("canonical_id", &whom.people)?),
            (
                "shared",
                two(["canonical_id", "id_value"], &shared.collect())?,
            ),
            (
                "identifiers",
                two(["id_type", "id_value"], &whom.identifiers)?,
            ),
            ("records", two(["source", "record_id"], &whom.records)?),
        ] {
            let columns = table.schema();
            statement = statement.over_table(name, Some(table), &columns)?;
        }
        Ok(statement)
    }

    /// Writes a table without the rows that leave it, if there are any.
    pub(super) async fn take_rows(
        &self,
        request: &EraseRequest<'_>,
        whom: &Whom,
        place: &Place,
        stored: &StoredTable,
    ) -> Result<Taken, EngineError> {
        let provider = self.provider(stored).await?;
        let schema = provider.schema();
        let statement = self
            .about(whom)
            .await?
            .over_table("rows", Some(provider), &schema)?;
        let sql = match place.take {
            Take::Person | Take::Changes => PERSON.to_owned(),
            Take::Edges => EDGES.to_owned(),
            Take::Named => NAMED.to_owned(),
            Take::OnceShared => ONCE_SHARED.replace("{same}", &any_text(&schema)),
            Take::Aliases => ALIASES.to_owned(),
        };
        let rows = if place.take == Take::Aliases {
            0
        } else {
            let all = count(&statement, "SELECT count(*) FROM kinfold._run.rows").await?;
            let kept = count(&statement, &sql.replace("{rows}", "count(*)")).await?;
            all.saturating_sub(kept)
        };
        let nothing = rows == 0 && place.take != Take::Aliases;
        if nothing || request.dry_run {
            return Ok(Taken { table: None, rows });
        }
        let streams = statement.streams(&sql.replace("{rows}", "t.*")).await?;
        let streams = streams
            .into_iter()
            .map(|stream| under_schema(stream, &schema))
            .collect();
        let at = (stored.relation.0.as_str(), stored.relation.1.as_str());
        let table = self.replace(at, schema, streams, None).await?;
        Ok(Taken {
            table: Some(table),
            rows,
        })
    }

    /// Tells whoever reads `__changes` that these ids are in use no more.
    pub(super) async fn say_deleted(
        &self,
        request: &EraseRequest<'_>,
        whom: &Whom,
        stored: &StoredTable,
    ) -> Result<Taken, EngineError> {
        if request.dry_run {
            return Ok(Taken {
                table: None,
                rows: 0,
            });
        }
        let log = self.aliases(stored).await?;
        let retired: BTreeSet<String> = log.retired().iter().map(ToString::to_string).collect();
        let ids: Vec<&String> = whom.people.difference(&retired).collect();
        let schema = self.provider(stored).await?.schema();
        let text = |of: &dyn Fn(&String) -> Option<String>| -> ArrayRef {
            Arc::new(ids.iter().map(|id| of(id)).collect::<StringArray>())
        };
        let times = vec![self.clock.as_of.timestamp_micros(); ids.len()];
        let arrays: Vec<ArrayRef> = vec![
            text(&|_| Some(self.clock.run_id.clone())),
            Arc::new(TimestampMicrosecondArray::from(times).with_timezone("UTC")),
            text(&|_| Some(ChangeKind::Deleted.as_str().to_owned())),
            text(&|id| Some(id.clone())),
            text(&|_| None),
            Arc::new(Int64Array::from(vec![None; ids.len()])),
        ];
        let batch =
            RecordBatch::try_new(Arc::clone(&schema), arrays).map_err(DataFusionError::from)?;
        let added = MemoryStream::try_new(vec![batch], Arc::clone(&schema), None)?;
        // Not an append: what a run that was not published had added must not become visible.
        let provider = self.provider(stored).await?;
        let statement = self
            .statement(false)
            .over_table("rows", Some(provider), &schema)?;
        let streams = statement.streams("SELECT * FROM kinfold._run.rows").await?;
        let mut streams: Vec<_> = streams
            .into_iter()
            .map(|stream| under_schema(stream, &schema))
            .collect();
        streams.push(Box::pin(added));
        let at = (stored.relation.0.as_str(), stored.relation.1.as_str());
        let table = self.replace(at, schema, streams, None).await?;
        Ok(Taken {
            table: Some(table),
            rows: 0,
        })
    }

    /// Removes the files of versions that nobody reads any more, those of interrupted runs included.
    pub(super) async fn remove_old_files(
        &self,
        document: &Published,
        places: &[Place],
        report: &mut EraseReport,
    ) -> Result<(), EngineError> {
        let mut keep = vec![];
        for (environment, other) in self.other_environments().await? {
            for node in other.nodes.values() {
                let tables = node.table.iter().chain(node.companions.values());
                for table in tables.filter(|table| !table.external) {
                    let own = places
                        .iter()
                        .filter_map(|place| place.stored(document))
                        .find(|own| own.path == table.path);
                    if own.is_some_and(|own| own.version != table.version) {
                        report.kept.push(KeptVersion {
                            relation: table.relation.1.clone(),
                            version: table.version,
                            environment: environment.clone(),
                        });
                    }
                    if own.is_some() {
                        keep.push((path_of(table)?, table.version));
                    }
                }
            }
            report.other_environments.push(environment);
        }
        for place in places {
            let Some(stored) = place.stored(document) else {
                continue;
            };
            let table = path_of(stored)?;
            keep.push((table.clone(), stored.version));
            let vacuum = Vacuum {
                retention: Duration::ZERO,
                keep: &keep,
                dry_run: false,
            };
            let removed = self.lake.vacuum(&table, vacuum).await?;
            report.files_removed += removed.files;
            report.bytes_removed += removed.bytes;
        }
        Ok(())
    }

    /// What other environments of this lake have published.
    pub(crate) async fn other_environments(&self) -> Result<Vec<(String, Published)>, EngineError> {
        let mut found = vec![];
        for name in self.lake.environments().await? {
            if name != self.environment.name {
                let document = self.published_in(&self.lake, &name).await?.document;
                found.push((name, document));
            }
        }
        Ok(found)
    }
}

/// That a text of a row is a value of theirs, as SQL.
fn any_text(schema: &Schema) -> String {
    let is_text = |field: &&Arc<Field>| {
        matches!(
            field.data_type(),
            DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View
        ) && field.name() != "canonical_id"
    };
    let tests: Vec<String> = schema
        .fields()
        .iter()
        .filter(is_text)
        .map(|field| format!("t.{} = s.id_value", quoted(field.name())))
        .collect();
    if tests.is_empty() {
        return "false".to_owned();
    }
    tests.join(" OR ")
}

fn memory(
    columns: Vec<(&'static str, StringArray)>,
) -> Result<Arc<dyn TableProvider>, EngineError> {
    let fields: Vec<Field> = columns
        .iter()
        .map(|(name, _)| Field::new(*name, DataType::Utf8, true))
        .collect();
    let schema: SchemaRef = Arc::new(Schema::new(fields));
    let arrays = columns
        .into_iter()
        .map(|(_, column)| Arc::new(column) as ArrayRef);
    let batch = RecordBatch::try_new(Arc::clone(&schema), arrays.collect())
        .map_err(DataFusionError::from)?;
    Ok(Arc::new(MemTable::try_new(schema, vec![vec![batch]])?))
}

async fn count(statement: &Statement<'_>, sql: &str) -> Result<u64, EngineError> {
    let batches = statement.rows(sql).await?;
    let counts = batches.first().and_then(|batch| {
        let column = batch.columns().first()?.as_primitive_opt::<Int64Type>()?;
        u64::try_from(column.iter().flatten().next()?).ok()
    });
    Ok(counts.unwrap_or(0))
}

/// A column of text.
pub(super) fn text(batch: &RecordBatch, column: usize) -> Result<&StringArray, DataFusionError> {
    let column = batch.columns().get(column);
    column
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or_else(|| DataFusionError::Internal("a column of people is no text".to_owned()))
}
