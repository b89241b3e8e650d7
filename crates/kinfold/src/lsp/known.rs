//! What is known of a project when something is asked: its relations, their columns, its macros.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use kinfold_compile::compile::{CompiledNode, asked_columns};
use kinfold_compile::inspect::aliased;
use kinfold_compile::relation::RelationKey;
use kinfold_compile::render::AskedColumn;
use kinfold_project::{Column, FileId, Located, Macro, Model, NodeId, Project, Seed, Source, Span};

use super::analysis::{Analysis, Read};
use super::documents::Documents;
use super::places::Places;
use super::position::Encoding;
use super::text::jinja::{self, Call};
use super::text::scope::Statement;

/// A project and the text that somebody has a question about.
pub struct Known<'a> {
    /// What was found last.
    pub analysis: &'a Analysis,
    /// The project as it could last be read.
    pub read: &'a Read,
    /// Where its files are.
    pub places: Places<'a>,
    /// The text that is asked about.
    pub text: &'a str,
    /// The file of it, if the project has read it.
    pub file: Option<FileId>,
}

impl<'a> Known<'a> {
    /// What is known when something is asked about a text; `None` as long as no project could be read.
    pub fn of(
        analysis: &'a Analysis,
        documents: &'a Documents,
        encoding: Encoding,
        path: &Path,
        text: &'a str,
    ) -> Option<Self> {
        let read = analysis.read.as_deref()?;
        let places = read.places(documents, encoding);
        let files = places.files.files().iter();
        let ids = files
            .enumerate()
            .filter_map(|(at, _)| u32::try_from(at).ok());
        let file = ids
            .map(FileId)
            .find(|file| places.path(*file).as_deref() == Some(path));
        Some(Self {
            analysis,
            read,
            places,
            text,
            file,
        })
    }

