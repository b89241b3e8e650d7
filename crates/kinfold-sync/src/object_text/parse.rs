//! Canonical text back to values.

use serde_json::{Map, Number, Value};

/// Deeper nesting is not what kinfold writes.
const MAX_DEPTH: usize = 128;

/// The object that canonical text stands for; `None` if it is not such text.
///
/// A parser of its own, because the general one may miss the last bit of a fraction, and then a
/// destination would get another number than the one that was hashed.
pub(super) fn object(text: &str) -> Option<Map<String, Value>> {
    let mut parser = Parser { text, at: 0 };
    match parser.value(0)? {
        Value::Object(map) if parser.at == text.len() => Some(map),
        _ => None,
    }
}

/// Whether the text is one object by the grammar of JSON (RFC 8259) without spaces between tokens. The same
/// as [`object`], except that a number too large for a float is fine.
pub(super) fn is_object(text: &str) -> bool {
    let mut parser = Parser { text, at: 0 };
    text.starts_with('{') && parser.pass_value(0).is_some() && parser.at == text.len()
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Parser<'a> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str) -> Option<()> {
        self.text
            .get(self.at..)?
            .starts_with(word)
            .then(|| self.at += word.len())
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => {
                let mut map = Map::new();
                self.members(|parser| {
                    let name = parser.string()?;
                    parser.take(b':')?;
                    map.insert(name, parser.value(depth + 1)?);
                    Some(())
                })?;
                Some(Value::Object(map))
            }
            b'[' => {
                let mut items = Vec::new();
                self.items(|parser| {
                    items.push(parser.value(depth + 1)?);
                    Some(())
                })?;
                Some(Value::Array(items))
            }
            b'"' => self.string().map(Value::String),
            b'n' => self.word("null").map(|()| Value::Null),
            b't' => self.word("true").map(|()| Value::Bool(true)),
            b'f' => self.word("false").map(|()| Value::Bool(false)),
            _ => self.number(),
        }
    }

    /// Goes over a value without building it.
    fn pass_value(&mut self, depth: usize) -> Option<()> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => self.members(|parser| {
                parser.quoted()?;
                parser.take(b':')?;
                parser.pass_value(depth + 1)
            }),
            b'[' => self.items(|parser| parser.pass_value(depth + 1)),
            b'"' => self.quoted().map(|_| ()),
            b'n' => self.word("null"),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            _ => self.digits().map(|_| ()),
        }
    }

    fn members(&mut self, member: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.between(b'{', b'}', member)
    }

    fn items(&mut self, item: impl FnMut(&mut Self) -> Option<()>) -> Option<()> {
        self.between(b'[', b']', item)
    }

    /// What stands between brackets, separated by commas.
    fn between(
        &mut self,
        open: u8,
        close: u8,
        mut each: impl FnMut(&mut Self) -> Option<()>,
    ) -> Option<()> {
        self.take(open)?;
        if self.take(close).is_some() {
            return Some(());
        }
        loop {
            each(self)?;
            if self.take(close).is_some() {
                return Some(());
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<String> {
        let (quoted, escaped) = self.quoted()?;
        if escaped {
            return serde_json::from_str(quoted).ok();
        }
        Some(quoted.get(1..quoted.len().checked_sub(1)?)?.to_owned())
    }

    /// A string with its quotes, and whether it holds escapes.
    fn quoted(&mut self) -> Option<(&'a str, bool)> {
        let start = self.at;
        self.take(b'"')?;
        let mut escaped = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.escape()?;
                }
                0..0x20 => return None,
                _ => self.at += 1,
            }
        }
        self.take(b'"')?;
        Some((self.text.get(start..self.at)?, escaped))
    }

    fn escape(&mut self) -> Option<()> {
        self.take(b'\\')?;
        match self.peek()? {
            b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't' => {
                self.at += 1;
                Some(())
            }
            b'u' => match self.code_unit()? {
                0xD800..0xDC00 => {
                    self.take(b'\\')?;
                    matches!(self.code_unit()?, 0xDC00..0xE000).then_some(())
                }
                0xDC00..0xE000 => None,
                _ => Some(()),
            },
            _ => None,
        }
    }

    /// `u` and four hexadecimal digits.
    fn code_unit(&mut self) -> Option<u16> {
        self.take(b'u')?;
        let digits = self.text.get(self.at..self.at + 4)?;
        self.at += 4;
        // `from_str_radix` would take a sign.
        digits
            .bytes()
            .all(|byte| byte.is_ascii_hexdigit())
            .then(|| u16::from_str_radix(digits, 16).ok())?
    }

    fn number(&mut self) -> Option<Value> {
        let digits = self.digits()?;
        let whole = digits.parse::<i64>().ok().map(Number::from);
        let whole = whole.or_else(|| digits.parse::<u64>().ok().map(Number::from));
        whole
            .or_else(|| Number::from_f64(digits.parse().ok()?))
            .map(Value::Number)
    }

    /// A number as it is written.
    fn digits(&mut self) -> Option<&'a str> {
        let start = self.at;
        // Each of these may be missing.
        let _ = self.take(b'-');
        if self.take(b'0').is_none() {
            self.some_digits()?;
        }
        if self.take(b'.').is_some() {
            self.some_digits()?;
        }
        if self.take(b'e').or_else(|| self.take(b'E')).is_some() {
            let _ = self.take(b'+').or_else(|| self.take(b'-'));
            self.some_digits()?;
        }
        self.text.get(start..self.at)
    }

    fn some_digits(&mut self) -> Option<()> {
        let start = self.at;
        while self.peek().is_some_and(|byte| byte.is_ascii_digit()) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn values() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
            ".{0,6}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 32, 5, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..5).prop_map(Value::from),
                prop::collection::btree_map(any::<String>(), inner, 0..5)
                    .prop_map(|map| Value::Object(map.into_iter().collect())),
            ]
        })
    }

    /// Text that is nearly JSON.
    fn shards() -> impl Strategy<Value = String> {
        let shard = prop::sample::select(vec![
            "{", "}", "[", "]", ",", ":", "\"", "\"a\"", "\\", "\\u", "d83d", "de00", "0", "1",
            "-", "+", ".", "e5", "null", "true", "false", " ", "\n", "\u{1}", "é", "\"a\":1",
        ]);
        prop::collection::vec(shard, 0..12).prop_map(|shards| format!("{{{}}}", shards.concat()))
    }

    #[test]
    fn what_is_not_canonical_json_is_nothing() {
        for text in [
            "",
            "[]",
            "1",
            "{",
            "{}}",
            "{}{}",
            r#"{"a":1,}"#,
            r#"{"a" :1}"#,
            r#"{"a":01}"#,
            r#"{"a":+1}"#,
            r#"{"a":1.}"#,
            r#"{"a":.5}"#,
            r#"{"a":-}"#,
            r#"{"a":1e}"#,
            r#"{"a":NaN}"#,
            r#"{"a":nul}"#,
            "{\"a\":\"\n\"}",
            r#"{"a":"\x"}"#,
            r#"{"a":"\u+0a1"}"#,
            r#"{"a":"\ud800"}"#,
            r#"{"a":"\udc00\ud800"}"#,
            r#"{"a":"\ud83dé"}"#,
            r#"{"a":"\"#,
        ] {
            assert_eq!(object(text), None, "{text}");
            assert!(!is_object(text), "{text}");
        }
        let deep =
            |levels: usize| format!("{{\"a\":{}{}}}", "[".repeat(levels), "]".repeat(levels));
        assert!(object(&deep(100)).is_some() && is_object(&deep(100)));
        assert!(object(&deep(200)).is_none() && !is_object(&deep(200)));
    }

    #[test]
    fn numbers_are_exact() {
        let text = r#"{"a":9007199254740993,"b":18446744073709551615,"c":0.1,"d":-0.0,"e":5e-324,"f":"\ud83d\ude00"}"#;
        let map = object(text).map(Value::Object);
        assert_eq!(
            map,
            Some(json!({
                "a": 9_007_199_254_740_993_i64, "b": u64::MAX, "c": 0.1, "d": -0.0, "e": 5e-324, "f": "😀"
            }))
        );
        assert!(is_object(r#"{"a":1e999}"#));
        assert_eq!(object(r#"{"a":1e999}"#), None);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(value in values()) {
            let text = json!({"x": value}).to_string();
            prop_assert!(is_object(&text));
            prop_assert_eq!(object(&text).map(Value::Object), Some(json!({"x": value})));
        }

        #[test]
        fn any_text_is_read_or_refused(text in any::<String>()) {
            if object(&text).is_some() {
                prop_assert!(is_object(&text));
            }
        }

        #[test]
        fn what_passes_is_json_for_everybody(text in shards()) {
            let general = serde_json::from_str::<Value>(&text);
            if is_object(&text) {
                // The general parser refuses a number that is too large.
                prop_assert_eq!(general.is_ok(), object(&text).is_some());
            } else {
                prop_assert!(general.is_err() || text.contains([' ', '\n']));
            }
        }
    }
}
