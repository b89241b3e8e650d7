//! YAML 1.2 (core schema) with the place of every value.

use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Tag};

use crate::codes;
use crate::diagnostic::{Diagnostic, FileId, Span};
use crate::located::{Located, Value, ValueKind};

/// Containers inside containers, aliases included. Bounds the recursion of everything that walks a
/// [`Value`].
const MAX_DEPTH: usize = 96;

/// Values that all aliases of a file together may stand for.
const MAX_ALIASED_VALUES: usize = 200_000;

/// Reads one YAML document.
///
/// Problems are added to `diagnostics`; `None` if the text is not YAML at all. Text without a
/// document is [`ValueKind::Null`]. Merge keys (`<<: *anchor`) are applied, because dbt's reader
/// does it too.
pub fn read(text: &str, file: FileId, diagnostics: &mut Vec<Diagnostic>) -> Option<Value> {
    read_scalars(text, file, diagnostics).0
}

/// Where the values of a text are, those that were dropped included.
#[derive(Debug, Default)]
pub(crate) struct Scalars {
    /// Values that are not mappings or lists, in the order of the text. Keys are not among them.
    pub(crate) values: Vec<Span>,
    /// Bytes of the text that were understood: all of them, unless reading ended early.
    pub(crate) understood: usize,
}

/// The same as [`read`], with the places of all values.
pub(crate) fn read_scalars(
    text: &str,
    file: FileId,
    diagnostics: &mut Vec<Diagnostic>,
) -> (Option<Value>, Scalars) {
    // A byte-order mark is not part of the document, but it is part of the file's offsets.
    let body = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = Reader {
        scalars: Scalars::default(),
        offsets: Offsets::new(body, text.len() - body.len()),
        text,
        file,
        diagnostics,
        stack: vec![],
        anchors: HashMap::new(),
        aliased_values: 0,
        root: None,
        documents: 0,
    };
    let value = reader.run(body);
    if value.is_some() {
        reader.scalars.understood = text.len();
    }
    (value, reader.scalars)
}

/// Byte offsets of characters: the parser counts characters.
struct Offsets {
    /// Offset of each character that is not preceded by as many bytes as characters; empty for
    /// ASCII text.
    bytes: Vec<u32>,
    base: usize,
    len: usize,
}

impl Offsets {
    fn new(body: &str, base: usize) -> Self {
        let bytes = if body.is_ascii() {
            vec![]
        } else {
            body.char_indices()
                .map(|(i, _)| u32::try_from(i).unwrap_or(u32::MAX))
                .collect()
        };
        Self {
            bytes,
            base,
            len: body.len(),
        }
    }

    fn byte(&self, character: usize) -> usize {
        let offset = if self.bytes.is_empty() {
            character.min(self.len)
        } else {
            self.bytes
                .get(character)
                .map_or(self.len, |offset| *offset as usize)
        };
        self.base + offset
    }
}

enum Frame {
    List {
        items: Vec<Value>,
        span: Span,
        anchor: usize,
    },
    Map {
        entries: Vec<(Located<String>, Value)>,
        seen: HashMap<String, Span>,
        merges: Vec<Value>,
        key: Option<Key>,
        span: Span,
        anchor: usize,
    },
}

enum Key {
    Plain(Located<String>),
    Merge(Span),
    /// A key that was refused; its value is dropped.
    Refused,
}

struct Anchored {
    value: Value,
    values: usize,
    depth: usize,
}

struct Reader<'a> {
    text: &'a str,
    file: FileId,
    offsets: Offsets,
    diagnostics: &'a mut Vec<Diagnostic>,
    stack: Vec<Frame>,
    anchors: HashMap<usize, Anchored>,
    aliased_values: usize,
    root: Option<Value>,
    documents: usize,
    scalars: Scalars,
}

