//! Charts of linkages and identities: files of SVG that need nothing else, and a page that shows them.
//!
//! No chart holds a value or an id of anybody's record.

mod page;
mod plot;
mod svg;

use std::collections::BTreeMap;

use kinfold_engine::judge::{ComparisonBars, LinkageEvaluation, PairReport, Survey};
use kinfold_identity::linkage::Confusion;

pub use page::page;
use plot::{Axis, Bars, Plot};
use svg::{Anchor, DARK, GRID, INK, LIGHT, Scale, Svg};

/// A chart as a file.
pub struct Chart {
    /// Its name, with its ending.
    pub file: String,
    /// What it is.
    pub title: String,
    /// What to see in it.
    pub caption: String,
    /// Its text.
    pub svg: String,
}

impl Chart {
    fn new(
        file: &str,
        title: &str,
        caption: &str,
        draw: impl FnOnce(&str, &str) -> String,
    ) -> Self {
        Self {
            file: format!("{file}.svg"),
            title: title.to_owned(),
            caption: caption.to_owned(),
            svg: draw(title, caption),
        }
    }
}

/// The charts of a linkage that need no labels.
pub fn of_linkage(survey: &Survey) -> Vec<Chart> {
    let mut charts = vec![
        match_weights(&survey.comparisons),
        weights(survey),
        cluster_sizes(&survey.cluster_sizes),
        unlinkable(survey),
    ];
    if let Some(pair) = &survey.nearest {
        charts.push(waterfall(
            "waterfall",
            "Weight of the pair nearest to the threshold",
            pair,
        ));
    }
    charts
}

/// The charts of a linkage that need labels.
pub fn of_evaluation(evaluation: &LinkageEvaluation) -> Vec<Chart> {
    let mut charts = vec![roc(evaluation), precision_recall(evaluation)];
    let worst = &evaluation.worst;
    let kinds = [
        ("false-positive", "false positive", &worst.false_positives),
        ("false-negative", "false negative", &worst.false_negatives),
    ];
    for (file, words, pairs) in kinds {
        for (at, pair) in (1..).zip(pairs.iter().take(3)) {
            let title = format!("Weight of the {at}. worst {words}");
            charts.push(waterfall(&format!("waterfall-{file}-{at}"), &title, pair));
        }
    }
    charts
}

/// How many clusters have so many records.
pub fn cluster_sizes(sizes: &BTreeMap<u64, u64>) -> Chart {
    const RANGES: [(u64, u64); 14] = [
        (1, 1),
        (2, 2),
        (3, 3),
        (4, 4),
        (5, 5),
        (6, 6),
        (7, 7),
        (8, 8),
        (9, 9),
        (10, 10),
        (11, 20),
        (21, 50),
        (51, 200),
        (201, u64::MAX),
    ];
    let bars: Vec<(String, u64)> = RANGES
        .iter()
        .map(|(low, high)| {
            let word = match (low, high) {
                (low, &u64::MAX) => format!("{low}+"),
                (low, high) if low == high => low.to_string(),
                (low, high) => format!("{low}–{high}"),
            };
            (word, sizes.range(low..=high).map(|(_, count)| count).sum())
        })
        .collect();
    let largest = sizes.keys().next_back().copied().unwrap_or_default();
    let caption = format!(
        "How many people have how many records; the largest has {}. A long tail is a sign of people who were joined \
         by mistake.",
        crate::report::grouped(largest)
    );
    Chart::new(
        "cluster-sizes",
        "Records of a person",
        &caption,
        |title, description| {
            Bars {
                title,
                description,
                x_label: "records of one person",
                y_label: "people (logarithmic)",
                bars: &bars,
                upright: None,
            }
            .draw()
        },
    )
}

/// Pairs by weight.
fn weights(survey: &Survey) -> Chart {
    let filled = |bin: &&(i32, u64)| bin.1 > 0;
    let first = survey.weights.iter().find(filled).map_or(-1, |bin| bin.0);
    let last = survey
        .weights
        .iter()
        .rev()
        .find(filled)
        .map_or(1, |bin| bin.0);
    let shown = survey
        .weights
        .iter()
        .filter(|bin| (first..=last).contains(&bin.0));
    let bars: Vec<(String, u64)> = shown
        .map(|(from, count)| {
            let word = if from % 5 == 0 {
                from.to_string()
            } else {
                String::new()
            };
            (word, *count)
        })
        .collect();
    let at = survey.threshold_weight - f64::from(first);
    let caption = "Compared pairs by match weight, one bar for each bit; the dashed line is the threshold. Two hills \
                   with a valley at the threshold are a good sign.";
    Chart::new(
        "match-weight-histogram",
        "Pairs by match weight",
        caption,
        |title, description| {
            Bars {
                title,
                description,
                x_label: "match weight (bits)",
                y_label: "pairs (logarithmic)",
                bars: &bars,
                upright: Some((at, "threshold")),
            }
            .draw()
        },
    )
}

