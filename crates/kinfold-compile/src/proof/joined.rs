//! Joins.

use std::collections::BTreeSet;

use datafusion::common::NullEquality;
use datafusion::logical_expr::utils::split_conjunction;
use datafusion::logical_expr::{Expr, Join, JoinType, LogicalPlan, Operator};

use super::expression::plain_column;
use super::facts::{ColumnFacts, Facts};

/// Whether a comparison is true only if neither side is null.
pub(super) fn is_strict(operator: Operator) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::Eq | O::NotEq | O::Lt | O::LtEq | O::Gt | O::GtEq | O::LikeMatch | O::ILikeMatch
    )
}

/// What holds of the rows of a join.
pub(super) fn facts(join: &Join, left: &Facts, right: &Facts) -> Facts {
    let of_left = left.columns.len();
    match join.join_type {
        JoinType::LeftSemi => {
            return Facts {
                empty: left.empty || right.empty,
                ..left.clone()
            };
        }
        JoinType::LeftAnti => return left.clone(),
        JoinType::RightSemi => {
            return Facts {
                empty: left.empty || right.empty,
                ..right.clone()
            };
        }
        JoinType::RightAnti => return right.clone(),
        JoinType::LeftMark => {
            let mut facts = left.clone();
            facts.columns.push(ColumnFacts::default());
            return facts;
        }
        JoinType::RightMark => {
            let mut facts = right.clone();
            facts.columns.push(ColumnFacts::default());
            return facts;
        }
        JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {}
    }
    let keeps_left = matches!(join.join_type, JoinType::Inner | JoinType::Left);
    let keeps_right = matches!(join.join_type, JoinType::Inner | JoinType::Right);
    let inner = keeps_left && keeps_right;
    // Values are repeated by a join, or missing, never changed.
    let of_row = |column: &ColumnFacts, always: bool| ColumnFacts {
        not_null: column.not_null && always,
        number_within: None,
        ..column.clone()
    };
    let mut columns: Vec<ColumnFacts> = left
        .columns
        .iter()
        .map(|column| of_row(column, keeps_left))
        .chain(
            right
                .columns
                .iter()
                .map(|column| of_row(column, keeps_right)),
        )
        .collect();
    let keys = keys(join, of_left);
    if inner && join.null_equality == NullEquality::NullEqualsNothing {
        for at in keys.iter().flat_map(|(l, r)| [*l, of_left + *r]) {
            if let Some(column) = columns.get_mut(at) {
                column.not_null = true;
            }
        }
    }
    let left_keys: BTreeSet<usize> = keys.iter().map(|(l, _)| *l).collect();
    let right_keys: BTreeSet<usize> = keys.iter().map(|(_, r)| *r).collect();
    let shifted = |key: &BTreeSet<usize>| key.iter().map(|at| at + of_left).collect();
    let mut unique: Vec<BTreeSet<usize>> = vec![];
    // At most one partner each.
    if keeps_left && right.tells_apart(&right_keys) {
        unique.extend(left.unique.iter().cloned());
    }
    if keeps_right && left.tells_apart(&left_keys) {
        unique.extend(right.unique.iter().map(shifted));
    }
    if inner {
        // A row of each, together, is met once.
        for key in left.unique.iter().take(MOST_KEYS) {
            for other in right.unique.iter().take(MOST_KEYS) {
                let other: BTreeSet<usize> = shifted(other);
                unique.push(key.union(&other).copied().collect());
            }
        }
    }
    let empty = match join.join_type {
        JoinType::Inner => left.empty || right.empty,
        JoinType::Left => left.empty,
        JoinType::Right => right.empty,
        _ => left.empty && right.empty,
    };
    Facts {
        unique,
        columns,
        empty,
    }
}

/// Keys of each side that are combined with those of the other.
const MOST_KEYS: usize = 4;

/// Columns of both sides that are equal in every pair, by their positions.
fn keys(join: &Join, of_left: usize) -> Vec<(usize, usize)> {
    let on = join.on.iter().filter_map(|(left, right)| {
        let left = plain_column(left, join.left.schema())?;
        let right = plain_column(right, join.right.schema())?;
        Some((left, right))
    });
    let mut keys: Vec<(usize, usize)> = on.collect();
    let conditions = join.filter.as_ref().map(split_conjunction);
    for condition in conditions.into_iter().flatten() {
        let Expr::BinaryExpr(both) = condition else {
            continue;
        };
        let at = |expr: &Expr| plain_column(expr, &join.schema);
        if let (Operator::Eq, Some(a), Some(b)) = (both.op, at(&both.left), at(&both.right)) {
            let (low, high) = (a.min(b), a.max(b));
            if low < of_left && high >= of_left {
                keys.push((low, high - of_left));
            }
        }
    }
    // Values of other types are made alike before they are compared, and a fraction has two zeros.
    let kind = |side: &LogicalPlan, at: usize| {
        let field = side.schema().fields().get(at).cloned();
        field.map(|field| field.data_type().clone())
    };
    keys.retain(|(l, r)| {
        let kind_of_left = kind(&join.left, *l);
        kind_of_left == kind(&join.right, *r) && kind_of_left.is_some_and(|k| !k.is_floating())
    });
    keys
}
