//! Unit tests of models in properties files.

use std::collections::BTreeMap;

use crate::codes;
use crate::diagnostic::{Diagnostic, FileId, Severity, Span};
use crate::located::{Located, Value, ValueKind};
use crate::model::ConfigLayer;
use crate::node::{NodeId, ResourceType};
use crate::suggest;
use crate::unit_test::{UnitInput, UnitOverrides, UnitRows, UnitTest};

use super::fields::{Fields, text, wrong_type};
use super::files::{Reading, extension, stem};
use super::properties::PropertiesFile;
use super::resources::PackageFiles;

/// Keys of a unit test.
pub(super) const KEYS: &[&str] = &[
    "name",
    "description",
    "model",
    "given",
    "expect",
    "overrides",
    "config",
];

/// What a unit test expects.
struct Expected {
    rows: UnitRows,
    cte: Option<Located<String>>,
    of_table: Option<Span>,
}

const INPUT_KEYS: &[&str] = &["input", "rows", "format", "fixture"];
const EXPECT_KEYS: &[&str] = &["rows", "format", "fixture", "cte", "of"];

/// The files of `tests/fixtures` of a package, by their names without ending.
#[derive(Default)]
pub(super) struct Fixtures(BTreeMap<String, Vec<String>>);

impl Fixtures {
    pub(super) fn of(files: &PackageFiles<'_>, reading: &mut Reading) -> Self {
        let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (path, _) in files.below(&files.paths.tests, reading) {
            if path.split('/').any(|folder| folder == "fixtures")
                && matches!(extension(&path).as_str(), "csv" | "sql")
            {
                found.entry(stem(&path).to_owned()).or_default().push(path);
            }
        }
        Self(found)
    }
}

/// Takes in the unit tests of one properties file.
pub(super) fn read(
    value: &Value,
    from: &PropertiesFile<'_>,
    fixtures: &Fixtures,
    files: &PackageFiles<'_>,
    found: &mut Vec<UnitTest>,
    reading: &mut Reading,
) {
    let Some(items) = value.get("unit_tests") else {
        return;
    };
    let items = match &items.kind {
        ValueKind::List(items) => items.as_slice(),
        ValueKind::Null => &[],
        _ => {
            let problem = wrong_type("`unit_tests`", "a list", items);
            return reading.problems.push(problem);
        }
    };
    for item in items {
        let mut reader = Reader {
            fixtures,
            files,
            reading,
        };
        let Some(test) = reader.test(item, from) else {
            continue;
        };
        if let Some(first) = found.iter().find(|other| other.id == test.id) {
            let message = format!(
                "the model `{}` has two unit tests `{}`",
                test.model.value, test.name.value
            );
            let problem = Diagnostic::error(codes::DUPLICATE_NAME, message, test.name.span)
                .with_related(first.name.span, "first here");
            reading.problems.push(problem);
            continue;
        }
        found.push(test);
    }
}

struct Reader<'a, 'f> {
    fixtures: &'a Fixtures,
    files: &'a PackageFiles<'f>,
    reading: &'a mut Reading,
}

impl Reader<'_, '_> {
    fn test(&mut self, item: &Value, from: &PropertiesFile<'_>) -> Option<UnitTest> {
        let problems = &mut self.reading.problems;
        let fields = Fields::of(item, "a unit test", problems)?;
        if fields.get("versions").is_some() {
            problems.push(Diagnostic::warning(
                codes::UNSUPPORTED,
                "versions of models are not supported, each file is a model of its own",
                fields.key_span("versions"),
            ));
        }
        let known = [KEYS, &["versions"]].concat();
        fields.check_keys(&known, Severity::Warning, problems);
        let name = fields.required_text("name", problems);
        let model = fields.required_text("model", problems);
        let expect = fields.required("expect", problems).cloned();
        let given = fields.list("given", problems).to_vec();
        let description = fields.text("description", problems);
        let overrides = overrides(&fields, problems);
        let config = fields.map("config", problems).to_vec();
        let inputs: Vec<Option<UnitInput>> = given.iter().map(|item| self.input(item)).collect();
        let expect = self.expect(&expect?);
        let (name, model) = (name?, model?);
        // Without one of its inputs it is another test.
        let given = inputs.into_iter().collect::<Option<Vec<_>>>()?;
        let Expected {
            rows: expect,
            cte,
            of_table,
        } = expect?;
        let mut fqn = from.folders.clone();
        fqn.extend([model.value.clone(), name.value.clone()]);
        Some(UnitTest {
            id: NodeId::new(
                ResourceType::UnitTest,
                &[from.package, &model.value, &name.value],
            ),
            package: from.package.to_owned(),
            name,
            model,
            description,
            fqn,
            given,
            expect,
            cte,
            of_table,
            overrides,
            config: (!config.is_empty())
                .then_some(ConfigLayer { entries: config })
                .into_iter()
                .collect(),
        })
    }

