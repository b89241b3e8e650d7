//! Canonical text back to values.

use serde_json::{Map, Number, Value};

/// Deeper nesting is not what kinfold writes.
const MAX_DEPTH: usize = 128;

/// The object that canonical text stands for; `None` if it is not such text.
///
/// A parser of its own, because the general one may miss the last bit of a fraction, and then a
/// destination would get another number than the one that was hashed.
#[must_use]
pub fn parse_object(text: &str) -> Option<Map<String, Value>> {
    let mut parser = Parser { text, at: 0 };
    match parser.value(0)? {
        Value::Object(map) if parser.at == text.len() => Some(map),
        _ => None,
    }
}

struct Parser<'a> {
    text: &'a str,
    at: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn take(&mut self, byte: u8) -> Option<()> {
        (self.peek()? == byte).then(|| self.at += 1)
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.text.get(self.at..)?.starts_with(word).then(|| {
            self.at += word.len();
            value
        })
    }

    fn value(&mut self, depth: usize) -> Option<Value> {
        if depth > MAX_DEPTH {
            return None;
        }
        match self.peek()? {
            b'{' => self.object(depth),
            b'[' => self.list(depth),
            b'"' => self.string().map(Value::String),
            b'n' => self.word("null", Value::Null),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            _ => self.number(),
        }
    }

    fn object(&mut self, depth: usize) -> Option<Value> {
        let mut map = Map::new();
        self.take(b'{')?;
        if self.take(b'}').is_some() {
            return Some(Value::Object(map));
        }
        loop {
            let name = self.string()?;
            self.take(b':')?;
            map.insert(name, self.value(depth + 1)?);
            if self.take(b'}').is_some() {
                return Some(Value::Object(map));
            }
            self.take(b',')?;
        }
    }

    fn list(&mut self, depth: usize) -> Option<Value> {
        let mut items = vec![];
        self.take(b'[')?;
        if self.take(b']').is_some() {
            return Some(Value::Array(items));
        }
        loop {
            items.push(self.value(depth + 1)?);
            if self.take(b']').is_some() {
                return Some(Value::Array(items));
            }
            self.take(b',')?;
        }
    }

    fn string(&mut self) -> Option<String> {
        let start = self.at;
        self.take(b'"')?;
        let mut escaped = false;
        loop {
            match self.peek()? {
                b'"' => break,
                b'\\' => {
                    escaped = true;
                    self.at += 2;
                }
                _ => self.at += 1,
            }
        }
        self.take(b'"')?;
        let quoted = self.text.get(start..self.at)?;
        if escaped {
            return serde_json::from_str(quoted).ok();
        }
        Some(quoted.get(1..quoted.len().checked_sub(1)?)?.to_owned())
    }

    fn number(&mut self) -> Option<Value> {
        let rest = self.text.get(self.at..)?;
        let end = rest.find([',', '}', ']']).unwrap_or(rest.len());
        let digits = rest.get(..end)?;
        self.at += end;
        if !digits
            .bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'-' | b'+' | b'.' | b'e'))
        {
            return None;
        }
        let whole = digits.parse::<i64>().ok().map(Number::from);
        let whole = whole.or_else(|| digits.parse::<u64>().ok().map(Number::from));
        whole
            .or_else(|| Number::from_f64(digits.parse().ok()?))
            .map(Value::Number)
    }
}
