//! A template cut into its pieces, with the places that the template engine does not report.
//!
//! The rules are those of minijinja's own lexer for the default delimiters, so that both see the
//! same pieces: a comment ends at the first `#}`, a tag ends at the first closing delimiter outside
//! brackets and strings, `-` removes all white space on its side, and one line end at the end of
//! the template is dropped.

use std::ops::Range;

/// A piece of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Piece {
    /// Literal text, after white space control.
    Text {
        /// Where it is in the template.
        range: Range<usize>,
    },
    /// `{{ … }}`.
    Expression(Tag),
    /// `{% … %}`.
    Statement(Tag),
}

/// An expression or a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Tag {
    /// With its delimiters.
    pub outer: Range<usize>,
    /// Without delimiters and white space control.
    pub inner: Range<usize>,
    /// Its tokens.
    pub tokens: Vec<Token>,
}

impl Tag {
    /// The first word of a statement.
    pub fn keyword<'t>(&self, source: &'t str) -> &'t str {
        match self.tokens.first() {
            Some(token) if token.kind == TokenKind::Name => token.text(source),
            _ => "",
        }
    }
}

/// The smallest unit inside a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// Where it is in the template.
    pub range: Range<usize>,
}

impl Token {
    /// Its text.
    pub fn text<'t>(&self, source: &'t str) -> &'t str {
        source.get(self.range.clone()).unwrap_or("")
    }

    /// Whether it is this punctuation.
    pub fn is(&self, punctuation: u8) -> bool {
        self.kind == TokenKind::Punctuation(punctuation)
    }
}

/// The kinds of tokens that matter here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TokenKind {
    /// An identifier or a word of the language.
    Name,
    /// A quoted string.
    String,
    /// `==`, `!=`, `>=`, `<=`, `//`, `**`.
    Operator,
    /// One character of punctuation, or the first byte of anything else.
    Punctuation(u8),
}

/// A template that cannot be cut into pieces.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unclosed {
    /// What is not closed.
    pub what: &'static str,
    /// What closes it.
    pub closer: &'static str,
    /// Its opening delimiter.
    pub range: Range<usize>,
}

/// Cuts a template into its pieces. Comments and empty texts are left out.
pub(super) fn pieces(source: &str) -> Result<Vec<Piece>, Unclosed> {
    let mut body = source;
    body = body.strip_suffix('\n').unwrap_or(body);
    body = body.strip_suffix('\r').unwrap_or(body);
    let mut lexer = Lexer {
        source: body,
        at: 0,
        trim_next: false,
        pieces: Vec::new(),
    };
    lexer.run()?;
    Ok(lexer.pieces)
}

