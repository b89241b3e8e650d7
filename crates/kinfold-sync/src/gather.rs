//! When outcomes are recorded: at once, or together with those that come soon after.

use std::time::Duration;

/// So many batches are not kept waiting for more: half of those that may wait for the log, so that the destination
/// still has something to do while they are recorded.
const ENOUGH: usize = 8;

/// How long the outcomes of batches have waited to be recorded. A record is a durable object, which costs the same
/// for one batch as for many.
pub(crate) struct Gathering {
    /// The log's patience.
    patience: Duration,
    /// When the first of them came, by the clock.
    since: Option<Duration>,
}

impl Gathering {
    pub(crate) fn new(patience: Duration) -> Self {
        Self {
            patience,
            since: None,
        }
    }

    /// How long so many batches may still wait at this time, while `more` are on their way; none if they are to be
    /// recorded now.
    pub(crate) fn wait(&mut self, batches: usize, more: usize, now: Duration) -> Option<Duration> {
        let since = *self.since.get_or_insert(now);
        let left = self.patience.saturating_sub(now.saturating_sub(since));
        (batches < ENOUGH && more > 0 && !left.is_zero()).then_some(left)
    }

    /// They are being recorded.
    pub(crate) fn recorded(&mut self) {
        self.since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PATIENCE: Duration = Duration::from_millis(40);

    #[test]
    fn batches_wait_for_others_and_not_for_long() {
        let at = Duration::from_millis;
        let mut gathering = Gathering::new(PATIENCE);
        assert_eq!(gathering.wait(1, 3, at(100)), Some(at(40)));
        assert_eq!(gathering.wait(7, 3, at(130)), Some(at(10)));
        assert_eq!(gathering.wait(8, 3, at(130)), None);
        assert_eq!(gathering.wait(7, 0, at(130)), None);
        assert_eq!(gathering.wait(7, 3, at(140)), None);
        gathering.recorded();
        assert_eq!(gathering.wait(1, 1, at(150)), Some(at(40)));
    }

    #[test]
    fn without_patience_nothing_waits() {
        let mut gathering = Gathering::new(Duration::ZERO);
        assert_eq!(gathering.wait(1, 3, Duration::ZERO), None);
    }
}