impl Reader<'_> {
    fn run(&mut self, body: &str) -> Option<Value> {
        let mut parser = Parser::new_from_str(body);
        while let Some(event) = parser.next_event() {
            match event {
                Ok((event, span)) => {
                    let span = self.span(span);
                    self.scalars.understood = self.scalars.understood.max(span.range().start);
                    if !self.event(event, span) {
                        return None;
                    }
                }
                Err(error) => {
                    let place = self.caret(error.marker().index());
                    let open_quote = error.info()
                        == "while scanning a quoted scalar, found unexpected end of stream";
                    let message = if open_quote {
                        "this quote is never closed".to_owned()
                    } else {
                        format!("this is not valid YAML: {}", error.info())
                    };
                    let mut diagnostic = Diagnostic::error(codes::YAML_SYNTAX, message, place);
                    if self.line_of(place).contains("{{") || self.line_of(place).contains("{%") {
                        diagnostic =
                            diagnostic.with_help("put quotes around a value that contains Jinja");
                    } else if self.line_of(place).contains('\t') {
                        diagnostic = diagnostic.with_help("indent with spaces, not with tabs");
                    }
                    self.diagnostics.push(diagnostic);
                    return None;
                }
            }
        }
        let empty = Value {
            kind: ValueKind::Null,
            span: Span::new(self.file, 0, 0),
        };
        Some(self.root.take().unwrap_or(empty))
    }

    /// Takes one event; `false` ends the reading.
    fn event(&mut self, event: Event<'_>, span: Span) -> bool {
        match event {
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => true,
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    self.diagnostics.push(
                        Diagnostic::error(
                            codes::YAML_UNSUPPORTED,
                            "a file holds one YAML document, this is the second",
                            self.visible(span),
                        )
                        .with_help("move it to a file of its own"),
                    );
                    return false;
                }
                true
            }
            Event::Scalar(text, style, anchor, tag) => {
                let span = self.scalar_span(span, style);
                self.scalar(&text, style, anchor, tag.as_deref(), span)
            }
            Event::SequenceStart(anchor, _) => self.open(
                Frame::List {
                    items: vec![],
                    span,
                    anchor,
                },
                span,
            ),
            Event::MappingStart(anchor, _) => self.open(
                Frame::Map {
                    entries: vec![],
                    seen: HashMap::new(),
                    merges: vec![],
                    key: None,
                    span,
                    anchor,
                },
                span,
            ),
            Event::SequenceEnd | Event::MappingEnd => self.close(span),
            Event::Alias(anchor) => self.alias(anchor, span),
        }
    }

    fn open(&mut self, frame: Frame, span: Span) -> bool {
        if self.stack.len() >= MAX_DEPTH {
            self.too_large(span, "this nests too deep");
            return false;
        }
        self.stack.push(frame);
        true
    }

    fn close(&mut self, end: Span) -> bool {
        let (value, anchor) = match self.stack.pop() {
            Some(Frame::List {
                items,
                span,
                anchor,
            }) => {
                let last = items.last().map(|item| item.span);
                let span = self.container_span(span, last, end);
                let kind = ValueKind::List(items);
                (Value { kind, span }, anchor)
            }
            Some(Frame::Map {
                mut entries,
                seen,
                merges,
                span,
                anchor,
                ..
            }) => {
                for merged in merges {
                    self.merge(&mut entries, &seen, merged);
                }
                // A merged value lies where its anchor is, perhaps far from this mapping.
                let last = entries
                    .iter()
                    .filter(|(key, _)| seen.contains_key(&key.value))
                    .map(|(key, value)| value.span.max_end(key.span))
                    .next_back();
                let span = self.container_span(span, last, end);
                let kind = ValueKind::Map(entries);
                (Value { kind, span }, anchor)
            }
            None => return true,
        };
        self.finish(value, anchor)
    }

    fn merge(
        &mut self,
        entries: &mut Vec<(Located<String>, Value)>,
        seen: &HashMap<String, Span>,
        merged: Value,
    ) {
        match merged.kind {
            ValueKind::Map(added) => {
                for (key, value) in added {
                    let present = seen.contains_key(&key.value)
                        || entries.iter().any(|(k, _)| k.value == key.value);
                    if !present {
                        entries.push((key, value));
                    }
                }
            }
            ValueKind::List(items)
                if items
                    .iter()
                    .all(|item| matches!(item.kind, ValueKind::Map(_))) =>
            {
                for item in items {
                    self.merge(entries, seen, item);
                }
            }
            _ => self.diagnostics.push(Diagnostic::error(
                codes::YAML_UNSUPPORTED,
                "`<<` takes a mapping or a list of mappings",
                merged.span,
            )),
        }
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        anchor: usize,
        tag: Option<&Tag>,
        span: Span,
    ) -> bool {
        if let Some(Frame::Map { key, seen, .. }) = self.stack.last_mut()
            && key.is_none()
        {
            if text == "<<" && style == ScalarStyle::Plain {
                *key = Some(Key::Merge(span));
                return true;
            }
            let first = seen.get(text).copied();
            if let Some(first) = first {
                *key = Some(Key::Refused);
                self.diagnostics.push(
                    Diagnostic::error(
                        codes::YAML_DUPLICATE_KEY,
                        format!("the key `{text}` is here twice"),
                        span,
                    )
                    .with_related(first, "first here")
                    .with_help("remove one of them"),
                );
            } else {
                seen.insert(text.to_owned(), span);
                *key = Some(Key::Plain(Located::new(text.to_owned(), span)));
            }
            if anchor != 0 {
                let value = Value {
                    kind: ValueKind::String(text.to_owned()),
                    span,
                };
                self.remember(anchor, &value);
            }
            return true;
        }
        self.scalars.values.push(span);
        let kind = match tag {
            None if style == ScalarStyle::Plain => plain(text),
            None => ValueKind::String(text.to_owned()),
            Some(tag) if tag.is_yaml_core_schema() => match tagged(&tag.suffix, text) {
                Some(kind) => kind,
                None => {
                    self.diagnostics.push(Diagnostic::error(
                        codes::WRONG_TYPE,
                        format!("this is not of the type `!!{}`", tag.suffix),
                        span,
                    ));
                    ValueKind::Null
                }
            },
            Some(tag) => {
                self.diagnostics.push(Diagnostic::error(
                    codes::YAML_UNSUPPORTED,
                    format!("the tag `{tag}` has no meaning here"),
                    span,
                ));
                ValueKind::String(text.to_owned())
            }
        };
        self.finish(Value { kind, span }, anchor)
    }

    fn alias(&mut self, anchor: usize, span: Span) -> bool {
        let Some(anchored) = self.anchors.get(&anchor) else {
            // The anchor is around the alias itself.
            self.diagnostics.push(Diagnostic::error(
                codes::YAML_UNSUPPORTED,
                "this alias stands for a value that contains it",
                span,
            ));
            return false;
        };
        self.aliased_values = self.aliased_values.saturating_add(anchored.values);
        if self.aliased_values > MAX_ALIASED_VALUES {
            self.too_large(span, "the aliases of this file stand for too many values");
            return false;
        }
        if self.stack.len() + anchored.depth > MAX_DEPTH {
            self.too_large(span, "this nests too deep");
            return false;
        }
        let value = anchored.value.clone();
        if let Some(Frame::Map { key: None, .. }) = self.stack.last() {
            return match value.kind {
                ValueKind::String(text) => {
                    self.scalar(&text, ScalarStyle::DoubleQuoted, 0, None, span)
                }
                _ => self.refuse_key(span),
            };
        }
        self.finish(value, 0)
    }

    /// Puts a whole value where it belongs.
    fn finish(&mut self, mut value: Value, anchor: usize) -> bool {
        if anchor != 0 {
            self.remember(anchor, &value);
        }
        match self.stack.last_mut() {
            None => self.root = Some(value),
            Some(Frame::List { items, .. }) => items.push(value),
            Some(Frame::Map {
                entries,
                key,
                merges,
                ..
            }) => match key.take() {
                None => return self.refuse_key(value.span),
                Some(Key::Plain(key)) => {
                    if value.span.start == value.span.end {
                        // Nothing was written, so the key is the place to show.
                        value.span = key.span;
                    }
                    entries.push((key, value));
                }
                Some(Key::Merge(key)) => {
                    if !matches!(value.kind, ValueKind::Map(_) | ValueKind::List(_)) {
                        value.span = key;
                    }
                    merges.push(value);
                }
                Some(Key::Refused) => {}
            },
        }
        true
    }

    /// Reports a key that is not text. The value that follows is dropped.
    fn refuse_key(&mut self, span: Span) -> bool {
        let mut diagnostic = Diagnostic::error(
            codes::YAML_UNSUPPORTED,
            "a key must be text, this is a list or a mapping",
            span,
        );
        if self.line_of(span).contains("{{") || self.line_of(span).contains("{ {") {
            diagnostic = diagnostic.with_help("put quotes around a value that contains Jinja");
        }
        self.diagnostics.push(diagnostic);
        if let Some(Frame::Map { key, .. }) = self.stack.last_mut() {
            *key = Some(Key::Refused);
        }
        true
    }

    fn remember(&mut self, anchor: usize, value: &Value) {
        let (values, depth) = size(value);
        let value = value.clone();
        // A copy is kept of every anchored value, so nested anchors count like aliases.
        self.aliased_values = self.aliased_values.saturating_add(values);
        if self.aliased_values <= MAX_ALIASED_VALUES {
            self.anchors.insert(
                anchor,
                Anchored {
                    value,
                    values,
                    depth,
                },
            );
        } else {
            self.anchors.insert(
                anchor,
                Anchored {
                    value: Value {
                        kind: ValueKind::Null,
                        span: value.span,
                    },
                    values,
                    depth,
                },
            );
        }
    }

    fn too_large(&mut self, span: Span, message: &str) {
        let span = self.visible(span);
        self.diagnostics
            .push(Diagnostic::error(codes::YAML_TOO_LARGE, message, span));
    }

    fn span(&self, span: saphyr_parser::Span) -> Span {
        let start = self.offsets.byte(span.start.index());
        let end = self.offsets.byte(span.end.index());
        Span::new(self.file, start, end)
    }

    /// The span of a scalar from its first to its last character, quotes included.
    fn scalar_span(&self, span: Span, style: ScalarStyle) -> Span {
        // The parser's span of a quoted scalar runs on to the next token.
        let text = self.text.get(span.range()).unwrap_or("");
        let quote = match style {
            ScalarStyle::SingleQuoted => '\'',
            ScalarStyle::DoubleQuoted => '"',
            _ => return self.trimmed(span),
        };
        let mut characters = text.char_indices().skip(1).peekable();
        while let Some((at, c)) = characters.next() {
            if c == '\\' && quote == '"' {
                characters.next();
            } else if c == quote {
                if quote == '\'' && characters.peek().is_some_and(|(_, next)| *next == quote) {
                    characters.next();
                    continue;
                }
                let start = span.range().start;
                return Span::new(self.file, start, start + at + 1);
            }
        }
        self.trimmed(span)
    }

    /// The span without white space at its end, which block scalars carry.
    fn trimmed(&self, span: Span) -> Span {
        let text = self.text.get(span.range()).unwrap_or("");
        let end = span.range().start + text.trim_end().len();
        Span::new(self.file, span.range().start, end)
    }

    /// A span of at least one character, if the file has one there.
    fn visible(&self, span: Span) -> Span {
        let range = span.range();
        if range.end > range.start {
            return self.trimmed(span);
        }
        let next = self
            .text
            .get(range.start..)
            .and_then(|rest| rest.chars().next())
            .map_or(0, char::len_utf8);
        Span::new(self.file, range.start, range.start + next)
    }

    /// A place for a caret at or, past the end of the text, before a character.
    fn caret(&self, character: usize) -> Span {
        let offset = self.offsets.byte(character);
        let before = self.text.get(..offset).unwrap_or(self.text);
        let rest = self.text.get(offset..).unwrap_or("");
        if let Some(c) = rest.chars().next()
            && !rest.trim_start().is_empty()
        {
            let skipped = rest.len() - rest.trim_start_matches(['\n', '\r']).len();
            let at = offset + skipped;
            let len = if skipped == 0 { c.len_utf8() } else { 1 };
            let end = self.text.get(at..at + len).map_or(at, |_| at + len);
            return Span::new(self.file, at, end);
        }
        let trimmed = before.trim_end();
        let last = trimmed.chars().next_back().map_or(0, char::len_utf8);
        Span::new(self.file, trimmed.len() - last, trimmed.len())
    }

    fn line_of(&self, span: Span) -> &str {
        let at = span.range().start;
        let before = self.text.get(..at).unwrap_or("");
        let start = before.rfind('\n').map_or(0, |i| i + 1);
        self.text
            .get(start..)
            .and_then(|rest| rest.lines().next())
            .unwrap_or("")
    }

    fn container_span(&self, start: Span, last: Option<Span>, end: Span) -> Span {
        // A flow container ends with its bracket; a block container's end event lies where the
        // next thing starts, so its last value is the better end.
        let bracket = self
            .text
            .get(end.range())
            .is_some_and(|text| text.ends_with([']', '}']));
        let to = if bracket {
            end.range().end
        } else {
            last.map_or(start.range().end, |last| last.range().end)
        };
        let from = start.range().start;
        Span::new(self.file, from, to.max(from))
    }
}

