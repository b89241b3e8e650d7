//! Expressions over the columns of an operator's input.

use datafusion::common::{DFSchema, ScalarValue};
use datafusion::logical_expr::{Expr, Operator};

use super::facts::{ColumnFacts, Facts};

/// Functions that give null only for a null.
const STRICT: [&str; 22] = [
    "abs",
    "btrim",
    "ceil",
    "character_length",
    "concat",
    "date_trunc",
    "encode",
    "floor",
    "initcap",
    "length",
    "lower",
    "ltrim",
    "md5",
    "replace",
    "reverse",
    "round",
    "rtrim",
    "sha256",
    "to_char",
    "translate",
    "trim",
    "upper",
];

/// The position of the column that an expression is, under whatever name.
pub(super) fn plain_column(expr: &Expr, schema: &DFSchema) -> Option<usize> {
    match expr {
        Expr::Alias(alias) => plain_column(&alias.expr, schema),
        Expr::Column(column) => schema.index_of_column(column).ok(),
        _ => None,
    }
}

/// What holds of the values of an expression.
pub(super) fn column_facts(expr: &Expr, input: &Facts, schema: &DFSchema) -> ColumnFacts {
    match expr {
        Expr::Alias(alias) => column_facts(&alias.expr, input, schema),
        Expr::Column(_) => {
            let at = plain_column(expr, schema);
            let column = at.and_then(|at| input.columns.get(at));
            column.cloned().unwrap_or_default()
        }
        other => ColumnFacts {
            not_null: not_null(other, input, schema),
            values: values(other, input, schema),
            ..ColumnFacts::default()
        },
    }
}

fn not_null(expr: &Expr, input: &Facts, schema: &DFSchema) -> bool {
    let of = |expr: &Expr| column_facts(expr, input, schema).not_null;
    match expr {
        Expr::Literal(value, _) => !value.is_null(),
        Expr::IsNull(_)
        | Expr::IsNotNull(_)
        | Expr::IsTrue(_)
        | Expr::IsFalse(_)
        | Expr::IsUnknown(_)
        | Expr::IsNotTrue(_)
        | Expr::IsNotFalse(_)
        | Expr::IsNotUnknown(_)
        | Expr::Exists(_) => true,
        Expr::Not(inner) | Expr::Negative(inner) => of(inner),
        // What cannot be cast is an error, not a null.
        Expr::Cast(cast) => of(&cast.expr),
        Expr::BinaryExpr(both) => {
            is_total(both.op) && of(&both.left) && of(&both.right)
                || matches!(
                    both.op,
                    Operator::IsDistinctFrom | Operator::IsNotDistinctFrom
                )
        }
        Expr::Between(between) => of(&between.expr) && of(&between.low) && of(&between.high),
        Expr::Like(like) => of(&like.expr) && of(&like.pattern),
        Expr::InList(list) => of(&list.expr) && list.list.iter().all(of),
        Expr::Case(case) => {
            let otherwise = case.else_expr.as_ref();
            otherwise.is_some_and(|e| of(e)) && case.when_then_expr.iter().all(|(_, e)| of(e))
        }
        Expr::ScalarFunction(call) => match call.func.name() {
            "coalesce" => call.args.iter().any(of),
            "now" => true,
            name => STRICT.contains(&name) && call.args.iter().all(of),
        },
        _ => false,
    }
}

/// Operators that give null only for a null.
fn is_total(operator: Operator) -> bool {
    use Operator as O;
    matches!(
        operator,
        O::Eq
            | O::NotEq
            | O::Lt
            | O::LtEq
            | O::Gt
            | O::GtEq
            | O::And
            | O::Or
            | O::Plus
            | O::Minus
            | O::Multiply
            | O::StringConcat
    )
}

/// Every value that the expression can have beside null.
fn values(expr: &Expr, input: &Facts, schema: &DFSchema) -> Option<Vec<ScalarValue>> {
    match expr {
        Expr::Literal(value, _) if value.is_null() => Some(vec![]),
        Expr::Literal(value, _) => Some(vec![value.clone()]),
        Expr::Case(case) => {
            let branches = case.when_then_expr.iter().map(|(_, then)| then);
            let mut all = vec![];
            for branch in branches.chain(&case.else_expr) {
                all.extend(column_facts(branch, input, schema).values?);
            }
            Some(all)
        }
        _ => None,
    }
}

/// A comparison of a column with a whole number.
#[derive(Clone, Copy, Debug)]
pub(super) struct Compared {
    pub(super) column: usize,
    operator: Operator,
    number: i64,
}

impl Compared {
    /// Whether only values up to `limit` are let through, if they are whole numbers.
    pub(super) fn is_at_most(self, limit: i64) -> bool {
        match self.operator {
            Operator::Eq | Operator::LtEq => self.number <= limit,
            Operator::Lt => self.number <= limit + 1,
            _ => false,
        }
    }

    /// Whether only values above `limit` are let through, if they are whole numbers.
    pub(super) fn is_more_than(self, limit: i64) -> bool {
        match self.operator {
            Operator::Eq | Operator::GtEq => self.number > limit,
            Operator::Gt => self.number >= limit,
            _ => false,
        }
    }
}

/// The comparison that a condition is, the column on the left.
pub(super) fn compared(condition: &Expr, schema: &DFSchema) -> Option<Compared> {
    let Expr::BinaryExpr(both) = condition else {
        return None;
    };
    let whole = |expr: &Expr| match expr {
        Expr::Literal(ScalarValue::Int64(Some(number)), _) => Some(*number),
        Expr::Literal(ScalarValue::UInt64(Some(number)), _) => i64::try_from(*number).ok(),
        Expr::Literal(ScalarValue::Int32(Some(number)), _) => Some(i64::from(*number)),
        _ => None,
    };
    let at = |expr: &Expr| plain_column(expr, schema);
    match (
        at(&both.left),
        whole(&both.right),
        whole(&both.left),
        at(&both.right),
    ) {
        (Some(column), Some(number), ..) => Some(Compared {
            column,
            operator: both.op,
            number,
        }),
        (.., Some(number), Some(column)) => Some(Compared {
            column,
            operator: both.op.swap()?,
            number,
        }),
        _ => None,
    }
}
