//! Whom new rows touch: the published people who have one of their identifiers or records.

use std::collections::{BTreeMap, HashMap};
use std::str::FromStr;
use std::sync::Arc;

use datafusion::arrow::array::{Array, AsArray, RecordBatch};
use datafusion::arrow::datatypes::TimestampMicrosecondType;
use datafusion::common::DataFusionError;
use foldhash::fast::RandomState;
use kinfold_identity::{
    BlockedValues, CanonicalId, CanonicalIds, Checked, GraphBuilder, Identifier, Resolution,
};

use super::Reading;
use super::addition::{Addition, Why};
use super::feed::feed;
use super::lookup::{Lookup, WHOLE_ID};
use super::rows::{Rows, RowsError, text};
use crate::EngineError;
use crate::build::Run;

/// If the people who are touched have more than one identifier in so many, all rows are read.
const WORTH_IT: u64 = 4;

const MEMBER_COLUMNS: [&str; 6] = [
    "minted_at",
    "first_seen_at",
    "last_seen_at",
    "id_type",
    "id_value",
    "canonical_id",
];
/// Those of an identifier whose texts and id are known.
const TIMES: &[&str] = MEMBER_COLUMNS.split_at(3).0;

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
    /// Its place in [`GraphBuilder::named`], if it was looked for by its name.
    named: Option<usize>,
}

/// The new rows, resolved with those whom they touch.
pub(super) struct Amendment {
    pub(super) resolution: Arc<Resolution>,
    /// The new rows of the model.
    pub(super) batches: Vec<RecordBatch>,
    /// Records of new rows that are published.
    pub(super) records: Vec<(String, String)>,
    /// Published identifiers that the rows have, and all of the people whom they join.
    members: Vec<Member>,
    /// Files of the relation.
    files: Vec<String>,
    /// How many people are touched.
    pub(super) people: usize,
}

/// New rows, as far as they are read.
struct Taken {
    builder: GraphBuilder,
    batches: Vec<RecordBatch>,
}

/// A published record that has new rows: source, id, and whose it is.
type KnownRecord = (String, String, CanonicalId);

