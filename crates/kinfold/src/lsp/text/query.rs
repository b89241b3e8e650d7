//! The shape of a query: its common table expressions, what it selects, and what it reads.

use std::ops::Range;

use super::lex::{Kind, Token, tokens};
use super::{Name, jinja};

/// Queries in queries that are looked at.
const MAX_DEPTH: usize = 40;

/// A query.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Query {
    /// What is named by `WITH`.
    pub ctes: Vec<Cte>,
    /// The parts of a union; one if there is none.
    pub selects: Vec<Select>,
    /// All of it.
    pub range: Range<usize>,
}

/// A common table expression.
#[derive(Clone, Debug, PartialEq)]
pub struct Cte {
    /// Its name.
    pub name: Name,
    /// Names of its columns, if they are given behind its own.
    pub columns: Vec<Name>,
    /// What it is.
    pub query: Query,
}

/// A `SELECT`.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Select {
    /// What is selected.
    pub items: Vec<Item>,
    /// What is read.
    pub sources: Vec<Source>,
    /// Queries in its expressions.
    pub nested: Vec<Query>,
    /// All of it.
    pub range: Range<usize>,
}

/// Something selected.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// The name of its column, where the text says it.
    pub name: Option<Name>,
    /// What it is.
    pub kind: ItemKind,
    /// All of it.
    pub range: Range<usize>,
}

/// What an item is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ItemKind {
    /// A column as it is, perhaps under another name.
    Column,
    /// `*` or `x.*`
    Star,
    /// Anything else.
    Expression,
}

/// Something that is read.
#[derive(Clone, Debug, PartialEq)]
pub struct Source {
    /// What it is.
    pub relation: Relation,
    /// Its name in the query.
    pub alias: Option<Name>,
    /// What it is, without the alias.
    pub range: Range<usize>,
}

/// What is read.
#[derive(Clone, Debug, PartialEq)]
pub enum Relation {
    /// What a template gives.
    Template(Range<usize>),
    /// A name: of a common table expression.
    Named(Name),
    /// A query.
    Query(Box<Query>),
    /// Something else: a function, a name with dots.
    Other,
}

/// The query that a text is.
pub fn query(text: &str) -> Query {
    let tags = jinja::tags(text);
    let reader = Reader {
        text,
        tokens: tokens(text, &tags),
    };
    reader.query(0, reader.tokens.len(), 0..text.len(), 0)
}

struct Reader<'a> {
    text: &'a str,
    tokens: Vec<Token>,
}

/// Words that end what is selected.
const AFTER_ITEMS: [&str; 13] = [
    "FROM",
    "WHERE",
    "GROUP",
    "HAVING",
    "QUALIFY",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "EXCEPT",
    "INTERSECT",
    "INTO",
];
/// Words that end what is read.
const AFTER_SOURCES: [&str; 11] = [
    "WHERE",
    "GROUP",
    "HAVING",
    "QUALIFY",
    "WINDOW",
    "ORDER",
    "LIMIT",
    "OFFSET",
    "UNION",
    "EXCEPT",
    "INTERSECT",
];
const SET: [&str; 4] = ["UNION", "EXCEPT", "INTERSECT", "MINUS"];
/// Words that are never the name of what is read.
const NO_ALIAS: [&str; 21] = [
    "ON",
    "USING",
    "JOIN",
    "LEFT",
    "RIGHT",
    "FULL",
    "INNER",
    "OUTER",
    "CROSS",
    "NATURAL",
    "SEMI",
    "ANTI",
    "LATERAL",
    "TABLESAMPLE",
    "SELECT",
    "FROM",
    "AS",
    "ASOF",
    "FETCH",
    "WITH",
    "SET",
];