    fn input(&mut self, item: &Value) -> Option<UnitInput> {
        let problems = &mut self.reading.problems;
        let fields = Fields::of(item, "an input of a unit test", problems)?;
        fields.check_keys(INPUT_KEYS, Severity::Warning, problems);
        let input = fields.required("input", problems).cloned();
        let rows = self.rows(&fields);
        let input = input?;
        if input.as_str().is_none() {
            let problem = wrong_type(
                "`input`",
                "`ref('…')`, `source('…', '…')` or `this`",
                &input,
            );
            self.reading.problems.push(problem);
            return None;
        }
        Some(UnitInput { input, rows: rows? })
    }

    fn expect(&mut self, item: &Value) -> Option<Expected> {
        let problems = &mut self.reading.problems;
        let fields = Fields::of(item, "`expect`", problems)?;
        fields.check_keys(EXPECT_KEYS, Severity::Warning, problems);
        let cte = fields.text("cte", problems);
        let of = fields.text("of", problems);
        let of_table = match of.as_ref().map(|of| (of.value.as_str(), of.span)) {
            None | Some(("query", _)) => None,
            Some(("table", span)) => Some(span),
            Some((_, span)) => {
                let message = "`of` is `query` or `table`";
                let help = "`table` expects what an incremental model holds after a build";
                let problem = Diagnostic::error(codes::INVALID_UNIT_TEST, message, span);
                problems.push(problem.with_help(help));
                return None;
            }
        };
        if let (Some(cte), Some(span)) = (&cte, of_table) {
            let message = "a common table expression has no table";
            let problem = Diagnostic::error(codes::INVALID_UNIT_TEST, message, span);
            problems.push(problem.with_related(cte.span, "this one"));
            return None;
        }
        Some(Expected {
            rows: self.rows(&fields)?,
            cte,
            of_table,
        })
    }

    /// The rows below `rows` or in the file that `fixture` names.
    fn rows(&mut self, fields: &Fields<'_>) -> Option<UnitRows> {
        let problems = &mut self.reading.problems;
        let format = fields.text("format", problems);
        let word = format.as_ref().map_or("dict", |format| &format.value);
        let known = ["dict", "csv", "sql"];
        if let (Some(format), false) = (&format, known.contains(&word)) {
            let message = format!("there is no format `{word}` of rows");
            let help = format!("it can be {}", suggest::one_of(known));
            problems.push(
                Diagnostic::error(codes::INVALID_UNIT_TEST, message, format.span).with_help(help),
            );
            return None;
        }
        if let Some(name) = fields.text("fixture", problems) {
            if word == "dict" {
                let message = "a fixture needs `format: csv` or `format: sql`";
                let span = format.map_or(name.span, |format| format.span);
                problems.push(Diagnostic::error(codes::INVALID_UNIT_TEST, message, span));
                return None;
            }
            if fields.get("rows").is_some() {
                let message = "the rows are either in the file of `fixture` or below `rows`";
                let span = fields.key_span("rows");
                problems.push(Diagnostic::error(codes::INVALID_UNIT_TEST, message, span));
                return None;
            }
            return self.fixture(&name, word);
        }
        let rows = fields.get("rows").or_else(|| {
            // A query without rows is one, a list without entries too.
            let empty = fields.entries().iter().find(|(key, _)| key.value == "rows");
            empty.map(|(_, value)| value)
        });
        let Some(rows) = rows else {
            let problem = Diagnostic::error(
                codes::MISSING_KEY,
                "rows of a unit test need `rows` or `fixture`",
                fields.head(),
            );
            problems.push(problem.with_help("`rows: []` is no row at all"));
            return None;
        };
        if word == "dict" {
            return dict(rows, problems);
        }
        let text = match &rows.kind {
            ValueKind::Null => String::new(),
            _ => text(rows, "`rows`", problems)?.value,
        };
        of_text(word, &text, (rows.span, None), problems)
    }

