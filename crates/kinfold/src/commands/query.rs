//! `kinfold query` and `kinfold show`.

use std::io::Read;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, StringArray};
use arrow::csv::WriterBuilder;
use arrow::datatypes::{DataType, Field, Schema};
use arrow::error::ArrowError;
use arrow::json::WriterBuilder as JsonWriterBuilder;
use arrow::json::writer::LineDelimited;
use arrow::record_batch::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use arrow::util::pretty::pretty_format_batches;
use futures::StreamExt;
use kinfold_engine::{Engine, EngineError, EngineOptions, Published, QueryFailure};

use super::{CommandError, Done};
use crate::cli::{Global, RowFormat};
use crate::report::Output;
use crate::workspace::Workspace;

pub async fn run(
    global: &Global,
    sql: String,
    format: RowFormat,
    output: &Output,
) -> Result<Done, CommandError> {
    let sql = if sql == "-" {
        let mut text = String::new();
        std::io::stdin()
            .read_to_string(&mut text)
            .map_err(|source| CommandError::File {
                action: "read",
                path: "standard input".into(),
                source,
            })?;
        text
    } else {
        sql
    };
    let workspace = Workspace::load(global, None)?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    print_rows(&engine, &sql, format, output).await
}

async fn print_rows(
    engine: &Engine,
    sql: &str,
    format: RowFormat,
    output: &Output,
) -> Result<Done, CommandError> {
    let mut rows = engine.query(sql).await?;
    let json = output.is_json();
    let schema = rows.schema();
    let mut kept: Vec<RecordBatch> = vec![];
    let mut header = true;
    while let Some(batch) = rows.next().await {
        let batch = batch.map_err(|e| CommandError::Engine(EngineError::from(e)))?;
        match format {
            // A table is aligned over all rows, and one JSON object holds all of them.
            _ if json => kept.push(batch),
            RowFormat::Table => kept.push(batch),
            RowFormat::Csv => {
                output.data(&csv(&batch, header)?);
                header = false;
            }
            RowFormat::Ndjson => output.data(&ndjson(&[batch])?),
        }
    }
    if json {
        let lines = ndjson(&kept)?;
        let rows: Vec<serde_json::Value> = lines
            .split(|b| *b == b'\n')
            .filter_map(|line| serde_json::from_slice(line).ok())
            .collect();
        let columns: Vec<&String> = schema.fields().iter().map(|f| f.name()).collect();
        output.json(&serde_json::json!({ "success": true, "columns": columns, "rows": rows }));
    } else if format == RowFormat::Table {
        let kept = if kept.is_empty() {
            vec![RecordBatch::new_empty(schema)]
        } else {
            kept
        };
        let table = pretty_format_batches(&kept).map_err(arrow_error)?;
        output.line(&table.to_string());
    } else if header && format == RowFormat::Csv {
        output.data(&csv(&RecordBatch::new_empty(schema), true)?);
    }
    Ok(Done { success: true })
}

/// All rows of a query whose result is small by nature.
pub async fn rows_of(
    engine: &Engine,
    sql: &str,
) -> Result<Vec<serde_json::Map<String, serde_json::Value>>, CommandError> {
    let mut stream = engine.query(sql).await?;
    let mut kept = vec![];
    while let Some(batch) = stream.next().await {
        kept.push(batch.map_err(|e| CommandError::Engine(EngineError::from(e)))?);
    }
    let lines = ndjson(&kept)?;
    let rows = lines.split(|b| *b == b'\n');
    Ok(rows
        .filter_map(|line| serde_json::from_slice(line).ok())
        .collect())
}

/// The names of the columns of a published relation, as SQL names it.
pub async fn columns_of(engine: &Engine, relation: &str) -> Result<Vec<String>, CommandError> {
    let rows = engine
        .query(&format!("SELECT * FROM {relation} LIMIT 0"))
        .await?;
    let schema = rows.schema();
    Ok(schema.fields().iter().map(|f| f.name().clone()).collect())
}

pub async fn show(
    global: &Global,
    name: &str,
    limit: u64,
    output: &Output,
) -> Result<Done, CommandError> {
    let workspace = Workspace::load(global, None)?;
    let engine = workspace.engine(EngineOptions::default()).await?;
    let published = engine.published().await?.document;
    let relation = relation(&published, name)?;
    let sql = format!("SELECT * FROM {relation} LIMIT {limit}");
    print_rows(&engine, &sql, RowFormat::Table, output).await
}

/// The published relation of that name, as SQL names it.
pub fn relation(published: &Published, name: &str) -> Result<String, CommandError> {
    let names = names(published);
    let Some((_, (schema, relation))) = names.iter().find(|(known, _)| known == name) else {
        let known: Vec<&str> = names.iter().map(|(known, _)| known.as_str()).collect();
        return Err(CommandError::Unknown {
            kind: "published relation",
            name: name.to_owned(),
            close: kinfold_compile::bind::closest(name, &known).map(str::to_owned),
        });
    };
    let quoted = |part: &str| format!("\"{}\"", part.replace('"', "\"\""));
    Ok(format!("{}.{}", quoted(schema), quoted(relation)))
}

