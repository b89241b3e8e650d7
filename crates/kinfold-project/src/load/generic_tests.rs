//! `tests:` and `data_tests:` of properties files.

use crate::codes;
use crate::diagnostic::{Diagnostic, Span};
use crate::located::{Located, Value, ValueKind};
use crate::model::{ConfigLayer, GenericTest, TestTarget};
use crate::node::{NodeId, ResourceType};

use super::config_tree::{self, Configs, TreeKind};
use super::fields::{self, Fields, wrong_type};
use super::test_names::{self, Argument};

/// Keys of a test that are configuration wherever they are (dbt's `CONFIG_ARGS`).
const CONFIG_KEYS: &[&str] = &[
    "severity",
    "tags",
    "enabled",
    "where",
    "limit",
    "warn_if",
    "error_if",
    "fail_calc",
    "store_failures",
    "store_failures_as",
    "sql_header",
    "meta",
    "database",
    "schema",
    "alias",
];

/// What the tests of a list are attached to.
pub(super) struct Attachment<'a> {
    pub(super) package: &'a str,
    /// Position of the package among the packages.
    pub(super) package_index: usize,
    /// Folders of the properties file below its resource folder.
    pub(super) folders: &'a [String],
    pub(super) target: TestTarget,
    pub(super) column: Option<&'a TestedColumn>,
}

/// A column that has tests.
pub(super) struct TestedColumn {
    pub(super) name: Located<String>,
    pub(super) quote: bool,
    pub(super) tags: Option<(Located<String>, Value)>,
}

/// Reads the tests of a model, column or table.
pub(super) fn read(
    owner: &Fields<'_>,
    attachment: &Attachment<'_>,
    configs: &mut Configs,
    problems: &mut Vec<Diagnostic>,
) -> Vec<GenericTest> {
    if owner.get("tests").is_some() && owner.get("data_tests").is_some() {
        problems.push(
            Diagnostic::error(
                codes::INVALID_VALUE,
                "`tests` and `data_tests` are the same key, use one of them",
                owner.key_span("tests"),
            )
            .with_related(owner.key_span("data_tests"), "the other one"),
        );
    }
    let mut tests = vec![];
    for key in ["tests", "data_tests"] {
        for item in owner.list(key, problems) {
            tests.extend(test(item, attachment, configs, problems));
        }
    }
    tests
}

fn test(
    item: &Value,
    attachment: &Attachment<'_>,
    configs: &mut Configs,
    problems: &mut Vec<Diagnostic>,
) -> Option<GenericTest> {
    let (test, given) = name_and_keys(item, problems)?;
    let (namespace, base) = match test.value.split_once('.') {
        Some((namespace, base)) => (Some(namespace), base),
        None => (None, test.value.as_str()),
    };
    let identifier = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
    };
    if !identifier(base) || !namespace.is_none_or(identifier) {
        problems.push(Diagnostic::error(
            codes::INVALID_NAME,
            format!("`{}` cannot be the name of a test", test.value),
            test.span,
        ));
        return None;
    }
    let Keys {
        arguments,
        config,
        name: custom,
        description,
    } = sort_keys(given, problems);

    let column = attachment.column.map(|column| column.name.clone());
    let column_argument = attachment.column.map(|column| {
        if column.quote {
            format!("\"{}\"", column.name.value)
        } else {
            column.name.value.clone()
        }
    });
    let mut for_name: Vec<(&str, Argument<'_>)> = arguments
        .iter()
        .map(|(key, value)| (key.value.as_str(), Argument::Value(value)))
        .collect();
    if let Some(column) = &column_argument {
        for_name.retain(|(key, _)| *key != "column_name");
        for_name.push(("column_name", Argument::Text(column)));
    }
    let plain_kind = match namespace {
        Some(namespace) => format!("{namespace}_{base}"),
        None => base.to_owned(),
    };
    let (kind, target, reference) = match &attachment.target {
        TestTarget::Ref(name) => (plain_kind, name.clone(), format!("ref('{name}')")),
        TestTarget::Source(source, table) => (
            format!("source_{plain_kind}"),
            format!("{source}_{table}"),
            format!("source('{source}', '{table}')"),
        ),
    };
    let (name, alias) = match &custom {
        Some(custom) => (custom.value.clone(), custom.value.clone()),
        None => test_names::names(&kind, &target, &for_name),
    };
    let model = format!("{{{{ get_where_subquery({reference}) }}}}");
    for_name.push(("model", Argument::Text(&model)));
    let hash = test_names::hash(&name, namespace, base, &for_name);

    let mut fqn = attachment.folders.to_vec();
    fqn.push(name.clone());
    let mut path = vec![attachment.package];
    path.extend(fqn.iter().map(String::as_str));
    let (mut layers, overrides) = configs.layers(attachment.package_index, TreeKind::Tests, &path);
    if let Some(tags) = attachment.column.and_then(|column| column.tags.clone()) {
        layers.push(ConfigLayer {
            entries: vec![tags],
        });
    }
    problems.extend(
        config
            .entries
            .iter()
            .filter_map(|(key, _)| config_tree::misspelled(key)),
    );
    check_config(&config, problems);
    if !config.entries.is_empty() {
        layers.push(config);
    }
    layers.extend(overrides);
    Some(GenericTest {
        id: NodeId::new(ResourceType::Test, &[attachment.package, &name, &hash]),
        package: attachment.package.to_owned(),
        name,
        alias,
        fqn,
        test,
        target: attachment.target.clone(),
        column,
        quotes_column: attachment.column.is_some_and(|column| column.quote),
        description,
        arguments,
        config: layers,
    })
}

