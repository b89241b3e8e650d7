//! Templates in a text: where they are, and what is called in them.

use std::ops::Range;

use super::{Name, touches};

/// What a tag is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagKind {
    /// `{{ … }}`
    Expression,
    /// `{% … %}`
    Statement,
    /// `{# … #}`
    Comment,
}

/// A tag of a template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// What it is.
    pub kind: TagKind,
    /// All of it. One without an end goes to the end of its line.
    pub range: Range<usize>,
    /// What is between its delimiters.
    pub inner: Range<usize>,
}

/// A call of a function or a macro.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// What is called, with dots between: `ref`, `dbt_utils.star`.
    pub path: Vec<Name>,
    /// What it is given.
    pub arguments: Vec<Argument>,
    /// From the name to the closing parenthesis.
    pub range: Range<usize>,
    /// What is in the parentheses.
    pub inside: Range<usize>,
}

/// An argument of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Argument {
    /// Its name, if it is given by name.
    pub keyword: Option<Name>,
    /// Its text, if it is one literal: without the quotes.
    pub literal: Option<Name>,
    /// All of it.
    pub range: Range<usize>,
}

impl Call {
    /// The last part of what is called.
    pub fn name(&self) -> &str {
        self.path.last().map_or("", |name| name.text.as_str())
    }

    /// The literals that are given by position, up to the first argument that is none.
    pub fn literals(&self) -> Vec<&Name> {
        let positional = self.arguments.iter().filter(|a| a.keyword.is_none());
        positional.map_while(|a| a.literal.as_ref()).collect()
    }

    /// The argument at an offset, by its position in the call.
    pub fn argument_at(&self, offset: usize) -> Option<usize> {
        let at = |argument: &Argument| touches(&argument.range, offset);
        self.arguments.iter().position(at)
    }
}

/// The tags of a text.
pub fn tags(text: &str) -> Vec<Tag> {
    let mut found = vec![];
    let mut at = 0;
    while let Some(open) = next_open(text, at) {
        let kind = match text.as_bytes().get(open + 1) {
            Some(b'{') => TagKind::Expression,
            Some(b'%') => TagKind::Statement,
            _ => TagKind::Comment,
        };
        let tag = tag(text, open, kind);
        at = tag.range.end.max(open + 2);
        found.push(tag);
    }
    found
}

fn next_open(text: &str, from: usize) -> Option<usize> {
    let bytes = text.as_bytes();
    (from..bytes.len().saturating_sub(1)).find(|at| {
        bytes.get(*at) == Some(&b'{') && matches!(bytes.get(at + 1), Some(b'{' | b'%' | b'#'))
    })
}

fn tag(text: &str, open: usize, kind: TagKind) -> Tag {
    let (close, comment) = match kind {
        TagKind::Expression => ("}}", false),
        TagKind::Statement => ("%}", false),
        TagKind::Comment => ("#}", true),
    };
    let start = open + 2;
    let rest = text.get(start..).unwrap_or("");
    let mut quote = None;
    for (at, c) in rest.char_indices() {
        let here = rest.get(at..).unwrap_or("");
        match quote {
            Some(q) if c == q => quote = None,
            // No text of a template goes over lines while it is written.
            Some(_) if c == '\n' => quote = None,
            Some(_) => {}
            None if here.starts_with(close) => {
                return Tag {
                    kind,
                    range: open..start + at + 2,
                    inner: start..start + at,
                };
            }
            None if comment => {}
            None if here.starts_with("{{") || here.starts_with("{%") => break,
            None if c == '\'' || c == '"' => quote = Some(c),
            None => {}
        }
    }
    let line = rest.find('\n').unwrap_or(rest.len());
    let end = match kind {
        TagKind::Comment => rest.len(),
        _ => line,
    };
    Tag {
        kind,
        range: open..start + end,
        inner: start..start + end,
    }
}

/// All calls in the tags of a text, the outer ones first.
pub fn calls(text: &str) -> Vec<Call> {
    let tags = tags(text).into_iter();
    let tags = tags.filter(|tag| tag.kind != TagKind::Comment);
    tags.flat_map(|tag| calls_within(text, tag.inner)).collect()
}

