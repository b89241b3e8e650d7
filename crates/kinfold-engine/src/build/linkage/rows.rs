//! The records of a linkage as columns in memory, and the keys by which they are brought together.

use std::collections::BTreeMap;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Date32Type, Float64Type, Schema};
use datafusion::common::DataFusionError;
use kinfold_identity::linkage::{NewColumn, Records, hash_key, map_in_order};
use kinfold_project::linkage::LevelCondition;
use kinfold_project::{KeyRule, LinkageRules};

use super::super::statement::quoted;

/// How a column is held, which follows from what is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    Text,
    Date,
    Number,
    Texts,
}

/// The columns that the levels of a linkage compare; one may be held in several kinds.
pub(crate) fn columns_of(rules: &LinkageRules, schema: &Schema) -> Vec<(String, Kind)> {
    let levels = rules.comparisons.iter().flat_map(|c| &c.levels);
    let mut found = vec![];
    for level in levels {
        kinds(&level.condition, schema, &mut found);
    }
    found.sort();
    found.dedup();
    found
}

fn kinds(condition: &LevelCondition, schema: &Schema, found: &mut Vec<(String, Kind)>) {
    if let LevelCondition::All(parts) | LevelCondition::Any(parts) = condition {
        return parts.iter().for_each(|part| kinds(part, schema, found));
    }
    if let LevelCondition::Not(part) = condition {
        return kinds(part, schema, found);
    }
    for column in condition.columns() {
        found.push((column.to_owned(), kind_of(condition, column, schema)));
    }
}

/// The kind of column that a condition reads.
pub(crate) fn kind_of(condition: &LevelCondition, column: &str, schema: &Schema) -> Kind {
    use LevelCondition as Is;
    let found = schema
        .field_with_name(column)
        .map(|field| field.data_type());
    match (condition, found) {
        (Is::Days(..), _) => Kind::Date,
        (Is::Within(..), _) => Kind::Number,
        (Is::Overlap(..) | Is::BestJaroWinkler(..), _)
        | (_, Ok(DataType::List(_) | DataType::LargeList(_))) => Kind::Texts,
        (
            Is::Exact(_) | Is::Swapped(..) | Is::Damerau(..),
            Ok(DataType::Date32 | DataType::Date64 | DataType::Timestamp(..)),
        ) => Kind::Date,
        _ => Kind::Text,
    }
}

/// Every distinct rule by which records are brought together, with its place.
pub(crate) fn key_rules(rules: &LinkageRules) -> Vec<&KeyRule> {
    let mut found: Vec<&KeyRule> = vec![];
    for rule in rules
        .blocking
        .iter()
        .chain(&rules.prior)
        .chain(&rules.training)
    {
        if !found.iter().any(|known| same(known, rule)) {
            found.push(rule);
        }
    }
    found
}

/// Whether two rules bring the same records together.
pub(crate) fn same(a: &KeyRule, b: &KeyRule) -> bool {
    let texts = |rule: &KeyRule| -> Vec<String> {
        let expressions = rule.expressions.iter();
        let mut texts: Vec<String> = expressions.map(|e| e.value.trim().to_owned()).collect();
        texts.sort();
        texts
    };
    texts(a) == texts(b)
}

/// What reads the records: source, record_id, columns, parts of keys.
pub(crate) fn select(columns: &[(String, Kind)], keys: &[&KeyRule]) -> String {
    let mut sql =
        "SELECT CAST(source AS VARCHAR) AS source, CAST(record_id AS VARCHAR) AS record_id"
            .to_owned();
    for (at, (column, kind)) in columns.iter().enumerate() {
        let name = quoted(column);
        let cast = match kind {
            Kind::Text => format!("CAST({name} AS VARCHAR)"),
            Kind::Date => format!("CAST({name} AS DATE)"),
            Kind::Number => format!("CAST({name} AS DOUBLE)"),
            Kind::Texts => format!("arrow_cast({name}, 'List(Utf8)')"),
        };
        sql.push_str(&format!(", {cast} AS c{at}"));
    }
    for (at, rule) in keys.iter().enumerate() {
        for (part, expression) in rule.expressions.iter().enumerate() {
            // A comment at the end of an expression ends with its line.
            sql.push_str(&format!(
                ", CAST(({}\n) AS VARCHAR) AS k{at}_{part}",
                expression.value
            ));
        }
    }
    sql.push_str(" FROM kinfold._run.query AS r");
    sql
}

