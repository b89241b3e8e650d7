//! Hashes that know what they stand on.

use std::collections::BTreeSet;

use super::Certainty;
use crate::compile::Determinism;

/// The hash of a part of a plan, while the plan is walked.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Part {
    pub(super) hash: [u8; 32],
    /// Numbers of what it reads, as the walker has them.
    pub(super) reads: BTreeSet<u32>,
    pub(super) certainty: Certainty,
    pub(super) determinism: Determinism,
}

/// Makes a part of a kind of operation and its operands.
pub(super) struct Maker {
    hasher: blake3::Hasher,
    part: Part,
}

impl Maker {
    /// An operation; different operations have different names.
    pub(super) fn new(operation: &str) -> Self {
        let part = Part {
            hash: [0; 32],
            reads: BTreeSet::new(),
            certainty: Certainty::Exact,
            determinism: Determinism::Fixed,
        };
        let hasher = blake3::Hasher::new();
        Self { hasher, part }.text(operation)
    }

    /// Something that is known as text: a name, a type, a constant. With its length, so that no two lists of
    /// operands have the same bytes.
    pub(super) fn text(mut self, text: &str) -> Self {
        self.hasher.update(&(text.len() as u64).to_le_bytes());
        self.hasher.update(text.as_bytes());
        self
    }

    /// A switch.
    pub(super) fn flag(self, on: bool) -> Self {
        self.text(if on { "+" } else { "-" })
    }

    /// How many operands follow.
    pub(super) fn count(mut self, count: usize) -> Self {
        self.hasher.update(&(count as u64).to_le_bytes());
        self
    }

    /// An operand that values are made of.
    pub(super) fn part(mut self, part: &Part) -> Self {
        self.hasher.update(&part.hash);
        self.stands_on(part);
        self
    }

    /// An operand that decides which values or rows there are: what is only right up to rounding may decide
    /// otherwise the next time.
    pub(super) fn control(self, part: &Part) -> Self {
        let mut made = self.part(part);
        if part.certainty > Certainty::Exact {
            made.part.certainty = Certainty::Chosen;
        }
        made
    }

    /// Operands in their order.
    pub(super) fn parts<'p>(self, parts: impl ExactSizeIterator<Item = &'p Part>) -> Self {
        let counted = self.count(parts.len());
        parts.fold(counted, Self::part)
    }

    /// Operands of which only the set counts.
    pub(super) fn set<'p>(self, parts: impl Iterator<Item = &'p Part>) -> Self {
        let mut all: Vec<&Part> = parts.collect();
        all.sort_by_key(|part| part.hash);
        all.dedup_by_key(|part| part.hash);
        self.parts(all.into_iter())
    }

    /// [`Maker::set`] of operands that decide.
    pub(super) fn control_set<'p>(self, parts: impl Iterator<Item = &'p Part> + Clone) -> Self {
        let unsure = parts.clone().any(|part| part.certainty > Certainty::Exact);
        let made = self.set(parts);
        if unsure {
            made.at_best(Certainty::Chosen)
        } else {
            made
        }
    }

    /// No more certain than this.
    pub(super) fn at_best(mut self, certainty: Certainty) -> Self {
        self.part.certainty = self.part.certainty.max(certainty);
        self
    }

    /// No less changeable than this.
    pub(super) fn at_least(mut self, determinism: Determinism) -> Self {
        self.part.determinism = self.part.determinism.max(determinism);
        self
    }

    /// A column or the rows of a stored relation, by the number that the walker has given it.
    pub(super) fn reading(mut self, point: u32) -> Self {
        self.part.reads.insert(point);
        self
    }

    pub(super) fn finish(self) -> Part {
        Part {
            hash: *self.hasher.finalize().as_bytes(),
            ..self.part
        }
    }

    fn stands_on(&mut self, part: &Part) {
        self.part.reads.extend(&part.reads);
        self.part.certainty = self.part.certainty.max(part.certainty);
        self.part.determinism = self.part.determinism.max(part.determinism);
    }
}
