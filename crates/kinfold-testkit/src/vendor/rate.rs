//! Whether so many requests in a period were not exceeded.

use std::collections::VecDeque;
use std::time::Duration;

/// Counts requests by the time at which they arrive.
#[derive(Clone, Debug)]
pub struct RateCheck {
    most: usize,
    per: Duration,
    /// Where periods begin that do not move: this much after a multiple of their length.
    offset: Option<Duration>,
    came: VecDeque<Duration>,
    longest: usize,
}

impl RateCheck {
    /// No period, wherever it begins, may see more.
    #[must_use]
    pub fn rolling(most: usize, per: Duration) -> Self {
        Self {
            most,
            per,
            offset: None,
            came: VecDeque::new(),
            longest: 0,
        }
    }

    /// Periods begin so long after the multiples of their length.
    #[must_use]
    pub fn fixed(most: usize, per: Duration, offset: Duration) -> Self {
        Self {
            offset: Some(offset),
            ..Self::rolling(most, per)
        }
    }

    /// Counts a request and says how many more than allowed there are.
    pub fn came(&mut self, at: Duration) -> usize {
        let begin = self.begin(at);
        while self.came.front().is_some_and(|first| *first < begin) {
            self.came.pop_front();
        }
        self.came.push_back(at);
        self.longest = self.longest.max(self.came.len());
        self.came.len().saturating_sub(self.most)
    }

    /// How many are left in the period of the last request.
    #[must_use]
    pub fn left(&self) -> usize {
        self.most.saturating_sub(self.came.len())
    }

    /// When the period ends that does not move; one that does, one length from now.
    #[must_use]
    pub fn end(&self, at: Duration) -> Duration {
        match self.offset {
            Some(_) => self.begin(at) + self.per,
            None => at + self.per,
        }
    }

    /// Most requests that a period has seen.
    #[must_use]
    pub fn most_seen(&self) -> usize {
        self.longest
    }

    fn begin(&self, at: Duration) -> Duration {
        match self.offset {
            Some(offset) => {
                let length = self.per.as_nanos().max(1);
                // One period earlier, so that what is before the first offset has one too.
                let since = (at + self.per).saturating_sub(offset).as_nanos() % length;
                at.saturating_sub(Duration::from_nanos(
                    u64::try_from(since).unwrap_or(u64::MAX),
                ))
            }
            // A period ends just before its length is over.
            None => (at + Duration::from_nanos(1)).saturating_sub(self.per),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn every_period_is_looked_at() {
        let mut rolling = RateCheck::rolling(2, seconds(10));
        let over: Vec<usize> = [0, 9, 10, 18, 19]
            .map(|at| rolling.came(seconds(at)))
            .into();
        assert_eq!(over, [0, 0, 0, 1, 1]);
        assert_eq!(rolling.most_seen(), 3);
        let mut fixed = RateCheck::fixed(2, seconds(10), seconds(3));
        let over: Vec<usize> = [1, 2, 3, 4, 12, 13]
            .map(|at| fixed.came(seconds(at)))
            .into();
        assert_eq!(over, [0, 0, 0, 0, 1, 0]);
        assert_eq!(fixed.end(seconds(14)), seconds(23));
    }
}
