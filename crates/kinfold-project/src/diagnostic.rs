//! Problems in a user's project, as data.

use std::borrow::Cow;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A file of the project, by its position in the [`SourceMap`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FileId(pub u32);

/// A range of bytes in one file, end exclusive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The range `start..end` of `file`, in bytes.
    #[must_use]
    pub fn new(file: FileId, start: usize, end: usize) -> Self {
        let clamp = |n: usize| u32::try_from(n).unwrap_or(u32::MAX);
        Self {
            file,
            start: clamp(start),
            end: clamp(end.max(start)),
        }
    }

    /// The range as byte offsets into the file's text.
    #[must_use]
    pub fn range(self) -> std::ops::Range<usize> {
        self.start as usize..self.end as usize
    }
}

/// How bad a problem is. Only errors stop a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Severity {
    /// The project cannot run as written.
    Error,
    /// The project runs, but probably not as meant.
    Warning,
}

/// A stable code of a kind of problem: a number for reference, a name for reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Code {
    /// `KF` and four digits; never reused.
    pub id: &'static str,
    /// The same in words, kebab-case.
    pub name: &'static str,
}

/// A place in a file with a short text about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is there; may be empty.
    pub text: String,
}

/// One problem in the user's files: what it is, where, and what to do about it.
///
/// The message is one sentence in lower case without a full stop, with back-ticks round the
/// user's own words. It never contains a value of a secret or a row of data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// The kind of problem.
    pub code: Code,
    /// Whether it stops a run.
    pub severity: Severity,
    /// What is wrong.
    pub message: String,
    /// The place to mend. `None` only where no file can be named (a missing project file).
    pub primary: Option<Label>,
    /// Places that explain the primary one: the call of a macro, the other definition.
    pub related: Vec<Label>,
    /// Facts that help to understand.
    pub notes: Vec<String>,
    /// What to do.
    pub help: Vec<String>,
}

impl Diagnostic {
    /// An error at `span`.
    #[must_use]
    pub fn error(code: Code, message: impl Into<String>, span: Span) -> Self {
        Self::new(Severity::Error, code, message, Some(span))
    }

    /// A warning at `span`.
    #[must_use]
    pub fn warning(code: Code, message: impl Into<String>, span: Span) -> Self {
        Self::new(Severity::Warning, code, message, Some(span))
    }

    /// An error that no file can be named for.
    #[must_use]
    pub fn error_nowhere(code: Code, message: impl Into<String>) -> Self {
        Self::new(Severity::Error, code, message, None)
    }

    fn new(severity: Severity, code: Code, message: impl Into<String>, span: Option<Span>) -> Self {
        let primary = span.map(|span| Label {
            span,
            text: String::new(),
        });
        Self {
            code,
            severity,
            message: message.into(),
            primary,
            related: vec![],
            notes: vec![],
            help: vec![],
        }
    }

    /// Sets the text at the primary place.
    #[must_use]
    pub fn with_label(mut self, text: impl Into<String>) -> Self {
        if let Some(primary) = &mut self.primary {
            primary.text = text.into();
        }
        self
    }

    /// Adds a related place.
    #[must_use]
    pub fn with_related(mut self, span: Span, text: impl Into<String>) -> Self {
        self.related.push(Label {
            span,
            text: text.into(),
        });
        self
    }

    /// Adds a fact.
    #[must_use]
    pub fn with_note(mut self, note: impl Into<String>) -> Self {
        self.notes.push(note.into());
        self
    }

    /// Adds advice.
    #[must_use]
    pub fn with_help(mut self, help: impl Into<String>) -> Self {
        self.help.push(help.into());
        self
    }

