//! Keywords about texts and numbers.

use regex::Regex;
use serde_json::{Map, Value};

/// Whether a text fits a keyword: what is wrong with it otherwise.
pub fn text_fits(
    keyword: &str,
    argument: &Value,
    text: &str,
) -> Result<(), (&'static str, String)> {
    let length = || text.chars().count() as u64;
    let bound = || argument.as_u64().unwrap_or_default();
    let (rule, fits) = match keyword {
        "minLength" => ("length", length() >= bound()),
        "maxLength" => ("length", length() <= bound()),
        "pattern" => {
            let pattern = Regex::new(argument.as_str().unwrap_or_default());
            let pattern = pattern.map_err(|error| ("pattern", error.to_string()))?;
            ("pattern", pattern.is_match(text))
        }
        _ => {
            let fits = match argument.as_str() {
                Some("date-time") => chrono::DateTime::parse_from_rfc3339(text).is_ok(),
                Some("date") => text.parse::<chrono::NaiveDate>().is_ok(),
                Some("email") => text.split_once('@').is_some_and(|(name, host)| {
                    !name.is_empty() && !host.is_empty() && !host.contains('@')
                }),
                _ => true,
            };
            ("format", fits)
        }
    };
    if fits {
        return Ok(());
    }
    Err((rule, format!("{text:?}: {keyword} {argument}")))
}

/// Whether a number fits a keyword.
pub fn number_fits(
    keyword: &str,
    argument: &Value,
    schema: &Map<String, Value>,
    number: f64,
) -> bool {
    // In OpenAPI 3.0 `exclusiveMinimum: true` stands beside `minimum`.
    let exclusive = |key: &str| schema.get(key) == Some(&Value::Bool(true));
    let Some(bound) = argument.as_f64() else {
        return true;
    };
    match keyword {
        "minimum" if exclusive("exclusiveMinimum") => number > bound,
        "minimum" => number >= bound,
        "maximum" if exclusive("exclusiveMaximum") => number < bound,
        "maximum" => number <= bound,
        "exclusiveMinimum" => number > bound,
        "exclusiveMaximum" => number < bound,
        _ => bound == 0.0 || ((number / bound) - (number / bound).round()).abs() < 1e-9,
    }
}

/// A value, short enough for a message.
pub fn shown(value: &Value) -> String {
    let text = value.to_string();
    match text.char_indices().nth(80) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text,
    }
}
