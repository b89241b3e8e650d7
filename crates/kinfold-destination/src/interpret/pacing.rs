//! Keeping the limits of an account.
//!
//! A call is counted by the destination when it arrives, which is some time between its sending and its answer.
//! So it counts here from its sending on, and what it has taken is given back as if it had arrived at the end.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kinfold_sync::{Clock, RetryAfter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::window::State;
use crate::manifest::{Counted, Limit};

/// A wait up to this long is waited here; for a longer one the delivery is told.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// The limits of one account, shared by all syncs that use it.
pub(super) struct Pacing {
    limits: Vec<Kept>,
    /// The destination said to calls of these groups that there are none before.
    held: Mutex<HashMap<Option<String>, Duration>>,
    clock: Arc<dyn Clock>,
}

struct Kept {
    limit: Limit,
    at_once: Option<Arc<Semaphore>>,
    state: Mutex<State>,
}

/// What one call uses up beside being a call.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Cost {
    /// Rows that it changes.
    pub(super) rows: u32,
    /// Points that it counts as.
    pub(super) points: u32,
}

/// A call that is under way, until dropped.
pub(super) struct Permits<'a> {
    pacing: &'a Pacing,
    /// Positions of limits, and how much was taken of each.
    taken: Vec<(usize, u32)>,
    _held: Vec<OwnedSemaphorePermit>,
}

impl Drop for Permits<'_> {
    fn drop(&mut self) {
        let (now, wall) = (self.pacing.clock.elapsed(), self.pacing.clock.wall());
        for (at, amount) in &self.taken {
            if let Some(kept) = self.pacing.limits.get(*at) {
                kept.state().end(&kept.limit, *amount, now, wall);
            }
        }
    }
}

impl Kept {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pacing {
    pub(super) fn new(limits: &[Limit], clock: Arc<dyn Clock>) -> Self {
        let kept = |limit: &Limit| Kept {
            at_once: match limit.most {
                Counted::AtOnce(most) => {
                    let most = usize::try_from(most)
                        .unwrap_or(usize::MAX)
                        .min(Semaphore::MAX_PERMITS);
                    Some(Arc::new(Semaphore::new(most)))
                }
                _ => None,
            },
            limit: limit.clone(),
            state: Mutex::new(State::default()),
        };
        Self {
            limits: limits.iter().map(kept).collect(),
            held: Mutex::default(),
            clock,
        }
    }

    /// Waits until a call may be sent.
    ///
    /// # Errors
    /// That is not soon: after this wait it may be.
    pub(super) async fn acquire(
        &self,
        group: Option<&str>,
        cost: Cost,
    ) -> Result<Permits<'_>, RetryAfter> {
        let mut held = Vec::new();
        for (_, kept) in self.of(group) {
            if let Some(semaphore) = &kept.at_once
                && let Ok(permit) = Arc::clone(semaphore).acquire_owned().await
            {
                held.push(permit);
            }
        }
        loop {
            let wait = match self.take(group, cost) {
                Ok(taken) => {
                    return Ok(Permits {
                        pacing: self,
                        taken,
                        _held: held,
                    });
                }
                Err(wait) => wait,
            };
            if wait > LONGEST_WAIT {
                return Err(RetryAfter::Delay(wait));
            }
            self.clock.sleep(wait).await;
        }
    }

    fn of<'a>(&'a self, group: Option<&'a str>) -> impl Iterator<Item = (usize, &'a Kept)> {
        self.limits.iter().enumerate().filter(move |(_, kept)| {
            kept.limit.group.is_none() || kept.limit.group.as_deref() == group
        })
    }

    fn held(&self) -> MutexGuard<'_, HashMap<Option<String>, Duration>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The destination has refused a call and said for how long: calls of its group, those of the same rows too,
    /// would be refused until then.
    pub(super) fn hold(&self, group: Option<&str>, wait: RetryAfter) {
        let until = self.clock.elapsed().saturating_add(self.length(wait));
        let mut held = self.held();
        let known = held.entry(group.map(str::to_owned)).or_default();
        *known = until.max(*known);
    }

    fn length(&self, wait: RetryAfter) -> Duration {
        match wait {
            RetryAfter::Delay(delay) => delay,
            RetryAfter::At(time) => (time - self.clock.wall()).to_std().unwrap_or_default(),
        }
    }

    /// Takes one call from every limit, or from none and says how long to wait.
    fn take(&self, group: Option<&str>, cost: Cost) -> Result<Vec<(usize, u32)>, Duration> {
        let now = self.clock.elapsed();
        let wall = self.clock.wall();
        // All are locked in one order, so that two calls cannot each take what the other needs.
        let mut states: Vec<(usize, &Kept, MutexGuard<'_, State>, u32)> = self
            .of(group)
            .filter_map(|(at, kept)| {
                let amount = match kept.limit.most {
                    Counted::Calls(_) => 1,
                    Counted::Rows(_) => cost.rows,
                    Counted::Points(_) => cost.points,
                    Counted::AtOnce(_) => return None,
                };
                (amount > 0).then(|| (at, kept, kept.state(), amount))
            })
            .collect();
        let held = self.held().get(&group.map(str::to_owned)).copied();
        let wait = states
            .iter_mut()
            .map(|(_, kept, state, amount)| state.wait(&kept.limit, *amount, now, wall))
            .max()
            .unwrap_or_default()
            .max(held.unwrap_or_default().saturating_sub(now));
        if !wait.is_zero() {
            return Err(wait);
        }
        let mut taken = Vec::with_capacity(states.len());
        for (at, kept, state, amount) in &mut states {
            state.take(&kept.limit, *amount, now, wall);
            taken.push((*at, *amount));
        }
        Ok(taken)
    }

    /// The destination said that a limit is used up. `which` counts the limits that are not at once, in order.
    pub(super) fn used_up(&self, at: usize, reset: RetryAfter) {
        let until = self.clock.elapsed().saturating_add(self.length(reset));
        if let Some(kept) = self.limits.get(at) {
            let mut state = kept.state();
            state.not_before = state.not_before.max(until);
        }
    }
}

