//! What the slots of one delivery share: the rate limit, the run of failures, the decision to stop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::{CancelToken, Clock, DeliveryPolicy, FailureClass, StoppedEarly};

#[derive(Default)]
struct State {
    /// No request before this point of the clock: a rate limit holds for all slots.
    not_before: Duration,
    consecutive_failures: u32,
    stopped: Option<StoppedEarly>,
}

pub(crate) struct Health<'a> {
    clock: &'a dyn Clock,
    policy: &'a DeliveryPolicy,
    /// Ends every wait: cancelled by the caller's token, or by the first reason to stop.
    halt: CancelToken,
    state: Mutex<State>,
    pub(crate) requests: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
}

impl<'a> Health<'a> {
    pub(crate) fn new(
        clock: &'a dyn Clock,
        policy: &'a DeliveryPolicy,
        cancel: &CancelToken,
    ) -> Self {
        Self {
            clock,
            policy,
            halt: cancel.child_token(),
            state: Mutex::default(),
            requests: AtomicU64::new(0),
            rate_limited: AtomicU64::new(0),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing more shall be sent.
    pub(crate) fn halted(&self) -> bool {
        self.halt.is_cancelled()
    }

    /// Stops the delivery. The first reason stays.
    pub(crate) fn stop(&self, reason: StoppedEarly) {
        self.state().stopped.get_or_insert(reason);
        self.halt.cancel();
    }

    /// The reason to stop, if there was one besides the caller's wish.
    pub(crate) fn take_reason(&self) -> Option<StoppedEarly> {
        self.state().stopped.take()
    }

    /// Waits; false if the delivery halted before or meanwhile.
    pub(crate) async fn wait(&self, duration: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.halt.cancelled() => false,
            () = self.clock.sleep(duration) => true,
        }
    }

    /// Waits until the rate limit, if there is one, is over, and says for how long; `None` if the delivery
    /// halted.
    pub(crate) async fn may_send(&self) -> Option<Duration> {
        let begun = self.clock.elapsed();
        while !self.halted() {
            let now = self.clock.elapsed();
            let wait = self.state().not_before.saturating_sub(now);
            if wait.is_zero() {
                self.requests.fetch_add(1, Ordering::Relaxed);
                return Some(now.saturating_sub(begun));
            }
            if !self.wait(wait).await {
                return None;
            }
        }
        None
    }

    /// The destination answered.
    pub(crate) fn answered(&self) {
        self.state().consecutive_failures = 0;
    }

    /// Holds all requests for so long.
    pub(crate) fn throttle(&self, wait: Duration) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
        let until = self.clock.elapsed().saturating_add(wait);
        let mut state = self.state();
        state.not_before = state.not_before.max(until);
    }

    /// A request failed for a reason that passes; too many in a row end the delivery.
    pub(crate) fn failed(&self, class: FailureClass, message: &str) {
        let failures = {
            let mut state = self.state();
            state.consecutive_failures = state.consecutive_failures.saturating_add(1);
            state.consecutive_failures
        };
        if failures >= self.policy.max_consecutive_failures {
            self.stop(StoppedEarly::Down {
                class,
                message: message.to_owned(),
            });
        }
    }
}
