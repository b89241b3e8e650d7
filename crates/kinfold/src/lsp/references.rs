//! Where something is named.

use gen_lsp_types::Location;
use kinfold_compile::relation::RelationKey;
use kinfold_project::{FileId, Located, Span};

use super::known::Known;
use super::text::jinja::{self, Call};
use super::text::scope::{Origin, Statement};
use super::thing::{Thing, word_around};

impl Known<'_> {
    /// Every place where a thing is named, with the place where it is made if `declared`.
    pub fn references(&self, thing: &Thing, declared: bool) -> Vec<Location> {
        let mut spans = vec![];
        match thing {
            Thing::Relation(key) => self.calls_of(&mut spans, &|known, call| {
                let named = known.relation_of(call).as_ref() == Some(key);
                named.then(|| call.literals().last().map(|name| name.range.clone()))?
            }),
            Thing::Macro(path) => self.calls_of(&mut spans, &|known, call| {
                let words: Vec<&str> = call.path.iter().map(|name| name.text.as_str()).collect();
                let found = known.makro(&words)?;
                let same = [&found.package, &found.name.value].into_iter().eq(path);
                let (first, last) = (call.path.first()?, call.path.last()?);
                same.then_some(first.range.start..last.range.end)
            }),
            Thing::Var(name) => {
                self.calls_of(&mut spans, &literal("var", std::slice::from_ref(name)))
            }
            Thing::Docs(path) => self.calls_of(&mut spans, &literal("doc", path)),
            Thing::Column(key, name) => self.columns_named(key, name, &mut spans),
            Thing::Local(column) => {
                self.names_here(thing, &mut spans);
                // What the model publishes is named in others too.
                let own = self.model().filter(|_| self.publishes(&column.origin));
                if let Some(model) = own {
                    let key = RelationKey::own(model.id.clone());
                    self.columns_named(&key, &column.name, &mut spans);
                }
            }
            Thing::Named(_) => self.names_here(thing, &mut spans),
            Thing::Connection(name) => {
                let syncs = self.project().syncs.iter();
                let own = syncs.filter(|sync| sync.connection.value == *name);
                spans.extend(own.map(|sync| sync.connection.span));
            }
            Thing::Function(_) => {}
        }
        self.written(thing, &mut spans);
        spans.sort();
        spans.dedup();
        let mut found: Vec<Location> = spans
            .iter()
            .filter_map(|span| self.places.location(*span))
            .collect();
        if declared {
            for place in self.definition(thing) {
                // A whole file is no name.
                let whole = place.range.start == place.range.end;
                if !whole && !found.contains(&place) {
                    found.push(place);
                }
            }
        } else {
            let made = self.definition(thing);
            found.retain(|place| !made.contains(place));
        }
        found
    }

    fn publishes(&self, origin: &Origin) -> bool {
        self.with_statement(self.text, |statement| {
            statement
                .columns()
                .iter()
                .any(|column| column.origin == *origin)
        })
    }

    /// Calls in the templates of all files of which `named` gives a part.
    fn calls_of(
        &self,
        spans: &mut Vec<Span>,
        named: &dyn Fn(&Self, &Call) -> Option<std::ops::Range<usize>>,
    ) {
        for (file, text, sql) in self.texts() {
            let mut calls = jinja::calls(text);
            if !sql {
                let mut at = 0;
                for line in text.split_inclusive('\n') {
                    calls.extend(jinja::calls_within(text, at..at + line.len()));
                    at += line.len();
                }
            }
            let ranges = calls.iter().filter_map(|call| named(self, call));
            spans.extend(ranges.map(|range| Span::new(file, range.start, range.end)));
        }
    }

    /// The texts of the project that may name something, and whether they are statements.
    fn texts(&self) -> Vec<(FileId, &str, bool)> {
        let files = self.read.workspace.files().files().iter().enumerate();
        files
            .filter_map(|(at, file)| {
                let end = file.path.extension()?.to_str()?;
                let id = FileId(u32::try_from(at).ok()?);
                let text: &str = if Some(id) == self.file {
                    self.text
                } else {
                    &file.text
                };
                match end {
                    "sql" => Some((id, text, true)),
                    "yml" | "yaml" => Some((id, text, false)),
                    _ => None,
                }
            })
            .collect()
    }

    /// The names of a column in every statement that reads its relation, and in syncs.
    fn columns_named(&self, key: &RelationKey, name: &str, spans: &mut Vec<Span>) {
        let wanted = Thing::Column(key.clone(), name.to_owned());
        let project = self.project();
        let models = project.models.iter().map(|model| (&model.id, model.file));
        let tests = project
            .singular_tests
            .iter()
            .map(|test| (&test.id, test.file));
        for (id, file) in models.chain(tests) {
            let rendered = self.read.bound.rendered.nodes.get(id);
            let reads =
                rendered.is_none_or(|node| node.depends_on.iter().any(|d| d.id == key.node));
            if reads {
                self.names_in(file, self.text_of(file), &wanted, spans);
            }
        }
        for sync in &project.syncs {
            let calls = jinja::calls_within(&sync.from.value, 0..sync.from.value.len());
            if calls
                .iter()
                .find_map(|call| self.relation_of(call))
                .as_ref()
                != Some(key)
            {
                continue;
            }
            let mut each = |written: &Located<String>| self.words(written.span, name, spans);
            sync.key.iter().for_each(|(_, written)| each(written));
            for field in &sync.mapping.fields {
                field.value.expressions(&mut |written| each(written));
            }
        }
    }

    fn names_here(&self, thing: &Thing, spans: &mut Vec<Span>) {
        if let Some(file) = self.file {
            self.names_in(file, self.text, thing, spans);
        }
    }

    fn names_in(&self, file: FileId, text: &str, wanted: &Thing, spans: &mut Vec<Span>) {
        let name = match wanted {
            Thing::Column(_, name) => name,
            Thing::Local(column) => &column.name,
            Thing::Named(name) => &name.text,
            _ => return,
        };
        self.with_statement(text, |statement: &Statement<'_>| {
            for found in statement.names().filter(|found| found.text == *name) {
                let meaning = statement.meaning(found.range.start);
                let meant = meaning.and_then(|(meaning, _)| self.meant(text, meaning));
                if meant.as_ref().is_some_and(|meant| same(meant, wanted)) {
                    spans.push(Span::new(file, found.range.start, found.range.end));
                }
            }
        });
    }

    /// The words of an expression that are this name.
    fn words(&self, span: Span, name: &str, spans: &mut Vec<Span>) {
        let text = self.text_of(span.file);
        let mut at = span.range().start;
        while at < span.range().end {
            let word = word_around(text, at);
            if !word.is_empty() && word.start >= at {
                let written = text.get(word.clone()).unwrap_or("");
                if written.eq_ignore_ascii_case(name) {
                    spans.push(Span::new(span.file, word.start, word.end));
                }
            }
            at = text.ceil_char_boundary(word.end.max(at) + 1);
        }
    }

    /// Where properties files describe or test it.
    fn written(&self, thing: &Thing, spans: &mut Vec<Span>) {
        let project = self.project();
        match thing {
            Thing::Relation(key) if key.companion.is_none() => {
                spans.extend(self.model_of(&key.node).and_then(|model| model.properties));
                spans.extend(self.source_of(&key.node).map(|source| source.table.span));
            }
            Thing::Column(key, name) if key.companion.is_none() => {
                let described = self.described(&key.node).iter();
                let own = described.filter(|column| column.name.value == *name);
                spans.extend(own.map(|column| column.name.span));
            }
            Thing::Macro(path) => {
                for test in &project.generic_tests {
                    let words: Vec<&str> = test.test.value.split('.').collect();
                    let found = self.makro(&words);
                    let same = |m: &kinfold_project::Macro| {
                        [&m.package, &m.name.value].into_iter().eq(path)
                    };
                    if found.is_some_and(same) {
                        spans.push(test.test.span);
                    }
                }
            }
            _ => {}
        }
    }
}

fn same(a: &Thing, b: &Thing) -> bool {
    match (a, b) {
        // By what it is read as, it may have another name in the place where it is made.
        (Thing::Local(a), Thing::Local(b)) => a.origin == b.origin,
        _ => a == b,
    }
}

/// Calls of a function with these literals: the last of them.
fn literal<'a>(
    function: &'a str,
    wanted: &'a [String],
) -> impl Fn(&Known<'_>, &Call) -> Option<std::ops::Range<usize>> + 'a {
    move |_, call| {
        let literals = call.literals();
        let given = literals.iter().take(wanted.len()).map(|name| &name.text);
        let same = call.name() == function && given.eq(wanted);
        same.then(|| {
            literals
                .get(wanted.len() - 1)
                .map(|name| name.range.clone())
        })?
    }
}
