//! How alike two texts are, by characters (Unicode scalar values) as they stand: fold case and accents
//! with [`normalise`](super::normalise) first where they should not count.
//!
//! Every function takes a [`Scratch`] and allocates nothing once its buffers have grown. All are
//! symmetric and depend on the two texts only.

mod damerau;
mod jaro;
mod levenshtein;
mod overlap;
mod places;
mod scratch;
#[cfg(test)]
mod tests;

pub use damerau::{damerau, damerau_within};
pub use jaro::{jaro, jaro_winkler};
pub use levenshtein::{levenshtein, levenshtein_within};
pub use overlap::{bigram_cosine, jaccard};
pub use scratch::Scratch;
