//! The statements of a batch.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::catalogue::Table;
use super::literal::{self, quoted};
use crate::{
    Batch, BatchOperation, Change, DestinationError, FailureClass, ObjectText, Operation, Outcome,
    object_name, template,
};

/// Most rows, or keys, of one statement: more are no faster and make the server plan longer.
const MAX_ROWS: usize = 1_000;
/// Most keys in one condition.
const MAX_KEYS: usize = 500;
/// A statement ends when it is longer than this, in bytes.
const FULL: usize = 512 << 10;
/// Room for what is not a row, in bytes.
const ENVELOPE: usize = 16 << 10;

/// A table with its database, as they are written.
pub(super) struct TableName {
    pub(super) database: String,
    pub(super) table: String,
}

impl TableName {
    /// Of `table`, in the database of the DSN, or `database.table`.
    pub(super) fn parse(object: &str, database: Option<&str>) -> Result<Self, DestinationError> {
        let (container, table) =
            object_name::of_table(object, '`', "it must be `table` or `database.table`")?;
        let database = container.or_else(|| database.map(str::to_owned));
        Ok(Self {
            database: database.ok_or_else(|| DestinationError::ObjectName {
                object: object.to_owned(),
                reason: "neither it nor the DSN names a database",
            })?,
            table,
        })
    }
}

/// One text for the server: one statement, or several with a semicolon between them.
pub(super) struct Statement {
    pub(super) sql: String,
    /// If not empty: each of these rows of the batch has a statement of its own, whose number of rows says
    /// whether the row exists.
    pub(super) rows: Vec<usize>,
}

/// What a batch becomes.
pub(super) struct Prepared {
    pub(super) statements: Vec<Statement>,
    /// Rows that are in no statement, by their index.
    pub(super) refused: BTreeMap<usize, Outcome>,
}

/// A row as literals.
struct Row {
    index: usize,
    key: Vec<String>,
    values: Vec<String>,
}

/// What the rows of one statement have in common.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct Shape {
    /// Whether the rows leave, all their fields become null, and none needs to exist.
    clears: bool,
    fields: Vec<String>,
}

/// The statements for every set of fields that occurs in the batch: a missing field is left alone, and a
/// null is written.
pub(super) fn prepare(
    batch: &Batch,
    table: &Table,
    key_fields: &[String],
) -> Result<Prepared, DestinationError> {
    let mut shapes: BTreeMap<Shape, Vec<Row>> = BTreeMap::new();
    let mut refused = BTreeMap::new();
    for (index, change) in batch.changes.iter().enumerate() {
        let rejected = |class, message: &str| Outcome::Rejected {
            class,
            message: message.to_owned(),
        };
        let Some((key, fields)) = parsed(batch.operation, change) else {
            let message = "the row's key or fields cannot be read";
            refused.insert(index, rejected(FailureClass::InvalidRow, message));
            continue;
        };
        match row(table, key_fields, index, &key, &fields)? {
            Ok(row) if row.len() + ENVELOPE > table.max_statement => {
                let message = "longer than the server takes";
                refused.insert(index, rejected(FailureClass::TooLarge, message));
            }
            Ok(row) => {
                let shape = Shape {
                    clears: batch.operation == BatchOperation::Update
                        && change.operation == Operation::Clear
                        && fields.values().all(Value::is_null),
                    fields: fields.keys().cloned().collect(),
                };
                shapes.entry(shape).or_default().push(row);
            }
            Err(message) => {
                refused.insert(index, rejected(FailureClass::InvalidRow, &message));
            }
        }
    }
    let sentences = Sentences { table, key_fields };
    let statements = shapes
        .into_iter()
        .flat_map(|(shape, rows)| sentences.of(batch.operation, &shape, &rows))
        .collect();
    Ok(Prepared {
        statements,
        refused,
    })
}

fn parsed(
    operation: BatchOperation,
    change: &Change,
) -> Option<(Map<String, Value>, BTreeMap<String, Value>)> {
    let fields = change.fields.parse()?.into_iter().collect();
    let none = operation == BatchOperation::Delete;
    Some((
        change.key.parse()?,
        if none { BTreeMap::new() } else { fields },
    ))
}

