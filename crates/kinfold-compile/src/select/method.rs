//! What a criterion compares.

use kinfold_project::ResourceType;
use serde_json::Value as Json;

use super::SelectError;
use super::graph::{SelectGraph, SelectNode};
use super::pattern::{Pattern, is_glob};
use super::state::StateTest;

/// A method with its value.
#[derive(Clone, Debug)]
pub(super) enum Method {
    Fqn(Fqn),
    Tag(Pattern),
    Path(Pattern),
    File(Pattern),
    Source(Vec<Pattern>),
    ResourceType(ResourceTypes),
    Config {
        keys: Vec<String>,
        value: Pattern,
    },
    Package(Pattern),
    TestName(Pattern),
    UnitTest(Pattern),
    TestType(TestType),
    State(StateTest),
    Result(String),
    /// A selection with a name, which is looked up where it is needed.
    Selector(String),
}

/// A value of `resource_type:`.
#[derive(Clone, Copy, Debug)]
pub(super) enum ResourceTypes {
    /// Every type.
    All,
    /// Only this one.
    Only(ResourceType),
    /// A type of dbt that no node has.
    None,
}

/// A value of `test_type:`.
#[derive(Clone, Copy, Debug)]
pub(super) enum TestType {
    Data,
    Generic,
    Singular,
    Unit,
}

/// A name, or the beginning of a path of names joined by dots.
#[derive(Clone, Debug)]
pub(super) struct Fqn {
    name: Pattern,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Word(String),
    /// A part with a wildcard stands for itself and all that follows it.
    Rest(Pattern),
}

/// The methods that [`Method::parse`] knows, for suggestions.
const METHODS: [&str; 15] = [
    "config",
    "file",
    "fqn",
    "package",
    "path",
    "resource_type",
    "result",
    "selector",
    "source",
    "state",
    "tag",
    "test_name",
    "test_type",
    "unit_test",
    "config.materialized",
];

/// dbt's other methods.
const NOT_YET: [&str; 9] = [
    "access",
    "exposure",
    "function",
    "group",
    "metric",
    "saved_query",
    "semantic_model",
    "source_status",
    "version",
];

impl Method {
    /// Parses the value of a method. `criterion` is what was written, for errors.
    pub(super) fn parse(
        method: Option<&str>,
        value: &str,
        criterion: &str,
    ) -> Result<Self, SelectError> {
        let invalid = |method, allowed| SelectError::InvalidValue {
            criterion: criterion.to_owned(),
            method,
            value: value.to_owned(),
            allowed,
        };
        let Some(method) = method else {
            return Ok(Self::implied(value));
        };
        Ok(match method {
            "fqn" => Self::Fqn(Fqn::new(value)),
            "tag" => Self::Tag(Pattern::of_words(value)),
            "path" => Self::Path(path(value)),
            "file" => Self::File(Pattern::of_words(value)),
            "package" => Self::Package(Pattern::of_words(value)),
            "test_name" => Self::TestName(Pattern::of_words(value)),
            "unit_test" => Self::UnitTest(Pattern::of_words(value)),
            "source" => {
                let parts: Vec<Pattern> = value.split('.').map(Pattern::of_words).collect();
                if parts.len() > 3 {
                    return Err(invalid(
                        "source",
                        "`source`, `source.table` or `package.source.table`",
                    ));
                }
                Self::Source(parts)
            }
            "resource_type" => Self::ResourceType(resource_types(value).ok_or_else(|| {
                invalid(
                    "resource_type",
                    "`model`, `seed`, `source`, `sync`, `test`, `unit_test` or `all`",
                )
            })?),
            "test_type" => {
                Self::TestType(test_type(value).ok_or_else(|| {
                    invalid("test_type", "`data`, `generic`, `singular` or `unit`")
                })?)
            }
            "state" => Self::State(
                StateTest::parse(value).ok_or_else(|| invalid("state", StateTest::ALLOWED))?,
            ),
            "result" => {
                let known = ["success", "error", "fail", "skipped", "pass", "warn"];
                if !known.contains(&value) {
                    let allowed = "`success`, `error`, `fail`, `skipped`, `pass` or `warn`";
                    return Err(invalid("result", allowed));
                }
                Self::Result(value.to_owned())
            }
            "selector" => Self::Selector(value.to_owned()),
            _ => match method.strip_prefix("config.") {
                Some(keys) if !keys.is_empty() => Self::Config {
                    keys: keys.split('.').map(str::to_owned).collect(),
                    value: Pattern::of_words(value),
                },
                _ => return Err(unknown(method, criterion)),
            },
        })
    }

