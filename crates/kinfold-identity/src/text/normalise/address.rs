//! Parts of a postal address.

use super::name::{Diacritics, name};

/// What a line with a street says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Street {
    /// The house number in lower case with its addition: `221b`, `12-14`.
    pub house_number: Option<String>,
    /// The words of the street in normal form, without those for its type.
    pub name: String,
}

/// Words for the type of a street, written out and short.
const TYPES: &[&str] = &[
    "allee",
    "aly",
    "alley",
    "av",
    "ave",
    "avenida",
    "avenue",
    "blvd",
    "boulevard",
    "calle",
    "cir",
    "circle",
    "close",
    "court",
    "cres",
    "crescent",
    "ct",
    "dr",
    "drive",
    "gasse",
    "gata",
    "gatan",
    "highway",
    "hwy",
    "laan",
    "lane",
    "ln",
    "parkway",
    "pkwy",
    "pl",
    "place",
    "platz",
    "plaza",
    "rd",
    "road",
    "rua",
    "rue",
    "sq",
    "square",
    "st",
    "str",
    "straat",
    "strasse",
    "street",
    "ter",
    "terrace",
    "ulica",
    "via",
    "way",
    "weg",
];

/// Types that stand before the name of the street.
const LEADING: &[&str] = &[
    "av",
    "ave",
    "avenida",
    "avenue",
    "bd",
    "boulevard",
    "blvd",
    "c",
    "calle",
    "place",
    "plaza",
    "r",
    "rua",
    "rue",
    "ul",
    "ulica",
    "via",
];

/// Types that German and Dutch write at the end of a word.
const ENDINGS: &[&str] = &["strasse", "straat", "str"];

/// Words before the number of a flat or the like, which is no part of the street.
const UNITS: &[&str] = &[
    "apartment",
    "apt",
    "flat",
    "floor",
    "fl",
    "no",
    "room",
    "rm",
    "ste",
    "suite",
    "unit",
];

/// The house number and the street of one line of an address; `None` if it names no street.
///
/// The house number is a word that begins with a digit, at the beginning or else the last one, and is
/// no ordinal (`5th`). Flats and the like are left out.
#[must_use]
pub fn street(text: &str) -> Option<Street> {
    // A range of numbers keeps its hyphen, or `12-14` would be two numbers.
    let joined = join_numbers(text);
    let mut words: Vec<String> = joined.split_whitespace().flat_map(words_of).collect();
    drop_units(&mut words);
    let number = if words.first().is_some_and(|word| is_number(word)) {
        Some(0)
    } else {
        words.iter().rposition(|word| is_number(word))
    };
    let house_number = number.map(|at| words.remove(at));
    let name = without_types(&words).join(" ");
    (!name.is_empty()).then_some(Street { house_number, name })
}

/// Hyphens, dashes and slashes between digits without white space around them.
fn join_numbers(text: &str) -> String {
    let characters: Vec<char> = text.chars().collect();
    let mut joined = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(character) = characters.get(at) {
        let spaces = |from: usize| {
            let rest = characters.get(from..).unwrap_or_default();
            rest.iter().take_while(|c| **c == ' ').count()
        };
        let dash = at + spaces(at);
        let digit = dash + 1 + spaces(dash + 1);
        let is = |at: usize, test: fn(char) -> bool| characters.get(at).is_some_and(|c| test(*c));
        let after_digit = joined
            .chars()
            .next_back()
            .is_some_and(|c| c.is_ascii_digit());
        if after_digit
            && is(dash, |c| matches!(c, '-' | '\u{2013}' | '/'))
            && is(digit, |c| c.is_ascii_digit())
        {
            joined.push('-');
            at = digit;
        } else {
            joined.push(*character);
            at += 1;
        }
    }
    joined
}

