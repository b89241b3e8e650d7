//! Streams in parallel to one consumer: partitions are decoded and made ready on all cores, and one
//! thread, which has the graph, takes what is ready.

use datafusion::arrow::array::RecordBatch;
use datafusion::execution::SendableRecordBatchStream;
use futures::StreamExt;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::rows::RowsError;
use crate::EngineError;

/// Ready batches that may wait for the consumer.
const WAITING: usize = 8;

/// Makes the batches of all streams ready with `prepare`, on as many threads as there are, and gives
/// them to `take` with its state, one at a time and in no particular order. Returns the state.
pub(super) async fn feed<S, T>(
    streams: Vec<SendableRecordBatchStream>,
    cancel: &CancellationToken,
    prepare: impl Fn(RecordBatch) -> Result<T, RowsError> + Clone + Send + 'static,
    mut state: S,
    mut take: impl FnMut(&mut S, T) -> Result<(), RowsError> + Send + 'static,
) -> Result<Result<S, RowsError>, EngineError>
where
    S: Send + 'static,
    T: Send + 'static,
{
    let (sender, mut receiver) = mpsc::channel(WAITING);
    let mut readers = JoinSet::new();
    for mut stream in streams {
        let (sender, cancel, prepare) = (sender.clone(), cancel.clone(), prepare.clone());
        readers.spawn(async move {
            while let Some(batch) = stream.next().await {
                if cancel.is_cancelled() {
                    return Err(RowsError::Cancelled);
                }
                // Who takes has failed, and says why.
                if sender.send(prepare(batch?)?).await.is_err() {
                    break;
                }
            }
            Ok(())
        });
    }
    drop(sender);
    let taken = tokio::task::spawn_blocking(move || {
        while let Some(ready) = receiver.blocking_recv() {
            take(&mut state, ready)?;
        }
        Ok(state)
    });
    while let Some(read) = readers.join_next().await {
        if let Err(error) = read? {
            return match error {
                RowsError::Batch(error) => Err(error.into()),
                RowsError::Cancelled => Err(EngineError::Cancelled),
                error => Ok(Err(error)),
            };
        }
    }
    Ok(taken.await?)
}
