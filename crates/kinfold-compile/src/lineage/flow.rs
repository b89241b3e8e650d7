//! Lineage from operator to operator.

use std::collections::BTreeSet;
use std::sync::Arc;

use datafusion::arrow::datatypes::SchemaRef;
use datafusion::common::JoinType;
use datafusion::common::tree_node::TreeNodeRecursion;
use datafusion::datasource::cte_worktable::CteWorkTable;
use datafusion::datasource::source_as_provider;
use datafusion::logical_expr::utils::grouping_set_to_exprlist;
use datafusion::logical_expr::{
    Aggregate, Distinct, DistinctOn, Expr, Join, LogicalPlan, RecursiveQuery, TableScan, Union,
    Unnest, Values,
};

use super::expression::Scope;
use super::{Origins, Point};
use crate::relation::relation_of;

/// Plans that nest deeper are not looked into further.
const DEEPEST: usize = 300;

/// What the rows of an operator come from.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Flow {
    /// Of each column, by position.
    pub(super) columns: Vec<Origins>,
    /// Of the rows as such.
    pub(super) rows: BTreeSet<Point>,
    /// What they are sorted by: counts once a limit cuts them.
    order: BTreeSet<Point>,
}

impl Flow {
    /// Every column decides which rows there are, as where equal rows become one.
    fn compare_rows(&mut self) {
        let compared = self.columns.iter().flat_map(Origins::all).cloned();
        self.rows.extend(compared.collect::<Vec<_>>());
        self.order.clear();
    }

    fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.columns.iter_mut().zip(&other.columns) {
            mine.add(theirs);
        }
        self.rows.extend(other.rows.iter().cloned());
        self.order.clear();
    }
}

/// Walks plans.
#[derive(Default)]
pub(super) struct Walker {
    /// The recursive queries that are being walked, and what is known of their rows so far.
    recursive: Vec<(String, Flow)>,
    incomplete: bool,
    depth: usize,
}

impl Walker {
    pub(super) fn complete(&self) -> bool {
        !self.incomplete
    }

    pub(super) fn not_understood(&mut self) {
        self.incomplete = true;
    }

    /// What the rows of a plan come from. `outer` is what a correlated query stands in.
    pub(super) fn plan(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Flow {
        if self.depth >= DEEPEST {
            return self.unknown(plan, outer);
        }
        self.depth += 1;
        let flow = self.operator(plan, outer);
        self.depth -= 1;
        // Whatever the planner made that does not add up is not guessed at.
        if flow.columns.len() == plan.schema().fields().len() {
            flow
        } else {
            self.unknown(plan, outer)
        }
    }

    fn operator(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Flow {
        match plan {
            LogicalPlan::TableScan(scan) => self.scan(scan, plan, outer),
            LogicalPlan::Projection(of) => {
                let mut flow = self.plan(&of.input, outer);
                flow.columns = self.expressions(&of.expr, &of.input, &flow.columns, outer);
                flow
            }
            LogicalPlan::Filter(of) => {
                let mut flow = self.plan(&of.input, outer);
                self.restrict(&mut flow, [&of.predicate], &of.input, outer);
                flow
            }
            LogicalPlan::Window(of) => {
                let mut flow = self.plan(&of.input, outer);
                let windows = self.expressions(&of.window_expr, &of.input, &flow.columns, outer);
                flow.columns.extend(windows);
                flow.order.clear();
                flow
            }
            LogicalPlan::Aggregate(of) => self.aggregate(of, plan, outer),
            LogicalPlan::Sort(of) => {
                let mut flow = self.plan(&of.input, outer);
                let keys: Vec<&Expr> = of.expr.iter().map(|sort| &sort.expr).collect();
                flow.order = self.all_of(keys, &of.input, &flow.columns, outer);
                if of.fetch.is_some() {
                    flow.rows.extend(flow.order.iter().cloned());
                }
                flow
            }
            LogicalPlan::Limit(of) => {
                let mut flow = self.plan(&of.input, outer);
                let counts = of.skip.iter().chain(&of.fetch).map(AsRef::as_ref);
                let order = flow.order.clone();
                self.restrict(&mut flow, counts, &of.input, outer);
                flow.rows.extend(order);
                flow
            }
            LogicalPlan::Join(of) => self.join(of, outer),
            LogicalPlan::Repartition(of) => self.plan(&of.input, outer),
            LogicalPlan::Union(of) => self.union(of, plan, outer),
            LogicalPlan::EmptyRelation(of) => Flow {
                columns: vec![Origins::default(); of.schema.fields().len()],
                ..Flow::default()
            },
            LogicalPlan::Subquery(of) => self.plan(&of.subquery, outer),
            LogicalPlan::SubqueryAlias(of) => self.plan(&of.input, outer),
            LogicalPlan::Values(of) => self.values(of, outer),
            LogicalPlan::Distinct(Distinct::All(input)) => {
                let mut flow = self.plan(input, outer);
                flow.compare_rows();
                flow
            }
            LogicalPlan::Distinct(Distinct::On(of)) => self.distinct_on(of, outer),
            LogicalPlan::Unnest(of) => self.unnest(of, plan, outer),
            LogicalPlan::RecursiveQuery(of) => self.recursive(of, outer),
            LogicalPlan::Statement(_)
            | LogicalPlan::Explain(_)
            | LogicalPlan::Analyze(_)
            | LogicalPlan::Extension(_)
            | LogicalPlan::Dml(_)
            | LogicalPlan::Ddl(_)
            | LogicalPlan::Copy(_)
            | LogicalPlan::DescribeTable(_) => self.unknown(plan, outer),
        }
    }

    fn expressions<'e>(
        &mut self,
        expressions: impl IntoIterator<Item = &'e Expr>,
        input: &LogicalPlan,
        columns: &[Origins],
        outer: Option<&Scope<'_>>,
    ) -> Vec<Origins> {
        let scope = Scope {
            inputs: vec![(input.schema().as_ref(), columns)],
            outer,
        };
        let expressions = expressions.into_iter();
        expressions
            .map(|expr| self.expression(expr, &scope))
            .collect()
    }

    fn all_of<'e>(
        &mut self,
        expressions: impl IntoIterator<Item = &'e Expr>,
        input: &LogicalPlan,
        columns: &[Origins],
        outer: Option<&Scope<'_>>,
    ) -> BTreeSet<Point> {
        let origins = self.expressions(expressions, input, columns, outer);
        origins.iter().flat_map(Origins::all).cloned().collect()
    }

