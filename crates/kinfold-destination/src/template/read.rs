//! YAML → templates, with a diagnostic for everything that is wrong.

use kinfold_project::{Diagnostic, Located, SourceMap, Span, Value, ValueKind, suggest};

use super::{Each, Entry, Jwt, JwtAlgorithm, Over, Part, Template, Text};
use crate::codes;
use crate::expression::{Expression, Kind, Names, Problem, Root, Type};

/// The markers of templates, in the order of the reference.
pub(crate) const MARKERS: &[(&str, &str)] = &[
    (
        "$each",
        "`rows`, or an expression that is a list or an object: makes a list with one `$item` for each; inside another list its items are spliced in",
    ),
    ("$item", "beside `$each`: what each becomes"),
    (
        "$if",
        "beside `$each`: only those for which this condition holds",
    ),
    (
        "$join",
        "beside `$each`: the items as one text with this between them",
    ),
    (
        "$name",
        "beside `$each`: an object in the place of the list; each item is the field of this name, without one it is left out, and of two with one name the later counts",
    ),
    (
        "$spread",
        "the fields of this object become those of the mapping around",
    ),
    (
        "$text",
        "the texts of the list below as one text; null if one of them is null",
    ),
    ("$json", "the value below as the text of its JSON"),
    (
        "$jwt",
        "a signed token: `algorithm` (`RS256`, `ES256` or `HS256`), `key`, `claims`, and `header` for further fields of its header",
    ),
];

/// What is needed to read a part of a manifest.
pub(crate) struct Reading<'a> {
    /// The files, to find the place of an expression inside a text.
    pub(crate) files: &'a SourceMap,
    /// Where problems go.
    pub(crate) problems: &'a mut Vec<Diagnostic>,
}

