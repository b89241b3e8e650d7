//! Labels of a file or of a published relation.

use std::path::{Path, PathBuf};

use kinfold_engine::judge::{Cell, LabelProblem, Labels, Table};
use kinfold_project::{Code, Diagnostic, SourceMap, Span};
use serde_json::Value;

use super::super::super::CommandError;
use super::super::super::query::{columns_of, relation, rows_of};
use super::super::{JudgeError, Opened, quoted};

/// A file of labels that cannot be used.
pub(crate) const LABELS: Code = Code {
    id: "KF0503",
    name: "labels-not-usable",
};

/// Reads labels: a file if there is one of that name, else a published relation.
pub(super) async fn read(opened: &Opened, given: &str) -> Result<Labels, CommandError> {
    let path = Path::new(given);
    let ending = path.extension().and_then(|ending| ending.to_str());
    if path.is_file() || ending.is_some_and(|ending| ending.eq_ignore_ascii_case("csv")) {
        return file(path);
    }
    let relation = relation(&opened.published, given)?;
    let columns = columns_of(&opened.engine, &relation).await?;
    let texts: Vec<String> = columns
        .iter()
        .map(|name| format!("CAST({0} AS VARCHAR) AS {0}", quoted(name)))
        .collect();
    let sql = format!("SELECT {} FROM {relation}", texts.join(", "));
    let cell = |value: &str| Cell {
        value: value.trim().to_owned(),
        place: 0..0,
    };
    let rows = rows_of(&opened.engine, &sql).await?;
    let rows = rows.iter().map(|row| {
        let text = |name: &String| row.get(name).and_then(Value::as_str).unwrap_or_default();
        columns.iter().map(|name| cell(text(name))).collect()
    });
    let table = Table {
        rows: rows.collect(),
        header: columns.iter().map(|name| cell(name)).collect(),
    };
    Labels::read(&table).map_err(|problems| {
        let first = problems.into_iter().next();
        let LabelProblem {
            message, help, row, ..
        } = first.unwrap_or_else(|| LabelProblem {
            message: "they mean nothing".to_owned(),
            help: None,
            place: 0..0,
            row: 0,
        });
        JudgeError::Labels {
            relation: given.to_owned(),
            row,
            message,
            help,
        }
        .into()
    })
}

fn file(path: &Path) -> Result<Labels, CommandError> {
    let failed = |source| CommandError::File {
        action: "read",
        path: path.to_path_buf(),
        source,
    };
    let bytes = std::fs::read(path).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|error| {
        let position = error.utf8_error().valid_up_to();
        let message = format!("the file is not UTF-8 from byte {position} on");
        CommandError::Diagnostics {
            files: SourceMap::default(),
            found: vec![Diagnostic::error_nowhere(LABELS, message)],
        }
    })?;
    let problems = match Table::read(&text) {
        Ok(table) => match Labels::read(&table) {
            Ok(labels) => return Ok(labels),
            Err(problems) => problems,
        },
        Err(open) => vec![LabelProblem {
            message: "this quote is never closed".to_owned(),
            help: None,
            place: open.0..open.0 + 1,
            row: 0,
        }],
    };
    Err(diagnostics(path.to_path_buf(), text, problems))
}

/// Problems at their places. Rows are of people: of a file only the header is ever shown.
fn diagnostics(path: PathBuf, text: String, problems: Vec<LabelProblem>) -> CommandError {
    let (length, header) = (text.len(), text.lines().next().map_or(0, str::len));
    let mut files = SourceMap::default();
    let file = files.add(path, text);
    files.hide(Span::new(file, header, length));
    let found = problems.into_iter().map(|problem| {
        let span = Span::new(file, problem.place.start, problem.place.end);
        let diagnostic = Diagnostic::error(LABELS, problem.message, span);
        match problem.help {
            Some(help) => diagnostic.with_help(help),
            None => diagnostic,
        }
    });
    CommandError::Diagnostics {
        found: found.collect(),
        files,
    }
}
