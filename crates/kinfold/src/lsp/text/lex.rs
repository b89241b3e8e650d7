//! The words of a statement with templates in it.

use std::ops::Range;

use super::Name;
use super::jinja::{Tag, TagKind};

/// What a token is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A word: a keyword or a name.
    Word,
    /// A name in double quotes.
    Quoted,
    /// A text, a number.
    Value,
    /// Anything else of one character.
    Mark(char),
    /// `{{ … }}`
    Expression,
}

/// A token of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// What it is.
    pub kind: Kind,
    /// Where it is.
    pub range: Range<usize>,
}

impl Token {
    /// Whether it is this keyword, written in capitals here.
    pub fn is(&self, text: &str, keyword: &str) -> bool {
        self.kind == Kind::Word
            && text
                .get(self.range.clone())
                .is_some_and(|word| word.eq_ignore_ascii_case(keyword))
    }

    /// Whether it is one of these keywords.
    pub fn is_any(&self, text: &str, keywords: &[&str]) -> bool {
        keywords.iter().any(|keyword| self.is(text, keyword))
    }

    /// The name that it is, as SQL looks it up.
    pub fn name(&self, text: &str) -> Option<Name> {
        let written = text.get(self.range.clone())?;
        let name = match self.kind {
            Kind::Word => written.to_lowercase(),
            Kind::Quoted => {
                let inner = written.strip_prefix('"')?;
                inner
                    .strip_suffix('"')
                    .unwrap_or(inner)
                    .replace("\"\"", "\"")
            }
            _ => return None,
        };
        Some(Name {
            text: name,
            range: self.range.clone(),
        })
    }
}

/// The tokens of a text with these tags. Comments, statements of templates and white space are left out.
pub fn tokens(text: &str, tags: &[Tag]) -> Vec<Token> {
    let mut found = vec![];
    let mut tags = tags.iter().peekable();
    let mut at = 0;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        while tags
            .next_if(|tag| tag.range.end <= at && tag.range.start < at)
            .is_some()
        {}
        if let Some(tag) = tags.next_if(|tag| tag.range.start == at) {
            if tag.kind == TagKind::Expression {
                found.push(Token {
                    kind: Kind::Expression,
                    range: tag.range.clone(),
                });
            }
            at = tag.range.end.max(at + 1);
            continue;
        }
        let rest = text.get(at..).unwrap_or("");
        let start = at;
        let kind = if rest.starts_with("--") {
            at += rest.find('\n').unwrap_or(rest.len());
            continue;
        } else if let Some(comment) = rest.strip_prefix("/*") {
            at += 2 + comment.find("*/").map_or(comment.len(), |end| end + 2);
            continue;
        } else if c == '\'' || c == '"' {
            at = quoted(text, at, c, tags.clone().map(|tag| &tag.range));
            if c == '"' { Kind::Quoted } else { Kind::Value }
        } else if c.is_alphabetic() || c == '_' {
            at += word(rest);
            Kind::Word
        } else if c.is_ascii_digit() {
            at += word(rest);
            Kind::Value
        } else {
            at += c.len_utf8();
            if c.is_whitespace() {
                continue;
            }
            Kind::Mark(c)
        };
        found.push(Token {
            kind,
            range: start..at,
        });
    }
    found
}

fn word(rest: &str) -> usize {
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_' && c != '$');
    end.unwrap_or(rest.len())
}

/// Where a text in quotes ends. One without an end goes to the end of its line; tags in it are part of it.
fn quoted<'t>(
    text: &str,
    start: usize,
    quote: char,
    mut tags: impl Iterator<Item = &'t Range<usize>>,
) -> usize {
    let mut tag = tags.next();
    let mut at = start + 1;
    let mut line = None;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        while tag.is_some_and(|tag| tag.start < at) {
            tag = tags.next();
        }
        if let Some(range) = tag.filter(|tag| tag.start == at) {
            at = range.end.max(at + 1);
            continue;
        }
        at += c.len_utf8();
        if c == quote {
            let doubled = text.get(at..).is_some_and(|rest| rest.starts_with(quote));
            if !doubled {
                return at;
            }
            at += 1;
        } else if c == '\n' {
            line.get_or_insert(at - 1);
        }
    }
    line.unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use super::super::jinja::tags;
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<&str> {
        let tokens = tokens(text, &tags(text));
        tokens
            .iter()
            .map(|token| &text[token.range.clone()])
            .collect()
    }

    #[test]
    fn words_texts_and_tags_are_tokens() {
        let text = "SELECT a.\"B\"\"c\", 'it''s {{ var('x') }}' -- no\n/* no */ FROM {{ ref('a') }} {% if x %}x1{% endif %}";
        assert_eq!(
            shown(text),
            [
                "SELECT",
                "a",
                ".",
                "\"B\"\"c\"",
                ",",
                "'it''s {{ var('x') }}'",
                "FROM",
                "{{ ref('a') }}",
                "x1"
            ]
        );
        let tokens = tokens(text, &tags(text));
        let names: Vec<_> = tokens.iter().filter_map(|token| token.name(text)).collect();
        assert_eq!(names.get(2).map(|name| name.text.as_str()), Some("B\"c"));
        assert_eq!(names.first().map(|name| name.text.as_str()), Some("select"));
    }

    #[test]
    fn a_text_without_an_end_ends_with_its_line() {
        assert_eq!(shown("select 'a\nfrom b"), ["select", "'a", "from", "b"]);
        assert_eq!(
            shown("select 'a\n b' from c"),
            ["select", "'a\n b'", "from", "c"]
        );
    }

    proptest! {
        #[test]
        fn any_text_has_tokens(text in "([{%}#'\"(),.=\n aü😀/*-]|\\{\\{|\\}\\}){0,40}") {
            let mut end = 0;
            for token in tokens(&text, &tags(&text)) {
                prop_assert!(token.range.start >= end);
                prop_assert!(text.get(token.range.clone()).is_some());
                prop_assert!(!token.range.is_empty());
                end = token.range.end;
            }
        }
    }
}
