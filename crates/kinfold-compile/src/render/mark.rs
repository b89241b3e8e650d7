//! Marks: characters put into templates so that their output tells where it came from.
//!
//! They are noncharacters of Unicode (U+FDD0 to U+FDEF), which no interchanged text contains. The
//! text of a node never has marks in places where an expression could see them: see
//! [`super::instrument::Marking`].

/// In front of literal text; digits follow.
pub(super) const TEXT: char = '\u{FDD0}';
/// In front of the output of a tag; digits follow.
pub(super) const OPEN: char = '\u{FDD1}';
/// After the output of a tag.
pub(super) const CLOSE: char = '\u{FDD2}';
/// First character of the hidden first argument of a traced call; digits follow.
pub(super) const CALL: char = '\u{FDD3}';
const DIGIT: u32 = 0xFDE0;

/// Whether `c` is one of the characters that marks are made of.
pub(super) fn is_mark(c: char) -> bool {
    ('\u{FDD0}'..='\u{FDEF}').contains(&c)
}

/// Whether `text` has a character that marks are made of.
pub(super) fn has_mark(text: &str) -> bool {
    text.contains(is_mark)
}

/// `text` without marks.
pub(super) fn strip(text: &str) -> String {
    text.chars().filter(|c| !is_mark(*c)).collect()
}

/// Writes a mark with its number, in hexadecimal, most significant digit first.
pub(super) fn push(out: &mut String, mark: char, number: usize) {
    out.push(mark);
    let mut shift = usize::BITS - 4;
    while shift > 0 && (number >> shift) & 0xF == 0 {
        shift -= 4;
    }
    loop {
        let digit = u32::try_from((number >> shift) & 0xF).unwrap_or(0);
        out.push(char::from_u32(DIGIT + digit).unwrap_or(CLOSE));
        if shift == 0 {
            break;
        }
        shift -= 4;
    }
}

/// Reads the number after a mark; gives the number and the rest of the text.
pub(super) fn number(text: &str) -> (usize, &str) {
    let mut value = 0_usize;
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let Some(digit) = u32::from(c).checked_sub(DIGIT).filter(|d| *d < 16) else {
            break;
        };
        value = value.wrapping_mul(16).wrapping_add(digit as usize);
        rest = rest.get(c.len_utf8()..).unwrap_or("");
    }
    (value, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_survive() {
        for n in [0, 1, 15, 16, 4095, 4096, usize::MAX] {
            let mut text = String::new();
            push(&mut text, TEXT, n);
            assert!(text.chars().all(is_mark));
            text.push_str("abc");
            assert_eq!(number(text.trim_start_matches(TEXT)), (n, "abc"));
            assert_eq!(strip(&text), "abc");
        }
    }
}
