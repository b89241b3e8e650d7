//! `syncs/*.yml`: the deliveries.

use std::collections::BTreeMap;

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity, SourceMap};
use crate::located::{Located, Value, ValueKind};
use crate::mapping::{MappedField, Mapping};
use crate::node::{NodeId, ResourceType};
use crate::schedule::{Schedule, parse_interval};
use crate::sync::{
    FirstRun, Guard, LogPayload, OnLeave, Reference, Resend, RetryWaits, Sync, SyncMode,
};

use super::fields::Fields;
use super::generic_tests::invalid_word;
use super::{mapping, schedules};

pub(super) const KEYS: &[&str] = &[
    "name",
    "description",
    "from",
    "connection",
    "object",
    "mode",
    "key",
    "mapping",
    "nulls",
    "unit_tests",
    "purposes",
    "on_leave",
    "first_run",
    "resend",
    "guards",
    "retry",
    "mirror_scope",
    "log_payload",
    "batch_size",
    "schedule",
    "tags",
    "enabled",
];

const GUARDS: &[&str] = &["max_removals", "max_changes", "max_rejected"];
/// A guard on what the destination refuses, which is always a share.
const MAX_REJECTED: &str = "max_rejected";

/// What could be read of a sync, so that the checks across files also see one with mistakes.
pub(super) struct Declared {
    pub(super) name: Option<Located<String>>,
    pub(super) from: Option<Located<String>>,
    pub(super) input: Option<Reference>,
    pub(super) connection: Option<Located<String>>,
    pub(super) mode: Option<Located<SyncMode>>,
    pub(super) on_leave: Option<Located<OnLeave>>,
    pub(super) purposes: Vec<Located<String>>,
}

/// Where what is read goes.
type Target<'a> = (
    &'a mut Vec<Sync>,
    &'a mut BTreeMap<NodeId, Schedule>,
    &'a mut Vec<Declared>,
);

/// Reads one file of `package`.
pub(super) fn read(
    value: &Value,
    package: &str,
    files: &SourceMap,
    (syncs, schedules, declared): Target<'_>,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(fields) = Fields::of(value, "a syncs file", problems) else {
        return;
    };
    fields.check_keys(&["version", "syncs"], Severity::Error, problems);
    for item in fields.list("syncs", problems) {
        let Some((sync, schedule)) = sync(item, package, files, declared, problems) else {
            continue;
        };
        match syncs.iter().find(|other| other.id == sync.id) {
            Some(first) => problems.push(
                Diagnostic::error(
                    codes::DUPLICATE_NAME,
                    format!("there are two syncs `{}`", sync.name.value),
                    sync.name.span,
                )
                .with_related(first.name.span, "the other one"),
            ),
            None => {
                schedules.extend(schedule.map(|schedule| (sync.id.clone(), schedule)));
                syncs.push(sync);
            }
        }
    }
}

