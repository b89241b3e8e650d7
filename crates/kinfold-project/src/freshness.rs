//! How old the rows of a source may be: `freshness:` of properties files.

use crate::diagnostic::Span;
use crate::located::Located;

/// A unit of age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Period {
    /// 60 seconds.
    Minute,
    /// 60 minutes.
    Hour,
    /// 24 hours.
    Day,
}

impl Period {
    /// Every unit.
    pub const ALL: [Self; 3] = [Self::Minute, Self::Hour, Self::Day];

    /// The word in YAML.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day",
        }
    }

    fn seconds(self) -> u64 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86_400,
        }
    }
}

/// An age that must not be exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MaxAge {
    /// How many.
    pub count: u64,
    /// Of what.
    pub period: Period,
}

impl MaxAge {
    /// The age in seconds.
    #[must_use]
    pub fn seconds(self) -> u64 {
        self.count.saturating_mul(self.period.seconds())
    }
}

/// How it is found out when the newest rows came.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum LoadedAt {
    /// When the table or the files of the source were last written.
    #[default]
    Written,
    /// The largest value of an expression over the columns.
    Field(Located<String>),
    /// What a query gives. Between the parts stands the relation of the source, `{{ this }}`.
    Query {
        /// The text, split where the relation is named.
        parts: Vec<String>,
        /// Where it is written.
        span: Span,
    },
}

/// How old the rows of a source may be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Freshness {
    /// When it is worth a warning.
    pub warn_after: Option<MaxAge>,
    /// When it is an error.
    pub error_after: Option<MaxAge>,
    /// A condition on the rows that are looked at.
    pub filter: Option<Located<String>>,
    /// How the time of the newest rows is found.
    pub loaded_at: LoadedAt,
}

impl Freshness {
    /// Whether any age is set, without which there is nothing to check.
    #[must_use]
    pub fn is_checked(&self) -> bool {
        self.warn_after.is_some() || self.error_after.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_seconds_and_do_not_overflow() {
        let age = |count, period| MaxAge { count, period }.seconds();
        assert_eq!(age(90, Period::Minute), 5400);
        assert_eq!(age(6, Period::Hour), 21_600);
        assert_eq!(age(2, Period::Day), 172_800);
        assert_eq!(age(u64::MAX, Period::Day), u64::MAX);
    }
}
