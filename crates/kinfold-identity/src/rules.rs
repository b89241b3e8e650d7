//! What one person may have: limits, hubs, and values that are refused by their looks.

use std::fmt;
use std::sync::Arc;

/// How many values of a type one person may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// Most distinct values, at least one.
    pub values: u32,
    /// Within any so many days, each of 24 hours; none: ever. A value counts for a stretch of days
    /// if it was observed in it, and for every stretch if no observation of it has a time.
    pub days: Option<u32>,
}

/// A test of a value that the caller brings, such as a compiled regular expression.
#[derive(Clone)]
pub struct Pattern(Arc<dyn Fn(&str) -> bool + Send + Sync>);

impl Pattern {
    /// Holds the test; it must say the same of the same value every time.
    pub fn new(matches: impl Fn(&str) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(matches))
    }

    fn matches(&self, value: &str) -> bool {
        (self.0)(value)
    }
}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pattern")
    }
}

/// The rules of one type of identifier.
#[derive(Clone, Debug, Default)]
pub struct TypeRules {
    /// The type.
    pub id_type: String,
    /// How many of its values one person may have.
    pub limit: Option<Limit>,
    /// Whoever has a value of this type has at most one value of that other type. An e-mail address
    /// with `one = user_id` belongs to one user, while a person without address may have two users.
    pub one: Option<String>,
    /// A value that more distinct records carry joins none of them, such as the address of a shop
    /// that its clerks type in for everybody.
    pub max_records: Option<u64>,
    /// Fewest characters of a value, without the white space around it.
    pub min_length: Option<u32>,
    /// Most characters of a value, without the white space around it.
    pub max_length: Option<u32>,
    /// Values that join nobody; case and white space around them do not count.
    pub blocked_values: Vec<String>,
    /// Values that join nobody, by their looks. A pattern sees the value without the white space
    /// around it.
    pub blocked_patterns: Vec<Pattern>,
}

impl TypeRules {
    /// A type that has a place in the order of strength and no limits.
    #[must_use]
    pub fn new(id_type: &str) -> Self {
        Self {
            id_type: id_type.to_owned(),
            ..Self::default()
        }
    }

    /// The same with a limit on distinct values, ever.
    #[must_use]
    pub fn at_most(mut self, values: u32) -> Self {
        self.limit = Some(Limit { values, days: None });
        self
    }

    /// Why the looks of a value forbid it, other than a blocked value.
    pub(crate) fn rejects(&self, value: &str) -> Option<RejectionRule> {
        let value = value.trim();
        if self.min_length.is_some() || self.max_length.is_some() {
            let length = value.chars().count();
            let within = |most: u32| usize::try_from(most).unwrap_or(usize::MAX);
            if self.min_length.is_some_and(|least| length < within(least)) {
                return Some(RejectionRule::TooShort);
            }
            if self.max_length.is_some_and(|most| length > within(most)) {
                return Some(RejectionRule::TooLong);
            }
        }
        self.blocked_patterns
            .iter()
            .any(|pattern| pattern.matches(value))
            .then_some(RejectionRule::BlockedPattern)
    }
}

/// The rules of an identity. The types come in the order of their strength, the strongest first;
/// those not named are weaker than all of these, in alphabetical order, and have no limits.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    /// The types, the strongest first.
    pub types: Vec<TypeRules>,
    /// Most identifiers that one person may have.
    pub max_identifiers: Option<u64>,
}

/// Why rules make no sense.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RulesError {
    /// A type has one place in the order.
    #[error("the type `{0}` is named twice")]
    TypeTwice(String),
    /// Zero would forbid every value; that is what blocking is for.
    #[error("a limit of the type `{0}` is zero")]
    Zero(String),
    /// A limit on identifiers in total is zero.
    #[error("`max_identifiers` is zero")]
    ZeroIdentifiers,
    /// That is a limit of one.
    #[error("the type `{0}` has at most one value of itself: give it a limit instead")]
    OneOfItself(String),
    /// The order of types is fixed by the rules, which must come before the first row.
    #[error("rules must be given before the first row")]
    AfterRows,
    /// More types than indices.
    #[error("there are rules for more than 65,535 types")]
    TooManyTypes,
}

impl Rules {
    pub(crate) fn validate(&self) -> Result<(), RulesError> {
        if self.max_identifiers == Some(0) {
            return Err(RulesError::ZeroIdentifiers);
        }
        let mut names: Vec<&str> = self.types.iter().map(|t| t.id_type.as_str()).collect();
        names.sort_unstable();
        if let Some([name, _]) = names.array_windows().find(|[a, b]| a == b) {
            return Err(RulesError::TypeTwice((*name).to_owned()));
        }
        for rules in &self.types {
            let name = || rules.id_type.clone();
            let zero = rules
                .limit
                .is_some_and(|limit| limit.values == 0 || limit.days == Some(0));
            if zero || rules.max_records == Some(0) {
                return Err(RulesError::Zero(name()));
            }
            if rules.one.as_deref() == Some(&rules.id_type) {
                return Err(RulesError::OneOfItself(name()));
            }
        }
        Ok(())
    }
}

/// Why an edge between a record and an identifier was not accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RejectionRule {
    /// The value is a placeholder that many people share.
    BlockedValue,
    /// The value has the looks of one that many people share.
    BlockedPattern,
    /// The value is shorter than those of its type may be.
    TooShort,
    /// The value is longer than those of its type may be.
    TooLong,
    /// More records carry the value than one person can have.
    Hub,
    /// The person would have too many values of a type.
    Limit,
    /// An identifier that belongs to one value of another type would belong to two.
    One,
    /// Somebody said that two of the identifiers are two people.
    Excluded,
    /// The person would have too many identifiers.
    TooLarge,
}

impl RejectionRule {
    /// The word in the edges relation: `blocked_value`, `blocked_pattern`, `too_short`, `too_long`,
    /// `hub`, `limit`, `one`, `excluded` or `too_large`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::BlockedValue => "blocked_value",
            Self::BlockedPattern => "blocked_pattern",
            Self::TooShort => "too_short",
            Self::TooLong => "too_long",
            Self::Hub => "hub",
            Self::Limit => "limit",
            Self::One => "one",
            Self::Excluded => "excluded",
            Self::TooLarge => "too_large",
        }
    }
}

impl fmt::Display for RejectionRule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
