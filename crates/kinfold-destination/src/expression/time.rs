//! Points in time: as values they are text of RFC 3339 in UTC.

use chrono::{DateTime, NaiveDate, SecondsFormat, Utc};
use serde_json::Value;

/// The text of a time.
pub(crate) fn time_text(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::AutoSi, true)
}

/// Values of time that APIs use: text of RFC 3339, a date, seconds or milliseconds since 1970. A number is one
/// of milliseconds from 10^11 on, which as seconds would be the year 5138.
pub(crate) fn parse_time(value: &Value) -> Option<DateTime<Utc>> {
    const FIRST_MILLISECONDS: f64 = 1e11;
    match value {
        Value::String(text) => {
            let text = text.trim();
            if let Ok(number) = text.parse::<f64>() {
                return parse_time(&Value::from(number));
            }
            DateTime::parse_from_rfc3339(text)
                .or_else(|_| DateTime::parse_from_str(text, "%Y-%m-%d %H:%M:%S%.f%#z"))
                .map(|time| time.with_timezone(&Utc))
                .ok()
                .or_else(|| {
                    let date = NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
                    Some(date.and_hms_opt(0, 0, 0)?.and_utc())
                })
        }
        Value::Number(number) => {
            let number = number.as_f64()?;
            let milliseconds = if number.abs() < FIRST_MILLISECONDS {
                number * 1_000.0
            } else {
                number
            };
            whole(milliseconds).and_then(DateTime::from_timestamp_millis)
        }
        _ => None,
    }
}

/// The whole part of a number that is small enough to have one.
pub(super) fn whole(number: f64) -> Option<i64> {
    const LARGEST: f64 = 9_007_199_254_740_992.0;
    if number.abs() > LARGEST || number.is_nan() {
        return None;
    }
    format!("{:.0}", number.trunc()).parse().ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn times_are_read_in_every_form_that_apis_use() {
        for value in [
            json!("2026-11-22T10:00:00Z"),
            json!("2026-11-22T11:00:00.000+01:00"),
            json!("2026-11-22 10:00:00+00:00"),
            json!(1_795_341_600),
            json!(1_795_341_600_000_i64),
            json!("1795341600"),
        ] {
            let text = parse_time(&value).map(time_text);
            assert_eq!(text.as_deref(), Some("2026-11-22T10:00:00Z"), "{value}");
        }
        assert_eq!(
            parse_time(&json!("2026-11-22")).map(time_text).as_deref(),
            Some("2026-11-22T00:00:00Z")
        );
        for value in [json!("soon"), json!(true), json!(1e300), json!(null)] {
            assert_eq!(parse_time(&value), None, "{value}");
        }
    }
}
