//! Whom new rows touch: the published people who have one of their identifiers or records.

use std::collections::{BTreeMap, HashSet};
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::common::DataFusionError;
use futures::StreamExt;
use kinfold_identity::{BlockedValues, CanonicalId, Checked, GraphBuilder, Identifier, Resolution};
use kinfold_lake::FileRows;
use tokio::task::JoinSet;

use super::Reading;
use super::addition::{Addition, Published, Why};
use super::feed::feed;
use super::rows::{Rows, RowsError, text};
use super::sieve::Sieve;
use crate::EngineError;
use crate::build::Run;
use crate::stream::together;

/// If the people who are touched have more than one identifier in so many, all rows are read.
const WORTH_IT: u64 = 4;

const MEMBER_COLUMNS: [&str; 6] = [
    "id_type",
    "id_value",
    "canonical_id",
    "minted_at",
    "first_seen_at",
    "last_seen_at",
];

/// A published identifier of somebody who is touched, and where its row lies.
pub(super) struct Member {
    id_type: String,
    id_value: String,
    canonical_id: CanonicalId,
    minted_at: i64,
    first_seen: Option<i64>,
    last_seen: Option<i64>,
    file: usize,
    place: u64,
}

/// The new rows, resolved with those whom they touch.
pub(super) struct Amendment {
    pub(super) resolution: Arc<Resolution>,
    /// The new rows of the model.
    pub(super) batches: Vec<RecordBatch>,
    /// Records of new rows that are published.
    pub(super) records: Vec<(String, String)>,
    /// Published identifiers of the people who are touched, by type and value.
    members: BTreeMap<(String, String), Member>,
    /// Files of the relation.
    files: Vec<String>,
    /// How many people are touched.
    pub(super) people: usize,
}

/// New rows, as far as they are read.
struct Taken {
    builder: GraphBuilder,
    batches: Vec<RecordBatch>,
    touched: HashSet<CanonicalId>,
    records: Vec<(String, String, CanonicalId)>,
}

/// Three texts of a published row.
type Hit = (String, String, CanonicalId);

