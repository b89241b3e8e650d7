//! The records of a linkage as columns in memory, and the keys by which they are brought together.

use std::collections::BTreeMap;
use std::collections::HashMap;

use datafusion::arrow::array::{Array, AsArray, RecordBatch, StringArray};
use datafusion::arrow::datatypes::{DataType, Date32Type, Float64Type, Schema};
use datafusion::common::DataFusionError;
use kinfold_project::linkage::LevelCondition;
use kinfold_project::{KeyRule, LinkageRules};

use crate::build::quoted;

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
    let kind = kind_of(condition);
    for column in condition.columns() {
        let list = schema
            .field_with_name(column)
            .is_ok_and(|f| matches!(f.data_type(), DataType::List(_) | DataType::LargeList(_)));
        let kind = if list { Kind::Texts } else { kind };
        found.push((column.to_owned(), kind));
    }
}

/// The kind of column that a condition reads.
pub(crate) fn kind_of(condition: &LevelCondition) -> Kind {
    match condition {
        LevelCondition::Days(..) => Kind::Date,
        LevelCondition::Within(..) => Kind::Number,
        LevelCondition::Overlap(..) | LevelCondition::BestJaroWinkler(..) => Kind::Texts,
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
    let mut sql = "SELECT CAST(source AS VARCHAR) AS source, CAST(record_id AS VARCHAR) AS record_id".to_owned();
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

/// A column in memory. Empty text is no value.
#[derive(Debug)]
pub(crate) enum Values {
    /// Codes of distinct texts; `u32::MAX` for none.
    Text { codes: Vec<u32>, texts: Texts },
    /// Days since 1970; `i32::MIN` for none.
    Date(Vec<i32>),
    /// `NaN` for none.
    Number(Vec<f64>),
    /// Where the codes of each record end, and the codes.
    Texts {
        ends: Vec<u32>,
        codes: Vec<u32>,
        texts: Texts,
    },
}

/// Distinct texts by code.
#[derive(Debug, Default)]
pub(crate) struct Texts {
    index: HashMap<String, u32>,
}

impl Texts {
    fn code(&mut self, text: &str) -> u32 {
        if let Some(code) = self.index.get(text) {
            return *code;
        }
        let code = u32::try_from(self.index.len()).unwrap_or(u32::MAX);
        self.index.insert(text.to_owned(), code);
        code
    }

    /// The texts in the order of their codes.
    pub(crate) fn into_values(self) -> Vec<String> {
        let mut pairs: Vec<(u32, String)> = self.index.into_iter().map(|(t, c)| (c, t)).collect();
        pairs.sort_unstable_by_key(|(code, _)| *code);
        pairs.into_iter().map(|(_, text)| text).collect()
    }
}

/// The records of a linkage.
#[derive(Debug, Default)]
pub(crate) struct Rows {
    /// Names of sources by code.
    pub(crate) sources: Vec<String>,
    source_index: BTreeMap<String, u16>,
    /// Code of the source of each record.
    pub(crate) source: Vec<u16>,
    /// Ids of the records, one behind the other.
    ids: String,
    ends: Vec<usize>,
    /// A hash of source and id: what a record is known by, wherever it stands.
    pub(crate) hashes: Vec<u64>,
    /// The compared columns.
    pub(crate) values: Vec<Values>,
    /// For each rule the key of each record; 0 for none.
    pub(crate) keys: Vec<Vec<u64>>,
    /// Rows without source or id.
    pub(crate) ignored: u64,
}

impl Rows {
    pub(crate) fn new(columns: &[(String, Kind)], keys: usize) -> Self {
        let values = columns.iter().map(|(_, kind)| match kind {
            Kind::Text => Values::Text {
                codes: vec![],
                texts: Texts::default(),
            },
            Kind::Date => Values::Date(vec![]),
            Kind::Number => Values::Number(vec![]),
            Kind::Texts => Values::Texts {
                ends: vec![],
                codes: vec![],
                texts: Texts::default(),
            },
        });
        Self {
            values: values.collect(),
            keys: vec![vec![]; keys],
            ..Self::default()
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.source.len()
    }

    pub(crate) fn source(&self, record: usize) -> &str {
        let code = self.source.get(record).copied().unwrap_or_default();
        self.sources
            .get(usize::from(code))
            .map_or("", String::as_str)
    }

    pub(crate) fn id(&self, record: usize) -> &str {
        let start = record.checked_sub(1).and_then(|at| self.ends.get(at));
        let end = self.ends.get(record).copied().unwrap_or_default();
        let start = start.copied().unwrap_or_default();
        self.ids.get(start..end).unwrap_or_default()
    }

    /// Takes the rows of a batch of [`select`].
    pub(crate) fn add(
        &mut self,
        batch: &RecordBatch,
        keys: &[&KeyRule],
    ) -> Result<(), DataFusionError> {
        let (source, id) = (text(batch, 0)?, text(batch, 1)?);
        let taken: Vec<usize> = (0..batch.num_rows())
            .filter(|row| filled(source, *row).is_some() && filled(id, *row).is_some())
            .collect();
        self.ignored += (batch.num_rows() - taken.len()) as u64;
        for row in &taken {
            let (source, id) = (source.value(*row), id.value(*row));
            let code = match self.source_index.get(source) {
                Some(code) => *code,
                None => {
                    let code = u16::try_from(self.sources.len()).map_err(|_| {
                        DataFusionError::Execution(
                            "a linkage has more than 65,535 distinct values of `source`".to_owned(),
                        )
                    })?;
                    self.sources.push(source.to_owned());
                    self.source_index.insert(source.to_owned(), code);
                    code
                }
            };
            self.source.push(code);
            self.ids.push_str(id);
            self.ends.push(self.ids.len());
            self.hashes.push(hash([source, id]));
        }
        for (at, values) in self.values.iter_mut().enumerate() {
            let column = batch.column(at + 2);
            match values {
                Values::Text { codes, texts } => {
                    let column = text(batch, at + 2)?;
                    codes.extend(taken.iter().map(|row| {
                        filled(column, *row).map_or(u32::MAX, |text| texts.code(text))
                    }));
                }
                Values::Date(days) => {
                    let column = column
                        .as_primitive_opt::<Date32Type>()
                        .ok_or_else(unexpected)?;
                    days.extend(taken.iter().map(|row| {
                        if column.is_valid(*row) {
                            column.value(*row)
                        } else {
                            i32::MIN
                        }
                    }));
                }
                Values::Number(numbers) => {
                    let column = column
                        .as_primitive_opt::<Float64Type>()
                        .ok_or_else(unexpected)?;
                    numbers.extend(taken.iter().map(|row| {
                        if column.is_valid(*row) {
                            column.value(*row)
                        } else {
                            f64::NAN
                        }
                    }));
                }
                Values::Texts { ends, codes, texts } => {
                    let column = column.as_list_opt::<i32>().ok_or_else(unexpected)?;
                    for row in &taken {
                        if column.is_valid(*row) {
                            let members = column.value(*row);
                            let members =
                                members.as_string_opt::<i32>().ok_or_else(unexpected)?;
                            let mut own: Vec<u32> = (0..members.len())
                                .filter_map(|m| filled(members, m))
                                .map(|text| texts.code(text))
                                .collect();
                            own.sort_unstable();
                            own.dedup();
                            codes.extend(own);
                        }
                        ends.push(u32::try_from(codes.len()).unwrap_or(u32::MAX));
                    }
                }
            }
        }
        let mut column = 2 + self.values.len();
        for (rule, found) in keys.iter().zip(&mut self.keys) {
            let parts: Result<Vec<&StringArray>, _> = (0..rule.expressions.len())
                .map(|part| text(batch, column + part))
                .collect();
            let parts = parts?;
            column += parts.len();
            found.extend(taken.iter().map(|row| {
                let values: Option<Vec<&str>> =
                    parts.iter().map(|part| filled(part, *row)).collect();
                values.map_or(0, |values| hash(values).max(1))
            }));
        }
        Ok(())
    }
}

/// 64 bits of BLAKE3 over texts with their lengths.
fn hash<'t>(texts: impl IntoIterator<Item = &'t str>) -> u64 {
    let mut hasher = blake3::Hasher::new();
    for text in texts {
        hasher.update(&(text.len() as u64).to_le_bytes());
        hasher.update(text.as_bytes());
    }
    let hash = hasher.finalize();
    let mut word = [0; 8];
    for (to, from) in word.iter_mut().zip(hash.as_bytes()) {
        *to = *from;
    }
    u64::from_le_bytes(word)
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
    DataFusionError::Internal("a column of a linkage is not of the type that was asked for".to_owned())
}
