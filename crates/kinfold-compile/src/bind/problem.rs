//! Planner errors as places in the SQL text with a sentence about them.

use std::ops::Range;
use std::sync::LazyLock;

use crate::codes;
use crate::session::CATALOG;
use datafusion::common::{DataFusionError, SchemaError};
use kinfold_project::Code;
use regex::Regex;
use sqlparser::tokenizer::{Location, Span as SqlSpan};

/// Something wrong with a statement, at a place in its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind.
    pub code: Code,
    /// One sentence.
    pub message: String,
    /// Bytes of the SQL text, where the planner knows them.
    pub range: Option<Range<usize>>,
    /// Facts.
    pub notes: Vec<String>,
    /// Advice.
    pub help: Vec<String>,
}

impl Problem {
    /// A problem of a kind, without a place yet.
    #[must_use]
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
            range: None,
            notes: vec![],
            help: vec![],
        }
    }

    /// The same at a place, unless it has one.
    #[must_use]
    pub fn or_at(mut self, range: Option<Range<usize>>) -> Self {
        if self.range.is_none() {
            self.range = range;
        }
        self
    }

    /// Whether this says that a column must be grouped. Pieces of a grouped query say it falsely.
    #[must_use]
    pub fn is_about_grouping(&self) -> bool {
        self.code == codes::NOT_GROUPED
    }
}

/// Bytes of `sql` that a parser's span covers; `None` for the empty span.
#[must_use]
pub fn byte_range(sql: &str, span: SqlSpan) -> Option<Range<usize>> {
    let start = byte_offset(sql, span.start)?;
    let end = byte_offset(sql, span.end)?;
    (end > start).then(|| start..closed(sql, start, end))
}

/// The parser ends the span of a call before its closing parenthesis.
fn closed(sql: &str, start: usize, end: usize) -> usize {
    let text = sql.get(start..end).unwrap_or("");
    let open = text
        .matches('(')
        .count()
        .saturating_sub(text.matches(')').count());
    let mut end = end;
    for _ in 0..open {
        let rest = sql.get(end..).unwrap_or("");
        let blank = rest.len() - rest.trim_start().len();
        if !rest.trim_start().starts_with(')') {
            break;
        }
        end += blank + 1;
    }
    end
}

fn byte_offset(sql: &str, location: Location) -> Option<usize> {
    let line_index = usize::try_from(location.line).ok()?.checked_sub(1)?;
    let column = usize::try_from(location.column).ok()?.checked_sub(1)?;
    let line_start = if line_index == 0 {
        0
    } else {
        sql.match_indices('\n').nth(line_index - 1)?.0 + 1
    };
    let rest = sql.get(line_start..)?;
    let in_line = rest
        .char_indices()
        .nth(column)
        .map_or(rest.len(), |(i, _)| i);
    Some(line_start + in_line)
}

static PARSER_PLACE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r" at Line: (\d+), Column: (\d+)").ok());
static NO_MATCH: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?s)(?:No function matches the given name and argument types|Failed to coerce arguments to satisfy a call to) '([^']*)'(.*)").ok()
});
static COERCE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?s)coerce arguments to satisfy a call to '([^']*)' function").ok()
});
static SIGNATURE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?s)Function '([^']*)' (?:failed to match any signature|expects? .*|user-defined coercion failed)").ok()
});
static NOT_GROUPED: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"^'([^']*)' must appear in GROUP BY").ok());
static NO_OPERATOR: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"Cannot coerce arithmetic expression (.+) to valid types").ok());
static QUALIFIER: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(&format!(r#"^"?{CATALOG}"?\.("[^"]*"|[^".]*)\."#)).ok());
static UNKNOWN_FUNCTION: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"Invalid function '([^']*)'").ok());
static UNKNOWN_TABLE: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"table '([^']*)' not found").ok());

