#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]
//! Projects made of strings.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use chrono::DateTime;
use kinfold_project::{
    ConfigLayer, Diagnostic, FileId, GenericTest, Located, Macro, MacroKind, Model, NodeId,
    Package, Project, ResourceType, Seed, SingularTest, Source, SourceLocation, SourceMap, Span,
    TestTarget, Value, ValueKind,
};

use crate::render::template::{Piece, pieces};
use crate::render::{
    Answers, Origin, RenderContext, RenderedNode, RenderedProject, RenderedSql, render,
};

pub(super) struct Fixture {
    pub project: Project,
    pub vars: serde_json::Map<String, serde_json::Value>,
    pub env: BTreeMap<String, String>,
    pub full_refresh: bool,
    pub answers: Answers,
}

pub(super) fn text(text: &str) -> Value {
    Value {
        kind: ValueKind::String(text.to_owned()),
        span: Span::new(FileId(0), 0, 4),
    }
}

pub(super) fn yaml(kind: ValueKind) -> Value {
    Value {
        kind,
        span: Span::new(FileId(0), 0, 4),
    }
}

pub(super) fn located(text: &str) -> Located<String> {
    Located::new(text.to_owned(), Span::new(FileId(0), 0, 4))
}

impl Fixture {
    /// A project with the root package `shop` and an empty `kinfold.yml`, which is file 0.
    pub fn new() -> Self {
        Self::with("kinfold.yml")
    }

    /// As `new`, with another project file.
    pub fn with(project_file: &str) -> Self {
        let mut files = SourceMap::default();
        let file = files.add(project_file, "name: shop\nsecond line\nthird line\n");
        let package = Package {
            name: "shop".to_owned(),
            vars: vec![],
            file,
            root: None,
            dispatch: vec![],
        };
        Self {
            project: Project {
                root: PathBuf::new(),
                name: "shop".to_owned(),
                files,
                packages: vec![package],
                environments: vec![],
                purposes: vec![],
                models: vec![],
                seeds: vec![],
                sources: vec![],
                recorded: std::collections::BTreeMap::new(),
                generic_tests: vec![],
                unit_tests: vec![],
                singular_tests: vec![],
                macros: vec![],
                docs: BTreeMap::new(),
                exposures: vec![],
                groups: vec![],
                connections: vec![],
                syncs: vec![],
                sync_schedules: BTreeMap::new(),
                linkage_parameters: vec![],
                schedules: vec![],
                alerts: vec![],
                selectors: vec![],
            },
            vars: serde_json::Map::new(),
            env: BTreeMap::new(),
            full_refresh: false,
            answers: Answers::default(),
        }
    }

    pub fn package(mut self, name: &str) -> Self {
        self.project.packages.push(Package {
            name: name.to_owned(),
            vars: vec![],
            file: FileId(0),
            root: None,
            dispatch: vec![],
        });
        self
    }

    pub fn var(mut self, name: &str, value: Value) -> Self {
        self.project.packages[0].vars.push((located(name), value));
        self
    }

    pub fn model(self, name: &str, sql: &str) -> Self {
        self.model_of("shop", name, sql, &[])
    }

    pub fn model_of(
        mut self,
        package: &str,
        name: &str,
        sql: &str,
        config: &[(&str, Value)],
    ) -> Self {
        let file = self.project.files.add(format!("models/{name}.sql"), sql);
        self.project.models.push(Model {
            id: NodeId::new(ResourceType::Model, &[package, name]),
            package: package.to_owned(),
            name: name.to_owned(),
            file,
            fqn: vec![name.to_owned()],
            config: vec![layer(config)],
            overrides: vec![],
            description: None,
            columns: vec![],
            properties: None,
        });
        self
    }

    pub fn seed(mut self, name: &str, config: &[(&str, Value)]) -> Self {
        self.project.seeds.push(Seed {
            id: NodeId::new(ResourceType::Seed, &["shop", name]),
            package: "shop".to_owned(),
            name: name.to_owned(),
            path: PathBuf::new(),
            embedded: None,
            fqn: vec![name.to_owned()],
            config: vec![layer(config)],
            description: None,
            columns: vec![],
        });
        self
    }

    pub fn source(mut self, source: &str, table: &str) -> Self {
        self.project.sources.push(Source {
            id: NodeId::new(ResourceType::Source, &["shop", source, table]),
            package: "shop".to_owned(),
            source: located(source),
            table: located(table),
            schema: format!("{source}_schema"),
            identifier: format!("{table}_table"),
            location: SourceLocation::Lake,
            fqn: vec![],
            config: vec![],
            description: None,
            source_description: None,
            freshness: kinfold_project::Freshness::default(),
            columns: vec![],
        });
        self
    }

    pub fn singular(mut self, name: &str, sql: &str) -> Self {
        let file = self.project.files.add(format!("tests/{name}.sql"), sql);
        self.project.singular_tests.push(SingularTest {
            id: NodeId::new(ResourceType::Test, &["shop", name]),
            package: "shop".to_owned(),
            name: name.to_owned(),
            file,
            fqn: vec![name.to_owned()],
            config: vec![],
        });
        self
    }

