//! Meaning from operator to operator.

use std::collections::{BTreeMap, BTreeSet};

use datafusion::common::JoinType;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Aggregate, BinaryExpr, Distinct, DistinctOn, Expr, Join, Limit, LogicalPlan, Operator,
    SortExpr, TableScan, Union, Unnest, Values,
};

use super::certainty::has_float;
use super::expression::Scope;
use super::print::{Maker, Part};
use super::{Certainty, Print};
use crate::compile::Fingerprint;
use crate::lineage::{Point, is_lateral};
use crate::relation::relation_of;

/// Plans that nest deeper have no meaning here.
const DEEPEST: usize = 300;

/// The result of an operator.
pub(super) struct Flow {
    /// The columns by position.
    pub(super) columns: Vec<Part>,
    /// Which rows there are.
    pub(super) rows: Rows,
    /// What they are sorted by; counts once a limit cuts them.
    pub(super) order: Vec<SortKey>,
    /// Whether the order is that of a query in this one, which nothing has to keep.
    order_is_inner: bool,
}

impl Flow {
    fn new(columns: Vec<Part>, rows: Part) -> Self {
        Self {
            columns,
            rows: Rows::of(rows),
            order: vec![],
            order_is_inner: false,
        }
    }
}

/// Which rows there are: those of `base` for which every condition holds.
pub(super) struct Rows {
    base: Part,
    conditions: BTreeMap<[u8; 32], Part>,
}

impl Rows {
    fn of(base: Part) -> Self {
        let conditions = BTreeMap::new();
        Self { base, conditions }
    }

    pub(super) fn print(&self) -> Part {
        if self.conditions.is_empty() {
            return self.base.clone();
        }
        let filter = Maker::new("filter").control(&self.base);
        filter.control_set(self.conditions.values()).finish()
    }
}

/// One key of an order.
pub(super) struct SortKey {
    /// What is sorted by, without direction.
    pub(super) of: Part,
    ascending: bool,
    nulls_first: bool,
}

impl SortKey {
    pub(super) fn print(&self) -> Part {
        let key = Maker::new("sort key").flag(self.ascending);
        key.flag(self.nulls_first).part(&self.of).finish()
    }
}

/// Whether rows that are equal in these keys are equal in all columns, so that it does not matter which of
/// them comes first.
pub(super) fn leaves_no_ties<'p>(
    keys: impl IntoIterator<Item = &'p Part>,
    columns: &[Part],
) -> bool {
    let keys: BTreeSet<[u8; 32]> = keys.into_iter().map(|key| key.hash).collect();
    columns.iter().all(|column| keys.contains(&column.hash))
}

/// Walks plans.
#[derive(Default)]
pub(super) struct Walker {
    points: Vec<Point>,
    numbers: BTreeMap<Point, u32>,
    depth: usize,
    /// How deep the expression is that is being walked.
    pub(super) nested: usize,
}

impl Walker {
    /// The print of a part, with what it reads by name.
    pub(super) fn finished(&self, part: &Part) -> Print {
        let reads = part.reads.iter();
        let reads = reads.filter_map(|at| self.points.get(*at as usize).cloned());
        Print {
            fingerprint: Fingerprint::from(part.hash),
            reads: reads.collect(),
            certainty: part.certainty,
            determinism: part.determinism,
        }
    }

    fn number(&mut self, point: Point) -> Option<u32> {
        if let Some(known) = self.numbers.get(&point) {
            return Some(*known);
        }
        let next = u32::try_from(self.points.len()).ok()?;
        self.points.push(point.clone());
        self.numbers.insert(point, next);
        Some(next)
    }

