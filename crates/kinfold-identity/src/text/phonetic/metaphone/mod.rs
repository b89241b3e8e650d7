//! Double Metaphone (L. Philips, C/C++ Users Journal, June 2000): a code for how a name is said in
//! English, and another where its origin leaves the choice. `0` stands for `th`, `X` for `sh`.

mod rules;

/// Characters of a code.
const LENGTH: usize = 4;
/// Bytes before the word, so that looking back needs no check.
const BEFORE: usize = 5;

/// The one or two codes of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DoubleMetaphone {
    /// The usual pronunciation.
    pub primary: String,
    /// Another one, if it has another code.
    pub alternate: Option<String>,
}

/// The codes of a text, at most four characters each; `None` if it has nothing to say.
#[must_use]
pub fn double_metaphone(text: &str) -> Option<DoubleMetaphone> {
    let letters = super::letters(text);
    let (mut primary, alternate) = Word::new(&letters).encode();
    let mut alternate = Some(alternate).filter(|code| *code != primary);
    if primary.is_empty() {
        primary = alternate.take()?;
    }
    alternate = alternate.filter(|code| !code.is_empty());
    Some(DoubleMetaphone { primary, alternate })
}

/// Whether the two texts have a code in common.
#[must_use]
pub fn metaphones_agree(left: &str, right: &str) -> bool {
    let (Some(left), Some(right)) = (double_metaphone(left), double_metaphone(right)) else {
        return false;
    };
    let codes = [Some(&left.primary), left.alternate.as_ref()];
    let mut codes = codes.into_iter().flatten();
    codes.any(|code| *code == right.primary || Some(code) == right.alternate.as_ref())
}

/// What a rule adds to the two codes, and how many letters it has read.
type Sound = (&'static str, &'static str, usize);

fn one(code: &'static str, read: usize) -> Sound {
    (code, code, read)
}

struct Word {
    /// [`BEFORE`] bytes that are no letters, the word, some spaces.
    bytes: Vec<u8>,
    last: usize,
    slavic_or_germanic: bool,
    at: usize,
}

impl Word {
    fn new(letters: &[u8]) -> Self {
        let mut bytes = vec![b'-'; BEFORE];
        bytes.extend_from_slice(letters);
        let slavic_or_germanic =
            letters.iter().any(|letter| matches!(letter, b'W' | b'K')) || has(letters, b"CZ");
        bytes.extend_from_slice(&[b' '; 7]);
        Self {
            bytes,
            last: (BEFORE + letters.len()).saturating_sub(1),
            slavic_or_germanic,
            at: BEFORE,
        }
    }

    fn encode(mut self) -> (String, String) {
        let (mut primary, mut alternate) = (String::new(), String::new());
        // Silent at the beginning.
        if self.here(&["GN", "KN", "PN", "WR", "PS"]) {
            self.at += 1;
        }
        if self.here(&["X"]) {
            primary.push('S');
            alternate.push('S');
            self.at += 1;
        }
        while self.at <= self.last && (primary.len() < LENGTH || alternate.len() < LENGTH) {
            let (usual, other, read) = self.sound();
            primary.push_str(usual);
            alternate.push_str(other);
            self.at += read;
        }
        primary.truncate(LENGTH);
        alternate.truncate(LENGTH);
        (primary, alternate)
    }

    fn first(&self) -> bool {
        self.at == BEFORE
    }

    /// The letter so many places ahead; a space behind the word.
    fn letter(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(b' ')
    }

    /// How many letters a consonant takes up that is written twice or once.
    fn doubled(&self, letter: u8) -> usize {
        if self.letter(1) == letter { 2 } else { 1 }
    }

    fn vowel_back(&self, back: usize) -> bool {
        self.bytes
            .get(self.at - back)
            .copied()
            .is_some_and(is_vowel)
    }

    fn here(&self, choices: &[&str]) -> bool {
        self.any_at(self.at, choices)
    }

    fn ahead(&self, ahead: usize, choices: &[&str]) -> bool {
        self.any_at(self.at + ahead, choices)
    }

    fn back(&self, back: usize, choices: &[&str]) -> bool {
        self.any_at(self.at - back, choices)
    }

    fn starts(&self, choices: &[&str]) -> bool {
        self.any_at(BEFORE, choices)
    }

    fn germanic_start(&self) -> bool {
        self.starts(&["VAN ", "VON ", "SCH"])
    }

    fn ends(&self, choices: &[&str]) -> bool {
        let word = self.bytes.get(BEFORE..=self.last).unwrap_or_default();
        choices
            .iter()
            .any(|choice| word.ends_with(choice.as_bytes()))
    }

    fn any_at(&self, at: usize, choices: &[&str]) -> bool {
        let rest = self.bytes.get(at..).unwrap_or_default();
        choices
            .iter()
            .any(|choice| rest.starts_with(choice.as_bytes()))
    }
}

fn is_vowel(letter: u8) -> bool {
    matches!(letter, b'A' | b'E' | b'I' | b'O' | b'U' | b'Y')
}

fn has(letters: &[u8], part: &[u8]) -> bool {
    letters.windows(part.len()).any(|window| window == part)
}

#[cfg(test)]
mod tests;
