//! SQL text → the DataFusion plan that will run, or everything that is wrong with the text.

mod names;
mod parse;
mod pieces;
mod problem;
mod rehearsal;
mod rules;
mod using;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use crate::dialect::ModelDialect;
use datafusion::arrow::datatypes::SchemaRef;
use datafusion::catalog::TableProvider;
use datafusion::common::DataFusionError;
use datafusion::datasource::empty::EmptyTable;
use datafusion::execution::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::sql::parser::Statement as ParsedStatement;
use futures::FutureExt;
use sqlparser::ast::Statement;
use sqlparser::tokenizer::{Span as SqlSpan, Token, Tokenizer};

pub use names::{column_place, repeated_columns};
pub use parse::STACK_BYTES;
pub(crate) use parse::{is_too_deep, statements};
pub use problem::{Problem, closest};
use problem::{byte_range, from_planner};
pub(crate) use rehearsal::{Beside, beside};
use rehearsal::{Rehearsal, Stage};

use crate::codes;
use crate::gate::{Refusal, RefusalKind, refusals};
use crate::relation::{RelationKey, UnpinnedRelation, expand, register, relations_read};

/// Binds statements against the relations registered so far.
pub struct Binder {
    state: SessionState,
    stage: Stage,
    /// Who rehearses; none if it is done at once.
    beside: Option<Beside>,
    schemas: BTreeMap<RelationKey, SchemaRef>,
    views: BTreeMap<RelationKey, LogicalPlan>,
}

impl Binder {
    /// A binder with no relations.
    #[must_use]
    pub fn new(state: SessionState) -> Self {
        Self {
            stage: Stage::new(&state),
            beside: None,
            state,
            schemas: BTreeMap::new(),
            views: BTreeMap::new(),
        }
    }

    /// A binder that finds what is wrong only as far as it needs to know that something is: see [`beside`].
    pub(crate) fn optimistic(state: SessionState, beside: Beside) -> Self {
        Self {
            beside: Some(beside),
            ..Self::new(state)
        }
    }

    /// Whether an optimistic binder has found something wrong.
    pub(crate) fn has_failed(&self) -> bool {
        self.beside.as_ref().is_some_and(Beside::has_failed)
    }

    /// Makes a stored relation known under `"kinfold"."<schema>"."<name>"`.
    ///
    /// # Errors
    /// When the catalogue refuses.
    pub fn add_table(
        &mut self,
        key: RelationKey,
        schema: &str,
        name: &str,
        columns: SchemaRef,
    ) -> Result<(), DataFusionError> {
        self.schemas.insert(key.clone(), Arc::clone(&columns));
        register(
            &self.state,
            schema,
            name,
            Arc::new(UnpinnedRelation::new(key, columns)),
        )
    }

    /// Makes a view known. It is bound against like a table, so that what was checked once is not
    /// checked again in every reader; [`Binder::expand`] puts `plan` in the place of every read.
    ///
    /// # Errors
    /// When the catalogue refuses.
    pub fn add_view(
        &mut self,
        key: RelationKey,
        schema: &str,
        name: &str,
        plan: LogicalPlan,
    ) -> Result<(), DataFusionError> {
        let columns = Arc::clone(plan.schema().inner());
        self.views.insert(key.clone(), plan);
        self.add_table(key, schema, name, columns)
    }

    /// Binds one query.
    ///
    /// The returned plan is the planner's own, before any rewrite. It was also taken through type
    /// coercion, the optimiser and physical planning over empty tables, so what is returned runs.
    ///
    /// # Errors
    /// Every problem found; never empty.
    pub fn bind(&self, sql: &str) -> Result<LogicalPlan, Vec<Problem>> {
        let statement = parse(sql)?;
        let refused = refusals(&statement);
        if !refused.is_empty() {
            return Err(refused.into_iter().map(|r| refusal(sql, r)).collect());
        }
        match self.plan(statement.clone()) {
            Ok(plan) => Ok(plan),
            Err(error) => {
                if let Some(beside) = &self.beside {
                    beside.fail();
                    return Err(vec![from_planner(sql, &error)]);
                }
                let mut found = match &statement {
                    Statement::Query(query) => pieces::problems(sql, query, self),
                    _ => vec![],
                };
                if found.is_empty() {
                    let whole = 0..sql.trim_end().len();
                    found.push(from_planner(sql, &error).or_at(Some(whole)));
                }
                found.dedup();
                Err(found)
            }
        }
    }

