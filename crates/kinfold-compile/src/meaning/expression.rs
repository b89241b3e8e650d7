//! Meaning of an expression.

use datafusion::arrow::datatypes::DataType;
use datafusion::common::{Column, DFSchema, ScalarValue};
use datafusion::logical_expr::expr::{
    AggregateFunction, ScalarFunction, WindowFunction, WindowFunctionDefinition,
};
use datafusion::logical_expr::{
    BinaryExpr, Case, Expr, ExprSchemable, Like, Operator, SortExpr, Subquery, Volatility,
};

use super::Certainty;
use super::certainty::{AggregateCall, equal_for_peers, keeps_peers_together};
use super::flow::{Walker, leaves_no_ties, sort_keys};
use super::print::{Maker, Part};
use crate::compile::{Determinism, determinism_of_call};

/// Expressions that nest deeper have no meaning here.
const DEEPEST: usize = 120;

/// What the names in an expression stand for.
pub(super) struct Scope<'a> {
    /// The inputs, each with its columns by position.
    pub(super) inputs: Vec<(&'a DFSchema, &'a [Part])>,
    /// The rows that the expression is computed for, where a window may look at them.
    pub(super) rows: Option<Part>,
    /// What the query stands in, if it is correlated.
    pub(super) outer: Option<&'a Scope<'a>>,
}

impl Scope<'_> {
    fn column(&self, column: &Column) -> Option<&Part> {
        self.inputs.iter().find_map(|(schema, parts)| {
            let at = schema.index_of_column_by_name(column.relation.as_ref(), &column.name)?;
            parts.get(at)
        })
    }

    /// A column of a query around this one. How far around counts: the same relation may be read there and here.
    fn outer_column(&self, column: &Column) -> Option<Part> {
        let scopes = std::iter::successors(self.outer, |scope| scope.outer);
        let mut found = scopes.enumerate();
        let (level, part) = found.find_map(|(at, scope)| Some((at, scope.column(column)?)))?;
        Some(Maker::new("outer").count(level).part(part).finish())
    }

    fn type_of(&self, expr: &Expr) -> Option<DataType> {
        let mut schemas = self.inputs.iter();
        schemas.find_map(|(schema, _)| expr.get_type(*schema).ok())
    }
}

impl Walker {
    /// What an expression means; none if that is not certain.
    pub(super) fn expression(&mut self, expr: &Expr, scope: &Scope<'_>) -> Option<Part> {
        if self.nested >= DEEPEST {
            return None;
        }
        self.nested += 1;
        let part = self.kind(expr, scope);
        self.nested -= 1;
        part
    }

    fn kind(&mut self, expr: &Expr, scope: &Scope<'_>) -> Option<Part> {
        #[expect(deprecated, reason = "every kind of expression is named")]
        match expr {
            Expr::Alias(of) => self.expression(&of.expr, scope),
            Expr::Column(column) => match scope.column(column) {
                Some(part) => Some(part.clone()),
                None => scope.outer_column(column),
            },
            Expr::OuterReferenceColumn(_, column) => scope.outer_column(column),
            Expr::Literal(value, _) => literal(value),
            Expr::BinaryExpr(of) => self.binary(of, scope),
            Expr::Like(of) => self.like("like", of, scope),
            Expr::SimilarTo(of) => self.like("similar to", of, scope),
            Expr::Not(of) => self.over(Maker::new("not"), [of.as_ref()], scope),
            Expr::IsNotNull(of) => self.over(Maker::new("is not null"), [of.as_ref()], scope),
            Expr::IsNull(of) => self.over(Maker::new("is null"), [of.as_ref()], scope),
            Expr::IsTrue(of) => self.over(Maker::new("is true"), [of.as_ref()], scope),
            Expr::IsFalse(of) => self.over(Maker::new("is false"), [of.as_ref()], scope),
            Expr::IsUnknown(of) => self.over(Maker::new("is unknown"), [of.as_ref()], scope),
            Expr::IsNotTrue(of) => self.over(Maker::new("is not true"), [of.as_ref()], scope),
            Expr::IsNotFalse(of) => self.over(Maker::new("is not false"), [of.as_ref()], scope),
            Expr::IsNotUnknown(of) => self.over(Maker::new("is not unknown"), [of.as_ref()], scope),
            Expr::Negative(of) => self.over(Maker::new("negative"), [of.as_ref()], scope),
            Expr::Between(of) => {
                let made = Maker::new("between").flag(of.negated);
                self.over(made, [&*of.expr, &*of.low, &*of.high], scope)
            }
            Expr::Case(of) => self.case(of, scope),
            Expr::Cast(of) => {
                let made = Maker::new("cast").text(&of.field.data_type().to_string());
                self.over(made, [of.expr.as_ref()], scope)
            }
            Expr::TryCast(of) => {
                let made = Maker::new("try cast").text(&of.field.data_type().to_string());
                self.over(made, [of.expr.as_ref()], scope)
            }
            Expr::ScalarFunction(of) => self.call(of, scope),
            Expr::AggregateFunction(of) => self.aggregate_call(of, scope),
            Expr::WindowFunction(of) => self.window_call(of, scope),
            Expr::InList(of) => {
                let list = self.all(&of.list, scope)?;
                let made = Maker::new("in list").flag(of.negated);
                let made = made.part(&self.expression(&of.expr, scope)?);
                Some(made.set(list.iter()).finish())
            }
            Expr::Exists(of) => {
                let made = Maker::new("exists").flag(of.negated);
                self.subquery(made, &of.subquery, false, scope)
            }
            Expr::InSubquery(of) => {
                let made = Maker::new("in query").flag(of.negated);
                let made = made.part(&self.expression(&of.expr, scope)?);
                self.subquery(made, &of.subquery, true, scope)
            }
            Expr::SetComparison(of) => {
                let how = format!("{} {:?}", of.op, of.quantifier);
                let made = Maker::new("compared with query").text(&how);
                let made = made.part(&self.expression(&of.expr, scope)?);
                self.subquery(made, &of.subquery, true, scope)
            }
            Expr::ScalarSubquery(of) => {
                self.subquery(Maker::new("value of query"), of, true, scope)
            }
            Expr::ScalarVariable(..)
            | Expr::Wildcard { .. }
            | Expr::GroupingSet(_)
            | Expr::Placeholder(_)
            | Expr::Unnest(_)
            | Expr::HigherOrderFunction(_)
            | Expr::Lambda(_)
            | Expr::LambdaVariable(_) => None,
        }
    }

