//! Identifier values that say nothing about a person.

use std::collections::HashSet;

use crate::rules::RejectionRule;

/// Values that never join two records, whatever their type. Compared in lower case, without the
/// white space around them.
///
/// The placeholders are those that event collection and exports write when they have nothing to say.
/// Segment blocks zeros and dashes, `-1`, `null` and `anonymous` by default; the Adobe Experience
/// Platform blocks `null`, `anonymous` and `invalid`.
pub const DEFAULT_BLOCKED: [&str; 17] = [
    "-1",
    "(none)",
    "(not set)",
    "<null>",
    "[object object]",
    "anonymous",
    "invalid",
    "n/a",
    "na",
    "nan",
    "nil",
    "none",
    "null",
    "undefined",
    "unknown",
    "unbekannt",
    "not available",
];

/// The values that one identity model blocks.
#[derive(Clone, Debug)]
pub struct BlockedValues {
    everywhere: HashSet<String>,
    of_type: HashSet<(String, String)>,
    longest: usize,
    /// Bit `n`: some blocked value has `n` bytes; the last bit: 63 or more.
    lengths: u64,
    zeros: bool,
}

impl Default for BlockedValues {
    /// The known placeholders and every value made of zeros and dashes only, such as the nil UUID.
    fn default() -> Self {
        let mut blocked = Self {
            zeros: true,
            ..Self::none()
        };
        for value in DEFAULT_BLOCKED {
            blocked.block(None, value);
        }
        blocked
    }
}

impl BlockedValues {
    /// Blocks nothing.
    #[must_use]
    pub fn none() -> Self {
        Self {
            everywhere: HashSet::new(),
            of_type: HashSet::new(),
            longest: 0,
            lengths: 0,
            zeros: false,
        }
    }

    /// Blocks one more value, for one type of identifier or for all. Case and white space around it
    /// do not count.
    pub fn block(&mut self, id_type: Option<&str>, value: &str) {
        let value = value.trim().to_lowercase();
        self.longest = self.longest.max(value.len());
        self.lengths |= 1 << value.len().min(63);
        match id_type {
            Some(id_type) => self.of_type.insert((id_type.to_owned(), value)),
            None => self.everywhere.insert(value),
        };
    }

    /// The rule that refuses this value, if there is one.
    #[must_use]
    pub fn rejects(&self, id_type: &str, value: &str) -> Option<RejectionRule> {
        let value = value.trim();
        if self.zeros && !value.is_empty() && value.bytes().all(|byte| matches!(byte, b'0' | b'-'))
        {
            return Some(RejectionRule::BlockedValue);
        }
        // Lower case of other alphabets may be shorter (that of `İ` by a third), so those get room.
        let room = if value.is_ascii() { 1 } else { 3 };
        if value.len() > self.longest.saturating_mul(room) {
            return None;
        }
        if value.is_ascii() && self.lengths & (1 << value.len().min(63)) == 0 {
            return None;
        }
        let lower = value.to_lowercase();
        let hit = self.everywhere.contains(&lower)
            || (!self.of_type.is_empty() && self.of_type.contains(&(id_type.to_owned(), lower)));
        hit.then_some(RejectionRule::BlockedValue)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn placeholders_are_blocked_in_any_case() {
        let blocked = BlockedValues::default();
        for value in [
            "null",
            " NULL ",
            "None",
            "0",
            "0000",
            "--",
            "00000000-0000-0000-0000-000000000000",
            "-1",
            "Undefined",
            "[object Object]",
        ] {
            assert_eq!(
                blocked.rejects("email", value),
                Some(RejectionRule::BlockedValue),
                "{value}"
            );
        }
        for value in [
            "10",
            "ann@example.com",
            "nullable",
            "0a",
            "-12",
            "anonymous@example.com",
        ] {
            assert_eq!(blocked.rejects("email", value), None, "{value}");
        }
    }

    #[test]
    fn a_value_can_be_blocked_for_one_type() {
        let mut blocked = BlockedValues::none();
        blocked.block(Some("email"), " Test@Test.com");
        assert_eq!(
            blocked.rejects("email", "test@test.com "),
            Some(RejectionRule::BlockedValue)
        );
        assert_eq!(blocked.rejects("login", "test@test.com"), None);
        assert_eq!(blocked.rejects("email", "0"), None);
    }
}
