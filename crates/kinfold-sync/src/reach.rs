//! How many people a destination has found of those that were sent to it.

/// What a destination says of the audience that a sync fills. Every part is what it says itself, and most say
/// only some of it. Figures are often rounded, and hours or days behind what was sent.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reach {
    /// People that can be reached now.
    pub size: Option<Estimate<u64>>,
    /// Rows that were sent and belong to a person whom the destination knows.
    pub matched: Option<Estimate<u64>>,
    /// The part of the rows that is matched, from 0 to 1.
    pub rate: Option<Estimate<f64>>,
    /// Whether the destination has finished, so that the audience can be used.
    pub ready: Option<bool>,
    /// The destination's own word for the state of the audience, for a person. Without credentials and row
    /// values.
    pub status: Option<String>,
}

/// A figure that a destination may know only roughly: from `low` to `high`, both included. Equal if it is exact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Estimate<T> {
    /// At least so much.
    pub low: T,
    /// At most so much.
    pub high: T,
}

impl<T: Copy> Estimate<T> {
    /// A figure that is known exactly.
    #[must_use]
    pub fn exact(value: T) -> Self {
        Self {
            low: value,
            high: value,
        }
    }
}

impl Reach {
    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
