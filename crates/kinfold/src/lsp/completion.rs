//! What can stand at a place.

use std::ops::Range;

use gen_lsp_types::{CompletionItem, CompletionItemKind, TextEdit};
use kinfold_compile::relation::RelationKey;
use kinfold_compile::render::Materialization;
use kinfold_project::{MacroKind, OnLeave, SyncMode, built_in_tests, keys};

use super::analysis::pages;
use super::hover::short;
use super::known::Known;
use super::position::Lines;
use super::text::jinja::{self, TagKind};
use super::text::outline::{Place, place};
use super::text::query::Relation;
use super::text::scope::{Origin, Statement, called};
use super::text::{lex, touches};
use super::thing::{line_around, word_around};

/// The functions of templates that a model calls.
const TEMPLATE_FUNCTIONS: [&str; 8] = [
    "ref",
    "source",
    "config",
    "var",
    "env_var",
    "this",
    "is_incremental",
    "doc",
];

/// What is offered, and for which bytes.
struct Offers {
    range: Range<usize>,
    items: Vec<CompletionItem>,
}

impl Offers {
    fn new(range: Range<usize>) -> Self {
        Self {
            range,
            items: vec![],
        }
    }

    fn add(&mut self, label: &str, kind: CompletionItemKind, detail: &str) {
        self.add_as(label, label, kind, detail);
    }

    fn add_as(&mut self, label: &str, insert: &str, kind: CompletionItemKind, detail: &str) {
        let item = CompletionItem {
            label: label.to_owned(),
            kind: Some(kind),
            detail: Some(detail.to_owned()).filter(|detail| !detail.is_empty()),
            // In the order in which they are added: what is nearest first.
            sort_text: Some(format!("{:05}", self.items.len())),
            filter_text: Some(label.to_owned()),
            insert_text: Some(insert.to_owned()),
            ..CompletionItem::default()
        };
        if !self.items.iter().any(|known| known.label == item.label) {
            self.items.push(item);
        }
    }
}

