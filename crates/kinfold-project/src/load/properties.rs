//! Properties files in dbt's format: what models, seeds and sources are, and their tests.

use std::collections::HashMap;

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity, Span};
use crate::exposure::{Exposure, Group};
use crate::located::{Located, Value, ValueKind};
use crate::model::{Column, ConfigLayer, GenericTest, Model, Seed, Source, TestTarget};
use crate::suggest;

use super::config_tree::{self, Configs};
use super::exposures;
use super::fields::Fields;
use super::generic_tests::{self, Attachment, TestedColumn};
use super::sources;

/// Keys of a properties file.
pub(super) const FILE_KEYS: &[&str] = &[
    "version",
    "models",
    "seeds",
    "sources",
    "macros",
    "snapshots",
    "analyses",
    "exposures",
    "groups",
    "metrics",
    "semantic_models",
    "saved_queries",
    "unit_tests",
    "data_tests",
    "tests",
    "functions",
    "anchors",
];

/// Keys of a model or seed.
pub(super) const NODE_KEYS: &[&str] = &[
    "name",
    "description",
    "columns",
    "config",
    "tests",
    "data_tests",
    "docs",
    "meta",
    "tags",
    "access",
    "group",
    "constraints",
    "deprecation_date",
    "latest_version",
    "versions",
    "quote_columns",
    "time_spine",
    "semantic_model",
    "primary_entity",
    "agg_time_dimension",
    "metrics",
    "derived_semantics",
];

/// Keys of a node that are configuration although they stand beside `config:`.
pub(super) const CONFIG_PROPERTIES: &[&str] = &[
    "access",
    "docs",
    "freshness",
    "group",
    "loaded_at_field",
    "loaded_at_query",
    "loader",
    "meta",
    "quote_columns",
    "quoting",
    "tags",
];

pub(super) const COLUMN_KEYS: &[&str] = &[
    "name",
    "description",
    "data_type",
    "quote",
    "config",
    "constraints",
    "dimension",
    "entity",
    "granularity",
    "meta",
    "policy_tags",
    "tags",
    "tests",
    "data_tests",
];

/// A properties file on its way into the project.
pub(super) struct PropertiesFile<'a> {
    pub(super) package: &'a str,
    pub(super) package_index: usize,
    pub(super) vars: &'a [(Located<String>, Value)],
    pub(super) environment_variable: &'a dyn Fn(&str) -> Option<String>,
    /// Folders below the resource folder that the file is in.
    pub(super) folders: Vec<String>,
    /// Folders without the first one, as dbt has them in the `fqn` of tests.
    pub(super) test_folders: Vec<String>,
}

/// What properties files change and add.
pub(super) struct Nodes<'a> {
    pub(super) models: &'a mut Vec<Model>,
    pub(super) seeds: &'a mut Vec<Seed>,
    pub(super) sources: &'a mut Vec<Source>,
    pub(super) generic_tests: &'a mut Vec<GenericTest>,
    pub(super) exposures: &'a mut Vec<Exposure>,
    pub(super) groups: &'a mut Vec<Group>,
    /// Positions of the package's models and seeds by name.
    pub(super) model_positions: HashMap<String, usize>,
    pub(super) seed_positions: HashMap<String, usize>,
    /// Where each model and seed was described first: (package, name).
    pub(super) described: &'a mut HashMap<(String, String), Span>,
    pub(super) configs: &'a mut Configs,
}

/// Description, columns and configuration of a node.
pub(super) struct Description {
    pub(super) description: Option<Located<String>>,
    pub(super) columns: Vec<Column>,
    pub(super) layers: Vec<ConfigLayer>,
}

