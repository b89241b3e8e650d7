//! A stream of rows as a relation that a statement can name.

use std::fmt;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::catalog::streaming::StreamingTable;
use datafusion::common::DataFusionError;
use datafusion::execution::{SendableRecordBatchStream, TaskContext};
use datafusion::physical_plan::streaming::PartitionStream;

type Open = dyn Fn() -> SendableRecordBatchStream + Send + Sync;

struct Streamed {
    schema: SchemaRef,
    open: Box<Open>,
}

impl fmt::Debug for Streamed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Streamed").finish_non_exhaustive()
    }
}

impl PartitionStream for Streamed {
    fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    fn execute(&self, _: Arc<TaskContext>) -> SendableRecordBatchStream {
        (self.open)()
    }
}

/// The relation whose rows are those of the stream that `open` gives; a statement may open it more than once.
pub(super) fn relation(
    schema: SchemaRef,
    open: impl Fn() -> SendableRecordBatchStream + Send + Sync + 'static,
) -> Result<Arc<dyn TableProvider>, DataFusionError> {
    let streamed = Streamed {
        schema: Arc::clone(&schema),
        open: Box::new(open),
    };
    let table = StreamingTable::try_new(schema, vec![Arc::new(streamed)])?;
    Ok(Arc::new(table))
}
