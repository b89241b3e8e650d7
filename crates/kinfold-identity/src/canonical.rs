//! Canonical ids and how they are minted.

use std::collections::HashSet;
use std::fmt;
use std::hash::BuildHasherDefault;
use std::str::FromStr;
use std::sync::LazyLock;

use crate::nodes::AlreadyHashed;

/// A set of ids. They are hashes themselves.
pub type CanonicalIds = HashSet<CanonicalId, BuildHasherDefault<AlreadyHashed>>;

/// Key-derivation context of minting. Part of the stored form: another text would give every person
/// of every lake another id.
const MINT_CONTEXT: &str = "kinfold canonical id, version 1";

/// The id of a component, in use for as long as any part of it exists.
///
/// Written as a UUID of version 8 (RFC 9562, §5.8: layout of the vendor) in lower case.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CanonicalId(u128);

impl CanonicalId {
    /// The id as the 128 bits of its UUID.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0
    }

    /// The id that has these 128 bits.
    #[must_use]
    pub fn from_u128(bits: u128) -> Self {
        Self(bits)
    }

    /// The `attempt`-th id of the component whose anchor is this identifier.
    ///
    /// The hash is BLAKE3 in its key-derivation mode over the length-prefixed parts. With a secret
    /// `salt` nobody can find out from an id which identifier it was minted for.
    pub(crate) fn mint(
        salt: &str,
        entity: &str,
        id_type: &str,
        id_value: &str,
        attempt: u32,
    ) -> Self {
        // To make it ready is a fifth of the work.
        static READY: LazyLock<blake3::Hasher> =
            LazyLock::new(|| blake3::Hasher::new_derive_key(MINT_CONTEXT));
        let mut hasher = READY.clone();
        for part in [salt, entity, id_type, id_value] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.update(&attempt.to_le_bytes());
        let mut bytes = [0_u8; 16];
        hasher.finalize_xof().fill(&mut bytes);
        let bits = u128::from_be_bytes(bytes);
        let version = !(0xf_u128 << 76);
        let variant = !(0b11_u128 << 62);
        Self((bits & version & variant) | (8_u128 << 76) | (0b10_u128 << 62))
    }
}

/// The text of a [`CanonicalId`], without an allocation: there is one in every row that is written.
#[derive(Clone, Copy)]
pub struct CanonicalIdText([u8; 36]);

impl CanonicalIdText {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Digits and hyphens are always text.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl CanonicalId {
    /// Its text.
    #[must_use]
    pub fn text(self) -> CanonicalIdText {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        /// Where each byte of the id begins in the text.
        const PLACES: [usize; 16] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
        let mut text = [b'-'; 36];
        for (byte, place) in self.0.to_be_bytes().into_iter().zip(PLACES) {
            text[place] = DIGITS[usize::from(byte >> 4)];
            text[place + 1] = DIGITS[usize::from(byte & 15)];
        }
        CanonicalIdText(text)
    }
}

impl fmt::Display for CanonicalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.text().as_str())
    }
}

/// The text is not a UUID in its hyphenated form.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a canonical id is a UUID, such as `01234567-89ab-8def-8123-456789abcdef`")]
pub struct ParseCanonicalIdError;

impl FromStr for CanonicalId {
    type Err = ParseCanonicalIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let bytes = text.as_bytes();
        if bytes.len() != 36 {
            return Err(ParseCanonicalIdError);
        }
        let mut bits = 0_u128;
        for (position, byte) in bytes.iter().enumerate() {
            if matches!(position, 8 | 13 | 18 | 23) {
                if *byte != b'-' {
                    return Err(ParseCanonicalIdError);
                }
                continue;
            }
            let digit = char::from(*byte)
                .to_digit(16)
                .ok_or(ParseCanonicalIdError)?;
            bits = (bits << 4) | u128::from(digit);
        }
        Ok(Self(bits))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn minted_ids_are_uuids_of_version_8() {
        for attempt in 0..200 {
            let id = CanonicalId::mint("", "person", "email", "ann@example.com", attempt);
            let text = id.to_string();
            assert_eq!(text.get(14..15), Some("8"), "{text}");
            assert!(
                matches!(text.get(19..20), Some("8" | "9" | "a" | "b")),
                "{text}"
            );
            assert_eq!(text.parse(), Ok(id));
        }
    }

    /// The stored form: an id that was ever published must be minted again from the same input.
    #[test]
    fn minting_does_not_change_between_releases() {
        assert_eq!(
            CanonicalId::mint("", "person", "email", "ann@example.com", 0).to_string(),
            "b220a958-d75f-8a41-b535-717d5b952cba"
        );
        assert_eq!(
            CanonicalId::mint("pepper", "account", "domain", "example.com", 3).to_string(),
            "a75f41da-bd79-8a22-be50-9d98666cfcc0"
        );
    }

    #[test]
    fn parts_do_not_run_into_each_other() {
        let ids = [
            CanonicalId::mint("", "person", "em", "ail", 0),
            CanonicalId::mint("", "person", "email", "", 0),
            CanonicalId::mint("", "personem", "", "ail", 0),
            CanonicalId::mint("person", "", "em", "ail", 0),
        ];
        for (at, id) in ids.iter().enumerate() {
            assert!(!ids.iter().skip(at + 1).any(|other| other == id));
        }
    }

    #[test]
    fn other_texts_are_refused() {
        for text in [
            "",
            "x",
            "01234567-89ab-8def-8123-456789abcde",
            "01234567x89ab-8def-8123-456789abcdef",
            "0123456789ab8def8123456789abcdef0000",
            "éééééééééééééééééé",
        ] {
            assert_eq!(
                text.parse::<CanonicalId>(),
                Err(ParseCanonicalIdError),
                "{text}"
            );
        }
    }
}
