//! Whether a run adds to what there is of an incremental model, or builds it anew.

use std::collections::BTreeMap;

use kinfold_compile::compile::CompiledNode;
use kinfold_compile::meaning::Meaning;
use kinfold_compile::render::{IncrementalRules, IncrementalStrategy, OnSchemaChange};
use serde::{Deserialize, Serialize};

use crate::EngineError;
use crate::build::{Run, kind_of};
use crate::published::{PublishedNode, StoredTable};

/// What a run adds to.
#[derive(Clone, Debug)]
pub(crate) struct Past {
    /// The table as it is published.
    pub table: StoredTable,
    /// Whether it has other columns than the model.
    pub other_columns: bool,
}

/// What every column and the rows of a published incremental model mean, so that a change of its columns alone can
/// be told from others. Stored as the `detail` of the node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
struct Meant {
    rows: Vec<String>,
    columns: BTreeMap<String, Vec<String>>,
}

impl Meant {
    fn of(node: &CompiledNode) -> Option<Self> {
        let mut meant = Self::default();
        for form in node.meanings()? {
            let Meaning { columns, rows, .. } = form;
            meant.rows.push(rows.fingerprint.to_string());
            for (name, print) in columns {
                let of_column = meant.columns.entry(name.clone()).or_default();
                of_column.push(print.fingerprint.to_string());
            }
        }
        Some(meant)
    }

    /// Whether only columns came or went since.
    fn differs_in_columns_only(&self, before: &Self) -> bool {
        let names = |meant: &Self| meant.columns.keys().cloned().collect::<Vec<_>>();
        let common = |name: &&String| before.columns.contains_key(*name);
        let mut common = self.columns.keys().filter(common);
        names(self) != names(before)
            && self.rows == before.rows
            && common.all(|name| self.columns.get(name) == before.columns.get(name))
    }
}

/// The mark of a version that is made of an earlier one.
pub(crate) fn marked(key: &str, past: Option<&Past>) -> String {
    match past {
        Some(past) => format!("{key} {}", past.table.identity()),
        None => key.to_owned(),
    }
}

/// What is kept with an incremental model that is published.
pub(crate) fn detail(node: &CompiledNode) -> serde_json::Value {
    if node.increment.is_none() {
        return serde_json::Value::Null;
    }
    let meant = Meant::of(node).and_then(|meant| serde_json::to_value(meant).ok());
    meant.unwrap_or_default()
}

impl Run<'_> {
    /// What this run adds to; none if the model is built in full.
    ///
    /// # Errors
    /// When the model may not be built in full, and its columns are others than those of its table.
    pub(crate) fn past(&self, node: &CompiledNode) -> Result<Option<Past>, EngineError> {
        let (Some(rules), Some(_)) = (&node.config.incremental, &node.increment) else {
            return Ok(None);
        };
        let Some(previous) = self.published.nodes.get(&node.id) else {
            return Ok(None);
        };
        if rules.strategy == IncrementalStrategy::Microbatch || previous.kind != kind_of(node) {
            return Ok(None);
        }
        // What the model says of itself is stronger than the command line.
        if rules.full_refresh.unwrap_or(self.request.full_refresh) {
            return Ok(None);
        }
        let (Some(table), Some(relation)) = (&previous.table, &node.relation) else {
            return Ok(None);
        };
        let path = self.engine.table_path(&relation.schema, &relation.name)?;
        if table.external || table.path != path.as_str() {
            return Ok(None);
        }
        let past = |other_columns| {
            Ok(Some(Past {
                table: table.clone(),
                other_columns,
            }))
        };
        if previous.fingerprint == node.fingerprint.to_string() {
            return past(false);
        }
        self.past_of_another_meaning(node, rules, previous, past)
    }

    fn past_of_another_meaning(
        &self,
        node: &CompiledNode,
        rules: &IncrementalRules,
        previous: &PublishedNode,
        past: impl Fn(bool) -> Result<Option<Past>, EngineError>,
    ) -> Result<Option<Past>, EngineError> {
        let before: Option<Meant> = serde_json::from_value(previous.detail.clone()).ok();
        let columns_only = match (Meant::of(node), before) {
            (Some(now), Some(before)) => now.differs_in_columns_only(&before),
            _ => false,
        };
        let stays = rules.full_refresh == Some(false);
        match rules.on_schema_change {
            OnSchemaChange::AppendNewColumns | OnSchemaChange::SyncAllColumns
                if columns_only || stays =>
            {
                past(true)
            }
            OnSchemaChange::Fail if columns_only => {
                Err(EngineError::ColumnsChanged(node.id.clone()))
            }
            _ if stays => past(true),
            _ => Ok(None),
        }
    }
}
