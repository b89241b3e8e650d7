//! What new rows change in the relation and its companions, and nothing else.

use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::Arc;
use std::thread::available_parallelism;

use datafusion::arrow::array::{ArrayRef, BooleanArray, RecordBatch, StringArray};
use datafusion::arrow::compute::filter_record_batch;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::physical_plan::stream::RecordBatchStreamAdapter;
use futures::future::try_join5;
use kinfold_identity::CanonicalId;

use super::Reading;
use super::addition::{Addition, Published};
use super::columns::{change_rows, identifier_rows};
use super::edges::Judge;
use super::past::past_rows;
use super::rows::text;
use super::touched::Amendment;
use crate::EngineError;
use crate::build::Run;
use crate::build::table::{Made, Mark};
use crate::published::StoredTable;

/// With more new rows than these, they are written to as many files as there are processors.
const WORTH_SHARING: usize = 1 << 16;

/// Places of rows by file.
type Places = BTreeMap<String, Vec<u64>>;

impl Run<'_> {
    /// Adds what is new, and replaces the rows of identifiers, records and edges that are other now.
    pub(super) async fn write_amendment(
        &self,
        reading: &Reading<'_>,
        addition: &Addition,
        amendment: &Arc<Amendment>,
        key: &str,
    ) -> Result<Made, EngineError> {
        let node = reading.node;
        let (Some(relation), Some(schema)) = (&node.relation, &node.schema) else {
            return Err(EngineError::NotBuilt(node.id.clone()));
        };
        let at = (relation.schema.as_str(), relation.name.as_str());
        let changes = reading.companion("changes")?;
        let happened = change_rows(&amendment.resolution, &self.engine.clock, &changes.schema);
        let history = reading.companion("history")?;
        let past = past_rows(
            &amendment.resolution,
            &reading.suppression,
            &self.engine.clock,
            &history.schema,
        );
        let own = async {
            let (amendment, columns) = (Arc::clone(amendment), Arc::clone(schema));
            let changed = tokio::task::spawn_blocking(move || {
                let (rows, replaced) = amendment.changed();
                identifier_rows(rows.into_iter(), &columns).map(|rows| (rows, replaced))
            });
            let (rows, replaced) = changed.await?.map_err(DataFusionError::from)?;
            let rows = vec![of(schema, vec![rows])];
            self.amend(&addition.own, &replaced, rows).await
        };
        let (own, (edges, records), changes, history, aliases) = try_join5(
            own,
            self.amend_edges(reading, addition, amendment),
            self.amend(&addition.changes, &Places::new(), vec![happened]),
            self.amend(&addition.history, &Places::new(), vec![past]),
            self.amend_aliases(reading, addition, amendment),
        )
        .await?;
        let companions = BTreeMap::from([
            ("edges".to_owned(), edges),
            ("records".to_owned(), records),
            // Nobody breaks a rule, and nobody did.
            ("alarms".to_owned(), addition.alarms.clone()),
            ("changes".to_owned(), changes),
            ("history".to_owned(), history),
            ("aliases".to_owned(), aliases),
        ]);
        let mark = Mark {
            key,
            companions: &companions,
        };
        let table = self.engine.mark(at, schema, &own, mark).await?;
        Ok(Made { table, companions })
    }

    /// Ids of before that stand for others now; everybody else's stand for whom they stood for.
    async fn amend_aliases(
        &self,
        reading: &Reading<'_>,
        addition: &Addition,
        amendment: &Amendment,
    ) -> Result<StoredTable, EngineError> {
        let moved = amendment.moved();
        if moved.is_empty() {
            return Ok(addition.aliases.clone());
        }
        let text = |id: CanonicalId| id.to_string();
        let moved = moved.into_iter().map(|(old, id)| (text(old), text(id)));
        let moved: BTreeMap<String, String> = moved.collect();
        let companion = reading.companion("aliases")?;
        self.engine
            .amend_aliases(companion, &addition.aliases, &moved)
            .await
    }

    async fn amend_edges(
        &self,
        reading: &Reading<'_>,
        addition: &Addition,
        amendment: &Amendment,
    ) -> Result<(StoredTable, StoredTable), EngineError> {
        let (edges, records) = (reading.companion("edges")?, reading.companion("records")?);
        let judge = Judge::new(
            &amendment.resolution,
            amendment.resolution.records_met(),
            &reading.forms,
            (&edges.schema, &records.schema),
        );
        for (source, record_id) in &amendment.records {
            judge.has_met(source, record_id);
        }
        let moved = amendment.moved();
        let (mut of_edges, mut of_records) = (Vec::new(), Vec::new());
        let rows: usize = amendment.batches.iter().map(RecordBatch::num_rows).sum();
        let shares = match available_parallelism() {
            Ok(threads) if rows > WORTH_SHARING => threads.get(),
            _ => 1,
        };
        let share = amendment.batches.len().div_ceil(shares).max(1);
        for some in amendment.batches.chunks(share) {
            let Some(first) = some.first() else {
                continue;
            };
            let (edges, records) = judge.judged(of(&first.schema(), some.to_vec()));
            of_edges.push(edges);
            of_records.push(records);
        }
        let ((gone_edges, moved_edges), (gone_records, moved_records)) = futures::try_join!(
            self.moved(&addition.edges, &edges.schema, &moved),
            self.moved(&addition.records, &records.schema, &moved),
        )?;
        of_edges.push(of(&edges.schema, moved_edges));
        of_records.push(of(&records.schema, moved_records));
        // Neither goes on without the other: see `Judge::judged`.
        futures::try_join!(
            self.amend(&addition.edges, &gone_edges, of_edges),
            self.amend(&addition.records, &gone_records, of_records),
        )
    }

    async fn amend(
        &self,
        published: &Published,
        gone: &Places,
        rows: Vec<SendableRecordBatchStream>,
    ) -> Result<StoredTable, EngineError> {
        let Published {
            stored,
            snapshot,
            index,
            ..
        } = published;
        self.engine
            .patch(&stored.relation, snapshot, gone, rows, index)
            .await
    }

    /// The rows with a canonical id that is another one now: where they lie, and as they are to be.
    async fn moved(
        &self,
        published: &Published,
        schema: &SchemaRef,
        moved: &BTreeMap<CanonicalId, CanonicalId>,
    ) -> Result<(Places, Vec<RecordBatch>), EngineError> {
        let (mut gone, mut rows) = (Places::new(), Vec::new());
        if moved.is_empty() {
            return Ok((gone, rows));
        }
        let columns: Vec<&str> = schema.fields().iter().map(|f| f.name().as_str()).collect();
        let table = self.lookup(published).await?;
        let found = table.by_ids(moved.keys().copied()).await?;
        for of_file in table.rows(&found, &columns).await? {
            let mut places_gone = Vec::new();
            for (batch, places) in of_file.placed() {
                rows.extend(renamed(batch, places, schema, moved, &mut places_gone)?);
            }
            if let (Some(file), false) = (table.files.get(of_file.file), places_gone.is_empty()) {
                gone.insert(file.file().to_owned(), places_gone);
            }
        }
        Ok((gone, rows))
    }
}

