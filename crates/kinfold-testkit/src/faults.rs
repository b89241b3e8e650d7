//! Which request goes wrong, and how.

use std::collections::VecDeque;
use std::time::Duration;

use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// How a request to a [`Loopback`](crate::Loopback) goes wrong.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// This status, nothing applied.
    Status(u16),
    /// This status with this `Retry-After`, nothing applied.
    RetryAfter(u16, String),
    /// Applied, and then this status.
    StatusAfter(u16),
    /// A redirect to another address, nothing applied.
    Redirect(String),
    /// Applied, and answered after so long.
    Slow(Duration),
    /// The connection is reset, nothing applied.
    ResetBefore,
    /// Applied, and the connection is reset before the answer.
    ResetAfter,
    /// Applied, and the connection breaks in the middle of the answer's body.
    HalfBody,
    /// Applied, and the answer claims to be JSON and is not.
    Malformed,
}

enum Plan {
    Sequence(VecDeque<Option<Fault>>),
    Always(Fault),
    Seeded(Box<ChaCha8Rng>, Vec<(Fault, f64)>),
}

/// The faults of a server's requests, in order of their arrival.
pub struct Script(Plan);

impl Script {
    /// These, one a request, `None` for a request that goes well; then no more faults.
    #[must_use]
    pub fn sequence(faults: impl IntoIterator<Item = Option<Fault>>) -> Self {
        Self(Plan::Sequence(faults.into_iter().collect()))
    }

    /// No faults.
    #[must_use]
    pub fn none() -> Self {
        Self::sequence([])
    }

    /// The same at every request.
    #[must_use]
    pub fn always(fault: Fault) -> Self {
        Self(Plan::Always(fault))
    }

    /// Each with its probability (0 to 1), tried in order at every request.
    #[must_use]
    pub fn seeded(seed: u64, faults: impl IntoIterator<Item = (Fault, f64)>) -> Self {
        Self(Plan::Seeded(
            Box::new(ChaCha8Rng::seed_from_u64(seed)),
            faults.into_iter().collect(),
        ))
    }

    /// The fault of the next request.
    pub fn next_fault(&mut self) -> Option<Fault> {
        match &mut self.0 {
            Plan::Sequence(faults) => faults.pop_front().flatten(),
            Plan::Always(fault) => Some(fault.clone()),
            Plan::Seeded(rng, faults) => faults
                .iter()
                .find(|(_, probability)| rng.random_bool(probability.clamp(0.0, 1.0)))
                .map(|(fault, _)| fault.clone()),
        }
    }
}