struct Lexer<'t> {
    source: &'t str,
    at: usize,
    trim_next: bool,
    pieces: Vec<Piece>,
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        self.source.get(self.at..).unwrap_or("")
    }

    fn byte(&self, at: usize) -> Option<u8> {
        self.source.as_bytes().get(at).copied()
    }

    fn run(&mut self) -> Result<(), Unclosed> {
        while self.at < self.source.len() {
            if std::mem::take(&mut self.trim_next) {
                let rest = self.rest();
                self.at += rest.len() - rest.trim_start().len();
            }
            let Some((start, kind)) = find_delimiter(self.source, self.at) else {
                self.text(self.at..self.source.len());
                self.at = self.source.len();
                break;
            };
            let control = self.byte(start + 2);
            let lead = self.source.get(self.at..start).unwrap_or("");
            let end = match control {
                Some(b'-') => self.at + lead.trim_end().len(),
                _ => start,
            };
            self.text(self.at..end);
            self.at = start;
            match kind {
                b'#' => self.comment(start)?,
                b'{' => self.tag(start, control, b'}')?,
                _ => {
                    let body = start + 2 + usize::from(matches!(control, Some(b'-' | b'+')));
                    if let Some((len, trim)) = basic_tag(self.source, body, "raw", false) {
                        self.raw(start, body + len, trim)?;
                    } else {
                        self.tag(start, control, b'%')?;
                    }
                }
            }
        }
        Ok(())
    }

    fn text(&mut self, range: Range<usize>) {
        if !range.is_empty() {
            self.pieces.push(Piece::Text { range });
        }
    }

    fn comment(&mut self, start: usize) -> Result<(), Unclosed> {
        let skip = start + 2 + usize::from(matches!(self.byte(start + 2), Some(b'-' | b'+')));
        let found = self.source.get(skip..).and_then(|rest| rest.find("#}"));
        let Some(end) = found.map(|n| skip + n) else {
            return Err(Unclosed {
                what: "comment",
                closer: "#}",
                range: start..start + 2,
            });
        };
        let before = end.saturating_sub(1).max(skip);
        self.trim_next = self.byte(before) == Some(b'-');
        self.at = end + 2;
        Ok(())
    }

    fn raw(&mut self, start: usize, body: usize, trim_start: bool) -> Result<(), Unclosed> {
        let mut at = body;
        while let Some(found) = self.source.get(at..).and_then(|rest| rest.find("{%")) {
            let tag = at + found;
            at = tag + 2;
            let Some((len, trim_after)) = basic_tag(self.source, at, "endraw", true) else {
                continue;
            };
            let text = self.source.get(body..tag).unwrap_or("");
            let from = if trim_start {
                body + text.len() - text.trim_start().len()
            } else {
                body
            };
            let kept = self.source.get(from..tag).unwrap_or("");
            let to = if self.byte(at) == Some(b'-') {
                from + kept.trim_end().len()
            } else {
                tag
            };
            self.text(from..to);
            self.trim_next = trim_after;
            self.at = at + len;
            return Ok(());
        }
        Err(Unclosed {
            what: "raw block",
            closer: "{% endraw %}",
            range: start..body,
        })
    }

    fn tag(&mut self, start: usize, control: Option<u8>, closer: u8) -> Result<(), Unclosed> {
        let unclosed = Unclosed {
            what: if closer == b'}' {
                "expression"
            } else {
                "statement"
            },
            closer: if closer == b'}' { "}}" } else { "%}" },
            range: start..start + 2,
        };
        let from = start + 2 + usize::from(matches!(control, Some(b'-' | b'+')));
        let mut at = from;
        let mut depth = 0_i64;
        let mut tokens = Vec::new();
        while let Some(byte) = self.byte(at) {
            if byte.is_ascii_whitespace() {
                at += 1;
                continue;
            }
            if depth == 0 {
                let sign = usize::from(matches!(byte, b'-' | b'+'));
                if self.byte(at + sign) == Some(closer) && self.byte(at + sign + 1) == Some(b'}') {
                    let tag = Tag {
                        outer: start..at + sign + 2,
                        inner: from..at,
                        tokens,
                    };
                    self.trim_next = byte == b'-';
                    self.at = tag.outer.end;
                    self.pieces.push(if closer == b'}' {
                        Piece::Expression(tag)
                    } else {
                        Piece::Statement(tag)
                    });
                    return Ok(());
                }
            }
            let (kind, len) = match byte {
                b'\'' | b'"' => match string_length(self.source.as_bytes(), at) {
                    Some(len) => (TokenKind::String, len),
                    None => {
                        return Err(Unclosed {
                            what: "string",
                            closer: if byte == b'"' { "\"" } else { "'" },
                            range: at..at + 1,
                        });
                    }
                },
                b'a'..=b'z' | b'A'..=b'Z' | b'_' => (TokenKind::Name, self.word_length(at)),
                // A number: its parts do not matter, only that letters in it are no name.
                b'0'..=b'9' => (TokenKind::Punctuation(b'0'), self.word_length(at)),
                _ => {
                    let pair = self.source.as_bytes().get(at..at + 2);
                    match pair {
                        Some(b"//" | b"**" | b"==" | b"!=" | b">=" | b"<=") => {
                            (TokenKind::Operator, 2)
                        }
                        _ => {
                            match byte {
                                b'(' | b'[' | b'{' => depth += 1,
                                b')' | b']' | b'}' => depth -= 1,
                                _ => {}
                            }
                            let len = self
                                .source
                                .get(at..)
                                .and_then(|rest| rest.chars().next())
                                .map_or(1, char::len_utf8);
                            (TokenKind::Punctuation(byte), len)
                        }
                    }
                }
            };
            tokens.push(Token {
                kind,
                range: at..at + len,
            });
            at += len;
        }
        Err(unclosed)
    }

    fn word_length(&self, at: usize) -> usize {
        self.source
            .as_bytes()
            .get(at..)
            .unwrap_or_default()
            .iter()
            .take_while(|b| b.is_ascii_alphanumeric() || **b == b'_')
            .count()
            .max(1)
    }
}

