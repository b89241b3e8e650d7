//! Places in a text: bytes here, lines and characters in the protocol.

use std::ops::Range;

use gen_lsp_types::{Position, Range as LspRange};
use serde_json::Value;

/// In what the characters of a position are counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// Bytes.
    Utf8,
    /// Units of UTF-16: what every client understands.
    Utf16,
    /// Characters.
    Utf32,
}

impl Encoding {
    /// The cheapest one that the client understands, by its capabilities.
    pub fn agreed(capabilities: &Value) -> Self {
        let offered = capabilities.pointer("/general/positionEncodings");
        let offered = offered.and_then(Value::as_array);
        let offers = |name: &str| offered.is_some_and(|all| all.iter().any(|one| one == name));
        // UTF-16 is always understood, so a client that names others first prefers them.
        [Self::Utf8, Self::Utf32]
            .into_iter()
            .find(|encoding| offers(encoding.as_str()))
            .unwrap_or(Self::Utf16)
    }

    /// Its name in the protocol.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Utf8 => "utf-8",
            Self::Utf16 => "utf-16",
            Self::Utf32 => "utf-32",
        }
    }

    fn length(self, c: char) -> usize {
        match self {
            Self::Utf8 => c.len_utf8(),
            Self::Utf16 => c.len_utf16(),
            Self::Utf32 => 1,
        }
    }
}

/// Where the lines of a text begin. As the protocol has it, `\n`, `\r\n` and `\r` end a line.
pub struct Lines<'a> {
    text: &'a str,
    starts: Vec<usize>,
    encoding: Encoding,
}

impl<'a> Lines<'a> {
    /// The lines of a text.
    pub fn new(text: &'a str, encoding: Encoding) -> Self {
        let bytes = text.as_bytes();
        let ends = bytes.iter().enumerate().filter(|(at, byte)| {
            **byte == b'\n' || (**byte == b'\r' && bytes.get(at + 1) != Some(&b'\n'))
        });
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1));
        Self {
            text,
            starts: starts.collect(),
            encoding,
        }
    }

    /// The position of a byte. One that is outside of the text is taken for its end, one within a character for
    /// the character.
    pub fn position(&self, offset: usize) -> Position {
        let offset = self.text.floor_char_boundary(offset.min(self.text.len()));
        let line = self.starts.partition_point(|start| *start <= offset).max(1) - 1;
        let start = self.starts.get(line).copied().unwrap_or(0);
        let before = self.text.get(start..offset).unwrap_or("");
        let units: usize = before.chars().map(|c| self.encoding.length(c)).sum();
        Position::new(number(line), number(units))
    }

    /// The range of some bytes.
    pub fn range(&self, range: Range<usize>) -> LspRange {
        LspRange::new(
            self.position(range.start),
            self.position(range.end.max(range.start)),
        )
    }

    /// The byte at a position. A character past the end of its line is the end of the line, a line past the last
    /// one the end of the text, a unit within a character the character.
    pub fn offset(&self, position: Position) -> usize {
        let line = position.line as usize;
        let Some(start) = self.starts.get(line).copied() else {
            return self.text.len();
        };
        let end = self.starts.get(line + 1).copied();
        let rest = self
            .text
            .get(start..end.unwrap_or(self.text.len()))
            .unwrap_or("");
        let content = match end {
            Some(_) => rest.trim_end_matches(['\n', '\r']),
            None => rest,
        };
        let mut left = position.character as usize;
        for (at, c) in content.char_indices() {
            let length = self.encoding.length(c);
            if left < length {
                return start + at;
            }
            left -= length;
        }
        start + content.len()
    }

    /// The bytes of a range.
    pub fn bytes(&self, range: LspRange) -> Range<usize> {
        let (a, b) = (self.offset(range.start), self.offset(range.end));
        a.min(b)..a.max(b)
    }
}

fn number(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn characters_are_counted_as_agreed() {
        let text = "a😀b\r\nü😀\rx";
        let at = |needle: &str| text.find(needle).unwrap_or_default();
        let place = |encoding, offset| {
            let position = Lines::new(text, encoding).position(offset);
            (position.line, position.character)
        };
        assert_eq!(place(Encoding::Utf16, at("b")), (0, 3));
        assert_eq!(place(Encoding::Utf8, at("b")), (0, 5));
        assert_eq!(place(Encoding::Utf32, at("b")), (0, 2));
        assert_eq!(place(Encoding::Utf16, at("x")), (2, 0));
        assert_eq!(place(Encoding::Utf16, text.len() + 9), (2, 1));
        // Within the second character of the line.
        assert_eq!(place(Encoding::Utf16, at("\u{fc}") + 1), (1, 0));
    }

    #[test]
    fn positions_outside_of_a_text_are_at_its_edges() {
        let text = "ab\r\ncd\n";
        let lines = Lines::new(text, Encoding::Utf16);
        assert_eq!(lines.offset(Position::new(0, 99)), 2);
        assert_eq!(lines.offset(Position::new(1, 1)), 5);
        assert_eq!(lines.offset(Position::new(2, 0)), 7);
        assert_eq!(lines.offset(Position::new(9, 9)), 7);
        let backwards = LspRange::new(Position::new(1, 0), Position::new(0, 1));
        assert_eq!(lines.bytes(backwards), 1..4);
    }

    #[test]
    fn the_client_is_asked_how_it_counts() {
        let agreed =
            |names: Value| Encoding::agreed(&json!({"general": {"positionEncodings": names}}));
        assert_eq!(agreed(json!(["utf-16", "utf-8"])), Encoding::Utf8);
        assert_eq!(agreed(json!(["utf-32"])), Encoding::Utf32);
        assert_eq!(agreed(json!("nonsense")), Encoding::Utf16);
        assert_eq!(Encoding::agreed(&Value::Null), Encoding::Utf16);
    }

    proptest! {
        #[test]
        fn a_position_leads_back_to_its_byte(text in "[ab\u{fc}😀\n\r]{0,40}", pick in 0_usize..1000) {
            for encoding in [Encoding::Utf8, Encoding::Utf16, Encoding::Utf32] {
                let lines = Lines::new(&text, encoding);
                let offset = text.floor_char_boundary(pick % (text.len() + 1));
                let back = lines.offset(lines.position(offset));
                // Between `\r` and `\n` no position leads.
                let inside = text.as_bytes().get(offset) == Some(&b'\n')
                    && offset > 0
                    && text.as_bytes().get(offset - 1) == Some(&b'\r');
                prop_assert_eq!(back, offset - usize::from(inside));
            }
        }
    }
}
