//! Globs over names and paths.

use regex::Regex;

/// A word that may contain `*`, `?` and `[…]`.
#[derive(Clone, Debug)]
pub(super) struct Pattern {
    text: String,
    /// `None` for a word without a wildcard, which is compared as it is.
    glob: Option<Regex>,
}

/// What a wildcard may stand for.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Over {
    /// Any character.
    Words,
    /// Any character but `/`; `**` any folders.
    Paths,
}

impl Pattern {
    /// A pattern whose `*` stands for any text.
    pub(super) fn of_words(text: &str) -> Self {
        Self::new(text, Over::Words)
    }

    /// A pattern of a path: `*` stops at `/`, `**` does not.
    pub(super) fn of_paths(text: &str) -> Self {
        Self::new(text, Over::Paths)
    }

    fn new(text: &str, over: Over) -> Self {
        // A pattern that is none, such as `a[z-a]`, is taken as it is written.
        let glob = is_glob(text)
            .then(|| Regex::new(&regex(text, over)).ok())
            .flatten();
        Self {
            text: text.to_owned(),
            glob,
        }
    }

    pub(super) fn matches(&self, word: &str) -> bool {
        match &self.glob {
            Some(glob) => glob.is_match(word),
            None => self.text == word,
        }
    }

    /// As it was written.
    pub(super) fn text(&self) -> &str {
        &self.text
    }
}

/// Whether text has a wildcard.
pub(super) fn is_glob(text: &str) -> bool {
    text.contains(['*', '?', '['])
}

fn regex(text: &str, over: Over) -> String {
    let (any, one) = match over {
        Over::Words => (".*", "."),
        Over::Paths => ("[^/]*", "[^/]"),
    };
    let mut out = String::from("(?s)^");
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let mut after = rest.get(c.len_utf8()..).unwrap_or("");
        match c {
            '*' if over == Over::Paths && after.starts_with("*/") => {
                out.push_str("(?:.*/)?");
                after = after.get(2..).unwrap_or("");
            }
            '*' if over == Over::Paths && after.starts_with('*') => {
                out.push_str(".*");
                after = after.trim_start_matches('*');
            }
            '*' => out.push_str(any),
            '?' => out.push_str(one),
            '[' => match class(after) {
                Some((class, behind)) => {
                    out.push_str(&class);
                    after = behind;
                }
                None => out.push_str("\\["),
            },
            other => out.push_str(&regex::escape(other.encode_utf8(&mut [0; 4]))),
        }
        rest = after;
    }
    out.push('$');
    out
}

/// The class of characters that begins after a `[`, as a regular expression, and what follows it.
/// `!` negates; a `]` right at the start is a member.
fn class(after: &str) -> Option<(String, &str)> {
    let (negated, body) = match after.strip_prefix('!') {
        Some(body) => (true, body),
        None => (false, after),
    };
    let first = body.chars().next()?.len_utf8();
    let end = first + body.get(first..)?.find(']')?;
    let members: String = body
        .get(..end)?
        .chars()
        .map(|c| {
            if c == '-' || c.is_alphanumeric() {
                c.to_string()
            } else {
                format!("\\x{{{:x}}}", u32::from(c))
            }
        })
        .collect();
    let start = if negated { "[^" } else { "[" };
    Some((format!("{start}{members}]"), body.get(end + 1..)?))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn wildcards_stand_for_what_they_should() {
        let word = |pattern: &str, text: &str| Pattern::of_words(pattern).matches(text);
        assert!(word("stg_*", "stg_orders"));
        assert!(word("stg_*", "stg_a/b.c"));
        assert!(!word("stg_*", "my_stg_orders"));
        assert!(word("?_x", "é_x"));
        assert!(word("[a-c]1", "b1"));
        assert!(!word("[!a-c]1", "b1"));
        assert!(word("[]]", "]"));
        assert!(word("a.b", "a.b"));
        assert!(!word("a.?", "axb"));
        assert!(word("[", "["));
        assert!(word("x[z-a]", "x[z-a]"));
        let path = |pattern: &str, text: &str| Pattern::of_paths(pattern).matches(text);
        assert!(path("models/*/a.sql", "models/x/a.sql"));
        assert!(!path("models/*.sql", "models/x/a.sql"));
        assert!(path("models/**/a.sql", "models/a.sql"));
        assert!(path("models/**/a.sql", "models/x/y/a.sql"));
        assert!(path("models/**", "models/x/y"));
    }

    proptest! {
        #[test]
        fn no_pattern_panics(pattern in "\\PC{0,12}", word in "\\PC{0,12}") {
            Pattern::of_words(&pattern).matches(&word);
            Pattern::of_paths(&pattern).matches(&word);
        }

        #[test]
        fn a_word_matches_itself_and_a_star(word in "[a-z_./-]{0,12}") {
            prop_assert!(Pattern::of_words(&word).matches(&word));
            prop_assert!(Pattern::of_words("*").matches(&word));
        }
    }
}
