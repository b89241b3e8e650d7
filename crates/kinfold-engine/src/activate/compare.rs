//! The model against the state: what the destination lacks.
//!
//! The state is loaded into a [`KeyTable`], the rows of the model stream past it, and what the model
//! was not seen to have is left over. Where the table of all keys would be too large, keys are taken
//! in several parts by their hash, and model and state are read once for each.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

use datafusion::arrow::array::cast::AsArray;
use datafusion::arrow::array::{Array, ArrayRef, BinaryArray, StringArray};
use datafusion::arrow::compute::cast;
use datafusion::arrow::datatypes::{
    DataType, Int32Type, Int64Type, TimeUnit, TimestampMicrosecondType,
};
use datafusion::arrow::record_batch::RecordBatch;
use datafusion::common::DataFusionError;
use datafusion::execution::SendableRecordBatchStream;
use datafusion::logical_expr::LogicalPlanBuilder;
use datafusion::prelude::{col, lit};
use futures::TryStreamExt;
use kinfold_compile::compile::CompiledSync;
use kinfold_compile::relation::register;
use kinfold_sync::{CancelToken, ObjectText};
use tokio::task::JoinSet;

use super::canonical::{
    Cell, DigestScratch, NullForm, ObjectEncoder, earlier_payload_hash, payload_hash, text_hash,
};
use super::changeset::{Changeset, Sink, SinkMaker};
use super::class::{Before, CURRENT, Class, Mappings, Payload, Row, Rules};
use super::keys::{Copies, Hash, KeyTable, Known, PLACE_BYTES, StateRow, Trouble, Unseen};
use super::state::State;
use crate::stream::{Providers, is_out_of_memory, streams_of};
use crate::{Engine, EngineError};

const LOAD: &str = include_str!("../../../../sql/state/load.sql");
const LEAVING: &str = include_str!("../../../../sql/state/leaving.sql");

/// Most bytes of a table of keys; more keys are taken in parts.
const TABLE_BYTES: usize = 512 << 20;
/// A statement names at most so many keys; of more, all are read.
const MOST_KEYS_ASKED_FOR: usize = 20_000;
/// More parts than this do not help any more.
const MOST_PARTS: u32 = 1_024;

/// Partitions of the model for each core. Those of files are cut between row groups, so that some have more rows
/// than others; of several, the cores are done at the same time.
const PARTITIONS_A_CORE: usize = 4;

/// A part of the keys, by the lower bits of their hashes.
#[derive(Clone, Copy)]
pub(super) struct Part {
    pub(super) index: u32,
    pub(super) of: u32,
}

impl Part {
    pub(super) fn has(self, key: Hash) -> bool {
        self.of == 1 || key % u128::from(self.of) == u128::from(self.index)
    }
}

/// What is compared with what.
pub(super) struct Comparison<'a> {
    pub(super) engine: &'a Engine,
    pub(super) compiled: &'a CompiledSync,
    pub(super) providers: &'a Providers,
    pub(super) state: &'a State,
    pub(super) rules: Rules,
    /// What is sent for a null in each field.
    pub(super) nulls: &'a [NullForm],
    /// Rows that the model is thought to have.
    pub(super) expected_rows: u64,
    pub(super) cancel: &'a CancelToken,
}