    /// The meaning of a plan; none if it is not certain. `outer` is what a correlated query stands in.
    pub(super) fn plan(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Option<Flow> {
        if self.depth >= DEEPEST {
            return None;
        }
        self.depth += 1;
        let flow = self.operator(plan, outer);
        self.depth -= 1;
        flow.filter(|flow| flow.columns.len() == plan.schema().fields().len())
    }

    fn operator(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Option<Flow> {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan),
            LogicalPlan::Projection(of) => {
                let mut flow = self.plan(&of.input, outer)?;
                flow.columns = self.expressions(&of.expr, &of.input, &flow, outer)?;
                Some(flow)
            }
            LogicalPlan::Filter(of) => {
                let mut flow = self.plan(&of.input, outer)?;
                let conditions = conjuncts(&of.predicate);
                for part in self.expressions(conditions, &of.input, &flow, outer)? {
                    flow.rows.conditions.insert(part.hash, part);
                }
                Some(flow)
            }
            LogicalPlan::Window(of) => {
                let mut flow = self.plan(&of.input, outer)?;
                let windows = self.expressions(&of.window_expr, &of.input, &flow, outer)?;
                flow.columns.extend(windows);
                flow.order.clear();
                Some(flow)
            }
            LogicalPlan::Aggregate(of) => self.aggregate(of, outer),
            LogicalPlan::Sort(of) if of.fetch.is_none() => {
                let mut flow = self.plan(&of.input, outer)?;
                flow.order = self.sort_keys(&of.expr, &of.input, &flow, outer)?;
                flow.order_is_inner = false;
                Some(flow)
            }
            LogicalPlan::Limit(of) => self.limit(of, outer),
            LogicalPlan::Join(of) => self.join(of, outer),
            LogicalPlan::Repartition(of) => self.plan(&of.input, outer),
            LogicalPlan::Union(of) => self.union(of, outer),
            LogicalPlan::EmptyRelation(of) => {
                let fields = of.schema.fields().iter();
                let null = |kind: String| Maker::new("null").text(&kind).finish();
                let columns = fields.map(|f| null(f.data_type().to_string()));
                let rows = Maker::new("nothing").flag(of.produce_one_row);
                Some(Flow::new(columns.collect(), rows.finish()))
            }
            LogicalPlan::Subquery(of) => self.plan(&of.subquery, outer),
            LogicalPlan::SubqueryAlias(of) => {
                let mut flow = self.plan(&of.input, outer)?;
                flow.order_is_inner = true;
                Some(flow)
            }
            LogicalPlan::Values(of) => self.values(of, outer),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let flow = self.plan(input, outer)?;
                let rows = Maker::new("distinct").control(&flow.rows.print());
                let rows = rows.control_set(flow.columns.iter()).finish();
                let fields = input.schema().fields().iter();
                let columns = flow.columns.iter().zip(fields);
                let columns =
                    columns.map(|(column, field)| of_group(column, has_float(field.data_type())));
                Some(Flow::new(columns.collect(), rows))
            }
            LogicalPlan::Distinct(Distinct::On(of)) => self.distinct_on(of, outer),
            LogicalPlan::Unnest(of) => self.unnest(of, outer),
            LogicalPlan::Sort(_)
            | LogicalPlan::RecursiveQuery(_)
            | LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => None,
        }
    }

    fn expressions<'e>(
        &mut self,
        expressions: impl IntoIterator<Item = &'e Expr>,
        input: &LogicalPlan,
        flow: &Flow,
        outer: Option<&Scope<'_>>,
    ) -> Option<Vec<Part>> {
        let scope = Scope {
            inputs: vec![(input.schema().as_ref(), &flow.columns)],
            rows: Some(flow.rows.print()),
            outer,
        };
        let expressions = expressions.into_iter();
        expressions
            .map(|expr| self.expression(expr, &scope))
            .collect()
    }

    fn sort_keys(
        &mut self,
        keys: &[SortExpr],
        input: &LogicalPlan,
        flow: &Flow,
        outer: Option<&Scope<'_>>,
    ) -> Option<Vec<SortKey>> {
        let parts = self.expressions(keys.iter().map(|key| &key.expr), input, flow, outer)?;
        Some(sort_keys(keys, parts))
    }

    fn scan(&mut self, scan: &TableScan) -> Option<Flow> {
        let key = relation_of(scan)?;
        if !scan.filters.is_empty() || scan.fetch.is_some() {
            return None;
        }
        let schema = scan.source.schema();
        let name = key.to_string();
        let mut columns = vec![];
        for at in 0..schema.fields().len() {
            let field = schema.field(at);
            let number = self.number(Point::column(&key, field.name()))?;
            let column = Maker::new("read").text(&name).text(field.name());
            let column = column.text(&field.data_type().to_string());
            columns.push(column.reading(number).finish());
        }
        if let Some(projection) = &scan.projection {
            let chosen = projection.iter().map(|at| columns.get(*at).cloned());
            columns = chosen.collect::<Option<_>>()?;
        }
        let number = self.number(Point::rows(&key))?;
        let rows = Maker::new("rows").text(&name).reading(number);
        Some(Flow::new(columns, rows.finish()))
    }

    fn aggregate(&mut self, of: &Aggregate, outer: Option<&Scope<'_>>) -> Option<Flow> {
        let flow = self.plan(&of.input, outer)?;
        let keys: Vec<Expr> = grouping_set_to_exprlist(&of.group_expr)
            .ok()?
            .into_iter()
            .cloned()
            .collect();
        let keys = self.expressions(&keys, &of.input, &flow, outer)?;
        let input = flow.rows.print();
        let mut columns: Vec<Part> = vec![];
        for (key, field) in keys.iter().zip(of.schema.fields()) {
            columns.push(of_group(key, has_float(field.data_type())));
        }
        let rows = match of.group_expr.as_slice() {
            [Expr::GroupingSet(sets)] => {
                columns.push(Maker::new("grouping id").finish());
                let sets = self.grouping_set(sets, of, &flow, outer)?;
                Maker::new("grouping sets").control(&input).control(&sets)
            }
            _ => Maker::new("groups")
                .control(&input)
                .control_set(keys.iter()),
        };
        columns.extend(self.expressions(&of.aggr_expr, &of.input, &flow, outer)?);
        Some(Flow::new(columns, rows.finish()))
    }

    fn grouping_set(
        &mut self,
        sets: &datafusion::logical_expr::GroupingSet,
        of: &Aggregate,
        flow: &Flow,
        outer: Option<&Scope<'_>>,
    ) -> Option<Part> {
        use datafusion::logical_expr::GroupingSet;
        let (name, lists): (&str, Vec<&Vec<Expr>>) = match sets {
            GroupingSet::Rollup(keys) => ("rollup", vec![keys]),
            GroupingSet::Cube(keys) => ("cube", vec![keys]),
            GroupingSet::GroupingSets(sets) => ("sets", sets.iter().collect()),
        };
        let mut made = Maker::new(name);
        for list in lists {
            let parts = self.expressions(list, &of.input, flow, outer)?;
            made = made.parts(parts.iter());
        }
        Some(made.finish())
    }

    fn limit(&mut self, of: &Limit, outer: Option<&Scope<'_>>) -> Option<Flow> {
        let mut flow = self.plan(&of.input, outer)?;
        let mut rows = Maker::new("limit").control(&flow.rows.print());
        rows = rows.count(flow.order.len());
        for key in &flow.order {
            rows = rows.control(&key.print());
        }
        for count in [&of.skip, &of.fetch] {
            rows = rows.flag(count.is_some());
            if let Some(count) = count {
                let part = self.expressions([count.as_ref()], &of.input, &flow, outer)?;
                rows = part.iter().fold(rows, Maker::control);
            }
        }
        let keys = flow.order.iter().map(|key| &key.of);
        if flow.order_is_inner || !leaves_no_ties(keys, &flow.columns) {
            rows = rows.at_best(Certainty::Chosen);
        }
        flow.rows = Rows::of(rows.finish());
        Some(flow)
    }

    fn distinct_on(&mut self, of: &DistinctOn, outer: Option<&Scope<'_>>) -> Option<Flow> {
        let flow = self.plan(&of.input, outer)?;
        let keys = self.expressions(&of.on_expr, &of.input, &flow, outer)?;
        let sorts = of.sort_expr.as_deref().unwrap_or_default();
        let order = self.sort_keys(sorts, &of.input, &flow, outer)?;
        let mut rows = Maker::new("first of each").control(&flow.rows.print());
        rows = rows.control_set(keys.iter()).count(order.len());
        for key in flow.order.iter().chain(&order) {
            rows = rows.control(&key.print());
        }
        let selected = self.expressions(&of.select_expr, &of.input, &flow, outer)?;
        let first = |part: &Part| {
            let first = Maker::new("of the first").part(part);
            first.at_best(Certainty::Chosen).finish()
        };
        let columns = selected.iter().map(first);
        Some(Flow::new(columns.collect(), rows.finish()))
    }

    fn join(&mut self, of: &Join, outer: Option<&Scope<'_>>) -> Option<Flow> {
        let mut left = self.plan(&of.left, outer)?;
        left.columns = tagged("left", &left.columns);
        let (left_schema, right_schema) = (of.left.schema().as_ref(), of.right.schema().as_ref());
        let lateral = is_lateral(&of.right);
        let mut right = if lateral {
            let beside = Scope {
                inputs: vec![(left_schema, &left.columns)],
                rows: None,
                outer,
            };
            self.plan(&of.right, Some(&beside))?
        } else {
            self.plan(&of.right, outer)?
        };
        right.columns = tagged("right", &right.columns);
        let alone = |schema, columns| Scope {
            inputs: vec![(schema, columns)],
            rows: None,
            outer,
        };
        let mut conditions = vec![];
        for (l, r) in &of.on {
            let l = self.expression(l, &alone(left_schema, left.columns.as_slice()))?;
            let r = self.expression(r, &alone(right_schema, right.columns.as_slice()))?;
            conditions.push(Maker::new("equal").part(&l).part(&r).finish());
        }
        let both = Scope {
            inputs: vec![(left_schema, &left.columns), (right_schema, &right.columns)],
            rows: None,
            outer,
        };
        for condition in of.filter.iter().flat_map(conjuncts) {
            conditions.push(self.expression(condition, &both)?);
        }
        let rows = Maker::new("join")
            .text(&format!("{:?} {:?}", of.join_type, of.null_equality))
            .flag(of.null_aware)
            .flag(lateral)
            .control(&left.rows.print())
            .control(&right.rows.print())
            .control_set(conditions.iter());
        let columns = match of.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                [left.columns, right.columns].concat()
            }
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
            JoinType::RightSemi | JoinType::RightAnti => right.columns,
            // Only rewrites make them.
            JoinType::LeftMark | JoinType::RightMark => return None,
        };
        Some(Flow::new(columns, rows.finish()))
    }

    fn union(&mut self, of: &Union, outer: Option<&Scope<'_>>) -> Option<Flow> {
        let inputs = of.inputs.iter().map(|input| self.plan(input, outer));
        let inputs: Vec<Flow> = inputs.collect::<Option<_>>()?;
        let mut columns = vec![];
        for (at, field) in of.schema.fields().iter().enumerate() {
            let parts = inputs.iter().map(|input| input.columns.get(at));
            let parts: Vec<&Part> = parts.collect::<Option<_>>()?;
            let column = Maker::new("union").text(&field.data_type().to_string());
            columns.push(column.parts(parts.into_iter()).finish());
        }
        let rows: Vec<Part> = inputs.iter().map(|input| input.rows.print()).collect();
        let rows = Maker::new("all of").parts(rows.iter()).finish();
        Some(Flow::new(columns, rows))
    }

    fn values(&mut self, of: &Values, outer: Option<&Scope<'_>>) -> Option<Flow> {
        let scope = Scope {
            inputs: vec![],
            rows: None,
            outer,
        };
        let mut columns = vec![];
        for (at, field) in of.schema.fields().iter().enumerate() {
            let mut column = Maker::new("values").text(&field.data_type().to_string());
            for row in &of.values {
                column = column.part(&self.expression(row.get(at)?, &scope)?);
            }
            columns.push(column.finish());
        }
        let rows = Maker::new("so many").count(of.values.len()).finish();
        Some(Flow::new(columns, rows))
    }

    fn unnest(&mut self, of: &Unnest, outer: Option<&Scope<'_>>) -> Option<Flow> {
        let input = self.plan(&of.input, outer)?;
        let lists: BTreeSet<usize> = of.list_type_columns.iter().map(|(at, _)| *at).collect();
        let opened: BTreeSet<usize> = of.struct_type_columns.iter().copied().collect();
        let mut rows = Maker::new("unnest")
            .text(&format!("{:?}", of.options))
            .control(&input.rows.print());
        for (at, list) in &of.list_type_columns {
            // Its name says which of the columns that are unnested more than once it is.
            rows = rows.text(&list.to_string());
            rows = rows.control(input.columns.get(*at)?);
        }
        let mut columns = vec![];
        for (field, at) in of.schema.fields().iter().zip(&of.dependency_indices) {
            let column = input.columns.get(*at)?;
            columns.push(if lists.contains(at) || opened.contains(at) {
                Maker::new("element")
                    .text(field.name())
                    .text(&field.data_type().to_string())
                    .part(column)
                    .finish()
            } else {
                column.clone()
            });
        }
        Some(Flow::new(columns, rows.finish()))
    }
}

