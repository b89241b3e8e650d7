//! What is at a place in a text.

use std::ops::Range;

use kinfold_compile::relation::RelationKey;
use kinfold_project::{Located, NodeId, Span};

use super::known::Known;
use super::text::jinja::{self, Call, TagKind};
use super::text::query::Relation;
use super::text::scope::{Column, Meaning, Origin};
use super::text::{Name, touches};

/// What a name in a file means.
#[derive(Clone, Debug, PartialEq)]
pub enum Thing {
    /// A model, a seed, a table of a source, or a companion.
    Relation(RelationKey),
    /// A column of a relation.
    Column(RelationKey, String),
    /// A column that is made in this text.
    Local(Column),
    /// A common table expression or an alias, and where it is given.
    Named(Name),
    /// A macro or a data test, by its package and name.
    Macro(Vec<String>),
    /// A variable.
    Var(String),
    /// A docs block.
    Docs(Vec<String>),
    /// A function of SQL.
    Function(String),
    /// A connection.
    Connection(String),
}

impl Known<'_> {
    /// What is at an offset of the text, and where it stands.
    pub fn thing_at(&self, offset: usize) -> Option<(Thing, Range<usize>)> {
        let calls = jinja::calls(self.text);
        if let Some(found) = self.called_at(&calls, offset) {
            return Some(found);
        }
        let tags = jinja::tags(self.text);
        if let Some(tag) = tags.iter().find(|tag| touches(&tag.inner, offset)) {
            if tag.kind == TagKind::Comment {
                return None;
            }
            let path = jinja::name_at(self.text, offset)?;
            let range = path.first()?.range.start..path.last()?.range.end;
            let words: Vec<&str> = path.iter().map(|name| name.text.as_str()).collect();
            let found = self.makro(&words)?;
            let thing = Thing::Macro(vec![found.package.clone(), found.name.value.clone()]);
            return Some((thing, range));
        }
        if self.is_sql() {
            return self.with_statement(self.text, |statement| {
                let (meaning, range) = statement.meaning(offset)?;
                Some((self.meant(self.text, meaning)?, range))
            });
        }
        self.written_at(offset)
    }

    /// Whether the text is a statement.
    pub fn is_sql(&self) -> bool {
        let file = self.file.map(|file| self.places.files.path(file));
        file.is_some_and(|path| path.extension().is_some_and(|end| end == "sql"))
    }

    /// What a call names, if the offset is in what it is given.
    fn called_at(&self, calls: &[Call], offset: usize) -> Option<(Thing, Range<usize>)> {
        let call = jinja::call_around(calls, offset)?;
        let literals = call.literals();
        let at = literals
            .iter()
            .position(|name| touches(&name.range, offset))?;
        let range = literals.get(at)?.range.clone();
        let texts: Vec<String> = literals.iter().map(|name| name.text.clone()).collect();
        let thing = match call.name() {
            "ref" | "source" => Thing::Relation(self.relation_of(call)?),
            "var" if at == 0 => Thing::Var(texts.into_iter().next()?),
            "doc" => Thing::Docs(texts),
            _ => return None,
        };
        Some((thing, range))
    }

    /// What a name of a statement means in the project.
    pub fn meant(&self, text: &str, meaning: Meaning) -> Option<Thing> {
        Some(match meaning {
            Meaning::Cte(name) => Thing::Named(name),
            Meaning::Source(alias, relation) => match (alias, relation) {
                (Some(alias), _) => Thing::Named(alias),
                (None, Relation::Named(name)) => Thing::Named(name),
                (None, Relation::Template(range)) => Thing::Relation(self.template(text, &range)?),
                _ => return None,
            },
            Meaning::Column(column) => match &column.origin {
                Origin::Template { template, column } => {
                    Thing::Column(self.template(text, template)?, column.clone())
                }
                Origin::Item { .. } => Thing::Local(column),
            },
            Meaning::Function(name) => Thing::Function(name),
        })
    }

    /// What is written at an offset of a YAML file.
    fn written_at(&self, offset: usize) -> Option<(Thing, Range<usize>)> {
        let file = self.file?;
        let touched = |span: &Span| span.file == file && touches(&span.range(), offset);
        if let Some((thing, span)) = self.declared(&touched) {
            return Some((thing, span.range()));
        }
        if let Some(found) = self.expression_at(&touched, offset) {
            return Some(found);
        }
        // A call without braces: `to: ref('orders')`, `from: ref('vips')`.
        let line = line_around(self.text, offset);
        self.called_at(&jinja::calls_within(self.text, line), offset)
    }

    /// What a YAML file gives a name or describes at a place.
    fn declared(&self, touched: &dyn Fn(&Span) -> bool) -> Option<(Thing, Span)> {
        let project = self.project();
        let own = |id: &NodeId| RelationKey::own(id.clone());
        for model in &project.models {
            if let Some(span) = model.properties.filter(touched) {
                return Some((Thing::Relation(own(&model.id)), span));
            }
        }
        for source in &project.sources {
            if touched(&source.table.span) {
                return Some((Thing::Relation(own(&source.id)), source.table.span));
            }
        }
        let models = project.models.iter().map(|node| (&node.id, &node.columns));
        let seeds = project.seeds.iter().map(|node| (&node.id, &node.columns));
        let sources = project.sources.iter().map(|node| (&node.id, &node.columns));
        for (id, columns) in models.chain(seeds).chain(sources) {
            for column in columns {
                if touched(&column.name.span) {
                    let name = column.name.value.clone();
                    return Some((Thing::Column(own(id), name), column.name.span));
                }
            }
        }
        for test in &project.generic_tests {
            if touched(&test.test.span) {
                let path: Vec<&str> = test.test.value.split('.').collect();
                let found = self.makro(&path)?;
                let path = vec![found.package.clone(), found.name.value.clone()];
                return Some((Thing::Macro(path), test.test.span));
            }
        }
        for connection in &project.connections {
            if touched(&connection.name.span) {
                let name = connection.name.value.clone();
                return Some((Thing::Connection(name), connection.name.span));
            }
        }
        for sync in &project.syncs {
            if touched(&sync.connection.span) {
                let name = sync.connection.value.clone();
                return Some((Thing::Connection(name), sync.connection.span));
            }
        }
        None
    }

    /// A column in an expression of a sync.
    fn expression_at(
        &self,
        touched: &dyn Fn(&Span) -> bool,
        offset: usize,
    ) -> Option<(Thing, Range<usize>)> {
        for sync in &self.project().syncs {
            let mut found: Option<Span> = None;
            let mut each = |written: &Located<String>| {
                if touched(&written.span) {
                    found = Some(written.span);
                }
            };
            sync.key.iter().for_each(|(_, written)| each(written));
            for field in &sync.mapping.fields {
                field.value.expressions(&mut |written| each(written));
            }
            let Some(span) = found else { continue };
            let range = span.range();
            let calls = jinja::calls_within(&sync.from.value, 0..sync.from.value.len());
            let key = calls.iter().find_map(|call| self.relation_of(call))?;
            let columns = self.columns(&key)?;
            let word = word_around(self.text, offset);
            let word = word.start.max(range.start)..word.end.min(range.end);
            let name = self.text.get(word.clone())?.to_lowercase();
            let known = columns.iter().any(|column| column.name == name);
            let called = self
                .text
                .get(word.end..)
                .is_some_and(|rest| rest.starts_with('('));
            return match (known, called) {
                (_, true) => Some((Thing::Function(name), word)),
                (true, false) => Some((Thing::Column(key, name), word)),
                _ => None,
            };
        }
        None
    }
}

/// The line that an offset is in.
pub fn line_around(text: &str, offset: usize) -> Range<usize> {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let (before, after) = text.split_at(offset);
    let start = before.rfind('\n').map_or(0, |at| at + 1);
    start..offset + after.find('\n').unwrap_or(after.len())
}

/// The word that an offset is in or at the end of; empty if there is none.
pub fn word_around(text: &str, offset: usize) -> Range<usize> {
    let offset = text.floor_char_boundary(offset.min(text.len()));
    let (before, after) = text.split_at(offset);
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    let start = before.trim_end_matches(inside).len();
    let rest = after.trim_start_matches(inside).len();
    start..text.len() - rest
}
