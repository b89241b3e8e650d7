//! Where something is made or named.

use std::ops::Range;

use gen_lsp_types::{Location, Range as LspRange, Uri};
use kinfold_compile::bind::column_place;
use kinfold_compile::relation::RelationKey;
use kinfold_project::{FileId, Located, Span};

use super::known::Known;
use super::text::scope::Origin;
use super::thing::Thing;

/// Models that are gone through by `*`, one after the other.
const MAX_STEPS: usize = 20;

impl Known<'_> {
    /// Where a thing of this text is made; empty if that is in no file.
    pub fn definition(&self, thing: &Thing) -> Vec<Location> {
        let words = |path: &[String]| -> Vec<String> { path.to_vec() };
        let place = match thing {
            Thing::Relation(key) => return self.relation_place(key).into_iter().collect(),
            Thing::Column(key, name) => {
                let place = self.column_place(key, name);
                let place = place.or_else(|| self.relation_place(key));
                return place.into_iter().collect();
            }
            Thing::Local(column) => {
                return match &column.origin {
                    Origin::Item { name, .. } => self.here(name.clone()).into_iter().collect(),
                    Origin::Template { .. } => vec![],
                };
            }
            Thing::Named(name) => return self.here(name.range.clone()).into_iter().collect(),
            Thing::Macro(path) => {
                let path = words(path);
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                self.makro(&path).map(|found| found.name.span)
            }
            Thing::Var(name) => self.var(name).map(|(span, _)| span),
            Thing::Docs(path) => {
                let path: Vec<&str> = path.iter().map(String::as_str).collect();
                self.docs(&path).map(|found| found.span)
            }
            Thing::Connection(name) => {
                let mut connections = self.project().connections.iter();
                let found = connections.find(|connection| connection.name.value == *name);
                found.map(|connection| connection.name.span)
            }
            Thing::Function(_) => None,
        };
        place
            .and_then(|span| self.location(span))
            .into_iter()
            .collect()
    }

    /// The place of a span. A file of a package that is part of the program is written to `target/packages`, so that
    /// an editor can show it.
    pub fn location(&self, span: Span) -> Option<Location> {
        self.places
            .location(span)
            .or_else(|| self.places.written_out(span))
    }

    /// A range of this text.
    pub fn here(&self, range: Range<usize>) -> Option<Location> {
        self.location(Span::new(self.file?, range.start, range.end))
    }

    /// The file or the declaration of a relation.
    pub fn relation_place(&self, key: &RelationKey) -> Option<Location> {
        if let Some(model) = self.model_of(&key.node) {
            return self.location(Span::new(model.file, 0, 0));
        }
        if let Some(seed) = self.seed_of(&key.node) {
            let uri = self.places.documents.uri(&seed.path)?;
            return Some(Location::new(Uri(uri), LspRange::default()));
        }
        self.location(self.source_of(&key.node)?.table.span)
    }

    /// Where a column of a relation is made: the item of its model, or where it is declared.
    fn column_place(&self, key: &RelationKey, name: &str) -> Option<Location> {
        let (mut key, mut name) = (key.clone(), name.to_owned());
        for _ in 0..MAX_STEPS {
            let Some(model) = self.model_of(&key.node).filter(|_| key.companion.is_none()) else {
                break;
            };
            match self.made_in(model.file, &name) {
                Some(Made::Here(range)) => {
                    return self.location(Span::new(model.file, range.start, range.end));
                }
                Some(Made::Elsewhere(other, column)) => (key, name) = (other, column),
                None => break,
            }
        }
        // What a macro has written.
        let rendered = self.read.bound.rendered.nodes.get(&key.node);
        if let Some(sql) = rendered.and_then(|node| node.sql.as_ref())
            && let Some(range) = column_place(&sql.text, &name)
        {
            return self.location(sql.map.origin(range).primary);
        }
        let described = self.described(&key.node).iter();
        let mut described = described.map(|column| &column.name);
        let found: Option<&Located<String>> = described.find(|column| column.value == name);
        found
            .and_then(|column| self.location(column.span))
            .or_else(|| self.relation_place(&key))
    }

    fn made_in(&self, file: FileId, name: &str) -> Option<Made> {
        let text = self.text_of(file);
        self.with_statement(text, |statement| {
            let columns = statement.columns().into_iter();
            let column = columns.rev().find(|column| column.name == name)?;
            match column.origin {
                Origin::Item { name, .. } => Some(Made::Here(name)),
                Origin::Template { template, column } => {
                    Some(Made::Elsewhere(self.template(text, &template)?, column))
                }
            }
        })
    }
}

enum Made {
    Here(Range<usize>),
    Elsewhere(RelationKey, String),
}
