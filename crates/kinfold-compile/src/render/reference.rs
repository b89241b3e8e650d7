//! What `ref` and `source` name.

use kinfold_project::{Diagnostic, NodeId, Span};

use super::codes;
use super::registry::Registry;
use super::relation::Relation;

/// What a reference means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Target {
    /// Index of the node.
    pub index: usize,
    /// The relation: the node's own or a companion of it.
    pub relation: Relation,
}

/// The companions that any materialization may have.
pub(super) const SUFFIXES: [&str; 8] = [
    "records",
    "edges",
    "changes",
    "alarms",
    "aliases",
    "links",
    "history",
    "provenance",
];

/// Finds the model, seed or companion that `ref` names in a package.
pub(super) fn find_ref(
    registry: &Registry,
    from: &str,
    package: Option<&str>,
    name: &str,
    span: Span,
) -> Result<Target, Box<Diagnostic>> {
    if let Some(package) = package
        && !registry.known.packages.contains(package)
    {
        let error = Diagnostic::error(
            codes::UNKNOWN_REF,
            format!("there is no package `{package}`"),
            span,
        );
        let names = registry.known.packages.iter().map(String::as_str);
        return Err(Box::new(suggest(error, package, names)));
    }
    let called = match package {
        Some(package) => format!("{package}.{name}"),
        None => name.to_owned(),
    };
    let found = choose(registry, from, package, name, &called, span)?;
    if let Some(index) = found {
        return Ok(Target {
            index,
            relation: relation(registry, index),
        });
    }
    for suffix in SUFFIXES {
        let Some(base) = name.strip_suffix(suffix).and_then(|n| n.strip_suffix("__")) else {
            continue;
        };
        let Some(index) = choose(registry, from, package, base, &called, span)? else {
            continue;
        };
        let Some(resolved) = registry.resolved.get() else {
            // Configurations are not known yet: any name will do.
            return Ok(Target {
                index,
                relation: Relation {
                    schema: registry.schema.clone(),
                    name: name.to_owned(),
                },
            });
        };
        let companions = resolved.get(index).map_or(&[][..], |r| &r.companions);
        if let Some(companion) = companions.iter().find(|c| c.suffix == suffix) {
            return Ok(Target {
                index,
                relation: companion.relation.clone(),
            });
        }
    }
    let error = Diagnostic::error(
        codes::UNKNOWN_REF,
        format!("there is no model or seed `{called}`"),
        span,
    );
    Err(Box::new(suggest(error, name, registry.ref_names())))
}

/// The node of that name that a package means.
fn choose(
    registry: &Registry,
    from: &str,
    package: Option<&str>,
    name: &str,
    called: &str,
    span: Span,
) -> Result<Option<usize>, Box<Diagnostic>> {
    let belongs = |index: usize, package: &str| {
        registry
            .entries
            .get(index)
            .is_some_and(|entry| entry.package == package)
    };
    let enabled = |index: usize| {
        registry
            .resolved
            .get()
            .and_then(|resolved| resolved.get(index))
            .is_none_or(|resolved| resolved.enabled)
    };
    let all: Vec<usize> = registry
        .named(name)
        .iter()
        .copied()
        .filter(|index| package.is_none_or(|package| belongs(*index, package)))
        .collect();
    let usable: Vec<usize> = all
        .iter()
        .copied()
        .filter(|index| enabled(*index))
        .collect();
    let preferred = [from, registry.project.as_str()]
        .into_iter()
        .find_map(|package| {
            usable
                .iter()
                .copied()
                .find(|index| belongs(*index, package))
        });
    match (preferred, usable.as_slice(), all.as_slice()) {
        (Some(index), _, _) => Ok(Some(index)),
        (None, [index], _) => Ok(Some(*index)),
        (None, [], []) => Ok(None),
        (None, [], _) => Err(disabled(&format!("`{called}`"), span)),
        (None, several, _) => {
            let packages: Vec<String> = several
                .iter()
                .filter_map(|index| registry.entries.get(*index))
                .map(|entry| format!("`{}`", entry.package))
                .collect();
            let error = Diagnostic::error(
                codes::AMBIGUOUS_REF,
                format!("`{called}` is in several packages: {}", packages.join(", ")),
                span,
            );
            Err(Box::new(error.with_help(format!(
                "name the package: `ref('package', '{name}')`"
            ))))
        }
    }
}

fn disabled(what: &str, span: Span) -> Box<Diagnostic> {
    let message = format!("{what} is switched off by `enabled: false`");
    Box::new(
        Diagnostic::error(codes::DISABLED_REF, message, span)
            .with_help("enable it, or do not read it"),
    )
}

/// Finds the table of a source.
pub(super) fn find_source(
    registry: &Registry,
    from: &str,
    source: &str,
    table: &str,
    span: Span,
) -> Result<Target, Box<Diagnostic>> {
    let found = registry.source(source, table);
    let own = |package: &str| {
        found.iter().copied().find(|index| {
            registry
                .entries
                .get(*index)
                .is_some_and(|entry| entry.package == package)
        })
    };
    let chosen = own(from)
        .or_else(|| own(&registry.project))
        .or_else(|| found.first().copied());
    let Some(index) = chosen else {
        let error = Diagnostic::error(
            codes::UNKNOWN_SOURCE,
            format!("there is no source table `{source}.{table}`"),
            span,
        );
        let names: Vec<String> = registry
            .source_names()
            .map(|(source, table)| format!("{source}.{table}"))
            .collect();
        let wanted = format!("{source}.{table}");
        let names = names.iter().map(String::as_str);
        return Err(Box::new(suggest(error, &wanted, names)));
    };
    let enabled = registry
        .resolved
        .get()
        .and_then(|resolved| resolved.get(index))
        .is_none_or(|resolved| resolved.enabled);
    if !enabled {
        return Err(disabled(
            &format!("the source table `{source}.{table}`"),
            span,
        ));
    }
    Ok(Target {
        index,
        relation: relation(registry, index),
    })
}

/// The id of a node by its index.
pub(super) fn id(registry: &Registry, index: usize) -> Option<NodeId> {
    registry.entries.get(index).map(|entry| entry.id.clone())
}

fn relation(registry: &Registry, index: usize) -> Relation {
    registry
        .resolved
        .get()
        .and_then(|resolved| resolved.get(index))
        .map_or_else(
            || Relation {
                schema: registry.schema.clone(),
                name: registry
                    .entries
                    .get(index)
                    .map_or_else(String::new, |entry| entry.name.clone()),
            },
            |resolved| resolved.relation.clone(),
        )
}

/// Adds "did you mean" if a candidate is near.
pub(super) fn suggest<'a>(
    error: Diagnostic,
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Diagnostic {
    match closest(word, candidates) {
        Some(candidate) => error.with_help(format!("did you mean `{candidate}`?")),
        None => error,
    }
}

/// The candidate that a word is most likely a misspelling of: the nearest by Damerau-Levenshtein
/// distance, at most a third of the word away.
pub(super) fn closest<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<&'a str> {
    let lower = word.to_lowercase();
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .filter(|candidate| *candidate != word)
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate)
}
