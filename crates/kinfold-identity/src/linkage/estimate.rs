//! Precision and recall from a sample that was drawn unevenly.
//!
//! Pairs near the threshold teach most, so more of them are labelled than their share. Each label then
//! stands for as many pairs as its stratum has for each of its labels (Horvitz, Thompson 1952). Precision
//! and recall are ratios of two such sums; their standard error is that of the linearised ratio (Cochran,
//! "Sampling Techniques", 1977, §6.4). A stratum whose few labels are all equal may hold others all the same, so
//! errors, and only they, count half a label of each kind more (the prior of Jeffreys; Brown, Cai, DasGupta,
//! "Interval estimation for a binomial proportion", 2001).

/// A labelled pair of a stratified sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SampledLabel {
    /// Which stratum it was drawn from.
    pub stratum: usize,
    /// Its weight in bits, under the model that is judged; `None` if that does not compare it.
    pub weight: Option<f64>,
    /// Whether it is one person.
    pub is_match: bool,
}

/// A share with its standard error.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Estimate {
    /// The share, from 0 to 1.
    pub value: f64,
    /// Its standard error.
    pub error: f64,
}

impl Estimate {
    /// From where to where the share lies with a probability of about 95 %, as far as the sample goes.
    #[must_use]
    pub fn interval(self) -> (f64, f64) {
        let reach = 1.96 * self.error;
        ((self.value - reach).max(0.0), (self.value + reach).min(1.0))
    }
}

/// Estimates at one threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ThresholdEstimate {
    /// Least weight, in bits.
    pub weight: f64,
    /// Share of the pairs found that are of one person; `None` if no label is above the threshold.
    pub precision: Option<Estimate>,
    /// Share of the compared pairs of one person that are found; `None` if no label is of one person.
    pub recall: Option<Estimate>,
}

/// Estimates at each threshold. `pairs` are the pairs that each stratum had when the sample was drawn.
/// Strata without a label are left out, so that what is estimated is about the others.
#[must_use]
pub fn estimate(
    labels: &[SampledLabel],
    pairs: &[u64],
    thresholds: &[f64],
) -> Vec<ThresholdEstimate> {
    let sample = Sample::new(labels, pairs);
    thresholds
        .iter()
        .map(|&weight| {
            let found = |label: &SampledLabel| label.weight.is_some_and(|own| own >= weight);
            ThresholdEstimate {
                weight,
                precision: sample.ratio(&found, |label| found(label)),
                recall: sample.ratio(&found, |label| label.is_match),
            }
        })
        .collect()
}

struct Sample<'a> {
    labels: &'a [SampledLabel],
    /// Of each stratum its pairs and its labels.
    strata: Vec<(f64, f64)>,
}

impl<'a> Sample<'a> {
    fn new(labels: &'a [SampledLabel], pairs: &[u64]) -> Self {
        let float = super::training::as_float;
        let counts = pairs.iter().enumerate().map(|(at, pairs)| {
            let own = labels.iter().filter(|label| label.stratum == at).count() as u64;
            // A stratum has at least the pairs that were labelled, whatever the file says.
            (float((*pairs).max(own)), float(own))
        });
        Self {
            labels,
            strata: counts.collect(),
        }
    }

    /// The pairs for which a label stands.
    fn scale(&self, label: &SampledLabel) -> f64 {
        match self.strata.get(label.stratum) {
            Some((pairs, labels)) if *labels > 0.0 => pairs / labels,
            _ => 0.0,
        }
    }

