//! `kinfold identity suggest`.

use std::path::{Path, PathBuf};

use kinfold_compile::compile::CompiledNode;
use kinfold_engine::judge::{SuggestRequest, Suggestion};
use kinfold_project::ResourceType;
use serde_json::{Value, json};

use super::super::query::relation;
use super::super::{CommandError, Done};
use super::{JudgeError, Opened, write_new};
use crate::cli::{Global, SuggestArguments};
use crate::report::{Output, grouped};

/// The files of a model that would be written.
struct Target {
    model: String,
    sql: PathBuf,
    yaml: PathBuf,
}

pub(super) async fn run(
    global: &Global,
    arguments: &SuggestArguments,
    output: &Output,
) -> Result<Done, CommandError> {
    let opened = Opened::new(global).await?;
    let given = arguments.relation.as_str();
    let sql_name = relation(&opened.published, given)?;
    let node = node(&opened, given)?;
    let target = match &arguments.to {
        Some(path) => Some(target(&opened, path)?),
        None => None,
    };
    let name = target.as_ref().map(|target| target.model.clone());
    let request = SuggestRequest {
        relation: sql_name,
        reference: reference(&opened, node),
        source: node.name.clone(),
        model: name.unwrap_or_else(|| format!("{}_matches", node.name.replace('.', "_"))),
        id: arguments.id.clone(),
        pairs_per_record: arguments.pairs_per_record,
    };
    let found = opened.engine.suggest_linkage(&request).await?;
    let suggestion = found.map_err(|no| JudgeError::NoSuggestion {
        relation: given.to_owned(),
        why: no.why,
        help: no.help,
    })?;
    let written = match target.filter(|_| !arguments.dry_run) {
        None => None,
        Some(target) => {
            write_new(&target.sql, &suggestion.sql)?;
            write_new(&target.yaml, &suggestion.yaml)?;
            Some([target.sql, target.yaml])
        }
    };
    if output.is_json() {
        let mut told = json!({
            "success": true,
            "relation": given,
            "model": request.model,
            "written": written.iter().flatten().map(|path| path.display().to_string()).collect::<Vec<_>>(),
        });
        if let (Value::Object(told), Ok(Value::Object(found))) =
            (&mut told, serde_json::to_value(&suggestion))
        {
            told.extend(found);
        }
        output.json(&told);
        return Ok(Done { success: true });
    }
    reasons(&request, &suggestion, output);
    match written {
        None => {
            output.line(&format!("# models/{}.sql", request.model));
            output.line(suggestion.sql.trim_end());
            output.line(&format!("\n# models/{}.yml", request.model));
            output.line(suggestion.yaml.trim_end());
        }
        Some(paths) => {
            for path in paths {
                output.say(&format!("wrote {}", path.display()));
            }
            output.say(&format!(
                "look at both, then: kinfold identity train {}",
                request.model
            ));
        }
    }
    Ok(Done { success: true })
}

/// The node that publishes the relation, by its name or id.
fn node<'a>(opened: &'a Opened, given: &str) -> Result<&'a CompiledNode, CommandError> {
    let readable = |node: &&CompiledNode| {
        let kinds = [
            ResourceType::Model,
            ResourceType::Seed,
            ResourceType::Source,
        ];
        kinds.contains(&node.resource)
    };
    let nodes = || opened.bound.compiled.nodes.values().filter(readable);
    let called = |node: &&CompiledNode| {
        let relation = node.relation.as_ref();
        let named = relation.is_some_and(|relation| {
            relation.name == given || format!("{}.{}", relation.schema, relation.name) == given
        });
        node.name == given || node.id.as_str() == given || source_name(node) == Some(given) || named
    };
    nodes().find(called).ok_or_else(|| CommandError::Unknown {
        kind: "model, seed or source",
        name: given.to_owned(),
        close: None,
    })
}

/// `source.table` of a source.
fn source_name(node: &CompiledNode) -> Option<&str> {
    let rest = node.id.as_str().strip_prefix("source.")?;
    rest.split_once('.').map(|(_, name)| name)
}

/// The relation as a model refers to it.
fn reference(opened: &Opened, node: &CompiledNode) -> String {
    let quoted = |text: &str| format!("'{}'", text.replace('\'', "\\'"));
    let source = source_name(node).and_then(|name| name.split_once('.'));
    match source {
        Some((source, table)) => {
            format!("{{{{ source({}, {}) }}}}", quoted(source), quoted(table))
        }
        None if node.package == opened.workspace.project.name => {
            format!("{{{{ ref({}) }}}}", quoted(&node.name))
        }
        None => format!(
            "{{{{ ref({}, {}) }}}}",
            quoted(&node.package),
            quoted(&node.name)
        ),
    }
}

/// The files to write: below the project's root, none of which may be there.
fn target(opened: &Opened, path: &Path) -> Result<Target, CommandError> {
    let wrong = |why: &str| JudgeError::ModelPath {
        path: path.to_path_buf(),
        why: why.to_owned(),
    };
    let name = path.file_name().and_then(|name| name.to_str());
    let name = name.ok_or_else(|| wrong("it has no name"))?;
    let plain = name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_');
    if !plain || name.starts_with(|c: char| c.is_ascii_digit()) {
        return Err(wrong("the name of a model has letters, digits and `_` only").into());
    }
    if opened
        .bound
        .compiled
        .nodes
        .values()
        .any(|node| node.name == name)
    {
        return Err(wrong("the project has a node of that name").into());
    }
    let path = opened.workspace.root.join(path);
    if !path.parent().is_some_and(Path::is_dir) {
        return Err(wrong("its folder is not there").into());
    }
    let target = Target {
        model: name.to_owned(),
        sql: path.with_extension("sql"),
        yaml: path.with_extension("yml"),
    };
    for file in [&target.sql, &target.yaml] {
        if file.exists() {
            return Err(CommandError::FileExists(file.clone()));
        }
    }
    Ok(target)
}

/// Why what was chosen was chosen. Messages, so that what is printed as data are the files.
fn reasons(request: &SuggestRequest, suggestion: &Suggestion, output: &Output) {
    output.say(&format!(
        "{} records of {}, known by `{}`",
        grouped(suggestion.records),
        request.source,
        suggestion.id
    ));
    for comparison in &suggestion.comparisons {
        output.say(&format!(
            "  compared like {}: {} ({})",
            comparison.like, comparison.column, comparison.why
        ));
    }
    for left_out in &suggestion.left_out {
        output.say(&format!(
            "  left out: {} ({})",
            left_out.column, left_out.why
        ));
    }
    for rule in &suggestion.blocking {
        output.say(&format!(
            "  {:>9} pairs agree on {}",
            grouped(rule.pairs),
            rule.expressions.join(", ")
        ));
    }
    output.say(&format!(
        "  {:>9} pairs of {} that are allowed; {} records have no value for any rule",
        grouped(suggestion.pairs),
        grouped(suggestion.budget),
        grouped(suggestion.not_covered)
    ));
    if suggestion.training.len() < 2 {
        output.say(
            "warning: fewer than two rules to learn from share no column, so some comparisons will not be learned",
        );
    }
}