type Entries = Vec<(Located<String>, Value)>;

/// The three ways to write a test: `unique`, `unique: {…}`, `{test_name: unique, …}`.
fn name_and_keys(
    item: &Value,
    problems: &mut Vec<Diagnostic>,
) -> Option<(Located<String>, Entries)> {
    match &item.kind {
        ValueKind::String(name) => Some((Located::new(name.clone(), item.span), vec![])),
        ValueKind::Map(entries) => {
            if item.get("test_name").is_some() {
                let mut keys = entries.clone();
                let at = keys.iter().position(|(key, _)| key.value == "test_name")?;
                let (_, name) = keys.remove(at);
                return Some((fields::text(&name, "`test_name`", problems)?, keys));
            }
            match entries.as_slice() {
                [(name, value)] => match &value.kind {
                    ValueKind::Map(keys) => Some((name.clone(), keys.clone())),
                    ValueKind::Null => Some((name.clone(), vec![])),
                    _ => {
                        problems.push(wrong_type("the keys of a test", "a mapping", value));
                        None
                    }
                },
                [] => {
                    problems.push(wrong_type(
                        "a test",
                        "a name or a mapping with its name",
                        item,
                    ));
                    None
                }
                [(first, _), (second, _), ..] => {
                    problems.push(
                        Diagnostic::error(
                            codes::INVALID_VALUE,
                            format!(
                                "a test is one name with its keys below it, `{}` stands beside `{}`",
                                second.value, first.value
                            ),
                            second.span,
                        )
                        .with_help(format!(
                            "indent the keys of `{}` further than its name",
                            first.value
                        )),
                    );
                    None
                }
            }
        }
        _ => {
            problems.push(wrong_type(
                "a test",
                "a name or a mapping with its name",
                item,
            ));
            None
        }
    }
}

struct Keys {
    arguments: Entries,
    config: ConfigLayer,
    name: Option<Located<String>>,
    description: Option<Located<String>>,
}

fn sort_keys(given: Entries, problems: &mut Vec<Diagnostic>) -> Keys {
    let mut keys = Keys {
        arguments: vec![],
        config: ConfigLayer::default(),
        name: None,
        description: None,
    };
    let mut configured: Entries = vec![];
    // Arguments below `arguments:` win over those beside it, whatever their order.
    let mut nested: Entries = vec![];
    for (key, value) in given {
        match key.value.as_str() {
            "config" => match value.kind {
                ValueKind::Map(entries) => configured.extend(entries),
                ValueKind::Null => {}
                _ => problems.push(wrong_type("`config`", "a mapping", &value)),
            },
            "arguments" => match value.kind {
                ValueKind::Map(entries) => nested = entries,
                ValueKind::Null => {}
                _ => problems.push(wrong_type("`arguments`", "a mapping", &value)),
            },
            "name" => keys.name = fields::text(&value, "`name`", problems),
            "description" => {
                keys.description = fields::text(&value, "`description`", problems);
            }
            "model" => problems.push(Diagnostic::error(
                codes::INVALID_VALUE,
                "a test cannot have an argument `model`, it is what the test is attached to",
                key.span,
            )),
            word if CONFIG_KEYS.contains(&word) => keys.config.entries.push((key, value)),
            _ => keys.arguments.push((key, value)),
        }
    }
    for (key, value) in nested {
        keys.arguments.retain(|(k, _)| k.value != key.value);
        keys.arguments.push((key, value));
    }
    for (key, value) in configured {
        match keys
            .config
            .entries
            .iter()
            .find(|(k, _)| k.value == key.value)
        {
            Some((other, _)) => problems.push(
                Diagnostic::error(
                    codes::YAML_DUPLICATE_KEY,
                    format!("`{}` is set beside `config` and in it", key.value),
                    key.span,
                )
                .with_related(other.span, "and here"),
            ),
            None => keys.config.entries.push((key, value)),
        }
    }
    keys
}

fn check_config(config: &ConfigLayer, problems: &mut Vec<Diagnostic>) {
    for (key, value) in &config.entries {
        if let ("severity", ValueKind::String(word)) = (key.value.as_str(), &value.kind)
            && !word.contains("{{")
            && !["warn", "error"].contains(&word.to_lowercase().as_str())
        {
            problems.push(invalid_word(
                "severity",
                word,
                value.span,
                &["error", "warn"],
            ));
        }
    }
}

/// A word that is none of those that its key takes.
pub(super) fn invalid_word(key: &str, word: &str, span: Span, allowed: &[&str]) -> Diagnostic {
    let diagnostic = Diagnostic::error(
        codes::INVALID_VALUE,
        format!("`{word}` is no value of `{key}`"),
        span,
    );
    match crate::suggest::did_you_mean(word, allowed.iter().copied()) {
        Some(help) => diagnostic.with_help(help),
        None => diagnostic.with_help(format!(
            "it can be {}",
            crate::suggest::one_of(allowed.iter().copied())
        )),
    }
}