    /// Binds a common table expression of a query, as the rows that whoever reads it sees.
    ///
    /// # Errors
    /// The names of those that the query has, if this is none of them. Every problem found, as
    /// [`Binder::bind`], in a place of the whole.
    pub fn bind_cte(&self, sql: &str, name: &str) -> Result<LogicalPlan, UnboundCte> {
        let mut statement = parse(sql).map_err(UnboundCte::Problems)?;
        let mut outer = parse(&format!("SELECT * FROM \"{}\"", name.replace('"', "\"\"")))
            .map_err(UnboundCte::Problems)?;
        if let (Statement::Query(query), Statement::Query(outer)) = (&mut statement, &mut outer) {
            outer.with = query.with.take();
        }
        let with = match &outer {
            Statement::Query(outer) => outer.with.as_ref(),
            _ => None,
        };
        let named = with.iter().flat_map(|with| &with.cte_tables);
        let names: Vec<String> = named
            .map(|cte| match cte.alias.name.quote_style {
                Some(_) => cte.alias.name.value.clone(),
                None => cte.alias.name.value.to_lowercase(),
            })
            .collect();
        if !names.iter().any(|known| known == name) {
            return Err(UnboundCte::Unknown(names));
        }
        self.plan(outer).map_err(|error| {
            UnboundCte::Problems(vec![from_planner(sql, &error).or_at(Some(0..sql.len()))])
        })
    }

    /// The columns of a relation that is known by this name.
    #[must_use]
    pub fn columns(&self, key: &RelationKey) -> Option<&SchemaRef> {
        self.schemas.get(key)
    }

    /// A bound plan with the plans of the views that it reads, as it runs.
    ///
    /// # Errors
    /// When the plan cannot be rebuilt.
    pub fn expand(&self, plan: LogicalPlan) -> Result<LogicalPlan, DataFusionError> {
        expand(plan, &self.views)
    }

    fn plan(&self, statement: Statement) -> Result<LogicalPlan, DataFusionError> {
        let parsed = ParsedStatement::Statement(Box::new(statement));
        let plan = ready(self.state.statement_to_plan(parsed))?;
        self.rehearse(plan.clone())?;
        Ok(plan)
    }

    /// Plans down to operators over empty tables, for the errors that only then appear.
    fn rehearse(&self, plan: LogicalPlan) -> Result<(), DataFusionError> {
        let mut empty: BTreeMap<RelationKey, Arc<dyn TableProvider>> = BTreeMap::new();
        for key in relations_read(&plan)? {
            if let Some(schema) = self.schemas.get(&key) {
                empty.insert(key, Arc::new(EmptyTable::new(Arc::clone(schema))));
            }
        }
        let rehearsal = Rehearsal { plan, empty };
        match &self.beside {
            None => self.stage.run(rehearsal),
            Some(beside) => {
                beside.take(rehearsal, &self.stage);
                Ok(())
            }
        }
    }
}

/// Why a common table expression cannot be bound.
#[derive(Clone, Debug)]
pub enum UnboundCte {
    /// There is none of this name among these.
    Unknown(Vec<String>),
    /// It is wrong.
    Problems(Vec<Problem>),
}

impl pieces::TryBind for Binder {
    fn try_bind(&self, statement: Statement) -> Result<(), DataFusionError> {
        self.plan(statement).map(drop)
    }
}

/// Planning over in-memory catalogues never waits, so its futures are ready at once, unless tokio counts the
/// locks that the planner takes against the time slice of the task that binds a large project.
fn ready<T>(
    future: impl Future<Output = Result<T, DataFusionError>>,
) -> Result<T, DataFusionError> {
    let future = tokio::task::unconstrained(future);
    future.now_or_never().unwrap_or_else(|| {
        Err(DataFusionError::Internal(
            "planning waited for something outside the process".to_owned(),
        ))
    })
}

/// Parses exactly one statement; a final semicolon is allowed.
fn parse(sql: &str) -> Result<Statement, Vec<Problem>> {
    match parse::statements(sql) {
        Err(error) => Err(vec![from_planner(
            sql,
            &DataFusionError::SQL(Box::new(error), None),
        )]),
        Ok(mut statements) => match (statements.pop(), statements.pop()) {
            (Some(one), None) => Ok(one),
            (None, _) => Err(vec![Problem::new(
                codes::NOT_A_QUERY,
                "the file has no statement",
            )]),
            (Some(second), Some(_)) => {
                use sqlparser::ast::Spanned;
                let mut p = Problem::new(
                    codes::NOT_A_QUERY,
                    "a model is one query, this is more than one statement",
                )
                .or_at(byte_range(sql, second.span()));
                p.help
                    .push("move the second statement to a model of its own".to_owned());
                Err(vec![p])
            }
        },
    }
}

