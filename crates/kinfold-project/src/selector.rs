//! Named selections of `selectors.yml`.

use crate::located::Located;

/// A selection with a name, for `--selector` and `selector:`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selector {
    /// Its name.
    pub name: Located<String>,
    /// What it is for.
    pub description: Option<Located<String>>,
    /// Whether commands that are told nothing select this.
    pub default: bool,
    /// What it selects.
    pub definition: SelectorRule,
}

/// A set of nodes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SelectorRule {
    /// What one criterion of `--select` selects, graph operators included: without spaces that separate and
    /// commas that intersect.
    Criterion(Located<String>),
    /// All of these sets, without what is left out.
    Union {
        /// The sets.
        of: Vec<SelectorRule>,
        /// What is left out.
        exclude: Vec<SelectorRule>,
    },
    /// What all of these sets have, without what is left out.
    Intersection {
        /// The sets.
        of: Vec<SelectorRule>,
        /// What is left out.
        exclude: Vec<SelectorRule>,
    },
}

impl SelectorRule {
    /// Every criterion in it, in the order of the file.
    #[must_use]
    pub fn criteria(&self) -> Vec<&Located<String>> {
        match self {
            Self::Criterion(written) => vec![written],
            Self::Union { of, exclude } | Self::Intersection { of, exclude } => {
                of.iter().chain(exclude).flat_map(Self::criteria).collect()
            }
        }
    }
}