impl Span {
    fn max_end(self, other: Self) -> Self {
        if other.end > self.end { other } else { self }
    }
}

/// Values in a value, itself included, and how deep its containers nest.
fn size(value: &Value) -> (usize, usize) {
    let children = |items: &mut dyn Iterator<Item = &Value>| {
        let mut values = 1;
        let mut depth = 0;
        for item in items {
            let (v, d) = size(item);
            values += v;
            depth = depth.max(d);
        }
        (values, depth + 1)
    };
    match &value.kind {
        ValueKind::List(items) => children(&mut items.iter()),
        ValueKind::Map(entries) => children(&mut entries.iter().map(|(_, value)| value)),
        _ => (1, 0),
    }
}

/// A plain scalar by the core schema (YAML 1.2.2 §10.3.2).
fn plain(text: &str) -> ValueKind {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return ValueKind::Null,
        "true" | "True" | "TRUE" => return ValueKind::Bool(true),
        "false" | "False" | "FALSE" => return ValueKind::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return ValueKind::Float(f64::NAN),
        _ => {}
    }
    if let Some(number) = integer(text).or_else(|| float(text)) {
        return number;
    }
    ValueKind::String(text.to_owned())
}

fn integer(text: &str) -> Option<ValueKind> {
    let radix = |digits: &str, radix| {
        (!digits.starts_with(['+', '-']))
            .then(|| i64::from_str_radix(digits, radix).ok())
            .flatten()
    };
    if let Some(digits) = text.strip_prefix("0o") {
        return radix(digits, 8).map(ValueKind::Int);
    }
    if let Some(digits) = text.strip_prefix("0x") {
        return radix(digits, 16).map(ValueKind::Int);
    }
    let digits = text.strip_prefix(['+', '-']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|b| b.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().map(ValueKind::Int)
}

fn float(text: &str) -> Option<ValueKind> {
    let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
    if matches!(unsigned, ".inf" | ".Inf" | ".INF") {
        let sign = if text.starts_with('-') { -1.0 } else { 1.0 };
        return Some(ValueKind::Float(sign * f64::INFINITY));
    }
    // Rust also takes `inf`, `nan` and `infinity`, which are words here.
    let numeric = unsigned.starts_with(|c: char| c.is_ascii_digit() || c == '.')
        && unsigned.contains(|c: char| c.is_ascii_digit())
        && unsigned
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    if !numeric {
        return None;
    }
    text.parse().ok().map(ValueKind::Float)
}

fn tagged(suffix: &str, text: &str) -> Option<ValueKind> {
    if suffix == "str" {
        return Some(ValueKind::String(text.to_owned()));
    }
    let kind = plain(text);
    match (suffix, &kind) {
        ("int", ValueKind::Int(_))
        | ("bool", ValueKind::Bool(_))
        | ("null", ValueKind::Null)
        | ("float", ValueKind::Float(_)) => Some(kind),
        #[expect(clippy::cast_precision_loss, reason = "the tag asks for a float")]
        ("float", ValueKind::Int(i)) => Some(ValueKind::Float(*i as f64)),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
