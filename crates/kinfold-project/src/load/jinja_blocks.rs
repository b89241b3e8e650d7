//! Finding the blocks of a Jinja file without rendering it: macros, tests and docs.

/// A `{% … %}` at the top of a file with everything up to its end.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Block<'t> {
    /// First word of the tag: `macro`, `docs`, ….
    pub(super) keyword: &'t str,
    /// The rest of the tag.
    pub(super) head: &'t str,
    /// Byte range of `head`.
    pub(super) head_start: usize,
    /// Byte range of the whole block.
    pub(super) start: usize,
    pub(super) end: usize,
    /// Text between the tags.
    pub(super) body: &'t str,
}

/// Something that does not end, or ends what was not begun.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Broken {
    pub(super) message: String,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// One tag: `{% … %}`. Expressions and comments are only skipped.
struct Tag<'t> {
    keyword: &'t str,
    head: &'t str,
    head_start: usize,
    start: usize,
    end: usize,
}

/// The blocks of the kinds `keywords`, at any depth that is not inside another one of them.
pub(super) fn find<'t>(text: &'t str, keywords: &[&str]) -> (Vec<Block<'t>>, Vec<Broken>) {
    let mut scanner = Scanner {
        text,
        at: 0,
        broken: vec![],
    };
    let mut blocks = vec![];
    while let Some(tag) = scanner.next_tag() {
        if let Some(ended) = tag.keyword.strip_prefix("end")
            && keywords.contains(&ended)
        {
            scanner.broken.push(Broken {
                message: format!("`{}` ends nothing", tag.keyword),
                start: tag.start,
                end: tag.end,
            });
            continue;
        }
        if !keywords.contains(&tag.keyword) {
            continue;
        }
        let end = if tag.keyword == "docs" {
            scanner.raw_end("enddocs")
        } else {
            scanner.block_end(tag.keyword)
        };
        let Some((body_end, end)) = end else {
            scanner.broken.push(Broken {
                message: format!("`{}` has no `end{}`", tag.keyword, tag.keyword),
                start: tag.start,
                end: tag.end,
            });
            scanner.at = tag.end;
            continue;
        };
        blocks.push(Block {
            keyword: tag.keyword,
            head: tag.head,
            head_start: tag.head_start,
            start: tag.start,
            end,
            body: text.get(tag.end..body_end).unwrap_or(""),
        });
    }
    (blocks, scanner.broken)
}

struct Scanner<'t> {
    text: &'t str,
    at: usize,
    broken: Vec<Broken>,
}

