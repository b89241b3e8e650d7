//! Lineage of an expression.

use std::collections::BTreeSet;

use datafusion::common::tree_node::{TreeNode, TreeNodeRecursion};
use datafusion::common::{Column, DFSchema};
use datafusion::logical_expr::{Expr, Subquery};

use super::flow::Walker;
use super::{Origins, Point};

/// What the names in an expression stand for.
pub(super) struct Scope<'a> {
    /// The inputs, each with the origins of its columns by position.
    pub(super) inputs: Vec<(&'a DFSchema, &'a [Origins])>,
    /// What the query stands in, if it is correlated.
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn column(&self, column: &Column) -> Option<&Origins> {
        self.inputs.iter().find_map(|(schema, origins)| {
            let at = schema.index_of_column_by_name(column.relation.as_ref(), &column.name)?;
            origins.get(at)
        })
    }

    fn outer_column(&self, column: &Column) -> Option<&Origins> {
        let scopes = std::iter::successors(self.outer, |scope| scope.outer);
        scopes.into_iter().find_map(|scope| scope.column(column))
    }

    /// Every origin of every column that could be meant.
    pub(super) fn everything(&self) -> BTreeSet<Point> {
        let scopes = std::iter::successors(Some(self), |scope| scope.outer);
        let inputs = scopes.flat_map(|scope| &scope.inputs);
        let origins = inputs.flat_map(|(_, origins)| origins.iter());
        origins.flat_map(Origins::all).cloned().collect()
    }
}

impl Walker {
    /// What an expression is made of.
    pub(super) fn expression(&mut self, expr: &Expr, scope: &Scope<'_>) -> Origins {
        let mut found = Origins::default();
        // Chains of `AND` may be longer than the stack is deep, so what is left to do is a list.
        let mut open = vec![(expr, false)];
        while let Some((expr, control)) = open.pop() {
            let part = self.part(expr, scope, control, &mut open);
            if control {
                found.add_as_control(&part);
            } else {
                found.add(&part);
            }
        }
        found
    }

    /// What the expression itself adds; its operands go to `open`, with whether they only control.
    fn part<'e>(
        &mut self,
        expr: &'e Expr,
        scope: &Scope<'_>,
        control: bool,
        open: &mut Vec<(&'e Expr, bool)>,
    ) -> Origins {
        #[expect(deprecated, reason = "every kind of expression is named")]
        match expr {
            Expr::Column(column) => {
                let known = scope.column(column);
                self.known(known.or_else(|| scope.outer_column(column)), scope)
            }
            Expr::OuterReferenceColumn(_, column) => self.known(scope.outer_column(column), scope),
            Expr::AggregateFunction(function) => {
                let of = &function.params;
                open.extend(of.args.iter().map(|e| (e, control)));
                open.extend(of.filter.iter().map(|e| (e.as_ref(), true)));
                open.extend(of.order_by.iter().map(|sort| (&sort.expr, true)));
                Origins::default()
            }
            Expr::WindowFunction(function) => {
                let of = &function.params;
                open.extend(of.args.iter().map(|e| (e, control)));
                open.extend(of.filter.iter().map(|e| (e.as_ref(), true)));
                open.extend(of.partition_by.iter().map(|e| (e, true)));
                open.extend(of.order_by.iter().map(|sort| (&sort.expr, true)));
                Origins::default()
            }
            Expr::ScalarSubquery(subquery) => self.subquery(subquery, scope, true),
            Expr::InSubquery(of) => {
                open.push((&of.expr, control));
                self.subquery(&of.subquery, scope, true)
            }
            Expr::SetComparison(of) => {
                open.push((&of.expr, control));
                self.subquery(&of.subquery, scope, true)
            }
            // Only whether there is a row counts, not what is in it.
            Expr::Exists(of) => self.subquery(&of.subquery, scope, false),
            Expr::Wildcard { .. } => self.known(None, scope),
            Expr::Literal(..) | Expr::ScalarVariable(..) | Expr::Placeholder(_) => {
                Origins::default()
            }
            // The elements that it stands for come from the list, an operand of the same function.
            Expr::LambdaVariable(_) => Origins::default(),
            Expr::Alias(_)
            | Expr::BinaryExpr(_)
            | Expr::Like(_)
            | Expr::SimilarTo(_)
            | Expr::Not(_)
            | Expr::IsNotNull(_)
            | Expr::IsNull(_)
            | Expr::IsTrue(_)
            | Expr::IsFalse(_)
            | Expr::IsUnknown(_)
            | Expr::IsNotTrue(_)
            | Expr::IsNotFalse(_)
            | Expr::IsNotUnknown(_)
            | Expr::Negative(_)
            | Expr::Between(_)
            | Expr::Case(_)
            | Expr::Cast(_)
            | Expr::TryCast(_)
            | Expr::ScalarFunction(_)
            | Expr::InList(_)
            | Expr::GroupingSet(_)
            | Expr::Unnest(_)
            | Expr::HigherOrderFunction(_)
            | Expr::Lambda(_) => {
                let walked = expr.apply_children(|child| {
                    open.push((child, control));
                    Ok(TreeNodeRecursion::Continue)
                });
                match walked {
                    Ok(_) => Origins::default(),
                    Err(_) => self.known(None, scope),
                }
            }
        }
    }

    fn known(&mut self, origins: Option<&Origins>, scope: &Scope<'_>) -> Origins {
        origins.cloned().unwrap_or_else(|| {
            self.not_understood();
            Origins {
                value: scope.everything(),
                control: BTreeSet::new(),
            }
        })
    }

    fn subquery(&mut self, subquery: &Subquery, scope: &Scope<'_>, value: bool) -> Origins {
        let flow = self.plan(&subquery.subquery, Some(scope));
        let mut found = Origins::default();
        for column in flow.columns.iter().filter(|_| value) {
            found.add(column);
        }
        found.control.extend(flow.rows);
        found
    }
}
