//! Keeping the limits of an account.
//!
//! A call is counted by the destination when it arrives, which is some time between its sending and its answer.
//! So it counts here from its sending on, and what it has taken is given back as if it had arrived at the end.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeZone, Utc};
use kinfold_sync::{Clock, RetryAfter};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::manifest::{Counted, Limit, Window};

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

#[derive(Default)]
struct State {
    /// Taken by calls that are under way.
    under_way: u32,
    /// Of a rolling window: when how many came to their end, the oldest first.
    taken: VecDeque<(Duration, u32)>,
    /// Of a window by the clock: when it began, and how many were taken since, or may have arrived since.
    window: Option<(DateTime<Utc>, u32)>,
    /// Of a bucket: how many were left, and when.
    bucket: Option<(f64, Duration)>,
    /// The destination said that there are none before.
    not_before: Duration,
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

fn most(limit: &Limit) -> u32 {
    match limit.most {
        Counted::Calls(most)
        | Counted::Rows(most)
        | Counted::Points(most)
        | Counted::AtOnce(most) => most,
    }
}

impl State {
    /// How long until so many more are allowed.
    fn wait(&mut self, limit: &Limit, amount: u32, now: Duration, wall: DateTime<Utc>) -> Duration {
        let most = most(limit);
        // More than all could never be had; so much is taken as there is.
        let amount = amount.min(most);
        let held = self.not_before.saturating_sub(now);
        let counted = match limit.window {
            Window::Rolling => {
                while let Some((at, _)) = self.taken.front()
                    && at.saturating_add(limit.per) <= now
                {
                    self.taken.pop_front();
                }
                let ended: u32 = self.taken.iter().map(|(_, taken)| taken).sum();
                let mut used = ended.saturating_add(self.under_way);
                let mut wait = Duration::ZERO;
                for (at, taken) in &self.taken {
                    if used.saturating_add(amount) <= most {
                        break;
                    }
                    used = used.saturating_sub(*taken);
                    wait = at.saturating_add(limit.per).saturating_sub(now);
                }
                if used.saturating_add(amount) > most {
                    // Those under way come to their end now, or later.
                    wait = limit.per;
                }
                wait
            }
            Window::Clock(zone) => {
                let (start, end) = window_of(wall, limit.per, zone);
                if self.used_since(start).saturating_add(amount) > most {
                    (end - wall)
                        .to_std()
                        .unwrap_or_default()
                        .max(Duration::from_millis(1))
                } else {
                    Duration::ZERO
                }
            }
            Window::Bucket => {
                let left = self.level(limit, now);
                let missing = f64::from(amount) - left;
                if missing <= 1e-9 {
                    Duration::ZERO
                } else {
                    limit
                        .per
                        .mul_f64(missing / f64::from(most))
                        .max(Duration::from_millis(1))
                }
            }
        };
        held.max(counted)
    }

    fn take(&mut self, limit: &Limit, amount: u32, now: Duration, wall: DateTime<Utc>) {
        match limit.window {
            Window::Rolling => {}
            Window::Clock(zone) => {
                let (start, _) = window_of(wall, limit.per, zone);
                let used = self.used_since(start).saturating_add(amount);
                self.window = Some((start, used));
            }
            Window::Bucket => {
                let left = self.level(limit, now) - f64::from(amount);
                self.bucket = Some((left.max(0.0), now));
            }
        }
        self.under_way = self.under_way.saturating_add(amount);
    }

    /// A call has come to its end, at which it may have arrived.
    fn end(&mut self, limit: &Limit, amount: u32, now: Duration, wall: DateTime<Utc>) {
        match limit.window {
            Window::Rolling => self.taken.push_back((now, amount)),
            Window::Clock(zone) => {
                let (start, _) = window_of(wall, limit.per, zone);
                self.window = Some((start, self.used_since(start)));
            }
            Window::Bucket => {}
        }
        self.under_way = self.under_way.saturating_sub(amount);
    }

    /// How many count for the window that began then. Calls under way at its beginning may arrive in it.
    fn used_since(&self, start: DateTime<Utc>) -> u32 {
        match self.window {
            Some((begun, used)) if begun == start => used,
            _ => self.under_way,
        }
    }

