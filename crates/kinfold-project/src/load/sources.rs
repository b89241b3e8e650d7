//! `sources:` of properties files, with kinfold's `external:`.

use crate::codes;
use crate::diagnostic::{Diagnostic, Severity};
use crate::located::{Located, Value, ValueKind};
use crate::model::{Records, Source, SourceFormat, SourceLocation, StorageOptions, TestTarget};
use crate::node::{NodeId, ResourceType};
use crate::template::{self, Scope};

use super::config_tree::TreeKind;
use super::environments;
use super::fields::{Fields, wrong_type};
use super::freshness;
use super::generic_tests::invalid_word;
use super::properties::{self, Nodes, PropertiesFile};

pub(super) const SOURCE_KEYS: &[&str] = &[
    "name",
    "description",
    "schema",
    "database",
    "loader",
    "loaded_at_field",
    "loaded_at_query",
    "freshness",
    "quoting",
    "meta",
    "tags",
    "config",
    "overrides",
    "tables",
    "tests",
    "data_tests",
];

const TABLE_KEYS: &[&str] = &[
    "name",
    "description",
    "identifier",
    "loader",
    "loaded_at_field",
    "loaded_at_query",
    "freshness",
    "quoting",
    "meta",
    "tags",
    "config",
    "columns",
    "tests",
    "data_tests",
    "external",
    "records",
];