impl Comparison<'_> {
    /// Classifies every key of the model and of the state. A comparison that runs out of memory is made
    /// again with joins that spill and with more parts.
    pub(super) async fn run(&self, sinks: &SinkMaker<'_>) -> Result<Changeset, EngineError> {
        let keys = self.state.rows().max(self.expected_rows);
        let mut parts = StateScan::parts(self.engine, keys);
        let mut spilling = false;
        for attempt in 0.. {
            let sinks = sinks.attempt(attempt);
            // The futures of a comparison are large, and callers keep several of them on one stack.
            match Box::pin(self.all_parts(parts, spilling, &sinks)).await {
                Err(error) if is_out_of_memory(&error) && parts < MOST_PARTS => {
                    // What is without effect on one of the two helps the other.
                    parts = if spilling { parts * 2 } else { parts };
                    spilling = true;
                }
                other => return other,
            }
        }
        Err(EngineError::Cancelled)
    }

    async fn all_parts(
        &self,
        of: u32,
        spilling: bool,
        sinks: &SinkMaker<'_>,
    ) -> Result<Changeset, EngineError> {
        let mut all = Changeset::default();
        for index in 0..of {
            let part = Part { index, of };
            all.extend(self.part(part, spilling, sinks).await?);
        }
        Ok(all)
    }

    async fn part(
        &self,
        part: Part,
        spilling: bool,
        sinks: &SinkMaker<'_>,
    ) -> Result<Changeset, EngineError> {
        let (table, mappings) = self.load(part).await?;
        self.past(part, &table, &mappings, spilling, sinks).await
    }

    /// What the state says of the keys of a part.
    pub(super) async fn load(
        &self,
        part: Part,
    ) -> Result<(Arc<KeyTable>, Arc<Mappings>), EngineError> {
        let keys = match &self.rules.only {
            Some(only) => only.len() as u64,
            None => self.state.rows().max(self.expected_rows) / u64::from(part.of),
        };
        let table = Arc::new(KeyTable::new(&self.engine.runtime.memory_pool, keys)?);
        let current = self.compiled.fingerprint.to_string();
        let only = self.rules.only.as_ref();
        let mappings = self.scan().load(part, &table, &current, only).await?;
        Ok((table, Arc::new(mappings)))
    }

    /// The model on its way past what the state says.
    pub(super) async fn past(
        &self,
        part: Part,
        table: &Arc<KeyTable>,
        mappings: &Arc<Mappings>,
        spilling: bool,
        sinks: &SinkMaker<'_>,
    ) -> Result<Changeset, EngineError> {
        let confirmed = table.confirmed();
        let scopes = Arc::new(KeyTable::new(&self.engine.runtime.memory_pool, 0)?);
        let mut changeset = Changeset::default();
        let mut tasks = JoinSet::new();
        let partitions = self.engine.options.target_partitions * PARTITIONS_A_CORE;
        let streams = self
            .engine
            .streams_in(partitions, &self.compiled.plan, self.providers, spilling)
            .await?;
        for (number, stream) in streams.into_iter().enumerate() {
            let scan = ModelScan {
                key_fields: self.compiled.key_fields.clone(),
                fields: self.compiled.fields.clone(),
                nulls: self.nulls.to_vec(),
                rules: self.rules.clone(),
                part,
                table: Arc::clone(table),
                mappings: Arc::clone(mappings),
                scopes: Arc::clone(&scopes),
                cancel: self.cancel.clone(),
            };
            tasks.spawn(scan.run(stream, sinks.make(&format!("{}-{number}", part.index))));
        }
        for sink in ended(tasks).await? {
            changeset.extend(sink.finish().await?);
        }
        changeset.tally.acknowledged += confirmed;
        if changeset.tally.retracted > 0 {
            let table = Arc::clone(table);
            changeset
                .retain(&self.engine.lake, move |key| !table.is_duplicate(key))
                .await?;
        }
        let unseen = table.unseen();
        if unseen.count > 0 && !self.rules.verify {
            let unseen = Arc::new(unseen);
            let mut tasks = JoinSet::new();
            let only = self.rules.only.as_deref();
            let streams = self.scan().rows(LEAVING, only).await?;
            for (number, stream) in streams.into_iter().enumerate() {
                let scan = LeavingScan {
                    rules: self.rules.clone(),
                    part,
                    table: Arc::clone(table),
                    unseen: Arc::clone(&unseen),
                    scopes: Arc::clone(&scopes),
                    cancel: self.cancel.clone(),
                };
                let sink = sinks.make(&format!("{}-left-{number}", part.index));
                tasks.spawn(scan.run(stream, sink));
            }
            for sink in ended(tasks).await? {
                changeset.extend(sink.finish().await?);
            }
        }
        Ok(changeset)
    }

    fn scan(&self) -> StateScan<'_> {
        StateScan {
            engine: self.engine,
            state: self.state,
        }
    }
}