    /// The project.
    pub fn project(&self) -> &'a Project {
        &self.read.workspace.project
    }

    /// The model that the text is.
    pub fn model(&self) -> Option<&'a Model> {
        self.project()
            .models
            .iter()
            .find(|model| Some(model.file) == self.file)
    }

    /// The package that the text belongs to.
    pub fn package(&self) -> &'a str {
        let project = self.project();
        let model = self.model().map(|model| model.package.as_str());
        let makro = project
            .macros
            .iter()
            .find(|makro| Some(makro.file) == self.file);
        model
            .or(makro.map(|makro| makro.package.as_str()))
            .unwrap_or(&project.name)
    }

    /// A node as it was last bound.
    pub fn node(&self, id: &NodeId) -> Option<&'a CompiledNode> {
        self.analysis.nodes.get(id).map(Arc::as_ref)
    }

    /// The relation that a call of `ref` or `source` names.
    pub fn relation_of(&self, call: &Call) -> Option<RelationKey> {
        let literals = call.literals();
        let texts: Vec<&str> = literals.iter().map(|name| name.text.as_str()).collect();
        match (call.name(), texts.as_slice()) {
            ("ref", [name]) => self.named(None, name),
            ("ref", [package, name]) => self.named(Some(package), name),
            ("source", [source, table]) => {
                let all = || self.project().sources.iter();
                let named = |s: &&Source| s.source.value == *source && s.table.value == *table;
                let own = all().filter(named).find(|s| s.package == self.package());
                let found = own.or_else(|| all().find(named))?;
                Some(RelationKey::own(found.id.clone()))
            }
            _ => None,
        }
    }

    /// The model, seed or companion of this name.
    pub fn named(&self, package: Option<&str>, name: &str) -> Option<RelationKey> {
        if let Some(id) = self.node_named(package, name) {
            return Some(RelationKey::own(id));
        }
        let (base, suffix) = name.rsplit_once("__")?;
        let id = self.node_named(package, base)?;
        let node = self.node(&id)?;
        let companion = node.companions.iter().find(|c| c.suffix == suffix)?;
        Some(RelationKey::companion(id, companion.suffix))
    }

    fn node_named(&self, package: Option<&str>, name: &str) -> Option<NodeId> {
        let project = self.project();
        let models = project.models.iter().map(|m| (&m.package, &m.name, &m.id));
        let seeds = project.seeds.iter().map(|s| (&s.package, &s.name, &s.id));
        let all: Vec<_> = models
            .chain(seeds)
            .filter(|(_, own, _)| *own == name)
            .collect();
        let of = |wanted: &str| all.iter().find(|(package, _, _)| *package == wanted);
        let found = match package {
            Some(package) => of(package),
            None => of(self.package())
                .or_else(|| of(&project.name))
                .or_else(|| all.first()),
        };
        found.map(|(_, _, id)| (*id).clone())
    }

    /// The relation that a template gives, if it is a call of `ref` or `source`, or `this`.
    pub fn template(&self, text: &str, range: &Range<usize>) -> Option<RelationKey> {
        let inner = text.get(range.clone())?;
        if inner.trim_matches(['{', '}', '-', ' ']) == "this" {
            return self.model().map(|model| RelationKey::own(model.id.clone()));
        }
        let calls = jinja::calls_within(text, range.clone());
        calls.iter().find_map(|call| self.relation_of(call))
    }

    /// The columns of a relation with their types, as they were when it was last bound.
    pub fn columns(&self, key: &RelationKey) -> Option<Vec<AskedColumn>> {
        let node = self.node(&key.node)?;
        let schema = match &key.companion {
            None => node.schema.as_ref()?,
            Some(suffix) => {
                let mut companions = node.companions.iter();
                &companions
                    .find(|companion| companion.suffix == suffix)?
                    .schema
            }
        };
        Some(asked_columns(schema))
    }

    /// The columns of something that is named in the statement of a model, as the statement was last bound.
    pub fn columns_in(&self, model: &NodeId, name: &str) -> Option<Vec<AskedColumn>> {
        aliased(self.node(model)?.plan.as_ref()?, name)
    }

    /// Reads a statement, and hands it on with what is known of the relations in it.
    pub fn with_statement<T>(&self, text: &str, then: impl FnOnce(&Statement<'_>) -> T) -> T {
        let columns_of = |range: &Range<usize>| {
            let key = self.template(text, range)?;
            let columns = self.columns(&key)?.into_iter();
            Some(columns.map(|column| column.name).collect())
        };
        then(&Statement::new(text, &columns_of))
    }

    /// The text of a file of the project.
    pub fn text_of(&self, file: FileId) -> &'a str {
        let files = self.read.workspace.files();
        files.get(file).map_or("", |file| &file.text)
    }

    /// The macro or the data test that is called so.
    pub fn makro(&self, path: &[&str]) -> Option<&'a Macro> {
        let project = self.project();
        let macros = || project.macros.iter();
        match path {
            [name] => {
                let own = macros().filter(|m| m.name.value == *name);
                let mut own: Vec<_> = own.collect();
                own.sort_by_key(|m| (m.package != self.package(), m.package != project.name));
                own.first().copied()
            }
            [package, name] => macros().find(|m| m.package == *package && m.name.value == *name),
            _ => None,
        }
    }

    /// A variable: where it is given, and its value as it is written.
    pub fn var(&self, name: &str) -> Option<(Span, String)> {
        let packages = self.project().packages.iter();
        let mut vars = packages.flat_map(|package| &package.vars);
        let (key, value) = vars.find(|(key, _)| key.value == name)?;
        Some((key.span, value.to_json().to_string()))
    }

    /// A docs block.
    pub fn docs(&self, path: &[&str]) -> Option<&'a Located<String>> {
        let project = self.project();
        let of =
            |package: &str, name: &str| project.docs.get(&(package.to_owned(), name.to_owned()));
        match path {
            [name] => of(self.package(), name).or_else(|| of(&project.name, name)),
            [package, name] => of(package, name),
            _ => None,
        }
    }

    /// The model with this id.
    pub fn model_of(&self, id: &NodeId) -> Option<&'a Model> {
        self.project().models.iter().find(|model| model.id == *id)
    }

    /// The seed with this id.
    pub fn seed_of(&self, id: &NodeId) -> Option<&'a Seed> {
        self.project().seeds.iter().find(|seed| seed.id == *id)
    }

    /// The table of a source with this id.
    pub fn source_of(&self, id: &NodeId) -> Option<&'a Source> {
        self.project()
            .sources
            .iter()
            .find(|source| source.id == *id)
    }

    /// The described columns of a node.
    pub fn described(&self, id: &NodeId) -> &'a [Column] {
        let model = self.model_of(id).map(|model| &model.columns);
        let seed = self.seed_of(id).map(|seed| &seed.columns);
        let source = self.source_of(id).map(|source| &source.columns);
        model.or(seed).or(source).map_or(&[], Vec::as_slice)
    }
}
