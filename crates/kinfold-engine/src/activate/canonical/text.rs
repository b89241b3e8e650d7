//! Numbers, texts and times as canonical JSON.
//!
//! These run for every value of every row that is sent, so the common cases write digits themselves
//! instead of going through `format!`.

use std::fmt::{Display, LowerExp, Write as _};

use chrono::{DateTime, Datelike, NaiveDate, Timelike};

use super::Cell;

/// Digits that every decimal fraction keeps on its way through an IEEE 754 double (`DBL_DIG`).
const EXACT_DIGITS: usize = 15;

pub(super) fn write_integer(value: impl itoa::Integer, out: &mut String) -> Cell {
    out.push_str(itoa::Buffer::new().format(value));
    Cell::Value
}

/// A decimal without needless zeros: a number if a double holds it, else text.
pub(super) fn write_decimal(text: &str, out: &mut String) {
    let text = if text.contains('.') {
        text.trim_end_matches('0').trim_end_matches('.')
    } else {
        text
    };
    let digits = text
        .trim_start_matches(['-', '0', '.'])
        .bytes()
        .filter(u8::is_ascii_digit)
        .count();
    match digits {
        0 => out.push('0'),
        few if few <= EXACT_DIGITS => out.push_str(text),
        _ => {
            out.push('"');
            out.push_str(text);
            out.push('"');
        }
    }
}

/// The shortest digits that give the same number again. `size` is the number without its sign as a double,
/// which says whether it is written with an exponent.
pub(super) fn write_float<T: ryu::Float + Display + LowerExp>(
    value: T,
    size: f64,
    out: &mut String,
) -> Cell {
    if !size.is_finite() {
        out.push_str("null");
        return Cell::NoForm;
    }
    if size == 0.0 {
        out.push('0');
        return Cell::Value;
    }
    let mut buffer = ryu::Buffer::new();
    let digits = buffer.format_finite(value);
    // Both print the same shortest digits (of two that are equally near perhaps another), but ryu turns to exponents
    // earlier.
    if !digits.contains('e') && (1e-6..1e21).contains(&size) {
        out.push_str(digits.strip_suffix(".0").unwrap_or(digits));
        return Cell::Value;
    }
    let _ = if (1e-6..1e21).contains(&size) {
        write!(out, "{value}")
    } else {
        write!(out, "{value:e}")
    };
    Cell::Value
}

/// A JSON string: only what must be escaped is.
pub(super) fn write_text(text: &str, out: &mut String) {
    out.push('"');
    let special = |byte: &u8| *byte < b' ' || *byte == b'"' || *byte == b'\\';
    if text
        .as_bytes()
        .iter()
        .fold(false, |any, byte| any | special(byte))
    {
        write_escaped(text, out);
    } else {
        out.push_str(text);
    }
    out.push('"');
}

fn write_escaped(text: &str, out: &mut String) {
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            '\u{8}' => out.push_str("\\b"),
            '\u{c}' => out.push_str("\\f"),
            control if control < ' ' => {
                let _ = write!(out, "\\u{:04x}", u32::from(control));
            }
            other => out.push(other),
        }
    }
}

pub(super) fn write_date(date: Option<NaiveDate>, out: &mut String) -> Cell {
    match date.map(|date| (date, u32::try_from(date.year()))) {
        Some((date, Ok(year @ 0..=9999))) => {
            out.push('"');
            write_day(year, date.month(), date.day(), out);
            out.push('"');
            Cell::Value
        }
        _ => {
            out.push_str("null");
            Cell::NoForm
        }
    }
}

pub(super) fn write_instant(micros: i64, out: &mut String) -> Cell {
    let at = DateTime::from_timestamp_micros(micros);
    match at.map(|at| (at.naive_utc(), u32::try_from(at.year()))) {
        Some((at, Ok(year @ 0..=9999))) => {
            out.push('"');
            write_day(year, at.month(), at.day(), out);
            out.push('T');
            write_clock(at.hour(), at.minute(), at.second(), out);
            write_fraction(micros.rem_euclid(1_000_000), out);
            out.push_str("Z\"");
            Cell::Value
        }
        _ => {
            out.push_str("null");
            Cell::NoForm
        }
    }
}

/// `micros` since midnight.
pub(super) fn write_time_of_day(micros: i64, out: &mut String) -> Cell {
    let seconds = u32::try_from(micros.div_euclid(1_000_000)).unwrap_or_default();
    out.push('"');
    write_clock(seconds / 3600, seconds / 60 % 60, seconds % 60, out);
    write_fraction(micros.rem_euclid(1_000_000), out);
    out.push('"');
    Cell::Value
}

fn write_day(year: u32, month: u32, day: u32, out: &mut String) {
    let ([a, b], [c, d]) = (two_digits(year / 100), two_digits(year));
    let ([e, f], [g, h]) = (two_digits(month), two_digits(day));
    out.push_str(ascii(&[a, b, c, d, b'-', e, f, b'-', g, h]));
}

fn write_clock(hour: u32, minute: u32, second: u32, out: &mut String) {
    let ([a, b], [c, d], [e, f]) = (two_digits(hour), two_digits(minute), two_digits(second));
    out.push_str(ascii(&[a, b, b':', c, d, b':', e, f]));
}

/// The last two digits of a number.
fn two_digits(number: u32) -> [u8; 2] {
    [number / 10 % 10, number % 10].map(|digit| b'0' + u8::try_from(digit).unwrap_or_default())
}

fn ascii(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or_default()
}

fn write_fraction(micros: i64, out: &mut String) {
    if micros != 0 {
        let micros = u32::try_from(micros).unwrap_or_default();
        let ([a, b], [c, d]) = (two_digits(micros / 10_000), two_digits(micros / 100));
        let [e, f] = two_digits(micros);
        out.push_str(ascii(&[b'.', a, b, c, d, e, f]).trim_end_matches('0'));
    }
}