/// The results of tasks in the order in which they were begun; the first error ends the others.
async fn ended<T: Send + 'static>(
    mut tasks: JoinSet<Result<T, EngineError>>,
) -> Result<Vec<T>, EngineError> {
    let mut results = vec![];
    while let Some(ended) = tasks.join_next_with_id().await {
        let (id, result) = ended.map_err(|error| DataFusionError::External(Box::new(error)))?;
        results.push((id, result?));
    }
    results.sort_by_key(|(id, _)| *id);
    Ok(results.into_iter().map(|(_, result)| result).collect())
}

/// One partition of the state on its way past the table: what the model was not seen to have.
struct LeavingScan {
    rules: Rules,
    part: Part,
    table: Arc<KeyTable>,
    unseen: Arc<Unseen>,
    /// Hashes of the scopes that the model has.
    scopes: Arc<KeyTable>,
    cancel: CancelToken,
}

impl LeavingScan {
    async fn run(
        self,
        mut stream: SendableRecordBatchStream,
        mut sink: Sink,
    ) -> Result<Sink, EngineError> {
        while let Some(batch) = stream.try_next().await? {
            if self.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            self.batch(&batch, &mut sink).await?;
        }
        Ok(sink)
    }

    async fn batch(&self, batch: &RecordBatch, sink: &mut Sink) -> Result<(), EngineError> {
        let columns = Columns(batch);
        let hashes = columns.binary("key_hash")?;
        let ordinals = columns.typed("ordinal", &DataType::Int64)?;
        let ordinals = ordinals.as_primitive::<Int64Type>();
        let keys = columns.text("key_text")?;
        for row in 0..batch.num_rows() {
            let key_hash = hash_of(hashes.value(row));
            if !self.unseen.may_have(key_hash) || !self.part.has(key_hash) || self.skips(key_hash) {
                continue;
            }
            let ordinal = ordinal(ordinals.value(row));
            let Some((known, trouble)) = self.table.newest(key_hash, ordinal) else {
                continue;
            };
            if !known.in_state() || known.seen() {
                continue;
            }
            let class = if self.rules.scope.is_empty()
                || self
                    .scopes
                    .was_seen(scope_of(keys.value(row), &self.rules.scope))
            {
                self.rules.absent(known, trouble.as_ref())
            } else {
                Class::Keep
            };
            if class == Class::WaitingToLeave {
                sink.wait_until(due(trouble.as_ref()));
            }
            sink.push(&Row {
                class,
                key_hash,
                key: Some(keys.value(row)),
                payload: None,
                digest: 0,
                before: before(known, trouble.as_ref(), None),
            })
            .await?;
        }
        Ok(())
    }

    fn skips(&self, key: Hash) -> bool {
        let only = self.rules.only.as_ref();
        only.is_some_and(|only| !only.contains(&key))
    }
}

/// The rows of a state.
pub(super) struct StateScan<'a> {
    pub(super) engine: &'a Engine,
    pub(super) state: &'a State,
}

