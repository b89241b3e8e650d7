//! Names of the columns of a result: those that are there twice, and where a column is made.

use std::collections::BTreeSet;
use std::ops::Range;

use datafusion::arrow::datatypes::Schema;
use sqlparser::ast::{Expr, Ident, Query, Select, SelectItem, SetExpr, Spanned, Statement};

use super::problem::{Problem, byte_range};
use crate::codes;

/// Problems of a query whose result, with these `columns`, has a name twice: each at the later
/// column in the text, or at the `*` that it comes from.
#[must_use]
pub fn repeated_columns(sql: &str, columns: &Schema) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let repeated: BTreeSet<&str> = columns
        .fields()
        .iter()
        .map(|field| field.name().as_str())
        .filter(|name| !seen.insert(*name))
        .collect();
    if repeated.is_empty() {
        return vec![];
    }
    let statement = super::parse(sql).ok();
    let select = match &statement {
        Some(Statement::Query(query)) => naming(query),
        _ => None,
    };
    let whole = 0..sql.trim_end().len();
    let mut found: Vec<Problem> = vec![];
    for name in repeated {
        let range = select.and_then(|select| place(sql, select, name));
        let range = range.unwrap_or_else(|| whole.clone());
        // A `*` may bring many.
        match found.iter_mut().find(|p| p.range.as_ref() == Some(&range)) {
            Some(problem) => problem.notes.push(format!("and two are called `{name}`")),
            None => {
                let mut problem = problem(name);
                if sql
                    .get(range.clone())
                    .is_some_and(|text| text.ends_with('*'))
                {
                    problem.help = vec![
                        "name the columns that are meant instead of `*`, or join with `USING (…)`"
                            .to_owned(),
                    ];
                }
                found.push(problem.or_at(Some(range)));
            }
        }
    }
    found
}

/// Items of a `SELECT` that have the name of an earlier one.
pub(super) fn repeated_items(sql: &str, select: &Select) -> Vec<Problem> {
    let mut seen = BTreeSet::new();
    let items = select.projection.iter();
    items
        .filter_map(|item| {
            let name = name(item)?;
            let problem = problem(&name).or_at(byte_range(sql, item.span()));
            (!seen.insert(name)).then_some(problem)
        })
        .collect()
}

fn problem(name: &str) -> Problem {
    let mut problem = Problem::new(
        codes::DUPLICATE_COLUMN,
        format!("two columns are called `{name}`"),
    );
    problem
        .help
        .push("give one of them another name with `AS`".to_owned());
    problem
}

/// The last item of that name; without a second one, the last `*`.
fn place(sql: &str, select: &Select, wanted: &str) -> Option<Range<usize>> {
    let named: Vec<&SelectItem> = select
        .projection
        .iter()
        .filter(|item| name(item).is_some_and(|name| name == wanted))
        .collect();
    let star = select.projection.iter().rev().find(|item| {
        matches!(
            item,
            SelectItem::Wildcard(_) | SelectItem::QualifiedWildcard(..)
        )
    });
    let item = match (named.as_slice(), star) {
        ([.., last], None) | ([_, .., last], _) => last,
        (_, Some(star)) => star,
        ([], None) => return None,
    };
    byte_range(sql, item.span())
}

/// The item of a query that makes the column of this name, where the text says the name.
#[must_use]
pub fn column_place(sql: &str, wanted: &str) -> Option<Range<usize>> {
    let Ok(Statement::Query(query)) = super::parse(sql) else {
        return None;
    };
    let mut items = naming(&query)?.projection.iter().rev();
    let item = items.find(|item| name(item).is_some_and(|name| name == wanted))?;
    byte_range(sql, item.span())
}

/// The `SELECT` that names the columns of a query: of a union the first one.
fn naming(query: &Query) -> Option<&Select> {
    let mut body = query.body.as_ref();
    loop {
        match body {
            SetExpr::Select(select) => return Some(select),
            SetExpr::Query(query) => body = query.body.as_ref(),
            SetExpr::SetOperation { left, .. } => body = left.as_ref(),
            _ => return None,
        }
    }
}

/// The name of an item where the text says it.
fn name(item: &SelectItem) -> Option<String> {
    match item {
        SelectItem::ExprWithAlias { alias, .. } => Some(folded(alias)),
        SelectItem::UnnamedExpr(Expr::Identifier(ident)) => Some(folded(ident)),
        SelectItem::UnnamedExpr(Expr::CompoundIdentifier(parts)) => parts.last().map(folded),
        _ => None,
    }
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}