/// The literals of a row, or what is wrong with it, with the name of the field.
fn row(
    table: &Table,
    key_fields: &[String],
    index: usize,
    key: &Map<String, Value>,
    fields: &BTreeMap<String, Value>,
) -> Result<Result<Row, String>, DestinationError> {
    let literal = |field: &str, value: &Value| {
        let mut out = String::new();
        let written = literal::push(&mut out, table.column(field)?.kind, value);
        Ok::<_, DestinationError>(match written {
            Ok(()) => Ok(out),
            Err(reason) => Err(format!("`{field}`: {reason}")),
        })
    };
    let mut row = Row {
        index,
        key: Vec::with_capacity(key_fields.len()),
        values: Vec::with_capacity(fields.len()),
    };
    for field in key_fields {
        match literal(field, key.get(field).unwrap_or(&Value::Null))? {
            Ok(literal) => row.key.push(literal),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    for (field, value) in fields {
        match literal(field, value)? {
            Ok(literal) => row.values.push(literal),
            Err(reason) => return Ok(Err(reason)),
        }
    }
    Ok(Ok(row))
}

impl Row {
    /// Bytes of its literals.
    fn len(&self) -> usize {
        self.key.iter().chain(&self.values).map(String::len).sum()
    }
}

/// Parts of up to so many rows and about [`FULL`] bytes.
fn chunks(rows: &[Row], most: usize, limit: usize) -> Vec<&[Row]> {
    let mut chunks = Vec::new();
    let mut rest = rows;
    while !rest.is_empty() {
        let mut bytes = 0;
        let fitting = rest
            .iter()
            .take(most)
            .take_while(|row| {
                bytes += row.len();
                bytes <= limit
            })
            .count();
        let (chunk, after) = rest.split_at(fitting.max(1));
        chunks.push(chunk);
        rest = after;
    }
    chunks
}

/// Writes statements about a table.
pub(super) struct Sentences<'a> {
    pub(super) table: &'a Table,
    pub(super) key_fields: &'a [String],
}

impl Sentences<'_> {
    fn of(&self, operation: BatchOperation, shape: &Shape, rows: &[Row]) -> Vec<Statement> {
        let full = FULL.min(self.table.max_statement / 2);
        let whole = |sql| Statement {
            sql,
            rows: Vec::new(),
        };
        match operation {
            BatchOperation::Insert | BatchOperation::Upsert => chunks(rows, MAX_ROWS, full)
                .into_iter()
                .map(|rows| whole(self.add(operation, shape, rows)))
                .collect(),
            BatchOperation::Delete => chunks(rows, MAX_KEYS, full)
                .into_iter()
                .map(|rows| {
                    let file = include_str!("../../../../sql/mysql/delete.sql");
                    whole(self.filled(file, &[("match", &self.matching(rows))]))
                })
                .collect(),
            BatchOperation::Update if shape.clears => chunks(rows, MAX_KEYS, full)
                .into_iter()
                .filter_map(|rows| {
                    let first = rows.first()?;
                    Some(whole(self.update(shape, first, &self.matching(rows))))
                })
                .collect(),
            BatchOperation::Update => chunks(rows, MAX_KEYS, full / 2)
                .into_iter()
                .map(|rows| Statement {
                    sql: rows
                        .iter()
                        .map(|row| {
                            self.update(shape, row, &self.matching(std::slice::from_ref(row)))
                        })
                        .collect::<Vec<_>>()
                        .join(";\n"),
                    rows: rows.iter().map(|row| row.index).collect(),
                })
                .collect(),
        }
    }

    fn filled(&self, file: &'static str, values: &[(&str, &str)]) -> String {
        let table = [("table", self.table.name.as_str())];
        template::filled(file, &[values, &table].concat())
    }

    fn add(&self, operation: BatchOperation, shape: &Shape, rows: &[Row]) -> String {
        let columns = self.key_fields.iter().chain(&shape.fields);
        let columns = columns
            .map(|name| quoted(name))
            .collect::<Vec<_>>()
            .join(", ");
        let mut values = String::new();
        for row in rows {
            values.push_str(if values.is_empty() { "(" } else { ",\n(" });
            for (position, literal) in row.key.iter().chain(&row.values).enumerate() {
                if position > 0 {
                    values.push_str(", ");
                }
                values.push_str(literal);
            }
            values.push(')');
        }
        if operation == BatchOperation::Insert {
            let file = include_str!("../../../../sql/mysql/insert.sql");
            return self.filled(file, &[("columns", &columns), ("rows", &values)]);
        }
        let given = |name: &String| format!("VALUES({})", quoted(name));
        let same_key = self
            .key_fields
            .iter()
            .map(|name| format!("{} <=> {}", quoted(name), given(name)))
            .collect::<Vec<_>>()
            .join(" AND ");
        // Without fields a row that exists stays as it is, and its key is still compared.
        let (first, first_value) = match (shape.fields.first(), self.key_fields.first()) {
            (Some(name), _) => (quoted(name), given(name)),
            (None, Some(name)) => (quoted(name), quoted(name)),
            (None, None) => (String::new(), String::new()),
        };
        let others: String = shape
            .fields
            .iter()
            .skip(1)
            .map(|name| format!(", {} = {}", quoted(name), given(name)))
            .collect();
        self.filled(
            include_str!("../../../../sql/mysql/upsert.sql"),
            &[
                ("columns", &columns),
                ("rows", &values),
                ("same_key", &same_key),
                ("first", &first),
                ("first_value", &first_value),
                ("others", &others),
            ],
        )
    }

    /// The update to the values of `row` of the rows with these keys.
    fn update(&self, shape: &Shape, row: &Row, matching: &str) -> String {
        let assignments: Vec<String> = shape
            .fields
            .iter()
            .zip(&row.values)
            .map(|(name, literal)| format!("{} = {literal}", quoted(name)))
            .collect();
        // Without fields it is still found out whether the row exists.
        let assignments = match self.key_fields.first() {
            Some(key) if assignments.is_empty() => format!("{0} = {0}", quoted(key)),
            _ => assignments.join(", "),
        };
        self.filled(
            include_str!("../../../../sql/mysql/update.sql"),
            &[("assignments", &assignments), ("match", matching)],
        )
    }

    /// The condition that a row has one of these keys, in a form for which the server uses the index.
    fn matching(&self, rows: &[Row]) -> String {
        if let [name] = self.key_fields {
            let keys: Vec<&str> = rows
                .iter()
                .flat_map(|row| &row.key)
                .map(String::as_str)
                .collect();
            return format!("{} IN ({})", quoted(name), keys.join(", "));
        }
        let key = |row: &Row| {
            let parts: Vec<String> = self
                .key_fields
                .iter()
                .zip(&row.key)
                .map(|(name, literal)| format!("{} = {literal}", quoted(name)))
                .collect();
            format!("({})", parts.join(" AND "))
        };
        rows.iter().map(key).collect::<Vec<_>>().join("\nOR ")
    }

    /// The statements that read these fields of the rows with these keys: texts, each with the indexes of
    /// its keys. Keys that cannot be read have none.
    pub(super) fn reads(
        &self,
        fields: &[String],
        keys: &[ObjectText],
    ) -> Result<Vec<Statement>, DestinationError> {
        let nothing = BTreeMap::new();
        let mut rows = Vec::new();
        for (index, key) in keys.iter().enumerate() {
            if let Some(key) = key.parse()
                && let Ok(row) = row(self.table, self.key_fields, index, &key, &nothing)?
            {
                rows.push(row);
            }
        }
        let mut columns: Vec<String> = fields.iter().map(|name| quoted(name)).collect();
        if columns.is_empty() {
            columns.push("1".to_owned());
        }
        let columns = columns.join(", ");
        let file = include_str!("../../../../sql/mysql/read.sql");
        let read = |row| {
            let matching = self.matching(std::slice::from_ref(row));
            self.filled(file, &[("columns", &columns), ("match", &matching)])
        };
        let full = FULL.min(self.table.max_statement / 4);
        Ok(chunks(&rows, MAX_KEYS, full)
            .into_iter()
            .map(|rows| Statement {
                sql: rows.iter().map(read).collect::<Vec<_>>().join(";\n"),
                rows: rows.iter().map(|row| row.index).collect(),
            })
            .collect())
    }
}

/// The indexes of rows whose statement found none.
pub(super) fn missing(statement: &Statement, found: &[u64]) -> BTreeSet<usize> {
    let all = statement.rows.iter().copied();
    all.zip(found)
        .filter(|(_, found)| **found == 0)
        .map(|(index, _)| index)
        .collect()
}
