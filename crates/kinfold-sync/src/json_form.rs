//! The JSON form of values of databases, as payloads have it.

use serde_json::Value;

use crate::ObjectText;

/// Payloads hold decimals up to so many digits as numbers, and longer ones as text.
const NUMBER_DIGITS: usize = 15;

/// A number from its digits; `None` if they are not those of a JSON number, and so for any text that could
/// mean more than a number elsewhere.
pub(crate) fn number(text: &str) -> Option<Value> {
    let numeric = |byte: u8| byte.is_ascii_digit() || b"+-.eE".contains(&byte);
    if !text.bytes().all(numeric) {
        return None;
    }
    ObjectText::new(format!("{{\"n\":{text}}}"))?
        .parse()?
        .remove("n")
}

/// A decimal, without needless zeros: a number, unless a receiver that reads it as a float would lose digits.
/// Text that is no number stays what it is.
pub(crate) fn decimal(text: &str) -> Value {
    let text = match text.split_once('.') {
        Some(_) => text.trim_end_matches('0').trim_end_matches('.'),
        None => text,
    };
    let digits: String = text.chars().filter(char::is_ascii_digit).collect();
    let significant = digits.trim_start_matches('0');
    let significant = match text.contains('.') {
        true => significant,
        false => significant.trim_end_matches('0'),
    };
    let short = significant.len() <= NUMBER_DIGITS;
    short
        .then(|| number(text))
        .flatten()
        .unwrap_or_else(|| Value::from(text))
}

/// JSON without the spaces between its tokens.
pub(crate) fn without_spaces(text: &str) -> String {
    let mut quoted = false;
    let mut escaped = false;
    text.chars()
        .filter(|c| {
            let keep = quoted || !c.is_ascii_whitespace();
            quoted ^= *c == '"' && !escaped;
            escaped = quoted && *c == '\\' && !escaped;
            keep
        })
        .collect()
}

/// The digits of a binary value: as payloads write it, or with the prefix `\x`.
pub(crate) fn hex_digits(text: &str) -> Option<&str> {
    let digits = text.strip_prefix("\\x").unwrap_or(text);
    let sound =
        digits.len().is_multiple_of(2) && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    sound.then_some(digits)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Map, json};

    use super::*;

    #[test]
    fn binary_values_are_digits_and_nothing_else() {
        for (text, digits) in [
            ("", Some("")),
            ("00ff", Some("00ff")),
            ("\\x00FF", Some("00FF")),
            ("00f", None),
            ("0x00", None),
            ("plain", None),
        ] {
            assert_eq!(hex_digits(text), digits, "{text}");
        }
    }

    #[test]
    fn only_numbers_are_numbers() {
        assert_eq!(number("1e21"), Some(json!(1e21)));
        assert_eq!(number("-7"), Some(json!(-7)));
        for text in ["", "true", "NaN", "1,\"m\":2", "1,\"n\":2", "\"1\"", "1-1"] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn spaces_go_and_strings_stay(text in any::<String>(), key in "[ \"\\\\a\n]{0,6}") {
            let mut map = Map::new();
            map.insert(key, json!([text, {"a b": " \\\" "}]));
            let value = Value::Object(map);
            let pretty = serde_json::to_string_pretty(&value).unwrap_or_default();
            prop_assert_eq!(without_spaces(&pretty), value.to_string());
        }
    }
}