    fn all<'e>(
        &mut self,
        operands: impl IntoIterator<Item = &'e Expr>,
        scope: &Scope<'_>,
    ) -> Option<Vec<Part>> {
        let operands = operands.into_iter();
        operands
            .map(|operand| self.expression(operand, scope))
            .collect()
    }

    fn over<'e>(
        &mut self,
        made: Maker,
        operands: impl IntoIterator<Item = &'e Expr>,
        scope: &Scope<'_>,
    ) -> Option<Part> {
        let operands = self.all(operands, scope)?;
        Some(made.parts(operands.iter()).finish())
    }

    /// Chains are walked along, as they may be longer than the stack is deep.
    fn binary(&mut self, of: &BinaryExpr, scope: &Scope<'_>) -> Option<Part> {
        if let Operator::And | Operator::Or = of.op {
            let (mut operands, mut open) = (vec![], vec![of.left.as_ref(), of.right.as_ref()]);
            while let Some(expr) = open.pop() {
                match expr {
                    Expr::BinaryExpr(inner) if inner.op == of.op => {
                        open.extend([inner.left.as_ref(), inner.right.as_ref()]);
                    }
                    other => operands.push(self.expression(other, scope)?),
                }
            }
            let made = Maker::new(if of.op == Operator::And { "and" } else { "or" });
            return Some(made.set(operands.iter()).finish());
        }
        let mut chain = vec![(of.op, of.right.as_ref())];
        let mut first = of.left.as_ref();
        while let Expr::BinaryExpr(inner) = first
            && !matches!(inner.op, Operator::And | Operator::Or)
        {
            chain.push((inner.op, inner.right.as_ref()));
            first = inner.left.as_ref();
        }
        let mut made = Maker::new("operators").part(&self.expression(first, scope)?);
        for (operator, operand) in chain.into_iter().rev() {
            made = made.text(&operator.to_string());
            made = made.part(&self.expression(operand, scope)?);
        }
        Some(made.finish())
    }

    fn like(&mut self, kind: &str, of: &Like, scope: &Scope<'_>) -> Option<Part> {
        let made = Maker::new(kind)
            .flag(of.negated)
            .flag(of.case_insensitive)
            .text(&format!("{:?}", of.escape_char));
        self.over(made, [&*of.expr, &*of.pattern], scope)
    }

    fn case(&mut self, of: &Case, scope: &Scope<'_>) -> Option<Part> {
        let made = Maker::new("case")
            .flag(of.expr.is_some())
            .flag(of.else_expr.is_some());
        let branches = of
            .when_then_expr
            .iter()
            .flat_map(|(when, then)| [when, then]);
        let operands = of.expr.iter().chain(branches).chain(&of.else_expr);
        self.over(made, operands.map(AsRef::as_ref), scope)
    }

    fn call(&mut self, of: &ScalarFunction, scope: &Scope<'_>) -> Option<Part> {
        let made = Maker::new("call").text(of.func.name());
        let made = made.at_least(determinism_of_call(&of.func));
        let made = match determinism_of_call(&of.func) {
            Determinism::Volatile => made.at_best(Certainty::Chosen),
            _ => made,
        };
        self.over(made, &of.args, scope)
    }

    fn order(&mut self, keys: &[SortExpr], scope: &Scope<'_>) -> Option<(Vec<Part>, Vec<Part>)> {
        let parts = self.all(keys.iter().map(|key| &key.expr), scope)?;
        let directed = sort_keys(keys, parts.clone());
        Some((parts, directed.iter().map(|key| key.print()).collect()))
    }

    fn aggregate_call(&mut self, of: &AggregateFunction, scope: &Scope<'_>) -> Option<Part> {
        let params = &of.params;
        let arguments = self.all(&params.args, scope)?;
        let (keys, order) = self.order(&params.order_by, scope)?;
        let mut made = Maker::new("aggregate")
            .text(of.func.name())
            .flag(params.distinct)
            .text(&format!("{:?}", params.null_treatment))
            .parts(arguments.iter())
            .count(order.len());
        made = order.iter().fold(made, Maker::control);
        if let Some(filter) = &params.filter {
            made = made
                .text("filter")
                .control(&self.expression(filter, scope)?);
        }
        let given = params.args.iter().zip(&arguments);
        // Constants are the same in every row.
        let varying: Vec<Part> = given
            .filter(|(expr, _)| !matches!(expr, Expr::Literal(..)))
            .map(|(_, part)| part.clone())
            .collect();
        let types: Option<Vec<DataType>> =
            params.args.iter().map(|arg| scope.type_of(arg)).collect();
        let call = AggregateCall {
            name: of.func.name(),
            arguments: types.as_deref(),
            distinct: params.distinct,
            ordered: !keys.is_empty() && leaves_no_ties(&keys, &varying),
        };
        let made = made.at_best(call.certainty());
        let volatile = of.func.signature().volatility == Volatility::Volatile;
        Some(changeable(made, volatile).finish())
    }

    fn window_call(&mut self, of: &WindowFunction, scope: &Scope<'_>) -> Option<Part> {
        let params = &of.params;
        let rows = scope.rows.as_ref()?;
        let arguments = self.all(&params.args, scope)?;
        let partitions = self.all(&params.partition_by, scope)?;
        let (_, order) = self.order(&params.order_by, scope)?;
        let (kind, name, volatility) = match &of.fun {
            WindowFunctionDefinition::AggregateUDF(f) => {
                ("aggregate", f.name(), f.signature().volatility)
            }
            WindowFunctionDefinition::WindowUDF(f) => {
                ("window", f.name(), f.signature().volatility)
            }
        };
        let frame = &params.window_frame;
        let mut made = Maker::new("window call")
            .text(kind)
            .text(name)
            .flag(params.distinct)
            .text(&format!("{:?}", params.null_treatment))
            .text(&format!(
                "{:?} {:?} {:?}",
                frame.units, frame.start_bound, frame.end_bound
            ))
            // What a window says of a row depends on which others there are.
            .control(rows)
            .control_set(partitions.iter())
            .parts(arguments.iter())
            .count(order.len());
        made = order.iter().fold(made, Maker::control);
        if let Some(filter) = &params.filter {
            made = made
                .text("filter")
                .control(&self.expression(filter, scope)?);
        }
        let certainty = match &of.fun {
            WindowFunctionDefinition::WindowUDF(_) if equal_for_peers(name) => Certainty::Exact,
            WindowFunctionDefinition::AggregateUDF(_) if keeps_peers_together(frame) => {
                let types: Option<Vec<DataType>> =
                    params.args.iter().map(|arg| scope.type_of(arg)).collect();
                let call = AggregateCall {
                    name,
                    arguments: types.as_deref(),
                    distinct: params.distinct,
                    ordered: false,
                };
                call.certainty()
            }
            _ => Certainty::Chosen,
        };
        let made = made.at_best(certainty);
        Some(changeable(made, volatility == Volatility::Volatile).finish())
    }

    fn subquery(
        &mut self,
        made: Maker,
        of: &Subquery,
        values: bool,
        scope: &Scope<'_>,
    ) -> Option<Part> {
        let flow = self.plan(&of.subquery, Some(scope))?;
        let made = made.control(&flow.rows.print());
        let columns = flow.columns.iter().filter(|_| values);
        Some(columns.fold(made, Maker::part).finish())
    }
}

fn changeable(made: Maker, volatile: bool) -> Maker {
    if volatile {
        made.at_least(Determinism::Volatile)
            .at_best(Certainty::Chosen)
    } else {
        made
    }
}

/// A constant. Those of nested types are not made by the planner of SQL.
fn literal(value: &ScalarValue) -> Option<Part> {
    let kind = value.data_type();
    let text = match value {
        ScalarValue::Utf8(text) | ScalarValue::LargeUtf8(text) | ScalarValue::Utf8View(text) => {
            format!("{text:?}")
        }
        ScalarValue::Binary(bytes)
        | ScalarValue::LargeBinary(bytes)
        | ScalarValue::BinaryView(bytes)
        | ScalarValue::FixedSizeBinary(_, bytes) => format!("{bytes:?}"),
        _ if kind.is_nested() => return None,
        ScalarValue::Dictionary(..) | ScalarValue::RunEndEncoded(..) => return None,
        other => format!("{other:?}"),
    };
    let made = Maker::new("literal").text(&kind.to_string());
    Some(made.text(&text).finish())
}
