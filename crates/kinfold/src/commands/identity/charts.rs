//! `kinfold identity charts`.

use std::collections::BTreeMap;

use kinfold_compile::compile::CompiledNode;
use kinfold_compile::render::Materialization;
use serde_json::json;

use super::super::query::rows_of;
use super::super::{CommandError, Done};
use super::{Opened, failed, write_charts};
use crate::charts::{self, Chart};
use crate::cli::{ChartArguments, Global};
use crate::report::Output;

pub(super) async fn run(
    global: &Global,
    arguments: &ChartArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let opened = Opened::new(global).await?;
    let wanted = [Materialization::Linkage, Materialization::Identity];
    let node = opened.model(&arguments.model, "linkage or identity", &wanted)?;
    let (charts, introduction) = match node.config.materialized.value {
        Materialization::Linkage => {
            let judged = opened.judged(node).await?;
            let survey = judged.survey().map_err(|error| failed(node, error))?;
            let introduction = format!(
                "The linkage {} on {} records, at a threshold of {}.",
                node.name,
                crate::report::grouped(survey.records),
                survey.threshold
            );
            (charts::of_linkage(&survey), introduction)
        }
        _ => of_people(&opened, node).await?,
    };
    let files = write_charts(&arguments.to, &node.name, &introduction, &charts)?;
    if output.is_json() {
        output.json(&json!({"success": true, "model": node.name, "files": files}));
    } else {
        for file in files {
            output.line(&file);
        }
    }
    Ok(Done { success: true })
}

/// The charts of an identity that need no labels.
pub(super) async fn of_people(
    opened: &Opened,
    node: &CompiledNode,
) -> Result<(Vec<Chart>, String), CommandError> {
    let sql = format!(
        "SELECT size, count(*) AS people FROM (SELECT count(*) AS size FROM {} GROUP BY canonical_id) GROUP BY size",
        opened.relation(node, Some("records"))?
    );
    let rows = rows_of(&opened.engine, &sql).await?;
    let number = |row: &serde_json::Map<String, serde_json::Value>, key: &str| {
        row.get(key).and_then(serde_json::Value::as_u64)
    };
    let sizes: BTreeMap<u64, u64> = rows
        .iter()
        .filter_map(|row| Some((number(row, "size")?, number(row, "people")?)))
        .collect();
    let people: u64 = sizes.values().sum();
    let introduction = format!(
        "The identity {}: {} people as they are published.",
        node.name,
        crate::report::grouped(people)
    );
    Ok((vec![charts::cluster_sizes(&sizes)], introduction))
}