/// The next `{{`, `{%` or `{#` at or after `from`, and its second byte.
fn find_delimiter(source: &str, from: usize) -> Option<(usize, u8)> {
    let bytes = source.as_bytes();
    let mut at = from;
    loop {
        at += bytes.get(at..)?.iter().position(|b| *b == b'{')?;
        match bytes.get(at + 1) {
            Some(kind @ (b'{' | b'%' | b'#')) => return Some((at, *kind)),
            _ => at += 1,
        }
    }
}

/// Length of a quoted string at `at`, quotes included.
fn string_length(bytes: &[u8], at: usize) -> Option<usize> {
    let quote = bytes.get(at)?;
    let mut i = at + 1;
    loop {
        match bytes.get(i)? {
            b'\\' => i += 2,
            b if b == quote => return Some(i + 1 - at),
            _ => i += 1,
        }
    }
}

/// Matches ` name %}` at `at`: its length, and whether white space after it is removed.
fn basic_tag(source: &str, at: usize, name: &str, control: bool) -> Option<(usize, bool)> {
    let whole = source.get(at..)?;
    let mut rest = whole;
    if control {
        rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    }
    let space = |c: char| c.is_ascii_whitespace();
    rest = rest.trim_start_matches(space).strip_prefix(name)?;
    rest = rest.trim_start_matches(space);
    let trim = rest.starts_with('-');
    rest = rest.strip_prefix(['-', '+']).unwrap_or(rest);
    let rest = rest.strip_prefix("%}")?;
    Some((whole.len() - rest.len(), trim))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn texts(source: &str) -> Vec<&str> {
        pieces(source)
            .unwrap()
            .iter()
            .map(|piece| match piece {
                Piece::Text { range } => &source[range.clone()],
                Piece::Expression(tag) | Piece::Statement(tag) => &source[tag.inner.clone()],
            })
            .collect()
    }

    #[test]
    fn white_space_control_is_applied() {
        assert_eq!(
            texts("a {{- x -}} b {% if y %} c\n"),
            ["a", " x ", "b ", " if y ", " c"]
        );
    }

    #[test]
    fn brackets_and_strings_hide_the_closing_delimiter() {
        assert_eq!(
            texts("{{ {'a': {'}}': 1}} }}z"),
            [" {'a': {'}}': 1}} ", "z"]
        );
        assert_eq!(texts("{% set x = '%}' %}z"), [" set x = '%}' ", "z"]);
    }

    #[test]
    fn raw_blocks_are_text() {
        assert_eq!(
            texts("a{% raw -%} {{ x }} {%- endraw %}b"),
            ["a", "{{ x }}", "b"]
        );
    }

    #[test]
    fn comments_vanish() {
        assert_eq!(texts("a {#- {{ x -#} b"), ["a", "b"]);
        assert_eq!(texts("a{#-#}b"), ["a", "b"]);
    }

    #[test]
    fn what_is_not_closed_is_named() {
        assert_eq!(pieces("x {{ y").unwrap_err().what, "expression");
        assert_eq!(pieces("x {% y").unwrap_err().what, "statement");
        assert_eq!(pieces("x {# y").unwrap_err().what, "comment");
        assert_eq!(pieces("x {{ 'y }}").unwrap_err().what, "string");
        assert_eq!(pieces("{% raw %} y").unwrap_err().what, "raw block");
    }
}