/// Keys of an order, of what their expressions mean.
pub(super) fn sort_keys(keys: &[SortExpr], parts: Vec<Part>) -> Vec<SortKey> {
    let keys = keys.iter().zip(parts);
    keys.map(|(key, of)| SortKey {
        of,
        ascending: key.asc,
        nulls_first: key.nulls_first,
    })
    .collect()
}

/// A column of groups. Floating-point zeros of both signs may be in one group, which then has either.
fn of_group(key: &Part, float: bool) -> Part {
    let made = Maker::new("key").part(key);
    let made = if float {
        made.at_best(Certainty::Chosen)
    } else {
        made
    };
    made.finish()
}

fn tagged(side: &str, columns: &[Part]) -> Vec<Part> {
    let columns = columns.iter();
    columns
        .map(|column| Maker::new(side).part(column).finish())
        .collect()
}

/// What `AND` joins.
fn conjuncts(predicate: &Expr) -> Vec<&Expr> {
    let (mut found, mut open) = (vec![], vec![predicate]);
    while let Some(expr) = open.pop() {
        match expr {
            Expr::BinaryExpr(BinaryExpr {
                left,
                op: Operator::And,
                right,
            }) => open.extend([left.as_ref(), right.as_ref()]),
            Expr::Alias(alias) => open.push(&alias.expr),
            other => found.push(other),
        }
    }
    found
}
