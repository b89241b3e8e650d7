//! What is in a file, as an outline.

use std::ops::Range;

use gen_lsp_types::{DocumentSymbol, SymbolKind};
use kinfold_project::{Column, Span};

use super::known::Known;
use super::position::Lines;
use super::text::jinja;
use super::text::scope::Origin;

impl Known<'_> {
    /// The outline of this text.
    pub fn symbols(&self) -> Vec<DocumentSymbol> {
        let lines = Lines::new(self.text, self.places.encoding);
        let mut found = if self.is_sql() {
            self.in_statement(&lines)
        } else {
            self.in_yaml(&lines)
        };
        found.sort_by_key(|symbol| symbol.range.start);
        found
    }

    fn in_statement(&self, lines: &Lines<'_>) -> Vec<DocumentSymbol> {
        let project = self.project();
        let macros = project
            .macros
            .iter()
            .filter(|makro| Some(makro.file) == self.file);
        let mut found: Vec<DocumentSymbol> = macros
            .map(|makro| {
                let (block, name) = (makro.block.range(), makro.name.span.range());
                symbol(lines, &makro.name.value, SymbolKind::Function, block, name)
            })
            .collect();
        if !found.is_empty() {
            return found;
        }
        let calls = jinja::calls(self.text);
        for call in calls.iter().filter(|call| call.name() == "config") {
            let mut config = symbol(
                lines,
                "config",
                SymbolKind::Property,
                call.range.clone(),
                call.range.clone(),
            );
            let keywords = call.arguments.iter().filter_map(|argument| {
                let name = argument.keyword.as_ref()?;
                let mut one = symbol(
                    lines,
                    &name.text,
                    SymbolKind::Key,
                    argument.range.clone(),
                    name.range.clone(),
                );
                one.detail = argument
                    .literal
                    .as_ref()
                    .map(|literal| literal.text.clone());
                Some(one)
            });
            config.children = Some(keywords.collect());
            found.push(config);
        }
        self.with_statement(self.text, |statement| {
            for cte in &statement.query.ctes {
                let range = cte.name.range.start..cte.query.range.end.max(cte.name.range.end);
                let mut one = symbol(
                    lines,
                    &cte.name.text,
                    SymbolKind::Namespace,
                    range,
                    cte.name.range.clone(),
                );
                one.children = Some(columns(
                    lines,
                    &statement.columns_of_cte(cte),
                    &cte.query.range,
                ));
                found.push(one);
            }
            let all = 0..self.text.len();
            found.extend(columns(lines, &statement.columns(), &all));
        });
        // A column that a common table expression makes is shown there.
        let mut seen = vec![];
        for parent in &found {
            seen.extend(
                parent
                    .children
                    .iter()
                    .flatten()
                    .map(|child| child.selection_range),
            );
        }
        found.retain(|one| one.kind != SymbolKind::Field || !seen.contains(&one.selection_range));
        found
    }

    fn in_yaml(&self, lines: &Lines<'_>) -> Vec<DocumentSymbol> {
        let project = self.project();
        let here = |span: Span| (Some(span.file) == self.file).then(|| span.range());
        let models = project.models.iter().filter_map(|model| {
            Some((
                model.name.as_str(),
                here(model.properties?)?,
                &model.columns,
            ))
        });
        let sources = project.sources.iter().filter_map(|source| {
            Some((
                source.table.value.as_str(),
                here(source.table.span)?,
                &source.columns,
            ))
        });
        let mut found: Vec<DocumentSymbol> = models
            .chain(sources)
            .map(|(name, range, columns)| {
                let described: Vec<(&Column, Range<usize>)> = columns
                    .iter()
                    .filter_map(|column| Some((column, here(column.name.span)?)))
                    .collect();
                let end = described.last().map_or(range.end, |(_, range)| range.end);
                let whole = range.start..end.max(range.end);
                let mut one = symbol(lines, name, SymbolKind::Class, whole, range);
                let children = described.into_iter().map(|(column, range)| {
                    symbol(
                        lines,
                        &column.name.value,
                        SymbolKind::Field,
                        range.clone(),
                        range,
                    )
                });
                one.children = Some(children.collect());
                one
            })
            .collect();
        for sync in &project.syncs {
            if let Some(range) = here(sync.name.span) {
                found.push(symbol(
                    lines,
                    &sync.name.value,
                    SymbolKind::Event,
                    range.clone(),
                    range,
                ));
            }
        }
        found
    }
}

/// The columns that are made in a part of the text.
fn columns(
    lines: &Lines<'_>,
    columns: &[super::text::scope::Column],
    within: &Range<usize>,
) -> Vec<DocumentSymbol> {
    columns
        .iter()
        .filter_map(|column| match &column.origin {
            Origin::Item { name, item } if within.start <= item.start && item.end <= within.end => {
                Some(symbol(
                    lines,
                    &column.name,
                    SymbolKind::Field,
                    item.clone(),
                    name.clone(),
                ))
            }
            _ => None,
        })
        .collect()
}

fn symbol(
    lines: &Lines<'_>,
    name: &str,
    kind: SymbolKind,
    range: Range<usize>,
    selected: Range<usize>,
) -> DocumentSymbol {
    DocumentSymbol {
        // The protocol asks for a name that is not empty.
        name: if name.is_empty() {
            "?".to_owned()
        } else {
            name.to_owned()
        },
        kind,
        range: lines.range(range),
        selection_range: lines.range(selected),
        ..new()
    }
}

fn new() -> DocumentSymbol {
    let nowhere = gen_lsp_types::Range::default();
    #[expect(deprecated, reason = "the type has the field")]
    DocumentSymbol {
        name: String::new(),
        detail: None,
        kind: SymbolKind::Field,
        tags: None,
        deprecated: None,
        range: nowhere,
        selection_range: nowhere,
        children: None,
    }
}
