//! What the names in a query mean: which relation, and which column of it.

use std::ops::Range;

use super::lex::{Kind, Token, tokens};
use super::query::{Cte, Item, ItemKind, Query, Relation, Select, Source, query};
use super::{Name, jinja, touches};

/// Steps from a column to what it is made of, and queries in queries.
const MAX_STEPS: usize = 40;

/// The columns of what a template of the text gives; `None` if that is not known.
pub type ColumnsOf<'a> = &'a dyn Fn(&Range<usize>) -> Option<Vec<String>>;

/// A statement, and what it reads.
pub struct Statement<'a> {
    /// Its text.
    pub text: &'a str,
    /// Its shape.
    pub query: Query,
    tokens: Vec<Token>,
    columns_of: ColumnsOf<'a>,
}

/// Where a column comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// It is made here: the item that makes it, and its name there.
    Item {
        /// The name in the item, or all of it.
        name: Range<usize>,
        /// All of the item.
        item: Range<usize>,
    },
    /// It is a column of what a template gives.
    Template {
        /// The template.
        template: Range<usize>,
        /// The column.
        column: String,
    },
}

/// A column that is in scope.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Where it comes from.
    pub origin: Origin,
}

/// What a name in a statement means.
#[derive(Clone, Debug, PartialEq)]
pub enum Meaning {
    /// A common table expression: where its name is given.
    Cte(Name),
    /// Something that is read, by its alias: where the alias is given, and what is read.
    Source(Option<Name>, Relation),
    /// A column.
    Column(Column),
    /// A function.
    Function(String),
}

/// The queries and selects around a place, the outermost first.
#[derive(Clone, Debug, Default)]
pub struct Scope<'q> {
    queries: Vec<&'q Query>,
    selects: Vec<&'q Select>,
}

impl<'q> Scope<'q> {
    fn cte(&self, name: &str) -> Option<&'q Cte> {
        let queries = self.queries.iter().rev();
        queries
            .flat_map(|query| query.ctes.iter().rev())
            .find(|cte| cte.name.text == name)
    }

    /// The common table expressions that can be read here.
    pub fn ctes(&self) -> impl Iterator<Item = &'q Cte> {
        self.queries.iter().rev().flat_map(|query| &query.ctes)
    }

    /// What is read here, the innermost first.
    pub fn sources(&self) -> impl Iterator<Item = &'q Source> {
        self.selects.iter().rev().flat_map(|select| &select.sources)
    }
}

/// The name by which a query calls what it reads.
pub fn called(source: &Source) -> Option<&Name> {
    source.alias.as_ref().or(match &source.relation {
        Relation::Named(name) => Some(name),
        _ => None,
    })
}

impl<'a> Statement<'a> {
    /// Reads a text.
    pub fn new(text: &'a str, columns_of: ColumnsOf<'a>) -> Self {
        Self {
            text,
            query: query(text),
            tokens: tokens(text, &jinja::tags(text)),
            columns_of,
        }
    }

    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = Name> {
        self.tokens.iter().filter_map(|token| token.name(self.text))
    }

