//! What the slots of one delivery share: how many requests it may have in flight, the run of failures, the
//! decision to stop.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::budget::{Membership, NoPermit, Permit};
use crate::concurrency::{Concurrency, Load};
use crate::error_rate::Recent;
use crate::{Budget, CancelToken, Clock, DeliveryPolicy, FailureClass, Outcome, StoppedEarly};

struct State {
    concurrency: Concurrency,
    /// Requests that have a slot: in flight, or waiting for the budget.
    admitted: usize,
    consecutive_failures: u32,
    recent: Recent,
    stopped: Option<StoppedEarly>,
}

pub(crate) struct Health<'a> {
    clock: &'a dyn Clock,
    policy: &'a DeliveryPolicy,
    budget: Membership,
    /// Ends every wait: cancelled by the caller's token, or by the first reason to stop.
    halt: CancelToken,
    state: Mutex<State>,
    /// A slot is free, or the limit has changed.
    slots: Notify,
    pub(crate) requests: AtomicU64,
    pub(crate) polls: AtomicU64,
    pub(crate) rate_limited: AtomicU64,
}

impl<'a> Health<'a> {
    /// The shared state of a delivery to a destination that takes at most `max_in_flight` requests.
    pub(crate) fn new(
        clock: &'a dyn Clock,
        budget: &Budget,
        policy: &'a DeliveryPolicy,
        max_in_flight: usize,
        cancel: &CancelToken,
    ) -> Self {
        let ceiling = policy.concurrency.min(max_in_flight);
        Self {
            clock,
            policy,
            budget: budget.join(),
            halt: cancel.child_token(),
            state: Mutex::new(State {
                concurrency: Concurrency::new(policy.concurrency_start, ceiling),
                admitted: 0,
                consecutive_failures: 0,
                recent: Recent::default(),
                stopped: None,
            }),
            slots: Notify::new(),
            requests: AtomicU64::new(0),
            polls: AtomicU64::new(0),
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

    /// Most batches in flight, or waiting to be recorded, now.
    pub(crate) fn limit(&self) -> usize {
        self.state().concurrency.limit()
    }

    /// Most requests that were in flight together.
    pub(crate) fn most_in_flight(&self) -> usize {
        self.state().concurrency.most_in_flight()
    }

    /// Waits; false if the delivery halted before or meanwhile.
    pub(crate) async fn wait(&self, duration: Duration) -> bool {
        tokio::select! {
            biased;
            () = self.halt.cancelled() => false,
            () = self.clock.sleep(duration) => true,
        }
    }

    /// Waits until a request with so many rows may be sent: for a slot, for the end of a rate limit, for
    /// the budget. `None` if the delivery halted.
    pub(crate) async fn may_send(&self, rows: usize) -> Option<Request<'_>> {
        self.admit(rows, &self.requests).await
    }

    /// The same for a question about a job.
    pub(crate) async fn may_poll(&self) -> Option<Request<'_>> {
        self.admit(0, &self.polls).await
    }

    async fn admit(&self, rows: usize, counter: &AtomicU64) -> Option<Request<'_>> {
        let begun = self.clock.elapsed();
        let slot = self.slot().await?;
        let limit = self.policy.max_throttle;
        let asked = self
            .budget
            .acquire(rows as u64, self.clock, &self.halt, limit);
        let permit = match asked.await {
            Ok(permit) => permit,
            Err(NoPermit::Halted) => return None,
            Err(NoPermit::Held) => {
                // By a rate limit that another delivery to the account may have met.
                self.stop(StoppedEarly::Throttled { limit });
                return None;
            }
        };
        let now = self.clock.elapsed();
        let free_from = self.budget.held_until().clamp(begun, now);
        counter.fetch_add(1, Ordering::Relaxed);
        self.state().concurrency.started();
        Some(Request {
            slot,
            _permit: permit,
            sent: now,
            waited: now.saturating_sub(begun),
            waited_in_line: now.saturating_sub(free_from),
            load: Load::Nothing,
        })
    }

    async fn slot(&self) -> Option<Slot<'_>> {
        loop {
            let mut changed = std::pin::pin!(self.slots.notified());
            changed.as_mut().enable();
            if self.halted() {
                return None;
            }
            {
                let mut state = self.state();
                if state.admitted < state.concurrency.limit() {
                    state.admitted += 1;
                    return Some(Slot { health: self });
                }
            }
            tokio::select! {
                biased;
                () = self.halt.cancelled() => return None,
                () = &mut changed => {}
            }
        }
    }

    /// The destination answered.
    pub(crate) fn answered(&self) {
        self.state().consecutive_failures = 0;
    }

    /// A row got an outcome; too many rejected ones end the delivery.
    pub(crate) fn settled(&self, outcome: &Outcome) {
        let Some(limit) = &self.policy.max_error_rate else {
            return;
        };
        let not_sent = |class| class == FailureClass::NotSent;
        if outcome.failure().is_some_and(|(class, _)| not_sent(class)) {
            return;
        }
        let rejected = matches!(outcome, Outcome::Rejected { .. });
        let reason = self.state().recent.add(limit, rejected);
        if let Some(reason) = reason {
            self.stop(reason);
        }
    }

    /// Holds all requests of all deliveries to the account for so long.
    pub(crate) fn throttle(&self, wait: Duration) {
        self.rate_limited.fetch_add(1, Ordering::Relaxed);
        self.budget.hold(self.clock.elapsed().saturating_add(wait));
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

/// A request that has a slot.
struct Slot<'a> {
    health: &'a Health<'a>,
}

impl Drop for Slot<'_> {
    fn drop(&mut self) {
        let mut state = self.health.state();
        state.admitted = state.admitted.saturating_sub(1);
        drop(state);
        self.health.slots.notify_waiters();
    }
}

/// A request that may be sent now, and is in flight until dropped.
pub(crate) struct Request<'a> {
    slot: Slot<'a>,
    _permit: Permit<'a>,
    sent: Duration,
    /// How long it had to wait.
    pub(crate) waited: Duration,
    /// The part of it that was not for a rate limit.
    pub(crate) waited_in_line: Duration,
    /// What its answer says about the load of the destination.
    pub(crate) load: Load,
}

impl Drop for Request<'_> {
    fn drop(&mut self) {
        let health = self.slot.health;
        let now = health.clock.elapsed();
        let round_trip = now.saturating_sub(self.sent);
        health.state().concurrency.ended(now, round_trip, self.load);
    }
}