/// What a published relation can be called, and its schema and name: the name of its node, with a source
/// `source.table` and with a companion `node__companion`; the node's id; and its name in SQL.
fn names(published: &Published) -> Vec<(String, &(String, String))> {
    let mut of_nodes = vec![];
    let mut of_relations = vec![];
    for (id, node) in &published.nodes {
        let parts: Vec<&str> = id.as_str().split('.').collect();
        let name = match parts.as_slice() {
            ["source", _, source @ ..] => source.join("."),
            other => other.last().copied().unwrap_or_default().to_owned(),
        };
        let own = node.table.as_ref().map(|table| &table.relation);
        if let Some(relation) = own.or(node.relation.as_ref()) {
            of_nodes.extend([(name.clone(), relation), (id.to_string(), relation)]);
            of_relations.push(relation);
        }
        for (suffix, table) in &node.companions {
            of_nodes.push((format!("{name}__{suffix}"), &table.relation));
            of_relations.push(&table.relation);
        }
    }
    of_nodes.extend(of_relations.iter().flat_map(|relation| {
        let (schema, name) = relation;
        [
            (format!("{schema}.{name}"), *relation),
            (name.clone(), *relation),
        ]
    }));
    of_nodes
}

fn arrow_error(error: ArrowError) -> CommandError {
    CommandError::Engine(EngineError::from(QueryFailure::from(error)))
}

fn csv(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, CommandError> {
    let batch = &flat(batch).map_err(arrow_error)?;
    let mut bytes = vec![];
    WriterBuilder::new()
        .with_header(header)
        .build(&mut bytes)
        .write(batch)
        .map_err(arrow_error)?;
    Ok(bytes)
}

/// The batch with lists and structures as text, which CSV has no form for.
fn flat(batch: &RecordBatch) -> Result<RecordBatch, ArrowError> {
    let schema = batch.schema();
    if !schema.fields().iter().any(|f| f.data_type().is_nested()) {
        return Ok(batch.clone());
    }
    let mut fields = vec![];
    let mut columns: Vec<ArrayRef> = vec![];
    for (field, column) in schema.fields().iter().zip(batch.columns()) {
        if field.data_type().is_nested() {
            let options = FormatOptions::default();
            let values = ArrayFormatter::try_new(column, &options)?;
            let texts: StringArray = (0..column.len())
                .map(|row| column.is_valid(row).then(|| values.value(row).to_string()))
                .collect();
            fields.push(Field::new(field.name(), DataType::Utf8, true));
            columns.push(Arc::new(texts));
        } else {
            fields.push(field.as_ref().clone());
            columns.push(Arc::clone(column));
        }
    }
    RecordBatch::try_new(Arc::new(Schema::new(fields)), columns)
}

fn ndjson(batches: &[RecordBatch]) -> Result<Vec<u8>, CommandError> {
    let mut bytes = vec![];
    // Every line has every column, so that the first one tells them.
    let mut writer = JsonWriterBuilder::new()
        .with_explicit_nulls(true)
        .build::<_, LineDelimited>(&mut bytes);
    for batch in batches {
        writer.write(batch).map_err(arrow_error)?;
    }
    writer.finish().map_err(arrow_error)?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use arrow::array::{Int64Array, ListArray};
    use arrow::datatypes::Int64Type;
    use serde_json::json;

    use super::*;

    #[test]
    fn relations_are_found_by_the_names_of_their_nodes() {
        let table = |schema: &str, name: &str| json!({"relation": [schema, name], "path": format!("{schema}/{name}"), "version": 0, "rows": 1});
        let node = |kind: &str,
                    relation: serde_json::Value,
                    table: serde_json::Value,
                    companions| {
            json!({
                "kind": kind, "relation": relation, "table": table, "companions": companions, "key": "k",
                "fingerprint": "f", "run_id": "r", "as_of": "2026-01-01T00:00:00Z",
            })
        };
        let published: Published = serde_json::from_value(json!({
            "format": 1, "project": "shop", "run_id": "r", "as_of": "2026-01-01T00:00:00Z",
            "nodes": {
                "model.shop.orders": node("view", json!(["main_marts", "renamed"]), json!(null), json!({})),
                "model.shop.person": node(
                    "identity",
                    json!(["main", "person"]),
                    table("main", "person"),
                    json!({"edges": table("main", "person__edges")}),
                ),
                "source.shop.web.events": node(
                    "source", json!(["web", "events"]), table("web", "events"), json!({}),
                ),
                "test.shop.none": node("test", json!(null), json!(null), json!({})),
            },
        }))
        .unwrap();
        let names = names(&published);
        let find = |name: &str| {
            let found = names.iter().find(|(known, _)| known == name)?;
            Some(format!("{}.{}", found.1.0, found.1.1))
        };
        for (name, relation) in [
            ("orders", "main_marts.renamed"),
            ("renamed", "main_marts.renamed"),
            ("main_marts.renamed", "main_marts.renamed"),
            ("model.shop.orders", "main_marts.renamed"),
            ("person", "main.person"),
            ("person__edges", "main.person__edges"),
            ("web.events", "web.events"),
            ("source.shop.web.events", "web.events"),
        ] {
            assert_eq!(find(name).as_deref(), Some(relation), "{name}");
        }
        assert_eq!(find("none"), None);
    }

    #[test]
    fn csv_shows_lists_as_text_and_lines_have_every_column() {
        let lists =
            ListArray::from_iter_primitive::<Int64Type, _, _>([Some(vec![Some(1), Some(2)]), None]);
        let batch = RecordBatch::try_from_iter_with_nullable([
            (
                "n",
                Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef,
                true,
            ),
            ("list", Arc::new(lists) as ArrayRef, true),
        ])
        .unwrap();
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        assert_eq!(
            text(csv(&batch, true).unwrap()),
            "n,list\n1,\"[1, 2]\"\n,\n"
        );
        assert_eq!(
            text(ndjson(&[batch]).unwrap()),
            "{\"n\":1,\"list\":[1,2]}\n{\"n\":null,\"list\":null}\n"
        );
    }
}