    fn level(&self, limit: &Limit, now: Duration) -> f64 {
        let most = f64::from(most(limit));
        match self.bucket {
            None => most,
            Some((left, at)) => {
                let passed = now.saturating_sub(at).as_secs_f64() / limit.per.as_secs_f64();
                (left + passed * most).min(most)
            }
        }
    }
}

/// The period by the clock that a time lies in.
fn window_of(
    wall: DateTime<Utc>,
    per: Duration,
    zone: chrono_tz::Tz,
) -> (DateTime<Utc>, DateTime<Utc>) {
    let days = per.as_secs() / 86_400;
    if zone != chrono_tz::Tz::UTC && days > 0 {
        let today = wall.with_timezone(&zone).date_naive();
        let midnight = |date: chrono::NaiveDate| {
            // Where midnight does not exist, the day begins when the clocks have moved.
            (0..24).find_map(|hour| {
                let time = NaiveTime::from_hms_opt(hour, 0, 0)?;
                let found = zone.from_local_datetime(&date.and_time(time)).earliest()?;
                Some(found.with_timezone(&Utc))
            })
        };
        let end = today.checked_add_days(Days::new(days)).and_then(midnight);
        if let (Some(start), Some(end)) = (midnight(today), end) {
            return (start, end);
        }
    }
    let per = i64::try_from(per.as_millis()).unwrap_or(i64::MAX).max(1);
    let now = wall.timestamp_millis();
    let start = now - now.rem_euclid(per);
    let time = |milliseconds| DateTime::from_timestamp_millis(milliseconds).unwrap_or(wall);
    (time(start), time(start.saturating_add(per)))
}

#[cfg(test)]
mod tests {
    use kinfold_project::{FileId, Span};
    use kinfold_testkit::FakeClock;

    use super::*;

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

    /// When calls of one row each are let through, in milliseconds of a clock that begins at 0.
    fn times(limit: &Limit, calls: u32, start: DateTime<Utc>) -> Vec<u128> {
        let mut state = State::default();
        let mut now = Duration::ZERO;
        let mut times = Vec::new();
        for _ in 0..calls {
            loop {
                let wall = start + now;
                let wait = state.wait(limit, 1, now, wall);
                if wait.is_zero() {
                    state.take(limit, 1, now, wall);
                    state.end(limit, 1, now, wall);
                    break;
                }
                now += wait;
            }
            times.push(now.as_millis());
        }
        times
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap_or_default()
    }

    #[test]
    fn a_rolling_window_never_sees_more() {
        let limit = limit(Counted::Calls(3), 10, Window::Rolling);
        assert_eq!(
            times(&limit, 7, at(5)),
            [0, 0, 0, 10_000, 10_000, 10_000, 20_000]
        );
    }

    #[test]
    fn a_window_by_the_clock_begins_at_multiples() {
        let limit = limit(Counted::Calls(2), 10, Window::Clock(chrono_tz::Tz::UTC));
        assert_eq!(times(&limit, 5, at(7)), [0, 0, 3_000, 3_000, 13_000]);
    }

    #[test]
    fn what_is_under_way_may_arrive_at_the_last_moment() {
        let rolling = limit(Counted::Calls(2), 10, Window::Rolling);
        let second = Duration::from_secs;
        let mut state = State::default();
        state.take(&rolling, 1, second(0), at(0));
        state.take(&rolling, 1, second(1), at(1));
        // Whenever it arrives, it does so now or later.
        assert_eq!(state.wait(&rolling, 1, second(3), at(3)), second(10));
        state.end(&rolling, 1, second(4), at(4));
        assert_eq!(state.wait(&rolling, 1, second(5), at(5)), second(9));
        state.end(&rolling, 1, second(6), at(6));
        assert_eq!(state.wait(&rolling, 1, second(14), at(14)), second(0));
        assert_eq!(state.wait(&rolling, 2, second(14), at(14)), second(2));

        let clock = limit(Counted::Calls(2), 10, Window::Clock(chrono_tz::Tz::UTC));
        let mut state = State::default();
        state.take(&clock, 1, second(9), at(9));
        // It is under way when the next window begins, and so counts for both.
        assert_eq!(state.wait(&clock, 1, second(11), at(11)), second(0));
        state.take(&clock, 1, second(11), at(11));
        state.end(&clock, 1, second(12), at(12));
        assert_eq!(state.wait(&clock, 1, second(12), at(12)), second(8));
        state.end(&clock, 1, second(13), at(13));
        assert_eq!(state.wait(&clock, 2, second(20), at(20)), second(0));
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

    #[test]
    fn a_bucket_is_refilled_evenly() {
        let limit = limit(Counted::Calls(2), 10, Window::Bucket);
        assert_eq!(times(&limit, 4, at(0)), [0, 0, 5_000, 10_000]);
    }

    #[test]
    fn days_begin_at_midnight_of_their_zone() {
        let zone = chrono_tz::America::New_York;
        let day = Duration::from_secs(86_400);
        // Noon in winter, and the day on which clocks go forward.
        for (wall, start, end) in [
            (
                "2026-01-15T17:00:00Z",
                "2026-01-15T05:00:00Z",
                "2026-01-16T05:00:00Z",
            ),
            (
                "2026-03-08T17:00:00Z",
                "2026-03-08T05:00:00Z",
                "2026-03-09T04:00:00Z",
            ),
        ] {
            let time = |text: &str| text.parse::<DateTime<Utc>>().unwrap_or_default();
            assert_eq!(window_of(time(wall), day, zone), (time(start), time(end)));
        }
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
