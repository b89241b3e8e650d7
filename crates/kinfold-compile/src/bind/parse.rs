//! Text → syntax tree, no deeper than what follows can walk.

use std::ops::ControlFlow;

use sqlparser::ast::{Expr, Query, Select, SetExpr, Statement, Visit, Visitor};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};
use sqlparser::tokenizer::{Token, TokenWithSpan, Tokenizer};

use crate::dialect::ModelDialect;
use crate::session::RECURSION_LIMIT;

/// How deep expressions, set operations and joins may lie in one another. Operators of the same rank need no
/// parentheses to do so, and the parser's own limit does not see them: `1 + 1 + 1` is `(1 + 1) + 1`. Whatever
/// walks a plan takes stack for each level, [`STACK_BYTES`] at most.
const MAX_DEPTH: usize = 1_000;

/// Operators of a statement: more are not even parsed, since a tree of that depth could not be dropped.
const MAX_OPERATORS: usize = 50_000;

/// The stack that a thread needs on which models are bound, in bytes. What is not touched costs nothing.
pub const STACK_BYTES: usize = 512 << 20;

/// The statements of a text.
pub(crate) fn statements(sql: &str) -> Result<Vec<Statement>, ParserError> {
    let mut statements = parser(sql)?.parse_statements()?;
    let mut depth = Depth(0);
    if statements.visit(&mut depth).is_break() {
        return Err(ParserError::RecursionLimitExceeded);
    }
    super::using::write_out(&mut statements);
    Ok(statements)
}

/// A parser of a text that has not too many operators.
pub(super) fn parser(sql: &str) -> Result<Parser<'_>, ParserError> {
    let tokens = Tokenizer::new(&ModelDialect, sql).tokenize_with_location()?;
    if tokens.iter().filter(|token| nests(token)).count() > MAX_OPERATORS {
        return Err(ParserError::RecursionLimitExceeded);
    }
    Ok(Parser::new(&ModelDialect)
        .with_recursion_limit(RECURSION_LIMIT)
        .with_tokens_with_locations(tokens))
}

/// Whether what stands before a token may become part of what stands behind it.
fn nests(token: &TokenWithSpan) -> bool {
    match &token.token {
        Token::Word(word) => matches!(
            word.keyword,
            Keyword::AND
                | Keyword::OR
                | Keyword::XOR
                | Keyword::NOT
                | Keyword::IS
                | Keyword::NOTNULL
                | Keyword::IN
                | Keyword::LIKE
                | Keyword::ILIKE
                | Keyword::RLIKE
                | Keyword::REGEXP
                | Keyword::SIMILAR
                | Keyword::BETWEEN
                | Keyword::AT
                | Keyword::COLLATE
                | Keyword::DIV
                | Keyword::OPERATOR
                | Keyword::OVERLAPS
                | Keyword::MEMBER
                | Keyword::UNION
                | Keyword::INTERSECT
                | Keyword::EXCEPT
                | Keyword::MINUS
                | Keyword::JOIN
        ),
        Token::EOF
        | Token::Whitespace(_)
        | Token::Number(..)
        | Token::SingleQuotedString(_)
        | Token::Comma
        | Token::Period
        | Token::SemiColon
        | Token::LParen
        | Token::RParen
        | Token::RBracket
        | Token::RBrace => false,
        _ => true,
    }
}

/// How deep the walk is.
struct Depth(usize);

impl Depth {
    fn down(&mut self) -> ControlFlow<()> {
        self.0 += 1;
        if self.0 > MAX_DEPTH {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}

/// Whether what is parsed of an expression is deeper already than a statement may be.
pub(crate) fn is_too_deep(expr: &Expr) -> bool {
    expr.visit(&mut Depth(0)).is_break()
}

impl Visitor for Depth {
    type Break = ();

    fn pre_visit_expr(&mut self, expr: &Expr) -> ControlFlow<()> {
        if let Expr::CompoundFieldAccess { access_chain, .. } = expr
            && access_chain.len() > RECURSION_LIMIT
        {
            // Each is a call of a function over the one before.
            return ControlFlow::Break(());
        }
        self.down()
    }

    fn post_visit_expr(&mut self, _: &Expr) -> ControlFlow<()> {
        self.0 -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_query(&mut self, query: &Query) -> ControlFlow<()> {
        let mut operations = 0;
        let mut left = query.body.as_ref();
        while let SetExpr::SetOperation { left: next, .. } = left {
            operations += 1;
            left = next;
        }
        if operations > MAX_DEPTH {
            return ControlFlow::Break(());
        }
        self.down()
    }

    fn post_visit_query(&mut self, _: &Query) -> ControlFlow<()> {
        self.0 -= 1;
        ControlFlow::Continue(())
    }

    fn pre_visit_select(&mut self, select: &Select) -> ControlFlow<()> {
        let joins: usize = select.from.iter().map(|from| 1 + from.joins.len()).sum();
        if joins > MAX_DEPTH {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }
}
