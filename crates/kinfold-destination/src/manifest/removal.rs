//! What becomes of rows that are deleted, in a manifest.

/// What `delete` of an object does at the destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Removal {
    /// How far it goes.
    pub reaches: Reaches,
    /// What happens there, for a person.
    pub about: String,
}

/// How far a removal goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reaches {
    /// A membership ends: the person or record stays.
    Membership,
    /// The record goes to an archive or a trash, from which it can be taken back.
    Restorable,
    /// The record is gone.
    Final,
}

/// The words of a manifest and what they mean.
pub(crate) const WORDS: &[(&str, &str)] = &[
    (
        "membership",
        "a membership of an audience, a list or a tag ends, and the person stays",
    ),
    (
        "restorable",
        "an archive or a trash takes the record, from which it can be taken back",
    ),
    (
        "final",
        "the record is gone, with what the destination knew of it; one that comes back is a new one",
    ),
];

impl Reaches {
    /// Every word.
    pub const ALL: [Self; 3] = [Self::Membership, Self::Restorable, Self::Final];

    /// The word of a manifest.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Membership => "membership",
            Self::Restorable => "restorable",
            Self::Final => "final",
        }
    }

    pub(crate) fn of_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_word_is_one() {
        assert_eq!(WORDS.len(), Reaches::ALL.len());
        for (word, _) in WORDS {
            assert_eq!(Reaches::of_word(word).map(Reaches::as_str), Some(*word));
        }
        assert_eq!(Reaches::of_word("gone"), None);
    }
}