/// `records:` of a table: what kinfold itself has written down.
fn records(fields: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> Option<SourceLocation> {
    let word = fields.text("records", problems)?;
    let found = Records::ALL
        .into_iter()
        .find(|records| records.as_str() == word.value);
    if found.is_none() {
        let words = Records::ALL.map(Records::as_str);
        problems.push(invalid_word("records", &word.value, word.span, &words));
    }
    found.map(SourceLocation::Records)
}

/// Reads a source with its tables.
pub(super) fn read(
    item: &Value,
    from: &PropertiesFile<'_>,
    nodes: &mut Nodes<'_>,
    problems: &mut Vec<Diagnostic>,
) {
    let Some(fields) = Fields::of(item, "a source", problems) else {
        return;
    };
    fields.check_keys(SOURCE_KEYS, Severity::Warning, problems);
    let Some(source) = fields.required_text("name", problems) else {
        return;
    };
    check_name("source", &source, problems);
    let scope = Scope {
        environment_variable: from.environment_variable,
        vars: from.vars,
    };
    let schema = fields
        .text("schema", problems)
        .and_then(|text| rendered(&text, &scope, problems))
        .unwrap_or_else(|| source.value.clone());
    let inherited = properties::describe(&fields, SOURCE_KEYS, problems);
    for item in fields.list("tables", problems) {
        let Some(fields) = Fields::of(item, "a table of a source", problems) else {
            continue;
        };
        fields.check_keys(TABLE_KEYS, Severity::Warning, problems);
        let Some(table) = fields.required_text("name", problems) else {
            continue;
        };
        check_name("table", &table, problems);
        let identifier = fields
            .text("identifier", problems)
            .and_then(|text| rendered(&text, &scope, problems))
            .unwrap_or_else(|| table.value.clone());
        let location = match fields.get("external") {
            None => records(&fields, problems).unwrap_or(SourceLocation::Lake),
            // The table stays although its place is wrong, so that what reads it is not reported
            // too. The error stops a run.
            Some(value) => external(value, &scope, problems).unwrap_or(SourceLocation::Lake),
        };
        let description = properties::describe(&fields, TABLE_KEYS, problems);
        let mut fqn = from.folders.clone();
        fqn.push(source.value.clone());
        fqn.push(table.value.clone());
        let mut path = vec![from.package];
        path.extend(fqn.iter().map(String::as_str));
        let (mut config, overrides) =
            nodes
                .configs
                .layers(from.package_index, TreeKind::Sources, &path);
        config.extend(inherited.layers.iter().cloned());
        config.extend(description.layers);
        config.extend(overrides);
        let freshness = freshness::read(&config, &scope, problems);
        nodes.sources.push(Source {
            id: NodeId::new(
                ResourceType::Source,
                &[from.package, &source.value, &table.value],
            ),
            package: from.package.to_owned(),
            source: source.clone(),
            table: table.clone(),
            schema: schema.clone(),
            identifier,
            location,
            fqn,
            config,
            description: description.description,
            source_description: inherited.description.clone(),
            freshness,
            columns: description.columns,
        });
        let target = TestTarget::Source(source.value.clone(), table.value.clone());
        properties::tests(&fields, &target, from, nodes, problems);
    }
}

fn check_name(what: &str, name: &Located<String>, problems: &mut Vec<Diagnostic>) {
    if name.value.is_empty() || name.value.contains(['.', '/', '\\', '\'', '"']) {
        problems.push(
            Diagnostic::error(
                codes::INVALID_NAME,
                format!("`{}` cannot be the name of a {what}", name.value),
                name.span,
            )
            .with_help(if what == "table" {
                "the name in the lake can be set with `identifier:`"
            } else {
                "the name in the lake can be set with `schema:`"
            }),
        );
    }
}

fn rendered(
    text: &Located<String>,
    scope: &Scope<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<String> {
    match template::render(text, scope) {
        Ok(text) => Some(text),
        Err(diagnostic) => {
            problems.push(*diagnostic);
            None
        }
    }
}

fn external(
    value: &Value,
    scope: &Scope<'_>,
    problems: &mut Vec<Diagnostic>,
) -> Option<SourceLocation> {
    let fields = Fields::of(value, "`external`", problems)?;
    fields.check_keys(
        &["location", "format", "delimiter", "header", "storage"],
        Severity::Error,
        problems,
    );
    let written = fields.required_text("location", problems);
    let mut storage = StorageOptions::default();
    for (key, value) in environments::storage(&fields, problems).0 {
        if let Some(text) = rendered(&value, scope, problems) {
            storage.0.insert(key.value, text);
        }
    }
    let written = written?;
    let location = rendered(&written, scope, problems);
    // The ending shows without the values of variables too.
    let shown = location.as_deref().unwrap_or(&written.value);
    if shown.trim().is_empty() {
        problems.push(Diagnostic::error(
            codes::INVALID_VALUE,
            "`location` is empty",
            written.span,
        ));
        return None;
    }
    let format = match fields.text("format", problems) {
        Some(word) => named_format(&word, shown, problems),
        None => format_of(shown).or_else(|| {
            problems.push(
                Diagnostic::error(
                    codes::INVALID_VALUE,
                    format!("the ending of `{}` does not tell its format", written.value),
                    written.span,
                )
                .with_help("add `format:` with `csv`, `ndjson`, `parquet` or `delta`"),
            );
            None
        }),
    };
    let format = csv_options(format?, &fields, problems);
    Some(SourceLocation::External {
        location: Located::new(table_folder(&location?, &format), written.span),
        format,
        storage,
    })
}

fn named_format(
    word: &Located<String>,
    location: &str,
    problems: &mut Vec<Diagnostic>,
) -> Option<SourceFormat> {
    match word.value.as_str() {
        "csv" => Some(match format_of(location) {
            Some(format @ SourceFormat::Csv { .. }) => format,
            _ => csv(b','),
        }),
        "ndjson" => Some(SourceFormat::Ndjson),
        "parquet" => Some(SourceFormat::Parquet),
        "delta" => Some(SourceFormat::Delta),
        other => {
            problems.push(invalid_word(
                "format",
                other,
                word.span,
                &["csv", "ndjson", "parquet", "delta"],
            ));
            None
        }
    }
}

fn csv(delimiter: u8) -> SourceFormat {
    SourceFormat::Csv {
        delimiter,
        header: true,
    }
}

/// The format that a location's ending tells.
fn format_of(location: &str) -> Option<SourceFormat> {
    if location.ends_with('/') || location.contains("_delta_log") {
        return Some(SourceFormat::Delta);
    }
    let lower = location.to_lowercase();
    let name = ["gz", "zst"]
        .iter()
        .find_map(|ending| lower.strip_suffix(ending)?.strip_suffix('.'))
        .unwrap_or(&lower);
    match name.rsplit_once('.')?.1 {
        "csv" => Some(csv(b',')),
        "tsv" => Some(csv(b'\t')),
        "ndjson" | "jsonl" | "json" => Some(SourceFormat::Ndjson),
        "parquet" if name == lower => Some(SourceFormat::Parquet),
        _ => None,
    }
}

/// The folder of a Delta table, whichever way it was named; other locations as they are.
fn table_folder(location: &str, format: &SourceFormat) -> String {
    if *format != SourceFormat::Delta {
        return location.to_owned();
    }
    let folder = location
        .split_once("_delta_log")
        .map_or(location, |(folder, _)| folder);
    let trimmed = folder.trim_end_matches('/');
    if trimmed.is_empty() { folder } else { trimmed }.to_owned()
}

fn csv_options(
    format: SourceFormat,
    fields: &Fields<'_>,
    problems: &mut Vec<Diagnostic>,
) -> SourceFormat {
    let written = fields.get("delimiter");
    let header = fields.boolean("header", problems);
    let SourceFormat::Csv {
        delimiter,
        header: default_header,
    } = format
    else {
        for key in ["delimiter", "header"] {
            if fields.get(key).is_some() {
                problems.push(Diagnostic::error(
                    codes::INVALID_VALUE,
                    format!("`{key}` is only for CSV"),
                    fields.key_span(key),
                ));
            }
        }
        return format;
    };
    let delimiter = match written.map(|value| (&value.kind, value)) {
        None => delimiter,
        Some((ValueKind::String(text), value)) => match text.as_bytes() {
            [byte] if byte.is_ascii() && !matches!(byte, b'"' | b'\n' | b'\r') => *byte,
            b"\\t" => b'\t',
            _ => {
                problems.push(
                    Diagnostic::error(
                        codes::INVALID_VALUE,
                        "`delimiter` must be one ASCII character other than a quote or a line end",
                        value.span,
                    )
                    .with_help("for a tab write \"\\t\""),
                );
                delimiter
            }
        },
        Some((_, value)) => {
            problems.push(wrong_type("`delimiter`", "one character", value));
            delimiter
        }
    };
    SourceFormat::Csv {
        delimiter,
        header: header.unwrap_or(default_header),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ending_tells_the_format() {
        let cases = [
            ("a/b.csv", Some(csv(b','))),
            ("a/b.CSV.gz", Some(csv(b','))),
            ("a/*.tsv.zst", Some(csv(b'\t'))),
            ("x.ndjson", Some(SourceFormat::Ndjson)),
            ("x.jsonl.gz", Some(SourceFormat::Ndjson)),
            ("x.json", Some(SourceFormat::Ndjson)),
            ("s3://b/x.parquet", Some(SourceFormat::Parquet)),
            ("x.parquet.gz", None),
            ("s3://b/t/", Some(SourceFormat::Delta)),
            ("s3://b/t/_delta_log", Some(SourceFormat::Delta)),
            ("s3://b/t", None),
            ("x.gz", None),
            ("", None),
        ];
        for (location, format) in cases {
            assert_eq!(format_of(location), format, "{location}");
        }
        assert_eq!(
            table_folder("s3://b/t/_delta_log/", &SourceFormat::Delta),
            "s3://b/t"
        );
        assert_eq!(table_folder("t/", &SourceFormat::Delta), "t");
    }
}
