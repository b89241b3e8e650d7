//! Every wrong piece of a statement, not only the first that the planner meets.
//!
//! The planner stops at its first error and knows a place only for some errors. When a statement
//! does not bind, its pieces are bound one by one: each CTE against those before it, each item of
//! a `SELECT` against the `FROM`, each sub-expression of a failing item. The smallest piece that
//! fails gives the place.

use std::collections::BTreeSet;
use std::ops::{ControlFlow, Range};

use datafusion::common::DataFusionError;
use sqlparser::ast::{
    Cte, Expr, GroupByExpr, Ident, Query, Select, SelectItem, SetExpr, Spanned, Statement,
    TableFactor, TableWithJoins, Value, Visit, Visitor, With,
};

use super::names::repeated_items;
use super::problem::{Problem, byte_range, from_planner};

/// Binds a whole statement and says why it does not.
pub trait TryBind {
    /// Binds `statement`, whose spans refer to the text of the model.
    ///
    /// # Errors
    /// What the planner says.
    fn try_bind(&self, statement: Statement) -> Result<(), DataFusionError>;
}

/// The problems of `query`. Empty if no piece fails by itself, although the whole does.
pub fn problems(sql: &str, query: &Query, binder: &dyn TryBind) -> Vec<Problem> {
    let mut pieces = Pieces {
        sql,
        binder,
        broken: BTreeSet::new(),
        found: vec![],
    };
    pieces.query(query, &[]);
    pieces.found
}

struct Pieces<'a> {
    sql: &'a str,
    binder: &'a dyn TryBind,
    /// CTEs that do not bind: what reads them cannot be judged.
    broken: BTreeSet<String>,
    found: Vec<Problem>,
}

