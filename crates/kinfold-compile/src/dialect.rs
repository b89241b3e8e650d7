//! The dialect in which models are written: DuckDB's, and what of it the parser's own lacks.

use std::any::TypeId;

use sqlparser::ast::Expr;
use sqlparser::dialect::{Dialect, DuckDbDialect};
use sqlparser::keywords::Keyword;
use sqlparser::parser::{Parser, ParserError};

use crate::bind::is_too_deep;

/// DuckDB's dialect, with `last_value(x ignore nulls) over (…)`: DuckDB has the null treatment inside
/// the call, the parser's dialect only behind it. And `coalesce(kind = 'a', false)` compares, as in
/// DuckDB's expressions: the parser's dialect takes `kind` for the name of an argument. `a IS DISTINCT FROM b AND c` is a
/// conjunction, as everywhere: the parser's own takes `b AND c` for what `a` is compared with.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct ModelDialect;

/// Hands questions on to DuckDB's dialect.
macro_rules! as_duckdb {
    ($($name:ident)+) => {
        $(fn $name(&self) -> bool {
            DuckDbDialect.$name()
        })+
    };
}

impl Dialect for ModelDialect {
    fn dialect(&self) -> TypeId {
        DuckDbDialect.dialect()
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        DuckDbDialect.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        DuckDbDialect.is_identifier_part(ch)
    }

    fn parse_infix(
        &self,
        parser: &mut Parser<'_>,
        expr: &Expr,
        precedence: u8,
    ) -> Option<Result<Expr, ParserError>> {
        let negated = [Keyword::IS, Keyword::NOT, Keyword::DISTINCT, Keyword::FROM];
        let is_not = parser.parse_keywords(&negated);
        if !is_not && !parser.parse_keywords(&[Keyword::IS, Keyword::DISTINCT, Keyword::FROM]) {
            return None;
        }
        // The left side is handed over to be read only: a long chain of these would be copied link by link.
        if is_too_deep(expr) {
            return Some(Err(ParserError::RecursionLimitExceeded));
        }
        let left = Box::new(expr.clone());
        let right = parser.parse_subexpr(precedence).map(Box::new);
        Some(right.map(|right| match is_not {
            true => Expr::IsNotDistinctFrom(left, right),
            false => Expr::IsDistinctFrom(left, right),
        }))
    }

    fn supports_window_function_null_treatment_arg(&self) -> bool {
        true
    }

    as_duckdb! {
        supports_trailing_commas
        supports_filter_during_aggregation
        supports_group_by_expr
        supports_bitwise_shift_operators
        supports_named_fn_args_with_assignment_operator
        supports_dictionary_syntax
        support_map_literal_syntax
        supports_lambda_functions
        allow_extract_single_quotes
        supports_explain_with_utility_options
        supports_load_extension
        supports_array_typedef_with_brackets
        supports_from_first_select
        supports_order_by_all
        supports_select_wildcard_exclude
        supports_notnull_operator
        supports_install
        supports_detach
        supports_select_wildcard_replace
        supports_comma_separated_trim
    }
}