/// Some of the records as they were read: a stream of [`select`].
#[derive(Debug, Default)]
pub(crate) struct Part {
    /// Source, id and columns.
    batches: Vec<RecordBatch>,
    /// For each rule the key of each row.
    keys: Vec<Vec<u64>>,
    /// Rows without source or id, which are left out.
    pub(super) unnamed: u64,
}

impl Part {
    /// Takes a batch: the keys are hashed, so that their texts need no place.
    pub(super) fn add(
        &mut self,
        batch: RecordBatch,
        columns: usize,
        rules: &[KeyRule],
    ) -> Result<(), DataFusionError> {
        let (source, id) = (text(&batch, 0)?, text(&batch, 1)?);
        let named = |row: usize| filled(source, row).is_some() && filled(id, row).is_some();
        let taken: Vec<bool> = (0..batch.num_rows()).map(named).collect();
        let left_out = taken.iter().filter(|taken| !**taken).count();
        let batch = match left_out {
            0 => batch,
            _ => {
                self.unnamed += left_out as u64;
                datafusion::arrow::compute::filter_record_batch(&batch, &taken.into())?
            }
        };
        self.keys.resize_with(rules.len(), Vec::new);
        let mut column = 2 + columns;
        for (rule, keys) in rules.iter().zip(&mut self.keys) {
            let parts = rule.expressions.len();
            let texts: Result<Vec<&StringArray>, _> =
                (0..parts).map(|part| text(&batch, column + part)).collect();
            let texts = texts?;
            let mut values: Vec<Option<&str>> = vec![None; parts];
            for row in 0..batch.num_rows() {
                for (value, column) in values.iter_mut().zip(&texts) {
                    *value = filled(column, row);
                }
                keys.push(hash_key(&values));
            }
            column += parts;
        }
        let kept: Vec<usize> = (0..2 + columns).collect();
        self.batches.push(batch.project(&kept)?);
        Ok(())
    }
}

/// The names of the records of a linkage, by row.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Names of sources by code, ascending.
    sources: Vec<String>,
    source_of: Vec<u16>,
    /// Ids of the records, one behind the other.
    ids: String,
    ends: Vec<usize>,
}

impl Rows {
    fn of(parts: &[Part]) -> Result<Self, DataFusionError> {
        let batches = || parts.iter().flat_map(|part| &part.batches);
        let mut index: BTreeMap<&str, u16> = BTreeMap::new();
        for batch in batches() {
            let source = text(batch, 0)?;
            let mut last = "";
            for row in 0..batch.num_rows() {
                let name = source.value(row);
                if name != last {
                    index.insert(name, 0);
                    last = name;
                }
            }
        }
        // Codes follow the order of the names, not that of the rows.
        for (code, of) in index.values_mut().enumerate() {
            *of = u16::try_from(code).map_err(|_| {
                DataFusionError::Execution(
                    "a linkage has more than 65,536 distinct values of `source`".to_owned(),
                )
            })?;
        }
        let mut rows = Self {
            sources: index.keys().map(|name| (*name).to_owned()).collect(),
            ..Self::default()
        };
        for batch in batches() {
            let (source, id) = (text(batch, 0)?, text(batch, 1)?);
            let mut last: (&str, u16) = ("", 0);
            for row in 0..batch.num_rows() {
                let name = source.value(row);
                if name != last.0 {
                    last = (name, index.get(name).copied().unwrap_or_default());
                }
                rows.source_of.push(last.1);
                rows.ids.push_str(id.value(row));
                rows.ends.push(rows.ids.len());
            }
        }
        Ok(rows)
    }

    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Source and id of a row.
    pub(crate) fn name(&self, row: u32) -> (&str, &str) {
        let row = row as usize;
        let source = self.source_of.get(row).copied().unwrap_or_default();
        let source = self.sources.get(usize::from(source));
        let start = row.checked_sub(1).and_then(|at| self.ends.get(at)).copied();
        let end = self.ends.get(row).copied().unwrap_or_default();
        let id = self.ids.get(start.unwrap_or_default()..end);
        (source.map_or("", String::as_str), id.unwrap_or_default())
    }
}

/// What was read, in memory.
pub(super) struct Read {
    pub(super) rows: Rows,
    pub(super) records: Records,
    /// For each rule the key of each record.
    pub(super) keys: Vec<Vec<u64>>,
}

