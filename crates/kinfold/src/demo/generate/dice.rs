//! Random choices whose outcomes are ours alone: only the words of the cipher come from a crate, so
//! that no release of another crate changes the data of a seed.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// What a stream of random numbers is for; one person has one stream of each kind.
#[derive(Clone, Copy, Debug)]
pub(super) enum Purpose {
    /// Name, addresses, devices.
    Person,
    /// The history.
    History,
    /// An extra day.
    Day(u32),
}

/// A stream of random choices.
pub(super) struct Dice(ChaCha8Rng);

impl Dice {
    pub(super) fn new(seed: u64, purpose: Purpose, person: u64) -> Self {
        let purpose = match purpose {
            Purpose::Person => 0,
            Purpose::History => 1,
            Purpose::Day(day) => 2 + u64::from(day),
        };
        let mut key = [0_u8; 32];
        for (to, from) in key
            .iter_mut()
            .zip([seed.to_le_bytes(), purpose.to_le_bytes()].as_flattened())
        {
            *to = *from;
        }
        let mut generator = ChaCha8Rng::from_seed(key);
        generator.set_stream(person);
        Self(generator)
    }

    /// A number below `bound`, 0 if `bound` is 0. The bias of the method is below 2⁻³² for the bounds
    /// that occur here.
    pub(super) fn below(&mut self, bound: u64) -> u64 {
        let wide = u128::from(self.0.next_u64()) * u128::from(bound);
        u64::try_from(wide >> 64).unwrap_or(0)
    }

    /// Whether something happens that happens `per_mille` times of a thousand.
    pub(super) fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1_000) < per_mille
    }

    /// One of the items, each as likely.
    pub(super) fn pick<'a>(&mut self, items: &[&'a str]) -> &'a str {
        let at = self.below(items.len() as u64);
        usize::try_from(at)
            .ok()
            .and_then(|at| items.get(at))
            .copied()
            .unwrap_or("")
    }

    /// One of the items, the first ones more likely than the last ones.
    pub(super) fn pick_early<'a>(&mut self, items: &[&'a str]) -> &'a str {
        let bound = self.below(items.len() as u64) + 1;
        let at = self.below(bound);
        usize::try_from(at)
            .ok()
            .and_then(|at| items.get(at))
            .copied()
            .unwrap_or("")
    }

    /// A place in the list of weights, chosen by weight.
    pub(super) fn weighted(&mut self, weights: &[u64]) -> u64 {
        let mut left = self.below(weights.iter().sum());
        for (place, weight) in (0..).zip(weights) {
            if left < *weight {
                return place;
            }
            left -= weight;
        }
        0
    }

    /// A text in the form of a random UUID (RFC 9562, version 4).
    pub(super) fn uuid(&mut self) -> String {
        let bits = (u128::from(self.0.next_u64()) << 64) | u128::from(self.0.next_u64());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            bits >> 96,
            (bits >> 80) & 0xffff,
            (bits >> 64) & 0xfff,
            ((bits >> 48) & 0x3fff) | 0x8000,
            bits & 0xffff_ffff_ffff
        )
    }

    /// A prefix and twelve random hexadecimal digits of a record's id; 2⁴⁸ of them.
    pub(super) fn record_id(&mut self, prefix: &str) -> String {
        format!("{prefix}{:012x}", self.0.next_u64() >> 16)
    }
}
