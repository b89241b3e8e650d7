//! Diagnostics for people, with the lines that they are about, and for machines.

use std::borrow::Cow;
use std::ops::Range;

use annotate_snippets::renderer::Renderer;
use annotate_snippets::{
    Annotation, AnnotationKind, Group, Level, Snippet, normalize_untrusted_str,
};
use kinfold_project::{Diagnostic, FileId, Severity, SourceFile, SourceMap, Span};
use serde_json::{Value as Json, json};

/// How many diagnostics are drawn with their places. Of more, nobody reads the lines; each of the rest is one line.
const MOST_DRAWN: usize = 100;

/// Draws the diagnostics in their order, each with its places in the users' files, and counts them in
/// the last line. Without diagnostics the text is empty; otherwise it ends with a line break.
///
/// ```text
/// error[KF0402]: no column `emial` in `stg_contacts`
///  --> models/people.sql:3:8
///   |
/// 3 | SELECT emial
///   |        ^^^^^ not a column
///   |
///   = help: did you mean `email`?
/// ```
///
/// Control characters of the users' files are replaced, so that a file cannot steer the terminal.
#[must_use]
pub fn draw(files: &SourceMap, diagnostics: &[Diagnostic], color: bool) -> String {
    let renderer = if color {
        Renderer::styled()
    } else {
        Renderer::plain()
    };
    let mut drawn = String::new();
    let (first, rest) = diagnostics.split_at(diagnostics.len().min(MOST_DRAWN));
    for diagnostic in first {
        drawn.push_str(&renderer.render(&[group(files, diagnostic)]));
        drawn.push_str("\n\n");
    }
    for diagnostic in rest {
        drawn.push_str(&in_a_line(files, diagnostic));
        drawn.push('\n');
    }
    if !rest.is_empty() {
        drawn.push('\n');
    }
    if let Some(summary) = summary(diagnostics) {
        drawn.push_str(&summary);
        drawn.push('\n');
    }
    drawn
}

/// A diagnostic without the lines that it is about.
fn in_a_line(files: &SourceMap, diagnostic: &Diagnostic) -> String {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let message = normalize_untrusted_str(&diagnostic.message).replace('\n', " ");
    let told = format!("{severity}[{}]: {message}", diagnostic.code.id);
    let span = diagnostic.primary.as_ref().map(|label| label.span);
    let Some((span, file)) = span.and_then(|span| Some((span, path(files, span)?))) else {
        return told;
    };
    let (line, column) = files.line_column(span);
    let file = normalize_untrusted_str(&file);
    format!("{told} ({file}:{line}:{column})")
}

/// `3 errors, 1 warning`; `None` without diagnostics.
fn summary(diagnostics: &[Diagnostic]) -> Option<String> {
    let errors = diagnostics.iter().filter(|d| d.is_error()).count();
    let counted = |count: usize, word: &str| match count {
        0 => None,
        1 => Some(format!("1 {word}")),
        n => Some(format!("{n} {word}s")),
    };
    let parts: Vec<String> = [
        counted(errors, "error"),
        counted(diagnostics.len() - errors, "warning"),
    ]
    .into_iter()
    .flatten()
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

fn group<'a>(files: &'a SourceMap, diagnostic: &'a Diagnostic) -> Group<'a> {
    let level = match diagnostic.severity {
        Severity::Error => Level::ERROR,
        Severity::Warning => Level::WARNING,
    };
    let title = level
        .primary_title(diagnostic.message.as_str())
        .id(diagnostic.code.id);
    let mut group = Group::with_title(title);
    for (file, places) in places(diagnostic) {
        if let Some(file) = files.get(file) {
            group = group.element(snippet(file, &places));
        }
    }
    for note in &diagnostic.notes {
        group = group.element(Level::NOTE.message(normalize_untrusted_str(note)));
    }
    for help in &diagnostic.help {
        group = group.element(Level::HELP.message(normalize_untrusted_str(help)));
    }
    group
}

/// A place in one file.
struct Place<'a> {
    span: Span,
    text: &'a str,
    kind: AnnotationKind,
}