/// The share of records that cannot be linked.
fn unlinkable(survey: &Survey) -> Chart {
    let caption = format!(
        "Share of the records whose weight against an exact copy of themselves is below a threshold: they hold too \
         little to be linked to anything. At the threshold of the model it is {:.1} %.",
        survey.unlinkable_at_threshold * 100.0
    );
    Chart::new(
        "unlinkable",
        "Records that cannot be linked",
        &caption,
        |title, description| {
            let ends = |at: Option<&(f64, f64)>| at.map_or(0.0, |point| point.0);
            let x = Axis {
                label: "threshold (bits)",
                values: (
                    ends(survey.unlinkable.first()),
                    ends(survey.unlinkable.last()),
                ),
            };
            let y = Axis {
                label: "share of records below it",
                values: (0.0, 1.0),
            };
            let mut plot = Plot::new(title, description, &x, &y);
            plot.upright(survey.threshold_weight, "threshold");
            plot.curve(survey.unlinkable.iter().copied());
            plot.finish()
        },
    )
}

fn at_threshold(evaluation: &LinkageEvaluation) -> Confusion {
    let row = evaluation.pairs;
    Confusion {
        true_positives: row.true_positives,
        false_positives: row.false_positives,
        false_negatives: row.false_negatives,
        true_negatives: row.true_negatives,
    }
}

fn roc(evaluation: &LinkageEvaluation) -> Chart {
    let caption = "Share of the true pairs that are found against the share of the others that are found with them, \
                   for every threshold. The axis to the right ends where the weights do: nearly all pairs are of two \
                   people and are never compared.";
    Chart::new(
        "roc",
        "Receiver operating characteristic",
        caption,
        |title, description| {
            let point = |confusion: &Confusion| {
                (confusion.false_positive_rate(), confusion.quality().recall)
            };
            let points: Vec<(f64, f64)> = evaluation.curve.iter().map(|(_, c)| point(c)).collect();
            let mark = point(&at_threshold(evaluation));
            let most = points.iter().map(|point| point.0).fold(mark.0, f64::max);
            let x = Axis {
                label: "false positive rate",
                values: (0.0, if most > 0.0 { most } else { 1.0 }),
            };
            let y = Axis {
                label: "recall",
                values: (0.0, 1.0),
            };
            let mut plot = Plot::new(title, description, &x, &y);
            plot.curve([(0.0, 0.0)].into_iter().chain(points));
            plot.mark(mark, "threshold");
            plot.finish()
        },
    )
}

fn precision_recall(evaluation: &LinkageEvaluation) -> Chart {
    let caption = "Precision against recall for every threshold. The curve ends where blocking does: pairs that no \
                   rule brings are never found.";
    Chart::new(
        "precision-recall",
        "Precision and recall",
        caption,
        |title, description| {
            let axis = |label| Axis {
                label,
                values: (0.0, 1.0),
            };
            let mut plot = Plot::new(title, description, &axis("recall"), &axis("precision"));
            let point = |confusion: &Confusion| {
                let quality = confusion.quality();
                (quality.recall, quality.precision)
            };
            plot.curve(evaluation.curve.iter().map(|(_, c)| point(c)));
            plot.mark(point(&at_threshold(evaluation)), "threshold");
            plot.finish()
        },
    )
}

