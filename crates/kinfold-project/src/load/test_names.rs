//! Names and ids of generic tests as dbt 1.x computes them, so that artifacts and `--state` agree.
//!
//! Facts from dbt-core 1.12: `parser/generic_test_builders.py` (the name) and
//! `parser/schema_generic_tests.py` (the hash).

use std::fmt::Write;

use md5::{Digest, Md5};

use crate::located::{Value, ValueKind};

/// Names of this length and longer are shortened for files.
const LONG_NAME: usize = 64;
/// Characters of a long name that its short form keeps.
const KEPT: usize = 30;
/// Hexadecimal digits of the hash in an id.
const HASH_DIGITS: usize = 10;

/// The name, of any length, and its short form, from the test's kind (`not_null`,
/// `source_dbt_utils_recency`), the name of what is tested, and the arguments.
pub(super) fn names(
    kind: &str,
    target: &str,
    arguments: &[(&str, Argument<'_>)],
) -> (String, String) {
    let mut sorted: Vec<_> = arguments.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut parts: Vec<String> = vec![];
    for (_, argument) in sorted {
        match argument {
            Argument::Text(text) => parts.push((*text).to_owned()),
            Argument::Value(value) => match &value.kind {
                ValueKind::List(items) => parts.extend(items.iter().map(python_str)),
                ValueKind::Map(entries) => {
                    parts.extend(entries.iter().map(|(_, value)| python_str(value)));
                }
                _ => parts.push(python_str(value)),
            },
        }
    }
    let clean: Vec<String> = parts.iter().map(|part| clean(part)).collect();
    let identifier = format!("{kind}_{target}");
    let name = format!("{identifier}_{}", clean.join("__"));
    let short = if name.chars().count() >= LONG_NAME {
        let start: String = identifier.chars().take(KEPT).collect();
        format!("{start}_{}", md5_hex(&name))
    } else {
        name.clone()
    };
    (name, short)
}

/// The ten digits at the end of the test's id. `model` is what dbt passes as the argument of that
/// name; `test` has no namespace.
pub(super) fn hash(
    name: &str,
    namespace: Option<&str>,
    test: &str,
    arguments: &[(&str, Argument<'_>)],
) -> String {
    let mut sorted: Vec<_> = arguments.iter().collect();
    sorted.sort_by_key(|(name, _)| *name);
    let mut text = String::from(name);
    text.push_str("{'kwargs': {");
    for (i, (key, argument)) in sorted.iter().enumerate() {
        if i > 0 {
            text.push_str(", ");
        }
        python_repr_text(key, &mut text);
        text.push_str(": ");
        match argument {
            Argument::Text(value) => python_repr_text(value, &mut text),
            Argument::Value(value) => hashable_repr(value, &mut text),
        }
    }
    text.push_str("}, 'name': ");
    python_repr_text(test, &mut text);
    text.push_str(", 'namespace': ");
    python_repr_text(namespace.unwrap_or("None"), &mut text);
    text.push('}');
    let digest = md5_hex(&text);
    digest
        .get(digest.len().saturating_sub(HASH_DIGITS)..)
        .unwrap_or("")
        .to_owned()
}

/// An argument of a test.
#[derive(Clone, Copy)]
pub(super) enum Argument<'a> {
    Text(&'a str),
    Value(&'a Value),
}

/// Everything but ASCII letters, digits and `_` becomes `_`, once per run.
fn clean(part: &str) -> String {
    let mut out = String::with_capacity(part.len());
    let mut in_run = false;
    for c in part.chars() {
        if c.is_ascii_alphanumeric() || c == '_' {
            out.push(c);
            in_run = false;
        } else if !in_run {
            out.push('_');
            in_run = true;
        }
    }
    out
}

fn md5_hex(text: &str) -> String {
    let mut hex = String::with_capacity(32);
    for byte in Md5::digest(text.as_bytes()) {
        let _ = write!(hex, "{byte:02x}");
    }
    hex
}

/// Python's `str()` of a YAML value.
fn python_str(value: &Value) -> String {
    match &value.kind {
        ValueKind::String(text) => text.clone(),
        _ => {
            let mut out = String::new();
            python_repr(value, &mut out);
            out
        }
    }
}

/// Python's `repr()` of a YAML value.
fn python_repr(value: &Value, out: &mut String) {
    match &value.kind {
        ValueKind::Null => out.push_str("None"),
        ValueKind::Bool(true) => out.push_str("True"),
        ValueKind::Bool(false) => out.push_str("False"),
        ValueKind::Int(number) => {
            let _ = write!(out, "{number}");
        }
        ValueKind::Float(number) => out.push_str(&python_float(*number)),
        ValueKind::String(text) => python_repr_text(text, out),
        ValueKind::List(items) => python_sequence(items, python_repr, out),
        ValueKind::Map(entries) => {
            let entries: Vec<_> = entries.iter().map(|(k, v)| (k.value.as_str(), v)).collect();
            python_mapping(&entries, python_repr, out);
        }
    }
}

/// As [`python_repr`], but scalars as text and mappings sorted, as dbt hashes them.
fn hashable_repr(value: &Value, out: &mut String) {
    match &value.kind {
        ValueKind::List(items) => python_sequence(items, hashable_repr, out),
        ValueKind::Map(entries) => {
            let mut entries: Vec<_> = entries.iter().map(|(k, v)| (k.value.as_str(), v)).collect();
            entries.sort_by_key(|(key, _)| *key);
            python_mapping(&entries, hashable_repr, out);
        }
        _ => python_repr_text(&python_str(value), out),
    }
}

fn python_sequence(items: &[Value], each: fn(&Value, &mut String), out: &mut String) {
    out.push('[');
    for (i, item) in items.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        each(item, out);
    }
    out.push(']');
}

fn python_mapping(entries: &[(&str, &Value)], each: fn(&Value, &mut String), out: &mut String) {
    out.push('{');
    for (i, (key, value)) in entries.iter().enumerate() {
        if i > 0 {
            out.push_str(", ");
        }
        python_repr_text(key, out);
        out.push_str(": ");
        each(value, out);
    }
    out.push('}');
}

/// Python's `repr()` of text: single quotes unless only double ones need no escape.
fn python_repr_text(text: &str, out: &mut String) {
    let quote = if text.contains('\'') && !text.contains('"') {
        '"'
    } else {
        '\''
    };
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => {
                out.push('\\');
                out.push(c);
            }
            // The characters that Python does not count as printable and that occur in YAML.
            c if c.is_control() || (c.is_whitespace() && c != ' ') || is_invisible(c) => {
                let _ = match u32::from(c) {
                    code @ 0..=0xff => write!(out, "\\x{code:02x}"),
                    code @ 0x100..=0xffff => write!(out, "\\u{code:04x}"),
                    code => write!(out, "\\U{code:08x}"),
                };
            }
            c => out.push(c),
        }
    }
    out.push(quote);
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}')
}

/// Python's `repr()` of a float: the shortest digits, an exponent below 1e-4 and from 1e16.
fn python_float(number: f64) -> String {
    if number.is_nan() {
        return "nan".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "inf" } else { "-inf" }.to_owned();
    }
    let magnitude = number.abs();
    if magnitude != 0.0 && !(1e-4..1e16).contains(&magnitude) {
        let text = format!("{number:e}");
        let (digits, exponent) = text.split_once('e').unwrap_or((&text, "0"));
        let (sign, exponent) = match exponent.strip_prefix('-') {
            Some(exponent) => ('-', exponent),
            None => ('+', exponent),
        };
        return format!("{digits}e{sign}{exponent:0>2}");
    }
    format!("{number:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_and_text_look_as_in_python() {
        let pairs = [
            (1.0, "1.0"),
            (0.1, "0.1"),
            (1e16, "1e+16"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (-0.0001, "-0.0001"),
            (1.2345e300, "1.2345e+300"),
        ];
        for (number, text) in pairs {
            assert_eq!(python_float(number), text);
        }
        let repr = |text: &str| {
            let mut out = String::new();
            python_repr_text(text, &mut out);
            out
        };
        assert_eq!(repr("a'b"), "\"a'b\"");
        assert_eq!(repr("a'\"b"), "'a\\'\"b'");
        assert_eq!(repr("ü\n\u{a0}\\"), "'ü\\n\\xa0\\\\'");
    }
}