    /// A data test of model `target`; its name is at line 2 of `kinfold.yml`, its column at line 3.
    pub fn test(
        mut self,
        test: &str,
        target: TestTarget,
        column: Option<&str>,
        arguments: &[(&str, Value)],
        config: &[(&str, Value)],
    ) -> Self {
        let name = format!("{}_{test}", self.project.generic_tests.len());
        self.project.generic_tests.push(GenericTest {
            id: NodeId::new(ResourceType::Test, &["shop", &name]),
            package: "shop".to_owned(),
            alias: name.clone(),
            name,
            fqn: vec![],
            test: Located::new(test.to_owned(), Span::new(FileId(0), 11, 17)),
            target,
            column: column.map(|c| Located::new(c.to_owned(), Span::new(FileId(0), 23, 28))),
            quotes_column: false,
            description: None,
            arguments: arguments
                .iter()
                .map(|(k, v)| (located(k), v.clone()))
                .collect(),
            config: vec![layer(config)],
        });
        self
    }

    pub fn macros(self, path: &str, text: &str) -> Self {
        self.macros_of("shop", path, text)
    }

    /// Adds a macro file; finds its blocks as the loader does.
    pub fn macros_of(mut self, package: &str, path: &str, text: &str) -> Self {
        let file = self.project.files.add(path, text);
        let mut open = None;
        for piece in pieces(text).unwrap() {
            let Piece::Statement(tag) = piece else {
                continue;
            };
            match (tag.keyword(text), &open) {
                (word @ ("macro" | "test"), None) => {
                    let name = tag.tokens[1].text(text).to_owned();
                    let kind = if word == "test" {
                        MacroKind::Test
                    } else {
                        MacroKind::Macro
                    };
                    open = Some((name, kind, tag.outer.start));
                }
                ("endmacro" | "endtest", Some((name, kind, start))) => {
                    let block = Span::new(file, *start, tag.outer.end);
                    self.project.macros.push(Macro {
                        package: package.to_owned(),
                        name: Located::new(name.clone(), block),
                        kind: *kind,
                        file,
                        block,
                    });
                    open = None;
                }
                _ => {}
            }
        }
        self
    }

    /// Any other file of the project.
    pub fn file(mut self, path: &str, text: &str) -> Self {
        self.project.files.add(path, text);
        self
    }

    pub fn render(&self) -> (RenderedProject, Vec<Diagnostic>) {
        let env = self.env.clone();
        render(&RenderContext {
            project: &self.project,
            environment_name: "dev",
            schema: "main",
            vars: self.vars.clone(),
            env: Arc::new(move |name| env.get(name).cloned()),
            as_of: DateTime::from_timestamp(1_700_000_000, 0).unwrap(),
            invocation_id: "run-1",
            full_refresh: self.full_refresh,
            answers: &self.answers,
        })
    }

    /// The node of a model, which must render without problems.
    pub fn node(&self, id: &str) -> RenderedNode {
        let (project, diagnostics) = self.render();
        assert_eq!(self.shown(&diagnostics), Vec::<String>::new());
        match project.nodes.get(&NodeId::from_text(id)) {
            Some(node) => node.clone(),
            None => panic!("no node {id} among {:?}", project.nodes.keys()),
        }
    }

    pub fn sql(&self, model: &str) -> RenderedSql {
        self.node(&format!("model.shop.{model}")).sql.unwrap()
    }

    /// `path:line:column`.
    pub fn place(&self, span: Span) -> String {
        let (line, column) = self.project.files.line_column(span);
        format!(
            "{}:{line}:{column}",
            self.project.files.path(span.file).display()
        )
    }

    /// The origin of the only occurrence of a word in the SQL of a model.
    pub fn origin(&self, model: &str, word: &str) -> Origin {
        let sql = self.sql(model);
        let at = sql.text.find(word).unwrap();
        sql.map.origin(at..at + word.len())
    }

    /// `path:line:column` of a word in the SQL of a model, then the related places with their texts.
    pub fn trace(&self, model: &str, word: &str) -> Vec<String> {
        let origin = self.origin(model, word);
        if !origin.from_expression {
            let text = self.project.files.text(origin.primary);
            assert_eq!(text, word, "the origin is not the word itself");
        }
        std::iter::once(self.place(origin.primary))
            .chain(
                origin
                    .related
                    .iter()
                    .map(|(span, text)| format!("{} {text}", self.place(*span))),
            )
            .collect()
    }

    /// Diagnostics as `code place message`, then related places and help.
    pub fn shown(&self, diagnostics: &[Diagnostic]) -> Vec<String> {
        let mut shown: Vec<String> = diagnostics
            .iter()
            .map(|d| {
                let place = d
                    .primary
                    .as_ref()
                    .map_or_else(String::new, |l| self.place(l.span));
                let mut text = format!("{} {place} {}", d.code.id, d.message);
                for label in &d.related {
                    text.push_str(&format!(" | {} {}", self.place(label.span), label.text));
                }
                for help in &d.help {
                    text.push_str(&format!(" ? {help}"));
                }
                text
            })
            .collect();
        shown.sort();
        shown
    }

    /// All problems of the project.
    pub fn problems(&self) -> Vec<String> {
        let (project, mut diagnostics) = self.render();
        diagnostics.extend(project.order().1);
        self.shown(&diagnostics)
    }
}

fn layer(config: &[(&str, Value)]) -> ConfigLayer {
    ConfigLayer {
        entries: config
            .iter()
            .map(|(k, v)| (located(k), v.clone()))
            .collect(),
    }
}
