//! SQL that is put together from expressions of a YAML file, with the way back.

use std::ops::Range;

use kinfold_project::{Located, SourceMap, Span};

use super::quoted;
use crate::bind::{Problem, expression_problem};

/// SQL that is put together from expressions of a YAML file, with the way back.
#[derive(Default)]
pub(super) struct Assembled {
    pub(super) text: String,
    pieces: Vec<(Range<usize>, Span)>,
}

impl Assembled {
    pub(super) fn push(&mut self, text: &str) {
        self.text.push_str(text);
    }

    /// Adds an expression that the user wrote at `span`.
    pub(super) fn expression(&mut self, written: &Located<String>, files: &SourceMap) {
        let start = self.text.len();
        self.text.push_str(&written.value);
        let source = files.text(written.span);
        // Quotes and folding stand between the file and the value; then the whole scalar is meant.
        let span = match source.find(written.value.as_str()) {
            Some(at) => {
                let first = written.span.start as usize + at;
                Span::new(written.span.file, first, first + written.value.len())
            }
            None => written.span,
        };
        self.pieces.push((start..self.text.len(), span));
    }

    /// Adds the name of a column, which was asked for at `span`.
    pub(super) fn column(&mut self, name: &str, span: Span) {
        let start = self.text.len();
        self.text.push_str(&quoted(name));
        self.pieces.push((start..self.text.len(), span));
    }

    /// What the user wrote and is not one expression.
    pub(super) fn unsound(&self) -> Vec<Problem> {
        let problem = |piece: &Range<usize>| {
            let problem = expression_problem(self.text.get(piece.clone())?)?;
            // The place of a missing end is behind the text.
            let range = problem.range.as_ref().filter(|r| r.end <= piece.len());
            let range = range.filter(|r| !r.is_empty());
            let range = range.map_or(piece.clone(), |r| {
                piece.start + r.start..piece.start + r.end
            });
            Some(Problem {
                range: Some(range),
                ..problem
            })
        };
        let pieces = self.pieces.iter();
        pieces.filter_map(|(piece, _)| problem(piece)).collect()
    }

    pub(super) fn origin(&self, range: &Range<usize>) -> Option<Span> {
        let (piece, span) = self
            .pieces
            .iter()
            .find(|(p, _)| p.start <= range.start && range.start < p.end)?;
        if (span.end - span.start) as usize != piece.len() {
            return Some(*span);
        }
        let at =
            |offset: usize| span.start as usize + offset.min(piece.end).saturating_sub(piece.start);
        Some(Span::new(span.file, at(range.start), at(range.end)))
    }
}