    /// Whether this stops a run.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// A file of the project as it was read.
#[derive(Clone, Debug)]
pub struct SourceFile {
    /// Path for display, relative to the project's root, `/` between the parts. Files of a package
    /// start with the package's name in angle brackets.
    pub path: PathBuf,
    /// The whole text.
    pub text: Arc<str>,
    line_starts: Arc<[u32]>,
    /// Ranges that are not shown, as they were hidden.
    hidden: Vec<Range<usize>>,
}

/// All files that were read, so that a [`Span`] can be shown.
#[derive(Clone, Debug, Default)]
pub struct SourceMap {
    files: Vec<SourceFile>,
}

impl SourceMap {
    /// Adds a file and gives it an id.
    pub fn add(&mut self, path: impl Into<PathBuf>, text: impl Into<Arc<str>>) -> FileId {
        let text: Arc<str> = text.into();
        let starts = std::iter::once(0)
            .chain(
                text.bytes()
                    .enumerate()
                    .filter(|(_, b)| *b == b'\n')
                    .map(|(i, _)| i + 1),
            )
            .map(|i| u32::try_from(i).unwrap_or(u32::MAX))
            .collect();
        let id = FileId(u32::try_from(self.files.len()).unwrap_or(u32::MAX));
        self.files.push(SourceFile {
            path: path.into(),
            text,
            line_starts: starts,
            hidden: vec![],
        });
        id
    }

    /// Keeps a place out of excerpts, see [`SourceFile::shown`]: it may be a credential.
    pub fn hide(&mut self, span: Span) {
        if span.end > span.start
            && let Some(file) = self.files.get_mut(span.file.0 as usize)
        {
            file.hidden.push(span.range());
        }
    }

    /// The file with this id.
    #[must_use]
    pub fn get(&self, id: FileId) -> Option<&SourceFile> {
        self.files.get(id.0 as usize)
    }

    /// Text of a span; empty if the span lies outside the file.
    #[must_use]
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file)
            .and_then(|f| f.text.get(span.range()))
            .unwrap_or("")
    }

    /// Path of a span's file.
    #[must_use]
    pub fn path(&self, id: FileId) -> &Path {
        self.get(id).map_or(Path::new(""), |f| f.path.as_path())
    }

    /// Line and column of the first byte of `span`, both from 1, columns in characters.
    #[must_use]
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        self.get(span.file)
            .map_or((1, 1), |f| f.line_column(span.start as usize))
    }

    /// All files, in the order of their ids.
    #[must_use]
    pub fn files(&self) -> &[SourceFile] {
        &self.files
    }
}

impl SourceFile {
    /// Text of a range for people to see: what is hidden is replaced by as many `*` as it has bytes, so that places
    /// in it stay where they are. Line breaks stay, a range that is not within the text is empty.
    #[must_use]
    pub fn shown(&self, range: Range<usize>) -> Cow<'_, str> {
        let text = self.text.get(range.clone()).unwrap_or("");
        let hidden = |at: usize| self.hidden.iter().any(|hidden| hidden.contains(&at));
        let touched = |h: &Range<usize>| h.start < range.end && range.start < h.end;
        if !self.hidden.iter().any(touched) {
            return Cow::Borrowed(text);
        }
        let mut shown = String::with_capacity(text.len());
        for (at, c) in text.char_indices() {
            if matches!(c, '\n' | '\r') || !hidden(range.start + at) {
                shown.push(c);
            } else {
                shown.extend(std::iter::repeat_n('*', c.len_utf8()));
            }
        }
        Cow::Owned(shown)
    }

    /// Line and column (from 1, in characters) of a byte offset.
    #[must_use]
    pub fn line_column(&self, offset: usize) -> (usize, usize) {
        let offset = offset.min(self.text.len());
        let line = self
            .line_starts
            .partition_point(|s| *s as usize <= offset)
            .max(1);
        let start = self.line_starts.get(line - 1).map_or(0, |s| *s as usize);
        let column = self
            .text
            .get(start..offset)
            .map_or(0, |t| t.chars().count());
        (line, column + 1)
    }

    /// Byte offset of a line and column (from 1, in characters); `None` if there is no such line.
    #[must_use]
    pub fn offset(&self, line: usize, column: usize) -> Option<usize> {
        let start = *self.line_starts.get(line.checked_sub(1)?)? as usize;
        let rest = self.text.get(start..)?;
        let in_line = rest
            .char_indices()
            .nth(column.saturating_sub(1))
            .map_or(rest.len(), |(i, _)| i);
        Some(start + in_line)
    }
}
