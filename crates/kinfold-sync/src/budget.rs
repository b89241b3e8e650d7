//! What one account at a destination allows, shared by all deliveries to it.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;

use crate::{CancelToken, Clock};

/// Limits of one account. Without a limit it is not limited.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BudgetOptions {
    /// Most requests in any period of this length; repetitions, halves and questions about jobs included.
    pub requests: Option<(u32, Duration)>,
    /// Most rows in any period of this length, those of repetitions included.
    pub rows: Option<(u32, Duration)>,
    /// Most requests at a time.
    pub max_in_flight: Option<usize>,
}

/// The requests and rows that one account at a destination allows. Copies are the same budget: give one to
/// every delivery to the account.
///
/// Requests and rows come from token buckets in which a token is back one period after it was taken, so
/// that no period, wherever it begins, sees more than the limit. Waiting deliveries take turns, and the
/// requests of each go in the order in which they asked; so a delivery that waits is passed at most once by
/// each of the others. Of the requests at a time, a delivery has at most an equal share, rounded up: one
/// whose requests hang keeps nobody out. A rate limit that one delivery meets holds all of them.
///
/// Deliveries that share a budget must have clocks with the same origin, as all
/// [`SystemClock`](crate::SystemClock)s have.
#[derive(Clone)]
pub struct Budget {
    shared: Arc<Shared>,
}

struct Shared {
    max_in_flight: usize,
    /// Most rows of one request: more could never be paid for.
    max_rows: usize,
    state: Mutex<State>,
    /// Somebody's turn may have come.
    changed: Notify,
}

struct State {
    requests: Option<Bucket>,
    rows: Option<Bucket>,
    /// No request before this point of the clock: a rate limit.
    not_before: Duration,
    in_flight: usize,
    members: BTreeMap<u64, Member>,
    /// Members with requests that wait, those that have waited for their turn longest first.
    turns: VecDeque<u64>,
    next_id: u64,
}

/// A delivery.
#[derive(Default)]
struct Member {
    in_flight: usize,
    /// Requests that wait, in order.
    waiting: VecDeque<u64>,
}

/// Tokens that come back one period after they were taken.
struct Bucket {
    limit: u64,
    period: Duration,
    left: u64,
    /// When tokens come back, and how many.
    taken: VecDeque<(Duration, u64)>,
}

impl Bucket {
    fn new((limit, period): (u32, Duration)) -> Self {
        let limit = u64::from(limit.max(1));
        Self {
            limit,
            period,
            left: limit,
            taken: VecDeque::new(),
        }
    }

    /// When so many tokens are there; more than there can be count as all.
    fn ready_at(&mut self, now: Duration, tokens: u64) -> Duration {
        while let Some((_, tokens)) = self.taken.pop_front_if(|(back, _)| *back <= now) {
            self.left += tokens;
        }
        let mut left = self.left;
        let wanted = tokens.min(self.limit);
        for (back, tokens) in &self.taken {
            if left >= wanted {
                break;
            }
            left += tokens;
            if left >= wanted {
                return *back;
            }
        }
        now
    }

    fn take(&mut self, now: Duration, tokens: u64) {
        let tokens = tokens.min(self.left);
        self.left -= tokens;
        self.taken
            .push_back((now.saturating_add(self.period), tokens));
    }
}

/// What a request that asks has to do.
enum Turn {
    Granted,
    /// Nothing can change before this point of the clock.
    At(Duration),
    /// Others come first, or must end first.
    Later,
}

impl State {
    fn id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn remove_waiting(&mut self, member: u64, ticket: u64) {
        let Some(state) = self.members.get_mut(&member) else {
            return;
        };
        state.waiting.retain(|waiting| *waiting != ticket);
        if state.waiting.is_empty() {
            self.turns.retain(|turn| *turn != member);
        }
    }

    /// The request that may go next, unless it lacks tokens: the first of the first member with a share left.
    fn next(&self, max_in_flight: usize) -> Option<(u64, u64)> {
        if self.in_flight >= max_in_flight {
            return None;
        }
        let share = max_in_flight.div_ceil(self.members.len().max(1));
        self.turns.iter().find_map(|id| {
            let member = self.members.get(id)?;
            let ticket = member.waiting.front()?;
            (member.in_flight < share).then_some((*id, *ticket))
        })
    }

    fn ask(&mut self, asks: (u64, u64), rows: u64, now: Duration, max_in_flight: usize) -> Turn {
        if self.next(max_in_flight) != Some(asks) {
            return Turn::Later;
        }
        let buckets = [(&mut self.requests, 1), (&mut self.rows, rows)];
        let ready = buckets
            .into_iter()
            .filter_map(|(bucket, tokens)| Some(bucket.as_mut()?.ready_at(now, tokens)))
            .fold(self.not_before, Duration::max);
        if ready > now {
            return Turn::At(ready);
        }
        if let Some(bucket) = &mut self.requests {
            bucket.take(now, 1);
        }
        if let Some(bucket) = &mut self.rows {
            bucket.take(now, rows);
        }
        let (id, ticket) = asks;
        self.remove_waiting(id, ticket);
        self.in_flight += 1;
        if let Some(member) = self.members.get_mut(&id) {
            member.in_flight += 1;
            // Its next request waits for the turns of the others.
            if !member.waiting.is_empty() {
                self.turns.retain(|turn| *turn != id);
                self.turns.push_back(id);
            }
        }
        Turn::Granted
    }
}

