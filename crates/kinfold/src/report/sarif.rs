//! Diagnostics in the form that code hosts and editors read: SARIF 2.1.0, the OASIS standard.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Component, Path, PathBuf};

use kinfold_project::{Code, Diagnostic, Severity, SourceMap, Span};
use serde_json::{Value as Json, json};

use super::diagnostics::within;
use crate::pages::{Page, stage};

/// The base of files of the repository, as code hosts know it.
const ROOT: &str = "%SRCROOT%";
/// The base of files that a package brought along, which are in no repository of the user.
const PACKAGES: &str = "PACKAGES";

/// One log with one run: the folders that files are in, the files, and what was found in them.
pub fn log(parts: &[(&Path, &SourceMap, &[Diagnostic])]) -> Json {
    let mut rules: BTreeMap<Code, Severity> = BTreeMap::new();
    for diagnostic in parts.iter().flat_map(|(_, _, found)| *found) {
        let level = rules.entry(diagnostic.code).or_insert(diagnostic.severity);
        *level = (*level).min(diagnostic.severity);
    }
    let known: Vec<Code> = rules.keys().copied().collect();
    let mut results = vec![];
    let mut seen: BTreeMap<String, u64> = BTreeMap::new();
    for (folder, files, found) in parts {
        let place = Places::of(folder, files);
        for diagnostic in *found {
            let rule = known.iter().position(|code| *code == diagnostic.code);
            let mut result = place.result(diagnostic);
            let text = place.fingerprint(diagnostic);
            // Twice the same is told apart by its order, which moves of lines leave alone.
            let times = seen.entry(text.clone()).or_default();
            let print = blake3::hash(format!("{text}\0{times}").as_bytes()).to_hex();
            *times += 1;
            if let Some(result) = result.as_object_mut() {
                result.insert("ruleIndex".to_owned(), json!(rule));
                let print = print.as_str().get(..32);
                let prints = json!({ "kinfold/v1": print });
                result.insert("partialFingerprints".to_owned(), prints);
            }
            results.push(result);
        }
    }
    let rules: Vec<Json> = rules
        .into_iter()
        .map(|(code, level)| rule(code, level))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": {"driver": {
                "name": "kinfold",
                "semanticVersion": env!("CARGO_PKG_VERSION"),
                "rules": rules,
            }},
            "columnKind": "unicodeCodePoints",
            "originalUriBaseIds": {
                ROOT: {"description": {"text": "the root of the repository, or of the project if it is in none"}},
                PACKAGES: {"description": {"text": "files of packages, below the name of the package in angle brackets"}},
            },
            "results": results,
        }],
    })
}

fn rule(code: Code, level: Severity) -> Json {
    let page = Page::of(code);
    let summary = page.map_or_else(|| code.name.to_owned(), Page::summary);
    let about = page.map_or_else(|| code.name.to_owned(), Page::about);
    let text = page.map_or_else(|| code.name.to_owned(), Page::text);
    let markdown = page.map_or(code.name, |page| page.markdown);
    json!({
        "id": code.id,
        "name": code.name,
        "shortDescription": {"text": summary},
        "fullDescription": {"text": about},
        "help": {"text": text, "markdown": markdown},
        "defaultConfiguration": {"level": word(level)},
        "properties": {"tags": [stage(code)]},
    })
}

fn word(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    }
}

/// Places in the files of one folder.
struct Places<'a> {
    files: &'a SourceMap,
    /// The folder's path from the root of the repository, `/` after each part.
    prefix: String,
}

impl<'a> Places<'a> {
    fn of(folder: &Path, files: &'a SourceMap) -> Self {
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_path_buf());
        let folder = tidy(&folder);
        let root = folder.ancestors().find(|one| one.join(".git").exists());
        let inside = root.and_then(|root| folder.strip_prefix(root).ok());
        let mut prefix = String::new();
        for part in inside.into_iter().flat_map(Path::components) {
            prefix.push_str(&part.as_os_str().to_string_lossy());
            prefix.push('/');
        }
        Self { files, prefix }
    }

    fn result(&self, diagnostic: &Diagnostic) -> Json {
        let mut text = diagnostic.message.clone();
        for note in &diagnostic.notes {
            let _ = write!(text, "\nNote: {note}");
        }
        for help in &diagnostic.help {
            let _ = write!(text, "\nHelp: {help}");
        }
        let primary = diagnostic.primary.iter();
        let locations: Vec<Json> = primary
            .filter_map(|label| self.location(label.span, &label.text))
            .collect();
        let mut related: Vec<Json> = diagnostic
            .related
            .iter()
            .filter_map(|label| self.location(label.span, &label.text))
            .collect();
        for (id, location) in related.iter_mut().enumerate() {
            if let Some(location) = location.as_object_mut() {
                location.insert("id".to_owned(), json!(id));
            }
        }
        json!({
            "ruleId": diagnostic.code.id,
            "level": word(diagnostic.severity),
            "message": {"text": text},
            "locations": locations,
            "relatedLocations": related,
        })
    }

    fn location(&self, span: Span, label: &str) -> Option<Json> {
        let file = self.files.get(span.file)?;
        let shown = file.path.to_string_lossy().replace('\\', "/");
        let (uri, base) = if shown.starts_with('<') {
            (encoded(&shown), PACKAGES)
        } else {
            (encoded(&format!("{}{shown}", self.prefix)), ROOT)
        };
        let range = within(&file.text, span);
        let (line, column) = file.line_column(range.start);
        let (end_line, end_column) = file.line_column(range.end);
        let mut location = json!({"physicalLocation": {
            "artifactLocation": {"uri": uri, "uriBaseId": base},
            "region": {
                "startLine": line,
                "startColumn": column,
                "endLine": end_line,
                "endColumn": end_column,
            },
        }});
        if let (Some(location), false) = (location.as_object_mut(), label.is_empty()) {
            location.insert("message".to_owned(), json!({ "text": label }));
        }
        Some(location)
    }

    /// What a problem is, wherever in its file it is.
    fn fingerprint(&self, diagnostic: &Diagnostic) -> String {
        let span = diagnostic.primary.as_ref().map(|label| label.span);
        let file = span.and_then(|span| self.files.get(span.file));
        let path = file.map(|file| file.path.to_string_lossy().into_owned());
        let marked = file
            .zip(span)
            .map(|(file, span)| file.shown(within(&file.text, span)).into_owned());
        let path = path.unwrap_or_default();
        let marked = marked.unwrap_or_default();
        let Self { prefix, .. } = self;
        let code = diagnostic.code.id;
        format!("{code}\0{prefix}{path}\0{marked}\0{}", diagnostic.message)
    }
}

/// The path without `.` and `..`; links are not followed.
fn tidy(path: &Path) -> PathBuf {
    let mut tidy = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                tidy.pop();
            }
            part => tidy.push(part),
        }
    }
    tidy
}

/// A path as a relative reference (RFC 3986): everything but unreserved characters and `/` is percent-encoded.
fn encoded(path: &str) -> String {
    let mut text = String::with_capacity(path.len());
    for byte in path.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~/".contains(&byte) {
            text.push(char::from(byte));
        } else {
            let _ = write!(text, "%{byte:02X}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_encoded_as_references() {
        assert_eq!(encoded("models/a b.sql"), "models/a%20b.sql");
        assert_eq!(encoded("<kinfold>/ü:.sql"), "%3Ckinfold%3E/%C3%BC%3A.sql");
        assert_eq!(tidy(Path::new("/a/./b/../c")), Path::new("/a/c"));
    }
}