impl StateScan<'_> {
    /// In how many parts so many keys are taken.
    pub(super) fn parts(engine: &Engine, keys: u64) -> u32 {
        let bytes = keys.saturating_mul(PLACE_BYTES as u64).saturating_mul(5) / 4;
        let limit = TABLE_BYTES
            .min(engine.options.memory_limit / 2)
            .max(1 << 20);
        u32::try_from(bytes / limit as u64 + 1)
            .unwrap_or(MOST_PARTS)
            .min(MOST_PARTS)
    }

    /// Loads what is known of the keys of a part. `current` is the mapping of this run.
    pub(super) async fn load(
        &self,
        part: Part,
        table: &Arc<KeyTable>,
        current: &str,
        only: Option<&Arc<HashSet<Hash>>>,
    ) -> Result<Mappings, EngineError> {
        let mappings = Arc::new(Mutex::new(Mappings::new(current)));
        let mut tasks = JoinSet::new();
        for mut stream in self.rows(LOAD, only.map(Arc::as_ref)).await? {
            let (table, mappings) = (Arc::clone(table), Arc::clone(&mappings));
            let only = only.cloned();
            tasks.spawn(async move {
                let only = only.as_deref();
                let wanted = |key| part.has(key) && only.is_none_or(|only| only.contains(&key));
                while let Some(batch) = stream.try_next().await? {
                    load_batch(&batch, &wanted, &table, &mappings)?;
                }
                Ok(())
            });
        }
        ended(tasks).await?;
        let mappings =
            std::mem::take(&mut *mappings.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(mappings)
    }

    /// What a statement of `sql/state/` that has the keys says of the state. Rows of other keys than `only`
    /// may be left out.
    pub(super) async fn rows(
        &self,
        sql: &str,
        only: Option<&HashSet<Hash>>,
    ) -> Result<Vec<SendableRecordBatchStream>, EngineError> {
        let Some(provider) = self.state.provider()? else {
            return Ok(vec![]);
        };
        let session = self.engine.session(false);
        register(&session, "main", "state", provider)?;
        let mut plan = session.create_logical_plan(sql).await?;
        if let Some(only) = only.filter(|only| only.len() <= MOST_KEYS_ASKED_FOR) {
            let keys = only.iter().map(|key| lit(key.to_be_bytes().as_slice()));
            let wanted = col("key_hash").in_list(keys.collect(), false);
            plan = LogicalPlanBuilder::from(plan).filter(wanted)?.build()?;
        }
        streams_of(&session, &plan).await
    }
}

fn load_batch(
    batch: &RecordBatch,
    wanted: &dyn Fn(Hash) -> bool,
    table: &KeyTable,
    mappings: &Mutex<Mappings>,
) -> Result<(), EngineError> {
    let columns = Columns(batch);
    let hashes = columns.binary("key_hash")?;
    let ordinals = columns.typed("ordinal", &DataType::Int64)?;
    let ordinals = ordinals.as_primitive::<Int64Type>();
    let statuses = columns.text("status")?;
    let payloads = columns.binary("payload_hash")?;
    let digests = columns.binary("row_digest")?;
    let (ours, uncertain) = (columns.flag("ours")?, columns.flag("uncertain")?);
    let names = columns.text("mapping_version")?;
    let pending = columns.binary("pending_hash")?;
    let attempts = columns.typed("attempts", &DataType::Int32)?;
    let attempts = attempts.as_primitive::<Int32Type>();
    let micros = DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let due = columns.typed("next_try", &micros)?;
    let due = due.as_primitive::<TimestampMicrosecondType>();
    let errors = columns.text("first_error_run")?;
    let mut last: Option<(String, u16)> = None;
    for row in 0..batch.num_rows() {
        let key = hash_of(hashes.value(row));
        if !wanted(key) {
            continue;
        }
        let mapping = match text(&names, row) {
            None => 0,
            // Nearly all rows have the mapping of the row before.
            Some(name) => match &last {
                Some((before, number)) if before == name => *number,
                _ => {
                    let mut mappings = mappings.lock().unwrap_or_else(PoisonError::into_inner);
                    let number = mappings.number(name);
                    last = Some((name.to_owned(), number));
                    number
                }
            },
        };
        let status = text(&statuses, row).unwrap_or_default();
        let failed = !matches!(status, "delivered" | "gone");
        let trouble = failed.then(|| Trouble {
            pending: binary(&pending, row).map_or(0, hash_of),
            rejected: status == "rejected",
            attempts: u32::try_from(attempts.value(row)).unwrap_or(0),
            due: if due.is_valid(row) { due.value(row) } else { 0 },
            first_error: text(&errors, row).map(Arc::from),
        });
        table.load(&StateRow {
            key,
            ordinal: ordinal(ordinals.value(row)),
            gone: status == "gone",
            confirmed: binary(&payloads, row).map_or(0, hash_of),
            digest: binary(&digests, row).map_or(0, hash_of),
            mapping,
            ours: ours.is_valid(row) && ours.value(row),
            uncertain: uncertain.is_valid(row) && uncertain.value(row),
            trouble,
        })?;
    }
    Ok(())
}

