//! Names of people and of things.

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

/// Whether marks on letters count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Diacritics {
    /// `é` is another letter than `e`.
    Keep,
    /// As [`fold_diacritics`] has it.
    Fold,
}

/// The words in lower case with one space between them. Apostrophes go (`O'Brien` is `obrien`); any
/// other punctuation parts words (`Smith-Jones` is `smith jones`). Compatibility forms such as full
/// width letters become plain. Empty if there is no letter and no digit.
#[must_use]
pub fn name(text: &str, diacritics: Diacritics) -> String {
    let lower = text.nfkc().collect::<String>().to_lowercase();
    let folded = match diacritics {
        Diacritics::Keep => lower.nfkc().collect(),
        Diacritics::Fold => fold_diacritics(&lower).to_lowercase(),
    };
    let mut name = String::with_capacity(folded.len());
    let mut parted = false;
    for character in folded.chars() {
        if is_apostrophe(character) {
            continue;
        }
        let mark = is_combining_mark(character) && !parted && !name.is_empty();
        if character.is_alphanumeric() || mark {
            if parted && !name.is_empty() {
                name.push(' ');
            }
            parted = false;
            name.push(character);
        } else {
            parted = true;
        }
    }
    name
}

fn is_apostrophe(character: char) -> bool {
    matches!(
        character,
        '\'' | '`' | '´' | '\u{2018}' | '\u{2019}' | '\u{201b}' | '\u{2bb}' | '\u{2bc}'
    )
}

/// Letters without the marks of Latin, Greek and Cyrillic, and letters of Latin alphabets that have no
/// such form as their nearest ones: `ß` is `ss`, `ø` is `o`, `æ` is `ae`. So `ä` is `a`, not the `ae`
/// of German. Case stays; other scripts stay, whose marks are vowels or make other letters.
#[must_use]
pub fn fold_diacritics(text: &str) -> String {
    if text.is_ascii() {
        return text.to_owned();
    }
    let mut folded = String::with_capacity(text.len());
    for character in text.nfkd() {
        let plain = match character {
            // Combining diacritical marks.
            '\u{300}'..='\u{36f}' => "",
            'ß' => "ss",
            'ẞ' => "SS",
            'æ' => "ae",
            'Æ' => "AE",
            'œ' => "oe",
            'Œ' => "OE",
            'ø' => "o",
            'Ø' => "O",
            'ł' => "l",
            'Ł' => "L",
            'đ' | 'ð' => "d",
            'Đ' | 'Ð' => "D",
            'þ' => "th",
            'Þ' => "Th",
            'ħ' => "h",
            'Ħ' => "H",
            'ŧ' => "t",
            'Ŧ' => "T",
            'ı' => "i",
            'ŋ' => "n",
            'Ŋ' => "N",
            // The form at the end of a word.
            'ς' => "σ",
            other => {
                folded.push(other);
                continue;
            }
        };
        folded.push_str(plain);
    }
    // Scripts whose marks stay are composed again.
    folded.nfc().collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn names_of_many_forms() {
        for (text, kept, folded) in [
            ("  Anna   MARIA ", "anna maria", "anna maria"),
            ("O'Brien", "obrien", "obrien"),
            (
                "O\u{2019}Brien-Smith, Jr.",
                "obrien smith jr",
                "obrien smith jr",
            ),
            ("J.R.R. Tolkien", "j r r tolkien", "j r r tolkien"),
            ("Jürgen Groß", "jürgen groß", "jurgen gross"),
            ("Ju\u{308}rgen", "jürgen", "jurgen"),
            ("Søren Ærø", "søren ærø", "soren aero"),
            ("Łukasz", "łukasz", "lukasz"),
            ("Ｊｏｎ", "jon", "jon"),
            ("Γιώργος", "γιώργος", "γιωργοσ"),
            ("हिन्दी", "हिन्दी", "हिन्दी"),
            ("ガク", "ガク", "ガク"),
            ("...", "", ""),
            ("", "", ""),
        ] {
            assert_eq!(name(text, Diacritics::Keep), kept);
            assert_eq!(name(text, Diacritics::Fold), folded);
        }
    }

    proptest! {
        #[test]
        fn the_form_is_its_own_form(text in "\\PC{0,24}|[ a-zA-ZäßÉİΣςø'.-]{0,24}", fold: bool) {
            let diacritics = if fold { Diacritics::Fold } else { Diacritics::Keep };
            let form = name(&text, diacritics);
            prop_assert_eq!(name(&form, diacritics), form.clone());
            prop_assert_eq!(form.trim(), form.as_str());
            prop_assert!(!form.contains("  "));
        }
    }
}