    /// The method of text that names none.
    fn implied(value: &str) -> Self {
        if value.contains('/') {
            return Self::Path(path(value));
        }
        let lower = value.to_lowercase();
        if [".sql", ".csv", ".yml", ".yaml"]
            .iter()
            .any(|ending| lower.ends_with(ending))
        {
            return Self::File(Pattern::of_words(value));
        }
        Self::Fqn(Fqn::new(value))
    }

    /// Whether a node is meant.
    pub(super) fn matches(&self, node: &SelectNode, graph: &SelectGraph) -> bool {
        match self {
            Self::State(test) => test.matches(graph.change(node)),
            Self::Result(word) => graph.result(node) == Some(word),
            Self::Selector(_) => false,
            Self::Fqn(fqn) => fqn.matches(node),
            Self::Tag(tag) => node.tags.iter().any(|t| tag.matches(t)),
            Self::Path(path) => node.paths.iter().any(|p| is_at(path, p)),
            Self::File(file) => node.paths.first().is_some_and(|path| {
                let name = path.rsplit('/').next().unwrap_or(path);
                let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
                file.matches(name) || file.matches(stem)
            }),
            Self::Source(parts) => {
                node.source
                    .as_deref()
                    .is_some_and(|source| match parts.as_slice() {
                        [one] => one.matches(source),
                        [one, table] => one.matches(source) && table.matches(&node.name),
                        [package, one, table] => {
                            package.matches(&node.package)
                                && one.matches(source)
                                && table.matches(&node.name)
                        }
                        _ => false,
                    })
            }
            Self::ResourceType(types) => match types {
                ResourceTypes::All => true,
                ResourceTypes::Only(one) => node.resource == *one,
                ResourceTypes::None => false,
            },
            Self::Config { keys, value } => {
                configured(node, keys).is_some_and(|c| equals(c, value))
            }
            Self::Package(package) if package.text() == "this" => node.package == graph.root,
            Self::Package(package) => package.matches(&node.package),
            Self::TestName(name) => node.test.as_deref().is_some_and(|test| {
                let own = test.rsplit('.').next().unwrap_or(test);
                name.matches(test) || name.matches(own)
            }),
            Self::UnitTest(name) => {
                node.resource == ResourceType::UnitTest && name.matches(&node.name)
            }
            Self::TestType(kind) => {
                let data = node.resource == ResourceType::Test;
                match kind {
                    TestType::Data => data,
                    TestType::Generic => data && node.test.is_some(),
                    TestType::Singular => data && node.test.is_none(),
                    TestType::Unit => node.resource == ResourceType::UnitTest,
                }
            }
        }
    }

    /// The name that the criterion stands for; `None` if it describes nodes instead.
    pub(super) fn names(&self) -> Option<&str> {
        let pattern = match self {
            Self::Fqn(fqn) => &fqn.name,
            Self::Tag(p)
            | Self::Path(p)
            | Self::File(p)
            | Self::Package(p)
            | Self::TestName(p)
            | Self::UnitTest(p) => p,
            Self::Source(parts) if parts.iter().any(|part| is_glob(part.text())) => return None,
            Self::Source(parts) => parts.last()?,
            Self::ResourceType(_)
            | Self::TestType(_)
            | Self::Config { .. }
            | Self::State(_)
            | Self::Result(_)
            | Self::Selector(_) => return None,
        };
        Some(pattern.text()).filter(|text| !is_glob(text))
    }

