//! The statements of a batch.

use super::catalogue::Table;
use crate::{BatchOperation, DestinationError};

/// A statement and its only parameter.
pub(super) struct Statement {
    pub(super) sql: String,
    /// The rows as JSON.
    pub(super) rows: String,
}

/// An identifier in double quotes.
pub(super) fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A file of `sql/` without its header.
pub(super) fn body(file: &'static str) -> &'static str {
    let mut body = file;
    while let Some((line, rest)) = body.split_once('\n') {
        if !line.starts_with("--") {
            break;
        }
        body = rest;
    }
    body
}

/// Schema and table of `schema.table`, `table`, or with parts in double quotes.
pub(super) fn table_name(object: &str) -> Result<(String, String), DestinationError> {
    let invalid = |reason| DestinationError::ObjectName {
        object: object.to_owned(),
        reason,
    };
    let mut parts = Vec::new();
    let mut rest = object;
    loop {
        let (part, after) = if let Some(inner) = rest.strip_prefix('"') {
            let mut part = String::new();
            let mut tail = inner;
            loop {
                let (text, after) = tail
                    .split_once('"')
                    .ok_or_else(|| invalid("a quote is not closed"))?;
                part.push_str(text);
                match after.strip_prefix('"') {
                    Some(after) => {
                        part.push('"');
                        tail = after;
                    }
                    None => break (part, after),
                }
            }
        } else {
            let end = rest.find('.').unwrap_or(rest.len());
            let (part, after) = rest.split_at_checked(end).unwrap_or((rest, ""));
            (part.to_owned(), after)
        };
        if part.is_empty() || part.contains('\0') {
            return Err(invalid("it must be `schema.table`"));
        }
        parts.push(part);
        match after.strip_prefix('.') {
            Some(next) => rest = next,
            None if after.is_empty() => break,
            None => return Err(invalid("it must be `schema.table`")),
        }
    }
    let mut parts = parts.into_iter();
    match (parts.next(), parts.next(), parts.next()) {
        (Some(table), None, None) => Ok(("public".to_owned(), table)),
        (Some(schema), Some(table), None) => Ok((schema, table)),
        _ => Err(invalid("it must be `schema.table`")),
    }
}

/// Replaces every `{name}` in one pass, so that braces in identifiers stay what they are.
fn filled(template: &'static str, values: &[(&str, &str)]) -> String {
    let mut out = String::with_capacity(template.len());
    let mut rest = body(template);
    while let Some((before, after)) = rest.split_once('{') {
        out.push_str(before);
        match after.split_once('}') {
            Some((name, after)) => {
                if let Some((_, value)) = values.iter().find(|(known, _)| *known == name) {
                    out.push_str(value);
                }
                rest = after;
            }
            None => rest = after,
        }
    }
    out.push_str(rest);
    out
}

/// The statement of an operation for rows with these fields besides the key.
pub(super) fn sql(
    operation: BatchOperation,
    table: &Table,
    key_fields: &[String],
    fields: &[&str],
) -> Result<String, DestinationError> {
    let keys: Vec<&str> = key_fields.iter().map(String::as_str).collect();
    let all: Vec<&str> = keys.iter().chain(fields).copied().collect();
    let joined = |names: &[&str], separator: &str, form: &dyn Fn(&str) -> String| {
        names
            .iter()
            .map(|name| form(&quoted(name)))
            .collect::<Vec<_>>()
            .join(separator)
    };
    let definitions = all
        .iter()
        .map(|name| {
            Ok(format!(
                "{} {}",
                quoted(name),
                table.column(name)?.type_name
            ))
        })
        .collect::<Result<Vec<_>, DestinationError>>()?
        .join(", ");
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
    Ok(filled(
        template,
        &[
            ("table", &table.name),
            ("columns", &columns),
            ("row_columns", &row_columns),
            ("definitions", &definitions),
            ("key", &key),
            ("on_conflict", &on_conflict),
            ("assignments", &assignments),
            ("match", &matching),
            ("ordinal", &quoted(&table.ordinal)),
        ],
    ))
}

/// The statement that reads these columns, written as SQL, of rows with these keys.
pub(super) fn read_sql(
    table: &Table,
    key_fields: &[String],
    columns: &str,
) -> Result<String, DestinationError> {
    let definitions = key_fields
        .iter()
        .map(|name| {
            Ok(format!(
                "{} {}",
                quoted(name),
                table.column(name)?.type_name
            ))
        })
        .collect::<Result<Vec<_>, DestinationError>>()?
        .join(", ");
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_they_are_written() {
        let name = |object| table_name(object).ok();
        let pair = |schema: &str, table: &str| Some((schema.to_owned(), table.to_owned()));
        assert_eq!(name("crm.Contacts"), pair("crm", "Contacts"));
        assert_eq!(name("contacts"), pair("public", "contacts"));
        assert_eq!(name(r#""a.b"."c""d""#), pair("a.b", "c\"d"));
        for object in ["", ".", "a.", ".b", "a.b.c", "\"a", "\"a\"b", "a..b"] {
            assert_eq!(name(object), None, "{object}");
        }
    }

    #[test]
    fn a_template_is_filled_once() {
        assert_eq!(
            filled("-- name: x\n{a} {b}{c}", &[("a", "{b}"), ("b", "2")]),
            "{b} 2"
        );
    }
}