/// When a row that waits is sent again by itself, in microseconds since 1970.
fn due(trouble: Option<&Trouble>) -> i64 {
    trouble.map_or(i64::MAX, |t| if t.rejected { t.due } else { i64::MAX })
}

fn before(known: Known, trouble: Option<&Trouble>, mapping: Option<Arc<str>>) -> Before {
    Before {
        confirmed: known.is_confirmed().then(|| known.confirmed.to_be_bytes()),
        digest: known.digest,
        ours: known.ours(),
        uncertain: known.uncertain(),
        attempts: trouble.map_or(0, |t| t.attempts),
        first_error: trouble.and_then(|t| t.first_error.clone()),
        mapping,
    }
}

/// One partition of the model on its way past the table.
struct ModelScan {
    key_fields: Vec<String>,
    fields: Vec<String>,
    nulls: Vec<NullForm>,
    rules: Rules,
    part: Part,
    table: Arc<KeyTable>,
    mappings: Arc<Mappings>,
    /// Hashes of the scopes that the model has.
    scopes: Arc<KeyTable>,
    cancel: CancelToken,
}

impl ModelScan {
    async fn run(
        self,
        mut stream: SendableRecordBatchStream,
        mut sink: Sink,
    ) -> Result<Sink, EngineError> {
        while let Some(batch) = stream.try_next().await? {
            if self.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            self.batch(&batch, &mut sink).await?;
        }
        Ok(sink)
    }

    async fn batch(&self, batch: &RecordBatch, sink: &mut Sink) -> Result<(), EngineError> {
        let (keys, fields) = batch.columns().split_at(self.key_fields.len());
        let keys = ObjectEncoder::new(&self.key_fields, keys).map_err(DataFusionError::from)?;
        let fields = ObjectEncoder::with_nulls(&self.fields, fields, &self.nulls)
            .map_err(DataFusionError::from)?;
        let mut values = Values {
            encoder: &fields,
            payload: String::new(),
            packed: String::new(),
        };
        let mut block = Block::default();
        for first in (0..batch.num_rows()).step_by(BLOCK_ROWS) {
            let rows = first..batch.num_rows().min(first + BLOCK_ROWS);
            self.block(rows, (&keys, &mut values), &mut block, sink)
                .await?;
        }
        Ok(())
    }