fn sync(
    item: &Value,
    package: &str,
    files: &SourceMap,
    declared: &mut Vec<Declared>,
    problems: &mut Vec<Diagnostic>,
) -> Option<(Sync, Option<Schedule>)> {
    let fields = Fields::of(item, "a sync", problems)?;
    fields.check_keys(KEYS, Severity::Error, problems);
    // All of it is read before the first missing part ends it, so that all is reported.
    let name = fields.required_text("name", problems);
    if let Some(name) = &name {
        check_name("sync", name, problems);
    }
    let from = fields.required_text("from", problems);
    let input = from.as_ref().and_then(|from| reference(from, problems));
    let connection = fields.required_text("connection", problems);
    let object = fields.required_text("object", problems);
    let mode = fields.required_text("mode", problems).and_then(|word| {
        let mode = SyncMode::ALL
            .into_iter()
            .find(|mode| mode.as_str() == word.value);
        if mode.is_none() {
            let words = SyncMode::ALL.map(SyncMode::as_str);
            problems.push(invalid_word("mode", &word.value, word.span, &words));
        }
        Some(Located::new(mode?, word.span))
    });
    let written = fields.required("key", problems);
    let key = expressions(&fields, "key", files, problems);
    if written.is_some_and(|value| matches!(&value.kind, ValueKind::Map(e) if e.is_empty())) {
        problems.push(
            Diagnostic::error(
                codes::INVALID_SYNC,
                "a sync needs at least one key field",
                fields.key_span("key"),
            )
            .with_help("name the field of the destination that tells its rows apart"),
        );
    }
    let mut mapping = mapping::read(&fields, files, problems);
    let unit_tests = mapping::tests(&fields, problems);
    // What is said here is not to be said again of the columns of its query.
    mapping.fields.retain(|MappedField { field, .. }| {
        let Some((first, _)) = key.iter().find(|(k, _)| k.value == field.value) else {
            return true;
        };
        problems.push(
            Diagnostic::error(
                codes::DUPLICATE_FIELD,
                format!("the field `{}` is set twice", field.value),
                field.span,
            )
            .with_related(first.span, "it is a key field")
            .with_help("leave it out of `mapping`, key fields are always sent"),
        );
        false
    });
    let on_leave = on_leave(&fields, mode.as_ref(), problems);
    let first_run = choice(
        &fields,
        "first_run",
        &FirstRun::ALL,
        FirstRun::as_str,
        problems,
    );
    let resend = choice(&fields, "resend", &Resend::ALL, Resend::as_str, problems);
    let guards = guards(&fields, problems);
    let log_payload = log_payload(&fields, &mapping, problems);
    let retry = retry(&fields, problems);
    let mirror_scope = mirror_scope(&fields, &key, mode.as_ref(), problems);
    let batch_size = batch_size(&fields, problems);
    let schedule = schedules::of_sync(&fields, problems);
    let purposes = fields.texts("purposes", problems);
    let tags = fields.texts("tags", problems);
    let enabled = fields.boolean("enabled", problems).unwrap_or(true);
    let description = fields.text("description", problems);
    declared.push(Declared {
        name: name.clone(),
        from: from.clone(),
        input: input.clone(),
        connection: connection.clone(),
        mode: mode.clone(),
        on_leave: on_leave.clone(),
        purposes: purposes.clone(),
    });
    let name = name?;
    let sync = Sync {
        id: NodeId::new(ResourceType::Sync, &[package, &name.value]),
        package: package.to_owned(),
        name,
        from: from?,
        input: input?,
        description,
        connection: connection?,
        object: object?,
        on_leave: on_leave?,
        mode: mode?,
        key,
        mapping,
        unit_tests,
        purposes,
        first_run,
        resend,
        guards,
        retry,
        mirror_scope,
        log_payload,
        batch_size,
        tags,
        enabled,
        span: item.span,
    };
    Some((sync, schedule))
}

/// One of a few words; the default if the key is missing or wrong.
pub(super) fn choice<T: Copy + Default>(
    fields: &Fields<'_>,
    key: &str,
    all: &[T],
    word_of: fn(T) -> &'static str,
    problems: &mut Vec<Diagnostic>,
) -> T {
    let Some(word) = fields.text(key, problems) else {
        return T::default();
    };
    let found = all.iter().find(|value| word_of(**value) == word.value);
    if found.is_none() {
        let words: Vec<&str> = all.iter().map(|value| word_of(*value)).collect();
        problems.push(invalid_word(key, &word.value, word.span, &words));
    }
    found.copied().unwrap_or_default()
}

/// Names of syncs become folders of the lake.
pub(super) fn check_name(what: &str, name: &Located<String>, problems: &mut Vec<Diagnostic>) {
    let valid = !name.value.is_empty()
        && name
            .value
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    if !valid {
        problems.push(
            Diagnostic::error(
                codes::INVALID_NAME,
                format!("`{}` cannot be the name of a {what}", name.value),
                name.span,
            )
            .with_help("use letters, digits, `_` and `-`"),
        );
    }
}