/// Takes in one file.
pub(super) fn apply(
    value: &Value,
    from: &PropertiesFile<'_>,
    nodes: &mut Nodes<'_>,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(fields) = Fields::of(value, "a properties file", problems) else {
        return;
    };
    for (key, help) in [
        ("syncs", "syncs are declared in files below `syncs/`"),
        (
            "connections",
            "connections are declared in files below `connections/`",
        ),
    ] {
        if fields.get(key).is_some() {
            problems.push(
                Diagnostic::error(
                    codes::UNKNOWN_KEY,
                    format!("a properties file has no key `{key}`"),
                    fields.key_span(key),
                )
                .with_help(help),
            );
        }
    }
    let known = [FILE_KEYS, &["syncs", "connections"]].concat();
    fields.check_keys(&known, Severity::Warning, problems);
    if fields.get("snapshots").is_some() {
        problems.push(Diagnostic::warning(
            codes::UNSUPPORTED,
            "`snapshots` are not supported yet and are ignored",
            fields.key_span("snapshots"),
        ));
    }
    for (key, is_seed) in [("models", false), ("seeds", true)] {
        for item in fields.list(key, problems) {
            node(item, is_seed, from, nodes, problems);
        }
    }
    for item in fields.list("sources", problems) {
        sources::read(item, from, nodes, problems);
    }
    for item in fields.list("exposures", problems) {
        let found = exposures::exposure(item, from.package, problems);
        nodes.exposures.extend(found);
    }
    for item in fields.list("groups", problems) {
        let found = exposures::group(item, from.package, problems);
        nodes.groups.extend(found);
    }
}

fn node(
    item: &Value,
    is_seed: bool,
    from: &PropertiesFile<'_>,
    nodes: &mut Nodes<'_>,
    problems: &mut Vec<Diagnostic>,
) {
    let what = if is_seed { "a seed" } else { "a model" };
    let Some(fields) = Fields::of(item, what, problems) else {
        return;
    };
    fields.check_keys(NODE_KEYS, Severity::Warning, problems);
    let Some(name) = fields.required_text("name", problems) else {
        return;
    };
    if fields.get("versions").is_some() {
        problems.push(Diagnostic::warning(
            codes::UNSUPPORTED,
            "versions of models are not supported, each file is a model of its own",
            fields.key_span("versions"),
        ));
    }
    let description = describe(&fields, NODE_KEYS, problems);
    let key = (from.package.to_owned(), name.value.clone());
    let position = |positions: &HashMap<String, usize>, wanted: bool| {
        positions.get(&name.value).copied().filter(|_| wanted)
    };
    let model = position(&nodes.model_positions, !is_seed).and_then(|i| nodes.models.get_mut(i));
    let seed = position(&nodes.seed_positions, is_seed).and_then(|i| nodes.seeds.get_mut(i));
    match (model, seed) {
        (None, None) => {
            problems.push(no_such_node(&name, what, from.package, nodes));
            return;
        }
        (Some(model), _) => {
            if let Some(first) = nodes.described.get(&key) {
                problems.push(described_twice(&name, *first));
                return;
            }
            model.description = description.description;
            model.columns = description.columns;
            model.config.extend(description.layers);
            model.properties = Some(name.span);
        }
        (None, Some(seed)) => {
            if let Some(first) = nodes.described.get(&key) {
                problems.push(described_twice(&name, *first));
                return;
            }
            seed.description = description.description;
            seed.columns = description.columns;
            seed.config.extend(description.layers);
        }
    }
    nodes.described.insert(key, name.span);
    let target = TestTarget::Ref(name.value.clone());
    tests(&fields, &target, from, nodes, problems);
}

/// The tests of the columns, then those of the node, which is dbt's order.
pub(super) fn tests(
    fields: &Fields<'_>,
    target: &TestTarget,
    from: &PropertiesFile<'_>,
    nodes: &mut Nodes<'_>,
    problems: &mut Vec<Diagnostic>,
) {
    let mut found = vec![];
    // Every problem with the list of columns was reported when they were read.
    let mut ignored = vec![];
    let quote_columns = fields.boolean("quote_columns", &mut ignored);
    let mut attachment = Attachment {
        package: from.package,
        package_index: from.package_index,
        folders: &from.test_folders,
        target: target.clone(),
        column: None,
    };
    for item in fields.list("columns", &mut ignored) {
        let Some(column) = Fields::of(item, "a column", &mut ignored) else {
            continue;
        };
        let Some(name) = column.text("name", &mut ignored) else {
            continue;
        };
        let tags = column
            .entries()
            .iter()
            .find(|(key, _)| key.value == "tags")
            .cloned();
        let quote = column.boolean("quote", problems).or(quote_columns);
        let tested = TestedColumn {
            name,
            quote: quote.unwrap_or(false),
            tags,
        };
        let attachment = Attachment {
            column: Some(&tested),
            target: target.clone(),
            ..attachment
        };
        found.extend(generic_tests::read(
            &column,
            &attachment,
            nodes.configs,
            problems,
        ));
    }
    attachment.column = None;
    found.extend(generic_tests::read(
        fields,
        &attachment,
        nodes.configs,
        problems,
    ));
    nodes.generic_tests.extend(found);
}

