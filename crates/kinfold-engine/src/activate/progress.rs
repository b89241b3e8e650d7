//! What is known of a plan's rows, for those who write state and ledger: all at the end, or chunk by chunk while the
//! plan is delivered.
//!
//! Files of a table belong to it once they are committed, and that waits for [`Progress::close`]. So what is written
//! ahead saves time, and means nothing if the delivery ends otherwise than thought.

use std::sync::Arc;

use tokio::sync::watch;

use super::acknowledge::{Failure, Outcomes, Positions};
use super::plan::Plan;
use crate::EngineError;

/// What has become of the rows of a chunk.
#[derive(Debug)]
pub(super) enum Fate {
    /// All of them were confirmed.
    Confirmed,
    /// Each has an outcome of its own, or none.
    Each(Arc<Outcomes>),
}

impl Fate {
    /// Whether the row at a position of the plan has an outcome.
    pub(super) fn is_recorded(&self, seq: u64) -> bool {
        match self {
            Self::Confirmed => true,
            Self::Each(outcomes) => outcomes.recorded.contains(seq),
        }
    }

    /// Why it was not confirmed; none if it was, or has no outcome.
    pub(super) fn failure(&self, seq: u64) -> Option<&Failure> {
        match self {
            Self::Confirmed => None,
            Self::Each(outcomes) => outcomes.failure(seq),
        }
    }
}

/// How far a delivery is.
#[derive(Debug)]
pub(super) struct Progress(watch::Sender<Known>);

#[derive(Debug, Default)]
struct Known {
    chunks: Vec<Rows>,
    /// Rows that were recorded as confirmed.
    confirmed: Positions,
    end: Option<End>,
}

/// The rows of a chunk.
#[derive(Debug)]
struct Rows {
    /// Position of the first.
    first: u64,
    /// Rows that are not known to be confirmed.
    open: u64,
}

#[derive(Debug)]
enum End {
    /// Everything is known.
    Closed(Arc<Outcomes>),
    /// Nobody will say more.
    GivenUp,
}

impl Progress {
    /// That of a plan of which nothing is recorded yet.
    pub(super) fn of(plan: &Plan) -> Self {
        let rows = |(chunk, first): (super::chunk::Chunk, u64)| Rows {
            first,
            open: chunk.rows,
        };
        Self(watch::Sender::new(Known {
            chunks: plan.changes_from().map(rows).collect(),
            ..Known::default()
        }))
    }

    /// That of a delivery which is over.
    pub(super) fn over(outcomes: Arc<Outcomes>) -> Self {
        Self(watch::Sender::new(Known {
            end: Some(End::Closed(outcomes)),
            ..Known::default()
        }))
    }

    /// The log has these rows as confirmed; first and last position of each range.
    pub(super) fn confirm(&self, ranges: &[(u64, u64)]) {
        self.0.send_if_modified(|known| {
            let mut complete = false;
            for seq in ranges.iter().flat_map(|(first, last)| *first..=*last) {
                let after = known.chunks.partition_point(|rows| rows.first <= seq);
                let chunk = known.chunks.get_mut(after.wrapping_sub(1));
                // A row that is recorded again may not be what it was: its chunk waits for the end.
                if let (Some(rows), true) = (chunk, known.confirmed.insert(seq)) {
                    rows.open = rows.open.saturating_sub(1);
                    complete |= rows.open == 0;
                }
            }
            complete
        });
    }

    /// The delivery is over, and this is what became of so many rows. False if what was said ahead does not hold, or
    /// rows are without an outcome; then nothing of it may be committed.
    pub(super) fn close(&self, rows: u64, outcomes: Arc<Outcomes>) -> bool {
        let whole = outcomes.recorded.count() == rows && outcomes.jobs.is_empty();
        let mut holds = whole;
        self.0.send_modify(|known| {
            for seq in outcomes.failures() {
                holds &= known.chunk(seq).is_some_and(|rows| rows.open > 0);
            }
            known.end = Some(if holds {
                End::Closed(outcomes)
            } else {
                End::GivenUp
            });
        });
        holds
    }

    /// Nobody will say more.
    pub(super) fn give_up(&self) {
        self.0.send_modify(|known| known.end = Some(End::GivenUp));
    }

