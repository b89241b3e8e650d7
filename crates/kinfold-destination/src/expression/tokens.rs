//! The words of an expression.

use std::ops::Range;

use super::Problem;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Token {
    Name(String),
    Text(String),
    Number(serde_json::Number),
    /// One of the signs in [`SIGNS`].
    Sign(&'static str),
}

/// The longer ones first.
const SIGNS: &[&str] = &[
    "==", "!=", "<=", ">=", "<", ">", "|", "(", ")", "[", "]", ",", ".", "*", "$",
];

pub(super) fn tokens(text: &str) -> Result<Vec<(Token, Range<usize>)>, Problem> {
    let mut found = Vec::new();
    let mut at = 0;
    while let Some(rest) = text.get(at..)
        && let Some(first) = rest.chars().next()
    {
        if first.is_whitespace() {
            at += first.len_utf8();
            continue;
        }
        let (token, len) = if first == '\'' || first == '"' {
            quoted(rest, first).ok_or_else(|| {
                Problem::new(at..text.len(), "this text does not end")
                    .with_help(format!("close it with {first}"))
            })?
        } else if first.is_ascii_digit()
            || (first == '-' && rest.chars().nth(1).is_some_and(|c| c.is_ascii_digit()))
        {
            number(rest).map_err(|len| Problem::new(at..at + len, "this is not a number"))?
        } else if first.is_alphabetic() || first == '_' {
            let len = rest
                .find(|c: char| !(c.is_alphanumeric() || c == '_'))
                .unwrap_or(rest.len());
            let name = rest.get(..len).unwrap_or_default();
            (Token::Name(name.to_owned()), len)
        } else if let Some(sign) = SIGNS.iter().find(|sign| rest.starts_with(**sign)) {
            (Token::Sign(sign), sign.len())
        } else {
            let problem = Problem::new(
                at..at + first.len_utf8(),
                format!("`{first}` means nothing in an expression"),
            );
            return Err(match first {
                '&' => problem.with_help("write `and`"),
                '=' => problem.with_help("write `==`"),
                '!' => problem.with_help("write `not`"),
                _ => problem,
            });
        };
        found.push((token, at..at + len));
        at += len;
    }
    Ok(found)
}

/// A quoted text: the quote itself is written twice, nothing else is special.
fn quoted(rest: &str, quote: char) -> Option<(Token, usize)> {
    let mut text = String::new();
    let mut chars = rest.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        if c != quote {
            text.push(c);
        } else if chars.peek().is_some_and(|(_, next)| *next == quote) {
            text.push(quote);
            chars.next();
        } else {
            return Some((Token::Text(text), at + quote.len_utf8()));
        }
    }
    None
}

/// A number, or how long what looks like one is.
fn number(rest: &str) -> Result<(Token, usize), usize> {
    let len = rest
        .char_indices()
        .skip(1)
        .find(|(_, c)| !(c.is_ascii_digit() || *c == '.'))
        .map_or(rest.len(), |(at, _)| at);
    let text = rest.get(..len).unwrap_or_default();
    let number = serde_json::from_str(text).map_err(|_| len)?;
    Ok((Token::Number(number), len))
}