    /// Some rows of a batch.
    async fn block(
        &self,
        rows: Range<usize>,
        (keys, values): (&ObjectEncoder, &mut Values<'_>),
        block: &mut Block,
        sink: &mut Sink,
    ) -> Result<(), EngineError> {
        let Block {
            texts,
            rows: looked_at,
            found,
            digests,
            scratch,
        } = block;
        texts.clear();
        looked_at.clear();
        found.clear();
        digests.clear();
        for row in rows {
            let start = texts.len();
            let mut usable = true;
            keys.write(row, texts, |cell| usable &= cell == Cell::Value);
            let key = texts.get(start..).unwrap_or_default();
            let key_hash = if usable { key_hash(key) } else { 0 };
            if usable && !self.rules.scope.is_empty() {
                let scope = scope_of(key, &self.rules.scope);
                self.scopes.see(scope, |_, _| (0, ()))?;
            }
            if self.looks_at(key_hash) {
                looked_at.push(row);
                found.push((key_hash, start..texts.len()));
            } else {
                texts.truncate(start);
            }
        }
        // Never 0.
        values.encoder.digests(looked_at, scratch, |digest| {
            digests.push(hash_of(&digest).max(1));
        });
        for ((row, (key_hash, key)), digest) in looked_at.iter().zip(&*found).zip(&*digests) {
            let (row, key_hash, digest) = (*row, *key_hash, *digest);
            if key_hash == 0 {
                sink.push(&Row {
                    class: Class::NullKey,
                    key_hash: 0,
                    key: None,
                    payload: None,
                    digest: 0,
                    before: Before::default(),
                })
                .await?;
                continue;
            }
            let key = texts.get(key.clone()).unwrap_or_default();
            let row = ModelRow { row, digest };
            self.row(key_hash, key, (row, values), sink).await?;
        }
        Ok(())
    }

    /// Whether a row of the model is one of those that are compared now; its hash is 0 if it has no usable key.
    fn looks_at(&self, key_hash: Hash) -> bool {
        let only = self.rules.only.as_deref();
        if key_hash == 0 {
            return self.part.index == 0 && only.is_none();
        }
        self.part.has(key_hash) && only.is_none_or(|only| only.contains(&key_hash))
    }

    async fn row(
        &self,
        key_hash: Hash,
        key: &str,
        (row, values): (ModelRow, &mut Values<'_>),
        sink: &mut Sink,
    ) -> Result<(), EngineError> {
        let ModelRow { row, digest } = row;
        let mut hash = None;
        let mut waits = None;
        let (copies, said) = self.table.see(key_hash, |known, trouble| {
            let same = known.digest == digest && known.is_confirmed();
            let found = if same {
                Some(known.confirmed)
            } else {
                // Another digest may still have the same JSON: after a cast, for instance.
                hash = values.write(row);
                hash.map(|hash| values.as_known(hash_of(&hash), known, trouble))
            };
            let Some(found) = found else {
                return (Class::NoForm as u8, (Class::NoForm, Before::default()));
            };
            let current = known.mapping == CURRENT;
            let class = self.rules.present(known, trouble, found, current);
            let class = match (self.rules.verify, class) {
                (true, Class::Unchanged) => Class::Verify,
                (true, _) => Class::Keep,
                // The next comparison shall see by the digest that nothing has changed.
                (false, Class::Unchanged) if !same && found == known.confirmed => Class::Settle,
                (false, class) => class,
            };
            waits = (class == Class::Waiting).then(|| due(trouble));
            let before = if class.is_planned() {
                before(known, trouble, self.mappings.name(known.mapping))
            } else {
                Before::default()
            };
            (class as u8, (class, before))
        })?;
        let (class, before) = match (copies, said) {
            (Copies::First, Some(said)) => said,
            (Copies::Second(first), _) => {
                if let Some(first) = Class::of(first) {
                    sink.retract(first, key).await?;
                }
                (Class::DuplicateKey, Before::default())
            }
            _ => (Class::DuplicateKey, Before::default()),
        };
        if class.is_planned() && hash.is_none() {
            hash = values.write(row);
        }
        if let Some(due) = waits {
            sink.wait_until(due);
        }
        sink.push(&Row {
            class,
            key_hash,
            key: Some(key),
            payload: hash.map(|hash| values.payload(hash)),
            digest,
            before,
        })
        .await
    }
}

/// Rows whose keys, digests and payloads are made one after the other: so few that their values stay in a core's own
/// cache meanwhile.
const BLOCK_ROWS: usize = 128;

/// Rows of a batch that are compared; memory to be used again.
#[derive(Default)]
struct Block {
    /// The texts of their keys.
    texts: String,
    rows: Vec<usize>,
    /// The hash of each key, 0 if it is not usable, and its text.
    found: Vec<(Hash, Range<usize>)>,
    digests: Vec<Hash>,
    scratch: DigestScratch,
}

/// A row of a batch by its number, and its digest.
#[derive(Clone, Copy)]
struct ModelRow {
    row: usize,
    digest: Hash,
}

/// The mapped values of the rows of a batch.
struct Values<'a> {
    encoder: &'a ObjectEncoder,
    payload: String,
    packed: String,
}

impl Values<'_> {
    /// What was written last.
    fn payload(&self, hash: [u8; 16]) -> Payload<'_> {
        Payload {
            text: &self.payload,
            values: &self.packed,
            hash,
        }
    }

    /// The hash of what was written last, or the one by which the state knows the same payload.
    fn as_known(&self, hash: Hash, known: Known, trouble: Option<&Trouble>) -> Hash {
        let pending = trouble.map_or(0, |trouble| trouble.pending);
        let stored = [known.confirmed, pending];
        if stored.contains(&hash) || stored.iter().all(|stored| *stored == 0) {
            return hash;
        }
        let earlier = hash_of(&earlier_payload_hash(&self.payload));
        if stored.contains(&earlier) {
            earlier
        } else {
            hash
        }
    }

    /// Writes the payload of a row; its hash, if it has a form.
    fn write(&mut self, row: usize) -> Option<[u8; 16]> {
        self.payload.clear();
        let mut has_form = true;
        let seen = |cell| has_form &= cell != Cell::NoForm;
        self.encoder
            .write_and_pack(row, &mut self.payload, &mut self.packed, seen);
        has_form.then(|| payload_hash(&self.payload))
    }
}