/// The words within a text without white space: those of a name, or a number as it stands.
fn words_of(text: &str) -> Vec<String> {
    let bare = text.trim_matches(|c: char| !c.is_alphanumeric() && c != '#');
    let lower = bare.to_lowercase();
    if is_number(&lower) || lower.starts_with('#') {
        return vec![lower];
    }
    let form = name(bare, Diacritics::Fold);
    form.split(' ')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Digits, then digits and hyphens, then at most one letter or a word such as `bis`.
fn is_number(word: &str) -> bool {
    let addition = word.trim_start_matches(|c: char| c.is_ascii_digit() || c == '-');
    word.starts_with(|c: char| c.is_ascii_digit())
        && (matches!(addition, "" | "bis" | "ter")
            || (addition.len() == 1 && addition.bytes().all(|byte| byte.is_ascii_lowercase())))
}

fn drop_units(words: &mut Vec<String>) {
    let mut at = 0;
    while let Some(word) = words.get(at) {
        let numbered = words
            .get(at + 1)
            .is_some_and(|next| next.len() == 1 || next.bytes().any(|byte| byte.is_ascii_digit()));
        if word.starts_with('#') {
            words.remove(at);
        } else if numbered && UNITS.contains(&word.as_str()) {
            words.drain(at..at + 2);
        } else {
            at += 1;
        }
    }
}

/// Without types: at the beginning those that lead, elsewhere all. A street keeps at least one word.
fn without_types(words: &[String]) -> Vec<&str> {
    let mut kept: Vec<&str> = Vec::new();
    for (at, word) in words.iter().enumerate() {
        let word = word.as_str();
        let types = if at == 0 { LEADING } else { TYPES };
        if types.contains(&word) && words.len() > 1 {
            continue;
        }
        let stem = ENDINGS
            .iter()
            .find_map(|ending| word.strip_suffix(ending))
            .filter(|stem| stem.len() > 2);
        kept.push(stem.unwrap_or(word));
    }
    if kept.is_empty() {
        kept.extend(words.iter().map(String::as_str));
    }
    kept
}

/// A postcode in upper case without spaces and hyphens: `sw1a 1aa` is `SW1A1AA`. `None` without a digit,
/// with fewer than three characters or with more than ten, or with anything but ASCII letters and digits.
#[must_use]
pub fn postcode(text: &str) -> Option<String> {
    let code: String = text
        .chars()
        .filter(|c| !c.is_whitespace() && *c != '-')
        .collect();
    let sound = (3..=10).contains(&code.len())
        && code.bytes().all(|byte| byte.is_ascii_alphanumeric())
        && code.bytes().any(|byte| byte.is_ascii_digit());
    sound.then(|| code.to_ascii_uppercase())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streets() {
        for (text, number, name) in [
            ("221B Baker Street", Some("221b"), "baker"),
            ("221b Baker St.", Some("221b"), "baker"),
            ("Hauptstraße 5", Some("5"), "haupt"),
            ("Hauptstr. 5", Some("5"), "haupt"),
            ("Lange Str. 12 - 14", Some("12-14"), "lange"),
            ("12-14 High Rd", Some("12-14"), "high"),
            ("12 rue de la Paix", Some("12"), "de la paix"),
            ("Rue de la Paix 12", Some("12"), "de la paix"),
            ("St John's Road", None, "st johns"),
            ("5th Avenue 20", Some("20"), "5th"),
            ("20 5th Ave, Apt 4", Some("20"), "5th"),
            ("Flat 3, 12 High Street", Some("12"), "high"),
            ("12 High Street #4", Some("12"), "high"),
            ("Calle de Alcalá 42", Some("42"), "de alcala"),
            ("Broadway", None, "broadway"),
            ("The Street", None, "the"),
        ] {
            let found = street(text);
            let expected = Street {
                house_number: number.map(str::to_owned),
                name: name.to_owned(),
            };
            assert_eq!(found, Some(expected), "{text}");
        }
        for nothing in ["", "12", " , "] {
            assert_eq!(street(nothing), None, "{nothing}");
        }
    }

    #[test]
    fn postcodes() {
        for (text, code) in [
            ("sw1a 1aa", Some("SW1A1AA")),
            (" 94103-1234 ", Some("941031234")),
            ("8001", Some("8001")),
            ("d02 x285", Some("D02X285")),
            ("", None),
            ("ab", None),
            ("London", None),
            ("12345678901", None),
            ("1234ö", None),
        ] {
            assert_eq!(postcode(text).as_deref(), code, "{text}");
        }
    }
}