    /// What has become of the chunk whose first row has this position, once that is known.
    ///
    /// # Errors
    /// Nobody will say.
    pub(super) async fn fate(&self, first: u64) -> Result<Fate, EngineError> {
        let mut known = self.0.subscribe();
        let found = known.wait_for(|known| known.end.is_some() || known.is_confirmed(first));
        let found = found.await.map_err(|_| EngineError::Cancelled)?;
        match &found.end {
            Some(End::Closed(outcomes)) => Ok(Fate::Each(Arc::clone(outcomes))),
            Some(End::GivenUp) => Err(EngineError::Cancelled),
            None => Ok(Fate::Confirmed),
        }
    }

    /// Returns once the delivery is over.
    ///
    /// # Errors
    /// Nobody will say whether it is.
    pub(super) async fn ended(&self) -> Result<(), EngineError> {
        let mut known = self.0.subscribe();
        let found = known.wait_for(|known| known.end.is_some());
        let found = found.await.map_err(|_| EngineError::Cancelled)?;
        match found.end {
            Some(End::Closed(_)) => Ok(()),
            _ => Err(EngineError::Cancelled),
        }
    }
}

impl Known {
    /// The rows among which a position is.
    fn chunk(&self, seq: u64) -> Option<&Rows> {
        let after = self.chunks.partition_point(|rows| rows.first <= seq);
        self.chunks.get(after.checked_sub(1)?)
    }

    fn is_confirmed(&self, first: u64) -> bool {
        self.chunk(first).is_some_and(|rows| rows.open == 0)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use futures::FutureExt;

    use super::*;

    /// That of chunks with so many rows.
    fn progress(chunks: &[u64]) -> Progress {
        let mut next = 0;
        let rows = |rows: &u64| {
            let first = next;
            next += rows;
            Rows { first, open: *rows }
        };
        Progress(watch::Sender::new(Known {
            chunks: chunks.iter().map(rows).collect(),
            ..Known::default()
        }))
    }

    fn is_confirmed(progress: &Progress, first: u64) -> bool {
        let fate = progress.fate(first).now_or_never();
        matches!(fate, Some(Ok(Fate::Confirmed)))
    }

    #[test]
    fn a_chunk_is_confirmed_with_its_last_row() {
        let progress = progress(&[3, 4, 2]);
        progress.confirm(&[(1, 4), (8, 8)]);
        assert!(
            [0, 3, 7]
                .iter()
                .all(|first| !is_confirmed(&progress, *first))
        );
        progress.confirm(&[(0, 0)]);
        assert!(is_confirmed(&progress, 0));
        // The same row again is no other row.
        progress.confirm(&[(8, 8), (5, 5)]);
        assert!(!is_confirmed(&progress, 3) && !is_confirmed(&progress, 7));
        progress.confirm(&[(6, 7)]);
        assert!(is_confirmed(&progress, 3) && is_confirmed(&progress, 7));
        assert!(progress.ended().now_or_never().is_none());
    }

    #[test]
    fn who_waits_is_told_that_nothing_comes() {
        let progress = progress(&[2, 2]);
        progress.confirm(&[(0, 1)]);
        let mut waits = Box::pin(progress.fate(2));
        assert!((&mut waits).now_or_never().is_none());
        progress.give_up();
        assert!(waits.now_or_never().unwrap().is_err());
        assert!(progress.ended().now_or_never().unwrap().is_err());
        // Also of what was confirmed.
        assert!(progress.fate(0).now_or_never().unwrap().is_err());
    }

    #[test]
    fn what_was_said_ahead_has_to_hold() {
        for (failed, holds) in [(3, true), (1, false)] {
            let progress = progress(&[2, 2]);
            progress.confirm(&[(0, 2)]);
            let outcomes = Outcomes::of_rows(4, failed);
            assert_eq!(progress.close(4, Arc::new(outcomes)), holds);
            assert_eq!(progress.ended().now_or_never().unwrap().is_ok(), holds);
        }
        let progress = progress(&[2, 2]);
        let fewer = Outcomes::of_rows(3, 2);
        assert!(!progress.close(4, Arc::new(fewer)));
    }
}