impl Known<'_> {
    /// What can stand at an offset of the text.
    pub fn completions(&self, offset: usize) -> Vec<CompletionItem> {
        let offers = self.offers(offset);
        let lines = Lines::new(self.text, self.places.encoding);
        let range = lines.range(offers.range);
        let items = offers.items.into_iter();
        items
            .map(|mut item| {
                let new = item
                    .insert_text
                    .take()
                    .unwrap_or_else(|| item.label.clone());
                item.text_edit = Some(TextEdit::new(range, new).into());
                item
            })
            .collect()
    }

    fn offers(&self, offset: usize) -> Offers {
        let tags = jinja::tags(self.text);
        if let Some(tag) = tags.iter().find(|tag| touches(&tag.inner, offset)) {
            return match tag.kind {
                TagKind::Comment => Offers::new(offset..offset),
                _ => self
                    .offers_in_template(&jinja::calls_within(self.text, tag.inner.clone()), offset),
            };
        }
        if self.is_sql() {
            return self.offers_in_statement(offset);
        }
        let calls = jinja::calls_within(self.text, line_around(self.text, offset));
        if jinja::call_around(&calls, offset)
            .is_some_and(|call| ["ref", "source"].contains(&call.name()))
        {
            return self.offers_in_template(&calls, offset);
        }
        self.offers_in_yaml(offset)
    }

    fn offers_in_template(&self, calls: &[jinja::Call], offset: usize) -> Offers {
        let word = word_around(self.text, offset).start..offset;
        let Some(call) = jinja::call_around(calls, offset) else {
            return self.template_words(word);
        };
        let literals = call.literals();
        let literal = literals
            .iter()
            .position(|name| touches(&name.range, offset));
        if let Some(at) = literal
            && let Some(name) = literals.get(at)
        {
            let mut offers = Offers::new(name.range.start..offset);
            let first = literals.first().map(|first| first.text.as_str());
            let before = first.filter(|_| at > 0);
            match call.name() {
                "ref" => self.offer_relations(before, &mut offers),
                "source" => self.offer_sources(before, &mut offers),
                "var" if at == 0 => {
                    for (name, value) in self.project().packages.iter().flat_map(|p| &p.vars) {
                        offers.add(
                            &name.value,
                            CompletionItemKind::Variable,
                            &value.to_json().to_string(),
                        );
                    }
                }
                "doc" => {
                    for (package, name) in self.project().docs.keys() {
                        offers.add(name, CompletionItemKind::Reference, package);
                    }
                }
                _ => {}
            }
            return offers;
        }
        let argument = call
            .argument_at(offset)
            .and_then(|at| call.arguments.get(at));
        if call.name() == "config" {
            let keyword = argument.and_then(|argument| argument.keyword.as_ref());
            let value = argument.and_then(|argument| argument.literal.as_ref());
            let value = value.filter(|value| touches(&value.range, offset));
            return match (keyword, value) {
                (Some(keyword), Some(value)) if keyword.text == "materialized" => {
                    let mut offers = Offers::new(value.range.start..offset);
                    for one in Materialization::OF_MODELS {
                        offers.add(
                            one.as_str(),
                            CompletionItemKind::EnumMember,
                            "materialization",
                        );
                    }
                    offers
                }
                (Some(keyword), _) if offset > keyword.range.end => Offers::new(offset..offset),
                _ => {
                    let mut offers = Offers::new(word);
                    for key in keys::CONFIG {
                        // A keyword argument has no dash.
                        if !key.contains('-') {
                            offers.add_as(
                                key,
                                &format!("{key}="),
                                CompletionItemKind::Property,
                                "config",
                            );
                        }
                    }
                    offers
                }
            };
        }
        let quoted = argument
            .and_then(|a| a.literal.as_ref())
            .is_some_and(|l| touches(&l.range, offset));
        if quoted {
            Offers::new(offset..offset)
        } else {
            self.template_words(word)
        }
    }

    fn template_words(&self, word: Range<usize>) -> Offers {
        let before = self.text.get(..word.start).unwrap_or("");
        let package = before.strip_suffix('.').map(|before| {
            let start = word_around(self.text, before.len()).start;
            before.get(start..).unwrap_or("")
        });
        let mut offers = Offers::new(word);
        let macros = self
            .project()
            .macros
            .iter()
            .filter(|makro| makro.kind == MacroKind::Macro);
        for makro in macros {
            let own = makro.package == self.package();
            match package {
                Some(package) if makro.package == package => {
                    offers.add(&makro.name.value, CompletionItemKind::Function, package);
                }
                None if own => offers.add(&makro.name.value, CompletionItemKind::Function, "macro"),
                None => {
                    let name = format!("{}.{}", makro.package, makro.name.value);
                    offers.add(&name, CompletionItemKind::Function, "macro");
                }
                Some(_) => {}
            }
        }
        if package.is_none() {
            for name in TEMPLATE_FUNCTIONS {
                offers.add(name, CompletionItemKind::Function, "");
            }
        }
        offers
    }

    /// Models, seeds and companions that `ref` finds, of a package if it is given.
    fn offer_relations(&self, package: Option<&str>, offers: &mut Offers) {
        for (name, key, kind) in self.all_relations() {
            let of = key.node.as_str().split('.').nth(1).unwrap_or("");
            if package.is_none_or(|package| package == of) {
                offers.add(&name, CompletionItemKind::Class, kind);
            }
        }
        if package.is_none() {
            for package in &self.project().packages {
                offers.add(&package.name, CompletionItemKind::Module, "package");
            }
        }
    }

    fn all_relations(&self) -> Vec<(String, RelationKey, &'static str)> {
        let project = self.project();
        let mut all = vec![];
        for model in &project.models {
            all.push((
                model.name.clone(),
                RelationKey::own(model.id.clone()),
                "model",
            ));
            for companion in self
                .node(&model.id)
                .into_iter()
                .flat_map(|node| &node.companions)
            {
                let key = RelationKey::companion(model.id.clone(), companion.suffix);
                all.push((
                    format!("{}__{}", model.name, companion.suffix),
                    key,
                    "companion",
                ));
            }
        }
        for seed in &project.seeds {
            all.push((seed.name.clone(), RelationKey::own(seed.id.clone()), "seed"));
        }
        all
    }

    fn offer_sources(&self, source: Option<&str>, offers: &mut Offers) {
        for table in &self.project().sources {
            match source {
                None => offers.add(&table.source.value, CompletionItemKind::Module, "source"),
                Some(source) if table.source.value == source => {
                    offers.add(&table.table.value, CompletionItemKind::Class, "source");
                }
                Some(_) => {}
            }
        }
    }

    fn offers_in_statement(&self, offset: usize) -> Offers {
        let word = word_around(self.text, offset).start..offset;
        let mut offers = Offers::new(word.clone());
        let tokens = lex::tokens(self.text, &jinja::tags(self.text));
        let inside = tokens.iter().any(|token| {
            token.kind == lex::Kind::Value && token.range.start < offset && offset < token.range.end
        });
        // A text without an end, and a comment, whose words are no tokens.
        let line = line_around(self.text, offset);
        let comment = self
            .text
            .get(line.start..offset)
            .is_some_and(|before| before.contains("--"));
        if inside || comment {
            return offers;
        }
        self.with_statement(self.text, |statement| {
            let before: Vec<&lex::Token> = tokens
                .iter()
                .take_while(|token| token.range.end <= word.start)
                .collect();
            match before.as_slice() {
                [.., qualifier, dot] if dot.kind == lex::Kind::Mark('.') => {
                    if let Some(name) = qualifier.name(self.text) {
                        self.columns_after(statement, &name.text, offset, &mut offers);
                    }
                }
                [.., last] if last.is_any(self.text, &["FROM", "JOIN"]) => {
                    for cte in statement.scope_at(offset).ctes() {
                        offers.add(
                            &cte.name.text,
                            CompletionItemKind::Struct,
                            "common table expression",
                        );
                    }
                    for (name, _, kind) in self.all_relations() {
                        let insert = format!("{{{{ ref('{name}') }}}}");
                        offers.add_as(&name, &insert, CompletionItemKind::Class, kind);
                    }
                    for table in &self.project().sources {
                        let (source, name) = (&table.source.value, &table.table.value);
                        let insert = format!("{{{{ source('{source}', '{name}') }}}}");
                        let label = format!("{source}.{name}");
                        offers.add_as(&label, &insert, CompletionItemKind::Class, "source");
                    }
                }
                _ => self.offer_words(statement, offset, &mut offers),
            }
        });
        offers
    }

    /// The columns of what is called so.
    fn columns_after(
        &self,
        statement: &Statement<'_>,
        name: &str,
        offset: usize,
        offers: &mut Offers,
    ) {
        let scope = statement.scope_at(offset);
        let mut sources = scope.sources();
        let Some(source) =
            sources.find(|source| called(source).is_some_and(|own| own.text == name))
        else {
            return;
        };
        let columns = statement.columns_of_source(&scope, source, 0);
        self.offer_columns(statement, &source.relation, columns, offers);
    }

    fn offer_columns(
        &self,
        statement: &Statement<'_>,
        relation: &Relation,
        columns: Vec<super::text::scope::Column>,
        offers: &mut Offers,
    ) {
        // Types of what is made in the text are those of its last plan.
        let bound = match (relation, self.model()) {
            (Relation::Named(name), Some(model)) => self.columns_in(&model.id, &name.text),
            _ => None,
        };
        for column in columns {
            let made = statement.made(&column.origin);
            let own = bound
                .iter()
                .flatten()
                .find(|known| known.name == column.name);
            let detail = own
                .map(|known| known.data_type.clone())
                .or_else(|| match made {
                    Origin::Template { template, column } => {
                        let key = self.template(self.text, &template)?;
                        let columns = self.columns(&key)?.into_iter();
                        let known = columns.into_iter().find(|known| known.name == column)?;
                        Some(format!("{}, of {}", known.data_type, short(&key)))
                    }
                    Origin::Item { .. } => None,
                });
            let insert = written(&column.name);
            let detail = detail.unwrap_or_default();
            offers.add_as(&column.name, &insert, CompletionItemKind::Field, &detail);
        }
    }

    /// Columns and names in scope, and functions.
    fn offer_words(&self, statement: &Statement<'_>, offset: usize, offers: &mut Offers) {
        let scope = statement.scope_at(offset);
        for source in scope.sources() {
            let columns = statement.columns_of_source(&scope, source, 0);
            self.offer_columns(statement, &source.relation, columns, offers);
        }
        for source in scope.sources() {
            if let Some(name) = called(source) {
                offers.add(&name.text, CompletionItemKind::Variable, "");
            }
        }
        for page in pages() {
            offers.add(&page.name, CompletionItemKind::Function, &page.signature);
        }
    }

    fn offers_in_yaml(&self, offset: usize) -> Offers {
        let place = place(self.text, offset);
        let mut offers = Offers::new(place.typed.clone());
        let path = place.path();
        match (path.as_slice(), place.key.is_some()) {
            (["models", "name"], true) => self.undescribed(&mut offers),
            (["models", "columns", "name"], true) => self.offer_described(&place, 1, &mut offers),
            ([_, .., "data_tests" | "tests"], _) => self.offer_tests(&mut offers),
            (["syncs", "connection"], true) => {
                for connection in &self.project().connections {
                    offers.add(
                        &connection.name.value,
                        CompletionItemKind::Value,
                        connection.kind_name(),
                    );
                }
            }
            (["syncs", "from"], true) => {
                for (name, _, kind) in self.all_relations() {
                    let insert = format!("ref('{name}')");
                    offers.add_as(&name, &insert, CompletionItemKind::Class, kind);
                }
            }
            (["syncs", "mode"], true) => {
                SyncMode::ALL
                    .iter()
                    .for_each(|one| offers.add(one.as_str(), CompletionItemKind::EnumMember, ""));
            }
            (["syncs", "on_leave"], true) => {
                OnLeave::ALL
                    .iter()
                    .for_each(|one| offers.add(one.as_str(), CompletionItemKind::EnumMember, ""));
            }
            (["syncs", "purposes"], _) => {
                for purpose in &self.project().purposes {
                    offers.add(&purpose.value, CompletionItemKind::Value, "purpose");
                }
            }
            (["syncs", "mapping" | "key", _], true) => self.expression(&place, offset, &mut offers),
            ([.., "config", "materialized"], true) => {
                for one in Materialization::OF_MODELS {
                    offers.add(
                        one.as_str(),
                        CompletionItemKind::EnumMember,
                        "materialization",
                    );
                }
            }
            (_, true) => {}
            ([], false) => keys_of(keys::PROPERTIES_FILE, &mut offers),
            (["models" | "seeds"], false) => keys_of(keys::NODE, &mut offers),
            ([_, "columns"] | ["sources", "tables", "columns"], false) => {
                keys_of(keys::COLUMN, &mut offers)
            }
            (["sources"], false) => keys_of(keys::SOURCE, &mut offers),
            (["syncs"], false) => keys_of(keys::SYNC, &mut offers),
            ([.., "config"], false) => keys_of(keys::CONFIG, &mut offers),
            _ => {}
        }
        offers
    }

    /// Models that no properties file describes.
    fn undescribed(&self, offers: &mut Offers) {
        let models = self.project().models.iter();
        for model in
            models.filter(|model| model.package == self.package() && model.properties.is_none())
        {
            offers.add(&model.name, CompletionItemKind::Class, "model");
        }
    }

    /// Columns of the model that is named beside, some levels further out.
    fn offer_described(&self, place: &Place, up: usize, offers: &mut Offers) {
        let key = place
            .value(up, "name")
            .and_then(|name| self.named(None, name));
        for column in key.and_then(|key| self.columns(&key)).unwrap_or_default() {
            offers.add(&column.name, CompletionItemKind::Field, &column.data_type);
        }
    }

    fn offer_tests(&self, offers: &mut Offers) {
        for name in built_in_tests() {
            offers.add(name, CompletionItemKind::Function, "data test");
        }
        let macros = self
            .project()
            .macros
            .iter()
            .filter(|makro| makro.kind == MacroKind::Test);
        for makro in macros {
            let own = makro.package == self.package();
            let name = &makro.name.value;
            let name = if own {
                name.clone()
            } else {
                format!("{}.{name}", makro.package)
            };
            offers.add(&name, CompletionItemKind::Function, "data test");
        }
    }

    /// Columns of the model that a sync delivers, and functions.
    fn expression(&self, place: &Place, offset: usize, offers: &mut Offers) {
        offers.range = word_around(self.text, offset).start..offset;
        let from = place.value(1, "from").unwrap_or("");
        let calls = jinja::calls_within(from, 0..from.len());
        let key = calls.iter().find_map(|call| self.relation_of(call));
        for column in key.and_then(|key| self.columns(&key)).unwrap_or_default() {
            let insert = written(&column.name);
            offers.add_as(
                &column.name,
                &insert,
                CompletionItemKind::Field,
                &column.data_type,
            );
        }
        for page in pages() {
            offers.add(&page.name, CompletionItemKind::Function, &page.signature);
        }
    }
}

fn keys_of(keys: &[&str], offers: &mut Offers) {
    for key in keys {
        offers.add_as(key, &format!("{key}:"), CompletionItemKind::Property, "");
    }
}

/// A name as it is written in SQL: in quotes if it would be another one without.
fn written(name: &str) -> String {
    let plain = name
        .chars()
        .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_');
    if plain {
        name.to_owned()
    } else {
        format!("\"{}\"", name.replace('"', "\"\""))
    }
}
