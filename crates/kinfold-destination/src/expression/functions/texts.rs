//! Functions of texts.

use std::fmt::Write as _;

use ::base64::Engine as _;
use ::base64::engine::general_purpose::STANDARD;
use md5::Digest as _;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use ring::{digest, hmac};
use serde_json::Value;

/// What RFC 3986 does not reserve.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'.')
    .remove(b'_')
    .remove(b'~');

/// The text of a value that has one.
pub(super) fn of(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        Value::Bool(flag) => Some(flag.to_string()),
        Value::Null | Value::Array(_) | Value::Object(_) => None,
    }
}

fn argument(arguments: &[&Value], at: usize) -> Option<String> {
    arguments.get(at).and_then(|value| of(value))
}

fn position(arguments: &[&Value], at: usize) -> Option<usize> {
    let number = arguments.get(at)?.as_u64()?;
    usize::try_from(number).ok()
}

pub(super) fn text(input: &Value, _: &[&Value]) -> Option<Value> {
    of(input).map(Value::from)
}

pub(super) fn json(input: &Value, _: &[&Value]) -> Option<Value> {
    Some(Value::from(input.to_string()))
}

pub(super) fn parse_json(input: &Value, _: &[&Value]) -> Option<Value> {
    serde_json::from_str(input.as_str()?).ok()
}

/// Text of XML 1.0, section 2.2: of the control characters only tab and line ends are characters there.
pub(super) fn xml(input: &Value, _: &[&Value]) -> Option<Value> {
    let text = of(input)?;
    let mut escaped = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&apos;"),
            '\t' | '\n' | '\r' => escaped.push(letter),
            '\u{fffe}' | '\u{ffff}' => {}
            _ if u32::from(letter) < 0x20 => {}
            _ => escaped.push(letter),
        }
    }
    Some(escaped.into())
}

pub(super) fn lower(input: &Value, _: &[&Value]) -> Option<Value> {
    of(input).map(|text| text.to_lowercase().into())
}

pub(super) fn upper(input: &Value, _: &[&Value]) -> Option<Value> {
    of(input).map(|text| text.to_uppercase().into())
}

pub(super) fn trim(input: &Value, _: &[&Value]) -> Option<Value> {
    of(input).map(|text| text.trim().into())
}

pub(super) fn cut(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let length = position(arguments, 0)?;
    Some(of(input)?.chars().take(length).collect::<String>().into())
}

pub(super) fn replace(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let what = argument(arguments, 0)?;
    let with = argument(arguments, 1)?;
    if what.is_empty() {
        return text(input, arguments);
    }
    Some(of(input)?.replace(&what, &with).into())
}

pub(super) fn after(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let text = of(input)?;
    let (_, after) = text.split_once(&argument(arguments, 0)?)?;
    Some(after.into())
}

pub(super) fn before(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let text = of(input)?;
    let end = argument(arguments, 0)?;
    Some(
        text.split_once(&end)
            .map_or(text.as_str(), |(before, _)| before)
            .into(),
    )
}

pub(super) fn segment(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let separator = argument(arguments, 1).unwrap_or_else(|| "/".to_owned());
    let text = of(input)?;
    let found = text.split(&separator).nth(position(arguments, 0)?)?;
    Some(found.into())
}

pub(super) fn split(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let separator = argument(arguments, 0)?;
    if separator.is_empty() {
        return None;
    }
    Some(of(input)?.split(&separator).map(Value::from).collect())
}

pub(super) fn contains(input: &Value, arguments: &[&Value]) -> Option<Value> {
    Some(of(input)?.contains(&argument(arguments, 0)?).into())
}

pub(super) fn starts_with(input: &Value, arguments: &[&Value]) -> Option<Value> {
    Some(of(input)?.starts_with(&argument(arguments, 0)?).into())
}

pub(super) fn url(input: &Value, _: &[&Value]) -> Option<Value> {
    Some(url_part(&of(input)?).into())
}

/// The text as one part of an address.
pub(crate) fn url_part(text: &str) -> String {
    utf8_percent_encode(text, RESERVED).to_string()
}

pub(super) fn base64(input: &Value, _: &[&Value]) -> Option<Value> {
    Some(STANDARD.encode(of(input)?).into())
}

pub(super) fn sha256(input: &Value, _: &[&Value]) -> Option<Value> {
    Some(sha256_hex(of(input)?.as_bytes()).into())
}

/// SHA-256 in lower hexadecimal.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, bytes).as_ref())
}

pub(super) fn sha1(input: &Value, _: &[&Value]) -> Option<Value> {
    Some(digest_hex("sha1", &of(input)?).into())
}

pub(super) fn md5(input: &Value, _: &[&Value]) -> Option<Value> {
    Some(digest_hex("md5", &of(input)?).into())
}

pub(super) fn hmac_sha256(input: &Value, arguments: &[&Value]) -> Option<Value> {
    let key = hmac::Key::new(hmac::HMAC_SHA256, argument(arguments, 0)?.as_bytes());
    let tag = hmac::sign(&key, of(input)?.as_bytes());
    let text = match argument(arguments, 1).as_deref() {
        None | Some("hex") => hex(tag.as_ref()),
        Some("base64") => STANDARD.encode(tag.as_ref()),
        Some(_) => return None,
    };
    Some(text.into())
}

/// SHA-1 or MD5 in lower hexadecimal, for those who still ask for them.
pub(crate) fn digest_hex(name: &str, text: &str) -> String {
    if name == "md5" {
        return hex(&md5::Md5::digest(text.as_bytes()));
    }
    let digest = digest::digest(&digest::SHA1_FOR_LEGACY_USE_ONLY, text.as_bytes());
    hex(digest.as_ref())
}

/// Lower hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}