impl Run<'_> {
    /// Resolves new rows with the published people whom they touch; else why that does not do.
    pub(super) async fn resolve_addition(
        &self,
        reading: &Reading<'_>,
        addition: &Addition,
    ) -> Result<Result<Amendment, Why>, EngineError> {
        let wrong = |source: RowsError| self.identity_error(reading.node, source);
        let mut taken = self.take_new(reading, addition).await?;
        let (values, records) = sieves(&taken.batches, reading).map_err(wrong)?;
        let meet = |taken: &mut Taken, (id_type, value, id): Hit| {
            if taken.builder.meets(&id_type, &value) {
                taken.touched.insert(id);
            }
        };
        let columns = "SELECT id_type, id_value, canonical_id FROM kinfold._run.published";
        taken = self
            .scan(reading, &addition.own, columns, values, taken, meet)
            .await?;
        let meet = |taken: &mut Taken, (source, record_id, id): Hit| {
            if taken.builder.meets_record(&source, &record_id) {
                taken.touched.insert(id);
                taken.records.push((source, record_id, id));
            }
        };
        let columns = "SELECT source, record_id, canonical_id FROM kinfold._run.published";
        taken = self
            .scan(reading, &addition.records, columns, records, taken, meet)
            .await?;
        let Taken {
            mut builder,
            batches,
            touched,
            records,
        } = taken;
        let options = self.resolve_options(reading);
        let choices = Arc::new(builder.first_choices(&options.as_ref()));
        let people = touched.len();
        let (files, members, chosen) = self
            .members(addition, Arc::new(touched), Arc::clone(&choices))
            .await?;
        if (members.len() as u64).saturating_mul(WORTH_IT) > addition.own.stored.rows.unwrap_or(0) {
            return Ok(Err("many people are touched"));
        }
        if chosen || self.was_in_use(addition, &choices).await? {
            return Ok(Err("a new id would be one that was in use"));
        }
        if self.comes_back(addition, &builder).await? {
            return Ok(Err("somebody comes back who had an id before"));
        }
        for member in &members {
            let graph = builder.member(&Identifier {
                id_type: &member.id_type,
                id_value: &member.id_value,
                canonical_id: member.canonical_id,
                minted_at: member.minted_at,
                first_seen: member.first_seen,
                last_seen: member.last_seen,
            });
            graph.map_err(|error| wrong(error.into()))?;
        }
        for (source, record_id, id) in &records {
            let graph = builder.record_of(source, record_id, *id);
            graph.map_err(|error| wrong(error.into()))?;
        }
        let resolved = tokio::task::spawn_blocking(move || match builder.check() {
            Checked::Sound(builder) => Some(builder.resolve(&options.as_ref())),
            Checked::Failing(_) => None,
        });
        let Some(resolution) = resolved.await? else {
            return Ok(Err("somebody may break a rule now"));
        };
        if resolution.hinges_on_rows() {
            return Ok(Err("the new rows are of a linkage, or decisions"));
        }
        let members = members.into_iter().map(|member| {
            let key = (member.id_type.clone(), member.id_value.clone());
            (key, member)
        });
        Ok(Ok(Amendment {
            resolution: Arc::new(resolution),
            batches,
            records: records.into_iter().map(|(s, id, _)| (s, id)).collect(),
            members: members.collect(),
            files,
            people,
        }))
    }

    async fn take_new(
        &self,
        reading: &Reading<'_>,
        addition: &Addition,
    ) -> Result<Taken, EngineError> {
        let wrong = |source: RowsError| self.identity_error(reading.node, source);
        let Some(plan) = &reading.node.plan else {
            return Err(EngineError::NotBuilt(reading.node.id.clone()));
        };
        let builder = GraphBuilder::new(BlockedValues::default())
            .with_rules(super::rules::rules_of(reading.rules)?)
            .map_err(|source| self.identity_error(reading.node, source))?;
        let statement =
            self.engine
                .statement(false)
                .over_plan("query", plan, &addition.providers)?;
        let (preparer, forms) = (Arc::new(builder.preparer()), Arc::clone(&reading.forms));
        let fed = feed(
            reading.streams(&statement).await?,
            &self.request.cancel,
            move |batch| {
                let prepared = preparer.prepare(Rows::of(&batch, &forms)?.observations())?;
                Ok((batch, prepared))
            },
            Taken {
                builder,
                batches: Vec::new(),
                touched: HashSet::new(),
                records: Vec::new(),
            },
            |taken, (batch, prepared)| {
                taken.builder.take(&prepared)?;
                taken.batches.push(batch);
                Ok(())
            },
        );
        fed.await?.map_err(wrong)
    }

    /// Reads three columns of a published table, and meets those rows that may be about new ones.
    async fn scan(
        &self,
        reading: &Reading<'_>,
        published: &Published,
        sql: &str,
        sieve: Sieve,
        taken: Taken,
        meet: impl Fn(&mut Taken, Hit) + Send + 'static,
    ) -> Result<Taken, EngineError> {
        let provider = published.snapshot.provider()?;
        let columns = provider.schema();
        let statement =
            self.engine
                .statement(false)
                .over_table("published", Some(provider), &columns)?;
        let sieve = Arc::new(sieve);
        let fed = feed(
            statement.streams(sql).await?,
            &self.request.cancel,
            move |batch| hits(&batch, &sieve),
            taken,
            move |taken, hits: Vec<Hit>| {
                hits.into_iter().for_each(|hit| meet(taken, hit));
                Ok(())
            },
        );
        fed.await?
            .map_err(|source| self.identity_error(reading.node, source))
    }

    /// All published identifiers of these people, and whether an id among `choices` is in use.
    async fn members(
        &self,
        addition: &Addition,
        touched: Arc<HashSet<CanonicalId>>,
        choices: Arc<HashSet<CanonicalId>>,
    ) -> Result<(Vec<String>, Vec<Member>, bool), EngineError> {
        let own = &addition.own;
        let files = self
            .engine
            .lake
            .read_in_place(&own.path, &own.snapshot, &MEMBER_COLUMNS)
            .await?;
        let names = files.iter().map(|file| file.file.clone()).collect();
        let all: Vec<String> = touched
            .iter()
            .chain(choices.iter())
            .map(|id| id.text().as_str().to_owned())
            .collect();
        let sieve = Arc::new(Sieve::of_all(all.iter().map(String::as_str)));
        let mut readers = JoinSet::new();
        for (number, file) in files.into_iter().enumerate() {
            let (touched, choices) = (Arc::clone(&touched), Arc::clone(&choices));
            readers.spawn(members_of(
                number,
                file,
                Arc::clone(&sieve),
                touched,
                choices,
            ));
        }
        let (mut members, mut chosen) = (Vec::new(), false);
        while let Some(read) = readers.join_next().await {
            if self.request.cancel.is_cancelled() {
                return Err(EngineError::Cancelled);
            }
            let (of_file, chosen_there) = read??;
            members.extend(of_file);
            chosen |= chosen_there;
        }
        Ok((names, members, chosen))
    }

    /// Whether one of these ids is retired.
    async fn was_in_use(
        &self,
        addition: &Addition,
        choices: &HashSet<CanonicalId>,
    ) -> Result<bool, EngineError> {
        let provider = addition.changes.snapshot.provider()?;
        let columns = provider.schema();
        let statement =
            self.engine
                .statement(false)
                .over_table("changes", Some(provider), &columns)?;
        for mut stream in statement.streams(super::resolve::RETIRED).await? {
            while let Some(batch) = stream.next().await {
                let batch = batch?;
                let mut ids = text(&batch, 0)?.iter().flatten();
                let known =
                    |id: &str| CanonicalId::from_str(id).is_ok_and(|id| choices.contains(&id));
                if ids.any(known) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether a new identifier that is not published had an id once: it may take that back.
    async fn comes_back(
        &self,
        addition: &Addition,
        builder: &GraphBuilder,
    ) -> Result<bool, EngineError> {
        if addition.history.stored.rows == Some(0) {
            return Ok(false);
        }
        let provider = addition.history.snapshot.provider()?;
        let columns = provider.schema();
        let statement =
            self.engine
                .statement(false)
                .over_table("history", Some(provider), &columns)?;
        let sql = "SELECT id_type, id_value FROM kinfold._run.history";
        let mut batches = together(statement.streams(sql).await?);
        while let Some(batch) = batches.next().await {
            let batch = batch?;
            let (types, values) = (text(&batch, 0)?, text(&batch, 1)?);
            if types.iter().zip(values).any(|pair| match pair {
                (Some(id_type), Some(value)) => builder.is_new(id_type, value),
                _ => false,
            }) {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn sieves(batches: &[RecordBatch], reading: &Reading<'_>) -> Result<(Sieve, Sieve), RowsError> {
    let rows = batches.iter().map(RecordBatch::num_rows).sum();
    let (mut values, mut records) = (Sieve::of(rows), Sieve::of(rows));
    for batch in batches {
        for row in Rows::of(batch, &reading.forms)?.observations() {
            row.id_value.into_iter().for_each(|text| values.add(text));
            row.record_id.into_iter().for_each(|text| records.add(text));
        }
    }
    Ok((values, records))
}

/// The rows whose second column may be one of the texts of the sieve.
fn hits(batch: &RecordBatch, sieve: &Sieve) -> Result<Vec<Hit>, RowsError> {
    let (firsts, seconds, ids) = (text(batch, 0)?, text(batch, 1)?, text(batch, 2)?);
    let mut hits = Vec::new();
    for row in 0..batch.num_rows() {
        if firsts.is_null(row) || seconds.is_null(row) || !sieve.may_have(seconds.value(row)) {
            continue;
        }
        if let Ok(id) = CanonicalId::from_str(ids.value(row)) {
            hits.push((
                firsts.value(row).to_owned(),
                seconds.value(row).to_owned(),
                id,
            ));
        }
    }
    Ok(hits)
}

async fn members_of(
    number: usize,
    mut file: FileRows,
    sieve: Arc<Sieve>,
    touched: Arc<HashSet<CanonicalId>>,
    choices: Arc<HashSet<CanonicalId>>,
) -> Result<(Vec<Member>, bool), EngineError> {
    let (mut members, mut chosen, mut begin) = (Vec::new(), false, 0_u64);
    while let Some(batch) = file.rows.next().await {
        let batch = batch?;
        let (types, values, ids) = (text(&batch, 0)?, text(&batch, 1)?, text(&batch, 2)?);
        for (row, place) in (0..batch.num_rows()).zip(begin..) {
            if !sieve.may_have(ids.value(row)) || file.deleted.binary_search(&place).is_ok() {
                continue;
            }
            let Ok(canonical_id) = CanonicalId::from_str(ids.value(row)) else {
                continue;
            };
            chosen |= choices.contains(&canonical_id);
            if touched.contains(&canonical_id) {
                members.push(Member {
                    id_type: types.value(row).to_owned(),
                    id_value: values.value(row).to_owned(),
                    canonical_id,
                    minted_at: time(&batch, 3, row)?.unwrap_or(0),
                    first_seen: time(&batch, 4, row)?,
                    last_seen: time(&batch, 5, row)?,
                    file: number,
                    place,
                });
            }
        }
        begin += batch.num_rows() as u64;
    }
    Ok((members, chosen))
}

fn time(batch: &RecordBatch, column: usize, row: usize) -> Result<Option<i64>, EngineError> {
    let times = batch
        .columns()
        .get(column)
        .and_then(|times| times.as_primitive_opt::<TimestampMicrosecondType>())
        .ok_or_else(|| {
            DataFusionError::Internal("a time of an identity has another type".to_owned())
        })?;
    Ok(times.is_valid(row).then(|| times.value(row)))
}

impl Amendment {
    /// The identifiers whose rows are not as they are published, and where the old rows lie.
    pub(super) fn changed(&self) -> (Vec<Identifier<'_>>, BTreeMap<String, Vec<u64>>) {
        let mut rows = Vec::new();
        let mut deleted: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for identifier in self.resolution.identifiers() {
            let key = (
                identifier.id_type.to_owned(),
                identifier.id_value.to_owned(),
            );
            if let Some(member) = self.members.get(&key) {
                let same = member.canonical_id == identifier.canonical_id
                    && member.minted_at == identifier.minted_at
                    && member.first_seen == identifier.first_seen
                    && member.last_seen == identifier.last_seen;
                if same {
                    continue;
                }
                if let Some(file) = self.files.get(member.file) {
                    deleted.entry(file.clone()).or_default().push(member.place);
                }
            }
            rows.push(identifier);
        }
        (rows, deleted)
    }

    /// Old canonical ids whose people have another one now.
    pub(super) fn moved(&self) -> BTreeMap<String, String> {
        let identifiers = self.resolution.identifiers().filter_map(|identifier| {
            let key = (
                identifier.id_type.to_owned(),
                identifier.id_value.to_owned(),
            );
            let member = self.members.get(&key)?;
            let id = |id: CanonicalId| id.text().as_str().to_owned();
            (member.canonical_id != identifier.canonical_id)
                .then(|| (id(member.canonical_id), id(identifier.canonical_id)))
        });
        identifiers.collect()
    }
}
