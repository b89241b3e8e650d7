//! What the configuration of an identity model says about its identifiers.
//!
//! ```yaml
//! identifiers:                        # strongest first
//!   user_id: {limit: 1 ever}
//!   email: {normalise: email, limit: 5 ever, one: user_id, blocked: ["test@test.com"]}
//!   phone: {normalise: phone, country: DE, limit: 3 per 90 days}
//!   anonymous_id: {limit: 5 per 7 days, max_records: 1000}
//! max_identifiers: 10000
//! ```

use crate::located::Located;

/// Keys of a model's configuration that only the materialization `identity` knows.
pub const IDENTITY_KEYS: [&str; 3] = ["identifiers", "max_identifiers", "salt"];

/// The rules of one identity.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct IdentityRules {
    /// Its types of identifiers, the strongest first. Types that are not named come after them, in the order of
    /// their names, without limits.
    pub identifiers: Vec<IdentifierRules>,
    /// The most identifiers that one canonical id may have before an alarm is raised and the component is taken
    /// apart.
    pub max_identifiers: Option<Located<u64>>,
    /// Makes it impossible to find out from a canonical id for which identifier it was minted.
    pub salt: Option<Located<String>>,
}

/// The rules of one type of identifier.
#[derive(Clone, Debug, PartialEq)]
pub struct IdentifierRules {
    /// The `id_type` of its rows.
    pub id_type: Located<String>,
    /// How many distinct values one canonical id may have.
    pub limit: Option<Located<IdentifierLimit>>,
    /// The form that is compared and stored.
    pub normalise: Option<Located<Normalise>>,
    /// Country of telephone numbers without a prefix: two letters of ISO 3166-1.
    pub country: Option<Located<String>>,
    /// Values that belong to nobody, beside the known placeholders.
    pub blocked: Vec<Located<String>>,
    /// Regular expressions of values that belong to nobody.
    pub blocked_patterns: Vec<Located<String>>,
    /// The type of which each value may be linked with one value only (`one: user_id`: an e-mail address belongs
    /// to at most one user).
    pub one: Option<Located<String>>,
    /// The most records that may carry one value; a value of more is a hub and joins nobody.
    pub max_records: Option<Located<u64>>,
    /// The fewest characters of a value.
    pub min_length: Option<Located<u64>>,
    /// The most characters of a value.
    pub max_length: Option<Located<u64>>,
}

/// How many distinct values of a type one canonical id may have: `1 ever`, `5 per 7 days`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdentifierLimit {
    /// The most values, at least one.
    pub values: u32,
    /// Days within which they are counted; `None` for ever.
    pub days: Option<u32>,
}

/// The form of identifiers that is compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Normalise {
    /// Without white space around it, in lower case.
    Lower,
    /// An e-mail address; a value without `@` is refused.
    Email,
    /// A telephone number in the form of E.164; what is none is refused.
    Phone,
}

impl Normalise {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Lower, Self::Email, Self::Phone];

    /// The word in a project: `email`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Lower => "lower",
            Self::Email => "email",
            Self::Phone => "phone",
        }
    }
}

/// Reads `1 ever`, `5 per 7 days` or `5 per week`.
#[must_use]
pub fn parse_limit(text: &str) -> Option<IdentifierLimit> {
    let mut words = text.split_whitespace();
    let values: u32 = words.next()?.parse().ok().filter(|values| *values > 0)?;
    let days = match (words.next()?, words.next(), words.next()) {
        ("ever", None, None) => None,
        ("per" | "a", Some(unit), None) => Some(days_of(unit)?),
        ("per", Some(count), Some(unit)) => {
            let count: u32 = count.parse().ok().filter(|count| *count > 0)?;
            Some(count.checked_mul(days_of(unit)?)?)
        }
        _ => return None,
    };
    words
        .next()
        .is_none()
        .then_some(IdentifierLimit { values, days })
}

fn days_of(unit: &str) -> Option<u32> {
    match unit {
        "day" | "days" => Some(1),
        "week" | "weeks" => Some(7),
        "month" | "months" => Some(30),
        "year" | "years" => Some(365),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_read() {
        let limit = |values, days| Some(IdentifierLimit { values, days });
        for (text, expected) in [
            ("1 ever", limit(1, None)),
            (" 5  per 7 days ", limit(5, Some(7))),
            ("5 per week", limit(5, Some(7))),
            ("3 a month", limit(3, Some(30))),
            ("2 per 2 weeks", limit(2, Some(14))),
            ("0 ever", None),
            ("5", None),
            ("ever", None),
            ("5 per", None),
            ("5 per 0 days", None),
            ("5 per 7 moons", None),
            ("5 per 7 days and", None),
            ("-1 ever", None),
            ("4294967296 ever", None),
            ("1 per 4000000000 years", None),
        ] {
            assert_eq!(parse_limit(text), expected, "{text}");
        }
    }
}
