//! `SELECT *` over left joins with `USING`.
//!
//! The planner takes the column of such a join, for `*`, from the side whose name comes first in the alphabet, which
//! is null where the right side has no row. Here `*` becomes what it means: all columns of the left side, and those of
//! the right side but for the columns of `USING`, as DuckDB has them.

use std::ops::ControlFlow;

use sqlparser::ast::{
    ExcludeSelectItem, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Select, SelectItem,
    SelectItemQualifiedWildcardKind, Statement, TableFactor, VisitMut, VisitorMut,
    WildcardAdditionalOptions,
};

/// Writes out every `*` that the planner would get wrong, where it can be written out without knowing the columns.
pub(super) fn write_out(statements: &mut Vec<Statement>) {
    let _ = statements.visit(&mut WriteOut);
}

struct WriteOut;

impl VisitorMut for WriteOut {
    type Break = ();

    fn post_visit_select(&mut self, select: &mut Select) -> ControlFlow<()> {
        if let Some(all) = all_columns(select) {
            let written = |item: SelectItem| match item {
                SelectItem::Wildcard(_) => all.clone(),
                other => vec![other],
            };
            let items = std::mem::take(&mut select.projection);
            select.projection = items.into_iter().flat_map(written).collect();
        }
        ControlFlow::Continue(())
    }
}

/// What `*` stands for in a query that has it over a left join with `USING`, and over no other outer join.
fn all_columns(select: &Select) -> Option<Vec<SelectItem>> {
    let plain = WildcardAdditionalOptions::default();
    let mut wildcards = select.projection.iter().filter_map(|item| match item {
        SelectItem::Wildcard(options) => Some(options),
        _ => None,
    });
    let options = wildcards.next()?;
    let [from] = select.from.as_slice() else {
        return None;
    };
    if !from.joins.iter().any(is_left_using)
        || options != &plain
        || wildcards.any(|options| options != &plain)
    {
        return None;
    }
    let mut all = vec![columns_of(&from.relation, vec![])?];
    for join in &from.joins {
        all.push(columns_of(&join.relation, shared(join)?)?);
    }
    Some(all)
}

fn is_left_using(join: &Join) -> bool {
    matches!(
        &join.join_operator,
        JoinOperator::Left(JoinConstraint::Using(_))
            | JoinOperator::LeftOuter(JoinConstraint::Using(_))
    )
}

/// The columns that a join takes from its left side; none if it is of a kind that may take them from the right one.
fn shared(join: &Join) -> Option<Vec<ObjectName>> {
    match &join.join_operator {
        JoinOperator::CrossJoin(JoinConstraint::None) => Some(vec![]),
        JoinOperator::Join(constraint)
        | JoinOperator::Inner(constraint)
        | JoinOperator::Left(constraint)
        | JoinOperator::LeftOuter(constraint) => match constraint {
            JoinConstraint::On(_) => Some(vec![]),
            JoinConstraint::Using(columns) => Some(columns.clone()),
            JoinConstraint::Natural | JoinConstraint::None => None,
        },
        _ => None,
    }
}

fn columns_of(relation: &TableFactor, without: Vec<ObjectName>) -> Option<SelectItem> {
    let named = |alias: &Ident| ObjectName::from(vec![alias.clone()]);
    let name = match relation {
        TableFactor::Table { name, alias, .. } => match alias {
            Some(alias) => named(&alias.name),
            None => name.clone(),
        },
        TableFactor::Derived {
            alias: Some(alias), ..
        } => named(&alias.name),
        _ => return None,
    };
    let options = WildcardAdditionalOptions {
        opt_exclude: (!without.is_empty()).then_some(ExcludeSelectItem::Multiple(without)),
        ..WildcardAdditionalOptions::default()
    };
    let kind = SelectItemQualifiedWildcardKind::ObjectName(name);
    Some(SelectItem::QualifiedWildcard(kind, options))
}