/// What a planner error says, with the place that it names.
#[must_use]
pub fn from_planner(sql: &str, error: &DataFusionError) -> Problem {
    let place = error
        .diagnostic()
        .and_then(|d| d.span)
        .and_then(|s| byte_range(sql, SqlSpan::new(location(s.start), location(s.end))));
    let mut problem = describe(sql, root(error), error);
    if problem.code == codes::UNKNOWN_RELATION
        && let Some(name) = place.clone().and_then(|range| sql.get(range))
        && is_expression_of(sql, name)
    {
        problem.help.push(format!(
            "`{name}` stands behind this: only what comes after a common table expression can read it"
        ));
    }
    let problem = match error.diagnostic() {
        Some(d) if d.message == "expressions have incompatible types" => Problem {
            notes: d
                .notes
                .iter()
                .filter_map(|n| Some(format!("{} {}", text_at(sql, n.span?)?, n.message)))
                .collect(),
            ..problem
        },
        _ => problem,
    };
    match place {
        Some(range) => Problem {
            range: Some(range),
            ..problem
        },
        None => problem,
    }
}

/// Whether the text has a common table expression of that name: the name, `AS` and a bracket.
fn is_expression_of(sql: &str, name: &str) -> bool {
    let lower = sql.to_lowercase();
    lower
        .match_indices(&name.to_lowercase())
        .any(|(at, found)| {
            let rest = lower.get(at + found.len()..).unwrap_or("").trim_start();
            rest.strip_prefix("as")
                .is_some_and(|rest| rest.trim_start().starts_with('('))
        })
}

fn text_at(sql: &str, span: datafusion::common::Span) -> Option<String> {
    let range = byte_range(sql, SqlSpan::new(location(span.start), location(span.end)))?;
    Some(format!("`{}`", sql.get(range)?))
}

fn location(l: datafusion::common::Location) -> Location {
    Location {
        line: l.line,
        column: l.column,
    }
}

/// The innermost error; of several, the first.
fn root(error: &DataFusionError) -> &DataFusionError {
    match error {
        DataFusionError::Context(_, inner) | DataFusionError::Diagnostic(_, inner) => root(inner),
        DataFusionError::Shared(inner) => root(inner),
        DataFusionError::Collection(all) => all.first().map_or(error, root),
        other => other,
    }
}

fn describe(sql: &str, root: &DataFusionError, whole: &DataFusionError) -> Problem {
    match root {
        DataFusionError::SQL(parser, _) => syntax(sql, &parser.to_string()),
        DataFusionError::SchemaError(schema, _) => schema_problem(schema),
        DataFusionError::NotImplemented(text) => Problem::new(
            codes::NOT_SUPPORTED,
            format!("this SQL is not supported: {}", sentence(text)),
        ),
        DataFusionError::Plan(text)
        | DataFusionError::Internal(text)
        | DataFusionError::Execution(text) => planned(text, whole),
        DataFusionError::ArrowError(arrow, _) => {
            Problem::new(codes::TYPE_MISMATCH, sentence(&arrow.to_string()))
        }
        other => Problem::new(codes::CANNOT_BIND, sentence(&other.strip_backtrace())),
    }
}

fn syntax(sql: &str, text: &str) -> Problem {
    let text = text
        .trim_start_matches("sql parser error: ")
        .trim_start_matches("Parser Error: ");
    let captured = PARSER_PLACE.as_ref().and_then(|r| r.captures(text));
    let at = captured.and_then(|c| {
        let location = Location {
            line: c.get(1)?.as_str().parse().ok()?,
            column: c.get(2)?.as_str().parse().ok()?,
        };
        byte_offset(sql, location)
    });
    let message = PARSER_PLACE
        .as_ref()
        .map_or(text.into(), |r| r.replace(text, ""));
    // A full stop ends a sentence, unless it is what was found.
    let message = message.trim_end();
    let message = match message.strip_suffix("found: .") {
        Some(expected) => format!("{} found: `.`", sentence(expected)),
        None => sentence(message),
    };
    let mut problem = Problem::new(codes::SYNTAX, format!("this is not SQL: {message}"));
    problem.help.extend(at.and_then(|at| misspelt(sql, at)));
    let end_of_text = sql.trim_end().len();
    problem.range = match at {
        Some(start) if start < end_of_text => {
            let rest = sql.get(start..).unwrap_or("");
            let word = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            Some(start..start + word.max(rest.chars().next().map_or(1, char::len_utf8)))
        }
        // `found: EOF` has no place of its own: point at the last character of the statement.
        _ => end_of_text.checked_sub(1).map(|last| last..end_of_text),
    };
    problem
}

