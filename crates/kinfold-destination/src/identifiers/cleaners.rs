//! Rules for everything but telephone numbers.

use chrono::NaiveDate;

fn without_space(text: &str) -> impl Iterator<Item = char> + '_ {
    text.chars().filter(|c| !c.is_whitespace())
}

pub(super) fn email(text: &str) -> Option<String> {
    let clean = without_space(text).collect::<String>().to_lowercase();
    let (user, domain) = clean.split_once('@')?;
    let sound = !user.is_empty() && !domain.is_empty() && !domain.contains('@');
    sound.then_some(clean)
}

pub(super) fn email_gmail(text: &str) -> Option<String> {
    let clean = email(text)?;
    match clean.split_once('@') {
        Some((user, domain @ ("gmail.com" | "googlemail.com"))) => {
            let user = user.split('+').next().unwrap_or_default().replace('.', "");
            (!user.is_empty()).then(|| format!("{user}@{domain}"))
        }
        _ => Some(clean),
    }
}

pub(super) fn email_plain(text: &str) -> Option<String> {
    let clean = email(text)?;
    let (user, domain) = clean.split_once('@')?;
    let user = user.split('+').next().unwrap_or_default().replace('.', "");
    (!user.is_empty()).then(|| format!("{user}@{domain}"))
}

pub(super) fn name(text: &str) -> String {
    let lower = text.to_lowercase();
    let kept: String = lower
        .chars()
        .filter(|c| !c.is_ascii_punctuation() && !c.is_ascii_digit())
        .collect();
    kept.split_whitespace().collect::<Vec<_>>().join(" ")
}

pub(super) fn letters(text: &str) -> String {
    text.to_lowercase()
        .chars()
        .filter(|c| c.is_alphabetic())
        .collect()
}

pub(super) fn postcode(text: &str) -> String {
    without_space(text)
        .filter(|c| *c != '-')
        .collect::<String>()
        .to_lowercase()
}

pub(super) fn postcode_short(text: &str) -> String {
    let clean = postcode(text);
    let digits = !clean.is_empty() && clean.bytes().all(|byte| byte.is_ascii_digit());
    if digits {
        clean.chars().take(5).collect()
    } else {
        clean
    }
}

pub(super) fn country(text: &str) -> Option<String> {
    let clean = text.trim().to_ascii_lowercase();
    let code = clean.len() == 2 && clean.bytes().all(|byte| byte.is_ascii_lowercase());
    code.then_some(clean)
}

pub(super) fn date_digits(text: &str) -> Option<String> {
    let text = text.trim();
    // A time of day behind the date says nothing about a birthday.
    let day = text.get(..10).unwrap_or(text);
    let date = ["%Y-%m-%d", "%Y/%m/%d", "%Y%m%d"]
        .iter()
        .find_map(|format| NaiveDate::parse_from_str(day, format).ok())?;
    Some(date.format("%Y%m%d").to_string())
}

pub(super) fn gender(text: &str) -> Option<String> {
    let word = text.trim().to_lowercase();
    match word.as_str() {
        "f" | "female" | "woman" => Some("f".to_owned()),
        "m" | "male" | "man" => Some("m".to_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        for (text, plain, gmail, bare) in [
            (
                " A.B+x@Gmail.com ",
                "a.b+x@gmail.com",
                "ab@gmail.com",
                "ab@gmail.com",
            ),
            (
                "a.b.c@googlemail.com",
                "a.b.c@googlemail.com",
                "abc@googlemail.com",
                "abc@googlemail.com",
            ),
            (
                "a.b+x@example.com",
                "a.b+x@example.com",
                "a.b+x@example.com",
                "ab@example.com",
            ),
            ("a b@x.org", "ab@x.org", "ab@x.org", "ab@x.org"),
        ] {
            assert_eq!(email(text).as_deref(), Some(plain));
            assert_eq!(email_gmail(text).as_deref(), Some(gmail));
            assert_eq!(email_plain(text).as_deref(), Some(bare));
        }
        for nothing in ["", " ", "@", "a@", "@b", "a@b@c", "ab"] {
            assert_eq!(email(nothing), None, "{nothing}");
        }
        assert_eq!(email_gmail("...@gmail.com"), None);
        assert_eq!(email_gmail(".+x@googlemail.com"), None);
        assert_eq!(email_plain("+x@b.org"), None);
    }

    #[test]
    fn everything_else() {
        assert_eq!(name("  O'Brien-Smith  Jr. "), "obriensmith jr");
        assert_eq!(name("..."), "");
        assert_eq!(letters("St. Gallen 9"), "stgallen");
        assert_eq!(postcode("SW1A 1AA"), "sw1a1aa");
        assert_eq!(postcode("94103-1234"), "941031234");
        assert_eq!(postcode_short("94103-1234"), "94103");
        assert_eq!(postcode_short("SW1A 1AA"), "sw1a1aa");
        assert_eq!(country("CH").as_deref(), Some("ch"));
        assert_eq!(country("Switzerland"), None);
        assert_eq!(
            date_digits("1997-02-16T00:00:00Z").as_deref(),
            Some("19970216")
        );
        assert_eq!(date_digits("19970216").as_deref(), Some("19970216"));
        assert_eq!(date_digits("1997-02-30"), None);
        assert_eq!(gender("M").as_deref(), Some("m"));
        assert_eq!(gender("x"), None);
    }
}
