//! Calls: requests and how their answers are read.

use kinfold_project::{Located, Span, Value};

use super::super::fields::{Fields, refuse_secret};
use super::super::{
    AnswerForm, Body, Call, Content, Csv, Lists, Match, Pages, Part, Reading as RowReading,
    Verdict, blocks,
};
use super::rules::rules;
use super::{Known, check_list};
use crate::codes;
use crate::expression::{Names, Root};
use crate::template::{Reading, Template};

/// Where a call stands, and what it may look up there.
#[derive(Clone, Default)]
pub(super) struct Place {
    pub(super) roots: Vec<Root>,
    pub(super) kept: Vec<String>,
    pub(super) arguments: Vec<String>,
    pub(super) identifiers: Vec<String>,
    /// Whether there are rows.
    pub(super) rows: bool,
    /// Whether what it keeps is secret anyway.
    pub(super) secret: bool,
    /// Whether the job says what becomes of rows that are not named.
    pub(super) job: bool,
}

impl Place {
    pub(super) fn new(roots: &[Root]) -> Self {
        Self {
            roots: roots.to_vec(),
            ..Self::default()
        }
    }

    pub(super) fn secret(mut self) -> Self {
        self.secret = true;
        self
    }

    pub(super) fn names<'a>(&'a self, known: &'a Known, roots: &'a [Root]) -> Names<'a> {
        Names {
            roots,
            parameters: &known.parameters,
            auth: &known.auth,
            arguments: &self.arguments,
            kept: &self.kept,
            identifiers: &self.identifiers,
        }
    }

    fn with(&self, more: &[Root]) -> Vec<Root> {
        let mut roots = self.roots.clone();
        roots.extend(more);
        roots
    }
}