    /// The value that a value without a match is nearest to.
    pub(super) fn suggestion(&self, graph: &SelectGraph) -> Option<String> {
        let nodes = || graph.nodes().iter();
        let (word, candidates): (&str, Vec<String>) = match self {
            Self::Fqn(fqn) => {
                let names = nodes()
                    .filter(|n| n.resource != ResourceType::Source)
                    .flat_map(|n| {
                        // Folders can be misspelled too, with and without the package.
                        (0..n.fqn.len())
                            .flat_map(|end| {
                                [n.fqn.get(..=end), n.fqn.get(1..=end)]
                                    .map(|p| p.map_or_else(String::new, |p| p.join(".")))
                            })
                            .chain([n.name.clone()])
                            .collect::<Vec<_>>()
                    });
                (
                    fqn.name.text(),
                    names.filter(|name| !name.is_empty()).collect(),
                )
            }
            Self::Tag(tag) => (tag.text(), nodes().flat_map(|n| n.tags.clone()).collect()),
            Self::Path(path) => (
                path.text(),
                nodes()
                    .flat_map(|n| {
                        n.paths
                            .iter()
                            .flat_map(|p| with_folders(p))
                            .collect::<Vec<_>>()
                    })
                    .collect(),
            ),
            Self::File(file) => {
                let names =
                    nodes().filter_map(|n| n.paths.first()?.rsplit('/').next().map(str::to_owned));
                (file.text(), names.collect())
            }
            Self::Source(parts) => return source_suggestion(parts, graph),
            Self::Package(package) => {
                (package.text(), nodes().map(|n| n.package.clone()).collect())
            }
            Self::TestName(name) => (
                name.text(),
                nodes().filter_map(|n| n.test.clone()).collect(),
            ),
            Self::UnitTest(name) => {
                let tests = nodes().filter(|n| n.resource == ResourceType::UnitTest);
                (name.text(), tests.map(|n| n.name.clone()).collect())
            }
            Self::Config { keys, value } => {
                let values =
                    nodes().filter_map(|n| configured(n, keys)?.as_str().map(str::to_owned));
                (value.text(), values.collect())
            }
            Self::ResourceType(_)
            | Self::TestType(_)
            | Self::State(_)
            | Self::Result(_)
            | Self::Selector(_) => return None,
        };
        nearest(word, candidates.iter().map(String::as_str))
    }
}

impl Fqn {
    fn new(text: &str) -> Self {
        let mut parts = Vec::new();
        let mut rest = Some(text);
        while let Some(text) = rest {
            let (word, after) = match text.split_once('.') {
                Some((word, after)) => (word, Some(after)),
                None => (text, None),
            };
            if is_glob(word) {
                parts.push(Part::Rest(Pattern::of_words(text)));
                break;
            }
            parts.push(Part::Word(word.to_owned()));
            rest = after;
        }
        Self {
            name: Pattern::of_words(text),
            parts,
        }
    }

    /// The name itself, or a beginning of the path, with the package or without it. Sources are
    /// named by `source:` only.
    fn matches(&self, node: &SelectNode) -> bool {
        if node.resource == ResourceType::Source {
            return false;
        }
        let unscoped = node.fqn.get(1..).unwrap_or(&[]);
        self.name.matches(&node.name) || self.begins(&node.fqn) || self.begins(unscoped)
    }

    fn begins(&self, fqn: &[String]) -> bool {
        // A name of a folder or a test may contain dots.
        let flat: Vec<&str> = fqn.iter().flat_map(|segment| segment.split('.')).collect();
        if flat.len() < self.parts.len() {
            return false;
        }
        self.parts.iter().enumerate().all(|(at, part)| match part {
            Part::Word(word) => flat.get(at).is_some_and(|segment| segment == word),
            Part::Rest(rest) => flat
                .get(at..)
                .is_some_and(|segments| rest.matches(&segments.join("."))),
        })
    }
}

fn path(value: &str) -> Pattern {
    let value = value.trim_start_matches("./").trim_end_matches('/');
    Pattern::of_paths(if value.is_empty() { "**" } else { value })
}