    /// The share of the matches found in `whole`.
    fn ratio(
        &self,
        found: &impl Fn(&SampledLabel) -> bool,
        whole: impl Fn(&SampledLabel) -> bool,
    ) -> Option<Estimate> {
        let part = |label: &SampledLabel| label.is_match && found(label);
        let sum = |of: &dyn Fn(&SampledLabel) -> bool| -> f64 {
            let chosen = self.labels.iter().filter(|label| of(label));
            chosen.map(|label| self.scale(label)).sum()
        };
        let total = sum(&whole);
        if total <= 0.0 {
            return None;
        }
        let value = sum(&part) / total;
        let number = |yes: bool| if yes { 1.0 } else { 0.0 };
        let rest = |label: &SampledLabel| number(part(label)) - value * number(whole(label));
        let mut variance = 0.0;
        for (at, (pairs, labels)) in self.strata.iter().enumerate() {
            if *labels < 1.0 || pairs <= labels {
                continue;
            }
            let own = || self.labels.iter().filter(|label| label.stratum == at);
            let above = own().map(|label| number(found(label))).sum::<f64>() / labels;
            let mut rests: Vec<(f64, f64)> = own().map(|label| (1.0, rest(label))).collect();
            // Half a label of each kind, found as often as the others.
            for is_match in [false, true] {
                for (weight, share) in [(Some(f64::INFINITY), above), (None, 1.0 - above)] {
                    let more = SampledLabel {
                        stratum: at,
                        weight,
                        is_match,
                    };
                    rests.push((share / 2.0, rest(&more)));
                }
            }
            let count = labels + 1.0;
            let mean = rests.iter().map(|(share, rest)| share * rest).sum::<f64>() / count;
            let spread = rests
                .iter()
                .map(|(share, rest)| share * (rest - mean).powi(2));
            let spread = spread.sum::<f64>() / count;
            variance += pairs * (pairs - labels) * spread / (count + 1.0);
        }
        Some(Estimate {
            value,
            error: variance.sqrt() / total,
        })
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn label(stratum: usize, weight: f64, is_match: bool) -> SampledLabel {
        SampledLabel {
            stratum,
            weight: Some(weight),
            is_match,
        }
    }

    #[test]
    fn each_label_stands_for_its_share_of_the_stratum() {
        // 10 heavy pairs, all labelled, 9 of one person; 1,000 light ones with 4 labels, 1 of one person.
        let mut labels: Vec<_> = (0..10).map(|at| label(1, 5.0, at > 0)).collect();
        labels.extend((0..4).map(|at| label(0, -5.0, at == 0)));
        let found = estimate(&labels, &[1_000, 10], &[0.0, -9.0]);
        let precision = found[0].precision.unwrap();
        assert!((precision.value - 0.9).abs() < 1e-12);
        // Every pair above the threshold was labelled: nothing is left to chance.
        assert!(precision.error.abs() < 1e-12);
        let recall = found[0].recall.unwrap();
        assert!((recall.value - 9.0 / 259.0).abs() < 1e-12);
        let below = found[1].precision.unwrap();
        assert!((below.value - 259.0 / 1_010.0).abs() < 1e-12);
        let (low, high) = below.interval();
        assert!((0.0..0.25).contains(&low), "{low}");
        assert!((0.26..=1.0).contains(&high), "{high}");
    }

    #[test]
    fn few_labels_say_little() {
        let one = estimate(
            &[label(0, 1.0, true), label(1, 3.0, false)],
            &[50, 50],
            &[0.0],
        );
        let precision = one[0].precision.unwrap();
        assert!((precision.value - 0.5).abs() < 1e-12);
        assert!(precision.error > 0.15, "{precision:?}");
        // All labels of a large stratum agree: the error is small, and not nothing; more labels make it smaller.
        let error = |labels: usize| {
            let labels = vec![label(0, 1.0, true); labels];
            estimate(&labels, &[10_000], &[0.0])[0].precision.unwrap()
        };
        assert!((error(20).value - 1.0).abs() < 1e-12);
        assert!((0.02..0.05).contains(&error(20).error), "{:?}", error(20));
        assert!(error(200).error < error(20).error / 5.0);
        // What is not found does not matter to precision.
        let low = [label(0, 1.0, true), label(1, -9.0, false)];
        assert!(
            estimate(&low, &[1, 50], &[0.0])[0]
                .precision
                .unwrap()
                .error
                .abs()
                < 1e-12
        );
        let none = estimate(&[label(0, -4.0, false)], &[5], &[0.0]);
        assert_eq!((none[0].precision, none[0].recall), (None, None));
    }

    #[test]
    fn an_even_sample_of_everything_is_the_truth() {
        let labels: Vec<_> = (0..100_u8)
            .map(|at| label(usize::from(at % 5), f64::from(at), at % 3 == 0))
            .collect();
        for (threshold, found) in
            [50.0, 10.0]
                .into_iter()
                .zip(estimate(&labels, &[20; 5], &[50.0, 10.0]))
        {
            let above = labels.iter().filter(|l| l.weight.unwrap() >= threshold);
            let (all, right) = above.fold((0.0, 0.0), |(all, right), label| {
                (all + 1.0, right + if label.is_match { 1.0 } else { 0.0 })
            });
            let precision = found.precision.unwrap();
            assert!((precision.value - right / all).abs() < 1e-12);
            assert!(precision.error.abs() < 1e-12);
        }
    }
}
