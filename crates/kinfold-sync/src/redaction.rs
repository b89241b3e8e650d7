//! Removing people's data from a destination's words.

use serde_json::{Map, Value};

use crate::outcome::MAX_MESSAGE_CHARS;

const MASK: &str = "…";
/// Shorter values are masked only as whole words: a one-letter value would otherwise eat the message.
const SHORTEST_VALUE: usize = 4;
/// A run of so many digits is a telephone, card or account number more often than anything else.
const LONG_NUMBER: usize = 7;
/// So many first characters of a longer value count as the value: destinations cut what they quote.
const TELLING_PREFIX: usize = 12;

/// The message without the values of these maps, without e-mail addresses and long numbers, on one line and
/// at most [`MAX_MESSAGE_CHARS`] long. Values are found in any letter case.
#[must_use]
pub fn redact<'a>(
    message: &str,
    payload: impl IntoIterator<Item = &'a Map<String, Value>>,
) -> String {
    let mut values = Vec::new();
    for map in payload {
        map.values().for_each(|value| collect(value, &mut values));
    }
    // The longest first, or a value inside another leaves the rest of the longer one behind.
    values.sort_by_key(|value| std::cmp::Reverse(value.chars().count()));
    values.dedup();
    let mut text: String = message
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    for value in &values {
        text = mask_value(&text, value);
    }
    text.split_whitespace()
        .map(mask_word)
        .collect::<Vec<_>>()
        .join(" ")
        .chars()
        .take(MAX_MESSAGE_CHARS)
        .collect()
}

fn collect(value: &Value, out: &mut Vec<String>) {
    match value {
        Value::Null | Value::Bool(_) => {}
        Value::Number(number) => out.push(number.to_string()),
        Value::String(text) => {
            let text: String = text
                .chars()
                .map(|c| if c.is_control() { ' ' } else { c })
                .collect();
            let text = text.trim();
            if !text.is_empty() {
                out.push(text.to_lowercase());
            }
        }
        Value::Array(items) => items.iter().for_each(|item| collect(item, out)),
        Value::Object(map) => map.values().for_each(|item| collect(item, out)),
    }
}

/// Masks `value` (lower case) wherever it occurs. Works on characters, since lower case may change lengths.
fn mask_value(text: &str, value: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let needle: Vec<char> = value.chars().collect();
    let whole_word = needle.len() < SHORTEST_VALUE;
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&current) = characters.get(at) {
        let end = match_len(&characters, at, &needle).filter(|end| {
            let inside = |c: Option<&char>| c.is_some_and(|c| c.is_alphanumeric());
            !whole_word
                || !(at
                    .checked_sub(1)
                    .is_some_and(|before| inside(characters.get(before)))
                    || inside(characters.get(*end)))
        });
        if let Some(end) = end {
            out.push_str(MASK);
            at = end;
        } else {
            out.push(current);
            at += 1;
        }
    }
    out
}

/// Where an occurrence of `needle`, or of a telling first part of it, that starts at `at` ends.
fn match_len(characters: &[char], at: usize, needle: &[char]) -> Option<usize> {
    let mut matched = 0;
    let mut end = at;
    'characters: while matched < needle.len() {
        let Some(character) = characters.get(end) else {
            break;
        };
        let mut ahead = matched;
        for lower in character.to_lowercase() {
            if needle.get(ahead) != Some(&lower) {
                break 'characters;
            }
            ahead += 1;
        }
        matched = ahead;
        end += 1;
    }
    (matched >= needle.len().min(TELLING_PREFIX)).then_some(end)
}

fn mask_word(word: &str) -> String {
    if word.contains('@') {
        return MASK.to_owned();
    }
    let mut out = String::with_capacity(word.len());
    let mut digits = String::new();
    for c in word.chars().chain(std::iter::once('\0')) {
        if c.is_ascii_digit() {
            digits.push(c);
            continue;
        }
        if digits.len() >= LONG_NUMBER {
            out.push_str(MASK);
        } else {
            out.push_str(&digits);
        }
        digits.clear();
        if c != '\0' {
            out.push(c);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn masked(message: &str, payload: Value) -> String {
        match payload {
            Value::Object(map) => redact(message, [&map]),
            _ => String::new(),
        }
    }

    #[test]
    fn values_are_masked_in_any_case_and_at_any_depth() {
        assert_eq!(
            masked(
                "MÜLLER of Basel is 41 and 'gold'",
                json!({"name": "Müller", "address": {"city": "basel"}, "age": 41, "tier": ["gold"]})
            ),
            "… of … is … and '…'"
        );
    }

    #[test]
    fn a_value_inside_a_longer_value_leaves_nothing_behind() {
        assert_eq!(
            masked("got anna-maria!", json!({"a": "anna", "b": "anna-maria"})),
            "got …!"
        );
    }

    #[test]
    fn a_value_that_the_destination_cut_is_masked() {
        assert_eq!(
            masked(
                "too long: Lives in a blu…",
                json!({"bio": "lives in a blue house by the sea"})
            ),
            "too long: ……"
        );
    }

    #[test]
    fn short_values_are_masked_as_words_only() {
        assert_eq!(
            masked("a bad value a for a5", json!({"x": "a"})),
            "… bad value … for a5"
        );
    }

    #[test]
    fn addresses_and_long_numbers_are_masked_without_being_known() {
        assert_eq!(
            masked("x@y.z has +41791234567, field 12", json!({})),
            "… has +…, field 12"
        );
    }

    #[test]
    fn a_message_is_one_line_of_limited_length() {
        let long = masked(&"line\nbreak ".repeat(100), json!({}));
        assert_eq!(long.chars().count(), MAX_MESSAGE_CHARS);
        assert!(!long.contains('\n'));
    }
}