/// The records of all parts by column, in the order of `columns`, and the keys of so many rules.
pub(super) fn records(
    mut parts: Vec<Part>,
    columns: &[(String, Kind)],
    rules: usize,
    threads: usize,
) -> Result<Read, DataFusionError> {
    let rows = Rows::of(&parts)?;
    let count = u32::try_from(rows.len()).unwrap_or(u32::MAX);
    let hashes: Vec<u64> = (0..count)
        .map(|row| {
            let (source, id) = rows.name(row);
            hash_key(&[Some(source), Some(id)])
        })
        .collect();
    let mut records = Records::new(&hashes, &rows.source_of).map_err(external)?;
    drop(hashes);
    let batches: Vec<RecordBatch> = parts
        .iter_mut()
        .flat_map(|part| std::mem::take(&mut part.batches))
        .collect();
    let kinds: Vec<(usize, Kind)> = columns.iter().map(|(_, kind)| *kind).enumerate().collect();
    let made = map_in_order(
        threads,
        &kinds,
        || (),
        |(), (at, kind)| column(&records, &batches, at + 2, *kind),
    );
    for column in made {
        records.push(column?);
    }
    drop(batches);
    let rules: Vec<usize> = (0..rules).collect();
    let keys = map_in_order(
        threads,
        &rules,
        || (),
        |(), rule| {
            let own = parts.iter().filter_map(|part| part.keys.get(*rule));
            let own: Vec<u64> = own.flatten().copied().collect();
            records.arrange(&own).map_err(external)
        },
    );
    let keys = keys.into_iter().collect::<Result<Vec<_>, _>>()?;
    Ok(Read {
        rows,
        records,
        keys,
    })
}

fn column(
    records: &Records,
    batches: &[RecordBatch],
    at: usize,
    kind: Kind,
) -> Result<NewColumn, DataFusionError> {
    let made = match kind {
        Kind::Text => {
            let columns: Result<Vec<&StringArray>, _> =
                batches.iter().map(|b| text(b, at)).collect();
            let columns = columns?;
            records.text(
                columns
                    .iter()
                    .flat_map(|column| (0..column.len()).map(|row| filled(column, row))),
            )
        }
        Kind::Date => {
            let columns = typed(batches, at, |column| {
                column.as_primitive_opt::<Date32Type>()
            })?;
            records.date(columns.iter().flat_map(|column| column.iter()))
        }
        Kind::Number => {
            let columns = typed(batches, at, |column| {
                column.as_primitive_opt::<Float64Type>()
            })?;
            records.number(columns.iter().flat_map(|column| column.iter()))
        }
        Kind::Texts => {
            let columns = typed(batches, at, |column| column.as_list_opt::<i32>())?;
            let mut values: Vec<Option<Vec<String>>> = vec![];
            for column in columns {
                for row in 0..column.len() {
                    if column.is_null(row) {
                        values.push(None);
                        continue;
                    }
                    let members = column.value(row);
                    let members = members.as_string_opt::<i32>().ok_or_else(unexpected)?;
                    let members = (0..members.len()).filter_map(|m| filled(members, m));
                    values.push(Some(members.map(str::to_owned).collect()));
                }
            }
            records.text_array(values)
        }
    };
    made.map_err(external)
}

fn typed<'b, T>(
    batches: &'b [RecordBatch],
    at: usize,
    read: impl Fn(&'b dyn Array) -> Option<&'b T>,
) -> Result<Vec<&'b T>, DataFusionError> {
    batches
        .iter()
        .map(|batch| {
            let column = batch.columns().get(at)?;
            read(column.as_ref())
        })
        .map(|column| column.ok_or_else(unexpected))
        .collect()
}

fn external(error: impl std::error::Error + Send + Sync + 'static) -> DataFusionError {
    DataFusionError::External(Box::new(error))
}

/// The text of a row, unless there is none or only white space.
fn filled(column: &StringArray, row: usize) -> Option<&str> {
    let text = column.is_valid(row).then(|| column.value(row))?;
    (!text.trim().is_empty()).then_some(text)
}

fn text(batch: &RecordBatch, column: usize) -> Result<&StringArray, DataFusionError> {
    let column = batch.columns().get(column);
    column
        .and_then(|column| column.as_string_opt::<i32>())
        .ok_or_else(unexpected)
}

fn unexpected() -> DataFusionError {
    DataFusionError::Internal(
        "a column of a linkage is not of the type that was asked for".to_owned(),
    )
}
