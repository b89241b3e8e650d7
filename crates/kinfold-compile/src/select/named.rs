//! Selections with a name: what the rules of `selectors.yml` mean.

use std::collections::BTreeSet;

use kinfold_project::{Diagnostic, Located, Project, SelectorRule, codes};

use super::SelectError;
use super::criterion::Criterion;
use super::graph::SelectGraph;
use super::method::nearest;

/// The nodes of a criterion with their relatives and data tests. `inside` are the selections that it is
/// a part of.
pub(super) fn nodes_of(
    graph: &SelectGraph,
    criterion: &Criterion,
    inside: &mut Vec<String>,
    errors: &mut Vec<SelectError>,
) -> BTreeSet<usize> {
    errors.extend(criterion.unanswerable(graph));
    let direct = match criterion.selector() {
        Some(name) => nodes_of_selector(graph, name, inside, errors),
        None => criterion.matches(graph),
    };
    if direct.is_empty() {
        errors.extend(criterion.must_match(graph));
    }
    graph.with_tests(criterion.with_relatives(graph, direct))
}

fn nodes_of_selector(
    graph: &SelectGraph,
    name: &str,
    inside: &mut Vec<String>,
    errors: &mut Vec<SelectError>,
) -> BTreeSet<usize> {
    let found = graph.selectors.iter().find(|s| s.name.value == name);
    let Some(selector) = found else {
        let names = graph.selectors.iter().map(|s| s.name.value.as_str());
        errors.push(SelectError::UnknownSelector {
            name: name.to_owned(),
            suggestion: nearest(name, names),
        });
        return BTreeSet::new();
    };
    if inside.iter().any(|outer| outer == name) {
        errors.push(SelectError::SelectorCycle {
            name: name.to_owned(),
        });
        return BTreeSet::new();
    }
    inside.push(name.to_owned());
    let nodes = nodes_of_rule(graph, &selector.definition, inside, errors);
    inside.pop();
    nodes
}

fn nodes_of_rule(
    graph: &SelectGraph,
    rule: &SelectorRule,
    inside: &mut Vec<String>,
    errors: &mut Vec<SelectError>,
) -> BTreeSet<usize> {
    let (of, exclude, all) = match rule {
        SelectorRule::Criterion(written) => {
            return match Criterion::parse(&written.value, &written.value) {
                Ok(criterion) => nodes_of(graph, &criterion, inside, errors),
                Err(error) => {
                    errors.push(error);
                    BTreeSet::new()
                }
            };
        }
        SelectorRule::Union { of, exclude } => (of, exclude, false),
        SelectorRule::Intersection { of, exclude } => (of, exclude, true),
    };
    let mut sets = of
        .iter()
        .map(|rule| nodes_of_rule(graph, rule, inside, errors));
    let mut nodes = sets.next().unwrap_or_default();
    for set in sets {
        if all {
            nodes.retain(|node| set.contains(node));
        } else {
            nodes.extend(set);
        }
    }
    for rule in exclude {
        let left_out = nodes_of_rule(graph, rule, inside, errors);
        nodes.retain(|node| !left_out.contains(node));
    }
    nodes
}

/// What is wrong with the selections of a project, whatever nodes it has.
#[must_use]
pub fn check(project: &Project) -> Vec<Diagnostic> {
    let mut found = vec![];
    for selector in &project.selectors {
        for written in selector.definition.criteria() {
            if let Err(problem) = criterion(project, written) {
                found.push(*problem);
            }
        }
        if is_inside(
            project,
            &selector.name.value,
            &selector.definition,
            &mut vec![],
        ) {
            let message = format!("the selector `{}` is made of itself", selector.name.value);
            let place = selector.name.span;
            found.push(Diagnostic::error(codes::INVALID_SELECTOR, message, place));
        }
    }
    found
}

fn criterion(project: &Project, written: &Located<String>) -> Result<(), Box<Diagnostic>> {
    let problem = |message: String| {
        Box::new(Diagnostic::error(
            codes::INVALID_SELECTOR,
            message,
            written.span,
        ))
    };
    if written.value.contains([',', ' ']) {
        let text = "a definition is one criterion, without commas and spaces";
        let help = "write `union:` or `intersection:` with a list";
        return Err(Box::new(problem(text.to_owned()).with_help(help)));
    }
    let parsed =
        Criterion::parse(&written.value, &written.value).map_err(|e| problem(e.to_string()))?;
    let Some(name) = parsed.selector() else {
        return Ok(());
    };
    let names = || project.selectors.iter().map(|s| s.name.value.as_str());
    if names().any(|other| other == name) {
        return Ok(());
    }
    let error = SelectError::UnknownSelector {
        name: name.to_owned(),
        suggestion: nearest(name, names()),
    };
    Err(problem(error.to_string()))
}

/// Whether a selection occurs in a rule, or in what that is made of.
fn is_inside(project: &Project, name: &str, rule: &SelectorRule, seen: &mut Vec<String>) -> bool {
    rule.criteria().into_iter().any(|written| {
        let Ok(criterion) = Criterion::parse(&written.value, &written.value) else {
            return false;
        };
        let Some(used) = criterion.selector() else {
            return false;
        };
        if used == name {
            return true;
        }
        if seen.iter().any(|other| other == used) {
            return false;
        }
        seen.push(used.to_owned());
        let selector = project.selectors.iter().find(|s| s.name.value == used);
        selector.is_some_and(|s| is_inside(project, name, &s.definition, seen))
    })
}