/// What every level is worth, with `m` and `u`.
fn match_weights(comparisons: &[ComparisonBars]) -> Chart {
    const ROW: f64 = 20.0;
    let caption = "What each level of each comparison is worth, and how often it is met among pairs of one person (m) \
                   and among pairs of two (u). A level that speaks for a pair goes to the right.";
    Chart::new(
        "match-weights",
        "Match weights",
        caption,
        |title, description| {
            let levels = || comparisons.iter().flat_map(|comparison| &comparison.levels);
            let rows: u32 = comparisons
                .iter()
                .map(|c| {
                    u32::try_from(c.levels.len())
                        .unwrap_or(u32::MAX)
                        .saturating_add(1)
                })
                .fold(0, u32::saturating_add);
            let height = 90.0 + ROW * f64::from(rows);
            let mut svg = Svg::new(title, description, (900.0, height));
            svg.text((10.0, 24.0), Anchor::Start, title);
            let most = levels()
                .map(|level| level.weight.abs())
                .filter(|weight| weight.is_finite())
                .fold(1.0, f64::max);
            let weight = Scale {
                values: (-most, most),
                pixels: (300.0, 600.0),
            };
            let share = |left: f64| Scale {
                values: (0.0, 1.0),
                pixels: (left, left + 90.0),
            };
            let (m, u) = (share(660.0), share(780.0));
            for (x, word) in [(450.0, "weight (bits)"), (705.0, "m"), (825.0, "u")] {
                svg.text((x, 48.0), Anchor::Middle, word);
            }
            let bottom = height - 34.0;
            for scale in [weight, m, u] {
                for tick in scale.ticks(4) {
                    let x = scale.at(tick);
                    svg.line((x, 56.0), (x, bottom), GRID, false);
                    svg.text((x, bottom + 16.0), Anchor::Middle, &svg::number(tick));
                }
            }
            let mut y = 60.0;
            for comparison in comparisons {
                svg.text((10.0, y + 14.0), Anchor::Start, &comparison.comparison);
                y += ROW;
                for level in &comparison.levels {
                    svg.text((290.0, y + 14.0), Anchor::End, &shortened(&level.level, 42));
                    bar(&mut svg, weight, (0.0, level.weight), y, ROW);
                    let middle = weight.at(if level.weight < 0.0 {
                        0.0
                    } else {
                        level.weight
                    });
                    let text = format!("{:+.1}", level.weight);
                    svg.text((middle + 4.0, y + 14.0), Anchor::Start, &text);
                    for (scale, value) in [(m, level.m), (u, level.u)] {
                        bar(&mut svg, scale, (0.0, value), y, ROW);
                    }
                    y += ROW;
                }
            }
            svg.line((weight.at(0.0), 56.0), (weight.at(0.0), bottom), INK, false);
            svg.finish()
        },
    )
}

/// How the weight of a pair comes about.
pub fn waterfall(file: &str, title: &str, pair: &PairReport) -> Chart {
    const ROW: f64 = 24.0;
    let caption = format!(
        "From the odds of two records drawn at random to those of this pair, comparison by comparison: {:.1} bits in \
         the end, a probability of {:.3}. Dark bars speak for one person, light ones for two.",
        pair.match_weight, pair.match_probability
    );
    Chart::new(file, title, &caption, |title, description| {
        let mut steps = vec![("prior".to_owned(), pair.prior_weight)];
        for part in &pair.parts {
            let level = part.level.as_deref().unwrap_or("no value");
            steps.push((
                shortened(&format!("{}: {level}", part.comparison), 48),
                part.weight,
            ));
            if part.term_frequency != 0.0 {
                steps.push((
                    format!("{}: how rare the value is", part.comparison),
                    part.term_frequency,
                ));
            }
        }
        let mut sums = vec![0.0];
        let mut sum = 0.0;
        for (_, weight) in &steps {
            sum += weight;
            sums.push(sum);
        }
        let low = sums.iter().copied().fold(0.0, f64::min);
        let high = sums.iter().copied().fold(0.0, f64::max);
        let rows = u32::try_from(steps.len()).unwrap_or(u32::MAX);
        let height = 110.0 + ROW * f64::from(rows);
        let mut svg = Svg::new(title, description, (760.0, height));
        svg.text((10.0, 24.0), Anchor::Start, title);
        let scale = Scale {
            values: (low - 1.0, high + 1.0),
            pixels: (330.0, 690.0),
        };
        let bottom = height - 40.0;
        for tick in scale.ticks(8) {
            let x = scale.at(tick);
            svg.line((x, 36.0), (x, bottom), GRID, false);
            svg.text((x, bottom + 14.0), Anchor::Middle, &svg::number(tick));
        }
        svg.text(
            (510.0, bottom + 30.0),
            Anchor::Middle,
            "match weight (bits)",
        );
        let mut y = 40.0;
        let mut from = 0.0;
        for (word, weight) in &steps {
            svg.text((320.0, y + 16.0), Anchor::End, word);
            bar(&mut svg, scale, (from, from + weight), y, ROW);
            svg.text((700.0, y + 16.0), Anchor::Start, &format!("{weight:+.2}"));
            from += weight;
            y += ROW;
            svg.line(
                (scale.at(from), y - 4.0),
                (scale.at(from), y + 4.0),
                INK,
                false,
            );
        }
        svg.text((320.0, y + 16.0), Anchor::End, "match weight");
        bar(&mut svg, scale, (0.0, pair.match_weight), y, ROW);
        svg.text(
            (700.0, y + 16.0),
            Anchor::Start,
            &format!("{:.2}", pair.match_weight),
        );
        svg.finish()
    })
}

/// A bar from one value to another: dark if it goes to the right.
fn bar(svg: &mut Svg, scale: Scale, (from, to): (f64, f64), y: f64, row: f64) {
    let (left, right) = (scale.at(from.min(to)), scale.at(from.max(to)));
    let fill = if to < from { LIGHT } else { DARK };
    svg.rectangle((left, y + 3.0), (right - left, row - 6.0), fill);
}

fn shortened(text: &str, most: usize) -> String {
    if text.chars().count() <= most {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(most - 1).collect();
    short.push('…');
    short
}
