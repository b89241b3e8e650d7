//! What was begun and could not be finished.
//!
//! A refusal because of a limit means that nothing was done, so what calls before it have found and done still
//! stands: the rows go on where they were stopped, and nothing is looked up, or made, a second time. The same
//! holds for records that were found and then could not be changed.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What was found longer ago may have changed.
const LONGEST: Duration = Duration::from_secs(15 * 60);
/// So many are kept; for those that are forgotten all calls are made again. A delivery has hardly more in flight.
const MOST: usize = 64;

/// Things by their names, for a while.
pub(super) struct Unfinished<K, T> {
    things: Mutex<VecDeque<(K, Duration, T)>>,
}

impl<K: PartialEq, T> Unfinished<K, T> {
    pub(super) fn new() -> Self {
        Self {
            things: Mutex::new(VecDeque::new()),
        }
    }

    fn things(&self) -> MutexGuard<'_, VecDeque<(K, Duration, T)>> {
        self.things.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn put(&self, name: K, now: Duration, thing: T) {
        let mut things = self.things();
        things.retain(|(known, ..)| *known != name);
        if things.len() >= MOST {
            things.pop_front();
        }
        things.push_back((name, now, thing));
    }

    /// Takes a thing out, unless it is too old.
    pub(super) fn take(&self, name: &K, now: Duration) -> Option<T> {
        let mut things = self.things();
        things.retain(|(_, at, _)| now.saturating_sub(*at) <= LONGEST);
        let at = things.iter().position(|(known, ..)| known == name)?;
        things.remove(at).map(|(.., thing)| thing)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn things_are_kept_for_a_while_and_not_without_end() {
        let unfinished = Unfinished::new();
        let second = Duration::from_secs;
        unfinished.put("a", second(0), 1);
        unfinished.put("b", second(1), 2);
        unfinished.put("a", second(2), 3);
        assert_eq!(unfinished.take(&"a", second(900)), Some(3));
        assert_eq!(unfinished.take(&"a", second(900)), None);
        assert_eq!(unfinished.take(&"b", second(902)), None);
        let many = Unfinished::new();
        for name in 0..=MOST {
            many.put(name, second(0), name);
        }
        assert_eq!(many.take(&0, second(0)), None);
        assert_eq!(many.take(&1, second(0)), Some(1));
    }
}