impl<'t> Scanner<'t> {
    /// The next `{% … %}`, past comments, expressions and `raw`.
    fn next_tag(&mut self) -> Option<Tag<'t>> {
        loop {
            let rest = self.text.get(self.at..)?;
            let start = self.at + rest.find('{')?;
            match self.text.as_bytes().get(start + 1) {
                Some(b'#') => match self.find_from(start + 2, "#}") {
                    Some(end) => self.at = end + 2,
                    None => {
                        self.unended(start, "{#");
                        return None;
                    }
                },
                Some(b'{') => match self.tag_end(start + 2, "}}") {
                    Some(end) => self.at = end + 2,
                    None => {
                        self.unended(start, "{{");
                        self.at = start + 2;
                    }
                },
                Some(b'%') => {
                    let Some(close) = self.tag_end(start + 2, "%}") else {
                        self.unended(start, "{%");
                        self.at = start + 2;
                        continue;
                    };
                    let tag = self.tag(start, close);
                    self.at = tag.end;
                    if tag.keyword == "raw" {
                        if self.raw_end("endraw").is_none() {
                            self.unended(start, "{% raw %}");
                            return None;
                        }
                        continue;
                    }
                    return Some(tag);
                }
                _ => self.at = start + 1,
            }
        }
    }

    fn tag(&self, start: usize, close: usize) -> Tag<'t> {
        let text = self.text;
        let mut from = start + 2;
        let mut to = close;
        let bytes = text.as_bytes();
        if matches!(bytes.get(from), Some(b'-' | b'+')) && from < to {
            from += 1;
        }
        if to > from && matches!(bytes.get(to - 1), Some(b'-' | b'+')) {
            to -= 1;
        }
        let inner = text.get(from..to).unwrap_or("");
        let trimmed = inner.trim_start();
        let word = trimmed
            .find(|c: char| !c.is_alphanumeric() && c != '_')
            .unwrap_or(trimmed.len());
        let (keyword, after) = trimmed.split_at(word);
        let head = after.trim_start();
        Tag {
            keyword,
            head: head.trim_end(),
            head_start: to - head.len(),
            start,
            end: close + 2,
        }
    }

    /// Where the block of `keyword` ends, nested ones of its kind counted. Stands after it then.
    fn block_end(&mut self, keyword: &str) -> Option<(usize, usize)> {
        let mut depth = 1;
        while let Some(tag) = self.next_tag() {
            if tag.keyword == keyword {
                depth += 1;
            } else if tag.keyword.strip_prefix("end") == Some(keyword) {
                depth -= 1;
                if depth == 0 {
                    return Some((tag.start, tag.end));
                }
            }
        }
        None
    }

    /// Where `{% word %}` is, whatever stands before it. Stands after it then.
    fn raw_end(&mut self, word: &str) -> Option<(usize, usize)> {
        let mut from = self.at;
        loop {
            let start = self.find_from(from, "{%")?;
            let close = self.find_from(start + 2, "%}")?;
            if self.tag(start, close).keyword == word {
                self.at = close + 2;
                return Some((start, close + 2));
            }
            from = start + 2;
        }
    }

    /// The first `mark` outside strings.
    fn tag_end(&self, from: usize, mark: &str) -> Option<usize> {
        let bytes = self.text.as_bytes();
        let mut quote = None;
        let mut at = from;
        while let Some(&byte) = bytes.get(at) {
            match (quote, byte) {
                (Some(_), b'\\') => at += 1,
                (Some(open), _) if open == byte => quote = None,
                (None, b'\'' | b'"') => quote = Some(byte),
                (None, _)
                    if bytes
                        .get(at..)
                        .is_some_and(|rest| rest.starts_with(mark.as_bytes())) =>
                {
                    return Some(at);
                }
                _ => {}
            }
            at += 1;
        }
        None
    }

    fn find_from(&self, from: usize, mark: &str) -> Option<usize> {
        self.text.get(from..)?.find(mark).map(|at| from + at)
    }

    fn unended(&mut self, start: usize, mark: &str) {
        self.broken.push(Broken {
            message: format!("`{mark}` does not end"),
            start,
            end: (start + 2).min(self.text.len()),
        });
        self.at = self.text.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn macros_are_found_past_comments_strings_and_raw() {
        let text = "{# {% macro no() %} #}\n{%- macro a(x='%}') -%}\n {{ '{% endmacro %}' }} {% raw %}{% endmacro %}{% endraw %}\n{%- endmacro -%}\n{% test b(model) %}x{% endtest %}";
        let (blocks, broken) = find(text, &["macro", "test"]);
        assert_eq!(broken, vec![]);
        let seen: Vec<(&str, &str)> = blocks.iter().map(|b| (b.keyword, b.head)).collect();
        assert_eq!(seen, [("macro", "a(x='%}')"), ("test", "b(model)")]);
        let first = blocks.first().map(|b| text.get(b.start..b.end));
        assert!(
            first
                .flatten()
                .is_some_and(|t| t.starts_with("{%- macro a") && t.ends_with("endmacro -%}"))
        );
        assert!(blocks.iter().all(|b| {
            text.get(b.head_start..)
                .is_some_and(|t| t.starts_with(b.head))
        }));
    }

    #[test]
    fn what_does_not_end_is_reported() {
        let messages = |text| -> Vec<String> {
            find(text, &["macro", "docs"])
                .1
                .into_iter()
                .map(|b| b.message)
                .collect()
        };
        assert_eq!(messages("{% macro a() %} x"), ["`macro` has no `endmacro`"]);
        assert_eq!(messages("{% macro a( "), ["`{%` does not end"]);
        assert_eq!(messages("{% endmacro %}"), ["`endmacro` ends nothing"]);
        assert_eq!(messages("{# a"), ["`{#` does not end"]);
        assert_eq!(messages("{% docs a %} it's"), ["`docs` has no `enddocs`"]);
    }

    #[test]
    fn docs_are_text() {
        let (blocks, broken) = find("{% docs a %}it's {% 5 %} off{% enddocs %}", &["docs"]);
        assert_eq!(broken, vec![]);
        assert_eq!(blocks.first().map(|b| b.body), Some("it's {% 5 %} off"));
    }

    proptest! {
        #[test]
        fn any_text_is_scanned_without_panic(
            parts in prop::collection::vec(prop::sample::select(vec![
                "{%", "%}", "{{", "}}", "{#", "#}", "-", "'", "\"", "\\", " macro ", "endmacro", " docs x ",
                "enddocs", "raw", "endraw", "é", "\n", "a()",
            ]), 0..30),
        ) {
            let text = parts.concat();
            let (blocks, broken) = find(&text, &["macro", "docs"]);
            for block in blocks {
                prop_assert!(text.get(block.start..block.end).is_some());
                prop_assert!(text.get(block.head_start..).is_some());
            }
            for item in broken {
                prop_assert!(text.get(item.start..item.end).is_some());
            }
        }
    }
}
