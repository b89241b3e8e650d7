//! One criterion: graph operators round a method and its value.

use std::collections::BTreeSet;

use super::SelectError;
use super::graph::SelectGraph;
use super::method::Method;

/// `[@ | [n]+] [method:] value [+[n]]`.
#[derive(Clone, Debug)]
pub(super) struct Criterion {
    /// As it was written.
    written: String,
    method: Method,
    relatives: Relatives,
}

/// Which relatives come with the nodes that match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Relatives {
    /// So many generations of parents and of children.
    Generations { parents: usize, children: usize },
    /// All descendants, and all that is needed to build them.
    Family,
}

impl Criterion {
    /// Parses a part of the argument `whole`, one without spaces and commas.
    pub(super) fn parse(written: &str, whole: &str) -> Result<Self, SelectError> {
        let (relatives, rest) = match written.strip_prefix('@') {
            Some(rest) => {
                if operators(rest) != (0, rest, 0) {
                    return Err(SelectError::AtAndPlus {
                        criterion: written.to_owned(),
                    });
                }
                (Relatives::Family, rest)
            }
            None => {
                let (parents, rest, children) = operators(written);
                (Relatives::Generations { parents, children }, rest)
            }
        };
        let (method, value) = match rest.split_once(':') {
            Some((method, value)) if is_method(method) => (Some(method), value),
            _ => (None, rest),
        };
        if value.is_empty() {
            return Err(SelectError::Empty {
                written: whole.to_owned(),
            });
        }
        Ok(Self {
            written: written.to_owned(),
            method: Method::parse(method, value, written)?,
            relatives,
        })
    }

    /// The nodes that the criterion names, without their relatives.
    pub(super) fn matches(&self, graph: &SelectGraph) -> BTreeSet<usize> {
        graph
            .nodes()
            .iter()
            .enumerate()
            .filter(|(_, node)| self.method.matches(node, graph))
            .map(|(index, _)| index)
            .collect()
    }

    /// The named selection that the criterion stands for.
    pub(super) fn selector(&self) -> Option<&str> {
        match &self.method {
            Method::Selector(name) => Some(name),
            _ => None,
        }
    }

    /// Why the graph cannot say which nodes are meant.
    pub(super) fn unanswerable(&self, graph: &SelectGraph) -> Option<SelectError> {
        let needs = matches!(self.method, Method::State(_) | Method::Result(_));
        (needs && !graph.has_before()).then(|| SelectError::NoState {
            criterion: self.written.clone(),
        })
    }

    /// The nodes and those relatives of them that the operators ask for.
    pub(super) fn with_relatives(
        &self,
        graph: &SelectGraph,
        direct: BTreeSet<usize>,
    ) -> BTreeSet<usize> {
        match self.relatives {
            Relatives::Generations {
                parents: 0,
                children: 0,
            } => direct,
            Relatives::Generations { parents, children } => {
                let mut all = graph.ancestors(&direct, parents);
                all.extend(graph.descendants(&direct, children));
                all
            }
            Relatives::Family => {
                graph.ancestors(&graph.descendants(&direct, usize::MAX), usize::MAX)
            }
        }
    }

    /// Why it is wrong that the criterion matches nothing, if it names something.
    pub(super) fn must_match(&self, graph: &SelectGraph) -> Option<SelectError> {
        let criterion = self.written.clone();
        let name = self.method.names()?;
        if graph.is_disabled(name) {
            return Some(SelectError::Disabled { criterion });
        }
        let suggestion = self.method.suggestion(graph);
        Some(SelectError::NoMatch {
            criterion,
            suggestion,
        })
    }
}

/// Generations of parents, what is between the operators, generations of children.
fn operators(text: &str) -> (usize, &str, usize) {
    let (parents, rest) = match text.split_once('+') {
        Some((digits, rest)) if all_digits(digits) => (generations(digits), rest),
        _ => (0, text),
    };
    let (rest, children) = match rest.rsplit_once('+') {
        Some((rest, digits)) if all_digits(digits) => (rest, generations(digits)),
        _ => (rest, 0),
    };
    (parents, rest, children)
}

fn all_digits(text: &str) -> bool {
    text.bytes().all(|b| b.is_ascii_digit())
}

/// A number of generations: all of them if it is not given, or larger than any graph.
fn generations(digits: &str) -> usize {
    digits.parse().unwrap_or(usize::MAX)
}

/// Whether text before a colon can be a method, so that `C:/x` and `a b:c` are not taken for one.
fn is_method(text: &str) -> bool {
    text.len() > 1
        && text
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '.' || c == '-')
}