/// All calls in an expression, which a range of the text is.
pub fn calls_within(text: &str, range: Range<usize>) -> Vec<Call> {
    let tokens = tokens(text, range.clone());
    let mut found = vec![];
    for (at, token) in tokens.iter().enumerate() {
        if token.kind != Kind::Mark('(') {
            continue;
        }
        let path = path_before(text, &tokens, at);
        let Some(first) = path.first() else { continue };
        let start = first.range.start;
        let (arguments, inside, end) = arguments(text, &tokens, at, range.end);
        found.push(Call {
            path,
            arguments,
            range: start..end,
            inside,
        });
    }
    found
}

/// The innermost call whose parentheses an offset is in, in the tags of a text.
pub fn call_around(calls: &[Call], offset: usize) -> Option<&Call> {
    let around = calls.iter().filter(|call| touches(&call.inside, offset));
    around.min_by_key(|call| call.inside.len())
}

/// The name at an offset in a tag, with what is before its dots: `dbt_utils`, `star`. Whether it is called.
pub fn name_at(text: &str, offset: usize) -> Option<Vec<Name>> {
    let tags = tags(text).into_iter();
    let mut tags = tags.filter(|tag| tag.kind != TagKind::Comment);
    let tag = tags.find(|tag| touches(&tag.inner, offset))?;
    let tokens = tokens(text, tag.inner);
    let words = |token: &&Token| token.kind == Kind::Word && touches(&token.range, offset);
    let at = tokens.iter().position(|token| words(&token))?;
    Some(path_before(text, &tokens, at + 1))
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Text,
    Other,
    Mark(char),
}

#[derive(Clone, Debug)]
struct Token {
    kind: Kind,
    range: Range<usize>,
}

fn tokens(text: &str, range: Range<usize>) -> Vec<Token> {
    let content = text.get(range.clone()).unwrap_or("");
    let mut found = vec![];
    let mut chars = content.char_indices().peekable();
    while let Some((start, c)) = chars.next() {
        let mut end = start + c.len_utf8();
        let kind = if c.is_alphanumeric() || c == '_' {
            while let Some((at, more)) = chars.next_if(|(_, c)| c.is_alphanumeric() || *c == '_') {
                end = at + more.len_utf8();
            }
            if c.is_ascii_digit() {
                Kind::Other
            } else {
                Kind::Word
            }
        } else if c == '\'' || c == '"' {
            for (at, more) in chars.by_ref() {
                if more == '\n' {
                    break;
                }
                end = at + more.len_utf8();
                if more == c {
                    break;
                }
            }
            Kind::Text
        } else if c.is_whitespace() {
            continue;
        } else {
            Kind::Mark(c)
        };
        found.push(Token {
            kind,
            range: range.start + start..range.start + end,
        });
    }
    found
}

/// The dotted name whose last part is the token before `at`.
fn path_before(text: &str, tokens: &[Token], at: usize) -> Vec<Name> {
    let mut path = vec![];
    let mut next = at.checked_sub(1);
    while let Some(token) = next.and_then(|next| tokens.get(next))
        && token.kind == Kind::Word
    {
        path.insert(
            0,
            Name {
                text: text.get(token.range.clone()).unwrap_or("").to_owned(),
                range: token.range.clone(),
            },
        );
        let dot = next.and_then(|next| next.checked_sub(1));
        let dotted = dot.and_then(|dot| tokens.get(dot));
        if dotted.is_none_or(|token| token.kind != Kind::Mark('.')) {
            break;
        }
        next = dot.and_then(|dot| dot.checked_sub(1));
    }
    path
}

/// The arguments in the parentheses that open at a token, what is between them, and where they close.
fn arguments(
    text: &str,
    tokens: &[Token],
    open: usize,
    end_of_all: usize,
) -> (Vec<Argument>, Range<usize>, usize) {
    let start = tokens.get(open).map_or(end_of_all, |token| token.range.end);
    let mut depth = 0_usize;
    let mut found = vec![];
    let mut from = open + 1;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.kind {
            Kind::Mark('(' | '[' | '{') => depth += 1,
            Kind::Mark(')' | ']' | '}') => depth = depth.saturating_sub(1),
            _ => {}
        }
        let closes = depth == 0;
        if closes || (depth == 1 && token.kind == Kind::Mark(',')) {
            found.extend(argument(text, tokens.get(from..at).unwrap_or_default()));
            from = at + 1;
        }
        if closes {
            return (found, start..token.range.start, token.range.end);
        }
    }
    found.extend(argument(text, tokens.get(from..).unwrap_or_default()));
    (found, start..end_of_all, end_of_all)
}

