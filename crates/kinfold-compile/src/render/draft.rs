//! Nodes before rendering: their templates and the layers of their configuration.

use std::collections::{BTreeMap, HashMap};

use kinfold_project::{
    ConfigLayer, GenericTest, Macro, MacroKind, NodeId, Project, ResourceType, Span, TestTarget,
    UnitTest,
};

use super::built_in::{Audit, audit};
use super::registry::Body;

/// The template of a data test that a macro defines.
const MACRO_TEST: &str = "{{ kf_test(**kf_arguments) }}";

/// A node before rendering.
#[derive(Clone, Debug)]
pub(super) struct Draft<'p> {
    /// Its id.
    pub id: NodeId,
    /// What it is.
    pub resource: ResourceType,
    /// Its package.
    pub package: &'p str,
    /// Its name.
    pub name: &'p str,
    /// Its path below its folder.
    pub fqn: Vec<String>,
    /// Configuration outside the file, weakest first.
    pub layers: &'p [ConfigLayer],
    /// Configuration that is stronger than the file's.
    pub overrides: &'p [ConfigLayer],
    /// Where to point when nothing better is known.
    pub place: Span,
    /// The data test, if it is a generic one.
    pub test: Option<TestDraft<'p>>,
    /// The unit test, if it is one.
    pub unit_test: Option<&'p UnitTest>,
    /// Whether it has a template.
    pub template: bool,
    /// The schema and name of a source, which are fixed.
    pub fixed: Option<(&'p str, &'p str)>,
}

/// A generic data test before rendering.
#[derive(Clone, Debug)]
pub(super) struct TestDraft<'p> {
    /// As declared.
    pub declared: &'p GenericTest,
    /// Its template.
    pub template: TestTemplate,
}

/// What a generic data test renders.
#[derive(Clone, Copy, Debug)]
pub(super) enum TestTemplate {
    /// A template of ours.
    Audit(Audit),
    /// A macro of the project, by its index in `Project::macros`.
    Macro(usize),
}

/// All nodes of a project, with the texts of their templates by id.
pub(super) fn drafts(project: &Project) -> (Vec<Draft<'_>>, HashMap<String, Body>) {
    let mut drafts = Vec::new();
    let mut bodies = HashMap::new();
    let mut file_body = |id: &NodeId, file| {
        if let Some(found) = project.files.get(file) {
            let body = Body {
                text: found.text.clone(),
                file: Some(file),
            };
            bodies.insert(id.as_str().to_owned(), body);
        }
    };
    for model in &project.models {
        file_body(&model.id, model.file);
        drafts.push(Draft {
            id: model.id.clone(),
            resource: ResourceType::Model,
            package: &model.package,
            name: &model.name,
            fqn: model.fqn.clone(),
            layers: &model.config,
            overrides: &model.overrides,
            place: Span::new(model.file, 0, 0),
            test: None,
            unit_test: None,
            template: true,
            fixed: None,
        });
    }
    for seed in &project.seeds {
        drafts.push(Draft {
            id: seed.id.clone(),
            resource: ResourceType::Seed,
            package: &seed.package,
            name: &seed.name,
            fqn: seed.fqn.clone(),
            layers: &seed.config,
            overrides: &[],
            place: declared_at(&seed.config).unwrap_or_else(|| nowhere(project)),
            test: None,
            unit_test: None,
            template: false,
            fixed: None,
        });
    }
    for source in &project.sources {
        drafts.push(Draft {
            id: source.id.clone(),
            resource: ResourceType::Source,
            package: &source.package,
            name: &source.table.value,
            fqn: source.fqn.clone(),
            layers: &source.config,
            overrides: &[],
            place: source.table.span,
            test: None,
            unit_test: None,
            template: false,
            fixed: Some((&source.schema, &source.identifier)),
        });
    }
    for test in &project.singular_tests {
        file_body(&test.id, test.file);
        drafts.push(Draft {
            id: test.id.clone(),
            resource: ResourceType::Test,
            package: &test.package,
            name: &test.name,
            fqn: test.fqn.clone(),
            layers: &test.config,
            overrides: &[],
            place: Span::new(test.file, 0, 0),
            test: None,
            unit_test: None,
            template: true,
            fixed: None,
        });
    }
    for test in &project.generic_tests {
        let Some(template) = test_template(project, test) else {
            continue;
        };
        let text = match template {
            TestTemplate::Audit(audit) => audit.text,
            TestTemplate::Macro(_) => MACRO_TEST,
        };
        bodies.insert(
            test.id.as_str().to_owned(),
            Body {
                text: text.into(),
                file: None,
            },
        );
        drafts.push(Draft {
            id: test.id.clone(),
            resource: ResourceType::Test,
            package: &test.package,
            name: &test.name,
            fqn: test.fqn.clone(),
            layers: &test.config,
            overrides: &[],
            place: test.test.span,
            test: Some(TestDraft {
                declared: test,
                template,
            }),
            unit_test: None,
            template: true,
            fixed: None,
        });
    }
    for test in &project.unit_tests {
        let models = project.models.iter();
        let model = models
            .filter(|model| model.package == test.package)
            .find(|model| model.name == test.model.value);
        // The template of the model, rendered once more.
        let body = model.and_then(|model| bodies.get(model.id.as_str()).cloned());
        if let Some(body) = body {
            bodies.insert(test.id.as_str().to_owned(), body);
        }
        drafts.push(Draft {
            id: test.id.clone(),
            resource: ResourceType::UnitTest,
            package: &test.package,
            name: &test.name.value,
            fqn: test.fqn.clone(),
            layers: &test.config,
            overrides: &[],
            place: test.name.span,
            test: None,
            unit_test: Some(test),
            template: false,
            fixed: None,
        });
    }
    (drafts, bodies)
}

