//! Statements that would plan but not mean what they say.
//!
//! DataFusion parses several clauses and then drops them without a word: time travel, sampling,
//! row locks, table hints. A join without a condition becomes a cross join, and a column of an outer
//! join with `USING` is that of one side, whichever has the row. This gate walks the parsed statement
//! first and refuses what the planner would ignore or get wrong.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use sqlparser::ast::{
    Expr, FunctionArguments, Ident, Join, JoinConstraint, JoinOperator, ObjectName, Query, Select,
    SelectFlavor, SelectItem, SetExpr, Spanned, Statement, TableFactor, TableWithJoins, Visit,
    Visitor,
};
use sqlparser::tokenizer::Span as SqlSpan;

use crate::session::CATALOG;

/// A construct that the gate refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// What it is.
    pub kind: RefusalKind,
    /// Where, in the SQL text; may be empty where the parser knows no place.
    pub span: SqlSpan,
}

/// The kinds of refused constructs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// Something other than a query.
    NotAQuery,
    /// A clause that the planner would drop.
    Ignored(&'static str),
    /// The same, of a clause behind the query for which the parser knows no place: its first word.
    IgnoredBehind(&'static str, &'static str),
    /// A join that is neither `CROSS` nor has a condition.
    JoinWithoutCondition,
    /// A relation by its bare name, outside `ref` and `source`.
    BareRelation(String),
    /// `SELECT … INTO`.
    SelectInto,
    /// `FROM …` alone, which would have no columns.
    FromWithoutSelect,
    /// An outer join with `USING` or `NATURAL` of which the column without a qualifier is read.
    OuterJoinUsing,
    /// A call of this function whose constants ask for a text without measure.
    HugeText(String),
}

/// Characters that a constant may ask for. The planner computes constants, so more would be made of every check.
const MOST_CHARACTERS: f64 = 10_000_000.0;

/// All refused constructs of a statement, in the order of the text.
#[must_use]
pub fn refusals(statement: &Statement) -> Vec<Refusal> {
    let Statement::Query(query) = statement else {
        return vec![Refusal {
            kind: RefusalKind::NotAQuery,
            span: statement.span(),
        }];
    };
    let mut gate = Gate::default();
    // A CTE may be named before or after its use is visited, so their names come first.
    let _ = query.visit(&mut CteNames(&mut gate.ctes));
    let _ = query.visit(&mut gate);
    gate.found
        .sort_by_key(|r| (r.span.start.line, r.span.start.column));
    gate.found
}

struct CteNames<'a>(&'a mut BTreeSet<String>);

impl Visitor for CteNames<'_> {
    type Break = ();

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if let Some(with) = &query.with {
            for cte in &with.cte_tables {
                self.0.insert(folded(&cte.alias.name));
            }
        }
        ControlFlow::Continue(())
    }
}

#[derive(Default)]
struct Gate {
    ctes: BTreeSet<String>,
    found: Vec<Refusal>,
}

fn folded(ident: &Ident) -> String {
    if ident.quote_style.is_some() {
        ident.value.clone()
    } else {
        ident.value.to_lowercase()
    }
}

impl Gate {
    fn refuse(&mut self, kind: RefusalKind, span: SqlSpan) {
        self.found.push(Refusal { kind, span });
    }

    fn relation(&mut self, name: &ObjectName) {
        let parts: Vec<&Ident> = name.0.iter().filter_map(|p| p.as_ident()).collect();
        let known = match parts.as_slice() {
            [catalog, _, _] => catalog.value == CATALOG,
            [one] => self.ctes.contains(&folded(one)),
            _ => false,
        };
        if !known {
            let text = parts
                .iter()
                .map(|p| p.value.as_str())
                .collect::<Vec<_>>()
                .join(".");
            self.refuse(RefusalKind::BareRelation(text), name.span());
        }
    }

    fn join(&mut self, join: &Join) {
        let constraint = match &join.join_operator {
            JoinOperator::Join(c)
            | JoinOperator::Inner(c)
            | JoinOperator::Left(c)
            | JoinOperator::LeftOuter(c)
            | JoinOperator::Right(c)
            | JoinOperator::RightOuter(c)
            | JoinOperator::FullOuter(c)
            | JoinOperator::Semi(c)
            | JoinOperator::LeftSemi(c)
            | JoinOperator::RightSemi(c)
            | JoinOperator::Anti(c)
            | JoinOperator::LeftAnti(c)
            | JoinOperator::RightAnti(c) => c,
            _ => return,
        };
        // `JOIN LATERAL (…)` and `JOIN unnest(…)` correlate instead of having a condition.
        let correlated = matches!(
            join.relation,
            TableFactor::Derived { lateral: true, .. }
                | TableFactor::UNNEST { .. }
                | TableFactor::Function { .. }
        );
        if matches!(constraint, JoinConstraint::None) && !correlated {
            self.refuse(RefusalKind::JoinWithoutCondition, join.relation.span());
        }
    }
}

