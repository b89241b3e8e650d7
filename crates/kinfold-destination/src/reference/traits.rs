//! What can be said of a manifest as a whole: everything here is read from it, nothing is known of vendors.

use serde_json::Value;

use crate::expression::{Expression, Operator, Root, Step};
use crate::manifest::walk::{self, Node};
use crate::manifest::{AnswerForm, Call, Manifest, Match, Object, Operation, OperationName, Rule};
use crate::template::{Part, Template, Text};

/// How a request shows whose it is.
pub(super) fn auth(manifest: &Manifest) -> Vec<String> {
    let auth = &manifest.auth;
    let mut found = Vec::new();
    if auth.aws.is_some() {
        found.push("AWS Signature Version 4".to_owned());
    }
    if let Some(token) = &auth.token {
        let signed = walk::call(token, &|node| {
            matches!(node, Node::Template(Template::Jwt(_)))
        });
        let granted = |word: &str| walk::call(token, &|node| constants(node, &|text| text == word));
        let mut ways = Vec::new();
        for (is, way) in [
            (signed, "a signed JWT"),
            (granted("client_credentials"), "client credentials"),
            (granted("refresh_token"), "a refresh token"),
            (auth.rotates.is_some(), "which is renewed too"),
        ] {
            if is {
                ways.push(way);
            }
        }
        found.push(match ways.as_slice() {
            [] => "a token that is fetched".to_owned(),
            ways => format!(
                "token by {}",
                ways.join(" or ").replace(" or which", ", which")
            ),
        });
    }
    for (name, value) in &auth.headers {
        found.push(match (name.as_str(), scheme(value)) {
            ("authorization", Some(scheme)) => format!("`{scheme}`"),
            _ => format!("header `{name}`"),
        });
    }
    let query = auth.query.iter();
    found.extend(query.map(|(name, _)| format!("query `{name}`")));
    if found.is_empty() {
        found.push(if manifest.parameters.iter().any(|p| p.secret) {
            "in each request".to_owned()
        } else {
            "none".to_owned()
        });
    }
    found
}

/// The first word of `Bearer {{ … }}`.
fn scheme(value: &Text) -> Option<&str> {
    match value.parts.first() {
        Some(Part::Plain(text)) => text.split_whitespace().next(),
        _ => None,
    }
}

/// Whether a text that is always the same fits.
fn constants(node: Node<'_>, fits: &dyn Fn(&str) -> bool) -> bool {
    let literal = |value: &Value| value.as_str().is_some_and(fits);
    match node {
        Node::Template(Template::Literal(value)) => literal(value),
        Node::Template(Template::Text(text)) => text.as_plain().is_some_and(fits),
        Node::Template(_) => false,
        Node::Expression(expression) => {
            expression.any(&|part| matches!(part, Expression::Literal(value) if literal(value)))
        }
    }
}

/// Whether an object is a list of people or things: rows are put in and taken out, and fields are sent only to identify
/// them.
pub(super) fn is_audience(object: &Object) -> bool {
    let both = [OperationName::Upsert, OperationName::Delete]
        .iter()
        .all(|name| object.operation(*name).is_some());
    let changes = [OperationName::Insert, OperationName::Update]
        .iter()
        .any(|name| object.operation(*name).is_some());
    let mut calls = object
        .operations
        .iter()
        .flat_map(|(_, forms)| forms)
        .flat_map(|form| &form.calls);
    let sends_fields = |call: &Call| {
        walk::call(call, &|node| match node {
            Node::Template(_) => false,
            Node::Expression(expression) => expression.any(&|part| match part {
                Expression::Path(path) => {
                    // Beside identifiers stand what belongs to them: a country, a name.
                    path.root == Root::Row
                        && matches!(path.steps.first(), Some(Step::Field(name)) if name == "fields")
                        && (path.steps.len() == 1 || object.identifiers.is_empty())
                }
                _ => false,
            }),
        })
    };
    both && !changes && !calls.any(sends_fields)
}

/// How answers say which rows they refuse.
pub(super) fn attribution(form: &Operation) -> Vec<&'static str> {
    let results = form.job.iter().flat_map(|job| &job.results);
    let polls = form.job.iter().map(|job| &job.poll);
    let calls: Vec<&Call> = form.calls.iter().chain(polls).chain(results).collect();
    let mut found = Vec::new();
    for call in &calls {
        let file = matches!(call.answer, AnswerForm::Csv | AnswerForm::Ndjson);
        for reading in &call.readings {
            // What only looks something up refuses nobody.
            if reading.rules.is_empty() && call.reads {
                continue;
            }
            found.push(match &reading.by {
                _ if file => "result file",
                Match::Index(index) if index.any(&cuts_a_path) => "pointer",
                Match::Index(_) => "index",
                Match::Equal { .. } => "echo",
            });
        }
    }
    let refuses_by_count =
        |rule: &Rule| rule.condition.as_ref().is_some_and(|if_| if_.any(&counts));
    if found.is_empty() {
        found.push(match form.rows {
            1 => "one row a request",
            _ if calls
                .iter()
                .any(|call| call.rules.iter().any(refuses_by_count)) =>
            {
                "counts (halved)"
            }
            _ => "none (halved)",
        });
    }
    found
}

fn cuts_a_path(part: &Expression) -> bool {
    matches!(part, Expression::Call { function, .. } if function.name == "segment")
}

/// `… > 0`.
fn counts(part: &Expression) -> bool {
    match part {
        Expression::Compare {
            operator: Operator::Greater,
            right,
            ..
        } => matches!(&**right, Expression::Literal(zero) if zero.as_f64() == Some(0.0)),
        _ => false,
    }
}