fn argument(text: &str, tokens: &[Token]) -> Option<Argument> {
    let (first, last) = (tokens.first()?, tokens.last()?);
    let named =
        tokens.get(1).is_some_and(|t| t.kind == Kind::Mark('=')) && first.kind == Kind::Word;
    let keyword = named.then(|| Name {
        text: text.get(first.range.clone()).unwrap_or("").to_owned(),
        range: first.range.clone(),
    });
    let value = if named { tokens.get(2..) } else { Some(tokens) };
    let literal = match value.unwrap_or_default() {
        [one] if one.kind == Kind::Text => Some(literal(text, &one.range)),
        _ => None,
    };
    Some(Argument {
        keyword,
        literal,
        range: first.range.start..last.range.end,
    })
}

/// A text in quotes without them; the last one may be missing.
fn literal(text: &str, range: &Range<usize>) -> Name {
    let whole = text.get(range.clone()).unwrap_or("");
    let quote = whole.chars().next().unwrap_or('\'');
    let closed = whole.len() > 1 && whole.ends_with(quote);
    let range = range.start + 1..range.end - usize::from(closed);
    Name {
        text: text.get(range.clone()).unwrap_or("").to_owned(),
        range,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<String> {
        calls(text)
            .iter()
            .map(|call| {
                let path: Vec<&str> = call.path.iter().map(|name| name.text.as_str()).collect();
                let arguments = call.arguments.iter().map(|argument| {
                    let keyword = argument.keyword.as_ref().map_or("", |k| k.text.as_str());
                    let literal = argument.literal.as_ref().map_or("…", |l| l.text.as_str());
                    format!("{keyword}={literal}")
                });
                let arguments: Vec<String> = arguments.collect();
                format!(
                    "{} {} {}",
                    path.join("."),
                    arguments.join(","),
                    &text[call.range.clone()]
                )
            })
            .collect()
    }

    #[test]
    fn calls_are_found_with_their_arguments() {
        let text = "select {{ u.star(from=ref('a'), \"b\", [1, 2]) }} from {{ ref('p', \"m\") }} {# ref('c') #}";
        assert_eq!(
            shown(text),
            [
                "u.star from=…,=b,=… u.star(from=ref('a'), \"b\", [1, 2])",
                "ref =a ref('a')",
                "ref =p,=m ref('p', \"m\")",
            ]
        );
        let offset = text.find("'a'").unwrap() + 1;
        let calls = calls(text);
        assert_eq!(call_around(&calls, offset).unwrap().name(), "ref");
        let offset = text.find("\"b\"").unwrap();
        let call = call_around(&calls, offset).unwrap();
        assert_eq!((call.name(), call.argument_at(offset)), ("star", Some(1)));
    }

    #[test]
    fn what_is_not_finished_ends_with_its_line() {
        let text = "select * from {{ ref('or\nwhere x = 'a' and {{ var(\"b\") }}";
        assert_eq!(shown(text), ["ref =or ref('or", "var =b var(\"b\")"]);
        let text = "{{ ref('a') from {{ ref('b') }}";
        assert_eq!(shown(text)[0], "ref =a ref('a')");
        assert_eq!(shown("{{ ref( }}"), ["ref  ref( "]);
    }

    #[test]
    fn names_are_found_with_what_is_before_their_dots() {
        let text = "{% if money.cents %}{{ cents }}";
        let at = |offset| {
            let path = name_at(text, offset)?;
            Some(
                path.into_iter()
                    .map(|name| name.text)
                    .collect::<Vec<_>>()
                    .join("."),
            )
        };
        assert_eq!(
            at(text.find("cents").unwrap() + 2).as_deref(),
            Some("money.cents")
        );
        assert_eq!(at(text.rfind("cents").unwrap()).as_deref(), Some("cents"));
        assert_eq!(at(text.len()), None);
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([{%}#'\"(),.=\n aü😀]|ref|\\{\\{|\\}\\}){0,40}") {
            for call in calls(&text) {
                prop_assert!(text.get(call.range).is_some());
                prop_assert!(text.get(call.inside).is_some());
                for argument in call.arguments {
                    prop_assert!(text.get(argument.range).is_some());
                    prop_assert!(argument.literal.is_none_or(|l| text.get(l.range).is_some()));
                }
            }
            for offset in 0..=text.len() {
                let _ = name_at(&text, offset);
            }
        }
    }
}
