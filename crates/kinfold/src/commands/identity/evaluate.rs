//! `kinfold identity evaluate`.

mod labels;
mod text;

pub(crate) use labels::LABELS;

use std::collections::BTreeMap;

use kinfold_compile::compile::CompiledNode;
use kinfold_compile::render::Materialization;
use kinfold_engine::judge::{Labels, PeopleEvaluation, RecordName};
use serde_json::{Value, json};

use super::super::query::rows_of;
use super::super::{CommandError, Done};
use super::{JudgeError, Opened, failed, write_charts};
use crate::charts;
use crate::cli::{EvaluateArguments, Global};
use crate::report::Output;

pub(super) async fn run(
    global: &Global,
    arguments: &EvaluateArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let opened = Opened::new(global).await?;
    let wanted = [Materialization::Linkage, Materialization::Identity];
    let node = opened.model(&arguments.model, "linkage or identity", &wanted)?;
    let labels = labels::read(&opened, &arguments.labels).await?;
    if labels.labelled == 0 {
        return Err(JudgeError::NoLabels.into());
    }
    match node.config.materialized.value {
        Materialization::Linkage => linkage(&opened, node, &labels, arguments, output).await,
        _ => people(&opened, node, &labels, arguments, output).await,
    }
}

async fn linkage(
    opened: &Opened,
    node: &CompiledNode,
    labels: &Labels,
    arguments: &EvaluateArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let judged = opened.judged(node).await?;
    let found = judged.evaluate(labels, arguments.worst, arguments.values);
    let found = found.map_err(|error| failed(node, error))?;
    usable(node, labels, found.labels.used)?;
    let files = match &arguments.charts {
        None => vec![],
        Some(folder) => {
            let survey = judged.survey().map_err(|error| failed(node, error))?;
            let mut charts = charts::of_evaluation(&found);
            charts.extend(charts::of_linkage(&survey));
            let introduction = format!(
                "The linkage {} at a threshold of {}, judged by {} labels: precision {:.4} and recall {:.4} of its \
                 clusters.",
                node.name,
                found.threshold,
                crate::report::grouped(found.labels.used),
                found.clusters.precision,
                found.clusters.recall
            );
            write_charts(folder, &node.name, &introduction, &charts)?
        }
    };
    if output.is_json() {
        output.json(&told(node, "linkage", &found, files));
    } else {
        text::linkage(&node.name, &found, output);
        text::files(&files, output);
    }
    Ok(Done { success: true })
}

async fn people(
    opened: &Opened,
    node: &CompiledNode,
    labels: &Labels,
    arguments: &EvaluateArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let sql = format!(
        "SELECT source, record_id, canonical_id FROM {}",
        opened.relation(node, Some("records"))?
    );
    let named = labels.records();
    let mut people: BTreeMap<RecordName, String> = BTreeMap::new();
    for row in rows_of(&opened.engine, &sql).await? {
        let text = |key: &str| row.get(key).and_then(Value::as_str);
        if let (Some(source), Some(record_id), Some(id)) =
            (text("source"), text("record_id"), text("canonical_id"))
        {
            let name = RecordName::from((source, record_id));
            if named.contains(&name) {
                people.insert(name, id.to_owned());
            }
        }
    }
    let found = PeopleEvaluation::new(labels, &people, arguments.worst);
    usable(node, labels, found.labels.used)?;
    let files = match &arguments.charts {
        None => vec![],
        Some(folder) => {
            let (charts, introduction) = super::charts::of_people(opened, node).await?;
            write_charts(folder, &node.name, &introduction, &charts)?
        }
    };
    if output.is_json() {
        output.json(&told(node, "identity", &found, files));
    } else {
        text::people(&node.name, &found, output);
        text::files(&files, output);
    }
    Ok(Done { success: true })
}

/// Labels none of which is about the model say nothing.
fn usable(node: &CompiledNode, labels: &Labels, used: u64) -> Result<(), CommandError> {
    if used > 0 {
        return Ok(());
    }
    Err(JudgeError::OtherRecords {
        labels: labels.labelled,
        model: node.name.clone(),
    }
    .into())
}

fn told(
    node: &CompiledNode,
    kind: &str,
    found: &impl serde::Serialize,
    files: Vec<String>,
) -> Value {
    let mut told = json!({"success": true, "model": node.name, "kind": kind, "charts": files});
    if let (Value::Object(told), Ok(Value::Object(found))) =
        (&mut told, serde_json::to_value(found))
    {
        told.extend(found);
    }
    told
}