/// The rows of a batch whose canonical id is another one now, with that. Adds their places.
fn renamed(
    batch: &RecordBatch,
    places: &[u64],
    schema: &SchemaRef,
    moved: &BTreeMap<CanonicalId, CanonicalId>,
    gone: &mut Vec<u64>,
) -> Result<Option<RecordBatch>, DataFusionError> {
    let at = schema.index_of("canonical_id")?;
    let into = text(batch, at)?.iter().map(|id| {
        let id = CanonicalId::from_str(id?).ok()?;
        moved.get(&id).map(ToString::to_string)
    });
    let into: Vec<Option<String>> = into.collect();
    let chosen: BooleanArray = into.iter().map(|into| Some(into.is_some())).collect();
    if chosen.true_count() == 0 {
        return Ok(None);
    }
    let found = places.iter().zip(&into).filter(|(_, into)| into.is_some());
    gone.extend(found.map(|(place, _)| *place));
    let mut columns = filter_record_batch(batch, &chosen)?.columns().to_vec();
    let ids: StringArray = into.iter().flatten().map(Some).collect();
    if let Some(column) = columns.get_mut(at) {
        *column = Arc::new(ids) as ArrayRef;
    }
    Ok(Some(RecordBatch::try_new(Arc::clone(schema), columns)?))
}

/// Batches in memory as a stream.
fn of(schema: &SchemaRef, batches: Vec<RecordBatch>) -> SendableRecordBatchStream {
    let batches = futures::stream::iter(batches.into_iter().map(Ok));
    Box::pin(RecordBatchStreamAdapter::new(Arc::clone(schema), batches))
}