/// A keyword that a word at the place or shortly before it was probably meant to be. A misspelt one is taken for an
/// alias, so the parser stumbles over what comes behind it.
fn misspelt(sql: &str, at: usize) -> Option<String> {
    const KEYWORDS: [&str; 11] = [
        "SELECT", "FROM", "WHERE", "GROUP", "ORDER", "HAVING", "JOIN", "UNION", "LIMIT", "WITH",
        "VALUES",
    ];
    let part = |c: char| c.is_alphanumeric() || c == '_';
    let at_place = sql.get(at..)?.split(|c| !part(c)).next()?;
    let before = sql.get(..at)?.rsplit(|c| !part(c));
    let before = before.filter(|word| !word.is_empty()).take(3);
    let is_word = |word: &&str| word.len() > 3 && !KEYWORDS.contains(&word.to_uppercase().as_str());
    // A letter is missing, wrong or in another place. With one more it is rather a name, like `orders`.
    let like = |word: &str, keyword: &str| {
        word.len() <= keyword.len()
            && strsim::damerau_levenshtein(&word.to_uppercase(), keyword) == 1
    };
    let mut words = std::iter::once(at_place).chain(before).filter(is_word);
    words.find_map(|word| {
        let close = KEYWORDS.into_iter().find(|keyword| like(word, keyword))?;
        Some(format!("did you mean `{close}` where `{word}` stands?"))
    })
}

fn schema_problem(error: &SchemaError) -> Problem {
    match error {
        SchemaError::FieldNotFound {
            field,
            valid_fields,
        } => {
            let mut problem = Problem::new(
                codes::UNKNOWN_COLUMN,
                format!("column `{}` not found", unqualified(&field.flat_name())),
            );
            let names: Vec<&str> = valid_fields.iter().map(|c| c.name.as_str()).collect();
            if let Some(close) = closest(field.name(), &names) {
                problem.help.push(format!("did you mean `{close}`?"));
            }
            if !names.is_empty() {
                let shown: Vec<String> = names.iter().take(12).map(|n| format!("`{n}`")).collect();
                let more = names.len().saturating_sub(12);
                let tail = if more > 0 {
                    format!(" and {more} more")
                } else {
                    String::new()
                };
                problem
                    .notes
                    .push(format!("columns here: {}{tail}", shown.join(", ")));
            }
            problem
        }
        SchemaError::AmbiguousReference { field } => {
            let mut p = Problem::new(
                codes::AMBIGUOUS_COLUMN,
                format!("column `{}` is ambiguous", unqualified(&field.flat_name())),
            );
            p.help
                .push("put the table's name or alias in front of it".to_owned());
            p
        }
        SchemaError::DuplicateQualifiedField { name, .. }
        | SchemaError::DuplicateUnqualifiedField { name } => {
            let mut p = Problem::new(
                codes::DUPLICATE_COLUMN,
                format!("two columns are called `{name}`"),
            );
            p.help
                .push("give one of them another name with `AS`".to_owned());
            p
        }
    }
}

