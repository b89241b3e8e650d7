//! How many people an audience reaches, in a manifest.

use kinfold_project::Span;

use super::Call;
use crate::expression::Expression;

/// How an object tells how many people it reaches.
#[derive(Clone, Debug)]
pub struct Reach {
    /// What the figures count.
    pub about: Option<String>,
    /// Calls that change nothing.
    pub calls: Vec<Call>,
    /// People that can be reached.
    pub size: Option<Expression>,
    /// Rows whose person is known.
    pub matched: Option<Expression>,
    /// The part of the rows that is matched.
    pub rate: Option<Expression>,
    /// Whether the destination has finished.
    pub ready: Option<Expression>,
    /// The destination's word for the state.
    pub status: Option<Expression>,
    /// Where it stands.
    pub span: Span,
}

impl Reach {
    /// What is told, in the words of the manifest.
    #[must_use]
    pub fn told(&self) -> Vec<&'static str> {
        let parts = [
            ("size", &self.size),
            ("matched", &self.matched),
            ("rate", &self.rate),
            ("ready", &self.ready),
            ("status", &self.status),
        ];
        let there = parts.into_iter().filter(|(_, part)| part.is_some());
        there.map(|(name, _)| name).collect()
    }
}
