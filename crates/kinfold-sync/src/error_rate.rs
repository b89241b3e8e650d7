//! How many of the last rows were rejected.

use std::collections::VecDeque;

use crate::{ErrorRate, StoppedEarly};

/// The window holds so many times the least number of rows.
const WINDOW: u64 = 10;

/// The last rows with an outcome, as runs of rows that went the same way.
#[derive(Default)]
pub(crate) struct Recent {
    runs: VecDeque<(bool, u64)>,
    rows: u64,
    rejected: u64,
}

impl Recent {
    /// Takes in a row, and says whether the last rows are too bad to go on.
    pub(crate) fn add(&mut self, limit: &ErrorRate, rejected: bool) -> Option<StoppedEarly> {
        match self.runs.back_mut() {
            Some((same, rows)) if *same == rejected => *rows += 1,
            _ => self.runs.push_back((rejected, 1)),
        }
        self.rows += 1;
        self.rejected += u64::from(rejected);
        let least = limit.min_rows.max(1);
        while self.rows > least.saturating_mul(WINDOW) {
            self.forget_oldest();
        }
        (self.rows >= least && is_more(self.rejected, limit.share, self.rows)).then(|| {
            let percent = self.rejected.saturating_mul(100) / self.rows.max(1);
            StoppedEarly::ErrorRate {
                share_percent: u32::try_from(percent).unwrap_or(100),
                rows: self.rows,
            }
        })
    }

    fn forget_oldest(&mut self) {
        if let Some((rejected, rows)) = self.runs.front_mut() {
            self.rows -= 1;
            self.rejected -= u64::from(*rejected);
            *rows -= 1;
            if *rows == 0 {
                self.runs.pop_front();
            }
        }
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a row in more than 2^52 makes no difference"
)]
fn is_more(part: u64, share: f64, all: u64) -> bool {
    part as f64 > share * all as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_share_is_that_of_the_last_rows(
            rows in prop::collection::vec(any::<bool>(), 0..300),
            min_rows in 0_u64..12,
            share in 0.0..1.0_f64,
        ) {
            let mut recent = Recent::default();
            let limit = ErrorRate { share, min_rows };
            for (index, rejected) in rows.iter().enumerate() {
                let stop = recent.add(&limit, *rejected);
                let seen = rows.get(..=index).unwrap_or_default();
                let window = usize::try_from(min_rows.max(1) * WINDOW).unwrap_or(usize::MAX);
                let last = seen.get(seen.len().saturating_sub(window)..).unwrap_or_default();
                let bad = last.iter().filter(|rejected| **rejected).count() as u64;
                let all = last.len() as u64;
                let expected = all >= min_rows.max(1) && is_more(bad, share, all);
                prop_assert_eq!(stop.is_some(), expected);
                if let Some(StoppedEarly::ErrorRate { share_percent, rows }) = stop {
                    prop_assert_eq!(u64::from(share_percent), bad * 100 / all);
                    prop_assert_eq!(rows, all);
                }
            }
        }
    }
}