impl Pieces<'_> {
    fn query(&mut self, query: &Query, outer: &[Cte]) {
        let before = self.found.len();
        let mut with = outer.to_vec();
        let recursive = query.with.as_ref().is_some_and(|w| w.recursive);
        for cte in query.with.iter().flat_map(|w| &w.cte_tables) {
            let name = cte.alias.name.value.to_lowercase();
            if self.reads_broken(&*cte.query) {
                self.broken.insert(name);
            } else if !recursive {
                let known = self.found.len();
                self.query(&cte.query, &with);
                if self.found.len() > known {
                    self.broken.insert(name);
                }
            }
            // What is broken would break every piece beside it.
            if !self.broken.contains(&cte.alias.name.value.to_lowercase()) {
                with.push(cte.clone());
            }
        }
        if self.reads_broken(&*query.body) {
            return;
        }
        if recursive {
            // The arms of a recursive CTE refer to themselves, so only the whole can be bound.
            self.whole(query, outer, query.body.span());
            return;
        }
        self.body(&query.body, &with);
        if self.found.len() == before {
            let place = query
                .order_by
                .as_ref()
                .map_or_else(|| query.body.span(), Spanned::span);
            self.whole(query, outer, place);
        }
    }

    fn whole(&mut self, query: &Query, outer: &[Cte], place: sqlparser::tokenizer::Span) {
        let mut whole = query.clone();
        if !outer.is_empty() {
            let own = whole.with.take().map(|w| w.cte_tables).unwrap_or_default();
            whole.with = with_clause(outer.iter().cloned().chain(own).collect());
        }
        if let Err(error) = self.binder.try_bind(Statement::Query(Box::new(whole))) {
            let range = byte_range(self.sql, place);
            self.found.push(from_planner(self.sql, &error).or_at(range));
        }
    }

    fn body(&mut self, body: &SetExpr, with: &[Cte]) {
        match body {
            SetExpr::Select(select) => self.select(select, with),
            SetExpr::Query(query) => self.query(query, with),
            SetExpr::SetOperation { left, right, .. } => {
                let before = self.found.len();
                self.body(left, with);
                self.body(&named_apart(right), with);
                if self.found.len() == before
                    && let Err(error) = self.bind_body(body.clone(), with)
                {
                    let range = byte_range(self.sql, right.span());
                    self.found.push(from_planner(self.sql, &error).or_at(range));
                }
            }
            other => {
                if let Err(error) = self.bind_body(other.clone(), with) {
                    let range = byte_range(self.sql, other.span());
                    self.found.push(from_planner(self.sql, &error).or_at(range));
                }
            }
        }
    }

    fn select(&mut self, select: &Select, with: &[Cte]) {
        let before = self.found.len();
        for factor in select
            .from
            .iter()
            .flat_map(|f| std::iter::once(&f.relation).chain(f.joins.iter().map(|j| &j.relation)))
        {
            if let TableFactor::Derived {
                lateral: false,
                subquery,
                ..
            } = factor
            {
                self.query(subquery, with);
            }
        }
        if self.found.len() > before || !self.from(select, with) {
            return;
        }
        for item in &select.projection {
            self.item(item, select, with);
        }
        for condition in select.selection.iter() {
            for part in conjuncts(condition) {
                self.expression(part, select, with, true);
            }
        }
        if let GroupByExpr::Expressions(groups, _) = &select.group_by {
            for group in groups {
                // A number or a name may stand for an item of the projection, which was looked at.
                if !matches!(group, Expr::Value(_) | Expr::Identifier(_)) {
                    self.expression(group, select, with, false);
                }
            }
        }
        if self.found.len() == before
            && let Err(error) = self.bind_body(SetExpr::Select(Box::new(select.clone())), with)
        {
            let repeated = repeated_items(self.sql, select);
            if !repeated.is_empty() {
                self.found.extend(repeated);
                return;
            }
            let place = select
                .having
                .as_ref()
                .or(select.qualify.as_ref())
                .map_or_else(|| select.span(), Spanned::span);
            let range = byte_range(self.sql, place);
            self.found.push(from_planner(self.sql, &error).or_at(range));
        }
    }

    /// Binds the `FROM` clause, join by join. False if it failed.
    fn from(&mut self, select: &Select, with: &[Cte]) -> bool {
        if self.bind_body(over(&select.from, one()), with).is_ok() {
            return true;
        }
        let mut from: Vec<TableWithJoins> = vec![];
        for table in &select.from {
            from.push(TableWithJoins {
                relation: table.relation.clone(),
                joins: vec![],
            });
            if self.is_broken_from(&from, table.relation.span(), with) {
                return false;
            }
            for join in &table.joins {
                if let Some(last) = from.last_mut() {
                    last.joins.push(join.clone());
                }
                if self.is_broken_from(&from, join.span(), with) {
                    return false;
                }
            }
        }
        true
    }

    fn is_broken_from(
        &mut self,
        from: &[TableWithJoins],
        place: sqlparser::tokenizer::Span,
        with: &[Cte],
    ) -> bool {
        match self.bind_body(over(from, one()), with) {
            Ok(()) => false,
            Err(error) => {
                let range = byte_range(self.sql, place);
                self.found.push(from_planner(self.sql, &error).or_at(range));
                true
            }
        }
    }

    fn item(&mut self, item: &SelectItem, select: &Select, with: &[Cte]) {
        match item {
            SelectItem::UnnamedExpr(expr) | SelectItem::ExprWithAlias { expr, .. } => {
                self.expression(expr, select, with, false);
            }
            other => {
                if let Err(error) = self.bind_body(over(&select.from, vec![other.clone()]), with) {
                    let range = byte_range(self.sql, other.span());
                    self.found.push(from_planner(self.sql, &error).or_at(range));
                }
            }
        }
    }

    /// Binds one expression over the `FROM`; if it fails, finds the smallest part that does.
    fn expression(&mut self, expr: &Expr, select: &Select, with: &[Cte], condition: bool) {
        let Some(problem) = self.fails(expr, select, with, condition) else {
            return;
        };
        if problem.range.is_some() {
            self.found.push(problem);
            return;
        }
        let mut parts = SubExpressions {
            depth: 0,
            found: vec![],
        };
        let _ = expr.visit(&mut parts);
        let mut best: Option<(Range<usize>, Problem)> =
            byte_range(self.sql, expr.span()).map(|r| (r, problem.clone()));
        for part in parts.found {
            let Some(range) = byte_range(self.sql, part.span()) else {
                continue;
            };
            if best.as_ref().is_some_and(|(b, _)| range.len() >= b.len()) {
                continue;
            }
            if let Some(p) = self.fails(&part, select, with, false) {
                best = Some((p.range.clone().unwrap_or(range), p));
            }
        }
        let range = best.as_ref().map(|(r, _)| r.clone());
        self.found
            .push(best.map_or(problem, |(_, p)| p).or_at(range));
    }

    fn fails(
        &self,
        expr: &Expr,
        select: &Select,
        with: &[Cte],
        condition: bool,
    ) -> Option<Problem> {
        let mut piece = select_over(&select.from, vec![SelectItem::UnnamedExpr(expr.clone())]);
        piece.named_window.clone_from(&select.named_window);
        if condition {
            piece.projection = one();
            piece.selection = Some(expr.clone());
        }
        let error = self
            .bind_body(SetExpr::Select(Box::new(piece)), with)
            .err()?;
        let problem = from_planner(self.sql, &error);
        (!problem.is_about_grouping()).then_some(problem)
    }

    fn bind_body(&self, body: SetExpr, with: &[Cte]) -> Result<(), DataFusionError> {
        let query = Query {
            with: with_clause(with.to_vec()),
            body: Box::new(body),
            order_by: None,
            limit_clause: None,
            fetch: None,
            locks: vec![],
            for_clause: None,
            settings: None,
            format_clause: None,
            pipe_operators: vec![],
        };
        self.binder.try_bind(Statement::Query(Box::new(query)))
    }

    fn reads_broken<V: Visit>(&self, piece: &V) -> bool {
        struct Reads<'a>(&'a BTreeSet<String>);
        impl Visitor for Reads<'_> {
            type Break = ();
            fn pre_visit_relation(&mut self, name: &sqlparser::ast::ObjectName) -> ControlFlow<()> {
                match name.0.as_slice() {
                    [one]
                        if one
                            .as_ident()
                            .is_some_and(|i| self.0.contains(&i.value.to_lowercase())) =>
                    {
                        ControlFlow::Break(())
                    }
                    _ => ControlFlow::Continue(()),
                }
            }
        }
        !self.broken.is_empty() && piece.visit(&mut Reads(&self.broken)).is_break()
    }
}