/// The hash of the values of some fields of a key.
fn scope_of(key: &str, fields: &[String]) -> Hash {
    let key = ObjectText::new(key).and_then(|text| text.parse());
    let mut scope = key.unwrap_or_default();
    scope.retain(|field, _| fields.contains(field));
    key_hash(&serde_json::Value::Object(scope).to_string())
}

/// The hash by which a key is found; never 0.
pub(super) fn key_hash(key: &str) -> Hash {
    hash_of(&text_hash(key)).max(1)
}

/// A stored hash as a number.
pub(super) fn hash_of(bytes: &[u8]) -> Hash {
    <[u8; 16]>::try_from(bytes).map_or(0, Hash::from_be_bytes)
}

fn ordinal(stored: i64) -> u32 {
    u32::try_from(stored).unwrap_or(u32::MAX)
}

fn text(column: &StringArray, row: usize) -> Option<&str> {
    column.is_valid(row).then(|| column.value(row))
}

fn binary(column: &BinaryArray, row: usize) -> Option<&[u8]> {
    column.is_valid(row).then(|| column.value(row))
}

/// Columns of a batch by name, in the type that is asked for.
struct Columns<'a>(&'a RecordBatch);

impl Columns<'_> {
    fn typed(&self, name: &str, wanted: &DataType) -> Result<ArrayRef, DataFusionError> {
        let found = self.0.column_by_name(name);
        let found = found.ok_or_else(|| DataFusionError::Internal(format!("no column {name}")))?;
        Ok(cast(found, wanted)?)
    }

    fn text(&self, name: &str) -> Result<StringArray, DataFusionError> {
        Ok(self
            .typed(name, &DataType::Utf8)?
            .as_string::<i32>()
            .clone())
    }

    fn binary(&self, name: &str) -> Result<BinaryArray, DataFusionError> {
        Ok(self
            .typed(name, &DataType::Binary)?
            .as_binary::<i32>()
            .clone())
    }

    fn flag(&self, name: &str) -> Result<datafusion::arrow::array::BooleanArray, DataFusionError> {
        Ok(self.typed(name, &DataType::Boolean)?.as_boolean().clone())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use datafusion::arrow::array::Int64Array;
    use datafusion::execution::memory_pool::{MemoryPool, UnboundedMemoryPool};

    use super::*;

    #[test]
    fn payloads_of_earlier_states_are_known() {
        let columns: [ArrayRef; 1] = [Arc::new(Int64Array::from(vec![1, 2]))];
        let encoder = ObjectEncoder::new(&["a".to_owned()], &columns).unwrap();
        let mut values = Values {
            encoder: &encoder,
            payload: String::new(),
            packed: String::new(),
        };
        let pool: Arc<dyn MemoryPool> = Arc::new(UnboundedMemoryPool::default());
        let table = KeyTable::new(&pool, 1).unwrap();
        let earlier = hash_of(&earlier_payload_hash("{\"a\":1}"));
        table
            .load(&StateRow {
                key: 9,
                ordinal: 1,
                gone: false,
                confirmed: earlier,
                digest: 7,
                mapping: CURRENT,
                ours: true,
                uncertain: false,
                trouble: None,
            })
            .unwrap();
        let mut of = |row| {
            let hash = hash_of(&values.write(row).unwrap());
            let (_, said) = table
                .see(9, |known, trouble| {
                    (0, values.as_known(hash, known, trouble))
                })
                .unwrap();
            (hash, said)
        };
        // The same values are known by the hash that the state has, others by their own.
        let (hash, said) = of(0);
        assert_ne!(hash, earlier);
        assert_eq!(said, Some(earlier));
        assert_eq!(hash, hash_of(&payload_hash("{\"a\":1}")));
    }
}