#[cfg(test)]
mod tests {
    use kinfold_project::{FileId, Span};
    use kinfold_testkit::FakeClock;

    use super::*;
    use crate::manifest::Window;

    fn limit(most: Counted, per: u64, window: Window) -> Limit {
        Limit {
            most,
            per: Duration::from_secs(per),
            window,
            group: None,
            remaining: None,
            reset: None,
            span: Span::new(FileId(0), 0, 0),
        }
    }

    #[tokio::test]
    async fn a_refusal_holds_its_group() {
        let clock = Arc::new(FakeClock::new());
        let pacing = Pacing::new(&[], Arc::clone(&clock) as Arc<dyn Clock>);
        pacing.hold(Some("search"), RetryAfter::Delay(Duration::from_secs(60)));
        pacing.hold(Some("search"), RetryAfter::Delay(Duration::from_secs(20)));
        assert!(pacing.acquire(None, rows(1)).await.is_ok());
        let refused = pacing.acquire(Some("search"), rows(1)).await.err();
        assert_eq!(refused, Some(RetryAfter::Delay(Duration::from_secs(60))));
        clock.sleep(Duration::from_secs(58)).await;
        assert!(pacing.acquire(Some("search"), rows(1)).await.is_ok());
        assert_eq!(clock.elapsed(), Duration::from_secs(60));
    }

    #[tokio::test]
    async fn a_long_wait_is_told_and_a_short_one_waited() {
        let clock = Arc::new(FakeClock::new());
        let pacing = Pacing::new(
            &[
                limit(Counted::Calls(1), 3, Window::Rolling),
                limit(Counted::Rows(10), 3_600, Window::Rolling),
            ],
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        assert!(pacing.acquire(None, rows(5)).await.is_ok());
        assert!(pacing.acquire(None, rows(5)).await.is_ok());
        assert!(clock.elapsed() >= Duration::from_secs(3));
        assert!(
            matches!(pacing.acquire(None, rows(1)).await, Err(RetryAfter::Delay(wait)) if wait > Duration::from_secs(3_000))
        );
        // What was refused has used nothing up.
        assert!(pacing.acquire(None, rows(0)).await.is_ok());
    }

    fn rows(rows: u32) -> Cost {
        Cost { rows, points: 1 }
    }

    #[tokio::test]
    async fn calls_use_up_points_and_each_is_one_call() {
        let clock = Arc::new(FakeClock::new());
        let pacing = Pacing::new(
            &[
                limit(Counted::Calls(3), 3_600, Window::Rolling),
                limit(Counted::Points(50), 60, Window::Rolling),
            ],
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        let points = |points| Cost { rows: 0, points };
        assert!(pacing.acquire(None, points(40)).await.is_ok());
        assert!(pacing.acquire(None, points(10)).await.is_ok());
        assert!(
            matches!(pacing.acquire(None, points(1)).await, Err(RetryAfter::Delay(wait)) if wait <= Duration::from_secs(60))
        );
        clock.sleep(Duration::from_secs(60)).await;
        assert!(pacing.acquire(None, points(1)).await.is_ok());
        assert!(
            matches!(pacing.acquire(None, points(1)).await, Err(RetryAfter::Delay(wait)) if wait > Duration::from_secs(3_000))
        );
    }

    #[tokio::test]
    async fn the_destination_corrects_the_count() {
        let clock = Arc::new(FakeClock::new());
        let pacing = Pacing::new(
            &[limit(Counted::Calls(100), 10, Window::Rolling)],
            Arc::clone(&clock) as Arc<dyn Clock>,
        );
        pacing.used_up(0, RetryAfter::Delay(Duration::from_secs(60)));
        assert!(pacing.acquire(None, rows(0)).await.is_err());
    }
}
