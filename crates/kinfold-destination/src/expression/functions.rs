//! The functions of expressions. The table is the reference page, and its examples are tests.

mod lists;
mod numbers;
mod texts;

use serde_json::Value;

use super::Kind;

pub(crate) use numbers::seconds;
pub(crate) use texts::{digest_hex, hex, sha256_hex, url_part};

/// A function of the expression language.
#[derive(Debug)]
pub struct Function {
    /// Its name.
    pub name: &'static str,
    /// What goes in, left of the `|`.
    pub input: Kind,
    /// What stands in parentheses.
    pub arguments: &'static [Argument],
    /// What comes out; `None` if it is of the kind that went in.
    pub output: Option<Kind>,
    /// Whether it is called for null too; all others give null for null.
    pub takes_null: bool,
    /// Whether the last argument may stand there any number of times.
    pub repeats: bool,
    /// What it does, in one sentence.
    pub about: &'static str,
    /// Examples.
    pub examples: &'static [Example],
    /// `None` is null: the input is of a kind that the function has nothing for.
    pub(super) run: fn(&Value, &[&Value]) -> Option<Value>,
}

/// An argument of a function.
#[derive(Debug)]
pub struct Argument {
    /// Its name.
    pub name: &'static str,
    /// Its kind.
    pub kind: Kind,
    /// Whether it must be there.
    pub required: bool,
}

/// An expression and the JSON of its value.
#[derive(Debug)]
pub struct Example(pub &'static str, pub &'static str);

/// The function of a name.
pub(super) fn find(name: &str) -> Option<&'static Function> {
    ALL.iter().find(|function| function.name == name)
}

const fn needs(name: &'static str, kind: Kind) -> Argument {
    Argument {
        name,
        kind,
        required: true,
    }
}

const fn may_have(name: &'static str, kind: Kind) -> Argument {
    Argument {
        name,
        kind,
        required: false,
    }
}

macro_rules! functions {
    ($($name:literal: $input:ident ($($argument:expr),*) -> $output:expr, $about:literal, [$($text:literal => $value:literal),*], $run:expr;)+) => {
        /// Every function, in the order of the reference.
        pub const ALL: &[Function] = &[$(Function {
            name: $name,
            input: Kind::$input,
            arguments: &[$($argument),*],
            output: $output,
            takes_null: matches!($name.as_bytes(), b"default" | b"then" | b"count" | b"concat" | b"merge"),
            repeats: matches!($name.as_bytes(), b"without" | b"only"),
            about: $about,
            examples: &[$(Example($text, $value)),*],
            run: $run,
        }),+];
    };
}

