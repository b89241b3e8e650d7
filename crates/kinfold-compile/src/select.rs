//! Node selection: which nodes `--select` and `--exclude` mean.
//!
//! The grammar is dbt's (see its reference on node selection). Several arguments, or spaces inside
//! one, are a union; commas are an intersection. `+x`, `x+`, `2+x+3` and `@x` add relatives in the
//! graph. `method:value` says what is compared; without a method, text with a `/` is a path, text that
//! ends in `.sql`, `.csv` or `.yml` is a file, and the rest is a name. Values may contain `*`, `?` and
//! `[…]`.
//!
//! A data test comes with what it tests: it is selected as soon as one of its parents is, and excluded
//! likewise (dbt's *eager* indirect selection). So selection is set algebra: `a b` is a ∪ b, and `a,b`
//! is a ∩ b.

mod criterion;
mod graph;
mod method;
mod named;
mod pattern;
mod state;

#[cfg(test)]
mod tests;

use std::collections::BTreeSet;

use kinfold_project::{NodeId, ResourceType};

pub use graph::{SelectGraph, delivered, referenced};
pub use named::check as check_selectors;
pub use state::{Aspect, Before, Change};

use criterion::Criterion;

/// Why nothing can be selected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SelectError {
    /// There is nothing between two commas, or after a method's colon.
    #[error("`{written}` has an empty part")]
    Empty {
        /// The whole argument.
        written: String,
    },
    /// No method of that name.
    #[error("`{criterion}`: there is no selection method `{method}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownMethod {
        /// The criterion.
        criterion: String,
        /// The method.
        method: String,
        /// The nearest method.
        suggestion: Option<String>,
    },
    /// A method of dbt that this version does not have.
    #[error("`{criterion}`: the selection method `{method}` is not supported yet")]
    UnsupportedMethod {
        /// The criterion.
        criterion: String,
        /// The method.
        method: String,
    },
    /// A value that its method does not take.
    #[error("`{criterion}`: `{value}` is no value of `{method}`, which takes {allowed}")]
    InvalidValue {
        /// The criterion.
        criterion: String,
        /// The method.
        method: &'static str,
        /// The value.
        value: String,
        /// What the method takes.
        allowed: &'static str,
    },
    /// It names something that does not exist.
    #[error("`{criterion}` matches no node{}", did_you_mean(.suggestion.as_deref()))]
    NoMatch {
        /// The criterion, with its graph operators.
        criterion: String,
        /// What it is most likely a misspelling of.
        suggestion: Option<String>,
    },
    /// It names a node that is switched off.
    #[error("`{criterion}` is switched off by `enabled: false`")]
    Disabled {
        /// The criterion.
        criterion: String,
    },
    /// `state:` or `result:` without anything to compare with.
    #[error("`{criterion}` needs `--state` with the folder of an earlier `manifest.json`")]
    NoState {
        /// The criterion.
        criterion: String,
    },
    /// No selection of that name.
    #[error("there is no selector `{name}`{}", did_you_mean(.suggestion.as_deref()))]
    UnknownSelector {
        /// The name.
        name: String,
        /// The nearest name.
        suggestion: Option<String>,
    },
    /// A selection that is made of itself.
    #[error("the selector `{name}` is made of itself")]
    SelectorCycle {
        /// The name.
        name: String,
    },
    /// `@` stands for parents and children already.
    #[error("`{criterion}` has both `@` and `+`")]
    AtAndPlus {
        /// The criterion.
        criterion: String,
    },
}

fn did_you_mean(suggestion: Option<&str>) -> String {
    suggestion.map_or_else(String::new, |word| format!(", did you mean `{word}`?"))
}

/// The nodes that are in one of `select` (all, if it is empty) and in none of `exclude`: sources, seeds,
/// models, tests and syncs.
///
/// With `resource_types`, only nodes of these types are returned; relatives are still found through
/// the others, so that `+sync` with models only gives the models above the sync.
///
/// # Errors
/// Every argument that is not a selection, and every criterion that names something that does not
/// exist: a misspelled `--exclude` would run what must not run. Criteria that describe rather than
/// name (`config.…:`, `resource_type:`, `test_type:` and wildcards) may match nothing.
pub fn select(
    graph: &SelectGraph,
    select: &[String],
    exclude: &[String],
    resource_types: Option<&[ResourceType]>,
) -> Result<BTreeSet<NodeId>, Vec<SelectError>> {
    let (included, mut errors) = parse(select);
    let (excluded, more) = parse(exclude);
    errors.extend(more);
    let mut nodes = if included.is_empty() {
        graph.all()
    } else {
        union(graph, &included, &mut errors)
    };
    let left_out = union(graph, &excluded, &mut errors);
    if !errors.is_empty() {
        return Err(errors);
    }
    nodes.retain(|index| !left_out.contains(index));
    Ok(nodes
        .into_iter()
        .filter_map(|index| graph.node(index))
        .filter(|node| resource_types.is_none_or(|types| types.contains(&node.resource)))
        .map(|node| node.id.clone())
        .collect())
}

/// The intersections that a union consists of.
fn parse(arguments: &[String]) -> (Vec<Vec<Criterion>>, Vec<SelectError>) {
    let mut union = Vec::new();
    let mut errors = Vec::new();
    for written in arguments
        .iter()
        .flat_map(|argument| argument.split_whitespace())
    {
        let parts: Result<Vec<Criterion>, SelectError> = written
            .split(',')
            .map(|part| Criterion::parse(part, written))
            .collect();
        match parts {
            Ok(parts) => union.push(parts),
            Err(error) => errors.push(error),
        }
    }
    (union, errors)
}

fn union(
    graph: &SelectGraph,
    intersections: &[Vec<Criterion>],
    errors: &mut Vec<SelectError>,
) -> BTreeSet<usize> {
    let mut all = BTreeSet::new();
    for parts in intersections {
        let mut parts = parts
            .iter()
            .map(|criterion| named::nodes_of(graph, criterion, &mut vec![], errors));
        if let Some(first) = parts.next() {
            all.extend(parts.fold(first, |left, right| {
                left.intersection(&right).copied().collect()
            }));
        }
    }
    all
}
