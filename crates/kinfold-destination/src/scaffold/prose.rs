//! Numbers that descriptions name.

/// Words that stand for rows.
const THINGS: &[&str] = &[
    "contacts",
    "addresses",
    "records",
    "items",
    "rows",
    "profiles",
    "users",
    "customers",
    "people",
    "persons",
    "leads",
    "members",
    "subscribers",
    "events",
    "objects",
    "entries",
    "emails",
    "ids",
    "companies",
    "elements",
    "entities",
    "recipients",
    "inputs",
    "operations",
    "messages",
];
/// A request with more rows is not believed.
const MOST: u64 = 1_000_000;

/// Calls in a period: so many, and the period as manifests write it.
pub(super) type Pace = (u32, &'static str);

/// How many rows a request may have: `up to 100 contacts`, `a maximum of 1,000 records`.
pub(super) fn most_rows(texts: &[&str]) -> Option<u64> {
    texts.iter().find_map(|text| {
        let words = tokens(text);
        words.iter().enumerate().find_map(|(at, word)| {
            let number = number(word)?;
            let before = words.get(at.saturating_sub(4)..at)?;
            let bounded = before.iter().any(|word| {
                matches!(
                    word.as_str(),
                    "to" | "max" | "maximum" | "most" | "than" | "limit" | "limited"
                )
            });
            let after = words.get(at + 1..(at + 4).min(words.len()))?;
            let things = after.iter().any(|word| THINGS.contains(&word.as_str()));
            (bounded && things && (2..=MOST).contains(&number)).then_some(number)
        })
    })
}

/// How many calls there may be in a period: `100 requests per minute`.
pub(super) fn pace(texts: &[&str]) -> Option<Pace> {
    texts.iter().find_map(|text| {
        let words = tokens(text);
        words.iter().enumerate().find_map(|(at, word)| {
            let number = u32::try_from(number(word)?)
                .ok()
                .filter(|number| *number > 0)?;
            let after = words.get(at + 1..(at + 6).min(words.len()))?;
            let calls = ["requests", "calls", "request", "call"];
            let what = after
                .iter()
                .take(2)
                .position(|word| calls.contains(&word.as_str()))?;
            let mut rest = after.iter().skip(what + 1);
            let per = ["per", "a", "each", "every"];
            rest.next().filter(|word| per.contains(&word.as_str()))?;
            let period = match rest.next()?.as_str() {
                "second" | "sec" | "s" => "1s",
                "minute" | "min" | "m" => "1m",
                "hour" | "h" => "1h",
                "day" => "1d",
                _ => return None,
            };
            Some((number, period))
        })
    })
}

/// One line of at most so many characters, without what would be marks of Markdown lists or headings.
pub(super) fn line(text: &str, most: usize) -> String {
    let first = text
        .split("\n\n")
        .map(str::trim)
        .find(|part| !part.is_empty());
    let mut line = first
        .unwrap_or_default()
        .split_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    line.retain(|c| !c.is_control());
    if line.chars().count() > most {
        let cut: String = line.chars().take(most).collect();
        let end = cut.rfind(". ").map(|at| at + 1).or_else(|| cut.rfind(' '));
        line = cut
            .get(..end.unwrap_or(cut.len()))
            .unwrap_or_default()
            .trim()
            .to_owned();
        if !line.ends_with('.') {
            line.push('…');
        }
    }
    line
}

fn tokens(text: &str) -> Vec<String> {
    let spaced = text.replace(['/', '*', '`', '(', ')'], " ");
    let words = spaced.split_whitespace().map(|word| {
        let word = word.trim_matches(|c: char| !c.is_alphanumeric());
        word.to_lowercase()
    });
    words.filter(|word| !word.is_empty()).take(2_000).collect()
}

fn number(word: &str) -> Option<u64> {
    let digits: String = word.chars().filter(|c| *c != ',' && *c != '_').collect();
    digits.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_sentences() {
        for (text, expected) in [
            ("Up to 100 contacts.", Some(100)),
            (
                "accepts a maximum of **1,000** records per call",
                Some(1_000),
            ),
            ("no more than 25 email addresses or items", Some(25)),
            ("the 3 contacts of the example", None),
            ("up to 100 characters", None),
            ("up to 99999999999999999999999 rows", None),
        ] {
            assert_eq!(most_rows(&[text]), expected, "{text}");
        }
        for (text, expected) in [
            ("Limited to 10 requests per second.", Some((10, "1s"))),
            ("`1,500` API calls/minute", None),
            ("1,500 calls per minute", Some((1_500, "1m"))),
            ("5 requests in a row", None),
            ("0 requests per day", None),
        ] {
            assert_eq!(pace(&[text]), expected, "{text}");
        }
        assert_eq!(line("a\nb\n\nc", 80), "a b");
        assert_eq!(line("One. Two three four", 10), "One.");
    }
}