functions! {
    "default": Any (needs("value", Kind::Any)) -> None,
        "Another value in the place of null.",
        ["null | default('x')" => "\"x\"", "1 | default(2)" => "1"], numbers::default;
    "then": Bool (needs("value", Kind::Any), may_have("otherwise", Kind::Any)) -> Some(Kind::Any),
        "One value if the condition holds, another (or null) if it does not.",
        ["(1 == 1) | then('a', 'b')" => "\"a\"", "(1 == 2) | then('a')" => "null"], numbers::then;
    "text": Any () -> Some(Kind::Text),
        "A number, condition or text as text; null for a list or an object.",
        ["1.5 | text" => "\"1.5\""], texts::text;
    "json": Any () -> Some(Kind::Text),
        "Any value as the text of its JSON.",
        ["'a' | json" => "\"\\\"a\\\"\""], texts::json;
    "parse_json": Text () -> Some(Kind::Any),
        "The value that the text is the JSON of; null if it is not JSON.",
        ["'{\"a\":[1]}' | parse_json" => "{\"a\":[1]}", "'{' | parse_json" => "null"], texts::parse_json;
    "xml": Text () -> Some(Kind::Text),
        "With what has a meaning in XML escaped, for text and for attributes; characters that XML cannot have are left out.",
        ["'a<b>&\"c\"' | xml" => "\"a&lt;b&gt;&amp;&quot;c&quot;\""], texts::xml;
    "lower": Text () -> Some(Kind::Text), "In lower case.", ["'ÄB' | lower" => "\"äb\""], texts::lower;
    "upper": Text () -> Some(Kind::Text), "In upper case.", ["'ch' | upper" => "\"CH\""], texts::upper;
    "trim": Text () -> Some(Kind::Text), "Without white space at its ends.", ["' a ' | trim" => "\"a\""], texts::trim;
    "cut": Text (needs("length", Kind::Number)) -> Some(Kind::Text),
        "The first characters, at most so many.", ["'abc' | cut(2)" => "\"ab\""], texts::cut;
    "replace": Text (needs("what", Kind::Text), needs("with", Kind::Text)) -> Some(Kind::Text),
        "With every occurrence of one text replaced by another.",
        ["'a-b-c' | replace('-', '')" => "\"abc\""], texts::replace;
    "after": Text (needs("text", Kind::Text)) -> Some(Kind::Text),
        "What comes after the first occurrence; null if there is none.",
        ["'a:b:c' | after(':')" => "\"b:c\"", "'abc' | after(':')" => "null"], texts::after;
    "before": Text (needs("text", Kind::Text)) -> Some(Kind::Text),
        "What comes before the first occurrence; all of it if there is none.",
        ["'a:b' | before(':')" => "\"a\"", "'ab' | before(':')" => "\"ab\""], texts::before;
    "segment": Text (needs("number", Kind::Number), may_have("separator", Kind::Text)) -> Some(Kind::Text),
        "The part of that number, from 0, between separators (`/` unless given); so a JSON pointer is taken apart.",
        ["'/data/3/email' | segment(2)" => "\"3\""], texts::segment;
    "split": Text (needs("separator", Kind::Text)) -> Some(Kind::List),
        "The parts between separators.", ["'a,b' | split(',')" => "[\"a\",\"b\"]"], texts::split;
    "contains": Text (needs("text", Kind::Text)) -> Some(Kind::Bool),
        "Whether the other text occurs in it.", ["'not found' | contains('found')" => "true"], texts::contains;
    "starts_with": Text (needs("text", Kind::Text)) -> Some(Kind::Bool),
        "Whether it begins so.", ["'ERR_1' | starts_with('ERR')" => "true"], texts::starts_with;
    "url": Text () -> Some(Kind::Text),
        "Percent-encoded as one part of an address. The path of a call does this by itself.",
        ["'a b/c' | url" => "\"a%20b%2Fc\""], texts::url;
    "base64": Text () -> Some(Kind::Text), "Its UTF-8 in Base64.", ["'a:b' | base64" => "\"YTpi\""], texts::base64;
    "sha256": Text () -> Some(Kind::Text), "SHA-256 of its UTF-8, in lower hexadecimal.",
        ["'a' | sha256" => "\"ca978112ca1bbdcafac231b39a23dc4da786eff8147c4e72b9807785afee48bb\""], texts::sha256;
    "sha1": Text () -> Some(Kind::Text), "SHA-1 of its UTF-8, in lower hexadecimal.",
        ["'a' | sha1" => "\"86f7e437faa5a7fce15d1ddcb9eaeaea377667b8\""], texts::sha1;
    "md5": Text () -> Some(Kind::Text), "MD5 of its UTF-8, in lower hexadecimal.",
        ["'a' | md5" => "\"0cc175b9c0f1b6a831c399e269772661\""], texts::md5;
    "hmac_sha256": Text (needs("key", Kind::Text), may_have("encoding", Kind::Text)) -> Some(Kind::Text),
        "HMAC with SHA-256, in lower hexadecimal, or in Base64 if the encoding is `'base64'`.",
        ["'a' | hmac_sha256('k') | cut(8)" => "\"78da9151\""], texts::hmac_sha256;
    "first": List () -> Some(Kind::Any),
        "The first item; a value that is no list is its own first item.",
        ["'a,b' | split(',') | first" => "\"a\""], lists::first;
    "last": List () -> Some(Kind::Any), "The last item.", ["'a,b' | split(',') | last" => "\"b\""], lists::last;
    "join": List (needs("separator", Kind::Text)) -> Some(Kind::Text),
        "The items as one text; those that are null, lists or objects are left out.",
        ["'a,b' | split(',') | join(';')" => "\"a;b\""], lists::join;
    "get": Any (needs("name", Kind::Text)) -> Some(Kind::Any),
        "The field of an object whose name is another value: `$.properties | get(sync.key)`.", [], lists::get;
    "count": Any () -> Some(Kind::Number),
        "How many items a list, or fields an object has; 0 for null, 1 for anything else.",
        ["'a,b' | split(',') | count" => "2", "null | count" => "0"], lists::count;
    "concat": Any (needs("list", Kind::Any)) -> Some(Kind::List),
        "The items of both lists; null is an empty one, and any other value a list of one.",
        ["'a' | concat('b')" => "[\"a\",\"b\"]"], lists::concat;
    "merge": Any (needs("object", Kind::Any)) -> Some(Kind::Object),
        "The fields of both objects; of the second where both have one. Null is an object without fields.", [], lists::merge;
    "without": Any (needs("name", Kind::Text)) -> Some(Kind::Any),
        "An object without these fields.", [], lists::without;
    "only": Any (needs("name", Kind::Text)) -> Some(Kind::Any),
        "An object with these fields only, as far as it has them.", [], lists::only;
    "number": Any () -> Some(Kind::Number),
        "A number, or the number that a text is; null for anything else.",
        ["'12' | number" => "12", "'x' | number" => "null"], numbers::number;
    "plus": Number (needs("number", Kind::Number)) -> Some(Kind::Number),
        "The sum.", ["1 | plus(2)" => "3"], numbers::plus;
    "times": Number (needs("number", Kind::Number)) -> Some(Kind::Number),
        "The product.", ["2 | times(1.5)" => "3", "2 | times(30)" => "60"], numbers::times;
    "divided_by": Number (needs("number", Kind::Number)) -> Some(Kind::Number),
        "The quotient; null if the other number is 0.",
        ["57 | divided_by(100)" => "0.57", "6 | divided_by(3)" => "2", "1 | divided_by(0)" => "null"], numbers::divided_by;
    "time": Any () -> Some(Kind::Time),
        "The time of a number (seconds or milliseconds since 1970) or a text (RFC 3339, or a date).",
        ["0 | time | iso" => "\"1970-01-01T00:00:00Z\""], numbers::time;
    "epoch": Any () -> Some(Kind::Number),
        "A time as whole seconds since 1970.", ["'1970-01-02' | epoch" => "86400"], numbers::epoch;
    "epoch_ms": Any () -> Some(Kind::Number),
        "A time as milliseconds since 1970.", ["'1970-01-02' | epoch_ms" => "86400000"], numbers::epoch_ms;
    "iso": Any () -> Some(Kind::Text),
        "A time as text of RFC 3339 in UTC.", ["86400 | iso" => "\"1970-01-02T00:00:00Z\""], numbers::iso;
    "date": Any (needs("format", Kind::Text)) -> Some(Kind::Text),
        "A time in UTC as text of a format with the signs of `strftime`.",
        ["86400 | date('%Y%m%d')" => "\"19700102\""], numbers::date;
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::collections::HashSet;

    use super::super::{Expression, Names, Scope};
    use super::*;

    #[test]
    fn examples_are_true() {
        for function in ALL {
            for Example(text, expected) in function.examples {
                let (expression, _) = Expression::parse(text, &Names::default()).unwrap();
                let value = expression.evaluate(&Scope::default()).to_string();
                assert_eq!(value, *expected, "{text}");
            }
        }
    }

    #[test]
    fn names_are_unique_and_sentences_end() {
        let names: HashSet<&str> = ALL.iter().map(|function| function.name).collect();
        assert_eq!(names.len(), ALL.len());
        for function in ALL {
            assert!(function.about.ends_with('.'), "{}", function.name);
        }
    }

    #[test]
    fn every_function_takes_every_value() {
        let values = [
            "null",
            "true",
            "-1.5",
            "'x'",
            "('a' | split(','))",
            "99999999999999999999",
        ];
        for function in ALL {
            for value in values {
                for argument in values {
                    let count = function.arguments.len() + 5 * usize::from(function.repeats);
                    let arguments = vec![argument; count].join(", ");
                    let text = format!("{value} | {}({arguments})", function.name);
                    // Types that do not fit are refused; what is taken has a value.
                    if let Ok((expression, _)) = Expression::parse(&text, &Names::default()) {
                        let _ = expression.evaluate(&Scope::default());
                    }
                }
            }
        }
    }
}