/// The places by file: the file of the primary place first, the others as they come.
fn places(diagnostic: &Diagnostic) -> Vec<(FileId, Vec<Place<'_>>)> {
    let primary = diagnostic.primary.iter().map(|label| (label, true));
    let related = diagnostic.related.iter().map(|label| (label, false));
    let mut by_file: Vec<(FileId, Vec<Place<'_>>)> = vec![];
    for (label, is_primary) in primary.chain(related) {
        let file = label.span.file;
        let known = by_file.iter_mut().find(|(known, _)| *known == file);
        // Another file's arrow points at its first place, which is the one that explains most.
        let kind = if is_primary || known.is_none() {
            AnnotationKind::Primary
        } else {
            AnnotationKind::Context
        };
        let place = Place {
            span: label.span,
            text: &label.text,
            kind,
        };
        match known {
            Some((_, places)) => places.push(place),
            None => by_file.push((file, vec![place])),
        }
    }
    by_file
}

fn snippet<'a>(file: &'a SourceFile, places: &[Place<'a>]) -> Snippet<'a, Annotation<'a>> {
    let ranges: Vec<Range<usize>> = places.iter().map(|p| within(&file.text, p.span)).collect();
    let first = ranges.iter().map(|range| range.start).min().unwrap_or(0);
    let last = ranges.iter().map(|range| range.end).max().unwrap_or(0);
    let start = line_start(&file.text, first);
    let end = line_end(&file.text, last);
    let (line, _) = file.line_column(start);
    // The last line is closed, so that a place right after the text has a line to be on.
    let window = format!("{}\n", file.shown(start..end));
    let annotations = places.iter().zip(ranges).map(|(place, range)| {
        let annotation = place.kind.span(range.start - start..range.end - start);
        let label = Some(place.text).filter(|text| !text.is_empty());
        annotation.label(label.map(|text| Cow::Owned(normalize_untrusted_str(text))))
    });
    let path = normalize_untrusted_str(&file.path.to_string_lossy());
    Snippet::source(window)
        .line_start(line)
        .path(path)
        .annotations(annotations)
}

/// The bytes of a span that are in the text: whole characters, without white space at the end.
pub(super) fn within(text: &str, span: Span) -> Range<usize> {
    let start = text.floor_char_boundary(span.range().start.min(text.len()));
    let end = text
        .ceil_char_boundary(span.range().end.min(text.len()))
        .max(start);
    let shown = text.get(start..end).unwrap_or("").trim_end();
    if shown.is_empty() {
        // White space alone is shown up to the end of its line.
        return start..end.min(line_end(text, start).max(start));
    }
    start..start + shown.len()
}

fn line_start(text: &str, offset: usize) -> usize {
    let before = text.get(..offset).unwrap_or("");
    before.rfind('\n').map_or(0, |at| at + 1)
}

/// The end of the line that `offset` is in, without its line break.
fn line_end(text: &str, offset: usize) -> usize {
    let rest = text.get(offset..).unwrap_or("");
    let end = rest.find('\n').unwrap_or(rest.len());
    let line = rest.get(..end).unwrap_or("");
    offset + line.strip_suffix('\r').unwrap_or(line).len()
}

/// The diagnostics as an array of objects: `code`, `name`, `severity`, `message`, `file`, `line`,
/// `column`, `end_line`, `end_column`, `label`, `notes`, `help` and `related` (`file`, `line`,
/// `column`, `text`). Lines and columns count from 1, columns in characters; the end is exclusive.
/// The place is `null` where no file can be named.
#[must_use]
pub fn json(files: &SourceMap, diagnostics: &[Diagnostic]) -> Json {
    diagnostics.iter().map(|d| one(files, d)).collect()
}

fn one(files: &SourceMap, diagnostic: &Diagnostic) -> Json {
    let severity = match diagnostic.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let related: Vec<Json> = diagnostic
        .related
        .iter()
        .map(|label| {
            let (line, column) = files.line_column(label.span);
            json!({
                "file": path(files, label.span),
                "line": line,
                "column": column,
                "text": label.text,
            })
        })
        .collect();
    let span = diagnostic.primary.as_ref().map(|label| label.span);
    let start = span.map(|span| files.line_column(span));
    let end = span.map(|span| {
        let end = span.range().end;
        files.line_column(Span::new(span.file, end, end))
    });
    json!({
        "code": diagnostic.code.id,
        "name": diagnostic.code.name,
        "severity": severity,
        "message": diagnostic.message,
        "file": span.and_then(|span| path(files, span)),
        "line": start.map(|(line, _)| line),
        "column": start.map(|(_, column)| column),
        "end_line": end.map(|(line, _)| line),
        "end_column": end.map(|(_, column)| column),
        "label": diagnostic.primary.as_ref().map(|label| &label.text),
        "notes": diagnostic.notes,
        "help": diagnostic.help,
        "related": related,
    })
}

fn path(files: &SourceMap, span: Span) -> Option<String> {
    let file = files.get(span.file)?;
    Some(file.path.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use kinfold_project::Code;
    use proptest::prelude::*;

    const CODE: Code = Code {
        id: "KF0402",
        name: "unknown-column",
    };

    fn lines(text: &str) -> Vec<&str> {
        text.lines().map(str::trim_end).collect()
    }

    #[test]
    fn of_very_many_the_rest_is_a_line_each() {
        let mut files = SourceMap::default();
        let model = files.add("models/people.sql", "SELECT\n  id");
        let one = Diagnostic::error(CODE, "no\ncolumn", Span::new(model, 9, 11));
        let drawn = draw(&files, &vec![one; MOST_DRAWN + 2], false);
        let told = "error[KF0402]: no column (models/people.sql:2:3)";
        assert_eq!(drawn.matches(told).count(), 2);
        assert_eq!(
            drawn.matches("--> models/people.sql:2:3").count(),
            MOST_DRAWN
        );
        assert!(drawn.ends_with("\n\n102 errors\n"), "{drawn}");
    }

    #[test]
    fn a_place_is_drawn_with_its_line_and_what_helps() {
        let mut files = SourceMap::default();
        let text = "SELECT\n  id,\n  emial\nFROM x\n";
        let model = files.add("models/people.sql", text);
        let at = text.find("emial").map_or(0, |at| at);
        let one = Diagnostic::error(CODE, "no column `emial`", Span::new(model, at, at + 5))
            .with_label("not a column")
            .with_note("`x` has `id` and `email`")
            .with_help("did you mean `email`?");
        let two = Diagnostic::warning(CODE, "unused", Span::new(model, 0, 6));
        let three = Diagnostic::error_nowhere(CODE, "there is no project file");
        let drawn = draw(&files, &[one, two, three], false);
        assert_eq!(
            lines(&drawn),
            [
                "error[KF0402]: no column `emial`",
                " --> models/people.sql:3:3",
                "  |",
                "3 |   emial",
                "  |   ^^^^^ not a column",
                "  |",
                "  = note: `x` has `id` and `email`",
                "  = help: did you mean `email`?",
                "",
                "warning[KF0402]: unused",
                " --> models/people.sql:1:1",
                "  |",
                "1 | SELECT",
                "  | ^^^^^^",
                "",
                "error[KF0402]: there is no project file",
                "",
                "2 errors, 1 warning",
            ]
        );
        assert_eq!(draw(&files, &[], false), "");
    }

    #[test]
    fn related_places_are_drawn_in_their_files() {
        let mut files = SourceMap::default();
        let macros = files.add(
            "macros/money.sql",
            "{% macro m(c) %}\n\t{{ c }} / x\n{% endmacro %}\n",
        );
        let model = files.add(
            "models/a.sql",
            "select\n  1,\n  {{ m('p') }},\n  {{ m('q') }}",
        );
        let d = Diagnostic::error(CODE, "no column `x`", Span::new(macros, 28, 29))
            .with_related(Span::new(model, 14, 26), "called here")
            .with_related(Span::new(model, 30, 42), "and here");
        let drawn = draw(&files, &[d], false);
        assert_eq!(
            lines(&drawn),
            [
                "error[KF0402]: no column `x`",
                " --> macros/money.sql:2:12",
                "  |",
                "2 |     {{ c }} / x",
                "  |               ^",
                "  |",
                " ::: models/a.sql:3:3",
                "  |",
                "3 |   {{ m('p') }},",
                "  |   ^^^^^^^^^^^^ called here",
                "4 |   {{ m('q') }}",
                "  |   ------------ and here",
                "",
                "1 error",
            ]
        );
    }

    #[test]
    fn a_place_after_the_last_line_break_has_a_line() {
        let mut files = SourceMap::default();
        let file = files.add("a.sql", "select (\n");
        let d = Diagnostic::error(CODE, "the text ends too early", Span::new(file, 9, 9));
        let drawn = draw(&files, std::slice::from_ref(&d), false);
        assert!(drawn.contains("--> a.sql:2:1"), "{drawn}");
        let whole = Diagnostic::error(CODE, "all of it", Span::new(file, 0, 9));
        let drawn = draw(&files, &[whole], false);
        assert!(drawn.contains("1 | select (\n  | ^^^^^^^^\n"), "{drawn}");
    }

    #[test]
    fn long_lines_are_cut_round_the_place() {
        let mut files = SourceMap::default();
        let text = format!("{} needle {}", "a, ".repeat(4_000), "b, ".repeat(4_000));
        let at = text.find("needle").map_or(0, |at| at);
        let file = files.add("a.sql", text);
        let d = Diagnostic::error(CODE, "here", Span::new(file, at, at + 6));
        let drawn = draw(&files, &[d], false);
        assert!(
            drawn.contains("needle") && drawn.contains("^^^^^^"),
            "{drawn}"
        );
        assert!(
            drawn.lines().all(|line| line.chars().count() < 200),
            "{drawn}"
        );
    }

    #[test]
    fn what_is_hidden_is_not_drawn_and_places_stay() {
        let mut files = SourceMap::default();
        let file = files.add("connections/c.yml", "pasword: s3crét # x\n");
        files.hide(Span::new(file, 9, 16));
        let d = Diagnostic::error(CODE, "no key `pasword`", Span::new(file, 0, 7))
            .with_related(Span::new(file, 17, 20), "here");
        let drawn = draw(&files, &[d], false);
        assert_eq!(
            lines(&drawn),
            [
                "error[KF0402]: no key `pasword`",
                " --> connections/c.yml:1:1",
                "  |",
                "1 | pasword: ******* # x",
                "  | ^^^^^^^          --- here",
                "",
                "1 error",
            ]
        );
    }

    #[test]
    fn nothing_in_a_file_steers_the_terminal() {
        let mut files = SourceMap::default();
        let file = files.add("a\u{1b}[2J.sql", "x \u{1b}]0;title\u{7} y\n");
        let d = Diagnostic::error(CODE, "bad \u{1b}[2J", Span::new(file, 0, 3))
            .with_label("\u{1b}[2J")
            .with_note("\u{1b}[2J")
            .with_help("\u{1b}[2J");
        let drawn = draw(&files, &[d], false);
        assert!(!drawn.contains(['\u{1b}', '\u{7}']), "{drawn:?}");
    }

    #[test]
    fn colour_changes_nothing_but_colour() {
        let mut files = SourceMap::default();
        let file = files.add("a.sql", "select x");
        let d = Diagnostic::error(CODE, "no `x`", Span::new(file, 7, 8)).with_help("add it");
        let plain = draw(&files, std::slice::from_ref(&d), false);
        let coloured = draw(&files, &[d], true);
        assert!(coloured.contains("\u{1b}["));
        let mut stripped = String::new();
        let mut rest = coloured.as_str();
        while let Some((before, after)) = rest.split_once("\u{1b}[") {
            stripped.push_str(before);
            rest = after.split_once('m').map_or("", |(_, behind)| behind);
        }
        stripped.push_str(rest);
        assert_eq!(lines(&stripped), lines(&plain));
    }

    #[test]
    fn json_has_every_part() {
        let mut files = SourceMap::default();
        let file = files.add("models/a.sql", "select é,\n  x\n");
        let d = Diagnostic::error(CODE, "no `x`", Span::new(file, 13, 14))
            .with_label("here")
            .with_related(Span::new(file, 7, 9), "the other")
            .with_note("n")
            .with_help("h");
        assert_eq!(
            json(&files, &[d, Diagnostic::error_nowhere(CODE, "none")]),
            json!([
                {
                    "code": "KF0402", "name": "unknown-column", "severity": "error",
                    "message": "no `x`", "file": "models/a.sql",
                    "line": 2, "column": 3, "end_line": 2, "end_column": 4,
                    "label": "here", "notes": ["n"], "help": ["h"],
                    "related": [
                        {"file": "models/a.sql", "line": 1, "column": 8, "text": "the other"}
                    ],
                },
                {
                    "code": "KF0402", "name": "unknown-column", "severity": "error",
                    "message": "none", "file": null,
                    "line": null, "column": null, "end_line": null, "end_column": null,
                    "label": null, "notes": [], "help": [], "related": [],
                },
            ])
        );
    }

    /// Text with everything that is hard to draw.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop::sample::select(vec![
            "",
            "a",
            "\t",
            " ",
            "\n",
            "\r\n",
            "\r",
            "é",
            "漢",
            "👩‍👩‍👧",
            "\u{301}",
            "\u{1b}",
            "\u{0}",
            "\u{202e}",
            "select",
            "                              ",
            "\u{feff}",
            "\u{2028}",
            "xxxxxxxxxxxxxxxxxxxx",
        ]);
        prop::collection::vec(piece, 0..40).prop_map(|pieces| pieces.concat())
    }

    fn spans(count: usize) -> impl Strategy<Value = Vec<(u32, usize, usize, String)>> {
        prop::collection::vec((0..4_u32, 0..160_usize, 0..60_usize, text()), 0..count)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn nothing_panics(
            texts in prop::collection::vec(text(), 3),
            primary in spans(2),
            related in spans(5),
            message in text(),
            color in any::<bool>(),
        ) {
            let mut files = SourceMap::default();
            for (i, text) in texts.iter().enumerate() {
                files.add(format!("file{i}.sql"), text.as_str());
            }
            let span = |(file, start, len, _): &(u32, usize, usize, String)| {
                Span::new(FileId(*file), *start, start + len)
            };
            let mut d = match primary.first() {
                Some(p) => Diagnostic::warning(CODE, message.clone(), span(p)).with_label(p.3.clone()),
                None => Diagnostic::error_nowhere(CODE, message.clone()),
            };
            for r in &related {
                d = d.with_related(span(r), r.3.clone());
            }
            d = d.with_note(message.clone()).with_help(message);
            let drawn = draw(&files, std::slice::from_ref(&d), color);
            prop_assert!(drawn.contains("KF0402"));
            let found = json(&files, &[d]);
            prop_assert_eq!(found.as_array().map(Vec::len), Some(1));
        }
    }
}
