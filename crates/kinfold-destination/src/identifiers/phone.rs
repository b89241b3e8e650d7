//! Telephone numbers as ITU-T E.164 has them: country code, then the national number.

/// Country, country code, and what is dialled before a national number and is no part of it.
const COUNTRIES: &[(&str, &str, &str)] = &[
    ("AE", "971", "0"),
    ("AR", "54", "0"),
    ("AT", "43", "0"),
    ("AU", "61", "0"),
    ("BE", "32", "0"),
    ("BG", "359", "0"),
    ("BR", "55", "0"),
    ("CA", "1", "1"),
    ("CH", "41", "0"),
    ("CL", "56", ""),
    ("CN", "86", "0"),
    ("CO", "57", ""),
    ("CY", "357", ""),
    ("CZ", "420", ""),
    ("DE", "49", "0"),
    ("DK", "45", ""),
    ("EE", "372", ""),
    ("EG", "20", "0"),
    ("ES", "34", ""),
    ("FI", "358", "0"),
    ("FR", "33", "0"),
    ("GB", "44", "0"),
    ("GR", "30", ""),
    ("HK", "852", ""),
    ("HR", "385", "0"),
    ("HU", "36", "06"),
    ("ID", "62", "0"),
    ("IE", "353", "0"),
    ("IL", "972", "0"),
    ("IN", "91", "0"),
    ("IS", "354", ""),
    ("IT", "39", ""),
    ("JP", "81", "0"),
    ("KE", "254", "0"),
    ("KR", "82", "0"),
    ("LI", "423", "0"),
    ("LT", "370", "0"),
    ("LU", "352", ""),
    ("LV", "371", ""),
    ("MA", "212", "0"),
    ("MT", "356", ""),
    ("MX", "52", ""),
    ("MY", "60", "0"),
    ("NG", "234", "0"),
    ("NL", "31", "0"),
    ("NO", "47", ""),
    ("NZ", "64", "0"),
    ("PE", "51", "0"),
    ("PH", "63", "0"),
    ("PK", "92", "0"),
    ("PL", "48", ""),
    ("PT", "351", ""),
    ("RO", "40", "0"),
    ("RS", "381", "0"),
    ("SA", "966", "0"),
    ("SE", "46", "0"),
    ("SG", "65", ""),
    ("SI", "386", "0"),
    ("SK", "421", "0"),
    ("TH", "66", "0"),
    ("TR", "90", "0"),
    ("TW", "886", "0"),
    ("UA", "380", "0"),
    ("US", "1", "1"),
    ("VN", "84", "0"),
    ("ZA", "27", "0"),
];

/// A number has so many digits at most, country code included.
const LONGEST: usize = 15;
/// With fewer digits it is no number of a person.
const SHORTEST: usize = 7;

/// The digits of the international number. A number without country code is of `country`; without that, it is
/// taken for one with country code if it is long enough, and dropped if it begins with a zero.
pub(super) fn digits(text: &str, country: Option<&str>) -> Option<String> {
    let text = text.trim();
    // What comes after an `x` or the like is an extension.
    let number = text
        .find(|c: char| c.is_alphabetic())
        .map_or(text, |at| text.get(..at).unwrap_or_default());
    let all: String = number.chars().filter(char::is_ascii_digit).collect();
    let found = if number.starts_with('+') {
        // `+44 (0)20 …`: the zero in parentheses is not dialled from abroad.
        let inside = number.replacen("(0)", "", 1);
        inside.chars().filter(char::is_ascii_digit).collect()
    } else if let Some(rest) = all.strip_prefix("00") {
        rest.to_owned()
    } else {
        match country.and_then(|country| find(country.trim())) {
            Some((code, trunk)) => national(&all, code, trunk),
            None => all,
        }
    };
    let sound = (SHORTEST..=LONGEST).contains(&found.len()) && !found.starts_with('0');
    sound.then_some(found)
}

fn find(country: &str) -> Option<(&'static str, &'static str)> {
    let known = COUNTRIES
        .iter()
        .find(|(name, _, _)| name.eq_ignore_ascii_case(country));
    known.map(|(_, code, trunk)| (*code, *trunk))
}

fn national(digits: &str, code: &str, trunk: &str) -> String {
    // Where the trunk prefix is the country code itself, a number of ten digits lacks it.
    if code == trunk {
        return match digits.strip_prefix(code) {
            Some(rest) if rest.len() >= 10 => digits.to_owned(),
            _ => format!("{code}{digits}"),
        };
    }
    if !trunk.is_empty()
        && let Some(rest) = digits.strip_prefix(trunk)
    {
        return format!("{code}{rest}");
    }
    // Without the prefix that a national number would have, it is one with the country code in front; where
    // there is no such prefix, only if it is too long for a national one.
    const LONGEST_NATIONAL: usize = 10;
    let long = digits.len() > LONGEST_NATIONAL || !trunk.is_empty();
    match digits.strip_prefix(code) {
        Some(rest) if long && rest.len() >= SHORTEST => digits.to_owned(),
        _ => format!("{code}{digits}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_many_forms() {
        for (text, country, expected) in [
            ("+1 (650) 555-1212", None, Some("16505551212")),
            ("(800)555-0100", Some("US"), Some("18005550100")),
            ("1-800-555-0100", Some("us"), Some("18005550100")),
            ("16505551212", None, Some("16505551212")),
            ("+44 (0)20 7031 3000", None, Some("442070313000")),
            ("020 7031 3000", Some("GB"), Some("442070313000")),
            ("0044 20 7031 3000", Some("US"), Some("442070313000")),
            ("0176-54648789", Some("DE"), Some("4917654648789")),
            ("4917654648789", Some("DE"), Some("4917654648789")),
            ("044 668 18 00", Some("CH"), Some("41446681800")),
            ("02 1234 5678", Some("IT"), Some("390212345678")),
            ("612 345 678", Some("ES"), Some("34612345678")),
            ("650 555 1212 x33", Some("US"), Some("16505551212")),
            ("0176-54648789", None, None),
            ("0176-54648789", Some("XX"), None),
            ("12345", Some("US"), None),
            ("1234567890123456", None, None),
            ("call me", Some("US"), None),
            ("", Some("US"), None),
        ] {
            assert_eq!(
                digits(text, country).as_deref(),
                expected,
                "{text} {country:?}"
            );
        }
    }

    #[test]
    fn countries_are_in_order_and_once() {
        assert!(COUNTRIES.is_sorted_by(|left, right| left.0 < right.0));
    }
}