/// Whether a pattern names a file or one of the folders that it is in.
fn is_at(pattern: &Pattern, path: &str) -> bool {
    with_folders(path).any(|p| pattern.matches(&p))
}

/// The path and all folders above it.
fn with_folders(path: &str) -> impl Iterator<Item = String> {
    let ends = path
        .match_indices('/')
        .map(|(at, _)| at)
        .chain([path.len()]);
    ends.filter_map(|end| path.get(..end))
        .filter(|p| !p.is_empty())
        .map(str::to_owned)
}

fn resource_types(value: &str) -> Option<ResourceTypes> {
    Some(match value {
        "all" => ResourceTypes::All,
        "model" => ResourceTypes::Only(ResourceType::Model),
        "seed" => ResourceTypes::Only(ResourceType::Seed),
        "source" => ResourceTypes::Only(ResourceType::Source),
        "sync" => ResourceTypes::Only(ResourceType::Sync),
        "test" => ResourceTypes::Only(ResourceType::Test),
        "unit_test" => ResourceTypes::Only(ResourceType::UnitTest),
        "analysis" | "exposure" | "function" | "metric" | "saved_query" | "semantic_model"
        | "snapshot" => ResourceTypes::None,
        _ => return None,
    })
}

fn test_type(value: &str) -> Option<TestType> {
    Some(match value {
        "data" => TestType::Data,
        "generic" => TestType::Generic,
        "singular" => TestType::Singular,
        "unit" => TestType::Unit,
        _ => return None,
    })
}

fn unknown(method: &str, criterion: &str) -> SelectError {
    let (criterion, method) = (criterion.to_owned(), method.to_owned());
    if NOT_YET.contains(&method.as_str()) {
        return SelectError::UnsupportedMethod { criterion, method };
    }
    let suggestion = match method.as_str() {
        "config" | "config." => Some("config.materialized".to_owned()),
        _ => nearest(&method, METHODS),
    };
    SelectError::UnknownMethod {
        criterion,
        method,
        suggestion,
    }
}

/// The value of a key of the configuration, through mappings.
fn configured<'n>(node: &'n SelectNode, keys: &[String]) -> Option<&'n Json> {
    let (first, rest) = keys.split_first()?;
    rest.iter()
        .try_fold(node.config.get(first)?, |value, key| value.get(key))
}

/// Whether a configured value is, or contains, the value of the criterion.
fn equals(configured: &Json, wanted: &Pattern) -> bool {
    match configured {
        Json::Null => {
            wanted.text().eq_ignore_ascii_case("null") || wanted.text().eq_ignore_ascii_case("none")
        }
        Json::Bool(flag) => {
            wanted
                .text()
                .eq_ignore_ascii_case(if *flag { "true" } else { "false" })
        }
        Json::Number(number) => wanted.matches(&number.to_string()),
        Json::String(text) => wanted.matches(text),
        Json::Array(items) => items.iter().any(|item| equals(item, wanted)),
        Json::Object(entries) => entries.keys().any(|key| wanted.matches(key)),
    }
}

fn source_suggestion(parts: &[Pattern], graph: &SelectGraph) -> Option<String> {
    let written: Vec<&str> = parts.iter().map(Pattern::text).collect();
    let names = graph.nodes().iter().filter_map(|node| {
        let source = node.source.as_deref()?;
        Some(match parts.len() {
            1 => source.to_owned(),
            2 => format!("{source}.{}", node.name),
            _ => format!("{}.{source}.{}", node.package, node.name),
        })
    });
    let names: Vec<String> = names.collect();
    nearest(&written.join("."), names.iter().map(String::as_str))
}

/// The candidate at the smallest Damerau-Levenshtein distance, at most a third of the word.
pub(super) fn nearest<'c>(
    word: &str,
    candidates: impl IntoIterator<Item = &'c str>,
) -> Option<String> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    candidates
        .into_iter()
        .map(|candidate| (strsim::damerau_levenshtein(word, candidate), candidate))
        .filter(|(distance, _)| *distance <= allowed)
        .min()
        .map(|(_, candidate)| candidate.to_owned())
}