    fn fixture(&mut self, name: &Located<String>, format: &str) -> Option<UnitRows> {
        let all = self
            .fixtures
            .0
            .get(&name.value)
            .map_or(&[][..], Vec::as_slice);
        let mut right = all.iter().filter(|path| extension(path) == format);
        let (first, second) = (right.next(), right.next());
        let problem = match (first, second) {
            (Some(path), None) => {
                let file = self.files.read(path, self.reading)?;
                let text = self.reading.text(file);
                let span = Span::new(file, 0, text.len());
                let problems = &mut self.reading.problems;
                return of_text(format, &text, (span, Some(file)), problems);
            }
            (Some(first), Some(second)) => {
                let message = format!(
                    "`{first}` and `{second}` are both the fixture `{}`",
                    name.value
                );
                Diagnostic::error(codes::INVALID_UNIT_TEST, message, name.span)
            }
            (None, _) => {
                let message = format!("there is no fixture `{}.{format}`", name.value);
                let problem = Diagnostic::error(codes::INVALID_UNIT_TEST, message, name.span);
                let names = self.fixtures.0.keys().map(String::as_str);
                match suggest::did_you_mean(&name.value, names) {
                    Some(help) => problem.with_help(help),
                    None => problem.with_help("fixtures are files below `tests/fixtures/`"),
                }
            }
        };
        self.reading.problems.push(problem);
        None
    }
}

/// Rows that are written as text; the file, if they are all of it.
fn of_text(
    format: &str,
    text: &str,
    (span, file): (Span, Option<FileId>),
    problems: &mut Vec<Diagnostic>,
) -> Option<UnitRows> {
    if format != "csv" {
        let text = text.to_owned();
        return Some(UnitRows::Sql { text, span });
    }
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let mut broken = |error: &csv::Error| {
        let place = match (file, error.position()) {
            (Some(file), Some(at)) => line_at(file, text, at.byte()),
            _ => span,
        };
        let message = match error.kind() {
            csv::ErrorKind::UnequalLengths {
                expected_len, len, ..
            } => format!("a line has {len} values, the header names {expected_len} columns"),
            _ => "this is no CSV".to_owned(),
        };
        problems.push(Diagnostic::error(codes::INVALID_UNIT_TEST, message, place));
    };
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => {
            broken(&error);
            return None;
        }
    };
    let mut rows = vec![];
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                broken(&error);
                return None;
            }
        };
        let place = match (file, record.position()) {
            (Some(file), Some(at)) => line_at(file, text, at.byte()),
            _ => span,
        };
        let cells = header.iter().zip(record.iter()).map(|(column, cell)| {
            // As everywhere in CSV: nothing is null.
            let kind = match cell {
                "" => ValueKind::Null,
                _ => ValueKind::String(cell.to_owned()),
            };
            let value = Value { kind, span: place };
            (Located::new(column.to_owned(), place), value)
        });
        rows.push(Value {
            kind: ValueKind::Map(cells.collect()),
            span: place,
        });
    }
    Some(UnitRows::Values {
        rows,
        csv: true,
        span,
    })
}

/// The line of a file that begins at a place.
fn line_at(file: FileId, text: &str, start: u64) -> Span {
    let start = usize::try_from(start).map_or(text.len(), |start| start.min(text.len()));
    let rest = text.get(start..).unwrap_or_default();
    // A record may be said to begin with the end of the line before it.
    let blank = rest.len() - rest.trim_start_matches(['\r', '\n']).len();
    let line = rest.get(blank..).and_then(|rest| rest.lines().next());
    let start = start + blank;
    Span::new(file, start, start + line.map_or(0, str::len))
}

fn dict(rows: &Value, problems: &mut Vec<Diagnostic>) -> Option<UnitRows> {
    let items = match &rows.kind {
        ValueKind::List(items) => items.clone(),
        ValueKind::Null => vec![],
        ValueKind::String(_) => {
            let problem = wrong_type("`rows`", "a list of mappings", rows);
            problems.push(problem.with_help("for text, say `format: csv` or `format: sql`"));
            return None;
        }
        _ => {
            problems.push(wrong_type("`rows`", "a list of mappings", rows));
            return None;
        }
    };
    let wrong = items
        .iter()
        .find(|row| !matches!(row.kind, ValueKind::Map(_)));
    if let Some(row) = wrong {
        problems.push(wrong_type("a row", "a mapping from columns to values", row));
        return None;
    }
    Some(UnitRows::Values {
        rows: items,
        csv: false,
        span: rows.span,
    })
}

fn overrides(test: &Fields<'_>, problems: &mut Vec<Diagnostic>) -> UnitOverrides {
    let Some(value) = test.get("overrides") else {
        return UnitOverrides::default();
    };
    let Some(fields) = Fields::of(value, "`overrides`", problems) else {
        return UnitOverrides::default();
    };
    fields.check_keys(&["macros", "vars", "env_vars"], Severity::Warning, problems);
    UnitOverrides {
        macros: fields.map("macros", problems).to_vec(),
        vars: fields.map("vars", problems).to_vec(),
        env_vars: fields.map("env_vars", problems).to_vec(),
    }
}
