//! Problems of a project, as the protocol has them.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use gen_lsp_types::{
    Code, Diagnostic as LspDiagnostic, DiagnosticRelatedInformation, DiagnosticSeverity,
};
use kinfold_project::{Diagnostic, Label, Severity};

use super::places::Places;

/// The problems by the addresses of their files. What is wrong at no place, or in a file that is part of the
/// program, is said at the start of the project file.
pub fn by_file(found: &[Diagnostic], places: &Places<'_>) -> BTreeMap<String, Vec<LspDiagnostic>> {
    let mut files: BTreeMap<String, Vec<LspDiagnostic>> = BTreeMap::new();
    for diagnostic in found {
        let primary = diagnostic.primary.as_ref();
        let place = primary.and_then(|label| places.location(label.span));
        let lost = primary.filter(|_| place.is_none());
        let Some(place) = place.or_else(|| places.project_file()) else {
            continue;
        };
        let one = LspDiagnostic {
            range: place.range,
            severity: Some(match diagnostic.severity {
                Severity::Error => DiagnosticSeverity::Error,
                Severity::Warning => DiagnosticSeverity::Warning,
            }),
            code: Some(Code::String(diagnostic.code.id.to_owned())),
            source: Some("kinfold".to_owned()),
            message: text(diagnostic, lost, places).into(),
            related_information: Some(related(diagnostic, places))
                .filter(|related| !related.is_empty()),
            ..LspDiagnostic::default()
        };
        files.entry(place.uri.0).or_default().push(one);
    }
    files
}

/// The message, and below it all that is said beside it.
fn text(diagnostic: &Diagnostic, lost: Option<&Label>, places: &Places<'_>) -> String {
    let mut text = diagnostic.message.clone();
    let label = diagnostic.primary.as_ref().map(|label| label.text.as_str());
    if let Some(label) = label.filter(|label| !label.is_empty()) {
        let _ = write!(text, "\n{label}");
    }
    let away = diagnostic.related.iter();
    let away = away.filter(|label| places.path(label.span.file).is_none());
    for label in lost.into_iter().chain(away) {
        let (line, column) = places.files.line_column(label.span);
        let file = places.files.path(label.span.file).display();
        let _ = write!(text, "\nat {file}:{line}:{column}");
        if lost != Some(label) && !label.text.is_empty() {
            let _ = write!(text, ": {}", label.text);
        }
    }
    for note in &diagnostic.notes {
        let _ = write!(text, "\nnote: {note}");
    }
    for help in &diagnostic.help {
        let _ = write!(text, "\nhelp: {help}");
    }
    text
}

fn related(diagnostic: &Diagnostic, places: &Places<'_>) -> Vec<DiagnosticRelatedInformation> {
    let labels = diagnostic.related.iter();
    labels
        .filter_map(|label| {
            let location = places.location(label.span)?;
            Some(DiagnosticRelatedInformation::new(
                location,
                label.text.clone(),
            ))
        })
        .collect()
}