fn reference(from: &Located<String>, problems: &mut Vec<Diagnostic>) -> Option<Reference> {
    let parsed = Reference::parse(&from.value);
    if parsed.is_none() {
        let diagnostic = Diagnostic::error(
            codes::INVALID_VALUE,
            "`from` must be `ref('model')` or `source('source', 'table')`",
            from.span,
        );
        let bare = from
            .value
            .chars()
            .all(|c| c.is_alphanumeric() || c == '_' || c == '-');
        problems.push(if bare {
            diagnostic.with_help(format!("write `ref('{}')`", from.value))
        } else {
            diagnostic
        });
    }
    parsed
}

/// Destination field → SQL expression.
fn expressions(
    fields: &Fields<'_>,
    key: &str,
    files: &SourceMap,
    problems: &mut Vec<Diagnostic>,
) -> Vec<(Located<String>, Located<String>)> {
    let mut found = vec![];
    for (field, value) in fields.map(key, problems) {
        if let Some(expression) = mapping::expression(field, value, files, problems) {
            found.push((field.clone(), expression));
        }
    }
    found
}

fn on_leave(
    fields: &Fields<'_>,
    mode: Option<&Located<SyncMode>>,
    problems: &mut Vec<Diagnostic>,
) -> Option<Located<OnLeave>> {
    if fields.get("on_leave").is_none() {
        let rule = match mode.map(|mode| mode.value) {
            Some(SyncMode::Mirror) => OnLeave::Delete,
            _ => OnLeave::Keep,
        };
        let span = mode.map_or_else(|| fields.head(), |mode| mode.span);
        return Some(Located::new(rule, span));
    }
    let word = fields.text("on_leave", problems)?;
    let Some(rule) = OnLeave::ALL
        .into_iter()
        .find(|rule| rule.as_str() == word.value)
    else {
        let words = OnLeave::ALL.map(OnLeave::as_str);
        problems.push(invalid_word("on_leave", &word.value, word.span, &words));
        return None;
    };
    if let Some(mode) = mode
        && mode.value != SyncMode::Mirror
        && rule != OnLeave::Keep
    {
        problems.push(
            Diagnostic::error(
                codes::INVALID_SYNC,
                format!(
                    "`on_leave: {}` needs `mode: mirror`, only a mirror follows the rows that leave",
                    rule.as_str()
                ),
                word.span,
            )
            .with_related(mode.span, "the mode"),
        );
    }
    Some(Located::new(rule, word.span))
}

