//! How long to wait before the next attempt.

use std::time::Duration;

use chrono::{DateTime, Utc};

use crate::{JobPolicy, RetryAfter, RetryPolicy};

/// A rate limit that says "now" or nothing is still given this long, or a loop would spin.
const SHORTEST_THROTTLE: Duration = Duration::from_millis(100);

/// The upper bound of the wait after `failures` failures in a row.
pub(crate) fn bound(retry: &RetryPolicy, failures: u32) -> Duration {
    let doublings = failures.saturating_sub(1).min(31);
    retry
        .base
        .saturating_mul(1_u32 << doublings)
        .min(retry.max_wait)
}

/// Full jitter: `draw`, from 0 to 1, of the bound.
pub(crate) fn wait(retry: &RetryPolicy, failures: u32, draw: f64) -> Duration {
    bound(retry, failures).mul_f64(draw.clamp(0.0, 1.0))
}

/// How long a rate limit asks to wait; without its word, the bound itself, since jitter towards zero would
/// only be answered by the next refusal.
pub(crate) fn throttle(
    retry: &RetryPolicy,
    refusals: u32,
    asked: Option<RetryAfter>,
    now: DateTime<Utc>,
) -> Duration {
    match asked {
        Some(RetryAfter::Delay(delay)) => delay,
        Some(RetryAfter::At(time)) => (time - now).to_std().unwrap_or(Duration::ZERO),
        None => bound(retry, refusals),
    }
    .max(SHORTEST_THROTTLE)
}

/// How long to wait before a job is asked about again, after so many questions without an end. Where the
/// destination does not say, `draw`, from 0 to 1, shortens the wait by up to a half.
pub(crate) fn poll(
    policy: &JobPolicy,
    questions: u32,
    asked: Option<RetryAfter>,
    now: DateTime<Utc>,
    draw: f64,
) -> Duration {
    match asked {
        Some(RetryAfter::Delay(delay)) => delay,
        Some(RetryAfter::At(time)) => (time - now).to_std().unwrap_or(Duration::ZERO),
        None => policy
            .min_wait
            .saturating_mul(1_u32 << questions.min(31))
            .min(policy.max_wait)
            .mul_f64(1.0 - draw.clamp(0.0, 1.0) / 2.0),
    }
    .max(policy.min_wait)
    .max(SHORTEST_THROTTLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy() -> RetryPolicy {
        RetryPolicy {
            max_attempts: 5,
            max_elapsed: Duration::from_secs(60),
            base: Duration::from_millis(500),
            max_wait: Duration::from_secs(30),
        }
    }

    #[test]
    fn the_bound_doubles_up_to_its_maximum() {
        let bounds: Vec<u128> = (1..=8)
            .map(|failures| bound(&policy(), failures).as_millis())
            .collect();
        assert_eq!(bounds, [500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(bound(&policy(), u32::MAX), Duration::from_secs(30));
    }

    #[test]
    fn jitter_is_a_share_of_the_bound() {
        assert_eq!(wait(&policy(), 3, 0.0), Duration::ZERO);
        assert_eq!(wait(&policy(), 3, 0.5), Duration::from_secs(1));
        assert_eq!(wait(&policy(), 3, 7.0), Duration::from_secs(2));
    }

    #[test]
    fn a_job_is_asked_about_less_and_less_often() {
        let policy = JobPolicy {
            min_wait: Duration::from_secs(2),
            max_wait: Duration::from_secs(30),
            patience: Duration::from_secs(600),
        };
        let now = DateTime::UNIX_EPOCH;
        let waits = |draw| -> Vec<u64> {
            let wait = |questions| poll(&policy, questions, None, now, draw).as_secs();
            [0, 1, 2, 3, 4, 5, u32::MAX].map(wait).to_vec()
        };
        assert_eq!(waits(0.0), [2, 4, 8, 16, 30, 30, 30]);
        assert_eq!(waits(1.0), [2, 2, 4, 8, 15, 15, 15]);
        let asked = |seconds| Some(RetryAfter::Delay(Duration::from_secs(seconds)));
        assert_eq!(poll(&policy, 0, asked(90), now, 1.0).as_secs(), 90);
        assert_eq!(poll(&policy, 9, asked(0), now, 1.0).as_secs(), 2);
        let past = Some(RetryAfter::At(now - chrono::TimeDelta::seconds(9)));
        assert_eq!(poll(&policy, 9, past, now, 1.0).as_secs(), 2);
    }

    #[test]
    fn a_date_is_waited_for_and_a_past_date_is_not() {
        let now = DateTime::UNIX_EPOCH;
        let at = |seconds| Some(RetryAfter::At(now + chrono::TimeDelta::seconds(seconds)));
        assert_eq!(throttle(&policy(), 1, at(90), now), Duration::from_secs(90));
        assert_eq!(throttle(&policy(), 1, at(-90), now), SHORTEST_THROTTLE);
        assert_eq!(throttle(&policy(), 2, None, now), Duration::from_secs(1));
    }
}
