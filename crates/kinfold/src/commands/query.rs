//! `kinfold query` and `kinfold show`.

use std::io::Read;

use arrow::csv::WriterBuilder;
use arrow::json::LineDelimitedWriter;
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;
use futures::StreamExt;
use kinfold_engine::{EngineError, EngineOptions, QueryFailure};

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
    let mut rows = engine.query(&sql).await?;
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

pub async fn show(
    global: &Global,
    name: &str,
    limit: u64,
    output: &Output,
) -> Result<Done, CommandError> {
    let parts: Vec<String> = name
        .split('.')
        .map(|part| format!("\"{}\"", part.replace('"', "\"\"")))
        .collect();
    run(
        global,
        format!("SELECT * FROM {} LIMIT {limit}", parts.join(".")),
        RowFormat::Table,
        output,
    )
    .await
}

fn arrow_error(error: arrow::error::ArrowError) -> CommandError {
    CommandError::Engine(EngineError::from(QueryFailure::from(error)))
}

fn csv(batch: &RecordBatch, header: bool) -> Result<Vec<u8>, CommandError> {
    let mut bytes = vec![];
    WriterBuilder::new()
        .with_header(header)
        .build(&mut bytes)
        .write(batch)
        .map_err(arrow_error)?;
    Ok(bytes)
}

fn ndjson(batches: &[RecordBatch]) -> Result<Vec<u8>, CommandError> {
    let mut bytes = vec![];
    let mut writer = LineDelimitedWriter::new(&mut bytes);
    for batch in batches {
        writer.write(batch).map_err(arrow_error)?;
    }
    writer.finish().map_err(arrow_error)?;
    Ok(bytes)
}
