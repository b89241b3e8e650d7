//! What every run did, as a table of the lake: `_kinfold/run/nodes`.

use std::sync::Arc;

use datafusion::arrow::array::{
    ArrayRef, Int64Array, RecordBatch, StringArray, TimestampMicrosecondArray,
};
use datafusion::arrow::datatypes::{DataType, Field, Schema, TimeUnit};
use datafusion::physical_plan::memory::MemoryStream;
use kinfold_lake::{CommitNote, TablePath};

use crate::build::{BuildReport, NodeResult};
use crate::{Engine, EngineError};

impl Engine {
    /// Adds the nodes of a build to the run log. A run in which nothing was done leaves no trace, so
    /// that looking every minute does not fill the lake.
    pub(crate) async fn record_build(&self, report: &BuildReport) -> Result<(), EngineError> {
        use crate::build::NodeStatus::Skipped;
        if report.nodes.iter().all(|n| n.status == Skipped) {
            return Ok(());
        }
        let text = |name: &str| Field::new(name, DataType::Utf8, true);
        let number = |name: &str| Field::new(name, DataType::Int64, true);
        let schema = Arc::new(Schema::new(vec![
            text("environment"),
            text("run_id"),
            Field::new(
                "as_of",
                DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
                true,
            ),
            text("node"),
            text("kind"),
            text("status"),
            text("reason"),
            number("rows"),
            text("table_path"),
            number("version"),
            number("elapsed_ms"),
        ]));
        let nodes = &report.nodes;
        let texts = |pick: &dyn Fn(&NodeResult) -> Option<String>| -> ArrayRef {
            Arc::new(nodes.iter().map(pick).collect::<StringArray>())
        };
        let numbers = |pick: &dyn Fn(&NodeResult) -> Option<u64>| -> ArrayRef {
            Arc::new(
                nodes
                    .iter()
                    .map(|n| pick(n).and_then(|v| i64::try_from(v).ok()))
                    .collect::<Int64Array>(),
            )
        };
        let as_of = vec![report.as_of.timestamp_micros(); nodes.len()];
        let columns: Vec<ArrayRef> = vec![
            texts(&|_| Some(self.environment.name.clone())),
            texts(&|_| Some(report.run_id.clone())),
            Arc::new(TimestampMicrosecondArray::from(as_of).with_timezone("UTC")),
            texts(&|n| Some(n.id.to_string())),
            texts(&|n| Some(n.kind.clone())),
            texts(&|n| {
                serde_json::to_value(n.status)
                    .ok()?
                    .as_str()
                    .map(str::to_owned)
            }),
            texts(&|n| Some(n.reason.clone())),
            numbers(&|n| n.rows),
            texts(&|n| n.table.clone()),
            numbers(&|n| n.version),
            numbers(&|n| Some(n.elapsed_ms)),
        ];
        let batch = RecordBatch::try_new(Arc::clone(&schema), columns)
            .map_err(datafusion::error::DataFusionError::from)?;
        let stream = MemoryStream::try_new(vec![batch], Arc::clone(&schema), None)?;
        let path = TablePath::new("_kinfold/run/nodes")?;
        let note = CommitNote::new(format!("kinfold:run:{}", report.run_id), 1);
        self.lake
            .append(&path, schema, vec![Box::pin(stream)], note)
            .await?;
        Ok(())
    }
}