impl Reading<'_> {
    pub(crate) fn error(
        &mut self,
        code: kinfold_project::Code,
        message: impl Into<String>,
        span: Span,
    ) {
        self.problems.push(Diagnostic::error(code, message, span));
    }

    /// An expression that is the whole of a YAML value.
    pub(crate) fn expression(
        &mut self,
        value: &Value,
        names: &Names<'_>,
    ) -> Option<(Expression, Type)> {
        let text = match &value.kind {
            ValueKind::String(text) => text.clone(),
            ValueKind::Null | ValueKind::Bool(_) | ValueKind::Int(_) | ValueKind::Float(_) => {
                value.to_json().to_string()
            }
            ValueKind::List(_) | ValueKind::Map(_) => {
                let problem = Diagnostic::error(
                    codes::WRONG_TYPE,
                    "this must be an expression, which is text",
                    value.span,
                );
                self.problems.push(problem);
                return None;
            }
        };
        self.parse(&text, value.span, names)
    }

    /// A condition.
    pub(crate) fn condition(&mut self, value: &Value, names: &Names<'_>) -> Option<Expression> {
        let (expression, kind) = self.expression(value, names)?;
        if kind.kind == Kind::Bool {
            return Some(expression);
        }
        let message = format!("this must be a condition and is {}", kind.kind.as_str());
        let help = "compare it with something: `… == true`, `… != null`";
        let problem = Diagnostic::error(codes::EXPRESSION, message, value.span);
        self.problems.push(problem.with_help(help));
        None
    }

    fn parse(&mut self, text: &str, span: Span, names: &Names<'_>) -> Option<(Expression, Type)> {
        match Expression::parse(text, names) {
            Ok(found) => Some(found),
            Err(problem) => {
                self.report(text, span, problem);
                None
            }
        }
    }

    /// Puts a problem at its place: where the expression stands in the source, if it is written there as it is.
    fn report(&mut self, text: &str, span: Span, problem: Problem) {
        let source = self.files.text(span);
        let place = source
            .find(text)
            .filter(|_| !text.is_empty())
            .map_or(span, |at| {
                let start = span.start as usize + at + problem.range.start;
                let end = start + problem.range.len().max(1);
                Span::new(span.file, start, end.min(span.end as usize))
            });
        let diagnostic = Diagnostic::error(codes::EXPRESSION, problem.message, place);
        self.problems.push(match problem.help {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        });
    }

    /// A text with expressions in it, and whether it holds a secret.
    pub(crate) fn text(&mut self, value: &Value, names: &Names<'_>) -> Option<(Text, bool)> {
        let text = match &value.kind {
            ValueKind::String(text) => text.clone(),
            ValueKind::Bool(_) | ValueKind::Int(_) | ValueKind::Float(_) => {
                value.to_json().to_string()
            }
            ValueKind::Null | ValueKind::List(_) | ValueKind::Map(_) => {
                self.error(codes::WRONG_TYPE, "this must be text", value.span);
                return None;
            }
        };
        self.text_of(&text, value.span, names)
    }

    pub(crate) fn text_of(
        &mut self,
        text: &str,
        span: Span,
        names: &Names<'_>,
    ) -> Option<(Text, bool)> {
        let mut parts = Vec::new();
        let mut secret = false;
        let mut sound = true;
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            if !before.is_empty() {
                parts.push(Part::Plain(before.to_owned()));
            }
            let Some((inside, after)) = split_end(after) else {
                let problem = Diagnostic::error(codes::EXPRESSION, "this `{{` has no `}}`", span);
                self.problems.push(problem);
                return None;
            };
            match self.parse(inside.trim(), span, names) {
                Some((_, kind)) if !kind.kind.is_scalar() => {
                    let help = match kind.kind {
                        Kind::Time => "choose a form: `| iso`, `| epoch` or `| date('%Y-%m-%d')`",
                        _ => "make a text of it: `| join(',')` or `| json`",
                    };
                    let message = format!("{} cannot be a part of a text", kind.kind.as_str());
                    let problem = Diagnostic::error(codes::EXPRESSION, message, span);
                    self.problems.push(problem.with_help(help));
                    sound = false;
                }
                Some((expression, kind)) => {
                    secret |= kind.secret;
                    parts.push(Part::Expression(expression));
                }
                None => sound = false,
            }
            rest = after;
        }
        if !rest.is_empty() {
            parts.push(Part::Plain(rest.to_owned()));
        }
        sound.then_some((Text { parts }, secret))
    }

    /// A template.
    pub(crate) fn template(&mut self, value: &Value, names: &Names<'_>) -> Option<Template> {
        match &value.kind {
            ValueKind::Null | ValueKind::Bool(_) | ValueKind::Int(_) | ValueKind::Float(_) => {
                Some(Template::Literal(value.to_json()))
            }
            ValueKind::String(text) => self.scalar(text, value.span, names),
            ValueKind::List(items) => {
                let read: Vec<_> = items
                    .iter()
                    .map(|item| self.template(item, names))
                    .collect();
                read.into_iter()
                    .collect::<Option<Vec<_>>>()
                    .map(Template::List)
            }
            ValueKind::Map(entries) => self.mapping(value, entries, names),
        }
    }

    fn scalar(&mut self, text: &str, span: Span, names: &Names<'_>) -> Option<Template> {
        if !text.contains("{{") {
            return Some(Template::Literal(text.into()));
        }
        let whole = text.trim();
        let inside = whole.strip_prefix("{{").and_then(split_end);
        if let Some((inside, "")) = inside {
            let (expression, kind) = self.parse(inside.trim(), span, names)?;
            if kind.kind == Kind::Time {
                let problem = Diagnostic::error(
                    codes::EXPRESSION,
                    "a time is sent in many forms, and this does not say in which",
                    span,
                );
                let help = "choose one: `| iso`, `| epoch` or `| date('%Y-%m-%d')`";
                self.problems.push(problem.with_help(help));
                return None;
            }
            return Some(Template::Expression(expression));
        }
        self.text_of(text, span, names)
            .map(|(text, _)| Template::Text(text))
    }

    fn mapping(
        &mut self,
        value: &Value,
        entries: &[(Located<String>, Value)],
        names: &Names<'_>,
    ) -> Option<Template> {
        let mut sound = true;
        let has = |marker: &str| entries.iter().any(|(key, _)| key.value == marker);
        for (key, _) in entries
            .iter()
            .filter(|(key, _)| key.value.starts_with('$') && !key.value.starts_with("$$"))
        {
            let known = MARKERS.iter().map(|(marker, _)| *marker);
            if !known.clone().any(|marker| marker == key.value) {
                let message = format!("there is no marker `{}`", key.value);
                let mut problem = Diagnostic::error(codes::UNKNOWN_KEY, message, key.span);
                problem = match suggest::did_you_mean(&key.value, known.clone()) {
                    Some(help) => problem.with_help(help),
                    None => problem.with_help(format!("there is {}", suggest::one_of(known))),
                };
                self.problems.push(problem);
                sound = false;
            }
        }
        let alone = |reading: &mut Self, marker: &str, allowed: &[&str]| {
            let stranger = entries
                .iter()
                .find(|(key, _)| key.value != marker && !allowed.contains(&key.value.as_str()));
            if let Some((key, _)) = stranger {
                let message = format!("`{}` cannot stand beside `{marker}`", key.value);
                reading.error(codes::UNKNOWN_KEY, message, key.span);
            }
            stranger.is_none()
        };
        if !sound {
            return None;
        }
        if has("$each") {
            let fits = alone(self, "$each", &["$item", "$if", "$join", "$name"]);
            return self.each(value, names).filter(|_| fits);
        }
        if has("$json") {
            let fits = alone(self, "$json", &[]);
            let inner = self.template(value.get("$json")?, names)?;
            return fits.then(|| Template::Json(Box::new(inner)));
        }
        if has("$text") {
            let fits = alone(self, "$text", &[]);
            let inner = self.template(value.get("$text")?, names)?;
            return fits.then(|| Template::Concat(Box::new(inner)));
        }
        if has("$jwt") {
            let fits = alone(self, "$jwt", &[]);
            return self.jwt(value.get("$jwt")?, names).filter(|_| fits);
        }
        let mut read = Vec::with_capacity(entries.len());
        for (key, value) in entries {
            let entry = match key.value.as_str() {
                "$spread" => self.template(value, names).map(Entry::Spread),
                "$item" | "$if" | "$join" | "$name" => {
                    let message = format!("`{}` needs `$each` beside it", key.value);
                    self.error(codes::MISSING_KEY, message, key.span);
                    None
                }
                name => {
                    // `$$set` is the field `$set`.
                    let name = name.strip_prefix('$').unwrap_or(name);
                    let (name, optional) = match name.strip_suffix('?') {
                        Some(name) => (name, true),
                        None => (name, false),
                    };
                    let name = self.text_of(name, key.span, names);
                    let value = self.template(value, names);
                    name.zip(value).map(|((name, _), value)| Entry::Field {
                        name,
                        optional,
                        value,
                    })
                }
            };
            match entry {
                Some(entry) => read.push(entry),
                None => sound = false,
            }
        }
        sound.then_some(Template::Map(read))
    }

    fn each(&mut self, value: &Value, names: &Names<'_>) -> Option<Template> {
        let over = value.get("$each")?;
        let mut roots = names.roots.to_vec();
        let over = if over.as_str() == Some("rows") {
            roots.push(Root::Row);
            Over::Rows
        } else {
            let (expression, kind) = self.expression(over, names)?;
            if !matches!(kind.kind, Kind::Any | Kind::List | Kind::Object) {
                let message = format!(
                    "`$each` goes through a list, this is {}",
                    kind.kind.as_str()
                );
                self.error(codes::EXPRESSION, message, over.span);
                return None;
            }
            roots.push(Root::Item);
            Over::Items(expression)
        };
        let names = names.at(&roots);
        let filter = match value.get("$if") {
            Some(filter) => Some(self.condition(filter, &names)?),
            None => None,
        };
        let Some(item) = value.get("$item") else {
            self.error(
                codes::MISSING_KEY,
                "`$each` needs `$item` beside it",
                value.span,
            );
            return None;
        };
        let item = self.template(item, &names)?;
        let join = value
            .get("$join")
            .and_then(Value::as_str)
            .map(str::to_owned);
        let name = match value.get("$name") {
            Some(name) if join.is_some() => {
                let message = "items become one text or one object, not both";
                self.error(codes::EXCLUSIVE, message, name.span);
                return None;
            }
            Some(name) => Some(self.text(name, &names)?.0),
            None => None,
        };
        Some(Template::Each(Box::new(Each {
            over,
            filter,
            item,
            join,
            name,
        })))
    }

    fn jwt(&mut self, value: &Value, names: &Names<'_>) -> Option<Template> {
        let word = value
            .get("algorithm")
            .and_then(Value::as_str)
            .unwrap_or("RS256");
        let algorithm = JwtAlgorithm::ALL
            .into_iter()
            .find(|known| known.as_str() == word);
        if algorithm.is_none() {
            let known = suggest::one_of(JwtAlgorithm::ALL.map(JwtAlgorithm::as_str));
            let message = format!("`algorithm` is {known}");
            self.error(codes::INVALID_VALUE, message, value.span);
        }
        let mut required = |key: &str| {
            let found = value.get(key);
            if found.is_none() {
                let message = format!("`$jwt` needs `{key}`");
                self.error(codes::MISSING_KEY, message, value.span);
            }
            found
        };
        let key = required("key");
        let claims = required("claims");
        let (key, _) = self.text(key?, names)?;
        let claims = self.template(claims?, names)?;
        let header = match value.get("header") {
            Some(header) => self.template(header, names)?,
            None => Template::Map(Vec::new()),
        };
        Some(Template::Jwt(Box::new(Jwt {
            algorithm: algorithm?,
            key,
            header,
            claims,
        })))
    }
}

/// What stands before the `}}` that ends an expression, and what comes after it. One in quotes ends nothing.
fn split_end(text: &str) -> Option<(&str, &str)> {
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match quote {
            Some(open) if c == open => quote = None,
            Some(_) => {}
            None if c == '\'' || c == '"' => quote = Some(c),
            None if text.get(at..).is_some_and(|rest| rest.starts_with("}}")) => {
                return Some((text.get(..at)?, text.get(at + 2..)?));
            }
            None => {}
        }
    }
    None
}