    /// What is in scope at an offset.
    pub fn scope_at(&self, offset: usize) -> Scope<'_> {
        let mut scope = Scope::default();
        descend(
            &self.query,
            &mut scope,
            &mut |range| touches(range, offset),
            0,
        );
        scope
    }

    /// What is in scope within a query of it.
    fn scope_of(&self, query: &Query) -> Scope<'_> {
        let wanted = query.range.clone();
        let mut scope = Scope::default();
        let mut holds =
            |range: &Range<usize>| range.start <= wanted.start && wanted.end <= range.end;
        descend(&self.query, &mut scope, &mut holds, 0);
        // The selects of the query itself are not around it.
        let own: Vec<&Range<usize>> = query.selects.iter().map(|select| &select.range).collect();
        scope.selects.retain(|select| !own.contains(&&select.range));
        scope
    }

    /// The columns of its result.
    pub fn columns(&self) -> Vec<Column> {
        self.columns_of_query(&self.query, &[], 0)
    }

    fn columns_of_query(&self, query: &Query, names: &[Name], depth: usize) -> Vec<Column> {
        let Some(select) = query.selects.first().filter(|_| depth < MAX_STEPS) else {
            return vec![];
        };
        let mut scope = self.scope_of(query);
        scope.selects.push(select);
        let mut found = vec![];
        for item in &select.items {
            if item.kind == ItemKind::Star {
                found.extend(self.columns_of_star(&scope, select, item, depth));
                continue;
            }
            found.push(Column {
                name: item
                    .name
                    .as_ref()
                    .map_or_else(String::new, |name| name.text.clone()),
                origin: own(item),
            });
        }
        for (column, name) in found.iter_mut().zip(names) {
            column.name.clone_from(&name.text);
            column.origin = Origin::Item {
                name: name.range.clone(),
                item: name.range.clone(),
            };
        }
        found.retain(|column| !column.name.is_empty());
        found
    }

    fn columns_of_star(
        &self,
        scope: &Scope<'_>,
        select: &Select,
        item: &Item,
        depth: usize,
    ) -> Vec<Column> {
        let written = self.text.get(item.range.clone()).unwrap_or("");
        let (before, _) = written.split_once('*').unwrap_or((written, ""));
        let prefix = before
            .trim()
            .trim_end_matches('.')
            .trim_matches('"')
            .to_lowercase();
        let sources = select.sources.iter().filter(|source| {
            prefix.is_empty()
                || called(source).is_some_and(|name| name.text.to_lowercase() == prefix)
        });
        let mut found: Vec<Column> = vec![];
        for column in sources.flat_map(|source| self.columns_of_source(scope, source, depth + 1)) {
            // What is joined with `USING` is there once.
            if !found.iter().any(|known| known.name == column.name) {
                found.push(column);
            }
        }
        found
    }

    /// The columns of something that is read.
    pub fn columns_of_source(
        &self,
        scope: &Scope<'_>,
        source: &Source,
        depth: usize,
    ) -> Vec<Column> {
        if depth > MAX_STEPS {
            return vec![];
        }
        match &source.relation {
            Relation::Template(template) => {
                let names = (self.columns_of)(template).unwrap_or_default().into_iter();
                names
                    .map(|name| Column {
                        origin: Origin::Template {
                            template: template.clone(),
                            column: name.clone(),
                        },
                        name,
                    })
                    .collect()
            }
            Relation::Named(name) => match scope.cte(&name.text) {
                Some(cte) => self.columns_of_query(&cte.query, &cte.columns, depth + 1),
                None => vec![],
            },
            Relation::Query(query) => self.columns_of_query(query, &[], depth + 1),
            Relation::Other => vec![],
        }
    }

    /// The columns of a common table expression.
    pub fn columns_of_cte(&self, cte: &Cte) -> Vec<Column> {
        self.columns_of_query(&cte.query, &cte.columns, 0)
    }

    /// What the name at an offset means, and where the name stands.
    pub fn meaning(&self, offset: usize) -> Option<(Meaning, Range<usize>)> {
        let named = |token: &Token| matches!(token.kind, Kind::Word | Kind::Quoted);
        let at = self
            .tokens
            .iter()
            .position(|token| named(token) && touches(&token.range, offset))?;
        let token = self.tokens.get(at)?;
        let name = token.name(self.text)?;
        let range = token.range.clone();
        let mark = |at: usize, mark| {
            self.tokens
                .get(at)
                .is_some_and(|t| t.kind == Kind::Mark(mark))
        };
        let scope = self.scope_at(offset);
        if let Some(meaning) = self.declared(&scope, &range) {
            return Some((meaning, range));
        }
        let before = at
            .checked_sub(2)
            .filter(|_| mark(at - 1, '.'))
            .and_then(|before| self.tokens.get(before)?.name(self.text));
        if mark(at + 1, '(') && token.kind == Kind::Word {
            return Some((Meaning::Function(name.text), range));
        }
        if let Some(qualifier) = before {
            let column = self.column(&scope, Some(&qualifier.text), &name.text)?;
            return Some((Meaning::Column(column), range));
        }
        if mark(at + 1, '.')
            && let Some(source) = scope
                .sources()
                .find(|s| called(s).is_some_and(|c| c.text == name.text))
        {
            let meaning = Meaning::Source(source.alias.clone(), source.relation.clone());
            return Some((meaning, range));
        }
        let column = self.column(&scope, None, &name.text)?;
        Some((Meaning::Column(column), range))
    }

    /// What is named, if the name is given or read here.
    fn declared(&self, scope: &Scope<'_>, range: &Range<usize>) -> Option<Meaning> {
        if let Some(cte) = scope.ctes().find(|cte| cte.name.range == *range) {
            return Some(Meaning::Cte(cte.name.clone()));
        }
        for source in scope.sources() {
            if source
                .alias
                .as_ref()
                .is_some_and(|alias| alias.range == *range)
            {
                return Some(Meaning::Source(
                    source.alias.clone(),
                    source.relation.clone(),
                ));
            }
            if let Relation::Named(name) = &source.relation
                && name.range == *range
            {
                return Some(Meaning::Cte(scope.cte(&name.text)?.name.clone()));
            }
        }
        for select in scope.selects.iter().rev() {
            let mut items = select.items.iter();
            let item =
                items.find(|item| item.name.as_ref().is_some_and(|name| name.range == *range));
            // The name of a column that is taken as it is means the column that is read.
            if let Some(item) = item
                && let Some(name) = &item.name
                && (item.kind == ItemKind::Expression || self.renamed(item))
            {
                return Some(Meaning::Column(Column {
                    name: name.text.clone(),
                    origin: own(item),
                }));
            }
        }
        None
    }

    /// Whether a column is taken under another name.
    fn renamed(&self, item: &Item) -> bool {
        let path = self.path(item);
        item.name
            .as_ref()
            .is_some_and(|name| path.last() != Some(name))
    }

    /// The dotted name that an item begins with.
    fn path(&self, item: &Item) -> Vec<Name> {
        let mut tokens = self.tokens.iter().filter(|token| {
            item.range.start <= token.range.start && token.range.end <= item.range.end
        });
        let mut path = vec![];
        while let Some(name) = tokens.next().and_then(|token| token.name(self.text)) {
            path.push(name);
            if tokens
                .next()
                .is_none_or(|token| token.kind != Kind::Mark('.'))
            {
                break;
            }
        }
        path
    }

    /// The column of this name, of what is called so or of anything that is read.
    fn column(&self, scope: &Scope<'_>, qualifier: Option<&str>, name: &str) -> Option<Column> {
        for (level, select) in scope.selects.iter().enumerate().rev() {
            for source in &select.sources {
                if qualifier.is_some_and(|q| called(source).is_none_or(|c| c.text != q)) {
                    continue;
                }
                let outer = Scope {
                    queries: scope.queries.clone(),
                    selects: scope.selects.get(..=level).unwrap_or_default().to_vec(),
                };
                let mut columns = self.columns_of_source(&outer, source, 0).into_iter();
                if let Some(column) = columns.find(|column| column.name == name) {
                    return Some(column);
                }
            }
            if qualifier.is_none() {
                // A name that is given in the same select.
                let mut items = select.items.iter();
                let named = |item: &&Item| {
                    item.name.as_ref().is_some_and(|own| own.text == name)
                        && (item.kind == ItemKind::Expression || self.renamed(item))
                };
                if let Some(item) = items.find(named) {
                    return Some(Column {
                        name: name.to_owned(),
                        origin: own(item),
                    });
                }
            }
        }
        None
    }

    /// The column that a column of this text is as it is, perhaps under another name, step by step; the last one is
    /// made by an expression, or is one of a relation outside.
    pub fn made(&self, origin: &Origin) -> Origin {
        let mut origin = origin.clone();
        for _ in 0..MAX_STEPS {
            let Origin::Item { item, .. } = &origin else {
                return origin;
            };
            let scope = self.scope_at(item.start);
            let selects = scope.selects.iter().rev();
            let mut items = selects.flat_map(|select| &select.items);
            let Some(found) = items.find(|own| own.range == *item) else {
                return origin;
            };
            if found.kind != ItemKind::Column {
                return origin;
            }
            let path = self.path(found);
            let (qualifier, name) = match path.as_slice() {
                [name] => (None, name),
                [qualifier, name] => (Some(qualifier.text.as_str()), name),
                _ => return origin,
            };
            match self.column(&scope, qualifier, &name.text) {
                Some(column) if column.origin != origin => origin = column.origin,
                _ => return origin,
            }
        }
        origin
    }
}

