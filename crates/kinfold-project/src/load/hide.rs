//! What excerpts of files with credentials do not show.
//!
//! Everything that is not known to be harmless is hidden: a mistyped key and a file that is not even YAML can hold a
//! password as well.

use crate::diagnostic::{FileId, SourceMap, Span};
use crate::located::{Located, Value, ValueKind};
use crate::template;
use crate::yaml::Scalars;

/// Values of these keys are never credentials, and seeing them helps.
const HARMLESS: [&str; 19] = [
    "version",
    "name",
    "kind",
    "type",
    "description",
    "format",
    "schema",
    "from",
    "ca_file",
    "timeout_seconds",
    "batch_size",
    "max_concurrency",
    "max_jobs",
    "requests_per_second",
    "rows_per_second",
    "receiver_deduplicates",
    "clear_with",
    "file",
    "command",
];

/// Hides the values of a file of connections, its comments, and what could not be read.
pub(super) fn connections(
    files: &mut SourceMap,
    file: FileId,
    value: Option<&Value>,
    scalars: &Scalars,
) {
    let Some(text) = files.get(file).map(|found| found.text.clone()) else {
        return;
    };
    let mut shown = vec![];
    for list in value.iter().flat_map(|value| entries(value)) {
        harmless(list, &mut shown);
        if let ValueKind::List(items) = &list.1.kind {
            for entry in items.iter().flat_map(entries) {
                harmless(entry, &mut shown);
                // One level below: where a secret comes from. Headers may have any name, `from` and `version` too.
                let inner = entries(&entry.1).iter();
                let sources = inner.filter(|(key, _)| matches!(&*key.value, "file" | "command"));
                sources.for_each(|source| harmless(source, &mut shown));
            }
        }
    }
    let mut end = 0;
    for span in &scalars.values {
        comments(files, file, &text, end, span.range().start);
        end = end.max(span.range().end);
        if !shown
            .iter()
            .any(|s| s.start <= span.start && span.end <= s.end)
        {
            literal(files, &text, *span);
        }
    }
    comments(files, file, &text, end, scalars.understood.max(end));
    unread(files, file, &text, scalars.understood);
}

/// Hides values whose places are known.
pub(super) fn values<'v>(
    files: &mut SourceMap,
    values: impl IntoIterator<Item = &'v Located<String>>,
) {
    for value in values {
        if let Some(text) = files.get(value.span.file).map(|found| found.text.clone()) {
            literal(files, &text, value.span);
        }
    }
}

fn entries(value: &Value) -> &[(Located<String>, Value)] {
    match &value.kind {
        ValueKind::Map(entries) => entries,
        _ => &[],
    }
}

fn harmless((key, value): &(Located<String>, Value), shown: &mut Vec<Span>) {
    if HARMLESS.contains(&key.value.as_str()) {
        shown.push(value.span);
    }
}

/// Hides a scalar but for expressions that name a variable and nothing else.
fn literal(files: &mut SourceMap, text: &str, span: Span) {
    let mut from = span.range().start;
    let to = span.range().end;
    while let Some(found) = text.get(from..to).and_then(template::plain_expression) {
        files.hide(Span::new(span.file, from, from + found.start));
        from += found.end;
    }
    files.hide(Span::new(span.file, from, to));
}

/// Hides comments between two values. What stands there is keys and punctuation, and a key with a ` #` in it is
/// hidden with the rest of its line.
fn comments(files: &mut SourceMap, file: FileId, text: &str, from: usize, to: usize) {
    let gap = text.get(from..to).unwrap_or("");
    let mut before = text.get(..from).and_then(|text| text.chars().next_back());
    let mut inside = None;
    for (at, c) in gap.char_indices() {
        if c == '\n' {
            if let Some(start) = inside.take() {
                files.hide(Span::new(file, from + start, from + at));
            }
        } else if c == '#' && inside.is_none() && before.is_none_or(char::is_whitespace) {
            inside = Some(at);
        }
        before = Some(c);
    }
    if let Some(start) = inside {
        files.hide(Span::new(file, from + start, to));
    }
}

/// Hides what follows the place at which reading ended, but for what looks like a key at the beginning of a line.
fn unread(files: &mut SourceMap, file: FileId, text: &str, from: usize) {
    let mut at = from;
    for line in text.get(from..).unwrap_or("").split_inclusive('\n') {
        let whole = at > from || at == 0 || text.get(..at).is_some_and(|t| t.ends_with('\n'));
        let key = line.split_once(':').map_or(0, |(key, _)| key.len());
        let is_key = line.get(..key).is_some_and(|key| {
            key.chars()
                .all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | ' '))
        });
        let shown = if whole && key > 0 && is_key {
            key + 1
        } else {
            0
        };
        files.hide(Span::new(file, at + shown, at + line.len()));
        at += line.len();
    }
}