fn declared_at(layers: &[ConfigLayer]) -> Option<Span> {
    let entry = layers
        .iter()
        .rev()
        .find_map(|layer| layer.entries.first())?;
    Some(entry.0.span)
}

fn nowhere(project: &Project) -> Span {
    let file = project
        .packages
        .first()
        .map_or(kinfold_project::FileId(0), |package| package.file);
    Span::new(file, 0, 0)
}

/// What a generic test renders: a macro of its package, of the root, ours, or of any package.
fn test_template(project: &Project, test: &GenericTest) -> Option<TestTemplate> {
    let (package, name) = match test.test.value.split_once('.') {
        Some((package, name)) => (Some(package), name),
        None => (None, test.test.value.as_str()),
    };
    // A macro `test_x` is the older way to write a test `x`.
    let is = |m: &Macro| match m.kind {
        MacroKind::Test => m.name.value == name,
        MacroKind::Macro => m.name.value.strip_prefix("test_") == Some(name),
    };
    let find = |package: &str| {
        let mut macros = project.macros.iter();
        macros.position(|m| m.package == package && is(m))
    };
    let found = match package {
        Some("dbt") => None,
        Some(package) => find(package),
        None => find(&test.package).or_else(|| find(&project.name)),
    };
    match (found, audit(package, name)) {
        (Some(index), _) => Some(TestTemplate::Macro(index)),
        (None, Some(audit)) => Some(TestTemplate::Audit(audit)),
        // Another package's; if there is none either, the loader has told it.
        (None, None) => match package {
            Some(_) => None,
            None => project.macros.iter().position(is).map(TestTemplate::Macro),
        },
    }
}

/// The places of a generic test's parts, by the word that stands for them in our templates.
pub(super) fn words(test: &GenericTest, filter: Option<Span>) -> BTreeMap<String, Span> {
    let mut words: BTreeMap<String, Span> = test
        .arguments
        .iter()
        .map(|(name, value)| (name.value.clone(), value.span))
        .collect();
    if let Some(column) = &test.column {
        words.insert("column_name".to_owned(), column.span);
    }
    if let Some(values) = words.get("values").copied() {
        words.insert("value".to_owned(), values);
    }
    if let Some(filter) = filter {
        words.insert("model".to_owned(), filter);
    }
    words
}

/// The name of what a generic test tests, for messages.
pub(super) fn target_name(target: &TestTarget) -> String {
    match target {
        TestTarget::Ref(name) => name.clone(),
        TestTarget::Source(source, table) => format!("{source}.{table}"),
    }
}
