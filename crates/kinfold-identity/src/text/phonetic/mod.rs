//! Codes that texts have in common if they sound alike in English. Letters with diacritics count as
//! those without; what is no Latin letter is passed over.

mod metaphone;
mod soundex;

pub use metaphone::{DoubleMetaphone, double_metaphone, metaphones_agree};
pub use soundex::soundex;

use unicode_normalization::UnicodeNormalization;

use super::normalise::fold_diacritics;

/// The upper-case ASCII letters of a text, and one space for what separates its words.
fn letters(text: &str) -> Vec<u8> {
    let mut letters = Vec::with_capacity(text.len());
    // The cedilla makes a sibilant of the letter.
    let sibilant: String = text
        .nfc()
        .map(|character| {
            if matches!(character, 'ç' | 'Ç') {
                's'
            } else {
                character
            }
        })
        .collect();
    for character in fold_diacritics(&sibilant).chars() {
        if character.is_ascii_alphabetic() {
            letters.extend(u8::try_from(character.to_ascii_uppercase()));
        } else if (character.is_whitespace() || character == '-')
            && letters.last().is_some_and(|last| *last != b' ')
        {
            letters.push(b' ');
        }
    }
    if letters.last() == Some(&b' ') {
        letters.pop();
    }
    letters
}