/// Reads what models, seeds and tables of sources have in common.
pub(super) fn describe(
    fields: &Fields<'_>,
    known: &[&str],
    problems: &mut Vec<Diagnostic>,
) -> Description {
    let mut layers = vec![];
    let beside = ConfigLayer {
        entries: fields
            .entries()
            .iter()
            .filter(|(key, _)| {
                CONFIG_PROPERTIES.contains(&key.value.as_str())
                    && known.contains(&key.value.as_str())
            })
            .cloned()
            .collect(),
    };
    if !beside.entries.is_empty() {
        layers.push(beside);
    }
    let config: Vec<_> = fields
        .map("config", problems)
        .iter()
        .map(|(key, value)| {
            let name = key.value.strip_prefix('+').unwrap_or(&key.value);
            (Located::new(name.to_owned(), key.span), value.clone())
        })
        .collect();
    problems.extend(
        config
            .iter()
            .filter_map(|(key, _)| config_tree::misspelled(key)),
    );
    if !config.is_empty() {
        layers.push(ConfigLayer { entries: config });
    }
    Description {
        description: fields.text("description", problems),
        columns: columns(fields, problems),
        layers,
    }
}

fn columns(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> Vec<Column> {
    let mut columns: Vec<Column> = vec![];
    for item in fields.list("columns", problems) {
        let Some(fields) = Fields::of(item, "a column", problems) else {
            continue;
        };
        fields.check_keys(COLUMN_KEYS, Severity::Warning, problems);
        let Some(name) = fields.required_text("name", problems) else {
            continue;
        };
        if let Some(first) = columns.iter().find(|c| c.name.value == name.value) {
            problems.push(
                Diagnostic::warning(
                    codes::DUPLICATE_NAME,
                    format!("the column `{}` is described twice", name.value),
                    name.span,
                )
                .with_related(first.name.span, "first here"),
            );
        }
        let rest: Vec<_> = fields
            .entries()
            .iter()
            .filter(|(key, _)| {
                let own = ["name", "description", "data_type", "tests", "data_tests"];
                !own.contains(&key.value.as_str())
            })
            .cloned()
            .collect();
        let meta = (!rest.is_empty()).then_some(Value {
            kind: ValueKind::Map(rest),
            span: item.span,
        });
        columns.push(Column {
            name,
            description: fields.text("description", problems),
            data_type: fields.text("data_type", problems),
            meta,
        });
    }
    columns
}

fn no_such_node(
    name: &Located<String>,
    what: &str,
    package: &str,
    nodes: &Nodes<'_>,
) -> Diagnostic {
    let noun = what.trim_start_matches("a ");
    let other = if noun == "model" { "seed" } else { "model" };
    let models = nodes.models.iter().filter(|n| n.package == package);
    let seeds = nodes.seeds.iter().filter(|n| n.package == package);
    let models: Vec<&str> = models.map(|n| n.name.as_str()).collect();
    let seeds: Vec<&str> = seeds.map(|n| n.name.as_str()).collect();
    let (own, others) = if noun == "model" {
        (models, seeds)
    } else {
        (seeds, models)
    };
    let warning = Diagnostic::warning(
        codes::UNUSED_PROPERTIES,
        format!("there is no {noun} `{}`", name.value),
        name.span,
    )
    .with_note("its properties and tests are ignored");
    if others.contains(&name.value.as_str()) {
        return warning.with_help(format!(
            "`{}` is a {other}: move this below `{other}s:`",
            name.value
        ));
    }
    match suggest::did_you_mean(&name.value, own) {
        Some(help) => warning.with_help(help),
        None => warning,
    }
}

fn described_twice(name: &Located<String>, first: Span) -> Diagnostic {
    Diagnostic::error(
        codes::DUPLICATE_NAME,
        format!("`{}` is described twice", name.value),
        name.span,
    )
    .with_related(first, "first here")
    .with_help("put both together")
}