fn guards(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> BTreeMap<String, Located<Guard>> {
    let mut guards = BTreeMap::new();
    let Some(value) = fields.get("guards") else {
        return guards;
    };
    let Some(below) = Fields::of(value, "`guards`", problems) else {
        return guards;
    };
    below.check_keys(GUARDS, Severity::Error, problems);
    for (key, value) in below.entries() {
        if !GUARDS.contains(&key.value.as_str()) {
            continue;
        }
        match guard(value) {
            Some(Guard::Rows(_)) if key.value == MAX_REJECTED => problems.push(
                Diagnostic::error(
                    codes::INVALID_VALUE,
                    format!("`{}` must be a share of the rows that were sent", key.value),
                    value.span,
                )
                .with_help("write it like `20%`"),
            ),
            Some(guard) => {
                guards.insert(key.value.clone(), Located::new(guard, value.span));
            }
            None => problems.push(
                Diagnostic::error(
                    codes::INVALID_VALUE,
                    format!("`{}` must be a number of rows or a share", key.value),
                    value.span,
                )
                .with_help("write it like `1000` or `10%`"),
            ),
        }
    }
    guards
}

fn guard(value: &Value) -> Option<Guard> {
    match &value.kind {
        ValueKind::Int(rows) => u64::try_from(*rows).ok().map(Guard::Rows),
        ValueKind::String(text) => {
            let percent: f64 = text.strip_suffix('%')?.trim().parse().ok()?;
            (0.0..=100.0)
                .contains(&percent)
                .then_some(Guard::Share(percent / 100.0))
        }
        _ => None,
    }
}

/// `retry:`, of which every part may be missing.
fn retry(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> RetryWaits {
    let mut waits = RetryWaits::default();
    let Some(value) = fields.get("retry") else {
        return waits;
    };
    let Some(below) = Fields::of(value, "`retry`", problems) else {
        return waits;
    };
    below.check_keys(&["first", "longest", "attempts"], Severity::Error, problems);
    for (key, wait) in [("first", &mut waits.first), ("longest", &mut waits.longest)] {
        let Some(text) = below.text(key, problems) else {
            continue;
        };
        match parse_interval(&text.value) {
            Some(parsed) => *wait = parsed,
            None => problems.push(
                Diagnostic::error(
                    codes::INVALID_VALUE,
                    format!("`{key}` must be a length of time"),
                    text.span,
                )
                .with_help("write it like `90s`, `15m`, `2h` or `1d`"),
            ),
        }
    }
    if let Some(value) = below.get("attempts") {
        let number = match &value.kind {
            ValueKind::Int(number) => u32::try_from(*number).ok().filter(|number| *number > 0),
            _ => None,
        };
        match number {
            Some(number) => waits.attempts = number,
            None => problems.push(Diagnostic::error(
                codes::INVALID_VALUE,
                "`attempts` must be a whole number above 0",
                value.span,
            )),
        }
    }
    if waits.longest < waits.first {
        problems.push(Diagnostic::error(
            codes::INVALID_SYNC,
            "the longest wait is shorter than the first",
            below.key_span("longest"),
        ));
    }
    waits
}

/// `mirror_scope:`: fields of the key, of a mirror.
fn mirror_scope(
    fields: &Fields<'_>,
    key: &[(Located<String>, Located<String>)],
    mode: Option<&Located<SyncMode>>,
    problems: &mut Vec<Diagnostic>,
) -> Vec<Located<String>> {
    let scope = fields.texts("mirror_scope", problems);
    let known: Vec<&str> = key.iter().map(|(field, _)| field.value.as_str()).collect();
    for field in &scope {
        if !known.contains(&field.value.as_str()) {
            problems.push(invalid_word(
                "mirror_scope",
                &field.value,
                field.span,
                &known,
            ));
        }
    }
    if let (Some(first), Some(mode)) = (scope.first(), mode)
        && mode.value != SyncMode::Mirror
    {
        problems.push(
            Diagnostic::error(
                codes::INVALID_SYNC,
                "`mirror_scope` needs `mode: mirror`, only a mirror follows the rows that leave",
                first.span,
            )
            .with_related(mode.span, "the mode"),
        );
    }
    scope
}

/// `all`, `none` or a list of mapped fields.
fn log_payload(
    fields: &Fields<'_>,
    mapping: &Mapping,
    problems: &mut Vec<Diagnostic>,
) -> LogPayload {
    match fields.get("log_payload").map(|value| &value.kind) {
        None => LogPayload::Nothing,
        Some(ValueKind::List(_)) => {
            let named = fields.texts("log_payload", problems);
            let mapped: Vec<&str> = mapping
                .fields
                .iter()
                .map(|mapped| mapped.field.value.as_str())
                .collect();
            for field in named.iter().filter(|_| mapping.all.is_none()) {
                if !mapped.contains(&field.value.as_str()) {
                    problems.push(invalid_word(
                        "log_payload",
                        &field.value,
                        field.span,
                        &mapped,
                    ));
                }
            }
            LogPayload::Fields(named)
        }
        Some(_) => match fields.text("log_payload", problems) {
            Some(word) if word.value == "all" => LogPayload::Everything,
            Some(word) if word.value != "none" => {
                let words = ["all", "none"];
                problems.push(invalid_word("log_payload", &word.value, word.span, &words));
                LogPayload::Nothing
            }
            _ => LogPayload::Nothing,
        },
    }
}

fn batch_size(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> Option<Located<u64>> {
    let value = fields.get("batch_size")?;
    let rows = match &value.kind {
        ValueKind::Int(rows) => u64::try_from(*rows).ok().filter(|rows| *rows > 0),
        _ => None,
    };
    if rows.is_none() {
        problems.push(Diagnostic::error(
            codes::INVALID_VALUE,
            "`batch_size` must be a whole number above 0",
            value.span,
        ));
    }
    Some(Located::new(rows?, value.span))
}