impl Run<'_> {
    /// Resolves new rows with the published people whom they touch; else why that does not do.
    pub(super) async fn resolve_addition(
        &self,
        reading: &Reading<'_>,
        addition: &Addition,
    ) -> Result<Result<Amendment, Why>, EngineError> {
        let wrong = |source: RowsError| self.identity_error(reading.node, source);
        let Taken {
            mut builder,
            batches,
        } = self.take_new(reading, addition).await?;
        let own = self.lookup(&addition.own).await?;
        let (seen, records, past) = futures::try_join!(
            seen(&own, &builder),
            self.known_records(reading, addition, &builder, &batches),
            self.past_of(addition, &builder),
        )?;
        let mut members = met(seen, &mut builder);
        if past.iter().any(|(t, value)| builder.is_new(t, value)) {
            return Ok(Err("somebody comes back who had an id before"));
        }
        let options = self.resolve_options(reading);
        let choices = builder.first_choices(&options.as_ref());

        let met: CanonicalIds = members.iter().map(|member| member.canonical_id).collect();
        let by_record: CanonicalIds = records.iter().map(|(_, _, id)| *id).collect();
        let touched: CanonicalIds = met.union(&by_record).copied().collect();
        let first = match builder.weighs_identifiers() {
            true => touched.clone(),
            // Of the others an identifier is known.
            false => by_record.difference(&met).copied().collect(),
        };
        let nobody = CanonicalIds::default();
        let ((more, _), in_use) = futures::try_join!(
            all_of(&own, &first, &nobody),
            self.was_in_use(addition, &choices),
        )?;
        let give = |builder: &mut GraphBuilder, members: &[Member]| {
            let given = members.iter().map(|member| match member.named {
                Some(place) => builder.member_at(place, &member.row()),
                None => builder.member(&member.row()),
            });
            given.collect::<Result<(), _>>()
        };
        give(&mut builder, &members).map_err(|error| wrong(error.into()))?;
        give(&mut builder, &more).map_err(|error| wrong(error.into()))?;
        members.extend(more);
        for (source, record_id, id) in &records {
            let graph = builder.record_of(source, record_id, *id);
            graph.map_err(|error| wrong(error.into()))?;
        }
        let mut joined = builder.joined();
        joined.retain(|id| !first.contains(id));
        let (more, chosen) = all_of(&own, &joined, &choices).await?;
        if chosen || in_use {
            return Ok(Err("a new id would be one that was in use"));
        }
        give(&mut builder, &more).map_err(|error| wrong(error.into()))?;
        members.extend(more);
        members.sort_unstable_by_key(|member| (member.file, member.place));
        members.dedup_by_key(|member| (member.file, member.place));
        if (members.len() as u64).saturating_mul(WORTH_IT) > addition.own.stored.rows.unwrap_or(0) {
            return Ok(Err("many people are touched"));
        }
        if self.request.cancel.is_cancelled() {
            return Err(EngineError::Cancelled);
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
        Ok(Ok(Amendment {
            resolution: Arc::new(resolution),
            batches,
            records: records.into_iter().map(|(s, id, _)| (s, id)).collect(),
            members,
            files: own
                .files
                .iter()
                .map(|file| file.file().to_owned())
                .collect(),
            people: touched.len(),
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
            },
            |taken, (batch, prepared)| {
                taken.builder.take(&prepared)?;
                taken.batches.push(batch);
                Ok(())
            },
        );
        fed.await?.map_err(wrong)
    }

    /// Published records that have new rows.
    async fn known_records(
        &self,
        reading: &Reading<'_>,
        addition: &Addition,
        builder: &GraphBuilder,
        batches: &[RecordBatch],
    ) -> Result<Vec<KnownRecord>, EngineError> {
        let wrong = |source: RowsError| self.identity_error(reading.node, source);
        let mut texts: Vec<(&str, &str)> = Vec::new();
        for batch in batches {
            let (sources, ids) = (text(batch, 0)?, text(batch, 1)?);
            let rows = sources.iter().zip(ids);
            texts.extend(rows.filter_map(|(source, id)| Some((source?, id?))));
            // Rows of a record are often neighbours.
            texts.dedup();
        }
        let published = self.lookup(&addition.records).await?;
        let found = published.by_texts(texts.iter().copied()).await?;
        let columns = &["source", "record_id", "canonical_id"];
        let mut known = Vec::new();
        for rows in published.rows(&found, columns).await? {
            for batch in &rows.batches {
                let (sources, records, ids) = (text(batch, 0)?, text(batch, 1)?, text(batch, 2)?);
                for ((source, record_id), id) in sources.iter().zip(records).zip(ids) {
                    if let (Some(source), Some(record_id), Some(id)) = (source, record_id, id)
                        && builder.meets_record(source, record_id)
                    {
                        let id = CanonicalId::from_str(id).map_err(|_| wrong(not_an_id()))?;
                        known.push((source.to_owned(), record_id.to_owned(), id));
                    }
                }
            }
        }
        Ok(known)
    }

    /// Whether one of these ids is retired.
    async fn was_in_use(
        &self,
        addition: &Addition,
        choices: &CanonicalIds,
    ) -> Result<bool, EngineError> {
        let changes = self.lookup(&addition.changes).await?;
        let found = changes.by_ids(choices.iter().copied()).await?;
        for rows in changes.rows(&found, &["from_canonical_id", "kind"]).await? {
            for batch in &rows.batches {
                let mut rows = text(batch, 0)?.iter().zip(text(batch, 1)?);
                if rows.any(|(id, kind)| {
                    let id = id.and_then(|id| CanonicalId::from_str(id).ok());
                    matches!(kind, Some("merged" | "deleted"))
                        && id.is_some_and(|id| choices.contains(&id))
                }) {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// The new rows' identifiers that had an id once. One that is not published may take that back.
    async fn past_of(
        &self,
        addition: &Addition,
        builder: &GraphBuilder,
    ) -> Result<Vec<(String, String)>, EngineError> {
        let mut past = Vec::new();
        if addition.history.stored.rows == Some(0) {
            return Ok(past);
        }
        let history = self.lookup(&addition.history).await?;
        let found = history.by_texts(builder.named()).await?;
        for rows in history.rows(&found, &["id_type", "id_value"]).await? {
            for batch in &rows.batches {
                let rows = text(batch, 0)?.iter().zip(text(batch, 1)?);
                let rows = rows.filter_map(|(id_type, value)| Some((id_type?, value?)));
                past.extend(rows.map(|(id_type, value)| (id_type.to_owned(), value.to_owned())));
            }
        }
        Ok(past)
    }
}

/// The published identifiers that are named.
async fn seen(own: &Lookup, builder: &GraphBuilder) -> Result<Vec<Member>, EngineError> {
    let named: Vec<(&str, &str)> = builder.named().collect();
    let found = own.by_texts(named.iter().copied()).await?;
    let mut seen = Vec::new();
    for rows in own.rows(&found, TIMES).await? {
        let (Some(file), Some(found)) = (own.files.get(rows.file), found.get(rows.file)) else {
            continue;
        };
        let ids = file.kept(WHOLE_ID, &rows.places).await?;
        let mut of_rows = found.iter().zip(ids);
        for batch in &rows.batches {
            for row in 0..batch.num_rows() {
                let Some((found, id)) = of_rows.next() else {
                    break;
                };
                let Some((id_type, id_value)) = named.get(found.needle) else {
                    continue;
                };
                let member = Member {
                    id_type: (*id_type).to_owned(),
                    id_value: (*id_value).to_owned(),
                    canonical_id: CanonicalId::from_u128(u128::from_be_bytes(id)),
                    minted_at: time(batch, 0, row)?.unwrap_or(0),
                    first_seen: time(batch, 1, row)?,
                    last_seen: time(batch, 2, row)?,
                    file: rows.file,
                    place: found.place,
                    named: Some(found.needle),
                };
                seen.push(member);
            }
        }
    }
    Ok(seen)
}

/// Those of them that the rows have. The builder is told of all.
fn met(mut seen: Vec<Member>, builder: &mut GraphBuilder) -> Vec<Member> {
    seen.retain(|member| member.named.is_some_and(|place| builder.meets(place)));
    seen
}

/// All published identifiers of these people, and whether an id among `choices` is in use.
async fn all_of(
    own: &Lookup,
    people: &CanonicalIds,
    choices: &CanonicalIds,
) -> Result<(Vec<Member>, bool), EngineError> {
    let ids: Vec<CanonicalId> = people.iter().chain(choices).copied().collect();
    let found = own.by_ids(ids.into_iter()).await?;
    let (mut members, mut chosen) = (Vec::new(), false);
    for rows in own.rows(&found, &MEMBER_COLUMNS).await? {
        for (batch, places) in rows.placed() {
            let (types, values, ids) = (text(batch, 3)?, text(batch, 4)?, text(batch, 5)?);
            for (row, place) in (0..batch.num_rows()).zip(places) {
                let Ok(canonical_id) = CanonicalId::from_str(ids.value(row)) else {
                    continue;
                };
                chosen |= choices.contains(&canonical_id);
                if people.contains(&canonical_id) {
                    members.push(Member {
                        id_type: types.value(row).to_owned(),
                        id_value: values.value(row).to_owned(),
                        canonical_id,
                        minted_at: time(batch, 0, row)?.unwrap_or(0),
                        first_seen: time(batch, 1, row)?,
                        last_seen: time(batch, 2, row)?,
                        file: rows.file,
                        place: *place,
                        named: None,
                    });
                }
            }
        }
    }
    Ok((members, chosen))
}

fn not_an_id() -> RowsError {
    DataFusionError::Internal("a published record has an id that is none".to_owned()).into()
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

impl Member {
    fn row(&self) -> Identifier<'_> {
        Identifier {
            id_type: &self.id_type,
            id_value: &self.id_value,
            canonical_id: self.canonical_id,
            minted_at: self.minted_at,
            first_seen: self.first_seen,
            last_seen: self.last_seen,
        }
    }
}

impl Amendment {
    /// The identifiers whose rows are not as they are published, and where the old rows lie.
    pub(super) fn changed(&self) -> (Vec<Identifier<'_>>, BTreeMap<String, Vec<u64>>) {
        let published: HashMap<(&str, &str), &Member, RandomState> = self
            .members
            .iter()
            .map(|member| ((member.id_type.as_str(), member.id_value.as_str()), member))
            .collect();
        let mut rows = Vec::new();
        let mut deleted: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for identifier in self.resolution.identifiers() {
            if let Some(member) = published.get(&(identifier.id_type, identifier.id_value)) {
                if member.row() == identifier {
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

    /// Old canonical ids whose people have another one now. Since nobody is split, they went as a whole.
    pub(super) fn moved(&self) -> BTreeMap<CanonicalId, CanonicalId> {
        let changes = self.resolution.changes().iter();
        changes
            .filter_map(|change| Some((change.from?, change.into?)))
            .collect()
    }
}