impl Gate {
    /// The planner takes the column of the side whose name sorts first for `*`, and that of the left side
    /// elsewhere. Neither is right where that side has no row.
    fn outer_joins(&mut self, select: &Select) {
        let all = select
            .projection
            .iter()
            .any(|item| matches!(item, SelectItem::Wildcard(_)));
        let mut bare = BTreeSet::new();
        let _ = select.visit(&mut BareNames(&mut bare));
        let mut open: Vec<&TableWithJoins> = select.from.iter().collect();
        while let Some(tables) = open.pop() {
            let relations = tables.joins.iter().map(|join| &join.relation);
            for relation in relations.chain([&tables.relation]) {
                if let TableFactor::NestedJoin {
                    table_with_joins, ..
                } = relation
                {
                    open.push(table_with_joins);
                }
            }
            for join in &tables.joins {
                let (constraint, left) = match &join.join_operator {
                    JoinOperator::Left(c) | JoinOperator::LeftOuter(c) => (c, true),
                    JoinOperator::Right(c)
                    | JoinOperator::RightOuter(c)
                    | JoinOperator::FullOuter(c) => (c, false),
                    _ => continue,
                };
                let read = match constraint {
                    JoinConstraint::Natural => all || !left,
                    JoinConstraint::Using(names) => {
                        let names = names.iter().filter_map(|name| name.0.last()?.as_ident());
                        all || !left && names.map(folded).any(|name| bare.contains(&name))
                    }
                    JoinConstraint::On(_) | JoinConstraint::None => false,
                };
                if read {
                    self.refuse(RefusalKind::OuterJoinUsing, join.relation.span());
                }
            }
        }
    }
}

/// Names of columns without a qualifier.
struct BareNames<'a>(&'a mut BTreeSet<String>);

impl Visitor for BareNames<'_> {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::Identifier(name) = expr {
            self.0.insert(folded(name));
        }
        ControlFlow::Continue(())
    }
}

/// The name of a function that is asked for more characters than a text should have.
fn huge_text(expr: &Expr) -> Option<String> {
    let Expr::Function(call) = expr else {
        return None;
    };
    let name = call.name.to_string().to_lowercase();
    let FunctionArguments::List(list) = &call.args else {
        return None;
    };
    let count: f64 = list.args.get(1)?.to_string().parse().ok()?;
    let makes_text = matches!(name.as_str(), "repeat" | "lpad" | "rpad");
    (makes_text && count > MOST_CHARACTERS).then_some(name)
}

impl Visitor for Gate {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Some(name) = huge_text(expr) {
            self.refuse(RefusalKind::HugeText(name), expr.span());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        if !query.locks.is_empty() {
            self.refuse(
                RefusalKind::IgnoredBehind("FOR UPDATE and FOR SHARE", "FOR"),
                query.span(),
            );
        }
        if query.for_clause.is_some() {
            self.refuse(
                RefusalKind::IgnoredBehind("FOR XML and FOR JSON", "FOR"),
                query.span(),
            );
        }
        if query.settings.is_some() || query.format_clause.is_some() {
            self.refuse(RefusalKind::Ignored("SETTINGS and FORMAT"), query.span());
        }
        if let SetExpr::Insert(s) | SetExpr::Update(s) | SetExpr::Delete(s) | SetExpr::Merge(s) =
            query.body.as_ref()
        {
            self.refuse(RefusalKind::NotAQuery, s.span());
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        if select.into.is_some() {
            self.refuse(RefusalKind::SelectInto, select.span());
        }
        if !select.sort_by.is_empty()
            || !select.cluster_by.is_empty()
            || !select.distribute_by.is_empty()
        {
            self.refuse(
                RefusalKind::Ignored("CLUSTER BY, DISTRIBUTE BY and SORT BY"),
                select.span(),
            );
        }
        if let Some(prewhere) = &select.prewhere {
            self.refuse(RefusalKind::Ignored("PREWHERE"), prewhere.span());
        }
        if select.top.is_some() {
            self.refuse(RefusalKind::Ignored("TOP"), select.span());
        }
        if select.flavor == SelectFlavor::FromFirstNoSelect {
            self.refuse(RefusalKind::FromWithoutSelect, select.span());
        }
        self.outer_joins(select);
        for from in &select.from {
            for join in &from.joins {
                self.join(join);
            }
        }
        ControlFlow::Continue(())
    }

    fn pre_visit_table_factor(&mut self, factor: &TableFactor) -> ControlFlow<()> {
        match factor {
            TableFactor::Table {
                name,
                args,
                with_hints,
                version,
                partitions,
                sample,
                index_hints,
                json_path,
                with_ordinality,
                ..
            } => {
                let span = name.span();
                if version.is_some() {
                    self.refuse(
                        RefusalKind::Ignored("VERSION AS OF, TIMESTAMP AS OF and AT"),
                        span,
                    );
                }
                if sample.is_some() {
                    self.refuse(RefusalKind::Ignored("TABLESAMPLE"), span);
                }
                if !with_hints.is_empty() || !index_hints.is_empty() {
                    self.refuse(RefusalKind::Ignored("table hints"), span);
                }
                if !partitions.is_empty() || json_path.is_some() {
                    self.refuse(RefusalKind::Ignored("PARTITION"), span);
                }
                if *with_ordinality {
                    self.refuse(RefusalKind::Ignored("WITH ORDINALITY"), span);
                }
                if args.is_none() {
                    self.relation(name);
                }
            }
            TableFactor::Derived {
                sample: Some(_), ..
            } => {
                self.refuse(RefusalKind::Ignored("TABLESAMPLE"), factor.span());
            }
            TableFactor::NestedJoin {
                table_with_joins, ..
            } => {
                for join in &table_with_joins.joins {
                    self.join(join);
                }
            }
            _ => {}
        }
        ControlFlow::Continue(())
    }
}