fn with_clause(cte_tables: Vec<Cte>) -> Option<With> {
    (!cte_tables.is_empty()).then(|| With {
        with_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        recursive: false,
        cte_tables,
    })
}

fn one() -> Vec<SelectItem> {
    vec![SelectItem::UnnamedExpr(Expr::value(Value::Number(
        "1".to_owned(),
        false,
    )))]
}

fn over(from: &[TableWithJoins], projection: Vec<SelectItem>) -> SetExpr {
    SetExpr::Select(Box::new(select_over(from, projection)))
}

fn select_over(from: &[TableWithJoins], projection: Vec<SelectItem>) -> Select {
    Select {
        select_token: sqlparser::ast::helpers::attached_token::AttachedToken::empty(),
        optimizer_hints: vec![],
        distinct: None,
        select_modifiers: None,
        top: None,
        top_before_distinct: false,
        projection,
        exclude: None,
        into: None,
        from: from.to_vec(),
        lateral_views: vec![],
        prewhere: None,
        selection: None,
        connect_by: vec![],
        group_by: GroupByExpr::Expressions(vec![], vec![]),
        cluster_by: vec![],
        distribute_by: vec![],
        sort_by: vec![],
        having: None,
        named_window: vec![],
        qualify: None,
        window_before_qualify: false,
        value_table_mode: None,
        flavor: sqlparser::ast::SelectFlavor::Standard,
    }
}

/// An arm of a set operation other than the first. Its columns take the names of the first arm's, so two of
/// its items may have the same name, which they may not where the arm is bound by itself.
fn named_apart(arm: &SetExpr) -> SetExpr {
    let mut arm = arm.clone();
    if let SetExpr::Select(select) = &mut arm {
        for (number, item) in select.projection.iter_mut().enumerate() {
            if let SelectItem::UnnamedExpr(expr) = item {
                *item = SelectItem::ExprWithAlias {
                    expr: expr.clone(),
                    alias: Ident::new(format!("arm_column_{number}")),
                };
            }
        }
    }
    arm
}

fn conjuncts(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::BinaryOp {
            left,
            op: sqlparser::ast::BinaryOperator::And,
            right,
        } => {
            let mut all = conjuncts(left);
            all.extend(conjuncts(right));
            all
        }
        other => vec![other],
    }
}

/// The parts of an expression, those inside a subquery left out: they need its `FROM`.
struct SubExpressions {
    depth: usize,
    found: Vec<Expr>,
}

impl Visitor for SubExpressions {
    type Break = ();

    fn pre_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth += 1;
        ControlFlow::Continue(())
    }

    fn post_visit_query(&mut self, _query: &Query) -> ControlFlow<()> {
        self.depth = self.depth.saturating_sub(1);
        ControlFlow::Continue(())
    }

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if self.depth == 0 {
            self.found.push(expr.clone());
        }
        ControlFlow::Continue(())
    }
}
