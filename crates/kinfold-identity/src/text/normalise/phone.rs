//! Telephone numbers as ITU-T E.164 has them: `+`, the calling code, the national number.

use unicode_normalization::UnicodeNormalization;

use super::calling_codes::{COUNTRIES, Country, OTHER_CODES, of_name};

/// Digits of a number with a code whose plan is not in the table, code included.
const GENERAL_LENGTHS: std::ops::RangeInclusive<usize> = 8..=15;

/// The number in the form `+442070313000`; an extension is left out.
///
/// A number after `+`, `00` or the country's own prefix for calls abroad has its calling code; any other
/// is of `default_country` (ISO 3166-1 alpha-2, in any case) and is refused without one. Refused too are
/// numbers of a code that is not assigned, of a length that the country has not, with other letters
/// than those that begin an extension, and numbers of North America whose area or exchange cannot be.
#[must_use]
pub fn phone(text: &str, default_country: Option<&str>) -> Option<String> {
    let plain: String = text
        .nfkc()
        .filter(|character| !is_invisible(*character))
        .map(plain_digit)
        .collect();
    let number = without_extension(without_scheme(plain.trim()))?;
    let country = default_country.and_then(|name| of_name(name.trim()));
    if let Some(written) = number.strip_prefix('+') {
        return of_international(&digits_of(&without_inner_zero(written))?);
    }
    let digits = digits_of(&number)?;
    let abroad = country.map_or("00", prefix_for_abroad);
    if digits.starts_with(abroad) || digits.starts_with("00") {
        let dialled = digits_of(&without_inner_zero(&number))?;
        let from = dialled
            .strip_prefix(abroad)
            .or(dialled.strip_prefix("00"))?;
        return of_international(from);
    }
    of_national(&digits, country?)
}

/// `+44 (0)20 …`: the zero in parentheses is dialled within the country only.
fn without_inner_zero(text: &str) -> String {
    text.replacen("(0)", "", 1)
}

/// What is dialled before a calling code where it is not `00`.
fn prefix_for_abroad(country: &Country) -> &'static str {
    match (country.code, country.name) {
        ("1", _) => "011",
        (_, "AU") => "0011",
        (_, "JP") => "010",
        _ => "00",
    }
}

/// Arabic and Persian digits as the ASCII ones.
fn plain_digit(character: char) -> char {
    let zero = match character {
        '\u{660}'..='\u{669}' => 0x660,
        '\u{6f0}'..='\u{6f9}' => 0x6f0,
        _ => return character,
    };
    char::from_digit(u32::from(character) - zero, 10).unwrap_or(character)
}

fn without_scheme(text: &str) -> &str {
    match text.split_at_checked(4) {
        Some((scheme, rest)) if scheme.eq_ignore_ascii_case("tel:") => rest.trim_start(),
        _ => text,
    }
}

/// The number in front of an extension, if there is one. `None` if what follows the number is something
/// else.
fn without_extension(text: &str) -> Option<String> {
    const MARKS: &[&str] = &[
        ";ext=",
        "extension",
        "extn",
        "ext",
        "poste",
        "durchwahl",
        "dw",
        "x",
        "#",
    ];
    let Some(at) = text.find(|c: char| c.is_alphabetic() || matches!(c, '#' | ';')) else {
        return Some(text.to_owned());
    };
    let (number, rest) = text.split_at_checked(at)?;
    let rest = rest.to_lowercase();
    let extension = MARKS.iter().find_map(|mark| rest.strip_prefix(mark))?;
    let extension = extension.trim_matches(|c: char| c.is_whitespace() || matches!(c, '.' | ':'));
    let sound =
        (1..=7).contains(&extension.len()) && extension.bytes().all(|byte| byte.is_ascii_digit());
    sound.then(|| number.to_owned())
}

/// The digits; `None` if there is something else than what people write between them.
fn digits_of(text: &str) -> Option<String> {
    let mut digits = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '0'..='9' => digits.push(character),
            '(' | ')' | '-' | '.' | '/' | '\u{2010}'..='\u{2015}' | '\u{2212}' => {}
            other if other.is_whitespace() => {}
            _ => return None,
        }
    }
    Some(digits)
}

/// Marks of direction that address books copy along.
fn is_invisible(character: char) -> bool {
    matches!(character, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// From the calling code on.
fn of_international(digits: &str) -> Option<String> {
    let mut known = false;
    for country in COUNTRIES {
        let Some(national) = digits.strip_prefix(country.code) else {
            continue;
        };
        known = true;
        // Many write the zero after the code, too. Mexico had a 1 there for mobiles until 2019.
        let no_part = match (country.trunk, country.name) {
            ("0", _) => "0",
            (_, "MX") => "1",
            _ => "",
        };
        let national = national.strip_prefix(no_part).unwrap_or(national);
        if let Some(found) = join(country, national) {
            return Some(found);
        }
    }
    let sound = !known
        && GENERAL_LENGTHS.contains(&digits.len())
        && OTHER_CODES.iter().any(|code| digits.starts_with(code));
    sound.then(|| format!("+{digits}"))
}

fn of_national(digits: &str, country: &Country) -> Option<String> {
    let plain = || join(country, digits);
    let with_code = || join(country, digits.strip_prefix(country.code)?);
    if country.trunk.is_empty() {
        return plain().or_else(with_code);
    }
    let after_trunk = digits
        .strip_prefix(country.trunk)
        .and_then(|national| join(country, national));
    // Where a prefix is usual, a number without it that begins like the calling code has that.
    after_trunk.or_else(with_code).or_else(plain)
}

/// The whole number, if the national one can be.
fn join(country: &Country, national: &str) -> Option<String> {
    let (shortest, longest) = country.lengths;
    let mut sound = (shortest..=longest).contains(&national.len());
    if country.name != "IT" {
        sound &= !national.starts_with('0');
    }
    if country.code == "1" {
        // Neither the area nor the exchange begins with 0 or 1.
        let can_begin = |at: usize| {
            national
                .as_bytes()
                .get(at)
                .is_some_and(|digit| *digit >= b'2')
        };
        sound &= can_begin(0) && can_begin(3);
    }
    sound.then(|| format!("+{}{national}", country.code))
}

#[cfg(test)]
#[path = "phone_tests.rs"]
mod tests;
