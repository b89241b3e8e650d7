//! The statements of a batch.

use bytes::Bytes;

use super::catalogue::Table;
use crate::template::filled;
use crate::{BatchOperation, DestinationError, object_name};

/// Where a statement finds its rows.
pub(super) enum Rows {
    /// In its only parameter, as JSON.
    Json(String),
    /// In a temporary table.
    Staged {
        /// Makes the table.
        create: String,
        /// Starts the copy into it.
        copy: String,
        /// Counts the rows for the planner, where they are joined to the table.
        analyse: Option<String>,
        /// The rows in the text format of COPY.
        data: Bytes,
    },
}

/// A statement and its rows.
pub(super) struct Statement {
    pub(super) sql: String,
    pub(super) rows: Rows,
}

/// An identifier in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// Schema and table of `schema.table`, `table`, or with parts in double quotes.
pub(super) fn table_name(object: &str) -> Result<(String, String), DestinationError> {
    let (schema, table) = object_name::of_table(object, '"', "it must be `schema.table`")?;
    Ok((schema.unwrap_or_else(|| "public".to_owned()), table))
}

/// Names and types of columns, and of the number of a row if it is wanted.
fn definitions(
    table: &Table,
    columns: &[&str],
    numbered: bool,
) -> Result<String, DestinationError> {
    let mut definitions = columns
        .iter()
        .map(|name| {
            Ok(format!(
                "{} {}",
                quoted(name),
                table.column(name)?.type_name
            ))
        })
        .collect::<Result<Vec<_>, DestinationError>>()?;
    if numbered {
        definitions.push(format!("{} bigint", quoted(&table.ordinal)));
    }
    Ok(definitions.join(", "))
}

/// Rows with these columns as the statement's parameter.
pub(super) fn from_json(
    table: &Table,
    columns: &[&str],
    numbered: bool,
) -> Result<String, DestinationError> {
    let definitions = definitions(table, columns, numbered)?;
    Ok(format!(
        "jsonb_to_recordset($1::text::jsonb) AS x({definitions})"
    ))
}

/// Rows with these columns in a temporary table: the source, what makes the table, what copies into it.
pub(super) fn from_stage(
    table: &Table,
    columns: &[&str],
    numbered: bool,
    stage: &str,
) -> Result<(String, String, String), DestinationError> {
    let definitions = definitions(table, columns, numbered)?;
    let ordinal = numbered.then_some(table.ordinal.as_str());
    let columns: Vec<String> = columns.iter().copied().chain(ordinal).map(quoted).collect();
    Ok((
        format!("pg_temp.{stage} AS x"),
        filled(
            include_str!("../../../../sql/postgres/stage.sql"),
            &[("stage", stage), ("definitions", &definitions)],
        ),
        filled(
            include_str!("../../../../sql/postgres/copy.sql"),
            &[("stage", stage), ("columns", &columns.join(", "))],
        ),
    ))
}

/// What counts the rows of a temporary table for the planner.
pub(super) fn analyse(stage: &str) -> String {
    filled(
        include_str!("../../../../sql/postgres/analyse.sql"),
        &[("stage", stage)],
    )
}

/// The statement of an operation for `rows` with these fields besides the key.
pub(super) fn sql(
    operation: BatchOperation,
    table: &Table,
    key_fields: &[String],
    fields: &[&str],
    rows: &str,
) -> String {
    let keys: Vec<&str> = key_fields.iter().map(String::as_str).collect();
    let all: Vec<&str> = keys.iter().chain(fields).copied().collect();
    let joined = |names: &[&str], separator: &str, form: &dyn Fn(&str) -> String| {
        names
            .iter()
            .map(|name| form(&quoted(name)))
            .collect::<Vec<_>>()
            .join(separator)
    };
    let columns = joined(&all, ", ", &|name| name.to_owned());
    let row_columns = joined(&all, ", ", &|name| format!("x.{name}"));
    let key = joined(&keys, ", ", &|name| name.to_owned());
    let matching = joined(&keys, " AND ", &|name| format!("t.{name} = x.{name}"));
    // An update without fields still finds out whether the row exists.
    let assigned = if fields.is_empty() { &keys } else { fields };
    let assignments = joined(assigned, ", ", &|name| format!("{name} = x.{name}"));
    let on_conflict = if fields.is_empty() {
        "NOTHING".to_owned()
    } else {
        let set = joined(fields, ", ", &|name| format!("{name} = EXCLUDED.{name}"));
        format!("UPDATE SET {set}")
    };
    let template = match operation {
        BatchOperation::Insert => include_str!("../../../../sql/postgres/insert.sql"),
        BatchOperation::Update => include_str!("../../../../sql/postgres/update.sql"),
        BatchOperation::Upsert => include_str!("../../../../sql/postgres/upsert.sql"),
        BatchOperation::Delete => include_str!("../../../../sql/postgres/delete.sql"),
    };
    filled(
        template,
        &[
            ("table", &table.name),
            ("columns", &columns),
            ("row_columns", &row_columns),
            ("rows", rows),
            ("key", &key),
            ("on_conflict", &on_conflict),
            ("assignments", &assignments),
            ("match", &matching),
            ("ordinal", &quoted(&table.ordinal)),
        ],
    )
}

/// The statement that reads these columns, written as SQL, of rows with these keys.
pub(super) fn read_sql(
    table: &Table,
    key_fields: &[String],
    columns: &str,
) -> Result<String, DestinationError> {
    let keys: Vec<&str> = key_fields.iter().map(String::as_str).collect();
    let definitions = definitions(table, &keys, false)?;
    let matching = key_fields
        .iter()
        .map(|name| format!("t.{name} = x.{name}", name = quoted(name)))
        .collect::<Vec<_>>()
        .join(" AND ");
    Ok(filled(
        include_str!("../../../../sql/postgres/read.sql"),
        &[
            ("table", &table.name),
            ("columns", columns),
            ("definitions", &definitions),
            ("match", &matching),
            ("ordinal", &quoted(&table.ordinal)),
        ],
    ))
}
