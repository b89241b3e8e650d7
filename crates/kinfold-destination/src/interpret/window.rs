//! How much of a limit is taken, by the way in which its period moves.

use std::collections::VecDeque;
use std::time::Duration;

use chrono::{DateTime, Days, NaiveTime, TimeZone, Utc};

use crate::manifest::{Counted, Limit, Window};

/// What has been taken of a limit.
#[derive(Default)]
pub(super) struct State {
    /// Taken by calls that are under way.
    under_way: u32,
    /// Of a rolling window: when how many came to their end, the oldest first.
    taken: VecDeque<(Duration, u32)>,
    /// Of a window by the clock: when it began, and how many were taken since, or may have arrived since.
    window: Option<(DateTime<Utc>, u32)>,
    /// Of a bucket: how many were left, and when.
    bucket: Option<(f64, Duration)>,
    /// The destination said that there are none before.
    pub(super) not_before: Duration,
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
    pub(super) fn wait(
        &mut self,
        limit: &Limit,
        amount: u32,
        now: Duration,
        wall: DateTime<Utc>,
    ) -> Duration {
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

    pub(super) fn take(&mut self, limit: &Limit, amount: u32, now: Duration, wall: DateTime<Utc>) {
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
    pub(super) fn end(&mut self, limit: &Limit, amount: u32, now: Duration, wall: DateTime<Utc>) {
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
}