impl Reader<'_> {
    fn token(&self, at: usize) -> Option<&Token> {
        self.tokens.get(at)
    }

    fn is(&self, at: usize, keyword: &str) -> bool {
        self.token(at)
            .is_some_and(|token| token.is(self.text, keyword))
    }

    fn is_any(&self, at: usize, keywords: &[&str]) -> bool {
        self.token(at)
            .is_some_and(|token| token.is_any(self.text, keywords))
    }

    fn mark(&self, at: usize, mark: char) -> bool {
        self.token(at)
            .is_some_and(|token| token.kind == Kind::Mark(mark))
    }

    fn name(&self, at: usize) -> Option<Name> {
        self.token(at)?.name(self.text)
    }

    /// The token that closes the parenthesis at `open`, or the end.
    fn close(&self, open: usize, end: usize) -> usize {
        let mut depth = 0_usize;
        for at in open..end {
            if self.mark(at, '(') {
                depth += 1;
            } else if self.mark(at, ')') {
                depth = depth.saturating_sub(1);
                if depth == 0 {
                    return at;
                }
            }
        }
        end
    }

    /// The next token after `at` that is not in parentheses which open there.
    fn step(&self, at: usize, end: usize) -> usize {
        if self.mark(at, '(') {
            (self.close(at, end) + 1).min(end)
        } else {
            at + 1
        }
    }

    /// The first of these words from `at` on that is in no parentheses.
    fn find(&self, at: usize, end: usize, words: &[&str]) -> usize {
        let mut at = at;
        while at < end && (!self.is_any(at, words) || self.after_star(at)) {
            at = self.step(at, end);
        }
        at.min(end)
    }

    /// Whether a word is about a `*` before it: `* EXCEPT (…)`.
    fn after_star(&self, at: usize) -> bool {
        self.is(at, "EXCEPT") && self.mark(at + 1, '(') && at > 0 && self.mark(at - 1, '*')
    }

    /// Where the text of the tokens from `at` on begins.
    fn start(&self, at: usize, or: usize) -> usize {
        self.token(at).map_or(or, |token| token.range.start)
    }

    fn query(&self, from: usize, end: usize, range: Range<usize>, depth: usize) -> Query {
        let mut found = Query {
            range: range.clone(),
            ..Query::default()
        };
        if depth > MAX_DEPTH {
            return found;
        }
        let mut at = from;
        // A call of `config` stands before the query.
        while at < end
            && !self.is_any(at, &["WITH", "SELECT", "FROM", "VALUES"])
            && !self.mark(at, '(')
        {
            at += 1;
        }
        if self.is(at, "WITH") {
            at += 1 + usize::from(self.is(at + 1, "RECURSIVE"));
            at = self.ctes(at, end, range.end, depth, &mut found);
        }
        while at < end {
            if self.mark(at, '(') {
                let close = self.close(at, end);
                let inner = self.start(at + 1, range.end)..self.start(close, range.end);
                let query = self.query(at + 1, close, inner, depth + 1);
                found.ctes.extend(query.ctes);
                found.selects.extend(query.selects);
                at = close + 1;
            } else if self.is(at, "SELECT") {
                let next = self.find(at + 1, end, &SET);
                let own = self.start(at, range.end)..self.start(next, range.end);
                found.selects.push(self.select(at + 1, next, own, depth));
                at = next;
            } else {
                at += 1;
            }
        }
        found
    }

    /// Reads what is named by `WITH`. Returns where the query goes on.
    fn ctes(
        &self,
        from: usize,
        end: usize,
        text_end: usize,
        depth: usize,
        found: &mut Query,
    ) -> usize {
        let mut at = from;
        while at < end && !self.is(at, "SELECT") {
            let Some(name) = self.name(at) else {
                at += 1;
                continue;
            };
            at += 1;
            let mut columns = vec![];
            if self.mark(at, '(') {
                let close = self.close(at, end);
                columns.extend((at + 1..close).filter_map(|column| self.name(column)));
                at = close + 1;
            }
            while self.is_any(at, &["AS", "NOT", "MATERIALIZED"]) {
                at += 1;
            }
            if !self.mark(at, '(') {
                continue;
            }
            let close = self.close(at, end);
            let open = self.token(at).map_or(text_end, |token| token.range.end);
            let inner = open..self.start(close, text_end);
            found.ctes.push(Cte {
                name,
                columns,
                query: self.query(at + 1, close, inner, depth + 1),
            });
            at = close + 1;
            if !self.mark(at, ',') {
                break;
            }
            at += 1;
        }
        at
    }

    fn select(&self, from: usize, end: usize, range: Range<usize>, depth: usize) -> Select {
        let mut found = Select {
            range,
            ..Select::default()
        };
        let mut at = from;
        if self.is_any(at, &["DISTINCT", "ALL"]) {
            at += 1;
            if self.is(at, "ON") && self.mark(at + 1, '(') {
                at = self.close(at + 1, end) + 1;
            }
        }
        let items_end = self.find(at, end, &AFTER_ITEMS);
        let mut start = at;
        while at < items_end {
            if self.mark(at, ',') {
                found.items.extend(self.item(start, at));
                start = at + 1;
            }
            at = self.step(at, items_end);
        }
        found.items.extend(self.item(start, items_end));
        self.nested(from, items_end, depth, &mut found.nested);
        let mut rest = items_end;
        if self.is(items_end, "FROM") {
            rest = self.find(items_end + 1, end, &AFTER_SOURCES);
            self.sources(items_end + 1, rest, depth, &mut found);
        }
        self.nested(rest, end, depth, &mut found.nested);
        found
    }

    fn item(&self, from: usize, end: usize) -> Option<Item> {
        let (first, last) = (self.token(from)?, self.token(end.checked_sub(1)?)?);
        if end <= from {
            return None;
        }
        let range = first.range.start..last.range.end;
        // `* EXCEPT (…)` and the like are stars.
        let path_end = self.path(from, end);
        let star =
            self.mark(from, '*') || (self.mark(path_end, '.') && self.mark(path_end + 1, '*'));
        if star {
            return Some(Item {
                name: None,
                kind: ItemKind::Star,
                range,
            });
        }
        let column = path_end > from;
        let opens = (from..end).filter(|at| self.mark(*at, '(')).count();
        let closes = (from..end).filter(|at| self.mark(*at, ')')).count();
        let aliased = end - from > 1
            && opens == closes
            && self.name(end - 1).is_some()
            && !self.mark(end - 2, '.')
            && !self.is_any(end - 1, &["END", "NULL", "TRUE", "FALSE"])
            && !self.is_any(
                end - 2,
                &[
                    "IS", "NOT", "AND", "OR", "LIKE", "IN", "BETWEEN", "THEN", "ELSE",
                ],
            )
            && !self.operator(end - 2);
        let (name, value_end) = if aliased {
            let before = end - 1 - usize::from(self.is(end - 2, "AS"));
            (self.name(end - 1), before)
        } else {
            (None, end)
        };
        let plain = column && path_end == value_end;
        Some(Item {
            name: name.or_else(|| self.name(path_end.checked_sub(1)?).filter(|_| plain)),
            kind: if plain {
                ItemKind::Column
            } else {
                ItemKind::Expression
            },
            range,
        })
    }

    fn operator(&self, at: usize) -> bool {
        let mark = self.token(at).map(|token| token.kind);
        matches!(mark, Some(Kind::Mark(c)) if c != ')' && c != ']' && c != '}')
    }

    /// Where the dotted name that begins at `from` ends; `from` if there is none.
    fn path(&self, from: usize, end: usize) -> usize {
        let mut at = from;
        while at < end && self.name(at).is_some() {
            at += 1;
            if !(at + 1 < end && self.mark(at, '.') && self.name(at + 1).is_some()) {
                break;
            }
            at += 1;
        }
        at
    }

    fn sources(&self, from: usize, end: usize, depth: usize, found: &mut Select) {
        let mut at = from;
        let mut expected = true;
        while at < end {
            if self.mark(at, ',') || self.is(at, "JOIN") {
                expected = true;
                at += 1;
            } else if expected && self.is(at, "LATERAL") {
                at += 1;
            } else if expected {
                expected = false;
                at = self.source(at, end, depth, found);
            } else {
                let next = self.step(at, end);
                if self.mark(at, '(') {
                    self.nested(at, next, depth, &mut found.nested);
                }
                at = next;
            }
        }
    }

    /// Reads one thing that is read. Returns where it ends.
    fn source(&self, from: usize, end: usize, depth: usize, found: &mut Select) -> usize {
        let Some(token) = self.token(from) else {
            return end;
        };
        let mut range = token.range.clone();
        let (relation, mut at) = match token.kind {
            Kind::Expression => (Relation::Template(range.clone()), from + 1),
            Kind::Mark('(') => {
                let close = self.close(from, end);
                let text_end = self
                    .token(end.saturating_sub(1))
                    .map_or(range.end, |t| t.range.end);
                let inner = range.end..self.start(close, text_end.max(range.end));
                range.end = self
                    .token(close)
                    .filter(|_| close < end)
                    .map_or(inner.end, |t| t.range.end);
                if self.begins_query(from + 1, close) {
                    let query = self.query(from + 1, close, inner, depth + 1);
                    (Relation::Query(Box::new(query)), close + 1)
                } else {
                    // Joins in parentheses.
                    if depth < MAX_DEPTH {
                        self.sources(from + 1, close, depth + 1, found);
                    }
                    return close + 1;
                }
            }
            _ => {
                let path_end = self.path(from, end);
                if path_end == from {
                    return from + 1;
                }
                let last = self.token(path_end - 1);
                range.end = last.map_or(range.end, |token| token.range.end);
                if self.mark(path_end, '(') {
                    let close = self.close(path_end, end);
                    (Relation::Other, close + 1)
                } else if path_end == from + 1 {
                    let named = self.name(from).map_or(Relation::Other, Relation::Named);
                    (named, path_end)
                } else {
                    (Relation::Other, path_end)
                }
            }
        };
        at = at.min(end);
        let with = self.is(at, "AS");
        let named = at + usize::from(with);
        let alias = self
            .name(named)
            .filter(|_| named < end && (with || !self.is_any(named, &NO_ALIAS)));
        if alias.is_some() {
            at = named + 1;
            // Names of its columns.
            if self.mark(at, '(') {
                at = self.close(at, end) + 1;
            }
        }
        found.sources.push(Source {
            relation,
            alias,
            range,
        });
        at.min(end)
    }

    fn begins_query(&self, at: usize, end: usize) -> bool {
        let mut at = at;
        while at < end && self.mark(at, '(') {
            at += 1;
        }
        at < end && self.is_any(at, &["SELECT", "WITH", "VALUES"])
    }

    /// Finds the queries in an expression.
    fn nested(&self, from: usize, end: usize, depth: usize, found: &mut Vec<Query>) {
        let mut at = from;
        while at < end {
            if self.mark(at, '(') && self.begins_query(at + 1, end) {
                let close = self.close(at, end);
                let open = self.token(at).map_or(0, |token| token.range.end);
                let text_end = self
                    .token(close.saturating_sub(1))
                    .map_or(open, |t| t.range.end);
                let inner = open..self.start(close, text_end).max(open);
                found.push(self.query(at + 1, close, inner, depth + 1));
                at = close + 1;
            } else {
                at += 1;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// A query in one line: `with a(…) select name,* from relation alias`.
    fn shown(text: &str, query: &Query) -> String {
        let mut all = String::new();
        for cte in &query.ctes {
            all += &format!("with {}[{}] ", cte.name.text, shown(text, &cte.query));
        }
        let selects: Vec<String> = query
            .selects
            .iter()
            .map(|select| one(text, select))
            .collect();
        all + &selects.join(" | ")
    }

    fn one(text: &str, select: &Select) -> String {
        let items = select
            .items
            .iter()
            .map(|item| match (&item.name, item.kind) {
                (_, ItemKind::Star) => text[item.range.clone()].to_owned(),
                (Some(name), ItemKind::Column) => name.text.clone(),
                (Some(name), _) => format!("={}", name.text),
                (None, _) => "?".to_owned(),
            });
        let sources = select.sources.iter().map(|source| {
            let relation = match &source.relation {
                Relation::Template(range) => text[range.clone()].to_owned(),
                Relation::Named(name) => name.text.clone(),
                Relation::Query(query) => format!("({})", shown(text, query)),
                Relation::Other => "other".to_owned(),
            };
            let alias = source
                .alias
                .as_ref()
                .map_or("", |alias| alias.text.as_str());
            format!("{relation}:{alias}")
        });
        let nested = select
            .nested
            .iter()
            .map(|query| format!(" in({})", shown(text, query)));
        format!(
            "{} from {}{}",
            items.collect::<Vec<_>>().join(","),
            sources.collect::<Vec<_>>().join(","),
            nested.collect::<String>()
        )
    }

    #[test]
    fn queries_have_a_shape() {
        let cases = [
            (
                "{{ config(x='y') }} SELECT a, b.c AS d, sum(x) total, count(*), f.*, b.E FROM {{ ref('o') }} o LEFT JOIN b USING (id), g WHERE 1 = 2",
                "a,d,=total,?,f.*,e from {{ ref('o') }}:o,b:,g:",
            ),
            (
                "WITH RECURSIVE a AS (SELECT 1 AS x UNION ALL SELECT x + 1 FROM a), b (y) AS NOT MATERIALIZED (SELECT * FROM a) SELECT * EXCEPT (z) FROM b AS \"B\"",
                "with a[=x from  | ? from a:] with b[* from a:] * EXCEPT (z) from b:B",
            ),
            (
                "SELECT x FROM (SELECT y AS x FROM t) s JOIN ({{ ref('a') }} JOIN c ON a.i = c.i) ON EXISTS (SELECT 1 FROM d) WHERE z IN (SELECT q FROM e)",
                "x from (x from t:):s,{{ ref('a') }}:,c: in(? from d:) in(q from e:)",
            ),
            (
                "SELECT CASE WHEN a THEN b END, c IS NULL, d::int AS d, a.b.c, x - y, unnest(z) FROM generate_series(1, 2) AS g (v), m.n",
                "?,?,=d,c,?,? from other:g,other:",
            ),
            (
                "(SELECT a FROM b) UNION SELECT c FROM d ORDER BY 1",
                "a from b: | c from d:",
            ),
        ];
        for (text, wanted) in cases {
            assert_eq!(shown(text, &query(text)), wanted, "{text}");
        }
    }

    #[test]
    fn queries_that_are_not_finished_have_a_shape_too() {
        let cases = [
            (
                "select o. from {{ ref('o') }} o where ",
                "? from {{ ref('o') }}:o",
            ),
            (
                "with a as (select x, from b), c as (select",
                "with a[x from b:] with c[ from ] ",
            ),
            ("select a from b join", "a from b:"),
            ("select a, (select b from c", "a,? from  in(b from c:)"),
            ("select", " from "),
            ("with", ""),
        ];
        for (text, wanted) in cases {
            assert_eq!(shown(text, &query(text)), wanted, "{text}");
        }
    }

    fn check(text: &str, query: &Query) {
        assert!(
            text.get(query.range.clone()).is_some(),
            "{text}: {:?}",
            query.range
        );
        for cte in &query.ctes {
            check(text, &cte.query);
        }
        for select in &query.selects {
            assert!(text.get(select.range.clone()).is_some(), "{text}");
            for source in &select.sources {
                assert!(text.get(source.range.clone()).is_some(), "{text}");
                if let Relation::Query(query) = &source.relation {
                    check(text, query);
                }
            }
            for query in &select.nested {
                check(text, query);
            }
        }
    }

    proptest! {
        #[test]
        fn any_text_has_a_shape(words in proptest::collection::vec(
            "select |from |with |as |union |join |where |on |\\(|\\)|,|\\*|\\.|a |b |\\{\\{ ref\\('x'\\) \\}\\} |'|\"|ü |\n|end ",
            0..40,
        )) {
            let text = words.concat();
            check(&text, &query(&text));
        }
    }

    #[test]
    fn what_is_nested_deeply_ends() {
        let text = "select (".repeat(3_000);
        check(&text, &query(&text));
        let text = "with a as (".repeat(3_000);
        check(&text, &query(&text));
        let text = "select * from (".repeat(3_000);
        check(&text, &query(&text));
    }
}
