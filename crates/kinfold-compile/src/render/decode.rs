//! Marked output, taken apart into text and a [`SpanMap`].

use std::collections::BTreeMap;

use kinfold_project::{SourceMap, Span};

use super::instrument::{Site, Sites};
use super::mark;
use super::span_map::{Frame, Segment, SegmentKind, SpanMap};

/// Output without marks, in items: each the output of one piece of the node's own template.
#[derive(Debug, Default)]
pub(super) struct Decoded {
    /// The text.
    pub text: String,
    segments: Vec<Segment>,
    frames: Vec<Frame>,
    items: Vec<Item>,
}

/// The output of one piece of the node's own template.
#[derive(Debug)]
struct Item {
    ordinal: Option<usize>,
    text: usize,
    segment: usize,
}

/// Where templates that are no file of the user point to.
#[derive(Clone, Debug)]
pub(super) struct Places {
    /// When nothing better is known.
    pub default: Span,
    /// By the first word of the expression.
    pub words: BTreeMap<String, Span>,
}

/// Takes marked output apart.
pub(super) fn decode(
    output: &str,
    sites: &Sites,
    files: &SourceMap,
    places: Option<&Places>,
) -> Decoded {
    let mut decoder = Decoder {
        sites,
        files,
        places,
        done: Decoded::default(),
        stack: Vec::new(),
        literal: None,
    };
    let mut rest = output;
    while let Some(at) = rest.find(mark::is_mark) {
        let (before, from) = rest.split_at(at);
        decoder.text(before);
        let mut chars = from.chars();
        let mark = chars.next();
        rest = chars.as_str();
        match mark {
            Some(mark::CLOSE) => decoder.close(),
            Some(kind @ (mark::TEXT | mark::OPEN)) => {
                let (number, after) = mark::number(rest);
                rest = after;
                decoder.open(kind, number);
            }
            _ => {}
        }
    }
    decoder.text(rest);
    decoder.done
}

struct Decoder<'s> {
    sites: &'s Sites,
    files: &'s SourceMap,
    places: Option<&'s Places>,
    done: Decoded,
    stack: Vec<(usize, usize)>,
    literal: Option<&'s Site>,
}

impl Decoder<'_> {
    fn open(&mut self, kind: char, number: usize) {
        let Some(site) = self.sites.sites.get(number) else {
            return;
        };
        if site.top.is_some() {
            self.stack.clear();
            self.item(site.top);
        }
        if kind == mark::TEXT {
            self.literal = Some(site);
            return;
        }
        self.literal = None;
        let span = site.span.or_else(|| {
            let places = self.places?;
            Some(*places.words.get(&site.word).unwrap_or(&places.default))
        });
        self.stack
            .push((self.done.frames.len(), self.done.text.len()));
        self.done.frames.push(Frame {
            parent: self.stack.iter().rev().nth(1).map(|(frame, _)| *frame),
            span,
            owner: site.owner.clone(),
            output: None,
        });
    }

    fn item(&mut self, ordinal: Option<usize>) {
        self.done.items.push(Item {
            ordinal,
            text: self.done.text.len(),
            segment: self.done.segments.len(),
        });
    }

    fn close(&mut self) {
        self.literal = None;
        if let Some((index, start)) = self.stack.pop()
            && let Some(frame) = self.done.frames.get_mut(index)
        {
            frame.set_output(self.done.text.get(start..).unwrap_or(""));
        }
    }

    fn segment(&mut self, text: &str, kind: SegmentKind) {
        if text.is_empty() {
            return;
        }
        if self.done.items.is_empty() {
            self.item(None);
        }
        self.done.segments.push(Segment {
            start: self.done.text.len(),
            kind,
            frame: self.stack.last().map(|(frame, _)| *frame),
        });
        self.done.text.push_str(text);
    }

    fn text(&mut self, run: &str) {
        if run.is_empty() {
            return;
        }
        let Some((site, span)) = self
            .literal
            .and_then(|site| site.span.map(|span| (site, span)))
        else {
            return self.segment(run, SegmentKind::Output);
        };
        let owner = site.owner.clone();
        let original = self.files.text(span);
        let start = span.start as usize;
        if let Some(after) = run.strip_prefix(original) {
            // What follows was joined to it by an expression.
            self.segment(original, SegmentKind::Literal(span.file, start, owner));
            self.segment(after, SegmentKind::Output);
        } else if let Some(at) = position(original, run) {
            self.segment(run, SegmentKind::Literal(span.file, start + at, owner));
        } else if run.eq_ignore_ascii_case(original) {
            self.segment(run, SegmentKind::Literal(span.file, start, owner));
        } else {
            self.segment(run, SegmentKind::Changed(span, owner));
        }
        self.literal = None;
    }
}

/// Where `run` stands in `original`, if only in one place.
fn position(original: &str, run: &str) -> Option<usize> {
    let at = original.find(run)?;
    (original.rfind(run) == Some(at)).then_some(at)
}

impl Decoded {
    /// The map of a text.
    pub fn into_map(self, place: Span, declared: Option<(Span, String)>) -> SpanMap {
        SpanMap {
            segments: self.segments,
            frames: self.frames,
            length: self.text.len(),
            place,
            declared,
        }
    }

    /// Takes over what a fully marked rendering knows more, item by item, where its text is equal.
    pub fn refine(self, full: Self) -> Self {
        if self.text == full.text {
            return full;
        }
        let comparable = self.items.len() == full.items.len()
            && self
                .items
                .iter()
                .zip(&full.items)
                .all(|(a, b)| a.ordinal == b.ordinal);
        if !comparable {
            return self;
        }
        let mut merged = Self {
            text: self.text.clone(),
            items: Vec::new(),
            ..Self::default()
        };
        let shift = self.frames.len();
        merged.frames.extend(self.frames.iter().cloned());
        merged
            .frames
            .extend(full.frames.iter().cloned().map(|mut frame| {
                frame.parent = frame.parent.map(|parent| parent + shift);
                frame
            }));
        for index in 0..self.items.len() {
            let (start, own) = self.part(index);
            let (other_start, other) = full.part(index);
            if own == other {
                merged
                    .segments
                    .extend(
                        full.item_segments(index)
                            .iter()
                            .cloned()
                            .map(|mut segment| {
                                segment.start = segment.start - other_start + start;
                                segment.frame = segment.frame.map(|frame| frame + shift);
                                segment
                            }),
                    );
            } else {
                merged
                    .segments
                    .extend(self.item_segments(index).iter().cloned());
            }
        }
        merged
    }

    fn part(&self, index: usize) -> (usize, &str) {
        let start = self.items.get(index).map_or(0, |item| item.text);
        let end = self
            .items
            .get(index + 1)
            .map_or(self.text.len(), |item| item.text);
        (start, self.text.get(start..end).unwrap_or(""))
    }

    fn item_segments(&self, index: usize) -> &[Segment] {
        let start = self.items.get(index).map_or(0, |item| item.segment);
        let end = self
            .items
            .get(index + 1)
            .map_or(self.segments.len(), |item| item.segment);
        self.segments.get(start..end).unwrap_or_default()
    }
}
