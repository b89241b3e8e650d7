//! The rows that a graph is made of.

use crate::rules::RejectionRule;

/// One row: a record of a source carried an identifier.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Observation<'a> {
    /// Name of the source; record ids are unique within one.
    pub source: Option<&'a str>,
    /// The record.
    pub record_id: Option<&'a str>,
    /// Type of the identifier.
    pub id_type: Option<&'a str>,
    /// Value of the identifier, compared byte by byte.
    pub id_value: Option<&'a str>,
    /// When it was seen: microseconds since 1970 UTC.
    pub observed_at: Option<i64>,
    /// What the row is evidence of.
    pub link: LinkKind,
}

/// What a row is evidence of.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum LinkKind {
    /// The record carries the identifier.
    #[default]
    None,
    /// A statistical linkage holds that the identifiers of the record are one person's, with this
    /// weight: the binary logarithm of the odds. Weaker than any row of the kind above; the heavier
    /// comes first. A weight that is not a number comes last.
    Link(f64),
    /// Somebody decided that the identifiers of the record are one person's. Limits do not count,
    /// only `Exclude` is above it.
    Include,
    /// Somebody decided that no two identifiers of the record are one person's. The row is no sign
    /// that the identifier exists.
    Exclude,
}

impl LinkKind {
    /// A number that is lower for better evidence.
    pub(crate) fn rank(self) -> u64 {
        match self {
            Self::Include => 0,
            Self::None => 1,
            Self::Link(weight) if weight.is_nan() => u64::MAX,
            Self::Link(weight) => {
                // Bits in the order of the numbers, then turned round: the heaviest is the lowest.
                let bits = weight.to_bits();
                let sign = 1 << 63;
                let ascending = if bits & sign == 0 { bits | sign } else { !bits };
                (!ascending).clamp(2, u64::MAX - 1)
            }
            Self::Exclude => u64::MAX,
        }
    }
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// The record now carries the identifier.
    Accepted,
    /// The identifier was refused.
    Rejected(RejectionRule),
    /// The row names no source, record, type or value (null or blank).
    Ignored,
}

#[cfg(test)]
mod tests {
    use super::LinkKind;

    #[test]
    fn evidence_is_ordered() {
        let falling = [
            LinkKind::Include,
            LinkKind::None,
            LinkKind::Link(f64::INFINITY),
            LinkKind::Link(40.5),
            LinkKind::Link(40.25),
            LinkKind::Link(1e-9),
            LinkKind::Link(0.0),
            LinkKind::Link(-1e-9),
            LinkKind::Link(-3.0),
            LinkKind::Link(f64::NEG_INFINITY),
            LinkKind::Link(f64::NAN),
        ];
        let ranks: Vec<u64> = falling.iter().map(|kind| kind.rank()).collect();
        assert!(ranks.is_sorted_by(|a, b| a < b), "{ranks:?}");
        assert_eq!(
            LinkKind::Link(-f64::NAN).rank(),
            LinkKind::Link(f64::NAN).rank()
        );
    }
}
