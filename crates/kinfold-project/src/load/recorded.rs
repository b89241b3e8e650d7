//! `sources.lock.yml`: the columns of sources as `kinfold source snapshot` has recorded them.

use std::collections::BTreeMap;

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::located::{Value, ValueKind};
use crate::model::{RecordedSource, Source};
use crate::node::NodeId;
use crate::suggest;

use super::fields::{Fields, text, wrong_type};

/// The file, at the root of the project.
pub(super) const FILE: &str = "sources.lock.yml";

/// The newest form of the file.
const FORMAT: i64 = 1;

/// Reads the file. What is not a source any more is a warning.
pub(super) fn read(
    value: &Value,
    sources: &[Source],
    problems: &mut Vec<Diagnostic>,
) -> BTreeMap<NodeId, RecordedSource> {
    let mut recorded = BTreeMap::new();
    let Some(file) = Fields::of(value, "`sources.lock.yml`", problems) else {
        return recorded;
    };
    file.check_keys(&["format", "sources"], Severity::Error, problems);
    if let Some(format) = file.required("format", problems)
        && format.kind != ValueKind::Int(FORMAT)
    {
        problems.push(
            Diagnostic::error(
                codes::INVALID_VALUE,
                format!("this program reads format {FORMAT} of `sources.lock.yml`"),
                format.span,
            )
            .with_help("write it anew with `kinfold source snapshot`"),
        );
        return recorded;
    }
    for (name, value) in file.map("sources", problems) {
        let Some(entry) = entry(value, problems) else {
            continue;
        };
        let Some(source) = sources.iter().find(|s| s.id.as_str() == name.value) else {
            let message = format!("there is no `{}` any more", name.value);
            let problem = Diagnostic::warning(codes::UNUSED_PROPERTIES, message, name.span);
            let ids = sources.iter().map(|source| source.id.as_str());
            problems.push(match suggest::did_you_mean(&name.value, ids) {
                Some(help) => problem.with_help(help),
                None => problem.with_help("write the file anew with `kinfold source snapshot`"),
            });
            continue;
        };
        let entry = RecordedSource {
            place: name.span,
            ..entry
        };
        recorded.insert(source.id.clone(), entry);
    }
    recorded
}

fn entry(value: &Value, problems: &mut Vec<Diagnostic>) -> Option<RecordedSource> {
    let fields = Fields::of(value, "a recorded source", problems)?;
    fields.check_keys(&["version", "columns"], Severity::Error, problems);
    let version = match fields.get("version").map(|value| (value, &value.kind)) {
        None => None,
        Some((value, ValueKind::Int(number))) => match u64::try_from(*number) {
            Ok(version) => Some(version),
            Err(_) => {
                problems.push(wrong_type("`version`", "a version of a table", value));
                None
            }
        },
        Some((value, _)) => {
            problems.push(wrong_type("`version`", "a version of a table", value));
            None
        }
    };
    let columns = fields.map("columns", problems).iter();
    let columns = columns.filter_map(|(name, value)| {
        let data_type = text(value, "the type of a column", problems)?;
        Some((name.clone(), data_type))
    });
    Some(RecordedSource {
        columns: columns.collect(),
        version,
        place: fields.head(),
    })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use crate::diagnostic::SourceMap;
    use crate::yaml;

    fn messages(written: &str) -> Vec<String> {
        let mut files = SourceMap::default();
        let file = files.add("sources.lock.yml", written);
        let mut problems = vec![];
        let value = yaml::read(written, file, &mut problems).unwrap();
        assert!(super::read(&value, &[], &mut problems).is_empty());
        problems.into_iter().map(|p| p.message).collect()
    }

    #[test]
    fn what_is_no_record_is_told() {
        for (text, message) in [
            ("sources: {}", "`sources.lock.yml` needs `format`"),
            (
                "format: 2",
                "this program reads format 1 of `sources.lock.yml`",
            ),
            (
                "format: 1\nsources: {source.a.b.c: {columns: {x: [1]}}}",
                "the type of a column must be text, this is a list",
            ),
            (
                "format: 1\nsources: {source.a.b.c: {version: -1}}",
                "`version` must be a version of a table, this is a number",
            ),
            (
                "format: 1\nsources: {source.a.b.c: {}}",
                "there is no `source.a.b.c` any more",
            ),
        ] {
            assert!(messages(text).contains(&message.to_owned()), "{text}");
        }
    }
}