fn planned(text: &str, whole: &DataFusionError) -> Problem {
    if let Some(name) = capture(&UNKNOWN_FUNCTION, text) {
        let mut p = Problem::new(
            codes::UNKNOWN_FUNCTION,
            format!("function `{name}` does not exist"),
        );
        if let Some((_, close)) = text.split_once("Did you mean '") {
            p.help
                .push(format!("did you mean `{}`?", close.trim_end_matches("'?")));
        }
        return p;
    }
    if let Some(name) = capture(&UNKNOWN_TABLE, text) {
        return Problem::new(
            codes::UNKNOWN_RELATION,
            format!("relation `{}` not found", unqualified(&name)),
        );
    }
    let diagnosed = whole.diagnostic().map_or("", |d| d.message.as_str());
    if diagnosed.contains("GROUP BY") || text.contains("must appear in the GROUP BY clause") {
        if let Some(column) = capture(&NOT_GROUPED, diagnosed) {
            let column = unqualified(&column);
            let mut p = Problem::new(
                codes::NOT_GROUPED,
                format!("`{column}` is neither grouped nor aggregated"),
            );
            p.help.push(format!(
                "add it to `GROUP BY`, or say which of its values is meant, such as `max({column})`"
            ));
            return p;
        }
        let mut p = Problem::new(
            codes::NOT_GROUPED,
            lower_first(first_sentence(if diagnosed.is_empty() {
                text
            } else {
                diagnosed
            })),
        );
        p.help.extend(
            whole
                .diagnostic()
                .iter()
                .flat_map(|d| d.helps.iter().map(|h| lower_first(&h.message))),
        );
        return p;
    }
    if let Some(caps) = NO_MATCH.as_ref().and_then(|r| r.captures(text)) {
        let call = caps.get(1).map_or("", |m| m.as_str());
        let mut p = Problem::new(
            codes::TYPE_MISMATCH,
            format!("no function takes these types: `{call}`"),
        );
        p.notes
            .extend(candidates(caps.get(2).map_or("", |m| m.as_str())));
        return p;
    }
    if let Some(name) = capture(&COERCE, text).or_else(|| capture(&SIGNATURE, text)) {
        return Problem::new(
            codes::TYPE_MISMATCH,
            format!(
                "function `{name}` does not take these arguments: {}",
                sentence(text)
            ),
        );
    }
    if let Some(operation) = capture(&NO_OPERATOR, text) {
        let mut p = Problem::new(
            codes::TYPE_MISMATCH,
            format!("there is no `{operation}`: the types do not go together"),
        );
        p.help
            .push("say with `CAST(… AS …)` what one of them is to be taken for".to_owned());
        return p;
    }
    if diagnosed == "expressions have incompatible types" {
        return Problem::new(codes::TYPE_MISMATCH, sentence(text));
    }
    let kind = if ["coerce", "type", "cast", "Cast", "boolean"]
        .iter()
        .any(|w| text.contains(w))
    {
        codes::TYPE_MISMATCH
    } else {
        codes::CANNOT_BIND
    };
    let mut problem = Problem::new(kind, sentence(text));
    if text.contains("UNION queries have different number of columns") {
        "the arms of this `UNION` have different numbers of columns"
            .clone_into(&mut problem.message);
        problem
            .help
            .push("select the same columns in the same order in each of them".to_owned());
    }
    problem
}

/// A name without the catalog and schema that `ref` puts in front of it.
fn unqualified(name: &str) -> String {
    match QUALIFIER.as_ref() {
        Some(qualifier) => qualifier.replace(name, "").into_owned(),
        None => name.to_owned(),
    }
}

fn capture(regex: &LazyLock<Option<Regex>>, text: &str) -> Option<String> {
    regex
        .as_ref()?
        .captures(text)?
        .get(1)
        .map(|m| m.as_str().to_owned())
}

fn candidates(tail: &str) -> Option<String> {
    let (_, list) = tail.split_once("Candidate functions:")?;
    let shown: Vec<&str> = list
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .take(3)
        .collect();
    (!shown.is_empty()).then(|| format!("it takes: {}", shown.join(", ")))
}

fn first_sentence(text: &str) -> &str {
    text.split_once('\n').map_or(text, |(first, _)| first)
}

fn sentence(text: &str) -> String {
    let text = text
        .trim()
        .trim_start_matches("Error during planning: ")
        .trim_start_matches("Internal error: ")
        .trim_start_matches("Execution error: ");
    let text = text
        .split("This issue was likely caused by a bug")
        .next()
        .unwrap_or(text);
    lower_first(first_sentence(text).trim_end_matches('.'))
}

fn lower_first(text: &str) -> String {
    let mut chars = text.chars();
    let Some(first) = chars.next() else {
        return String::new();
    };
    // An acronym keeps its capitals.
    if chars.clone().next().is_some_and(char::is_uppercase) {
        return text.to_owned();
    }
    first.to_lowercase().chain(chars).collect()
}

/// The candidate most like `name`, if one is like it at all.
#[must_use]
pub fn closest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    candidates
        .iter()
        .map(|c| {
            (
                strsim::jaro_winkler(&name.to_lowercase(), &c.to_lowercase()),
                *c,
            )
        })
        .filter(|(score, c)| *score >= 0.8 && *c != name)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, c)| c)
}