pub(super) fn calls(
    fields: &Fields<'_>,
    key: &str,
    place: &mut Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Vec<Call> {
    let mut found = Vec::new();
    for value in fields.blocks(key, reading) {
        let Some(call) = call(value, place, known, reading) else {
            // The calls after it would be said to use names that do not exist.
            return found;
        };
        place
            .kept
            .extend(call.keep.iter().map(|(name, _)| name.clone()));
        found.push(call);
    }
    found
}

pub(super) fn call(
    value: &Value,
    place: &Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Option<Call> {
    let before = reading.problems.len();
    let fields = Fields::of(value, &blocks::CALL, reading)?;
    let method = blocks::METHODS
        .iter()
        .find(|method| fields.get(method).is_some());
    let names = place.names(known, &place.roots);
    let url = method.and_then(|method| fields.template_text(method, &names, reading));
    let query = body_map(fields.map("query", reading), &names, reading);
    let headers = fields.text_map("headers", &names, reading);
    let body = body(&fields, place, known, reading);
    let when_roots = if place.rows {
        place.with(&[Root::Row])
    } else {
        place.roots.clone()
    };
    let when = fields.condition("when", &place.names(known, &when_roots), reading);
    let answer_roots = place.with(&[Root::Answer, Root::Status, Root::Header]);
    let answers = place.names(known, &answer_roots);
    let rules = rules(&fields, "rules", &blocks::RULE, &answers, reading);
    let readings = readings(&fields, place, known, reading);
    let unnamed = fields.verdict("unnamed", reading);
    if readings.is_empty() && unnamed.is_some() {
        reading.error(
            codes::UNUSED,
            "`unnamed` means nothing without `rows`",
            fields.span_of("unnamed"),
        );
    }
    for rule in rules.iter().filter(|rule| rule.unnamed.is_some()) {
        if readings.is_empty() {
            let message = "`unnamed` means nothing for a call without `rows`";
            reading.error(codes::UNUSED, message, rule.span);
        }
    }
    if fields.get("lists").is_some() && fields.get("form").is_none() {
        let message = "`lists` means nothing without `form`";
        reading.error(codes::UNUSED, message, fields.span_of("lists"));
    }
    let pages = pages(&fields, &answers, reading);
    let pick = pick(&fields, place, known, reading);
    let item_roots = place.with(&[Root::Answer, Root::Position, Root::Status, Root::Header]);
    let of_item = !readings.is_empty() || pick.is_some();
    let keep_names = if of_item {
        place.names(known, &item_roots)
    } else {
        answers
    };
    let mut keep = Vec::new();
    for (name, value) in fields.map("keep", reading) {
        super::check_name(&name.value, "the name of what is kept", name.span, reading);
        if let Some((expression, kind)) = reading.expression(value, &keep_names) {
            if !place.secret {
                refuse_secret(kind, "keep", value.span, reading);
            }
            keep.push((name.value.clone(), expression));
        }
    }
    let answer = match fields.word("answer", reading) {
        Some("csv") => AnswerForm::Csv,
        Some("ndjson") => AnswerForm::Ndjson,
        Some("text") => AnswerForm::Text,
        _ => AnswerForm::Json,
    };
    let sound = reading.problems.len() == before;
    let method = *method?;
    Some(Call {
        method: match method {
            "get" => "GET",
            "post" => "POST",
            "put" => "PUT",
            "patch" => "PATCH",
            _ => "DELETE",
        },
        url: url?,
        query: query?,
        headers,
        body: body?,
        content_type: fields.text("content_type", reading),
        when,
        reads: method == "get" || fields.flag("reads", reading) == Some(true),
        group: fields.text("group", reading),
        points: fields.count("points", reading).unwrap_or(1),
        rules,
        answer,
        readings,
        unnamed: unnamed.unwrap_or(Verdict::Ok),
        pages,
        pick,
        keep,
        span: fields.span,
    })
    .filter(|_| sound)
}

fn body_map(
    entries: &[(Located<String>, Value)],
    names: &Names<'_>,
    reading: &mut Reading<'_>,
) -> Option<Vec<(String, Template)>> {
    let read = entries.iter().map(|(name, value)| {
        let template = reading.template(value, names)?;
        Some((name.value.clone(), template))
    });
    read.collect()
}

fn body(
    fields: &Fields<'_>,
    place: &Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Option<Body> {
    let names = place.names(known, &place.roots);
    let Some(kind) = blocks::BODIES
        .iter()
        .find(|key| fields.written(key).is_some())
    else {
        return Some(Body::Empty);
    };
    Some(match *kind {
        "json" => Body::Json(reading.template(fields.written("json")?, &names)?),
        "form" => Body::Form(
            fields.template("form", &names, reading)?,
            lists(fields, reading),
        ),
        "csv" => Body::Csv(csv(fields.get("csv")?, place, known, reading)?),
        "ndjson" => Body::Ndjson(fields.template("ndjson", &names, reading)?),
        "text" => Body::Text(fields.template_text("text", &names, reading)?),
        _ => {
            let with_files = place.with(&[Root::Files]);
            let names = place.names(known, &with_files);
            let mut parts = Vec::new();
            for (name, value) in fields.map("multipart", reading) {
                let part = if value.get("file").is_some() {
                    file(value, place, known, reading)?
                } else {
                    Part::Field(reading.template(value, &names)?)
                };
                parts.push((name.value.clone(), part));
            }
            Body::Multipart(parts)
        }
    })
}

fn lists(fields: &Fields<'_>, reading: &mut Reading<'_>) -> Lists {
    match fields.word("lists", reading) {
        Some("brackets") => Lists::Brackets,
        Some("repeated") => Lists::Repeated,
        _ => Lists::Indexed,
    }
}

fn file(value: &Value, place: &Place, known: &Known, reading: &mut Reading<'_>) -> Option<Part> {
    let fields = Fields::of(value, &blocks::PART, reading)?;
    let names = place.names(known, &place.roots);
    let name = fields.template_text("file", &names, reading);
    let (content, usual) = if let Some(value) = fields.get("csv") {
        (Content::Csv(csv(value, place, known, reading)?), "text/csv")
    } else if let Some(value) = fields.get("ndjson") {
        (
            Content::Ndjson(reading.template(value, &names)?),
            "application/x-ndjson",
        )
    } else {
        (
            Content::Text(fields.template("content", &names, reading)?),
            "text/plain",
        )
    };
    let content_type = fields.text("content_type", reading);
    Some(Part::File {
        name: name?,
        content_type: content_type.unwrap_or_else(|| usual.to_owned()),
        content,
    })
}

fn csv(value: &Value, place: &Place, known: &Known, reading: &mut Reading<'_>) -> Option<Csv> {
    let fields = Fields::of(value, &blocks::CSV, reading)?;
    let roots = place.with(&[Root::Row]);
    let row = fields.template("row", &place.names(known, &roots), reading)?;
    if !place.rows {
        reading.error(codes::ROWS, "there are no rows here", fields.span);
        return None;
    }
    Some(Csv {
        row,
        null: fields.text("null", reading).unwrap_or_default(),
        line_end: match fields.word("line_end", reading) {
            Some("crlf") => "\r\n",
            _ => "\n",
        },
        header: fields.flag("header", reading) != Some(false),
    })
}

fn readings(
    fields: &Fields<'_>,
    place: &Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Vec<RowReading> {
    let mut found = Vec::new();
    let values = fields.blocks("rows", reading);
    if !values.is_empty() {
        if !place.rows {
            let message = "there are no rows here of which the answer could speak";
            reading.error(codes::ROWS, message, fields.span_of("rows"));
            return found;
        }
        if fields.get("unnamed").is_none() && !place.job {
            let message =
                "`rows` needs `unnamed`: the verdict of rows that the answer does not name";
            reading.error(codes::MISSING_KEY, message, fields.span_of("rows"));
        }
    }
    for value in values {
        found.extend(one_reading(value, place, known, reading));
    }
    found
}

fn one_reading(
    value: &Value,
    place: &Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Option<RowReading> {
    let fields = Fields::of(value, &blocks::READING, reading)?;
    let answer_roots = place.with(&[Root::Answer, Root::Status, Root::Header]);
    let item_roots = place.with(&[Root::Answer, Root::Position, Root::Status, Root::Header]);
    let row_roots = place.with(&[Root::Row]);
    let (items, kind) = fields.expression("items", &place.names(known, &answer_roots), reading)?;
    check_list(kind.kind, "items", fields.span_of("items"), reading);
    let of_item = place.names(known, &item_roots);
    let by = if fields.get("index").is_some() {
        Match::Index(fields.open_expression("index", &of_item, reading)?)
    } else {
        let item = fields.open_expression("item", &of_item, reading)?;
        let Some(row) = fields.open_expression("row", &place.names(known, &row_roots), reading)
        else {
            if fields.get("row").is_none() {
                reading.error(
                    codes::MISSING_KEY,
                    "`item` needs `row`: the value of the row",
                    fields.span,
                );
            }
            return None;
        };
        Match::Equal { item, row }
    };
    Some(RowReading {
        items,
        by,
        rules: rules(&fields, "rules", &blocks::ITEM_RULE, &of_item, reading),
    })
}

fn pages(fields: &Fields<'_>, names: &Names<'_>, reading: &mut Reading<'_>) -> Option<Pages> {
    let below = Fields::of(fields.get("pages")?, &blocks::PAGES, reading)?;
    if let Some(next) = below.open_expression("next", names, reading) {
        return Some(Pages::Next(next));
    }
    let mut query = Vec::new();
    for (name, value) in below.map("query", reading) {
        let (expression, _) = reading.expression(value, names)?;
        query.push((name.value.clone(), expression));
    }
    Some(Pages::Query(query))
}

fn pick(
    fields: &Fields<'_>,
    place: &Place,
    known: &Known,
    reading: &mut Reading<'_>,
) -> Option<(crate::expression::Expression, crate::expression::Expression)> {
    match (fields.get("items"), fields.get("pick")) {
        (None, None) => return None,
        (Some(_), Some(_)) => {}
        (Some(_), None) => return lonely("items", "pick", fields.span_of("items"), reading),
        (None, Some(_)) => return lonely("pick", "items", fields.span_of("pick"), reading),
    }
    if fields.get("rows").is_some() {
        let message = "a call cannot have both `rows` and `pick`";
        reading.error(codes::EXCLUSIVE, message, fields.span_of("pick"));
        return None;
    }
    let answer_roots = place.with(&[Root::Answer, Root::Status, Root::Header]);
    let item_roots = place.with(&[Root::Answer, Root::Position, Root::Status, Root::Header]);
    let (items, kind) = fields.expression("items", &place.names(known, &answer_roots), reading)?;
    check_list(kind.kind, "items", fields.span_of("items"), reading);
    let pick = fields.condition("pick", &place.names(known, &item_roots), reading)?;
    Some((items, pick))
}

fn lonely<T>(key: &str, other: &str, span: Span, reading: &mut Reading<'_>) -> Option<T> {
    let message = format!("`{key}` needs `{other}` beside it");
    reading.error(codes::MISSING_KEY, message, span);
    None
}