    fn restrict<'e>(
        &mut self,
        flow: &mut Flow,
        expressions: impl IntoIterator<Item = &'e Expr>,
        input: &LogicalPlan,
        outer: Option<&Scope<'_>>,
    ) {
        let all = self.all_of(expressions, input, &flow.columns, outer);
        flow.rows.extend(all);
    }

    fn scan(&mut self, scan: &TableScan, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Flow {
        let schema = scan.source.schema();
        let all = match relation_of(scan) {
            Some(key) => Some(Flow {
                columns: schema
                    .fields()
                    .iter()
                    .map(|field| Origins {
                        value: BTreeSet::from([Point::column(&key, field.name())]),
                        control: BTreeSet::new(),
                    })
                    .collect(),
                rows: BTreeSet::from([Point::rows(&key)]),
                order: BTreeSet::new(),
            }),
            None => self.work_table(scan),
        };
        let Some(mut flow) = all else {
            return self.unknown(plan, outer);
        };
        if let Some(projection) = &scan.projection {
            let columns = projection.iter().filter_map(|at| flow.columns.get(*at));
            flow.columns = columns.cloned().collect();
        }
        if !scan.filters.is_empty() {
            // They may name columns that the scan does not return.
            flow.rows.extend(every_column(scan, &schema));
        }
        flow
    }

    /// The rows of the recursive query so far, where it reads itself.
    fn work_table(&self, scan: &TableScan) -> Option<Flow> {
        let provider = source_as_provider(&scan.source).ok()?;
        let any: &dyn std::any::Any = provider.as_ref();
        let name = any.downcast_ref::<CteWorkTable>()?.name();
        let mut open = self.recursive.iter().rev();
        let (_, flow) = open.find(|(of, _)| of == name)?;
        Some(flow.clone())
    }

    fn recursive(&mut self, of: &RecursiveQuery, outer: Option<&Scope<'_>>) -> Flow {
        let mut flow = self.plan(&of.static_term, outer);
        loop {
            if of.is_distinct {
                flow.compare_rows();
            }
            self.recursive.push((of.name.clone(), flow.clone()));
            let step = self.plan(&of.recursive_term, outer);
            self.recursive.pop();
            let mut more = flow.clone();
            more.add(&step);
            if more == flow {
                return flow;
            }
            flow = more;
        }
    }

    fn aggregate(&mut self, of: &Aggregate, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Flow {
        let Ok(groups) = grouping_set_to_exprlist(&of.group_expr) else {
            return self.unknown(plan, outer);
        };
        let mut flow = self.plan(&of.input, outer);
        let mut columns = self.expressions(groups, &of.input, &flow.columns, outer);
        flow.rows
            .extend(columns.iter().flat_map(Origins::all).cloned());
        if let Some(Expr::GroupingSet(_)) = of.group_expr.first() {
            // Which of the sets a row is of depends on no column.
            columns.push(Origins::default());
        }
        columns.extend(self.expressions(&of.aggr_expr, &of.input, &flow.columns, outer));
        flow.columns = columns;
        flow.order.clear();
        flow
    }

    fn distinct_on(&mut self, of: &DistinctOn, outer: Option<&Scope<'_>>) -> Flow {
        let mut flow = self.plan(&of.input, outer);
        let sorts = of.sort_expr.iter().flatten().map(|sort| &sort.expr);
        let keys: Vec<&Expr> = of.on_expr.iter().chain(sorts).collect();
        let order = std::mem::take(&mut flow.order);
        self.restrict(&mut flow, keys, &of.input, outer);
        flow.rows.extend(order);
        flow.columns = self.expressions(&of.select_expr, &of.input, &flow.columns, outer);
        flow
    }

    fn join(&mut self, of: &Join, outer: Option<&Scope<'_>>) -> Flow {
        let left = self.plan(&of.left, outer);
        let right = if is_lateral(&of.right) {
            let beside = Scope {
                inputs: vec![(of.left.schema().as_ref(), &left.columns)],
                outer,
            };
            self.plan(&of.right, Some(&beside))
        } else {
            self.plan(&of.right, outer)
        };
        let both = Scope {
            inputs: vec![
                (of.left.schema().as_ref(), &left.columns),
                (of.right.schema().as_ref(), &right.columns),
            ],
            outer,
        };
        let mut compared = Origins::default();
        let pairs = of.on.iter().flat_map(|(l, r)| [l, r]);
        for expr in pairs.chain(&of.filter) {
            let part = self.expression(expr, &both);
            compared.add_as_control(&part);
        }
        let mark = Origins {
            value: compared.control.clone(),
            control: BTreeSet::new(),
        };
        let columns = match of.join_type {
            JoinType::Inner | JoinType::Left | JoinType::Right | JoinType::Full => {
                [left.columns, right.columns].concat()
            }
            JoinType::LeftSemi | JoinType::LeftAnti => left.columns,
            JoinType::RightSemi | JoinType::RightAnti => right.columns,
            JoinType::LeftMark => [left.columns, vec![mark]].concat(),
            JoinType::RightMark => [right.columns, vec![mark]].concat(),
        };
        let mut rows = left.rows;
        rows.extend(right.rows);
        rows.extend(compared.control);
        Flow {
            columns,
            rows,
            order: BTreeSet::new(),
        }
    }

    fn union(&mut self, of: &Union, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Flow {
        let mut flow = Flow {
            columns: vec![Origins::default(); of.schema.fields().len()],
            ..Flow::default()
        };
        for input in &of.inputs {
            let part = self.plan(input, outer);
            if part.columns.len() != flow.columns.len() {
                return self.unknown(plan, outer);
            }
            flow.add(&part);
        }
        flow
    }

    fn values(&mut self, of: &Values, outer: Option<&Scope<'_>>) -> Flow {
        let scope = Scope {
            inputs: vec![],
            outer,
        };
        let mut columns = vec![Origins::default(); of.schema.fields().len()];
        for row in &of.values {
            for (column, expr) in columns.iter_mut().zip(row) {
                column.add(&self.expression(expr, &scope));
            }
        }
        Flow {
            columns,
            ..Flow::default()
        }
    }

    fn unnest(&mut self, of: &Unnest, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Flow {
        let input = self.plan(&of.input, outer);
        let outputs = of.dependency_indices.iter();
        let columns: Option<Vec<Origins>> =
            outputs.map(|at| input.columns.get(*at).cloned()).collect();
        let Some(columns) = columns else {
            return self.unknown(plan, outer);
        };
        let mut rows = input.rows;
        // As many rows come of one as its lists have elements.
        for (at, _) in &of.list_type_columns {
            let list = input.columns.get(*at);
            rows.extend(list.into_iter().flat_map(Origins::all).cloned());
        }
        Flow {
            columns,
            rows,
            order: input.order,
        }
    }

    /// Everything comes from everything that the plan reads or could refer to.
    fn unknown(&mut self, plan: &LogicalPlan, outer: Option<&Scope<'_>>) -> Flow {
        self.not_understood();
        let mut all = outer.map(Scope::everything).unwrap_or_default();
        for (_, flow) in &self.recursive {
            all.extend(flow.rows.iter().cloned());
            all.extend(flow.columns.iter().flat_map(Origins::all).cloned());
        }
        // An error stops the walk and is none of the visitor's, which has none.
        let _ = plan.apply_with_subqueries(|node| {
            if let LogicalPlan::TableScan(scan) = node {
                all.extend(every_column(scan, &scan.source.schema()));
            }
            Ok(TreeNodeRecursion::Continue)
        });
        let column = Origins {
            value: all.clone(),
            control: BTreeSet::new(),
        };
        Flow {
            columns: vec![column; plan.schema().fields().len()],
            rows: all,
            order: BTreeSet::new(),
        }
    }
}

/// Every column of the relation that a scan reads, and its rows.
fn every_column(scan: &TableScan, schema: &SchemaRef) -> Vec<Point> {
    let Some(key) = relation_of(scan) else {
        return vec![];
    };
    let fields = schema.fields().iter();
    let columns = fields.map(|field| Point::column(&key, field.name()));
    columns.chain([Point::rows(&key)]).collect()
}

/// Whether a side of a join is a query that may name columns of the other side.
pub(crate) fn is_lateral(plan: &Arc<LogicalPlan>) -> bool {
    match plan.as_ref() {
        LogicalPlan::Subquery(_) => true,
        LogicalPlan::SubqueryAlias(of) => is_lateral(&of.input),
        LogicalPlan::Projection(of) => is_lateral(&of.input),
        _ => false,
    }
}
