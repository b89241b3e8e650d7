//! What a text says, read so that nothing that is typed stops it.
//!
//! A text is most of the time not complete while it is written. These readers take anything: they look at the
//! templates of a file, and at the shape of its query, and never at more than the text itself.

pub mod jinja;
pub mod lex;
pub mod outline;
pub mod query;
pub mod scope;

use std::ops::Range;

/// A name and where it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Name {
    /// The name as it is looked up: in SQL in lower case unless it is in quotes.
    pub text: String,
    /// Where it stands, with its quotes.
    pub range: Range<usize>,
}

/// Whether an offset is in a range or at its end, where a person types on.
pub fn touches(range: &Range<usize>, offset: usize) -> bool {
    range.start <= offset && offset <= range.end
}
