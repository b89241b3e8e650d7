//! Comparisons against the columns they name.

use super::LinkageError;
use super::comparison::{Comparison, Condition, TermFrequency};
use super::pattern::{Aspect, Comparator, Measure, Measured, Test};
use super::records::{Column, ColumnIndex, Records};

/// Levels are counted in a byte, with the null level and the last one.
const MAX_LEVELS: usize = 250;

impl<'a> Comparator<'a> {
    pub(crate) fn new(
        records: &'a Records,
        comparisons: &[Comparison],
    ) -> Result<Self, LinkageError> {
        let mut comparator = Self {
            records,
            aspects: Vec::new(),
            measures: Vec::new(),
        };
        for comparison in comparisons {
            if comparison.levels.is_empty() || comparison.levels.len() > MAX_LEVELS {
                return Err(LinkageError::Levels {
                    comparison: comparison.name.clone(),
                });
            }
            let mut columns = Vec::new();
            let mut tests = Vec::new();
            for level in &comparison.levels {
                tests.push(comparator.test(&comparison.name, &level.condition, &mut columns)?);
                if let Some(TermFrequency { column, .. }) = level.term_frequency {
                    comparator.expect(&comparison.name, column, &["text"])?;
                }
            }
            columns.sort_unstable();
            columns.dedup();
            comparator.aspects.push(Aspect { columns, tests });
        }
        Ok(comparator)
    }

    fn test(
        &mut self,
        name: &str,
        condition: &Condition,
        columns: &mut Vec<ColumnIndex>,
    ) -> Result<Test, LinkageError> {
        let mut used = |column: &ColumnIndex| columns.push(*column);
        Ok(match condition {
            Condition::Exact(column) => {
                self.expect(name, *column, &["text", "date", "number", "array of text"])?;
                used(column);
                Test::Exact(*column)
            }
            Condition::Jaro(column, bar) => {
                used(column);
                Test::AtLeast(self.add(name, Measure::Jaro, *column, *bar)?, *bar)
            }
            Condition::JaroWinkler(column, bar) => {
                used(column);
                Test::AtLeast(self.add(name, Measure::JaroWinkler, *column, *bar)?, *bar)
            }
            Condition::Jaccard(column, bar) => {
                used(column);
                Test::AtLeast(self.add(name, Measure::Jaccard, *column, *bar)?, *bar)
            }
            Condition::Levenshtein(column, edits) => {
                used(column);
                Test::AtMost(
                    self.add(name, Measure::Levenshtein, *column, f64::from(*edits))?,
                    f64::from(*edits),
                )
            }
            Condition::DamerauLevenshtein(column, edits) => {
                used(column);
                Test::AtMost(
                    self.add(
                        name,
                        Measure::DamerauLevenshtein,
                        *column,
                        f64::from(*edits),
                    )?,
                    f64::from(*edits),
                )
            }
            Condition::ArrayJaroWinkler(column, bar) => {
                used(column);
                Test::AtLeast(
                    self.add(name, Measure::ArrayJaroWinkler, *column, *bar)?,
                    *bar,
                )
            }
            Condition::DateWithin(column, days) => {
                self.expect(name, *column, &["date"])?;
                used(column);
                Test::DateWithin(*column, *days)
            }
            Condition::NumberWithin(column, bar) => {
                self.expect(name, *column, &["number"])?;
                used(column);
                Test::NumberWithin(*column, *bar)
            }
            Condition::NumberRelative(column, bar) => {
                self.expect(name, *column, &["number"])?;
                used(column);
                Test::NumberRelative(*column, *bar)
            }
            Condition::ArrayIntersect(column, count) => {
                self.expect(name, *column, &["array of text"])?;
                used(column);
                Test::Intersect(*column, usize::try_from(*count).unwrap_or(usize::MAX))
            }
            Condition::ArraySubset(column) => {
                self.expect(name, *column, &["array of text"])?;
                used(column);
                Test::Subset(*column)
            }
            Condition::Swapped(first, second) => {
                let kinds = &["text", "date", "number"];
                let kind = self.expect(name, *first, kinds)?;
                self.expect(name, *second, &[kind])?;
                used(first);
                used(second);
                Test::Swapped(*first, *second)
            }
            Condition::And(all) => Test::And(self.tests(name, all, columns)?),
            Condition::Or(any) => Test::Or(self.tests(name, any, columns)?),
            Condition::Not(one) => Test::Not(Box::new(self.test(name, one, columns)?)),
        })
    }

    fn tests(
        &mut self,
        name: &str,
        conditions: &[Condition],
        columns: &mut Vec<ColumnIndex>,
    ) -> Result<Vec<Test>, LinkageError> {
        conditions
            .iter()
            .map(|condition| self.test(name, condition, columns))
            .collect()
    }

    fn add(
        &mut self,
        name: &str,
        kind: Measure,
        column: ColumnIndex,
        bar: f64,
    ) -> Result<usize, LinkageError> {
        let kinds: &[&str] = match kind {
            Measure::DamerauLevenshtein => &["text", "date"],
            Measure::ArrayJaroWinkler => &["array of text"],
            _ => &["text"],
        };
        self.expect(name, column, kinds)?;
        let same = |known: &Measured| known.kind == kind && known.column == column;
        if let Some(at) = self.measures.iter().position(same) {
            let known = &mut self.measures[at].bar;
            *known = if kind.is_distance() {
                known.max(bar)
            } else {
                known.min(bar)
            };
            return Ok(at);
        }
        self.measures.push(Measured { kind, column, bar });
        Ok(self.measures.len() - 1)
    }

    fn expect(
        &self,
        comparison: &str,
        column: ColumnIndex,
        kinds: &[&'static str],
    ) -> Result<&'static str, LinkageError> {
        let found =
            self.column(column)
                .map(Column::kind)
                .ok_or_else(|| LinkageError::NoColumn {
                    comparison: comparison.to_owned(),
                    column,
                })?;
        if kinds.contains(&found) {
            Ok(found)
        } else {
            Err(LinkageError::ColumnKind {
                comparison: comparison.to_owned(),
                column,
                found,
            })
        }
    }
}