impl Budget {
    /// A budget with these limits. A limit of zero is one of 1.
    #[must_use]
    pub fn new(options: BudgetOptions) -> Self {
        let rows = options.rows.map(|(limit, _)| limit.max(1));
        let state = State {
            requests: options.requests.map(Bucket::new),
            rows: options.rows.map(Bucket::new),
            not_before: Duration::ZERO,
            in_flight: 0,
            members: BTreeMap::new(),
            turns: VecDeque::new(),
            next_id: 0,
        };
        Self {
            shared: Arc::new(Shared {
                max_in_flight: options.max_in_flight.unwrap_or(usize::MAX).max(1),
                max_rows: rows.map_or(usize::MAX, |rows| {
                    usize::try_from(rows).unwrap_or(usize::MAX)
                }),
                state: Mutex::new(state),
                changed: Notify::new(),
            }),
        }
    }

    /// A budget of its own without limits.
    #[must_use]
    pub fn unlimited() -> Self {
        Self::new(BudgetOptions::default())
    }

    /// Most rows of one request.
    pub(crate) fn max_rows(&self) -> usize {
        self.shared.max_rows
    }

    /// The part of one delivery, until dropped.
    pub(crate) fn join(&self) -> Membership {
        let id = {
            let mut state = self.shared.state();
            let id = state.id();
            state.members.insert(id, Member::default());
            id
        };
        Membership {
            shared: Arc::clone(&self.shared),
            id,
        }
    }
}

impl fmt::Debug for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (in_flight, members) = {
            let state = self.shared.state();
            (state.in_flight, state.members.len())
        };
        f.debug_struct("Budget")
            .field("in_flight", &in_flight)
            .field("deliveries", &members)
            .finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The part of one delivery in a [`Budget`].
pub(crate) struct Membership {
    shared: Arc<Shared>,
    id: u64,
}

impl Membership {
    /// Holds all deliveries of the budget until this point of the clock.
    pub(crate) fn hold(&self, until: Duration) {
        let mut state = self.shared.state();
        state.not_before = state.not_before.max(until);
        drop(state);
        // Some would rather give up than wait so long.
        self.shared.changed.notify_waiters();
    }

    /// Until when a rate limit holds all deliveries.
    pub(crate) fn held_until(&self) -> Duration {
        self.shared.state().not_before
    }

    /// Waits until a request with so many rows may be sent. The request is in flight until the permit is
    /// dropped.
    ///
    /// # Errors
    /// Halted before, or held for longer than `longest`.
    pub(crate) async fn acquire(
        &self,
        rows: u64,
        clock: &dyn Clock,
        halt: &CancelToken,
        longest: Duration,
    ) -> Result<Permit<'_>, NoPermit> {
        let waiting = Waiting::new(self);
        loop {
            // Listening begins before looking, so that no change is missed between the two.
            let mut changed = std::pin::pin!(self.shared.changed.notified());
            changed.as_mut().enable();
            if halt.is_cancelled() {
                return Err(NoPermit::Halted);
            }
            let now = clock.elapsed();
            if self.held_until().saturating_sub(now) > longest {
                return Err(NoPermit::Held);
            }
            let turn = self.shared.state().ask(
                (self.id, waiting.ticket),
                rows,
                now,
                self.shared.max_in_flight,
            );
            match turn {
                Turn::Granted => return Ok(Permit { membership: self }),
                Turn::At(ready) => {
                    tokio::select! {
                        biased;
                        () = halt.cancelled() => return Err(NoPermit::Halted),
                        () = &mut changed => {}
                        () = clock.sleep(ready.saturating_sub(now)) => {}
                    }
                }
                Turn::Later => {
                    tokio::select! {
                        biased;
                        () = halt.cancelled() => return Err(NoPermit::Halted),
                        () = &mut changed => {}
                    }
                }
            }
        }
    }
}

impl Drop for Membership {
    fn drop(&mut self) {
        let mut state = self.shared.state();
        let id = self.id;
        // Its permits and waiting requests borrow from it, so there are none.
        state.members.remove(&id);
        state.turns.retain(|turn| *turn != id);
        drop(state);
        self.shared.changed.notify_waiters();
    }
}

/// A place in the line, given up when dropped.
struct Waiting<'a> {
    membership: &'a Membership,
    ticket: u64,
}

impl<'a> Waiting<'a> {
    fn new(membership: &'a Membership) -> Self {
        let mut state = membership.shared.state();
        let ticket = state.id();
        if let Some(member) = state.members.get_mut(&membership.id) {
            member.waiting.push_back(ticket);
            if member.waiting.len() == 1 {
                state.turns.push_back(membership.id);
            }
        }
        drop(state);
        Self { membership, ticket }
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let shared = &self.membership.shared;
        shared
            .state()
            .remove_waiting(self.membership.id, self.ticket);
        // The line has moved on.
        shared.changed.notify_waiters();
    }
}

/// Why a request must not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NoPermit {
    /// The delivery has ended.
    Halted,
    /// A rate limit holds the account for too long.
    Held,
}

/// A request in flight.
pub(crate) struct Permit<'a> {
    membership: &'a Membership,
}

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        let shared = &self.membership.shared;
        let mut state = shared.state();
        state.in_flight = state.in_flight.saturating_sub(1);
        if let Some(member) = state.members.get_mut(&self.membership.id) {
            member.in_flight = member.in_flight.saturating_sub(1);
        }
        drop(state);
        shared.changed.notify_waiters();
    }
}
