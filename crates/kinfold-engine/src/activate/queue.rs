//! Triggers that come while a sync runs: they become one more run after it.
//!
//! Who finds the sync in use leaves word and goes; who has ended a run and given up the lease looks for it.
//! Word that is left after that look finds the lease free, because whoever leaves it tries again afterwards.

use std::time::Duration;

use bytes::Bytes;
use kinfold_lake::{Lake, Lease};

use super::run::lease_of;
use super::state::Place;
use super::{ActivateError, SyncRequest};
use crate::{Engine, EngineError};

/// The lease of the sync; or none, when a run is under way that will go round once more.
///
/// A holder on another machine may have died. It has if its lease is not renewed; then this waits for the
/// deadline. Parts of a changeset and approvals are not queued.
pub(super) async fn lease_or_queue(
    engine: &Engine,
    place: &Place,
    request: &SyncRequest<'_>,
    time: Duration,
) -> Result<Option<Lease>, EngineError> {
    let mut deadline = None;
    loop {
        let busy = match lease_of(engine, place, request, time).await {
            Ok(lease) if deadline.is_none() || is_queued(&engine.lake, place).await? => {
                return Ok(Some(lease));
            }
            // A run that began after the word was left is what was asked for.
            Ok(lease) => {
                lease.release().await?;
                return Ok(None);
            }
            Err(EngineError::Activate(busy @ ActivateError::Busy { .. })) if is_whole(request) => {
                busy
            }
            Err(error) => return Err(error),
        };
        let ActivateError::Busy { expires, .. } = busy else {
            return Err(busy.into());
        };
        match deadline {
            None => {
                let word = Bytes::from_static(b"{\"format\":1}");
                engine.lake.put(&place.queued(), word).await?;
                deadline = Some(expires);
                continue;
            }
            Some(before) if before != expires => return Ok(None),
            Some(_) if request.cancel.is_cancelled() => return Err(EngineError::Cancelled),
            Some(_) => tokio::time::sleep(time / 16).await,
        }
    }
}

/// Whether a request is for all that has changed, so that it is what others may have asked for.
pub(super) fn is_whole(request: &SyncRequest<'_>) -> bool {
    let scope = &request.scope;
    request.approve.is_none() && scope.limit.is_none() && scope.keys.is_empty()
}

/// Whether somebody has asked for one more run.
pub(super) async fn is_queued(lake: &Lake, place: &Place) -> Result<bool, EngineError> {
    Ok(lake.get(&place.queued()).await?.is_some())
}

/// The run that begins is the one that was asked for.
pub(super) async fn clear(lake: &Lake, place: &Place) -> Result<(), EngineError> {
    if is_queued(lake, place).await? {
        lake.delete(&place.queued()).await?;
    }
    Ok(())
}