fn own(item: &Item) -> Origin {
    Origin::Item {
        name: item
            .name
            .as_ref()
            .map_or(item.range.clone(), |name| name.range.clone()),
        item: item.range.clone(),
    }
}

/// Goes down to the innermost query and select of which `holds` is true.
fn descend<'q>(
    query: &'q Query,
    scope: &mut Scope<'q>,
    holds: &mut dyn FnMut(&Range<usize>) -> bool,
    depth: usize,
) {
    if depth > MAX_STEPS {
        return;
    }
    scope.queries.push(query);
    for cte in &query.ctes {
        if holds(&cte.query.range) {
            return descend(&cte.query, scope, holds, depth + 1);
        }
    }
    // At the border of two the later one is meant, where a person types on.
    let Some(select) = query
        .selects
        .iter()
        .rev()
        .find(|select| holds(&select.range))
    else {
        return;
    };
    scope.selects.push(select);
    let read = select
        .sources
        .iter()
        .filter_map(|source| match &source.relation {
            Relation::Query(query) => Some(query.as_ref()),
            _ => None,
        });
    if let Some(inner) = read.chain(&select.nested).find(|inner| holds(&inner.range)) {
        descend(inner, scope, holds, depth + 1);
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    /// What is known outside of the text: `{{ o }}` has `id` and `amount`, `{{ c }}` has `id` and `name`.
    fn with<T>(text: &str, then: impl FnOnce(Statement<'_>) -> T) -> T {
        let columns_of = |range: &Range<usize>| {
            let columns: &[&str] = match &text[range.clone()] {
                "{{ o }}" => &["id", "amount"],
                "{{ c }}" => &["id", "name"],
                _ => return None,
            };
            Some(columns.iter().map(|column| (*column).to_owned()).collect())
        };
        then(Statement::new(text, &columns_of))
    }

    fn shown(text: &str, origin: &Origin) -> String {
        match origin {
            Origin::Item { name, item } => {
                format!("{} in {}", &text[name.clone()], &text[item.clone()])
            }
            Origin::Template { template, column } => {
                format!("{} {column}", &text[template.clone()])
            }
        }
    }

    /// What the name at `^` means; the mark is not part of the text.
    fn meaning(marked: &str) -> String {
        let offset = marked.find('^').unwrap();
        let text = marked.replace('^', "");
        with(&text, |statement| match statement.meaning(offset) {
            None => "nothing".to_owned(),
            Some((Meaning::Cte(name), _)) => format!("cte {} {}", name.text, name.range.start),
            Some((Meaning::Source(alias, _), _)) => {
                format!("source {}", alias.map_or(0, |alias| alias.range.start))
            }
            Some((Meaning::Function(name), _)) => format!("function {name}"),
            Some((Meaning::Column(column), _)) => shown(&text, &column.origin),
        })
    }

    #[test]
    fn names_mean_what_they_mean_to_the_engine() {
        let cases = [
            ("SELECT ^id FROM {{ o }}", "{{ o }} id"),
            (
                "SELECT a.^ID FROM {{ c }} b JOIN {{ o }} a ON a.id = b.id",
                "{{ o }} id",
            ),
            (
                "SELECT ^name, x.id FROM {{ o }} x, {{ c }} y",
                "{{ c }} name",
            ),
            ("SELECT a.^nothing FROM {{ o }} a", "nothing"),
            (
                "SELECT 1 AS one FROM {{ o }} ORDER BY ^one",
                "one in 1 AS one",
            ),
            ("SELECT id AS ^key FROM {{ o }}", "key in id AS key"),
            ("SELECT ^id AS key FROM {{ o }}", "{{ o }} id"),
            ("SELECT ^sum(amount) FROM {{ o }}", "function sum"),
            (
                "WITH t AS (SELECT amount * 2 AS twice FROM {{ o }}) SELECT ^twice FROM t",
                "twice in amount * 2 AS twice",
            ),
            (
                "WITH t AS (SELECT * FROM {{ o }}) SELECT t.^amount FROM t",
                "{{ o }} amount",
            ),
            (
                "WITH t AS (SELECT * FROM {{ o }}) SELECT * FROM ^t",
                "cte t 5",
            ),
            (
                "WITH t AS (SELECT 1 AS a), u AS (SELECT ^a FROM t) SELECT 1",
                "a in 1 AS a",
            ),
            ("WITH t (b) AS (SELECT 1 AS a) SELECT ^b FROM t", "b in b"),
            ("SELECT ^q.id FROM {{ o }} AS q", "source 28"),
            (
                "SELECT (SELECT max(^amount) FROM {{ c }}) FROM {{ o }}",
                "{{ o }} amount",
            ),
            (
                "SELECT (SELECT max(^id) FROM {{ c }}) FROM {{ o }}",
                "{{ c }} id",
            ),
            (
                "SELECT s.^b FROM (SELECT id AS b FROM {{ o }}) s",
                "b in id AS b",
            ),
            (
                "SELECT 1 AS x UNION ALL SELECT ^name FROM {{ c }}",
                "{{ c }} name",
            ),
            ("SELECT x.* FROM {{ o }} x WHERE ^id = 1", "{{ o }} id"),
            // An alias of an inner query hides that of the outer one.
            (
                "SELECT 1 FROM {{ o }} a WHERE EXISTS (SELECT a.^name FROM {{ c }} a)",
                "{{ c }} name",
            ),
            ("SELECT t.^ FROM {{ o }} t", "nothing"),
        ];
        for (text, wanted) in cases {
            assert_eq!(meaning(text), wanted, "{text}");
        }
    }

    #[test]
    fn a_result_has_columns() {
        let columns = |text: &str| {
            with(text, |statement| {
                let columns = statement.columns().into_iter();
                columns
                    .map(|column| column.name)
                    .collect::<Vec<_>>()
                    .join(",")
            })
        };
        assert_eq!(
            columns("SELECT *, 1 AS one, sum(id), c.name n FROM {{ o }} JOIN {{ c }} c USING (id)"),
            "id,amount,name,one,n"
        );
        assert_eq!(
            columns("WITH t AS (SELECT * FROM {{ o }}) SELECT t.*, 2 AS two FROM t, {{ c }} c"),
            "id,amount,two"
        );
        assert_eq!(columns("WITH t AS (SELECT * FROM t) SELECT * FROM t"), "");
        assert_eq!(columns(""), "");
    }

    #[test]
    fn columns_are_followed_to_what_makes_them() {
        let text = "WITH t AS (SELECT id AS a, amount + 1 AS b FROM {{ o }}), u AS (SELECT a AS c, t.b FROM t) SELECT c AS d, b FROM u";
        with(text, |statement| {
            let made: Vec<String> = statement
                .columns()
                .iter()
                .map(|column| shown(text, &statement.made(&column.origin)))
                .collect();
            assert_eq!(made, ["{{ o }} id", "b in amount + 1 AS b"]);
        });
    }

    proptest! {
        #[test]
        fn every_name_of_any_text_has_a_meaning_or_none(words in proptest::collection::vec(
            "select |from |with |as |union |join |\\(|\\)|,|\\*|\\.|a|b|t|id|\\{\\{ o \\}\\}|'|ü| ",
            0..30,
        )) {
            let text = words.concat();
            with(&text, |statement| {
                for offset in 0..=text.len() {
                    if let Some((Meaning::Column(column), _)) = statement.meaning(offset) {
                        let _ = statement.made(&column.origin);
                    }
                }
                let _ = statement.columns();
            });
        }
    }
}
