//! Unit tests of models: plans over rows that are given, before anything is built.

mod difference;

use std::sync::Arc;
use std::time::Instant;

use datafusion::arrow::array::RecordBatch;
use datafusion::datasource::MemTable;
use kinfold_compile::compile::{CompiledNode, CompiledUnitTest, ExpectedRows};
use kinfold_project::NodeId;
use serde_json::json;

use super::key::node_key;
use super::{Inputs, NodeResult, NodeStatus, Run, kind_of, sentence_of};
use crate::EngineError;
use crate::published::PublishedNode;
use crate::stream::Providers;
use difference::{Difference, difference};

impl Run<'_> {
    /// Runs those unit tests whose models are meant.
    pub(super) async fn unit_tests(
        &mut self,
        tests: &[&NodeId],
        is_meant: impl Fn(&NodeId) -> bool,
        total: usize,
    ) {
        for id in tests {
            let Some(node) = self.request.compiled.nodes.get(*id) else {
                continue;
            };
            let Some(test) = node.unit_test.as_ref().filter(|test| is_meant(&test.model)) else {
                continue;
            };
            if self.request.cancel.is_cancelled() {
                return;
            }
            self.unit_test(node, test, total).await;
        }
    }

    async fn unit_test(&mut self, node: &CompiledNode, test: &CompiledUnitTest, total: usize) {
        let progress = self.request.progress;
        progress.started(&node.id, self.results.len() + 1, total);
        let started = Instant::now();
        let key = node_key(node.fingerprint, &Inputs::default(), &self.moment(node));
        let previous = self.published.nodes.get(&node.id);
        let same = previous.filter(|p| p.key == key && !self.request.full_refresh);
        let (status, reason, found) = match same {
            Some(_) => (
                NodeStatus::Skipped,
                "same model, same rows".to_owned(),
                None,
            ),
            None => match self.differing(node, test).await {
                Ok(None) => (
                    NodeStatus::Passed,
                    "the rows are those expected".to_owned(),
                    None,
                ),
                Ok(Some(found)) => (
                    NodeStatus::Failed,
                    self.where_it_is(node, &found.words()),
                    Some(found),
                ),
                Err(error) => {
                    let reason = self.where_it_is(node, &sentence_of(&error));
                    (NodeStatus::Failed, reason, None)
                }
            },
        };
        if status == NodeStatus::Failed {
            self.disproved.insert(test.model.clone());
        } else {
            let published = same.cloned().unwrap_or_else(|| PublishedNode {
                key,
                detail: json!({ "status": status }),
                ..self.blank(node)
            });
            self.next.nodes.insert(node.id.clone(), published);
        }
        let result = NodeResult {
            id: node.id.clone(),
            kind: kind_of(node).to_owned(),
            status,
            reason,
            rows: found.as_ref().map(Difference::rows),
            table: None,
            version: None,
            quarantined: None,
            alarms: None,
            difference: found.map(|found| found.table),
            elapsed_ms: u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX),
        };
        progress.finished(&result);
        self.results.push(result);
    }

    /// How what the model gives differs from what is expected.
    async fn differing(
        &self,
        node: &CompiledNode,
        test: &CompiledUnitTest,
    ) -> Result<Option<Difference>, EngineError> {
        let Some(plan) = &node.plan else {
            return Ok(None);
        };
        let mut providers = Providers::new();
        for (key, rows) in &test.inputs {
            let table = MemTable::try_new(rows.schema(), vec![vec![rows.clone()]])?;
            providers.insert(key.clone(), Arc::new(table));
        }
        let found = self.engine.rows(plan, &providers).await?;
        let queried: Vec<RecordBatch>;
        let expected = match &test.expected {
            ExpectedRows::Rows(rows) => std::slice::from_ref(rows),
            ExpectedRows::Query(query) => {
                let rows = self.engine.rows(query, &Providers::new()).await?;
                queried = match rows.is_empty() {
                    true => vec![RecordBatch::new_empty(Arc::clone(query.schema().inner()))],
                    false => rows,
                };
                &queried
            }
        };
        Ok(difference(expected, &found)?)
    }

    /// A reason with the place of the test.
    fn where_it_is(&self, node: &CompiledNode, reason: &str) -> String {
        let Some(span) = node.place else {
            return reason.to_owned();
        };
        let files = &self.request.project.files;
        let (line, _) = files.line_column(span);
        format!("{reason}; {}:{line}", files.path(span.file).display())
    }
}
