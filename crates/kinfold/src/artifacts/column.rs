//! Descriptions and described columns.

use kinfold_project::{Column, Located, Project};
use serde_json::{Value as Json, json};

/// The description of something in `package`, with the docs blocks that it names in place of their
/// calls; empty if there is none.
pub fn description(project: &Project, package: &str, written: Option<&Located<String>>) -> String {
    let mut text = String::new();
    let mut rest = written.map_or("", |written| written.value.as_str());
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((inner, behind)) = after.split_once("}}") else {
            break;
        };
        text.push_str(before);
        match block(project, package, inner) {
            Some(contents) => text.push_str(contents),
            None => text.push_str(&format!("{{{{{inner}}}}}")),
        }
        rest = behind;
    }
    text.push_str(rest);
    text
}

/// The docs block that `doc('name')` or `doc('package', 'name')` names: of the package itself, else of
/// the root.
fn block<'p>(project: &'p Project, package: &str, call: &str) -> Option<&'p str> {
    let call = call.trim().trim_matches('-').trim();
    let arguments = call
        .strip_prefix("doc")?
        .trim_start()
        .strip_prefix('(')?
        .strip_suffix(')')?;
    let names: Vec<&str> = arguments.split(',').map(unquoted).collect::<Option<_>>()?;
    let candidates = match names.as_slice() {
        [name] => vec![(package, *name), (project.name.as_str(), *name)],
        [package, name] => vec![(*package, *name)],
        _ => return None,
    };
    candidates.into_iter().find_map(|(package, name)| {
        let contents = project.docs.get(&(package.to_owned(), name.to_owned()))?;
        Some(contents.value.as_str())
    })
}

fn unquoted(literal: &str) -> Option<&str> {
    let literal = literal.trim();
    let within = |quote: char| literal.strip_prefix(quote)?.strip_suffix(quote);
    within('\'').or_else(|| within('"'))
}

/// The constraints of a column, as far as they are some.
fn constraints(written: Option<Json>) -> Vec<Json> {
    let kinds = [
        "check",
        "not_null",
        "unique",
        "primary_key",
        "foreign_key",
        "custom",
    ];
    let constraint = |written: &Json| {
        let kind = written.get("type")?.as_str()?;
        let text = |key: &str| written.get(key).and_then(Json::as_str);
        kinds.contains(&kind).then(
            || json!({ "type": kind, "name": text("name"), "expression": text("expression") }),
        )
    };
    let Some(Json::Array(all)) = written else {
        return vec![];
    };
    all.iter().filter_map(constraint).collect()
}

/// `columns` of a node.
pub(super) fn columns(project: &Project, package: &str, columns: &[Column]) -> Json {
    let described = columns.iter().map(|column| {
        let more = |key: &str| {
            let config = column
                .meta
                .as_ref()
                .and_then(|more| more.get("config")?.get(key));
            column
                .meta
                .as_ref()
                .and_then(|more| more.get(key))
                .or(config)
                .map(|v| v.to_json())
        };
        let meta = match more("meta") {
            Some(Json::Object(meta)) => Json::Object(meta),
            _ => json!({}),
        };
        let tags = match more("tags") {
            Some(Json::Array(tags)) => tags.into_iter().filter(Json::is_string).collect(),
            Some(Json::String(tag)) => vec![tag.into()],
            _ => vec![],
        };
        let entry = json!({
            "name": column.name.value,
            "description": description(project, package, column.description.as_ref()),
            "meta": meta,
            "data_type": column.data_type.as_ref().map(|t| &t.value),
            "constraints": constraints(more("constraints")),
            "quote": more("quote").and_then(|quote| quote.as_bool()),
            "tags": tags,
        });
        (column.name.value.clone(), entry)
    });
    Json::Object(described.collect())
}