/// One query, parsed as models are, for a planner.
///
/// # Errors
/// When the text is not one statement.
pub fn parsed(sql: &str) -> Result<ParsedStatement, DataFusionError> {
    let mut statements = parse::statements(sql)?;
    match (statements.pop(), statements.pop()) {
        (Some(one), None) => Ok(ParsedStatement::Statement(Box::new(one))),
        _ => Err(DataFusionError::Plan(
            "the text must be one statement".to_owned(),
        )),
    }
}

/// What keeps a text from being one expression, and nothing more. What is unfinished would take in
/// what is written behind it.
#[must_use]
pub fn expression_problem(text: &str) -> Option<Problem> {
    let parsed = parse::parser(text).and_then(|mut parser| {
        parser.parse_expr()?;
        parser.expect_token(&Token::EOF)
    });
    let error = parsed.err()?;
    let error = DataFusionError::SQL(Box::new(error), None);
    Some(from_planner(text, &error).or_at(Some(0..text.len())))
}

fn refusal(sql: &str, refused: Refusal) -> Problem {
    let behind = match refused.kind {
        RefusalKind::IgnoredBehind(_, word) => clause_behind(sql, refused.span, word),
        _ => None,
    };
    let problem = match refused.kind {
        RefusalKind::NotAQuery => Problem::new(
            codes::NOT_A_QUERY,
            "a model is a query: it starts with SELECT, WITH, FROM or VALUES",
        ),
        RefusalKind::SelectInto => Problem::new(
            codes::NOT_A_QUERY,
            "`SELECT … INTO` has no place in a model",
        ),
        RefusalKind::FromWithoutSelect => {
            let mut p = Problem::new(
                codes::NOT_A_QUERY,
                "`FROM …` without `SELECT` would have no columns",
            );
            p.help.push("write `SELECT * FROM …`".to_owned());
            p
        }
        RefusalKind::OuterJoinUsing => {
            let mut p = Problem::new(
                codes::OUTER_JOIN_USING,
                "the column of this outer join's `USING` would be null for rows that only one side has",
            );
            p.notes.push(
                "the engine takes it from one side alone, also where that side has no row"
                    .to_owned(),
            );
            p.help.push(
                "join with `ON l.k = r.k`, and select the columns by name: `l.k` for a left join, `r.k` for a right \
                 one, `coalesce(l.k, r.k) AS k` for a full one"
                    .to_owned(),
            );
            p
        }
        RefusalKind::Ignored(what) | RefusalKind::IgnoredBehind(what, _) => {
            let mut p = Problem::new(
                codes::IGNORED_CLAUSE,
                format!("{what} would have no effect"),
            );
            p.notes.push(
                "the engine parses this clause and ignores it, so the result would be wrong"
                    .to_owned(),
            );
            p.help.push("remove it".to_owned());
            p
        }
        RefusalKind::HugeText(name) => {
            let mut p = Problem::new(
                codes::NOT_SUPPORTED,
                format!("`{name}` is asked for a text of more than 10 million characters"),
            );
            p.notes
                .push("constants are computed when the model is checked".to_owned());
            p
        }
        RefusalKind::JoinWithoutCondition => {
            let mut p = Problem::new(codes::JOIN_WITHOUT_CONDITION, "this join has no condition");
            p.help.push(
                "add `ON …` or `USING (…)`, or write `CROSS JOIN` if every pair is meant"
                    .to_owned(),
            );
            p
        }
        RefusalKind::BareRelation(name) => {
            let mut p = Problem::new(
                codes::BARE_RELATION,
                format!("relation `{name}` is named directly"),
            );
            p.help.push(format!("write `{{{{ ref('{name}') }}}}` for a model or seed, `{{{{ source('…', '{name}') }}}}` for a source"));
            p
        }
    };
    problem
        .or_at(behind)
        .or_at(byte_range(sql, refused.span).or(Some(0..sql.trim_end().len())))
}

/// The first two words of the clause that begins with `word` behind a query.
fn clause_behind(sql: &str, query: SqlSpan, word: &str) -> Option<Range<usize>> {
    let tokens = Tokenizer::new(&ModelDialect, sql)
        .tokenize_with_location()
        .ok()?;
    let mut words = tokens
        .iter()
        .filter(|t| t.span.start >= query.end)
        .filter_map(|t| match &t.token {
            Token::Word(w) => Some((w.value.as_str(), t.span)),
            _ => None,
        })
        .skip_while(|(text, _)| !text.eq_ignore_ascii_case(word))
        .map(|(_, span)| span);
    let first = words.next()?;
    let last = words.next().unwrap_or(first);
    byte_range(sql, SqlSpan::new(first.start, last.end))
}

#[cfg(test)]
mod tests;
