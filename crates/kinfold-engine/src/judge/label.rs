//! A sample of pairs for somebody to label.

use kinfold_identity::linkage::{LinkageError, ScoredPair, allocate, hash_key};
use serde::Serialize;

use super::linkage::JudgedLinkage;
use super::table::csv_line;
use super::{PAIR_COLUMNS, STRATUM_COLUMNS};

/// Where strata begin, in bits from the threshold; the first is all below.
const BOUNDS: [f64; 8] = [-10.0, -6.0, -3.0, -1.0, 1.0, 3.0, 6.0, 10.0];
/// How many of 100 pairs come from each stratum: most near the threshold, where labels decide most.
const SHARES: [u64; 9] = [5, 8, 12, 15, 20, 15, 12, 8, 5];

/// A stratum with what was drawn from it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SampledStratum {
    /// Its name in the file.
    pub stratum: usize,
    /// Least weight in bits; none for the first, which is all that is below the second.
    pub from: Option<f64>,
    /// Pairs that it has.
    pub pairs: u64,
    /// Pairs that were drawn.
    pub drawn: u64,
}

/// A sample of pairs for somebody to label.
#[derive(Clone, Debug, PartialEq)]
pub struct LabelSample {
    /// The file: comma-separated values with the column `is_match` empty.
    pub text: String,
    /// Pairs in it.
    pub pairs: u64,
    /// What it was drawn from.
    pub strata: Vec<SampledStratum>,
}

impl JudgedLinkage {
    /// Draws `pairs` compared pairs, or all if there are fewer. The same records, parameters and seed give the
    /// same file. It holds the values that are compared.
    ///
    /// # Errors
    /// Those of [`LinkageError`], which a linkage that was scored does not have.
    pub fn label(&self, pairs: u64, seed: u64) -> Result<LabelSample, LinkageError> {
        let bounds = BOUNDS.map(|distance| self.linked.link + distance);
        let most = usize::try_from(pairs).unwrap_or(usize::MAX);
        let strata = self.with(|scorer, blocking| scorer.sample(blocking, &bounds, most, seed))?;
        let counts: Vec<u64> = strata.iter().map(|stratum| stratum.pairs).collect();
        let given = allocate(pairs, &SHARES, &counts);
        let mut drawn: Vec<(usize, u64, ScoredPair)> = Vec::new();
        let mut sampled = Vec::new();
        for (at, (stratum, given)) in strata.iter().zip(&given).enumerate() {
            let take = usize::try_from(*given).unwrap_or(usize::MAX);
            let own = stratum.sample.iter().take(take);
            drawn.extend(own.map(|pair| (at + 1, stratum.pairs, *pair)));
            sampled.push(SampledStratum {
                stratum: at + 1,
                from: stratum.from.is_finite().then_some(stratum.from),
                pairs: stratum.pairs,
                drawn: *given,
            });
        }
        // The order of the file must not tell what the model thinks of a pair.
        drawn.sort_by_cached_key(|(_, _, pair)| {
            let (one, two) = (self.name(pair.left), self.name(pair.right));
            let seed = seed.to_string();
            let parts = [
                &seed,
                &one.source,
                &one.record_id,
                &two.source,
                &two.record_id,
            ];
            (hash_key(&parts.map(|part| Some(part.as_str()))), one, two)
        });
        let mut text = String::new();
        for (stratum, of, pair) in &drawn {
            let (mut left, mut right) = (pair.left, pair.right);
            if self.name(right) < self.name(left) {
                std::mem::swap(&mut left, &mut right);
            }
            let values = self.values(left, right);
            if text.is_empty() {
                let columns = values.iter().map(|value| &value.column);
                let compared: Vec<String> = columns
                    .flat_map(|column| [format!("{column}_a"), format!("{column}_b")])
                    .collect();
                let header = PAIR_COLUMNS.iter().copied();
                let header = header.chain(compared.iter().map(String::as_str));
                text.push_str(&csv_line(header.chain(STRATUM_COLUMNS)));
            }
            let (one, two) = (self.name(left), self.name(right));
            let mut row = vec![one.source, one.record_id, two.source, two.record_id];
            row.push(String::new());
            for value in values {
                row.push(value.left.unwrap_or_default());
                row.push(value.right.unwrap_or_default());
            }
            row.push(stratum.to_string());
            row.push(of.to_string());
            text.push_str(&csv_line(row.iter().map(String::as_str)));
        }
        Ok(LabelSample {
            text,
            pairs: drawn.len() as u64,
            strata: sampled,
        })
    }
}
