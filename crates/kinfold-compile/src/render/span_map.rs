//! From a byte of rendered SQL back to the file that the user wrote.

use std::ops::Range;

use kinfold_project::{Diagnostic, FileId, Span};

use super::instrument::Owner;

/// The longest output of an expression that is shown, in bytes.
const SHOWN: usize = 60;

/// The way back from rendered SQL to the user's files.
#[derive(Clone, Debug, PartialEq)]
pub struct SpanMap {
    /// In the order of the text, without gaps; the first starts at 0.
    pub(super) segments: Vec<Segment>,
    /// Tags whose output is in the text.
    pub(super) frames: Vec<Frame>,
    /// Length of the text.
    pub(super) length: usize,
    /// Where to point when nothing better is known.
    pub(super) place: Span,
    /// The data test that the text belongs to: its declaration is named in every origin.
    pub(super) declared: Option<(Span, String)>,
}

/// A run of rendered text with one origin, up to the start of the next.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Segment {
    /// First byte in the rendered text.
    pub start: usize,
    /// What it is.
    pub kind: SegmentKind,
    /// The tag whose output it is part of, if any.
    pub frame: Option<usize>,
}

/// What a run of text is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum SegmentKind {
    /// Copied byte by byte from a file, starting at this byte.
    Literal(FileId, usize, Owner),
    /// Literal text that an expression changed, so that only its whole place is known.
    Changed(Span, Owner),
    /// The output of an expression.
    Output,
}

/// A tag whose output is in the text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Frame {
    /// The tag in whose output it stands.
    pub parent: Option<usize>,
    /// Where the tag is.
    pub span: Option<Span>,
    /// Whose text the tag is part of.
    pub owner: Owner,
    /// Its output, if it is short.
    pub output: Option<Box<str>>,
}

impl Frame {
    /// Keeps the output if it is short enough to be shown.
    pub fn set_output(&mut self, text: &str) {
        self.output = (!text.is_empty() && text.len() <= SHOWN).then(|| text.into());
    }
}

/// Where a piece of rendered SQL came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The place in the user's file.
    pub primary: Span,
    /// How it came to be there, from the inside out: the call of the macro, the place of the
    /// included file, the declaration of the data test.
    pub related: Vec<(Span, String)>,
    /// Whether the piece is output of an expression, so that `primary` is the whole expression.
    pub from_expression: bool,
    /// What the expression gave, if it is short.
    pub rendered: Option<String>,
}

/// One step of the way from a byte outwards.
struct Step<'m> {
    level: Option<usize>,
    span: Span,
    owner: &'m Owner,
}

impl SpanMap {
    /// The origin of a range of bytes in the rendered text. A range outside the text gives the
    /// nearest place.
    #[must_use]
    pub fn origin(&self, rendered: Range<usize>) -> Origin {
        let last_byte = self.length.saturating_sub(1);
        let start = rendered.start.min(self.length);
        let first = self.steps(start.min(last_byte), start, start);
        let end = rendered.end.min(self.length).max(start);
        let last = if end > start {
            self.steps(end - 1, end - 1, end)
        } else {
            self.steps(start.min(last_byte), start, start)
        };
        let (primary, outward) = join(&first, &last).unwrap_or((self.place, first.len()));
        let from_expression = outward == 0 && self.is_output(start.min(last_byte));
        let rendered = if from_expression {
            self.segment(start.min(last_byte))
                .and_then(|s| self.frames.get(s.frame?)?.output.as_deref())
                .map(str::to_owned)
        } else {
            None
        };
        let mut related: Vec<(Span, String)> = first
            .windows(2)
            .skip(outward)
            .filter_map(|pair| match pair {
                [inner, outer] => Some((outer.span, label(inner.owner, outer.owner))),
                _ => None,
            })
            .collect();
        if let Some((span, text)) = &self.declared
            && *span != primary
            && !related.iter().any(|(place, _)| place == span)
        {
            related.push((*span, text.clone()));
        }
        Origin {
            primary,
            related,
            from_expression,
            rendered,
        }
    }

    /// The text in pieces of one origin each, in its order: the bytes of each, and where they came from.
    pub fn pieces(&self) -> impl Iterator<Item = (Range<usize>, Origin)> {
        let starts = self.segments.iter().map(|segment| segment.start);
        let ends = starts.clone().skip(1).chain([self.length]);
        let pieces = starts.zip(ends).filter(|(start, end)| start < end);
        pieces.map(|(start, end)| (start..end, self.origin(start..end)))
    }

    fn segment(&self, at: usize) -> Option<&Segment> {
        let index = self.segments.partition_point(|s| s.start <= at);
        self.segments.get(index.checked_sub(1)?)
    }

    fn is_output(&self, at: usize) -> bool {
        self.segment(at)
            .is_none_or(|s| s.kind == SegmentKind::Output)
    }

    /// The steps outwards from the byte `at`; `from..to` is the part of the text that counts.
    fn steps(&self, at: usize, from: usize, to: usize) -> Vec<Step<'_>> {
        let mut steps = Vec::new();
        let Some(segment) = self.segment(at) else {
            return steps;
        };
        match &segment.kind {
            SegmentKind::Literal(file, start, owner) => steps.push(Step {
                level: segment.frame,
                span: Span::new(
                    *file,
                    start + from.saturating_sub(segment.start),
                    start + to.saturating_sub(segment.start),
                ),
                owner,
            }),
            SegmentKind::Changed(span, owner) => steps.push(Step {
                level: segment.frame,
                span: *span,
                owner,
            }),
            SegmentKind::Output => {}
        }
        let mut next = segment.frame;
        while let Some(frame) = next.and_then(|index| self.frames.get(index)) {
            if let Some(span) = frame.span {
                steps.push(Step {
                    level: frame.parent,
                    span,
                    owner: &frame.owner,
                });
            }
            next = frame.parent;
        }
        steps
    }
}

/// The innermost place that holds both ends of a range, and its index in `first`.
fn join(first: &[Step<'_>], last: &[Step<'_>]) -> Option<(Span, usize)> {
    for (index, a) in first.iter().enumerate() {
        for b in last {
            if a.level == b.level && a.span.file == b.span.file && a.span.start <= b.span.end {
                let end = b.span.end.max(a.span.start);
                return Some((Span { end, ..a.span }, index));
            }
        }
    }
    first.first().map(|a| (a.span, 0))
}

/// What the place of a tag is to the text inside it.
fn label(inner: &Owner, outer: &Owner) -> String {
    if inner == outer {
        return "used here".to_owned();
    }
    match inner {
        Owner::Node => "used here".to_owned(),
        Owner::File(path) => format!("`{path}` is included here"),
        Owner::Macro(name) => format!("in macro `{name}`, called here"),
        Owner::Test(name) => format!("in data test `{name}`, declared here"),
    }
}

impl Origin {
    /// Adds the places that explain the primary one, and what an expression gave, to a diagnostic.
    #[must_use]
    pub fn explain(self, mut diagnostic: Diagnostic) -> Diagnostic {
        for (span, text) in self.related {
            diagnostic = diagnostic.with_related(span, text);
        }
        if let Some(rendered) = self.rendered {
            diagnostic = diagnostic.with_note(format!("the expression gave `{rendered}`"));
        }
        diagnostic
    }
}
