//! Rules: what answers and items mean.

use kinfold_project::{Value, ValueKind};

use super::super::describe::Block;
use super::super::fields::{Fields, wrong_type};
use super::super::{Rule, StatusRange, Verdict};
use crate::codes;
use crate::expression::Names;
use crate::template::Reading;

pub(super) fn rules(
    fields: &Fields<'_>,
    key: &str,
    block: &'static Block,
    names: &Names<'_>,
    reading: &mut Reading<'_>,
) -> Vec<Rule> {
    let mut found = Vec::new();
    for value in fields.blocks(key, reading) {
        found.extend(rule(value, block, names, reading));
    }
    found
}

fn rule(
    value: &Value,
    block: &'static Block,
    names: &Names<'_>,
    reading: &mut Reading<'_>,
) -> Option<Rule> {
    let fields = Fields::of(value, block, reading)?;
    let statuses = fields.get("status").map(|value| statuses(value, reading));
    let condition = fields.condition("if", names, reading);
    let wait = fields.wait("wait", names, reading);
    let message = fields.open_expression("message", names, reading);
    let is = fields.verdict("is", reading)?;
    if wait.is_some() && !matches!(is, Verdict::Throttled | Verdict::Pending) {
        let message = format!("`{}` does not wait", is.as_str());
        reading.error(codes::VERDICT, message, fields.span_of("wait"));
    }
    let unnamed = fields.verdict("unnamed", reading);
    if unnamed.is_some() && is != Verdict::Ok {
        let message = format!("`{}` reads no rows, so none is unnamed", is.as_str());
        reading.error(codes::VERDICT, message, fields.span_of("unnamed"));
    }
    Some(Rule {
        statuses: statuses.unwrap_or_default(),
        condition,
        is,
        unnamed,
        wait,
        message,
        span: fields.span,
    })
}

fn statuses(value: &Value, reading: &mut Reading<'_>) -> Vec<StatusRange> {
    let items: &[Value] = match &value.kind {
        ValueKind::List(items) => items,
        _ => std::slice::from_ref(value),
    };
    let mut found = Vec::new();
    for item in items {
        let range = match &item.kind {
            ValueKind::Int(code) => u16::try_from(*code)
                .ok()
                .filter(|code| (100..600).contains(code))
                .map(|code| StatusRange {
                    from: code,
                    to: code,
                }),
            ValueKind::String(text) => text
                .strip_suffix("xx")
                .and_then(|digit| digit.parse::<u16>().ok())
                .filter(|digit| (1..6).contains(digit))
                .map(|digit| StatusRange {
                    from: digit * 100,
                    to: digit * 100 + 99,
                }),
            _ => None,
        };
        match range {
            Some(range) => found.push(range),
            None => wrong_type(
                reading,
                "`status`",
                "a status from 100 to 599, or `4xx`",
                item,
            ),
        }
    }
    found
}
